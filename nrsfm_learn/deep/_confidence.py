"""How far the starts of a fit disagree, and what that says of the error.

The spread tells which points are worse than others, but not how bad a fit is: starts that were
dropped early disagree much where the last one is right. How steady the lengths are tells that. So
the logarithm of the error of a point, as a part of the object's size, is taken for normal with mean

    SPREAD * log(spread / size) + VARIATION * log(variation) + OFFSET

where the variation is that of the distance between each point and its steadiest neighbour.
"""

import numpy as np
from scipy.special import ndtr, ndtri

# Of the formula above, and the standard deviation; measured on points of generated data:
# benchmarks/bench_confidence.py --calibrate prints them.
SPREAD, VARIATION, OFFSET, DEVIATION = 0.16, 1.11, 1.13, 1.48
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
    centered = _centered(X)
    squares = np.zeros(X.shape[:2])
    for other in others:
        other = _centered(other)
        if perspective:
            power = np.nansum(np.square(other), (1, 2), keepdims=True)
            other = other * (np.nansum(other * centered, (1, 2), keepdims=True) / power)
        else:
            sign = np.sign(np.nansum(other[..., 2] * centered[..., 2], 1))
            other = other * np.stack([np.ones_like(sign)] * 2 + [sign], -1)[:, None]
        squares += np.square(other - centered).sum(-1)
    spread = np.sqrt(squares / len(others))
    return np.maximum(spread, _FLOOR * object_size(X)[:, None])


def object_size(X):
    """Return the root mean square distance (n_frames,) of the points from their mean."""
    squares = np.square(_centered(X)).sum(-1)
    return np.sqrt(_mean(squares))


def _centered(X):
    """Subtract the mean of the points that a frame has."""
    return X - _mean(X)[:, None]


def _mean(array):
    """Return the mean over points without those that are NaN: points of other categories."""
    known = np.isfinite(array)
    n_known = known.sum(1)
    total = np.where(known, array, 0).sum(1)
    return np.where(n_known > 0, total / np.maximum(n_known, 1), np.nan)


def expected_log_error(spread, size, variation):
    """Return the mean (n_frames, n_points) of the logarithm of the error over the size."""
    relative = np.log(spread / size[:, None])
    return SPREAD * relative + VARIATION * np.log(max(variation, _FLOOR)) + OFFSET


def error_quantile(spread, size, variation, quantile):
    """Return the error that a part ``quantile`` of such points stays below."""
    logarithm = expected_log_error(spread, size, variation) + DEVIATION * ndtri(quantile)
    return size[:, None] * np.exp(logarithm)


def probability_right(spread, size, variation):
    """Return the probability that points are nearer than ``TOLERANCE`` of the size to the truth."""
    mean = expected_log_error(spread, size, variation)
    return ndtr((np.log(TOLERANCE) - mean) / DEVIATION)
