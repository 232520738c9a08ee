"""Block matrix method, revisited: many triplets, and a weighted norm."""

from numbers import Real

import torch
from sklearn.utils._param_validation import Interval

from ..base import NRSfMTags
from ..geometry import nearest_rotation
from ._base import BaseClassicalNRSfM, Solution
from ._bmm import TRIAL, cut_to_rank
from ._metric_upgrade import free_scale_upgrade, motion_factor, synchronize_signs
from ._nuclear_norm import nuclear_norm_shapes

_ROUNDS = 10
_LEAST_DISTANCE = 1e-6
# The convex problem only has to give the weighted one a start.
_START_TOLERANCE = 10.0


def solve_revisited_bmm(tracks, completed, n_bases, *, epsilon=0.01, max_iter=1000, tol=1e-4):
    r"""Intersect the rotations of many triplets, then weigh the singular values of the shapes.

    Parameters
    ----------
    tracks : Tracks
        Keypoints.
    completed : Tensor of shape (n_frames, n_points, 2)
        The same, completed and centred; see :func:`complete_tracks`.
    n_bases : int
        Triplets are taken from factorisations of rank 3 * 2 to 3 * n_bases.
    epsilon : float, default=0.01
        Of :func:`nuclear_norm_shapes`.
    max_iter, tol : int, float
        Of the shape step.

    Returns
    -------
    Solution

    References
    ----------
    .. [1] S. Kumar, "Non-rigid structure from motion: prior-free factorization method revisited",
       WACV 2020.
    """
    candidates = []
    for k in range(min(2, n_bases), n_bases + 1):
        upgrade = free_scale_upgrade(motion_factor(completed, 3 * k))
        candidates.append(synchronize_signs(completed, upgrade.rotations, upgrade.scales))
    R = intersect_rotations(torch.stack(candidates), tracks.clips)
    start = nuclear_norm_shapes(tracks, R, max_iter=max_iter, tol=_START_TOLERANCE * tol)
    depth = (start.shapes @ R.mT)[..., 2]
    step = nuclear_norm_shapes(tracks, R, epsilon=epsilon, depth=depth, max_iter=max_iter, tol=tol)
    scales = torch.ones_like(step.offsets[:, 0])
    return Solution(
        step.shapes, R, scales, step.offsets, step.objective, step.n_iter, step.converged
    )


def intersect_rotations(candidates, clips):
    r"""Return the rotations on which several solutions agree.

    Each solution is known up to a rotation of the common frame and up to a mirror image in depth.
    From the last one on, the others are turned to the present mean, and

    .. math::

        R_f = \operatorname*{proj}_{SO(3)} \sum_k \omega_{fk} R^{(k)}_f Q_k, \qquad
        \omega_{fk} = \frac{1}{\| R^{(k)}_f Q_k - R_f \| + \rho^{(k)}_f + \epsilon}

    with :math:`\rho` how much a solution's camera jerks there (its second difference in time, over
    the median of all solutions), so that a frame where a triplet's coefficient vanishes does not
    count.

    Parameters
    ----------
    candidates : Tensor of shape (n_candidates, n_frames, 3, 3)
        Solutions.
    clips : list
        Frames of each clip, in temporal order.

    Returns
    -------
    Tensor of shape (n_frames, 3, 3)
    """
    if len(candidates) == 1:
        return candidates[0]
    mirror = torch.diag(torch.tensor([1.0, 1.0, -1.0]).to(candidates))
    jerk = torch.zeros_like(candidates[..., 0, 0])
    for clip in clips:
        R = candidates[:, clip]
        if R.shape[1] > 2:
            bend = (R[:, 2:] - 2 * R[:, 1:-1] + R[:, :-2]).norm(dim=(2, 3))
            jerk[:, clip] = torch.nn.functional.pad(bend, (1, 1), mode="replicate")
    jerk = jerk / jerk.median(0).values.clamp_min(_LEAST_DISTANCE)
    mean = candidates[-1]
    for _ in range(_ROUNDS):
        turned = torch.stack([_nearer(R, mirror @ R @ mirror, mean) for R in candidates])
        distance = (turned - mean).norm(dim=(2, 3))
        typical = distance.median().clamp_min(_LEAST_DISTANCE)
        weight = 1 / (distance + typical * (jerk - 1).clamp_min(0) + typical)
        mean = nearest_rotation((weight[..., None, None] * turned).sum(0))
    return mean


def _nearer(first, second, reference):
    """Turn both solutions to the reference, and return the nearer one."""
    turned = [R @ nearest_rotation((R.mT @ reference).sum(0)) for R in (first, second)]
    errors = [(R - reference).norm() for R in turned]
    return turned[0] if errors[0] <= errors[1] else turned[1]


class RevisitedBMM(BaseClassicalNRSfM):
    r"""Block matrix method, revisited: rotations of many triplets, weighted nuclear norm.

    Each rank 6, 9, ..., 3 K of the factorisation gives a triplet and from it rotations; the
    rotations on which they agree, with less weight where one of them jerks, are kept. The shapes
    solve

    .. math::

        \min_S \sum_i \frac{\sigma_i (S^\sharp)}{\sigma_i / \sigma_1 + \epsilon}
        \quad\text{s.t.}\quad W_f = R_f^{xy} S_f

    so that the large singular values, which carry the shape, are hardly shrunk.

    Parameters
    ----------
    n_bases : int or "auto", default="auto"
        K, the largest rank over 3. 3 K must be less than the number of points. "auto": the number
        that best predicts withheld keypoints and keeps neighbours at constant distances.
    epsilon : float, default=0.01
        Singular values well below this part of the largest are taken for noise.
    max_iter : int, default=1000
        Most iterations of the shape step.
    tol : float, default=1e-4
        Relative change of the shapes at which to stop.
    device : {"auto", "cpu", "cuda"} or torch.device, default="auto"
        Where to compute.
    random_state : int, RandomState instance or None, default=0
        Seed of what is withheld, for "auto" and to complete ``W``.

    Attributes
    ----------
    reconstruction_, shapes_, rotations_, translations_, scales_
        As in :class:`BMM`.
    mean_shape_, basis_, codes_, n_bases_, n_bases_trials_
        As in :class:`BMM`.
    loss_curve_, n_iter_, converged_, n_points_in_
        As in :class:`BMM`; the curve is of the weighted norm.

    See Also
    --------
    BMM : The method that it revises.

    Notes
    -----
    Missing keypoints, unseen frames, ambiguities and complexity as in :class:`BMM`, with K Gram
    matrices in place of one. Frames are taken to be in temporal order within ``groups``; without
    one, all solutions jerk alike and only their agreement counts.

    References
    ----------
    .. [1] S. Kumar, "Non-rigid structure from motion: prior-free factorization method revisited",
       WACV 2020. How triplets are combined is derived anew here.

    Examples
    --------
    >>> from nrsfm_learn import RevisitedBMM
    >>> from nrsfm_learn.datasets import make_low_rank
    >>> data = make_low_rank(n_frames=60, n_points=16, rank=2, random_state=0)
    >>> RevisitedBMM(n_bases=2).fit_transform(data.W).shape
    (60, 16, 3)
    """

    _parameter_constraints = {  # noqa: RUF012
        **BaseClassicalNRSfM._parameter_constraints,
        "epsilon": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        n_bases="auto",
        *,
        epsilon=0.01,
        max_iter=1000,
        tol=1e-4,
        device="auto",
        random_state=0,
    ):
        self.n_bases = n_bases
        self.epsilon = epsilon
        self.max_iter = max_iter
        self.tol = tol
        self.device = device
        self.random_state = random_state

    def _nrsfm_tags(self):
        return NRSfMTags(stochastic=False, temporal=True)

    def _solve(self, tracks, completed, n_bases, generator):
        return solve_revisited_bmm(
            tracks,
            completed,
            n_bases,
            epsilon=self.epsilon,
            max_iter=self.max_iter,
            tol=self.tol,
        )

    def _attempt(self, tracks, completed, n_bases, generator):
        solution = solve_revisited_bmm(tracks, completed, n_bases, epsilon=self.epsilon, **TRIAL)
        return cut_to_rank(tracks, solution, n_bases), solution.shapes
