"""The objective of NRSfMFormer, called once an iteration."""

import torch
from torch import nn

from ..geometry import aligned_nuclear_norm, procrustes, random_rotations
from ..losses import (
    frame_norm,
    local_rigidity_loss,
    steadiest_neighbors,
    temporal_smoothness_loss,
)

# Iterations between choices of the neighbours of the rigidity term.
_NEIGHBORS_EVERY = 50
# Angle, radians, up to which the rotations of the nuclear norm are sought.
_ANGLE_TOL = 1e-4
# Windows that neighbours are chosen on.
_NEIGHBOR_WINDOWS = 32


def alignment_loss(shapes, reference, present):
    r"""How far shapes are from lying as their reference does (eq. 9 and algorithm 1).

    .. math:: \frac1F \sum_i \| S_i - S_i^* \|_F, \qquad
              S_i^* = U_i V_i^\top S_i, \qquad U_i \Lambda_i V_i^\top = \bar S S_i^\top

    with points as columns here, both centred, and the rotation's determinant +1. The paper prints
    the product of :math:`U` and :math:`V` from :math:`\bar S^\top S_i`, which has the number of
    points for its size, and centres without dividing by it.

    Parameters
    ----------
    shapes : Tensor of shape (n_windows, window, n_points, 3)
        Centred shapes.
    reference : Tensor of shape (n_windows, n_points, 3)
        Centred reference of each window.
    present : Tensor of shape (n_windows, window)
        1 at frames of the clip, 0 at those that fill up a short one.

    Returns
    -------
    Tensor
        A scalar.
    """
    aligned = procrustes(shapes, reference.unsqueeze(1)).aligned
    error = frame_norm(shapes - aligned)
    return (error * present).sum() / present.sum()


class MotionObjective(nn.Module):
    r"""Sum of the losses of NRSfMFormer over windows (eq. 8 to 12), and three more.

    Parameters
    ----------
    module : MotionNetwork
        The network.
    frames : Frames
        All frames, on the device of the module.
    windows : Tensor of int of shape (n_windows, window)
        Frames of each window.
    present : Tensor of shape (n_windows, window)
        1 at frames of the clip, 0 at those that fill up a short one.
    generator : torch.Generator
        Draws the views of the cycle, what is hidden, and the prior's noise.
    reprojection_weight, alignment_weight, shape_smoothness, rotation_smoothness : float
        Weights of the terms.
    rank_weight : float
        Weight of :func:`~nrsfm_learn.geometry.aligned_nuclear_norm` over the frames of a window.
    rigidity_weight, rigidity_start : float, int
        Weight of :func:`~nrsfm_learn.losses.local_rigidity_loss`, and from which iteration on:
        shapes that are still being found are best steadied by drawing them out in depth.
    cycle_weight, cycle_start : float, int
        Weight of lifting views of the predicted motion again, and from which iteration on.
    hide_fraction : float
        Fraction of the visible keypoints that the network is not shown.
    prior : DiffusionPosePrior or None
        What is known of shapes.
    prior_weight : float
        Weight of its loss.
    """

    def __init__(
        self,
        module,
        frames,
        windows,
        present,
        *,
        generator,
        reprojection_weight=1.0,
        alignment_weight=0.01,
        shape_smoothness=0.01,
        rotation_smoothness=0.0,
        rank_weight=0.0,
        rigidity_weight=0.0,
        rigidity_start=0,
        cycle_weight=0.0,
        cycle_start=0,
        hide_fraction=0.0,
        prior=None,
        prior_weight=1.0,
    ):
        super().__init__()
        self.module = module
        self.frames, self.windows, self.present = frames, windows, present
        self.generator = generator
        self.reprojection_weight = reprojection_weight
        self.alignment_weight = alignment_weight
        self.shape_smoothness = shape_smoothness
        self.rotation_smoothness = rotation_smoothness
        self.rank_weight = rank_weight
        self.rigidity_weight, self.rigidity_start = rigidity_weight, rigidity_start
        self.cycle_weight, self.cycle_start = cycle_weight, cycle_start
        self.hide_fraction = hide_fraction
        # Not in the list of submodules: the prior is no part of what is trained or checkpointed.
        self.prior, self.prior_weight = prior, prior_weight
        self.all_visible = bool(frames.visible.all())
        neighbors = torch.zeros(module.n_points, min(3, module.n_points - 1), dtype=torch.long)
        self.register_buffer("neighbors", neighbors.to(windows.device))

    @torch.no_grad()
    def before_step(self, iteration):
        """Choose the neighbours of the rigidity term anew, every now and then."""
        since = iteration - self.rigidity_start
        if not self.rigidity_weight or since < 0 or since % _NEIGHBORS_EVERY:
            return
        index = slice(None, None, -(-len(self.windows) // _NEIGHBOR_WINDOWS))
        frames, present = self._window_frames(index)
        shapes = self._lift(frames, present)[0][present > 0]
        self.neighbors.copy_(steadiest_neighbors(shapes, self.neighbors.shape[1]))

    def forward(self, index, iteration):
        """Return the objective of some windows."""
        frames, present = self._window_frames(index)
        shapes, rotations, reference = self._lift(
            frames.hidden(self.hide_fraction, self.generator), present
        )
        rotated = shapes @ rotations.mT
        used = present.flatten()
        loss = self.reprojection_weight * self._reprojection(rotated, frames, used)
        if self.alignment_weight and reference is not None:
            loss = loss + self.alignment_weight * alignment_loss(shapes, reference, present)
        if self.shape_smoothness:
            change = temporal_smoothness_loss(shapes, present > 0)
            loss = loss + self.shape_smoothness * change
        if self.rotation_smoothness:
            change = temporal_smoothness_loss(rotations, present > 0)
            loss = loss + self.rotation_smoothness * change
        if self.rank_weight:
            # Frames that fill up a window are zero: they turn nothing and add nothing.
            whole = shapes * present[..., None, None]
            norms = aligned_nuclear_norm(whole, tol=_ANGLE_TOL)
            loss = loss + self.rank_weight * norms.sum() / present.sum()
        if self.rigidity_weight and iteration >= self.rigidity_start:
            rigidity = local_rigidity_loss(shapes[present > 0], self.neighbors)
            loss = loss + self.rigidity_weight * rigidity
        if self.prior is not None and self.prior_weight:
            loss = loss + self.prior_weight * self._prior_loss(rotated, frames, used)
        if self.cycle_weight and iteration >= self.cycle_start:
            loss = loss + self.cycle_weight * self._cycle(rotated.detach(), frames, present)
        return loss

    def _window_frames(self, index):
        """Return the frames of some windows, one after the other, and which are present."""
        windows = self.windows[index]
        return self.frames.take(windows.flatten()), self.present[index]

    def _lift(self, frames, present):
        points, visible = frames.normalized(), frames.visible
        return self.module(
            points.unflatten(0, present.shape), visible.unflatten(0, present.shape), present > 0
        )

    @staticmethod
    def _reprojection(rotated, frames, used):
        """Eq. 8, over the visible points."""
        weights = frames.visible if frames.weights is None else frames.visible * frames.weights
        squares = frames.residual(rotated.flatten(0, 1)).square().sum(-1) * weights
        return (squares.sum(-1) * used).sum() / used.sum()

    def _prior_loss(self, rotated, frames, used):
        """Eq. 10; the network sees keypoints in units of their mean spread, as the prior does."""
        own = used > 0
        frames = frames.take(own)
        # The prior's is the mean over points, the paper's the sum.
        return rotated.shape[-2] * self.prior.loss(
            rotated.flatten(0, 1)[own],
            frames.normalized(),
            frames.visible,
            scale=1.0,
            generator=self.generator,
        )

    def _cycle(self, rotated, frames, present):
        """Turn each predicted motion as a whole, project it, and lift it again."""
        turns = random_rotations(
            len(rotated), generator=self.generator, dtype=rotated.dtype, device=rotated.device
        )
        wanted = rotated @ turns.mT.unsqueeze(1)
        views = frames.view_of(wanted.flatten(0, 1))
        if not self.all_visible:
            # What is hidden depends on the side: the views take the masks of another window.
            visible = frames.visible.unflatten(0, present.shape).roll(1, 0).flatten(0, 1)
            views = views.masked(visible)
        shapes, rotations, _ = self._lift(views, present)
        error = frame_norm(shapes @ rotations.mT - wanted)
        return (error * present).sum() / present.sum()
