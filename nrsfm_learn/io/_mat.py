"""MATLAB files of NRSfM sequences."""

import numpy as np

from ..datasets._recorded import blocked, complete_rotations, interleaved
from ._assemble import assemble_rows
from ._errors import FileFormatError
from ._isolated import run_isolated
from ._source import check_file

_HDF5 = b"\x89HDF\r\n\x1a\n"
_LAYOUTS = {"interleaved": interleaved, "blocked": blocked}
# What is far above rounding, and far below what a wrong camera would leave.
_TOLERANCE = 1e-6


def looks_like_mat(probe):
    """Tell whether a file begins like a MATLAB file.

    Parameters
    ----------
    probe : Probe
        The file.

    Returns
    -------
    bool
        True if so.
    """
    return _version(probe.head) is not None


def read_mat(path, *, key=None, layout=None, y_up=None):
    r"""Read a sequence as NRSfM papers publish them, in MATLAB's format (before 7.3).

    Two conventions are recognised by the names of the arrays:

    - ``W`` (2 n_frames, n_points), rows x1, y1, x2, y2, ... ("interleaved"); if they are there,
      ``S`` (3 n_frames, n_points) is the ground truth, ``Rs`` (2 n_frames, 3) has two rows of the
      camera of each frame, so that :math:`W_f = R_f S_f`, and ``list`` has edges counted from 1
      [1]_. Without ``Rs``, the camera stands, along one of the axes.
    - ``P3_gt`` (3 n_frames, n_points), all rows of x, then of y, then of z ("blocked"): the ground
      truth in the camera frame, whose first two thirds are the keypoints [2]_.

    Other matrices of keypoints are named with `key` and, where x and y do not alternate, `layout`.

    Parameters
    ----------
    path : path-like
        File.
    key : str, default=None
        Name of the matrix of keypoints, (2 n_frames, n_points), or (n_frames, n_points, 2).
    layout : {"interleaved", "blocked"}, default=None
        Order of its rows; by default that of the conventions, "interleaved" with `key`.
    y_up : bool, default=None
        Whether y is up in the file and must be turned to point down, as in an image: y becomes -y,
        and (x, y, z) of the ground truth (x, -y, -z). None does so, with a note, for ``W`` that
        comes with ``S`` or ``Rs``, whose published sequences are y up.

    Returns
    -------
    Keypoints
        NaN is missing. `X` is the ground truth in the camera frame, in the units of the file and
        not centred; None if there is none that projects to `W`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FileFormatError
        If the file is damaged, of version 7.3, or has none of these arrays; lists those it has.
    ValueError
        If `layout` is unknown, or `y_up` anything else.

    References
    ----------
    .. [1] I. Akhter, Y. Sheikh, S. Khan and T. Kanade, Trajectory space: a dual representation for
       nonrigid structure from motion, TPAMI 33(7), 2011.
    .. [2] L. Torresani, A. Hertzmann and C. Bregler, Nonrigid structure-from-motion: estimating
       shape and motion with hierarchical priors, TPAMI 30(5), 2008.
    """
    if layout not in (None, *_LAYOUTS):
        raise ValueError(f"layout must be 'interleaved' or 'blocked', got {layout!r}.")
    if y_up not in (None, True, False):
        raise ValueError(f"y_up must be True, False or None, got {y_up!r}.")
    path = check_file(path)
    with path.open("rb") as file:
        version = _version(file.read(1024))
    if version is None:
        raise FileFormatError(path, "no MATLAB file", way_out="Name its format with format=.")
    if version == "7.3":
        raise FileFormatError(
            path,
            "a MATLAB file of version 7.3, which is not read",
            way_out="Save it in MATLAB with save(name, '-v7').",
        )
    found = run_isolated("nrsfm_learn.io._mat_arrays", "load_arrays", path)
    listed = ", ".join(found.pop("listed")) or "none"
    arrays = {name[1:]: array for name, array in found.items()}
    if key is None:
        key = next((name for name in ("W", "P3_gt") if name in arrays), None)
    if key not in arrays:
        what = "neither W nor P3_gt" if key is None else f"no array {key!r} of numbers"
        raise FileFormatError(
            path, f"has {what}; it has {listed}", way_out="Name the matrix of keypoints with key=."
        )
    others, notes = {}, []
    if key == "P3_gt":
        X = _unstack(path, arrays[key], key, layout or "blocked", 3)
        W = X[..., :2]
        others["X"] = X
    else:
        W = _unstack(path, arrays[key], key, layout or "interleaved", 2)
    if key == "W" and "S" in arrays:
        S = _unstack(path, arrays["S"], "S", layout or "interleaved", 3)
        others["X"], notes = _in_camera(path, W, S, arrays.get("Rs"))
    if y_up or (y_up is None and key == "W" and not {"S", "Rs"}.isdisjoint(arrays)):
        W = W * [1.0, -1.0]
        if others.get("X") is not None:
            others["X"] = others["X"] * [1.0, -1.0, -1.0]
        notes.append("y was up and was turned down, as in an image (y_up=False leaves it)")
    if "list" in arrays:
        others["edges"] = _edges(path, arrays["list"], W.shape[1])
    return assemble_rows("mat", path, W, notes=notes, **others)


def _version(head):
    """Return "4", "5" or "7.3", None if it is no MATLAB file."""
    if head[512:520] == _HDF5 or head.startswith(_HDF5):
        return "7.3"
    if head[126:128] in (b"IM", b"MI"):
        return "5"
    # Version 4 begins with a type below 5000, and a length of the first name.
    for order in "<>":
        words = np.frombuffer(head[:20].ljust(20, b"\xff"), f"{order}i4")
        if 0 <= words[0] < 5000 and words[3] in (0, 1) and 0 < words[4] < 64:
            return "4"
    return None


def _unstack(path, matrix, key, layout, n_axes):
    """Points (n_frames, n_points, n_axes)."""
    if matrix.ndim == 3 and matrix.shape[2] == n_axes:
        return matrix.astype(np.float64)
    if matrix.ndim != 2 or len(matrix) % n_axes or 0 in matrix.shape:
        raise FileFormatError(
            path,
            f"{n_axes} rows a frame and a column a point were expected, got shape {matrix.shape}",
            where=key,
        )
    return _LAYOUTS[layout](matrix.astype(np.float64), n_axes)


def _in_camera(path, W, S, rows):
    """Ground truth in the camera frame, or None; and notes."""
    if S.shape[:2] != W.shape[:2]:
        raise FileFormatError(path, f"S has shape {S.shape} and W {W.shape}", where="S")
    if rows is None:
        # Turned such that the camera, which stands, sees the first two axes.
        candidates = [np.roll(S, k, axis=-1) for k in range(3)]
    elif rows.shape != (2 * len(W), 3):
        raise FileFormatError(
            path, f"shape {(2 * len(W), 3)} was expected, got {rows.shape}", where="Rs"
        )
    else:
        R = complete_rotations(rows.astype(np.float64))
        candidates = [S @ R.swapaxes(-1, -2)]
    for X in candidates:
        seen = ~np.isnan(W).any(-1) & ~np.isnan(X).any(-1)
        # Where the object is does not count: S is centred as a rule, W need not be.
        with np.errstate(over="ignore", invalid="ignore"):
            error, size = _spread(X[..., :2] - W, seen), _spread(W, seen)
        if error <= _TOLERANCE * size:
            return X, []
    return None, ["the ground truth S was left out: it does not project to W"]


def _spread(points, seen):
    """Sum of squared distances from the centroid of each frame."""
    points = np.where(seen[..., None], points, 0.0)
    n_seen = np.maximum(seen.sum(axis=1), 1)[:, None, None]
    centred = points - points.sum(axis=1, keepdims=True) / n_seen
    return np.sum(np.where(seen[..., None], centred, 0.0) ** 2)


def _edges(path, edges, n_points):
    """Pairs counted from 0 of those counted from 1."""
    whole = edges.ndim == 2 and edges.shape[1] == 2 and (edges == np.round(edges)).all()
    if not whole or not ((edges >= 1) & (edges <= n_points)).all():
        raise FileFormatError(
            path,
            f"pairs of points 1 to {n_points} were expected (shape {edges.shape})",
            where="list",
        )
    return edges.astype(np.int64) - 1
