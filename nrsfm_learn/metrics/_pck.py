"""Fraction of points within a threshold, and the area under that curve."""

import numpy as np

from ._compare import compare, point_mean, reduce_frames
from ._mpjpe import point_distances


def _distances(X_true, X_pred, mask, threshold, protocol, align, root, flip, on_nan):
    threshold = float(threshold)
    if not (threshold > 0 and np.isfinite(threshold)):
        raise ValueError(f"threshold={threshold} must be a positive length, in the unit of X_true.")
    comparison = compare(X_true, X_pred, mask, on_nan)
    return comparison, point_distances(comparison, protocol, align, root, flip), threshold


def pck(
    X_true,
    X_pred,
    *,
    threshold,
    protocol,
    mask=None,
    align="mean",
    root=None,
    flip="none",
    on_nan="omit",
    reduction="mean",
):
    r"""Fraction of points whose distance to the truth is at most a threshold.

    .. math::

        \mathrm{PCK}(\tau) = \frac{1}{F} \sum_f \frac{1}{|V_f|}
        \bigl| \{ i \in V_f : d_{fi} \le \tau \} \bigr|

    with the distances :math:`d_{fi}` of :func:`mpjpe`, :func:`n_mpjpe` or :func:`pa_mpjpe`.

    Parameters
    ----------
    X_true, X_pred : array-like of shape (n_frames, n_points, 3)
        Ground truth and prediction. A point that is NaN in ``X_true`` does not count.
    threshold : float
        The threshold, in the unit of ``X_true``; 150 mm is usual for human bodies.
    protocol : {"mpjpe", "n_mpjpe", "pa_mpjpe"}
        What is fitted before distances are taken. Required: the fractions differ widely.
    mask : array-like of bool, shape (n_frames, n_points), default=None
        Points of the ground truth that count. A frame with fewer than two is left out.
    align : {"mean", "root", "depth", "root_depth"}, default="mean"
        What is subtracted from both: see :func:`mpjpe`.
    root : int, default=None
        Index of the root point, for ``align="root"`` and ``"root_depth"``.
    flip : {"none", "frame", "sequence"}, default="none"
        Sign of the predicted depth, the one with the smaller mean distance: see :func:`mpjpe`.
    on_nan : {"omit", "raise"}, default="omit"
        Frames whose prediction is all NaN are left out of the mean, or refused.
    reduction : {"mean", "none"}, default="mean"
        The mean over frames, or the fraction of each frame (NaN for a frame that was left out).

    Returns
    -------
    float or ndarray of shape (n_frames,)
        Fraction in [0, 1]; higher is better.

    Raises
    ------
    TypeError, ValueError
        Malformed input, or no frame to compare.

    See Also
    --------
    auc : The mean of this over all thresholds up to one.

    References
    ----------
    D. Mehta et al., "Monocular 3D human pose estimation in the wild using improved CNN
    supervision", 3DV 2017.
    """
    comparison, distances, threshold = _distances(
        X_true, X_pred, mask, threshold, protocol, align, root, flip, on_nan
    )
    within = (distances <= threshold) & comparison.counted
    return reduce_frames(point_mean(within, comparison.counted), comparison.kept, reduction)


def auc(
    X_true,
    X_pred,
    *,
    threshold,
    protocol,
    mask=None,
    align="mean",
    root=None,
    flip="none",
    on_nan="omit",
    reduction="mean",
):
    r"""Area under the curve of :func:`pck` from zero to a threshold, divided by the threshold.

    .. math::

        \frac{1}{\tau} \int_0^{\tau} \mathrm{PCK}(t)\, dt
        = \frac{1}{F} \sum_f \frac{1}{|V_f|} \sum_{i \in V_f}
        \max\bigl(0,\, 1 - d_{fi} / \tau \bigr)

    The integral is exact; published figures average a grid of about 30 thresholds, which is its
    Riemann sum.

    Parameters
    ----------
    X_true, X_pred : array-like of shape (n_frames, n_points, 3)
        Ground truth and prediction. A point that is NaN in ``X_true`` does not count.
    threshold : float
        The largest threshold, in the unit of ``X_true``.
    protocol : {"mpjpe", "n_mpjpe", "pa_mpjpe"}
        What is fitted before distances are taken.
    mask : array-like of bool, shape (n_frames, n_points), default=None
        Points of the ground truth that count. A frame with fewer than two is left out.
    align : {"mean", "root", "depth", "root_depth"}, default="mean"
        What is subtracted from both: see :func:`mpjpe`.
    root : int, default=None
        Index of the root point, for ``align="root"`` and ``"root_depth"``.
    flip : {"none", "frame", "sequence"}, default="none"
        Sign of the predicted depth, the one with the smaller mean distance: see :func:`mpjpe`.
    on_nan : {"omit", "raise"}, default="omit"
        Frames whose prediction is all NaN are left out of the mean, or refused.
    reduction : {"mean", "none"}, default="mean"
        The mean over frames, or the area of each frame (NaN for a frame that was left out).

    Returns
    -------
    float or ndarray of shape (n_frames,)
        Area in [0, 1]; higher is better.

    Raises
    ------
    TypeError, ValueError
        Malformed input, or no frame to compare.

    See Also
    --------
    pck : One point of the curve.

    References
    ----------
    D. Mehta et al., "Monocular 3D human pose estimation in the wild using improved CNN
    supervision", 3DV 2017.
    """
    comparison, distances, threshold = _distances(
        X_true, X_pred, mask, threshold, protocol, align, root, flip, on_nan
    )
    share = np.maximum(0.0, 1.0 - distances / threshold) * comparison.counted
    return reduce_frames(point_mean(share, comparison.counted), comparison.kept, reduction)
