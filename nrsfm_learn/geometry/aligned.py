"""Costs of aligned shapes, differentiated through the alignment: Procrustean regression."""

import torch
from torch.autograd.function import once_differentiable

from ._linalg3 import check_tail, check_visible, visible_mean, zero_hidden
from .orthonormal import nearest_rotation
from .rotations import axis_angle_to_matrix

# Alternations converge linearly, Newton's method only nearby: where the one hands over to the
# other, as a fraction of the mean shape.
_HANDOVER = 1e-2
# Pivots of Cholesky's factor from which on a system counts as well conditioned.
_PIVOT = 0.1


def _infinitesimal(Y):
    """Matrices K_f with K_f w = w x y, over all points: (..., F, 3P, 3)."""
    x, y, z = Y.unbind(-1)
    zero = torch.zeros_like(x)
    columns = (
        torch.stack((zero, -z, y), -1),
        torch.stack((z, zero, -x), -1),
        torch.stack((-y, x, zero), -1),
    )
    return torch.stack(columns, -1).flatten(-3, -2)


def _roots(D):
    """Square root of symmetric 3x3 matrices, and its pseudo-inverse."""
    values, vectors = torch.linalg.eigh(D)
    floor = 10 * torch.finfo(D.dtype).eps * values[..., -1:].clamp_min(0)
    kept = values > floor.clamp_min(torch.finfo(D.dtype).tiny)
    root = torch.where(kept, values, 1).sqrt()
    scaled = vectors * torch.where(kept, root, 0).unsqueeze(-2)
    inverse = vectors * torch.where(kept, 1 / root, 0).unsqueeze(-2)
    return scaled @ vectors.mT, inverse @ vectors.mT


def _torque(Y, G):
    """Sum of y x g over points, the derivative of the inner product with G by the rotations."""
    return torch.linalg.cross(Y, G).sum(-2)


class _RotationSystem:
    r"""Second derivatives of the alignment by the rotations, and solutions with them.

    With aligned shapes :math:`y_{fi}`, their sum s and :math:`K_f \omega = (\omega \times y_{fi})`,

    .. math::
        B = D - K^\top K, \qquad D_f = \mathrm{tr}(H_f) I - H_f, \quad H_f = \sum_i y_{fi} s_i^\top,

    is minus the Hessian of :math:`\tfrac12 |s|^2`. It is solved as
    :math:`D^{1/2} (I - Z^\top Z) D^{1/2}`, :math:`Z = K D^{-1/2}`, or by way of
    :math:`I - Z Z^\top` where there are more frames than points (Woodbury). Both have the
    eigenvalues of [0, 1], and zero for the common rotation, :math:`Z^\top Z N = N` with N the
    orthonormal columns of :math:`D^{1/2} (I, \dots, I)^\top`; adding :math:`N N^\top` moves these
    three to one and leaves the solution for right-hand sides without a common rotation as it is.
    """

    def __init__(self, Y):
        n_frames, n_points = Y.shape[-3:-1]
        K = _infinitesimal(Y)
        self.total = Y.sum(-3)
        H = Y.mT @ self.total.unsqueeze(-3)
        H = (H + H.mT) / 2
        trace = H.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
        D = trace * torch.eye(3, dtype=Y.dtype, device=Y.device) - H
        root, self.inverse_root = _roots(D)
        self.Z = (K @ self.inverse_root).transpose(-3, -2).flatten(-2)
        self.N = root.flatten(-3, -2) @ _roots(D.sum(-3))[1]
        self.by_points = n_frames > n_points
        if self.by_points:
            gram, gauge = self.Z @ self.Z.mT, self.Z @ self.N
        else:
            gram, gauge = self.Z.mT @ self.Z, self.N
        identity = torch.eye(gram.shape[-1], dtype=Y.dtype, device=Y.device)
        system = identity - gram + gauge @ gauge.mT
        # At a maximum it is positive and mostly far from singular: the factor costs a thirtieth of
        # the eigenvalues.
        self.factor, info = torch.linalg.cholesky_ex(system)
        pivots = self.factor.diagonal(dim1=-2, dim2=-1).amin(-1)
        if not ((info == 0) & (pivots > _PIVOT)).all():
            self.factor = None
            values, self.vectors = torch.linalg.eigh(system)
            # Off a maximum some are negative: the absolute value keeps Newton's step ascending.
            floor = max(1e-7, 100 * torch.finfo(Y.dtype).eps)
            self.inverse = values.abs() / (values.square() + floor**2)

    def solve(self, torque):
        """Rotation vectors w with B w = torque, shape (..., F, 3), up to a common one."""
        r = (self.inverse_root @ torque.unsqueeze(-1)).flatten(-3, -2)
        r = r - self.N @ (self.N.mT @ r)
        v = self.Z @ r if self.by_points else r
        if self.factor is not None:
            v = torch.cholesky_solve(v, self.factor)
        else:
            v = self.vectors @ (self.inverse.unsqueeze(-1) * (self.vectors.mT @ v))
        v = r + self.Z.mT @ v if self.by_points else v
        return (self.inverse_root @ v.unflatten(-2, (-1, 3))).squeeze(-1)


def _alternate(X, max_iter):
    """Rotations of centred shapes by turns with their mean, until it moves little, and turns."""
    mean, n_done, near = X[..., :1, :, :], 0, False
    while n_done < max_iter and not near:
        n_done += 1
        previous = mean
        R = nearest_rotation(mean.mT @ X)
        mean = (X @ R.mT).mean(-3, keepdim=True)
        moved = torch.linalg.matrix_norm(mean - previous)
        near = bool((moved <= _HANDOVER * torch.linalg.matrix_norm(mean)).all())
    return R, n_done


def _align(X, max_iter, tol):
    """Rotations of centred shapes at a maximum of the norm of their sum; the first is I."""
    eps = torch.finfo(X.dtype).eps
    R, n_done = _alternate(X, (max_iter + 1) // 2)
    system, step, previous = None, float("inf"), float("inf")
    for _ in range(max_iter - n_done):
        Y = X @ R.mT
        total = Y.sum(-3, keepdim=True)
        # The system dominates the cost; an old one serves as long as steps shrink fast.
        if system is None or step > 0.1 * previous:
            system = _RotationSystem(Y)
        omega = system.solve(_torque(Y, total.expand_as(Y)))
        turn = axis_angle_to_matrix(omega)
        power = (Y @ turn.mT).sum(-3).square().sum((-2, -1))
        better = power >= (1 - 100 * eps) * total.square().sum((-3, -2, -1))
        previous, step = step, float("inf")
        if better.all():
            step = float(omega.abs().max())
        else:
            system = None
            # An alternation never lowers it.
            turn = torch.where(better[..., None, None, None], turn, nearest_rotation(total.mT @ Y))
        R = turn @ R
        # Convergence ends in rounding, where steps no longer shrink.
        if step <= max(tol, 10 * eps) or previous <= min(step, _HANDOVER):
            break
    return R[..., :1, :, :].mT @ R


class _ProcrustesAligned(torch.autograd.Function):
    @staticmethod
    def forward(ctx, X, max_iter, tol):
        centred = X - X.mean(-2, keepdim=True)
        R = _align(centred, max_iter, tol)
        # Not the product with an identity that is only rounded.
        R[..., 0, :, :] = torch.eye(3, dtype=X.dtype, device=X.device)
        Y = centred @ R.mT
        ctx.save_for_backward(Y, R)
        return Y

    @staticmethod
    @once_differentiable
    def backward(ctx, G):
        # Stationarity, sum of y x s = 0 in every frame, gives B w = sum(dy x s + y x ds) for the
        # turns w that follow a change dy of the rotated shapes. This is the adjoint.
        Y, R = ctx.saved_tensors
        system = _RotationSystem(Y)
        torque = _torque(Y, G)
        # The first frame does not turn: w_f - w_1 in place of w_f.
        torque[..., 0, :] -= torque.sum(-2)
        w = system.solve(torque).unsqueeze(-2)
        along = torch.linalg.cross(w, Y).sum(-3, keepdim=True)
        G = G + torch.linalg.cross(system.total.unsqueeze(-3), w) + along
        G = G @ R
        return G - G.mean(-2, keepdim=True), None, None


def procrustes_aligned(X, *, max_iter=100, tol=1e-12):
    r"""Shapes after generalised Procrustes alignment, differentiable through the alignment.

    .. math::
        \tilde X_f = R_f (X_f - \bar x_f), \qquad
        R = \arg\min_R \sum_f \Big\| R_f (X_f - \bar x_f)
            - \tfrac{1}{F} \sum_g R_g (X_g - \bar x_g) \Big\|_F^2,

    over rotations, without scale and without reflections, with :math:`R_1 = I`. The derivative is
    that of the minimum, from the implicit function theorem [2]_: the memory of no alternation is
    kept, and one system of the smaller of 3F and 3P unknowns is solved for a gradient.

    Parameters
    ----------
    X : torch.Tensor, shape (..., n_frames, n_points, 3)
        Shapes, all points finite, anywhere and in any orientation.
    max_iter : int, default 100
        Most steps: alternations, at most half of them, then Newton's method over all rotations.
    tol : float, default 1e-12
        Stop when no frame turns by more, in radians; no smaller than ten times the dtype's
        resolution. The gradient is exact for converged rotations only.

    Returns
    -------
    torch.Tensor, shape (..., n_frames, n_points, 3)
        Aligned shapes, each centred.

    See Also
    --------
    aligned_nuclear_norm : Their rank, relaxed.
    generalized_procrustes : Mean and rotations, with weights; differentiable by its alternations.

    Notes
    -----
    A common rotation of all aligned shapes is free. Here the first shape keeps its orientation, in
    the value and in the derivative alike, so that costs which depend on it are differentiated
    rightly too. Costs which do not, such as norms of the stack, do not see the choice.

    The minimum is unique up to a common rotation unless a shape is collinear, or is the mirror
    image of the mean with two equal moments. There some rotation is returned, and the derivative,
    which is unbounded around, stops growing where an eigenvalue of the system, relative to its
    diagonal blocks, falls below 1e-7 (1.2e-5 in float32).

    Shapes that are already nearly aligned need fewer steps: the rotations of an earlier call may be
    applied to `X` first. Twice differentiable it is not.

    References
    ----------
    .. [1] S. Park, M. Lee, N. Kwak, "Procrustean regression: a flexible alignment-based framework
       for nonrigid structure estimation", IEEE TIP 27(1), 2018.
    .. [2] S. Park, M. Lee, N. Kwak, "Procrustean regression networks: learning 3D structure of
       non-rigid objects from 2D annotations", ECCV 2020, supplement, eq. 2 and 13 to 19. Eq. 14
       inverts a matrix of rank 3F - 3; a pseudo-inverse takes its place.

    Examples
    --------
    >>> import torch
    >>> from nrsfm_learn.geometry import procrustes_aligned, random_rotations
    >>> shape = torch.randn(8, 3, dtype=torch.float64)
    >>> X = shape @ random_rotations(5, dtype=torch.float64).mT
    >>> bool(procrustes_aligned(X).std(0).max() < 1e-12)
    True
    """
    check_tail("X", X, "n_frames", "n_points", 3)
    if X.shape[-3] == 0 or X.shape[-2] == 0:
        raise ValueError(
            f"X must hold at least one frame and one point, got shape {tuple(X.shape)}."
        )
    finite = X.isfinite().all(-1)
    if not finite.all():
        *_, frame, point = (~finite).nonzero()[0].tolist()
        raise ValueError(
            f"X must be finite, but frame {frame}, point {point} is not; alignment needs all "
            "points: estimate them, or leave them out of every frame."
        )
    if max_iter < 1:
        raise ValueError(f"max_iter must be at least 1, got {max_iter}.")
    return _ProcrustesAligned.apply(X, max_iter, tol)


def aligned_nuclear_norm(X, *, subtract_mean=False, max_iter=100, tol=1e-12):
    r"""Nuclear norm of the stack of aligned shapes.

    .. math::
        \| \tilde X \|_* = \sum_k \sigma_k, \qquad
        \partial \| \tilde X \|_* / \partial \tilde X = U V^\top, \qquad
        \tilde X = U \, \mathrm{diag}(\sigma) \, V^\top \in \mathbb{R}^{F \times 3P}.

    Parameters
    ----------
    X : torch.Tensor, shape (..., n_frames, n_points, 3)
        Shapes, all points finite.
    subtract_mean : bool, default False
        Whether the mean aligned shape is taken off first.
    max_iter, tol
        See :func:`procrustes_aligned`.

    Returns
    -------
    torch.Tensor, shape (...)
        In the units of `X`. It does not change when any shape is rotated or translated.

    See Also
    --------
    procrustean_cost : It and the reprojection error.

    Notes
    -----
    The decomposition is that of the smaller Gram matrix, in float64. Singular values below
    :math:`\sqrt{n \epsilon}` of the largest, n its size and :math:`\epsilon` 2.2e-16, are not
    resolved by it: they count as zero, and the subgradient is zero along them.

    References
    ----------
    .. [1] S. Park, M. Lee, N. Kwak, "Procrustean regression networks: learning 3D structure of
       non-rigid objects from 2D annotations", ECCV 2020.
    """
    aligned = procrustes_aligned(X, max_iter=max_iter, tol=tol)
    if subtract_mean:
        aligned = aligned - aligned.mean(-3, keepdim=True)
    A = aligned.flatten(-2)
    with torch.no_grad():
        scale = A.abs().amax((-2, -1), keepdim=True).clamp_min(torch.finfo(A.dtype).tiny)
        # A Gram matrix in float32 would hide singular values below 1e-3 of the largest.
        scaled = (A / scale).double()
        tall = A.shape[-2] > A.shape[-1]
        gram = scaled.mT @ scaled if tall else scaled @ scaled.mT
        values, vectors = torch.linalg.eigh(gram)
        floor = values.shape[-1] * torch.finfo(values.dtype).eps * values[..., -1:]
        kept = values > floor
        inverse = torch.where(kept, torch.where(kept, values, 1).rsqrt(), 0)
        whiten = (vectors * inverse.unsqueeze(-2)) @ vectors.mT
        UVt = scaled @ whiten if tall else whiten @ scaled
    # The norm is the inner product with its subgradient.
    return (UVt.to(A.dtype) * A).sum((-2, -1))


def procrustean_cost(X, W, weights=None, *, regularization=0.05, max_iter=100, tol=1e-12):
    r"""Cost of Procrustean regression: reprojection, and nuclear norm of the aligned shapes.

    .. math::
        J = \tfrac12 \sum_f \min_{t_f} \sum_i m_{fi} \, | \Pi x_{fi} + t_f - w_{fi} |^2
          + \lambda \, \| \tilde X \|_*, \qquad \Pi x = (x_1, x_2).

    Parameters
    ----------
    X : torch.Tensor, shape (..., n_frames, n_points, 3)
        Shapes in the camera's frame, all points finite.
    W : torch.Tensor, shape (..., n_frames, n_points, 2)
        Observations in the units of `X`, orthographic; rows of weight zero may be NaN.
    weights : torch.Tensor, shape (..., n_frames, n_points), optional
        Visibility (bool) or non-negative weights :math:`m_{fi}`; ones by default.
    regularization : float, default 0.05
        :math:`\lambda`, in the units of `X`.
    max_iter, tol
        See :func:`procrustes_aligned`.

    Returns
    -------
    torch.Tensor, shape (...)
        In squared units of `X`. Summed over frames, not averaged.

    See Also
    --------
    aligned_nuclear_norm : The second term.

    References
    ----------
    .. [1] S. Park, M. Lee, N. Kwak, "Procrustean regression networks: learning 3D structure of
       non-rigid objects from 2D annotations", ECCV 2020, supplement, eq. 1.
    """
    check_tail("X", X, "n_frames", "n_points", 3)
    check_tail("W", W, *X.shape[-3:-1], 2)
    check_visible(weights, X.shape[-2])
    residual = zero_hidden(X[..., :2] - W, weights)
    residual = residual - visible_mean(residual, weights)
    squares = residual.square()
    if weights is not None:
        squares = squares * weights.to(X.dtype).unsqueeze(-1)
    norm = aligned_nuclear_norm(X, max_iter=max_iter, tol=tol)
    return squares.sum((-3, -2, -1)) / 2 + regularization * norm
