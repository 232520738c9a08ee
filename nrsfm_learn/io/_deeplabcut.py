"""DeepLabCut's csv files, and what its two formats share."""

import re
from typing import NamedTuple

import numpy as np

from ._assemble import assemble
from ._delimited import check_increasing, read_rows, split_line
from ._errors import FileFormatError
from ._record_checks import index_of
from ._source import read_text

# The pcutoff of DeepLabCut's own plots and videos.
_PCUTOFF = 0.6
_HEADER = ("scorer", "individuals", "bodyparts", "coords")
_FRAME = re.compile(r"\d{1,15}(\.0*)?", re.ASCII)
_IMAGE_NUMBER = re.compile(r"(\d{1,15})(\.\w+)?$", re.ASCII)


class Column(NamedTuple):
    """What the header says of one column.

    Attributes
    ----------
    scorer, individual, bodypart, coord : str
        The four levels; `individual` is "individual" in files of one animal.
    """

    scorer: str
    individual: str
    bodypart: str
    coord: str


def looks_like_dlc_csv(probe):
    """Tell whether a file starts with DeepLabCut's header.

    Parameters
    ----------
    probe : Probe
        The file.

    Returns
    -------
    bool
        True if so.
    """
    first = [line.split(",", 1)[0].strip().strip('"') for line in probe.lines[:2]]
    return first in (["scorer", "bodyparts"], ["scorer", "individuals"])


def read_dlc_csv(path, *, min_confidence=None, individual=None):
    """Read a csv file of DeepLabCut: predictions, or labelled frames.

    The header has the rows ``scorer``, ``individuals`` (multi-animal projects), ``bodyparts`` and
    ``coords`` (x, y and, in predictions, likelihood) [1]_ [2]_. Rows of predictions start with the
    frame number; those of labelled frames (``CollectedData_*.csv``) with the path of the image, in
    one or three columns, whose folder becomes the clip and whose number the frame.

    Body parts that belong to no animal (individual ``"single"``) are left out, with a note, where
    there are animals; ``individual="single"`` reads them alone.

    Parameters
    ----------
    path : path-like
        The file.
    min_confidence : float, default=None
        Keypoints with a lower likelihood are hidden; by default 0.6, DeepLabCut's ``pcutoff``.
        Labelled frames have no likelihood.
    individual : str or int, default=None
        Animal to keep, by name or index from 0; by default all are stacked.

    Returns
    -------
    Keypoints
        Pixels, body parts in the order of the file.

    Raises
    ------
    FileFormatError
        If the file is not laid out like this; the message has the line.
    ValueError
        If there is no such individual, or no likelihood for `min_confidence`.

    See Also
    --------
    read_dlc_h5 : The same data in HDF5.

    References
    ----------
    .. [1] A. Mathis et al., "DeepLabCut: markerless pose estimation of user-defined body parts
       with deep learning", Nature Neuroscience 21, 2018.
    .. [2] J. Lauer et al., "Multi-animal pose estimation, identification and tracking with
       DeepLabCut", Nature Methods 19, 2022.
    """
    lines = read_text(path).rstrip("\n").split("\n")
    columns, n_header, n_labels = _read_header(path, lines)
    values, labels = read_rows(
        path,
        lines[n_header:],
        n_labels + len(columns),
        first=n_header + 1,
        n_labels=n_labels,
    )
    return keypoints_of(
        "dlc_csv",
        path,
        columns,
        values,
        _rows(path, labels, n_header + 1),
        where=lambda row: f"line {n_header + 1 + row}",
        min_confidence=min_confidence,
        individual=individual,
    )


def _read_header(path, lines):
    """Columns, number of header lines, number of label columns."""
    way_out = (
        "DeepLabCut's files start with the lines scorer, (individuals,) bodyparts and coords; for "
        'other csv files give format="csv".'
    )
    levels = {}
    for name in _HEADER:
        line = len(levels) + 1
        fields = split_line(path, lines[line - 1], line) if line <= len(lines) else []
        if not fields or fields[0] != name:
            if name == "individuals":
                continue
            found = repr(fields[0][:40]) if fields else "nothing"
            raise FileFormatError(
                path,
                f"the header line {name!r} is expected here, found {found}",
                where=f"line {line}",
                way_out=way_out,
            )
        levels[name] = fields
        if len(fields) != len(levels["scorer"]):
            raise FileFormatError(
                path,
                f"{len(fields)} fields, but line 1 has {len(levels['scorer'])}",
                where=f"line {line}",
                way_out=way_out,
            )
    coords = levels["coords"]
    n_labels = next((k for k, coord in enumerate(coords) if k and coord), len(coords))
    if n_labels not in (1, 3) or n_labels == len(coords):
        raise FileFormatError(
            path,
            f"the first coordinate is in column {n_labels + 1}, expected 2, or 4 for labelled "
            f"frames",
            where=f"line {len(levels)}",
            way_out=way_out,
        )
    animal = levels.get("individuals", ["individual"] * len(coords))
    columns = list(zip(levels["scorer"], animal, levels["bodyparts"], coords, strict=True))
    return [Column(*column) for column in columns[n_labels:]], len(levels), n_labels


def _rows(path, labels, first):
    """Frame numbers, or else paths of images."""
    rows = ["/".join(label).strip() for label in labels]
    frames = [_FRAME.fullmatch(row) is not None for row in rows]
    if all(frames):
        return np.array([int(row.partition(".")[0]) for row in rows], dtype=np.int64)
    some = any(frames)
    bad = next((k for k, row in enumerate(rows) if not row or (some and not frames[k])), None)
    if bad is not None:
        raise FileFormatError(
            path,
            f"the row starts with {rows[bad][:40]!r}, which is no frame number as in other rows",
            where=f"line {first + bad}",
        )
    return rows


def keypoints_of(format, path, columns, values, rows, *, where, min_confidence, individual):
    """Sort DeepLabCut's columns into tracks.

    Parameters
    ----------
    format : str
        Name of the format.
    path : path-like
        The file.
    columns : list of Column
        The header.
    values : ndarray of float64 of shape (n_frames, n_columns)
        The numbers, NaN where there are none.
    rows : ndarray of int, or list of str, of shape (n_frames,)
        Frame numbers, or paths of images.
    where : callable
        From a row to the place in the file.
    min_confidence, individual
        As of :func:`read_dlc_csv`.

    Returns
    -------
    Keypoints
        The record.

    Raises
    ------
    FileFormatError, ValueError
        As :func:`read_dlc_csv`.
    """
    animals, notes = _sort_columns(path, columns)
    kept, chosen = _choose(path, animals, individual, notes)
    names = list(next(iter(kept.values())))
    places = [[parts[name] for name in names] for parts in kept.values()]
    tracks = values[:, [[(p["x"], p["y"]) for p in parts] for parts in places]]
    confidence = None
    if "likelihood" in places[0][0]:
        confidence = values[:, [[p["likelihood"] for p in parts] for parts in places]]
        confidence = confidence.swapaxes(0, 1)
    if isinstance(rows, list):
        frames, clips = _images(path, rows, where)
    else:
        check_increasing(path, rows, where)
        frames, clips = rows, np.zeros(len(rows), dtype=np.int64)
    record = assemble(
        format,
        path,
        tracks.swapaxes(0, 1),
        confidence,
        min_confidence=min_confidence,
        custom=_PCUTOFF,
        individuals=tuple(kept),
        individual=chosen,
        names=names,
        notes=notes,
    )
    return record.replace(frames=frames[record.frames], clips=clips[record.frames])


def _choose(path, animals, individual, notes):
    """Keep individuals with the same body parts; tell the name of the one that is wanted."""
    if individual is not None:
        chosen = list(animals)[index_of(individual, list(animals))]
        wanted = set(animals[chosen])
        return {name: parts for name, parts in animals.items() if set(parts) == wanted}, chosen
    kept = {name: parts for name, parts in animals.items() if name != "single"} or animals
    first = next(iter(kept))
    if "single" in animals and set(animals["single"]) == set(kept[first]):
        kept = animals
    elif "single" in animals:
        notes.append(
            f"body parts that belong to no animal were left out: {', '.join(animals['single'])}; "
            f'individual="single" reads them'
        )
    for name, parts in kept.items():
        if set(parts) != set(kept[first]):
            raise FileFormatError(
                path,
                f"{name!r} has other body parts than {first!r}",
                way_out=f"Choose one with individual=, of {', '.join(map(repr, kept))}.",
            )
    return kept, None


def _sort_columns(path, columns):
    """Column of each coordinate of each body part of each individual; what was left out."""
    scorers = list(dict.fromkeys(column.scorer for column in columns))
    if len(scorers) > 1:
        raise FileFormatError(
            path,
            f"{len(scorers)} scorers ({scorers[0]!r}, {scorers[1]!r}...)",
            way_out="Export one file for each.",
        )
    animals = {}
    for k, (_, animal, part, coord) in enumerate(columns):
        place = animals.setdefault(animal, {}).setdefault(part, {})
        if coord in place or not coord or not part:
            raise FileFormatError(
                path,
                f"{coord!r} of body part {part!r} of {animal!r} is "
                f"{'there twice' if coord in place else 'no name'}",
                where=f"data column {k + 1}",
            )
        place[coord] = k
    known = {"x", "y", "likelihood"}
    coords = {column.coord for column in columns}
    if "z" in coords:
        raise FileFormatError(
            path,
            "it has 3-D points, which DeepLabCut triangulated",
            way_out="Give the file of one camera.",
        )
    for animal, parts in animals.items():
        for part, place in parts.items():
            needed = coords & known | {"x", "y"}
            if missing := sorted(needed - set(place)):
                raise FileFormatError(
                    path,
                    f"it has no {missing[0]!r} (only {', '.join(place)})",
                    where=f"body part {part!r} of {animal!r}",
                    way_out="Every body part needs x and y, and likelihood if one has it.",
                )
    other = sorted(coords - known)
    return animals, [f"columns of other kinds were left out: {', '.join(other)}"] if other else []


def _images(path, rows, where):
    """Frame and clip of each image; frames are counted where the images have no numbers."""
    seen = {}
    for row, image in enumerate(rows):
        if seen.setdefault(image, row) != row:
            raise FileFormatError(
                path,
                f"{image!r} is there twice",
                where=where(row),
                way_out="Every image must be there once.",
            )
    parts = [image.replace("\\", "/").rpartition("/") for image in rows]
    clip_of = {clip: k for k, clip in enumerate(dict.fromkeys(clip for clip, _, _ in parts))}
    clips = np.array([clip_of[clip] for clip, _, _ in parts], dtype=np.int64)
    found = [_IMAGE_NUMBER.search(image) for _, _, image in parts]
    if all(found):
        frames = np.array([int(match[1]) for match in found], dtype=np.int64)
        if len(set(zip(clips.tolist(), frames.tolist(), strict=True))) == len(rows):
            return frames, clips
    return np.arange(len(rows)), clips
