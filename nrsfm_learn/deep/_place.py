"""From turned shapes of a network to a reconstruction in the units of the user."""

import numpy as np
import torch

from .._torch import to_numpy
from ..base import Reconstruction
from ..geometry import perspective_translation


def place(X, rotations, frames, observations, *, centers, gain, reference, keep_observed):
    """Put turned shapes where their keypoints are, in the units of the user.

    Parameters
    ----------
    X : ndarray of shape (n_frames, n_points, 3)
        Shapes turned to the camera, in the units of ``frames``; NaN at points that a frame does not
        have. It is written to.
    rotations : ndarray of shape (n_frames, 3, 3)
        ``x_cam = R x``.
    frames : Frames
        The frames as the network sees them.
    observations : Observations
        The same as the user gave them, under perspective on the unit plane.
    centers : ndarray of shape (n_frames, 2)
        What was subtracted from the keypoints; not looked at under perspective.
    gain : ndarray of shape (n_frames,)
        What an image distance was multiplied with; the depth of the origin under perspective.
    reference : float or ndarray of shape (n_frames,)
        Gain at which the scale of a frame is 1; it is always 1 under perspective.
    keep_observed : bool
        Whether visible keypoints stay where they were seen.

    Returns
    -------
    Reconstruction
        Without codes, in the dtype of the keypoints.
    """
    visible = observations.visible[..., None]
    seen = to_numpy(frames.points).astype(float)
    if frames.perspective:
        places = (torch.from_numpy(a) for a in (X, seen, observations.visible, gain))
        X = X + perspective_translation(*places).numpy()[:, None]
        seen = seen * X[..., 2:]
        reference = scales = np.ones(len(X))
    else:
        reference = np.broadcast_to(reference, gain.shape)
        scales = reference / gain
        # The best translation takes the visible mean to that of the keypoints, which is zero.
        X[..., :2] -= np.mean(X[..., :2], axis=1, keepdims=True, where=visible)
    if keep_observed:
        X[..., :2] = np.where(visible, seen, X[..., :2])
    translations = np.nanmean(X, axis=1)
    shapes = (X - translations[:, None]) @ rotations / reference[:, None, None]
    if not frames.perspective:
        translations = translations / gain[:, None]
        translations[:, :2] += centers
    X = scales[:, None, None] * shapes @ rotations.swapaxes(1, 2) + translations[:, None]
    found = (X, shapes, rotations, translations, scales)
    return Reconstruction(*(a.astype(observations.W.dtype, copy=False) for a in found))
