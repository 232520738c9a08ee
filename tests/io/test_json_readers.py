"""What the readers of JSON files have in common: they are told apart, and survive anything."""

import copy
import json
import warnings

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nrsfm_learn import io

KEYPOINTS = [1.0, 2.0, 2, 3.0, 4.0, 1, 5.0, 6.0, 2]
XY = [[1.0, 2.0], [3.0, 4.0]]
FILES = {
    "openpose": {
        "version": 1.3,
        "people": [
            {"person_id": [k], "pose_keypoints_2d": KEYPOINTS, "face_keypoints_2d": []}
            for k in (-1, 3)
        ],
    },
    "coco": {
        "images": [{"id": 1, "video_id": 1}, {"id": 2, "video_id": 1}],
        "annotations": [
            {"id": k, "image_id": k, "category_id": 1, "track_id": 4, "keypoints": KEYPOINTS}
            for k in (1, 2)
        ],
        "categories": [
            {"id": 1, "name": "c", "keypoints": ["a", "b", "c"], "skeleton": [[1, 2], [2, 3]]}
        ],
    },
    "coco results": [
        {"image_id": image, "category_id": 1, "keypoints": KEYPOINTS, "score": 0.5}
        for image in ("a_1.jpg", "a_2.jpg")
    ],
    "mmpose": {
        "meta_info": {"keypoint_id2name": {"0": "a", "1": "b"}, "skeleton_links": [[0, 1]]},
        "instance_info": [
            {
                "frame_id": f,
                "instances": [{"keypoints": XY, "keypoint_scores": [1, 0.9], "track_id": 2}],
            }
            for f in (1, 3)
        ],
    },
    "mmpose image": [{"keypoints": XY, "keypoint_scores": [1, 0.9]}],
    "mmpose api": [[], [{"keypoints": XY, "keypoint_scores": [1, 0.9]}]],
    "mediapipe": {
        "fps": 30,
        "width": 640,
        "height": 480,
        "frames": [
            {"frame": f, "landmarks": [[{"x": 0.1, "y": 0.2, "visibility": 0.9}] * 3]}
            for f in (1, 2)
        ],
    },
    "mediapipe lists": [None, [{"x": 0.1, "y": 0.2, "visibility": 0.9}] * 3],
}
ODD = st.sampled_from(
    [None, True, 0, -1, 1, 2, 1.5, 2**64, 10**400, 1e308, float("nan"), float("inf"), "", "1",
     "\ud800", [], [[]], [1, 2], [None], {}, {"x": 1}, {"id": 1}, "keypoints"]
)  # fmt: skip


def options(name):
    return {"image_size": (640, 480)} if name.startswith("mediapipe") else {}


@pytest.mark.parametrize("name", FILES)
def test_they_are_told_apart(tmp_path, name):
    path = tmp_path / "file.json"
    path.write_text(json.dumps(FILES[name]))
    keypoints = io.read(path, **options(name))
    assert keypoints.source.format == name.split()[0]
    assert keypoints.visible.any()


OTHERS = [{}, [], [1], [[]], [[[]]], [None], [{}], {"frames": [1]}, {"frames": {}}, [{"x": 1}],
          {"keypoints": KEYPOINTS}, {"W": [[[1, 2]]], "frames": [0]}, "a", 1, None]  # fmt: skip


@pytest.mark.parametrize("data", OTHERS)
def test_other_json_is_none_of_them(tmp_path, data):
    from nrsfm_learn.io._formats import BY_NAME, Probe

    path = tmp_path / "file.json"
    path.write_text(json.dumps(data))
    for name in ("openpose", "coco", "mmpose", "mediapipe"):
        assert not BY_NAME[name].looks_like(Probe(path)), name


def nodes(data, path=()):
    yield path
    if not isinstance(data, (dict, list)):
        return
    for key, value in data.items() if isinstance(data, dict) else enumerate(data):
        yield from nodes(value, (*path, key))


def outcome(path, name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return io.read(path, format=name.split()[0], **options(name))
        except io.FileFormatError as error:
            return error


@pytest.mark.parametrize("name", FILES)
@given(data=st.data())
@settings(deadline=None, max_examples=50)
def test_one_changed_value_gives_keypoints_or_one_clear_error(tmp_path_factory, name, data):
    changed = copy.deepcopy(FILES[name])
    place = data.draw(st.sampled_from(list(nodes(changed))))
    kind = data.draw(st.sampled_from(["replace", "remove", "repeat"]))
    if not place:
        changed = data.draw(ODD)
    else:
        parent = changed
        for key in place[:-1]:
            parent = parent[key]
        if kind == "remove":
            del parent[place[-1]]
        elif kind == "repeat" and isinstance(parent, list):
            parent.append(copy.deepcopy(parent[place[-1]]))
        else:
            parent[place[-1]] = data.draw(ODD)
    path = tmp_path_factory.mktemp("fuzz") / "file.json"
    path.write_text(json.dumps(changed))
    result = outcome(path, name)
    if isinstance(result, io.FileFormatError):
        assert str(result).isprintable()
        assert result.path == str(path)
    else:
        assert result.visible.any()
        assert "\ud800" not in result.names


@pytest.mark.parametrize("format", ["openpose", "coco", "mmpose", "mediapipe"])
@given(content=st.binary(max_size=40))
@example(b"")
@example(b"[" * 50_000)
@example(b'{"a":' * 50_000)
@example(b"1" * 5000)
@example(b"\xff\xfe[\x00]\x00")
@example(b"null")
@settings(deadline=None, max_examples=25)
def test_any_bytes_give_one_clear_error(tmp_path_factory, format, content):
    path = tmp_path_factory.mktemp("bytes") / "file.json"
    path.write_bytes(content)
    with pytest.raises(io.FileFormatError):
        io.read(path, format=format)
