"""Checks of everything that users hand over; every error message about input is here.

Only numpy is imported: tensors are recognised by their methods, so that checking an array does not
load torch.
"""

from ._keypoints import (
    check_mask,
    check_n_points,
    check_shapes_3d,
    check_W,
    constant_frames,
    poor_frames,
    split_y,
)
from ._side_inputs import check_boxes, check_groups, check_intrinsics, check_visible_weights

__all__ = [
    "check_W",
    "check_boxes",
    "check_groups",
    "check_intrinsics",
    "check_mask",
    "check_n_points",
    "check_shapes_3d",
    "check_visible_weights",
    "constant_frames",
    "poor_frames",
    "split_y",
]
