"""Twelve rigid categories in one array, with the statistics of Pascal3D+."""

from functools import partial
from numbers import Integral
from typing import NamedTuple

import numpy as np
from sklearn.utils import check_random_state

from nrsfm_learn.datasets._cameras import observe, upright_rotations
from nrsfm_learn.datasets._hiding import hidden_by_mesh
from nrsfm_learn.datasets._rigid_shapes import RIGID_SHAPES
from nrsfm_learn.preprocessing import stack_categories


class _Category(NamedTuple):
    frames: int
    elevation: float
    spread: float
    frontal: float


# Frames of each category in C3DPO's training set of Pascal3D+, then how such things are
# photographed: mean and standard deviation of the camera's elevation, degrees, and the
# concentration of its azimuth round the front (von Mises), which nobody prefers with vehicles.
_CATEGORIES = {
    "aeroplane": _Category(1953, 2, 15, 0.0),
    "bicycle": _Category(904, 5, 8, 0.0),
    "boat": _Category(2046, 4, 7, 0.0),
    "bottle": _Category(1601, 5, 10, 0.0),
    "bus": _Category(1185, 0, 6, 0.0),
    "car": _Category(5627, 2, 6, 0.0),
    "chair": _Category(1186, 14, 12, 0.7),
    "diningtable": _Category(751, 20, 10, 0.0),
    "motorbike": _Category(725, 5, 7, 0.0),
    "sofa": _Category(669, 12, 8, 1.5),
    "train": _Category(1113, 0, 6, 0.0),
    "tvmonitor": _Category(1374, 3, 8, 1.5),
}


def make_twelve_categories(
    n_frames=5000,
    *,
    camera="orthographic",
    depth_ratio=1 / 3,
    noise=0.0,
    min_visible=3,
    random_state=None,
):
    r"""Generate annotated keypoints of twelve rigid categories, each frame another object.

    A stand-in for Pascal3D+ as multi-category methods are compared on it: the same categories with
    8 to 16 keypoints each, their uneven frequencies, cameras near the horizon, and about 37.7
    percent of the keypoints hidden. What is hidden follows from geometry: a keypoint is visible
    where no part of the object's own surface lies between it and the camera. A perspective camera
    sees less of an object than an orthographic one (42 percent are hidden at the default depth
    ratio). Shapes and viewpoints are not those of Pascal3D+.

    Parameters
    ----------
    n_frames : int
        Number of frames, at least 12. Each category has one, and of the others a fixed share, that
        in the training set of C3DPO: aeroplane 10.2 percent, bicycle 4.7, boat 10.7, bottle 8.4,
        bus 6.2, car 29.4, chair 6.2, diningtable 3.9, motorbike 3.8, sofa 3.5, train 5.8, tvmonitor
        7.2.
    camera : {"orthographic", "weak_perspective", "perspective"}
        Kind of projection.
    depth_ratio : float
        Perspective only: mean over the frames of a category of the object's extent in depth
        divided by the distance of its centre.
    noise : float
        Standard deviation of Gaussian noise on each coordinate of `W`, relative to the mean over
        the frames of a category of the centred :math:`\lVert W \rVert_F / \sqrt{P}`.
    min_visible : int
        Number of keypoints that stay visible in every frame.
    random_state : int, RandomState or None
        Seed.

    Returns
    -------
    Bunch
        - W : ndarray of shape (n_frames, n_points, 2), keypoints, NaN where hidden and in the
          points of the other categories. Frames are shuffled.
        - visible : ndarray of shape (n_frames, n_points), bool.
        - X : ndarray of shape (n_frames, n_points, 3), keypoints in the camera frame, NaN in the
          points of the other categories. The unit of each category is such that the mean over its
          instances of :math:`\lVert S \rVert_F / \sqrt{P_z}` of the centred shapes is 1.
        - categories : ndarray of str of shape (n_frames,).
        - layout : CategoryLayout, which points belong to which category.
        - W_complete (n_frames, n_points, 2), without noise and hiding; shapes (n_frames, n_points,
          3), centred keypoints in the object frame (x to the object's left, y up, z to its front).
        - rotations (n_frames, 3, 3), translations (n_frames, 3), scales (n_frames,); intrinsics,
          None.
        - names : list of str, such as "car/left_headlight"; edges : list of (int, int).
        - groups : ndarray of shape (n_frames,), the object of each frame: all differ.
        - metres : dict of str to float, metres for one unit of each category.
        - camera, DESCR.

    Raises
    ------
    ValueError
        If an option is out of range.

    See Also
    --------
    make_rigid_category : One of the categories.
    nrsfm_learn.preprocessing.split_categories : Takes an array over all points apart again.

    References
    ----------
    Y. Xiang, R. Mottaghi and S. Savarese, Beyond PASCAL: a benchmark for 3D object detection in the
    wild, WACV 2014.
    D. Novotny, N. Ravi, B. Graham, N. Neverova and A. Vedaldi, C3DPO: canonical 3D pose networks
    for non-rigid structure from motion, ICCV 2019.

    Examples
    --------
    >>> from nrsfm_learn.datasets import make_twelve_categories
    >>> data = make_twelve_categories(100, random_state=0)
    >>> data.W.shape, int((data.categories == "car").sum())
    ((100, 166, 2), 27)
    """
    rng = check_random_state(random_state)
    sizes = _class_sizes(n_frames)
    parts, metres = {}, {}
    for category, size in sizes.items():
        parts[category], metres[category] = _one_category(
            category,
            size,
            rng,
            camera=camera,
            depth_ratio=depth_ratio,
            noise=noise,
            min_visible=min_visible,
        )
    stacked = stack_categories(parts)
    order = rng.permutation(n_frames)
    # stack_categories knows W and X; other arrays over points are laid out in the same way.
    for key in ("W_complete", "shapes"):
        stacked[key] = np.full((*stacked.W.shape[:2], parts["car"][key].shape[-1]), np.nan)
        for category, part in parts.items():
            frames = np.flatnonzero(stacked.categories == category)
            stacked[key][np.ix_(frames, stacked.layout.points(category))] = part[key]
    for key in ("rotations", "translations", "scales"):
        stacked[key] = np.concatenate([part[key] for part in parts.values()])
    for key, value in stacked.items():
        if isinstance(value, np.ndarray):
            stacked[key] = value[order]
    stacked.update(
        groups=np.arange(n_frames),
        intrinsics=None,
        metres=metres,
        camera=camera,
        DESCR=f"Generated rigid objects of twelve categories, {camera} camera, self-occlusion.",
    )
    return stacked


def _class_sizes(n_frames):
    """Give each category one frame, and share out the others by largest remainders."""
    if not isinstance(n_frames, Integral) or n_frames < len(_CATEGORIES):
        raise ValueError(
            f"n_frames must be an integer of at least {len(_CATEGORIES)}, one frame a category, "
            f"got {n_frames!r}."
        )
    weights = np.array([c.frames for c in _CATEGORIES.values()])
    exact = (n_frames - len(weights)) * weights / weights.sum()
    sizes = 1 + exact.astype(int)
    late = np.argsort(exact.astype(int) - exact, kind="stable")
    sizes[late[: n_frames - sizes.sum()]] += 1
    return dict(zip(_CATEGORIES, sizes.tolist(), strict=True))


def _one_category(category, n_frames, rng, **options):
    """Frames of one category, and metres for one of its units."""
    sample = RIGID_SHAPES[category](n_frames, rng)
    keypoints = np.stack(list(sample.keypoints.values()), axis=1)
    centre = keypoints.mean(1, keepdims=True)
    unit = np.sqrt(((keypoints - centre) ** 2).sum(2).mean(1)).mean()
    views = _CATEGORIES[category]
    azimuth = rng.vonmises(0, views.frontal, n_frames)
    elevation = np.clip(rng.normal(views.elevation, views.spread, n_frames), -30, 60)
    roll = rng.normal(0, 3, n_frames)
    names = list(sample.keypoints)
    seen = observe(
        (keypoints - centre) / unit,
        np.arange(n_frames),
        rng,
        views="upright",
        missing=0.0,
        occlusion="self",
        intrinsics=None,
        image_size=None,
        names=names,
        edges=[(names.index(a), names.index(b)) for a, b in sample.edges],
        descr="",
        occluder=partial(
            hidden_by_mesh,
            vertices=(sample.vertices - centre) / unit,
            triangles=sample.triangles,
        ),
        rotations=upright_rotations(azimuth, *np.deg2rad([elevation, roll])),
        **options,
    )
    return seen, float(unit)
