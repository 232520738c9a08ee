"""One fit of the one call, and what it left."""

import math
import warnings
from typing import NamedTuple

import numpy as np

from .._deadline import stop_when
from ..base import TooPoorWarning
from ..deep._base import BaseDeepNRSfM
from ..deep._confidence import object_size, probability_right
from ..model_selection import hidden_keypoint_score, neighbor_distance_variation
from ._estimate import score_frames

# Below, distances are constant by construction; how much that counts as; and the unexplained part
# below which less is no better: networks lift frames with hidden points less well than others.
_RIGID_MODEL, _MUCH, _EXACT = 1e-6, 0.2, 0.03


class Trial(NamedTuple):
    """A method that was fitted, and what it made of the keypoints.

    Attributes
    ----------
    candidate : Candidate
        Which method, and why.
    ready : Ready
        How its fit was planned.
    estimator : BaseNRSfM
        Fitted.
    X : ndarray of shape (n_frames, n_points, 3)
        Its reconstruction of all frames.
    confidence : ndarray of shape (n_frames, n_points) or None
        How far to trust each point.
    score : float
        R^2 on hidden keypoints; NaN if there was no time.
    n_fitted : int
        Frames that it was fitted to.
    stopped : bool
        Whether the clock ended its fit.
    told : tuple of str
        Its warnings.
    skipped : tuple of str
        What was left out.
    """

    candidate: object
    ready: object
    estimator: object
    X: np.ndarray
    confidence: np.ndarray | None
    score: float
    n_fitted: int
    stopped: bool
    told: tuple
    skipped: tuple

    @property
    def name(self):
        """Name of the method."""
        return type(self.estimator).__name__

    @property
    def length_variation(self):
        """How much each point's distance to its steadiest neighbour varies."""
        return length_variation(self.estimator, self.X)

    @property
    def doubt(self):
        """What speaks against it; see :func:`doubt`."""
        return doubt(self.length_variation, self.score)


def doubt(variation, score):
    """Return the unexplained part of hidden keypoints times the variation of neighbour distances.

    Each alone is deceived: a flat shape predicts keypoints well, and a shape drawn out in depth has
    steady lengths. On seven data sets with four to six fits each the product's rank correlation
    with the true error was between 0.2 and 1, 0.68 in the mean.

    Parameters
    ----------
    variation : float
        How much neighbour distances vary. Of a rigid model it is 0 whatever the object, which says
        nothing: it counts as if they varied much.
    score : float
        R^2 on hidden keypoints.

    Returns
    -------
    float
        Lower is better; infinite if either is not known.
    """
    if variation < _RIGID_MODEL:
        variation = _MUCH
    value = variation * max(1.0 - score, _EXACT)
    return math.inf if math.isnan(value) else value


def length_variation(estimator, X):
    """Return how much neighbour distances vary, of shapes whose scale is not open in each frame.

    Parameters
    ----------
    estimator : BaseNRSfM
        Fitted.
    X : ndarray of shape (n_frames, n_points, 3)
        What it reconstructed.

    Returns
    -------
    float
    """
    if getattr(estimator, "camera", "orthographic") != "orthographic":
        # Each frame has a scale of its own: to one size first.
        centred = X - np.nanmean(X, axis=1, keepdims=True)
        X = centred / np.sqrt(np.nanmean(np.square(centred), axis=(1, 2), keepdims=True))
    return neighbor_distance_variation(X)


def fit_trial(candidate, ready, data, clock, say):
    """Fit a candidate as it was planned, lift all frames with it, and judge it.

    Parameters
    ----------
    candidate : Candidate
        What to fit.
    ready : Ready
        The plan.
    data : Data
        All frames.
    clock : Clock
        Tells what is left.
    say : callable
        Takes a short text.

    Returns
    -------
    Trial

    Raises
    ------
    KeyboardInterrupt
        If the training was interrupted.
    """
    estimator, n_frames = ready.estimator, len(data.W)
    fitted = data.choose(ready.n_frames)
    skipped = []
    say(f"Fitting {type(estimator).__name__} to {len(fitted):,} frames")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with clock.part("fit"):
            stopped = _fit(estimator, data.take(fitted), clock, ready.reserve, say)
        if getattr(estimator, "stop_reason_", "") == "interrupted":
            # The training loop keeps what it has; this call is to end.
            raise KeyboardInterrupt
        with clock.part("lift"):
            X = estimator.reconstruction_
            if len(fitted) < n_frames:
                say(f"Lifting the other {n_frames - len(fitted):,} frames")
                X = estimator.transform(data.W, **data.side(estimator))
        with clock.part("confidence"):
            trusted = _confidence(estimator, data, X, len(fitted), clock, skipped)
        with clock.part("score"):
            say("Scoring")
            score = _score(estimator, data, clock, skipped)
    told = [str(w.message).splitlines()[0] for w in caught]
    poor = [issubclass(w.category, TooPoorWarning) for w in caught]
    told = [text for text, is_poor in zip(told, poor, strict=True) if not is_poor]
    return Trial(
        candidate,
        ready,
        estimator,
        X,
        trusted,
        score,
        len(fitted),
        stopped,
        tuple(dict.fromkeys(told)),
        tuple(skipped),
    )


def _fit(estimator, data, clock, reserve, say):
    """Fit until it is done or the time is up; return whether the clock ended it."""
    began = clock.now()
    end = began + max(clock.left - reserve, 0.1)
    state = {"stopped": False, "said": began}
    every = max(2.0, (end - began) / 10)

    def is_up():
        now = clock.now()
        if now - state["said"] >= every:
            state["said"] = now
            say(f"Fitting, {now - began:.0f} of at most {end - began:.0f} s")
        state["stopped"] |= now > end
        return now > end

    with stop_when(is_up):
        estimator.fit(data.W, **data.side(estimator))
    return state["stopped"]


def _confidence(estimator, data, X, n_fitted, clock, skipped):
    """Return the confidence of every frame, or None."""
    if not isinstance(estimator, BaseDeepNRSfM) or not hasattr(estimator, "confidence_"):
        return None
    if n_fitted == len(data.W):
        return estimator.confidence_
    seconds = clock.parts["lift"] * (2 + len(estimator.runners_up_))
    if seconds > 0.7 * clock.left:
        skipped.append(f"confidence of each point: about {seconds:.0f} s for all frames")
        return None
    spread = estimator.predict_spread(data.W, **data.side(estimator))
    return probability_right(spread, object_size(X), estimator.length_variation_)


def _score(estimator, data, clock, skipped):
    tags = estimator._nrsfm_tags()
    if not (tags.missing and tags.inductive):
        skipped.append(f"score: {type(estimator).__name__} would have to be fitted once more")
        return float("nan")
    index = score_frames(estimator, data, clock)
    if not len(index):
        skipped.append("score on hidden keypoints: no time was left")
        return float("nan")
    part = data.take(index)
    return hidden_keypoint_score(estimator, part.W, refit=False, **part.side(estimator))
