"""Choosing models and settings without 3-D ground truth."""

from ._hidden_keypoints import hidden_keypoint_score

__all__ = ["hidden_keypoint_score"]
