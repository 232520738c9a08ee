"""Priors that are learned from 3-D shapes and plugged into methods that see only 2-D.

A method that is given one is no longer unsupervised: report its results with and without.
"""

from ._depth_signs import depth_signs
from ._diffusion import DiffusionPosePrior
from ._schedules import cosine_schedule, diffuse, linear_schedule, reverse_step

__all__ = [
    "DiffusionPosePrior",
    "cosine_schedule",
    "depth_signs",
    "diffuse",
    "linear_schedule",
    "reverse_step",
]
