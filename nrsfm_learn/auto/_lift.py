"""The one call."""

import math
from numbers import Real

import numpy as np

from .._validation import check_intrinsics
from ..deep._base import BaseDeepNRSfM
from ..diagnosis import diagnose
from ._clock import Clock
from ._estimate import Data, prepare
from ._input import as_keypoints
from ._judge import doubts, settle_signs
from ._plan import Plan, candidates, changed_settings
from ._result import Result, spread
from ._threads import suitable_threads
from ._trial import fit_trial

# Below, loading and diagnosis are most of it.
_LEAST_TIME = 5.0
# Part of the time that the first, fast method may take where a trained one comes after it.
_FAST_PART = 0.25
# Part of its usual iterations that a trained method must get to be tried beside a fast one.
_LEAST_PART = 0.1


def lift(
    W_or_path,
    method="auto",
    *,
    mask=None,
    groups=None,
    intrinsics=None,
    confidence=None,
    names=None,
    edges=None,
    fps=None,
    time_limit=120.0,
    device="auto",
    random_state=0,
    min_confidence=None,
    individual=None,
    progress=None,
):
    """Reconstruct keypoints of one camera in 3-D: diagnose, choose a method, fit, judge.

    Parameters
    ----------
    W_or_path : array-like of shape (n_frames, n_points, 2), Keypoints or path-like
        Keypoints (NaN where missing), a record of :mod:`nrsfm_learn.io`, or a file that
        :func:`nrsfm_learn.io.read` knows.
    method : str or BaseNRSfM, default="auto"
        "auto"; or the name of an estimator, such as "PAUL", whose settings are chosen; or an
        estimator, whose settings are kept but for ``max_iter`` if there is too little time.
    mask : array-like of bool of shape (n_frames, n_points), default=None
        True where a keypoint is visible.
    groups : array-like of shape (n_frames,), default=None
        Clip of each frame; by default clip and individual of the file.
    intrinsics : array-like of shape (3, 3) or (n_frames, 3, 3), default=None
        Camera matrices. With them a perspective camera is used where the object is near enough.
    confidence : array-like of shape (n_frames, n_points), default=None
        What the tracker said; used with `min_confidence`, and shown.
    names : sequence of str, default=None
        Name of each point.
    edges : sequence of (int, int), default=None
        Pairs of points that are joined, counted from 0.
    fps : float, default=None
        Frames a second.
    time_limit : float, default=120.0
        Seconds for all that follows reading, at least 5. It is met by planning: short trials tell
        how fast this machine is, and the fit is ended by the clock if it is slower than planned.
    device : {"auto", "cpu", "cuda"} or torch.device, default="auto"
        Where to compute.
    random_state : int, RandomState or None, default=0
        Seed. Equal seeds give equal results only where the clock allowed the same plan, which
        ``plan`` of the result tells.
    min_confidence : float, default=None
        Keypoints below are hidden; by default those that are by custom of the file's format.
    individual : str or int, default=None
        The one to reconstruct, of several in the file; by default all, as more frames of one kind
        of object.
    progress : callable, default=None
        Called with short texts, such as ``print``.

    Returns
    -------
    Result
        Reconstruction, confidence, score, warnings and plan. Data whose depth cannot be found are
        reconstructed all the same, and the first warning says so.

    Raises
    ------
    TypeError, ValueError
        If an argument is malformed, the data are 3-D already, or show so little that nothing can
        be fitted.
    FileNotFoundError, FileFormatError
        If the file is not there or cannot be read.

    See Also
    --------
    nrsfm_learn.diagnosis.diagnose : The first step alone.
    nrsfm_learn.auto.lift_with : Lift with an estimator that is fitted already.

    Notes
    -----
    The rules: a rigid object gets :class:`~nrsfm_learn.classical.RigidFactorization`. Otherwise
    :class:`~nrsfm_learn.classical.ProcrusteanRegression` is fitted if it takes little of the time,
    and with the rest a network: :class:`~nrsfm_learn.deep.PAUL` for up to 1,500 frames under an
    orthographic camera, :class:`~nrsfm_learn.deep.DeepNRSfMPP` for more frames, or a camera that is
    near or at varying distance. The one with the lower product of what it leaves unexplained of
    hidden keypoints and of how much its neighbour distances vary is returned. Where there is time
    for neither, :class:`~nrsfm_learn.classical.BMM` takes their place; where a method cannot fit
    all frames in time, it fits a part of them, evenly spaced, and lifts the others.

    The limit is planned for, and loops end at it. A solver's start, and the last lifting of many
    frames by a method that was asked for by name, can exceed it.

    One thread is used unless several are clearly faster at the moment of the call.

    Examples
    --------
    >>> import nrsfm_learn
    >>> from nrsfm_learn.datasets import make_low_rank
    >>> data = make_low_rank(n_frames=60, n_points=12, rank=2, random_state=0)
    >>> result = nrsfm_learn.lift(data.W, "ProcrusteanRegression", time_limit=20)
    >>> result.reconstruction.shape
    (60, 12, 3)
    """
    check_time_limit(time_limit)
    if progress is not None and not callable(progress):
        raise TypeError(
            f"progress must be a function of one text, such as print; got {progress!r}."
        )
    say = progress or _silent
    keypoints = as_keypoints(
        W_or_path,
        mask=mask,
        groups=groups,
        confidence=confidence,
        names=names,
        edges=edges,
        fps=fps,
        min_confidence=min_confidence,
        individual=individual,
    )
    if intrinsics is not None:
        intrinsics = check_intrinsics(intrinsics, keypoints.n_frames)
    clock = Clock(float(time_limit))
    say(f"{keypoints!r}")
    with suitable_threads():
        return _lift_keypoints(keypoints, method, intrinsics, clock, device, random_state, say)


def check_time_limit(time_limit):
    """Refuse a limit that is no number of seconds, or too short.

    Parameters
    ----------
    time_limit : float
        As of :func:`nrsfm_learn.lift`.

    Raises
    ------
    TypeError, ValueError
        If so.
    """
    if isinstance(time_limit, bool) or not isinstance(time_limit, Real):
        raise TypeError(f"time_limit must be a number of seconds, got {time_limit!r}.")
    if not time_limit >= _LEAST_TIME or math.isinf(time_limit):
        raise ValueError(
            f"time_limit={time_limit:g} must be at least {_LEAST_TIME:g} seconds, and finite."
        )


def _lift_keypoints(keypoints, method, intrinsics, clock, device, random_state, say):
    with clock.part("diagnosis"):
        diagnosis = diagnose(
            keypoints.W,
            groups=keypoints.groups,
            intrinsics=intrinsics,
            random_state=0,
            names=keypoints.names,
        )
    _refuse_hopeless(diagnosis)
    points = np.flatnonzero(keypoints.visible.any(0))
    data = Data(keypoints.W[:, points], keypoints.groups, intrinsics)
    options = candidates(method, diagnosis, device, random_state)
    rank, keep = diagnosis.rank_999, not isinstance(method, str)
    if method == "auto":
        trials, skipped = _best_of_two(options, data, clock, rank, say)
    else:
        trials, skipped = [], []
    if not trials:
        candidate, ready = _first_in_time(options, data, clock, rank, keep, skipped, say)
        trials = [fit_trial(candidate, ready, data, clock, say)]
    trials.sort(key=lambda trial: trial.doubt)
    result = _result(trials, skipped, keypoints, diagnosis, data, points, clock)
    say(f"Done in {clock.elapsed:.0f} s")
    return result


def _silent(text):
    """Print nothing."""


def _refuse_hopeless(diagnosis):
    for name in ("frames", "points"):
        finding = diagnosis[name]
        if finding.severity == "blocker":
            raise ValueError(f"W cannot be reconstructed: {finding.message}. {finding.advice}")


def _best_of_two(options, data, clock, rank, say):
    """Fit the fastest good method and, with the rest of the time, a trained one.

    Each kind is at times much worse than the other, and what they leave unexplained tells.
    """
    skipped, trials = [], []
    trained = [c for c in options if isinstance(c.estimator, BaseDeepNRSfM)]
    fast = [c for c in options if c not in trained]
    if not (trained and fast):
        return trials, skipped
    with clock.within(_FAST_PART) as short:
        ready = _planned(fast[0], data, short, rank, say)
        if ready.enough and ready.n_frames == len(data.W):
            trials.append(fit_trial(fast[0], ready, data, short, say))
    for candidate in dict.fromkeys(trained):
        least = min(candidate.least, _LEAST_PART) if trials else candidate.least
        ready = _planned(candidate._replace(least=least), data, clock, rank, say)
        if ready.note:
            skipped.append(ready.note)
        if ready.enough:
            trials.append(fit_trial(candidate, ready, data, clock, say))
            break
    return trials, skipped


def _planned(candidate, data, clock, rank, say, **options):
    say(f"Timing {type(candidate.estimator).__name__}")
    with clock.part("planning"):
        return prepare(candidate, data, clock, rank, **options)


def _first_in_time(options, data, clock, rank, keep, skipped, say):
    """Return the first candidate that there is time for, and its plan."""
    for number, candidate in enumerate(options):
        last = number == len(options) - 1
        ready = _planned(candidate, data, clock, rank, say, keep=keep, last=last)
        name = type(candidate.estimator).__name__
        if ready.enough or last:
            if ready.note:
                skipped.append(ready.note)
            break
        skipped.append(ready.note or f"{name} does not end in the {clock.left:.0f} s that are left")
    return candidate, ready


def _result(trials, skipped, keypoints, diagnosis, data, points, clock):
    """Make the result of the first trial; the others are named in the plan."""
    trial, *others = trials
    perspective = trial.estimator._nrsfm_tags().perspective
    X, n_turned = settle_signs(
        trial.X, data.groups, is_video=diagnosis.is_video, perspective=perspective
    )
    reason = trial.candidate.reason
    if others:
        reason += (
            f"; chosen before {' and '.join(t.name for t in others)}, which leaves more unexplained"
        )
    plan = Plan(
        method=trial.name,
        settings=changed_settings(trial.estimator),
        reason=reason,
        skipped=tuple(dict.fromkeys([*skipped, *trial.skipped])),
        n_frames=len(data.W),
        n_fitted=trial.n_fitted,
        seconds=dict(clock.parts),
        time_limit=clock.limit,
        stopped_early=trial.stopped,
    )
    unseen = np.setdiff1d(np.arange(keypoints.n_points), points)
    return Result(
        reconstruction=spread(X, points, keypoints.n_points),
        keypoints=keypoints,
        estimator=trial.estimator,
        diagnosis=diagnosis,
        confidence=None
        if trial.confidence is None
        else spread(trial.confidence, points, keypoints.n_points),
        score=trial.score,
        warnings=doubts(
            trial,
            plan,
            diagnosis,
            perspective=perspective,
            unseen=[keypoints.names[p] for p in unseen],
            n_turned=n_turned,
        ),
        plan=plan,
        intrinsics=data.intrinsics,
        points=points,
        length_variation=trial.length_variation,
    )
