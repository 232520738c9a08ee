"""Block matrix method: the prior-free factorisation."""

import torch
from sklearn.utils._param_validation import StrOptions

from ._base import BaseClassicalNRSfM, Solution
from ._metric_upgrade import free_scale_upgrade, motion_factor, synchronize_signs
from ._nuclear_norm import nuclear_norm_shapes, pseudo_inverse_shapes

# Settings with which a number of bases is tried.
TRIAL = {"max_iter": 300, "tol": 1e-3}


def solve_bmm(tracks, completed, n_bases, *, shape_step="nuclear_norm", max_iter=1000, tol=1e-4):
    r"""Recover rotations from a Gram matrix, then shapes of lowest rank.

    Parameters
    ----------
    tracks : Tracks
        Keypoints.
    completed : Tensor of shape (n_frames, n_points, 2)
        The same, completed and centred; see :func:`complete_tracks`.
    n_bases : int
        K: the factorisation has rank 3K.
    shape_step : {"nuclear_norm", "pseudo_inverse"}, default="nuclear_norm"
        Second step.
    max_iter, tol : int, float
        Of the second step.

    Returns
    -------
    Solution

    References
    ----------
    .. [1] Y. Dai, H. Li, M. He, "A simple prior-free method for non-rigid structure-from-motion
       factorization", IJCV 107(2), 2014.
    """
    upgrade = free_scale_upgrade(motion_factor(completed, 3 * n_bases))
    R = synchronize_signs(completed, upgrade.rotations, upgrade.scales)
    if shape_step == "pseudo_inverse":
        step = pseudo_inverse_shapes(tracks, completed, R)
    else:
        step = nuclear_norm_shapes(tracks, R, max_iter=max_iter, tol=tol)
    scales = torch.ones_like(upgrade.scales)
    return Solution(
        step.shapes, R, scales, step.offsets, step.objective, step.n_iter, step.converged
    )


def cut_to_rank(tracks, solution, n_bases):
    """Return the keypoints (n_frames, n_points, 2) of shapes cut down to a rank."""
    flat = solution.shapes.flatten(1)
    basis = torch.linalg.eigh(flat.T @ flat)[1][:, -n_bases:]
    shapes = (flat @ basis @ basis.T).reshape(solution.shapes.shape)
    projected = (shapes @ solution.rotations.mT)[..., :2]
    return projected + tracks.offsets(projected)[:, None]


class BMM(BaseClassicalNRSfM):
    r"""Block matrix method: prior-free factorisation by trace norm and nuclear norm.

    Rotations come from the Gram matrix :math:`Q = G G^\top` of one triplet of the rank-3K factor
    :math:`\hat M` of ``W``: the one of least trace that makes the two rows of every frame
    orthogonal and of one length, refined to rank 3. The shapes are those of least rank that project
    onto ``W``:

    .. math::

        \min_S \| S^\sharp \|_* \quad\text{s.t.}\quad W_f = R_f^{xy} S_f

    with the shapes in the rows of :math:`S^\sharp`. No basis is assumed of either.

    Parameters
    ----------
    n_bases : int or "auto", default="auto"
        K; used for the rotations only. 3 K must be less than the number of points. "auto": the
        number that best predicts withheld keypoints and keeps neighbours at constant distances.
    shape_step : {"nuclear_norm", "pseudo_inverse"}, default="nuclear_norm"
        The nuclear norm, which also tries the numbers of bases for "auto", or the closed form of
        least Frobenius norm, which has no iterations and whose shapes have no depth in
        their own camera.
    max_iter : int, default=1000
        Most iterations of the nuclear norm.
    tol : float, default=1e-4
        Relative change of the shapes at which to stop.
    device : {"auto", "cpu", "cuda"} or torch.device, default="auto"
        Where to compute.
    random_state : int, RandomState instance or None, default=0
        Seed of what is withheld, for "auto" and to complete ``W``.

    Attributes
    ----------
    reconstruction_ : ndarray of shape (n_frames, n_points, 3)
        Camera-frame points of the fitted frames, in units of ``W``; visible keypoints are met
        exactly.
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
    loss_curve_ : ndarray of shape (n_iter,)
        Nuclear norm over the largest singular value.
    n_iter_, converged_ : int, bool
        Iterations of the shape step; whether it met ``tol``.
    noise_, candidate_shapes_, frame_keys_ : float, ndarray, ndarray
        What unseen frames are lifted with beside the basis, and fitted ones known by.
    n_points_in_ : int
        Number of points.

    See Also
    --------
    RevisitedBMM : Rotations from several triplets, and a norm that spares the large values.

    Notes
    -----
    A keypoint that is missing is one more unknown of the nuclear norm; for the rotations ``W`` is
    completed first. Unseen frames are lifted by camera and coefficients of the learned basis. Scale
    is known up to one factor, depth up to its sign. Time is :math:`O(F (3P)^2)` an iteration,
    linear in frames, and :math:`O(F K^4 + K^6)` for the Gram matrix.

    References
    ----------
    .. [1] Y. Dai, H. Li, M. He, "A simple prior-free method for non-rigid structure-from-motion
       factorization", IJCV 107(2), 2014.

    Examples
    --------
    >>> from nrsfm_learn import BMM
    >>> from nrsfm_learn.datasets import make_low_rank
    >>> data = make_low_rank(n_frames=60, n_points=16, rank=2, random_state=0)
    >>> BMM(n_bases=2).fit_transform(data.W).shape
    (60, 16, 3)
    """

    _parameter_constraints = {  # noqa: RUF012
        **BaseClassicalNRSfM._parameter_constraints,
        "shape_step": [StrOptions({"nuclear_norm", "pseudo_inverse"})],
    }

    def __init__(
        self,
        n_bases="auto",
        *,
        shape_step="nuclear_norm",
        max_iter=1000,
        tol=1e-4,
        device="auto",
        random_state=0,
    ):
        self.n_bases = n_bases
        self.shape_step = shape_step
        self.max_iter = max_iter
        self.tol = tol
        self.device = device
        self.random_state = random_state

    def _solve(self, tracks, completed, n_bases, generator):
        return solve_bmm(
            tracks,
            completed,
            n_bases,
            shape_step=self.shape_step,
            max_iter=self.max_iter,
            tol=self.tol,
        )

    def _attempt(self, tracks, completed, n_bases, generator):
        # Shapes of any rank meet smooth keypoints, hidden ones too; those of rank K do not, least
        # of all with wrong rotations.
        solution = solve_bmm(tracks, completed, n_bases, **TRIAL)
        return cut_to_rank(tracks, solution, n_bases), solution.shapes
