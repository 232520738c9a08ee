"""Scaling keypoints: once a data set, or frame by frame."""

from typing import ClassVar

import numpy as np
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if

from .._validation import check_boxes
from ._base import KeypointTransformer, as_points, resolve_visible, warn_lost_frames
from ._center import center_on_visible

_METHODS = ("dataset", "box_max", "box_min", "spread")


def _rounding(W):
    # Points that coincide differ from their mean by rounding; divided by that, they would explode.
    return 8 * np.finfo(W.dtype).eps


def keypoint_scale(W, visible=None, method="dataset", boxes=None):
    r"""Measure how large the visible points of each frame, or of all frames, are.

    With :math:`\bar w_{fp}` the points minus the mean of the visible ones of their frame, of which
    there are :math:`n_f`,

    .. math::

        \text{spread}_f = \sqrt{\tfrac{1}{n_f} \sum_p m_{fp} \|\bar w_{fp}\|^2}, \qquad
        \text{dataset} = \tfrac{1}{F} \sum_f \text{spread}_f,

    the second over the frames with at least two visible points. "box_max" and "box_min" are the
    longer and the shorter edge of the bounding box.

    Parameters
    ----------
    W : ndarray of float of shape (n_frames, n_points, n_coordinates)
        Points in two or three dimensions, NaN where missing.
    visible : ndarray of bool of shape (n_frames, n_points), default=None
        The points :math:`m_{fp}` that count; those of `W` that are not NaN if None.
    method : {"dataset", "box_max", "box_min", "spread"}, default="dataset"
        Under an orthographic camera only one scale for all frames is right: the size in the image
        is then part of the shape. Scales of single frames belong to weak and full perspective.
    boxes : array-like of shape (n_frames, 4), default=None
        Detector boxes x0, y0, x1, y1 for the two box methods. Boxes of the visible points, the
        default, shrink when the object is partly hidden.

    Returns
    -------
    scale : float or ndarray of shape (n_frames,)
        One number in units of `W` for "dataset", one a frame otherwise; NaN where a frame shows
        nothing, and 0 where its points coincide up to rounding.

    Raises
    ------
    ValueError
        If `method` is unknown, `boxes` do not fit it, or no frame has an extent ("dataset").

    See Also
    --------
    ScaleKeypoints : Divides by this.

    References
    ----------
    .. [1] C. Wang, C.-H. Lin, S. Lucey, "Deep NRSfM++: Towards Unsupervised 2D-3D Lifting in the
       Wild", 3DV 2020 (the shape's scale from the edges of its bounding box).
    """
    W = as_points(W)
    if method not in _METHODS:
        raise ValueError(f"method must be one of {_METHODS}, got {method!r}.")
    if boxes is not None and not method.startswith("box"):
        raise ValueError(
            f"boxes have no use for method={method!r}; pass boxes=None, or method='box_max' or "
            f"'box_min'."
        )
    if boxes is not None:
        boxes = check_boxes(boxes, len(W))
        edges = boxes[:, 2:] - boxes[:, :2]
    elif method.startswith("box"):
        shown = np.where(resolve_visible(W, visible)[..., None], W, np.nan)
        low, high = np.fmin.reduce(shown, axis=1), np.fmax.reduce(shown, axis=1)
        edges = high - low
        edges[edges <= _rounding(W) * np.maximum(np.abs(low), np.abs(high))] = 0.0
    if method == "box_max":
        return edges.max(axis=1)
    if method == "box_min":
        return edges.min(axis=1)

    visible = resolve_visible(W, visible)
    centered, centers = center_on_visible(W, visible)
    np.square(centered, out=centered)
    squares = np.sum(centered, axis=(1, 2), where=visible[..., None], dtype=np.float64)
    count = np.count_nonzero(visible, axis=1)
    spread = np.full(len(W), np.nan)
    np.divide(squares, count, out=spread, where=count > 0)
    np.sqrt(spread, out=spread)
    spread[spread <= _rounding(W) * np.abs(centers).max(axis=1)] = 0.0
    if method == "spread":
        return spread
    # A single point has no extent, whatever the size of the object.
    extended = spread[count >= 2]
    scale = float(extended.mean()) if len(extended) else 0.0
    if scale == 0.0:
        raise ValueError(
            "W has no extent: in no frame do two visible points differ, so that there is nothing "
            "to scale by. Check that W holds coordinates, and mask what is visible."
        )
    return scale


def _is_invertible(transformer):
    return transformer.method == "dataset"


class ScaleKeypoints(KeypointTransformer, auto_wrap_output_keys=None):
    r"""Divide keypoints by their size.

    .. math::

        w'_{fp} = w_{fp} / s \quad \text{or} \quad w_{fp} / s_f

    with the scale of :func:`keypoint_scale`. Nothing is moved: centre first where that is wanted.

    Parameters
    ----------
    method : {"dataset", "box_max", "box_min", "spread"}, default="dataset"
        "dataset" divides by one number, learned in `fit`, and is the only one that is right under
        an orthographic camera. The others divide each frame by its own size: the longer or the
        shorter edge of the box around its visible points, or their spread. A frame without an
        extent comes out as NaN, with one warning.

    Attributes
    ----------
    scale_ : float
        The size of the training data in units of `W`; only with ``method="dataset"``.
    n_points_in_ : int
        The number of points seen in `fit`.

    See Also
    --------
    keypoint_scale : The scales themselves, also from detector boxes.
    MetricScale : Scales a reconstruction to a known length.

    Notes
    -----
    The size of a box changes with the pose. Under an orthographic camera, even a perfect shape
    whose frames were each divided by the size of their box is wrong: by 10.8 % on the motion
    capture sequence "pickup".
    """

    _parameter_constraints: ClassVar[dict] = {"method": [StrOptions(set(_METHODS))]}

    def __init__(self, method="dataset"):
        self.method = method

    def _fit(self, W, visible):
        if self.method == "dataset":
            self.scale_ = keypoint_scale(W, visible)

    def _transform(self, W, visible):
        if self.method == "dataset":
            W /= self.scale_
            return W
        scale = keypoint_scale(W, visible, self.method)
        lost = scale == 0
        warn_lost_frames(lost, "have no extent", type(self).__name__)
        scale[lost] = np.nan
        W /= scale[:, None, None]
        return W

    @available_if(_is_invertible)
    def inverse_transform(self, W):
        """Return to the units of the training data; only with ``method="dataset"``.

        Parameters
        ----------
        W : array-like of shape (n_frames, n_points, 2) or (n_frames, n_points, 3)
            Scaled keypoints, or a reconstruction from them.

        Returns
        -------
        W_original : ndarray of the same shape
            In the units that `fit` saw.
        """
        W = self._check_2d_or_3d(W)
        W *= self.scale_
        return W
