"""How far the starts of a fit disagree, and what that says of the error."""

import numpy as np
from scipy.special import ndtr, ndtri

# Mean and standard deviation of the logarithm of error over spread, over points of generated data:
# benchmarks/bench_confidence.py --calibrate prints them.
LOG_MEAN, LOG_DEVIATION = -0.5, 1.0
# Error, as a part of the object's size, below which a point counts as right.
TOLERANCE = 0.05
# Spread below which nothing more is said, as a part of the object's size.
_FLOOR = 1e-4


def spread_of(X, others, *, perspective=False):
    r"""Spread of each point over reconstructions of the same frames.

    .. math:: \sigma_{fp} = \Bigl( \frac1M \sum_m
              \| x^{(m)}_{fp} - x_{fp} \|^2 \Bigr)^{1/2}

    after every other reconstruction was given the best depth sign of each frame under a parallel
    camera, and its best scale under perspective.

    Parameters
    ----------
    X : ndarray of shape (n_frames, n_points, 3)
        The reconstruction in the camera frame.
    others : sequence of ndarray of shape (n_frames, n_points, 3)
        Those of other starts.
    perspective : bool
        The camera.

    Returns
    -------
    ndarray of shape (n_frames, n_points)
        In the units of ``X``; no smaller than a ten-thousandth of the object.
    """
    center = X.mean(1, keepdims=True)
    centered = X - center
    squares = np.zeros(X.shape[:2])
    for other in others:
        other = other - other.mean(1, keepdims=True)
        if perspective:
            power = np.square(other).sum((1, 2), keepdims=True)
            other = other * ((other * centered).sum((1, 2), keepdims=True) / power)
        else:
            sign = np.sign((other[..., 2] * centered[..., 2]).sum(1))
            other = other * np.stack([np.ones_like(sign)] * 2 + [sign], -1)[:, None]
        squares += np.square(other - centered).sum(-1)
    spread = np.sqrt(squares / len(others))
    return np.maximum(spread, _FLOOR * object_size(X)[:, None])


def object_size(X):
    """Return the root mean square distance (n_frames,) of the points from their mean."""
    centered = X - X.mean(1, keepdims=True)
    return np.sqrt(np.square(centered).sum(-1).mean(1))


def error_quantile(spread, quantile):
    """Return the error that a part ``quantile`` of points with this spread stays below."""
    return spread * np.exp(LOG_MEAN + LOG_DEVIATION * ndtri(quantile))


def probability_right(spread, size):
    """Return the probability that points are nearer than ``TOLERANCE`` of the size to the truth."""
    with np.errstate(invalid="ignore"):
        return ndtr((np.log(TOLERANCE * size[:, None] / spread) - LOG_MEAN) / LOG_DEVIATION)
