"""Names and bones of the point sets of common trackers, whose files do not hold them."""

from itertools import pairwise
from typing import NamedTuple


class Skeleton(NamedTuple):
    """A point set.

    Attributes
    ----------
    names : tuple of str
        Name of each point.
    edges : tuple of (int, int)
        Bones, as pairs of points counted from 0.
    """

    names: tuple = ()
    edges: tuple = ()


def _chain(*points):
    return tuple(pairwise(points))


def _named(text):
    return tuple(text.split())


_FINGERS = ("thumb", "index_finger", "middle_finger", "ring_finger", "pinky")
_THUMB, _FINGER = ("cmc", "mcp", "ip", "tip"), ("mcp", "pip", "dip", "tip")

SKELETONS = {
    "COCO-17": Skeleton(
        _named(
            "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow "
            "right_elbow left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle "
            "right_ankle"
        ),
        (
            *_chain(15, 13, 11, 12, 14, 16),
            *_chain(11, 5, 6, 12),
            *_chain(5, 7, 9),
            *_chain(6, 8, 10),
            *_chain(1, 2, 0, 1, 3, 5),
            *_chain(2, 4, 6),
        ),
    ),
    "BODY_25": Skeleton(
        _named(
            "Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist MidHip RHip RKnee RAnkle "
            "LHip LKnee LAnkle REye LEye REar LEar LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel"
        ),
        (
            *_chain(0, 1, 8),
            *_chain(1, 2, 3, 4),
            *_chain(1, 5, 6, 7),
            *_chain(8, 9, 10, 11),
            *_chain(8, 12, 13, 14),
            *_chain(0, 15, 17),
            *_chain(0, 16, 18),
            *_chain(14, 19, 20),
            *_chain(14, 21),
            *_chain(11, 22, 23),
            *_chain(11, 24),
        ),
    ),
    "COCO-18": Skeleton(
        _named(
            "Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist RHip RKnee RAnkle LHip "
            "LKnee LAnkle REye LEye REar LEar"
        ),
        (
            *_chain(0, 1),
            *_chain(1, 2, 3, 4),
            *_chain(1, 5, 6, 7),
            *_chain(1, 8, 9, 10),
            *_chain(1, 11, 12, 13),
            *_chain(0, 14, 16),
            *_chain(0, 15, 17),
        ),
    ),
    "MPI-15": Skeleton(
        _named(
            "Head Neck RShoulder RElbow RWrist LShoulder LElbow LWrist RHip RKnee RAnkle LHip "
            "LKnee LAnkle Chest"
        ),
        (
            *_chain(0, 1, 14),
            *_chain(1, 2, 3, 4),
            *_chain(1, 5, 6, 7),
            *_chain(14, 8, 9, 10),
            *_chain(14, 11, 12, 13),
        ),
    ),
    "hand-21": Skeleton(
        (
            "wrist",
            *(
                f"{finger}_{joint}"
                for finger in _FINGERS
                for joint in (_THUMB if finger == "thumb" else _FINGER)
            ),
        ),
        tuple(edge for k in range(1, 21, 4) for edge in _chain(0, k, k + 1, k + 2, k + 3)),
    ),
    "MediaPipe-33": Skeleton(
        _named(
            "nose left_eye_inner left_eye left_eye_outer right_eye_inner right_eye right_eye_outer "
            "left_ear right_ear mouth_left mouth_right left_shoulder right_shoulder left_elbow "
            "right_elbow left_wrist right_wrist left_pinky right_pinky left_index right_index "
            "left_thumb right_thumb left_hip right_hip left_knee right_knee left_ankle right_ankle "
            "left_heel right_heel left_foot_index right_foot_index"
        ),
        (
            *_chain(0, 1, 2, 3, 7),
            *_chain(0, 4, 5, 6, 8),
            *_chain(9, 10),
            *_chain(11, 12, 24, 23, 11),
            *_chain(11, 13, 15, 17, 19, 15, 21),
            *_chain(12, 14, 16, 18, 20, 16, 22),
            *_chain(23, 25, 27, 29, 31, 27),
            *_chain(24, 26, 28, 30, 32, 28),
        ),
    ),
}


def skeleton_of(n_points, *among):
    """Return the skeleton that has a number of points.

    Parameters
    ----------
    n_points : int
        Number of keypoints in the file.
    *among : str
        Keys of ``SKELETONS`` that the tracker may have used. Others have the same number of
        points as some sets of other objects, so that a number alone tells nothing.

    Returns
    -------
    Skeleton
        Names and edges; both empty where none fits.

    References
    ----------
    "COCO - Common Objects in Context, Data format: Keypoint Detection" (COCO-17); OpenPose,
    "OpenPose Doc - Output" and its source file poseParameters.cpp (BODY_25, COCO-18, MPI-15, and
    the order of the hand); Google AI Edge, "Pose landmark detection guide" (MediaPipe-33) and
    "Hand landmarks detection guide" (names of the hand).
    """
    for key in among:
        if len(SKELETONS[key].names) == n_points:
            return SKELETONS[key]
    return Skeleton()
