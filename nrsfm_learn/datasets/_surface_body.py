"""Points on the skin of a moving human body, with visibility from the body's own surface."""

from functools import partial
from itertools import pairwise
from numbers import Integral

import numpy as np
from sklearn.utils import check_random_state

from nrsfm_learn.datasets._cameras import clip_labels, observe
from nrsfm_learn.datasets._hiding import hidden_by_capsules
from nrsfm_learn.datasets._kinematics import forward_kinematics
from nrsfm_learn.datasets._motion import joint_angles
from nrsfm_learn.datasets._skeleton import make_skeleton

# Points round a bone at a fraction of its length: bone, name of the place, fraction, directions.
# Directions are those of the rest pose; outer and inner are left and right on the left side.
_AXIAL = (
    ("head", "head", 0.5, ("front", "left", "back", "right", "end")),
    ("head", "jaw", 0.0, ("front", "back")),
    ("thorax", "chest", 0.6, ("front", "left", "back", "right")),
    ("upperback", "belly", 0.5, ("front", "left", "back", "right")),
    ("lowerback", "waist", 0.3, ("front", "left", "back", "right")),
)
_SIDED = (
    ("femur", "hip", 0.1, ("front", "back")),
    ("femur", "upper_thigh", 0.35, ("front", "outer", "back", "inner")),
    ("femur", "lower_thigh", 0.8, ("front", "outer", "back", "inner")),
    ("tibia", "upper_shin", 0.35, ("front", "outer", "back", "inner")),
    ("tibia", "lower_shin", 0.8, ("front", "outer", "back")),
    ("foot", "foot", 0.6, ("up", "down")),
    ("toes", "toes", 0.5, ("end",)),
    ("clavicle", "shoulder", 0.85, ("up", "front", "back")),
    ("humerus", "upper_arm", 0.5, ("front", "outer", "back", "inner")),
    ("radius", "forearm", 0.6, ("outer", "inner")),
    ("fingers", "fingers", 1.0, ("end",)),
)
# Where a drawing goes on from, if not from the place before.
_SPROUTS = {"hip": "waist", "shoulder": "chest"}
_DIRECTIONS = {
    "front": (0, 0, 1),
    "back": (0, 0, -1),
    "left": (1, 0, 0),
    "right": (-1, 0, 0),
    "up": (0, 1, 0),
    "down": (0, -1, 0),
}
# The skeleton's limbs are lean. These are those of clothed people, so thick that as much is hidden
# as in S-Up3D; hips are within the trunk already.
_GIRTH = 1.5
_LEAN = {"lowerneck": 1.15, "upperneck": 1.15, "head": 1.15, "lhipjoint": 1.0, "rhipjoint": 1.0}
# Outside their own limb by this fraction of its radius, so that rounding does not hide them.
_OUT = 1 + 1e-6


def make_surface_body(
    n_frames=2000,
    *,
    n_people=20,
    motion="mixture",
    height=1.75,
    camera="orthographic",
    views="upright",
    depth_ratio=1 / 3,
    noise=0.0,
    min_visible=3,
    random_state=None,
):
    r"""Generate 79 points on the skin of human bodies, of which a camera sees those not hidden.

    A stand-in for the synthetic Up3D data on which C3DPO and its successors are compared: 79
    vertices of a body surface in independent poses, of which 61.9 percent are hidden. Here the body
    is that of `make_articulated_body` with limbs that are thick capsules. A point moves rigidly
    with its limb, and is visible where the line from it to the camera meets no limb, its own
    included: the far side of the body is hidden, and what is behind an arm. Nothing is hidden at
    random; the thickness of the limbs was chosen for the fraction.

    Parameters
    ----------
    n_frames : int
        Number of frames, each in another pose.
    n_people : int
        Number of people with different proportions, at most `n_frames`.
    motion : {"mixture", "walk", "reach", "jump"}
        What they do.
    height : float
        Height of the people, metres.
    camera : {"orthographic", "weak_perspective", "perspective"}
        Kind of projection.
    views : {"random", "upright"}
        Camera of each frame: uniform over all rotations; or upright, from any side.
    depth_ratio : float
        Perspective only: mean over frames of the body's extent in depth divided by the distance of
        its centre.
    noise : float
        Standard deviation of Gaussian noise on each coordinate of `W`, relative to the mean over
        frames of the centred :math:`\lVert W \rVert_F / \sqrt{P}`.
    min_visible : int
        Number of keypoints that stay visible in every frame.
    random_state : int, RandomState or None
        Seed.

    Returns
    -------
    Bunch
        - W : ndarray of shape (n_frames, 79, 2), keypoints, NaN where hidden.
        - visible : ndarray of shape (n_frames, 79), bool.
        - W_complete : ndarray of shape (n_frames, 79, 2), without noise and hiding.
        - X : ndarray of shape (n_frames, 79, 3), points in the camera frame, metres.
        - shapes : ndarray of shape (n_frames, 79, 3), centred points, object frame (x to the
          body's left, y up, z to the front), ``X = shapes @ R.T + t``.
        - joints : ndarray of shape (n_frames, 31, 3), joints in the object frame.
        - rotations (n_frames, 3, 3), translations (n_frames, 3), scales (n_frames,), intrinsics
          (None).
        - names : such as "left_upper_thigh_front"; edges : rings round limbs and lines along them.
        - groups : ndarray of shape (n_frames,), all different; people : ndarray of shape
          (n_frames,), person of each frame.
        - camera, DESCR.

    Raises
    ------
    ValueError
        If an option is unknown or out of range.

    See Also
    --------
    make_articulated_body : The joints, in motion.

    References
    ----------
    C. Lassner et al., Unite the people: closing the loop between 3D and 2D human representations,
    CVPR 2017.
    D. Novotny, N. Ravi, B. Graham, N. Neverova and A. Vedaldi, C3DPO: canonical 3D pose networks
    for non-rigid structure from motion, ICCV 2019.

    Examples
    --------
    >>> from nrsfm_learn.datasets import make_surface_body
    >>> body = make_surface_body(50, random_state=0)
    >>> body.W.shape
    (50, 79, 2)
    """
    rng = check_random_state(random_state)
    if height <= 0:
        raise ValueError(f"height must be positive, in metres, got {height}.")
    if views not in ("random", "upright"):
        raise ValueError(f"views must be 'random' or 'upright', got {views!r}.")
    groups = clip_labels(n_frames, n_frames)
    if not isinstance(n_people, Integral) or n_people < 1:
        raise ValueError(f"n_people must be a positive integer, got {n_people!r}.")
    skeletons = [clothe(make_skeleton(height, rng)) for _ in range(min(n_people, n_frames))]
    people = rng.permutation(np.arange(n_frames) % len(skeletons))
    angles, _ = joint_angles(skeletons[0], groups, motion, rng)
    joints = np.empty((n_frames, len(skeletons[0].names), 3))
    skin = None
    for person, skeleton in enumerate(skeletons):
        names, joints[people == person], found = pose_skin(skeleton, angles[people == person])
        skin = np.empty((n_frames, len(names), 3)) if skin is None else skin
        skin[people == person] = found
    centre = skin.mean(1, keepdims=True)
    bones = np.array(skeletons[0].edges)
    return observe(
        skin - centre,
        groups,
        rng,
        camera=camera,
        views=views,
        missing=0.0,
        occlusion="self",
        noise=noise,
        depth_ratio=depth_ratio,
        intrinsics=None,
        image_size=None,
        min_visible=min_visible,
        names=names,
        edges=_lines(height),
        descr=f"Generated points on the skin of bodies, motion {motion!r}, {camera} camera.",
        occluder=partial(
            hidden_by_capsules,
            bones=bones,
            radii=skeletons[0].radii[bones[:, 1]],
            joints=joints - centre,
            chunk=300,
        ),
        joints=joints - centre,
        people=people,
    )


def clothe(skeleton):
    """Return a skeleton with the thicker limbs of clothed people."""
    girth = np.array([_LEAN.get(name, _GIRTH) for name in skeleton.names])
    return skeleton._replace(radii=girth * skeleton.radii)


def pose_skin(skeleton, angles):
    """Joints and points of the skin of one body in given poses, root at the origin.

    Parameters
    ----------
    skeleton : Skeleton
        Body.
    angles : ndarray of shape (n_frames, n_angles)
        Degrees.

    Returns
    -------
    names : list of str
        Names of the points of the skin.
    joints : ndarray of shape (n_frames, n_joints, 3)
        Joints.
    skin : ndarray of shape (n_frames, n_points, 3)
        Points of the skin.
    """
    names, bones, offsets = [], [], []
    for name, bone, fraction, direction in _places():
        j = skeleton.names.index(bone)
        along = skeleton.offsets[j] / np.linalg.norm(skeleton.offsets[j])
        if direction == "end":
            fraction, normal = 1.0, along
        else:
            normal = np.array(_DIRECTIONS[direction], dtype=float)
            normal -= (normal @ along) * along
            normal /= np.linalg.norm(normal)
        names.append(name)
        bones.append(j)
        offsets.append((fraction - 1) * skeleton.offsets[j] + _OUT * skeleton.radii[j] * normal)
    # Points of the skin are rigid bones that sprout from the end of their limb.
    rotations = skeleton.rotations(angles)
    still = np.broadcast_to(np.eye(3), (len(angles), len(names), 3, 3))
    positions = forward_kinematics(
        (*skeleton.parents, *bones),
        np.concatenate([skeleton.offsets, offsets]),
        np.concatenate([rotations, still], axis=1),
        np.zeros((len(angles), 3)),
    )
    n_joints = len(skeleton.names)
    return names, positions[:, :n_joints], positions[:, n_joints:]


def _places():
    """Yield name, bone, fraction and direction of every point."""
    for bone, place, fraction, directions in _AXIAL:
        for direction in directions:
            yield f"{place}_{direction}", bone, fraction, direction
    for side, other in (("left", "right"), ("right", "left")):
        for bone, place, fraction, directions in _SIDED:
            for direction in directions:
                absolute = {"outer": side, "inner": other}.get(direction, direction)
                yield f"{side}_{place}_{direction}", side[0] + bone, fraction, absolute


def _lines(height):
    """Pairs of points for a drawing: rings round the limbs, and lines along them."""
    skeleton = clothe(make_skeleton(height))
    names, _, skin = pose_skin(skeleton, np.zeros((1, len(skeleton.angle_names))))
    rings = {}
    for i, name in enumerate(names):
        rings.setdefault(name.rpartition("_")[0], []).append(i)
    pairs, before = set(), None
    for place, ring in rings.items():
        pairs |= {*pairwise(ring), *([(ring[0], ring[-1])] if len(ring) > 2 else [])}
        start = _SPROUTS.get(place.removeprefix("left_").removeprefix("right_"), before)
        for i in ring if start else ():
            gaps = np.linalg.norm(skin[0, rings[start]] - skin[0, i], axis=1)
            pairs.add((rings[start][gaps.argmin()], i))
        before = place
    return sorted(pairs)
