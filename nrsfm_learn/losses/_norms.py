"""Norms of residuals, as the papers use them: of a whole frame, and not squared."""

import torch


def frame_norm(residual, weights=None):
    r"""Frobenius norm of each frame's residual.

    .. math:: \|\mathrm{diag}(\sqrt{\omega_f}) E_f\|_F

    Parameters
    ----------
    residual : Tensor of shape (n_frames, n_points, n_coordinates)
        Residual of each point, zero where there is nothing to compare.
    weights : Tensor of shape (n_frames, n_points), optional
        Weight of each point's squared residual.

    Returns
    -------
    Tensor of shape (n_frames,)
        Norms. At a residual of zero the gradient is zero.
    """
    squares = residual.square().sum(-1)
    if weights is not None:
        squares = squares * weights
    total = squares.sum(-1)
    # The norm's gradient is unbounded at zero; below this floor it fades out instead.
    floor = torch.finfo(total.dtype).eps ** 2
    return (total + floor).sqrt()


def frame_norm_loss(residual, weights=None):
    """Mean over frames of :func:`frame_norm`: the loss of Deep NRSfM, Deep NRSfM++ and PAUL.

    Parameters
    ----------
    residual : Tensor of shape (n_frames, n_points, n_coordinates)
        Residual of each point.
    weights : Tensor of shape (n_frames, n_points), optional
        Weight of each point's squared residual.

    Returns
    -------
    Tensor
        A scalar.
    """
    return frame_norm(residual, weights).mean()
