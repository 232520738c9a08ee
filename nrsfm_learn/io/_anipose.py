"""Anipose's 3-D csv files."""

from numbers import Real

import numpy as np

from ._assemble import assemble_rows
from ._delimited import check_increasing, read_rows, split_line
from ._errors import FileFormatError
from ._source import read_text

_AXES = ("_x", "_y", "_z")
_QUALITY = ("_error", "_ncams", "_score")
_FRAME = {f"M_{i}{j}" for i in range(3) for j in range(3)} | {f"center_{i}" for i in range(3)}
_NUMBER = "fnum"


def looks_like_anipose(probe):
    """Tell whether a file starts with a header of Anipose.

    Parameters
    ----------
    probe : Probe
        The file.

    Returns
    -------
    bool
        True if so.
    """
    header = probe.lines[0] if probe.lines else ""
    columns = {column.strip().strip('"') for column in header.split(",")}
    parts = [column.removesuffix("_ncams") for column in columns if column.endswith("_ncams")]
    return any({part + end for end in (*_AXES, *_QUALITY)} <= columns for part in parts)


def read_anipose(path, *, min_confidence=None, max_error=None):
    """Read 3-D points that Anipose triangulated.

    For each body part the file has the columns ``<part>_x``, ``_y``, ``_z``, ``_error``
    (reprojection error in pixels), ``_ncams`` and ``_score`` (the lowest score in the cameras that
    were used); after them ``M_00`` to ``M_22`` and ``center_0`` to ``center_2``, the frame that the
    points were turned into, and ``fnum``, the number of the frame [1]_.

    Parameters
    ----------
    path : path-like
        The file.
    min_confidence : float, default=None
        Points with a lower score are hidden; by default none.
    max_error : float, default=None
        Points with a larger reprojection error (pixels) are hidden; by default none.

    Returns
    -------
    Points3D
        In the unit of the calibration, which the file does not tell, and without edges;
        `confidence` is the score.

    Raises
    ------
    FileFormatError
        If the file is not laid out like this; the message has the line.
    ValueError
        If `min_confidence` or `max_error` is no threshold.

    References
    ----------
    .. [1] P. Karashchuk et al., "Anipose: A toolkit for robust markerless 3D pose estimation",
       Cell Reports 36, 2021.
    """
    if max_error is not None and not (isinstance(max_error, Real) and 0 < max_error < np.inf):
        raise ValueError(f"max_error must be a positive number of pixels, got {max_error!r}.")
    lines = read_text(path).rstrip("\n").split("\n")
    place, names, other = _read_header(path, lines[0])
    values, _ = read_rows(path, lines[1:], len(place), first=2)
    if not len(values):
        raise FileFormatError(path, "it has a header, but no frames", way_out="Export it again.")

    def columns(end):
        return values[:, [place[name + end] for name in names]]

    X = np.stack([columns(axis) for axis in _AXES], axis=-1)
    unknown = np.isnan(X).any(-1)
    notes = [f"columns of other kinds were left out: {', '.join(other)}"] if other else []
    if max_error is not None:
        large = ~unknown & (columns("_error") > max_error)
        notes.append(
            f"{np.count_nonzero(large):,} points with a reprojection error above {max_error:g} "
            f"were hidden"
        )
        unknown |= large
    X[unknown] = np.nan
    if unknown.all():
        raise FileFormatError(
            path,
            "no point is known" + "".join(f"; {note}" for note in notes),
            way_out="Choose another max_error, or triangulate again.",
        )
    return assemble_rows(
        "anipose",
        path,
        X,
        columns("_score"),
        min_confidence=min_confidence,
        names=names,
        axes="x, y, z as set up in Anipose",
        frames=_frames(path, values[:, place[_NUMBER]]),
        notes=notes,
    )


def _read_header(path, line):
    """Column of each name, body parts, columns of other kinds."""
    columns = split_line(path, line, 1)
    place = {column: k for k, column in enumerate(columns)}
    way_out = 'For other csv files of 3-D points give format="csv".'
    if len(place) != len(columns):
        twice = next(column for k, column in enumerate(columns) if column in columns[:k])
        raise FileFormatError(
            path, f"the column {twice!r} is there twice", where="line 1", way_out=way_out
        )
    names = [column.removesuffix("_x") for column in columns if column.endswith("_x")]
    needed = [name + end for name in names for end in (*_AXES, *_QUALITY)]
    missing = [column for column in (*needed, _NUMBER) if column not in place]
    if missing or not names or "" in names:
        problem = f"the column {missing[0]!r} is missing" if missing else "no column is <part>_x"
        raise FileFormatError(path, problem, where="line 1", way_out=way_out)
    return place, names, sorted(set(columns) - set(needed) - _FRAME - {_NUMBER})


def _frames(path, numbers):
    bad = ~((numbers >= 0) & (numbers < 2**53) & (numbers % 1 == 0))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise FileFormatError(
            path, f"{_NUMBER} is {numbers[row]:g}, no frame number", where=f"line {row + 2}"
        )
    frames = numbers.astype(np.int64)
    check_increasing(path, frames, lambda row: f"line {row + 2}")
    return frames
