"""DeepLabCut's h5 files: data frames that pandas stored with PyTables."""

import io
import pickle

import numpy as np

from ._deeplabcut import Column, keypoints_of
from ._errors import FileFormatError
from ._hdf5 import data_frames, dataset, is_hdf5, kind_of, numbers, open_hdf5, strings, text_of
from ._isolated import run_isolated

_WAY_OUT = "Export it again, or give DeepLabCut's csv file of the same name."
_LEVELS = {3: "scorer, bodyparts, coords", 4: "scorer, individuals, bodyparts, coords"}


def looks_like_dlc_h5(probe):
    """Tell whether a file is HDF5 and has a data frame of pandas in it.

    Parameters
    ----------
    probe : Probe
        The file.

    Returns
    -------
    bool
        True if so.
    """
    return is_hdf5(probe) and kind_of(probe.path) == "pandas"


def read_dlc_h5(path, *, min_confidence=None, individual=None):
    """Read an h5 file of DeepLabCut: predictions, or labelled frames.

    These files hold one data frame that pandas wrote with PyTables, in its table or its fixed
    format, under the key ``df_with_missing``, ``tracks`` or any other. Its columns have the levels
    scorer, individuals (multi-animal projects), bodyparts and coords, as in the csv file [1]_.

    The column names of the table format are pickled. Here, only plain strings, numbers, tuples and
    lists are unpickled; whatever would need code is refused.

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
        If the file is damaged or not laid out like this.
    ValueError
        If there is no such individual, or no likelihood for `min_confidence`.
    ImportError
        If h5py is not installed.

    See Also
    --------
    read_dlc_csv : The same data as text.

    References
    ----------
    .. [1] A. Mathis et al., "DeepLabCut: markerless pose estimation of user-defined body parts
       with deep learning", Nature Neuroscience 21, 2018.
    """
    loaded = run_isolated(__name__, "load_dlc_h5", path)
    rows = loaded["rows"]
    return keypoints_of(
        "dlc_h5",
        path,
        [Column(*column) for column in loaded["columns"]],
        loaded["values"],
        rows,
        where=lambda row: f"row {row}",
        min_confidence=min_confidence,
        individual=individual,
    )


def load_dlc_h5(path):
    """Read the data frame of a file; in the child process.

    Parameters
    ----------
    path : str
        The file.

    Returns
    -------
    dict
        ``columns`` as in the header of the csv file, ``values`` (n_frames, n_columns), and
        ``rows``: frame numbers, or a list of paths.
    """
    with open_hdf5(path) as file:
        found = data_frames(file)
        if len(found) != 1:
            raise FileFormatError(
                path,
                f"it has {len(found)} data frames of pandas{': ' if found else ''}"
                f"{', '.join(found)}",
                way_out="One is expected. Give DeepLabCut's csv file instead.",
            )
        group, kind = next(iter(found.values()))
        load = _load_table if kind == "frame_table" else _load_fixed
        columns, blocks, rows = load(group, path)
    place = {column: k for k, column in enumerate(columns)}
    values = np.full((len(rows), len(columns)), np.nan)
    filled = [column for held, _ in blocks for column in held]
    if sorted(filled) != sorted(columns) or len(place) != len(columns):
        raise FileFormatError(
            path, "its columns are not the same in all places, or one is there twice"
        )
    for held, block in blocks:
        if block.shape != (len(rows), len(held)):
            raise FileFormatError(
                path,
                f"a block has shape {block.shape}, expected {(len(rows), len(held))}",
                way_out=_WAY_OUT,
            )
        values[:, [place[column] for column in held]] = block
    if np.isinf(values).any():
        row, k = np.argwhere(np.isinf(values))[0]
        raise FileFormatError(
            path, "it is not finite", where=f"row {row}, column {' '.join(columns[k])}"
        )
    n_levels = len(columns[0]) if columns else 0
    if n_levels not in _LEVELS or any(len(column) != n_levels for column in columns):
        raise FileFormatError(
            path,
            f"its columns have {n_levels} levels; DeepLabCut's have 3 ({_LEVELS[3]}) or 4",
            way_out=_WAY_OUT,
        )
    if n_levels == 3:
        columns = [(scorer, "individual", *rest) for scorer, *rest in columns]
    return {"columns": columns, "values": values, "rows": rows}


def _load_table(group, path):
    """Columns, blocks of (columns, values), rows of a data frame in pandas' table format."""
    table = dataset(group, "table", path)
    axes = _unpickled(group, "non_index_axes", path)
    if not (_is_list(axes) and len(axes) == 1 and _is_list(axes[0]) and len(axes[0]) == 2):
        raise _damaged(path, "non_index_axes")
    columns = _labels(axes[0][1], "non_index_axes", path)
    fields = table.dtype.names or ()
    if table.ndim != 1 or "index" not in fields:
        raise FileFormatError(
            path,
            f"its fields are {', '.join(fields)}, expected index and values_block_0",
            where="data set 'table'",
            way_out=_WAY_OUT,
        )
    blocks = []
    for name in fields:
        if name == "index":
            continue
        kind = table.dtype[name]
        base, shape = kind.subdtype or (kind, ())
        if base.kind not in "fiu" or len(shape) != 1:
            raise FileFormatError(
                path, f"field {name!r} has type {kind}, expected numbers", where="data set 'table'"
            )
        held = _labels(_unpickled(table, f"{name}_kind", path), f"{name}_kind", path)
        blocks.append((held, table.fields(name)[()]))
    rows = _rows(table.fields("index")[()], table.attrs.get("index_kind"), path)
    return columns, blocks, rows


def _load_fixed(group, path):
    """Columns, blocks of (columns, values), rows of a data frame in pandas' fixed format."""
    columns = _multi_index(group, "axis0", path)
    blocks = []
    for k in range(_integer(group, "nblocks", path)):
        held = _multi_index(group, f"block{k}_items", path)
        block = numbers(group, f"block{k}_values", path, 2)
        # pandas stores blocks as (columns, rows), and says where it turned them for PyTables.
        turned = group[f"block{k}_values"].attrs.get("transposed")
        blocks.append((held, block if turned else block.T))
    if _text(group, "axis1_variety", path) == "multi":
        rows = ["/".join(row) for row in _multi_index(group, "axis1", path)]
    else:
        axis = dataset(group, "axis1", path)
        rows = _rows(axis[()], axis.attrs.get("kind"), path)
    return columns, blocks, rows


def _multi_index(group, name, path):
    """Tuples of strings of a MultiIndex in pandas' fixed format."""
    n_levels = _integer(group, f"{name}_nlevels", path)
    if not 1 <= n_levels <= 4:
        raise _damaged(path, f"{name}_nlevels")
    levels = []
    for k in range(n_levels):
        level = strings(group, f"{name}_level{k}", path)
        codes = numbers(group, f"{name}_label{k}", path, 1)
        outside = codes.size and not 0 <= codes.min() <= codes.max() < len(level)
        if codes.dtype.kind == "f" or outside:
            raise FileFormatError(
                path,
                f"it has labels out of the range of its {len(level)} names",
                where=f"data set '{name}_label{k}'",
                way_out=_WAY_OUT,
            )
        levels.append([level[code] for code in codes.tolist()])
    if len({len(level) for level in levels}) != 1:
        raise _damaged(path, name)
    return list(zip(*levels, strict=True))


def _rows(index, kind, path):
    """Frame numbers, or paths of images."""
    if kind is not None and text_of(kind) == "integer" and index.dtype.kind in "iu":
        if index.size and (index.min() < 0 or index.max() >= 2**53):
            raise FileFormatError(path, "a frame number is negative or too large")
        return index.astype(np.int64)
    if kind is not None and text_of(kind) == "string" and index.dtype.kind == "S":
        return [text_of(row) for row in index.tolist()]
    raise FileFormatError(
        path,
        f"its rows have an index of kind {kind}, expected frame numbers or paths of images",
        way_out=_WAY_OUT,
    )


def _labels(labels, name, path):
    """Check unpickled column names: tuples of strings or integers."""
    if not _is_list(labels):
        raise _damaged(path, name)
    for label in labels:
        if type(label) is not tuple or any(type(part) not in (str, int) for part in label):
            raise _damaged(path, name)
    return [tuple(str(part) for part in label) for label in labels]


def _is_list(value):
    return type(value) in (list, tuple)


class _PlainUnpickler(pickle.Unpickler):
    """Builds strings, numbers and plain containers; finds no class and no function at all."""

    def find_class(self, module, name):
        raise pickle.UnpicklingError(f"it needs {module}.{name}, which is refused")


def _unpickled(where, name, path):
    stored = where.attrs.get(name)
    if not isinstance(stored, bytes):
        raise _damaged(path, name)
    try:
        return _PlainUnpickler(io.BytesIO(stored), encoding="utf-8").load()
    except Exception as error:
        # A damaged pickle can raise nearly anything.
        raise FileFormatError(
            path,
            f"it cannot be unpickled ({error})",
            where=f"attribute {name!r}",
            way_out=_WAY_OUT,
        ) from error


def _integer(where, name, path):
    value = where.attrs.get(name)
    if not isinstance(value, (int, np.integer)):
        raise _damaged(path, name)
    return int(value)


def _text(where, name, path):
    value = where.attrs.get(name)
    if not isinstance(value, (bytes, str)):
        raise _damaged(path, name)
    return text_of(value)


def _damaged(path, name):
    return FileFormatError(
        path,
        "it is missing or not as pandas writes it",
        where=f"attribute {name!r}",
        way_out=_WAY_OUT,
    )
