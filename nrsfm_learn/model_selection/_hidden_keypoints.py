"""The score that needs no 3-D: predict hidden keypoints from visible ones."""

import numpy as np
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from .._validation import check_visible_weights, check_W, split_y
from ..preprocessing import center_on_visible, hide_keypoints
from ._steps import is_inductive


def hidden_keypoint_score(
    estimator,
    W,
    y=None,
    mask=None,
    *,
    fraction=0.2,
    min_visible=3,
    random_state=0,
    refit="auto",
    sample_weight=None,
    **side_inputs,
):
    r"""Score an estimator by how well it predicts keypoints that it was not shown.

    .. math:: R^2 = 1 - \frac{\sum_{(f,p)\,\text{hidden}} \|w_{fp} - \hat w_{fp}\|^2}
                             {\sum_{(f,p)\,\text{hidden}} \|w_{fp} - \bar w_f\|^2}

    with :math:`\bar w_f` the mean of the keypoints of frame *f* that stayed visible. The baseline
    is the centroid of each frame: against the mean of the whole data set it would itself score
    close to 1.

    Parameters
    ----------
    estimator : object
        Fitted estimator with ``transform`` and ``inverse_transform``. The signature is a scorer's:
        ``scoring=hidden_keypoint_score`` works in GridSearchCV.
    W : array-like of shape (n_frames, n_points, 2)
        Keypoints, NaN where missing.
    y : array-like, optional
        A boolean ``y`` of shape (n_frames, n_points) is the mask; a 3-D float one is not looked at.
    mask : array-like of bool of shape (n_frames, n_points), optional
        True where a keypoint is visible.
    fraction : float, default=0.2
        Share of the visible keypoints of each frame that is hidden.
    min_visible : int, default=3
        Keypoints that stay visible at least; frames with no more are lifted but not scored.
    random_state : int, RandomState or None, default=0
        Chooses what is hidden.
    refit : bool or "auto", default="auto"
        Fit a clone to the frames with the keypoints hidden. "auto" does so only for methods that
        cannot lift frames they were not fitted on. With False the fit has seen the keypoints if
        ``W`` was in the training set; score on other frames to rule that out. A clone writes and
        reads no checkpoints: those belong to the fit of all keypoints.
    sample_weight : array-like of shape (n_frames,), optional
        Weight of each frame, finite and not negative.
    **side_inputs : dict
        ``intrinsics``, ``boxes``, ``groups``, ``categories`` or ``weights``, passed on. Keypoints
        whose weight is zero count as missing.

    Returns
    -------
    float
        R^2, at most 1; NaN if nothing could be hidden, or all that was hidden lies at the centroid.

    Raises
    ------
    ValueError
        If ``W`` or another argument is malformed.
    """
    y, mask = split_y(y, mask)
    check_is_fitted(estimator)
    side_inputs = {name: value for name, value in side_inputs.items() if value is not None}
    W, visible = check_W(W, mask)
    if side_inputs.get("weights") is not None:
        visible &= check_visible_weights(side_inputs["weights"], visible.shape, visible) > 0
        W[~visible] = np.nan
    frame_weight = _frame_weight(sample_weight, len(W))
    rng = check_random_state(random_state)
    hidden = hide_keypoints(visible, fraction, rng, min_visible)
    shown = np.where(hidden[..., None], np.nan, W)
    if refit == "auto":
        refit = not is_inductive(estimator)
    if refit:
        estimator = _fresh_clone(estimator).fit(shown, **side_inputs)
    intrinsics = side_inputs.get("intrinsics")
    X = estimator.transform(shown, **side_inputs)
    predicted = estimator.inverse_transform(
        X, **({} if intrinsics is None else {"intrinsics": intrinsics})
    )

    _, centers = center_on_visible(shown)
    error = np.square(W - predicted).sum(-1)
    baseline = np.square(W - centers[:, None]).sum(-1)
    # Frames that the method gives up on count as if it had answered with the centroid.
    error = np.where(np.isfinite(error), error, baseline)
    weight = np.broadcast_to(frame_weight[:, None], hidden.shape)[hidden]
    total = (weight * baseline[hidden]).sum()
    return float(1 - (weight * error[hidden]).sum() / total) if total > 0 else float("nan")


def _frame_weight(sample_weight, n_frames):
    if sample_weight is None:
        return np.ones(n_frames)
    weight = np.asarray(sample_weight, float)
    if weight.shape != (n_frames,) or not (np.isfinite(weight) & (weight >= 0)).all():
        raise ValueError(
            f"sample_weight must hold one finite weight, not negative, for each of the {n_frames} "
            f"frames; got shape {weight.shape}"
            + (f" with minimum {weight.min()}." if weight.shape == (n_frames,) else ".")
        )
    return weight


def _fresh_clone(estimator):
    estimator = clone(estimator)
    folders = [name for name in estimator.get_params() if name.endswith("checkpoint_dir")]
    return estimator.set_params(**dict.fromkeys(folders))
