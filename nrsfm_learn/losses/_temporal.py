"""Smoothness in time: shapes of neighbouring frames of a clip resemble each other."""

import torch


def temporal_smoothness_loss(X, valid=None, weights=None, *, order=1):
    r"""Mean squared difference of points between neighbouring frames.

    .. math::
        \frac{\sum_{w,t,p} \omega_{wtp} \| \Delta^k x_{wtp} \|^2}
             {\sum_{w,t,p} \omega_{wtp}} \cdot P,
        \qquad \Delta x_{t} = x_{t + 1} - x_t

    of order k = 1, which asks for slow points, or k = 2, which asks for even motion. The weight of
    a difference is the product of those of the frames and points that it is made of.

    Parameters
    ----------
    X : Tensor of shape (..., n_frames, n_points, n_coordinates)
        Points of windows of consecutive frames, such as aligned or canonical shapes.
    valid : Tensor of bool of shape (..., n_frames), default=None
        False at padding: differences that touch it do not count.
    weights : Tensor of shape (..., n_frames, n_points), default=None
        Weight of each point, such as 1 where visible.
    order : {1, 2}, default=1
        k.

    Returns
    -------
    Tensor
        A scalar, the mean over frames of a squared Frobenius norm; zero if no difference counts.

    Raises
    ------
    ValueError
        If ``order`` is neither 1 nor 2.

    Notes
    -----
    It vanishes for points at rest, for order 2 also for points in uniform motion. Neighbours are
    frames next to each other in ``X``: cut clips into windows first.

    Examples
    --------
    >>> import torch
    >>> from nrsfm_learn.losses import temporal_smoothness_loss
    >>> X = torch.arange(5.0)[:, None, None].expand(5, 2, 3)
    >>> temporal_smoothness_loss(X).item(), temporal_smoothness_loss(X, order=2).item()
    (6.0, 0.0)
    """
    if order not in (1, 2):
        raise ValueError(f"order must be 1 or 2, of the difference; got {order!r}.")
    n_points = X.shape[-2]
    share = (
        X.new_ones(X.shape[:-1]) if weights is None else weights.to(X.dtype).expand(X.shape[:-1])
    )
    if valid is not None:
        share = share * valid.unsqueeze(-1)
    # Points without weight may hold anything.
    X = torch.where(share.unsqueeze(-1) > 0, X, 0)
    for _ in range(order):
        X = X[..., 1:, :, :] - X[..., :-1, :, :]
        share = share[..., 1:, :] * share[..., :-1, :]
    total = share.sum()
    squares = (share * X.square().sum(-1)).sum()
    return n_points * squares / total.clamp_min(torch.finfo(X.dtype).tiny)
