"""Isometric NRSfM: surfaces that bend and do not stretch, before a perspective camera."""

import warnings
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval

from .._torch import resolve_device, to_numpy
from .._unit_plane import on_unit_plane
from .._warnings import caller_stacklevel
from ..base import BaseNRSfM, NRSfMTags, Reconstruction
from ..geometry import generalized_procrustes, procrustes, project_perspective
from ._isometry_refinement import refine_isometry
from ._local_templates import complete_from_templates
from ._maximum_depth import solve_maximum_depth
from ._sight_graph import neighborhood_graph, rays_of, sight_lines

# Newton steps that each frame may take to be lifted.
_LIFT_ITER = 200
# Most steps of the refinement.
_REFINE_ITER = 200


class IsometricNRSfM(BaseNRSfM):
    r"""Isometric NRSfM: bent sheets and cloth before a perspective camera, without a template.

    Points that stay neighbours in all frames are linked. Their distance along the surface is
    unknown but the same in all frames, and no two of them are ever farther apart than that. Of all
    depths that allow this, the largest are taken (the maximum-depth heuristic [1]_):

    .. math::

        \max_{\lambda, d} \sum_{f,i} \lambda_{fi} \quad \text{s.t.} \quad
        \| \lambda_{fi} q_{fi} - \lambda_{fj} q_{fj} \| \le d_{ij}, \quad
        \sum_{ij} d_{ij} = \text{const.}

    with q the unit vectors along the lines of sight and :math:`\lambda` the distances from the
    camera: a convex problem (a second-order cone programme), with one solution and no start to
    choose. From there the points move along their lines of sight to where distances between
    neighbours are the same in all frames:

    .. math::

        \min_{\lambda, d} \sum_{f,ij} \bigl( \log \| \lambda_{fi} q_{fi} - \lambda_{fj} q_{fj} \|
        - \log d_{ij} \bigr)^2 .

    Frames need no order, and a handful will do.

    Parameters
    ----------
    n_neighbors : int, default=20
        Neighbours that each point is linked to. Few are faster; for a closed surface or large gaps
        between points more are better.
    refine : bool, default=True
        Whether distances are made alike after the convex problem, which only bounds them. Lowers
        the error on surfaces that hardly stretch.
    max_iter : int, default=200
        Most Newton steps of the convex problem.
    tol : float, default=1e-3
        Relative bound on how far the sum of depths may be below its largest value.
    device : {"auto", "cpu", "cuda"} or torch.device, default="auto"
        Where to compute.

    Attributes
    ----------
    reconstruction_ : ndarray of shape (n_frames, n_points, 3)
        Points in the camera frame, in units of the mean depth of all fitted points.
    shapes_ : ndarray of shape (n_frames, n_points, 3)
        The same, centred and turned to ``mean_shape_``.
    rotations_ : ndarray of shape (n_frames, 3, 3)
        ``x_cam = R x``: how a frame's shape is turned against ``mean_shape_``.
    translations_ : ndarray of shape (n_frames, 3)
        Mean of the points in the camera frame.
    scales_ : ndarray of shape (n_frames,)
        Ones: all frames are in the same units.
    mean_shape_ : ndarray of shape (n_points, 3)
        Mean of the fitted shapes.
    edges_ : ndarray of int of shape (n_edges, 2)
        Pairs of neighbours.
    distances_ : ndarray of shape (n_edges,)
        Their distances, with which unseen frames are lifted.
    max_distances_ : ndarray of shape (n_edges,)
        The bounds :math:`d_{ij}` of the convex problem.
    templates_ : ndarray of shape (n_frames, n_points, 3)
        The fitted points where they are visible, NaN elsewhere: hidden points are placed by them.
    length_variation_ : float
        Root mean square over frames and edges of the relative deviation of a length from its
        ``distances_``. Far above 0.1, the object stretches, or points are wrong.
    loss_curve_ : ndarray of shape (n_iter,)
        Bound on how far the sum of depths is below its largest value, relative.
    refinement_curve_ : ndarray
        ``length_variation_`` after each step of the refinement.
    n_iter_ : int
        Newton steps of the convex problem.
    converged_ : bool
        Whether the convex problem met ``tol`` and the refinement came to rest.
    n_points_in_ : int
        Keypoints of a frame.

    See Also
    --------
    nrsfm_learn.deep.PAUL : Many frames of any object, with ``camera="perspective"``.

    Notes
    -----
    Missing keypoints: an edge counts where both of its points are visible. Points that a frame
    hides are then placed by frames that show them, moved rigidly so that the points around fit.

    Unseen frames: the same two steps with the distances of the fit, each frame by itself.

    Ambiguities: the scale, one factor for all frames. A perspective camera near enough to the
    object tells it from its mirror image; from afar the image does not, and the heuristic decides.

    Surfaces that bend so much that neighbours approach each other in space are drawn out: only the
    shortest links measure the surface. Take fewer neighbours there.

    Complexity for F frames, P points and :math:`E \approx 0.6\, n_{\text{neighbors}} P` edges:
    :math:`O(F (P^3 + P E^2) + E^3)` a step, about 40 of them, and :math:`O(E^2 + F (E + P^2))`
    memory: linear in the frames, cubic in the points.

    References
    ----------
    .. [1] A. Chhatkuli, D. Pizarro, T. Collins, A. Bartoli, "Inextensible non-rigid
       structure-from-motion by second-order cone programming", IEEE TPAMI 40(10), 2018. The solver,
       the refinement, and what is done with hidden points and unseen frames are derived anew here.

    Examples
    --------
    >>> from nrsfm_learn import IsometricNRSfM
    >>> from nrsfm_learn.datasets import make_bending_sheet
    >>> sheet = make_bending_sheet(8, 4, 5, camera="perspective", random_state=0)
    >>> IsometricNRSfM(n_neighbors=8).fit_transform(sheet.W).shape
    (8, 20, 3)
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_neighbors": [Interval(Integral, 2, None, closed="left")],
        "refine": ["boolean"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "device": "no_validation",
    }

    # Bounds the memory of the blocks of the linear systems, P by P each.
    _chunk_frames = 64

    def __init__(self, n_neighbors=20, *, refine=True, max_iter=200, tol=1e-3, device="auto"):
        self.n_neighbors = n_neighbors
        self.refine = refine
        self.max_iter = max_iter
        self.tol = tol
        self.device = device

    def _nrsfm_tags(self):
        return NRSfMTags(perspective=True, stochastic=False, equivariant=True)

    def _fit(self, observations):
        device = resolve_device(self.device)
        observations = on_unit_plane(observations)
        rays, visible = rays_of(observations.W), observations.visible
        edges = neighborhood_graph(rays, visible, self.n_neighbors)
        lines = sight_lines(observations, edges, device)
        if not lines.seen.any():
            raise ValueError(
                "no frame of W shows three points that other frames show together as well: give "
                "IsometricNRSfM frames with fewer hidden points."
            )
        bound = solve_maximum_depth(lines, max_iter=self.max_iter, tol=self.tol)
        lines = lines.keep(bound.bounded)
        depths, distances, curve = bound.depths, bound.distances, []
        self.n_iter_, self.converged_ = bound.n_iter, bound.converged
        if self.refine:
            isometry = refine_isometry(lines, depths, max_iter=_REFINE_ITER)
            depths, distances, curve = isometry.depths, isometry.distances, isometry.curve
            self.converged_ &= isometry.converged
        if not self.converged_:
            what = "its refinement was at rest" if bound.converged else f"it met tol={self.tol}"
            remedy = (
                "the object may stretch (see length_variation_), or pass refine=False"
                if bound.converged
                else "raise max_iter or tol"
            )
            warnings.warn(
                f"IsometricNRSfM stopped after {self.n_iter_ + len(curve)} steps before {what}: "
                f"{remedy}.",
                ConvergenceWarning,
                stacklevel=caller_stacklevel(),
            )
        points = depths[..., None] * lines.rays
        unit = points[lines.seen][:, 2].mean()
        self.edges_ = edges
        self.max_distances_, self.distances_ = (
            to_numpy(d / unit) for d in (bound.distances, distances)
        )
        self.length_variation_ = _variation(lines, depths, distances)
        self.loss_curve_ = np.asarray(bound.curve, dtype=float)
        self.refinement_curve_ = np.asarray(curve, dtype=float)
        templates = torch.where(lines.seen[..., None], points / unit, torch.nan)
        self.templates_ = to_numpy(templates)
        whole = complete_from_templates(points / unit, lines.seen, templates)
        self.mean_shape_ = to_numpy(generalized_procrustes(whole).mean)

    def _lift(self, observations):
        device, dtype = resolve_device(self.device), observations.W.dtype
        lines = sight_lines(on_unit_plane(observations), self.edges_, device)
        bounds, distances, templates, mean = (
            torch.as_tensor(array, device=device)
            for array in (self.max_distances_, self.distances_, self.templates_, self.mean_shape_)
        )
        found = solve_maximum_depth(lines, bounds, max_iter=_LIFT_ITER, tol=self.tol)
        depths, known = found.depths, lines.seen & found.bounded
        if self.refine:
            depths = refine_isometry(
                lines.keep(known), depths, distances, max_iter=_REFINE_ITER
            ).depths
        points = complete_from_templates(depths[..., None] * lines.rays, known, templates)
        # Points that are visible but held by nothing stay on their lines of sight.
        visible = torch.as_tensor(observations.visible, device=device)
        nearest = 1e-3 * points[..., 2].abs().mean(1, keepdim=True)
        along = torch.maximum((points * lines.rays).sum(-1), nearest)
        points = torch.where(visible[..., None], along[..., None] * lines.rays, points)
        rotations = procrustes(mean.expand_as(points), points).rotation
        centers = points.mean(1)
        shapes = (points - centers[:, None]) @ rotations
        fields = (points, shapes, rotations, centers, torch.ones_like(centers[:, 0]))
        return Reconstruction(*(to_numpy(a).astype(dtype) for a in fields))

    def _project(self, X, intrinsics):
        if intrinsics is not None:
            intrinsics = torch.as_tensor(intrinsics)
        return project_perspective(torch.as_tensor(X.astype(float)), intrinsics).numpy()


def _variation(lines, depths, distances):
    """Return the root mean square of the relative deviation of lengths from the distances."""
    length = lines.differences(depths).norm(dim=-1)
    deviation = length / distances.clamp_min(1e-300) - 1
    return float((lines.weights * deviation.square()).sum() / lines.weights.sum()) ** 0.5
