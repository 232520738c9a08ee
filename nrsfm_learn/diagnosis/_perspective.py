"""How strong perspective is: by the intrinsics, or by the distortion it makes."""

from typing import NamedTuple

import numpy as np

_BLOCKS = 20


class Perspective(NamedTuple):
    """How strong perspective is; the fields are those of :class:`Diagnosis`.

    Attributes
    ----------
    depth_ratio, depth_ratio_error, scale_variation, field_of_view : float
    """

    depth_ratio: float
    depth_ratio_error: float
    scale_variation: float
    field_of_view: float


def measure_distortion(fit, visible):
    r"""Depth over distance of a turning object, from what scaled orthography leaves.

    With s the scale and z the depth relative to the object's centre at distance :math:`z_0`,

    .. math:: \frac{f x}{z_0 + z} \approx s x - \frac{1}{z_0} s x z ,

    so that the residuals of the rigid body follow :math:`-s z (x, y)` with slope :math:`1 / z_0`
    in all frames. Its sign is that of the mirror image which was fitted, and is left out. What is
    linear in the body's coordinates is projected out of both sides: pose could absorb it.

    Parameters
    ----------
    fit : RigidFit
        The rigid body.
    visible : ndarray of bool of shape (n_frames, n_points)
        Where residuals count.

    Returns
    -------
    ratio, error : float
        The object's extent in depth over its distance, and the standard error.
    """
    posed = fit.shape @ fit.rotations.swapaxes(1, 2)
    product = fit.scales[:, None, None] * posed[..., 2:] * posed[..., :2]
    linear = np.linalg.qr(np.c_[np.ones(len(fit.shape)), fit.shape])[0]
    product -= linear @ (linear.T @ product)
    residuals = fit.residuals - linear @ (linear.T @ fit.residuals)
    product = np.where(visible[..., None], product, 0.0)
    shared, square = -(product * residuals).sum((1, 2)), np.square(product).sum((1, 2))
    if square.sum() == 0:
        return float("nan"), float("nan")
    slope = shared.sum() / square.sum()
    # Neighbouring frames are alike: only blocks of them are taken as independent.
    block = np.arange(len(square)) * _BLOCKS // len(square)
    error = np.linalg.norm(np.bincount(block, shared - slope * square)) / square.sum()
    extent = np.median(np.ptp(posed[..., 2], axis=1))
    return float(abs(slope) * extent), float(error * extent)


def measure_field_of_view(W):
    """Angle that the object takes in the typical frame.

    Parameters
    ----------
    W : ndarray of shape (n_frames, n_points, 2)
        Keypoints on the unit focal plane, NaN where hidden, none in which all are.

    Returns
    -------
    float
        Degrees.
    """
    rays = np.concatenate([W, np.ones_like(W[..., :1])], axis=2)
    rays /= np.linalg.norm(rays, axis=2, keepdims=True)
    middle = np.nanmean(rays, axis=1, keepdims=True)
    middle /= np.linalg.norm(middle, axis=2, keepdims=True)
    cosine = np.nanmin((rays * middle).sum(2), axis=1)
    return float(2 * np.degrees(np.arccos(np.clip(np.median(cosine), -1, 1))))


def measure_perspective(motion, visible, W_unit):
    """Measure what can be.

    Parameters
    ----------
    motion : Motion or None
        The rigid body in it is used only as far as it explains the data.
    visible : ndarray of bool of shape (n_frames, n_points)
        Which keypoints of the fit were seen.
    W_unit : ndarray of shape (n_frames, n_points, 2) or None
        Keypoints on the unit focal plane, if there are intrinsics.

    Returns
    -------
    Perspective
    """
    field = float("nan") if W_unit is None else measure_field_of_view(W_unit)
    if motion is None:
        return Perspective(float("nan"), float("nan"), float("nan"), field)
    scales = motion.fit.scales
    variation = float(scales.std() / max(scales.mean(), np.finfo(float).tiny))
    ratio = error = float("nan")
    if motion.turning >= 0.5 and motion.angular_spread >= 30 and motion.flatness > 0.02:
        ratio, error = measure_distortion(motion.fit, visible)
    return Perspective(ratio, error, variation, field)
