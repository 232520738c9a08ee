"""What the order of frames tells: video or photographs, jumps, exchanged points, cuts."""

from typing import NamedTuple

import numpy as np

from ._low_rank import centre

_VIDEO = 0.35
_FAR_STEP = 8.0
_FAR_JUMP = 12.0
_SMALL_STEP = 0.05
_SMALL_JUMP = 0.1
_PAIRS = 2000


class Tracks(NamedTuple):
    """What the order of frames tells; the fields are those of :class:`Diagnosis`.

    Attributes
    ----------
    smoothness : float
    is_video : bool
    swaps, jumps, cuts : tuple
    """

    smoothness: float
    is_video: bool
    swaps: tuple
    jumps: tuple
    cuts: tuple


def measure_tracks(W, visible, same_clip, size, rng):
    """Compare each frame with the next one.

    Parameters
    ----------
    W : ndarray of shape (n_frames, n_points, 2)
        Keypoints, NaN where hidden.
    visible : ndarray of bool of shape (n_frames, n_points)
        Where they are visible.
    same_clip : ndarray of bool of shape (n_frames - 1,)
        Whether a frame and the next belong to one clip.
    size : float
        Root mean square distance of a point from the mean of its frame.
    rng : numpy.random.RandomState
        Chooses pairs of frames to compare with.

    Returns
    -------
    Tracks
    """
    steps = np.linalg.norm(np.diff(W, axis=0), axis=2)
    steps[~same_clip] = np.nan
    smoothness = _smoothness(W, visible, same_clip, rng)
    if not smoothness < _VIDEO:
        return Tracks(smoothness, False, (), (), ())
    usual = _median(steps, axis=0)
    far = steps > np.maximum(_FAR_STEP * usual, _SMALL_STEP * size)
    measured = np.maximum((~np.isnan(steps)).sum(1), 1)
    cut = (far.sum(1) > 0.5 * measured) & (far.sum(1) >= 3)
    swaps = _find_swaps(W, steps, far & ~cut[:, None])
    jumps = _find_jumps(W, same_clip, size, np.flatnonzero(cut), swaps)
    return Tracks(smoothness, True, swaps, jumps, tuple(int(f) + 1 for f in np.flatnonzero(cut)))


def _median(values, axis=None):
    """Median that is NaN, without a warning, where there is nothing to take it of."""
    if np.isnan(values).all(axis=axis).any():
        values = np.where(np.isnan(values).all(axis=axis, keepdims=True), np.inf, values)
    middle = np.nanmedian(values, axis=axis)
    return np.where(np.isinf(middle), np.nan, middle)


def _smoothness(W, visible, same_clip, rng):
    before = np.flatnonzero(same_clip)
    if len(before) < 2:
        return float("nan")
    if len(before) > _PAIRS:
        before = before[rng.choice(len(before), _PAIRS, replace=False)]

    def difference(first, second):
        both = visible[first] & visible[second]
        change = centre(W[second], both) - centre(W[first], both)
        enough = both.sum(1) >= 3
        squared = np.square(change).sum((1, 2))[enough] / both.sum(1)[enough]
        return np.sqrt(np.median(squared)) if enough.any() else np.nan

    usual = difference(*rng.randint(len(W), size=(2, _PAIRS)))
    step = difference(before, before + 1)
    return float(step / usual) if usual > 0 else float("nan")


def _find_swaps(W, steps, far):
    """Pairs of points of which each goes, in one step, to where the other was."""
    swaps = []
    for f in np.flatnonzero(far.sum(1) >= 2):
        points = np.flatnonzero(far[f])
        crossed = np.linalg.norm(W[f + 1, points][:, None] - W[f, points][None], axis=2)
        # crossed[a, b]: from where b was to where a is now.
        small = crossed < 0.35 * np.minimum(steps[f, points][:, None], steps[f, points][None])
        both = small & small.T
        for a, b in np.argwhere(np.triu(both, 1)):
            swaps.append((int(f) + 1, int(points[a]), int(points[b])))
    return tuple(swaps)


def _find_jumps(W, same_clip, size, cuts, swaps):
    """Keypoints far from the middle of their neighbours in time, which lie close together."""
    inner = same_clip[:-1] & same_clip[1:]
    bend = np.linalg.norm(W[1:-1] - (W[:-2] + W[2:]) / 2, axis=2)
    across = np.linalg.norm(W[2:] - W[:-2], axis=2)
    bend[~inner] = np.nan
    far = bend > np.maximum(_FAR_JUMP * _median(bend, axis=0), _SMALL_JUMP * size)
    far &= across < bend
    for f in cuts:
        far[max(f - 1, 0) : f + 1] = False
    exchanged = {(f + d, p) for f, i, j in swaps for p in (i, j) for d in (-1, 0)}
    found = ((int(f) + 1, int(p)) for f, p in np.argwhere(far))
    return tuple(place for place in found if place not in exchanged)
