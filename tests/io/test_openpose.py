"""OpenPose's JSON files."""

import json

import numpy as np
import pytest

from nrsfm_learn import io


def person(values, ident=-1, **parts):
    return {
        "person_id": [ident],
        "pose_keypoints_2d": np.ravel(values).tolist(),
        "face_keypoints_2d": [],
        "hand_left_keypoints_2d": [],
        "hand_right_keypoints_2d": [],
        "pose_keypoints_3d": [],
        "face_keypoints_3d": [],
        "hand_left_keypoints_3d": [],
        "hand_right_keypoints_3d": [],
        **parts,
    }


def write_frame(folder, number, *people, name="walk"):
    path = folder / f"{name}_{number:012d}_keypoints.json"
    path.write_text(json.dumps({"version": 1.3, "people": list(people)}))
    return path


@pytest.fixture
def values(rng):
    """5 frames of 2 persons, 25 keypoints: x, y, c."""
    return np.concatenate(
        [rng.uniform(1, 500, (5, 2, 25, 2)), rng.uniform(0.1, 1, (5, 2, 25, 1))], axis=-1
    )


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def folder(tmp_path, values):
    for f in range(5):
        write_frame(tmp_path, f + 8, person(values[f, 0]))
    return tmp_path


def test_one_person(folder, values):
    keypoints = io.read(folder)
    assert keypoints.source.format == "openpose"
    np.testing.assert_array_equal(keypoints.W, values[:, 0, :, :2])
    np.testing.assert_array_equal(keypoints.confidence, values[:, 0, :, 2])
    assert keypoints.frames.tolist() == [8, 9, 10, 11, 12]
    assert keypoints.names[:2] == ("Nose", "Neck")
    assert keypoints.names[24] == "RHeel"
    assert (1, 8) in keypoints.edges
    assert keypoints.individuals == ("person_0",)
    assert keypoints.source.notes == ()
    assert keypoints.fps is None


def test_a_single_file(folder, values):
    path = folder / "walk_000000000010_keypoints.json"
    keypoints = io.read(path)
    np.testing.assert_array_equal(keypoints.W, values[2:3, 0, :, :2])
    assert keypoints.frames.tolist() == [10]
    other = path.rename(folder / "any.json")
    assert io.read(other).frames.tolist() == [0]


def test_zeros_are_missing_and_low_confidences_hidden(tmp_path, values):
    one = values[0, 0].copy()
    one[3] = 0
    one[4, 2], one[5, 2] = 0.04, 0.06
    one[6, :2] = 0  # A found keypoint in the corner of the image.
    write_frame(tmp_path, 0, person(one))
    keypoints = io.read(tmp_path)
    assert np.flatnonzero(~keypoints.visible[0]).tolist() == [3]
    assert keypoints.confidence[0, 3] == 0
    np.testing.assert_array_equal(keypoints.W[0, 6], 0)
    keypoints = io.read(tmp_path, min_confidence=0.05)
    assert np.flatnonzero(~keypoints.visible[0]).tolist() == [3, 4]
    assert "1 keypoints (4.2%) with a confidence below 0.05" in keypoints.source.notes[0]


def test_several_persons_are_in_the_order_of_each_frame(tmp_path, values):
    for f in range(5):
        write_frame(tmp_path, f, *(person(values[f, k]) for k in range(2 if f != 3 else 1)))
    keypoints = io.read(tmp_path)
    assert keypoints.individuals == ("person_0", "person_1")
    np.testing.assert_array_equal(keypoints.W[:5], values[:, 0, :, :2])
    np.testing.assert_array_equal(keypoints.W[5:], values[[0, 1, 2, 4], 1, :, :2])
    assert keypoints.frames[5:].tolist() == [0, 1, 2, 4]
    assert "may swap" in keypoints.source.notes[0]
    second = io.read(tmp_path, individual="person_1")
    np.testing.assert_array_equal(second.W, keypoints.W[5:])
    with pytest.raises(ValueError, match="individual=2 is not there"):
        io.read(tmp_path, individual=2)


def test_tracked_persons(tmp_path, values):
    for f in range(4):
        order = [0, 1] if f % 2 else [1, 0]
        write_frame(tmp_path, f, *(person(values[f, k], ident=k + 3) for k in order))
    write_frame(tmp_path, 4, person(values[4, 0], ident=3), person(values[4, 1]))
    keypoints = io.read(tmp_path)
    assert keypoints.individuals == ("person_3", "person_4")
    np.testing.assert_array_equal(keypoints.W[:5], values[:, 0, :, :2])
    np.testing.assert_array_equal(keypoints.W[5:], values[:4, 1, :, :2])
    assert not any("swap" in note for note in keypoints.source.notes)
    assert "1 instances without an identity were left out" in keypoints.source.notes[0]
    write_frame(tmp_path, 4, person(values[4, 0], ident=3), person(values[4, 1], ident=3))
    with pytest.raises(io.FileFormatError, match="frame 4: the identity 3 is there 2 times"):
        io.read(tmp_path)


def test_frames_without_anybody_stay_and_missing_ones_are_added(tmp_path, values):
    for f in (2, 3, 6):
        write_frame(tmp_path, f, person(values[f % 5, 0]))
    write_frame(tmp_path, 4)
    keypoints = io.read(tmp_path)
    assert keypoints.frames.tolist() == [2, 3, 4, 5, 6]
    assert keypoints.visible.any(1).tolist() == [True, True, False, False, True]
    assert np.isnan(keypoints.confidence[2:4]).all()
    assert "1 frames whose numbers are missing" in keypoints.source.notes[0]


@pytest.mark.parametrize(("n_points", "last"), [(18, "LEar"), (15, "Chest"), (19, "point_18")])
def test_names_go_by_the_number_of_keypoints(tmp_path, rng, n_points, last):
    write_frame(tmp_path, 0, person(rng.uniform(1, 9, (n_points, 3))))
    keypoints = io.read(tmp_path)
    assert keypoints.names[-1] == last
    assert bool(keypoints.edges) == (n_points != 19)


@pytest.mark.parametrize(
    ("part", "n_points"), [("hand_left", 21), ("hand_right", 21), ("face", 70)]
)
def test_other_parts(tmp_path, values, rng, part, n_points):
    other = rng.uniform(1, 9, (n_points, 3))
    parts = {f"{part}_keypoints_2d": other.ravel().tolist()}
    write_frame(tmp_path, 0, person(values[0, 0], **parts))
    keypoints = io.read(tmp_path, part=part)
    np.testing.assert_array_equal(keypoints.W[0], other[:, :2])
    assert keypoints.names[0] == ("point_0" if part == "face" else "wrist")
    write_frame(tmp_path, 0, person([], **parts))
    with pytest.raises(io.FileFormatError, match=f"nobody has pose .* There are some of .*{part}"):
        io.read(tmp_path)


def test_a_part_that_does_not_exist(folder):
    with pytest.raises(ValueError, match="part must be one of 'pose', 'face'"):
        io.read(folder, part="foot")


def test_the_keys_of_versions_before_1_2(tmp_path, values):
    old = {"pose_keypoints": values[0, 0].ravel().tolist(), "face_keypoints": []}
    path = tmp_path / "a_000000000000_keypoints.json"
    path.write_text(json.dumps({"version": 1.0, "people": [old]}))
    np.testing.assert_array_equal(io.read(path).W[0], values[0, 0, :, :2])


def test_files_are_sorted_by_number_and_by_nature(tmp_path, values):
    for f, name in enumerate(["run9", "run10", "run100"]):
        text = json.dumps({"version": 1.3, "people": [person(values[f, 0])]})
        (tmp_path / f"{name}_keypoints.json").write_text(text)
    keypoints = io.read(tmp_path)
    assert keypoints.frames.tolist()[:2] == [9, 10]
    np.testing.assert_array_equal(keypoints.W[:2], values[:2, 0, :, :2])
    for name in ["run9", "run10", "run100"]:
        (tmp_path / f"{name}_keypoints.json").rename(tmp_path / f"{name}b_keypoints.json")
    keypoints = io.read(tmp_path)
    assert keypoints.frames.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(keypoints.W, values[:3, 0, :, :2])
    assert "no frame numbers" in keypoints.source.notes[0]


def test_other_files_in_the_folder_do_not_matter(folder):
    expected = io.read(folder)
    (folder / "notes.txt").write_text("?")
    (folder / "calibration.json").write_text("?")
    (folder / "._walk_000000000008_keypoints.json").write_bytes(b"\x00\x05")
    (folder / "more_keypoints.json").mkdir()
    assert io.read(folder) == expected


def test_two_videos_in_a_folder(folder, values):
    write_frame(folder, 8, person(values[0, 0]), name="run")
    with pytest.raises(io.FileFormatError, match="frames of 2 videos, such as 'run_' and 'walk_'"):
        io.read(folder)


def test_the_same_number_twice(folder, values):
    text = (folder / "walk_000000000008_keypoints.json").read_text()
    (folder / "walk_8_keypoints.json").write_text(text)
    with pytest.raises(io.FileFormatError, match=r"walk_8_keypoints\.json: walk_0+8.* is frame 8"):
        io.read(folder)


def test_folders_without_frames(tmp_path):
    with pytest.raises(io.FileFormatError, match="not recognised"):
        io.read(tmp_path)
    with pytest.raises(io.FileFormatError, match=r"no file that ends with _keypoints\.json"):
        io.read(tmp_path, format="openpose")
    with pytest.raises(FileNotFoundError):
        io.read(tmp_path / "none", format="openpose")


def test_nobody_at_all(tmp_path):
    write_frame(tmp_path, 0)
    write_frame(tmp_path, 1)
    with pytest.raises(io.FileFormatError, match="nobody has pose keypoints in 2 frames"):
        io.read(tmp_path)


GOOD = [1.0, 2.0, 0.5] * 25


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ('{"version": 1.3, "people": [{"pose_key', "line 1: no valid JSON"),
        ("[" * 100_000, "JSON"),
        ("[]", "an object was expected, got a list"),
        ("{}", "the key 'people' is missing"),
        ('{"people": {}}', "people: a list was expected"),
        ('{"people": [null]}', r"people\[0\]: an object was expected, got null"),
        *(
            (json.dumps({"people": [person([], pose_keypoints_2d=row)]}), message)
            for row, message in [
                (GOOD[:-3], "24 keypoints, but walk_000000000008_keypoints.json has 25"),
                (GOOD[:-1], "triples of x, y and confidence were expected, got 74 numbers"),
                ("1 2 3", "triples .* got the string"),
                (None, "triples .* got null"),
                ([*GOOD[:-1], None], "entry 74 must be a finite number, got null"),
                ([*GOOD[:-1], True], "entry 74 must be a finite number, got true"),
                ([*GOOD[:-1], "1"], "entry 74 must be a finite number, got the string '1'"),
                ([[1], *GOOD[1:]], "entry 0 must be a finite number, got a list"),
                ([float("nan"), *GOOD[1:]], "entry 0 must be a finite number, got the number nan"),
                ([float("inf"), *GOOD[1:]], "entry 0 must be a finite number"),
                ([10**400, *GOOD[1:]], "entry 0 must be a finite number"),
            ]
        ),
        (json.dumps({"people": [person(GOOD, ident="a")]}), "person_id: a whole number"),
        (json.dumps({"people": [person(GOOD, ident=2**80)]}), "person_id: a whole number"),
    ],
)
def test_a_damaged_frame_is_named(folder, text, message):
    path = folder / "walk_000000000011_keypoints.json"
    path.write_text(text)
    with pytest.raises(io.FileFormatError, match=message) as info:
        io.read(folder)
    assert info.value.path == str(path)


def test_the_frames_of_a_folder_are_read_quickly(tmp_path, values):
    import time

    frame = json.dumps({"version": 1.3, "people": [person(values[0, 0])]})
    for f in range(2000):
        (tmp_path / f"v_{f:012d}_keypoints.json").write_text(frame)
    start = time.perf_counter()
    assert io.read(tmp_path).n_frames == 2000
    assert time.perf_counter() - start < 5
