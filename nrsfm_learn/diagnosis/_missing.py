"""How many keypoints are hidden, where, and whether at random."""

from typing import NamedTuple

import numpy as np

_LONG_RUNS = 1.5


class Missing(NamedTuple):
    """Which keypoints are hidden.

    Attributes
    ----------
    fraction : float
        Of all.
    pattern : {"none", "random", "runs", "points", "runs and points"}
        How they are spread.
    worst_points : ndarray of int
        Points from the one hidden most often on.
    by_point : ndarray of float of shape (n_points,)
        Hidden fraction of each point.
    worst_frames : ndarray of int
        Frames from the one with the most hidden points on, at most five.
    unseen : ndarray of int
        Points that no frame shows.
    apart : tuple of (int, int)
        Pairs of points that no frame shows together, unseen ones left out.
    run_ratio : float
        Mean length of hidden runs over what it would be at random; 1 where nothing is hidden.
    """

    fraction: float
    pattern: str
    worst_points: np.ndarray
    by_point: np.ndarray
    worst_frames: np.ndarray
    unseen: np.ndarray
    apart: tuple
    run_ratio: float


def measure_missing(visible, same_clip):
    """Measure how keypoints are hidden.

    Parameters
    ----------
    visible : ndarray of bool of shape (n_frames, n_points)
        True where visible.
    same_clip : ndarray of bool of shape (n_frames - 1,)
        Whether a frame and the next belong to one clip.

    Returns
    -------
    Missing
    """
    hidden = ~visible
    by_point, by_frame = hidden.mean(0), hidden.mean(1)
    unseen = np.flatnonzero(by_point == 1)
    together = visible.astype(np.float32).T @ visible.astype(np.float32)
    apart = np.argwhere(np.triu(together == 0, 1))
    apart = apart[~np.isin(apart, unseen).any(1)]
    run_ratio = _run_ratio(hidden, same_clip)
    return Missing(
        fraction=float(hidden.mean()),
        pattern=_pattern(hidden, by_point, run_ratio),
        worst_points=np.argsort(-by_point, kind="stable"),
        by_point=by_point,
        worst_frames=np.argsort(-by_frame, kind="stable")[:5],
        unseen=unseen,
        apart=tuple((int(i), int(j)) for i, j in apart),
        run_ratio=run_ratio,
    )


def _run_ratio(hidden, same_clip):
    """Mean length of runs over that of independent hiding with each point's own probability."""
    before, after = hidden[:-1][same_clip], hidden[1:][same_clip]
    starts = (~before & after).sum(0)
    stays = (before & after).sum(0)
    some = (starts > 0) & (starts + stays > 0)
    if starts[some].sum() < 5:
        return 1.0
    # At random a hidden frame is followed by another with the probability of being hidden.
    expected = (before.sum(0) * after.mean(0))[some].sum() if len(before) else 0.0
    return float((starts.sum() + stays.sum()) / max(starts.sum() + expected, 1e-9))


def _pattern(hidden, by_point, run_ratio):
    fraction = hidden.mean()
    if fraction == 0:
        return "none"
    chance = np.sqrt(fraction * (1 - fraction) / len(hidden))
    kinds = []
    if run_ratio > _LONG_RUNS:
        kinds.append("runs")
    # Runs make a point's own fraction vary more than independent hiding does.
    if by_point.std() > max(4 * chance * np.sqrt(max(run_ratio, 1)), 0.5 * fraction):
        kinds.append("points")
    return " and ".join(kinds) or "random"
