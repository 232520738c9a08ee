"""Scorers against 3-D ground truth for scikit-learn's model selection."""

import numpy as np
from sklearn.utils.metadata_routing import MetadataRequest

from .._validation import check_W, split_y
from ._e3d import e3d
from ._mpjpe import mpjpe, n_mpjpe, pa_mpjpe
from ._normalized_error import normalized_error
from ._stress import stress

_SCORERS = {
    "neg_e3d_sequence": (e3d, {"protocol": "sequence"}),
    "neg_mpjpe": (mpjpe, {}),
    "neg_mpjpe_flip_frame": (mpjpe, {"flip": "frame"}),
    "neg_mpjpe_flip_sequence": (mpjpe, {"flip": "sequence"}),
    "neg_n_mpjpe": (n_mpjpe, {}),
    "neg_n_mpjpe_flip_frame": (n_mpjpe, {"flip": "frame"}),
    "neg_n_mpjpe_flip_sequence": (n_mpjpe, {"flip": "sequence"}),
    "neg_normalized_error_frobenius": (normalized_error, {"protocol": "frobenius"}),
    "neg_normalized_error_procrustes": (normalized_error, {"protocol": "procrustes"}),
    "neg_pa_mpjpe": (pa_mpjpe, {}),
    "neg_stress": (stress, {}),
}


class ShapeScorer:
    """A metric as ``scoring=``: lift the test frames, compare with the ground truth.

    ``sklearn.metrics.make_scorer`` cannot do this: it hands a routed ``mask`` to the metric, where
    the estimator needs it to know which keypoints it may see. The points that count in the metric
    are those that are not NaN in the ground truth.

    With ``GridSearchCV(estimator, grid, scoring=scorer)``, the ground truth is either a 3-D float
    ``y``, ``search.fit(W, X_true)``, or, with metadata routing enabled, ``search.fit(W, mask=M,
    ground_truth=X_true)``. Both keywords are requested from the start.

    Parameters
    ----------
    metric : callable
        ``metric(X_true, X_pred, **options) -> float``.
    greater_is_better : bool, default=False
        False for errors, which are negated.
    **options
        Passed to the metric, such as ``protocol="procrustes"``.

    See Also
    --------
    make_shape_scorer : The function that makes one.
    get_scorer : Ready-made ones by name.
    """

    def __init__(self, metric, *, greater_is_better=False, **options):
        self._metric = metric
        self._sign = 1 if greater_is_better else -1
        self._options = options
        self._requests = {"ground_truth": True, "mask": True}

    def __repr__(self):
        sign = "" if self._sign < 0 else ", greater_is_better=True"
        options = "".join(f", {name}={value!r}" for name, value in self._options.items())
        name = getattr(self._metric, "__name__", repr(self._metric))
        return f"make_shape_scorer({name}{sign}{options})"

    def __call__(self, estimator, W, y=None, *, ground_truth=None, mask=None):
        """Score a fitted estimator.

        Parameters
        ----------
        estimator : object
            Fitted, with ``transform(W) -> (n_frames, n_points, 3)``.
        W : array-like of shape (n_frames, n_points, 2)
            Keypoints, NaN where missing.
        y : array-like, default=None
            Ground truth (n_frames, n_points, 3), or a boolean mask (n_frames, n_points).
        ground_truth : array-like of shape (n_frames, n_points, 3), default=None
            Ground truth, where ``y`` is not it; NaN where unknown.
        mask : array-like of bool, shape (n_frames, n_points), default=None
            Keypoints that the estimator may see.

        Returns
        -------
        float
            The metric, negated if lower is better.

        Raises
        ------
        ValueError
            No ground truth, or two.
        """
        y, mask = split_y(y, mask)
        if y is not None and ground_truth is not None:
            raise ValueError(
                "y and ground_truth are both 3-D ground truth: pass only one of them to the scorer."
            )
        ground_truth = y if ground_truth is None else ground_truth
        if ground_truth is None:
            raise ValueError(
                f"{self!r} compares with 3-D ground truth, which is missing: pass it as y, shape "
                "(n_frames, n_points, 3), or as ground_truth= with metadata routing enabled. A "
                "boolean y is a mask. Without ground truth use the estimator's own score."
            )
        if mask is not None:
            # As NaN the mask also passes a Pipeline whose metadata routing is off.
            W, _ = check_W(W, mask)
        X_pred = estimator.transform(W)
        return self._sign * float(self._metric(np.asarray(ground_truth), X_pred, **self._options))

    def set_score_request(self, **requests):
        """Change which metadata the scorer asks for.

        Parameters
        ----------
        **requests
            ``ground_truth`` and ``mask``, each True, False, None or the name it has in the caller.

        Returns
        -------
        ShapeScorer
            The scorer itself.
        """
        unknown = sorted(set(requests) - set(self._requests))
        if unknown:
            raise TypeError(f"{self!r} takes ground_truth and mask, not {', '.join(unknown)}.")
        self._requests.update(requests)
        return self

    def get_metadata_routing(self):
        """Return what the scorer asks scikit-learn's metadata routing for.

        Returns
        -------
        sklearn.utils.metadata_routing.MetadataRequest
            The request.
        """
        request = MetadataRequest(owner=self)
        for name, alias in self._requests.items():
            request.score.add_request(param=name, alias=alias)
        return request


def make_shape_scorer(metric, *, greater_is_better=False, **options):
    """Make a scorer for ``GridSearchCV(scoring=...)`` and its kin from a metric of this package.

    Parameters
    ----------
    metric : callable
        ``metric(X_true, X_pred, **options) -> float``, such as :func:`pa_mpjpe`.
    greater_is_better : bool, default=False
        False for errors, which are negated; True for :func:`pck` and :func:`auc`.
    **options
        Passed to the metric, such as ``protocol="procrustes"``.

    Returns
    -------
    ShapeScorer
        ``scorer(estimator, W, y=None, *, ground_truth=None, mask=None) -> float``.

    Raises
    ------
    TypeError
        ``metric`` is not callable.

    See Also
    --------
    get_scorer : Ready-made ones by name.
    """
    if not callable(metric):
        raise TypeError(
            f"metric={metric!r} is not callable; for a scorer by name use get_scorer(name)."
        )
    return ShapeScorer(metric, greater_is_better=greater_is_better, **options)


def get_scorer(name):
    """Return a ready-made scorer.

    Parameters
    ----------
    name : str
        One of :func:`get_scorer_names`.

    Returns
    -------
    ShapeScorer
        A new scorer.

    Raises
    ------
    ValueError
        The name is not known.
    """
    if name not in _SCORERS:
        known = ", ".join(get_scorer_names())
        raise ValueError(f"name={name!r} is no scorer of nrsfm_learn; known are: {known}.")
    metric, options = _SCORERS[name]
    return make_shape_scorer(metric, **options)


def get_scorer_names():
    """Return the names that :func:`get_scorer` knows.

    Returns
    -------
    list of str
        Sorted names.
    """
    return sorted(_SCORERS)
