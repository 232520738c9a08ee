"""The one call."""

import math
import warnings
from numbers import Real

import numpy as np

from .._deadline import stop_when
from .._validation import check_intrinsics
from ..base import TooPoorWarning
from ..deep._base import BaseDeepNRSfM
from ..deep._confidence import object_size, probability_right
from ..diagnosis import diagnose
from ..flips import consistent_flips, mirror_depth
from ..model_selection import hidden_keypoint_score
from ._clock import Clock
from ._estimate import Data, prepare, score_frames
from ._input import as_keypoints
from ._plan import Plan, candidates, changed_settings
from ._result import Result, spread
from ._threads import suitable_threads

# Below, loading and diagnosis are most of it.
_LEAST_TIME = 5.0
_SCALE = {
    False: "Scale is known up to one factor for all frames.",
    True: "Scale is known up to one factor a frame: near and small looks like far and large.",
}
_DEPTH = (
    "The camera model does not see the sign of depth: if near and far are exchanged, take "
    ".flipped(); "
)
_VIDEO = "all frames of a clip have one sign."
_PHOTOS = "single frames may have the other sign than the rest."


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
    The rules: a rigid object gets :class:`~nrsfm_learn.classical.RigidFactorization`; up to 1,500
    frames under an orthographic camera :class:`~nrsfm_learn.deep.PAUL`; more frames, or a camera
    that is near or at varying distance, :class:`~nrsfm_learn.deep.DeepNRSfMPP`. Where there is no
    time for enough iterations of these, :class:`~nrsfm_learn.classical.ProcrusteanRegression`
    takes their place (with a near camera PAUL first), and :class:`~nrsfm_learn.classical.BMM` its
    own. Where a method cannot fit all frames in time, it fits a part of them, evenly spaced, and
    lifts the others.

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
    if isinstance(time_limit, bool) or not isinstance(time_limit, Real):
        raise TypeError(f"time_limit must be a number of seconds, got {time_limit!r}.")
    if not time_limit >= _LEAST_TIME or math.isinf(time_limit):
        raise ValueError(
            f"time_limit={time_limit:g} must be at least {_LEAST_TIME:g} seconds, and finite."
        )
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


def _lift_keypoints(keypoints, method, intrinsics, clock, device, random_state, say):
    with clock.part("diagnosis"):
        diagnosis = diagnose(
            keypoints.W, groups=keypoints.groups, intrinsics=intrinsics, random_state=0
        )
    _refuse_hopeless(diagnosis)
    points = np.flatnonzero(keypoints.visible.any(0))
    data = Data(keypoints.W[:, points], keypoints.groups, intrinsics)
    with clock.part("planning"):
        options = candidates(method, diagnosis, device, random_state)
        candidate, ready, skipped = _choose(options, data, clock, diagnosis, method, say)
    return _run(candidate, ready, skipped, data, clock, keypoints, diagnosis, points, say)


def _silent(text):
    """Print nothing."""


def _refuse_hopeless(diagnosis):
    for name in ("frames", "points"):
        finding = diagnosis[name]
        if finding.severity == "blocker":
            raise ValueError(f"W cannot be reconstructed: {finding.message}. {finding.advice}")


def _choose(options, data, clock, diagnosis, method, say):
    """Return the first candidate that there is time for, its plan, and what was passed over."""
    skipped = []
    keep = not isinstance(method, str)
    for number, candidate in enumerate(options):
        name = type(candidate.estimator).__name__
        say(f"Timing {name}")
        last = number == len(options) - 1
        ready = prepare(candidate, data, clock, diagnosis.rank_999, keep=keep, last=last)
        if ready.enough or last:
            if ready.note:
                skipped.append(ready.note)
            break
        skipped.append(ready.note or f"{name} does not end in the {clock.left:.0f} s that are left")
    return candidate, ready, skipped


def _run(candidate, ready, skipped, data, clock, keypoints, diagnosis, points, say):
    estimator, n_frames = ready.estimator, len(data.W)
    fitted = data.choose(ready.n_frames)
    say(f"Fitting {type(estimator).__name__} to {len(fitted):,} frames")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with clock.part("fit"):
            stopped = _fit(estimator, data.take(fitted), clock, ready.reserve, say)
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
    told = [_first_line(w.message) for w in caught if not issubclass(w.category, TooPoorWarning)]
    perspective = estimator._nrsfm_tags().perspective
    n_turned = 0
    if diagnosis.is_video and not perspective:
        signs = consistent_flips(X, data.groups)
        n_turned = int((signs < 0).sum())
        X = np.where(signs[:, None, None] < 0, mirror_depth(X), X)
    plan = Plan(
        method=type(estimator).__name__,
        settings=changed_settings(estimator),
        reason=candidate.reason,
        skipped=tuple(skipped),
        n_frames=n_frames,
        n_fitted=len(fitted),
        seconds=dict(clock.parts),
        time_limit=clock.limit,
        stopped_early=stopped,
    )
    result = Result(
        reconstruction=spread(X, points, keypoints.n_points),
        keypoints=keypoints,
        estimator=estimator,
        diagnosis=diagnosis,
        confidence=None if trusted is None else spread(trusted, points, keypoints.n_points),
        score=score,
        warnings=_warnings(
            diagnosis, plan, keypoints, points, perspective, n_turned, told, ready.enough
        ),
        plan=plan,
        intrinsics=data.intrinsics,
        points=points,
    )
    say(f"Done in {clock.elapsed:.0f} s")
    return result


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


def _first_line(message):
    return str(message).splitlines()[0]


def _warnings(diagnosis, plan, keypoints, points, perspective, n_turned, told, enough):
    """Say what to know before using the result, the gravest first."""
    said = []
    if not enough:
        said.append(
            f"{plan.time_limit:g} s are too little time for these data by {plan.method}: expect a "
            f"poor result, and give more time."
        )
    if diagnosis.reconstructible is False:
        said.append(
            "These keypoints do not tell depth: what is shown fits the image, and its depth is "
            "made up."
        )
    elif diagnosis.reconstructible is None:
        said.append(
            "These keypoints do not tell turning from deformation: the depth may be made up."
        )
    for finding in diagnosis.findings:
        if finding.severity in ("blocker", "warning"):
            said.append(f"{finding.name}: {finding.message}. {finding.advice}".strip())
    if len(points) < keypoints.n_points:
        unseen = [n for p, n in enumerate(keypoints.names) if p not in set(points.tolist())]
        said.append(f"No frame shows {', '.join(unseen)}: NaN in the result.")
    if diagnosis.camera == "perspective" and not perspective:
        said.append(
            f"The camera is near its object, and {plan.method} takes it for a distant one: expect "
            f"distorted depth."
        )
    if plan.stopped_early:
        said.append(
            "The clock ended the fit before its last iteration: the machine was slower than in "
            "the trial. More time may give a better result."
        )
    said += dict.fromkeys(told)
    if n_turned:
        said.append(
            f"{n_turned} frame(s) were mirrored in depth, so that the object moves least from "
            f"frame to frame."
        )
    if not perspective:
        said.append(_DEPTH + (_VIDEO if diagnosis.is_video else _PHOTOS))
    said.append(_SCALE[perspective])
    return tuple(said)
