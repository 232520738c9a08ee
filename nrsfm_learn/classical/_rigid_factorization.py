"""Rigid structure from motion by factorisation."""

import torch
from sklearn.utils._param_validation import StrOptions

from .._deadline import time_is_up
from ..geometry import onp, refine_onp
from ._base import BaseClassicalNRSfM, Solution
from ._metric_upgrade import (
    constant_scale_upgrade,
    free_scale_upgrade,
    high_rank_rotations,
    motion_factor,
)

# Least curvature of a point's position, over the largest: depth that no camera sees stays put.
_RIDGE = 1e-9
# By how much the second start must be better, and by how much for each keypoint.
_GAIN, _EXACT = 1e-4, 1e-12


def solve_rigid(
    tracks, completed, *, scale=False, n_init=5, max_iter=500, tol=1e-6, generator=None
):
    r"""Fit one rigid shape and an orthographic camera a frame.

    .. math::

        \min_{S, R_f, s_f, t_f} \sum_{f,p} m_{fp} \| w_{fp} - s_f R_f^{xy} S_p - t_f \|^2

    The rank-3 factorisation of the (completed) measurement matrix and its metric upgrade give a
    start, the rotations of a factorisation of higher rank another. Cameras and points are improved
    in turn, neither step raising the sum; the lower sum is kept.

    Parameters
    ----------
    tracks : Tracks
        Keypoints.
    scale : bool, default=False
        Whether each frame has a scale of its own.
    n_init : int, default=5
        Starts of the metric upgrade.
    max_iter : int, default=500
        Most rounds.
    tol : float, default=1e-6
        Relative fall of the sum at which to stop.
    generator : torch.Generator
        Draws the starts.

    Returns
    -------
    Solution
    """
    motion = motion_factor(completed, 3)
    if scale:
        upgrade = free_scale_upgrade(motion)
    else:
        upgrade = constant_scale_upgrade(motion, n_init, generator)
    one = torch.ones_like(upgrade.scales)
    # What a body's bending does to the rank-3 factor, a factor of higher rank sets right.
    starts = [
        (upgrade.rotations, upgrade.scales if scale else one),
        (high_rank_rotations(completed), one),
    ]
    offsets = tracks.offsets(completed)
    solutions = [_improve(tracks, R, scales, offsets, scale, max_iter, tol) for R, scales in starts]
    first, second = solutions
    # Where both find the same, rounding must not choose between their common frames.
    least = max(_GAIN * first.curve[-1], _EXACT * float(tracks.weights.sum()))
    return second if first.curve[-1] - second.curve[-1] > least else first


def _improve(tracks, R, scales, offsets, scale, max_iter, tol):
    """Improve cameras and points in turn."""
    shape = resect(tracks, R, scales, offsets)
    W, weights = tracks.points, tracks.weights
    curve, converged, n_iter = [], False, 0
    while n_iter < max_iter and not (converged or (curve and time_is_up())):
        n_iter += 1
        shapes = shape.expand(len(W), -1, -1)
        if scale:
            R, scales = _scaled_camera(shapes, W, weights, R, scales)
        else:
            R = refine_onp(shapes, W, R, visible=weights)
        offsets = tracks.offsets(scales[:, None, None] * (shapes @ R.mT)[..., :2])
        shape = resect(tracks, R, scales, offsets)
        shape = shape - shape.mean(0)
        left = W - scales[:, None, None] * (shape @ R.mT)[..., :2]
        left = left - tracks.offsets(W - left)[:, None]
        curve.append(float((weights[..., None] * left.square()).sum()))
        converged = len(curve) > 1 and curve[-2] - curve[-1] <= tol * curve[-2]
    if scale:
        shape, scales = shape * scales.mean(), scales / scales.mean()
    shapes = shape.expand(len(W), -1, -1)
    offsets = tracks.offsets(scales[:, None, None] * (shapes @ R.mT)[..., :2])
    return Solution(shapes, R, scales, offsets, curve, n_iter, converged)


def resect(tracks, rotations, scales, offsets):
    """Return the least-squares position (n_points, 3) of each point, given the cameras."""
    motion = scales[:, None, None] * rotations[:, :2]
    A = torch.einsum("fp,fci,fcj->pij", tracks.weights, motion, motion)
    target = tracks.points - offsets[:, None]
    b = torch.einsum("fp,fci,fpc->pi", tracks.weights, motion, target)
    ridge = _RIDGE * A.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]
    return torch.linalg.solve(A + ridge * torch.eye(3, dtype=A.dtype, device=A.device), b)


def _scaled_camera(shapes, W, weights, R, scales):
    """Take the better of two cameras: orthographic-N-point's, or the present one refined."""
    fit = onp(shapes, W, visible=weights)
    refined = refine_onp(scales[:, None, None] * shapes, W, R, visible=weights)
    candidates = torch.stack([fit.rotation, refined])
    total = weights.sum(1, keepdim=True)
    errors, factors = [], []
    w = weights[..., None]
    target = W - (w * W).sum(1, keepdim=True) / total[..., None]
    for rotation in candidates:
        posed = (shapes @ rotation.mT)[..., :2]
        posed = posed - (w * posed).sum(1, keepdim=True) / total[..., None]
        power = (w * posed.square()).sum((1, 2)).clamp_min(1e-300)
        factor = ((w * posed * target).sum((1, 2)) / power).clamp_min(1e-6)
        factors.append(factor)
        errors.append((w * (target - factor[:, None, None] * posed).square()).sum((1, 2)))
    better = errors[0] < errors[1]
    R = torch.where(better[:, None, None], candidates[0], candidates[1])
    return R, torch.where(better, factors[0], factors[1])


class RigidFactorization(BaseClassicalNRSfM):
    r"""Rigid structure from motion by factorisation, with missing keypoints.

    .. math::

        \min_{S, R_f, s_f, t_f} \sum_{f,p} m_{fp} \| w_{fp} - s_f R_f^{xy} S_p - t_f \|^2

    The baseline of all methods, and the right one for objects that do not deform.

    Parameters
    ----------
    camera : {"orthographic", "weak_perspective"}, default="orthographic"
        One scale for all frames, or one a frame.
    n_init : int, default=5
        Starts of the metric upgrade under orthography.
    max_iter : int, default=500
        Most rounds of improvement.
    tol : float, default=1e-6
        Relative fall of the objective at which to stop.
    device : {"auto", "cpu", "cuda"} or torch.device, default="auto"
        Where to compute.
    random_state : int, RandomState instance or None, default=0
        Seed of the starts, and of what is withheld to complete ``W``.

    Attributes
    ----------
    reconstruction_ : ndarray of shape (n_frames, n_points, 3)
        Camera-frame points of the fitted frames, in units of ``W``.
    shapes_, rotations_, translations_, scales_ : ndarray
        Shape (the same in all frames), rotation, translation and scale of each frame.
    mean_shape_ : ndarray of shape (n_points, 3)
        The rigid shape, in units of ``W``. ``basis_`` and ``codes_`` are there and empty.
    loss_curve_ : ndarray of shape (n_iter,)
        Objective, in squares of the size of ``W``.
    n_iter_ : int
        Rounds.
    converged_ : bool
        Whether ``tol`` was met; a warning tells if not.
    noise_, candidate_shapes_, frame_keys_ : float, ndarray, ndarray
        What unseen frames are lifted with beside the basis, and fitted ones known by.
    n_points_in_ : int
        Number of points.

    See Also
    --------
    EMPPCA : Deforming objects.

    Notes
    -----
    Frames that ``fit`` has not seen are lifted by orthographic-N-point. Mirror images in depth of
    shape and cameras together fit equally well. Time is
    :math:`O(F P^2 + F K^4 + K^6)`, K being 12 at most, for the starts and :math:`O(F P)` a round,
    linear in frames; completion of missing keypoints is :math:`O(F^2 P + F P^2)` with the frames of
    the longest clip.

    References
    ----------
    .. [1] C. Tomasi, T. Kanade, "Shape and motion from image streams under orthography: a
       factorization method", IJCV 9(2), 1992.
    .. [2] C. Poelman, T. Kanade, "A paraperspective factorization method for shape and motion
       recovery", IEEE TPAMI 19(3), 1997: scaled orthography.

    Examples
    --------
    >>> from nrsfm_learn import RigidFactorization
    >>> from nrsfm_learn.datasets import make_low_rank
    >>> data = make_low_rank(n_frames=40, n_points=10, rank=1, random_state=0)
    >>> RigidFactorization().fit_transform(data.W).shape
    (40, 10, 3)
    """

    _parameter_constraints = {  # noqa: RUF012
        **BaseClassicalNRSfM._parameter_constraints,
        "camera": [StrOptions({"orthographic", "weak_perspective"})],
        "n_init": BaseClassicalNRSfM._parameter_constraints["max_iter"],
    }
    del _parameter_constraints["n_bases"]

    def __init__(
        self,
        *,
        camera="orthographic",
        n_init=5,
        max_iter=500,
        tol=1e-6,
        device="auto",
        random_state=0,
    ):
        self.camera = camera
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.device = device
        self.random_state = random_state

    @property
    def _lifts_scale(self):
        return self.camera == "weak_perspective"

    def _n_components(self):
        return 1

    def _solve(self, tracks, completed, n_bases, generator):
        return solve_rigid(
            tracks,
            completed,
            scale=self._lifts_scale,
            n_init=self.n_init,
            max_iter=self.max_iter,
            tol=self.tol,
            generator=generator,
        )
