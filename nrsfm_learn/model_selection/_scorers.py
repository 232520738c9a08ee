"""The criteria that need no ground truth, as ``scoring=`` of scikit-learn's model selection."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from sklearn.utils.metadata_routing import MetadataRequest

from .._validation import check_W, split_y
from ._coherence import dictionary_coherence
from ._cycle_error import cycle_error
from ._distances import depth_spread, neighbor_distance_variation
from ._hidden_keypoints import hidden_keypoint_score
from ._steps import hand_to_method

_SIDE_INPUTS = ("mask", "groups", "categories", "intrinsics", "boxes", "weights")


def _cycle(estimator, W, **options):
    return -cycle_error(estimator, W, **options)


def _neighbor_distance(estimator, W, **side_inputs):
    method, W = hand_to_method(estimator, W, weights=side_inputs.get("weights"))
    shapes = method.lift(W, **side_inputs).shapes
    return -neighbor_distance_variation(shapes, groups=side_inputs.get("groups"))


def _depth_spread(estimator, W, **side_inputs):
    method, W = hand_to_method(estimator, W, weights=side_inputs.get("weights"))
    ratio = depth_spread(method.lift(W, **side_inputs).X)
    # A flat reconstruction is as far from 1 as one can be, and no reason to warn of a division.
    return -abs(np.log(ratio)) if ratio != 0 else -np.inf


def _coherence(estimator, W, *, level=-1, **side_inputs):
    return -dictionary_coherence(estimator, level=level)


class _Criterion(NamedTuple):
    score: Callable
    options: tuple = ()


_CRITERIA = {
    "coherence": _Criterion(_coherence, ("level",)),
    "cycle": _Criterion(_cycle, ("frame", "n_views", "random_state")),
    "depth_spread": _Criterion(_depth_spread),
    "hidden_keypoints": _Criterion(
        hidden_keypoint_score, ("fraction", "min_visible", "random_state", "refit")
    ),
    "neighbor_distance": _Criterion(_neighbor_distance),
}


class UnsupervisedScorer:
    """A criterion without ground truth as ``scoring=``; :func:`unsupervised_scorer` makes one.

    A boolean ``y`` is the mask, and a 3-D one is not looked at. Without metadata routing,
    ``GridSearchCV(...).fit(W, M)`` hands the mask over; with it, ``mask``, ``groups``,
    ``categories``, ``intrinsics``, ``boxes`` and ``weights`` are requested from the start.

    Parameters
    ----------
    name : str
        One of :func:`unsupervised_scorer_names`.
    **options
        Options of the criterion.

    Raises
    ------
    ValueError
        If the name is not known.
    TypeError
        If the criterion has no such option.

    See Also
    --------
    nrsfm_learn.metrics.ShapeScorer : The same for errors against ground truth.
    """

    def __init__(self, name, **options):
        if name not in _CRITERIA:
            raise ValueError(
                f"name={name!r} is no criterion; known are: {', '.join(_CRITERIA)}. Scorers "
                f"against ground truth are those of nrsfm_learn.metrics.get_scorer."
            )
        unknown = sorted(set(options) - set(_CRITERIA[name].options))
        if unknown:
            known = ", ".join(_CRITERIA[name].options) or "no options"
            raise TypeError(f"the criterion {name!r} takes {known}, not {', '.join(unknown)}.")
        self._name = name
        self._options = options
        self._requests = dict.fromkeys(_SIDE_INPUTS, True)

    def __repr__(self):
        options = "".join(f", {name}={value!r}" for name, value in self._options.items())
        return f"unsupervised_scorer({self._name!r}{options})"

    def __call__(self, estimator, W, y=None, *, mask=None, **side_inputs):
        """Score a fitted estimator; greater is better.

        Parameters
        ----------
        estimator : object
            Fitted estimator, or a pipeline that ends in one.
        W : array-like of shape (n_frames, n_points, 2)
            Keypoints, NaN where missing.
        y : array-like, optional
            A boolean ``y`` of shape (n_frames, n_points) is the mask.
        mask : array-like of bool of shape (n_frames, n_points), optional
            True where a keypoint is visible.
        **side_inputs : dict
            ``groups``, ``categories``, ``intrinsics``, ``boxes`` and ``weights``, passed on.

        Returns
        -------
        float
            The criterion, negated if lower is better.
        """
        _, mask = split_y(y, mask)
        # As NaN the mask also passes a Pipeline whose metadata routing is off.
        W, _ = check_W(W, mask)
        given = {name: value for name, value in side_inputs.items() if value is not None}
        return float(_CRITERIA[self._name].score(estimator, W, **self._options, **given))

    def set_score_request(self, **requests):
        """Change which metadata the scorer asks for.

        Parameters
        ----------
        **requests
            ``mask``, ``groups``, ``categories``, ``intrinsics``, ``boxes`` and ``weights``, each
            True, False, None or the name it has in the caller.

        Returns
        -------
        UnsupervisedScorer
            The scorer itself.
        """
        unknown = sorted(set(requests) - set(self._requests))
        if unknown:
            raise TypeError(f"{self!r} takes {', '.join(_SIDE_INPUTS)}, not {', '.join(unknown)}.")
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


def unsupervised_scorer(name, **options):
    """Make a scorer for ``GridSearchCV(scoring=...)`` and its kin that needs no ground truth.

    Parameters
    ----------
    name : str
        - ``"hidden_keypoints"``: :func:`hidden_keypoint_score`, with its options ``fraction``,
          ``min_visible``, ``random_state`` and ``refit``.
        - ``"cycle"``: minus :func:`cycle_error`, with ``frame``, ``n_views`` and ``random_state``.
        - ``"neighbor_distance"``: minus :func:`neighbor_distance_variation` of the canonical
          shapes, within ``groups`` where these are routed.
        - ``"depth_spread"``: minus the absolute logarithm of :func:`depth_spread`, for views from
          all sides.
        - ``"coherence"``: minus :func:`dictionary_coherence`, with ``level``; does not look at
          the frames.
    **options
        Options of the criterion.

    Returns
    -------
    UnsupervisedScorer
        Picklable; ``scorer(estimator, W, y=None, *, mask=None, **side_inputs) -> float``, greater
        is better.

    Raises
    ------
    ValueError
        If the name is not known.
    TypeError
        If the criterion has no such option.

    See Also
    --------
    unsupervised_scorer_names : What there is.
    nrsfm_learn.metrics.get_scorer : Scorers against ground truth.

    Examples
    --------
    >>> from nrsfm_learn.model_selection import unsupervised_scorer
    >>> unsupervised_scorer("cycle", n_views=4)
    unsupervised_scorer('cycle', n_views=4)
    """
    return UnsupervisedScorer(name, **options)


def unsupervised_scorer_names():
    """Return the names that :func:`unsupervised_scorer` knows.

    Returns
    -------
    list of str
        Sorted names.
    """
    return sorted(_CRITERIA)
