"""Predictions of MMPose."""

import json

import numpy as np
import pytest

from nrsfm_learn import io


@pytest.fixture
def values():
    """5 frames of 2 instances with 3 keypoints: x, y, score."""
    rng = np.random.default_rng(0)
    return np.concatenate(
        [rng.uniform(1, 500, (5, 2, 3, 2)), rng.uniform(0.35, 1.1, (5, 2, 3, 1))], axis=-1
    )


@pytest.fixture
def save(tmp_path):
    def save(data):
        path = tmp_path / "results.json"
        path.write_text(json.dumps(data, indent="\t"))
        return path

    return save


def instance(values, **others):
    return {
        "keypoints": values[:, :2].tolist(),
        "keypoint_scores": values[:, 2].tolist(),
        "bbox": [[1.0, 2.0, 30.0, 40.0]],
        "bbox_score": 0.98,
        **others,
    }


def frames_of(values, first=0):
    return [
        {"frame_id": f + first, "instances": [instance(one) for one in frame]}
        for f, frame in enumerate(values)
    ]


META = {
    "dataset_name": "test",
    "num_keypoints": 3,
    "keypoint_id2name": {"0": "nose", "1": "ear", "2": "tail"},
    "keypoint_name2id": {"nose": 0, "ear": 1, "tail": 2},
    "skeleton_links": [[0, 1], [1, 2]],
    "sigmas": {"__ndarray__": [0.1, 0.1, 0.1], "dtype": "float32", "shape": [3]},
}


def test_a_video_of_the_inferencer(save, values):
    keypoints = io.read(save(frames_of(values[:, :1])))
    assert keypoints.source.format == "mmpose"
    np.testing.assert_array_equal(keypoints.W, values[:, 0, :, :2])
    np.testing.assert_array_equal(keypoints.confidence, values[:, 0, :, 2])
    assert keypoints.frames.tolist() == [0, 1, 2, 3, 4]
    assert keypoints.names == ("point_0", "point_1", "point_2")
    assert keypoints.edges == ()
    assert keypoints.individuals == ("instance_0",)
    assert keypoints.source.notes == ()


def test_a_video_of_a_demo_script(save, values):
    data = {"meta_info": META, "instance_info": frames_of(values[:, :1], first=1)}
    data["instance_info"][2]["instances"] = []
    keypoints = io.read(save(data))
    np.testing.assert_array_equal(keypoints.W[[0, 1, 3, 4]], values[[0, 1, 3, 4], 0, :, :2])
    assert np.isnan(keypoints.W[2]).all()
    assert keypoints.frames.tolist() == [1, 2, 3, 4, 5]
    assert keypoints.names == ("nose", "ear", "tail")
    assert keypoints.edges == ((0, 1), (1, 2))


@pytest.mark.parametrize("layout", ["inferencer", "demo", "api"])
def test_one_image(save, values, layout):
    found = [instance(one) for one in values[0]]
    data = {"inferencer": found, "demo": {"meta_info": META, "instance_info": found},
            "api": [found]}[layout]  # fmt: skip
    keypoints = io.read(save(data))
    np.testing.assert_array_equal(keypoints.W, values[0, :, :, :2])
    assert keypoints.individuals == ("instance_0", "instance_1")
    assert keypoints.frames.tolist() == [0, 0]


def test_images_of_the_python_api(save, values):
    data = [[instance(values[f, 0])] for f in range(5)]
    data[3] = []
    keypoints = io.read(save(data))
    assert keypoints.visible.any(1).tolist() == [True, True, True, False, True]
    data[0] = []
    assert io.read(save(data)).n_frames == 5


def test_keypoints_below_the_custom_threshold_are_hidden(save, values):
    values[0, 0, :, 2] = [0.29, 0.3, 0.9]
    path = save(frames_of(values[:, :1]))
    keypoints = io.read(path)
    assert keypoints.visible[0].tolist() == [False, True, True]
    assert "below 0.3 were hidden" in keypoints.source.notes[0]
    assert io.read(path, min_confidence=0).visible.all()
    assert io.read(path, min_confidence=0.5).visible[0].tolist() == [False, False, True]


def test_several_instances(save, values):
    path = save(frames_of(values))
    keypoints = io.read(path)
    np.testing.assert_array_equal(keypoints.W[5:], values[:, 1, :, :2])
    assert "may swap" in keypoints.source.notes[0]
    second = io.read(path, individual="instance_1")
    np.testing.assert_array_equal(second.W, values[:, 1, :, :2])


def test_tracked_instances(save, values):
    data = frames_of(values)
    for f, frame in enumerate(data):
        frame["instances"][0]["track_id"] = 4
        frame["instances"][1]["track_id"] = 2 if f else -1
        frame["instances"] = frame["instances"][:: -1 if f % 2 else 1]
    keypoints = io.read(save(data))
    assert keypoints.individuals == ("instance_2", "instance_4")
    np.testing.assert_array_equal(keypoints.W[:4], values[1:, 1, :, :2])
    np.testing.assert_array_equal(keypoints.W[4:], values[:, 0, :, :2])


def test_frames_are_sorted_and_gaps_filled(save, values):
    data = frames_of(values[:, :1])
    keypoints = io.read(save([data[4], data[0], data[1], data[2]]))
    assert keypoints.frames.tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(keypoints.W[[0, 1, 2, 4]], values[[0, 1, 2, 4], 0, :, :2])
    assert "1 frames whose numbers are missing" in keypoints.source.notes[0]
    with pytest.raises(io.FileFormatError, match=r"\[1\].*: frame 2 is there twice"):
        io.read(save([data[2], {**data[1], "frame_id": 2}]))


XY = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"keypoints": XY[:2]},
            r"instance_info\[1\].instances\[0\].keypoints: 2 keypoints, others",
        ),
        ({"keypoints": [[*xy, 7.0] for xy in XY]}, "a pair x, y .* These are 3-D predictions"),
        ({"keypoints": [1, 2, 3]}, "a pair x, y was expected for each keypoint, got the number 1"),
        ({"keypoints": [*XY[:2], [1]]}, "a pair x, y was expected for each keypoint, got a list"),
        ({"keypoints": [*XY[:2], [1, None]]}, "entry 5 must be a finite number, got null"),
        ({"keypoints": [*XY[:2], [1, "2"]]}, "entry 5 must be a finite number, got the string"),
        ({"keypoints": [*XY[:2], [False, 2]]}, "entry 4 must be a finite number, got false"),
        ({"keypoints": [*XY[:2], [float("nan"), 2]]}, "entry 4 must be a finite number"),
        ({"keypoints": [*XY[:2], [1e308 * 10, 2]]}, "entry 4 must be a finite number"),
        ({"keypoints": None}, "keypoints: a list was expected, got null"),
        ({"keypoint_scores": [1, 1]}, "keypoint_scores: 3 numbers were expected, got 2 numbers"),
        ({"keypoint_scores": [1, 1, None]}, "entry 2 must be a finite number"),
        ({"keypoint_scores": 1}, "keypoint_scores: a list was expected"),
        ({"track_id": "a"}, "track_id: a whole number was expected"),
    ],
)
def test_damaged_instances(save, values, changes, message):
    data = frames_of(values[:2, :1])
    data[1]["instances"][0].update(changes)
    with pytest.raises(io.FileFormatError, match=message):
        io.read(save({"meta_info": META, "instance_info": data}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data["instance_info"][1].pop("frame_id"), "the key 'frame_id' is missing"),
        (lambda data: data["instance_info"][1].pop("instances"), "a list was expected, got null"),
        (lambda data: data["instance_info"][1].update(frame_id=1.5), "frame_id: a whole number"),
        (lambda data: data["instance_info"].insert(1, []), r"instance_info\[1\]: an object"),
        (lambda data: data["instance_info"].insert(0, 3), r"instance_info\[0\]: a list"),
        (lambda data: data["instance_info"].clear(), "no instance was detected in 0 frames"),
        (lambda data: data.update(instance_info={}), "instance_info: a list was expected"),
        (lambda data: data.update(meta_info=[1]), "meta_info: an object was expected"),
        (lambda data: data["meta_info"].update(keypoint_id2name={"0": "a"}), "keys must be 0 to 2"),
        (lambda data: data["meta_info"].update(keypoint_id2name={"0": "a", "1": "a", "2": "c"}),
         "also names point 0"),
        (lambda data: data["meta_info"].update(skeleton_links=[[2, 3]]), "2 to 3 does not join"),
        (lambda data: data["instance_info"][0]["instances"][0].pop("keypoint_scores"),
         "the key 'keypoint_scores' is missing"),
    ],
)  # fmt: skip
def test_damaged_files(save, values, change, message):
    data = json.loads(json.dumps({"meta_info": META, "instance_info": frames_of(values)}))
    change(data)
    with pytest.raises(io.FileFormatError, match=message):
        io.read(save(data))
