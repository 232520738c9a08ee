"""What every metric shares: which points count, centring, the depth flip, the mean over frames."""

from typing import NamedTuple

import numpy as np

from .._validation import check_mask
from .._validation._arrays import as_float, check_axes, check_values, first_place, listed

_MIRROR = np.array([1.0, 1.0, -1.0])


class Comparison(NamedTuple):
    """Two sets of shapes on the frames that can be compared.

    Attributes
    ----------
    true, pred : ndarray of shape (n_kept, n_points, 3)
        Coordinates; zero where a point does not count, so that sums need no second mask.
    counted : ndarray of bool, shape (n_kept, n_points)
        Points that count.
    kept : ndarray of bool, shape (n_frames,)
        Frames of the input that are compared.
    usable : ndarray of bool, shape (n_frames,)
        Frames with ground truth to compare with, whether there is a prediction or not.
    """

    true: np.ndarray
    pred: np.ndarray
    counted: np.ndarray
    kept: np.ndarray
    usable: np.ndarray


def check_option(name, value, allowed):
    """Raise a ValueError that names the argument and what it may be."""
    if not isinstance(value, str) or value not in allowed:
        choices = ", ".join(repr(a) for a in allowed)
        raise ValueError(f"{name}={value!r} is not known: use one of {choices}.")
    return value


def compare(X_true, X_pred, mask, on_nan):
    """Check both arguments and keep what can be compared.

    A point counts where ``mask`` is True and ``X_true`` is not NaN; a frame counts with at least
    two such points (one point has no shape) and a prediction that is not NaN throughout.

    Parameters
    ----------
    X_true, X_pred : array-like of shape (n_frames, n_points, 3)
        Ground truth and prediction.
    mask : array-like of bool, shape (n_frames, n_points), or None
        Points of the ground truth that count.
    on_nan : {"omit", "raise"}
        What to do with frames whose prediction is all NaN.

    Returns
    -------
    Comparison
        The frames and points to compare.

    Raises
    ------
    TypeError, ValueError
        Malformed input, or nothing left to compare.
    """
    check_option("on_nan", on_nan, ("omit", "raise"))
    true, pred = as_float(X_true, "X_true"), as_float(X_pred, "X_pred")
    check_axes(true, 3, "X_true")
    check_axes(pred, 3, "X_pred")
    if true.shape != pred.shape:
        raise ValueError(
            f"X_true has shape {true.shape} and X_pred {pred.shape}; they must hold the same "
            "frames and points, in the same order."
        )
    if mask is not None:
        mask = check_mask(mask, true.shape[:2])
    counted = check_values(true, mask, "X_true")
    found = check_values(pred, counted, "X_pred")
    usable = counted.sum(1) >= 2

    absent = usable & ~found.any(1)
    if absent.any() and on_nan == "raise":
        raise ValueError(
            f"X_pred is NaN in frames {listed(np.flatnonzero(absent))}; "
            'on_nan="omit" leaves them out of the mean.'
        )
    kept = usable & ~absent
    lost = counted & ~found & kept[:, None]
    if lost.any():
        frame, point, place = first_place(lost)
        raise ValueError(
            f"X_pred is NaN at {place}, though the frame has other points; only whole frames may "
            f"be missing. Leave the point out with mask[{frame}, {point}] = False."
        )
    if not kept.any():
        raise ValueError(
            f"nothing to compare: of {len(true)} frames, {int((~usable).sum())} have fewer than "
            f"two points that count and {int(absent.sum())} have an X_pred of NaN."
        )
    counted = counted[kept]
    inside = counted[:, :, None]
    true, pred = (np.where(inside, X[kept], 0.0).astype(np.float64) for X in (true, pred))
    return Comparison(true, pred, counted, kept, usable)


def point_mean(values, counted):
    """Mean over the points that count: (K, P) -> (K,) or (K, P, 3) -> (K, 3), zeros elsewhere."""
    n = counted.sum(1)
    return values.sum(1) / (n if values.ndim == 2 else n[:, None])


def subtract(X, origin, counted):
    """Subtract one (K, 3) origin a frame; points that do not count stay zero."""
    return np.where(counted[:, :, None], X - origin[:, None], 0.0)


def centred(comparison):
    """Return (true, pred), each minus the mean of the points that count."""
    true, pred, counted = comparison[:3]
    return (
        subtract(true, point_mean(true, counted), counted),
        subtract(pred, point_mean(pred, counted), counted),
    )


def frobenius(X):
    """Frobenius norm of each frame."""
    return np.sqrt(np.einsum("fpi,fpi->f", X, X))


def choose_flip(values_of, pred, flip, frame_error=lambda values: values):
    """Evaluate ``values_of(pred)`` under the sign of depth that ``flip`` asks for.

    Parameters
    ----------
    values_of : callable
        (K, P, 3) -> (K,) or (K, P).
    pred : ndarray of shape (K, P, 3)
        Aligned prediction: the flip is about its zero depth.
    flip : {"none", "frame", "best", "sequence"}
        Keep the sign; the better one in each frame ("best" is another name); one for all frames.
    frame_error : callable
        What is lower for the better sign: values -> (K,).

    Returns
    -------
    ndarray
        What ``values_of`` returns.
    """
    check_option("flip", flip, ("none", "frame", "best", "sequence"))
    values = values_of(pred)
    if flip == "none":
        return values
    mirrored = values_of(pred * _MIRROR)
    gain = frame_error(values) - frame_error(mirrored)
    better = gain > 0 if flip != "sequence" else np.full(len(gain), gain.mean() > 0)
    return np.where(better.reshape(-1, *[1] * (values.ndim - 1)), mirrored, values)


def reduce_frames(values, kept, reduction):
    """Mean of (K,) values, or (F,) values with NaN where a frame was left out."""
    check_option("reduction", reduction, ("mean", "none"))
    if reduction == "mean":
        return float(values.mean())
    every = np.full(len(kept), np.nan)
    every[kept] = values
    return every
