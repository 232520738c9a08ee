"""Points that a frame hides, taken from frames that show them."""

import numpy as np
import torch

from ..geometry import procrustes

# Frames that a hidden point is looked up in.
_MOST_TEMPLATES = 32
# Least relative deviation of a neighbourhood that is told from another.
_EXACT = 1e-3


def complete_from_templates(points, known, templates):
    r"""Place hidden points as their neighbours lie in other frames.

    Each frame g that shows a hidden point p is moved rigidly so that what surrounds p comes to
    where this frame has it,

    .. math::

        \min_{R, t} \sum_q a_{pq} \| R\, x_{gq} + t - x_q \|^2, \qquad
        a_{pq} = \Bigl( \frac{\bar d_p^2}{\bar d_p^2 + \| x_{gq} - x_{gp} \|^2} \Bigr)^2

    with q the points that both frames show and :math:`\bar d_p` the distance of p to the third
    nearest of them. The places :math:`R x_{gp} + t` are averaged, those of frames that fit better
    counting more.

    Parameters
    ----------
    points : Tensor of shape (n_frames, n_points, 3)
        Points, anything where not known.
    known : Tensor of bool of shape (n_frames, n_points)
    templates : Tensor of shape (n_templates, n_points, 3)
        Frames to look points up in, NaN where unknown.

    Returns
    -------
    Tensor of shape (n_frames, n_points, 3)
        The points, all finite if each point is in a template that shares two others with the frame.
    """
    points = points.clone()
    shown = torch.isfinite(templates).all(-1)
    for f, p in torch.argwhere(~known).tolist():
        common = (shown & known[f]).sum(1)
        useful = torch.nonzero(shown[:, p] & (common >= min(3, int(common[shown[:, p]].max()))))
        useful = useful.squeeze(1)
        chosen = np.unique(np.linspace(0, len(useful) - 1, _MOST_TEMPLATES).astype(int))
        points[f, p] = _look_up(points[f], known[f], templates[useful[chosen]], p)
    return points


def _look_up(frame, known, templates, p):
    both = torch.isfinite(templates).all(-1) & known
    there = torch.where(both[..., None], templates, 0.0)
    square = (there - templates[:, None, p]).square().sum(-1)
    nearest = torch.where(both, square, torch.inf).sort(dim=1).values
    third = torch.where(torch.isfinite(nearest), nearest, 0.0)[:, :3].amax(1, keepdim=True)
    weights = torch.where(both, (third / (third + square).clamp_min(1e-300)).square(), 0.0)
    here = torch.where(known[:, None], frame, 0.0)
    fit = procrustes(there, here.expand_as(there), weights=weights)
    left = (weights * (fit.aligned - here).square().sum(-1)).sum(1) / weights.sum(1)
    place = (fit.rotation @ templates[:, p, :, None]).squeeze(-1) + fit.translation
    trust = (left / third.squeeze(1).clamp_min(1e-300) + _EXACT**2).reciprocal().square()
    return (trust[:, None] * place).sum(0) / trust.sum()
