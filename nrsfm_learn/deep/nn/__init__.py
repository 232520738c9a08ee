"""Networks of the deep methods: plain torch modules that know nothing of estimators."""

from ._block_sparse import block_soft_threshold
from ._hierarchical import HierarchicalBlockSparseLifter, Lift
from ._mixed_encoder import MixedEncoder, MotionNetwork
from ._prn import ProcrusteanNetwork
from ._procrustean import ProcrusteanAutoEncoder
from ._residual_trunk import FactorizationNetwork, ResidualTrunk

__all__ = [
    "FactorizationNetwork",
    "HierarchicalBlockSparseLifter",
    "Lift",
    "MixedEncoder",
    "MotionNetwork",
    "ProcrusteanAutoEncoder",
    "ProcrusteanNetwork",
    "ResidualTrunk",
    "block_soft_threshold",
]
