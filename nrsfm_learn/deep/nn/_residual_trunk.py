"""The fully connected residual trunk of C3DPO, and the factorisation network that stands on it."""

import torch
from torch import nn
from torch.nn import functional

from ...geometry import axis_angle_to_matrix, rotation_6d_to_matrix

# Standard deviation of the initial weights; batch normalisation makes up for their size.
_DEVIATION = 0.01


def _linear(n_inputs, n_outputs, generator, bias=True):
    layer = nn.utils.skip_init(nn.Linear, n_inputs, n_outputs, bias=bias)
    with torch.no_grad():
        layer.weight.copy_(_DEVIATION * torch.randn(n_outputs, n_inputs, generator=generator))
        if bias:
            layer.bias.zero_()
    return layer


class ResidualBottleneck(nn.Module):
    r"""Three linear layers with a narrow middle, added to their input.

    .. math:: y = \mathrm{ReLU}\bigl(x + B_3 W_3\, \mathrm{ReLU}(B_2 W_2\,
              \mathrm{ReLU}(B_1 W_1 x))\bigr)

    with batch normalisations :math:`B_i`.

    Parameters
    ----------
    width, bottleneck : int
        Sizes outside and in the middle.
    generator : torch.Generator, optional
        Draws the initial parameters.
    """

    def __init__(self, width, bottleneck, generator=None):
        super().__init__()
        sizes = (width, bottleneck, bottleneck, width)
        # A bias before batch normalisation would be subtracted again.
        self.layers = nn.ModuleList(
            _linear(sizes[i], sizes[i + 1], generator, bias=False) for i in range(3)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(size) for size in sizes[1:])

    def forward(self, x):
        """Map (n_frames, width) to the same."""
        # No slices: each would build a module, which tells in the lift of a single frame.
        first, second, third = self.layers
        norm_1, norm_2, norm_3 = self.norms
        y = torch.relu(norm_1(first(x)))
        y = torch.relu(norm_2(second(y)))
        return torch.relu(x + norm_3(third(y)))


class ResidualTrunk(nn.Module):
    """A linear layer and residual bottlenecks, all with batch normalisation.

    Parameters
    ----------
    n_inputs : int
        Numbers that describe a frame.
    width, bottleneck : int
        Features that come out, and of the middle of each bottleneck; published with 1024 and 256.
    n_blocks : int, default=6
        Bottlenecks.
    generator : torch.Generator, optional
        Draws the initial weights from a normal distribution of deviation 0.01.

    References
    ----------
    .. [1] D. Novotny, N. Ravi, B. Graham, N. Neverova, A. Vedaldi, "C3DPO: canonical 3D pose
       networks for non-rigid structure from motion", ICCV 2019, section 4.
    """

    def __init__(self, n_inputs, width=1024, bottleneck=256, n_blocks=6, generator=None):
        super().__init__()
        self.first = _linear(n_inputs, width, generator, bias=False)
        self.first_norm = nn.BatchNorm1d(width)
        self.blocks = nn.ModuleList(
            ResidualBottleneck(width, bottleneck, generator) for _ in range(n_blocks)
        )

    def forward(self, x):
        """Map (n_frames, n_inputs) to features (n_frames, width)."""
        x = torch.relu(self.first_norm(self.first(x)))
        for block in self.blocks:
            x = block(x)
        return x


class FactorizationNetwork(nn.Module):
    r"""Shape code and camera of a frame, and the shapes of codes.

    .. math:: \alpha = W_g f(Y) + b_g, \qquad R = \rho(W_r f(Y) + b_r), \qquad
              X = \alpha S + b_S

    with the trunk :math:`f`, and :math:`\rho` the exponential map or
    :func:`~nrsfm_learn.geometry.rotation_6d_to_matrix`; with ``nonnegative`` a ReLU around
    :math:`\alpha` (eq. 4 of [1]_).

    Parameters
    ----------
    n_points : int
        Keypoints of a frame, those of all categories.
    n_components : int
        Length of a code, :math:`D`.
    width, bottleneck, n_blocks : int
        Of the trunk, see :class:`ResidualTrunk`.
    nonnegative : bool, default=False
        Whether codes pass a ReLU.
    rotation : {"6d", "log"}, default="6d"
        How the trunk's features tell a rotation.
    canonicalize : bool, default=False
        Whether there is a second trunk, from shapes to codes.
    generator : torch.Generator, optional
        Draws the initial parameters.

    References
    ----------
    .. [1] Y. B. Can, A. Liniger, D. P. Paudel, L. Van Gool, "End-to-end learning of multi-category
       3D pose and shape estimation", BMVC 2022.
    """

    def __init__(
        self,
        n_points,
        n_components,
        *,
        width=1024,
        bottleneck=256,
        n_blocks=6,
        nonnegative=False,
        rotation="6d",
        canonicalize=False,
        generator=None,
    ):
        super().__init__()
        self.n_points = n_points
        self.nonnegative = nonnegative
        self.rotation = rotation
        # Whether training leaves shapes as they are, and learns cameras.
        self.held = False
        trunk = {"width": width, "bottleneck": bottleneck, "n_blocks": n_blocks}
        self.trunk = ResidualTrunk(3 * n_points, **trunk, generator=generator)
        self.code_head = _linear(width, n_components, generator)
        self.rotation_head = _linear(width, 3 if rotation == "log" else 6, generator)
        if rotation == "6d":
            with torch.no_grad():
                self.rotation_head.bias.copy_(torch.eye(3)[:2].flatten())
        self.basis = _linear(n_components, 3 * n_points, generator)
        self.canonical_trunk = self.canonical_head = None
        if canonicalize:
            self.canonical_trunk = ResidualTrunk(3 * n_points, **trunk, generator=generator)
            self.canonical_head = _linear(width, n_components, generator)

    def features(self, points, visible):
        """Return the features (n_frames, width) of keypoints, zero where hidden, and of the mask.

        Parameters
        ----------
        points : Tensor of shape (n_frames, n_points, 2)
            Keypoints minus their visible mean.
        visible : Tensor of shape (n_frames, n_points)
            1 where visible, else 0.
        """
        return self.trunk(torch.cat((points.flatten(-2), visible), -1))

    def codes(self, features):
        """Return the codes (n_frames, n_components) of features."""
        return self._activated(self._held_or_not(self.code_head, features))

    def rotations(self, features):
        """Return the cameras (n_frames, 3, 3) of features."""
        found = self.rotation_head(features)
        to_matrix = axis_angle_to_matrix if self.rotation == "log" else rotation_6d_to_matrix
        return to_matrix(found)

    def decode(self, codes, selection):
        """Return the shapes of codes.

        Parameters
        ----------
        codes : Tensor of shape (n_frames, n_components)
            Codes.
        selection : Tensor of shape (n_frames, n_points)
            1 at the points of the frame's category, else 0.

        Returns
        -------
        Tensor of shape (n_frames, n_points, 3)
            Centred over the selected points; zero at the others.
        """
        shapes = self._held_or_not(self.basis, codes).unflatten(-1, (self.n_points, 3))
        weights = selection.unsqueeze(-1)
        mean = (shapes * weights).sum(-2, keepdim=True) / weights.sum(-2, keepdim=True)
        return (shapes - mean) * weights

    def canonical_codes(self, X):
        """Return the codes (n_frames, n_components) of shapes that were turned somehow."""
        return self._activated(self.canonical_head(self.canonical_trunk(X.flatten(-2))))

    @torch.no_grad()
    def begin_with_(self, shapes):
        """Let shapes (n_points, 3) be the mean, which codes deform."""
        self.basis.bias.copy_(shapes.flatten())
        if self.nonnegative:
            # At zero a ReLU has half of the codes off, and some never come on.
            self.code_head.bias.fill_(1.0)

    @torch.no_grad()
    def mirror_(self):
        """Turn every shape into its mirror image, z to -z, and every camera with it."""
        self.basis.weight.unflatten(0, (self.n_points, 3))[:, 2].neg_()
        self.basis.bias.unflatten(0, (self.n_points, 3))[:, 2].neg_()
        # With D = diag(1, 1, -1): D exp([r]) D = exp([-D r]), and of the first two columns of D R D
        # those of R differ in the sign of z.
        for row in (0, 1) if self.rotation == "log" else (2, 5):
            self.rotation_head.weight[row].neg_()
            self.rotation_head.bias[row].neg_()
        if self.canonical_trunk is not None:
            self.canonical_trunk.first.weight.unflatten(1, (self.n_points, 3))[..., 2].neg_()

    def _held_or_not(self, layer, x):
        if not self.held:
            return layer(x)
        # Gradients of zero, not none: optimisers step all parameters at once.
        return functional.linear(x, *(p.detach() + 0 * p for p in layer.parameters()))

    def _activated(self, codes):
        return torch.relu(codes) if self.nonnegative else codes
