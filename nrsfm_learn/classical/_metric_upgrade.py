"""From the low-rank factor of the measurement matrix to rotations."""

import math
from typing import NamedTuple

import torch

from ..geometry import complete_rotation, nearest_orthonormal_3x2
from ._levenberg_marquardt import levenberg_marquardt
from ._tracks import stacked

# The trace-norm problem: weight of the trace against that of the constraints, penalty, steps.
_TRACE_WEIGHT, _CONSTRAINT_WEIGHT, _PENALTY = 0.01, 1e3, 1.0
_GRAM_ITERATIONS, _GRAM_TOLERANCE = 500, 1e-8
# Squared violation of orthonormality of a frame that is none. Exact data have solutions about which
# the residual is flat, and are approached slowly.
_SOLVED = 1e-22
# Singular values below this part of the largest are rounding.
_ROUNDING = 1e-9
# Most of the rank of :func:`high_rank_rotations`, over 3: the Gram matrix has (3K)^2 entries.
_MOST_BASES = 12


class MetricUpgrade(NamedTuple):
    """Result of :func:`constant_scale_upgrade` and :func:`free_scale_upgrade`.

    Attributes
    ----------
    triplet : Tensor of shape (rank, 3)
        Takes the motion factor to scaled rotations.
    rotations : Tensor of shape (n_frames, 3, 3)
        Act on column vectors; determinant +1.
    scales : Tensor of shape (n_frames,)
        Length of the rows in each frame, before it was divided away; of mean 1.
    residual : float
        Mean over the frames of the squared violation of orthonormality.
    n_iter : int
        Steps of the refinement.
    converged : bool
    """

    triplet: torch.Tensor
    rotations: torch.Tensor
    scales: torch.Tensor
    residual: float
    n_iter: int
    converged: bool


def motion_factor(points, rank):
    r"""Return the left factor of the measurement matrix.

    .. math:: W = U \Sigma V^\top, \qquad \hat M = U_r \Sigma_r^{1/2}

    Parameters
    ----------
    points : Tensor of shape (n_frames, n_points, 2)
        Complete keypoints, each frame centred on all of them.
    rank : int
        Columns, at most.

    Returns
    -------
    Tensor of shape (n_frames, 2, rank)
        Scaled so that its rows are of unit length on average. Singular values that are rounding
        have no columns: those satisfy any metric constraint, and mean nothing.
    """
    left, values, _ = torch.linalg.svd(stacked(points), full_matrices=False)
    rank = max(3, min(rank, int((values > _ROUNDING * values[0]).sum())))
    motion = left[:, :rank] * values[:rank].clamp_min(1e-12 * values[0]).sqrt()
    motion = motion / motion.norm() * math.sqrt(len(motion))
    return motion.reshape(len(points), 2, -1)


def gram_by_trace_norm(motion):
    r"""Solve the trace-norm problem of the Gram matrix of a triplet.

    .. math::

        \min_{Q \succeq 0} \operatorname{tr} Q \quad \text{s.t.} \quad
        \hat m_{f,1} Q \hat m_{f,1}^\top = \hat m_{f,2} Q \hat m_{f,2}^\top, \quad
        \hat m_{f,1} Q \hat m_{f,2}^\top = 0 \ \text{for all } f, \quad
        \tfrac{1}{2F} \sum_{f,i} \hat m_{f,i} Q \hat m_{f,i}^\top = 1

    by the alternating direction method, the constraints being weighted heavily rather than hard.
    The trace prefers a matrix of low rank among those of the solution space, whose dimension is
    2 K^2 - K.

    Parameters
    ----------
    motion : Tensor of shape (n_frames, 2, rank)
        Of :func:`motion_factor`.

    Returns
    -------
    Tensor of shape (rank, 3)
        Q's leading eigenvectors times the roots of its eigenvalues.

    References
    ----------
    .. [1] Y. Dai, H. Li, M. He, "A simple prior-free method for non-rigid structure-from-motion
       factorization", IJCV 107(2), 2014, section 4.
    """
    n_frames, _, rank = motion.shape
    options = {"dtype": motion.dtype, "device": motion.device}
    i, j = torch.triu_indices(rank, rank, device=motion.device)
    # Symmetric matrices as vectors, such that lengths agree.
    factor = torch.full(i.shape, math.sqrt(2.0), **options)
    factor[i == j] = 1.0

    def form(x, y):
        return (x[:, i] * y[:, j] + x[:, j] * y[:, i]) * (factor / 2)

    def symmetric(vector):
        S = torch.zeros(rank, rank, **options)
        S[i, j] = S[j, i] = vector / factor
        return S

    x, y = motion[:, 0], motion[:, 1]
    xx, yy = form(x, x), form(y, y)
    A = torch.cat([xx - yy, 2 * form(x, y)])
    size = (xx + yy).mean(0) / 2
    H = _CONSTRAINT_WEIGHT * (A.T @ A / n_frames + torch.outer(size, size))
    H = H + _PENALTY * torch.eye(len(H), **options)
    H = torch.linalg.cholesky(H)
    Z = torch.zeros(rank, rank, **options)
    dual = torch.zeros_like(Z)
    for _ in range(_GRAM_ITERATIONS):
        target = _CONSTRAINT_WEIGHT * size + _PENALTY * (Z - dual)[i, j] * factor
        Q = symmetric(torch.cholesky_solve(target[:, None], H).squeeze(1))
        values, vectors = torch.linalg.eigh(Q + dual)
        previous = Z
        Z = (vectors * (values - _TRACE_WEIGHT / _PENALTY).clamp_min(0)) @ vectors.T
        dual = dual + Q - Z
        if (Z - previous).norm() <= _GRAM_TOLERANCE * Z.norm():
            break
    values, vectors = torch.linalg.eigh(Z)
    values, vectors = values.flip(0)[:3], vectors.flip(1)[:, :3]
    # Never quite flat: a vanished direction has no gradient to come back by.
    return vectors * values.clamp_min(1e-6 * values[0].clamp_min(1e-12)).sqrt()


def free_scale_upgrade(motion):
    r"""Find a triplet whose rows are orthogonal and of one length within each frame.

    .. math::

        \min_G \sum_f \Bigl( \frac{|i_f|^2 - |j_f|^2}{s_f} \Bigr)^2
        + \Bigl( \frac{2\, i_f^\top j_f}{s_f} \Bigr)^2, \qquad
        \begin{bmatrix} i_f^\top \\ j_f^\top \end{bmatrix} = \hat M_f G, \quad
        s_f = \tfrac12 (|i_f|^2 + |j_f|^2)

    by damped Gauss-Newton, from the solution of :func:`gram_by_trace_norm`. The length may differ
    from frame to frame: it is the coefficient of the first basis shape.

    Parameters
    ----------
    motion : Tensor of shape (n_frames, 2, rank)
        Of :func:`motion_factor`.

    Returns
    -------
    MetricUpgrade

    References
    ----------
    .. [1] Y. Dai, H. Li, M. He, "A simple prior-free method for non-rigid structure-from-motion
       factorization", IJCV 107(2), 2014, section 4.
    """
    fit = levenberg_marquardt(_ratio_residuals(motion), gram_by_trace_norm(motion).reshape(1, -1))
    return _upgraded(motion, fit, 0)


def constant_scale_upgrade(motion, n_init, generator, *, max_iter=200, tol=1e-10):
    r"""Find a triplet whose rows are orthonormal in every frame.

    .. math::

        \min_G \sum_f (|i_f|^2 - 1)^2 + (|j_f|^2 - 1)^2 + 2\, (i_f^\top j_f)^2

    by damped Gauss-Newton from several starts, of which the one of lowest residual is kept: the
    solution of the trace-norm problem, and random ones.

    Parameters
    ----------
    motion : Tensor of shape (n_frames, 2, rank)
        Of :func:`motion_factor`.
    n_init : int
        Starts.
    generator : torch.Generator
        Draws them.
    max_iter, tol : int, float
        As of :func:`levenberg_marquardt`.

    Returns
    -------
    MetricUpgrade

    References
    ----------
    .. [1] I. Akhter, Y. Sheikh, S. Khan, T. Kanade, "Trajectory space: a dual representation for
       nonrigid structure from motion", IEEE TPAMI 33(7), 2011, section 4.
    """
    rank = motion.shape[2]
    options = {"dtype": motion.dtype, "device": motion.device}
    starts = torch.randn(n_init, rank, 3, generator=generator, **options)
    # The factor's first columns matter most.
    starts = starts / torch.arange(1, rank + 1, **options).sqrt()[None, :, None]
    starts[0] = gram_by_trace_norm(motion)
    fit = levenberg_marquardt(
        _unit_residuals(motion),
        starts.reshape(n_init, -1),
        max_iter=max_iter,
        tol=tol,
        solved=_SOLVED * len(motion),
    )
    return _upgraded(motion, fit, int(fit.cost.argmin()))


def largest_n_bases(n_frames, n_points):
    """Return the largest K for which a factorisation of rank 3K says anything."""
    return max(1, min((n_points - 1) // 3, 2 * n_frames // 3))


def high_rank_rotations(points):
    """Return rotations from a factorisation of as high a rank as points and frames allow.

    Parameters
    ----------
    points : Tensor of shape (n_frames, n_points, 2)
        Complete keypoints, each frame centred on all of them.

    Returns
    -------
    Tensor of shape (n_frames, 3, 3)
        Rotations, on which the number of bases of what follows has no influence.
    """
    n_bases = min(_MOST_BASES, largest_n_bases(*points.shape[:2]))
    upgrade = free_scale_upgrade(motion_factor(points, 3 * n_bases))
    return synchronize_signs(points, upgrade.rotations, upgrade.scales)


def synchronize_signs(points, rotations, scales):
    r"""Choose the sign that the rows of each frame leave open.

    A triplet gives :math:`c_f R_f` where the coefficient :math:`c_f` may be negative. The wrong
    sign turns what a frame back-projects, :math:`R_f^{xy\top} W_f`, into its opposite, so that
    products of the right ones are positive: the signs are those of the leading eigenvector of the
    matrix of products. No order of the frames is needed.

    Parameters
    ----------
    points : Tensor of shape (n_frames, n_points, 2)
        Centred keypoints, complete.
    rotations : Tensor of shape (n_frames, 3, 3)
        Rotations, with any sign of the first two rows.
    scales : Tensor of shape (n_frames,)
        How much a frame's rotation is worth.

    Returns
    -------
    Tensor of shape (n_frames, 3, 3)
        Rotations.
    """
    back = ((points @ rotations[:, :2]) * scales[:, None, None]).flatten(1)
    if len(back) <= back.shape[1]:
        leading = torch.linalg.eigh(back @ back.T)[1][:, -1]
    else:
        leading = back @ torch.linalg.eigh(back.T @ back)[1][:, -1]
    sign = torch.where(leading < 0, -1.0, 1.0).to(points.dtype)
    sign = sign * torch.where(sign.sum() < 0, -1.0, 1.0)
    sign = torch.stack([sign, sign, torch.ones_like(sign)], dim=1)
    return rotations * sign[..., None]


def _upgraded(motion, fit, best):
    triplet = fit.solution[best].reshape(motion.shape[2], 3)
    rows = motion @ triplet
    rotations = complete_rotation(nearest_orthonormal_3x2(rows.mT)).mT
    scales = (rows.square().sum((1, 2)) / 2).sqrt()
    return MetricUpgrade(
        triplet,
        rotations,
        scales / scales.mean(),
        float(fit.cost[best]) / len(motion),
        fit.n_iter,
        bool(fit.converged[best]),
    )


def _unit_residuals(motion):
    rank = motion.shape[2]
    root = math.sqrt(2.0)
    x, y = motion[:, 0], motion[:, 1]

    def linearize(unknowns):
        G = unknowns.reshape(-1, rank, 3)
        u, v = x @ G, y @ G
        r = torch.cat([u.square().sum(2) - 1, v.square().sum(2) - 1, root * (u * v).sum(2)], dim=1)
        J = torch.cat(
            [2 * _outer(x, u), 2 * _outer(y, v), root * (_outer(x, v) + _outer(y, u))], dim=1
        )
        return r, J.flatten(2)

    return linearize


def _ratio_residuals(motion):
    rank = motion.shape[2]
    x, y = motion[:, 0], motion[:, 1]

    def linearize(unknowns):
        G = unknowns.reshape(-1, rank, 3)
        u, v = x @ G, y @ G
        a, b, c = u.square().sum(2), v.square().sum(2), 2 * (u * v).sum(2)
        s = ((a + b) / 2).clamp_min(1e-12)
        by_u, by_v = 2 * _outer(x, u), 2 * _outer(y, v)
        by_c = 2 * (_outer(x, v) + _outer(y, u))
        r = torch.cat([(a - b) / s, c / s], dim=1)
        by_s = (by_u + by_v) / 2
        inverse, ratio = (1 / s)[..., None, None], ((a - b) / s.square())[..., None, None]
        J = torch.cat(
            [
                (by_u - by_v) * inverse - ratio * by_s,
                by_c * inverse - (c / s.square())[..., None, None] * by_s,
            ],
            dim=1,
        )
        return r, J.flatten(2)

    return linearize


def _outer(rows, vectors):
    """Return (n_problems, n_frames, rank, 3): the derivative of vectors = rows @ G, contracted."""
    return rows[None, :, :, None] * vectors[:, :, None, :]
