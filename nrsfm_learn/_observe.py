"""From what the user handed over to what a method may see."""

import hashlib
import warnings

import numpy as np

from ._records import Observations
from ._validation import (
    check_boxes,
    check_groups,
    check_intrinsics,
    check_visible_weights,
    check_W,
    constant_frames,
    poor_frames,
)
from ._warnings import caller_stacklevel


class TooPoorWarning(UserWarning):
    """Some frames show too little to be lifted; they come back as NaN."""


def observe(
    W,
    mask,
    *,
    tags,
    name,
    n_points=None,
    min_frames=1,
    min_visible=3,
    groups=None,
    categories=None,
    intrinsics=None,
    boxes=None,
    weights=None,
):
    """Check everything that was handed over.

    Parameters
    ----------
    W, mask, groups, categories, intrinsics, boxes, weights
        As in :meth:`nrsfm_learn.base.BaseNRSfM.fit`.
    tags : NRSfMTags
        What the method can do.
    name : str
        What messages call the method.
    n_points : int, default=None
        The number of points of ``fit``; None in ``fit`` itself, where each point must be seen.
    min_frames : int, default=1
        Fewest frames that will do.
    min_visible : int, default=3
        Visible keypoints that a frame needs.

    Returns
    -------
    Observations

    Raises
    ------
    ValueError, TypeError
        If something is malformed, or the method cannot take it.
    """
    fitting = n_points is None
    W, visible = check_W(
        W,
        mask,
        n_points=n_points,
        min_frames=min_frames,
        min_visible=min_visible,
        allow_unseen_points=not fitting,
        estimator_name=name,
    )
    n_frames = len(W)
    if weights is not None:
        weights = check_visible_weights(weights, visible.shape, visible)
        # Once more, since a point of weight 0 in all frames is never seen either.
        W, visible = check_W(W, weights > 0, allow_unseen_points=not fitting)
    if not tags.missing and not visible.all():
        f, p = np.argwhere(~visible)[0]
        raise ValueError(
            f"{name} takes no missing keypoints, but {np.count_nonzero(~visible)} of W are NaN, "
            f"masked or of weight 0, the first at frame {f}, point {p}. Use a method whose "
            f"`missing` tag is set, such as DeepNRSfMPP, or drop these points."
        )
    return Observations(
        W,
        visible,
        groups=None if groups is None else check_groups(groups, n_frames),
        categories=None
        if categories is None
        else check_groups(categories, n_frames, name="categories"),
        intrinsics=check_camera(intrinsics, n_frames, tags=tags, name=name),
        boxes=None if boxes is None else check_boxes(boxes, n_frames),
        weights=weights,
    )


def check_camera(intrinsics, n_frames, *, tags, name):
    """Check camera matrices, and that the method has a use for them.

    Parameters
    ----------
    intrinsics : array-like of shape (3, 3) or (n_frames, 3, 3) or None
        What was given.
    n_frames : int
        The number of frames.
    tags : NRSfMTags
        What the method can do.
    name : str
        What messages call the method.

    Returns
    -------
    ndarray of shape (3, 3) or (n_frames, 3, 3) or None
    """
    if intrinsics is None:
        return None
    if not tags.perspective:
        raise ValueError(
            f"intrinsics were given, but {name} here has no perspective camera: pass "
            f"camera='perspective' where the method has it, or leave intrinsics out."
        )
    return check_intrinsics(intrinsics, n_frames)


def take_liftable(observations, *, name, min_frames=0, min_visible=3):
    """Choose the frames that show enough, and warn once about the others.

    Parameters
    ----------
    observations : Observations
        All frames.
    name : str
        What messages call the method.
    min_frames : int, default=0
        Fewest frames that must remain.
    min_visible : int, default=3
        Distinct visible keypoints that a frame needs.

    Returns
    -------
    observations : Observations
        The frames that show enough.
    index : ndarray of int
        Which ones they are.

    Raises
    ------
    ValueError
        If fewer than ``min_frames`` remain.
    """
    W, visible = observations.W, observations.visible
    poor = poor_frames(visible, min_visible)
    n_few = np.count_nonzero(poor)
    poor |= constant_frames(W)
    index = np.flatnonzero(~poor)
    if len(index) < min_frames:
        raise ValueError(
            f"W has {len(W)} frames, of which {len(index)} show at least {min_visible} distinct "
            f"keypoints; {name} needs at least {min_frames}. Give it more frames, or less occluded "
            f"ones."
        )
    if len(index) == len(W):
        return observations, index
    first = np.flatnonzero(poor)[:5].tolist()
    n_poor = np.count_nonzero(poor)
    warnings.warn(
        f"{n_poor} of {len(W)} frames are too poor to lift and come back as NaN: {n_few} with "
        f"fewer than {min_visible} visible keypoints, {n_poor - n_few} with all keypoints in one "
        f"place. The first: {first}.",
        TooPoorWarning,
        stacklevel=caller_stacklevel(),
    )
    return observations.take(index), index


def digest(observations):
    """Identify observations by a hash of each field that is given.

    Parameters
    ----------
    observations : Observations
        What to identify.

    Returns
    -------
    dict of str to str
        Hexadecimal SHA-256 by field.
    """
    hashes = {}
    for field, array in observations._asdict().items():
        if array is None or field == "visible":  # W is NaN exactly where not visible
            continue
        if array.dtype.kind not in "biuf":
            array = np.frombuffer(repr(array.tolist()).encode(), np.uint8)
        code = hashlib.sha256(f"{array.shape}{array.dtype.str}".encode())
        code.update(np.ascontiguousarray(array).data)
        hashes[field] = code.hexdigest()
    return hashes
