"""Metric units for a reconstruction from one length that is known."""

from numbers import Real
from typing import ClassVar

import numpy as np
from sklearn.utils._param_validation import Interval
from sklearn.utils.metaestimators import available_if

from .._validation import check_mask, check_n_points, check_shapes_3d
from ._base import KeypointTransformer, as_points, resolve_visible, warn_lost_frames


def _check_edge(edge, n_points):
    ends = np.asarray(edge)
    fits = ends.shape == (2,) and ends.dtype.kind in "iu" and ends[0] != ends[1]
    if not fits or ends.min() < 0 or ends.max() >= n_points:
        raise ValueError(
            f"edge must be the indices of two different points, each from 0 to {n_points - 1}, "
            f"got {edge!r}."
        )
    return int(ends[0]), int(ends[1])


def metric_scale(X, edge, length, *, per_frame=False, visible=None):
    r"""Find the factor that gives an edge its known length.

    .. math::

        a = \ell \,/\, \operatorname{median}_f \|x_{fi} - x_{fj}\|
        \qquad \text{or} \qquad a_f = \ell \,/\, \|x_{fi} - x_{fj}\|

    Parameters
    ----------
    X : ndarray of float of shape (n_frames, n_points, 3)
        Shapes up to scale, NaN where unknown.
    edge : tuple of int
        The points (i, j) at the ends of the edge, from 0.
    length : float
        The length :math:`\ell` of the edge, in the unit that the result shall have.
    per_frame : bool, default=False
        Return a factor for each frame. Not for reconstructions under an orthographic camera, all
        frames of which share one scale.
    visible : ndarray of bool of shape (n_frames, n_points), default=None
        With ``per_frame=False``, take the median over the frames that show both ends.

    Returns
    -------
    scale : float or ndarray of shape (n_frames,)
        The factor; with ``per_frame=True`` NaN where an end is unknown, and infinite where the
        edge has no length.

    Raises
    ------
    ValueError
        If `edge` is none, or no frame gives it a length.

    See Also
    --------
    MetricScale : Multiplies by this.
    """
    X = as_points(X, 3, "X")
    i, j = _check_edge(edge, X.shape[1])
    lengths = np.linalg.norm(X[:, i] - X[:, j], axis=1).astype(np.float64)
    if per_frame:
        with np.errstate(divide="ignore"):
            return length / lengths
    shown = resolve_visible(X, visible)[:, [i, j]].all(axis=1)
    median = float(np.median(lengths[shown])) if shown.any() else 0.0
    if median == 0.0:
        raise ValueError(
            f"edge ({i}, {j}) has no length: no frame shows both of its points, or they coincide "
            f"in most frames. Choose another edge."
        )
    return length / median


def _is_invertible(transformer):
    return not transformer.per_frame


class MetricScale(KeypointTransformer, auto_wrap_output_keys=None):
    r"""Scale 3-D shapes so that an edge has its known length.

    .. math::

        x'_{fp} = a\, x_{fp}, \qquad a = \ell \,/\, \operatorname{median}_f \|x_{fi} - x_{fj}\|

    Structure from one moving or deforming object is known up to a factor; one measured length, say
    that of a thigh or of a wheel base, fixes it. Unlike the other transformers, this one takes 3-D
    shapes: ``W`` of its methods has the shape (n_frames, n_points, 3). Its mask says in which
    frames the ends of the edge were seen; points that were not, and yet reconstructed, are kept.

    Parameters
    ----------
    edge : tuple of int
        The points (i, j) at the ends of the edge, from 0.
    length : float
        The length :math:`\ell` of the edge, in the unit that the result shall have.
    per_frame : bool, default=False
        Scale each frame by its own edge instead of all by the median. Not for reconstructions
        under an orthographic camera, all frames of which share one scale.

    Attributes
    ----------
    scale_ : float
        The factor :math:`a`; only with ``per_frame=False``.
    n_points_in_ : int
        The number of points seen in `fit`.

    See Also
    --------
    metric_scale : The function.
    ScaleKeypoints : Scales 2-D keypoints by their size.
    """

    _parameter_constraints: ClassVar[dict] = {
        "edge": ["array-like"],
        "length": [Interval(Real, 0, None, closed="neither")],
        "per_frame": ["boolean"],
    }

    def __init__(self, edge, length, per_frame=False):
        self.edge = edge
        self.length = length
        self.per_frame = per_frame

    def _check(self, W, mask, n_points=None):
        X = check_shapes_3d(W, "X")
        if n_points is not None:
            check_n_points(X, n_points, "X", type(self).__name__)
        return X, None if mask is None else check_mask(mask, X.shape[:2])

    def _fit(self, W, visible):
        if self.per_frame:
            _check_edge(self.edge, W.shape[1])
        else:
            self.scale_ = metric_scale(W, self.edge, self.length, visible=visible)

    def _transform(self, W, visible):
        if not self.per_frame:
            W *= self.scale_
            return W
        scale = metric_scale(W, self.edge, self.length, per_frame=True)
        lost = ~np.isfinite(scale)
        warn_lost_frames(lost, "do not know the length of the edge", type(self).__name__)
        scale[lost] = np.nan
        W *= scale[:, None, None]
        return W

    @available_if(_is_invertible)
    def inverse_transform(self, W):
        """Return to the units of the training data; only with ``per_frame=False``.

        Parameters
        ----------
        W : array-like of shape (n_frames, n_points, 3)
            Shapes in metric units.

        Returns
        -------
        X_original : ndarray of shape (n_frames, n_points, 3)
            In the units that `fit` saw.
        """
        X, _ = self._check_fitted(W)
        X /= self.scale_
        return X
