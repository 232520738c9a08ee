"""Networks of the deep methods: plain torch modules that know nothing of estimators."""

from ._block_sparse import block_soft_threshold
from ._hierarchical import HierarchicalBlockSparseLifter, Lift

__all__ = ["HierarchicalBlockSparseLifter", "Lift", "block_soft_threshold"]
