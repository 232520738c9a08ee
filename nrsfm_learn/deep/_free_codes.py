"""Codes of frames for a decoder without an encoder."""

import copy

import numpy as np
import torch

from .._frame_keys import match_keys
from ..losses import frame_norm
from ._procrustean_objective import align, visible_centered

_N_CANDIDATES = 256
_N_STEPS, _LEARNING_RATE = 200, 0.03


def known_codes(module, frames, keys, known_keys):
    """Return the free codes of frames that were fitted, and solve for those of the others.

    Parameters
    ----------
    module : ProcrusteanAutoEncoder
        With free codes.
    frames : Frames
        Frames.
    keys, known_keys : ndarray of int64
        Of these frames, and of those of the fit.

    Returns
    -------
    Tensor of shape (n_frames, n_components)
    """
    row, known = match_keys(keys, known_keys)
    codes = module.free_codes.detach()[torch.as_tensor(row, device=frames.points.device)]
    if not known.all():
        others = torch.as_tensor(np.flatnonzero(~known), device=codes.device)
        codes[others] = solve_codes(module, frames.take(others))
    return codes


def solve_codes(module, frames):
    """Find the code of each frame that reprojects best: from the nearest codes of training, by
    gradient descent with the decoder fixed.

    Parameters
    ----------
    module : ProcrusteanAutoEncoder
        With free codes.
    frames : Frames
        Frames that it was not trained on.

    Returns
    -------
    Tensor of shape (n_frames, n_components)
    """
    # In double precision: two hundred steps make much of a rounding error, and what comes back
    # must not depend on which other frames were asked for.
    dtype = frames.points.dtype
    module = copy.deepcopy(module).double()
    frames = frames._replace(
        **{
            name: value.double()
            for name, value in frames._asdict().items()
            if isinstance(value, torch.Tensor)
        }
    )
    known = module.free_codes.detach()
    stride = max(1, len(known) // _N_CANDIDATES)
    known = known[::stride]
    with torch.no_grad():
        shapes = module.decode(known)
        errors = torch.stack(
            [_error(S.expand(frames.n_frames, -1, -1), frames) for S in shapes], dim=1
        )
        codes = known[errors.argmin(1)].clone()
    # Gradients flow to the codes alone: torch.autograd.grad leaves those of the networks as they
    # are.
    best, lowest = codes.clone(), errors.amin(1)
    with torch.enable_grad():
        codes.requires_grad_()
        optimizer = torch.optim.Adam([codes], lr=_LEARNING_RATE)
        for _ in range(_N_STEPS):
            error = _error(module.decode(codes), frames)
            better = error.detach() < lowest
            lowest = torch.where(better, error.detach(), lowest)
            best = torch.where(better[:, None], codes.detach(), best)
            (codes.grad,) = torch.autograd.grad(error.sum(), codes)
            optimizer.step()
    return best.to(dtype)


def _error(shapes, frames):
    """Return the distance of each shape to what its frame shows."""
    alignment = align([shapes], frames)
    target = alignment.seen @ alignment.rotations
    return frame_norm(visible_centered(shapes, frames.visible) - target, frames.weights)
