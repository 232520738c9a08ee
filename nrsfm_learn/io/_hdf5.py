"""What the readers of HDF5 files share.

All but :func:`is_hdf5` and :func:`kind_of` are for functions that :func:`run_isolated` calls. h5py
raises many kinds of exceptions on damaged files; ``run_isolated`` makes them FileFormatErrors.
"""

from contextlib import contextmanager
from functools import lru_cache

import numpy as np

from ._errors import FileFormatError
from ._isolated import run_isolated

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# The most that deflate can save is a factor of 1032.
_COMPRESSION = 1100
_EXPORT = "Export the file again."


def is_hdf5(probe):
    """Tell whether a file starts like HDF5.

    Parameters
    ----------
    probe : Probe
        The file.

    Returns
    -------
    bool
        True if so.
    """
    return probe.head.startswith(_SIGNATURE)


def kind_of(path):
    """Tell which layout an HDF5 file has.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Returns
    -------
    {"pandas", "sleap", ""}
        The layout; "" if it is another.

    Raises
    ------
    FileFormatError
        If the file is damaged.
    ImportError
        If h5py is not installed.
    """
    stat = path.stat()
    return _kind_of(str(path), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=16)
def _kind_of(path, size, changed):
    return run_isolated(__name__, "load_kind", path)["kind"]


def load_kind(path):
    """Find the layout of a file; in the child process.

    Parameters
    ----------
    path : str
        The file.

    Returns
    -------
    dict
        ``kind``, as of :func:`kind_of`.
    """
    with open_hdf5(path) as file:
        names = set(file)
        if {"tracks", "node_names"} <= names:
            return {"kind": "sleap"}
        return {"kind": "pandas" if data_frames(file) else ""}


@contextmanager
def open_hdf5(path):
    """Open a file for reading.

    Parameters
    ----------
    path : str
        The file.

    Yields
    ------
    h5py.File
        The file.

    Raises
    ------
    ImportError
        If h5py is not installed.
    FileFormatError
        If the file is no HDF5 file.
    """
    try:
        import h5py
    except ImportError as error:
        raise ImportError(
            "Reading HDF5 files needs the package h5py: pip install 'nrsfm-learn[io]'"
        ) from error
    try:
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        raise FileFormatError(
            path, f"no whole HDF5 file ({error})", way_out=f"It may be truncated. {_EXPORT}"
        ) from error
    with file:
        yield file


def data_frames(file):
    """Find the data frames that pandas stored.

    Parameters
    ----------
    file : h5py.File
        The file.

    Returns
    -------
    dict of str to (h5py.Group, str)
        By key: the group, and ``"frame"`` (fixed format) or ``"frame_table"`` (table format).
    """
    import h5py

    found = {}
    for name in file:
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            continue
        kind = file[name].attrs.get("pandas_type")
        if kind in (b"frame", b"frame_table", "frame", "frame_table"):
            found[name] = file[name], text_of(kind)
    return found


def text_of(value):
    """Return a string that h5py gives as bytes or as text.

    Parameters
    ----------
    value : bytes or str
        String in UTF-8.

    Returns
    -------
    str
        The text.
    """
    if isinstance(value, (bytes, str)):
        return value.decode() if isinstance(value, bytes) else str(value)
    raise TypeError(f"a {type(value).__name__} in place of a string")


def dataset(group, name, path):
    """Return a data set that lies in this very file and is not larger than it can be.

    Parameters
    ----------
    group : h5py.Group
        Where.
    name : str
        Name in the group.
    path : str
        The file.

    Returns
    -------
    h5py.Dataset
        The data set; nothing has been read.

    Raises
    ------
    FileFormatError
        If there is none, it is elsewhere, or states a size that its data do not have.
    """
    import h5py

    where = f"data set {name!r}"
    link = group.get(name, getlink=True)
    if link is None:
        raise FileFormatError(path, "it is missing", where=where, way_out=_EXPORT)
    found = group[name] if isinstance(link, h5py.HardLink) else None
    if not isinstance(found, h5py.Dataset) or found.is_virtual or found.external:
        raise FileFormatError(
            path, "it is a group, or lies in another place", where=where, way_out=_EXPORT
        )
    stored = found.id.get_storage_size()
    if found.nbytes > _COMPRESSION * stored:
        raise FileFormatError(
            path,
            f"it states a shape of {found.shape} ({found.nbytes:,} bytes), but has only "
            f"{stored:,} bytes",
            where=where,
            way_out=_EXPORT,
        )
    return found


def numbers(group, name, path, n_axes):
    """Read a data set of numbers.

    Parameters
    ----------
    group, name, path
        As of :func:`dataset`.
    n_axes : int
        Number of axes that it must have.

    Returns
    -------
    ndarray
        The numbers, of the file's own type.

    Raises
    ------
    FileFormatError
        As :func:`dataset`, and if it holds no numbers or has another number of axes.
    """
    found = dataset(group, name, path)
    if found.dtype.kind not in "fiu" or found.ndim != n_axes:
        raise FileFormatError(
            path,
            f"it has shape {found.shape} and type {found.dtype}; {n_axes} axes of numbers are "
            f"expected",
            where=f"data set {name!r}",
            way_out=_EXPORT,
        )
    return found[()]


def strings(group, name, path):
    """Read a data set of strings along one axis.

    Parameters
    ----------
    group, name, path
        As of :func:`dataset`.

    Returns
    -------
    list of str
        The strings. An empty data set of any type is an empty list.

    Raises
    ------
    FileFormatError
        As :func:`dataset`, and if it holds no strings in UTF-8 or has another number of axes.
    """
    import h5py

    found = dataset(group, name, path)
    if found.size == 0:
        return []
    if found.ndim != 1 or not (found.dtype.kind == "S" or h5py.check_string_dtype(found.dtype)):
        raise FileFormatError(
            path,
            f"it has shape {found.shape} and type {found.dtype}; a list of strings is expected",
            where=f"data set {name!r}",
            way_out=_EXPORT,
        )
    return [text_of(value) for value in np.asarray(found[()]).tolist()]
