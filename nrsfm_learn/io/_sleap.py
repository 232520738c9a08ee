"""SLEAP's analysis files."""

import json

import numpy as np

from ._assemble import assemble
from ._errors import FileFormatError
from ._hdf5 import dataset, is_hdf5, kind_of, numbers, open_hdf5, strings, text_of
from ._isolated import run_isolated

_WAY_OUT = "Export it again: sleap-convert --format analysis, or sleap_io.save_analysis_h5."
# The axes that SLEAP itself writes: MATLAB reads them in reverse order.
_SLEAP_AXES = ("track", "xy", "node", "frame")


def looks_like_sleap(probe):
    """Tell whether a file is HDF5 and has SLEAP's data sets.

    Parameters
    ----------
    probe : Probe
        The file.

    Returns
    -------
    bool
        True if so.
    """
    return is_hdf5(probe) and kind_of(probe.path) == "sleap"


def read_sleap(path, *, min_confidence=None, individual=None):
    """Read an analysis file of SLEAP (``sleap-convert --format analysis``).

    The data set ``tracks`` has shape (n_tracks, 2, n_nodes, n_frames), ``point_scores`` (n_tracks,
    n_nodes, n_frames), ``track_occupancy`` (n_frames, n_tracks) [1]_. Files of ``sleap_io`` may
    have the axes in another order, which they name in the attribute ``dims`` [2]_. ``node_names``,
    ``edge_inds`` and ``track_names`` describe them; the latter is empty where nothing was tracked.

    Parameters
    ----------
    path : path-like
        The file.
    min_confidence : float, default=None
        Keypoints with a lower score are hidden; by default none that SLEAP wrote, for it has left
        out those below its own threshold. Keypoints that a human set have no score and stay.
    individual : str or int, default=None
        Track to keep, by name or index from 0; by default all are stacked.

    Returns
    -------
    Keypoints
        Pixels; frames are counted from the first one of the file.

    Raises
    ------
    FileFormatError
        If the file is damaged or not laid out like this.
    ValueError
        If there is no such track, or no scores for `min_confidence`.
    ImportError
        If h5py is not installed.

    References
    ----------
    .. [1] T. D. Pereira et al., "SLEAP: A deep learning system for multi-animal pose tracking",
       Nature Methods 19, 2022; layout in the documentation of ``sleap-convert``.
    .. [2] ``sleap_io.save_analysis_h5`` in the documentation of sleap-io.
    """
    loaded = run_isolated(__name__, "load_sleap", path)
    tracks, names = loaded["tracks"], loaded["names"]
    individuals, notes = _individuals(loaded["individuals"], len(tracks))
    return assemble(
        "sleap",
        path,
        tracks,
        loaded.get("scores"),
        min_confidence=min_confidence,
        individuals=individuals,
        individual=individual,
        names=names,
        edges=loaded["edges"],
        notes=notes,
    )


def load_sleap(path):
    """Read the data sets of a file; in the child process.

    Parameters
    ----------
    path : str
        The file.

    Returns
    -------
    dict
        ``tracks`` (n_tracks, n_frames, n_nodes, 2), ``scores`` (n_tracks, n_frames, n_nodes) if
        there are any, ``names`` of nodes, ``individuals``: names of tracks, ``edges``.
    """
    with open_hdf5(path) as file:
        for name in ("tracks", "node_names"):
            if name not in file:
                raise FileFormatError(path, f"it has no data set {name!r}", way_out=_WAY_OUT)
        tracks = numbers(file, "tracks", path, 4)
        names = strings(file, "node_names", path)
        individuals = strings(file, "track_names", path) if "track_names" in file else []
        axes = _axes(file, path)
        order = [axes.index(axis) for axis in ("track", "frame", "node", "xy")]
        shape = tuple(tracks.shape[k] for k in order)
        _check_shape(path, shape, names, individuals)
        if len(set(names)) != len(names):
            raise FileFormatError(path, "a name is there twice", where="data set 'node_names'")
        loaded = {
            "tracks": tracks.transpose(order).astype(np.float64),
            "names": names,
            "individuals": individuals,
            "edges": _edges(file, path, names),
        }
        if "track_occupancy" in file and axes == _SLEAP_AXES:
            found = dataset(file, "track_occupancy", path).shape
            if found != (shape[1], shape[0]):
                raise FileFormatError(
                    path,
                    f"it has shape {found}, expected (n_frames, n_tracks) = {(shape[1], shape[0])}",
                    where="data set 'track_occupancy'",
                    way_out=_WAY_OUT,
                )
        if "point_scores" in file:
            scores = numbers(file, "point_scores", path, 3)
            left = [axis for axis in axes if axis != "xy"]
            order = [left.index(axis) for axis in ("track", "frame", "node")]
            scores = scores.transpose(order).astype(np.float64)
            if scores.shape != shape[:3] or np.isinf(scores).any():
                raise FileFormatError(
                    path,
                    f"it is not finite, or its shape {scores.shape} is not {shape[:3]} (tracks, "
                    f"frames, nodes)",
                    where="data set 'point_scores'",
                    way_out=_WAY_OUT,
                )
            if not np.isnan(scores).all():
                loaded["scores"] = scores
    return loaded


def _axes(file, path):
    """Names of the axes of the data set ``tracks``."""
    where = "attribute 'dims' of data set 'tracks'"
    stored = file["tracks"].attrs.get("dims")
    if stored is None:
        # sleap_io wrote this flag before it named the axes.
        turned = bool(file.attrs.get("transpose", True))
        return _SLEAP_AXES if turned else ("frame", "node", "xy", "track")
    try:
        if isinstance(stored, (bytes, str)):
            stored = json.loads(text_of(stored))
        axes = tuple(text_of(axis) for axis in stored)
    except (ValueError, TypeError, RecursionError) as error:
        raise FileFormatError(
            path, f"it is no list of names ({error})", where=where, way_out=_WAY_OUT
        ) from error
    if sorted(axes) != sorted(_SLEAP_AXES):
        raise FileFormatError(
            path,
            f"it names {', '.join(axes)}, expected frame, track, node and xy in any order",
            where=where,
            way_out=_WAY_OUT,
        )
    return axes


def _check_shape(path, shape, names, individuals):
    n_tracks, n_frames, n_nodes, n_coordinates = shape
    if n_coordinates == 2 and n_nodes == len(names) and len(individuals) in (0, n_tracks):
        return
    raise FileFormatError(
        path,
        f"read as {n_tracks} tracks, {n_frames} frames, {n_nodes} nodes and {n_coordinates} "
        f"coordinates, it does not fit {len(individuals)} track names, {len(names)} node names and "
        f"2 coordinates",
        where="data set 'tracks'",
        way_out=f"The order of its axes cannot be told. {_WAY_OUT}",
    )


def _edges(file, path, names):
    if "edge_inds" not in file or dataset(file, "edge_inds", path).size == 0:
        return []
    edges = numbers(file, "edge_inds", path, 2)
    if (
        edges.dtype.kind == "f"
        or edges.shape[1] != 2
        or not 0 <= edges.min() <= edges.max() < len(names)
    ):
        raise FileFormatError(
            path,
            f"it has no pairs of indices of the {len(names)} nodes",
            where="data set 'edge_inds'",
            way_out=_WAY_OUT,
        )
    return edges.tolist()


def _individuals(names, n_tracks):
    """Name of each individual, and what to say of them."""
    if n_tracks == 1 and names in ([], [""]):
        return ("individual",), []
    if len(set(names)) == n_tracks and "" not in names:
        return tuple(names), []
    notes = ["tracks without a name of their own were numbered"] if names else []
    return tuple(f"track_{k}" for k in range(n_tracks)), notes
