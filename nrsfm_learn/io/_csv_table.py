"""The rows of a csv file as arrays."""

import csv
import re
from itertools import chain, islice

import numpy as np

from ._csv_layout import SEPARATORS, HeaderError, parse_header, read_comments, split_cells
from ._errors import FileFormatError

# Few enough to stay in the cache of the processor.
_CELLS = 20_000
_MISSING = {"", "nan", "na", "n/a", "null", "none"}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
# Squares of larger coordinates overflow; records refuse them, too.
_LARGEST = 1e150
_WAY_OUT = (
    "One row a frame needs columns <point>_x and <point>_y for each point; one row a point needs "
    "columns frame, keypoint, x and y."
)


class Table:
    """A csv file whose header has been understood.

    Parameters
    ----------
    path : pathlib.Path
        File.

    Attributes
    ----------
    comments : dict
        What the comments before the header say.
    columns : Columns
        What the columns hold.
    """

    def __init__(self, path):
        self.path = path
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                self.comments, self._n_before = read_comments(file)
        except HeaderError as error:
            raise FileFormatError(path, str(error)) from error
        problems = []
        for self._separator in SEPARATORS:
            try:
                with self._open() as file:
                    self._header = split_cells(file, self._separator)
                self.columns = parse_header(self._header)
                return
            except HeaderError as error:
                problems.append((len(self._header), error))
        problem = max(problems, key=lambda pair: pair[0])[1]
        where = f"line {self._n_before + 1}"
        raise FileFormatError(
            path, f"no header of a csv of keypoints: {problem}", where=where, way_out=_WAY_OUT
        ) from problem

    _header = ()

    def line(self, row):
        """Return the line in which a row ends.

        Parameters
        ----------
        row : int
            Index of the row.

        Returns
        -------
        str
            "line N".
        """
        with self._open() as file:
            reader = csv.reader(file, delimiter=self._separator, strict=True)
            next(islice(filter(None, reader), row + 1, None))
            return f"line {self._n_before + reader.line_num}"

    def read(self):
        """Read all rows.

        Returns
        -------
        numbers : dict of int to ndarray of float64 of shape (n_rows,)
            Columns of coordinates and confidences, NaN where empty.
        whole : dict of int to ndarray of int64 of shape (n_rows,)
            Columns of frames and clips.
        texts : dict of int to (ndarray of int, list of str)
            Columns of names: index into the names in the order in which they appear.

        Raises
        ------
        FileFormatError
            If a cell or a row is damaged; the message has the line.
        """
        columns = self.columns
        coordinates = list(chain(*columns.axes))
        confidences = [k for k in columns.confidence if k is not None]
        numbers = {k: [] for k in (*coordinates, *confidences)}
        whole = {k: [] for k in (columns.frame, columns.clip) if k is not None}
        codes = {k: {} for k in (columns.individual, columns.point) if k is not None}
        texts = {k: [] for k in codes}
        for first, cells in self._chunks():
            for k in numbers:
                numbers[k].append(self._floats(cells[k], first, k))
            for k in whole:
                whole[k].append(self._integers(cells[k], first, k))
            for k, code in codes.items():
                names = list(map(str.strip, cells[k]))
                for name in dict.fromkeys(names):
                    code.setdefault(name, len(code))
                texts[k].append(np.fromiter(map(code.__getitem__, names), np.int64, len(names)))
        if not numbers[coordinates[0]]:
            raise FileFormatError(self.path, "has a header and no rows")
        joined = [{k: np.concatenate(v) for k, v in part.items()} for part in (numbers, whole)]
        return *joined, {k: (np.concatenate(v), list(codes[k])) for k, v in texts.items()}

    def _open(self):
        file = self.path.open(encoding="utf-8-sig", newline="")
        for _ in range(self._n_before):
            next(file)
        return file

    def _chunks(self):
        """Index of the first row and a tuple of cells for each column, some rows at a time."""
        n_columns = len(self._header)
        size, first = max(1, _CELLS // n_columns), 0
        with self._open() as file:
            reader = csv.reader(file, delimiter=self._separator, strict=True)
            rows = filter(None, reader)
            next(rows)
            while True:
                try:
                    chunk = list(islice(rows, size))
                except csv.Error as error:
                    raise FileFormatError(
                        self.path, str(error), where=f"line {self._n_before + reader.line_num}"
                    ) from error
                if not chunk:
                    return
                if set(map(len, chunk)) != {n_columns}:
                    bad = next(k for k, row in enumerate(chunk) if len(row) != n_columns)
                    raise FileFormatError(
                        self.path,
                        f"{len(chunk[bad])} fields, but the header has {n_columns}",
                        where=self.line(first + bad),
                        way_out="The file may be truncated there, or have decimal commas.",
                    )
                yield first, list(zip(*chunk, strict=True))
                first += len(chunk)

    def _floats(self, cells, first, column):
        try:
            values = np.array([float(cell) if cell else np.nan for cell in cells])
            good = _is_plain(cells) and not (np.abs(values) > _LARGEST).any()
        except ValueError:
            good = False
        if good:
            return values
        values = np.empty(len(cells))
        for k, cell in enumerate(map(str.strip, cells)):
            if cell.lower() in _MISSING:
                values[k] = np.nan
            elif _NUMBER.fullmatch(cell) and abs(float(cell)) <= _LARGEST:
                values[k] = float(cell)
            else:
                raise self._bad_cell(cell, first + k, column, "no number that a coordinate can be")
        return values

    def _integers(self, cells, first, column):
        try:
            values = np.fromiter(map(int, cells), np.int64, len(cells))
            if _is_plain(cells):
                return values
        except (ValueError, OverflowError):
            pass
        values = np.empty(len(cells), dtype=np.int64)
        for k, cell in enumerate(map(str.strip, cells)):
            number = float(cell) if _NUMBER.fullmatch(cell) else np.nan
            if cell.lstrip("+-").isdecimal() and abs(number) < 2**63:
                values[k] = int(cell)
            # Programs that know no integers write 12.0.
            elif abs(number) <= 2**53 and number.is_integer():
                values[k] = int(number)
            else:
                raise self._bad_cell(cell, first + k, column, "no whole number")
        return values

    def _bad_cell(self, cell, row, column, problem):
        way_out = ""
        if _NUMBER.fullmatch(cell.replace(",", ".", 1)):
            way_out = "Export the file with decimal points, not commas."
        return FileFormatError(
            self.path,
            f"{cell[:40]!r} in column {self._header[column][:40]!r} is {problem}",
            where=self.line(row),
            way_out=way_out,
        )


def _is_plain(cells):
    """Whether Python's looser notions of a number, 1_000 and other digits, are not met."""
    text = "".join(cells)
    return "_" not in text and text.isascii()
