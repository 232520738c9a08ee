"""Pictures of reconstructions and of training, in the manner of scikit-learn's displays.

matplotlib is imported when something is drawn, not with this module.
"""

from ._loss_curve import LossCurveDisplay
from ._reconstruction import ReconstructionDisplay

__all__ = ["LossCurveDisplay", "ReconstructionDisplay"]
