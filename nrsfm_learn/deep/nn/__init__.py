"""Networks of the deep methods: plain torch modules that know nothing of estimators."""

from ._block_sparse import block_soft_threshold
from ._hierarchical import HierarchicalBlockSparseLifter, Lift
from ._prn import ProcrusteanNetwork
from ._procrustean import ProcrusteanAutoEncoder
from ._residual_trunk import FactorizationNetwork, ResidualTrunk

__all__ = [
    "FactorizationNetwork",
    "HierarchicalBlockSparseLifter",
    "Lift",
    "ProcrusteanAutoEncoder",
    "ProcrusteanNetwork",
    "ResidualTrunk",
    "block_soft_threshold",
]
