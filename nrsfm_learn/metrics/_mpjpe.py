"""Mean per-joint position error: as it is, after one scale, after a similarity transform."""

import operator

import numpy as np

from ._compare import (
    check_option,
    choose_flip,
    compare,
    frobenius,
    point_mean,
    reduce_frames,
    subtract,
)

_ALIGNMENTS = ("mean", "root", "depth", "root_depth")


def _aligned(comparison, align, root):
    """Return (true, pred) without the translation that ``align`` declares unknown."""
    check_option("align", align, _ALIGNMENTS)
    true, pred, counted, kept, _ = comparison
    if align.startswith("root"):
        if root is None:
            raise ValueError(f"align={align!r} needs root, the index of the root point.")
        root = operator.index(root)
        n_points = true.shape[1]
        if not -n_points <= root < n_points:
            raise ValueError(f"root={root} is not one of the {n_points} points.")
        hidden = ~counted[:, root]
        if hidden.any():
            frame = int(np.flatnonzero(kept)[hidden.argmax()])
            raise ValueError(
                f"root point {root} does not count in frame {frame} (outside mask, or NaN in "
                'X_true); align="mean" needs no root.'
            )
        origins = true[:, root], pred[:, root]
    else:
        if root is not None:
            raise ValueError(f'root={root} has no meaning for align={align!r}; use align="root".')
        origins = point_mean(true, counted), point_mean(pred, counted)
    if align.endswith("depth"):
        origins = [origin * np.array([0.0, 0.0, 1.0]) for origin in origins]
    return tuple(subtract(X, o, counted) for X, o in zip((true, pred), origins, strict=True))


def similarity(pred, true):
    """Best similarity of ``pred`` to ``true``, both centred, without reflection.

    Parameters
    ----------
    pred, true : ndarray of shape (K, P, 3)
        Points as rows.

    Returns
    -------
    ndarray of shape (K, P, 3)
        ``scale * pred @ R`` with det R = +1.
    """
    U, s, Vt = np.linalg.svd(pred.swapaxes(1, 2) @ true)
    sign = np.where(np.linalg.det(U @ Vt) < 0, -1.0, 1.0)
    s[:, 2] *= sign
    U[:, :, 2] *= sign[:, None]
    size = np.einsum("fpi,fpi->f", pred, pred)
    scale = np.divide(s.sum(1), size, out=np.zeros_like(size), where=size > 0)
    return scale[:, None, None] * (pred @ (U @ Vt))


def _rescaled(pred, true):
    """Multiply each frame of ``pred`` by its least-squares scale."""
    size = frobenius(pred) ** 2
    product = np.einsum("fpi,fpi->f", pred, true)
    return np.divide(product, size, out=np.zeros_like(size), where=size > 0)[:, None, None] * pred


_FITS = {"mpjpe": lambda pred, true: pred, "n_mpjpe": _rescaled, "pa_mpjpe": similarity}


def point_distances(comparison, protocol, align, root, flip):
    """Distances of the points after the alignment of a protocol; zero where a point does not count.

    Parameters
    ----------
    comparison : Comparison
        What to compare.
    protocol : {"mpjpe", "n_mpjpe", "pa_mpjpe"}
        What is fitted before the distance is taken.
    align, root, flip
        As in :func:`mpjpe`.

    Returns
    -------
    ndarray of shape (K, P)
        Euclidean distances.
    """
    fit = _FITS[check_option("protocol", protocol, tuple(_FITS))]
    true, pred = _aligned(comparison, align, root)
    return choose_flip(
        lambda p: np.linalg.norm(fit(p, true) - true, axis=2),
        pred,
        flip,
        lambda distances: point_mean(distances, comparison.counted),
    )


def _mean_distance(X_true, X_pred, mask, protocol, align, root, flip, on_nan, reduction):
    comparison = compare(X_true, X_pred, mask, on_nan)
    distances = point_distances(comparison, protocol, align, root, flip)
    return reduce_frames(point_mean(distances, comparison.counted), comparison.kept, reduction)


def mpjpe(
    X_true,
    X_pred,
    *,
    mask=None,
    align="mean",
    root=None,
    flip="none",
    on_nan="omit",
    reduction="mean",
):
    r"""Mean per-joint position error, with neither scale nor rotation fitted.

    .. math::

        \frac{1}{F} \sum_f \frac{1}{|V_f|} \sum_{i \in V_f}
        \bigl\| (\hat x_{fi} - \hat o_f) - (x_{fi} - o_f) \bigr\|_2

    where :math:`V_f` are the points of frame :math:`f` that count and :math:`o_f` is the origin
    that ``align`` names.

    Parameters
    ----------
    X_true, X_pred : array-like of shape (n_frames, n_points, 3)
        Ground truth and prediction in the camera frame and in one unit. A point that is NaN in
        ``X_true`` does not count.
    mask : array-like of bool, shape (n_frames, n_points), default=None
        Points of the ground truth that count. A frame with fewer than two is left out.
    align : {"mean", "root", "depth", "root_depth"}, default="mean"
        What is subtracted from both: the mean position, the position of ``root``, the mean depth
        only, the depth of ``root`` only.
    root : int, default=None
        Index of the root point, for ``align="root"`` and ``"root_depth"``.
    flip : {"none", "frame", "sequence"}, default="none"
        Sign of the predicted depth, which an orthographic camera cannot tell: as predicted, the
        better one in each frame (``"best"`` is accepted as another name), or one for all frames.
    on_nan : {"omit", "raise"}, default="omit"
        Frames whose prediction is all NaN are left out of the mean, or refused.
    reduction : {"mean", "none"}, default="mean"
        The mean over frames, or the error of each frame (NaN for a frame that was left out).

    Returns
    -------
    float or ndarray of shape (n_frames,)
        Error in the unit of ``X_true``; lower is better.

    Raises
    ------
    TypeError, ValueError
        Malformed input, or no frame to compare.

    See Also
    --------
    n_mpjpe : The same after one scale per frame.
    pa_mpjpe : The same after a similarity transform per frame.

    References
    ----------
    C. Ionescu, D. Papava, V. Olaru, C. Sminchisescu, "Human3.6M", IEEE TPAMI 36(7), 2014. With the
    mean depth subtracted and a flip: D. Novotny, N. Ravi, B. Graham, N. Neverova, A. Vedaldi,
    "C3DPO: Canonical 3D pose networks for non-rigid structure from motion", ICCV 2019.
    """
    return _mean_distance(X_true, X_pred, mask, "mpjpe", align, root, flip, on_nan, reduction)


def n_mpjpe(
    X_true,
    X_pred,
    *,
    mask=None,
    align="mean",
    root=None,
    flip="none",
    on_nan="omit",
    reduction="mean",
):
    r"""Mean per-joint position error after one least-squares scale per frame.

    With the points :math:`p_i` and :math:`g_i` of one frame after ``align``,

    .. math::

        \frac{1}{|V|} \sum_{i \in V} \| a\, p_i - g_i \|_2, \qquad
        a = \frac{\sum_{i \in V} p_i^\top g_i}{\sum_{i \in V} \| p_i \|^2}.

    Parameters
    ----------
    X_true, X_pred : array-like of shape (n_frames, n_points, 3)
        Ground truth and prediction in the camera frame; the unit of ``X_pred`` is free. A point
        that is NaN in ``X_true`` does not count.
    mask : array-like of bool, shape (n_frames, n_points), default=None
        Points of the ground truth that count. A frame with fewer than two is left out.
    align : {"mean", "root", "depth", "root_depth"}, default="mean"
        What is subtracted from both, before the scale: see :func:`mpjpe`.
    root : int, default=None
        Index of the root point, for ``align="root"`` and ``"root_depth"``.
    flip : {"none", "frame", "sequence"}, default="none"
        Sign of the predicted depth: see :func:`mpjpe`. The scale is fitted for each sign.
    on_nan : {"omit", "raise"}, default="omit"
        Frames whose prediction is all NaN are left out of the mean, or refused.
    reduction : {"mean", "none"}, default="mean"
        The mean over frames, or the error of each frame (NaN for a frame that was left out).

    Returns
    -------
    float or ndarray of shape (n_frames,)
        Error in the unit of ``X_true``; lower is better.

    Raises
    ------
    TypeError, ValueError
        Malformed input, or no frame to compare.

    See Also
    --------
    mpjpe : Without the scale.
    pa_mpjpe : With the rotation too.

    References
    ----------
    H. Rhodin, M. Salzmann, P. Fua, "Unsupervised geometry-aware representation for 3D human pose
    estimation", ECCV 2018. With ``flip="frame"`` it is the "MPJPE" of C. Wang, C.-H. Lin, S. Lucey,
    "Deep NRSfM++", 3DV 2020, sec. 5.
    """
    return _mean_distance(X_true, X_pred, mask, "n_mpjpe", align, root, flip, on_nan, reduction)


def pa_mpjpe(X_true, X_pred, *, mask=None, flip="none", on_nan="omit", reduction="mean"):
    r"""Mean per-joint position error after a similarity transform per frame, without reflection.

    .. math::

        \frac{1}{|V|} \sum_{i \in V} \| s\, R\, p_i + t - g_i \|_2, \qquad
        (s, R, t) = \arg\min_{s \ge 0,\ R \in SO(3),\ t}
        \sum_{i \in V} \| s\, R\, p_i + t - g_i \|^2 .

    Parameters
    ----------
    X_true, X_pred : array-like of shape (n_frames, n_points, 3)
        Ground truth and prediction, each in any frame and unit. A point that is NaN in ``X_true``
        does not count.
    mask : array-like of bool, shape (n_frames, n_points), default=None
        Points of the ground truth that count. A frame with fewer than two is left out; with two or
        three the transform explains most of any error.
    flip : {"none", "frame", "sequence"}, default="none"
        Sign of the predicted depth: see :func:`mpjpe`. ``"frame"`` amounts to allowing reflections.
    on_nan : {"omit", "raise"}, default="omit"
        Frames whose prediction is all NaN are left out of the mean, or refused.
    reduction : {"mean", "none"}, default="mean"
        The mean over frames, or the error of each frame (NaN for a frame that was left out).

    Returns
    -------
    float or ndarray of shape (n_frames,)
        Error in the unit of ``X_true``; lower is better.

    Raises
    ------
    TypeError, ValueError
        Malformed input, or no frame to compare.

    See Also
    --------
    n_mpjpe : Scale only.
    normalized_error : The Frobenius ratio, with reflections under ``protocol="procrustes"``.

    References
    ----------
    C. Ionescu, D. Papava, V. Olaru, C. Sminchisescu, "Human3.6M", IEEE TPAMI 36(7), 2014. The
    transform: S. Umeyama, "Least-squares estimation of transformation parameters between two point
    patterns", IEEE TPAMI 13(4), 1991, eq. 40 to 43.
    """
    return _mean_distance(X_true, X_pred, mask, "pa_mpjpe", "mean", None, flip, on_nan, reduction)
