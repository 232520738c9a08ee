"""Keypoints that are odd whatever the camera does: repeated, degenerate, or missing in disguise."""

from typing import NamedTuple

import numpy as np

from .._validation import constant_frames, poor_frames

_COINCIDE = 2e-3
_COINCIDE_FRAMES = 0.9
_MOST_POINTS = 1000
_LINE = 1e-3
_FAR = 8.0
_PLACEHOLDERS = ((0.0, 0.0), (-1.0, -1.0))


class Entries(NamedTuple):
    """What is odd about single keypoints and frames.

    Attributes
    ----------
    duplicate_points : tuple of (int, int)
    duplicate_frames, poor_frames, line_frames : tuple of int
        Frames that repeat an earlier one, with too few points, with all points on a line.
    placeholders : int
        Visible keypoints that look like a mark for a missing one.
    far : tuple of (int, int)
        Frame and point of keypoints far outside their object.
    units : {"pixels", "fractions", "unit plane or metric"}
    """

    duplicate_points: tuple
    duplicate_frames: tuple
    poor_frames: tuple
    line_frames: tuple
    placeholders: int
    far: tuple
    units: str


def measure_entries(W, visible, sample):
    """Look at single keypoints and frames.

    Parameters
    ----------
    W : ndarray of shape (n_frames, n_points, 2)
        Keypoints, NaN where hidden.
    visible : ndarray of bool of shape (n_frames, n_points)
        Where they are visible.
    sample : ndarray of int
        Frames on which pairs of points are compared.

    Returns
    -------
    Entries
    """
    poor = poor_frames(visible) | constant_frames(W)
    return Entries(
        duplicate_points=_coinciding(W[sample], visible[sample]),
        duplicate_frames=_repeated(W, visible),
        poor_frames=_indices(poor),
        line_frames=_indices(_on_a_line(W, visible) & ~poor),
        placeholders=_count_placeholders(W, visible),
        far=_far_points(W, visible),
        units=_units(W[visible]),
    )


def _indices(flags):
    return tuple(int(i) for i in np.flatnonzero(flags))


def _coinciding(W, visible):
    if W.shape[1] > _MOST_POINTS or not len(W):
        return ()
    z = W[..., 0] + 1j * W[..., 1]
    spread = np.nanmax(np.abs(W - W[:, :1]), initial=0.0)
    count = np.maximum(visible.sum(1), 1)
    radius = np.where(visible, np.abs(z - np.nansum(z, 1, keepdims=True) / count[:, None]), 0)
    near = _COINCIDE * (radius.sum(1) / count)[:, None]
    if spread == 0:
        return ()
    pairs = []
    for i in range(W.shape[1] - 1):
        both = visible[:, i, None] & visible[:, i + 1 :]
        close = (np.abs(z[:, i + 1 :] - z[:, i, None]) <= near) & both
        seen = both.sum(0)
        often = (seen >= 3) & (close.sum(0) >= _COINCIDE_FRAMES * seen)
        pairs += [(i, i + 1 + int(j)) for j in np.flatnonzero(often)]
    return tuple(pairs)


def _repeated(W, visible):
    """Frames whose bytes are those of an earlier frame; empty ones don't count."""
    rows = np.where(visible[..., None], W + 0.0, np.inf).reshape(len(W), -1)
    keys = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.itemsize * rows.shape[1])))
    _, first = np.unique(keys.ravel(), return_index=True)
    again = np.ones(len(W), dtype=bool)
    again[first] = False
    return _indices(again & visible.any(1))


def _on_a_line(W, visible):
    seen = visible[..., None]
    count = np.maximum(visible.sum(1), 1)[:, None, None]
    centred = np.where(seen, W, 0.0)
    centred = np.where(seen, centred - centred.sum(1, keepdims=True) / count, 0.0)
    x, y = centred[..., 0], centred[..., 1]
    # The smaller root of the characteristic polynomial of the 2x2 scatter matrix.
    a, b, c = (x * x).sum(1), (x * y).sum(1), (y * y).sum(1)
    half, radius = (a + c) / 2, np.hypot((a - c) / 2, b)
    return (half - radius <= _LINE**2 * (half + radius)) & (half > 0)


def _count_placeholders(W, visible):
    total = 0
    for place in _PLACEHOLDERS:
        here = (place == W).all(2)
        # A point that is always there is a root that the data were centred on.
        always = here.sum(0) >= 0.95 * np.maximum(visible.sum(0), 1)
        total += int(here[:, ~always].sum())
    return total if total >= 2 else 0


def _far_points(W, visible):
    seen = visible.sum(1) >= 4
    if not seen.any():
        return ()
    with np.errstate(invalid="ignore"):
        middle = np.nanmedian(W[seen], axis=1, keepdims=True)
        distance = np.linalg.norm(W[seen] - middle, axis=2)
        usual = np.nanmedian(distance, axis=1, keepdims=True)
        far = distance > _FAR * usual
    # What is far in many frames is a long limb.
    far &= far.sum(0) < 0.02 * len(W)
    frames = np.flatnonzero(seen)
    return tuple((int(frames[f]), int(p)) for f, p in np.argwhere(far))


def _units(points):
    if not len(points):
        return "unit plane or metric"
    low, high = points.min(), points.max()
    if low >= 0 and high <= 1:
        return "fractions"
    whole = (points == np.round(points)).mean()
    if high - low > 50 or (whole > 0.9 and high - low > 20):
        return "pixels"
    return "unit plane or metric"
