"""numpy files: npz with named arrays, npy with one."""

import io
import math
import zipfile

import numpy as np

from ._assemble import assemble_rows
from ._errors import FileFormatError
from ._records import Keypoints, Points3D
from ._source import as_path, check_file, write_whole

_NPY = b"\x93NUMPY"
_ZIP = b"PK\x03\x04"
# What a file may unpack to. Tracks compress a little; masks a thousandfold, but they are small.
_ALWAYS = 256 << 20
_FOLD = 200
_CAMERA_AXES = Points3D.axes
_WAY_OUT = (
    "Save W of shape (n_frames, n_points, 2), or X of shape (n_frames, n_points, 3), with "
    "numpy.savez."
)
_ANY = {
    "names": ("U", 1),
    "edges": ("iu", 2),
    "fps": ("fiu", 0),
    "confidence": ("fiu", 2),
    "frames": ("iu", 1),
    "individuals": ("U", 1),
    "individual": ("iu", 1),
    "clips": ("iu", 1),
}
_KEYPOINTS = {
    "W": ("fiu", 3),
    "mask": ("b", 2),
    "visible": ("b", 2),
    "X": ("fiu", 3),
    **_ANY,
}
_POINTS = {
    "X": ("fiu", 3),
    "reconstruction": ("fiu", 3),
    "unit": ("U", 0),
    "axes": ("U", 0),
    **_ANY,
}
_KINDS = {"f": "floats", "i": "integers", "u": "integers", "U": "strings", "b": "booleans"}


def looks_like_npz(probe):
    """Tell whether a file is a zip archive or a numpy array.

    Parameters
    ----------
    probe : Probe
        The file.

    Returns
    -------
    bool
        True if so.
    """
    return probe.head.startswith((_NPY, _ZIP))


def read_npz(path, *, min_confidence=None, individual=None):
    """Read arrays that numpy saved.

    An ``.npz`` file of keypoints has ``W`` (n_frames, n_points, 2) and, if wanted, ``mask`` or
    ``visible`` (n_frames, n_points; bool), ``confidence`` (n_frames, n_points), ``names``
    (n_points; strings), ``edges`` (n_edges, 2; from 0), ``fps``, ``frames`` and ``clips``
    (n_frames; integers), ``individuals`` (strings) with ``individual`` (n_frames; index of each
    frame), and the ground truth ``X`` (n_frames, n_points, 3). Without ``W``, ``X`` or
    ``reconstruction`` are 3-D points, with ``unit``, ``axes`` and all of the above but the masks. A
    ``.npy`` file is ``W`` or ``X`` by its shape. NaN is missing. Pickled objects are refused, and
    what would unpack to more than 256 MiB and 200 times the size of the file.

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
        3-D points if there is no `W`. The `axes` of ``reconstruction`` are those of a camera unless
        the file says otherwise; those of ``X`` are "" (unknown).

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FileFormatError
        If the file is damaged: the message has the array.
    ValueError
        If there is no such individual, or no confidence to go by.

    See Also
    --------
    write_npz : The way back.
    """
    path = check_file(path)
    try:
        with path.open("rb") as file:
            arrays, left_out = _arrays(path, file)
    except FileFormatError:
        raise
    except Exception as error:
        # zipfile, zlib and numpy's parser of headers raise many types on damaged bytes.
        raise FileFormatError(
            path,
            f"a damaged numpy file ({type(error).__name__}: {error})",
            way_out="Save it again.",
        ) from error
    notes = []
    if left_out:
        listed = ", ".join(map(repr, left_out[:5])) + (", ..." if left_out[5:] else "")
        notes.append(f"arrays that are not known here were left out: {listed}")
    others = {"min_confidence": min_confidence, "individual": individual, "notes": notes}
    if "fps" in arrays:
        others["fps"] = float(arrays.pop("fps"))
    others["who"] = arrays.pop("individual", None)
    for key in ("names", "edges", "frames", "individuals", "clips", "confidence"):
        if key in arrays:
            others[key] = arrays.pop(key)
    if "W" not in arrays:
        axes = _CAMERA_AXES if "reconstruction" in arrays else ""
        axes, unit = arrays.pop("axes", axes), arrays.pop("unit", "")
        (X,) = arrays.values()
        return assemble_rows("npz", path, X, axes=axes, unit=unit, **others)
    visible = [arrays[key] for key in ("mask", "visible") if key in arrays]
    if len({mask.shape for mask in visible}) > 1:
        raise FileFormatError(path, "mask and visible differ in shape")
    return assemble_rows(
        "npz",
        path,
        arrays["W"],
        visible=np.all(visible, axis=0) if visible else None,
        kind=Keypoints,
        X=arrays.get("X"),
        **others,
    )


def write_npz(path, data):
    """Write arrays in numpy's compressed npz, as :func:`read_npz` reads them.

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
        If there are no frames, or the file is to be an ``.npy``, which has no place for names.

    See Also
    --------
    read_npz : The way back.

    Examples
    --------
    >>> import numpy as np
    >>> from nrsfm_learn import io
    >>> path = io.write_npz("walk.npz", io.Points3D(np.zeros((10, 3, 3)), unit="mm"))
    >>> with np.load(path) as file:
    ...     print(file["X"].shape, file["unit"])
    (10, 3, 3) mm
    >>> path.unlink()
    """
    if as_path(path).suffix.lower() == ".npy":
        raise ValueError(f"path={str(path)!r}: an npy file has no place for names; end it in .npz.")
    if not len(data):
        raise ValueError("data has no frames to write.")
    is_2d = isinstance(data, Keypoints)
    keys = ("W", "visible") if is_2d else ("X", "unit", "axes")
    optional = ("confidence", "fps", "X") if is_2d else ("confidence", "fps")
    arrays = {key: getattr(data, key) for key in (*keys, "frames", "individual", "clips")}
    arrays |= {k: getattr(data, k) for k in optional if getattr(data, k) is not None}
    arrays["edges"] = np.array(data.edges, dtype=np.int64).reshape(-1, 2)
    arrays["names"] = np.array(data.names)
    arrays["individuals"] = np.array(data.individuals)
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return write_whole(path, content.getvalue())


def _arrays(path, file):
    """Arrays that are known, by name, and the names of the others."""
    if file.read(len(_NPY)) == _NPY:
        file.seek(0)
        array = _load(path, file, path.stat().st_size, "")
        key = {2: "W", 3: "X"}.get(array.shape[-1] if array.ndim == 3 else None)
        if key is None:
            raise FileFormatError(
                path,
                f"an array of shape {array.shape} could be several things",
                way_out="Save it with shape (n_frames, n_points, 2) or (n_frames, n_points, 3): "
                "rows of x and y in turn are W.reshape(n_frames, 2, -1).swapaxes(1, 2), all x "
                "before all y np.stack(np.split(W, 2), axis=-1).",
            )
        _check(path, array, key, *_KEYPOINTS[key])
        return {key: array}, []
    file.seek(0)
    with zipfile.ZipFile(file) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        if len(members) < len(archive.infolist()):
            raise FileFormatError(path, "two arrays in it have one name")
        known = _KEYPOINTS if "W" in members else _POINTS
        wanted = [key for key in members if key in known]
        if len({"W"} & set(wanted) or {"X", "reconstruction"} & set(wanted)) != 1:
            listed = ", ".join(map(repr, list(members)[:10])) or "none"
            raise FileFormatError(
                path,
                f"it has the arrays {listed}: neither W nor one of X and reconstruction",
                way_out=_WAY_OUT,
            )
        size, most = sum(members[key].file_size for key in wanted), path.stat().st_size
        most = max(_ALWAYS, _FOLD * most)
        if size > most:
            raise FileFormatError(
                path,
                f"its arrays would unpack to {size:,} bytes, more than {most:,}",
                way_out="If that is right, save them with numpy.savez, uncompressed.",
            )
        arrays = {}
        for key in wanted:
            with archive.open(members[key]) as member:
                arrays[key] = _load(path, member, members[key].file_size, key)
            _check(path, arrays[key], key, *known[key])
            if arrays[key].dtype.kind == "U":
                # Here, where strings of impossible letters are an error of the file.
                arrays[key] = arrays[key].tolist()
        return arrays, [key for key in members if key not in known]


def _load(path, file, size, where):
    """One array; its header may say anything."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
    else:
        raise FileFormatError(path, f"version {version} of npy is not read", where=where)
    if dtype.kind not in _KINDS or dtype.itemsize == 0:
        raise FileFormatError(
            path,
            f"dtype {dtype} is not read",
            where=where,
            way_out="Save plain arrays of numbers or strings, no objects.",
        )
    n_bytes = math.prod(shape) * dtype.itemsize
    if min(shape, default=1) < 0 or file.tell() + n_bytes != size:
        raise FileFormatError(
            path,
            f"its header says shape {shape}, which does not fit the {size:,} bytes that are there",
            where=where,
            way_out="The file is truncated or damaged: save it again.",
        )
    # One byte more, so that the end is reached, where zipfile compares the checksum.
    data = file.read(n_bytes + 1)
    if len(data) != n_bytes:
        raise FileFormatError(path, "ends too early", where=where)
    array = np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
    return array.astype(dtype.newbyteorder("="))


def _check(path, array, key, kinds, n_axes):
    if array.dtype.kind not in kinds or array.ndim != n_axes:
        wanted = " or ".join(dict.fromkeys(_KINDS[kind] for kind in kinds))
        raise FileFormatError(
            path,
            f"{wanted} with {n_axes} axes were expected, got dtype {array.dtype} and shape "
            f"{array.shape}",
            where=key,
        )
