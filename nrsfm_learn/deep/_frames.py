"""From checked observations to what the networks see, and back to the units of the user."""

from typing import NamedTuple

import numpy as np
import torch

from .._torch import to_tensor
from ..geometry import (
    normalize_observations,
    normalized_reprojection_orthographic,
    normalized_reprojection_perspective,
    perspective_translation,
)
from ..preprocessing import center_on_visible, keypoint_scale

# Fewest keypoints that hiding leaves visible.
_MIN_SHOWN = 3

# Nearest that a point may come to the camera, as a fraction of the depth of the object's centre.
NEAREST = 0.2


class Frames(NamedTuple):
    r"""Frames on the device, and the bilinear form (eq. 7) of their camera.

    Attributes
    ----------
    points : Tensor of shape (n_frames, n_points, 2)
        Under orthography and weak perspective the keypoints minus their visible mean, under
        perspective the lines of sight on the unit focal plane; zero at hidden points.
    visible : Tensor of shape (n_frames, n_points)
        1 where a keypoint is visible, 0 elsewhere.
    gain : Tensor of shape (n_frames,)
        What an image distance is multiplied with to be in the units of the shapes: one over the
        scale; under perspective the depth :math:`t_z` of the object's centre in shape units.
    weights : Tensor of shape (n_frames, n_points) or None
        Confidence of each keypoint.
    perspective : bool
        Camera of the form.
    """

    points: torch.Tensor
    visible: torch.Tensor
    gain: torch.Tensor
    weights: torch.Tensor | None = None
    perspective: bool = False

    def take(self, index):
        """Return some of the frames."""
        weights = None if self.weights is None else self.weights[index]
        return self._replace(
            points=self.points[index],
            visible=self.visible[index],
            gain=self.gain[index],
            weights=weights,
        )

    @property
    def n_frames(self):
        """Number of frames; ``len`` of a named tuple is its number of fields."""
        return len(self.points)

    def normalized(self):
        r"""Return the normalised observations :math:`M \tilde W` (eq. 14 and 15)."""
        return normalize_observations(self.points, self.visible, self.gain)

    def form(self, X):
        r"""Return the right-hand side :math:`M \tilde D \tilde\Psi`, linear in the rotated shape.

        Parameters
        ----------
        X : Tensor of shape (n_frames, n_points, 3) or (n_frames, n_directions, n_points, 3)
            Shapes turned to the camera, before their translation, or directions of them.

        Returns
        -------
        Tensor of shape (n_frames, n_points, 2) or (n_frames, n_directions, n_points, 2)
            Zero at hidden points; sums to zero over the points.
        """
        points, visible = self.points, self.visible
        if X.ndim == 4:
            points, visible = points.unsqueeze(1), visible.unsqueeze(1)
        if self.perspective:
            return normalized_reprojection_perspective(X, points.expand_as(X[..., :2]), visible)
        return normalized_reprojection_orthographic(X[..., :2], visible) * visible.unsqueeze(-1)

    def residual(self, rotated):
        r"""Return :math:`M \tilde W - M \tilde D \tilde\Psi` for rotated shapes; see
        :meth:`form`.
        """
        return self.normalized() - self.form(rotated)

    def completed(self, lift):
        """Return the frames with hidden keypoints filled in where a lift predicts them.

        Parameters
        ----------
        lift : Lift
            Shapes and cameras of these frames. No gradient flows to them.

        Returns
        -------
        Frames
            Everything visible.
        """
        rotated = lift.rotated.detach()
        if self.perspective:
            observed = self.points
            translation = perspective_translation(rotated, self.points, self.visible, self.gain)
            X = rotated + translation.unsqueeze(-2)
            predicted = X[..., :2] / torch.maximum(X[..., 2:], NEAREST * self.gain[:, None, None])
        else:
            gain = self.gain[:, None, None]
            observed = self.normalized() / gain
            predicted = normalized_reprojection_orthographic(rotated[..., :2], self.visible) / gain
        seen = self.visible.unsqueeze(-1) > 0
        return self._replace(
            points=torch.where(seen, observed, predicted), visible=torch.ones_like(self.visible)
        )

    def hidden(self, fraction, generator):
        """Return the frames with some visible keypoints hidden at random, where a frame can spare
        them.
        """
        if not fraction:
            return self
        visible = self.visible
        draw = torch.rand(visible.shape, generator=generator, device=visible.device)
        shown = visible * (draw >= fraction)
        enough = shown.sum(-1, keepdim=True) >= _MIN_SHOWN
        return self.masked(torch.where(enough, shown, visible))

    def masked(self, visible):
        """Return the frames with this visibility; all that it shows must have been seen."""
        return self._replace(points=self.points * visible[..., None], visible=visible)

    def view_of(self, X):
        """Return what the camera would see of turned shapes, everything visible.

        Parameters
        ----------
        X : Tensor of shape (n_frames, n_points, 3)
            Shapes turned to the camera; under perspective they stand where these frames do.

        Returns
        -------
        Frames
        """
        points, gain = X[..., :2], torch.ones_like(self.gain)
        if self.perspective:
            depth = self.gain[:, None, None]
            # Views from inside the object teach nothing.
            points = points / torch.maximum(X[..., 2:] + depth, NEAREST * depth)
            gain = self.gain
        return self._replace(points=points, visible=torch.ones_like(self.visible), gain=gain)

    def columns(self, residual):
        r"""Return what the plain dictionary is multiplied with to give :math:`\tilde D^\top` of it.

        With two columns that is the residual (or :math:`\tilde W`) itself. Under perspective the
        third is the product with the z-part of the normalised dictionary,
        :math:`-(u\, e_u + v\, e_v)`: the means that eq. 14 adds vanish against a residual that
        sums to zero.

        Parameters
        ----------
        residual : Tensor of shape (n_frames, n_points, 2)
            Zero at hidden points.

        Returns
        -------
        Tensor of shape (n_columns, n_frames, n_points)
            Scaled by all over visible points, so that frames of which less is seen give blocks as
            long as the others.
        """
        if self.perspective:
            sight = -(self.points * residual).sum(-1, keepdim=True)
            residual = torch.cat((residual, sight), -1)
        scale = self.visible.shape[-1] / self.visible.sum(-1).clamp_min(1)
        return (residual * scale[:, None, None]).permute(2, 0, 1)


def image_gain(observations, camera, scale_method, constant=None):
    """Return the gain of each frame and the data set's constant in it.

    Under orthography the constant is the scale of the data set, and the same for all frames:
    dividing every frame by a scale of its own would erase how the object moves in depth against
    the image. Under the other cameras each frame has the gain ``constant / box edge``, and the
    constant makes the mean visible spread 1.
    """
    W, visible = observations.W, observations.visible
    centered, _ = center_on_visible(W, visible)
    if camera == "orthographic":
        if constant is None:
            constant = float(keypoint_scale(centered, visible, "dataset"))
        return np.full(len(W), 1 / constant), constant
    boxes = None if scale_method == "spread" else observations.boxes
    edges = keypoint_scale(centered, visible, scale_method, boxes=boxes)
    # The shorter edge vanishes for points in a row; the spread of distinct points does not.
    edges = np.maximum(edges, 0.1 * keypoint_scale(centered, visible, "spread"))
    if constant is None:
        constant = 1 / float(keypoint_scale(centered / edges[:, None, None], visible, "dataset"))
    return constant / edges, constant


def normalize_frames(observations, camera, gain, device):
    """Put observations on the device as :class:`Frames`; return them and the visible means.

    Under parallel cameras the points are in the units of the shapes already and the gain is 1: it
    is applied in the precision of ``W``, so that other units of ``W`` give the same numbers.
    """
    W, visible = observations.W, observations.visible
    points, centers = W, np.zeros((len(W), 2), dtype=W.dtype)
    gain = np.asarray(gain)
    if camera != "perspective":
        points, centers = center_on_visible(W, visible)
        points, gain = points * gain[:, None, None], np.ones_like(gain)
    frames = Frames(
        to_tensor(np.where(visible[..., None], points, 0), device),
        to_tensor(visible.astype(np.float32), device),
        to_tensor(gain, device),
        None if observations.weights is None else to_tensor(observations.weights, device),
        perspective=camera == "perspective",
    )
    return frames, centers
