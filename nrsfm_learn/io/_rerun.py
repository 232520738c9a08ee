"""Rerun recordings, for the viewer of that name."""

import tempfile
from pathlib import Path

import numpy as np

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
    ImportError
        If the package rerun-sdk is not installed.
    ValueError
        If there are no frames, or the path is a folder or leads through a file.

    See Also
    --------
    write_gltf : For other viewers.

    References
    ----------
    Rerun documentation, "Types: archetypes" (Points3D, LineStrips3D).
    """
    try:
        import rerun as rr
    except ImportError as error:
        raise ImportError(
            "Writing rrd needs the package rerun-sdk: pip install 'nrsfm-learn[rerun]'."
        ) from error
    if not len(data):
        raise ValueError("data has no frames to write.")
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder, "part.rrd")
        recording = rr.RecordingStream("nrsfm_learn")
        recording.save(part)
        if data.axes.startswith("x right, y down"):
            recording.log("/", rr.ViewCoordinates.RDF, static=True)
        for row, X in enumerate(data.X):
            recording.set_time("frame", sequence=int(data.frames[row]))
            if data.fps is not None:
                recording.set_time("time", duration=float(data.frames[row] / data.fps))
            _log(rr, recording, data, row, X)
        recording.disconnect()
        content = part.read_bytes()
    return write_whole(path, content)


def _log(rr, recording, data, row, X):
    known = ~np.isnan(X).any(1)
    radius = 0.01 * max(np.ptp(X[known], axis=0)) if known.any() else None
    names = [name for name, there in zip(data.names, known, strict=True) if there]
    lines = [X[[i, j]] for i, j in data.edges if known[i] and known[j]]
    below = _below(data, row)
    recording.log(
        f"points{below}", rr.Points3D(X[known], labels=names, radii=radius, show_labels=False)
    )
    recording.log(f"edges{below}", rr.LineStrips3D(np.reshape(lines, (-1, 2, 3))))


def _below(data, row):
    """Tell this individual and clip from others, by the end of an entity's path."""
    who = str(data.individuals[data.individual[row]]).replace("/", "_")
    several = len(data.individuals) > 1
    clips = len(np.unique(data.clips)) > 1
    return (f"/{who}" if several else "") + (f"/clip_{data.clips[row]}" if clips else "")
