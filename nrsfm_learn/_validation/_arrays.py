"""What every check shares: conversion to floats, axes, values, and where they are bad."""

import numpy as np

# Beyond these, a square (or the sum of a few) leaves the range of the type.
_LARGEST = {np.dtype(np.float32): 1e18, np.dtype(np.float64): 1e150}


def to_numpy(array, name):
    """Turn array-likes and tensors into an ndarray without copying where that is possible."""
    if np.ma.isMaskedArray(array):
        raise TypeError(
            f"{name} is a numpy masked array, whose mask is lost in most array functions; call "
            f"{name}.filled(np.nan) for floats, or pass its data and mask=~np.ma.getmaskarray(...)."
        )
    if hasattr(array, "toarray") and hasattr(array, "nnz"):
        raise TypeError(f"{name} is a sparse matrix; keypoints are dense: call {name}.toarray().")
    if hasattr(array, "detach") and hasattr(array, "cpu"):
        try:
            return array.detach().cpu().numpy()
        except TypeError as error:
            raise TypeError(
                f"{name} is a tensor of dtype {array.dtype}, which numpy does not have; "
                f"call {name}.float()."
            ) from error
    try:
        return np.asarray(array)
    except ValueError as error:
        raise ValueError(
            f"{name} is not a regular array: its rows differ in length ({error}). Pad what is "
            f"missing with np.nan."
        ) from error


def as_float(array, name):
    """Return a fresh C-contiguous float32 or float64 copy; refuse what is not a real number."""
    array = to_numpy(array, name)
    kind = array.dtype.kind
    if kind == "c":
        raise ValueError(
            f"Complex data not supported: {name} has dtype {array.dtype}. If the points are "
            f"x + iy, pass np.stack([{name}.real, {name}.imag], axis=-1)."
        )
    if kind == "b":
        raise TypeError(
            f"{name} has dtype bool, which is what a visibility mask has; were {name} and mask "
            f"exchanged?"
        )
    if kind not in "fiu":
        hint = " Mark missing keypoints with np.nan, not None." if kind == "O" else ""
        raise TypeError(
            f"{name} has dtype {array.dtype}; it must hold real numbers. Convert it with "
            f"np.asarray({name}, dtype=float).{hint}"
        )
    single = kind == "f" and array.dtype.itemsize <= 4
    # A long double beyond float64 becomes inf here, which is reported as such later.
    with np.errstate(over="ignore"):
        return np.array(array, dtype=np.float32 if single else np.float64, order="C", copy=True)


def listed(indices, most=5):
    """Write the first few indices as text."""
    text = ", ".join(str(int(i)) for i in indices[:most])
    return f"[{text}, ...]" if len(indices) > most else f"[{text}]"


def first_place(bad):
    """Write the first place where a (n_frames, n_points) array is True, and how many there are."""
    frame, point = np.unravel_index(np.argmax(bad), bad.shape)
    n_more = int(np.count_nonzero(bad)) - 1
    more = f" (and {n_more} more)" if n_more else ""
    return int(frame), int(point), f"frame {frame}, point {point}{more}"


def check_axes(array, n_coordinates, name):
    """Refuse anything but (n_frames, n_points, n_coordinates), saying how to get there."""
    shape = array.shape
    wanted = f"(n_frames, n_points, {n_coordinates})"
    if array.ndim == 3 and shape[2] == n_coordinates:
        return
    hint = ""
    if array.ndim == 2 and n_coordinates == 2:
        if shape[1] % 2 == 0:
            hint = (
                f" If the columns are x1, y1, x2, y2, ..., reshape your data with "
                f"{name}.reshape(len({name}), -1, 2); if all x come before all y, with "
                f"np.stack(np.split({name}, 2, axis=1), axis=-1)."
            )
        if shape[0] % 2 == 0:
            hint += (
                f" If the rows are the x and the y of a frame in turn, use "
                f"{name}.reshape(-1, 2, {shape[1]}).swapaxes(1, 2)."
            )
        if shape[1] == 2:
            hint = f" If it is a single frame, pass {name}[None]."
    elif array.ndim == 2:
        hint = f" A single shape is {name}[None]."
    elif array.ndim == 3 and shape[1] == n_coordinates:
        hint = f" The last two axes seem exchanged: pass {name}.swapaxes(1, 2)."
    elif array.ndim == 3 and shape[0] == n_coordinates:
        hint = f" The coordinates come first: pass np.moveaxis({name}, 0, -1)."
    elif array.ndim == 3 and n_coordinates == 2 and shape[2] == 3:
        hint = (
            f" It looks like 3-D points, or 2-D points with a confidence: pass {name}[..., :2], "
            f"and the confidence as mask={name}[..., 2] > threshold."
        )
    elif array.ndim == 4 and shape[3] == n_coordinates:
        hint = (
            f" Several sequences are stacked along frames: pass "
            f"{name}.reshape(-1, *{name}.shape[2:]), and groups to tell them apart."
        )
    raise ValueError(f"{name} must have shape {wanted}, got {shape}.{hint}")


def check_values(array, mask, name):
    """Return where points are visible, after refusing half-missing, infinite and huge ones."""
    nan = np.isnan(array)
    some = nan.any(axis=2)
    half = some & ~nan.all(axis=2)
    if mask is not None:
        half &= mask
    if half.any():
        frame, point, place = first_place(half)
        axis = "xyz"[int(np.argmax(nan[frame, point]))]
        raise ValueError(
            f"{name} is NaN in {axis} only at {place}. A keypoint is missing as a whole: set all "
            f"its coordinates to np.nan, or hide it with mask[{frame}, {point}] = False."
        )
    visible = ~some if mask is None else mask & ~some
    limit = _LARGEST[array.dtype]
    # Two comparisons rather than an absolute value: no temporary of the size of the array.
    far = array > limit
    far |= array < -limit
    far = far.any(axis=2) & visible
    if far.any():
        frame, point, place = first_place(far)
        worst = array[frame, point]
        if np.isinf(worst).any():
            raise ValueError(
                f"{name} is infinite at {place}. Mark a missing keypoint with np.nan, or hide it "
                f"with mask[{frame}, {point}] = False."
            )
        raise ValueError(
            f"{name} is too large at {place}: {np.abs(worst).max():.3g}, whose square overflows "
            f"{array.dtype}. Rescale it, for example {name} / np.nanmax(np.abs({name}))."
        )
    return visible
