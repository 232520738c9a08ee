"""Objectives that several methods share: pure functions of tensors."""

from ._cycle import cycle_loss
from ._norms import frame_norm, frame_norm_loss
from ._rigidity import local_rigidity_loss, steadiest_neighbors
from ._skeleton import bone_lengths, bone_symmetry_loss
from ._temporal import temporal_smoothness_loss

__all__ = [
    "bone_lengths",
    "bone_symmetry_loss",
    "cycle_loss",
    "frame_norm",
    "frame_norm_loss",
    "local_rigidity_loss",
    "steadiest_neighbors",
    "temporal_smoothness_loss",
]
