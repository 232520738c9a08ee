"""Methods that train a network."""

from ._deep_nrsfm import DeepNRSfM, DeepNRSfMPP

__all__ = ["DeepNRSfM", "DeepNRSfMPP"]
