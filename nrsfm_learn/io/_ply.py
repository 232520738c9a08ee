"""PLY (Polygon File Format): one file of points and edges a frame."""

import shutil
import uuid

import numpy as np

from ._motion import check_points
from ._source import as_path, write_whole

_MOST_COMMENTS = 1000


def write_ply(path, data, *, binary=True):
    """Write 3-D points as PLY files, one a frame.

    The element ``vertex`` has the coordinates ``x``, ``y``, ``z`` (32-bit floats, as they are in
    the data) and the index ``point`` of the point; missing points are left out. The element
    ``edge`` has ``vertex1`` and ``vertex2``, rows of the vertices; edges of missing points are
    left out. Comments tell frame, unit, axes and the names of the points.

    Parameters
    ----------
    path : path-like
        The file for a single frame. Several frames go to numbered files beside: ``walk.ply``
        becomes ``walk_000000.ply``, ``walk_000001.ply``, ... . They are all written before the
        first gets its name; files of higher numbers that are there already stay.
    data : Points3D
        Points.
    binary : bool, default=True
        Whether to write little-endian binary, or text.

    Returns
    -------
    pathlib.Path
        The file of the first frame.

    Raises
    ------
    TypeError
        If `data` is no Points3D.
    ValueError
        If the path is a folder, leads through a file, or a coordinate does not fit 32 bits.

    See Also
    --------
    write_gltf : One file with all frames, that viewers play.

    References
    ----------
    Turk, The PLY Polygon File Format, Stanford University, 1994.
    """
    check_points(data, "PLY")
    path = as_path(path)
    with np.errstate(over="ignore"):
        large = np.argwhere(np.isinf(data.X.astype(np.float32)).any(-1))
    if len(large):
        f, p = large[0]
        raise ValueError(
            f"X is too large for 32-bit floats at frame {f}, point {p}: choose a larger unit."
        )
    if data.n_frames == 1:
        return write_whole(path, _file(data, 0, binary))
    targets = ply_files(path, data.n_frames)
    folder = path.parent / f".{path.name}.{uuid.uuid4().hex}.part"
    try:
        for f, target in enumerate(targets):
            if target.is_dir():
                raise ValueError(f"path={str(target)!r} is a folder: choose another name.")
            write_whole(folder / target.name, _file(data, f, binary))
        for target in targets:
            (folder / target.name).replace(target)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return targets[0]


def ply_files(path, n_frames):
    """Return the files that hold the frames.

    Parameters
    ----------
    path : pathlib.Path
        As of :func:`write_ply`.
    n_frames : int
        Number of frames.

    Returns
    -------
    list of pathlib.Path
        One a frame.
    """
    if n_frames == 1:
        return [path]
    return [path.with_name(f"{path.stem}_{f:06d}{path.suffix}") for f in range(n_frames)]


def _file(data, f, binary):
    X = data.X[f]
    there = np.flatnonzero(~np.isnan(X).any(-1))
    row = {p: k for k, p in enumerate(there.tolist())}
    edges = [(row[a], row[b]) for a, b in data.edges if a in row and b in row]
    lines = [
        "ply",
        f"format {'binary_little_endian' if binary else 'ascii'} 1.0",
        f"comment frame {data.frames[f]}",
        f"comment unit {_plain(data.unit) or 'unknown'}",
        f"comment axes {_plain(data.axes)}",
        *(f"comment point {p} {_plain(n)}" for p, n in enumerate(data.names[:_MOST_COMMENTS])),
        f"element vertex {len(there)}",
        *(f"property float {axis}" for axis in "xyz"),
        "property int point",
        f"element edge {len(edges)}",
        "property int vertex1",
        "property int vertex2",
        "end_header",
    ]
    head = ("\n".join(lines) + "\n").encode("ascii")
    if binary:
        vertices = np.zeros(len(there), dtype=[("x", "<f4", 3), ("point", "<i4")])
        vertices["x"], vertices["point"] = X[there], there
        return head + vertices.tobytes() + np.array(edges, dtype="<i4").tobytes()
    rows = [f"{x:.9g} {y:.9g} {z:.9g} {p}" for (x, y, z), p in zip(X[there], there, strict=True)]
    rows += [f"{a} {b}" for a, b in edges]
    return head + "".join(f"{text}\n" for text in rows).encode("ascii")


def _plain(text):
    """Return text as a comment can hold it: one line of ASCII."""
    return " ".join(text.encode("ascii", "backslashreplace").decode().split())
