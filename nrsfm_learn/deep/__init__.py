"""Methods that train a network."""

from ._auto_decoder import AutoDecoderLifter
from ._c3dpo import C3DPO
from ._deep_nrsfm import DeepNRSfM
from ._deep_nrsfm_pp import DeepNRSfMPP
from ._multi_category_lifter import MultiCategoryLifter
from ._nrsfmformer import NRSfMFormer
from ._paul import PAUL
from ._prn import PRN

__all__ = [
    "C3DPO",
    "PAUL",
    "PRN",
    "AutoDecoderLifter",
    "DeepNRSfM",
    "DeepNRSfMPP",
    "MultiCategoryLifter",
    "NRSfMFormer",
]
