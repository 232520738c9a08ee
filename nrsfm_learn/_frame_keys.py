"""Frames that a fit has seen, known again by their keypoints."""

import hashlib

import numpy as np


def frame_keys(observations):
    """Return a number (n_frames,) for each frame by which it is known again.

    Parameters
    ----------
    observations : Observations
        Frames.

    Returns
    -------
    ndarray of int64 of shape (n_frames,)
    """
    # Adding zero makes -0.0 the 0.0 that it equals.
    W = np.ascontiguousarray(observations.W, dtype=np.float64) + 0.0
    digests = b"".join(hashlib.blake2b(frame.tobytes(), digest_size=8).digest() for frame in W)
    return np.frombuffer(digests, dtype=np.int64).copy()


def match_keys(keys, known_keys):
    """Find frames among those of a fit.

    Parameters
    ----------
    keys, known_keys : ndarray of int64
        Of the frames asked for, and of those of the fit.

    Returns
    -------
    row : ndarray of int
        Which frame of the fit each one is, if it is any.
    known : ndarray of bool
        Whether it is one. Of frames that look alike the first is meant, unless all frames of the
        fit are asked for in their order.
    """
    if np.array_equal(keys, known_keys):
        return np.arange(len(keys)), np.ones(len(keys), dtype=bool)
    order = np.argsort(known_keys, kind="stable")
    place = np.searchsorted(known_keys, keys, sorter=order)
    row = order[np.minimum(place, len(order) - 1)]
    return row, known_keys[row] == keys
