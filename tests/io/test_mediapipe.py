"""Landmarks of MediaPipe."""

import json

import numpy as np
import pytest

from nrsfm_learn import io
from nrsfm_learn.io._skeletons import SKELETONS

SIZE = (640, 480)


@pytest.fixture
def values():
    """4 frames of 2 persons with 33 landmarks: x, y, z, visibility."""
    rng = np.random.default_rng(0)
    values = rng.uniform(-0.1, 1.1, (4, 2, 33, 4))
    values[..., 3] = rng.uniform(0.6, 1, (4, 2, 33))
    return values


@pytest.fixture
def save(tmp_path):
    def save(data):
        path = tmp_path / "landmarks.json"
        path.write_text(json.dumps(data))
        return path

    return save


def pose(values, keys=("x", "y", "z", "visibility"), **others):
    return [{**dict(zip(keys, row, strict=True)), **others} for row in values.tolist()]


def expected(values):
    return values[..., :2] * SIZE


LAYOUTS = {
    "several poses a frame": lambda poses: [
        {"pose_landmarks": [p], "pose_world_landmarks": [p]} for p in poses
    ],
    "one pose a frame": lambda poses: [{"pose_landmarks": p} for p in poses],
    "JavaScript": lambda poses: [{"poseLandmarks": p} for p in poses],
    "the result of the task": lambda poses: [
        {"landmarks": [p], "worldLandmarks": []} for p in poses
    ],
    "protocol buffers": lambda poses: [{"pose_landmarks": {"landmark": p}} for p in poses],
    "protocol buffers alone": lambda poses: [{"landmark": p} for p in poses],
    "lists": lambda poses: poses,
    "lists of lists": lambda poses: [[p] for p in poses],
    "an object": lambda poses: {"frames": poses},
    "an object of objects": lambda poses: {"frames": [{"landmarks": p} for p in poses]},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(save, values, layout):
    path = save(LAYOUTS[layout]([pose(values[f, 0], presence=0.9) for f in range(4)]))
    keypoints = io.read(path, image_size=SIZE)
    assert keypoints.source.format == "mediapipe"
    np.testing.assert_allclose(keypoints.W, expected(values[:, 0]), rtol=1e-14)
    np.testing.assert_array_equal(keypoints.confidence, values[:, 0, :, 3])
    assert keypoints.names == SKELETONS["MediaPipe-33"].names
    assert keypoints.edges == SKELETONS["MediaPipe-33"].edges
    assert keypoints.frames.tolist() == [0, 1, 2, 3]
    assert keypoints.fps is None
    assert keypoints.source.notes == ()


@pytest.mark.parametrize("layout", [lambda p: p, lambda p: {"pose_landmarks": [p]}])
def test_one_frame(save, values, layout):
    keypoints = io.read(save(layout(pose(values[0, 0]))), image_size=SIZE)
    np.testing.assert_allclose(keypoints.W, expected(values[:1, 0]), rtol=1e-14)


def test_size_and_frame_rate_of_the_file(save, values):
    data = {"fps": 29.97, "width": 640, "height": 480, "frames": [pose(values[0, 0])]}
    keypoints = io.read(save(data))
    assert keypoints.fps == 29.97
    np.testing.assert_allclose(keypoints.W, expected(values[:1, 0]), rtol=1e-14)
    # What the user says comes first.
    keypoints = io.read(save(data), image_size=(1, 1))
    np.testing.assert_array_equal(keypoints.W, values[:1, 0, :, :2])


@pytest.mark.parametrize("data", [lambda p: [p], lambda p: {"frames": [p], "width": 640}])
def test_the_size_of_the_image_is_needed(save, values, data):
    with pytest.raises(io.FileFormatError, match=r"Give image_size=\(width, height\)"):
        io.read(save(data(pose(values[0, 0]))))


@pytest.mark.parametrize(
    "size",
    [640, (640,), (640, 0), (640, -1), "ab", (1, 2, 3), (np.nan, 1), (np.inf, 1), ((1, 2), (3,))],
)
def test_the_size_must_be_two_positive_numbers(save, values, size):
    with pytest.raises(ValueError, match="image_size must be"):
        io.read(save([pose(values[0, 0])]), image_size=size)


@pytest.mark.parametrize("nothing", [None, [], {}, {"pose_landmarks": None}, {"pose_landmarks": []},
                                     {"pose_landmarks": [[]]}])  # fmt: skip
def test_frames_without_detection_stay(save, values, nothing):
    data = [nothing, pose(values[0, 0]), nothing, pose(values[1, 0])]
    keypoints = io.read(save(data), image_size=SIZE)
    assert keypoints.visible.any(1).tolist() == [False, True, False, True]
    np.testing.assert_allclose(keypoints.W[1::2], expected(values[:2, 0]), rtol=1e-14)


def test_landmarks_that_are_hardly_visible_are_hidden(save, values):
    values[0, 0, :3, 3] = [0.49, 0.5, 0.1]
    path = save([pose(values[f, 0]) for f in range(4)])
    keypoints = io.read(path, image_size=SIZE)
    assert np.argwhere(~keypoints.visible).tolist() == [[0, 0], [0, 2]]
    assert "2 keypoints (1.5%) with a confidence below 0.5" in keypoints.source.notes[0]
    assert io.read(path, image_size=SIZE, min_confidence=0).visible.all()


def test_landmarks_without_visibility(save, values):
    bare = pose(values[0, 0, :, :2], keys=("x", "y"))
    keypoints = io.read(save([bare]), image_size=SIZE)
    assert keypoints.confidence is None
    assert keypoints.visible.all()
    null = pose(values[1, 0, :, :2], keys=("x", "y"), visibility=None)
    keypoints = io.read(save([bare, null, pose(values[2, 0])]), image_size=SIZE)
    assert np.isnan(keypoints.confidence[:2]).all()
    assert keypoints.visible.all()


def test_several_persons(save, values):
    data = [{"pose_landmarks": [pose(p) for p in frame]} for frame in values]
    keypoints = io.read(save(data), image_size=SIZE)
    assert keypoints.individuals == ("person_0", "person_1")
    np.testing.assert_allclose(keypoints.W[4:], expected(values[:, 1]), rtol=1e-14)
    assert "may swap" in keypoints.source.notes[0]
    second = io.read(save(data), image_size=SIZE, individual=1)
    np.testing.assert_array_equal(second.W, keypoints.W[4:])


@pytest.mark.parametrize("key", ["frame", "frame_id", "frame_number", "frame_index"])
def test_numbered_frames(save, values, key):
    data = [{key: n, "landmarks": pose(values[k, 0])} for k, n in enumerate([3, 4, 6, 7])]
    keypoints = io.read(save(data), image_size=SIZE)
    assert keypoints.frames.tolist() == [3, 4, 5, 6, 7]
    assert keypoints.visible.any(1).tolist() == [True, True, False, True, True]
    data[2][key] = 4
    with pytest.raises(io.FileFormatError, match=rf"\[2\].{key}: frame 4 comes after frame 4"):
        io.read(save(data), image_size=SIZE)
    data[2][key] = "4"
    with pytest.raises(io.FileFormatError, match=rf"\[2\].{key}: a whole number was expected"):
        io.read(save(data), image_size=SIZE)


def test_hands_are_named(save, values):
    keypoints = io.read(save([{"landmarks": [pose(values[0, 0, :21])]}]), image_size=SIZE)
    assert keypoints.names == SKELETONS["hand-21"].names


POINT = {"x": 0.1, "y": 0.2, "z": 0.3, "visibility": 0.9}


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ([POINT] * 32, r"frames\[1\]: 32 landmarks, frames\[0\] has 33"),
        ([POINT] * 32 + [{"x": 0.1}], r"frames\[1\]\[32\]: a landmark with x and y was expected"),
        ([POINT] * 32 + [None], r"\[32\]: a landmark with x and y was expected, got null"),
        ([POINT] * 32 + [{**POINT, "x": None}], "entry 64 must be a finite number, got null"),
        ([POINT] * 32 + [{**POINT, "y": "1"}], "entry 65 must be a finite number, got the string"),
        ([POINT] * 32 + [{**POINT, "x": True}], "entry 64 must be a finite number, got true"),
        ([POINT] * 32 + [{**POINT, "x": float("nan")}], "entry 64 must be a finite number"),
        ([POINT] * 32 + [{**POINT, "x": 1e308}], "a coordinate is infinite"),
        (
            [POINT] * 32 + [{**POINT, "visibility": "0.9"}],
            "visibility.*: entry 32 must be a finite",
        ),
        ({"other": []}, r"frames\[1\]: it has none of pose_landmarks"),
        ({"landmarks": 3}, r"frames\[1\].landmarks: a list was expected, got the number 3"),
        ([[POINT] * 33, 3], r"frames\[1\]\[1\]: a list was expected"),
        (3, r"frames\[1\]: a list was expected"),
        ({"landmark": "x"}, r"frames\[1\].landmark: a list was expected"),
    ],
)
def test_damaged_frames(save, frame, message):
    with pytest.raises(io.FileFormatError, match=message):
        io.read(save({"frames": [[POINT] * 33, frame]}), image_size=SIZE)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fps": 0}, "fps: a positive number was expected"),
        ({"fps": "30"}, "fps: a positive number was expected, got the string '30'"),
        ({"width": None}, "Give image_size="),
        ({"width": -640}, "width: a positive number was expected"),
        ({"height": True}, "height: a positive number was expected, got true"),
    ],
)
def test_damaged_headers(save, changes, message):
    data = {"fps": 30, "width": 640, "height": 480, "frames": [[POINT] * 33], **changes}
    with pytest.raises(io.FileFormatError, match=message):
        io.read(save(data))


def test_nobody(save):
    path = save([{"pose_landmarks": []}] * 3)
    with pytest.raises(io.FileFormatError, match="no person was detected in 3 frames"):
        io.read(path, image_size=SIZE)
