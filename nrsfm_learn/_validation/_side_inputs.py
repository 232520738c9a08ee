"""Checks of what may come beside the keypoints: weights, intrinsics, groups, boxes."""

import numpy as np

from ._arrays import as_float, first_place, to_numpy


def check_visible_weights(weights, shape, visible=None):
    """Check weights (tracker confidences) of keypoints.

    Parameters
    ----------
    weights : array-like of shape (n_frames, n_points) or (n_points,)
        Weights, finite and not negative.
    shape : tuple of int
        (n_frames, n_points).
    visible : ndarray of bool of shape (n_frames, n_points), default=None
        Weights of points that are not visible may hold anything and become 0.

    Returns
    -------
    weights : ndarray of float64 of shape (n_frames, n_points)
        A fresh array.

    Raises
    ------
    ValueError
        If a weight is negative or not finite, all are zero, or the shape differs.
    """
    shape = tuple(shape)
    weights = as_float(weights, "weights")
    if weights.shape not in (shape, shape[1:]):
        hint = " It seems transposed: pass weights.T." if weights.shape == shape[::-1] else ""
        raise ValueError(
            f"weights must have shape (n_frames, n_points) = {shape} or (n_points,) = "
            f"{shape[1:]}, got {weights.shape}.{hint}"
        )
    weights = np.array(np.broadcast_to(weights, shape), dtype=np.float64, order="C")
    if visible is not None:
        weights[~visible] = 0.0
    bad = ~((weights >= 0) & (weights < np.inf))
    if bad.any():
        frame, point, place = first_place(bad)
        raise ValueError(
            f"weights must be finite and not negative, got {weights[frame, point]} at {place}. "
            f"Set the weight of a point that should not count to 0, or hide it with mask."
        )
    if not weights.any():
        raise ValueError("weights are all 0, so that no point counts; pass None for equal weights.")
    return weights


def check_intrinsics(K, n_frames):
    r"""Check camera intrinsics.

    .. math::

        K = \begin{pmatrix} f_x & s & c_x \\ 0 & f_y & c_y \\ 0 & 0 & 1 \end{pmatrix}

    Parameters
    ----------
    K : array-like of shape (3, 3) or (n_frames, 3, 3)
        One camera matrix, or one a frame, in pixels.
    n_frames : int
        The number of frames.

    Returns
    -------
    K : ndarray of float64 of shape (3, 3) or (n_frames, 3, 3)
        A fresh array.

    Raises
    ------
    ValueError
        If a matrix is no upper triangular camera matrix with positive focal lengths.
    """
    K = as_float(K, "intrinsics").astype(np.float64, copy=False)
    if K.shape not in ((3, 3), (n_frames, 3, 3)):
        raise ValueError(
            f"intrinsics must have shape (3, 3) or (n_frames, 3, 3) = ({n_frames}, 3, 3), got "
            f"{K.shape}. Build one as [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]."
        )
    each = K.reshape(-1, 3, 3)

    def refuse(bad, what, way_out):
        if bad.any():
            frame = int(np.argmax(bad))
            place = "" if K.ndim == 2 else f" in frame {frame}"
            raise ValueError(f"intrinsics {what}{place}: {each[frame].tolist()}. {way_out}")

    refuse(~np.isfinite(each).all(axis=(1, 2)), "are not finite", "Give every entry a number.")
    last = (each[:, 2] != (0, 0, 1)).any(axis=1)
    turned = last & (each[:, :, 2] == (0, 0, 1)).all(axis=1)
    refuse(turned, "seem transposed", "Pass intrinsics.swapaxes(-1, -2).")
    refuse(last, "must have the last row (0, 0, 1)", "Divide the matrix by its entry [2, 2].")
    refuse(each[:, 1, 0] != 0, "must be upper triangular", "Entry [1, 0] must be 0.")
    focal = np.diagonal(each, axis1=1, axis2=2)[:, :2]
    refuse((focal <= 0).any(axis=1), "must have positive focal lengths", "Check fx and fy.")
    return K


def check_groups(groups, n_frames, name="groups"):
    """Check the labels that say which clip each frame belongs to.

    Parameters
    ----------
    groups : array-like of shape (n_frames,)
        A label a frame: integers or strings.
    n_frames : int
        The number of frames.
    name : {"groups", "categories"}, default="groups"
        What messages call them.

    Returns
    -------
    groups : ndarray of shape (n_frames,)
        The labels.

    Raises
    ------
    ValueError
        If the shape differs or a label is missing.
    """
    groups = to_numpy(groups, name)
    if groups.shape != (n_frames,):
        raise ValueError(
            f"{name} must have shape (n_frames,) = ({n_frames},), one label a frame, got "
            f"{groups.shape}. From lengths of clips: np.repeat(np.arange(n_clips), lengths)."
        )
    # NaN and None are the values that pandas leaves; NaN alone differs from itself.
    missing = groups != groups
    if groups.dtype.kind == "O":
        missing = missing | np.array([label is None for label in groups], dtype=bool)
    if missing.any():
        raise ValueError(
            f"{name} has no label at frame {int(np.argmax(missing))}; give every frame its label."
        )
    return groups


def check_boxes(boxes, n_frames):
    """Check detector boxes.

    Parameters
    ----------
    boxes : array-like of shape (n_frames, 4)
        x0, y0, x1, y1 of each frame, in the units of `W`.
    n_frames : int
        The number of frames.

    Returns
    -------
    boxes : ndarray of float64 of shape (n_frames, 4)
        A fresh array.

    Raises
    ------
    ValueError
        If a box is empty or not finite, or the shape differs.
    """
    boxes = as_float(boxes, "boxes").astype(np.float64, copy=False)
    if boxes.shape != (n_frames, 4):
        hint = " It seems transposed: pass boxes.T." if boxes.shape == (4, n_frames) else ""
        raise ValueError(
            f"boxes must have shape (n_frames, 4) = ({n_frames}, 4) with columns x0, y0, x1, y1, "
            f"got {boxes.shape}.{hint}"
        )
    infinite = ~np.isfinite(boxes).all(axis=1)
    if infinite.any():
        frame = int(np.argmax(infinite))
        raise ValueError(
            f"boxes are not finite at frame {frame}: {boxes[frame].tolist()}. Give every frame a "
            f"box, or pass boxes=None to use the visible points."
        )
    empty = (boxes[:, 2] <= boxes[:, 0]) | (boxes[:, 3] <= boxes[:, 1])
    if empty.any():
        frame = int(np.argmax(empty))
        raise ValueError(
            f"boxes must have x1 > x0 and y1 > y0, but at frame {frame} they are "
            f"{boxes[frame].tolist()}. If the columns are x, y, width, height, pass "
            f"np.c_[boxes[:, :2], boxes[:, :2] + boxes[:, 2:]]."
        )
    return boxes
