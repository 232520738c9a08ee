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

    The default score is the product of the loss, of the cycle error and of the variation of
    neighbour distances. Each is fooled by something that the others see: the loss prefers shapes
    that fit the image with a wrong depth, whose lengths vary; the lengths prefer shapes drawn out
    in depth, which fit badly; the cycle error prefers shapes that hardly move.

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
        ``"neighbor_distance"``; ``"cycle"`` or another criterion that ``start_criterion`` asks for;
        and ``"score"``, the lower the better.
    """
    criterion = estimator.start_criterion
    probe = estimator._with_module(module)
    sample = observations.take(estimator._comparison_frames(_N_FRAMES, observations))
    shapes = probe._lift(sample).shapes
    # Points of other categories are NaN; a frame's own, seen or not, must be finite.
    if not np.isfinite(shapes[sample.visible]).all():
        return {"score": math.inf}
    found = {"neighbor_distance": neighbor_distance_variation(shapes)}
    side = {k: v for k, v in sample._asdict().items() if k not in ("W", "visible")}
    if criterion == "cycle" or (criterion == "auto" and estimator._lifts_views_fast):
        found["cycle"] = cycle_error(probe, sample.W, **side)
    elif criterion == "hidden_keypoints":
        found["hidden_keypoints"] = 1 - hidden_keypoint_score(probe, sample.W, **side)
    product = loss * found["neighbor_distance"] * found.get("cycle", 1.0)
    score = {"auto": product, "loss": loss, **found}[criterion]
    return {**found, "score": score}
