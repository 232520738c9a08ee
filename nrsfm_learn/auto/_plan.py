"""Which method, with which settings, and what was left out."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from sklearn.base import clone

from ..base import BaseNRSfM
from ..testing import all_estimators

# Part of the view change that a turning rigid body explains, from which on it is taken for one: of
# recorded and generated bodies that bend none is above 0.98, noise of 3% leaves 0.997.
_RIGID = 0.99
# Parts of the usual iterations below which another method is better in the same time. Measured in
# percent ("procrustes"): PAUL on pickup 2.2 after 1,700 of 5,000 iterations and 1.6 after 3,400, on
# subject 18 4.9 after 1,400 of 8,000, where Procrustean regression has 1.7 and 2.9; on labelled
# mice at varying distance Deep NRSfM++ 15.3 after 1,800 of 8,000 and PAUL 17.4 after 2,600,
# regression 13.1; on a body seen from near PAUL 20.7, 16.9 and 10.9 after 600, 1,100 and 2,800,
# regression 20.1.
_LEAST = {
    ("PAUL", "orthographic"): 0.5,
    ("PAUL", "perspective"): 0.125,
    ("DeepNRSfMPP", "orthographic"): 0.125,
    ("DeepNRSfMPP", "weak_perspective"): 0.5,
    ("DeepNRSfMPP", "perspective"): 0.125,
}
# A smaller part gives nothing to look at.
_TOO_FEW = 0.04
# Frames up to which PAUL may take the place of Deep NRSfM++ with a near camera, and beyond which
# methods that search for the pose of each frame take long to lift them.
_FEW = 3000
# Fewest iterations at which starts can be told from each other; as of the estimators' "auto".
_RACE_ITER = 1000
_FEWEST_STARTS = 4
# Part of the default iterations that is not given up for more starts.
_FULL = 0.6
# Part of the iterations of a rung; as of the estimators' "auto".
_RUNG = 1 / 16


@dataclass(frozen=True)
class Plan:
    """What :func:`nrsfm_learn.lift` did, and why; print it.

    Attributes
    ----------
    method : str
        Name of the estimator.
    settings : dict
        Parameters of it that differ from their defaults.
    reason : str
        Why this one.
    skipped : tuple of str
        What was left out and why, such as a method for which there was no time.
    n_frames, n_fitted : int
        Frames that there are, and those that were fitted; the others were lifted by the fitted
        estimator, all of them if it was fitted before.
    seconds : dict of str to float
        Wall time of each part.
    time_limit : float
        Seconds that were allowed.
    stopped_early : bool
        Whether the fit was ended by the clock before its last iteration.
    """

    method: str
    settings: dict
    reason: str
    skipped: tuple
    n_frames: int
    n_fitted: int
    seconds: dict
    time_limit: float
    stopped_early: bool

    def __str__(self):
        settings = ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
        spent = ", ".join(f"{name} {s:.1f}" for name, s in self.seconds.items())
        lines = [f"{self.method}({settings}): {self.reason}"]
        if 0 < self.n_fitted < self.n_frames:
            lines.append(f"Fitted {self.n_fitted:,} of {self.n_frames:,} frames, lifted the others")
        lines += [f"Skipped: {what}" for what in self.skipped]
        limit = f" of {self.time_limit:,.0f} s" if self.time_limit < math.inf else ""
        lines.append(f"{sum(self.seconds.values()):.1f} s{limit}: {spent}")
        return "\n".join(lines)


def changed_settings(estimator):
    """Return the parameters of an estimator that differ from their defaults.

    Parameters
    ----------
    estimator : object
        An estimator.

    Returns
    -------
    dict
        Without seed, device and verbosity.
    """
    defaults = type(estimator)().get_params(deep=False)
    settings = estimator.get_params(deep=False)
    dull = ("random_state", "device", "verbose")
    return {k: v for k, v in settings.items() if k not in dull and repr(v) != repr(defaults[k])}


class Candidate(NamedTuple):
    """An estimator to consider.

    Attributes
    ----------
    estimator : BaseNRSfM
        Not fitted.
    reason : str
        Why.
    least : float
        Part of its usual iterations, if it trains, below which the next candidate is better.
    """

    estimator: object
    reason: str
    least: float = 0.0


def candidates(method, diagnosis, device, random_state):
    """List estimators to consider, the best first; the last one is to be used whatever it takes.

    Parameters
    ----------
    method : str or BaseNRSfM
        As of :func:`nrsfm_learn.lift`.
    diagnosis : Diagnosis
        What was measured.
    device, random_state
        Parameters of estimators that are not given as an instance.

    Returns
    -------
    list of Candidate

    Raises
    ------
    TypeError, ValueError
        If there is no such method.
    """
    if isinstance(method, BaseNRSfM):
        return [Candidate(clone(method), "as given, with its settings")]
    if not isinstance(method, str):
        raise TypeError(
            f"method must be 'auto', the name of an estimator or one, got {type(method).__name__}."
            + (" Make one: method=PAUL()." if isinstance(method, type) else "")
        )
    known = dict(all_estimators())

    def make(name, **settings):
        cls = known[name]
        accepted = cls._get_param_names()
        settings = {"device": device, "random_state": random_state, **settings}
        return cls(**{k: v for k, v in settings.items() if k in accepted})

    if method != "auto":
        if method not in known:
            raise ValueError(
                f"method={method!r} is not known: use 'auto', or one of {', '.join(known)}."
            )
        return [Candidate(_with_camera(make, method, diagnosis.camera), "as asked for")]
    return _by_rules(diagnosis, make)


def _by_rules(diagnosis, make):
    d, camera = diagnosis, diagnosis.camera
    bases = n_bases_of(d.rank_999, d.n_points)
    # What these have measured is in the benchmarks of the documentation.
    regression = Candidate(
        make("ProcrusteanRegression"),
        "the most accurate of the methods that need seconds, in any order of the frames",
    )
    factorization = Candidate(
        make("BMM", n_bases=bases), "the fastest method for an object that deforms"
    )
    if d.turning >= _RIGID and camera != "perspective":
        reason = f"one rigid body explains {d.turning:.1%} of how the views differ"
        return [Candidate(make("RigidFactorization", camera=camera), reason)]
    reason, _, _ = d.reason.partition(". ")
    first = Candidate(
        make(d.estimator, **d.settings), f"suits {reason}", _LEAST[d.estimator, camera]
    )
    if d.n_frames > _FEW:
        whatever = first._replace(reason="lifts many frames fast", least=_TOO_FEW)
        return [first, regression, factorization, whatever]
    if d.estimator != "PAUL" and camera == "perspective":
        reason = "has the camera that suits, and its iterations take the least time"
        paul = Candidate(make("PAUL", camera=camera), reason, _LEAST["PAUL", camera])
        return [first, paul, regression, factorization]
    return [first, regression, factorization]


def n_bases_of(rank, n_points):
    """Return a number of bases for singular values that hold 99.9% of the energy."""
    return max(1, min(max(2, math.ceil(rank / 3)), (n_points - 1) // 3))


def _with_camera(make, method, camera):
    """Give a method the camera that suits, or the nearest one that it has."""
    for name in dict.fromkeys([camera, "weak_perspective", "orthographic"]):
        estimator = make(method, camera=name)
        constraints = estimator._parameter_constraints.get("camera", ())
        if any(name in getattr(constraint, "options", ()) for constraint in constraints):
            return estimator
    return make(method)


def race_cost(n_starts, factor=2):
    """Return what a run of several starts costs, in runs of one.

    Parameters
    ----------
    n_starts : int
        Starts of the first rung.
    factor : int, default=2
        What their number is divided by at each rung.

    Returns
    -------
    float
    """
    cost, left = 0.0, 1.0
    while n_starts > 1:
        cost, left = cost + _RUNG * n_starts, left - _RUNG
        n_starts = math.ceil(n_starts / factor)
    return cost + left


def plan_training(iterations, max_iter, n_starts, *, keep_starts=False):
    """Divide iterations that there is time for among starts.

    Parameters
    ----------
    iterations : float
        Iterations of one start that there is time for.
    max_iter, n_starts : int
        What the method would do with all the time it likes.
    keep_starts : bool, default=False
        Leave the number of starts as it is.

    Returns
    -------
    max_iter, n_starts : int
        At least one iteration, and no more of either than the method would do. Starts are given up
        first, down to four, then iterations; below a thousand one start is left.
    """
    options = [n_starts]
    while not keep_starts and options[-1] > _FEWEST_STARTS:
        options.append(max(_FEWEST_STARTS, options[-1] // 2))
    for starts in options:
        affordable = int(iterations / race_cost(starts))
        if affordable >= _FULL * max_iter:
            break
    if affordable < _RACE_ITER and not keep_starts:
        starts, affordable = 1, int(iterations)
    return max(1, min(max_iter, affordable)), starts
