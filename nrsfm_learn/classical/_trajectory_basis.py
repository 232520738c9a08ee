"""Trajectory basis: point trajectories as combinations of cosines."""

from numbers import Integral

import numpy as np
import torch
from sklearn.utils._param_validation import Interval

from ..base import NRSfMTags
from ..geometry import dct_basis, nearest_rotation
from ._base import BaseClassicalNRSfM, Solution
from ._metric_upgrade import constant_scale_upgrade, motion_factor

_RIDGE = 1e-10
# Frames of a clip.
_SHORTEST = 4
# Rounds between coefficients and the translation of frames with hidden points.
_ROUNDS, _TOLERANCE = 50, 1e-8


def solve_trajectory_basis(
    tracks, completed, n_bases, *, n_init=10, max_iter=200, tol=1e-10, generator=None
):
    r"""Recover trajectories in the space of the lowest cosines.

    The triplet of the rank-3K factor that belongs to the constant function gives the rotations.
    Then the trajectories are linear in what is observed:

    .. math::

        \min_{A, t} \sum_{f,p} m_{fp} \Bigl\| w_{fp} - t_f - R_f^{xy} \sum_{k=1}^K
        \theta_{fk}\, a_{kp} \Bigr\|^2

    Parameters
    ----------
    tracks : Tracks
        Keypoints. Clips are reconstructed one by one, and turned to agree on their mean shape.
    n_bases : int
        K; no clip uses more than it has frames.
    n_init : int, default=10
        Starts of the metric upgrade.
    max_iter, tol : int, float
        Of the metric upgrade.
    generator : torch.Generator
        Draws the starts.

    Returns
    -------
    Solution
    """
    n_frames, n_points, _ = completed.shape
    shapes = completed.new_empty(n_frames, n_points, 3)
    rotations = completed.new_empty(n_frames, 3, 3)
    offsets = torch.empty_like(completed[:, 0])
    residual, n_iter, converged, first = 0.0, 0, True, None
    for clip in tracks.clips:
        part = tracks._replace(
            points=tracks.points[clip],
            weights=tracks.weights[clip],
            centers=tracks.centers[clip],
            clips=[slice(None)],
        )
        points = completed[clip]
        K = min(n_bases, len(points), max(1, (2 * len(points) - 1) // 3))
        upgrade = constant_scale_upgrade(
            motion_factor(points, 3 * K), n_init, generator, max_iter=max_iter, tol=tol
        )
        S, offset = _trajectories(part, points, upgrade.rotations, K)
        R = upgrade.rotations
        if first is None:
            first = S.mean(0)
        else:
            R, S = _agree(R, S, first)
        shapes[clip], rotations[clip], offsets[clip] = S, R, offset
        residual += upgrade.residual * len(points)
        n_iter, converged = max(n_iter, upgrade.n_iter), converged and upgrade.converged
    scales = torch.ones_like(offsets[:, 0])
    return Solution(shapes, rotations, scales, offsets, [residual], n_iter, converged)


def _trajectories(tracks, completed, rotations, n_bases):
    """Return shapes and translations by linear least squares."""
    theta = dct_basis(len(completed), n_bases, dtype=completed.dtype, device=completed.device)
    L = torch.einsum("fci,fk->fcki", rotations[:, :2], theta).flatten(2)
    n_unknowns = L.shape[2]
    gram = torch.einsum("fcm,fcn->fmn", L, L).flatten(1)
    normal = (tracks.weights.T @ gram).reshape(-1, n_unknowns, n_unknowns)
    # The mean of all points: one that is hidden throughout has no curvature of its own.
    ridge = _RIDGE * normal.diagonal(dim1=1, dim2=2).mean()
    eye = torch.eye(n_unknowns, dtype=L.dtype, device=L.device)
    factor = torch.linalg.cholesky(normal + ridge * eye)
    # What the completion says of the centre of all points is where to begin.
    offsets = tracks.offsets(completed)
    for _ in range(_ROUNDS):
        target = tracks.weights[..., None] * (tracks.points - offsets[:, None])
        moments = torch.einsum("fcm,fpc->pm", L, target)
        A = torch.cholesky_solve(moments[..., None], factor).reshape(-1, n_bases, 3)
        shapes = torch.einsum("fk,pki->fpi", theta, A)
        shapes = shapes - shapes.mean(1, keepdim=True)
        previous = offsets
        offsets = tracks.offsets((shapes @ rotations.mT)[..., :2])
        if tracks.complete or (offsets - previous).norm() <= _TOLERANCE * tracks.points.norm():
            break
    return shapes, offsets


def _agree(R, S, reference):
    """Turn the common frame of a clip, and mirror its depth if need be, to meet a mean shape."""
    mirror = torch.ones(3, dtype=S.dtype, device=S.device)
    mirror[2] = -1
    best = None
    for sign in (torch.ones_like(mirror), mirror):
        mean = (S * sign).mean(0)
        turn = nearest_rotation(reference.mT @ mean)
        error = (mean @ turn.mT - reference).norm()
        if best is None or error < best[0]:
            best = (error, (S * sign) @ turn.mT, (sign[:, None] * R * sign) @ turn.mT)
    return best[2], best[1]


def _check_clips(observations):
    """Refuse clips that say too little: each is reconstructed by itself."""
    if observations.groups is None:
        return
    way_out = "merge clips, or leave groups out if the frames are one sequence."
    for label in np.unique(observations.groups):
        visible = observations.visible[observations.groups == label]
        if len(visible) < _SHORTEST:
            raise ValueError(
                f"groups: clip {label} has {len(visible)} frames, but TrajectoryBasis "
                f"reconstructs each clip by itself and needs {_SHORTEST}: {way_out}"
            )
        if not visible.any(0).all():
            raise ValueError(
                f"groups: clip {label} never shows point {int((~visible.any(0)).argmax())}, and "
                f"TrajectoryBasis reconstructs each clip by itself: drop the point, {way_out}"
            )


class TrajectoryBasis(BaseClassicalNRSfM):
    r"""Trajectory space (PTA): each point's path is a combination of a few cosines.

    .. math::

        \min_{A, t} \sum_{f,p} m_{fp} \Bigl\| w_{fp} - t_f - R_f^{xy} \sum_{k=1}^K
        \theta_{fk}\, a_{kp} \Bigr\|^2, \qquad
        \theta_{fk} = \sigma_k \cos \frac{\pi (2f + 1)(k - 1)}{2F}

    The rotations come first, from a factorisation of rank 3K whose first triplet must be
    orthonormal in all frames alike. That problem is not convex: it is solved from several starts,
    of which the residual of orthonormality chooses. For smooth motion and a camera that goes
    around; nothing is learned that would lift other frames.

    Parameters
    ----------
    n_bases : int or "auto", default="auto"
        Cosines K. 3 K must be less than the number of points. "auto": the number that best predicts
        withheld keypoints and keeps neighbours at constant distances.
    n_init : int, default=10
        Starts of the metric upgrade, the first of which is the solution of a trace-norm problem.
    max_iter : int, default=200
        Most Gauss-Newton steps of the metric upgrade.
    tol : float, default=1e-10
        Relative fall of its residual at which a start has converged.
    device : {"auto", "cpu", "cuda"} or torch.device, default="auto"
        Where to compute.
    random_state : int, RandomState instance or None, default=0
        Seed of the starts and of what is withheld.

    Attributes
    ----------
    reconstruction_ : ndarray of shape (n_frames, n_points, 3)
        Camera-frame points of the fitted frames, in units of ``W``.
    shapes_, rotations_, translations_, scales_ : ndarray
        Shape in the common frame, rotation, translation and scale (1) of each frame.
    n_bases_ : int
        Cosines, at most: a short clip has fewer.
    n_bases_trials_ : ndarray of shape (n_trials, 3)
        Number of bases, error of withheld keypoints over that of the centroid, and variation of
        neighbour distances of each trial; empty if the number was given.
    loss_curve_ : ndarray of shape (1,)
        Residual of orthonormality.
    n_iter_, converged_ : int, bool
        Of the metric upgrade.
    n_points_in_ : int
        Number of points.

    See Also
    --------
    ColumnSpaceFitting : Smooth shape coefficients in place of smooth trajectories.

    Notes
    -----
    The order of frames matters, and is that within each clip of ``groups``; clips are reconstructed
    one by one. Missing keypoints are native to the trajectories; for the rotations ``W`` is first
    completed by a low rank and smoothness. ``transform`` of other frames is refused: a trajectory
    says nothing of frames outside of it. Time is
    :math:`O(F P^2 + F P K^2 + P K^3 + F K^4 + K^6)`, and :math:`O(n_{init} (F K^2 + K^3))` for each
    step of the metric upgrade.

    References
    ----------
    .. [1] I. Akhter, Y. Sheikh, S. Khan, T. Kanade, "Trajectory space: a dual representation for
       nonrigid structure from motion", IEEE TPAMI 33(7), 2011.

    Examples
    --------
    >>> from nrsfm_learn import TrajectoryBasis
    >>> from nrsfm_learn.datasets import make_low_rank
    >>> data = make_low_rank(n_frames=60, n_points=16, rank=2, random_state=0)
    >>> TrajectoryBasis(n_bases=3).fit_transform(data.W).shape
    (60, 16, 3)
    """

    _parameter_constraints = {  # noqa: RUF012
        **BaseClassicalNRSfM._parameter_constraints,
        "n_init": [Interval(Integral, 1, None, closed="left")],
    }

    _why_transductive = " (a trajectory says nothing of frames that are not on it)"

    def __init__(
        self, n_bases="auto", *, n_init=10, max_iter=200, tol=1e-10, device="auto", random_state=0
    ):
        self.n_bases = n_bases
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.device = device
        self.random_state = random_state

    def _nrsfm_tags(self):
        return NRSfMTags(stochastic=False, temporal=True, inductive=False)

    def _fit(self, observations):
        _check_clips(observations)
        return super()._fit(observations)

    def _solve(self, tracks, completed, n_bases, generator):
        return solve_trajectory_basis(
            tracks,
            completed,
            n_bases,
            n_init=self.n_init,
            max_iter=self.max_iter,
            tol=self.tol,
            generator=generator,
        )
