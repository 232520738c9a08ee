"""Rigid objects of one category, a different instance in each frame."""

from functools import partial

import numpy as np
from sklearn.utils import check_random_state

from nrsfm_learn.datasets._cameras import clip_labels, observe, views_name
from nrsfm_learn.datasets._hiding import hidden_by_mesh
from nrsfm_learn.datasets._rigid_shapes import RIGID_SHAPES


def make_rigid_category(
    n_frames=1000,
    *,
    category="car",
    n_instances=None,
    camera="orthographic",
    views="random",
    depth_ratio=1 / 3,
    intrinsics=None,
    image_size=None,
    missing=0.0,
    occlusion="random",
    noise=0.0,
    min_visible=3,
    random_state=None,
):
    r"""Generate annotated keypoints of a rigid object category, such as cars.

    Each instance draws its own dimensions (length, width, height, wheel base, ...); the keypoints
    and an opaque surface follow from them.

    Parameters
    ----------
    n_frames : int
        Number of frames.
    category : str
        Kind of object: "aeroplane", "bicycle", "boat", "bottle", "bus", "car", "chair",
        "diningtable", "motorbike", "sofa", "train" or "tvmonitor".
    n_instances : int or None
        Number of different objects. None: every frame shows another one. Fewer: consecutive
        frames show the same object, as in a video that goes round it.
    camera : {"orthographic", "weak_perspective", "perspective"}
        Kind of projection.
    views : {"random", "smooth", "turntable", "upright"} or array-like
        Camera of each frame: independent and uniform over all rotations; on a smooth path round
        each instance; one turn round each instance; independent but upright. Or
        rotations (n_frames, 3, 3).
    depth_ratio : float
        Perspective only: mean over frames of the object's extent in depth divided by the distance
        of its centre.
    intrinsics : array-like of shape (3, 3), optional
        Calibration matrix; `W` is then in pixels (under orthography its focal lengths are pixels
        a metre). By default `W` is in metres, or on the unit focal plane under perspective.
    image_size : tuple of two int, optional
        Width and height in pixels of an image which every frame is made to fit; chooses the
        intrinsics.
    missing : float
        Fraction of keypoints to hide.
    occlusion : {"random", "contiguous", "self"}
        How: independently; in blocks of time (which needs `n_instances` below `n_frames`); or
        what the object's surface hides from the camera, plus `missing` at random.
    noise : float
        Standard deviation of Gaussian noise on each coordinate of `W`, relative to the mean
        over frames of the centred :math:`\lVert W \rVert_F / \sqrt{P}`.
    min_visible : int
        Number of keypoints that stay visible in every frame.
    random_state : int, RandomState or None
        Seed.

    Returns
    -------
    Bunch
        - W : ndarray of shape (n_frames, n_points, 2), keypoints, NaN where hidden.
        - visible : ndarray of shape (n_frames, n_points), bool.
        - W_complete : ndarray of shape (n_frames, n_points, 2), without noise and hiding.
        - X : ndarray of shape (n_frames, n_points, 3), keypoints in the camera frame, metres.
        - shapes : ndarray of shape (n_frames, n_points, 3), centred keypoints, object frame (x to
          the object's left, y up, z to its front), ``X = shapes @ R.T + t``.
        - rotations (n_frames, 3, 3), translations (n_frames, 3), scales (n_frames,), intrinsics
          (3, 3) or None.
        - names, edges : names of the keypoints and pairs of them to be joined in a drawing.
        - groups : ndarray of shape (n_frames,), instance of each frame.
        - category, camera, DESCR.

    Raises
    ------
    ValueError
        If an option is unknown or out of range.

    See Also
    --------
    make_articulated_body : A deforming object.
    make_twelve_categories : All categories in one array.

    Examples
    --------
    >>> from nrsfm_learn.datasets import make_rigid_category
    >>> cars = make_rigid_category(50, category="car", occlusion="self", random_state=0)
    >>> cars.W.shape
    (50, 16, 2)
    """
    rng = check_random_state(random_state)
    if category not in RIGID_SHAPES:
        raise ValueError(f"category must be one of {sorted(RIGID_SHAPES)}, got {category!r}.")
    n_instances = n_frames if n_instances is None else n_instances
    groups = clip_labels(n_frames, n_instances, name="n_instances")
    if occlusion == "contiguous" and n_instances == n_frames:
        raise ValueError(
            "occlusion='contiguous' hides keypoints in blocks of time, but every frame shows "
            "another object; give n_instances < n_frames."
        )
    sample = RIGID_SHAPES[category](n_instances, rng)
    keypoints = np.stack(list(sample.keypoints.values()), axis=1)
    centre = keypoints.mean(1, keepdims=True)
    names = list(sample.keypoints)
    return observe(
        (keypoints - centre)[groups],
        groups,
        rng,
        camera=camera,
        views=views,
        missing=missing,
        occlusion=occlusion,
        noise=noise,
        depth_ratio=depth_ratio,
        intrinsics=intrinsics,
        image_size=image_size,
        min_visible=min_visible,
        names=names,
        edges=[(names.index(a), names.index(b)) for a, b in sample.edges],
        descr=f"Generated rigid category {category!r}, {camera} camera, {views_name(views)} views.",
        occluder=partial(
            hidden_by_mesh,
            vertices=(sample.vertices - centre)[groups],
            triangles=sample.triangles,
        ),
        category=category,
    )
