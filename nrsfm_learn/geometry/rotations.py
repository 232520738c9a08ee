"""Rotations as matrices, axis-angle vectors, quaternions and 6-D vectors, and conversions.

Matrices act on column vectors. Quaternions are scalar-first, (w, x, y, z).
"""

import torch

from ._linalg3 import axial, check_tail, dot, perpendicular, quaternion_form

# Below this square of an angle the quotients of trigonometric functions are summed as series: the
# closed forms keep their values there but lose the digits of their derivatives.
_SMALL = 1e-2


def _series(x, *coefficients):
    total = torch.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = total * x + coefficient
    return total


def _branch(x, closed, *coefficients):
    """closed(x), or its series where `x` is small; neither sees what it cannot differentiate."""
    small = x < _SMALL
    series = _series(torch.where(small, x, torch.zeros_like(x)), *coefficients)
    return torch.where(small, series, closed(torch.where(small, torch.ones_like(x), x)))


def _sinc(square):
    """sin(t) / t of t squared."""
    return _branch(
        square, lambda x: torch.sin(x.sqrt()) / x.sqrt(), 1, -1 / 6, 1 / 120, -1 / 5040, 1 / 362880
    )


def axis_angle_to_matrix(vector):
    r"""Rotation matrices of axis-angle vectors (Rodrigues' formula).

    .. math::
        R = I + \frac{\sin\theta}{\theta} [v]_\times
          + \frac{1 - \cos\theta}{\theta^2} [v]_\times^2, \qquad \theta = |v|.

    Parameters
    ----------
    vector : torch.Tensor, shape (..., 3)
        Axis times angle, in radians.

    Returns
    -------
    torch.Tensor, shape (..., 3, 3)
        Value and derivative are exact at zero and near it.

    See Also
    --------
    matrix_to_axis_angle : The inverse.
    """
    check_tail("vector", vector, 3)
    return quaternion_to_matrix(_axis_angle_to_quaternion(vector))


def _axis_angle_to_quaternion(vector):
    quarter = dot(vector, vector) / 4
    cosine = _branch(
        quarter, lambda x: torch.cos(x.sqrt()), 1, -1 / 2, 1 / 24, -1 / 720, 1 / 40320, -1 / 3628800
    )
    return torch.cat((cosine, _sinc(quarter) / 2 * vector), -1)


def cayley_to_matrix(omega):
    r"""Rotation matrix of each Cayley vector.

    .. math::
        R = (I - \tfrac12 [\omega]_\times)^{-1} (I + \tfrac12 [\omega]_\times)
          = I + \frac{[\omega]_\times + \tfrac12 [\omega]_\times^2}{1 + \tfrac14 |\omega|^2}.

    To first order it is the axis-angle vector; it needs no trigonometry and is smooth everywhere,
    which makes it the update of iterative solvers.

    Parameters
    ----------
    omega : torch.Tensor, shape (..., 3)
        Any vectors; the angle is :math:`2 \arctan(|\omega| / 2)`.

    Returns
    -------
    torch.Tensor, shape (..., 3, 3)
        Determinant +1; acts on column vectors.

    See Also
    --------
    axis_angle_to_matrix : The exponential map.

    References
    ----------
    .. [1] A. Cayley, "Sur quelques proprietes des determinants gauches", Journal fuer die reine
       und angewandte Mathematik 32, 1846.
    """
    check_tail("omega", omega, 3)
    a, b, c = omega.unbind(-1)
    zero = torch.zeros_like(a)
    cross = torch.stack((zero, -c, b, c, zero, -a, -b, a, zero), -1).unflatten(-1, (3, 3))
    eye = torch.eye(3, dtype=omega.dtype, device=omega.device)
    scale = 1 + omega.square().sum(-1)[..., None, None] / 4
    return eye + (cross + cross @ cross / 2) / scale


def matrix_to_axis_angle(R):
    r"""Axis-angle vectors of rotation matrices.

    Parameters
    ----------
    R : torch.Tensor, shape (..., 3, 3)
        Rotations.

    Returns
    -------
    torch.Tensor, shape (..., 3)
        Axis times angle, the angle in radians between 0 and pi. At pi, where both signs of the
        axis are right and the map jumps, one is returned, with the derivative of its side.

    See Also
    --------
    axis_angle_to_matrix : The inverse.
    """
    q = matrix_to_quaternion(R)
    w, v = q[..., :1], q[..., 1:]
    square = dot(v, v)
    # w >= 0, so where the vector part is small w is near one and the series has what it divides by.
    safe_w = torch.where(square < _SMALL, w, torch.ones_like(w))
    small = _series(
        square / safe_w.square(), 1, -1 / 3, 1 / 5, -1 / 7, 1 / 9, -1 / 11, 1 / 13, -1 / 15
    )
    length = torch.where(square < _SMALL, torch.ones_like(square), square).sqrt()
    factor = torch.where(square < _SMALL, small / safe_w, torch.atan2(length, w) / length)
    return 2 * factor * v


def quaternion_to_matrix(quaternion):
    r"""Rotation matrices of quaternions of any length.

    .. math::
        R = I + \frac{2}{|q|^2} \left( w [v]_\times + [v]_\times^2 \right), \qquad q = (w, v).

    Parameters
    ----------
    quaternion : torch.Tensor, shape (..., 4)
        Scalar-first quaternions; they need not be normalised.

    Returns
    -------
    torch.Tensor, shape (..., 3, 3)
        A zero quaternion, which is no rotation, gives the identity and derivative zero.

    See Also
    --------
    matrix_to_quaternion : The inverse.
    """
    check_tail("quaternion", quaternion, 4)
    square = dot(quaternion, quaternion)
    zero = square == 0
    q = quaternion * (2 / torch.where(zero, torch.ones_like(square), square)).sqrt()
    w, x, y, z = torch.where(zero, torch.zeros_like(q), q).unbind(-1)
    entries = (
        1 - y * y - z * z,
        x * y - w * z,
        x * z + w * y,
        x * y + w * z,
        1 - x * x - z * z,
        y * z - w * x,
        x * z - w * y,
        y * z + w * x,
        1 - x * x - y * y,
    )
    return torch.stack(entries, -1).unflatten(-1, (3, 3))


def matrix_to_quaternion(R):
    r"""Scalar-first unit quaternions of rotation matrices.

    Each of the four columns of :math:`4 q q^\top`, which are linear in :math:`R`, is the quaternion
    up to its length; the longest is taken, so that no angle loses digits.

    Parameters
    ----------
    R : torch.Tensor, shape (..., 3, 3)
        Rotations.

    Returns
    -------
    torch.Tensor, shape (..., 4)
        With w >= 0. At a half turn (w = 0) both signs are right and one is returned.

    See Also
    --------
    quaternion_to_matrix : The inverse.
    """
    check_tail("R", R, 3, 3)
    outer = quaternion_form(R) + torch.eye(4, dtype=R.dtype, device=R.device)
    longest = outer.diagonal(dim1=-2, dim2=-1).argmax(-1)[..., None, None]
    q = outer.gather(-2, longest.expand(*outer.shape[:-2], 1, 4)).squeeze(-2)
    q = q / dot(q, q).sqrt()
    return torch.where(q[..., :1] < 0, -q, q)


def rotation_6d_to_matrix(vector):
    r"""Rotation matrices of 6-D vectors: two columns, made orthonormal one after the other.

    .. math::
        b_1 = \frac{a_1}{|a_1|}, \qquad
        b_2 = \frac{a_2 - (b_1^\top a_2) b_1}{|a_2 - (b_1^\top a_2) b_1|}, \qquad
        b_3 = b_1 \times b_2.

    Parameters
    ----------
    vector : torch.Tensor, shape (..., 6)
        :math:`(a_1, a_2)`, of any lengths.

    Returns
    -------
    torch.Tensor, shape (..., 3, 3)
        Columns :math:`b_1, b_2, b_3`. Where :math:`a_1` is zero, or :math:`a_2` parallel to it to
        the last digit, the missing direction is chosen and gets derivative zero; close to that the
        derivative grows as the inverse of the angle between the two.

    See Also
    --------
    nearest_orthonormal_3x2 : Treats both columns alike, with a bounded derivative.

    References
    ----------
    .. [1] Y. Zhou, C. Barnes, J. Lu, J. Yang, H. Li, "On the continuity of rotation representations
       in neural networks", CVPR 2019.
    """
    check_tail("vector", vector, 6)
    info = torch.finfo(vector.dtype)
    a1, a2 = vector[..., :3], vector[..., 3:]
    first = torch.eye(3, dtype=vector.dtype, device=vector.device)[0]
    b1 = _unit(torch.where(dot(a1, a1) > info.tiny, a1, first))
    rest = a2 - dot(b1, a2) * b1
    threshold = torch.clamp(16 * info.eps**2 * dot(a2, a2), min=info.tiny)
    rest = torch.where(dot(rest, rest) > threshold, rest, perpendicular(b1.detach()))
    # Twice is enough: the first subtraction leaves rounding of a2 along b1, the second of the rest.
    b2 = _unit(rest - dot(b1, rest) * b1)
    return torch.stack((b1, b2, torch.linalg.cross(b1, b2)), -1)


def _unit(v):
    return v / dot(v, v).sqrt()


def matrix_to_rotation_6d(R):
    """First two columns of rotation matrices, one after the other.

    Parameters
    ----------
    R : torch.Tensor, shape (..., 3, 3)
        Rotations.

    Returns
    -------
    torch.Tensor, shape (..., 6)
        Orthonormal halves.

    See Also
    --------
    rotation_6d_to_matrix : The inverse.
    """
    check_tail("R", R, 3, 3)
    return R[..., :2].mT.flatten(-2)


def random_rotations(n, *, generator=None, dtype=None, device=None):
    """Draw rotations uniformly (Haar measure), as normalised Gaussian quaternions.

    Parameters
    ----------
    n : int
        How many.
    generator : torch.Generator, optional
        Source of randomness, on `device`; torch's global one by default.
    dtype : torch.dtype, optional
        Torch's default dtype by default.
    device : torch.device, optional
        The generator's device, or torch's default, by default.

    Returns
    -------
    torch.Tensor, shape (n, 3, 3)
        Independent rotations, determinant +1.

    References
    ----------
    .. [1] K. Shoemake, "Uniform random rotations", Graphics Gems III, 1992.
    """
    if device is None and generator is not None:
        device = generator.device
    return quaternion_to_matrix(torch.randn(n, 4, generator=generator, dtype=dtype, device=device))


def rotation_angle(R1, R2):
    r"""Angle of the rotation between two rotations, their geodesic distance.

    .. math::
        \theta = \mathrm{atan2}\big( |\mathrm{axial}(E)| / 2, \; (\mathrm{tr} E - 1) / 2 \big),
        \qquad E = R_1^\top R_2.

    Parameters
    ----------
    R1, R2 : torch.Tensor, shape (..., 3, 3)
        Rotations.

    Returns
    -------
    torch.Tensor, shape (...)
        Radians between 0 and pi, without the loss of digits of the arc cosine at both ends. The
        derivative at 0 and pi, where the distance has a corner, is zero.
    """
    check_tail("R1", R1, 3, 3)
    check_tail("R2", R2, 3, 3)
    E = R1.mT @ R2
    sine = axial(E)
    square = (sine * sine).sum(-1)
    corner = square == 0
    sine = torch.where(corner, torch.ones_like(square), square).sqrt()
    sine = torch.where(corner, torch.zeros_like(square), sine)
    cosine = E.diagonal(dim1=-2, dim2=-1).sum(-1) - 1
    return torch.atan2(sine, cosine)
