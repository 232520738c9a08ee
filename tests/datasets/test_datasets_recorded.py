import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from nrsfm_learn.datasets import get_data_home, load_cmu_joints, load_short_sequence

HOME = os.environ.get("NRSFM_LEARN_DATA")
needs_data = pytest.mark.skipif(
    not HOME, reason="NRSFM_LEARN_DATA is not set: no recorded data to load"
)
SIZES = {
    "drink": (1102, 41),
    "pickup": (357, 41),
    "yoga": (307, 41),
    "stretch": (370, 41),
    "dance": (264, 75),
    "shark": (240, 91),
}


def check_bunch(data):
    np.testing.assert_allclose(data.X, data.shapes @ data.rotations.swapaxes(1, 2), atol=1e-12)
    np.testing.assert_array_equal(data.W, data.X[..., :2])
    np.testing.assert_allclose(np.linalg.det(data.rotations), 1, atol=1e-12)
    scale = np.abs(data.shapes).max()
    np.testing.assert_allclose(data.shapes.mean(1) / scale, 0, atol=1e-12)
    assert data.visible.all()
    assert data.visible.shape == data.W.shape[:2]
    assert len(data.names) == data.W.shape[1]
    assert all(0 <= i < data.W.shape[1] for edge in data.edges for i in edge)


@needs_data
@pytest.mark.parametrize("name", SIZES)
def test_short_sequences(name):
    data = load_short_sequence(name)
    assert data.W.shape == (*SIZES[name], 2)
    check_bunch(data)
    assert bool(data.edges) == (name not in ("dance", "shark"))


@needs_data
@pytest.mark.parametrize("name", ["drink", "pickup", "yoga", "stretch", "dance"])
def test_w_is_that_of_the_file(name):
    raw = scipy.io.loadmat(Path(HOME, "akhter2011_mocap", f"{name}.mat"))
    W = load_short_sequence(name).W
    for f in (0, 17, len(W) - 1):
        np.testing.assert_allclose(W[f].T, raw["W"][2 * f : 2 * f + 2], atol=1e-12)
    if "list" in raw:
        edges = load_short_sequence(name).edges
        assert [list(e) for e in edges] == (raw["list"].astype(int) - 1).tolist()


@needs_data
def test_shark_is_blocked_by_coordinate():
    raw = scipy.io.loadmat(Path(HOME, "torresani2008", "jaws.mat"))["P3_gt"]
    data = load_short_sequence("shark")
    for f in (0, 100, 239):
        x = raw[[f, f + 240, f + 480]]
        np.testing.assert_allclose(data.X[f].T, x - x.mean(1, keepdims=True), atol=1e-9)


@needs_data
@pytest.mark.parametrize(
    ("name", "e3d"),
    [
        ("drink", 0.0250),
        ("pickup", 0.2369),
        ("yoga", 0.1625),
        ("stretch", 0.1088),
        ("dance", 0.2956),
    ],
)
def test_published_reconstruction_has_its_published_error(name, e3d):
    # Akhter et al. 2011, error of Trajectory Space as later papers quote it.
    data = load_short_sequence(name)
    sigma = data.shapes.std(axis=1).mean()
    error = np.linalg.norm(data.published_shapes - data.shapes, axis=-1).mean() / sigma
    assert round(error, 4) == pytest.approx(e3d, abs=1e-9)


def quaternion_matrix(w, x, y, z):
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def joints_of(subject):
    with np.load(Path(HOME, "cmu_joints_30hz", f"S{subject:02d}.npz"), allow_pickle=False) as data:
        S, groups = data["X"].astype(float), data["clip"].astype(int)
    S = S - S.mean(1, keepdims=True)
    return S * np.sqrt(31) / np.mean([np.linalg.norm(s) for s in S]), groups


@needs_data
@pytest.mark.parametrize("subject", [5, 18])
def test_cmu_protocol_random_views(subject):
    data = load_cmu_joints(subject)
    check_bunch(data)
    S, groups = joints_of(subject)
    q = np.random.default_rng(0).normal(size=(len(S), 4))
    q /= np.linalg.norm(q, axis=1, keepdims=True)
    X = np.stack([s @ quaternion_matrix(*quat).T for s, quat in zip(S, q, strict=True)])
    np.testing.assert_allclose(data.shapes, S, atol=1e-12)
    np.testing.assert_allclose(data.X, X, atol=1e-12)
    np.testing.assert_array_equal(data.groups, groups)
    assert len(data.clips) == groups.max() + 1
    assert np.linalg.norm(data.X, axis=(1, 2)).mean() == pytest.approx(np.sqrt(31), rel=1e-12)


@needs_data
@pytest.mark.parametrize("subject", [5, 18])
def test_cmu_protocol_smooth_views(subject):
    data = load_cmu_joints(subject, views="smooth")
    check_bunch(data)
    S, groups = joints_of(subject)
    start = np.random.default_rng(0).uniform(0, 2 * np.pi, groups.max() + 1)
    first = {c: int(np.flatnonzero(groups == c)[0]) for c in np.unique(groups)}
    for f in range(0, len(S), 37):
        t = f - first[groups[f]]
        a, b = start[groups[f]] + np.deg2rad(t), 0.2 * np.sin(t / 40)
        yaw = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
        nod = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
        np.testing.assert_allclose(data.X[f], S[f] @ (nod @ yaw).T, atol=1e-12)


@needs_data
def test_cmu_in_metres():
    data = load_cmu_joints(18)
    femur = [data.names.index("lhipjoint"), data.names.index("lfemur")]
    lengths = np.linalg.norm(np.diff(data.shapes[:, femur], axis=1), axis=-1) * data.metres
    # 7.44434 units of the skeleton file.
    np.testing.assert_allclose(lengths, 7.44434 / 0.45 * 0.0254, atol=1e-5)


@needs_data
def test_cmu_from_the_recordings_themselves(tmp_path):
    with tarfile.open(Path(HOME, "cmu_mocap", "subject_18.tar.xz")) as archive:
        archive.extractall(tmp_path / "cmu_mocap", filter="data")
    own, packed = load_cmu_joints(18, tmp_path), load_cmu_joints(18)
    np.testing.assert_allclose(own.X, packed.X, atol=1e-5)
    for key in ("names", "edges", "clips"):
        assert own[key] == packed[key]
    np.testing.assert_array_equal(own.groups, packed.groups)


def test_data_home(monkeypatch, tmp_path):
    monkeypatch.delenv("NRSFM_LEARN_DATA", raising=False)
    assert get_data_home() == Path.home() / "nrsfm_learn_data"
    monkeypatch.setenv("NRSFM_LEARN_DATA", str(tmp_path))
    assert get_data_home() == tmp_path
    assert get_data_home("~/elsewhere") == Path.home() / "elsewhere"


def test_errors_say_where_the_data_are_published(tmp_path):
    with pytest.raises(FileNotFoundError, match="Trajectory Space"):
        load_short_sequence("yoga", tmp_path)
    with pytest.raises(FileNotFoundError, match="Torresani"):
        load_short_sequence("shark", tmp_path)
    with pytest.raises(FileNotFoundError, match="CMU Graphics Lab Motion Capture Database"):
        load_cmu_joints(7, tmp_path)
    with pytest.raises(ValueError, match="name must be one of"):
        load_short_sequence("whale", tmp_path)
    with pytest.raises(ValueError, match="views must be"):
        load_cmu_joints(7, tmp_path, views="turntable")


def test_another_file_is_refused(tmp_path):
    (tmp_path / "akhter2011_mocap").mkdir()
    scipy.io.savemat(tmp_path / "akhter2011_mocap" / "yoga.mat", {"S": np.zeros((3, 4))})
    with pytest.raises(ValueError, match="has no array Shat"):  # codespell:ignore
        load_short_sequence("yoga", tmp_path)


def test_pickles_are_not_loaded(tmp_path):
    folder = tmp_path / "cmu_joints_30hz"
    folder.mkdir()
    bad = np.array([{"a": 1}], dtype=object)
    np.savez(folder / "S07.npz", X=bad, clip=bad, clips=bad, names=bad, edges=bad)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        load_cmu_joints(7, tmp_path)
