"""Hiding keypoints at random, to score by them or to train on fewer."""

from numbers import Integral, Real
from typing import ClassVar

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval

from .._validation import check_mask
from ._base import KeypointTransformer

# Bounds the sort's indices to some megabytes, however many frames there are.
_FRAMES_AT_ONCE = 65536


def hide_keypoints(visible, fraction=0.2, rng=None, min_visible=3):
    r"""Choose a share of the visible keypoints of each frame at random.

    Of :math:`n_f` visible keypoints,

    .. math::

        h_f = \min\{\max\{1, \operatorname{round}(q\, n_f)\},\ \max\{0, n_f - n_{\min}\}\}

    are chosen without replacement, all sets being equally likely; none where :math:`q = 0`.

    Parameters
    ----------
    visible : array-like of bool of shape (n_frames, n_points)
        True where a keypoint is visible.
    fraction : float, default=0.2
        The share :math:`q`, from 0 to 1.
    rng : int, RandomState, Generator or None, default=None
        Source of randomness; an int gives the same choice each time.
    min_visible : int, default=3
        No frame is left with fewer visible points than this :math:`n_{\min}` by the choice; frames
        that have no more stay as they are.

    Returns
    -------
    hidden : ndarray of bool of shape (n_frames, n_points)
        True for the chosen keypoints, all of which are visible ones.

    Raises
    ------
    ValueError
        If `fraction` is not between 0 and 1, or `min_visible` is negative.

    See Also
    --------
    HideKeypoints : The same as a transformer.
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction must be between 0 and 1, got {fraction!r}.")
    if min_visible < 0:
        raise ValueError(f"min_visible must not be negative, got {min_visible!r}.")
    if np.ndim(visible) != 2:
        raise ValueError(
            f"visible must have shape (n_frames, n_points), got {np.shape(visible)}; for one frame "
            f"pass visible[None]."
        )
    visible = check_mask(visible, np.shape(visible), "visible")
    hidden = np.zeros(visible.shape, dtype=bool)
    if fraction == 0:
        return hidden
    if not isinstance(rng, np.random.Generator):
        rng = check_random_state(rng)

    count = np.count_nonzero(visible, axis=1)
    n_hide = np.maximum(np.rint(fraction * count).astype(int), 1)
    n_hide = np.minimum(n_hide, np.maximum(count - min_visible, 0))
    rank = np.arange(visible.shape[1])
    for start in range(0, len(visible), _FRAMES_AT_ONCE):
        rows = slice(start, start + _FRAMES_AT_ONCE)
        # Sorting random keys, with those of hidden points last, shuffles the visible points.
        keys = rng.uniform(size=visible[rows].shape)
        keys[~visible[rows]] = 2.0
        order = np.argsort(keys, axis=1)
        np.put_along_axis(hidden[rows], order, rank < n_hide[rows, None], axis=1)
    return hidden


class HideKeypoints(KeypointTransformer, auto_wrap_output_keys=None):
    """Set a random share of the visible keypoints of each frame to NaN.

    As a step of a pipeline it shows how a method takes occlusion; `transform` hides as `fit`
    does. To hide in training only, call :func:`hide_keypoints`.

    Parameters
    ----------
    fraction : float, default=0.2
        The share of the visible keypoints of a frame to hide, from 0 to 1; rounded, and at least
        one keypoint unless 0.
    min_visible : int, default=3
        No frame is left with fewer visible points than this; frames that have no more stay as
        they are.
    random_state : int, RandomState instance or None, default=None
        Pass an int to hide the same keypoints at each call.

    Attributes
    ----------
    n_points_in_ : int
        The number of points seen in `fit`.

    See Also
    --------
    hide_keypoints : The function, which returns what it hides.
    """

    _parameter_constraints: ClassVar[dict] = {
        "fraction": [Interval(Real, 0, 1, closed="both")],
        "min_visible": [Interval(Integral, 0, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(self, fraction=0.2, min_visible=3, random_state=None):
        self.fraction = fraction
        self.min_visible = min_visible
        self.random_state = random_state

    def _transform(self, W, visible):
        W[hide_keypoints(visible, self.fraction, self.random_state, self.min_visible)] = np.nan
        return W
