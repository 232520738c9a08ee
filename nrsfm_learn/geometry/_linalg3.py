"""Closed forms for 3-vectors and 3x3 matrices, and the shape checks that geometry shares.

LAPACK calls on batches of 3x3 matrices are slow on a CPU and bound by launches on a GPU; a handful
of elementwise operations is not, and its gradient has no singularity at equal singular values.
"""

import torch


def check_tail(name, tensor, *tail):
    """Refuse a tensor that is not floating point or whose last dimensions differ from `tail`.

    Parameters
    ----------
    name : str
        The argument's name, for the message.
    tensor : torch.Tensor
        What was given.
    *tail : int or str
        The trailing dimensions; a string stands for any size and is its name.
    """
    if not isinstance(tensor, torch.Tensor) or not tensor.is_floating_point():
        kind = tensor.dtype if isinstance(tensor, torch.Tensor) else type(tensor).__name__
        raise TypeError(
            f"{name} must be a floating point torch.Tensor, got {kind}; convert it with "
            "torch.as_tensor(..., dtype=torch.float64)."
        )
    shape = tuple(tensor.shape)
    found = shape[len(shape) - len(tail) :] if len(shape) >= len(tail) else ()
    fits = len(found) == len(tail) and all(
        isinstance(want, str) or want == got for want, got in zip(tail, found, strict=True)
    )
    if not fits:
        wanted = ", ".join(map(str, tail))
        raise ValueError(f"{name} must have shape (..., {wanted}), got {shape}.")


def check_visible(visible, n_points):
    """Refuse a visibility whose last dimension is not the number of points.

    Parameters
    ----------
    visible : torch.Tensor or None
        Visibility or weights, shape (..., n_points).
    n_points : int
        The number of points of the other arguments.
    """
    if visible is not None and (visible.ndim < 1 or visible.shape[-1] != n_points):
        raise ValueError(
            f"visible must have shape (..., n_points) with n_points = {n_points}, "
            f"got {tuple(visible.shape)}."
        )


def zero_hidden(W, visible):
    """Replace the rows of `W` that are not visible, NaN included, by zero.

    Parameters
    ----------
    W : torch.Tensor, shape (..., n_points, d)
        Rows; those that are hidden may hold anything.
    visible : torch.Tensor or None, shape (..., n_points)
        Visibility (bool) or non-negative weights; None keeps every row.

    Returns
    -------
    torch.Tensor, shape (..., n_points, d)
        `W`, zero where hidden. A product would keep the NaN and poison the gradient.
    """
    if visible is None:
        return W
    seen = visible if visible.dtype == torch.bool else visible > 0
    return torch.where(seen.unsqueeze(-1), W, torch.zeros((), dtype=W.dtype, device=W.device))


def visible_mean(X, visible):
    """Mean of the visible rows, kept as one row; zero where nothing is visible.

    Parameters
    ----------
    X : torch.Tensor, shape (..., n_points, d)
        Finite rows.
    visible : torch.Tensor or None, shape (..., n_points)
        Visibility (bool) or non-negative weights; None takes every row.

    Returns
    -------
    torch.Tensor, shape (..., 1, d)
    """
    if visible is None:
        return X.mean(-2, keepdim=True)
    weights = visible.to(X.dtype).unsqueeze(-1)
    total = weights.sum(-2, keepdim=True).clamp_min(torch.finfo(X.dtype).tiny)
    return (weights * X).sum(-2, keepdim=True) / total


def dot(a, b):
    """Inner product of vectors along the last dimension, which is kept.

    Parameters
    ----------
    a, b : torch.Tensor, shape (..., d)

    Returns
    -------
    torch.Tensor, shape (..., 1)
    """
    return (a * b).sum(-1, keepdim=True)


def perpendicular(v):
    """Compute one vector, not normalised, at right angles to each `v`.

    Parameters
    ----------
    v : torch.Tensor, shape (..., 3)
        Vectors that are not zero.

    Returns
    -------
    torch.Tensor, shape (..., 3)
        At least 0.7 times as long as `v`.
    """
    axes = torch.eye(3, dtype=v.dtype, device=v.device)
    off_first = v[..., :1].square() <= 0.5 * dot(v, v)
    return torch.linalg.cross(v, torch.where(off_first, axes[0], axes[1]))


def cofactor(M):
    r"""Cofactor matrix of 3x3 matrices, :math:`\mathrm{adj}(M)^\top`.

    Parameters
    ----------
    M : torch.Tensor, shape (..., 3, 3)

    Returns
    -------
    torch.Tensor, shape (..., 3, 3)
        Column j is the cross product of the two columns after column j, cyclically.
    """
    return torch.linalg.cross(M.roll(-1, -1), M.roll(-2, -1), dim=-2)


def determinant(M, cofactors):
    """Compute the determinant of 3x3 matrices from their cofactors.

    Parameters
    ----------
    M, cofactors : torch.Tensor, shape (..., 3, 3)

    Returns
    -------
    torch.Tensor, shape (..., 1, 1)
    """
    return (M[..., :1] * cofactors[..., :1]).sum(-2, keepdim=True)


def axial(M):
    r"""Read the axial vector of 3x3 matrices, a with :math:`[a]_\times = M - M^\top`.

    Parameters
    ----------
    M : torch.Tensor, shape (..., 3, 3)

    Returns
    -------
    torch.Tensor, shape (..., 3)
    """
    return torch.stack(
        (M[..., 2, 1] - M[..., 1, 2], M[..., 0, 2] - M[..., 2, 0], M[..., 1, 0] - M[..., 0, 1]), -1
    )


def quaternion_form(A):
    r"""Build the symmetric 4x4 matrix N with :math:`q^\top N q = \mathrm{tr}(R(q)^\top A)`.

    Parameters
    ----------
    A : torch.Tensor, shape (..., 3, 3)

    Returns
    -------
    torch.Tensor, shape (..., 4, 4)
        For a rotation it is :math:`4 q q^\top - I`.
    """
    (a, b, c), (d, e, f), (g, h, i) = (row.unbind(-1) for row in A.unbind(-2))
    rows = (
        (a + e + i, h - f, c - g, d - b),
        (h - f, a - e - i, b + d, c + g),
        (c - g, b + d, e - a - i, f + h),
        (d - b, c + g, f + h, i - a - e),
    )
    return torch.stack([torch.stack(row, -1) for row in rows], -2)
