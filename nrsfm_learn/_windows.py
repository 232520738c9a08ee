"""Windows of consecutive frames: what methods for sequences train on and lift."""

from numbers import Integral
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array


class Windows(NamedTuple):
    """Frames of each window.

    Attributes
    ----------
    index : ndarray of int of shape (n_windows, window)
        Which frame stands at each place. Places beyond the end of a short clip repeat its last
        frame.
    valid : ndarray of bool of shape (n_windows, window)
        False at those places.
    n_frames : int
        Number of all frames; each is at one valid place at least.
    """

    index: np.ndarray
    valid: np.ndarray
    n_frames: int


def clip_numbers(groups, n_frames):
    """Return the number of each frame's clip, in order of appearance.

    Parameters
    ----------
    groups : ndarray of shape (n_frames,) or None
        Clip of each frame; None for one clip.
    n_frames : int
        Number of frames.

    Returns
    -------
    ndarray of int of shape (n_frames,)
    """
    if groups is None:
        return np.zeros(n_frames, dtype=np.intp)
    _, first, number = np.unique(groups, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.intp)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[number.reshape(-1)]


def spanning_step(n_frames, groups=None, *, window, longest=8):
    """Return the step with which a window spans the clip of median length.

    Parameters
    ----------
    n_frames : int
        Number of frames.
    groups : ndarray of shape (n_frames,), default=None
        Clip of each frame; by default all frames are one clip.
    window : int
        Frames of a window.
    longest : int, default=8
        Longest step.

    Returns
    -------
    int
        Between 1 and ``longest``.
    """
    lengths = np.bincount(clip_numbers(groups, n_frames))
    return int(np.clip(np.median(lengths) // window, 1, longest))


def cut_windows(n_frames, groups=None, *, window, stride=None, step=1):
    """Cut clips into windows of consecutive frames.

    The frames of a clip are those with the same label, in order of appearance. In each clip windows
    begin every ``stride`` frames; the last one is moved back so that it ends with the clip. No
    window has frames of two clips.

    Parameters
    ----------
    n_frames : int
        Number of frames.
    groups : ndarray of shape (n_frames,), default=None
        Clip of each frame; by default all frames are one clip.
    window : int
        Frames of a window.
    stride : int, default=None
        Frames from the start of one window to that of the next, at most the frames that a window
        spans, ``step * window``, so that every frame is in one; by default that many.
    step : int, default=1
        With k > 1 a window has every k-th frame, and k windows share what they span.

    Returns
    -------
    Windows
        Clip by clip, in order of appearance and of time.

    Raises
    ------
    ValueError
        If ``window``, ``stride`` or ``step`` is out of range.
    """
    if not isinstance(window, Integral) or window < 1:
        raise ValueError(f"window must be a positive number of frames, got {window!r}.")
    if not isinstance(step, Integral) or step < 1:
        raise ValueError(f"step must be a positive number of frames, got {step!r}.")
    span = window * step
    stride = span if stride is None else stride
    if not isinstance(stride, Integral) or not 1 <= stride <= span:
        raise ValueError(
            f"stride must be a number of frames between 1 and the {span} that a window spans, so "
            f"that every frame lies in one; got {stride!r}."
        )
    number = clip_numbers(groups, n_frames)
    order = np.argsort(number, kind="stable")
    lengths = np.bincount(number)
    # How far into its clip the last window may begin, and how many it takes to get there.
    last = np.maximum(lengths - span, 0)
    counts = 1 + -(-last // stride)
    clip = np.repeat(np.arange(len(lengths)), counts)
    within = np.arange(len(clip)) - np.repeat(np.cumsum(counts) - counts, counts)
    begin = np.minimum(within * stride, last[clip])
    place = begin[:, None] + np.arange(span)
    valid = place < lengths[clip, None]
    place = np.minimum(place, lengths[clip, None] - 1)
    offset = np.cumsum(lengths) - lengths
    index, valid = (
        a.reshape(-1, window, step).swapaxes(1, 2).reshape(-1, window)
        for a in (order[offset[clip, None] + place], valid)
    )
    # A clip that is shorter than step leaves some without frames.
    kept = valid[:, 0]
    return Windows(index[kept], valid[kept], n_frames)


def average_windows(values, windows, weights=None):
    r"""Average what several windows say of the same frame.

    .. math:: \bar x_f = \frac{\sum_{(w, t)\,:\,i(w, t) = f} \omega_t\, x_{wt}}
                              {\sum_{(w, t)\,:\,i(w, t) = f} \omega_t}

    Parameters
    ----------
    values : ndarray of shape (n_windows, window, ...)
        Values of each place; those of places that are not valid are not looked at.
    windows : Windows
        Which frames the places are.
    weights : ndarray of shape (window,), default=None
        Positive weight of each place, such as less at the ends; equal by default.

    Returns
    -------
    ndarray of shape (n_frames, ...)
        In the dtype of ``values``.
    """
    values = np.asarray(values)
    valid = windows.valid.reshape(-1)
    places = np.flatnonzero(valid)
    frames = windows.index.reshape(-1)[places]
    share = np.ones(windows.valid.shape) if weights is None else np.asarray(weights, float)
    share = np.broadcast_to(share, windows.valid.shape).reshape(-1)[places]
    share = share / np.bincount(frames, share, windows.n_frames)[frames]
    mean = csr_array(
        (share.astype(values.dtype), (frames, np.arange(len(places)))),
        shape=(windows.n_frames, len(places)),
    )
    flat = values.reshape(len(valid), -1)[places]
    return (mean @ flat).reshape(windows.n_frames, *values.shape[2:])
