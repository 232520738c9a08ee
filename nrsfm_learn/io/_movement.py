"""Data sets of the package ``movement``, by duck-typing: it is never imported."""

import numpy as np

from ._assemble import assemble, assemble_rows
from ._errors import FileFormatError

# Older releases of movement name these axes in the plural, newer ones in the singular.
_KEYPOINTS = ("keypoints", "keypoint")
_INDIVIDUALS = ("individuals", "individual")
_HINT = "Load poses with movement.io.load_poses."


def is_movement(source):
    """Tell whether an object is a data set of ``movement``, of poses or of anything else.

    Parameters
    ----------
    source : object
        Anything.

    Returns
    -------
    bool
        True if it has a variable ``position`` with axes ``time`` and ``space``.
    """
    variables = getattr(source, "data_vars", None)
    try:
        dims = variables["position"].dims
    except (TypeError, KeyError, AttributeError):
        return False
    return {"time", "space"} <= set(dims)


def from_movement(dataset, *, min_confidence=None, individual=None):
    """Take keypoints or 3-D points from a poses data set of the package ``movement``.

    The variables are ``position`` (time, space, keypoints, individuals) and ``confidence`` (time,
    keypoints, individuals) [1]_; the order of their axes does not matter, for they have names. The
    axis of individuals may be missing, as after ``dataset.sel(individuals="mouse")``.

    Parameters
    ----------
    dataset : xarray.Dataset
        Poses, 2-D or 3-D.
    min_confidence : float, default=None
        Keypoints with a lower confidence are hidden; by default those with a negative one.
    individual : str or int, default=None
        Individual to keep, by name or index from 0; by default all are stacked.

    Returns
    -------
    Keypoints or Points3D
        Keypoints if ``space`` is x and y, Points3D if it is x, y and z; frames counted by ``time``
        where it is in frames or ``fps`` is known.

    Raises
    ------
    TypeError
        If `dataset` is no such data set.
    FileFormatError
        If it holds bounding boxes, or is not laid out like this.
    ValueError
        If there is no such individual, or no confidence for `min_confidence`.

    References
    ----------
    .. [1] N. Sirmpilatze et al., "movement: a Python toolbox for analysing animal body movements
       across space and time", https://movement.neuroinformatics.dev, page "Movement datasets".
    """
    if not is_movement(dataset):
        raise TypeError(
            f"dataset must be a data set of the package movement, with a variable position over "
            f"time and space; got {type(dataset).__name__}. {_HINT}"
        )
    attributes = dict(getattr(dataset, "attrs", {}))
    path = str(attributes.get("source_file") or "movement data set")
    position = dataset.data_vars["position"]
    axes = _axes(position.dims, path, str(attributes.get("ds_type", "")))
    tracks = _ordered(position, axes, path)
    tracks = tracks[..., _space(dataset, tracks.shape[-1], path)]
    names = _names(dataset, axes[2], tracks.shape[2], path, "keypoint")
    individuals = _names(dataset, axes[0], tracks.shape[0], path, "individual")
    confidence = None
    if "confidence" in dataset.data_vars:
        confidence = _ordered(dataset.data_vars["confidence"], axes[:3], path)
        if confidence.shape != tracks.shape[:3] or np.isinf(confidence).any():
            raise FileFormatError(
                path,
                f"confidence is infinite, or has shape {confidence.shape} in place of "
                f"{tracks.shape[:3]} (individuals, time, keypoints)",
            )
        # movement fills confidences that a tracker does not give with NaN.
        if np.isnan(confidence).all():
            confidence = None
    fps = _fps(attributes.get("fps"), path)
    software = attributes.get("source_software")
    notes = [f"tracked by {software}"] if software else []
    common = {
        "names": names,
        "fps": fps,
        "frames": _frames(dataset, tracks.shape[1], str(attributes.get("time_unit", "")), fps),
    }
    if tracks.shape[-1] == 2:
        return assemble(
            "movement",
            path,
            tracks,
            confidence,
            min_confidence=min_confidence,
            individuals=individuals,
            individual=individual,
            notes=notes,
            **common,
        )
    known = ~np.isnan(tracks).any(-1)
    keep = known.any(-1) if len(individuals) > 1 else np.ones(known.shape[:2], dtype=bool)
    if not known.any():
        raise FileFormatError(path, "no point is known")
    who, when = np.nonzero(keep)
    if len(individuals) > 1 and individual is None:
        notes.append(
            f"{len(individuals)} individuals are stacked one after the other; each row's is in "
            f"`individual`"
        )
    common["frames"] = common["frames"][when]
    return assemble_rows(
        "movement",
        path,
        np.where(known[..., None], tracks, np.nan)[keep],
        None if confidence is None else confidence[keep],
        who=who,
        individuals=individuals,
        individual=individual,
        min_confidence=min_confidence,
        axes="x, y, z as in the data set",
        notes=notes,
        **common,
    )


def _axes(dims, path, kind):
    """Names of the axes of position in the order individuals, time, keypoints, space."""
    keypoints = next((name for name in _KEYPOINTS if name in dims), None)
    individuals = next((name for name in _INDIVIDUALS if name in dims), None)
    extra = set(dims) - {"time", "space", keypoints, individuals}
    if keypoints is None:
        boxes = f"; it holds {kind}" if kind else ""
        raise FileFormatError(
            path,
            f"position has no axis keypoints, only {', '.join(map(str, dims))}{boxes}",
            way_out=f"Bounding boxes have no points to reconstruct. {_HINT}",
        )
    if extra:
        name = sorted(map(str, extra))[0]
        raise FileFormatError(
            path,
            f"position has an axis {name!r} too many",
            way_out=f"Choose one: dataset.isel({name}=0).",
        )
    return individuals, "time", keypoints, "space"


def _ordered(variable, axes, path):
    """Values with the axes in this order; the axis of individuals is added if there is none."""
    wanted = [axis for axis in axes if axis is not None]
    dims = list(variable.dims)
    if sorted(map(str, dims)) != sorted(wanted):
        raise FileFormatError(
            path, f"a variable has axes {', '.join(map(str, dims))}, expected {', '.join(wanted)}"
        )
    values = np.asarray(variable.values)
    if values.dtype.kind not in "fiu" or values.ndim != len(dims):
        raise FileFormatError(
            path, f"a variable has type {values.dtype} and {values.ndim} axes, expected numbers"
        )
    values = values.astype(np.float64).transpose([dims.index(axis) for axis in wanted])
    return values if axes[0] is not None else values[None]


def _coordinate(dataset, name):
    """Values along an axis, or of a scalar coordinate; None if there are none."""
    coordinates = getattr(dataset, "coords", {})
    if name is None or name not in coordinates:
        return None
    return np.atleast_1d(np.asarray(coordinates[name].values))


def _space(dataset, n_axes, path):
    """Where x, y (and z) are along the axis ``space``."""
    found = _coordinate(dataset, "space")
    names = list("xyz"[:n_axes]) if found is None else [str(name) for name in found]
    if n_axes not in (2, 3) or sorted(names) != list("xyz"[:n_axes]):
        raise FileFormatError(
            path,
            f"space is {', '.join(names)} over {n_axes} values, expected x, y or x, y, z",
            way_out="Choose Cartesian coordinates: dataset.sel(space=['x', 'y']).",
        )
    return [names.index(axis) for axis in "xyz"[:n_axes]]


def _names(dataset, axis, n, path, stem):
    if axis is None:
        found = next(
            (f for name in _INDIVIDUALS if (f := _coordinate(dataset, name)) is not None), None
        )
    else:
        found = _coordinate(dataset, axis)
    if found is None:
        return tuple(f"{stem}_{k}" for k in range(n)) if n > 1 else (stem,)
    names = tuple(str(name) for name in found)
    if len(names) != n or len(set(names)) != n:
        raise FileFormatError(
            path, f"{stem} names are {', '.join(names[:10])}; {n} different ones are expected"
        )
    return names


def _fps(fps, path):
    if fps is None:
        return None
    try:
        value = float(fps)
    except (TypeError, ValueError):
        value = np.nan
    if isinstance(fps, bool) or not 0 < value < np.inf:
        raise FileFormatError(
            path, f"it is {fps!r}, not a positive number", where="attribute 'fps'"
        )
    return value


def _frames(dataset, n_frames, unit, fps):
    """Frame numbers from the coordinate ``time``, or counted from 0."""
    time = _coordinate(dataset, "time")
    if time is None or time.shape != (n_frames,) or time.dtype.kind not in "fiu":
        return np.arange(n_frames)
    if unit == "seconds" and fps is None:
        return np.arange(n_frames)
    frames = time * (fps if unit == "seconds" else 1.0)
    if not (np.isfinite(frames).all() and (np.abs(frames) < 2**53).all()):
        return np.arange(n_frames)
    frames = np.rint(frames).astype(np.int64)
    return frames if (np.diff(frames) > 0).all() else np.arange(n_frames)
