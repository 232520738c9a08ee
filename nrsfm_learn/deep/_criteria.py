"""What tells a good start from a bad one without 3-D."""

import math

import numpy as np

from ..model_selection import cycle_error, hidden_keypoint_score, neighbor_distance_variation

# Values of ``start_criterion``.
CRITERIA = ("auto", "neighbor_distance", "cycle", "hidden_keypoints", "loss")
# Frames that starts are compared on, spread over the data.
_N_FRAMES = 512


def start_criteria(estimator, module, observations, loss):
    """Measure one start of a fit that goes on.

    The default score is the product of the loss and of the variation of neighbour distances: the
    loss alone prefers shapes that fit the image with a wrong depth, whose lengths vary; the lengths
    alone prefer shapes drawn out in depth, which vary little and fit badly.

    Parameters
    ----------
    estimator : BaseDeepNRSfM
        The estimator, in the middle of its fit.
    module : torch.nn.Module
        The start.
    observations : Observations
        All frames of the fit.
    loss : float
        Its mean loss of late.

    Returns
    -------
    dict
        ``"neighbor_distance"``; the criterion of ``start_criterion`` under its name; and
        ``"score"``, the lower the better.
    """
    criterion = estimator.start_criterion
    probe = estimator._with_module(module)
    index = np.unique(np.linspace(0, len(observations.W) - 1, _N_FRAMES).astype(int))
    sample = observations.take(index)
    shapes = probe._lift(sample).shapes
    if not np.isfinite(shapes).all():
        return {"score": math.inf}
    variation = neighbor_distance_variation(shapes)
    found = {"neighbor_distance": variation}
    side = {k: v for k, v in sample._asdict().items() if k not in ("W", "visible")}
    if criterion == "cycle":
        found["cycle"] = cycle_error(probe, sample.W, **side)
    elif criterion == "hidden_keypoints":
        found["hidden_keypoints"] = 1 - hidden_keypoint_score(probe, sample.W, **side)
    score = {"auto": loss * variation, "loss": loss, **found}[criterion]
    return {**found, "score": score}
