"""The network that tells a clean shape from a noisy one and its image."""

import math

import torch
from torch import nn
from torch.nn import functional

# Numbers that tell the network the noise level.
_N_LEVELS = 32


def _linear(n_inputs, n_outputs, generator, gain=1.0):
    layer = nn.utils.skip_init(nn.Linear, n_inputs, n_outputs)
    with torch.no_grad():
        weight = torch.randn(n_outputs, n_inputs, generator=generator)
        layer.weight.copy_(gain * n_inputs**-0.5 * weight)
        layer.bias.zero_()
    return layer


class ResidualLayer(nn.Module):
    """Two linear layers after a layer normalisation, added to their input.

    Parameters
    ----------
    width : int
        Features.
    generator : torch.Generator, optional
        Draws the initial parameters.
    """

    def __init__(self, width, generator=None):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.hidden = _linear(width, width, generator)
        self.output = _linear(width, width, generator)

    def forward(self, x):
        """Map (..., width) to the same."""
        return x + self.output(functional.gelu(self.hidden(self.norm(x))))


class Denoiser(nn.Module):
    r"""Clean shapes :math:`g_\omega(y_t, c, t)` of noisy ones and their keypoints.

    A residual perceptron for single frames.

    Parameters
    ----------
    n_points : int
        Points of a shape.
    width : int, default=512
        Features.
    n_blocks : int, default=3
        Residual layers.
    generator : torch.Generator, optional
        Draws the initial parameters.
    """

    def __init__(self, n_points, width=512, n_blocks=3, generator=None):
        super().__init__()
        self.n_points = n_points
        self.first = _linear(6 * n_points + 2 * _N_LEVELS, width, generator)
        self.blocks = nn.ModuleList(ResidualLayer(width, generator) for _ in range(n_blocks))
        self.norm = nn.LayerNorm(width)
        self.last = _linear(width, 3 * n_points, generator)

    def forward(self, noisy, points, visible, level):
        """Return the clean shapes (n_frames, n_points, 3), centred.

        Parameters
        ----------
        noisy : Tensor of shape (n_frames, n_points, 3)
            Noisy shapes.
        points : Tensor of shape (n_frames, n_points, 2)
            Keypoints minus their visible mean, zero where hidden.
        visible : Tensor of shape (n_frames, n_points)
            1 where a keypoint is visible, else 0.
        level : Tensor of shape (n_frames,)
            Step of the noise over the number of steps, between 0 and 1.
        """
        frequencies = torch.arange(1, _N_LEVELS + 1, dtype=level.dtype, device=level.device)
        angles = level.unsqueeze(-1) * frequencies * (math.pi / 2)
        told = (noisy.flatten(-2), points.flatten(-2), visible, angles.sin(), angles.cos())
        x = self.first(torch.cat(told, -1))
        for block in self.blocks:
            x = block(x)
        X = self.last(self.norm(x)).unflatten(-1, (self.n_points, 3))
        return X - X.mean(-2, keepdim=True)
