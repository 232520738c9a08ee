"""Preparing 2-D keypoints: transformers over pure functions, all of which pass NaN on.

The estimators prepare what they are given themselves; these are for pipelines, for augmentation and
for methods of your own.
"""

from ._categories import CategoryLayout, split_categories, stack_categories
from ._center import CenterOnVisible, center_on_visible
from ._clips import split_clips, stack_clips
from ._hide import HideKeypoints, hide_keypoints
from ._metric_scale import MetricScale, metric_scale
from ._poor_frames import FlagPoorFrames, flag_poor_frames
from ._scale import ScaleKeypoints, keypoint_scale
from ._swap import SwapMap, swap_left_right, swap_permutation
from ._unit_plane import UnitFocalPlane, pixels_to_unit_plane, unit_plane_to_pixels

__all__ = [
    "CategoryLayout",
    "CenterOnVisible",
    "FlagPoorFrames",
    "HideKeypoints",
    "MetricScale",
    "ScaleKeypoints",
    "SwapMap",
    "UnitFocalPlane",
    "center_on_visible",
    "flag_poor_frames",
    "hide_keypoints",
    "keypoint_scale",
    "metric_scale",
    "pixels_to_unit_plane",
    "split_categories",
    "split_clips",
    "stack_categories",
    "stack_clips",
    "swap_left_right",
    "swap_permutation",
    "unit_plane_to_pixels",
]
