"""Methods that train a network."""

from ._deep_nrsfm import DeepNRSfM
from ._deep_nrsfm_pp import DeepNRSfMPP

__all__ = ["DeepNRSfM", "DeepNRSfMPP"]
