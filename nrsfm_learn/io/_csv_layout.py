"""Which column of a csv holds what: header and comments of the plain csv."""

import csv
import json
import re
from typing import NamedTuple

FIRST = re.compile(r"#\s*nrsfm_learn (keypoints|points 3d) (\d+)$")
VERSION = 1
SEPARATORS = (",", "\t", ";")
_FRAME = {"frame", "frames", "frame_idx", "frame_index", "frame_number", "frame_id"}
_INDIVIDUAL = {"individual", "individuals", "animal", "animal_id", "track", "track_id"}
_CLIP = {"clip", "clips"}
_POINT = {"keypoint", "bodypart", "body_part", "name", "point", "node", "marker", "landmark"}
_DEEPLABCUT = {"individuals", "bodyparts", "coords"}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|nan", re.IGNORECASE)
_AXES = {axis: axis for axis in "xyz"} | dict.fromkeys(
    ("confidence", "likelihood", "score", "probability"), "confidence"
)
# Column of a point: its name and the axis, or the axis and its name, and what stands between.
_STYLES = (("_", False), (".", False), (" ", False), ("_", True))


class Columns(NamedTuple):
    """Where things stand in a row.

    Attributes
    ----------
    frame, individual, clip, point : int or None
        Columns of one thing each; `point` has the names of points in the long layout.
    names : list of str
        Names of the points in the wide layout.
    axes : list of list of int
        Columns of x, y and z of each point; of the one point of a row in the long layout.
    confidence : list of (int or None)
        Column of the confidence of each point.
    ignored : list of str
        Columns that were not understood.
    """

    frame: int | None
    individual: int | None
    clip: int | None
    point: int | None
    names: list
    axes: list
    confidence: list
    ignored: list

    @property
    def is_long(self):
        """Whether each row has one point, not all of a frame."""
        return self.point is not None


class HeaderError(ValueError):
    """A line that is no header of this format."""


def parse_header(cells):
    """Find out what the columns hold.

    Parameters
    ----------
    cells : list of str
        The first line.

    Returns
    -------
    Columns
        Their meaning.

    Raises
    ------
    HeaderError
        If there are no coordinates, or some without a partner.
    """
    if cells and all(_NUMBER.fullmatch(cell.strip()) for cell in cells):
        raise HeaderError("it has numbers only: is the header missing?")
    plain = [re.sub(r"[\s.\-]+", "_", cell.strip().lower()) for cell in cells]
    is_long = {"x", "y"} <= set(plain) and not _POINT.isdisjoint(plain)
    found = {
        "frame": _only(plain, _FRAME, cells),
        # The column "id" of a wide table numbers its rows as a rule.
        "individual": _only(plain, _INDIVIDUAL | ({"id"} if is_long else set()), cells),
        "clip": _only(plain, _CLIP, cells),
        "point": _only(plain, _POINT, cells) if is_long else None,
    }
    taken = {column for column in found.values() if column is not None}
    if is_long:
        if found["frame"] is None:
            raise HeaderError("one point a row, but no column 'frame'")
        points = {"": {}}
        for axis in ("x", "y", "z", "confidence"):
            column = _only(plain, {a for a, what in _AXES.items() if what == axis}, cells)
            if column is not None:
                points[""][axis] = column
    else:
        points = _points(cells, taken)
    axes = "xyz" if any("z" in point for point in points.values()) else "xy"
    taken |= {column for point in points.values() for column in point.values()}
    return Columns(
        names=list(points),
        axes=[[point[axis] for axis in axes] for point in points.values()],
        confidence=[point.get("confidence") for point in points.values()],
        ignored=[cells[k] for k in range(len(cells)) if k not in taken and cells[k].strip()],
        **found,
    )


def _only(plain, wanted, cells):
    columns = [k for k, label in enumerate(plain) if label in wanted]
    if len(columns) > 1:
        raise HeaderError(
            f"the columns {cells[columns[0]]!r} and {cells[columns[1]]!r} say the same"
        )
    return columns[0] if columns else None


def _points(cells, taken):
    """Columns of each point of a wide table, in the style that fits most columns."""
    best, problems = {}, []
    for separator, axis_first in _STYLES:
        try:
            points = _in_style(cells, taken, separator, axis_first)
        except HeaderError as error:
            problems.append(error)
        else:
            if sum(map(len, points.values())) > sum(map(len, best.values())):
                best = points
    if not best and cells and cells[0].strip().lower() in _DEEPLABCUT:
        raise HeaderError(
            f"it begins with {cells[0].strip()!r}, as DeepLabCut's second row does: is the first "
            f"one missing, that of the scorer?"
        )
    if not best:
        raise problems[0] if problems else HeaderError("no columns <point>_x and <point>_y")
    return best


def _in_style(cells, taken, separator, axis_first):
    points = {}
    for column, cell in enumerate(cells):
        label = cell.strip()
        if axis_first:
            axis, _, name = label.partition(separator)
        else:
            name, _, axis = label.rpartition(separator)
        axis = _AXES.get(axis.lower())
        if axis is None or not name or column in taken:
            continue
        if points.setdefault(name, {}).setdefault(axis, column) != column:
            raise HeaderError(f"two columns hold {axis} of {name!r}")
    # A lone score, such as that of a whole instance, belongs to no point.
    points = {name: point for name, point in points.items() if set(point) != {"confidence"}}
    for name, point in points.items():
        lacking = {"x", "y"} - set(point)
        if lacking:
            raise HeaderError(f"the column of {lacking.pop()} of {name!r} is missing")
    flat = [name for name, point in points.items() if "z" not in point]
    if 0 < len(flat) < len(points):
        raise HeaderError(f"{flat[0]!r} has no z, and other points have one")
    return points


def split_cells(line, separator):
    """Split one line; quoted cells may hold anything.

    Parameters
    ----------
    line : iterable of str
        Lines of the file, of which the first record is read.
    separator : str
        Character between cells.

    Returns
    -------
    list of str
        Cells.

    Raises
    ------
    HeaderError
        If its quotes are not closed.
    """
    try:
        return next(csv.reader(line, delimiter=separator, strict=True), [])
    except csv.Error as error:
        raise HeaderError(f"quotes do not match ({error})") from error


def read_comments(lines):
    """Take the comments at the start of a file.

    Parameters
    ----------
    lines : iterable of str
        Lines of the file.

    Returns
    -------
    comments : dict
        Key to value; "kind" and "version" of files that this package wrote.
    n_lines : int
        Number of lines before the header.

    Raises
    ------
    HeaderError
        If a comment of this package is damaged.
    """
    comments, n_lines = {}, 0
    for line in lines:
        text = line.strip().lstrip("\ufeff")
        if text.startswith('"#'):
            # A spreadsheet program has quoted the comment and split it into cells.
            text = ",".join(split_cells([text], ","))
        text = text.rstrip(",;\t ")
        if text and not text.startswith("#"):
            break
        n_lines += 1
        first = FIRST.match(text)
        if first:
            comments = {"kind": first[1], "version": int(first[2])}
        elif "kind" in comments:
            key, _, value = text.lstrip("# ").partition(":")
            try:
                comments[key.strip()] = json.loads(value)
            except (ValueError, RecursionError) as error:
                raise HeaderError(
                    f"the comment {key[:40]!r} in line {n_lines} is no JSON"
                ) from error
    return comments, n_lines


def labels(names, stem):
    """Give names that do not survive in a cell another label.

    Parameters
    ----------
    names : sequence of str
        Names.
    stem : str
        The other labels are this and a number.

    Returns
    -------
    list of str
        One label for each name; the name itself if it is printable and has no space at its ends.
    """
    kept = {name for name in names if name and name.isprintable() and name == name.strip()}
    result = []
    for k, name in enumerate(names):
        label = name if name in kept else f"{stem}_{k}"
        while name not in kept and label in kept:
            label += "_"
        result.append(label)
    return result
