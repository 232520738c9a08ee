"""Local rigidity: each point has neighbours whose distance to it hardly changes."""

import torch

# Relative variation of a distance beyond which a pair is no bone at all and is left alone.
_SATURATION = 0.1
# Frames whose pairwise distances are held at once.
_CHUNK = 256


@torch.no_grad()
def steadiest_neighbors(shapes, n_neighbors=3):
    """Return the points whose distance to each point varies least over frames.

    Parameters
    ----------
    shapes : Tensor of shape (n_frames, n_points, 3)
        Shapes in any frame.
    n_neighbors : int
        Neighbours of each point; at most ``n_points - 1`` are returned.

    Returns
    -------
    Tensor of int of shape (n_points, n_neighbors)
        Steadiest first, by the standard deviation of the distance over its mean.
    """
    total = squares = 0
    for chunk in shapes.split(_CHUNK):
        distances = torch.cdist(chunk, chunk)
        total = total + distances.sum(0)
        squares = squares + distances.square().sum(0)
    mean = total / len(shapes)
    variance = (squares / len(shapes) - mean.square()).clamp_min(0)
    variation = variance.sqrt() / mean.clamp_min(torch.finfo(mean.dtype).tiny)
    # A point is no neighbour of itself, nor of one that it coincides with.
    variation = variation.masked_fill(mean <= 1e-6 * mean.max(), torch.inf)
    variation.fill_diagonal_(torch.inf)
    n_neighbors = min(n_neighbors, shapes.shape[1] - 1)
    return variation.topk(n_neighbors, dim=1, largest=False).indices


def local_rigidity_loss(shapes, neighbors):
    r"""Variation over frames of the distance between each point and its steadiest neighbours.

    .. math:: \frac{\sqrt P}{P m} \sum_p \sum_{q \in N(p)} \tau \tanh
              \frac{\mathrm{std}_f \, d_{fpq}}{\tau \, \mathrm{mean}_f \, d_{fpq}},
              \qquad d_{fpq} = \| s_{fp} - s_{fq} \|

    Bones and stiff patches keep their lengths; a reconstruction with a wrong depth has them breathe
    as the view turns. Pairs that vary by more than :math:`\tau = 0.1` are left alone: nothing
    says that they are rigid. It is invariant to the camera and to mirror images.

    Parameters
    ----------
    shapes : Tensor of shape (n_frames, n_points, 3)
        Shapes in any frame.
    neighbors : Tensor of int of shape (n_points, n_neighbors)
        See :func:`steadiest_neighbors`.

    Returns
    -------
    Tensor
        A scalar, in units of a frame's norm as the other losses are: :math:`\sqrt P` times the
        mean relative variation.
    """
    ends = shapes[:, neighbors.flatten()].unflatten(1, neighbors.shape)
    difference = shapes.unsqueeze(2) - ends
    lengths = (difference.square().sum(-1) + 1e-10).sqrt()
    mean = lengths.mean(0)
    # The floors keep the gradient finite at coinciding points and distances that do not vary.
    variation = ((lengths - mean).square().mean(0) + 1e-12).sqrt() / mean
    saturated = _SATURATION * torch.tanh(variation / _SATURATION)
    return saturated.mean() * shapes.shape[1] ** 0.5
