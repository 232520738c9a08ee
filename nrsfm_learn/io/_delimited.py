"""Tables of numbers in text files, with errors that name the line."""

import csv

import numpy as np

from ._errors import FileFormatError

# Squares of larger coordinates overflow; records refuse them, too.
_LARGEST = 1e150


def split_line(path, line, number):
    """Split one line at its commas, minding quotes.

    Parameters
    ----------
    path : path-like
        The file.
    line : str
        The line.
    number : int
        Its number, from 1.

    Returns
    -------
    list of str
        The fields, without white space around them.

    Raises
    ------
    FileFormatError
        If a quote is not closed.
    """
    try:
        fields = next(csv.reader([line], strict=True), [])
    except csv.Error as error:
        where = f"line {number}"
        raise FileFormatError(path, f"no row of a csv file ({error})", where=where) from error
    return [field.strip() for field in fields]


def read_rows(path, lines, n_fields, *, first, n_labels=0):
    """Read the rows of a table: some labels, then numbers.

    Parameters
    ----------
    path : path-like
        The file.
    lines : list of str
        The rows.
    n_fields : int
        Number of fields of each row.
    first : int
        Number of the first line in the file.
    n_labels : int, default=0
        The leading fields that are labels.

    Returns
    -------
    values : ndarray of float64 of shape (n_rows, n_fields - n_labels)
        The numbers; NaN where a field is empty.
    labels : list of list of str
        Labels of each row.

    Raises
    ------
    FileFormatError
        If a row has another number of fields, or a field is no finite number.
    """
    labels, rows = [], []
    for number, line in enumerate(lines, first):
        if '"' in line:
            fields = split_line(path, line, number)
            line = ",".join(fields)
            if line.count(",") != len(fields) - 1:
                raise FileFormatError(path, "a quoted field has a comma", where=f"line {number}")
        if line.count(",") != n_fields - 1:
            raise FileFormatError(
                path,
                f"{line.count(',') + 1} fields, expected {n_fields}",
                where=f"line {number}",
                way_out="If it is the last line, the file is truncated: export it again.",
            )
        *label, line = line.split(",", n_labels)
        if ",," in line or not line or line[0] == "," or line[-1] == ",":
            line = ",".join([field or "nan" for field in line.split(",")])
        labels.append(label)
        rows.append(line)
    if not rows:
        return np.empty((0, n_fields - n_labels)), labels
    try:
        values = np.loadtxt(rows, delimiter=",", comments=None, ndmin=2)
    except ValueError as error:
        _name_bad_field(path, rows, first, n_labels)
        raise FileFormatError(path, f"a field is no number ({error})") from error
    if values.shape != (len(rows), n_fields - n_labels):
        raise FileFormatError(path, f"{len(rows)} rows of {n_fields} fields could not be read")
    large = np.abs(values) > _LARGEST
    if large.any():
        row, column = np.argwhere(large)[0]
        raise FileFormatError(
            path,
            f"field {column + n_labels + 1} is {rows[row].split(',')[column][:40]}, which is no "
            f"coordinate",
            where=f"line {first + row}",
        )
    return values, labels


def _name_bad_field(path, rows, first, n_labels):
    for number, row in enumerate(rows, first):
        for column, field in enumerate(row.split(","), n_labels + 1):
            try:
                float(field)
            except ValueError as error:
                raise FileFormatError(
                    path,
                    f"field {column} is {field[:40]!r}, not a number",
                    where=f"line {number}",
                    way_out="Leave fields of missing keypoints empty.",
                ) from error


def check_increasing(path, frames, where):
    """Check that frame numbers increase.

    Parameters
    ----------
    path : path-like
        The file.
    frames : ndarray of int of shape (n_frames,)
        Frame numbers.
    where : callable
        From a row to the place in the file.

    Raises
    ------
    FileFormatError
        If they do not.
    """
    bad = np.flatnonzero(np.diff(frames) <= 0)
    if bad.size:
        row = int(bad[0]) + 1
        raise FileFormatError(
            path,
            f"frame {frames[row]} follows frame {frames[row - 1]}",
            where=where(row),
            way_out="Every frame must be there once, in the order of time: sort the rows.",
        )
