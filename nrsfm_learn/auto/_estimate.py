"""How long a fit would take here, by short fits of the same data."""

import math
import warnings
from typing import NamedTuple

import numpy as np
from sklearn.base import clone

from .._deadline import stop_when
from ..base import Observations
from ..deep import PAUL
from ..deep._base import BaseDeepNRSfM
from ..deep._factorization import BaseFactorizationLifter
from ..deep._presets import (
    deep_nrsfm_preset,
    factorization_preset,
    is_sequence,
    paul_preset,
)
from ._plan import n_bases_of, plan_training, race_cost

# Of the time left, what a fit is planned for: machines are shared.
_PLANNED = 0.92
# Iterations of a trial of a trained method, and those of them that are warming up.
_TRIAL_ITER, _WARM = 24, 4
# Part of the time left that a trial may take.
_TRIAL_PART = 0.1
# Frames of a trial of a classical method, at most and for each second left, and its steps.
_TRIAL_FRAMES, _TRIAL_RATE, _TRIAL_STEPS = 250, 12, 10
# Seconds that a method that trains is not tried below.
_LEAST_TRAINING = 12.0
# Steps of a whole fit as a rule, and the fewest that are worth it: Procrustean regression takes 85
# to 264 to its tolerance on 150 to 2,400 frames. After 20 its error is at most a third above that
# of the end (pickup, subject 18, mice), and after 6 still no worse than that of BMM.
_USUAL_STEPS, _LEAST_STEPS = 200, 15
# Frames that a fit is worth with.
_FEWEST_FRAMES = 60
# Trials of "auto" for the number of bases.
_N_TRIALS = 8
# Frames that a trained method is fitted to at most: batches are drawn from them.
_MOST_FRAMES, _FRAMES_A_SECOND = 20_000, 500
# Frames that the score is measured on, those of a trial, and what it may take: seconds, and a part
# of the limit.
_SCORE_FRAMES, _SCORE_TRIAL = 500, 20
_SCORE_BASE, _SCORE_PART = 0.3, 0.04
# Networks whose disagreement gives the confidence, each of which lifts once more.
_N_SPREAD = 4


class Data(NamedTuple):
    """Keypoints and what belongs to them.

    Attributes
    ----------
    W : ndarray of shape (n_frames, n_points, 2)
        NaN where hidden.
    groups : ndarray of shape (n_frames,)
    intrinsics : ndarray or None
        One matrix, or one a frame.
    """

    W: np.ndarray
    groups: np.ndarray
    intrinsics: np.ndarray | None = None

    def take(self, index):
        """Return some of the frames."""
        K = self.intrinsics
        return Data(self.W[index], self.groups[index], K if K is None or K.ndim == 2 else K[index])

    def choose(self, n_frames):
        """Return indices of so many frames, evenly spaced among those that show enough, and of a
        frame more for each point that these don't show.
        """
        visible = ~np.isnan(self.W[..., 0])
        if n_frames >= len(visible):
            return np.arange(len(visible))
        usable = np.flatnonzero(visible.sum(1) >= 3)
        index = usable[evenly(len(usable), n_frames)]
        hidden = np.flatnonzero(~visible[index].any(0) & visible.any(0))
        return np.union1d(index, visible[:, hidden].argmax(0))

    def side(self, estimator):
        """Return what ``fit`` and ``transform`` of an estimator take beside the keypoints."""
        if self.intrinsics is None or not estimator._nrsfm_tags().perspective:
            return {"groups": self.groups}
        return {"groups": self.groups, "intrinsics": self.intrinsics}


class Ready(NamedTuple):
    """A fit that is planned.

    Attributes
    ----------
    estimator : BaseNRSfM
        With the settings that suit the time.
    n_frames : int
        Frames to fit.
    reserve : float
        Seconds to keep for what follows the fit.
    enough : bool
        Whether it is worth doing, if there is another method.
    note : str
        What was left out.
    """

    estimator: object
    n_frames: int
    reserve: float
    enough: bool
    note: str = ""


def prepare(candidate, data, clock, rank, *, keep=False, last=False):
    """Plan the fit of a candidate within the time that is left.

    Parameters
    ----------
    candidate : Candidate
        What to fit.
    data : Data
        All frames.
    clock : Clock
        Tells what is left.
    rank : int
        Singular values that hold 99.9% of the energy.
    keep : bool, default=False
        Lower nothing but ``max_iter``.
    last : bool, default=False
        Whether there is no other candidate.

    Returns
    -------
    Ready
    """
    if isinstance(candidate.estimator, BaseDeepNRSfM):
        if clock.left < _LEAST_TRAINING and not last:
            note = f"{type(candidate.estimator).__name__}: {clock.left:.0f} s are no time to train"
            return Ready(candidate.estimator, len(data.W), 0.0, False, note)
        return _prepare_training(candidate, data, clock, keep)
    return _prepare_classical(candidate, data, clock, rank, keep)


def evenly(n_frames, n_taken):
    """Return indices of so many frames, evenly spaced; all if there are no more."""
    return np.unique(np.linspace(0, n_frames - 1, min(n_frames, n_taken)).round().astype(int))


def _prepare_training(candidate, data, clock, keep):
    estimator, n_frames = candidate.estimator, len(data.W)
    n_fitted = int(np.clip(_FRAMES_A_SECOND * clock.limit, 2000, _MOST_FRAMES))
    fitted = data.take(data.choose(n_fitted))
    n_fitted = len(fitted.W)
    step, lift = time_training(estimator, fitted, clock)
    max_iter, n_init = usual_training(estimator, fitted)
    others = lift * (n_frames / n_fitted if n_frames > n_fitted else 0)
    once = lift + others + lift * min(1, _SCORE_FRAMES / n_fitted)
    reserve = once + (_N_SPREAD * lift if n_init > 1 else 0)
    left = _PLANNED * (clock.left - reserve) - lift
    planned, starts = plan_training(max(left, 0) / step, max_iter, n_init, keep_starts=keep)
    settings = {"max_iter": planned} | ({} if keep else {"n_init": starts})
    note = ""
    if planned < max_iter or starts < n_init:
        name = type(estimator).__name__
        note = (
            f"{name} would train {max_iter:,} iterations, beginning with {n_init} start(s), in "
            f"about {step * max_iter * race_cost(n_init):.0f} s; there is time for {planned:,}, "
            f"beginning with {starts}"
        )
    return Ready(
        clone(estimator).set_params(**settings),
        n_fitted,
        reserve if starts > 1 else once,
        planned >= candidate.least * max_iter,
        note,
    )


def time_training(estimator, data, clock):
    """Measure a method that trains, by a few iterations of one start.

    Parameters
    ----------
    estimator : BaseDeepNRSfM
        The method.
    data : Data
        Frames to fit.
    clock : Clock
        Tells the time.

    Returns
    -------
    step, lift : float
        Seconds of an iteration, and of lifting all frames. What comes before the first iteration
        is no measure: the first fit in a process loads much of torch.
    """
    times = []
    longest = _TRIAL_PART * clock.left

    def is_up():
        times.append(clock.now())
        return len(times) > _WARM + 2 and times[-1] - times[0] > longest

    trial = clone(estimator).set_params(
        max_iter=_TRIAL_ITER, n_init=1, warm_start=False, checkpoint_dir=None, verbose=False
    )
    _quiet_fit(trial, data, is_up)
    end = clock.now()
    steps = np.diff(times)[_WARM:]
    # A look at the mirror image, which comes four times in a run, is no step.
    steps = steps[steps <= 3 * np.median(steps)]
    return max(float(steps.mean()), 1e-6), end - times[-1]


def usual_training(estimator, data):
    """Return ``max_iter`` and ``n_init`` that an estimator would use on these data."""
    n_frames = len(data.W)
    if isinstance(estimator, PAUL):
        visible = ~np.isnan(data.W[..., 0])
        observations = Observations(data.W, visible)._replace(groups=data.groups)
        preset = paul_preset(estimator.preset, n_frames, is_sequence(observations))
    elif isinstance(estimator, BaseFactorizationLifter):
        preset = factorization_preset(estimator.preset, n_frames)
    else:
        preset = {**deep_nrsfm_preset(estimator.preset, n_frames), "n_init": 4}
    max_iter = estimator.max_iter or preset["max_iter"]
    if estimator.n_init != "auto":
        return max_iter, estimator.n_init
    return max_iter, preset["n_init"] if max_iter >= 1000 else 1


def _prepare_classical(candidate, data, clock, rank, keep):
    estimator, (n_frames, n_points, _) = candidate.estimator, data.W.shape
    name, params = type(estimator).__name__, estimator.get_params(deep=False)
    n_bases = n_bases_of(rank, n_points)
    begin, step, lift = time_classical(estimator, data, clock, n_bases)
    score = min(lift * _SCORE_FRAMES, score_seconds(clock))
    left = _PLANNED * (clock.left - score)
    whole, least, note, settings = begin + _USUAL_STEPS * step, begin + _LEAST_STEPS * step, "", {}
    if params.get("n_bases") == "auto" and whole * n_frames * _N_TRIALS > left and not keep:
        settings["n_bases"] = n_bases
        note = f"{name} would try several numbers of bases; there is time for one, {n_bases}"
    n_fitted = n_frames
    if least * n_frames > left and estimator._nrsfm_tags().inductive:
        # Frames that are not fitted are lifted, which is cheaper.
        affordable = (left - lift * n_frames) / max(least - lift, 1e-9)
        n_fitted = int(np.clip(affordable, min(n_frames, max(_FEWEST_FRAMES, n_points)), n_frames))
    rest = n_frames - n_fitted
    left -= lift * rest
    if name == "ProcrusteanRegression":
        # Its threshold comes down half-way: a fit that the clock ends would not get there.
        steps = int((left / n_fitted - begin) / step)
        if steps < params["max_iter"]:
            settings["max_iter"] = max(_TRIAL_STEPS, steps)
    return Ready(
        clone(estimator).set_params(**settings),
        n_fitted,
        score + lift * rest,
        least * n_fitted <= 1.05 * left,
        note,
    )


def time_classical(estimator, data, clock, n_bases):
    """Measure a classical method, by some steps on some frames.

    Parameters
    ----------
    estimator : BaseNRSfM
        The method.
    data : Data
        All frames.
    clock : Clock
        Tells the time.
    n_bases : int
        For methods that would choose it.

    Returns
    -------
    begin, step, lift : float
        Seconds a frame: of what comes before the steps, of a step, and of lifting a frame that was
        not fitted. All methods are about linear in frames, beyond some 250.
    """
    params = estimator.get_params(deep=False)
    settings = {"max_iter": _TRIAL_STEPS} if "max_iter" in params else {}
    if params.get("n_bases") == "auto":
        settings["n_bases"] = n_bases
    trial = clone(estimator).set_params(**settings)
    few = data.take(data.choose(int(np.clip(_TRIAL_RATE * clock.left, 60, _TRIAL_FRAMES))))
    inductive = trial._nrsfm_tags().inductive
    if not inductive:
        # Each clip stands by itself there, and has too few of these frames for that.
        few = few._replace(groups=np.zeros_like(few.groups))
    times = []
    start, longest = clock.now(), _TRIAL_PART * clock.left

    def is_up():
        times.append(clock.now())
        return times[-1] - start > longest

    _quiet_fit(trial, few, is_up)
    total = clock.now() - start
    # Its steps are the last ones that are asked about; a start has loops of its own.
    steps = np.diff(times[-(_TRIAL_STEPS - 1) :])
    step = float(np.median(steps)) if len(steps) else total / _TRIAL_STEPS
    begin = max(total - _TRIAL_STEPS * step, 0.0)
    step = max(step, 1e-6)
    # Fewer frames than so many hardly take less time.
    n_frames = max(len(few.W), min(len(data.W), _TRIAL_FRAMES))
    lift = time_lift(trial, few, clock) if inductive else 0.0
    return begin / n_frames, step / n_frames, lift


def time_lift(estimator, data, clock):
    """Return the seconds that a fitted estimator takes to lift a frame that it has not seen."""
    few = data.take(evenly(len(data.W), _SCORE_TRIAL))
    start = clock.now()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Moved a little, so that they count as unseen.
        estimator.transform(few.W * (1 + 1e-3), **few.side(estimator))
    return (clock.now() - start) / len(few.W)


def _quiet_fit(estimator, data, is_up):
    with warnings.catch_warnings(), stop_when(is_up):
        warnings.simplefilter("ignore")
        estimator.fit(data.W, **data.side(estimator))


def score_frames(estimator, data, clock):
    """Return indices of the frames that there is time to score; few or none if there is little.

    Parameters
    ----------
    estimator : BaseNRSfM
        Fitted.
    data : Data
        All frames.
    clock : Clock
        Tells what is left.

    Returns
    -------
    ndarray of int
    """
    n_frames = len(data.W)
    affordable = math.floor(
        min(score_seconds(clock), 0.7 * clock.left) / max(time_lift(estimator, data, clock), 1e-9)
    )
    return evenly(n_frames, min(_SCORE_FRAMES, affordable))


def score_seconds(clock):
    """Return what the score may take."""
    return _SCORE_BASE + _SCORE_PART * clock.limit
