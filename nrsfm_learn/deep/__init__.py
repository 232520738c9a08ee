"""Methods that train a network."""

from ._auto_decoder import AutoDecoderLifter
from ._deep_nrsfm import DeepNRSfM
from ._deep_nrsfm_pp import DeepNRSfMPP
from ._paul import PAUL

__all__ = ["PAUL", "AutoDecoderLifter", "DeepNRSfM", "DeepNRSfMPP"]
