"""C3D: motion capture of the biomechanics laboratories, through the library ezc3d."""

import struct
import tempfile
from pathlib import Path

import numpy as np

from ._errors import FileFormatError
from ._isolated import run_isolated
from ._motion import check_points, frame_rate, unique_names
from ._records import Points3D, Source
from ._source import check_file, write_whole

_MAGIC = 0x50
_BLOCK = 512
# Place of the sign in a float, by the number of the processor in the file: Intel and DEC.
_PROCESSORS = {84: 3, 85: 1}
_MIPS = 86
_MOST_FRAMES = 65_535
_LONGEST_NAME = 127
_MOST_NAME_BYTES = 120_000
_NO_LIBRARY = "needs the package ezc3d: pip install 'nrsfm-learn[io]'"
_WAY_OUT = "Export it again from the motion capture software."


def looks_like_c3d(probe):
    """Tell whether a file is C3D; no other format has its suffix.

    Parameters
    ----------
    probe : Probe
        The file.

    Returns
    -------
    bool
        True if so.
    """
    return probe.path.suffix.lower() == ".c3d"


def read_c3d(path):
    """Read the 3-D points of a C3D file.

    Analog channels, force plates and rotations are left out. A point is missing (NaN) where its
    residual is negative, as the format defines it, or where all its coordinates are exactly 0,
    as some software writes it. Names are those of ``POINT:LABELS`` (and ``LABELS2``, ... beyond
    255 points), made unique where the file repeats one. The axes are those of the laboratory:
    turn them as your method needs it.

    Parameters
    ----------
    path : path-like
        File.

    Returns
    -------
    Points3D
        With `unit` from ``POINT:UNITS``, `fps` from ``POINT:RATE`` and `frames` as numbered in
        the file, from 0.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FileFormatError
        If the file is no C3D file, is truncated or damaged, or holds no points.
    ImportError
        If the package ezc3d is not installed.

    See Also
    --------
    write_c3d : The way back.

    References
    ----------
    Motion Lab Systems, The C3D File Format: A Technical User Guide, 2021, "The Header Section",
    "The Parameter Section" and "The 3D/Analog Data Section".

    Michaud and Begon, ezc3d: An easy C3D file I/O cross-platform solution for C++, Python and
    MATLAB, Journal of Open Source Software 6(58), 2911, 2021.
    """
    path = check_file(path)
    n_claimed = _check_header(path)
    found = run_isolated(__name__, "_load", path)
    X = found["X"]
    n_claimed = max(n_claimed, found["n_actual"])
    if 0 in X.shape:
        raise FileFormatError(path, f"holds {X.shape[0]} frames and {X.shape[1]} points")
    if len(X) < n_claimed:
        raise FileFormatError(
            path,
            f"only {len(X):,} of {n_claimed:,} frames can be read",
            way_out=f"If the recording has more than {_MOST_FRAMES:,} frames, export it in parts; "
            f"otherwise the file is truncated: export it again.",
        )
    missing = found["missing"] | np.isnan(X).any(-1)
    at_origin = (X == 0).all(-1) & ~missing
    missing |= at_origin
    if np.isinf(X[~missing]).any():
        f, p = np.argwhere(np.isinf(X).any(-1) & ~missing)[0]
        raise FileFormatError(path, "a coordinate is infinite", where=f"frame {f}, point {p}")
    if missing.all():
        raise FileFormatError(path, "every point is missing in every frame", way_out=_WAY_OUT)
    X[missing] = np.nan
    labels = found["labels"][: X.shape[1]]
    names, notes = unique_names(labels + [""] * (X.shape[1] - len(labels)))
    if at_origin.any():
        notes += (f"{at_origin.sum():,} points at exactly (0, 0, 0) were taken for missing ones",)
    rate = found["rate"]
    return Points3D(
        X,
        names=names,
        fps=rate if 0 < rate < np.inf else None,
        unit=found["unit"],
        axes=_axes(*found["screen"]),
        frames=found["first"] + np.arange(len(X)),
        source=Source("c3d", str(path), notes),
    )


def write_c3d(path, data):
    """Write 3-D points as a C3D file (Intel byte order, 32-bit floats).

    Missing points have the residual -1. The file holds neither edges nor confidences; frames
    that are not numbered one after the other are numbered anew from 0, and individuals and clips
    follow one another as their rows do. Coordinates are written as
    they are; the direction of the camera frame goes to ``POINT:X_SCREEN`` and ``Y_SCREEN``.

    Parameters
    ----------
    path : path-like
        File to write.
    data : Points3D
        Points; `fps` must be known.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    TypeError
        If `data` is no Points3D.
    ValueError
        If `data` has no frame rate, more than 65,535 frames or points, or names that are too
        long for the format.
    ImportError
        If the package ezc3d is not installed.

    See Also
    --------
    read_c3d : The way back; lists the references.
    """
    check_points(data, "C3D")
    check_c3d(data)
    with np.errstate(over="ignore"):
        large = np.argwhere(np.isinf(data.X.astype(np.float32)).any(-1))
    if len(large):
        f, p = large[0]
        raise ValueError(
            f"X is too large for the 32-bit floats of C3D at frame {f}, point {p}: choose a "
            f"larger unit."
        )
    fps = data.fps
    file = _library("Writing").c3d()
    point = file["parameters"]["POINT"]
    point["RATE"]["value"] = [fps]
    point["LABELS"]["value"] = list(data.names)
    point["UNITS"]["value"] = [data.unit] if data.unit else []
    if data.axes == Points3D.axes:
        file.add_parameter("POINT", "X_SCREEN", ["+X"])
        file.add_parameter("POINT", "Y_SCREEN", ["-Y"])
    first = int(data.frames[0])
    follow = (np.diff(data.frames) == 1).all()
    numbered = follow and 0 <= first <= _MOST_FRAMES - data.n_frames
    file["header"]["points"]["first_frame"] = first if numbered else 0
    missing = np.isnan(data.X).any(-1).T
    positions = np.ones((4, data.n_points, data.n_frames))
    positions[:3] = np.where(missing, 0.0, data.X.transpose(2, 1, 0))
    file["data"]["points"] = positions
    file["data"]["meta_points"]["residuals"] = np.where(missing, -1.0, 0.0)[None]
    with tempfile.TemporaryDirectory() as folder:
        # ezc3d writes to files alone.
        temporary = Path(folder, "points.c3d")
        file.write(str(temporary))
        return write_whole(path, temporary.read_bytes())


def _library(what):
    try:
        import ezc3d
    except ImportError as error:
        raise ImportError(f"{what} C3D {_NO_LIBRARY}") from error
    return ezc3d


def _check_header(path):
    """Check the header against the size of the file; return the number of frames it claims."""
    with path.open("rb") as file:
        head = file.read(_BLOCK)
        if len(head) < _BLOCK or head[1] != _MAGIC:
            raise FileFormatError(
                path,
                f"no C3D file: its second byte is not {_MAGIC:#x} or it is shorter than a header",
                where="header",
                way_out="Name the format of the file with format=.",
            )
        file.seek((max(head[0], 1) - 1) * _BLOCK)
        parameters = file.read(4)
    if len(parameters) == 4 and parameters[3] == _MIPS:
        raise FileFormatError(
            path,
            "is in the byte order of MIPS processors, which ezc3d does not read",
            where=f"block {head[0]}",
            way_out="Convert it to Intel byte order.",
        )
    if len(parameters) < 4 or parameters[3] not in _PROCESSORS:
        raise FileFormatError(
            path, "there is no parameter section", where=f"block {head[0]}", way_out=_WAY_OUT
        )
    words = struct.unpack("<10H", head[:20])
    _, n_points, n_analog, first, last = words[:5]
    if last < first or last == _MOST_FRAMES:
        # Beyond 16 bits the header cannot tell.
        return 0
    width = 4 if head[12 + _PROCESSORS[parameters[3]]] & 0x80 else 2
    n_frames = last - first + 1
    needed = (max(words[8], 1) - 1) * _BLOCK + n_frames * (4 * n_points + n_analog) * width
    size = path.stat().st_size
    if needed > size:
        raise FileFormatError(
            path,
            f"{n_frames:,} frames of {n_points:,} points take {needed:,} bytes and the file has "
            f"{size:,}: it is truncated",
            where="header",
            way_out=_WAY_OUT,
        )
    return n_frames


def _load(path):
    """Read a file with ezc3d; runs in a child process."""
    ezc3d = _library("Reading")
    try:
        file = ezc3d.c3d(path)
        points = file["data"]["points"]
        residuals = file["data"]["meta_points"]["residuals"]
        X = np.ascontiguousarray(points[:3].transpose(2, 1, 0), dtype=np.float64)
        parameters = file["parameters"]
        point = parameters["POINT"]
        labels, k = [], 1
        while (name := "LABELS" if k == 1 else f"LABELS{k}") in point:
            labels += [_text(label) for label in point[name]["value"]]
            k += 1
        return {
            "X": X,
            "missing": np.ascontiguousarray(residuals[0].T < 0),
            "labels": labels,
            "rate": float(str(np.float32(_first(point, "RATE", 0.0)))),
            "unit": _text(_first(point, "UNITS", "")),
            "screen": [_text(_first(point, f"{axis}_SCREEN", "")) for axis in "XY"],
            "first": int(file["header"]["points"]["first_frame"]),
            "n_actual": _actual_frames(parameters["TRIAL"]) if "TRIAL" in parameters else 0,
        }
    except Exception as error:
        # Whatever the library raises is about the file.
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise FileFormatError(path, f"ezc3d cannot read it ({reason})", way_out=_WAY_OUT) from error


def _first(group, name, default):
    values = group[name]["value"] if name in group else []
    return values[0] if len(values) else default


def _text(value):
    return str(value).encode("utf-8", "surrogateescape").decode("utf-8", "replace").strip(" \0")


def _actual_frames(trial):
    """Return the number of frames that the 32-bit fields of Vicon tell, 0 without them."""
    ends = []
    for name in ("ACTUAL_START_FIELD", "ACTUAL_END_FIELD"):
        words = np.ravel(trial[name]["value"]) if name in trial else []
        if len(words) != 2:
            return 0
        low, high = (int(word) & 0xFFFF for word in words)
        ends.append(low + (high << 16))
    return max(ends[1] - ends[0] + 1, 0)


def _axes(x_screen, y_screen):
    if (x_screen, y_screen) == ("+X", "-Y"):
        return Points3D.axes
    if x_screen and y_screen:
        return f"as in the file: {x_screen} right, {y_screen} up on the screen"
    return "as in the file: those of the laboratory, often z up"


def check_c3d(data):
    """Check what is known before there are coordinates: frame rate, sizes and names.

    Parameters
    ----------
    data : Keypoints or Points3D
        What is to be written, or the keypoints of which it will be made.

    Raises
    ------
    ValueError, ImportError
        As :func:`write_c3d`.
    """
    fps = frame_rate(data, "C3D")
    _library("Writing")
    if data.n_frames > _MOST_FRAMES or data.n_points > _MOST_FRAMES:
        raise ValueError(
            f"C3D holds at most {_MOST_FRAMES:,} frames and points, and the data have "
            f"{data.n_frames:,} and {data.n_points:,}: write them in parts, or as npz."
        )
    rate = np.float32(fps)
    if not 0 < rate < np.inf:
        raise ValueError(f"fps={fps} does not fit the 32 bits that C3D has for it.")
    for text in (*data.names, getattr(data, "unit", "")):
        if len(text.encode(errors="replace")) > _LONGEST_NAME or not text.isprintable():
            raise ValueError(
                f"C3D takes names and units of printable characters, at most {_LONGEST_NAME} bytes "
                f"long, not {text[:40]!r}: rename it with data.replace(names=...)."
            )
    widest = max(len(name.encode(errors="replace")) for name in data.names)
    if widest * data.n_points > _MOST_NAME_BYTES:
        raise ValueError(
            f"{data.n_points:,} names of up to {widest} bytes do not fit the parameter section of "
            f"a C3D file: choose shorter names."
        )
