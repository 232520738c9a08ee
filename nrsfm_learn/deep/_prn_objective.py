"""The objective of Procrustean regression networks, called once an iteration."""

import torch
from torch import nn

from ..geometry import procrustean_cost

# Angle, radians, up to which rotations are sought in training.
_ANGLE_TOL = 1e-4


class AlignedWindowsObjective(nn.Module):
    r"""Reprojection, and nuclear norm of the aligned shapes of each window (eq. 1 of [1]_).

    .. math:: \frac{1}{|B|} \sum_{w \in B} \Bigl( \tfrac12 \sum_{f \in w} \sum_p m_{fp}
              \| \Pi x_{fp} + t_f - u_{fp} \|^2 + \lambda \| \tilde X_w \|_* \Bigr)

    with :math:`|B|` the frames of a batch of windows.

    Parameters
    ----------
    module : ProcrusteanNetwork
        The network.
    frames : Frames
        All frames.
    windows : Windows
        Frames of each window.
    generator : torch.Generator
        Draws what is hidden.
    regularization : float
        :math:`\lambda`.
    hide_fraction : float
        Fraction of the visible keypoints hidden from the network.
    freeze_start : int
        Iteration from which on batch normalisation keeps its statistics.

    References
    ----------
    .. [1] S. Park, M. Lee, N. Kwak, "Procrustean regression networks: learning 3D structure of
       non-rigid objects from 2D annotations", ECCV 2020, supplement.
    """

    def __init__(
        self,
        module,
        frames,
        windows,
        *,
        generator,
        regularization,
        hide_fraction,
        freeze_start,
    ):
        super().__init__()
        self.module = module
        self.frames = frames
        device = frames.points.device
        self.index = torch.as_tensor(windows.index, device=device)
        self.valid = torch.as_tensor(windows.valid, device=device)
        self.generator = generator
        self.regularization = regularization
        self.hide_fraction = hide_fraction
        self.freeze_start = freeze_start

    def before_step(self, iteration):
        """Freeze the statistics of batch normalisation in the second phase."""
        self.module.train(iteration < self.freeze_start)

    def forward(self, index, iteration):
        """Return the objective of some windows."""
        valid = self.valid[index]
        # Padding must not count in the statistics of batch normalisation.
        frames = self.frames.take(self.index[index][valid])
        shown = frames.hidden(self.hide_fraction, self.generator)
        lifted = self.module(shown.points, shown.visible)
        weights = frames.visible if frames.weights is None else frames.visible * frames.weights
        cost = procrustean_cost(
            *(_in_windows(a, valid) for a in (lifted, frames.points, weights)),
            regularization=self.regularization,
            tol=_ANGLE_TOL,
        )
        return cost.sum() / len(lifted)


def _in_windows(rows, valid):
    """Put one row a frame into windows. Padding is zero, which turns no other shape in an
    alignment and adds nothing to a norm.
    """
    places = valid.reshape(*valid.shape, *[1] * (rows.ndim - 1))
    return rows.new_zeros(*valid.shape, *rows.shape[1:]).masked_scatter(places, rows)
