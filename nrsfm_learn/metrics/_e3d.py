"""The 3-D error of the short-sequence benchmarks."""

import numpy as np

from ._compare import centred, check_option, choose_flip, compare, point_mean, reduce_frames
from ._normalized_error import orthogonal_fit


def e3d(X_true, X_pred, *, protocol, mask=None, flip="none", on_nan="omit", reduction="mean"):
    r"""Mean point error over the mean standard deviation of the true shapes.

    .. math::

        \frac{1}{\sigma F} \sum_f \frac{1}{|V_f|} \sum_{i \in V_f}
        \| Q_f \hat x_{fi} - x_{fi} \|_2, \qquad
        \sigma = \frac{1}{3 F} \sum_f (\sigma_{fx} + \sigma_{fy} + \sigma_{fz}),

    with both shapes centred in each frame, the population standard deviations
    :math:`\sigma_{f\cdot}` of the true points, and :math:`Q_f` as ``protocol`` says.

    The published figures of Akhter et al. compare shapes in the *world* frame after one orthogonal
    matrix for the whole sequence: ``e3d(S_true, estimator.shapes_, protocol="sequence")``. In the
    camera frame, or with one matrix per frame, the same reconstruction scores up to four times
    lower.

    Parameters
    ----------
    X_true, X_pred : array-like of shape (n_frames, n_points, 3)
        Ground truth and prediction in one unit, both in the world frame or both in the camera
        frame. A point that is NaN in ``X_true`` does not count.
    protocol : {"none", "sequence", "frame"}
        How many orthogonal matrices (reflections allowed) are fitted by least squares: none, one
        for the whole sequence, one per frame. No scale is fitted.
    mask : array-like of bool, shape (n_frames, n_points), default=None
        Points of the ground truth that count. A frame with fewer than two is left out.
    flip : {"none", "frame", "sequence"}, default="none"
        Sign of the predicted depth, for ``protocol="none"`` in the camera frame: see :func:`mpjpe`.
    on_nan : {"omit", "raise"}, default="omit"
        Frames whose prediction is all NaN are left out of the mean, or refused.
    reduction : {"mean", "none"}, default="mean"
        The mean over frames, or the error of each frame over the same sigma (NaN for a frame that
        was left out).

    Returns
    -------
    float or ndarray of shape (n_frames,)
        Error as a fraction of sigma; lower is better.

    Raises
    ------
    TypeError, ValueError
        Malformed input, true shapes without extent, or no frame to compare.

    See Also
    --------
    normalized_error : A Frobenius ratio per frame.

    References
    ----------
    I. Akhter, Y. Sheikh, S. Khan, T. Kanade, "Trajectory space: A dual representation for nonrigid
    structure from motion", IEEE TPAMI 33(7), 2011. With :math:`\sigma` spelt out:
    P. F. U. Gotardo, A. M. Martinez, "Computing smooth time trajectories for camera and deformable
    shape in structure from motion with occlusion", IEEE TPAMI 33(10), 2011.
    """
    check_option("protocol", protocol, ("none", "sequence", "frame"))
    comparison = compare(X_true, X_pred, mask, on_nan)
    true, pred = centred(comparison)
    sigma = np.sqrt(point_mean(true**2, comparison.counted)).mean()
    if sigma == 0:
        raise ValueError("X_true has all points of every frame at one place: e3d is undefined.")
    if protocol != "none" and flip != "none":
        raise ValueError(
            f"flip={flip!r} has no meaning for protocol={protocol!r}, which allows reflections."
        )
    if protocol == "frame":
        pred = orthogonal_fit(pred, true)
    elif protocol == "sequence":
        pred = orthogonal_fit(pred.reshape(1, -1, 3), true.reshape(1, -1, 3)).reshape(pred.shape)
    errors = choose_flip(
        lambda p: point_mean(np.linalg.norm(p - true, axis=2), comparison.counted) / sigma,
        pred,
        flip,
    )
    return reduce_frames(errors, comparison.kept, reduction)
