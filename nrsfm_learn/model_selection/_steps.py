"""What the criteria need to know of an estimator, which may be a pipeline."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._validation import check_visible_weights, check_W


def last_step(estimator):
    """Return the method itself, which in a pipeline is the last step."""
    return estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator


def method_tags(estimator):
    """Return the :class:`~nrsfm_learn.base.NRSfMTags` of the method, or None if it has none."""
    return getattr(last_step(estimator).__sklearn_tags__(), "nrsfm_tags", None)


def is_inductive(estimator):
    """Tell whether the method lifts frames that it was not fitted on."""
    tags = method_tags(estimator)
    return tags is None or tags.inductive


def hand_to_method(estimator, W, mask=None, weights=None):
    """Return the method and the keypoints as it sees them, NaN where hidden or of weight zero.

    Parameters
    ----------
    estimator : object
        Fitted estimator, or a pipeline that ends in one.
    W : array-like of shape (n_frames, n_points, 2)
        Keypoints, NaN where missing.
    mask : array-like of bool of shape (n_frames, n_points), optional
        True where a keypoint is visible.
    weights : array-like of shape (n_frames, n_points) or (n_points,), optional
        Confidence of each keypoint.

    Returns
    -------
    method : object
        The estimator, or the last step of the pipeline.
    W : ndarray of shape (n_frames, n_points, 2)
        Keypoints after the pipeline's other steps.

    Raises
    ------
    TypeError
        If the method has no ``lift``.
    """
    check_is_fitted(estimator)
    method = last_step(estimator)
    if not hasattr(method, "lift"):
        raise TypeError(
            f"{type(method).__name__} has no lift(W), which tells shapes and cameras apart: derive "
            f"it from nrsfm_learn.base.BaseNRSfM."
        )
    W, visible = check_W(W, mask)
    if weights is not None:
        visible = check_visible_weights(weights, visible.shape, visible) > 0
        W[~visible] = np.nan
    if method is not estimator and len(estimator.steps) > 1:
        W = estimator[:-1].transform(W)
    return method, W
