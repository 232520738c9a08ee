"""Clips of different lengths in one array, with one label a frame."""

from collections.abc import Mapping

import numpy as np

from .._validation import check_groups


def stack_clips(clips):
    """Put clips of different lengths into one array, for ``fit(W, groups=groups)``.

    Parameters
    ----------
    clips : list of array-like, or dict of str to array-like
        Keypoints (n_frames_of_clip, n_points, 2), or anything else with one row a frame, such as
        3-D points (n_frames_of_clip, n_points, 3) or masks (n_frames_of_clip, n_points). The clips
        differ in their number of frames only.

    Returns
    -------
    W : ndarray of shape (n_frames, n_points, 2)
        One clip after the other.
    groups : ndarray of shape (n_frames,)
        Clip of each frame: numbers from 0 for a list, the keys of a dict.

    Raises
    ------
    ValueError
        If there is no clip, one is empty, or their points differ.

    See Also
    --------
    split_clips : The way back.
    stack_categories : Objects with different points.

    Examples
    --------
    >>> import numpy as np
    >>> from nrsfm_learn.preprocessing import stack_clips
    >>> W, groups = stack_clips({"monday": np.zeros((3, 5, 2)), "tuesday": np.ones((2, 5, 2))})
    >>> W.shape, groups.tolist()
    ((5, 5, 2), ['monday', 'monday', 'monday', 'tuesday', 'tuesday'])
    """
    named = clips.items() if isinstance(clips, Mapping) else enumerate(clips)
    names, arrays = [], []
    for name, clip in named:
        names.append(name)
        arrays.append(np.asarray(clip))
    if not arrays:
        raise ValueError("clips is empty; give at least one clip of shape (n_frames, n_points, 2).")
    for name, array in zip(names, arrays, strict=True):
        if array.ndim < 2 or not len(array):
            raise ValueError(
                f"clip {name!r} must be an array of shape (n_frames, n_points, 2) with at least "
                f"one frame, got shape {array.shape}. Leave out clips without frames."
            )
        if array.shape[1:] != arrays[0].shape[1:]:
            raise ValueError(
                f"clips must have the same points: clip {name!r} has frames of shape "
                f"{array.shape[1:]}, clip {names[0]!r} of {arrays[0].shape[1:]}. Put points that "
                f"one does not have in as NaN."
            )
    lengths = [len(array) for array in arrays]
    return np.concatenate(arrays), np.repeat(np.array(names), lengths)


def split_clips(X, groups):
    """Divide frames into their clips.

    Parameters
    ----------
    X : array-like of shape (n_frames, ...)
        Anything with one row a frame: keypoints, masks, reconstructions.
    groups : array-like of shape (n_frames,)
        Clip of each frame.

    Returns
    -------
    dict of label to ndarray of shape (n_frames_of_clip, ...)
        Clips in order of appearance, and the frames of each in theirs. ``list(clips.values())`` is
        what a list of clips was stacked from.

    Raises
    ------
    ValueError
        If there is not one label a frame.

    See Also
    --------
    stack_clips : The way back.

    Examples
    --------
    >>> import numpy as np
    >>> from nrsfm_learn.preprocessing import split_clips
    >>> clips = split_clips(np.arange(5), ["b", "b", "a", "b", "a"])
    >>> {name: frames.tolist() for name, frames in clips.items()}
    {'b': [0, 1, 3], 'a': [2, 4]}
    """
    X = np.asarray(X)
    groups = check_groups(groups, len(X))
    labels, first, number = np.unique(groups, return_index=True, return_inverse=True)
    number = number.reshape(-1)
    pieces = np.split(
        X[np.argsort(number, kind="stable")], np.cumsum(np.bincount(number))[:-1].astype(int)
    )
    names = labels.tolist()
    return {names[k]: pieces[k] for k in np.argsort(first)}
