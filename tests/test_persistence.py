"""Files of estimators: what comes back, and what is refused."""

import json
import pickle
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from toy_methods import Cardboard, Transductive

from nrsfm_learn import C3DPO, DeepNRSfM, DeepNRSfMPP
from nrsfm_learn._persistence import load, load_estimator, model_card
from nrsfm_learn.base import BaseNRSfM

ROOT = Path(__file__).parents[1]
SETTINGS = {"dictionary_sizes": (8, 3), "max_iter": 3, "random_state": 0, "device": "cpu"}


@pytest.fixture(scope="module")
def W():
    return np.random.default_rng(0).normal(size=(12, 6, 2))


@pytest.fixture(scope="module")
def model(W):
    return DeepNRSfMPP(**SETTINGS, symmetric_bones=[((0, 1), (2, 3))], symmetry_weight=0.1).fit(W)


@pytest.fixture
def path(model, tmp_path):
    path = tmp_path / "model.safetensors"
    model.save(path)
    return path


def rewrite(path, drop=(), arrays=None, **header):
    """Change parts of a file, keeping it a valid safetensors file."""
    with safe_open(path, framework="numpy") as file:
        kept = {key: file.get_tensor(key) for key in file.keys() if key not in drop}  # noqa: SIM118
        metadata = {k: v for k, v in {**file.metadata(), **header}.items() if v is not None}
    save_file({**kept, **(arrays or {})}, path, metadata=metadata)


def edit(path, key, **values):
    """Change entries of the JSON in a file's header; None removes one."""
    with safe_open(path, framework="numpy") as file:
        old = json.loads(file.metadata()[key])
    rewrite(path, **{key: json.dumps({k: v for k, v in {**old, **values}.items() if v != "DROP"})})


def test_what_is_saved_comes_back(model, path, W):
    loaded = load(path)
    assert type(loaded) is DeepNRSfMPP
    np.testing.assert_array_equal(loaded.transform(W), model.transform(W))
    np.testing.assert_array_equal(loaded.dictionary_, model.dictionary_)
    np.testing.assert_array_equal(loaded.loss_curve_, model.loss_curve_)
    assert loaded.dictionary_sizes_ == model.dictionary_sizes_
    assert loaded.n_points_in_ == 6
    assert loaded.stop_reason_ == model.stop_reason_
    # JSON has no tuples.
    assert loaded.dictionary_sizes == [8, 3]
    assert loaded.symmetric_bones == [[[0, 1], [2, 3]]]


def test_the_file_holds_strings_and_tensors_only(path):
    (length,) = struct.unpack("<Q", path.read_bytes()[:8])
    header = json.loads(path.read_bytes()[8 : 8 + length])
    metadata = header.pop("__metadata__")
    assert all(isinstance(value, str) for value in metadata.values())
    assert metadata["class"] == "DeepNRSfMPP"
    assert {entry["dtype"] for entry in header.values()} <= {"F32", "F64", "I64"}


def test_a_fresh_process_lifts_the_same(model, path, W):
    np.save(path.parent / "W.npy", W)
    code = (
        "import sys, numpy as np\n"
        "from nrsfm_learn import DeepNRSfMPP\n"
        f"folder = {str(path.parent)!r}\n"
        "model = DeepNRSfMPP.load(folder + '/model.safetensors')\n"
        "np.save(folder + '/X.npy', model.transform(np.load(folder + '/W.npy')))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
    np.testing.assert_array_equal(np.load(path.parent / "X.npy"), model.transform(W))


def test_a_loaded_estimator_can_be_saved_fitted_and_started_warm(path, W, tmp_path):
    loaded = load(path)
    loaded.save(tmp_path / "again.safetensors")
    np.testing.assert_array_equal(
        load(tmp_path / "again.safetensors").transform(W), loaded.transform(W)
    )
    assert loaded.set_params(warm_start=True).fit(W).n_iter_ == 3


@pytest.mark.parametrize("cls", [Cardboard, Transductive])
def test_a_class_of_the_users_own(cls, W, tmp_path):
    model = cls(depth=1.5).fit(W)
    model.save(tmp_path / "toy")
    loaded = cls.load(tmp_path / "toy")
    assert loaded.depth == 1.5
    np.testing.assert_array_equal(loaded.transform(W), model.transform(W))
    with pytest.raises(ValueError, match=rf"holds a '{cls.__name__}', which .* YourClass\.load"):
        load(tmp_path / "toy")


def test_a_users_class_with_the_name_of_the_librarys(W, tmp_path):
    own = type("DeepNRSfMPP", (DeepNRSfMPP,), {"__init__": DeepNRSfMPP.__init__})
    own(**SETTINGS).fit(W).save(tmp_path / "own")
    assert type(own.load(tmp_path / "own")) is own


def test_classes_must_agree_and_a_base_class_takes_all(path):
    with pytest.raises(ValueError, match=r"holds a DeepNRSfMPP, not a DeepNRSfM: use"):
        DeepNRSfM.load(path)
    assert type(BaseNRSfM.load(path)) is DeepNRSfMPP


def test_private_and_temporary_attributes_stay_behind(W, tmp_path):
    model = Cardboard().fit(W)
    model._cache = np.zeros(3)
    model.save(tmp_path / "toy")
    loaded = Cardboard.load(tmp_path / "toy")
    assert not hasattr(loaded, "_cache")
    assert not hasattr(loaded, "seen")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": None}, "holds no nrsfm_learn estimator"),
        ({"format": "another"}, "holds no nrsfm_learn estimator"),
        ({"format_version": "2"}, r"format version '2', .* reads 1 to 1\. Update nrsfm_learn"),
        ({"format_version": "0"}, "format version '0'"),
        ({"format_version": "one"}, "format version 'one'"),
        ({"format_version": None}, "format version None"),
        ({"class": "NextYearsMethod"}, "holds a 'NextYearsMethod', which this version"),
        ({"class": "os.system"}, "holds a 'os.system', which this version"),
        ({"class": None}, "holds a None"),
        ({"params": "{"}, "params cannot be read"),
        ({"params": None}, "params cannot be read"),
        ({"params": "[1]"}, "params are no mapping"),
        ({"params": "[" * 100_000}, "params cannot be read"),
        ({"attributes": "null"}, "attributes are no mapping"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(path, changes, message):
    rewrite(path, **changes)
    with pytest.raises(ValueError, match=message):
        load(path)


@pytest.mark.parametrize(
    ("key", "values", "message"),
    [
        ("params", {"novelty": 1}, r"parameters that DeepNRSfMPP does not have: \['novelty'\]"),
        ("params", {"camera": "fisheye"}, "damaged: The 'camera' parameter"),
        ("params", {"k_last": -1}, "damaged: The 'k_last' parameter"),
        ("attributes", {"n_points_in_": 7}, "reconstruction_ has shape"),
        ("attributes", {"n_points_in_": "6"}, "n_points_in_ is '6'"),
        ("attributes", {"n_points_in_": True}, "n_points_in_ is True"),
        ("attributes", {"n_points_in_": "DROP"}, "n_points_in_ is None"),
        ("attributes", {"dictionary_sizes_": [8, 4]}, "tensors of the network do not fit"),
        ("attributes", {"fit": 1}, "sets 'fit', which is no fitted attribute"),
        ("attributes", {"__class__": 1}, "sets '__class__', which is no fitted attribute"),
        ("attributes", {"_build_module": 1}, "sets '_build_module'"),
        ("attributes", {"module_": 1}, "sets 'module_'"),
    ],
)
def test_json_that_does_not_fit_is_refused(path, key, values, message):
    edit(path, key, **values)
    with pytest.raises(ValueError, match=message):
        load(path)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"shapes_": np.zeros((12, 5, 3))}, r"shapes_ has shape \(12, 5, 3\)"),
        ({"rotations_": np.zeros((11, 3, 3))}, "rotations_ has shape"),
        ({"translations_": np.zeros((12, 2))}, "translations_ has shape"),
        ({"scales_": np.zeros((12, 1))}, "scales_ has shape"),
        ({"scales_": np.zeros(12, int)}, "dtype int64"),
        ({"reconstruction_": np.zeros((12, 6))}, "reconstruction_ has shape"),
        ({"score": np.zeros(2)}, "sets 'score'"),
        ({"module_.extra": np.zeros(2)}, "tensors of the network do not fit"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(path, arrays, message):
    rewrite(path, arrays=arrays)
    with pytest.raises(ValueError, match=message):
        load(path)


def test_missing_arrays_are_noticed(path):
    rewrite(path, drop=["shapes_"])
    with pytest.raises(ValueError, match="shapes_ has type NoneType"):
        load(path)


@pytest.mark.parametrize("n_bytes", [0, 4, 8, 100, -1])
def test_a_truncated_file_is_refused(path, n_bytes):
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(ValueError, match="is no estimator file, or is damaged"):
        load(path)


def test_garbage_is_refused(tmp_path):
    path = tmp_path / "garbage"
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(ValueError, match="is no estimator file, or is damaged"):
        load(path)
    with pytest.raises(FileNotFoundError, match="There is no file"):
        load(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match="There is no file"):
        load(tmp_path)


class _Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("write", [pickle.dump, torch.save], ids=["pickle", "torch"])
def test_a_hostile_pickle_is_refused_and_not_run(write, tmp_path):
    trap = tmp_path / "sprung"
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        write(_Hostile(trap), file)
    with pytest.raises(ValueError, match="is no estimator file"):
        load(path)
    assert not trap.exists()
    pickle.loads(pickle.dumps(_Hostile(trap)))
    assert trap.exists()  # so the trap would have worked


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"random_state": np.random.RandomState(0)}, r"parameter random_state=.* cannot be saved"),
        ({"k_last": object()}, "parameter k_last="),
    ],
)
def test_parameters_that_json_cannot_hold_are_refused(W, params, message, tmp_path):
    model = DeepNRSfMPP(**SETTINGS).fit(W).set_params(**params)
    with pytest.raises(ValueError, match=message):
        model.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_keys_that_are_numbers_come_back_as_numbers(W, tmp_path):
    settings = {"n_components": 2, "width": 8, "max_iter": 2, "random_state": 0, "device": "cpu"}
    labels = np.arange(len(W)) % 2 * 4 + 3
    points = {3: list(range(W.shape[1])), 7: [0, 1, 2, 3]}
    foreign = (labels == 7)[:, None] & (np.arange(W.shape[1]) > 3)
    model = C3DPO(**settings, category_points=points).fit(W, mask=~foreign, categories=labels)
    model.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert loaded.category_points == points
    assert [type(key) for key in loaded.category_points] == [int, int]


def test_parameters_of_numpy_and_torch_types_are_saved_as_plain_ones(W, tmp_path):
    settings = {
        **SETTINGS,
        "dictionary_sizes": np.array([8, 3]),
        "max_iter": np.int64(3),
        "learning_rate": np.float64(0.01),
        "device": torch.device("cpu"),
    }
    DeepNRSfMPP(**settings).fit(W).save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert loaded.dictionary_sizes == [8, 3]
    assert type(loaded.max_iter) is int
    assert loaded.learning_rate == 0.01
    assert loaded.device == "cpu"


def test_a_failed_save_leaves_the_old_file_and_nothing_else(model, path, W, monkeypatch):
    before = path.read_bytes()

    def full_disk(path, data):
        with path.open("wb") as file:
            file.write(data[:100])
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="no space left"):
        model.save(path)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_file_is_replaced_and_readable_as_others_are(model, path):
    path.write_bytes(b"old")
    model.save(str(path))
    assert type(load(str(path))) is DeepNRSfMPP
    plain = path.with_name("plain")
    plain.touch()
    assert path.stat().st_mode == plain.stat().st_mode


def test_expected_is_checked_before_anything_is_built(path):
    with pytest.raises(ValueError, match=r"not a Cardboard: use DeepNRSfMPP\.load"):
        load_estimator(path, expected=Cardboard)


def test_the_card_holds_what_the_user_said_and_what_the_file_is(model, tmp_path):
    path = tmp_path / "model.safetensors"
    model.save(path, card={"names": ["nose", "tail"], "score": np.float64(0.5)})
    card = model_card(path)
    assert card["names"] == ["nose", "tail"]
    assert card["score"] == 0.5
    assert card["method"] == "DeepNRSfMPP"
    assert card["settings"]["dictionary_sizes"] == [8, 3]
    assert (card["n_frames"], card["n_points"]) == (12, 6)


def test_a_file_of_before_the_card_has_an_empty_one(path):
    rewrite(path, card=None)
    assert model_card(path)["method"] == "DeepNRSfMPP"
    assert type(load(path)) is DeepNRSfMPP


@pytest.mark.parametrize("card", ["text", {1: "one"}, {"method": "mine"}, {"score": object()}])
def test_a_card_that_cannot_be_written_is_refused_and_nothing_is_left(model, tmp_path, card):
    with pytest.raises(ValueError, match="card"):
        model.save(tmp_path / "model.safetensors", card=card)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["[1]", "{", '"x"'])
def test_a_damaged_card_is_said(path, text):
    rewrite(path, card=text)
    with pytest.raises(ValueError, match="its card"):
        model_card(path)


def test_missing_folders_are_made_and_a_folder_is_refused(model, tmp_path):
    path = tmp_path / "a" / "b" / ("m" * 200 + ".safetensors")
    model.save(path)
    assert type(load(path)) is DeepNRSfMPP
    with pytest.raises(ValueError, match="is a folder"):
        model.save(path.parent)
