"""The last step of the readers: hide, stack, note."""

from numbers import Real

import numpy as np

from ._errors import FileFormatError
from ._record_checks import index_of
from ._records import Keypoints, Points3D, Source


def check_min_confidence(min_confidence):
    """Check a threshold that a user gave.

    Parameters
    ----------
    min_confidence : float or None
        Threshold; None for the custom of the format.

    Returns
    -------
    float or None
        The threshold.

    Raises
    ------
    ValueError
        If it is no finite number.
    """
    if min_confidence is None:
        return None
    number = isinstance(min_confidence, Real) and not isinstance(min_confidence, bool)
    if not number or not np.isfinite(min_confidence):
        raise ValueError(f"min_confidence must be a finite number, got {min_confidence!r}.")
    return float(min_confidence)


def assemble(
    format,
    path,
    tracks,
    confidence=None,
    *,
    min_confidence=None,
    custom=0.0,
    individuals=("individual",),
    individual=None,
    frames=None,
    notes=(),
    **others,
):
    """Make the record from the tracks of all individuals.

    Parameters
    ----------
    format : str
        Name of the format.
    path : path-like
        File or folder.
    tracks : ndarray of shape (n_individuals, n_frames, n_points, 2)
        Keypoints, NaN where there are none.
    confidence : ndarray of shape (n_individuals, n_frames, n_points), default=None
        Confidences, NaN where there are none.
    min_confidence : float, default=None
        What the user asked for; None for the custom of the format.
    custom : float, default=0.0
        Keypoints below this confidence are hidden unless the user says otherwise.
    individuals : sequence of str
        Name of each individual.
    individual : str or int, default=None
        The one to keep; by default all are stacked.
    frames : ndarray of int of shape (n_frames,), default=None
        Number of each frame; counted from 0 by default.
    notes : sequence of str
        What the reader did.
    **others
        ``names``, ``edges``, ``fps`` of :class:`Keypoints`.

    Returns
    -------
    Keypoints
        The record. Frames without any keypoint of an individual are left out where there are
        several individuals or only one of several is kept, and stay where the file has just one.

    Raises
    ------
    ValueError
        If there is no such individual.
    FileFormatError
        If there are no frames or no points, or nothing is left.
    """
    tracks = np.array(tracks, dtype=np.float64)
    n_individuals, n_frames, n_points = tracks.shape[:3]
    if 0 in tracks.shape:
        raise FileFormatError(
            path, f"holds {n_individuals} individuals, {n_frames} frames and {n_points} keypoints"
        )
    if len(individuals) != n_individuals:
        raise FileFormatError(
            path, f"names {len(individuals)} individuals and has tracks of {n_individuals}"
        )
    if np.isinf(tracks).any():
        _, f, p, _ = np.argwhere(np.isinf(tracks))[0]
        raise FileFormatError(path, "a coordinate is infinite", where=f"frame {f}, keypoint {p}")
    notes, hiding = list(notes), ""
    visible = ~np.isnan(tracks).any(-1)
    if confidence is not None:
        confidence = np.array(confidence, dtype=np.float64)
        threshold = check_min_confidence(min_confidence)
        low = confidence < (custom if threshold is None else threshold)
        hidden = np.count_nonzero(visible & low)
        if hidden:
            hiding = (
                f"{hidden:,} keypoints ({hidden / visible.sum():.1%}) with a confidence below "
                f"{custom if threshold is None else threshold:g} were hidden"
            )
            notes.append(hiding)
        visible &= ~low
    elif check_min_confidence(min_confidence) is not None:
        raise ValueError(
            f"min_confidence={min_confidence} needs confidences, and {path} has none: leave it out."
        )
    frames = np.arange(n_frames) if frames is None else np.asarray(frames)
    keep = np.ones((n_individuals, n_frames), dtype=bool)
    if n_individuals > 1:
        keep = visible.any(-1)
        if individual is None:
            notes.append(
                f"{n_individuals} individuals are stacked one after the other; each row's is in "
                f"`individual`"
            )
    if individual is not None:
        keep &= (np.arange(n_individuals) == index_of(individual, individuals))[:, None]
    who, when = np.nonzero(keep)
    if not visible[keep].any():
        raise FileFormatError(
            path,
            "no keypoint is visible" + (f" ({hiding})" if hiding else ""),
            way_out=f"{_lower(confidence)}, or choose another individual.",
        )
    left, who = np.unique(who, return_inverse=True)
    W = np.where(visible[..., None], tracks, np.nan)[keep]
    return _record(
        Keypoints,
        path,
        W,
        confidence=None if confidence is None else confidence[keep],
        individuals=_told_apart([str(individuals[k]) for k in left], notes),
        individual=who.reshape(-1),
        frames=frames[when],
        source=Source(format, str(path), tuple(notes)),
        **others,
    )


def assemble_rows(
    format,
    path,
    positions,
    confidence=None,
    *,
    min_confidence=None,
    individual=None,
    who=None,
    visible=None,
    notes=(),
    kind=None,
    **others,
):
    """Make the record of rows, 2-D or 3-D, that the file has stacked already.

    Parameters
    ----------
    format : str
        Name of the format.
    path : path-like
        File.
    positions : ndarray of shape (n_frames, n_points, 2) or (n_frames, n_points, 3)
        Points, NaN where there are none.
    confidence : ndarray of shape (n_frames, n_points), default=None
        Confidences, NaN where there are none.
    min_confidence : float, default=None
        Points below this confidence are hidden; none by default.
    individual : str or int, default=None
        The one to keep.
    who : ndarray of int of shape (n_frames,), default=None
        Index of the individual of each row.
    visible : ndarray of bool of shape (n_frames, n_points), default=None
        False where a keypoint is missing for another reason than its NaN.
    notes : sequence of str
        What the reader did.
    kind : {Keypoints, Points3D}, default=None
        What to make; by the last axis of `positions` if None.
    **others
        Of :class:`Keypoints` or :class:`Points3D`.

    Returns
    -------
    Keypoints or Points3D
        The record; all rows of the file are in it, also those
        without a visible point.

    Raises
    ------
    ValueError
        If there is no such individual.
    FileFormatError
        If the file contradicts itself, or nothing is left.
    """
    if visible is not None:
        if visible.shape != positions.shape[:2]:
            shapes = f"the mask has shape {visible.shape} and W {positions.shape}"
            raise FileFormatError(path, shapes)
        positions = np.where(visible[..., None], positions, np.nan)
    positions, notes = _hide(path, positions, confidence, min_confidence, notes)
    source = Source(format, str(path), notes)
    record = _record(
        kind or (Points3D if positions.shape[-1] == 3 else Keypoints),
        path,
        positions,
        confidence=confidence,
        individual=who,
        source=source,
        **others,
    )
    if individual is None:
        return record
    kept = record.select(individual)
    if not len(kept):
        raise FileFormatError(path, f"has no row of the individual {individual!r}")
    return kept


def _hide(path, positions, confidence, min_confidence, notes):
    """Positions with NaN where the confidence is low, and the notes."""
    if 0 in positions.shape:
        raise FileFormatError(path, f"holds no positions (shape {positions.shape})")
    if confidence is not None and confidence.shape != positions.shape[:2]:
        raise FileFormatError(
            path, f"confidences have shape {confidence.shape}, positions {positions.shape}"
        )
    threshold = check_min_confidence(min_confidence)
    if threshold is None:
        return positions, tuple(notes)
    if confidence is None:
        raise ValueError(
            f"min_confidence={min_confidence} needs confidences, and {path} has none: leave it out."
        )
    visible = ~np.isnan(positions).any(-1)
    low = visible & (confidence < threshold)
    if not low.any():
        return positions, tuple(notes)
    if not (visible & ~low).any():
        raise FileFormatError(
            path,
            f"no keypoint has a confidence of {threshold:g} or more",
            way_out=f"{_lower(confidence)}.",
        )
    note = (
        f"{low.sum():,} keypoints ({low.sum() / visible.sum():.1%}) with a confidence below "
        f"{threshold:g} were hidden"
    )
    return np.where(low[..., None], np.nan, positions), (*notes, note)


def _lower(confidence):
    """Say which thresholds make sense."""
    if confidence is None or np.isnan(confidence).all():
        return "Lower min_confidence"
    low, high = np.nanmin(confidence), np.nanmax(confidence)
    span = "are between 0 and 1" if low >= 0 and high <= 1 else f"are at most {high:g}"
    return f"Lower min_confidence (the confidences of this file {span})"


def _told_apart(names, notes):
    """Names, with numbers behind those that come again."""
    unique, times = {}, {}
    for name in names:
        other = name
        while other in unique:
            times[name] = times.get(name, 1) + 1
            other = f"{name} ({times[name]})"
        unique[other] = None
    if list(unique) != names:
        notes.append("several individuals have one name: numbers were put behind it")
    return tuple(unique)


def _record(kind, path, *args, **kwargs):
    """Make a record; what contradicts itself there is the fault of the file."""
    try:
        return kind(*args, **kwargs)
    except (ValueError, TypeError) as error:
        raise FileFormatError(path, str(error).rstrip(".")) from error
