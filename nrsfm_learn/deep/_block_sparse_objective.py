"""The objective of Deep NRSfM and Deep NRSfM++, called once an iteration."""

import torch

from ..losses import bone_symmetry_loss, cycle_loss, frame_norm_loss, temporal_smoothness_loss

# Weight of the reprojection error of the lifts before the last.
_EARLIER_WEIGHT = 0.5
# Frames that the two mirror hypotheses are compared on.
_MIRROR_FRAMES = 4096


class BlockSparseObjective:
    """Reprojection error, cyclic self-supervision and the supplement's regularisers.

    Parameters
    ----------
    module : HierarchicalBlockSparseLifter
        The network.
    frames : Frames
        All frames, on the device of the module.
    generator : torch.Generator
        Draws what is hidden and the views of the cycle.
    cycle_weight, cycle_start : float, int
        Weight of the cycle, and the iteration from which on it counts.
    hide_fraction : float
        Fraction of the visible keypoints hidden from the encoder.
    code_l1, symmetry_weight : float
        Weights of the regularisers.
    symmetric_bones : array-like of int of shape (n_pairs, 2, 2), optional
        Mirrored bones.
    n_completions : int
        Times that hidden keypoints are filled in and frames lifted again.
    n_solver_steps, solver_start : int
        Gauss-Newton steps after the network, and the iteration from which on they are taken: a
        decoder that knows nothing yet is no ground to solve on.
    mirror_checks : sequence of int
        Iterations at which a perspective model is compared with its mirror image, and replaced if
        that explains the frames better. A parallel camera cannot tell the two apart, and a
        start that has settled on the wrong one was not seen to cross over by itself.
    temporal_weight : float
        Weight of :func:`~nrsfm_learn.losses.temporal_smoothness_loss` of the last shapes; the
        frames must then come in windows.
    """

    def __init__(
        self,
        module,
        frames,
        *,
        generator,
        cycle_weight=0.0,
        cycle_start=0,
        hide_fraction=0.0,
        code_l1=0.0,
        symmetry_weight=0.0,
        symmetric_bones=None,
        n_completions=0,
        n_solver_steps=0,
        solver_start=0,
        mirror_checks=(),
        temporal_weight=0.0,
    ):
        self.module = module
        self.frames = frames
        self.generator = generator
        self.cycle_weight = cycle_weight
        self.cycle_start = cycle_start
        self.hide_fraction = hide_fraction
        self.code_l1 = code_l1
        self.symmetry_weight = symmetry_weight
        self.n_completions = n_completions
        self.n_solver_steps = n_solver_steps
        self.solver_start = solver_start
        self.temporal_weight = temporal_weight
        self.mirror_checks = frozenset(mirror_checks) if frames.perspective else frozenset()
        if symmetric_bones is not None:
            bones = torch.as_tensor(symmetric_bones, device=frames.points.device)
            self.left, self.right = bones[:, 0], bones[:, 1]
        self.all_visible = bool(frames.visible.all())

    def before_step(self, iteration):
        """Compare the model with its mirror image where that is due."""
        if iteration in self.mirror_checks:
            self._choose_mirror()

    def __call__(self, index, iteration, valid=None):
        """Return the objective of some frames; of windows (n_windows, window) with ``valid``."""
        frames = self.frames.take(index)
        dictionary = self.module.centered_dictionary()
        shown = frames.hidden(self.hide_fraction, self.generator)
        n_solver_steps = self.n_solver_steps if iteration >= self.solver_start else 0
        steps = {"n_completions": self.n_completions, "n_solver_steps": n_solver_steps}
        lifts = self.module(shown, dictionary, **steps)
        loss = self._reprojection(frames, lifts[-1])
        for earlier in lifts[:-1]:
            loss = loss + _EARLIER_WEIGHT * self._reprojection(frames, earlier)
        last = lifts[-1]
        if self.code_l1:
            loss = loss + self.code_l1 * last.first_codes.abs().sum(-1).mean()
        if self.symmetry_weight:
            symmetry = bone_symmetry_loss(last.shapes, self.left, self.right)
            loss = loss + self.symmetry_weight * symmetry
        if self.temporal_weight:
            windows = last.shapes.unflatten(0, valid.shape)
            loss = loss + self.temporal_weight * temporal_smoothness_loss(windows, valid)
        if self.cycle_weight and iteration >= self.cycle_start:

            def lift_views(X):
                views = self._views(X, frames)
                return self.module(views, dictionary, **steps)[-1].shapes

            cycle = cycle_loss(last.shapes, lift_views, self.generator)
            loss = loss + self.cycle_weight * cycle
        return loss

    @staticmethod
    def _reprojection(frames, lift):
        """Return the loss of eq. 17."""
        return frame_norm_loss(frames.residual(lift.rotated), frames.weights)

    @torch.no_grad()
    def _choose_mirror(self):
        frames = self.frames.take(slice(_MIRROR_FRAMES))
        losses = []
        for _ in range(2):
            losses.append(self._reprojection(frames, self.module(frames)[-1]).item())
            self.module.mirror_()
        if losses[1] < losses[0]:
            self.module.mirror_()

    def _views(self, X, frames):
        """Project turned shapes as the camera would, and hide what some frame hides."""
        views = frames.view_of(X)
        if self.all_visible:
            return views
        # The views take the masks of other frames: what is hidden depends on the side.
        visible = frames.visible
        order = torch.randperm(len(visible), generator=self.generator, device=visible.device)
        return views.masked(visible[order]).hidden(self.hide_fraction, self.generator)
