"""Consensus of non-rigid reconstructions: many weak ones of few points, and one of all."""

from numbers import Integral

import torch
from joblib import Parallel, delayed
from sklearn.utils._param_validation import Interval

from ..base import NRSfMTags
from ..geometry import generalized_procrustes
from ._base import BaseClassicalNRSfM, Solution
from ._consensus_solver import consensus, draw_groups, weak_reconstruction
from ._first_shapes import meet_keypoints
from ._metric_upgrade import largest_n_bases

# Groups with which a number of bases is tried, a point in so many of them on average.
_TRIAL_COVER = 4
# Components of the shapes for unseen frames; the bases are those of the groups.
_N_COMPONENTS = 12


def solve_consensus(
    tracks, completed, groups, n_bases, *, cut=False, max_iter=50, tol=1e-4, n_jobs=None
):
    """Reconstruct groups of points one by one, and all points by what the groups agree on.

    Parameters
    ----------
    tracks : Tracks
        Keypoints.
    completed : Tensor of shape (n_frames, n_points, 2)
        The same, completed and centred; see :func:`complete_tracks`.
    groups : Tensor of int of shape (n_groups, group_size)
        Points of each group.
    n_bases : int
        K of the weak reconstructions.
    cut : bool, default=False
        As of :func:`weak_reconstruction`. Else visible keypoints are met.
    max_iter, tol : int, float
        Of the consensus.
    n_jobs : int, optional
        Processes.

    Returns
    -------
    Solution

    References
    ----------
    .. [1] M. Lee, J. Cho, S. Oh, "Consensus of non-rigid reconstructions", CVPR 2016.
    """
    clips = [slice(None)]
    parts = Parallel(n_jobs=n_jobs)(
        delayed(weak_reconstruction)(
            tracks._replace(
                points=tracks.points[:, group], weights=tracks.weights[:, group], clips=clips
            ),
            completed[:, group] - completed[:, group].mean(1, keepdim=True),
            n_bases,
            cut=cut,
        )
        for group in groups
    )
    X, curve, converged = consensus(
        torch.stack(parts), groups, completed.shape[1], max_iter=max_iter, tol=tol
    )
    if not cut:
        X = meet_keypoints(tracks, X)
    rotations = generalized_procrustes(X, max_iter=1000, tol=1e-12).rotations.mT
    offsets = tracks.offsets(X[..., :2])
    scales = torch.ones_like(offsets[:, 0])
    return Solution(X @ rotations, rotations, scales, offsets, curve, len(curve), converged)


class ConsensusNRSfM(BaseClassicalNRSfM):
    r"""Consensus of non-rigid reconstructions (CNS): many weak ones of few points, and one of all.

    .. math::

        \min_{X, s, b} \sum_{f,g} \bigl\| \operatorname{diag}(1, 1, s_{fg})\, Y_{fg} + b_{fg}
        - X_{f, G_g} \bigr\|_F, \qquad s_{fg} \in \{-1, 1\}

    Random groups :math:`G_g` of points are reconstructed by themselves, each with cameras of its
    own: :math:`Y_{fg}` in the camera frame. What they say of the points that they share settles
    which of them are mirrored, in which frame, and where they lie; the norm is not squared, so that
    groups which are wrong hardly count.

    Parameters
    ----------
    n_bases : int or "auto", default="auto"
        K of the groups: their cameras come from a factorisation of rank 3 K, which must be less
        than the number of a group's points. "auto": the number that best predicts withheld
        keypoints and keeps neighbours at constant distances.
    group_size : int, default=12
        Points of a group; all points, if there are not so many.
    n_groups : int, default=50
        Groups; more if each point would be in fewer than four.
    max_iter : int, default=100
        Most rounds of the consensus.
    tol : float, default=1e-4
        Relative change of the shapes at which to stop.
    n_jobs : int, default=None
        Processes that reconstruct groups, as of joblib; None is one, unless
        ``joblib.parallel_config`` says otherwise.
    device : {"auto", "cpu", "cuda"} or torch.device, default="auto"
        Where to compute.
    random_state : int, RandomState instance or None, default=0
        Seed of the groups, and of what is withheld for "auto" and to complete ``W``.

    Attributes
    ----------
    reconstruction_ : ndarray of shape (n_frames, n_points, 3)
        Camera-frame points of the fitted frames, in units of ``W``; visible keypoints are met
        exactly.
    shapes_, rotations_, translations_, scales_ : ndarray
        Aligned shape, rotation, translation and scale (1) of each frame.
    mean_shape_, basis_ : ndarray
        Mean and principal components of the aligned shapes, a standard deviation each, in units of
        ``W``: what unseen frames are lifted with.
    codes_ : ndarray of shape (n_frames, n_components)
        Coefficients of the fitted shapes, in standard deviations.
    n_bases_ : int
        Number of bases.
    n_bases_trials_ : ndarray of shape (n_trials, 3)
        Number of bases, error of withheld keypoints over that of the centroid, and variation of
        neighbour distances of each trial; empty if the number was given.
    loss_curve_ : ndarray of shape (n_iter,)
        How far the groups are from the consensus, on average, over the size of ``W``.
    n_iter_, converged_ : int, bool
        Rounds of the consensus; whether ``tol`` was met.
    noise_, candidate_shapes_, frame_keys_ : float, ndarray, ndarray
        What unseen frames are lifted with beside the basis, and fitted ones known by.
    n_points_in_ : int
        Number of points.

    See Also
    --------
    BMM : The reconstruction of each group, for all points at once.

    Notes
    -----
    A keypoint that is missing is one more unknown of its groups' nuclear norms; for the rotations
    ``W`` is completed first. The order of frames is not used. Unseen frames are lifted by camera
    and coefficients of the learned basis. Scale is known up to one factor, depth up to its sign.
    With G groups of n points, the groups take :math:`O(G F n^2)` an iteration and the consensus
    :math:`O(F (G P^2 + P^3))` a round: linear in frames.

    References
    ----------
    .. [1] M. Lee, J. Cho, S. Oh, "Consensus of non-rigid reconstructions", CVPR 2016. The weak
       reconstructions are those of the block matrix method here, and signs and consensus are
       derived anew.

    Examples
    --------
    >>> from nrsfm_learn import ConsensusNRSfM
    >>> from nrsfm_learn.datasets import make_low_rank
    >>> data = make_low_rank(n_frames=60, n_points=16, rank=2, random_state=0)
    >>> ConsensusNRSfM(n_bases=2, n_groups=8).fit_transform(data.W).shape
    (60, 16, 3)
    """

    _parameter_constraints = {  # noqa: RUF012
        **BaseClassicalNRSfM._parameter_constraints,
        "group_size": [Interval(Integral, 4, None, closed="left")],
        "n_groups": [Interval(Integral, 1, None, closed="left")],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        n_bases="auto",
        *,
        group_size=12,
        n_groups=50,
        max_iter=100,
        tol=1e-4,
        n_jobs=None,
        device="auto",
        random_state=0,
    ):
        self.n_bases = n_bases
        self.group_size = group_size
        self.n_groups = n_groups
        self.max_iter = max_iter
        self.tol = tol
        self.n_jobs = n_jobs
        self.device = device
        self.random_state = random_state

    def _nrsfm_tags(self):
        return NRSfMTags(stochastic=True)

    def _size(self, tracks):
        return min(self.group_size, tracks.points.shape[1])

    def _largest(self, tracks):
        return largest_n_bases(len(tracks.points), self._size(tracks))

    def _candidates(self, tracks):
        return list(range(1, self._largest(tracks) + 1))

    def _n_components(self):
        return _N_COMPONENTS

    def _start(self, tracks, completed, generator):
        n_points, size = completed.shape[1], self._size(tracks)
        n_groups = max(self.n_groups, -(-_TRIAL_COVER * n_points // size))
        return completed, draw_groups(n_points, size, n_groups, generator)

    def _attempt(self, tracks, start, n_bases, generator):
        completed, groups = start
        few = -(-_TRIAL_COVER * completed.shape[1] // groups.shape[1])
        solution = self._run(tracks, completed, groups[:few], n_bases, cut=True)
        return solution.keypoints, solution.shapes

    def _solve(self, tracks, start, n_bases, generator):
        return self._run(tracks, *start, n_bases)

    def _run(self, tracks, completed, groups, n_bases, cut=False):
        return solve_consensus(
            tracks,
            completed,
            groups,
            n_bases,
            cut=cut,
            max_iter=self.max_iter,
            tol=self.tol,
            n_jobs=self.n_jobs,
        )
