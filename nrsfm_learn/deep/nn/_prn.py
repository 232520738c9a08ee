"""The network of Procrustean regression networks."""

import torch
from torch import nn

# Standard deviation of the initial weights of the last layers, so that training begins with shapes
# that are smaller than the keypoints.
_LAST_DEVIATION = 0.01


def _linear(n_inputs, n_outputs, generator, deviation=None):
    layer = nn.utils.skip_init(nn.Linear, n_inputs, n_outputs)
    deviation = (2 / n_inputs) ** 0.5 if deviation is None else deviation
    with torch.no_grad():
        layer.weight.copy_(deviation * torch.randn(n_outputs, n_inputs, generator=generator))
        layer.bias.zero_()
    return layer


class _Dense(nn.Module):
    """A linear layer, batch normalisation and ReLU."""

    def __init__(self, n_inputs, n_outputs, generator):
        super().__init__()
        self.linear = _linear(n_inputs, n_outputs, generator)
        self.norm = nn.BatchNorm1d(n_outputs)

    def forward(self, x):
        return torch.relu(self.norm(self.linear(x)))


class _ResidualBlock(nn.Module):
    """Two dense layers, added to their input."""

    def __init__(self, width, generator):
        super().__init__()
        self.first = _Dense(width, width, generator)
        self.second = _Dense(width, width, generator)

    def forward(self, x):
        return x + self.second(self.first(x))


class ProcrusteanNetwork(nn.Module):
    """From the keypoints of a frame to its 3-D points in the camera frame.

    A dense layer and a residual block, then one branch for the image plane and one for depth, each
    a residual block and a linear layer; all with batch normalisation.

    Parameters
    ----------
    n_points : int
        Keypoints of a frame.
    width : int, default=1024
        Units of every hidden layer; published with 1024.
    generator : torch.Generator, optional
        Draws the initial parameters.

    Attributes
    ----------
    reference : Tensor of shape (n_points, 3)
        Mean of the aligned shapes of training, set after it; what orients canonical shapes.

    References
    ----------
    .. [1] S. Park, M. Lee, N. Kwak, "Procrustean regression networks: learning 3D structure of
       non-rigid objects from 2D annotations", ECCV 2020, section 4 and supplement, section 2.
    """

    def __init__(self, n_points, width=1024, generator=None):
        super().__init__()
        self.n_points = n_points
        self.trunk = nn.Sequential(
            _Dense(3 * n_points, width, generator), _ResidualBlock(width, generator)
        )
        self.plane = nn.Sequential(
            _ResidualBlock(width, generator),
            _linear(width, 2 * n_points, generator, _LAST_DEVIATION),
        )
        self.depth = nn.Sequential(
            _ResidualBlock(width, generator), _linear(width, n_points, generator, _LAST_DEVIATION)
        )
        self.register_buffer("reference", torch.zeros(n_points, 3))

    def forward(self, points, visible):
        """Lift frames.

        Parameters
        ----------
        points : Tensor of shape (n_frames, n_points, 2)
            Keypoints minus their visible mean, zero where hidden.
        visible : Tensor of shape (n_frames, n_points)
            1 where visible, else 0.

        Returns
        -------
        Tensor of shape (n_frames, n_points, 3)
            Centred points in the camera frame.
        """
        features = self.trunk(torch.cat((points.flatten(-2), visible), -1))
        plane = self.plane(features).unflatten(-1, (self.n_points, 2))
        X = torch.cat((plane, self.depth(features).unsqueeze(-1)), -1)
        return X - X.mean(-2, keepdim=True)
