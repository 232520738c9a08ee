"""Stress: how far the distances within a shape are off."""

import numpy as np

from ._compare import compare, reduce_frames


def stress(X_true, X_pred, *, mask=None, on_nan="omit", reduction="mean"):
    r"""Mean absolute error of the distances between all pairs of points; needs no alignment.

    .. math::

        \frac{1}{F} \sum_f \binom{|V_f|}{2}^{-1} \sum_{j < k \in V_f}
        \Bigl|\, \| \hat x_{fj} - \hat x_{fk} \|_2 - \| x_{fj} - x_{fk} \|_2 \,\Bigr|

    Rotating, translating or mirroring the prediction does not change it; scaling does. Some papers
    divide by :math:`|V_f| (|V_f| - 1)` instead, or fit a scale first: their figures differ.

    Parameters
    ----------
    X_true, X_pred : array-like of shape (n_frames, n_points, 3)
        Ground truth and prediction in one unit, each in any frame. A point that is NaN in
        ``X_true`` does not count.
    mask : array-like of bool, shape (n_frames, n_points), default=None
        Points of the ground truth that count. A frame with fewer than two is left out.
    on_nan : {"omit", "raise"}, default="omit"
        Frames whose prediction is all NaN are left out of the mean, or refused.
    reduction : {"mean", "none"}, default="mean"
        The mean over frames, or the error of each frame (NaN for a frame that was left out).

    Returns
    -------
    float or ndarray of shape (n_frames,)
        Stress in the unit of ``X_true``; lower is better.

    Raises
    ------
    TypeError, ValueError
        Malformed input, or no frame to compare.

    See Also
    --------
    pa_mpjpe : Position error after a similarity transform.

    References
    ----------
    D. Novotny, N. Ravi, B. Graham, N. Neverova, A. Vedaldi, "C3DPO: Canonical 3D pose networks for
    non-rigid structure from motion", ICCV 2019.
    """
    true, pred, counted, kept, _ = compare(X_true, X_pred, mask, on_nan)
    total = np.zeros(len(true))
    # One pass per index offset: memory stays that of the input, not its square in points.
    for offset in range(1, true.shape[1]):
        both = counted[:, offset:] & counted[:, :-offset]
        lengths = [np.linalg.norm(X[:, offset:] - X[:, :-offset], axis=2) for X in (true, pred)]
        total += (np.abs(lengths[1] - lengths[0]) * both).sum(1)
    n = counted.sum(1)
    return reduce_frames(total / (n * (n - 1) / 2), kept, reduction)
