"""Procrustes alignment of point sets, in pairs and in stacks."""

from typing import NamedTuple

import torch

from ._linalg3 import check_tail, check_visible, cofactor, determinant, visible_mean, zero_hidden
from .orthonormal import nearest_rotation


class ProcrustesFit(NamedTuple):
    """Result of :func:`procrustes`.

    Parameters
    ----------
    aligned : torch.Tensor, shape (..., n_points, 3)
        ``scale * X @ rotation.mT + translation``.
    rotation : torch.Tensor, shape (..., 3, 3)
        Acts on column vectors.
    scale : torch.Tensor, shape (...)
        One unless asked for.
    translation : torch.Tensor, shape (..., 3)
        In the units of `Y`.
    """

    aligned: torch.Tensor
    rotation: torch.Tensor
    scale: torch.Tensor
    translation: torch.Tensor


class GeneralizedProcrustesFit(NamedTuple):
    """Result of :func:`generalized_procrustes`.

    Parameters
    ----------
    aligned : torch.Tensor, shape (..., n_frames, n_points, 3)
        The shapes, each moved rigidly.
    mean : torch.Tensor, shape (..., n_points, 3)
        Their (weighted) mean.
    rotations : torch.Tensor, shape (..., n_frames, 3, 3)
        Act on column vectors.
    n_iter : int
        Alternations that were made.
    """

    aligned: torch.Tensor
    mean: torch.Tensor
    rotations: torch.Tensor
    n_iter: int


def procrustes(X, Y, *, weights=None, scale=False, reflection=False):
    r"""Align points to points by a rigid or similarity transformation.

    .. math::
        \min_{R, t, s} \sum_i m_i \, | s R x_i + t - y_i |^2.

    Parameters
    ----------
    X : torch.Tensor, shape (..., n_points, 3)
        Points to be moved.
    Y : torch.Tensor, shape (..., n_points, 3)
        Points to be met. Leading dimensions broadcast.
    weights : torch.Tensor, shape (..., n_points), optional
        Visibility (bool) or non-negative weights :math:`m_i`; ones by default. Rows of weight zero
        may be NaN.
    scale : bool, default False
        Whether s is fitted, one a set; else it is 1.
    reflection : bool, default False
        Whether `R` may have determinant -1.

    Returns
    -------
    ProcrustesFit
        Named tuple (aligned, rotation, scale, translation).

    See Also
    --------
    generalized_procrustes : Many point sets at once.
    nearest_rotation : Where the rotation is unique and differentiable.

    References
    ----------
    .. [1] S. Umeyama, "Least-squares estimation of transformation parameters between two point
       patterns", IEEE TPAMI 13(4), 1991.
    """
    check_tail("X", X, "n_points", 3)
    check_tail("Y", Y, X.shape[-2], 3)
    check_visible(weights, X.shape[-2])
    X0, Y0 = zero_hidden(X, weights), zero_hidden(Y, weights)
    x_mean, y_mean = visible_mean(X0, weights), visible_mean(Y0, weights)
    X0, Y0 = zero_hidden(X0 - x_mean, weights), zero_hidden(Y0 - y_mean, weights)
    mX0 = X0 if weights is None else X0 * weights.to(X.dtype).unsqueeze(-1)
    A = Y0.mT @ mX0
    if reflection:
        # The nearest orthogonal matrix of negative determinant is minus the rotation of -A.
        sign = torch.where(determinant(A, cofactor(A)) < 0, -1.0, 1.0).to(A.dtype)
        R = sign * nearest_rotation(sign * A)
    else:
        R = nearest_rotation(A)
    if scale:
        power = (mX0 * X0).sum((-2, -1))
        s = (R * A).sum((-2, -1)) / power.clamp_min(torch.finfo(X.dtype).tiny)
    else:
        s = torch.ones(A.shape[:-2], dtype=X.dtype, device=X.device)
    sR = s[..., None, None] * R
    t = y_mean - x_mean @ sR.mT
    return ProcrustesFit(X @ sR.mT + t, R, s, t.squeeze(-2))


def generalized_procrustes(X, *, max_iter=100, tol=1e-10, weights=None):
    r"""Align a stack of shapes to their common mean by rotations and translations.

    .. math::
        \min_{R_f, t_f, \bar X} \sum_f \sum_i m_{fi} \, | R_f x_{fi} + t_f - \bar x_i |^2,

    by turns over the mean and over the rotations, without scale and without reflections. The first
    shape fixes the free common rotation: it is the first mean.

    Parameters
    ----------
    X : torch.Tensor, shape (..., n_frames, n_points, 3)
        Shapes.
    max_iter : int, default 100
        Most alternations.
    tol : float, default 1e-10
        Stop once the mean moves by less than this fraction of its norm; no smaller than ten times
        the dtype's resolution.
    weights : torch.Tensor, shape (..., n_frames, n_points) or (n_points,), optional
        Visibility (bool) or non-negative weights; ones by default. Rows of weight zero may be NaN.

    Returns
    -------
    GeneralizedProcrustesFit
        Named tuple (aligned, mean, rotations, n_iter). The mean is centred.

    See Also
    --------
    procrustes : One shape to another.

    Notes
    -----
    Differentiable through the alternations, at the price of their memory. A batch stops together,
    and each alternation reads one number from the device. A point that no frame sees is meaningless
    in the mean.

    References
    ----------
    .. [1] J. C. Gower, "Generalized Procrustes analysis", Psychometrika 40(1), 1975.
    """
    check_tail("X", X, "n_frames", "n_points", 3)
    check_visible(weights, X.shape[-2])
    if X.shape[-3] == 0:
        raise ValueError("X must hold at least one frame, got none.")
    if max_iter < 1:
        raise ValueError(f"max_iter must be at least 1, got {max_iter}.")
    tol = max(tol, 10 * torch.finfo(X.dtype).eps)
    if weights is not None:
        weights = weights.expand(X.shape[:-1])
    # Points that the first shape lacks have no place in its frame until the first mean.
    used = None if weights is None else weights * weights[..., :1, :]
    transposed = None if weights is None else weights.mT
    shapes = zero_hidden(X, weights)
    mean = shapes[..., 0, :, :]
    n_iter, converged = 0, False
    while n_iter < max_iter and not converged:
        n_iter += 1
        previous = mean
        aligned = procrustes(shapes, mean.unsqueeze(-3), weights=used).aligned
        mean = visible_mean(aligned.transpose(-3, -2), transposed).squeeze(-2)
        mean = mean - mean.mean(-2, keepdim=True)
        used = weights
        moved = torch.linalg.matrix_norm(mean - previous)
        converged = bool((moved <= tol * torch.linalg.matrix_norm(mean)).all())
    fit = procrustes(X, mean.unsqueeze(-3), weights=weights)
    return GeneralizedProcrustesFit(fit.aligned, mean, fit.rotation, n_iter)
