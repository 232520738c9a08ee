"""Checks of keypoints, masks and 3-D shapes."""

import numpy as np

from ._arrays import as_float, check_axes, check_values, listed, to_numpy


def check_mask(mask, shape, name="mask"):
    """Check a visibility mask.

    Parameters
    ----------
    mask : array-like of bool of shape (n_frames, n_points)
        True where a keypoint is visible.
    shape : tuple of int
        The (n_frames, n_points) that it must have.
    name : str, default="mask"
        What messages call it.

    Returns
    -------
    mask : ndarray of bool of shape (n_frames, n_points)
        The mask; not a copy.

    Raises
    ------
    TypeError
        If it is not boolean.
    ValueError
        If it has another shape.
    """
    mask = to_numpy(mask, name)
    shape = tuple(shape)
    if mask.dtype != bool:
        if mask.dtype.kind in "iu" and np.isin(mask, (0, 1)).all():
            hint = f"pass {name}.astype(bool)."
        elif mask.dtype.kind == "f":
            hint = (
                f"if these are confidences, pass {name} > threshold; if they are 0 and 1, "
                f"{name}.astype(bool)."
            )
        else:
            hint = "True where a keypoint is visible."
        raise TypeError(f"{name} must be boolean, got dtype {mask.dtype}; {hint}")
    if mask.shape != shape:
        hint = ""
        if mask.shape == shape[::-1]:
            hint = f" It seems transposed: pass {name}.T."
        elif mask.shape[:2] == shape and mask.ndim == 3:
            hint = f" One entry a point is wanted: pass {name}.all(axis=-1)."
        elif mask.shape == shape[1:]:
            hint = f" For one mask for all frames, pass np.broadcast_to({name}, {shape})."
        raise ValueError(
            f"{name} must have shape (n_frames, n_points) = {shape}, got {mask.shape}.{hint}"
        )
    return mask


def poor_frames(visible, min_visible=3):
    """Tell which frames show too few points.

    Parameters
    ----------
    visible : ndarray of bool of shape (n_frames, n_points)
        True where a keypoint is visible.
    min_visible : int, default=3
        A frame with fewer visible points is poor.

    Returns
    -------
    poor : ndarray of bool of shape (n_frames,)
        True for poor frames.
    """
    return np.count_nonzero(visible, axis=1) < min_visible


def constant_frames(W):
    """Tell in which frames two or more visible points all coincide.

    Parameters
    ----------
    W : ndarray of float of shape (n_frames, n_points, n_coordinates)
        Points, NaN where hidden.

    Returns
    -------
    constant : ndarray of bool of shape (n_frames,)
        True where all visible points are one place, up to the rounding of the coordinates.
    """
    low, high = np.fmin.reduce(W, axis=1), np.fmax.reduce(W, axis=1)
    rounding = 4 * np.finfo(W.dtype).eps * np.maximum(np.abs(low), np.abs(high))
    together = (high - low <= rounding).all(axis=1)
    # Counting is needed only where the points coincide, which is rare.
    together[together] = np.count_nonzero(~np.isnan(W[together, :, 0]), axis=1) >= 2
    return together


def check_n_points(array, n_points, name, estimator_name="this estimator"):
    """Refuse an array whose second axis is not as long as it was in `fit`.

    Parameters
    ----------
    array : ndarray of shape (n_frames, n_points, n_coordinates)
        Keypoints or shapes.
    n_points : int
        The number of points seen in `fit`.
    name : str
        What messages call the array.
    estimator_name : str, default="this estimator"
        Who expects `n_points`.

    Raises
    ------
    ValueError
        If the numbers differ.
    """
    if array.shape[1] != n_points:
        raise ValueError(
            f"{name} has {array.shape[1]} points, but {estimator_name} is expecting {n_points} "
            f"points as input: those of fit, in the same order. Points not measured here are "
            f"np.nan."
        )


def check_W(
    W,
    mask=None,
    *,
    n_points=None,
    min_frames=1,
    min_visible=3,
    poor_frames="allow",
    allow_constant=True,
    allow_unseen_points=True,
    name="W",
    estimator_name="this estimator",
):
    """Check 2-D keypoints and join the two ways of saying what is missing.

    Parameters
    ----------
    W : array-like of shape (n_frames, n_points, 2)
        Keypoints; NaN in both coordinates where missing. Lists and tensors are taken too.
    mask : array-like of bool of shape (n_frames, n_points), default=None
        True where a keypoint is visible. Entries of `W` where it is False may hold anything.
    n_points : int, default=None
        The number of points seen in `fit`.
    min_frames : int, default=1
        Fewest frames that the caller can work with.
    min_visible : int, default=3
        A frame with fewer visible points is poor.
    poor_frames : {"allow", "raise"}, default="allow"
        With "allow", poor frames are the caller's to handle.
    allow_constant : bool, default=True
        If False, refuse frames that are not poor and whose visible points all coincide.
    allow_unseen_points : bool, default=True
        If False, refuse points that no frame shows.
    name : str, default="W"
        What messages call it.
    estimator_name : str, default="this estimator"
        Who expects `n_points`, for the message.

    Returns
    -------
    W : ndarray of shape (n_frames, n_points, 2)
        A fresh C-contiguous array, NaN exactly where not visible; float32 and float16 become
        float32, everything else float64.
    visible : ndarray of bool of shape (n_frames, n_points)
        True where `W` is not NaN and `mask` is True; a fresh array as well.

    Raises
    ------
    TypeError
        If `W` is not numeric, or `mask` is not boolean.
    ValueError
        If a shape or a value is wrong; the message says where and what to do.
    """
    W = as_float(W, name)
    check_axes(W, 2, name)
    n_frames, found = W.shape[:2]
    if found == 0:
        raise ValueError(f"{name} has 0 points (shape {W.shape}); at least 1 is required.")
    if n_points is not None:
        check_n_points(W, n_points, name, estimator_name)
    if n_frames < min_frames:
        raise ValueError(
            f"{name} has {n_frames} frame(s) (n_samples={n_frames}, shape {W.shape}) while a "
            f"minimum of {min_frames} is required; give more frames."
        )
    if mask is not None:
        mask = check_mask(mask, W.shape[:2])
    visible = check_values(W, mask, name)
    W[~visible] = np.nan

    if poor_frames == "raise":
        poor = np.flatnonzero(np.count_nonzero(visible, axis=1) < min_visible)
        if len(poor):
            raise ValueError(
                f"{name} has {len(poor)} frame(s) with fewer than {min_visible} visible points: "
                f"{listed(poor)}. Drop them, {name}[mask.sum(axis=1) >= {min_visible}], or fill in "
                f"their missing keypoints."
            )
    if not allow_unseen_points:
        unseen = np.flatnonzero(~visible.any(axis=0))
        if len(unseen):
            raise ValueError(
                f"{name} never shows the point(s) {listed(unseen)} in any of {n_frames} frames, so "
                f"that nothing can be learned about them. Drop them with "
                f"np.delete({name}, {listed(unseen, most=found)}, axis=1), or add frames that "
                f"show them."
            )
    if not allow_constant:
        enough = np.count_nonzero(visible, axis=1) >= min_visible
        constant = np.flatnonzero(constant_frames(W) & enough)
        if len(constant):
            raise ValueError(
                f"{name} is constant in {len(constant)} frame(s): {listed(constant)}. All their "
                f"visible points coincide and have no shape: set these frames to np.nan, or "
                f"drop them."
            )
    return W, visible


def split_y(y, mask=None):
    """Sort out what scikit-learn's second argument is: a mask or a ground truth.

    Parameters
    ----------
    y : None, array-like of bool of shape (n_frames, n_points), or of float (n_frames, n_points, 3)
        A boolean matrix is the mask; 3-D points are a ground truth for scorers.
    mask : array-like of bool of shape (n_frames, n_points), default=None
        A mask given under its own name.

    Returns
    -------
    y : None or ndarray of shape (n_frames, n_points, 3)
        The ground truth, if there was one.
    mask : None or ndarray of bool of shape (n_frames, n_points)
        The mask; where both are given, True where both are.

    Raises
    ------
    TypeError
        If `y` is neither.
    ValueError
        If `y` and `mask` differ in shape.
    """
    if y is None:
        return None, mask
    y = to_numpy(y, "y")
    if y.dtype == bool and y.ndim == 2:
        return None, y if mask is None else y & check_mask(mask, y.shape)
    if y.dtype.kind in "fiu" and y.ndim == 3 and y.shape[2] == 3:
        return (y if y.dtype.kind == "f" else y.astype(np.float64)), mask
    hint = ""
    if y.ndim == 2 and y.dtype.kind in "iuf" and np.isin(y, (0, 1)).all():
        hint = " If it is the mask, pass y.astype(bool)."
    raise TypeError(
        f"y has dtype {y.dtype} and shape {y.shape}. It must be None, the boolean mask of shape "
        f"(n_frames, n_points), or 3-D ground truth of shape (n_frames, n_points, 3).{hint}"
    )


def check_shapes_3d(X, name="X", shape=None):
    """Check 3-D shapes: a ground truth or a reconstruction.

    Parameters
    ----------
    X : array-like of shape (n_frames, n_points, 3)
        Points as rows; NaN in all coordinates where unknown.
    name : str, default="X"
        What messages call it.
    shape : tuple of int, default=None
        The (n_frames, n_points) that it must have.

    Returns
    -------
    X : ndarray of shape (n_frames, n_points, 3)
        A fresh float32 or float64 array.

    Raises
    ------
    TypeError
        If it is not numeric.
    ValueError
        If a shape or a value is wrong; the message says where and what to do.
    """
    X = as_float(X, name)
    check_axes(X, 3, name)
    if 0 in X.shape:
        raise ValueError(f"{name} is empty (shape {X.shape}).")
    if shape is not None and X.shape[:2] != tuple(shape[:2]):
        raise ValueError(
            f"{name} has (n_frames, n_points) = {X.shape[:2]}, but {tuple(shape[:2])} is expected; "
            f"it must hold the same frames and points, in the same order."
        )
    check_values(X, None, name)
    return X
