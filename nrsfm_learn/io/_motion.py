"""What readers and writers of motion share: names, frame rate, gaps, direction of the axes."""

import numpy as np

from ._errors import FileFormatError
from ._records import Points3D

# The square of a coordinate must be a number, too.
_LARGEST = 1e150


def unique_names(labels):
    """Return the labels of a file so that each point has its own name.

    Parameters
    ----------
    labels : sequence of str
        Labels as the file has them; "" where it has none.

    Returns
    -------
    names : tuple of str
        Names: ``point_3`` for a point without label, ``nose_2`` for the second ``nose``.
    notes : tuple of str
        What was changed.
    """
    names, notes, taken, counts = [], [], set(labels), {}
    used = set()
    for p, label in enumerate(labels):
        base = label or f"point_{p}"
        name = base
        while name in used or (name in taken and name != label):
            counts[base] = counts.get(base, 1) + 1
            name = f"{base}_{counts[base]}"
        names.append(name)
        used.add(name)
        if name != label:
            notes.append(f"point {p}, labelled {label!r} in the file, is called {name!r}")
    if len(notes) > 3:
        notes = [*notes[:3], f"{len(notes) - 3} more points have names that are not in the file"]
    return tuple(names), tuple(notes)


def check_computed(path, X):
    """Check the positions that were computed from the numbers of a file.

    Parameters
    ----------
    path : path-like
        File.
    X : ndarray of shape (n_frames, n_points, 3)
        Positions.

    Raises
    ------
    FileFormatError
        If one is infinite or too large.
    """
    wrong = ~(np.abs(X) < _LARGEST).all(axis=(1, 2))
    if wrong.any():
        raise FileFormatError(
            path,
            "the positions are too large to compute with",
            where=f"frame {np.argmax(wrong)}",
            way_out="Look for a wrong number there, or in the lengths of the bones.",
        )


def check_points(data, format):
    """Check that there are 3-D points to write.

    Parameters
    ----------
    data : object
        What is to be written.
    format : str
        What people call the format.

    Raises
    ------
    TypeError
        If it is no :class:`Points3D`.
    """
    if not isinstance(data, Points3D):
        raise TypeError(
            f"{format} holds 3-D points, and data is {type(data).__name__}, not Points3D: lift "
            f"keypoints first, or write them as csv, npz or json."
        )


def frame_rate(data, format):
    """Return the frame rate of data for a format that cannot do without.

    Parameters
    ----------
    data : Points3D
        What is to be written.
    format : str
        What people call the format.

    Returns
    -------
    float
        Frames a second.

    Raises
    ------
    ValueError
        If it is not known.
    """
    if data.fps is None:
        raise ValueError(
            f"{format} needs a frame rate and the data have none (fps is None): write "
            f"data.replace(fps=30), with the frame rate of your video."
        )
    return data.fps


def turned_y_up(data, y_up):
    """Return the points with y up.

    Parameters
    ----------
    data : Points3D
        What is to be written.
    y_up : bool or None
        Turn by 180 degrees about x: (x, y, z) to (x, -y, -z). None does so where the data are in
        the camera frame.

    Returns
    -------
    ndarray of shape (n_frames, n_points, 3)
        A copy of the points.

    Raises
    ------
    ValueError
        If `y_up` is anything else.
    """
    if y_up not in (None, True, False):
        raise ValueError(f"y_up must be True, False or None, got {y_up!r}.")
    turn = data.axes == Points3D.axes if y_up is None else y_up
    return data.X * [1.0, -1.0, -1.0] if turn else data.X.copy()


def interpolated(X, groups):
    """Fill the gaps of each point linearly in time; the ends keep the nearest known position.

    Parameters
    ----------
    X : ndarray of shape (n_frames, n_points, 3)
        Points, NaN where missing.
    groups : ndarray of int of shape (n_frames,)
        Clip and individual of each frame; gaps are filled from the same one alone.

    Returns
    -------
    ndarray of shape (n_frames, n_points, 3)
        A copy; points that are never known in a group stay NaN there.
    """
    X = X.copy()
    known = ~np.isnan(X).any(-1)
    for group in np.unique(groups[~known.all(1)]):
        rows = np.flatnonzero(groups == group)
        here = known[rows]
        for p in np.flatnonzero(here.any(0) & ~here.all(0)):
            there = rows[here[:, p]]
            for axis in range(3):
                X[rows, p, axis] = np.interp(rows, there, X[there, p, axis])
    return X
