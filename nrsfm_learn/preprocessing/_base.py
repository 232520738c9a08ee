"""What the transformers share: the check of the input, the mask, tags and metadata requests."""

import warnings
from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from .._validation import check_mask, check_n_points, check_shapes_3d, check_W, split_y
from .._validation._arrays import as_float, check_axes
from .._warnings import caller_stacklevel


def as_points(W, n_coordinates=None, name="W"):
    """Return a float array of points, copied only where it was none.

    The functions trust the values that they get, but not the type and the shape: integers would be
    truncated, and other axes taken for points, without a word.

    Parameters
    ----------
    W : array-like of shape (n_frames, n_points, n_coordinates)
        Points.
    n_coordinates : int, default=None
        2 or 3; either if None.
    name : str, default="W"
        What messages call it.

    Returns
    -------
    W : ndarray of float of shape (n_frames, n_points, n_coordinates)
        The points.
    """
    if type(W) is not np.ndarray or W.dtype not in (np.float32, np.float64):
        W = as_float(W, name)
    if n_coordinates is None:
        n_coordinates = 3 if W.shape[2:] == (3,) else 2
    check_axes(W, n_coordinates, name)
    return W


def resolve_visible(W, visible=None):
    """Return where points are visible: not NaN, and True in `visible` where that is given.

    Parameters
    ----------
    W : ndarray of shape (..., n_points, n_coordinates)
        Points.
    visible : array-like of bool of shape (..., n_points), default=None
        True where a point is visible.

    Returns
    -------
    visible : ndarray of bool of shape (..., n_points)
        A fresh array.
    """
    present = ~np.isnan(W).any(axis=-1)
    return present if visible is None else present & check_mask(visible, W.shape[:-1], "visible")


def warn_lost_frames(lost, why, who):
    """Warn once, with a count, about frames that come out as NaN."""
    frames = np.flatnonzero(lost)
    if len(frames):
        first = ", ".join(map(str, frames[:5])) + (", ..." if len(frames) > 5 else "")
        warnings.warn(
            f"{who}: {len(frames)} of {len(lost)} frame(s) {why} and come out as NaN: [{first}].",
            UserWarning,
            stacklevel=caller_stacklevel(),
        )


class KeypointTransformer(TransformerMixin, BaseEstimator, auto_wrap_output_keys=None):
    """Base of the transformers: 2-D keypoints in, keypoints or shapes of as many points out.

    A subclass gives `__init__`, `_parameter_constraints`, `_transform` and, where it learns
    something, `_fit`. Both get checked arrays, with NaN where hidden.

    Notes
    -----
    A hidden keypoint comes out as NaN, so that later steps of a pipeline need no mask. Without
    metadata routing a pipeline hands a mask only to `fit`; for its `transform`, `predict` and
    `score`, mark missing keypoints with NaN, or enable routing and pass ``mask=``.
    """

    # set_output would wrap in a data frame, which has no third axis; hence no wrapping above.
    __metadata_request__fit: ClassVar[dict] = {"W": UNUSED, "mask": True}
    __metadata_request__transform: ClassVar[dict] = {"W": UNUSED, "mask": True}
    __metadata_request__inverse_transform: ClassVar[dict] = {"W": UNUSED}

    _parameter_constraints: ClassVar[dict] = {}

    def __sklearn_tags__(self):
        """Tell scikit-learn that the input has three axes and may hold NaN."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _check(self, W, mask, n_points=None):
        return check_W(W, mask, n_points=n_points, estimator_name=type(self).__name__)

    def _check_fitted(self, W, mask=None):
        check_is_fitted(self, "n_points_in_")
        return self._check(W, mask, self.n_points_in_)

    def _check_2d_or_3d(self, W):
        """Check what is to be taken back: keypoints, or shapes reconstructed from them."""
        if np.shape(W)[-1:] != (3,):
            return self._check_fitted(W)[0]
        check_is_fitted(self, "n_points_in_")
        X = check_shapes_3d(W, "W")
        check_n_points(X, self.n_points_in_, "W", type(self).__name__)
        return X

    def _fit(self, W, visible):
        """Learn from a checked array; most transformers learn nothing."""

    def _start_fit(self, W, y, mask):
        _, mask = split_y(y, mask)
        W, visible = self._check(W, mask)
        self._fit(W, visible)
        self.n_points_in_ = W.shape[1]
        return W, visible

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, W, y=None, mask=None):
        """Learn what the transformation needs.

        Parameters
        ----------
        W : array-like of shape (n_frames, n_points, 2)
            Keypoints, NaN where missing.
        y : None or array-like of bool of shape (n_frames, n_points), default=None
            A boolean matrix is the mask, as pipelines pass it; a 3-D ground truth is ignored.
        mask : array-like of bool of shape (n_frames, n_points), default=None
            True where a keypoint is visible.

        Returns
        -------
        self : object
            The fitted transformer.
        """
        self._start_fit(W, y, mask)
        return self

    def transform(self, W, mask=None):
        """Transform keypoints.

        Parameters
        ----------
        W : array-like of shape (n_frames, n_points, 2)
            Keypoints of the points of `fit`, NaN where missing.
        mask : array-like of bool of shape (n_frames, n_points), default=None
            True where a keypoint is visible.

        Returns
        -------
        W_transformed : ndarray of shape (n_frames, n_points, 2)
            A new array; NaN where `W` is hidden.
        """
        return self._transform(*self._check_fitted(W, mask))

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_transform(self, W, y=None, mask=None):
        """Fit and transform, with one mask for both; the mixin's own would drop it in transform.

        Parameters
        ----------
        W : array-like of shape (n_frames, n_points, 2)
            Keypoints, NaN where missing.
        y : None or array-like of bool of shape (n_frames, n_points), default=None
            A boolean matrix is the mask, as pipelines pass it; a 3-D ground truth is ignored.
        mask : array-like of bool of shape (n_frames, n_points), default=None
            True where a keypoint is visible.

        Returns
        -------
        W_transformed : ndarray of shape (n_frames, n_points, 2)
            A new array; NaN where `W` is hidden.
        """
        return self._transform(*self._start_fit(W, y, mask))
