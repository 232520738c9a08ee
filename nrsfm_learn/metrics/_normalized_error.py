"""Normalised error: a ratio of Frobenius norms."""

import numpy as np

from ._compare import centred, check_option, choose_flip, compare, frobenius, reduce_frames


def orthogonal_fit(pred, true):
    """Rotate or reflect each frame of ``pred`` onto ``true`` by orthogonal Procrustes.

    Parameters
    ----------
    pred, true : ndarray of shape (K, P, 3)
        Centred points as rows.

    Returns
    -------
    ndarray of shape (K, P, 3)
        ``pred @ Q`` with Q orthogonal; det Q may be -1.
    """
    U, _, Vt = np.linalg.svd(pred.swapaxes(1, 2) @ true)
    return pred @ (U @ Vt)


def normalized_error(
    X_true, X_pred, *, protocol, mask=None, flip="none", on_nan="omit", reduction="mean"
):
    r"""Error in the Frobenius norm over the norm of the ground truth, mean over frames.

    With :math:`X_f` and :math:`G_f` the predicted and true points of frame f (rows), centred,

    .. math::

        \text{frobenius: } \frac{1}{F} \sum_f \frac{\| X_f - G_f \|_F}{\| G_f \|_F}, \qquad
        \text{procrustes: } \frac{1}{F} \sum_f
        \frac{\| Z_f U_f V_f^\top - G_f \|_F}{\| G_f \|_F},

    where :math:`Z_f = X_f \|G_f\|_F / \|X_f\|_F` and :math:`U_f \Sigma_f V_f^\top = Z_f^\top G_f`;
    :math:`U_f V_f^\top` may reflect. Multiply by 100 for the percentages of the literature.

    Parameters
    ----------
    X_true, X_pred : array-like of shape (n_frames, n_points, 3)
        Ground truth and prediction; for ``"frobenius"`` both in the camera frame and in one unit. A
        point that is NaN in ``X_true`` does not count.
    protocol : {"frobenius", "procrustes"}
        Compare as it is, or after a scale and an orthogonal matrix per frame. Required: the two
        differ several times on the same reconstruction.
    mask : array-like of bool, shape (n_frames, n_points), default=None
        Points of the ground truth that count. A frame with fewer than two is left out.
    flip : {"none", "frame", "sequence"}, default="none"
        Sign of the predicted depth, for ``"frobenius"``: see :func:`mpjpe`.
    on_nan : {"omit", "raise"}, default="omit"
        Frames whose prediction is all NaN are left out of the mean, or refused.
    reduction : {"mean", "none"}, default="mean"
        The mean over frames, or the error of each frame (NaN for a frame that was left out).

    Returns
    -------
    float or ndarray of shape (n_frames,)
        Error as a fraction of the object's size; lower is better.

    Raises
    ------
    TypeError, ValueError
        Malformed input, a frame whose true points coincide, or no frame to compare.

    See Also
    --------
    e3d : Mean point error over the spread of the sequence.

    References
    ----------
    C. Kong, S. Lucey, "Deep non-rigid structure from motion with missing data", IEEE TPAMI 43(12),
    2021. Without alignment: Y. Dai, H. Li, M. He, "A simple prior-free method for non-rigid
    structure-from-motion factorization", IJCV 107(2), 2014.
    """
    check_option("protocol", protocol, ("frobenius", "procrustes"))
    comparison = compare(X_true, X_pred, mask, on_nan)
    true, pred = centred(comparison)
    size = frobenius(true)
    if not size.all():
        frame = int(np.flatnonzero(comparison.kept)[size.argmin()])
        raise ValueError(
            f"X_true has all its points at one place in frame {frame}; an error relative to its "
            "size is undefined. Leave the frame out with mask."
        )
    if protocol == "procrustes":
        if flip != "none":
            raise ValueError(
                f'flip={flip!r} has no meaning for protocol="procrustes", which allows reflections.'
            )
        length = frobenius(pred)
        scale = np.divide(size, length, out=np.zeros_like(size), where=length > 0)
        pred = orthogonal_fit(pred * scale[:, None, None], true)
    errors = choose_flip(lambda p: frobenius(p - true) / size, pred, flip)
    return reduce_frames(errors, comparison.kept, reduction)
