"""Checks and strategies to test methods with, the library's and your own."""

from ._contract import check_nrsfm_estimator, nrsfm_estimator_checks
from ._flat import FlatAdapter, flatten_estimator
from ._registry import all_estimators
from ._strategies import keypoints, masks, rotations, shapes

__all__ = [
    "FlatAdapter",
    "all_estimators",
    "check_nrsfm_estimator",
    "flatten_estimator",
    "keypoints",
    "masks",
    "nrsfm_estimator_checks",
    "rotations",
    "shapes",
]
