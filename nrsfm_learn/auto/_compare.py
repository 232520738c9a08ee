"""Several methods on the same keypoints, judged alike."""

import inspect
import time
import warnings
from collections import Counter
from typing import NamedTuple

import numpy as np

from ..metrics import evaluate
from ._input import as_keypoints
from ._lift import check_time_limit, lift
from ._trial import doubt

_MAIN_PROTOCOLS = {
    "procrustes": "normalized_error (procrustes)",
    "sequence flip": "normalized_error (frobenius, depth flip per sequence)",
}
# Options that settle what is read, not how it is fitted.
_READING = inspect.getfullargspec(as_keypoints).kwonlyargs


class ComparedMethod(NamedTuple):
    """What one method made of the keypoints.

    Attributes
    ----------
    method : str
        Name of the estimator; the second of a name is "PAUL (2)".
    result : Result or None
        What it found; None if it failed.
    problem : str
        Why it failed; "" if it did not.
    seconds : float
        Wall time of everything.
    score : float
        R^2 on hidden keypoints; it does not see wrong depth.
    length_variation : float
        :func:`~nrsfm_learn.model_selection.neighbor_distance_variation`; lower is better for
        objects with rigid parts, but 0 by construction for a rigid model.
    errors : dict of str to float
        Errors by protocol if there was ground truth; see :func:`~nrsfm_learn.metrics.evaluate`.
    X_true : ndarray of shape (n_frames, n_points, 3) or None
        That ground truth.
    """

    method: str
    result: object
    problem: str
    seconds: float
    score: float
    length_variation: float
    errors: dict
    X_true: np.ndarray | None = None


def compare(keypoints, methods, *, X_true=None, progress=None, **options):
    """Fit several methods to the same keypoints.

    Parameters
    ----------
    keypoints : Keypoints, array-like of shape (n_frames, n_points, 2) or path-like
        As :func:`nrsfm_learn.lift` takes them.
    methods : sequence of str or estimator
        Names, or unfitted estimators with settings of your own.
    X_true : array-like of shape (n_frames, n_points, 3), default=None
        Ground truth in the camera frame. By default that of `keypoints`, if they have it.
    progress : callable, default=None
        Called with a short text now and then.
    **options
        Further arguments of :func:`nrsfm_learn.lift`, such as ``time_limit`` of each method.

    Returns
    -------
    list of ComparedMethod
        With ground truth by the error after Procrustes alignment, otherwise by the part of the
        hidden keypoints that is not explained times the variation of neighbour distances, the
        lowest first; methods that failed last.

    Raises
    ------
    ValueError, TypeError
        If the keypoints or the options are malformed. A method that fails is a row, not an error.

    See Also
    --------
    nrsfm_learn.lift : One method, chosen for you.

    Examples
    --------
    >>> from nrsfm_learn.auto import compare
    >>> from nrsfm_learn.datasets import make_articulated_body
    >>> rows = compare(make_articulated_body(60, random_state=0).W, ["RigidFactorization"])
    >>> rows[0].method
    'RigidFactorization'
    """
    # Here, since what the custom of a format hides while reading cannot come back later.
    reading = {name: options.pop(name) for name in _READING if name in options}
    keypoints = as_keypoints(keypoints, **reading)
    if X_true is None:
        X_true = keypoints.X
    if "time_limit" in options:
        # Not a failure of every method.
        check_time_limit(options["time_limit"])
    rows, times = [], Counter()
    for method in methods:
        name = method if isinstance(method, str) else type(method).__name__
        times[name] += 1
        if times[name] > 1:
            name = f"{name} ({times[name]})"
        began = time.monotonic()
        try:
            with warnings.catch_warnings():
                # They are in the result.
                warnings.simplefilter("ignore")
                result = lift(keypoints, method, progress=progress, **options)
                errors = {} if X_true is None else evaluate(X_true, result.reconstruction)
        except (ValueError, RuntimeError, np.linalg.LinAlgError) as error:
            seconds = time.monotonic() - began
            rows.append(ComparedMethod(name, None, str(error), seconds, np.nan, np.nan, {}))
            continue
        seconds = time.monotonic() - began
        judged = result.score, result.length_variation
        rows.append(ComparedMethod(name, result, "", seconds, *judged, errors, X_true))
    return sorted(rows, key=_order)


def _order(row):
    if row.result is None:
        return (1, 0.0)
    value = row.errors.get(_MAIN_PROTOCOLS["procrustes"])
    if value is None:
        value = doubt(row.length_variation, row.score)
    # NaN, which is not less than anything, would leave the others in disorder.
    return (0, np.inf if np.isnan(value) else value)


def _score(row):
    return "not measured" if np.isnan(row.score) else f"{row.score:.3f}"


def comparison_table(rows):
    """Lay out what :func:`compare` returns as cells of text.

    Parameters
    ----------
    rows : iterable of ComparedMethod
        Those that did not fail.

    Returns
    -------
    columns : list of str
        Headings.
    cells : list of list of str
        One list a method.
    """
    rows = list(rows)
    with_truth = any(row.errors for row in rows)
    columns = ["method", "seconds", "score", "length variation"]
    columns += list(_MAIN_PROTOCOLS) if with_truth else []
    cells = []
    for row in rows:
        line = [row.method, f"{row.seconds:.1f}", _score(row), f"{row.length_variation:.1%}"]
        if with_truth:
            line += [f"{row.errors[name]:.1%}" for name in _MAIN_PROTOCOLS.values()]
        cells.append(line)
    return columns, cells
