"""The JSON of this package: keypoints or 3-D points with everything that the records hold."""

import json
import re
from itertools import chain

import numpy as np

from . import _source
from ._assemble import assemble_rows
from ._errors import FileFormatError
from ._json_values import check_edges, check_kind, check_point_names, member, positive, shown
from ._records import Keypoints

_KEYPOINTS, _POINTS = "nrsfm_learn keypoints", "nrsfm_learn points 3d"
_FIRST = re.compile(rf'\s*{{\s*"format": "({_KEYPOINTS}|{_POINTS})"'.encode())
_VERSION = 1


def looks_like_json(probe):
    """Tell whether a JSON file says that it is of this package.

    Parameters
    ----------
    probe : Probe
        The file.

    Returns
    -------
    bool
        True if so.
    """
    # A file of many frames need not be read twice: we write that member first.
    if _FIRST.match(probe.head):
        return True
    return isinstance(probe.json, dict) and probe.json.get("format") in (_KEYPOINTS, _POINTS)


def read_json(path, *, min_confidence=None, individual=None):
    """Read the JSON that :func:`write_json` writes.

    One object with these members; those in brackets may be left out or null:

    - ``format`` : "nrsfm_learn keypoints" or "nrsfm_learn points 3d"
    - ``format_version`` : 1
    - ``names`` : one string for each point
    - [``edges``] : pairs of indices of points, counted from 0
    - [``fps``] : frames a second
    - [``frames``] : number of each frame; counted from 0 by default
    - [``confidence``] : for each frame one number, or null, for each point

    Keypoints have besides

    - ``W`` : for each frame, for each point [x, y]; both are null where it is missing
    - [``individuals``], [``individual``] : names, and index of the individual of each frame
    - [``clips``] : number of the clip of each frame
    - [``X``] : ground truth, for each frame, for each point [x, y, z] in the camera frame

    and 3-D points

    - ``X`` : for each frame, for each point [x, y, z]; all are null where it is missing
    - [``unit``], [``axes``] : strings

    Parameters
    ----------
    path : path-like
        File.
    min_confidence : float, default=None
        Hide keypoints of a lower confidence; none is hidden by default.
    individual : str or int, default=None
        Name, or index from 0, of the only individual to read.

    Returns
    -------
    Keypoints or Points3D
        As `format` says, in the units of the file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FileFormatError
        If the file is damaged: the message has the line or the key.
    ValueError
        If there is no such individual, or no confidence to go by.

    See Also
    --------
    write_json : The way back.
    """
    data = check_kind(path, _source.read_json(path), dict, "")
    kind = data.get("format")
    if kind not in (_KEYPOINTS, _POINTS):
        raise FileFormatError(
            path,
            f"{_KEYPOINTS!r} or {_POINTS!r} was expected, got {shown(kind)}",
            where="format",
            way_out="Leave out format= to have the format recognised.",
        )
    if member(path, data, "format_version", int) != _VERSION:
        raise FileFormatError(
            path,
            f"this version of the package reads {_VERSION}, got {shown(data['format_version'])}",
            where="format_version",
            way_out="Update the package.",
        )
    # A member that is null is one that is not there.
    data = {key: value for key, value in data.items() if value is not None}
    names = check_point_names(path, member(path, data, "names", list), "names")
    key = "W" if kind == _KEYPOINTS else "X"
    shape = len(member(path, data, key, list)), len(names)
    if 0 in shape:
        raise FileFormatError(path, f"{shape[0]} frames of {shape[1]} points", where=key)
    others = {
        "names": names,
        "edges": check_edges(path, data.get("edges", []), len(names), "edges"),
        "fps": positive(path, data["fps"], "fps") if "fps" in data else None,
        "frames": _integers(path, data, "frames", shape[0]),
        "min_confidence": min_confidence,
        "individual": individual,
    }
    positions = _array(path, data, key, (*shape, len("xy" if key == "W" else "xyz")))
    confidence = _array(path, data, "confidence", shape)
    if kind == _POINTS:
        others |= {key: check_kind(path, data.get(key, ""), str, key) for key in ("unit", "axes")}
    else:
        others["X"] = _array(path, data, "X", (*shape, 3))
    individuals = check_kind(path, data.get("individuals", ["individual"]), list, "individuals")
    return assemble_rows(
        "json",
        path,
        positions,
        confidence,
        individuals=check_point_names(path, individuals, "individuals"),
        who=_integers(path, data, "individual", shape[0]),
        clips=_integers(path, data, "clips", shape[0]),
        **others,
    )


def write_json(path, data):
    """Write JSON that holds everything that a record holds, but its `source`.

    See :func:`read_json` for the members. Numbers have all their digits; each frame is in a line of
    its own.

    Parameters
    ----------
    path : path-like
        File to write.
    data : Keypoints or Points3D
        What to write.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    ValueError
        If there are no frames.

    See Also
    --------
    read_json : The way back.
    """
    if not len(data):
        raise ValueError("data has no frames to write.")
    is_2d = isinstance(data, Keypoints)
    small = {
        "format": _KEYPOINTS if is_2d else _POINTS,
        "format_version": _VERSION,
        "names": data.names,
        "edges": data.edges,
        "fps": data.fps,
        "frames": data.frames.tolist(),
        "individuals": data.individuals,
        "individual": data.individual.tolist(),
        "clips": data.clips.tolist(),
    }
    if is_2d:
        large = {"W": data.W, "confidence": data.confidence, "X": data.X}
    else:
        small |= {"unit": data.unit, "axes": data.axes}
        large = {"X": data.X, "confidence": data.confidence}
    members = {key: json.dumps(value) for key, value in small.items()}
    for key, array in large.items():
        if array is not None:
            # Only numbers are in there, so that NaN cannot be part of a name.
            rows = ",\n".join(map(json.dumps, array.tolist())).replace("NaN", "null")
            members[key] = f"[\n{rows}\n]"
    text = ",\n".join(f'"{key}": {value}' for key, value in members.items())
    return _source.write_whole(path, f"{{\n{text}\n}}\n")


def _integers(path, data, key, n_frames):
    """One whole number a frame, or None."""
    if key not in data:
        return None
    values = check_kind(path, data[key], list, key)
    if len(values) != n_frames:
        raise FileFormatError(path, f"{len(values)} numbers for {n_frames} frames", where=key)
    for k, value in enumerate(values):
        if type(value) is not int or not -(2**63) <= value < 2**63:
            check = f"a whole number was expected, got {shown(value)}"
            raise FileFormatError(path, check, where=f"{key}[{k}]")
    return np.array(values, dtype=np.int64)


def _array(path, data, key, shape):
    """Nested lists of numbers or null, or None."""
    if key not in data:
        return None
    flat = [data[key]]
    for depth, length in enumerate(shape):
        for k, item in enumerate(flat):
            if type(item) is not list or len(item) != length:
                where = _place(key, k, shape[:depth])
                raise FileFormatError(
                    path, f"a list of {length} was expected, got {shown(item)}", where=where
                )
        flat = list(chain.from_iterable(flat))
    # Types first: numpy would make numbers of booleans and of strings of digits.
    if set(map(type, flat)) <= {int, float, type(None)}:
        try:
            values = np.array(flat, dtype=np.float64)
        except OverflowError:  # An integer beyond the largest double.
            values = np.array([np.inf])
        if not np.isinf(values).any() and np.isnan(values).sum() == flat.count(None):
            return values.reshape(shape)
    k = next(k for k, item in enumerate(flat) if not _is_value(item))
    problem = f"a finite number or null was expected, got {shown(flat[k])}"
    raise FileFormatError(path, problem, where=_place(key, k, shape))


def _is_value(item):
    if item is None:
        return True
    try:
        return type(item) in (int, float) and bool(np.isfinite(float(item)))
    except OverflowError:
        return False


def _place(key, k, shape):
    """Entry k of an array of a shape, such as "W[3][0]"."""
    indices = []
    for length in reversed(shape):
        k, index = divmod(k, length)
        indices.append(f"[{index}]")
    return key + "".join(reversed(indices))
