"""Errors of a 3-D reconstruction against ground truth, one function per published protocol.

The same reconstruction differs up to seven times between protocols, so the protocol is in the name
of the function or in an argument, and reports print it.
"""

from ._e3d import e3d
from ._evaluate import coverage, evaluate, format_report
from ._mpjpe import mpjpe, n_mpjpe, pa_mpjpe
from ._normalized_error import normalized_error
from ._pck import auc, pck
from ._scorers import ShapeScorer, get_scorer, get_scorer_names, make_shape_scorer
from ._stress import stress

__all__ = [
    "ShapeScorer",
    "auc",
    "coverage",
    "e3d",
    "evaluate",
    "format_report",
    "get_scorer",
    "get_scorer_names",
    "make_shape_scorer",
    "mpjpe",
    "n_mpjpe",
    "normalized_error",
    "pa_mpjpe",
    "pck",
    "stress",
]
