r"""Normalised bilinear forms, which remove translation and depth from both cameras.

With :math:`m_i` the visibility of point i, :math:`\Psi = \varphi \otimes R^\top` and a dictionary
:math:`D^\sharp`, every observation of :math:`S R^\top + 1 t^\top`, :math:`S = D^\sharp (\varphi
\otimes I_3)`, satisfies :math:`M \tilde W = M \tilde D \tilde \Psi` whatever :math:`t_x, t_y` are.
"""

from typing import Literal

import torch

from ._linalg3 import check_tail, check_visible, visible_mean, zero_hidden

Form = Literal["general", "object-centric"]


def normalize_observations(W, visible=None, depth=None):
    r"""Centre observations on their visible mean and multiply by the depth.

    .. math::
        \tilde w_i = m_i \Big( w_i - \frac{\sum_j m_j w_j}{\sum_j m_j} \Big) t_z,

    which is :math:`M \tilde W` of [1]_, eq. 14 (perspective) and eq. 15 (orthographic,
    :math:`t_z = 1`). The mean is over the *visible* points, where eq. 15 is printed with 1/P.

    Parameters
    ----------
    W : torch.Tensor, shape (..., n_points, 2)
        Observations; on the unit focal plane if the camera is perspective. Hidden rows may be NaN.
    visible : torch.Tensor, shape (..., n_points), optional
        Visibility (bool), or non-negative weights of the mean, where zero hides; all by default.
    depth : torch.Tensor, shape (...), optional
        Depth :math:`t_z` of the object's origin, which sets the scale of the reconstruction.

    Returns
    -------
    torch.Tensor, shape (..., n_points, 2)
        Zero at hidden points. Under perspective, ``flatten(-2)`` of it is the vector of eq. 14.

    See Also
    --------
    normalized_dictionary_orthographic, normalized_dictionary_perspective : The other side.

    References
    ----------
    .. [1] C. Wang, C.-H. Lin, S. Lucey, "Deep NRSfM++: towards unsupervised 2D-3D lifting in the
       wild", 3DV 2020, eq. 7, 11, 14 and 15.
    """
    check_tail("W", W, "n_points", 2)
    check_visible(visible, W.shape[-2])
    W = zero_hidden(W, visible)
    W = zero_hidden(W - visible_mean(W, visible), visible)
    return W if depth is None else W * depth[..., None, None]


def center_dictionary(D):
    r"""Centre each atom of a dictionary, so that its points sum to zero.

    .. math::
        D^\sharp - \tfrac{1}{P} 1 1^\top D^\sharp.

    Parameters
    ----------
    D : torch.Tensor, shape (..., n_points, 3 n_atoms)
        Dictionary, or decoded shapes (..., n_points, 3).

    Returns
    -------
    torch.Tensor, shape (..., n_points, 3 n_atoms)
        What the object-centric constraint of the bilinear forms assumes.

    See Also
    --------
    normalized_dictionary_orthographic : The form that needs it.
    """
    check_tail("D", D, "n_points", "3 n_atoms")
    return D - D.mean(-2, keepdim=True)


def block_code(codes, rotation):
    r"""Block code of a shape code and a camera, the Kronecker product.

    .. math::
        \Psi = \varphi \otimes R^\top \in \mathbb{R}^{3K \times 3}, \qquad
        D^\sharp \Psi = S R^\top \;\text{ with }\; S = D^\sharp (\varphi \otimes I_3).

    Parameters
    ----------
    codes : torch.Tensor, shape (..., n_atoms)
        Codes.
    rotation : torch.Tensor, shape (..., 3, 3)
        Rotations **acting on column vectors**, x_cam = R x, as everywhere in this package. The
        literature's matrix acts on the right of points as rows and is the transpose; the
        transposition happens here.

    Returns
    -------
    torch.Tensor, shape (..., 3 n_atoms, 3)
        ``D @ block_code(codes, R)`` is the rotated shape; its first two columns are the
        orthographic block code.

    References
    ----------
    .. [1] C. Wang, C.-H. Lin, S. Lucey, "Deep NRSfM++: towards unsupervised 2D-3D lifting in the
       wild", 3DV 2020, eq. 3 and 4.
    """
    check_tail("codes", codes, "n_atoms")
    check_tail("rotation", rotation, 3, 3)
    return (codes[..., None, None] * rotation.mT.unsqueeze(-3)).flatten(-3, -2)


def _offset_rows(D, visible, form):
    """Rows of the dictionary as eq. 14 and 15 have them (`d~_i`), or minus the visible mean."""
    if form == "general":
        return D - visible_mean(D, visible)
    if form != "object-centric":
        raise ValueError(f"form must be 'general' or 'object-centric', got {form!r}.")
    if visible is None:
        return D
    seen = visible.to(D.dtype).unsqueeze(-1)
    count = seen.sum(-2, keepdim=True).clamp_min(torch.finfo(D.dtype).tiny)
    return D + ((1 - seen) * D).sum(-2, keepdim=True) / count


def normalized_dictionary_orthographic(D, visible=None, *, form: Form = "general"):
    r"""Build the dictionary of the orthographic form :math:`M \tilde W = M \tilde D \Psi_{xy}`.

    With :math:`\tilde P` visible points, the form that holds for any dictionary
    (``form="general"``) and the one that holds if it is centred (``form="object-centric"``),
    when both are equal:

    .. math::
        \tilde D = D^\sharp - \frac{1}{\tilde P} 1 1^\top M D^\sharp
        \qquad\text{and}\qquad
        \tilde D = D^\sharp + \frac{1}{\tilde P} 1 1^\top (I - M) D^\sharp.

    The second is eq. 15 of [1]_ with its factor corrected: 1/P is printed where the derivation
    gives one over the number of *visible* points.

    Parameters
    ----------
    D : torch.Tensor, shape (n_points, 3 n_atoms)
        Dictionary, atom k in columns 3k to 3k + 2.
    visible : torch.Tensor, shape (..., n_points), optional
        Visibility; all by default. The general form takes non-negative weights too.
    form : {"general", "object-centric"}
        Which form; the second needs :func:`center_dictionary` first.

    Returns
    -------
    torch.Tensor, shape (..., n_points, 3 n_atoms)
        Not masked: multiply both sides by the visibility.

    See Also
    --------
    normalized_reprojection_orthographic : The product with the block code, without this matrix.

    References
    ----------
    .. [1] C. Wang, C.-H. Lin, S. Lucey, "Deep NRSfM++: towards unsupervised 2D-3D lifting in the
       wild", 3DV 2020, eq. 7 and 15, Table 1.
    """
    check_tail("D", D, "n_points", "3 n_atoms")
    check_visible(visible, D.shape[-2])
    return _offset_rows(D, visible, form)


def normalized_dictionary_perspective(D, W, visible=None, *, form: Form = "general"):
    r"""Build the dictionary of the perspective form :math:`M \tilde W = M \tilde D \tilde\Psi`.

    With :math:`\tilde\Psi` the three columns of :math:`\Psi` laid end to end, rows :math:`2i` and
    :math:`2i + 1` of :math:`\tilde D` are

    .. math::
        [\, \tilde d_i^\top, \;\; 0, \;\; \overline{u d}^\top - u_i d_i^\top \,],
        \\
        [\, 0, \;\; \tilde d_i^\top, \;\; \overline{v d}^\top - v_i d_i^\top \,], \qquad
        \overline{u d} = \textstyle\sum_j m_j u_j d_j / \tilde P,

    with :math:`\tilde d_i = d_i - \sum_j m_j d_j / \tilde P`, which holds for any dictionary
    (``form="general"``), or :math:`\tilde d_i = d_i + \sum_j (1 - m_j) d_j / \tilde P`, eq. 14 of
    [1]_, which equals it for a centred one (``form="object-centric"``).

    Parameters
    ----------
    D : torch.Tensor, shape (n_points, 3 n_atoms)
        Dictionary, atom k in columns 3k to 3k + 2.
    W : torch.Tensor, shape (..., n_points, 2)
        Observations on the unit focal plane; hidden rows may be NaN.
    visible : torch.Tensor, shape (..., n_points), optional
        Visibility; all by default. The general form takes non-negative weights too.
    form : {"general", "object-centric"}
        Which form; the second needs :func:`center_dictionary` first.

    Returns
    -------
    torch.Tensor, shape (..., 2 n_points, 9 n_atoms)
        Acts on the columns of the block code laid end to end, ``Psi.mT.flatten(-2)``; not masked.

    See Also
    --------
    normalized_reprojection_perspective : The product with the block code, without this matrix.

    References
    ----------
    .. [1] C. Wang, C.-H. Lin, S. Lucey, "Deep NRSfM++: towards unsupervised 2D-3D lifting in the
       wild", 3DV 2020, eq. 7, 11 and 14.
    """
    check_tail("D", D, "n_points", "3 n_atoms")
    check_tail("W", W, D.shape[-2], 2)
    check_visible(visible, D.shape[-2])
    W = zero_hidden(W, visible)
    rows = _offset_rows(D, visible, form).expand(*W.shape[:-1], D.shape[-1])
    zero = torch.zeros_like(rows)
    u, v = W.unsqueeze(-1).unbind(-2)
    ud, vd = u * D, v * D
    first = torch.cat((rows, zero, visible_mean(ud, visible) - ud), -1)
    second = torch.cat((zero, rows, visible_mean(vd, visible) - vd), -1)
    return torch.stack((first, second), -2).flatten(-3, -2)


def normalized_reprojection_orthographic(X_xy, visible=None):
    r"""Right-hand side of the orthographic bilinear form, from a rotated shape.

    .. math::
        \tilde D \Psi_{xy} = S_{xy} - \frac{1}{\tilde P} 1 1^\top M S_{xy},
        \qquad S_{xy} = D^\sharp \Psi_{xy},

    at the cost of one mean, where the product needs the dictionary of every mask.

    Parameters
    ----------
    X_xy : torch.Tensor, shape (..., n_points, 2)
        First two coordinates of the rotated shape; its origin is free.
    visible : torch.Tensor, shape (..., n_points), optional
        Visibility, or non-negative weights of the mean; all by default.

    Returns
    -------
    torch.Tensor, shape (..., n_points, 2)
        Not masked: the rows of hidden points predict them, relative to the visible mean.

    See Also
    --------
    normalize_observations : What it is compared with.

    References
    ----------
    .. [1] C. Wang, C.-H. Lin, S. Lucey, "Deep NRSfM++: towards unsupervised 2D-3D lifting in the
       wild", 3DV 2020, eq. 15.
    """
    check_tail("X_xy", X_xy, "n_points", 2)
    check_visible(visible, X_xy.shape[-2])
    return X_xy - visible_mean(X_xy, visible)


def normalized_reprojection_perspective(X_rotated, W, visible=None):
    r"""Right-hand side of the perspective bilinear form, from a rotated shape.

    .. math::
        r_i = (x'_i, y'_i) - w_i z'_i, \qquad
        \tilde D \tilde\Psi = r_i - \frac{\sum_j m_j r_j}{\sum_j m_j},

    with :math:`(x'_i, y'_i, z'_i)` the rows of :math:`S R^\top`. It equals
    :math:`(w_i - \bar w) t_z` for whichever translation projects the shape onto :math:`W`, and the
    shape need not be centred.

    Parameters
    ----------
    X_rotated : torch.Tensor, shape (..., n_points, 3)
        Rotated shape before its translation, ``S @ R.mT``.
    W : torch.Tensor, shape (..., n_points, 2)
        Observations on the unit focal plane; hidden rows may be NaN.
    visible : torch.Tensor, shape (..., n_points), optional
        Visibility, or non-negative weights of the mean; all by default.

    Returns
    -------
    torch.Tensor, shape (..., n_points, 2)
        Zero at hidden points, where the form says nothing.

    See Also
    --------
    perspective_translation : The translation that belongs to it.

    References
    ----------
    .. [1] C. Wang, C.-H. Lin, S. Lucey, "Deep NRSfM++: towards unsupervised 2D-3D lifting in the
       wild", 3DV 2020, eq. 9 to 14.
    """
    residual = _sight_residual(X_rotated, W, visible)
    return zero_hidden(residual - visible_mean(residual, visible), visible)


def perspective_translation(X_rotated, W, visible=None, depth=None):
    r"""Find the translation that puts a rotated shape on its perspective observations.

    .. math::
        t_{xy} = \frac{\sum_j m_j \big( w_j (z'_j + t_z) - (x'_j, y'_j) \big)}{\sum_j m_j},

    the mean over the visible points of eq. 9 of [1]_, for a shape with any origin. For a centred
    one the visible :math:`x'_j` sum to minus the hidden ones, and this is eq. 13:
    :math:`t_x = \sum_j \big( m_j u_j (z'_j + t_z) + (1 - m_j) x'_j \big) / \sum_j m_j`.

    Parameters
    ----------
    X_rotated : torch.Tensor, shape (..., n_points, 3)
        Rotated shape before its translation, ``S @ R.mT``.
    W : torch.Tensor, shape (..., n_points, 2)
        Observations on the unit focal plane; hidden rows may be NaN.
    visible : torch.Tensor, shape (..., n_points), optional
        Visibility, or non-negative weights of the mean; all by default.
    depth : torch.Tensor, shape (...), optional
        Depth :math:`t_z` of the shape's origin, in the units of `X_rotated`; 1 by default.

    Returns
    -------
    torch.Tensor, shape (..., 3)
        (t_x, t_y, t_z); the shape in the camera frame is ``X_rotated + t[..., None, :]``.

    References
    ----------
    .. [1] C. Wang, C.-H. Lin, S. Lucey, "Deep NRSfM++: towards unsupervised 2D-3D lifting in the
       wild", 3DV 2020, eq. 9, 10, 12 and 13.
    """
    residual = visible_mean(_sight_residual(X_rotated, W, visible), visible).squeeze(-2)
    mean = visible_mean(zero_hidden(W, visible), visible).squeeze(-2)
    depth = torch.ones_like(mean[..., :1]) if depth is None else depth.unsqueeze(-1)
    xy = mean * depth - residual
    return torch.cat((xy, depth.expand_as(xy[..., :1])), -1)


def _sight_residual(X_rotated, W, visible):
    """Offset of each rotated point from its line of sight through the origin, zero if hidden."""
    check_tail("X_rotated", X_rotated, "n_points", 3)
    check_tail("W", W, X_rotated.shape[-2], 2)
    check_visible(visible, W.shape[-2])
    residual = X_rotated[..., :2] - zero_hidden(W, visible) * X_rotated[..., 2:]
    return zero_hidden(residual, visible)
