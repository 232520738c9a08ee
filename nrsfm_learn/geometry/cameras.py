"""Orthographic, weak-perspective and perspective projection of points in the camera frame."""

import torch

from ._linalg3 import check_tail


def project_orthographic(X):
    """Orthographic projection: the first two coordinates.

    Parameters
    ----------
    X : torch.Tensor, shape (..., n_points, 3)
        Points in the camera frame.

    Returns
    -------
    torch.Tensor, shape (..., n_points, 2)
        In the units of `X`.

    See Also
    --------
    project_weak_perspective : With one scale a frame.
    """
    check_tail("X", X, "n_points", 3)
    return X[..., :2]


def project_weak_perspective(X, scale, translation=None):
    r"""Weak-perspective (scaled orthographic) projection.

    .. math::
        w_i = s \, (x_i, y_i) + t.

    Parameters
    ----------
    X : torch.Tensor, shape (..., n_points, 3)
        Points in the camera frame.
    scale : torch.Tensor, shape (...), or float
        Image units per unit of `X`, one a frame.
    translation : torch.Tensor, shape (..., 2), optional
        Where the camera frame's origin projects to, in image units; zero by default.

    Returns
    -------
    torch.Tensor, shape (..., n_points, 2)
        In image units.

    See Also
    --------
    onp : Estimates rotation, scale and translation.
    """
    check_tail("X", X, "n_points", 3)
    scale = torch.as_tensor(scale, dtype=X.dtype, device=X.device)
    W = scale[..., None, None] * X[..., :2]
    return W if translation is None else W + translation.unsqueeze(-2)


def project_perspective(X, intrinsics=None):
    r"""Perspective projection onto the unit focal plane, or in pixels.

    .. math::
        (u_i, v_i) = (x_i / z_i, \; y_i / z_i).

    Parameters
    ----------
    X : torch.Tensor, shape (..., n_points, 3)
        Points in the camera frame, in front of the camera (z > 0, not checked).
    intrinsics : torch.Tensor, shape (..., 3, 3), optional
        Calibration matrix; the result is then in pixels.

    Returns
    -------
    torch.Tensor, shape (..., n_points, 2)
        On the unit focal plane, or in pixels if `intrinsics` is given.

    See Also
    --------
    unit_plane_to_pixels : What `intrinsics` does.
    """
    check_tail("X", X, "n_points", 3)
    W = X[..., :2] / X[..., 2:]
    return W if intrinsics is None else unit_plane_to_pixels(W, intrinsics)


def _calibration(intrinsics):
    check_tail("intrinsics", intrinsics, 3, 3)
    K = intrinsics.unsqueeze(-3)
    return K[..., 0, 0], K[..., 0, 1], K[..., 0, 2], K[..., 1, 1], K[..., 1, 2]


def pixels_to_unit_plane(W, intrinsics):
    r"""Map pixel coordinates to the unit focal plane, :math:`K^{-1} (u, v, 1)^\top`.

    Parameters
    ----------
    W : torch.Tensor, shape (..., n_points, 2)
        Pixels; NaN stays NaN.
    intrinsics : torch.Tensor, shape (..., 3, 3)
        Upper triangular calibration matrices with last row (0, 0, 1), one for all or one a frame.

    Returns
    -------
    torch.Tensor, shape (..., n_points, 2)
        Points on the unit focal plane.

    See Also
    --------
    unit_plane_to_pixels : The inverse.
    """
    check_tail("W", W, "n_points", 2)
    fx, skew, cx, fy, cy = _calibration(intrinsics)
    v = (W[..., 1] - cy) / fy
    return torch.stack(((W[..., 0] - cx - skew * v) / fx, v), -1)


def unit_plane_to_pixels(W, intrinsics):
    r"""Map the unit focal plane to pixel coordinates, :math:`K (u, v, 1)^\top`.

    Parameters
    ----------
    W : torch.Tensor, shape (..., n_points, 2)
        Points on the unit focal plane; NaN stays NaN.
    intrinsics : torch.Tensor, shape (..., 3, 3)
        Upper triangular calibration matrices with last row (0, 0, 1), one for all or one a frame.

    Returns
    -------
    torch.Tensor, shape (..., n_points, 2)
        Pixels.

    See Also
    --------
    pixels_to_unit_plane : The inverse.
    """
    check_tail("W", W, "n_points", 2)
    fx, skew, cx, fy, cy = _calibration(intrinsics)
    return torch.stack((fx * W[..., 0] + skew * W[..., 1] + cx, fy * W[..., 1] + cy), -1)
