"""Mean shapes to begin with: the rigid shape of each category."""

import warnings

import numpy as np

from .._torch import to_numpy
from ..classical import RigidFactorization

# Frames of a category that its rigid shape is found from. It needs no more, and completing hidden
# keypoints takes the square of them.
_MOST_FRAMES = 500
# Shapes larger than their images by more have run away in depth: seen from everywhere it is 1.2.
_LARGEST = 2.0


def rigid_shapes(frames, index, category_points, *, scaled):
    """Return the rigid shape of each category as the network's units have it.

    Parameters
    ----------
    frames : Frames
        All frames, of a parallel camera.
    index : ndarray of int of shape (n_frames,)
        Category of each.
    category_points : ndarray of bool of shape (n_categories, n_points)
        Points of each category.
    scaled : bool
        Whether frames differ in scale.

    Returns
    -------
    ndarray of shape (n_points, 3)
        Centred shapes, each in a frame of its own; zero for categories that are seen too little,
        or too much from one side for their depth to be told, and for those that share points with
        one before.
    """
    W = to_numpy(frames.normalized()).astype(float)
    W[to_numpy(frames.visible) == 0] = np.nan
    weights = None if frames.weights is None else to_numpy(frames.weights).astype(float)
    shapes = np.zeros((W.shape[1], 3))
    for category, points in enumerate(category_points):
        rows = np.flatnonzero(index == category)
        if shapes[points].any() or not len(rows):
            continue
        rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), _MOST_FRAMES)).astype(int)]
        cell = np.ix_(rows, points)
        camera = "weak_perspective" if scaled else "orthographic"
        try:
            with warnings.catch_warnings():
                # It is a start, from which training goes on.
                warnings.simplefilter("ignore", UserWarning)
                rigid = RigidFactorization(camera=camera, device="cpu")
                rigid.fit(W[cell], weights=None if weights is None else weights[cell])
        except ValueError:
            continue
        shape = rigid.mean_shape_ - rigid.mean_shape_.mean(0)
        image = np.nanmean(np.square(W[cell]).sum(-1))
        if np.square(shape).sum(1).mean() < _LARGEST**2 * image:
            shapes[points] = shape
    return shapes
