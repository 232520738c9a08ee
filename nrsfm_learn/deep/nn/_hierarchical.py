"""The encoder-decoder of Deep NRSfM and Deep NRSfM++."""

import itertools
import math
from typing import NamedTuple

import torch
from torch import nn

from ...geometry import complete_rotation, nearest_orthonormal_3x2, nearest_rotation
from ._block_sparse import block_soft_threshold
from ._solver import gauss_newton_step


class Lift(NamedTuple):
    """What one unrolled iteration says of each frame.

    Attributes
    ----------
    shapes : Tensor of shape (n_frames, n_points, 3)
        Centred shapes in the canonical frame.
    rotations : Tensor of shape (n_frames, 3, 3)
        ``x_cam = R x``.
    codes : Tensor of shape (n_frames, K_L)
        Shape codes.
    first_codes : Tensor of shape (n_frames, K_1)
        Sparse codes of the first level.
    """

    shapes: torch.Tensor
    rotations: torch.Tensor
    codes: torch.Tensor
    first_codes: torch.Tensor

    @property
    def rotated(self):
        """Shapes turned to the camera, before their translation."""
        return self.shapes @ self.rotations.transpose(-1, -2)


class HierarchicalBlockSparseLifter(nn.Module):
    r"""Hierarchical block-sparse coding, unrolled for a few iterations, dictionaries tied.

    The first iteration is the paper's encoder and decoder,

    .. math::
        \Psi_1 &= \mathrm{BST}(D_1^\top \tilde W; \lambda_1), \quad
        \Psi_l = \mathrm{BST}((D_l \otimes I_3)^\top \Psi_{l-1}; \lambda_l) \\
        \varphi_{l-1} &= \mathrm{ReLU}(D_l \varphi_l + b_l), \quad S = D_1 \varphi_1

    and each further one takes the gradient step of the iterative solver (eq. 21) from there,

    .. math::
        \Psi_1 \leftarrow \mathrm{BST}\bigl(\varphi_1 \otimes R + \alpha\, \tilde D_1^\top M
        (\tilde W - \tilde D_1 (\varphi_1 \otimes R)); \lambda_1\bigr)

    with a learned step size, before the same encoder and decoder. A code read off in one step
    depends on the side from which the object is seen; what the further steps correct is the
    residual, which is zero for the right code from any side.

    The camera is the projection of one learned combination of the last blocks to a rotation. The
    code is read from the last blocks too, see ``code_readout``.

    Parameters
    ----------
    n_points : int
        Keypoints of a frame.
    dictionary_sizes : sequence of int
        Number of atoms :math:`K_1, \dots, K_L` of each level, the bottleneck last.
    n_columns : {2, 3}
        Columns of a block: 2 for orthographic and weak perspective, 3 for perspective cameras.
    n_unrolled : int
        Unrolled iterations.
    activation : {"bst", "relu"}
        Block soft thresholding (Deep NRSfM++) or ReLU with a bias (Deep NRSfM).
    code_readout : {"invariant", "linear"}
        ``"invariant"`` reads the code from the inner products :math:`\langle \Pi_k, R \rangle` of
        the blocks with the camera, which do not change when the image rotates in its plane;
        ``"linear"`` from a free linear map of all block entries.
    generator : torch.Generator, optional
        Draws the initial parameters.

    Notes
    -----
    Blocks are laid out (3 * n_columns, n_frames, n_atoms), so that every product is one matrix
    product over all frames and blocks. Because :math:`M \tilde W` and the residual sum to zero over
    the points, the normalised dictionary and the plain one give the same first product, but for the
    third column under perspective, see :meth:`nrsfm_learn.deep._frames.Frames.columns`: the plain
    one is used here, and the normalisation only in the reprojection.

    References
    ----------
    .. [1] C. Wang, C.-H. Lin, S. Lucey, "Deep NRSfM++: towards unsupervised 2D-3D lifting in the
       wild", 3DV 2020, eq. 24 and 25.
    .. [2] C. Kong, S. Lucey, "Deep non-rigid structure from motion", ICCV 2019.
    """

    def __init__(
        self,
        n_points,
        dictionary_sizes,
        *,
        n_columns=2,
        n_unrolled=1,
        activation="bst",
        code_readout="invariant",
        generator=None,
    ):
        super().__init__()
        self.n_points = n_points
        self.n_columns = n_columns
        self.activation = activation
        self.code_readout = code_readout
        sizes = list(dictionary_sizes)

        def normal(*shape, variance):
            return nn.Parameter(torch.randn(*shape, generator=generator) * math.sqrt(variance))

        # Scaled to keep the norm of the blocks through the encoder.
        self.shape_dictionary = normal(3, n_points, sizes[0], variance=1 / n_points)
        self.dictionaries = nn.ParameterList(
            normal(above, below, variance=1 / above) for above, below in itertools.pairwise(sizes)
        )
        self.thresholds = nn.ParameterList(nn.Parameter(torch.zeros(k)) for k in sizes)
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(k)) for k in sizes[:-1])
        k_last = sizes[-1]
        self.step_sizes = nn.Parameter(torch.full((n_unrolled - 1,), 0.3))
        self.camera_readout = normal(k_last, variance=1 / k_last)
        if code_readout == "invariant":
            self.code_map = nn.Parameter(torch.eye(k_last) / n_columns)
        else:
            n_entries = 3 * n_columns * k_last
            self.code_map = normal(n_entries, k_last, variance=1 / n_entries)

    @property
    def dictionary_sizes(self):
        """Number of atoms of each level."""
        return [len(thresholds) for thresholds in self.thresholds]

    def centered_dictionary(self):
        """Return the shape dictionary (3, n_points, K_1) with every atom's points summing to zero.

        The object-centric constraint is an assumption on the dictionary: without it the
        normalisations of missing points and of perspective do not hold.
        """
        return self.shape_dictionary - self.shape_dictionary.mean(1, keepdim=True)

    @torch.no_grad()
    def mirror_(self):
        """Turn every shape into its mirror image, z to -z, and every camera with it.

        With two columns and the invariant read-out the reconstruction of each frame is then exactly
        flipped in depth; otherwise nearly so, and training goes on from there.
        """
        self.shape_dictionary[2].neg_()

    def forward(self, frames, dictionary=None, *, n_completions=0, n_solver_steps=0):
        """Lift frames.

        Parameters
        ----------
        frames : Frames
            What is seen; gives the normalised observations, residuals and encoder columns.
        dictionary : Tensor of shape (3, n_points, K_1), optional
            ``centered_dictionary()``, where the caller has it already.
        n_completions : int
            Times that hidden keypoints are filled in with their reprojection and the frames lifted
            again.
        n_solver_steps : int
            Gauss-Newton steps on code and camera after that.

        Returns
        -------
        list of Lift
            One for each unrolled iteration of each round and each solver step, the last the best.
        """
        if dictionary is None:
            dictionary = self.centered_dictionary()
        lifts = self._unrolled(frames, dictionary)
        for _ in range(n_completions):
            lifts += self._unrolled(frames.completed(lifts[-1]), dictionary)
        for _ in range(n_solver_steps):
            lifts.append(gauss_newton_step(self, frames, lifts[-1], dictionary))
        return lifts

    def encode(self, frames):
        """Return the codes (n_frames, K_L) of the first unrolled iteration alone."""
        columns = frames.columns(frames.normalized())
        blocks = self._encode(self._first_blocks(columns, self.centered_dictionary()))
        return self._code(blocks, self._entries(self._camera(blocks)))

    def _unrolled(self, frames, dictionary):
        """Return the lifts of the unrolled iterations."""
        columns = frames.columns(frames.normalized())
        lifts = []
        for step_size in (None, *self.step_sizes):
            blocks = self._first_blocks(columns, dictionary)
            if lifts:
                camera = self._entries(lifts[-1].rotations.transpose(-1, -2))
                previous = camera.reshape(len(blocks), -1, 1) * lifts[-1].first_codes
                blocks = torch.addcmul(previous, step_size, blocks)
            blocks = self._encode(blocks)
            rotations = self._camera(blocks)
            codes = self._code(blocks, self._entries(rotations))
            shapes, first_codes = self.decode(codes, dictionary)
            lifts.append(Lift(shapes, rotations.transpose(-1, -2), codes, first_codes))
            if len(lifts) <= len(self.step_sizes):
                columns = frames.columns(frames.residual(lifts[-1].rotated))
        return lifts

    def _first_blocks(self, columns, dictionary):
        """Return D_1^T of the columns, (3 * n_columns, n_frames, K_1)."""
        n_frames = columns.shape[1]
        flat = columns.reshape(1, self.n_columns * n_frames, self.n_points)
        return torch.matmul(flat, dictionary).view(3 * self.n_columns, n_frames, -1)

    def _encode(self, blocks):
        """Return the last block codes (3 * n_columns, n_frames, K_L) of eq. 24."""
        n_entries, n_frames, _ = blocks.shape
        blocks = self._activate(blocks, self.thresholds[0])
        for level, thresholds in zip(self.dictionaries, list(self.thresholds)[1:], strict=True):
            blocks = torch.matmul(blocks.view(n_entries * n_frames, -1), level)
            blocks = self._activate(blocks.view(n_entries, n_frames, -1), thresholds)
        return blocks

    def decode(self, codes, dictionary=None):
        """Return shapes (n_frames, n_points, 3) and first codes (n_frames, K_1) of eq. 25."""
        if dictionary is None:
            dictionary = self.centered_dictionary()
        hidden = codes
        for level, bias in zip(reversed(self.dictionaries), reversed(self.biases), strict=True):
            hidden = torch.relu(torch.addmm(bias, hidden, level.T))
        shapes = hidden @ dictionary.view(3 * self.n_points, -1).T
        return shapes.view(-1, 3, self.n_points).transpose(-1, -2), hidden

    def decode_with_jacobian(self, codes, dictionary):
        """Return shapes and their derivatives by the code, (n_frames, K_L, n_points, 3).

        The decoder is piecewise linear: the derivative is the product of its matrices with the
        rows of inactive units left out.
        """
        n_frames, n_codes = codes.shape
        hidden = codes
        by_code = torch.eye(n_codes, dtype=codes.dtype, device=codes.device).expand(
            n_frames, -1, -1
        )
        for level, bias in zip(reversed(self.dictionaries), reversed(self.biases), strict=True):
            hidden = torch.relu(torch.addmm(bias, hidden, level.T))
            by_code = (by_code @ level.T) * (hidden > 0).unsqueeze(1)
        flat = dictionary.view(3 * self.n_points, -1).T
        shapes = (hidden @ flat).view(-1, 3, self.n_points).transpose(-1, -2)
        by_code = (by_code @ flat).view(n_frames, n_codes, 3, self.n_points).transpose(-1, -2)
        return shapes, by_code

    def _activate(self, blocks, thresholds):
        if self.activation == "bst":
            return block_soft_threshold(blocks, thresholds)
        return torch.relu(blocks - thresholds)

    def _camera(self, blocks):
        """Return rotations that act on the right of points as rows, as the equations have them."""
        mixed = (blocks @ self.camera_readout).view(3, self.n_columns, -1).permute(2, 0, 1)
        if self.n_columns == 2:
            return complete_rotation(nearest_orthonormal_3x2(mixed))
        return nearest_rotation(mixed)

    def _entries(self, rotations):
        """Return the camera's entries first, like those of the blocks: (3 * n_columns,
        n_frames).
        """
        return rotations[..., : self.n_columns].permute(1, 2, 0).flatten(0, 1).contiguous()

    def _code(self, blocks, camera):
        if self.code_readout == "linear":
            return blocks.transpose(0, 1).reshape(blocks.shape[1], -1) @ self.code_map
        return torch.einsum("ebk,eb->bk", blocks, camera) @ self.code_map
