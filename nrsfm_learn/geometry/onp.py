"""Orthographic-N-point: the camera of a known shape from its 2-D observations."""

from typing import NamedTuple

import torch

from ._linalg3 import check_tail, check_visible, cofactor, determinant, visible_mean, zero_hidden
from .orthonormal import complete_rotation, nearest_orthonormal_3x2
from .rotations import axis_angle_to_matrix

# Ridge of the normal equations over their trace. Above what the dtype leaves of a vanishing
# direction; its own effect is removed by refinement wherever a direction does not vanish.
_RIDGE = {torch.float32: 1e-5, torch.float64: 1e-7}


class OnPFit(NamedTuple):
    """Result of :func:`onp`.

    Parameters
    ----------
    rotation : torch.Tensor, shape (..., 3, 3)
        Acts on column vectors: ``X_cam = S @ rotation.mT``.
    scale : torch.Tensor, shape (...)
        Image units per unit of the shape.
    translation : torch.Tensor, shape (..., 2)
        Where the shape's origin projects to, in image units.
    """

    rotation: torch.Tensor
    scale: torch.Tensor
    translation: torch.Tensor


def onp(S, W, *, visible=None, scale=True):
    r"""Estimate the orthographic or weak-perspective camera of a known shape.

    Both sides are centred on their visible means. Then

    .. math::
        \tilde R = (S^\top M S)^{-1} S^\top M W, \qquad
        R_{xy} = \arg\min_{Q^\top Q = I_2} \|\tilde R - Q\|_F, \qquad
        s = \frac{\langle M W, S R_{xy} \rangle}{\langle M S R_{xy}, S R_{xy} \rangle}.

    :math:`R_{xy}` is 3x2 and acts **on the right** of points as rows, :math:`W = s \, S R_{xy}`, as
    the literature writes it. **The rotation that is returned acts on column vectors**, as
    everywhere in this package: it is the transpose, its first two *rows* are :math:`R_{xy}^\top`
    and its third is their cross product.

    Parameters
    ----------
    S : torch.Tensor, shape (..., n_points, 3)
        Shapes, with any origin.
    W : torch.Tensor, shape (..., n_points, 2)
        Observations; hidden rows may be NaN. Leading dimensions broadcast.
    visible : torch.Tensor, shape (..., n_points), optional
        Visibility (bool) or non-negative weights; all by default.
    scale : bool, default True
        Whether the scale is estimated; else it is 1.

    Returns
    -------
    OnPFit
        Named tuple (rotation, scale, translation), such that
        ``project_weak_perspective(S @ rotation.mT, scale, translation)`` approximates `W`.

    See Also
    --------
    project_weak_perspective : The model.
    nearest_orthonormal_3x2 : The projection.

    Notes
    -----
    Exact for exact observations of four or more visible points that are not in one plane, and
    differentiable there. Least squares followed by a projection is not the minimum of the
    reprojection error for noisy ones. Where the visible points lie in a plane or on a line, the
    components of :math:`\tilde R` that they do not determine are set to zero and values and
    derivatives remain finite; a depth-sign ambiguity is then inherent.

    References
    ----------
    .. [1] C. Wang, "Towards reconstructing non-rigidity from single camera", thesis, The Robotics
       Institute, Carnegie Mellon University, 2022, eq. 2.9 and 2.11 to 2.13.
    .. [2] C. Steger, "Algorithms for the orthographic-n-point problem", Journal of Mathematical
       Imaging and Vision 60(2), 2018.
    """
    check_tail("S", S, "n_points", 3)
    check_tail("W", W, S.shape[-2], 2)
    check_visible(visible, S.shape[-2])
    W, S_seen = zero_hidden(W, visible), zero_hidden(S, visible)
    s_mean, w_mean = visible_mean(S_seen, visible), visible_mean(W, visible)
    S0 = zero_hidden(S_seen - s_mean, visible)
    weighted = S0 if visible is None else S0 * visible.to(S.dtype).unsqueeze(-1)
    R_xy = nearest_orthonormal_3x2(_least_squares(weighted.mT @ S0, weighted.mT @ (W - w_mean)))
    if scale:
        projected = S0 @ R_xy
        factor = ((weighted @ R_xy) * (W - w_mean)).sum((-2, -1))
        power = ((weighted @ R_xy) * projected).sum((-2, -1))
        s = factor / power.clamp_min(torch.finfo(S.dtype).tiny)
    else:
        s = torch.ones(R_xy.shape[:-2], dtype=R_xy.dtype, device=R_xy.device)
    translation = (w_mean - s[..., None, None] * (s_mean @ R_xy)).squeeze(-2)
    return OnPFit(complete_rotation(R_xy).mT, s, translation)


def joint_onp(shapes, W, *, visible=None):
    r"""Estimate the one orthographic camera that several shapes of a frame share.

    .. math::
        \tilde R = \Bigl(\sum_i \tilde S_i^\top M \tilde S_i\Bigr)^{-1}
                   \sum_i \tilde S_i^\top M \tilde W, \qquad
        R_{xy} = \arg\min_{Q^\top Q = I_2} \|\tilde R - Q\|_F

    with every :math:`\tilde S_i` and :math:`\tilde W` minus its own visible mean.

    Parameters
    ----------
    shapes : sequence of torch.Tensor, each of shape (..., n_points, 3)
        Shapes, with any origin.
    W : torch.Tensor, shape (..., n_points, 2)
        Observations; hidden rows may be NaN. Leading dimensions broadcast.
    visible : torch.Tensor, shape (..., n_points), optional
        Visibility (bool) or non-negative weights; all by default.

    Returns
    -------
    torch.Tensor, shape (..., 3, 3)
        Rotations that act on column vectors, ``X_cam = S @ rotation.mT``.

    See Also
    --------
    onp : The camera of one shape, with its scale and translation.

    References
    ----------
    .. [1] C. Wang, "Towards reconstructing non-rigidity from single camera", thesis, The Robotics
       Institute, Carnegie Mellon University, 2022, eq. 2.9 and 2.11 to 2.13.
    """
    check_tail("W", W, "n_points", 2)
    check_visible(visible, W.shape[-2])
    W = zero_hidden(W, visible)
    W = W - visible_mean(W, visible)
    gram = moments = 0
    for S in shapes:
        check_tail("shapes", S, W.shape[-2], 3)
        S0 = S - visible_mean(S, visible)
        weighted = S0 if visible is None else S0 * visible.to(S.dtype).unsqueeze(-1)
        gram = gram + weighted.mT @ S0
        moments = moments + weighted.mT @ W
    R_xy = nearest_orthonormal_3x2(_least_squares(gram, moments))
    return complete_rotation(R_xy).mT


def refine_onp(S, W, rotation, *, visible=None, n_steps=3):
    r"""Refine an orthographic camera to the minimum of the reprojection error.

    Gauss-Newton steps on the rotation group, :math:`R \leftarrow \exp([\omega]_\times) R`, for

    .. math:: \min_{R \in SO(3)} \| M (\tilde W - \tilde S R_{xy}^\top) \|_F^2

    The algebraic solution of :func:`onp` is its start. A step that does not lower the error of a
    frame is not taken there.

    Parameters
    ----------
    S : torch.Tensor, shape (..., n_points, 3)
        Shapes, with any origin.
    W : torch.Tensor, shape (..., n_points, 2)
        Observations, in the units of the shapes; hidden rows may be NaN.
    rotation : torch.Tensor, shape (..., 3, 3)
        Start; acts on column vectors.
    visible : torch.Tensor, shape (..., n_points), optional
        Visibility (bool) or non-negative weights; all by default.
    n_steps : int
        Steps.

    Returns
    -------
    torch.Tensor, shape (..., 3, 3)
        Refined rotations.

    See Also
    --------
    onp, joint_onp : The start.

    References
    ----------
    .. [1] C. Steger, "Algorithms for the orthographic-n-point problem", Journal of Mathematical
       Imaging and Vision 60(2), 2018.
    """
    check_tail("S", S, "n_points", 3)
    check_tail("W", W, S.shape[-2], 2)
    check_tail("rotation", rotation, 3, 3)
    check_visible(visible, S.shape[-2])
    W, S = zero_hidden(W, visible), zero_hidden(S, visible)
    weights = torch.ones_like(S[..., 0]) if visible is None else visible.to(S.dtype)
    root = weights.sqrt().unsqueeze(-1)
    W = (W - visible_mean(W, visible)) * root
    S = (S - visible_mean(S, visible)) * root

    def residual_of(R):
        X = S @ R.mT
        return X, W - X[..., :2]

    X, residual = residual_of(rotation)
    error = residual.square().sum((-2, -1))
    for _ in range(n_steps):
        x, y, z = X.unbind(-1)
        zero = torch.zeros_like(x)
        # d(exp([w]x) X)_xy / dw = (w x X)_xy
        by_omega = torch.stack(
            (torch.stack((zero, -z), -1), torch.stack((z, zero), -1), torch.stack((-y, x), -1)), -1
        )
        gram = torch.einsum("...pci,...pcj->...ij", by_omega, by_omega)
        moments = torch.einsum("...pci,...pc->...i", by_omega, residual).unsqueeze(-1)
        # _least_squares leaves a factor open: the trace of its matrix.
        trace = gram.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
        moments = moments / trace.clamp_min(torch.finfo(gram.dtype).tiny)
        omega = _least_squares(gram, moments).squeeze(-1)
        proposal = axis_angle_to_matrix(omega) @ rotation
        X_new, residual_new = residual_of(proposal)
        error_new = residual_new.square().sum((-2, -1))
        better = error_new < error
        rotation = torch.where(better[..., None, None], proposal, rotation)
        X = torch.where(better[..., None, None], X_new, X)
        residual = torch.where(better[..., None, None], residual_new, residual)
        error = torch.where(better, error_new, error)
    return rotation


def _least_squares(gram, moments):
    """Solve gram @ R = moments up to a common factor; zero where the gram matrix vanishes."""
    # Nine numbers a frame: double precision is free here, and cofactors of a flat shape need it.
    ridge = _RIDGE[gram.dtype]
    G, B = gram.double(), moments.double()
    trace = G.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
    trace = trace.clamp_min(torch.finfo(gram.dtype).tiny)
    G = G / trace + ridge * torch.eye(3, dtype=G.dtype, device=G.device)
    C = cofactor(G)
    inverse = C / determinant(G, C)
    # Two refinements: B - (G - ridge) R = ridge R for the R of the regularised system.
    R = first = inverse @ B
    for _ in range(2):
        R = first + ridge * (inverse @ R)
    return R.to(gram.dtype)
