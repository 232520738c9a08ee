"""Column space fitting: shapes whose coefficients are smooth in time."""

from numbers import Real

import torch
from sklearn.utils._param_validation import Interval, StrOptions

from ..base import NRSfMTags
from ._base import BaseClassicalNRSfM, Solution
from ._column_space_solver import code_functions, fit_codes
from ._metric_upgrade import high_rank_rotations

# Most of the rank over the number of points that "auto" tries.
_LARGEST_SHARE = 2 / 3
# Growing by one basis need not be exact: what follows improves it.
_GROWTH = {"max_iter": 15, "tol": 1e-3}
# Rounds between codes and the translation of frames with hidden points.
_ROUNDS = 10


def solve_column_space(
    tracks, completed, rotations, n_bases, *, variant="csf2", fraction=0.1, max_iter=100, tol=1e-4
):
    r"""Fit shapes whose coefficients are combinations of cosines.

    Parameters
    ----------
    tracks : Tracks
        Keypoints.
    completed : Tensor of shape (n_frames, n_points, 2)
        The same, completed and centred; see :func:`complete_tracks`.
    rotations : Tensor of shape (n_frames, 3, 3)
        Rotations.
    n_bases : int
        K.
    variant : {"csf", "csf2"}, default="csf2"
        All bases at once from the lowest cosines, or one by one.
    fraction : float, default=0.1
        Share of the frequencies that a code may have.
    max_iter, tol : int, float
        Of the Gauss-Newton steps.

    Returns
    -------
    Solution
    """
    functions = code_functions(tracks.clips, len(completed), fraction, completed, at_least=n_bases)
    n_functions = functions.shape[1]
    n_bases = min(n_bases, n_functions)
    first = torch.eye(n_functions, n_bases, dtype=completed.dtype, device=completed.device)
    offsets = tracks.offsets(completed)
    problem = (rotations, functions)
    if variant == "csf":
        fit = fit_codes(tracks, offsets, *problem, first, max_iter=max_iter, tol=tol)
    else:
        fit = fit_codes(tracks, offsets, *problem, first[:, :1], **_GROWTH)
        for k in range(1, n_bases):
            start = torch.cat([fit.coefficients, first[:, k : k + 1]], dim=1)
            fit = fit_codes(tracks, offsets, *problem, start, free=1, **_GROWTH)
            fit = fit_codes(tracks, offsets, *problem, fit.coefficients, **_GROWTH)
        fit = fit_codes(tracks, offsets, *problem, fit.coefficients, max_iter=max_iter, tol=tol)
    n_iter, converged, curve = fit.n_iter, fit.converged, list(fit.curve)
    shapes = _shapes(fit)
    if not tracks.complete:
        for _ in range(_ROUNDS):
            previous = offsets
            offsets = tracks.offsets((shapes @ rotations.mT)[..., :2])
            fit = fit_codes(tracks, offsets, *problem, fit.coefficients, max_iter=5, tol=tol)
            shapes = _shapes(fit)
            curve.extend(fit.curve[1:])
            if (offsets - previous).norm() <= tol * tracks.points.norm():
                break
    offsets = tracks.offsets((shapes @ rotations.mT)[..., :2])
    scales = torch.ones_like(offsets[:, 0])
    return Solution(shapes, rotations, scales, offsets, curve, n_iter, converged)


def _shapes(fit):
    shapes = torch.einsum("fk,kpi->fpi", fit.codes, fit.basis)
    return shapes - shapes.mean(1, keepdim=True)


class ColumnSpaceFitting(BaseClassicalNRSfM):
    r"""Column space fitting (CSF and CSF2): shape coefficients that are smooth in time.

    .. math::

        \min_{X, B, t} \sum_{f,p} m_{fp} \Bigl\| w_{fp} - t_f - R_f^{xy} \sum_{k=1}^K
        c_{fk}\, b_{kp} \Bigr\|^2, \qquad C = \Omega X

    with :math:`\Omega` the lowest cosines. The basis shapes :math:`B` are eliminated (variable
    projection), and damped Gauss-Newton steps find the few numbers in :math:`X`. The rotations are
    those of a metric upgrade of high rank; see :class:`BMM`.

    Parameters
    ----------
    n_bases : int or "auto", default="auto"
        Basis shapes K. 3 K must be less than the number of points. "auto": the number that best
        predicts withheld keypoints and keeps neighbours at constant distances,
        among those with a rank 3 K of two thirds of the points at most.
    variant : {"csf", "csf2"}, default="csf2"
        "csf" starts from the K lowest cosines at once, where it is the trajectory basis. "csf2"
        adds the bases one by one, each fitted in the space that is complementary to those before
        it, and all together after each.
    frequency_fraction : float, default=0.1
        Share of the frequencies of a clip that the coefficients may have; K at least.
    max_iter : int, default=100
        Most Gauss-Newton steps with all bases.
    tol : float, default=1e-4
        Relative fall of the objective at which to stop.
    device : {"auto", "cpu", "cuda"} or torch.device, default="auto"
        Where to compute.
    random_state : int, RandomState instance or None, default=0
        Seed of what is withheld, for "auto" and to complete ``W`` for the rotations.

    Attributes
    ----------
    reconstruction_ : ndarray of shape (n_frames, n_points, 3)
        Camera-frame points of the fitted frames, in units of ``W``.
    shapes_, rotations_, translations_, scales_ : ndarray
        Shape in the common frame, rotation, translation and scale (1) of each frame.
    mean_shape_, basis_ : ndarray
        Mean and principal components of the shapes, a standard deviation each, in units of ``W``:
        what unseen frames are lifted with.
    codes_ : ndarray of shape (n_frames, n_components)
        Coefficients of the fitted shapes, in standard deviations.
    n_bases_ : int
        Number of bases.
    n_bases_trials_ : ndarray of shape (n_trials, 3)
        Number of bases, error of withheld keypoints over that of the centroid, and variation of
        neighbour distances of each trial; empty if the number was given.
    loss_curve_ : ndarray
        Objective, in squares of the size of ``W``.
    n_iter_, converged_ : int, bool
        Gauss-Newton steps with all bases; whether ``tol`` was met.
    noise_, candidate_shapes_, frame_keys_ : float, ndarray, ndarray
        What unseen frames are lifted with beside the basis, and fitted ones known by.
    n_points_in_ : int
        Number of points.

    See Also
    --------
    TrajectoryBasis : The special case whose coefficients are the cosines themselves.

    Notes
    -----
    Missing keypoints are native; only for the rotations ``W`` is completed first. The order of
    frames matters, and is that within each clip of ``groups``. Unseen frames are lifted by camera
    and coefficients of the learned basis, without smoothness. With d functions a step takes
    :math:`O(F d^2 K^2 + d^3 K^3)`, and :math:`O(P d^2 K^3)` more if keypoints are missing; d is a
    fixed share of F, so that time grows as :math:`F^3` at worst.

    References
    ----------
    .. [1] P. F. U. Gotardo, A. M. Martinez, "Computing smooth time trajectories for camera and
       deformable shape in structure from motion with occlusion", IEEE TPAMI 33(10), 2011.
    .. [2] P. F. U. Gotardo, A. M. Martinez, "Non-rigid structure from motion with complementary
       rank-3 spaces", CVPR 2011. The order in which the bases are fitted is derived anew here.

    Examples
    --------
    >>> from nrsfm_learn import ColumnSpaceFitting
    >>> from nrsfm_learn.datasets import make_low_rank
    >>> data = make_low_rank(n_frames=60, n_points=16, rank=2, random_state=0)
    >>> ColumnSpaceFitting(n_bases=2).fit_transform(data.W).shape
    (60, 16, 3)
    """

    _parameter_constraints = {  # noqa: RUF012
        **BaseClassicalNRSfM._parameter_constraints,
        "variant": [StrOptions({"csf", "csf2"})],
        "frequency_fraction": [Interval(Real, 0, 1, closed="right")],
    }

    def __init__(
        self,
        n_bases="auto",
        *,
        variant="csf2",
        frequency_fraction=0.1,
        max_iter=100,
        tol=1e-4,
        device="auto",
        random_state=0,
    ):
        self.n_bases = n_bases
        self.variant = variant
        self.frequency_fraction = frequency_fraction
        self.max_iter = max_iter
        self.tol = tol
        self.device = device
        self.random_state = random_state

    def _nrsfm_tags(self):
        return NRSfMTags(stochastic=False, temporal=True)

    def _candidates(self, tracks):
        # With a rank near the number of points there is always a basis that fits, at any depth.
        most = max(1, _LARGEST_SHARE * tracks.points.shape[1] // 3)
        return [k for k in super()._candidates(tracks) if k <= most] or [1]

    def _start(self, tracks, completed, generator):
        return completed, high_rank_rotations(completed)

    def _solve(self, tracks, start, n_bases, generator):
        return solve_column_space(
            tracks,
            *start,
            n_bases,
            variant=self.variant,
            fraction=self.frequency_fraction,
            max_iter=self.max_iter,
            tol=self.tol,
        )
