"""Which points are held together: a neighbourhood graph of lines of sight."""

from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

# Fewest points of a frame, linked to each other, that are worth a depth: a triangle.
_FEWEST_LINKED = 3


class SightLines(NamedTuple):
    """Lines of sight of the keypoints, and what links them.

    Attributes
    ----------
    rays : Tensor of shape (n_frames, n_points, 3)
        Unit vectors from the camera's centre to the keypoints; anything where hidden.
    seen : Tensor of bool of shape (n_frames, n_points)
        Where a keypoint is visible and its frame links it to at least two others.
    edges : Tensor of int of shape (n_edges, 2)
        Pairs of neighbours i < j.
    weights : Tensor of shape (n_frames, n_edges)
        Of each edge in each frame: 0 where one of its points is not seen, at most 1.
    """

    rays: torch.Tensor
    seen: torch.Tensor
    edges: torch.Tensor
    weights: torch.Tensor

    def keep(self, points):
        """Return the lines without some points; ``points`` (..., n_points) says which stay."""
        i, j = self.edges.T
        seen = self.seen & points
        weights = torch.where(seen[:, i] & seen[:, j], self.weights, 0.0)
        return self._replace(seen=seen, weights=weights)

    def differences(self, depths):
        """Return the vectors (n_frames, n_edges, 3) along the edges of points at these depths."""
        i, j = self.edges.T
        return depths[:, i, None] * self.rays[:, i] - depths[:, j, None] * self.rays[:, j]


def rays_of(W):
    """Return unit vectors (n_frames, n_points, 3) to points of the unit focal plane.

    Parameters
    ----------
    W : ndarray of shape (n_frames, n_points, 2)
        Keypoints on the unit focal plane, NaN where hidden.

    Returns
    -------
    ndarray of shape (n_frames, n_points, 3)
        The optical axis where hidden.
    """
    W = np.where(np.isfinite(W), W, 0.0).astype(np.float64)
    rays = np.concatenate([W, np.ones_like(W[..., :1])], axis=-1)
    return rays / np.linalg.norm(rays, axis=-1, keepdims=True)


def neighborhood_graph(rays, visible, n_neighbors):
    """Link each point to those that never move far from it in the image.

    Parameters
    ----------
    rays : ndarray of shape (n_frames, n_points, 3)
        Lines of sight.
    visible : ndarray of bool of shape (n_frames, n_points)
    n_neighbors : int
        Neighbours that each point chooses; it may be chosen by more. The distance between two
        points is the largest that any frame shows; points that no frame shows together are never
        linked.

    Returns
    -------
    ndarray of int of shape (n_edges, 2)
        Pairs i < j, sorted. Shortest links between parts are added until the graph is connected,
        as far as frames show points of both parts.

    References
    ----------
    .. [1] A. Chhatkuli, D. Pizarro, T. Collins, A. Bartoli, "Inextensible non-rigid
       structure-from-motion by second-order cone programming", IEEE TPAMI 40(10), 2018, section 3.
    """
    n_points = visible.shape[1]
    distance = np.full((n_points, n_points), -np.inf)
    for ray, seen in zip(rays, visible, strict=True):
        index = np.flatnonzero(seen)
        apart = np.linalg.norm(ray[index, None] - ray[None, index], axis=-1)
        place = np.ix_(index, index)
        distance[place] = np.maximum(distance[place], apart)
    distance[distance < 0] = np.inf
    np.fill_diagonal(distance, np.inf)
    nearest = np.argsort(distance, axis=1, kind="stable")[:, :n_neighbors]
    linked = np.zeros_like(distance, dtype=bool)
    linked[np.arange(n_points)[:, None], nearest] = True
    linked = (linked | linked.T) & np.isfinite(distance)
    while True:
        n_parts, part = connected_components(coo_array(linked), directed=False)
        between = np.where(part[:, None] != part, distance, np.inf)
        i, j = np.unravel_index(between.argmin(), between.shape)
        if n_parts == 1 or not np.isfinite(between[i, j]):
            return np.argwhere(np.triu(linked))
        linked[i, j] = linked[j, i] = True


def sight_lines(observations, edges, device):
    """Put the lines of sight of checked observations on the device.

    Parameters
    ----------
    observations : Observations
        Keypoints on the unit focal plane.
    edges : ndarray of int of shape (n_edges, 2)
        Of :func:`neighborhood_graph`.
    device : torch.device
        Where to compute.

    Returns
    -------
    SightLines
    """
    visible, (i, j) = observations.visible, edges.T
    n_frames, n_points = visible.shape
    seen = visible.copy()
    for f in range(n_frames):
        there = visible[f, i] & visible[f, j]
        links = coo_array((np.ones(there.sum()), (i[there], j[there])), shape=(n_points, n_points))
        part = connected_components(links, directed=False)[1]
        seen[f] &= np.bincount(part)[part] >= _FEWEST_LINKED
    confidence = seen.astype(np.float64)
    if observations.weights is not None:
        confidence = np.where(seen, observations.weights, 0.0)
        confidence = confidence / max(confidence.max(), np.finfo(float).tiny)
    weights = np.minimum(confidence[:, i], confidence[:, j])
    return SightLines(
        torch.as_tensor(rays_of(observations.W), device=device),
        torch.as_tensor(seen, device=device),
        torch.as_tensor(edges, device=device),
        torch.as_tensor(weights, device=device),
    )
