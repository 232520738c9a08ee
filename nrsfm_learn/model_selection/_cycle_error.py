"""Cycle error: does a method that sees its own answer from elsewhere give that answer again?"""

from numbers import Integral

import numpy as np
from scipy.spatial.transform import Rotation
from sklearn.utils import check_random_state

from ..metrics._compare import check_option
from ._steps import hand_to_method, is_inductive, method_tags

# Nearest that a turned point may come to the camera, as a fraction of the depth of the centre.
_NEAREST = 0.2


def cycle_error(
    estimator,
    W,
    mask=None,
    *,
    frame="canonical",
    n_views=1,
    random_state=0,
    reduction="mean",
    **side_inputs,
):
    r"""Error of lifting random views of what the estimator itself reconstructed.

    .. math:: \frac{1}{F} \sum_f
              \frac{\| g(\pi(S_f Q_f^\top + 1 t_f^\top)) - S_f \|_F}{\| S_f \|_F},
              \qquad Q_f \sim \mathrm{Haar}(SO(3)),

    with :math:`S_f` the centred canonical shape in units of ``W``, :math:`\pi` the projection of
    the method (``inverse_transform``) and :math:`g` its lifter. The criterion needs no ground
    truth; it is the validation counterpart of :func:`nrsfm_learn.losses.cycle_loss`.

    Parameters
    ----------
    estimator : object
        Fitted estimator that lifts frames it was not fitted on, or a pipeline that ends in one.
    W : array-like of shape (n_frames, n_points, 2)
        Keypoints, NaN where missing.
    mask : array-like of bool of shape (n_frames, n_points), optional
        True where a keypoint is visible.
    frame : {"canonical", "camera"}, default="canonical"
        Where the two are compared. In the frame of the canonical shapes, as above, a lift that is
        right up to its rotation has no error. In the camera's frame rotations count:
        :math:`g` gives :math:`S'_f R_f'^\top`, which is compared with :math:`S_f Q_f^\top`, so that
        a lift mirrored in depth is wrong.
    n_views : int, default=1
        Random views of each frame.
    random_state : int, RandomState or None, default=0
        Draws the rotations, and what the views hide.
    reduction : {"mean", "none"}, default="mean"
        The mean over frames, or the error of each frame (its mean over views).
    **side_inputs : dict
        ``intrinsics``, ``boxes``, ``groups``, ``categories`` or ``weights``, as in ``lift``. Boxes
        and weights belong to the frames, and are not handed over with the views.

    Returns
    -------
    float or ndarray of shape (n_frames,)
        Relative error; lower is better. Frames that cannot be lifted are NaN and left out of the
        mean. A view that cannot be lifted counts as lifted to a point, with error 1.

    Raises
    ------
    TypeError
        If the estimator has no ``lift``.
    ValueError
        If it cannot lift other frames than those of ``fit``, or an argument is malformed.

    See Also
    --------
    neighbor_distance_variation : A criterion that looks at one set of shapes only.
    hidden_keypoint_score : A criterion in the image.

    Notes
    -----
    Where keypoints are missing, each view hides what some other frame hides, as in training.

    A perspective camera leaves the scale of each frame open: there both shapes are compared at
    equal norm, and an object that would come too near to the camera is moved away from it.

    A method that answers with one and the same shape has no cycle error in the canonical frame.

    References
    ----------
    .. [1] Y. B. Can, A. Liniger, D. P. Paudel, L. Van Gool, "End-to-end learning of multi-category
       3D pose and shape estimation", BMVC 2022, section 3.4.
    """
    check_option("frame", frame, ("canonical", "camera"))
    check_option("reduction", reduction, ("mean", "none"))
    if not isinstance(n_views, Integral) or n_views < 1:
        raise ValueError(f"n_views must be a positive integer, got {n_views!r}.")
    method, W = hand_to_method(estimator, W, mask, side_inputs.get("weights"))
    if not is_inductive(method):
        raise ValueError(
            f"cycle_error lifts new views, but {type(method).__name__} reconstructs only the "
            f"frames it is fitted on: use neighbor_distance_variation or hidden_keypoint_score."
        )
    rng = check_random_state(random_state)
    seen = method.lift(W, **side_inputs)
    # A frame may have no more points than its category.
    lifted = np.flatnonzero(np.isfinite(seen.X).any(axis=(1, 2)))
    shapes = seen.shapes[lifted] * seen.scales[lifted, None, None]
    has = np.isfinite(shapes).all(axis=2)
    shapes = _centered(shapes, has)
    visible = ~np.isnan(W[lifted, :, 0])
    tags = method_tags(method)
    perspective = tags is not None and tags.perspective
    # Nothing else that belongs to a frame holds for a view of it from elsewhere.
    side = {
        name: _of_frames(side_inputs[name], lifted, len(W))
        for name in ("intrinsics", "groups", "categories")
        if side_inputs.get(name) is not None
    }
    camera = {"intrinsics": side["intrinsics"]} if "intrinsics" in side else {}

    total = np.zeros(len(lifted))
    for _ in range(n_views if len(lifted) else 0):
        turned = shapes @ _random_rotations(len(lifted), rng).swapaxes(1, 2)
        translations = seen.translations[lifted]
        if perspective:
            translations = _in_front(turned, translations)
        views = method.inverse_transform(turned + translations[:, None], **camera)
        shown = visible[_permutation(len(lifted), rng, side.get("categories"))] & has
        views = np.where(shown[..., None], views, np.nan)
        again = method.lift(views, **side)
        if frame == "canonical":
            found, wanted = again.shapes * again.scales[:, None, None], shapes
        else:
            found, wanted = again.X, turned
        found = _centered(found, has)
        total += _relative_error(found, wanted, equal_norms=perspective)
    if reduction == "mean":
        return float(total.mean() / n_views) if len(lifted) else float("nan")
    errors = np.full(len(W), np.nan)
    errors[lifted] = total / n_views
    return errors


def _random_rotations(n, rng):
    # A Gaussian quaternion has a uniform direction, and that is a Haar rotation.
    return Rotation.from_quat(rng.normal(size=(n, 4))).as_matrix()


def _permutation(n, rng, categories):
    """Shuffle frames among those of their category."""
    order = rng.permutation(n)
    if categories is None:
        return order
    shuffled = np.empty(n, dtype=np.intp)
    for label in np.unique(categories):
        members = np.flatnonzero(categories == label)
        shuffled[members] = order[categories[order] == label]
    return shuffled


def _centered(X, has):
    """Subtract the mean of the points that a frame has; the others become zero."""
    X = np.where(has[..., None], X, 0)
    return (X - X.sum(1, keepdims=True) / has.sum(1)[:, None, None]) * has[..., None]


def _of_frames(array, index, n_frames):
    """Take these frames, unless one camera matrix holds for all."""
    array = np.asarray(array)
    return array[index] if len(array) == n_frames and array.shape != (3, 3) else array


def _in_front(turned, translations):
    """Move objects away along their line of sight until every point is in front of the camera."""
    towards_camera = -turned[..., 2].min(axis=1)
    needed = towards_camera / ((1 - _NEAREST) * translations[:, 2])
    return translations * np.maximum(needed, 1)[:, None]


def _relative_error(found, wanted, equal_norms):
    """Return the error of each frame over the norm of what is wanted, both (K, P, 3)."""
    size, length = (np.linalg.norm(X, axis=(1, 2)) for X in (wanted, found))
    if equal_norms:
        scale = np.divide(size, length, out=np.zeros_like(size), where=length > 0)
        found = found * scale[:, None, None]
    errors = np.ones_like(size)
    np.divide(np.linalg.norm(found - wanted, axis=(1, 2)), size, out=errors, where=size > 0)
    return np.where(np.isfinite(errors), errors, 1.0)
