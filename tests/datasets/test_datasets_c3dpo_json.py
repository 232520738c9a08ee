import copy
import json
import pickle

import numpy as np
import pytest

from nrsfm_learn.datasets import load_c3dpo_json
from nrsfm_learn.io import FileFormatError
from nrsfm_learn.preprocessing import split_categories

# Points 0 to 2 are those of a car, 3 and 4 those of a boat.
CAR = {
    "kp_loc": [[10.0, 20, 90, 0, 0], [10, 30, 20, 0, 0]],
    "kp_vis": [1, 0, 1, 0, 0],
    "kp_loc_3d": [[10.0, 20, 25, 0, 0], [10, 30, 20, 0, 0], [1, 2, 3, 0, 0]],
    "class_mask": [1, 1, 1, 0, 0],
    "kp_defined": [1, 0, 1, 0, 0],
    "p3d_info": {"p3d_class": "car", "bbox": [8, 8, 20, 30]},
    "image_path": "car_imagenet/n1.jpg",
}
BOAT = {
    "kp_loc": [[0.0, 0, 0, 5, 12.1], [0, 0, 0, 6, 8]],
    "kp_vis": [0, 0, 0, 1, 1],
    "kp_loc_3d": [[0.0, 0, 0, 5, 12], [0, 0, 0, 6, 8], [0, 0, 0, -1, 1]],
    "class_mask": [0, 0, 0, 1, 1],
    "kp_defined": [0, 0, 0, 1, 1],
    "p3d_info": {"p3d_class": "boat", "bbox": [2, 2, 10, 10]},
    "image_path": "boat_pascal/2.jpg",
}


def write(folder, entries, name="pascal3d_train.json", wrap=True):
    path = folder / name
    data = {"dataset": path.stem, "data": entries} if wrap else entries
    path.write_text(json.dumps(data))
    return path


def test_values(tmp_path):
    data = load_c3dpo_json(write(tmp_path, [BOAT, CAR, CAR]))
    assert data.W.shape == (3, 5, 2)
    np.testing.assert_array_equal(
        data.visible,
        # The car's third point is outside its box, the boat's second within a tenth of it.
        [[0, 0, 0, 1, 1], [1, 0, 0, 0, 0], [1, 0, 0, 0, 0]],
    )
    np.testing.assert_array_equal(data.W[0, 3:], [[5, 6], [12.1, 8]])
    np.testing.assert_array_equal(data.W[1, 0], [10, 10])
    np.testing.assert_array_equal(np.isnan(data.W).all(-1), ~data.visible)
    assert data.categories.tolist() == ["boat", "car", "car"]
    assert data.layout.categories == ("car", "boat")
    assert data.layout.points("boat").tolist() == [3, 4]
    assert data.names == [
        "car/point_0",
        "car/point_1",
        "car/point_2",
        "boat/point_0",
        "boat/point_1",
    ]
    # Undefined points and those of other categories are unknown; hidden ones are known.
    np.testing.assert_array_equal(
        np.isfinite(data.X).all(-1), [[0, 0, 0, 1, 1], [1, 0, 1, 0, 0], [1, 0, 1, 0, 0]]
    )
    np.testing.assert_array_equal(data.X[1, 2], [25, 20, 3])
    np.testing.assert_array_equal(data.boxes, [[2, 2, 12, 12], [8, 8, 28, 38], [8, 8, 28, 38]])
    assert data.image_paths.tolist() == ["boat_pascal/2.jpg", *["car_imagenet/n1.jpg"] * 2]
    assert data.dataset == "pascal3d_train"
    assert data.units is None
    assert data.groups.tolist() == [0, 1, 2]
    parts = split_categories(data.W, data.categories, data.layout)
    assert {name: part.shape for name, part in parts.items()} == {
        "car": (2, 3, 2),
        "boat": (1, 2, 2),
    }


def test_a_margin_of_a_tenth_of_the_box(tmp_path):
    for x, inside in ((12.9, True), (13.1, False), (1.1, True), (0.9, False)):
        entry = copy.deepcopy(BOAT)
        entry["kp_loc"][0][4] = x
        data = load_c3dpo_json(write(tmp_path, [entry]))
        assert data.visible[0, 4] == inside


@pytest.mark.parametrize("wrap", [True, False])
def test_the_least_that_an_entry_has(tmp_path, wrap):
    entry = {"kp_loc": [[1, 2], [3, 4]], "kp_vis": [True, False]}
    data = load_c3dpo_json(write(tmp_path, [entry], "up3d_79kp_train.json", wrap))
    np.testing.assert_array_equal(data.W, [[[1, 3], [np.nan, np.nan]]])
    for key in ("X", "categories", "layout", "boxes", "units", "actions", "image_paths"):
        assert data[key] is None
    assert data.names == ["point_0", "point_1"]
    assert data.dataset == "up3d_79kp_train"


def test_human36m(tmp_path):
    entry = {
        "kp_loc": [[1, 2], [3, 4]],
        "kp_vis": [1, 1],
        "kp_loc_3d": [[1, 2], [3, 4], [5, 6]],
        "h36m_info": {"scale": 250.5, "action_name": "Walking"},
    }
    data = load_c3dpo_json(write(tmp_path, [entry, entry]))
    assert data.units.tolist() == [250.5, 250.5]
    assert data.actions.tolist() == ["Walking", "Walking"]
    np.testing.assert_array_equal(data.X[0], [[1, 3, 5], [2, 4, 6]])


def test_categories_without_names(tmp_path):
    entries = [{k: v for k, v in e.items() if k != "p3d_info"} for e in (BOAT, CAR)]
    data = load_c3dpo_json(write(tmp_path, entries))
    assert data.categories.tolist() == ["class_1", "class_0"]
    assert data.visible[1].tolist() == [True, False, True, False, False]


def test_the_data_home_is_searched(tmp_path, monkeypatch):
    (tmp_path / "c3dpo").mkdir()
    write(tmp_path / "c3dpo", [CAR])
    assert len(load_c3dpo_json("pascal3d_train.json", tmp_path).W) == 1
    monkeypatch.setenv("NRSFM_LEARN_DATA", str(tmp_path))
    assert len(load_c3dpo_json("pascal3d_train.json").W) == 1
    with pytest.raises(FileNotFoundError, match="published by the authors of C3DPO"):
        load_c3dpo_json("pascal3d_val.json")


def changed(entry, **changes):
    entry = copy.deepcopy(entry) | changes
    return {key: value for key, value in entry.items() if value is not ...}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (changed(CAR, kp_vis=...), r"data\[1\]: the key 'kp_vis' is missing"),
        (changed(CAR, kp_loc=...), r"data\[1\]: the key 'kp_loc' is missing"),
        (changed(CAR, kp_loc_3d=...), r"data\[1\]: this entry lacks the key 'kp_loc_3d'"),
        (changed(CAR, kp_loc=[[1, 2], [3, 4]]), r"data\[1\]\.kp_loc\[0\]: 5 numbers were expected"),
        (changed(CAR, kp_loc=[[1] * 5]), r"data\[1\]\.kp_loc: 2 lists were expected, one a coord"),
        (
            changed(CAR, kp_loc=[[1] * 5, [1, 2, "3", 4, 5]]),
            r"data\[1\]\.kp_loc\[1\]: entry 2 must be a finite number, got the string '3'",
        ),
        (changed(CAR, kp_vis=[1, 0, 2, 0, 0]), r"data\[1\]\.kp_vis: flag 2 must be 0 or 1, got 2"),
        (changed(CAR, kp_vis=[1, 0]), r"data\[1\]\.kp_vis: 5 numbers were expected, got 2"),
        (changed(CAR, kp_loc_3d=[[1] * 5] * 2), r"data\[1\]\.kp_loc_3d: 3 lists were expected"),
        (changed(CAR, class_mask=[0] * 5), r"data\[1\]\.class_mask: no point belongs to the cat"),
        (
            changed(CAR, class_mask=[1, 1, 0, 0, 0]),
            r"data\[2\]\.class_mask: the points of 'car' are not those of entry 1",
        ),
        (changed(CAR, p3d_info=[1]), r"data\[1\]\.p3d_info: an object was expected"),
        (
            changed(CAR, p3d_info={"p3d_class": "car"}),
            r"data\[1\]\.p3d_info: this entry lacks the key 'bbox'",
        ),
        (
            changed(CAR, p3d_info={"p3d_class": "boat", "bbox": [1, 2, 3, 4]}),
            r"data\[1\]\.class_mask: the points of 'boat' are not those of entry 0",
        ),
        (
            changed(CAR, p3d_info={"p3d_class": "car", "bbox": [1, 2]}),
            r"data\[1\]\.p3d_info\.bbox: 4 numbers were expected",
        ),
        (changed(CAR, image_path=3), r"data\[1\]\.image_path: a string was expected"),
        ([], r"data\[1\]: an object was expected"),
    ],
)
def test_what_is_wrong_and_where(tmp_path, entry, message):
    path = write(tmp_path, [BOAT, entry, CAR])
    with pytest.raises(FileFormatError, match=message) as caught:
        load_c3dpo_json(path)
    assert str(path) in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_other_files(tmp_path):
    for text, message in (
        ("{", "no valid JSON"),
        ("[]", "there are no entries"),
        ('{"data": []}', "there are no entries"),
        ('{"images": []}', "the key 'data' is missing"),
        ("3", "a list was expected"),
        ('[{"kp_loc": [[], []], "kp_vis": []}]', "there are no points"),
    ):
        path = tmp_path / "a.json"
        path.write_text(text)
        with pytest.raises(FileFormatError, match=message):
            load_c3dpo_json(path)


def test_pickles_are_not_loaded(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps([CAR]))
    with pytest.raises(FileFormatError):
        load_c3dpo_json(path)
