"""Lift with an estimator that is fitted already."""

import warnings

import numpy as np

from .._validation import check_intrinsics
from ..base import Observations
from ..deep._presets import is_sequence
from ._clock import Clock
from ._input import as_keypoints
from ._judge import ambiguities, settle_signs, shaky
from ._plan import Plan, changed_settings
from ._result import Result, spread
from ._trial import length_variation


def lift_with(estimator, W_or_path, *, names=None, intrinsics=None, **reading):
    """Lift keypoints with a fitted estimator, such as one that :func:`nrsfm_learn.load` returned.

    Parameters
    ----------
    estimator : BaseNRSfM
        Fitted.
    W_or_path : array-like of shape (n_frames, n_points, 2), Keypoints or path-like
        As :func:`nrsfm_learn.lift` takes them.
    names : sequence of str, default=None
        Names of the points that `estimator` was fitted to, in its order, as its model card has
        them. The keypoints are then found by name, in any order and among others. None if they are
        the same points in the same order.
    intrinsics : array-like of shape (3, 3) or (n_frames, 3, 3), default=None
        Camera matrices, for perspective methods; by default those of the fit.
    **reading
        ``mask``, ``groups``, ``min_confidence`` and the like, as of :func:`nrsfm_learn.lift`.

    Returns
    -------
    Result
        As of :func:`nrsfm_learn.lift`, but without a diagnosis.

    Raises
    ------
    ValueError
        If a named point is not there, or the estimator lifts no other frames than its own.

    See Also
    --------
    nrsfm_learn.lift : Fit, too.
    """
    keypoints = as_keypoints(W_or_path, **reading)
    points = _points(estimator, keypoints, names)
    clock = Clock(np.inf)
    side = {"groups": keypoints.groups}
    if intrinsics is not None:
        intrinsics = check_intrinsics(intrinsics, keypoints.n_frames)
        if estimator._nrsfm_tags().perspective:
            side["intrinsics"] = intrinsics
    W = keypoints.W[:, points]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with clock.part("lift"):
            X = estimator.transform(W, **side)
        with clock.part("score"):
            score = estimator.score(W, **side)
        is_video = bool(is_sequence(Observations(W, keypoints.visible[:, points])))
    perspective = estimator._nrsfm_tags().perspective
    X, _ = settle_signs(X, keypoints.groups, is_video=is_video, perspective=perspective)
    variation = length_variation(estimator, X)
    told = [" ".join(str(w.message).split()) for w in caught]
    told += [*shaky(variation, None), *ambiguities(perspective=perspective, is_video=is_video)]
    plan = Plan(
        method=type(estimator).__name__,
        settings=changed_settings(estimator),
        reason="fitted before",
        skipped=(),
        n_frames=len(W),
        n_fitted=0,
        seconds=dict(clock.parts),
        time_limit=np.inf,
        stopped_early=False,
    )
    return Result(
        reconstruction=spread(X, points, keypoints.n_points),
        keypoints=keypoints,
        estimator=estimator,
        diagnosis=None,
        confidence=None,
        score=score,
        warnings=tuple(dict.fromkeys(told)),
        plan=plan,
        intrinsics=intrinsics,
        points=points,
        length_variation=variation,
    )


def _points(estimator, keypoints, names):
    """Index of each point of the estimator among the keypoints."""
    n_points = estimator.n_points_in_
    if names is None:
        if keypoints.n_points != n_points:
            raise ValueError(
                f"The keypoints have {keypoints.n_points} points, and {type(estimator).__name__} "
                f"was fitted to {n_points}: pass names, those of the fit in its order."
            )
        return np.arange(n_points)
    if len(names) != n_points:
        raise ValueError(
            f"names has {len(names)} entries, and {type(estimator).__name__} was fitted to "
            f"{n_points} points."
        )
    there = {name: k for k, name in enumerate(keypoints.names)}
    unknown = [name for name in names if name not in there]
    if unknown:
        raise ValueError(
            f"The model was fitted to a point {unknown[0]!r}, which the keypoints do not have; "
            f"they have {', '.join(map(repr, list(there)[:20]))}. Add it as a missing point "
            f"(NaN), or lift with a model of these points."
        )
    return np.array([there[name] for name in names])
