"""Keypoints in COCO's layout."""

import json

import numpy as np
import pytest

from nrsfm_learn import io
from nrsfm_learn.io._skeletons import SKELETONS

NAMES = ["nose", "ear", "tail", "paw"]
COW = {"id": 21, "name": "cow", "supercategory": "animal", "keypoints": NAMES,
       "skeleton": [[1, 2], [2, 3], [3, 4]]}  # fmt: skip


def annotation(ident, image, keypoints, **others):
    flat = np.ravel(keypoints).tolist()
    return {
        "id": ident,
        "image_id": image,
        "category_id": 21,
        "iscrowd": 0,
        "area": 12.5,
        "bbox": [1, 2, 30, 40],
        "segmentation": [[1, 2, 3, 4, 5, 6]],
        "num_keypoints": int(np.count_nonzero(flat[2::3])),
        "keypoints": flat,
        **others,
    }


def data_set(annotations, categories=(COW,), images=None):
    if images is None:
        idents = dict.fromkeys(entry["image_id"] for entry in annotations)
        images = [{"id": i, "file_name": f"{i:012d}.jpg", "width": 640, "height": 480}
                  for i in idents]  # fmt: skip
    return {
        "info": {"description": "test", "year": 2024},
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": list(categories),
    }


@pytest.fixture
def values():
    """6 annotations with 4 keypoints: x, y, v."""
    rng = np.random.default_rng(0)
    return np.concatenate(
        [rng.uniform(1, 500, (6, 4, 2)).round(1), np.full((6, 4, 1), 2.0)], axis=-1
    )


@pytest.fixture
def save(tmp_path):
    def save(data):
        path = tmp_path / "person_keypoints.json"
        path.write_text(json.dumps(data))
        return path

    return save


def test_every_annotation_is_a_frame_in_the_order_of_the_images(save, values):
    images = [139, 785, 139, 285, 872, 1000]
    path = save(data_set([annotation(k, i, values[k]) for k, i in enumerate(images)]))
    keypoints = io.read(path)
    assert keypoints.source.format == "coco"
    order = [0, 2, 3, 1, 4, 5]
    np.testing.assert_array_equal(keypoints.W, values[order, :, :2])
    assert keypoints.frames.tolist() == [139, 139, 285, 785, 872, 1000]
    assert keypoints.names == tuple(NAMES)
    assert keypoints.edges == ((0, 1), (1, 2), (2, 3))
    assert keypoints.individuals == ("instance",)
    assert keypoints.confidence is None
    assert keypoints.source.notes == ()
    with pytest.raises(ValueError, match=r"min_confidence=0\.5 needs confidences"):
        io.read(path, min_confidence=0.5)


def test_flags(save, values):
    values[0, :, 2] = [0, 1, 2, 2]
    values[0, 0, :2] = 0
    values[1, 2, :2] = 0  # Labelled in the corner of the image.
    path = save(data_set([annotation(0, 1, values[0]), annotation(1, 2, values[1])]))
    assert io.read(path).visible.tolist() == [[False, True, True, True], [True] * 4]
    keypoints = io.read(path, occluded=False)
    assert keypoints.visible.tolist() == [[False, False, True, True], [True] * 4]
    assert "1 keypoints that are labelled as occluded were hidden" in keypoints.source.notes
    assert keypoints.W[1, 2].tolist() == [0, 0]


def test_crowds_and_annotations_without_keypoints_are_left_out(save, values):
    without = annotation(9, 4, np.zeros((4, 3)))
    boxes = {k: v for k, v in without.items() if k != "keypoints"}
    crowd = annotation(8, 5, values[0], iscrowd=1)
    path = save(data_set([boxes, crowd, annotation(0, 6, values[1]), without]))
    keypoints = io.read(path)
    assert keypoints.frames.tolist() == [6]
    assert keypoints.source.notes == (
        "2 annotations of crowds or without keypoints were left out",
        "1 annotations without keypoints were left out",
    )


@pytest.mark.parametrize("key", ["track_id", "track_ids", "instance_id"])
def test_tracks(save, values, key):
    tracks = [5, 3, 5, 3, 5, 3]
    path = save(
        data_set([annotation(k, 10 - k // 2, values[k], **{key: tracks[k]}) for k in range(6)])
    )
    keypoints = io.read(path)
    assert keypoints.individuals == ("track_3", "track_5")
    np.testing.assert_array_equal(keypoints.W, values[[5, 3, 1, 4, 2, 0], :, :2])
    assert keypoints.frames.tolist() == [8, 9, 10, 8, 9, 10]
    assert keypoints.individual.tolist() == [0, 0, 0, 1, 1, 1]
    five = io.read(path, individual="track_5")
    np.testing.assert_array_equal(five.W, values[[4, 2, 0], :, :2])


def test_tracks_count_only_if_all_annotations_have_them(save, values):
    entries = [annotation(0, 1, values[0], track_id=1), annotation(1, 1, values[1], track_id=None)]
    assert io.read(save(data_set(entries))).individuals == ("instance",)
    entries[1]["track_id"] = 1
    with pytest.raises(io.FileFormatError, match="frame 1: the identity 1 is there 2 times"):
        io.read(save(data_set(entries)))


def test_numbers_and_names_of_tracks_do_not_clash(save, values):
    tracks = ["a", 1, "1"]
    entries = [annotation(k, k, values[k], track_id=tracks[k]) for k in range(3)]
    keypoints = io.read(save(data_set(entries)))
    assert keypoints.individuals == ("track_1", "track_a")
    np.testing.assert_array_equal(keypoints.W, values[[1, 2, 0], :, :2])


@pytest.mark.parametrize("tracked", [False, True])
def test_videos_are_clips(save, values, tracked):
    images = [{"id": i, "video_id": 10 + i // 3} for i in range(6)]
    others = {"track_id": 1} if tracked else {}
    entries = [annotation(k, k, values[k], **others) for k in range(6)]
    keypoints = io.read(save(data_set(entries, images=images)))
    assert keypoints.clips.tolist() == [0, 0, 0, 1, 1, 1]
    assert keypoints.groups.tolist() == [0, 0, 0, 1, 1, 1]
    np.testing.assert_array_equal(keypoints.W, values[..., :2])


def test_categories_with_different_skeletons_must_be_chosen(save, values):
    hand = {"id": 2, "name": "hand", "keypoints": ["a", "b"], "skeleton": []}
    entries = [annotation(0, 1, values[0]), annotation(1, 2, values[1, :2], category_id=2)]
    path = save(data_set(entries, (COW, hand)))
    with pytest.raises(io.FileFormatError, match=r"2 cat.*21 \('cow'\), 2 \('hand'\).*category="):
        io.read(path)
    for category in ("hand", 2, "2"):
        keypoints = io.read(path, category=category)
        assert keypoints.names == ("a", "b")
        assert keypoints.edges == ()
        np.testing.assert_array_equal(keypoints.W[0], values[1, :2, :2])
    assert io.read(path, category="cow").names == tuple(NAMES)
    with pytest.raises(ValueError, match=r"category='dog' has no annotation .* there are 21"):
        io.read(path, category="dog")


def test_categories_with_the_same_skeleton_are_read_as_one(save, values):
    # As in data sets of many animals.
    entries = [annotation(0, 1, values[0]), annotation(1, 2, values[1], category_id=22)]
    path = save(data_set(entries, (COW, {**COW, "id": 22, "name": "dog"})))
    keypoints = io.read(path)
    np.testing.assert_array_equal(keypoints.W, values[:2, :, :2])
    assert keypoints.source.notes == ("2 categories with the same skeleton are read as one",)
    np.testing.assert_array_equal(io.read(path, category="dog").W, values[1:2, :, :2])


def test_a_skeleton_that_counts_from_0(save, values):
    cow = {**COW, "skeleton": [[0, 1], [2, 3]]}
    keypoints = io.read(save(data_set([annotation(0, 1, values[0])], [cow])))
    assert keypoints.edges == ((0, 1), (2, 3))
    assert "point 0" in keypoints.source.notes[0]


def result(image, keypoints, **others):
    return {
        "image_id": image,
        "category_id": 1,
        "keypoints": np.ravel(keypoints).tolist(),
        "score": 0.9,
        **others,
    }


@pytest.fixture
def results():
    rng = np.random.default_rng(1)
    return np.concatenate(
        [rng.uniform(1, 500, (3, 17, 2)), rng.uniform(0.1, 1, (3, 17, 1))], axis=-1
    )


def test_results(save, results):
    results[0, 3] = 0
    results[1, 4, 2] = -0.01
    keypoints = io.read(save([result(7 - k, results[k]) for k in range(3)]))
    assert keypoints.source.format == "coco"
    assert keypoints.frames.tolist() == [5, 6, 7]
    np.testing.assert_array_equal(keypoints.confidence, results[::-1, :, 2])
    assert np.argwhere(~keypoints.visible).tolist() == [[1, 4], [2, 3]]
    np.testing.assert_array_equal(keypoints.W[0], results[2, :, :2])
    assert keypoints.names == SKELETONS["COCO-17"].names
    assert keypoints.edges == SKELETONS["COCO-17"].edges
    assert any("COCO's person" in note for note in keypoints.source.notes)


def test_results_above_a_confidence(save, results):
    keypoints = io.read(save([result(k, results[k]) for k in range(3)]), min_confidence=0.5)
    np.testing.assert_array_equal(keypoints.visible, results[..., 2] >= 0.5)
    with pytest.raises(ValueError, match="occluded=False needs annotations"):
        io.read(save([result(1, results[0])]), occluded=False)
    with pytest.raises(io.FileFormatError, match=r"no keypoint is visible .* below 2 were hidden"):
        io.read(save([result(1, results[0])]), min_confidence=2)


def test_results_with_another_number_of_keypoints(save, results):
    keypoints = io.read(save([result(k, results[k, :5]) for k in range(3)]))
    assert keypoints.names == tuple(f"point_{p}" for p in range(5))
    assert keypoints.edges == ()


@pytest.mark.parametrize(
    ("images", "frames"),
    [
        # As AlphaPose writes them.
        (["10.jpg", "9.jpg", "100.jpg"], [9, 10, 100]),
        (["a_0002.png", "a_0001.png", "a_0001.png"], [1, 1, 2]),
        (["b.jpg", "a.jpg", "a.jpg"], [0, 1, 1]),
        (["a_1.jpg", "b_1.jpg", "a_1.jpg"], [0, 0, 1]),
    ],
)
def test_images_that_are_named(save, results, images, frames):
    path = save([result(image, results[k]) for k, image in enumerate(images)])
    keypoints = io.read(path)
    assert keypoints.frames.tolist() == frames
    assert any("no numbers" in note for note in keypoints.source.notes) == (frames[0] == 0)


GOOD = [1.0, 2.0, 2] * 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keypoints": GOOD[:-1]}, r"annotations\[1\].keypoints: 12 numbers .* got 11 numbers"),
        ({"keypoints": [*GOOD, 1, 2, 2]}, "12 numbers were expected, got 15 numbers"),
        ({"keypoints": {}}, "12 numbers were expected, got an object"),
        ({"keypoints": "x"}, "12 numbers were expected, got the string"),
        ({"keypoints": [None, *GOOD[1:]]}, "entry 0 must be a finite number, got null"),
        ({"keypoints": [True, *GOOD[1:]]}, "entry 0 must be a finite number, got true"),
        ({"keypoints": ["1", *GOOD[1:]]}, "entry 0 must be a finite number, got the string"),
        ({"keypoints": [float("nan"), *GOOD[1:]]}, "entry 0 must be a finite number"),
        ({"keypoints": [float("-inf"), *GOOD[1:]]}, "entry 0 must be a finite number"),
        ({"keypoints": [*GOOD[:-1], 3]}, "visibility 3 of keypoint 3 is none of 0, 1, 2"),
        ({"keypoints": [*GOOD[:-1], 0.7]}, r"visibility 0\.7 .* a list of results"),
        ({"image_id": 77}, "there is no image 77"),
        ({"image_id": None}, "image_id: a whole number was expected, got null"),
        ({"image_id": 1.0}, "image_id: a whole number was expected"),
        ({"image_id": 2**70}, "image_id: a whole number was expected"),
        ({"category_id": 5}, "there is no category 5"),
        ({"category_id": [21]}, "category_id: a whole number was expected, got a list"),
        ({"track_id": 1.5}, "track_id: a whole number was expected"),
        ({"track_id": True}, "track_id: a whole number was expected"),
    ],
)
def test_damaged_annotations(save, values, changes, message):
    entries = [annotation(0, 1, values[0], track_id=1), annotation(1, 2, values[1], track_id=2)]
    data = data_set(entries)
    entries[1].update(changes)
    with pytest.raises(io.FileFormatError, match=message):
        io.read(save(data))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"annotations": None}, "annotations: a list was expected, got null"),
        ({"annotations": [1]}, r"annotations\[0\]: an object was expected"),
        ({"annotations": []}, "none of the 0 annotations has keypoints"),
        ({"images": {}}, "images: a list was expected"),
        ({"images": [{"file_name": "a"}]}, r"images\[0\]: the key 'id' is missing"),
        ({"images": [{"id": 1}, {"id": 1}]}, r"images\[1\]: the id 1 is there twice"),
        ({"categories": [{"id": 21}]}, "category 21: the key 'name' is missing"),
        ({"categories": [{**COW, "keypoints": [*NAMES[:3], "nose"]}]}, "also names point 0"),
        ({"categories": [{**COW, "keypoints": [*NAMES[:3], 1]}]}, "a string was expected"),
        ({"categories": [{**COW, "keypoints": "abcd"}]}, "category 21.keypoints: a list"),
        ({"categories": [{**COW, "skeleton": [[4, 5]]}]}, "4 to 5 does not join .* points 1 to 4"),
        ({"categories": [{**COW, "skeleton": [[1, 2, 3]]}]}, "a pair was expected"),
        ({"categories": [COW, COW]}, "the id 21 is there twice"),
    ],
)
def test_damaged_data_sets(save, values, changes, message):
    with pytest.raises(io.FileFormatError, match=message):
        io.read(save({**data_set([annotation(0, 1, values[0])]), **changes}))


def test_files_without_keypoints(save, values):
    boxes = annotation(0, 1, values[0])
    del boxes["keypoints"]
    with pytest.raises(io.FileFormatError, match="none of the 1 annotations has keypoints"):
        io.read(save(data_set([boxes])))
    with pytest.raises(io.FileFormatError, match="no annotation has a visible keypoint"):
        io.read(save(data_set([annotation(0, 1, np.zeros((4, 3)))])))
    with pytest.raises(io.FileFormatError, match=r"\[1\]: it has no keypoints"):
        io.read(save([result(1, values[0]), result(2, [])]))
    with pytest.raises(io.FileFormatError, match=r"triples .* got 7 numbers"):
        io.read(save([result(1, range(7))]))


def test_truncated(save, values):
    path = save(data_set([annotation(0, 1, values[0])]))
    path.write_text(path.read_text()[:-30])
    with pytest.raises(io.FileFormatError, match="line 1: no valid JSON"):
        io.read(path)


def test_a_large_file_is_read_quickly(save):
    import time

    row = np.tile([1.5, 2.5, 0.5], 17)
    path = save([result(k, row) for k in range(20_000)])
    start = time.perf_counter()
    assert io.read(path).W.shape == (20_000, 17, 2)
    assert time.perf_counter() - start < 8
