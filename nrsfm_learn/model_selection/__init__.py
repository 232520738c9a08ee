"""Choosing models and settings without 3-D ground truth."""

from ._coherence import dictionary_coherence
from ._cycle_error import cycle_error
from ._distances import depth_spread, neighbor_distance_variation
from ._hidden_keypoints import hidden_keypoint_score
from ._scorers import UnsupervisedScorer, unsupervised_scorer, unsupervised_scorer_names
from ._splitters import ContiguousBlockSplit, LeaveOneSequenceOut
from ._start_agreement import pairwise_start_error, start_agreement

__all__ = [
    "ContiguousBlockSplit",
    "LeaveOneSequenceOut",
    "UnsupervisedScorer",
    "cycle_error",
    "depth_spread",
    "dictionary_coherence",
    "hidden_keypoint_score",
    "neighbor_distance_variation",
    "pairwise_start_error",
    "start_agreement",
    "unsupervised_scorer",
    "unsupervised_scorer_names",
]
