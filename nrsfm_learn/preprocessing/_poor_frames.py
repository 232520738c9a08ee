"""Frames that show too little to be lifted."""

from numbers import Integral
from typing import ClassVar

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from .._validation import check_W, constant_frames, poor_frames
from ._base import KeypointTransformer, as_points, resolve_visible, warn_lost_frames


def flag_poor_frames(W, visible=None, min_visible=3, on_constant="nan"):
    """Set frames that show too few points to NaN.

    Parameters
    ----------
    W : ndarray of float of shape (n_frames, n_points, 2)
        Keypoints, NaN where missing.
    visible : ndarray of bool of shape (n_frames, n_points), default=None
        True where a keypoint is visible; where `W` is not NaN if None.
    min_visible : int, default=3
        A frame with fewer visible points is poor.
    on_constant : {"nan", "keep"}, default="nan"
        Whether a frame whose visible points all coincide is poor, too.

    Returns
    -------
    flagged : ndarray of shape (n_frames, n_points, 2)
        A new array with NaN where hidden and throughout poor frames.
    poor : ndarray of bool of shape (n_frames,)
        True for poor frames.

    See Also
    --------
    FlagPoorFrames : The same as a transformer.
    """
    W = as_points(W)
    visible = resolve_visible(W, visible)
    flagged = np.where(visible[..., None], W, np.nan)
    poor = poor_frames(visible, min_visible)
    if on_constant not in ("nan", "keep"):
        raise ValueError(f"on_constant must be 'nan' or 'keep', got {on_constant!r}.")
    if on_constant == "nan":
        poor |= constant_frames(flagged)
    flagged[poor] = np.nan
    return flagged, poor


class FlagPoorFrames(KeypointTransformer, auto_wrap_output_keys=None):
    """Set frames that show too few points to NaN, so that no later step is misled by them.

    No frame is dropped: a step that changes the number of rows breaks pipelines and loses the
    alignment with time. One warning counts the frames that come out as NaN.

    Parameters
    ----------
    min_visible : int, default=3
        A frame with fewer visible points is poor. Three points are the fewest whose image says
        anything about the third dimension.
    on_constant : {"nan", "keep", "raise"}, default="nan"
        What becomes of a frame whose visible points all coincide: it is poor, is kept, or is an
        error that names it.

    Attributes
    ----------
    n_points_in_ : int
        The number of points seen in `fit`.

    See Also
    --------
    flag_poor_frames : The function, which also returns which frames are poor.
    """

    _parameter_constraints: ClassVar[dict] = {
        "min_visible": [Interval(Integral, 0, None, closed="left")],
        "on_constant": [StrOptions({"nan", "keep", "raise"})],
    }

    def __init__(self, min_visible=3, on_constant="nan"):
        self.min_visible = min_visible
        self.on_constant = on_constant

    def _check(self, W, mask, n_points=None):
        return check_W(
            W,
            mask,
            n_points=n_points,
            min_visible=self.min_visible,
            allow_constant=self.on_constant != "raise",
            estimator_name=type(self).__name__,
        )

    def _transform(self, W, visible):
        # After "raise" has passed, no frame that shows enough is constant.
        on_constant = "nan" if self.on_constant == "nan" else "keep"
        flagged, poor = flag_poor_frames(W, visible, self.min_visible, on_constant)
        why = f"have fewer than {self.min_visible} visible points"
        if self.on_constant == "nan":
            why += ", or points that all coincide,"
        warn_lost_frames(poor, why, type(self).__name__)
        return flagged
