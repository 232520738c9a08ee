"""From a tracker's file, or an array of keypoints, to a 3-D result in one call."""

from ._apply import lift_with
from ._compare import ComparedMethod, compare, comparison_table
from ._lift import lift
from ._plan import Plan
from ._result import Result

__all__ = [
    "ComparedMethod",
    "Plan",
    "Result",
    "compare",
    "comparison_table",
    "lift",
    "lift_with",
]
