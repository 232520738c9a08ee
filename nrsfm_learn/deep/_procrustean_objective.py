"""The objective of PAUL and its baselines, called once an iteration."""

from typing import NamedTuple

import torch
from torch import nn

from ..geometry import joint_onp, perspective_translation
from ..losses import (
    cycle_loss,
    frame_norm_loss,
    local_rigidity_loss,
    steadiest_neighbors,
    temporal_smoothness_loss,
)
from ._frames import NEAREST

# Passes of scaled orthography with corrected lines of sight that give a perspective camera.
_PERSPECTIVE_PASSES = 2
# Iterations between two looks at which neighbours are the steadiest, and frames looked at.
_NEIGHBORS_EVERY, _NEIGHBOR_FRAMES = 50, 1024
# Frames that the two mirror hypotheses are compared on.
_MIRROR_FRAMES = 4096


class Alignment(NamedTuple):
    r"""The lower-level solution (eq. 2.9 and 2.10) of some frames.

    Attributes
    ----------
    rotations : Tensor of shape (n_frames, 3, 3)
        :math:`R^*`, ``x_cam = R x``.
    seen : Tensor of shape (n_frames, n_points, 3)
        :math:`\tilde S_{cam}`: what was seen, completed with the depth and the hidden points of the
        mean shape; minus its visible mean.
    """

    rotations: torch.Tensor
    seen: torch.Tensor


def visible_centered(shapes, visible):
    r"""Return shapes minus their visible means, :math:`\tilde S` of eq. 2.11 for any shape."""
    weights = visible.unsqueeze(-1)
    return shapes - (shapes * weights).sum(-2, keepdim=True) / weights.sum(-2, keepdim=True)


def align(streams, frames):
    r"""Solve for the camera and the unseen coordinates that all streams share.

    Parameters
    ----------
    streams : sequence of Tensor of shape (n_frames, n_points, 3)
        Centred canonical shapes, :math:`f_d(\varphi)` and :math:`f_d f_e f_d(\varphi)`.
    frames : Frames
        The observations.

    Returns
    -------
    Alignment
        Differentiable in the streams: the camera is an algebraic solution and not the minimum, so
        that its derivative counts (thesis, section 2.4.2).
    """
    visible = frames.visible
    normalized = [visible_centered(S, visible) for S in streams]
    mean = sum(normalized) / len(normalized)
    # Depth counts from the centre of all points, hidden ones too.
    whole = sum(streams) / len(streams)
    whole = whole - whole.mean(-2, keepdim=True)
    weights = visible if frames.weights is None else visible * frames.weights
    seen_xy = frames.normalized()
    rotations = joint_onp(normalized, seen_xy, visible=weights)
    if frames.perspective:
        for _ in range(_PERSPECTIVE_PASSES):
            seen_xy = _on_sight_lines(whole @ rotations.mT, frames)
            rotations = joint_onp(normalized, seen_xy, visible=weights)
        seen_xy = _on_sight_lines(whole @ rotations.mT, frames)
    rotated = mean @ rotations.mT
    xy = torch.where(visible.unsqueeze(-1) > 0, seen_xy, rotated[..., :2])
    return Alignment(rotations, torch.cat((xy, rotated[..., 2:]), -1))


def _on_sight_lines(rotated, frames):
    """Return xy of the visible points at the depth of a rotated shape, minus their visible mean."""
    translation = perspective_translation(rotated, frames.points, frames.visible, frames.gain)
    z = rotated[..., 2:] + translation[..., None, 2:]
    # A bad shape must not put points behind the camera.
    z = torch.maximum(z, NEAREST * frames.gain[:, None, None])
    return visible_centered(frames.points * z, frames.visible) * frames.visible.unsqueeze(-1)


class ProcrusteanObjective(nn.Module):
    r"""Auto-encoder and auto-decoder losses of eq. 2.7, and the regularisers.

    Parameters
    ----------
    module : ProcrusteanAutoEncoder
        The networks.
    frames : Frames
        All frames, on the device of the module.
    generator : torch.Generator
        Draws the views of the cycle.
    code_weight, decay_weight : float
        Weights of :math:`|\varphi|^2` and of the decoder's squared weights (eq. 2.12).
    rigidity_weight, rigidity_start : float, int
        Weight of :func:`~nrsfm_learn.losses.local_rigidity_loss`, and the iteration from which on
        it counts; it rises to its weight over as many again.
    cycle_weight, cycle_start : float, int
        The same of the cyclic self-supervision.
    nuclear_weight : float
        Weight of the nuclear norm of the decoded shapes of a batch, over its frames.
    hide_fraction : float
        Fraction of the visible keypoints hidden from the 2D-3D encoder.
    mirror_checks : sequence of int
        Iterations at which a perspective model is compared with its mirror image.
    temporal_weight : float
        Weight of :func:`~nrsfm_learn.losses.temporal_smoothness_loss` of the decoded shapes; the
        frames must then come in windows.
    """

    def __init__(
        self,
        module,
        frames,
        *,
        generator,
        code_weight=0.01,
        decay_weight=1e-4,
        rigidity_weight=0.0,
        rigidity_start=0,
        cycle_weight=0.0,
        cycle_start=0,
        nuclear_weight=0.0,
        hide_fraction=0.0,
        mirror_checks=(),
        temporal_weight=0.0,
    ):
        super().__init__()
        self.module = module
        self.frames = frames
        self.generator = generator
        self.code_weight = code_weight
        self.decay_weight = decay_weight
        self.rigidity_weight = rigidity_weight
        self.rigidity_start = rigidity_start
        self.cycle_weight = cycle_weight
        self.cycle_start = cycle_start
        self.nuclear_weight = nuclear_weight
        self.hide_fraction = hide_fraction
        self.temporal_weight = temporal_weight
        self.mirror_checks = frozenset(mirror_checks) if frames.perspective else frozenset()
        self.all_visible = bool(frames.visible.all())
        self.autoencode = module.shape_encoder is not None
        # A buffer, so that starts which train together keep neighbours of their own.
        neighbors = torch.zeros(module.n_points, min(3, module.n_points - 1), dtype=torch.long)
        self.register_buffer("neighbors", neighbors.to(frames.points.device))

    @torch.no_grad()
    def before_step(self, iteration):
        """Do what looks at the module as a whole, before the step of an iteration."""
        if iteration in self.mirror_checks:
            self._choose_mirror()
        due = iteration >= self.rigidity_start and (
            (iteration - self.rigidity_start) % _NEIGHBORS_EVERY == 0
        )
        if self.rigidity_weight and due:
            n_frames = self.frames.n_frames
            stride = max(1, n_frames // _NEIGHBOR_FRAMES)
            shapes = self.module.decode(self._codes(slice(None, None, stride)))
            self.neighbors.copy_(steadiest_neighbors(shapes, self.neighbors.shape[1]))

    def forward(self, index, iteration, valid=None):
        """Return the objective of some frames; of windows (n_windows, window) with ``valid``."""
        frames = self.frames.take(index)
        codes = self._codes(index, hide=True)
        shapes = self.module.decode(codes)
        streams = [shapes]
        if self.autoencode:
            streams.append(self.module.decode(self.module.encode_shapes(shapes)))
        loss = self._reconstruction(streams, frames)
        loss = loss + self.code_weight * codes.square().sum(-1).mean()
        if self.decay_weight:
            squares = sum(layer.weight.square().sum() for layer in self.module.decoder.layers)
            loss = loss + self.decay_weight * squares
        if self.nuclear_weight:
            singular = torch.linalg.svdvals(shapes.flatten(1))
            loss = loss + self.nuclear_weight * singular.sum() / len(shapes) ** 0.5
        if self.rigidity_weight and iteration >= self.rigidity_start:
            rise = (iteration - self.rigidity_start + 1) / max(1, self.rigidity_start)
            rigidity = local_rigidity_loss(shapes, self.neighbors)
            loss = loss + self.rigidity_weight * min(1.0, rise) * rigidity
        if self.temporal_weight:
            windows = shapes.unflatten(0, valid.shape)
            loss = loss + self.temporal_weight * temporal_smoothness_loss(windows, valid)
        if self.cycle_weight and iteration >= self.cycle_start:

            def lift_views(X):
                return self.module.decode(self.module.code(self._views(X, frames)))

            loss = loss + self.cycle_weight * cycle_loss(shapes, lift_views, self.generator)
        return loss

    def _codes(self, index, *, hide=False):
        if self.module.free_codes is not None:
            return self.module.free_codes[index]
        frames = self.frames.take(index)
        if hide and self.hide_fraction:
            frames = frames.hidden(self.hide_fraction, self.generator)
        return self.module.code(frames)

    @staticmethod
    def _reconstruction(streams, frames):
        """Return the sum over the streams of eq. 2.15."""
        alignment = align(streams, frames)
        target = alignment.seen @ alignment.rotations
        weights = frames.weights
        if weights is not None:
            weights = torch.where(frames.visible > 0, weights, 1)
        return sum(
            frame_norm_loss(visible_centered(S, frames.visible) - target, weights) for S in streams
        )

    @torch.no_grad()
    def _choose_mirror(self):
        index = slice(_MIRROR_FRAMES)
        losses = []
        for _ in range(2):
            shapes = self.module.decode(self._codes(index))
            losses.append(self._reconstruction([shapes], self.frames.take(index)).item())
            self.module.mirror_()
        if losses[1] < losses[0]:
            self.module.mirror_()

    def _views(self, X, frames):
        """Project turned shapes as the camera would, and hide what some frame hides."""
        views = frames.view_of(X)
        if self.all_visible:
            return views
        # The views take the masks of other frames: what is hidden depends on the side.
        order = torch.randperm(
            frames.n_frames, generator=self.generator, device=frames.visible.device
        )
        return views.masked(frames.visible[order])
