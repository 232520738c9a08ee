"""Cyclic self-supervision: lift what was lifted, from another side."""

from ..geometry import random_rotations
from ._norms import frame_norm_loss


def cycle_loss(shapes, lift_views, generator=None):
    r"""Error of lifting random views of shapes that the method itself predicted.

    .. math:: \frac1F \sum_f \bigl\| g(\pi(S_f Q_f^\top)) - S_f \bigr\|_F,
              \qquad Q_f \sim \mathrm{Haar}(SO(3))

    with :math:`g` the lifter, :math:`\pi` the camera, and :math:`S_f` held fixed. It shows an
    encoder the views that the data lack, and tells wrong starts from right ones.

    Parameters
    ----------
    shapes : Tensor of shape (n_frames, n_points, 3)
        Predicted canonical shapes; no gradient flows to them as targets or views.
    lift_views : callable
        ``lift_views(X) -> shapes``: projects points of the (centred) camera frame
        (n_frames, n_points, 3) and lifts them again to canonical shapes.
    generator : torch.Generator, optional
        Draws the rotations.

    Returns
    -------
    Tensor
        A scalar.

    References
    ----------
    .. [1] Y. B. Can, A. Liniger, D. P. Paudel, L. Van Gool, "End-to-end learning of multi-category
       3D pose and shape estimation", BMVC 2022, section 3.4.
    """
    shapes = shapes.detach()
    views = random_rotations(
        len(shapes), generator=generator, dtype=shapes.dtype, device=shapes.device
    )
    return frame_norm_loss(lift_views(shapes @ views.transpose(-1, -2)) - shapes)
