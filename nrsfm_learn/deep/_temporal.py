"""Training on windows of consecutive frames, for methods that else draw single frames."""

import torch
from torch import nn

from .._windows import cut_windows

# Frames of a window: short, so that a batch shows many views.
_WINDOW = 8


class WindowedObjective(nn.Module):
    """An objective that is handed windows in place of frames.

    Parameters
    ----------
    objective : callable
        ``objective(index, iteration, valid) -> loss`` with the frames of all windows, one window
        after the other, and ``valid`` (n_windows, window), False at padding.
    windows : Windows
        Frames of each window.
    device : torch.device
        Where the frames are.
    """

    def __init__(self, objective, windows, device):
        super().__init__()
        self.objective = objective
        self.index = torch.as_tensor(windows.index, device=device)
        self.valid = torch.as_tensor(windows.valid, device=device)

    def before_step(self, iteration):
        """Pass it on."""
        self.objective.before_step(iteration)

    def forward(self, index, iteration):
        """Return the objective of some windows."""
        return self.objective(self.index[index].flatten(), iteration, self.valid[index])


def training_windows(observations, batch_size, *, name, temporal_weight):
    """Cut clips into short windows that overlap by half.

    Parameters
    ----------
    observations : Observations
        Frames; without groups they are one clip.
    batch_size : int
        Frames of a batch.
    name : str
        What messages call the method.
    temporal_weight : float
        Told in messages.

    Returns
    -------
    windows : Windows
        Frames of each window.
    batch_size : int
        Windows of a batch.

    Raises
    ------
    ValueError
        If no clip has two frames, or a batch none.
    """
    what = f"{name}(temporal_weight={temporal_weight}) compares neighbouring frames of a clip"
    if batch_size < 2:
        raise ValueError(f"{what}, and batch_size={batch_size} has none: set it to 2 or more.")
    window = min(_WINDOW, batch_size, len(observations.W))
    windows = cut_windows(
        len(observations.W), observations.groups, window=window, stride=max(1, window // 2)
    )
    if not windows.valid[:, 1].any():
        raise ValueError(
            f"{what}, but every clip of groups has a single frame: give the frames of a clip the "
            f"same label, or set temporal_weight=0."
        )
    return windows, max(1, batch_size // window)
