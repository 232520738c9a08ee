"""Attention over the points of a frame and over the frames of a point, by turns."""

import torch
from torch import nn
from torch.nn import functional

from ...geometry import rotation_6d_to_matrix

# Deviation of the initial embeddings and tokens, that of vision transformers.
_DEVIATION = 0.02
# That of the heads of shapes, so that training begins with shapes that are smaller than the
# keypoints: from larger ones it ended in shapes that are flat or drawn out in depth.
_SHAPE_DEVIATION = 0.01


def _linear(n_inputs, n_outputs, generator, deviation=None):
    """Return a layer without bias to begin with; by default its outputs keep the input's size."""
    layer = nn.utils.skip_init(nn.Linear, n_inputs, n_outputs)
    deviation = n_inputs**-0.5 if deviation is None else deviation
    with torch.no_grad():
        layer.weight.copy_(deviation * torch.randn(n_outputs, n_inputs, generator=generator))
        layer.bias.zero_()
    return layer


class AttentionBlock(nn.Module):
    r"""Pre-norm self-attention and a two-layer perceptron, both added to their input.

    .. math:: y = x + \mathrm{MSA}(\mathrm{LN}(x)), \qquad z = y + \mathrm{MLP}(\mathrm{LN}(y))

    Parameters
    ----------
    width : int
        Features :math:`D` of a token.
    n_heads : int
        Heads of the attention; they divide the width.
    mlp_ratio : int
        Hidden units of the perceptron, in widths.
    generator : torch.Generator, optional
        Draws the initial parameters.
    """

    def __init__(self, width, n_heads, mlp_ratio=2, generator=None):
        super().__init__()
        self.n_heads = n_heads
        self.attention_norm = nn.LayerNorm(width)
        self.queries_keys_values = _linear(width, 3 * width, generator)
        self.output = _linear(width, width, generator)
        self.mlp_norm = nn.LayerNorm(width)
        self.hidden = _linear(width, mlp_ratio * width, generator)
        self.narrow = _linear(mlp_ratio * width, width, generator)

    def forward(self, x, used=None):
        """Map tokens (n, length, width) to the same.

        Parameters
        ----------
        x : Tensor of shape (n, length, width)
            Tokens that attend to each other.
        used : Tensor of bool of shape (n, 1, 1, length), optional
            Tokens that may be attended to.
        """
        qkv = self.queries_keys_values(self.attention_norm(x)).unflatten(-1, (3, self.n_heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=used)
        x = x + self.output(mixed.transpose(1, 2).flatten(-2))
        return x + self.narrow(functional.gelu(self.hidden(self.mlp_norm(x))))


class FrameTrunk(nn.Module):
    """Two dense layers that see the keypoints of a frame at once.

    Parameters
    ----------
    n_points : int
        Keypoints of a frame.
    width : int
        Features.
    generator : torch.Generator, optional
        Draws the initial parameters.
    """

    def __init__(self, n_points, width, generator=None):
        super().__init__()
        self.first = _linear(3 * n_points, width, generator)
        self.norm = nn.LayerNorm(width)
        self.second = _linear(width, width, generator)

    def forward(self, seen):
        """Map keypoints and their visibility (..., n_points, 3) to features (..., width)."""
        x = functional.gelu(self.first(seen.flatten(-2)))
        return x + functional.gelu(self.second(self.norm(x)))


class MixedEncoder(nn.Module):
    r"""Mixed spatio-temporal encoder of keypoint sequences (section 3.4 of [1]_).

    A token for each keypoint of each frame, one more in each frame for its pose, and one more
    "frame" for the sequence,

    .. math:: Z = [Z_0, Z_1, \dots, Z_F] \in \mathbb R^{(F+1) \times (P+1) \times D},

    pass blocks of which each attends among the tokens of a frame, then among the frames of a token.

    Parameters
    ----------
    n_points : int
        Keypoints of a frame.
    window : int
        Frames of a sequence, :math:`F`.
    width : int
        Features :math:`D` of a token.
    n_blocks : int
        Pairs of spatial and temporal attention, :math:`L`.
    n_heads : int
        Heads of each attention.
    generator : torch.Generator, optional
        Draws the initial parameters.

    References
    ----------
    .. [1] H. Ji, H. Deng, Y. Dai, H. Li, "Unsupervised 3D pose estimation with non-rigid
       structure-from-motion modeling", WACV 2024.
    """

    def __init__(self, n_points, window, width=64, n_blocks=4, n_heads=8, generator=None):
        super().__init__()
        self.window = window

        def draw(*shape):
            return nn.Parameter(_DEVIATION * torch.randn(*shape, generator=generator))

        self.embedding = _linear(3, width, generator)
        self.frames = FrameTrunk(n_points, 4 * width, generator)
        self.frame_embedding = _linear(4 * width, width, generator)
        self.point_positions = draw(n_points + 1, width)
        self.frame_positions = draw(window + 1, width)
        self.pose_token = draw(width)
        self.sequence_token = draw(width)
        settings = {"n_heads": n_heads, "generator": generator}
        self.spatial = nn.ModuleList(AttentionBlock(width, **settings) for _ in range(n_blocks))
        self.temporal = nn.ModuleList(AttentionBlock(width, **settings) for _ in range(n_blocks))
        self.norm = nn.LayerNorm(width)

    def forward(self, points, visible, present=None):
        """Return the tokens of windows, and features of each frame by itself.

        Parameters
        ----------
        points : Tensor of shape (n_windows, window, n_points, 2)
            Keypoints minus the visible mean of their frame; zero where hidden.
        visible : Tensor of shape (n_windows, window, n_points)
            1 where visible, else 0.
        present : Tensor of bool of shape (n_windows, window), optional
            False at frames that only fill up a short window: nothing attends to them.

        Returns
        -------
        tokens : Tensor of shape (n_windows, window + 1, n_points + 1, width)
            The sequence comes before the frames, the pose before the points.
        features : Tensor of shape (n_windows, window, 4 * width)
            Of the trunk.
        """
        seen = torch.cat((points, visible.unsqueeze(-1)), -1)
        features = self.frames(seen)
        pose = self.pose_token + self.frame_embedding(features)
        z = torch.cat((pose.unsqueeze(2), self.embedding(seen)), 2)
        z = torch.cat((self.sequence_token.expand_as(z[:, :1]), z), 1)
        z = z + self.point_positions + self.frame_positions.unsqueeze(1)
        n, length, n_tokens, _ = z.shape
        used = None
        if present is not None and not bool(present.all()):
            used = functional.pad(present, (1, 0), value=True)
            used = used.repeat_interleave(n_tokens, 0)[:, None, None]
        for spatial, temporal in zip(self.spatial, self.temporal, strict=True):
            z = spatial(z.flatten(0, 1)).unflatten(0, (n, length))
            z = temporal(z.transpose(1, 2).flatten(0, 1), used)
            z = z.unflatten(0, (n, n_tokens)).transpose(1, 2)
        return self.norm(z), features


class MotionNetwork(nn.Module):
    r"""Reference shape, deformations and cameras of keypoint sequences (eq. 4 and 7 of [1]_).

    .. math:: S_i = \bar S + \delta_i, \qquad \bar S = h_r(Z_0), \quad
              \delta_{ij} = h_j(Z_{ij}) + h_f(\phi_i)_j, \quad R_i = h_m(Z_{i0})

    with linear heads on the encoder's tokens. The head of the cameras begins at the identity. Not
    in the paper: each point has a head of its own, and features :math:`\phi_i` that a perceptron
    reads from the frame by itself, which also go into its pose token, add to the deformation.
    Attention alone took many times as long to learn depth.

    Parameters
    ----------
    n_points, window, width, n_blocks, n_heads, generator
        As of :class:`MixedEncoder`.
    reference : bool, default=True
        Whether there is a reference shape; else shapes are :math:`\delta_i` alone.

    References
    ----------
    .. [1] H. Ji, H. Deng, Y. Dai, H. Li, "Unsupervised 3D pose estimation with non-rigid
       structure-from-motion modeling", WACV 2024.
    """

    def __init__(
        self, n_points, window, *, width=64, n_blocks=4, n_heads=8, reference=True, generator=None
    ):
        super().__init__()
        self.n_points = n_points
        self.encoder = MixedEncoder(n_points, window, width, n_blocks, n_heads, generator)
        self.reference_head = None
        if reference:
            self.reference_head = _linear(width, 3 * n_points, generator, _SHAPE_DEVIATION)
        weight = _SHAPE_DEVIATION * torch.randn(n_points, 3, width, generator=generator)
        self.deformation_head = nn.Parameter(weight)
        self.frame_head = _linear(4 * width, 3 * n_points, generator, _SHAPE_DEVIATION)
        # Small, so that the cameras begin near the identity that the bias is.
        self.rotation_head = _linear(width, 6, generator, deviation=_DEVIATION)
        with torch.no_grad():
            self.rotation_head.bias.copy_(torch.eye(3)[:2].flatten())

    def forward(self, points, visible, present=None):
        """Lift windows; see :meth:`MixedEncoder.forward` for the input.

        Returns
        -------
        shapes : Tensor of shape (n_windows, window, n_points, 3)
            Centred canonical shapes.
        rotations : Tensor of shape (n_windows, window, 3, 3)
            ``x_cam = R x``.
        reference : Tensor of shape (n_windows, n_points, 3) or None
            Centred reference shape of each window.
        """
        z, features = self.encoder(points, visible, present)
        shapes = (self.deformation_head @ z[:, 1:, 1:].unsqueeze(-1)).squeeze(-1)
        shapes = shapes + self.frame_head(features).unflatten(-1, (self.n_points, 3))
        shapes = shapes - shapes.mean(-2, keepdim=True)
        reference = None
        if self.reference_head is not None:
            reference = self.reference_head(z[:, 0, 0]).unflatten(-1, (self.n_points, 3))
            reference = reference - reference.mean(-2, keepdim=True)
            shapes = shapes + reference.unsqueeze(1)
        return shapes, rotation_6d_to_matrix(self.rotation_head(z[:, 1:, 0])), reference
