"""A human skeleton: 31 joints, bone lengths in metres, joint axes and limits.

The rest pose stands upright with the arms down, in a frame with x to the body's left, y up and z
to the front. Angles are anatomical: flexion, abduction and so on are positive on both sides.
"""

from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from nrsfm_learn.datasets._kinematics import forward_kinematics

_X, _Y, _Z = np.eye(3)
# Height of the head's joint above the soles for the lengths below; the crown is 0.12 m higher.
_REST_HEIGHT = 1.75


class _Bone(NamedTuple):
    parent: str
    vector: tuple
    radius: float
    dofs: dict


_BACK = {"flexion": (_X, -12, 35), "bend": (_Z, -20, 20), "twist": (_Y, -22, 22)}
_NECK = {"flexion": (_X, -25, 30), "bend": (_Z, -18, 18), "twist": (_Y, -30, 30)}
_AXIAL = {
    "lowerback": _Bone("root", (0, 0.12, -0.01), 0.12, _BACK),
    "upperback": _Bone("lowerback", (0, 0.12, -0.01), 0.12, _BACK),
    "thorax": _Bone("upperback", (0, 0.125, 0.0), 0.12, _BACK),
    "lowerneck": _Bone("thorax", (0, 0.085, 0.01), 0.055, _NECK),
    "upperneck": _Bone("lowerneck", (0, 0.08, 0.015), 0.06, _NECK),
    "head": _Bone("upperneck", (0, 0.1, 0.0), 0.09, _NECK),
}
_LEG = {
    "hipjoint": _Bone("root", (0.095, -0.075, 0.01), 0.09, {}),
    "femur": _Bone(
        "hipjoint",
        (0.01, -0.425, 0.0),
        0.07,
        {"flexion": (-_X, -25, 125), "abduction": (_Z, -25, 60), "twist": (_Y, -40, 45)},
    ),
    "tibia": _Bone("femur", (0, -0.42, -0.01), 0.05, {"flexion": (_X, 0, 145)}),
    "foot": _Bone(
        "tibia",
        (0.015, -0.06, 0.135),
        0.035,
        {"flexion": (-_X, -45, 30), "eversion": (_Z, -20, 20)},
    ),
    "toes": _Bone("foot", (0, -0.01, 0.065), 0.03, {"extension": (-_X, -25, 60)}),
}
_ARM = {
    "clavicle": _Bone(
        "thorax",
        (0.18, 0.03, -0.01),
        0.06,
        {"elevation": (_Z, -10, 25), "protraction": (-_Y, -20, 20)},
    ),
    "humerus": _Bone(
        "clavicle",
        (0.02, -0.3, 0.0),
        0.045,
        {"flexion": (-_X, -60, 170), "abduction": (_Z, -15, 150), "twist": (_Y, -80, 80)},
    ),
    "radius": _Bone("humerus", (0, -0.17, 0.0), 0.04, {"flexion": (-_X, 0, 145)}),
    "wrist": _Bone("radius", (0, -0.09, 0.0), 0.035, {"pronation": (-_Y, -80, 80)}),
    "hand": _Bone(
        "wrist",
        (0, -0.075, 0.0),
        0.035,
        {"flexion": (-_Z, -65, 70), "deviation": (-_X, -20, 30)},
    ),
    "fingers": _Bone("hand", (0, -0.07, 0.005), 0.02, {"flexion": (-_Z, 0, 95)}),
    "thumb": _Bone(
        "wrist",
        (-0.01, -0.045, 0.04),
        0.015,
        {"flexion": (-_Z, -30, 45), "abduction": (-_X, -30, 45)},
    ),
}
_ROOT = {"flexion": (_X, -35, 70), "bend": (_Z, -25, 25)}


class Skeleton(NamedTuple):
    """Joints with their parents, bones, limb radii and degrees of freedom.

    Attributes
    ----------
    names : tuple of str
        Name of each joint; a bone has the name of the joint it ends in.
    parents : tuple of int
        Parent of each joint, -1 for the root.
    offsets : ndarray of shape (n_joints, 3)
        Bones in the rest pose, metres.
    radii : ndarray of shape (n_joints,)
        Radius of the limb around each bone, metres.
    angle_names : tuple of str
        Degrees of freedom, such as ``"lfemur.flexion"``.
    axes : ndarray of shape (n_angles, 3)
        Axis of each degree of freedom in the rest pose.
    limits : ndarray of shape (n_angles, 2)
        Smallest and largest angle, degrees.
    """

    names: tuple
    parents: tuple
    offsets: np.ndarray
    radii: np.ndarray
    angle_names: tuple
    axes: np.ndarray
    limits: np.ndarray

    @property
    def edges(self):
        """Pairs (parent, child) of joints."""
        return [(p, j) for j, p in enumerate(self.parents) if p >= 0]

    def pose(self, angles):
        """Joints of a body in given poses, root at the origin.

        Parameters
        ----------
        angles : ndarray of shape (n_frames, n_angles)
            Degrees, in the order of `angle_names`.

        Returns
        -------
        ndarray of shape (n_frames, n_joints, 3)
            Metres.
        """
        root = np.zeros((len(angles), 3))
        return forward_kinematics(self.parents, self.offsets, self.rotations(angles), root)

    def rotations(self, angles):
        """Rotation of each bone against its parent, in the axes of the rest pose.

        Parameters
        ----------
        angles : ndarray of shape (n_frames, n_angles)
            Degrees, in the order of `angle_names`.

        Returns
        -------
        ndarray of shape (n_frames, n_joints, 3, 3)
        """
        rotations = np.tile(np.eye(3), (len(angles), len(self.names), 1, 1))
        # Angles of a joint are listed from the outermost to the innermost rotation.
        for k, name in enumerate(self.angle_names):
            j = self.names.index(name.split(".")[0])
            vector = np.deg2rad(angles[:, k, None]) * self.axes[k]
            rotations[:, j] = rotations[:, j] @ Rotation.from_rotvec(vector).as_matrix()
        return rotations


def make_skeleton(height=1.75, rng=None):
    """Build the 31-joint skeleton of one person.

    Parameters
    ----------
    height : float
        Height from sole to crown, metres.
    rng : numpy.random.RandomState, optional
        Draws individual proportions: every segment within 6 percent of the average, the same on
        both sides. None gives the average person.

    Returns
    -------
    Skeleton
    """
    bones = {"root": _Bone("", (0, 0, 0), 0.0, _ROOT)}
    for side in "lr":
        bones |= {side + name: _sided(bone, side) for name, bone in _LEG.items()}
    bones |= _AXIAL
    for side in "lr":
        bones |= {side + name: _sided(bone, side) for name, bone in _ARM.items()}
    segments = sorted({_segment(name) for name in bones})
    factors = np.ones(len(segments)) if rng is None else rng.uniform(0.94, 1.06, len(segments))
    factor = dict(zip(segments, factors, strict=True))
    names = tuple(bones)
    offsets = np.array([factor[_segment(n)] * np.asarray(bones[n].vector) for n in names])
    dofs = [(f"{n}.{d}", *bones[n].dofs[d]) for n in names for d in bones[n].dofs]
    chain = ("lhipjoint", "lfemur", "ltibia", "lfoot", *_AXIAL)
    tall = 0.12 + sum(abs(offsets[names.index(n), 1]) for n in chain)
    return Skeleton(
        names=names,
        parents=tuple(names.index(b.parent) if b.parent else -1 for b in bones.values()),
        offsets=offsets * height / tall,
        radii=np.array([b.radius for b in bones.values()]) * height / _REST_HEIGHT,
        angle_names=tuple(d[0] for d in dofs),
        axes=np.array([d[1] for d in dofs]),
        limits=np.array([d[2:] for d in dofs], dtype=float),
    )


def _segment(name):
    return name[1:] if name[1:] in _LEG or name[1:] in _ARM else name


def _sided(bone, side):
    """Return the bone of that side; the tables hold the left one."""
    sign = 1 if side == "l" else -1
    parent = side + bone.parent if bone.parent in _LEG or bone.parent in _ARM else bone.parent
    x, y, z = bone.vector
    # A mirror at x = 0 keeps the x component of an axis of rotation and turns the others over.
    mirror = np.array([1, sign, sign])
    dofs = {name: (mirror * axis, low, high) for name, (axis, low, high) in bone.dofs.items()}
    return _Bone(parent, (sign * x, y, z), bone.radius, dofs)
