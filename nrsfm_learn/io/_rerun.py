"""Rerun recordings, for the viewer of that name."""

import tempfile
from pathlib import Path

import numpy as np

from ._motion import check_points
from ._source import write_whole


def write_rerun(path, data):
    """Write 3-D points as a recording of the Rerun viewer (``rerun walk.rrd``).

    The entity ``points`` has the points of each frame, ``edges`` the lines between them, on a
    timeline ``frame`` and, where `fps` is known, a timeline ``time`` in seconds. Missing points and
    their edges are left out. Of several individuals and clips each has entities of its own, such
    as ``points/mouse1``. The view coordinates are set to x right, y down, z away where `axes` says
    so.

    Parameters
    ----------
    path : path-like
        File to write, by custom ending in ``.rrd``.
    data : Points3D
        Points.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    TypeError
        If `data` is no Points3D.
    ImportError
        If the package rerun-sdk is not installed.
    ValueError
        If the path is a folder or leads through a file.

    See Also
    --------
    write_gltf : For other viewers.

    References
    ----------
    Rerun documentation, "Types: archetypes" (Points3D, LineStrips3D).
    """
    check_points(data, "Rerun")
    rr = _library()
    below = _paths(rr, data)
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder, "part.rrd")
        recording = rr.RecordingStream("nrsfm_learn")
        try:
            recording.save(part)
            if data.axes.startswith("x right, y down"):
                recording.log("/", rr.ViewCoordinates.RDF, static=True)
            for row, X in enumerate(data.X):
                recording.set_time("frame", sequence=int(data.frames[row]))
                if data.fps is not None:
                    recording.set_time("time", duration=float(data.frames[row] / data.fps))
                _log(rr, recording, data, X, below[row])
        finally:
            recording.disconnect()
        content = part.read_bytes()
    return write_whole(path, content)


def check_rerun(data):
    """Check what is known before there are coordinates: the package is there.

    Parameters
    ----------
    data : Keypoints or Points3D
        What is to be written, or the keypoints of which it will be made.

    Raises
    ------
    ImportError
        If the package rerun-sdk is not installed.
    """
    _library()


def _library():
    try:
        import rerun
    except ImportError as error:
        raise ImportError(
            "Writing rrd needs the package rerun-sdk: pip install 'nrsfm-learn[rerun]'."
        ) from error
    return rerun


def _log(rr, recording, data, X, below):
    known = ~np.isnan(X).any(1)
    radius = 0.01 * max(np.ptp(X[known], axis=0)) if known.any() else None
    names = [name for name, there in zip(data.names, known, strict=True) if there]
    lines = [X[[i, j]] for i, j in data.edges if known[i] and known[j]]
    recording.log(
        f"points{below}", rr.Points3D(X[known], labels=names, radii=radius, show_labels=False)
    )
    recording.log(f"edges{below}", rr.LineStrips3D(np.reshape(lines, (-1, 2, 3))))


def _paths(rr, data):
    """Return ends of the entities' paths that tell individuals and clips apart, one a row."""
    several, clips = len(data.individuals) > 1, len(np.unique(data.clips)) > 1
    names = [f"/{rr.escape_entity_path_part(name)}" if several else "" for name in data.individuals]
    return [
        names[who] + (f"/clip_{clip}" if clips else "")
        for who, clip in zip(data.individual, data.clips, strict=True)
    ]
