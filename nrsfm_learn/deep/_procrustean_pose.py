"""Cameras of decoded shapes, and the reconstruction that they and the observations give."""

from typing import NamedTuple

import torch

from ..geometry import perspective_translation, refine_onp
from ._procrustean_objective import align


class Pose(NamedTuple):
    """Shapes and cameras of some frames, in the units of the shapes.

    Attributes
    ----------
    shapes : Tensor of shape (n_frames, n_points, 3)
        Centred, in the canonical frame.
    rotations : Tensor of shape (n_frames, 3, 3)
        ``x_cam = R x``.
    translations : Tensor of shape (n_frames, 3)
        Of the shapes' centres; relative to the visible mean of the keypoints under parallel
        cameras.
    """

    shapes: torch.Tensor
    rotations: torch.Tensor
    translations: torch.Tensor


def pose(shapes, frames, *, n_refine_steps=3, keep_observed=True):
    """Align decoded shapes to their frames.

    Parameters
    ----------
    shapes : Tensor of shape (n_frames, n_points, 3)
        Centred canonical shapes.
    frames : Frames
        The observations.
    n_refine_steps : int
        Steps that refine parallel cameras from the algebraic solution.
    keep_observed : bool
        Put visible points where they were seen.

    Returns
    -------
    Pose
    """
    alignment = align([shapes], frames)
    rotations = alignment.rotations
    if n_refine_steps and not frames.perspective:
        weights = frames.visible if frames.weights is None else frames.visible * frames.weights
        rotations = refine_onp(
            shapes, frames.normalized(), rotations, visible=weights, n_steps=n_refine_steps
        )
    rotated = shapes @ rotations.mT
    if frames.perspective:
        translations = perspective_translation(rotated, frames.points, frames.visible, frames.gain)
    else:
        seen = frames.visible.unsqueeze(-1)
        translations = -(rotated * seen).sum(-2) / seen.sum(-2)
        translations[:, 2] = 0
    if keep_observed:
        X = rotated + translations.unsqueeze(-2)
        if frames.perspective:
            observed = frames.points * X[..., 2:]
        else:
            observed = frames.normalized()
        xy = torch.where(frames.visible.unsqueeze(-1) > 0, observed, X[..., :2])
        X = torch.cat((xy, X[..., 2:]), -1)
        translations = X.mean(-2)
        shapes = (X - translations.unsqueeze(-2)) @ rotations
    return Pose(shapes, rotations, translations)
