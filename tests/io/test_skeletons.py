"""Point sets of common trackers."""

import pytest

from nrsfm_learn.io._skeletons import SKELETONS, skeleton_of


@pytest.mark.parametrize(
    ("key", "n_points", "n_edges", "points"),
    [
        # The last column: points whose number and name the publishers' tables have side by side.
        ("COCO-17", 17, 19, {0: "nose", 5: "left_shoulder", 10: "right_wrist", 15: "left_ankle"}),
        ("BODY_25", 25, 24, {1: "Neck", 8: "MidHip", 15: "REye", 21: "LHeel", 24: "RHeel"}),
        ("COCO-18", 18, 17, {1: "Neck", 8: "RHip", 13: "LAnkle", 14: "REye", 17: "LEar"}),
        ("MPI-15", 15, 14, {0: "Head", 8: "RHip", 13: "LAnkle", 14: "Chest"}),
        ("hand-21", 21, 20, {0: "wrist", 2: "thumb_mcp", 8: "index_finger_tip", 18: "pinky_pip"}),
        ("MediaPipe-33", 33, 35, {7: "left_ear", 10: "mouth_right", 20: "right_index",
                                  23: "left_hip", 32: "right_foot_index"}),
    ],
)  # fmt: skip
def test_points_and_bones(key, n_points, n_edges, points):
    names, edges = SKELETONS[key]
    assert len(names) == len(set(names)) == n_points
    assert {k: names[k] for k in points} == points
    pairs = {frozenset(edge) for edge in edges}
    assert len(pairs) == len(edges) == n_edges
    assert all(len(pair) == 2 for pair in pairs)
    assert {end for edge in edges for end in edge} <= set(range(n_points))


@pytest.mark.parametrize("key", SKELETONS)
def test_left_mirrors_right(key):
    names, edges = SKELETONS[key]

    def mirrored(name):
        for left, right in (("left", "right"), ("right", "left")):
            if left in name:
                return name.replace(left, right)
        if name[1:2].isupper() and name[0] in "LR":
            return "LR"["RL".index(name[0])] + name[1:]
        return name

    flip = [names.index(mirrored(name)) for name in names]
    pairs = {frozenset(edge) for edge in edges}
    assert {frozenset((flip[a], flip[b])) for a, b in edges} == pairs


@pytest.mark.parametrize("key", ["COCO-17", "BODY_25", "COCO-18", "MPI-15", "hand-21"])
def test_bones_connect_all_points(key):
    names, edges = SKELETONS[key]
    reached = {0}
    for _ in names:
        reached |= {end for edge in edges for end in edge if set(edge) & reached}
    assert reached == set(range(len(names)))


def test_the_bones_of_coco_are_those_of_its_annotations():
    published = [
        [16, 14], [14, 12], [17, 15], [15, 13], [12, 13], [6, 12], [7, 13], [6, 7], [6, 8],
        [7, 9], [8, 10], [9, 11], [2, 3], [1, 2], [1, 3], [2, 4], [3, 5], [4, 6], [5, 7],
    ]  # fmt: skip
    expected = {frozenset((a - 1, b - 1)) for a, b in published}
    assert {frozenset(edge) for edge in SKELETONS["COCO-17"].edges} == expected


def test_a_skeleton_is_chosen_by_the_number_of_points_among_those_that_are_possible():
    assert skeleton_of(18, "BODY_25", "COCO-18") is SKELETONS["COCO-18"]
    assert skeleton_of(17, "BODY_25", "COCO-18") == ((), ())
    assert skeleton_of(17) == ((), ())
