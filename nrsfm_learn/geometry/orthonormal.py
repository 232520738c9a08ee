"""Nearest orthonormal 3x2 and 3x3 matrices by closed forms and products, without an SVD."""

import math

import torch

from ._linalg3 import (
    axial,
    check_tail,
    cofactor,
    determinant,
    dot,
    perpendicular,
    quaternion_form,
)
from .rotations import quaternion_to_matrix

# Smallest s_1 s_2 / (s_1^2 + s_2^2), s the singular values of a 3x2 matrix, down to which its
# derivative is exact. The true one grows as the inverse; here it stops growing.
_RANK_FLOOR_3X2 = 1e-3
# The same for det(tr(H) I - H) of a 3x3 matrix of unit norm, H its symmetric polar factor.
_RANK_FLOOR_3X3 = 1e-4


def _scale(A):
    """Largest entry of each matrix, and where it is too small for a derivative of order 1/scale."""
    scale = A.abs().amax((-2, -1), keepdim=True)
    info = torch.finfo(A.dtype)
    zero = scale < info.tiny / info.eps
    return torch.where(zero, torch.ones_like(scale), scale), zero


class _NearestOrthonormal3x2(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(A):
        scale, zero = _scale(A)
        identity = torch.eye(3, 2, dtype=A.dtype, device=A.device)
        x, y = torch.where(zero, identity, A / scale).unbind(-1)
        xx, yy = dot(x, x), dot(y, y)
        normal = torch.linalg.cross(x, y)
        # A square root of a sum: torch's vector norm costs ten times as much on small batches.
        area = dot(normal, normal).sqrt()
        longer = torch.where(xx >= yy, x, y)
        rank_two = area > 4 * torch.finfo(A.dtype).eps * (xx + yy)
        k = torch.where(rank_two, normal, perpendicular(longer))
        # Near rank one the normal is mostly rounding; at right angles to the longer column it still
        # gives orthonormal columns to the last digit.
        k = k - longer * (dot(k, longer) / torch.maximum(xx, yy))
        k = k / dot(k, k).sqrt()
        columns = torch.stack((x + torch.linalg.cross(y, k), y + torch.linalg.cross(k, x)), -1)
        return columns / (xx + yy + 2 * area).sqrt().unsqueeze(-1)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[0], output)

    @staticmethod
    def backward(ctx, grad):
        # A = Q H, H symmetric, gives dQ = Q J (q.dx - p.dy) / tr H + k k^T dA H^-1 with p, q the
        # columns of Q and J = [0 -1; 1 0]; this is the adjoint.
        A, Q = ctx.saved_tensors
        scale, zero = _scale(A)
        (x, y), (p, q), (gx, gy) = (A / scale).unbind(-1), Q.unbind(-1), grad.unbind(-1)
        k = torch.linalg.cross(p, q)
        pp, pq, qq = dot(p, x), dot(p, y), dot(q, y)
        floor = _RANK_FLOOR_3X2 * (dot(x, x) + dot(y, y))
        inverse_area = 1 / torch.maximum(pp * qq - pq * pq, floor + zero[..., 0])
        spin = (dot(p, gy) - dot(q, gx)) / (pp + qq + zero[..., 0])
        wx, wy = dot(k, gx), dot(k, gy)
        out = torch.stack(
            (
                k * ((wx * qq - wy * pq) * inverse_area) - q * spin,
                k * ((wy * pp - wx * pq) * inverse_area) + p * spin,
            ),
            -1,
        )
        return torch.where(zero, torch.zeros_like(out), out / scale)


def nearest_orthonormal_3x2(A):
    r"""Nearest matrix with orthonormal columns to each 3x2 matrix.

    .. math::
        Q = \arg\min_{Q^\top Q = I_2} \|A - Q\|_F = A (A^\top A)^{-1/2}.

    With :math:`x, y` the columns of :math:`A`, :math:`c = x \times y`, :math:`s = |c|` and
    :math:`k = c / s`,

    .. math::
        Q = \frac{1}{\sqrt{|x|^2 + |y|^2 + 2 s}} \, [\, x + y \times k, \;\; y + k \times x \,],

    which uses neither an SVD nor an inverse. :math:`[Q, k]` is the rotation of
    :func:`complete_rotation`, determinant +1.

    Parameters
    ----------
    A : torch.Tensor, shape (..., 3, 2)
        Any matrices, of any scale.

    Returns
    -------
    torch.Tensor, shape (..., 3, 2)
        Orthonormal columns, always, to the rounding of the dtype.

    See Also
    --------
    complete_rotation : The third column.
    nearest_rotation : The same for 3x3 matrices.

    Notes
    -----
    Values and derivatives do not depend on the units of :math:`A` (the derivative is divided by its
    scale). The derivative is exact while the smaller singular value is above a thousandth of the
    larger, equal singular values included. At rank one the nearest matrix is not unique and the map
    is not differentiable: one of the nearest is returned, and the derivative, which would grow as
    the inverse of the ratio of singular values, stops growing there, so that it is at most about
    :math:`10^3 / \|A\|`. A zero matrix gives the first two columns of the identity and derivative
    zero.

    References
    ----------
    .. [1] N. J. Higham, "Computing the polar decomposition, with applications", SIAM Journal on
       Scientific and Statistical Computing 7(4), 1986.
    """
    check_tail("A", A, 3, 2)
    return _NearestOrthonormal3x2.apply(A)


def complete_rotation(Q):
    r"""Rotation whose first two columns are given; the third is their cross product.

    .. math::
        R = [\, q_1, \; q_2, \; q_1 \times q_2 \,].

    Parameters
    ----------
    Q : torch.Tensor, shape (..., 3, 2)
        Orthonormal columns.

    Returns
    -------
    torch.Tensor, shape (..., 3, 3)
        Determinant +1. If `Q` acts on the right of points as rows (``W = S @ Q``), as cameras do in
        the literature on non-rigid structure from motion, then so does the result, and its
        transpose is the rotation that acts on column vectors.

    See Also
    --------
    nearest_orthonormal_3x2 : Orthonormal columns from any.
    """
    check_tail("Q", Q, 3, 2)
    third = torch.linalg.cross(Q[..., 0], Q[..., 1])
    return torch.cat((Q, third.unsqueeze(-1)), -1)


def _leading_quaternion(A):
    """Leading eigenvector of the quaternion form of 3x3 matrices of unit Frobenius norm."""
    eye = torch.eye(3, dtype=A.dtype, device=A.device)
    deviator = A @ A.mT - eye / 3
    radius = (deviator.square().sum((-2, -1)) / 6).sqrt()
    det = determinant(A, cofactor(A)).squeeze(-1)
    det_deviator = determinant(deviator, cofactor(deviator)).squeeze((-2, -1))
    cosine = det_deviator / (2 * radius**3).clamp_min(torch.finfo(A.dtype).tiny)
    # Squared singular values, by the trigonometric solution of the cubic; the smallest is second.
    turns = torch.arange(3, dtype=A.dtype, device=A.device) * (2 * math.pi / 3)
    angles = torch.acos(cosine.clamp(-1, 1)).unsqueeze(-1) / 3 + turns
    first, last, middle = (
        (1 / 3 + 2 * radius.unsqueeze(-1) * torch.cos(angles)).clamp_min(0).sqrt().split(1, -1)
    )
    # Inverse iteration: (shift - N)^-1 up to a factor, by Cayley-Hamilton, where N has the
    # characteristic polynomial x^4 - 2 x^2 - 8 det(A) x + ... The shift lies off the eigenvalue by
    # more than its error, so that eigenvalues which coincide with it keep their eigenvectors too.
    shift = (first + middle + torch.where(det < 0, -last, last) + 1e-6).unsqueeze(-1)
    N = quaternion_form(A)
    eye = torch.eye(4, dtype=A.dtype, device=A.device)
    power = N @ (N + shift * eye) + (shift**2 - 2) * eye
    power = N @ power + (shift**3 - 2 * shift - 8 * det.unsqueeze(-1)) * eye
    power = power / power.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
    for _ in range(4):
        power = power @ power
    # The columns are the eigenvector times its entries, or any vectors of its eigenspace.
    longest = power.diagonal(dim1=-2, dim2=-1).argmax(-1)[..., None, None]
    return power.gather(-1, longest.expand(*power.shape[:-1], 1)).squeeze(-1)


class _NearestRotation(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(A):
        scale, zero = _scale(A)
        # Double precision costs little on nine numbers and keeps close eigenvalues apart.
        B = (A / scale).double()
        B = torch.where(zero, torch.eye(3, dtype=B.dtype, device=B.device), B)
        B = B / B.square().sum((-2, -1), keepdim=True).sqrt()
        return quaternion_to_matrix(_leading_quaternion(B)).to(A.dtype)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[0], output)

    @staticmethod
    def backward(ctx, grad):
        # A = R H, H symmetric, gives dR = R [K^-1 axial(R^T dA)] with K = tr(H) I - H, whose
        # eigenvalues are the sums of two (signed) singular values; this is the adjoint.
        A, R = ctx.saved_tensors
        scale, zero = _scale(A)
        B = A / scale
        norm = (B.square().sum((-2, -1), keepdim=True) + zero).sqrt()
        H = R.mT @ (B / norm)
        H = (H + H.mT) / 2
        trace = H.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
        K = trace * torch.eye(3, dtype=A.dtype, device=A.device) - H
        C = cofactor(K)
        C = C / determinant(K, C).clamp_min(_RANK_FLOOR_3X3)
        moment = axial(R.mT @ grad)
        # R [v]x, whose rows are the cross products of the rows of R with v
        v = (C * moment.unsqueeze(-2)).sum(-1).unsqueeze(-2)
        out = torch.linalg.cross(R, v.expand_as(R), dim=-1)
        return torch.where(zero, torch.zeros_like(out), out / (norm * scale))


def nearest_rotation(A):
    r"""Nearest rotation to each 3x3 matrix.

    .. math::
        R = \arg\min_{R \in SO(3)} \|A - R\|_F
          = \arg\max_{R \in SO(3)} \mathrm{tr}(R^\top A)
          = U \, \mathrm{diag}(1, 1, \det U V^\top) \, V^\top.

    In quaternions :math:`\mathrm{tr}(R^\top A) = q^\top N(A) \, q` with :math:`N` symmetric, 4x4
    and linear in :math:`A` [1]_. Its largest eigenvalue, the sum of the signed singular values, is
    known in closed form, and a few steps of inverse iteration in products alone give its
    eigenvector, for any sign of the determinant and any multiplicity. The derivative is analytic,
    with :math:`A = R H` and :math:`[\omega]_\times = R^\top dR`:

    .. math::
        (\mathrm{tr}(H) I - H) \, \omega = \mathrm{axial}(R^\top dA - dA^\top R).

    Parameters
    ----------
    A : torch.Tensor, shape (..., 3, 3)
        Any matrices of dtype float32 or float64, of any scale.

    Returns
    -------
    torch.Tensor, shape (..., 3, 3)
        Rotations, determinant +1, whatever the sign of the determinant of `A`.

    See Also
    --------
    nearest_orthonormal_3x2 : The same for 3x2 matrices.
    procrustes : Rotation between two point sets.

    Notes
    -----
    With singular values :math:`s_1 \ge s_2 \ge s_3` and :math:`s_3` counted negative where
    :math:`\det A < 0`, the map is smooth where :math:`s_2 + s_3 > 0`, equal singular values and
    rank two included. Where :math:`s_2 + s_3 = 0` (rank below two, or a reflection with its two
    smallest singular values equal) the nearest rotation is not unique: a rotation is returned whose
    :math:`\mathrm{tr}(R^\top A)` is within 1e-7 of the maximum, and the derivative, which grows as
    :math:`1 / (s_2 + s_3)`, stops growing once the determinant of :math:`\mathrm{tr}(H) I - H` is
    below 1e-4 of :math:`\|A\|_F^3`. Values are resolved down to :math:`s_2 + s_3` of about 1e-5 of
    the norm, or of what the dtype resolves. A zero matrix
    gives the identity and derivative zero.

    References
    ----------
    .. [1] B. K. P. Horn, "Closed-form solution of absolute orientation using unit quaternions",
       Journal of the Optical Society of America A 4(4), 1987.
    """
    check_tail("A", A, 3, 3)
    return _NearestRotation.apply(A)
