"""Networks of the deep methods: plain torch modules that know nothing of estimators."""

from ._block_sparse import block_soft_threshold
from ._hierarchical import HierarchicalBlockSparseLifter, Lift
from ._procrustean import ProcrusteanAutoEncoder

__all__ = [
    "HierarchicalBlockSparseLifter",
    "Lift",
    "ProcrusteanAutoEncoder",
    "block_soft_threshold",
]
