"""``read`` and ``write``: the two functions that most users need."""

from ._formats import check_options, format_named, recognise
from ._movement import from_movement, is_movement
from ._records import Keypoints, Points3D
from ._source import as_path


def read(source, *, format=None, **options):
    """Read keypoints or 3-D points from a file, whose format is recognised.

    Parameters
    ----------
    source : path-like or xarray.Dataset
        File, folder of per-frame files, or a data set of the package ``movement``.
    format : str, default=None
        Name of the format, one of :func:`formats`; recognised from the file by default.
    **options
        Of the reader, such as ``min_confidence`` and ``individual``; see its own documentation.

    Returns
    -------
    Keypoints or Points3D
        2-D keypoints, or 3-D points where the format holds 3-D.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FileFormatError
        If the file is damaged or its format is not recognised; names file, line or key.
    TypeError
        If the reader has no such option.
    ImportError
        If the format needs a package that is not installed; says which.

    See Also
    --------
    write : The way back.

    Examples
    --------
    >>> import numpy as np
    >>> from nrsfm_learn import io
    >>> path = io.write("walk.csv", io.Keypoints(np.zeros((10, 3, 2))))
    >>> io.read(path)
    Keypoints(10 frames, 3 points, 0% missing)
    >>> path.unlink()
    """
    if is_movement(source):
        check_options(from_movement, options, "movement")
        return from_movement(source, **options)
    path = as_path(source)
    found = recognise(path) if format is None else format_named(format, path, "reads")
    check_options(found.reader, options, found.name)
    return found.reader(path, **options)


def write(path, data, *, format=None, **options):
    """Write keypoints or 3-D points; the file is there as a whole or not at all.

    Parameters
    ----------
    path : path-like
        File to write. A file of that name is replaced in one step; missing folders are made.
    data : Keypoints or Points3D
        What to write.
    format : str, default=None
        Name of the format, one of :func:`formats`; by default that of the file's suffix.
    **options
        Of the writer.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    TypeError
        If `data` is no record of this package, or the writer has no such option.
    ValueError
        If the format cannot hold the data, or the suffix is unknown.

    See Also
    --------
    read : The way back.
    """
    path = as_path(path)
    if not isinstance(data, (Keypoints, Points3D)):
        raise TypeError(
            f"data must be Keypoints or Points3D, got {type(data).__name__}. Wrap an array: "
            f"nrsfm_learn.io.Points3D(X, names=names, edges=edges)."
        )
    found = format_named(format, path, "writes")
    kind = "2-D" if isinstance(data, Keypoints) else "3-D"
    if kind not in found.kind:
        raise ValueError(
            f"The format {found.name!r} holds {found.kind} and the data are {kind}: write csv, npz "
            f"or json."
        )
    check_options(found.writer, options, found.name)
    return found.writer(path, data, **options)


def check_target(path, data, *, format=None, **options):
    """Check that a format can hold data, before the work that they are the result of.

    Parameters
    ----------
    path : path-like
        File to write.
    data : Keypoints or Points3D
        What is to be written, or the keypoints of which it will be made.
    format : str, default=None
        As of :func:`write`.
    **options
        Of the writer.

    Raises
    ------
    TypeError, ValueError, ImportError
        As of :func:`write`, as far as it can be known.
    """
    format_named(format, as_path(path), "writes").check(data, options)


def target_files(path, data, *, format=None):
    """Return the files that :func:`write` would write.

    Parameters
    ----------
    path : path-like
        File to write.
    data : Keypoints or Points3D
        What is to be written, or the keypoints of which it will be made.
    format : str, default=None
        As of :func:`write`.

    Returns
    -------
    list of pathlib.Path
        One, or one a frame.
    """
    path = as_path(path)
    if format_named(format, path, "writes").name != "ply":
        return [path]
    from ._ply import ply_files

    return ply_files(path, data.n_frames)
