"""Procrustean normal distribution: aligned shapes as draws from a Gaussian."""

from numbers import Integral, Real

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions

from .._torch import to_numpy
from ..base import NRSfMTags
from ..model_selection import neighbor_distance_variation
from ._base import BaseClassicalNRSfM, Solution
from ._basis_lift import ShapeBasis, strided
from ._em_ppca_solver import solve_em_ppca
from ._first_shapes import first_shapes
from ._procrustean_normal_solver import fit_procrustean_normal

# Numbers of bases that "auto" tries beside all of them.
_CANDIDATES = (2, 4, 8, 16, 32)
# Deformations of the start of low rank, one after the other.
_RANKS = (1, 2)
_RANK_TOLERANCE = 1e-4
# Shapes of few deformations vary less by nature: how much less they must, to be preferred. On the
# six short sequences the ratio is 0.2 once and 1 to 1.6 otherwise.
_CLEARLY = 0.5
# Iterations with which a number of bases is tried.
_TRIAL_ITERATIONS = 30
# Directions of the covariance that unseen frames are lifted with, at most.
_N_COMPONENTS = 40
# Variances below this part of the largest are left out of them.
_LEAST_VARIANCE = 1e-6


def solve_procrustean_normal(
    tracks, shapes, *, n_bases=None, scale=False, least_noise=0.002, max_iter=150, tol=1e-3
):
    """Fit a Procrustean normal distribution; say what it has found as all solvers do.

    Parameters
    ----------
    tracks : Tracks
        Keypoints.
    shapes : Tensor of shape (n_frames, n_points, 3)
        Start, in the camera frame.
    n_bases, scale, least_noise, max_iter, tol
        As of :func:`fit_procrustean_normal`.

    Returns
    -------
    Solution
    """
    fit = fit_procrustean_normal(
        tracks,
        shapes,
        n_bases=n_bases,
        scale=scale,
        least_noise=least_noise,
        max_iter=max_iter,
        tol=tol,
    )
    values, vectors = torch.linalg.eigh(fit.covariance)
    kept = (values > _LEAST_VARIANCE * values[-1].clamp_min(1e-300)).nonzero()[-_N_COMPONENTS:, 0]
    kept = kept.flip(0)
    roots = values[kept].sqrt()
    codes = (fit.shapes - fit.mean).flatten(1) @ vectors[:, kept] / roots
    basis = (vectors[:, kept] * roots).T.reshape(-1, *fit.mean.shape)
    projected = fit.scales[:, None, None] * (fit.shapes @ fit.rotations.mT)[..., :2]
    return Solution(
        fit.shapes,
        fit.rotations,
        fit.scales,
        tracks.offsets(projected),
        fit.curve,
        fit.n_iter,
        fit.converged,
        ShapeBasis(fit.mean, basis, fit.noise, strided(fit.mean, fit.shapes)),
        codes,
    )


def low_rank_shapes(tracks, shapes, rotations, generator, max_iter=300):
    """Return shapes of one deformation, raised to two, by expectation maximisation.

    A rank that grows finds shapes whose deformations are few, where shapes of least nuclear norm
    have many small ones.

    Parameters
    ----------
    tracks : Tracks
        Keypoints.
    shapes : Tensor of shape (n_frames, n_points, 3)
        Start, in the common frame.
    rotations : Tensor of shape (n_frames, 3, 3)
        Rotations of the start.
    generator : torch.Generator
        Draws deformations that the start lacks.
    max_iter : int, default=300
        Most iterations for each number of deformations.

    Returns
    -------
    shapes, rotations : Tensor
        As given.
    """
    for n_bases in _RANKS:
        fit = solve_em_ppca(
            tracks.points,
            tracks.weights,
            n_bases,
            shapes=shapes,
            rotations=rotations,
            generator=generator,
            max_iter=max_iter,
            tol=_RANK_TOLERANCE,
        )
        shapes = fit.mean + torch.einsum("fk,kpi->fpi", fit.codes, fit.basis)
        rotations = fit.rotations
    return shapes, rotations


class ProcrusteanNormal(BaseClassicalNRSfM):
    r"""Procrustean normal distribution (PND): aligned shapes as draws from a Gaussian.

    .. math::

        w_{fp} = s_f R_f^{xy}\, y_{fp} + t_f + n_{fp}, \qquad y_f \sim N(\bar x, \Sigma), \quad
        n_{fp} \sim N(0, \sigma^2 I / m_{fp})

    with the covariance in the tangent space of shapes at their mean: :math:`\Sigma v = 0` for
    translations, for infinitesimal rotations :math:`v_p = \omega \times \bar x_p` and, with scales,
    for the mean itself. So no deformation can stand for a motion, as it can in a shape basis, and
    the covariance may have full rank. The shapes are integrated out by expectation maximisation,
    while :math:`\sigma` falls from a large value to the most likely one.

    Parameters
    ----------
    n_bases : int, "auto" or None, default=None
        Directions of the tangent space that have a variance of their own; the others share one.
        None: all of them. "auto": the number that best predicts withheld keypoints and keeps
        neighbours at constant distances.
    camera : {"orthographic", "weak_perspective"}, default="orthographic"
        One scale for all frames, or one a frame.
    least_noise : float, default=0.002
        Least :math:`\sigma`, over the root mean square of the keypoints' coordinates.
    init : {"auto", "nuclear_norm", "low_rank", "rigid"}, default="auto"
        Where to begin: shapes of least nuclear norm with the rotations of :class:`BMM`; from these,
        shapes of one and then of two deformations, as in :class:`EMPPCA`; or a rigid shape.
        "auto": the second where it has neighbours at clearly more constant distances (less than
        half the variation), else the first.
    max_iter : int, default=150
        Most iterations.
    tol : float, default=1e-3
        Rise of the log-likelihood for each visible coordinate at which to stop.
    device : {"auto", "cpu", "cuda"} or torch.device, default="auto"
        Where to compute.
    random_state : int, RandomState instance or None, default=0
        Seed of what is withheld, for "auto" and to complete ``W`` for the start.

    Attributes
    ----------
    reconstruction_ : ndarray of shape (n_frames, n_points, 3)
        Camera-frame points of the fitted frames, in units of ``W``.
    shapes_, rotations_, translations_, scales_ : ndarray
        Aligned shape, rotation, translation and scale of each frame.
    mean_shape_, basis_ : ndarray
        Mean shape and leading directions of the covariance, a standard deviation each, in units of
        ``W``: what unseen frames are lifted with.
    codes_ : ndarray of shape (n_frames, n_components)
        Coefficients of the fitted shapes, in standard deviations.
    noise_ : float
        Standard deviation of a coordinate of a keypoint, in units of ``W``.
    n_bases_ : int
        Number of bases.
    n_bases_trials_ : ndarray of shape (n_trials, 3)
        Number of bases, error of withheld keypoints over that of the centroid, and variation of
        neighbour distances of each trial; empty unless "auto".
    loss_curve_ : ndarray of shape (n_iter,)
        Negative log-likelihood for each visible coordinate, at the noise of the iteration.
    n_iter_, converged_ : int, bool
        Iterations; whether ``tol`` was met.
    candidate_shapes_, frame_keys_ : ndarray
        What unseen frames are lifted with beside the basis, and fitted ones known by.
    n_points_in_ : int
        Number of points.

    See Also
    --------
    EMPPCA : A Gaussian of low rank whose deformations may contain rotations.
    ProcrusteanRegression : Simplicity of aligned shapes as a cost.

    Notes
    -----
    Missing keypoints are native, and weights are precisions; only for the start ``W`` is completed.
    The order of frames is not used. Unseen frames are lifted by the camera and shape of highest
    posterior probability. The likelihood has many maxima, which differ in depth: what the start has
    wrong mostly stays wrong. An iteration takes :math:`O(F P^3)`: linear in frames, cubic in
    points.

    References
    ----------
    .. [1] M. Lee, J. Cho, C.-H. Choi, S. Oh, "Procrustean normal distribution for non-rigid
       structure from motion", CVPR 2013. The steps of the cameras, the start and the fall of the
       noise are derived anew here.

    Examples
    --------
    >>> from nrsfm_learn import ProcrusteanNormal
    >>> from nrsfm_learn.datasets import make_low_rank
    >>> data = make_low_rank(n_frames=60, n_points=16, rank=2, random_state=0)
    >>> ProcrusteanNormal(init="nuclear_norm").fit_transform(data.W).shape
    (60, 16, 3)
    """

    _parameter_constraints = {  # noqa: RUF012
        **BaseClassicalNRSfM._parameter_constraints,
        "n_bases": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"}), None],
        "camera": [StrOptions({"orthographic", "weak_perspective"})],
        "least_noise": [Interval(Real, 0, None, closed="neither")],
        "init": [StrOptions({"auto", "nuclear_norm", "low_rank", "rigid"})],
    }

    def __init__(
        self,
        n_bases=None,
        *,
        camera="orthographic",
        least_noise=0.002,
        init="auto",
        max_iter=150,
        tol=1e-3,
        device="auto",
        random_state=0,
    ):
        self.n_bases = n_bases
        self.camera = camera
        self.least_noise = least_noise
        self.init = init
        self.max_iter = max_iter
        self.tol = tol
        self.device = device
        self.random_state = random_state

    def _nrsfm_tags(self):
        return NRSfMTags(stochastic=False)

    @property
    def _lifts_scale(self):
        return self.camera == "weak_perspective"

    def _largest(self, tracks):
        n_frames, n_points = tracks.weights.shape
        return max(1, min(n_frames - 1, 3 * n_points - 6 - self._lifts_scale))

    def _candidates(self, tracks):
        most = self._largest(tracks)
        return [k for k in _CANDIDATES if k < most] + [most]

    def _resolve_n_bases(self, tracks, generator):
        if self.n_bases is None:
            return self._largest(tracks), np.empty((0, 3))
        return super()._resolve_n_bases(tracks, generator)

    def _start(self, tracks, completed, generator):
        init = self.init if self.init == "rigid" else "nuclear_norm"
        start = first_shapes(tracks, completed, init, generator)
        if self.init in ("low_rank", "auto"):
            raised = low_rank_shapes(tracks, *start, generator, 2 * self.max_iter)
            variation = [neighbor_distance_variation(to_numpy(S)) for S, _ in (start, raised)]
            if self.init == "low_rank" or variation[1] < _CLEARLY * variation[0]:
                start = raised
        shapes, rotations = start
        return shapes @ rotations.mT

    def _attempt(self, tracks, start, n_bases, generator):
        solution = self._run(tracks, start, n_bases, min(self.max_iter, _TRIAL_ITERATIONS))
        return solution.keypoints, solution.shapes

    def _solve(self, tracks, start, n_bases, generator):
        return self._run(tracks, start, n_bases, self.max_iter)

    def _run(self, tracks, start, n_bases, max_iter):
        return solve_procrustean_normal(
            tracks,
            start,
            n_bases=n_bases,
            scale=self._lifts_scale,
            least_noise=self.least_noise,
            max_iter=max_iter,
            tol=self.tol,
        )
