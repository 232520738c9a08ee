"""Between pixels and the unit focal plane."""

from typing import ClassVar

import numpy as np

from .._validation import check_intrinsics
from ._base import KeypointTransformer, as_points


def pixels_to_unit_plane(W, intrinsics):
    r"""Take pixels to the plane at distance 1 from the camera.

    .. math::

        y = \frac{v - c_y}{f_y}, \qquad x = \frac{u - c_x - s\, y}{f_x}

    Parameters
    ----------
    W : ndarray of float of shape (n_frames, n_points, 2)
        Pixels (u, v), NaN where missing.
    intrinsics : array-like of shape (3, 3) or (n_frames, 3, 3)
        Camera matrices with rows (fx, s, cx), (0, fy, cy), (0, 0, 1), in pixels.

    Returns
    -------
    W_unit : ndarray of shape (n_frames, n_points, 2)
        (x, y) = (X / Z, Y / Z) of the point (X, Y, Z) in camera coordinates.

    Raises
    ------
    ValueError
        If `intrinsics` are no camera matrices.

    See Also
    --------
    unit_plane_to_pixels : The inverse.
    UnitFocalPlane : The same as a transformer.

    References
    ----------
    .. [1] R. Hartley, A. Zisserman, "Multiple View Geometry in Computer Vision", 2nd edition,
       2004, eq. 6.10.
    """
    W = as_points(W, 2)
    K = check_intrinsics(intrinsics, len(W))
    out = np.empty_like(W)
    out[..., 1] = (W[..., 1] - K[..., 1, 2, None]) / K[..., 1, 1, None]
    out[..., 0] = W[..., 0] - K[..., 0, 2, None] - K[..., 0, 1, None] * out[..., 1]
    out[..., 0] /= K[..., 0, 0, None]
    return out


def unit_plane_to_pixels(W, intrinsics):
    r"""Take the unit focal plane to pixels.

    .. math::

        u = f_x x + s\, y + c_x, \qquad v = f_y y + c_y

    Parameters
    ----------
    W : ndarray of float of shape (n_frames, n_points, 2)
        Points (x, y) of the unit focal plane, NaN where missing.
    intrinsics : array-like of shape (3, 3) or (n_frames, 3, 3)
        Camera matrices with rows (fx, s, cx), (0, fy, cy), (0, 0, 1), in pixels.

    Returns
    -------
    W_pixels : ndarray of shape (n_frames, n_points, 2)
        Pixels (u, v).

    Raises
    ------
    ValueError
        If `intrinsics` are no camera matrices.

    See Also
    --------
    pixels_to_unit_plane : The inverse.

    References
    ----------
    .. [1] R. Hartley, A. Zisserman, "Multiple View Geometry in Computer Vision", 2nd edition,
       2004, eq. 6.10.
    """
    W = as_points(W, 2)
    K = check_intrinsics(intrinsics, len(W))
    out = np.empty_like(W)
    out[..., 0] = K[..., 0, 0, None] * W[..., 0] + K[..., 0, 1, None] * W[..., 1]
    out[..., 0] += K[..., 0, 2, None]
    out[..., 1] = K[..., 1, 1, None] * W[..., 1] + K[..., 1, 2, None]
    return out


class UnitFocalPlane(KeypointTransformer, auto_wrap_output_keys=None):
    r"""Take pixels to the unit focal plane, where perspective is a division by depth.

    .. math::

        y = \frac{v - c_y}{f_y}, \qquad x = \frac{u - c_x - s\, y}{f_x}

    Parameters
    ----------
    intrinsics : array-like of shape (3, 3) or (n_frames, 3, 3)
        The camera matrix in pixels, or one a frame; the latter only suits data with as many
        frames.

    Attributes
    ----------
    n_points_in_ : int
        The number of points seen in `fit`.

    See Also
    --------
    pixels_to_unit_plane : The function.
    unit_plane_to_pixels : Its inverse.

    Examples
    --------
    >>> import numpy as np
    >>> from nrsfm_learn.preprocessing import UnitFocalPlane
    >>> K = np.array([[1000.0, 0.0, 320.0], [0.0, 1000.0, 240.0], [0.0, 0.0, 1.0]])
    >>> UnitFocalPlane(K).fit_transform([[[320.0, 240.0], [420.0, 140.0]]])
    array([[[ 0. ,  0. ],
            [ 0.1, -0.1]]])
    """

    _parameter_constraints: ClassVar[dict] = {"intrinsics": ["array-like"]}

    def __init__(self, intrinsics):
        self.intrinsics = intrinsics

    def _fit(self, W, visible):
        check_intrinsics(self.intrinsics, len(W))

    def _transform(self, W, visible):
        return pixels_to_unit_plane(W, self.intrinsics)

    def inverse_transform(self, W):
        """Take the unit focal plane back to pixels.

        Parameters
        ----------
        W : array-like of shape (n_frames, n_points, 2)
            Points of the unit focal plane, NaN where missing.

        Returns
        -------
        W_pixels : ndarray of shape (n_frames, n_points, 2)
            Pixels.
        """
        return unit_plane_to_pixels(self._check_fitted(W)[0], self.intrinsics)
