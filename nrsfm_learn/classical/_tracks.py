"""What the solvers see: centred, scaled keypoints on the device, in double precision."""

from typing import NamedTuple

import numpy as np
import torch

from .._torch import to_tensor
from ..preprocessing import center_on_visible


class Tracks(NamedTuple):
    """Keypoints of all frames, ready for a solver.

    Attributes
    ----------
    points : Tensor of shape (n_frames, n_points, 2)
        Keypoints minus the mean of the visible ones of their frame, in units of :attr:`size`;
        0 where hidden.
    weights : Tensor of shape (n_frames, n_points)
        0 where hidden, 1 where visible, or the confidence there.
    clips : list of slice or Tensor
        Frames of each clip, in temporal order.
    centers : Tensor of shape (n_frames, 2)
        What was subtracted, in units of ``W``.
    size : float
        Root mean square of the visible coordinates that are left, in units of ``W``.
    """

    points: torch.Tensor
    weights: torch.Tensor
    clips: list
    centers: torch.Tensor
    size: float

    @property
    def seen(self):
        """Tensor of bool of shape (n_frames, n_points): where a keypoint is visible."""
        return self.weights > 0

    @property
    def complete(self):
        """Whether no keypoint is hidden."""
        return bool(self.seen.all())

    def hide(self, hidden):
        """Return the tracks without some keypoints, centred on those that are left.

        Parameters
        ----------
        hidden : Tensor of bool of shape (n_frames, n_points)
            What to hide.

        Returns
        -------
        Tracks
        """
        weights = torch.where(hidden, 0.0, self.weights)
        left = (weights > 0).to(self.points.dtype)
        mean = (left[..., None] * self.points).sum(1) / left.sum(1).clamp_min(1)[:, None]
        points = (self.points - mean[:, None]) * left[..., None]
        return self._replace(
            points=points, weights=weights, centers=self.centers + self.size * mean
        )

    def offsets(self, predicted):
        """Return the translation (n_frames, 2) that takes a prediction to the visible keypoints.

        Parameters
        ----------
        predicted : Tensor of shape (n_frames, n_points, 2)
            Projected shapes.

        Returns
        -------
        Tensor of shape (n_frames, 2)
            The weighted mean of what the prediction leaves.
        """
        w = self.weights[..., None]
        return (w * (self.points - predicted)).sum(1) / w.sum(1).clamp_min(1e-300)


def tracks_of(observations, device, size=None):
    """Convert checked observations.

    Parameters
    ----------
    observations : Observations
        Keypoints.
    device : torch.device
        Where to compute.
    size : float, optional
        Unit of the points; that of these keypoints by default.

    Returns
    -------
    Tracks
    """
    visible = observations.visible
    W, centers = center_on_visible(observations.W.astype(np.float64), visible)
    W = np.where(visible[..., None], W, 0.0)
    if size is None:
        size = float(np.sqrt(np.square(W).sum() / (2 * np.count_nonzero(visible))))
    weights = visible.astype(np.float64)
    if observations.weights is not None:
        weights = np.where(visible, observations.weights, 0.0)
    return Tracks(
        to_tensor(W / size, device, torch.float64),
        to_tensor(weights, device, torch.float64),
        clips_of(observations.groups, len(W), device),
        to_tensor(centers, device, torch.float64),
        size,
    )


def clips_of(groups, n_frames, device):
    """Return the frames of each clip; all frames are one clip without groups."""
    if groups is None:
        return [slice(0, n_frames)]
    groups = np.asarray(groups)
    return [torch.as_tensor(np.flatnonzero(groups == g), device=device) for g in np.unique(groups)]


def stacked(points):
    """Return keypoints (n_frames, n_points, 2) as the matrix (2 n_frames, n_points)."""
    return points.mT.reshape(-1, points.shape[1])
