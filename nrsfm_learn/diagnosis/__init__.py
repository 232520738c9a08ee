"""What 2-D keypoints can and cannot give, told before anything is fitted."""

from ._diagnose import diagnose
from ._record import Diagnosis, Finding

__all__ = ["Diagnosis", "Finding", "diagnose"]
