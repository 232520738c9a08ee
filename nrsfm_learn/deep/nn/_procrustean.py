"""The networks of PAUL: 2D-3D encoder, decoder, and the encoder of the auto-encoder."""

import itertools
import math

import torch
from torch import nn

from ._hierarchical import HierarchicalBlockSparseLifter

# Gains of the initial weights over 1 / sqrt(inputs): before a ReLU, at an output, and at the end of
# a residual branch, which has to leave the trunk as it is.
_GAIN, _OUTPUT_GAIN, _RESIDUAL_GAIN = math.sqrt(2), 1.0, 0.5


def _linear(n_inputs, n_outputs, gain, generator):
    layer = nn.utils.skip_init(nn.Linear, n_inputs, n_outputs)
    with torch.no_grad():
        weight = torch.randn(n_outputs, n_inputs, generator=generator)
        layer.weight.copy_(weight * (gain / math.sqrt(n_inputs)))
        layer.bias.zero_()
    return layer


class MultilayerPerceptron(nn.Module):
    """Linear layers with ReLU between them.

    Parameters
    ----------
    sizes : sequence of int
        Inputs, hidden units of each layer, outputs.
    generator : torch.Generator, optional
        Draws the initial parameters.
    """

    def __init__(self, sizes, generator=None):
        super().__init__()
        gains = [_GAIN] * (len(sizes) - 2) + [_OUTPUT_GAIN]
        self.layers = nn.ModuleList(
            _linear(n_inputs, n_outputs, gain, generator)
            for (n_inputs, n_outputs), gain in zip(itertools.pairwise(sizes), gains, strict=True)
        )

    def forward(self, x):
        """Map (n_frames, sizes[0]) to (n_frames, sizes[-1])."""
        *hidden, last = self.layers
        for layer in hidden:
            x = torch.relu(layer(x))
        return last(x)


class ResidualEncoder(nn.Module):
    """Residual multilayer perceptron from 2-D observations to codes.

    Parameters
    ----------
    n_inputs, width, n_blocks, n_outputs : int
        Sizes; a block has two layers.
    generator : torch.Generator, optional
        Draws the initial parameters.
    """

    def __init__(self, n_inputs, width, n_blocks, n_outputs, generator=None):
        super().__init__()
        self.first = _linear(n_inputs, width, _GAIN, generator)
        self.blocks = nn.ModuleList(
            nn.ModuleList(
                [
                    _linear(width, width, _GAIN, generator),
                    _linear(width, width, _RESIDUAL_GAIN, generator),
                ]
            )
            for _ in range(n_blocks)
        )
        self.last = _linear(width, n_outputs, _OUTPUT_GAIN, generator)

    def forward(self, x):
        """Map (n_frames, n_inputs) to (n_frames, n_outputs)."""
        x = torch.relu(self.first(x))
        for inner, outer in self.blocks:
            x = x + torch.relu(outer(torch.relu(inner(x))))
        return self.last(x)


class BlockSparseEncoder(nn.Module):
    """The encoder of Deep NRSfM++ and one linear map from its codes.

    Parameters
    ----------
    n_points : int
        Keypoints of a frame.
    n_outputs : int
        Length of a code.
    first_size : int
        Atoms of the first dictionary; they halve down to the code.
    n_columns : {2, 3}
        3 under perspective.
    generator : torch.Generator, optional
        Draws the initial parameters.
    """

    def __init__(self, n_points, n_outputs, first_size=256, n_columns=2, generator=None):
        super().__init__()
        sizes = [first_size]
        while sizes[-1] // 2 > n_outputs:
            sizes.append(sizes[-1] // 2)
        sizes.append(n_outputs)
        self.lifter = HierarchicalBlockSparseLifter(
            n_points, sizes, n_columns=n_columns, generator=generator
        )
        self.last = _linear(n_outputs, n_outputs, _OUTPUT_GAIN, generator)

    def forward(self, frames):
        """Return codes (n_frames, n_outputs) of frames."""
        return self.last(self.lifter.encode(frames))


class ProcrusteanAutoEncoder(nn.Module):
    r"""Codes of frames, shapes of codes, and codes of shapes.

    Parameters
    ----------
    n_points : int
        Keypoints of a frame.
    n_components : int
        Length :math:`K` of a code.
    widths : sequence of int
        Hidden units of the auto-encoder's encoder :math:`f_e`, largest first; the decoder
        :math:`f_d` has them reversed.
    encoder : {"mlp", "deep_nrsfm", None}
        The 2D-3D encoder :math:`h`; None where codes are free variables.
    encoder_width, encoder_blocks : int
        Of the residual encoder.
    n_free_codes : int
        Free codes to hold.
    autoencode : bool
        Whether there is an :math:`f_e`; an auto-decoder has none.
    perspective : bool
        Whether frames are lines of sight.
    generator : torch.Generator, optional
        Draws the initial parameters.

    Notes
    -----
    The residual encoder sees the normalised keypoints, zero where hidden, and which are visible;
    under perspective the direction of the object too, on which its looks depend.

    References
    ----------
    .. [1] C. Wang, "Towards reconstructing non-rigidity from single camera", thesis, The Robotics
       Institute, Carnegie Mellon University, 2022, section 2.4 and 2.5.1.
    """

    def __init__(
        self,
        n_points,
        n_components,
        widths,
        *,
        encoder="mlp",
        encoder_width=256,
        encoder_blocks=2,
        n_free_codes=0,
        autoencode=True,
        perspective=False,
        generator=None,
    ):
        super().__init__()
        self.n_points = n_points
        widths = list(widths)
        self.observation_encoder = self.free_codes = None
        if encoder == "mlp":
            self.observation_encoder = ResidualEncoder(
                (5 if perspective else 3) * n_points,
                encoder_width,
                encoder_blocks,
                n_components,
                generator,
            )
            # Where training saw everything, what the mask says was never learned: it must be
            # silent, not noise.
            with torch.no_grad():
                self.observation_encoder.first.weight[:, 2 * n_points : 3 * n_points] = 0
        elif encoder == "deep_nrsfm":
            self.observation_encoder = BlockSparseEncoder(
                n_points, n_components, n_columns=3 if perspective else 2, generator=generator
            )
        if n_free_codes:
            self.free_codes = nn.Parameter(
                torch.randn(n_free_codes, n_components, generator=generator)
            )
        self.decoder = MultilayerPerceptron(
            [n_components, *reversed(widths), 3 * n_points], generator
        )
        self.shape_encoder = None
        if autoencode:
            self.shape_encoder = MultilayerPerceptron(
                [3 * n_points, *widths, n_components], generator
            )

    def code(self, frames):
        """Return the codes (n_frames, K) that the 2D-3D encoder gives frames."""
        if isinstance(self.observation_encoder, BlockSparseEncoder):
            return self.observation_encoder(frames)
        inputs = [frames.normalized().flatten(-2), 1 - frames.visible]
        if frames.perspective:
            inputs.append(frames.points.flatten(-2))
        return self.observation_encoder(torch.cat(inputs, -1))

    def decode(self, codes):
        """Return the centred shapes (n_frames, n_points, 3) of codes."""
        shapes = self.decoder(codes).unflatten(-1, (self.n_points, 3))
        return shapes - shapes.mean(-2, keepdim=True)

    def encode_shapes(self, shapes):
        """Return the codes (n_frames, K) of shapes."""
        return self.shape_encoder(shapes.flatten(-2))

    @torch.no_grad()
    def mirror_(self):
        """Turn every decoded shape into its mirror image, z to -z, with the codes as they are."""
        last = self.decoder.layers[-1]
        last.weight.unflatten(0, (self.n_points, 3))[:, 2].neg_()
        last.bias.unflatten(0, (self.n_points, 3))[:, 2].neg_()
        if self.shape_encoder is not None:
            self.shape_encoder.layers[0].weight.unflatten(1, (self.n_points, 3))[..., 2].neg_()
