"""Plain csv: one row a frame, or one row a point."""

import json
import os

import numpy as np

from ._assemble import assemble_rows
from ._csv_layout import VERSION, labels
from ._csv_table import Table
from ._errors import FileFormatError
from ._json_values import check_kind, positive
from ._records import Keypoints
from ._source import check_file, read_text, write_whole

_SPARSE = 20
_SMALL = 5_000_000


def looks_like_csv(probe):
    """Tell whether the header of a file is one of a plain csv.

    Parameters
    ----------
    probe : Probe
        The file.

    Returns
    -------
    bool
        True if so.
    """
    if b"\0" in probe.head:
        return False
    try:
        Table(probe.path)
    except (FileFormatError, UnicodeDecodeError):
        return False
    return True


def read_csv(path, *, min_confidence=None, individual=None):
    r"""Read a plain csv of 2-D keypoints or 3-D points.

    The header tells the layout. *One row a frame* (wide): columns ``<point>_x``, ``<point>_y``,
    for 3-D ``<point>_z``, and if wanted ``<point>_confidence`` (or ``_likelihood``, ``_score``);
    ``nose.x``, ``nose x`` and ``x_nose`` are understood, too, and so is the csv that SLEAP exports
    (``track``, ``frame_idx``, ``instance.score``, ``nose.x``, ...). Columns ``frame``,
    ``individual`` (or ``animal``, ``track``) and ``clip`` may be there. *One row a point* (long):
    columns ``frame``, ``keypoint`` (or ``bodypart``, ``name``, ``point``, ``node``), ``x``, ``y``,
    and if wanted ``z``, ``confidence``, ``individual``, ``clip``, in any order.

    Cells are separated by commas, tabs or semicolons and may be quoted; numbers have a decimal
    point. A point without coordinates (empty cells, ``nan`` or ``NA``) is missing. Lines that start
    with ``#`` before the header are comments; those that :func:`write_csv` leaves are read.

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
        3-D points where the file has columns of z. Wide rows are stacked by individual and clip
        and sorted by frame within each, with a note if they were not in that order (those of
        :func:`write_csv` stay as they are); long ones are sorted by individual, clip and frame.
        Units are those of the file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FileFormatError
        If the file is damaged: the message has the line.
    ValueError
        If there is no such individual, or no confidence to go by.

    See Also
    --------
    write_csv : The way back.

    Examples
    --------
    >>> import pathlib
    >>> from nrsfm_learn import io
    >>> path = pathlib.Path("two.csv")
    >>> _ = path.write_text("frame,nose_x,nose_y,tail_x,tail_y\n0,1,2,3,4\n1,1,2,,\n")
    >>> io.read_csv(path)
    Keypoints(2 frames, 2 points, 25% missing)
    >>> path.unlink()
    """
    path = check_file(path)
    try:
        table = Table(path)
        version = table.comments.get("version", VERSION)
        if version != VERSION:
            raise FileFormatError(
                path,
                f"was written by a later version of nrsfm_learn (layout {version})",
                way_out="Update the package.",
            )
        read = _long if table.columns.is_long else _wide
        notes = []
        rows, names, individuals, positions, confidence = read(table, notes)
        _check_whole(table, len(positions))
    except UnicodeDecodeError as error:
        read_text(path)  # Its message says where.
        raise FileFormatError(path, "changed while it was read") from error
    others = {"names": names, **_said(table, names)}
    ignored = table.columns.ignored
    if ignored:
        more = f" and {len(ignored) - 5} more" if len(ignored) > 5 else ""
        listed = ", ".join(repr(label[:40]) for label in ignored[:5])
        notes.append(f"columns that hold no coordinates were left out: {listed}{more}")
    others |= {"min_confidence": min_confidence, "individual": individual, "notes": notes}
    who, frames, clips = (rows[key] for key in ("individual", "frame", "clip"))
    if positions.shape[2] == 3:
        others |= {"unit": _text(table, "unit"), "axes": _text(table, "axes")}
    return assemble_rows(
        "csv",
        path,
        positions,
        confidence,
        who=who,
        individuals=individuals,
        frames=frames,
        clips=clips,
        **others,
    )


def _wide(table, notes):
    """Rows, names, positions and confidences of one row a frame."""
    columns = table.columns
    numbers, whole, texts = table.read()
    positions = np.stack([[numbers[k] for k in point] for point in columns.axes]).transpose(2, 0, 1)
    n_rows, n_points = positions.shape[:2]
    confidence = None
    if any(k is not None for k in columns.confidence):
        none = np.full(n_rows, np.nan)
        confidence = np.stack([none if k is None else numbers[k] for k in columns.confidence], 1)
    known = check_kind(table.path, table.comments.get("names", {}), dict, "names")
    names = [str(known.get(label, label)) for label in columns.names]
    rows, individuals = _row_keys(table, n_rows, whole, texts)
    keys = [rows["individual"], rows["clip"], rows["frame"]]
    if columns.frame is None:
        order, new = _runs(keys[:2])
        starts = np.flatnonzero(new)
        rows["frame"][order] = np.arange(n_rows) - np.repeat(starts, np.diff([*starts, n_rows]))
    elif "kind" not in table.comments:
        # Records may hold a frame twice, and what this package has written it must read.
        order, new = _runs(keys)
        if not new.all():
            raise _twice(table, order[~new].min(), rows, individuals)
    _check_halves(table, positions.reshape(-1, positions.shape[2]), n_points)
    if "kind" not in table.comments:
        # Programs list the individuals frame by frame; what uses time goes from row to row.
        as_listed, (order, _) = _runs(keys[:2])[0], _runs(keys)
        if (as_listed != order).any():
            notes.append("the rows were sorted by frame, in whose order they were not")
        rows = {key: values[order] for key, values in rows.items()}
        positions = positions[order]
        confidence = None if confidence is None else confidence[order]
    return rows, names, individuals, positions, confidence


def _long(table, notes):
    """Rows, names, positions and confidences of one row a point."""
    columns, path = table.columns, table.path
    numbers, whole, texts = table.read()
    point, names = texts[columns.point]
    if "" in names:
        row = int(np.argmax(point == names.index("")))
        raise FileFormatError(path, "the name of a point is empty", where=table.line(row))
    values = np.stack([numbers[k] for k in columns.axes[0]], axis=1)
    _check_halves(table, values, 1)
    each, individuals = _row_keys(table, len(values), whole, texts)
    order, new = _runs([each["individual"], each["clip"], each["frame"]])
    firsts, n_points = order[new], len(names)
    if len(firsts) * n_points > max(_SMALL, _SPARSE * len(values)):
        raise FileFormatError(
            path,
            f"{len(values)} rows name {n_points} points in {len(firsts)} frames",
            way_out="Is the column of names the right one?",
        )
    place = np.empty(len(values), dtype=np.int64)
    place[order] = (np.cumsum(new) - 1) * n_points
    place += point
    by_place, first_there = _runs([place])
    if not first_there.all():
        row = by_place[~first_there].min()
        raise _twice(table, row, each, individuals, names[point[row]])

    def dense(rows):
        full = np.full((len(firsts) * n_points, *rows.shape[1:]), np.nan)
        full[place] = rows
        return full.reshape(len(firsts), n_points, *rows.shape[1:])

    scores = columns.confidence[0]
    return (
        {key: values[firsts] for key, values in each.items()},
        names,
        individuals,
        dense(values),
        None if scores is None else dense(numbers[scores]),
    )


def _row_keys(table, n_rows, whole, texts):
    """Individual, clip and frame of each row, and the names of the individuals."""
    columns = table.columns
    zeros = np.zeros(n_rows, dtype=np.int64)
    who, individuals = texts.get(columns.individual, (zeros, ["individual"]))
    if columns.individual is not None and "kind" in table.comments:
        said = check_kind(table.path, table.comments.get("individuals", {}), dict, "individuals")
        every = {label: k for k, label in enumerate(dict.fromkeys([*said, *individuals]))}
        who = np.array([every[label] for label in individuals])[who]
        individuals = [str(said.get(label, label)) for label in every]
    rows = {
        "individual": who,
        "clip": whole.get(columns.clip, zeros),
        "frame": whole.get(columns.frame, zeros.copy()),
    }
    return rows, individuals


def _runs(keys):
    """Stable order by the first key, then the next; and where another combination starts."""
    order = np.lexsort(keys[::-1])
    new = np.ones(len(order), dtype=bool)
    new[1:] = np.any([key[order][1:] != key[order][:-1] for key in keys], axis=0)
    return order, new


def _twice(table, row, rows, individuals, point=None):
    of = f" of {individuals[rows['individual'][row]]!r}" if len(individuals) > 1 else ""
    what = "" if point is None else f", point {point[:40]!r},"
    return FileFormatError(
        table.path,
        f"frame {rows['frame'][row]}{of}{what} is there a second time",
        where=table.line(row),
        way_out="Several individuals need a column 'individual', several videos a column 'clip'.",
    )


def _check_halves(table, positions, n_a_row):
    missing = np.isnan(positions)
    half = missing.any(axis=1) & ~missing.all(axis=1)
    if half.any():
        at = int(np.argmax(half))
        axis = "xyz"[int(np.argmax(missing[at]))]
        name = f" of {table.columns.names[at % n_a_row][:40]!r}" if n_a_row > 1 else ""
        raise FileFormatError(
            table.path,
            f"{axis}{name} is missing, but not the other coordinates",
            where=table.line(at // n_a_row),
            way_out="Leave all coordinates of a missing point empty.",
        )


def _check_whole(table, n_rows):
    """Refuse a file that this package wrote and that has lost its end."""
    if "kind" not in table.comments:
        return
    with table.path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        is_ended = file.read() in (b"\n", b"\r")
    wanted = table.comments.get("rows", n_rows)
    if not is_ended or wanted != n_rows:
        found = f"{n_rows} rows, and its comment says {wanted}" if is_ended else "no last line end"
        raise FileFormatError(
            table.path,
            f"has {found}",
            where=f"row {n_rows}",
            way_out="The file is truncated. If rows were taken out, delete the comment.",
        )


def _said(table, names):
    """Edges and frames a second of the comments."""
    path, comments = table.path, table.comments
    fps, edges = comments.get("fps"), []
    index = {name: k for k, name in enumerate(names)}
    for edge in check_kind(path, comments.get("edges", []), list, "edges"):
        ends = [str(end) for end in check_kind(path, edge, list, "edges")]
        if len(ends) != 2 or not set(ends) <= set(index):
            raise FileFormatError(
                path, f"{ends[:2]!r} does not join two of the points", where="edges"
            )
        edges.append((index[ends[0]], index[ends[1]]))
    return {"edges": edges, "fps": None if fps is None else positive(path, fps, "fps")}


def _text(table, key):
    return check_kind(table.path, table.comments.get(key, ""), str, key)


def write_csv(path, data):
    """Write a plain csv, one row a frame.

    Comments at its start hold what a table cannot, each a key and a value in JSON: the number of
    ``rows``, ``unit`` and ``axes`` of 3-D points, ``fps``, ``edges`` as pairs of names,
    ``individuals`` in their order, and ``names`` that no header can hold (for their control
    characters or spaces at the ends) by the label that stands for them. Then come the columns
    ``frame``, ``individual`` and ``clip`` where there are several, and ``<point>_x``,
    ``<point>_y``, ``<point>_z``, ``<point>_confidence`` of each point; empty cells are missing.
    Numbers have all their digits.

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
        If there are no frames, or a ground truth `X` that has no place here.

    See Also
    --------
    read_csv : The way back.
    """
    is_2d = isinstance(data, Keypoints)
    if is_2d and data.X is not None:
        raise ValueError(
            "A csv has no place for the ground truth X: write npz or json, or leave it out with "
            "data.replace(X=None)."
        )
    if not len(data):
        raise ValueError("data has no frames to write.")
    point_labels = labels(data.names, "point")
    comments = {"rows": len(data)}
    comments |= {} if is_2d else {"unit": data.unit, "axes": data.axes}
    comments |= {"fps": data.fps} if data.fps is not None else {}
    if data.edges:
        comments["edges"] = [[data.names[i], data.names[j]] for i, j in data.edges]
    odd = {a: b for a, b in zip(point_labels, data.names, strict=True) if a != b}
    comments |= {"names": odd} if odd else {}
    header, columns = ["frame"], [data.frames.astype(str).tolist()]
    if data.individuals != ("individual",):
        who = labels(data.individuals, "individual")
        comments["individuals"] = dict(zip(who, data.individuals, strict=True))
        header.append("individual")
        columns.append([_quoted(who[k]) for k in data.individual])
    if data.clips.any():
        header.append("clip")
        columns.append(data.clips.astype(str).tolist())
    positions = data.W if is_2d else data.X
    parts = [positions[..., k] for k in range(positions.shape[2])]
    axes = ["x", "y", "z"][: len(parts)]
    if data.confidence is not None:
        parts.append(data.confidence)
        axes.append("confidence")
    for k, label in enumerate(point_labels):
        header += [_quoted(f"{label}_{axis}") for axis in axes]
        columns += [_numbers(part[:, k]) for part in parts]
    kind = "keypoints" if is_2d else "points 3d"
    lines = [f"# nrsfm_learn {kind} {VERSION}"]
    lines += [f"# {key}: {json.dumps(value)}" for key, value in comments.items()]
    lines += [",".join(header), *map(",".join, zip(*columns, strict=True))]
    return write_whole(path, "\n".join([*lines, ""]))


def _quoted(text):
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',;"') else text


def _numbers(values):
    """Shortest text that reads back as the same number; empty for NaN."""
    return ["" if text == "nan" else text for text in map(repr, values.tolist())]
