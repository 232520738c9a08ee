"""Procrustean regression: shapes that are simple once they are aligned."""

import math
from numbers import Real

import torch
from sklearn.utils._param_validation import Interval, StrOptions

from .._deadline import time_is_up
from ..geometry import aligned_nuclear_norm, generalized_procrustes, procrustes_aligned
from ._base import BaseClassicalNRSfM, Solution
from ._first_shapes import first_shapes, meet_keypoints

# The determinant's threshold comes down to its value in these steps: at once it would keep what
# the start has wrong.
_ANNEALING = (3.0, 1.0)
_HISTORY = 20
# Components of the shapes for unseen frames, by nature without a number of bases.
_N_COMPONENTS = 12


def solve_procrustean_regression(
    tracks, shapes, *, regularizer="log_det", epsilon=0.003, regularization=None,
    max_iter=500, tol=1e-5,
):  # fmt: skip
    r"""Minimise the alignment-regularised cost over depths and hidden keypoints.

    Parameters
    ----------
    tracks : Tracks
        Keypoints.
    shapes : Tensor of shape (n_frames, n_points, 3)
        Start, in the camera frame.
    regularizer, epsilon, regularization
        As of :class:`ProcrusteanRegression`.
    max_iter : int, default=500
        Most steps of L-BFGS, in all.
    tol : float, default=1e-5
        Relative fall of the cost over ten steps at which to stop.

    Returns
    -------
    Solution
    """
    X = meet_keypoints(tracks, shapes)
    size = X.square().sum()
    stages = [epsilon * part for part in _ANNEALING] if regularizer == "log_det" else [None]
    n_iter, curve, converged = 0, [], False
    for number, threshold in enumerate(stages):
        left = max_iter - n_iter
        budget = left if number == len(stages) - 1 else left // 2

        def regularity(X, threshold=threshold):
            if threshold is None:
                return aligned_nuclear_norm(X)
            return _log_det(procrustes_aligned(X), threshold**2 * size)

        X, curve, converged = _descend(tracks, X, regularity, regularization, budget, tol)
        n_iter += len(curve)
    aligned = generalized_procrustes(X, max_iter=1000, tol=1e-12)
    rotations = aligned.rotations.mT
    offsets = tracks.offsets(X[..., :2])
    scales = torch.ones_like(offsets[:, 0])
    return Solution(X @ rotations, rotations, scales, offsets, curve, n_iter, converged)


def _log_det(aligned, floor):
    A = aligned.flatten(1)
    gram = A @ A.T if len(A) <= A.shape[1] else A.T @ A
    eye = torch.eye(len(gram), dtype=A.dtype, device=A.device)
    return torch.logdet(eye + gram / floor)


@torch.enable_grad()
def _descend(tracks, X, regularity, regularization, max_iter, tol):
    """Minimise by L-BFGS; return shapes, costs and whether the tolerance was met."""
    seen = tracks.seen
    plane, depth = X[..., :2].detach(), X[..., 2].detach()
    free = torch.ones_like(seen) if regularization is not None else ~seen
    moving = plane[free].clone()
    unknowns = torch.cat([depth.flatten(), moving.flatten()]).requires_grad_()

    def assemble(vector):
        z = vector[: depth.numel()].reshape(depth.shape)
        xy = plane.clone()
        xy[free] = vector[depth.numel() :].reshape(-1, 2)
        return torch.cat([xy, z[..., None]], dim=2)

    def cost_of(vector):
        X = assemble(vector)
        cost = regularity(X)
        if regularization is not None:
            left = tracks.points - X[..., :2] - tracks.offsets(X[..., :2])[:, None]
            fit = 0.5 * (tracks.weights[..., None] * left.square()).sum()
            cost = fit + regularization * cost
        return cost

    optimizer = torch.optim.LBFGS(
        [unknowns], max_iter=1, history_size=_HISTORY, line_search_fn="strong_wolfe",
        tolerance_grad=0.0, tolerance_change=0.0,
    )  # fmt: skip

    def closure():
        optimizer.zero_grad()
        cost = cost_of(unknowns)
        cost.backward()
        return cost

    curve, converged = [], False
    while len(curve) < max_iter and not (converged or (curve and time_is_up())):
        cost = float(optimizer.step(closure).detach())
        if not math.isfinite(cost):
            break
        curve.append(cost)
        if len(curve) > 10:
            converged = curve[-11] - cost <= tol * abs(curve[-11])
    X = assemble(unknowns.detach())
    return X - X.mean(1, keepdim=True), curve, converged


class ProcrusteanRegression(BaseClassicalNRSfM):
    r"""Procrustean regression (PR): shapes that are simple once they are aligned.

    .. math::

        \min_X \frac12 \sum_{f,p} m_{fp} \| \Pi x_{fp} + t_f - w_{fp} \|^2
        + \lambda\, g(\tilde X), \qquad \tilde X_f = R_f X_f T

    where the rotations solve generalised Procrustes analysis for the present shapes, so that no
    camera is estimated apart from them: gradients flow through the alignment. The regulariser g is
    the nuclear norm of the stack :math:`\tilde X` of aligned shapes, or

    .. math:: g(\tilde X) = \log \det \Bigl( I + \frac{\tilde X \tilde X^\top}
              {\epsilon^2 \| X \|_F^2} \Bigr)

    which spares the large singular values; :math:`\| X \|_F` is that of the start. L-BFGS
    minimises.

    Parameters
    ----------
    regularizer : {"log_det", "nuclear_norm"}, default="log_det"
        g.
    epsilon : float, default=0.003
        Of the determinant: singular values well below this part of the norm are taken for noise.
    regularization : float, default=None
        :math:`\lambda`. With None the visible keypoints are met exactly, and depths and hidden
        keypoints are the unknowns.
    init : {"nuclear_norm", "rigid"}, default="nuclear_norm"
        Where to begin: shapes of least nuclear norm with the rotations of :class:`BMM`, or a rigid
        shape.
    max_iter : int, default=500
        Most steps.
    tol : float, default=1e-5
        Relative fall of the cost over ten steps at which to stop.
    device : {"auto", "cpu", "cuda"} or torch.device, default="auto"
        Where to compute.
    random_state : int, RandomState instance or None, default=0
        Seed of what is withheld to complete ``W`` for the start.

    Attributes
    ----------
    reconstruction_ : ndarray of shape (n_frames, n_points, 3)
        Camera-frame points of the fitted frames, in units of ``W``.
    shapes_, rotations_, translations_, scales_ : ndarray
        Aligned shape, rotation, translation and scale (1) of each frame.
    mean_shape_, basis_ : ndarray
        Mean and principal components of the aligned shapes, a standard deviation each, in units of
        ``W``: what unseen frames are lifted with.
    codes_ : ndarray of shape (n_frames, n_components)
        Coefficients of the fitted shapes, in standard deviations.
    loss_curve_ : ndarray of shape (n_iter,)
        Cost, in squares of the size of ``W``; of the last stage where the determinant's threshold
        comes down.
    n_iter_, converged_ : int, bool
        Steps; whether ``tol`` was met.
    noise_, candidate_shapes_, frame_keys_ : float, ndarray, ndarray
        What unseen frames are lifted with beside the basis, and fitted ones known by.
    n_points_in_ : int
        Number of points.

    See Also
    --------
    nrsfm_learn.geometry.procrustean_cost : The cost, for networks of your own.
    BMM : The start.

    Notes
    -----
    No number of bases, and no order of the frames. Missing keypoints are native. The cost has many
    minima: from a rigid start, bodies that bend mostly end in a wrong one. A step takes
    :math:`O(F P^2)` where there are more frames than points, linear in frames.

    References
    ----------
    .. [1] S. Park, M. Lee, N. Kwak, "Procrustean regression: a flexible alignment-based framework
       for nonrigid structure estimation", IEEE TIP 27(1), 2018.
    .. [2] S. Park, M. Lee, N. Kwak, "Procrustean regression networks: learning 3D structure of
       non-rigid objects from 2D annotations", ECCV 2020, supplement, eq. 1 to 21.

    Examples
    --------
    >>> from nrsfm_learn import ProcrusteanRegression
    >>> from nrsfm_learn.datasets import make_low_rank
    >>> data = make_low_rank(n_frames=60, n_points=16, rank=2, random_state=0)
    >>> ProcrusteanRegression(tol=1e-3).fit_transform(data.W).shape
    (60, 16, 3)
    """

    _parameter_constraints = {  # noqa: RUF012
        **BaseClassicalNRSfM._parameter_constraints,
        "regularizer": [StrOptions({"log_det", "nuclear_norm"})],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "regularization": [Interval(Real, 0, None, closed="neither"), None],
        "init": [StrOptions({"nuclear_norm", "rigid"})],
    }
    del _parameter_constraints["n_bases"]

    def __init__(
        self,
        *,
        regularizer="log_det",
        epsilon=0.003,
        regularization=None,
        init="nuclear_norm",
        max_iter=500,
        tol=1e-5,
        device="auto",
        random_state=0,
    ):
        self.regularizer = regularizer
        self.epsilon = epsilon
        self.regularization = regularization
        self.init = init
        self.max_iter = max_iter
        self.tol = tol
        self.device = device
        self.random_state = random_state

    def _n_components(self):
        return _N_COMPONENTS

    def _start(self, tracks, completed, generator):
        shapes, rotations = first_shapes(tracks, completed, self.init, generator)
        return shapes @ rotations.mT

    def _solve(self, tracks, start, n_bases, generator):
        return solve_procrustean_regression(
            tracks,
            start,
            regularizer=self.regularizer,
            epsilon=self.epsilon,
            regularization=self.regularization,
            max_iter=self.max_iter,
            tol=self.tol,
        )
