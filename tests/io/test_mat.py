"""MATLAB sequences in the layouts of the papers, damaged files, and the recorded ones."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from scipy.spatial.transform import Rotation

from nrsfm_learn import io
from nrsfm_learn.datasets import load_short_sequence
from nrsfm_learn.io import FileFormatError, _mat
from nrsfm_learn.io._formats import Probe
from nrsfm_learn.io._mat_arrays import load_arrays

HOME = os.environ.get("NRSFM_LEARN_DATA")
needs_data = pytest.mark.skipif(
    not HOME, reason="NRSFM_LEARN_DATA is not set: no recorded data to load"
)
F, P = 5, 4
RNG = np.random.default_rng(0)
SHAPES = RNG.normal(size=(F, P, 3))
ROTATIONS = Rotation.random(F, random_state=0).as_matrix()
X = SHAPES @ ROTATIONS.swapaxes(1, 2)
# Half a turn about x: from y up to y down.
DOWN = np.array([1.0, -1.0, -1.0])


def in_turn(points):
    """Rows x1, y1(, z1), x2, ... of points (n_frames, n_points, n_axes), one by one."""
    return np.array([points[f, :, a] for f in range(len(points)) for a in range(points.shape[2])])


def in_blocks(points):
    return np.array([points[f, :, a] for a in range(points.shape[2]) for f in range(len(points))])


def saved(tmp_path, _format="5", **arrays):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, arrays, format=_format)
    return path


def akhter(**changes):
    arrays = {
        "W": in_turn(X[..., :2]),
        "S": in_turn(SHAPES),
        "Rs": ROTATIONS[:, :2].reshape(2 * F, 3),
        "list": np.array([[1, 2], [4, 1]]),
        "K": 3,
    }
    return {key: value for key, value in {**arrays, **changes}.items() if value is not None}


@pytest.mark.parametrize("version", ["4", "5"])
def test_akhter(tmp_path, version):
    record = io.read(saved(tmp_path, version, **akhter()))
    np.testing.assert_array_equal(record.W, X[..., :2] * DOWN[:2])
    np.testing.assert_allclose(record.X, X * DOWN, atol=1e-14)
    assert record.edges == ((0, 1), (3, 0))
    assert record.source.format == "mat"
    (note,) = record.source.notes
    assert "y was up" in note


def test_y_up_is_what_the_user_says(tmp_path):
    path = saved(tmp_path, **akhter())
    as_it_is = io.read(path, y_up=False)
    np.testing.assert_array_equal(as_it_is.W, X[..., :2])
    np.testing.assert_allclose(as_it_is.X, X, atol=1e-14)
    assert not as_it_is.source.notes
    path = saved(tmp_path, P3_gt=in_blocks(X))
    np.testing.assert_array_equal(io.read(path, y_up=True).X, X * DOWN)
    path = saved(tmp_path, **akhter(S=None, Rs=None))
    np.testing.assert_array_equal(io.read(path).W, X[..., :2])
    with pytest.raises(ValueError, match="y_up must be"):
        io.read(path, y_up="yes")


def test_ground_truth_is_of_the_camera_whatever_the_translation(tmp_path):
    moved = in_turn(X[..., :2] + RNG.normal(size=(F, 1, 2)))
    moved[2:4, 1] = np.nan
    record = io.read(saved(tmp_path, **akhter(W=moved)))
    assert np.argwhere(~record.visible).tolist() == [[1, 1]]
    np.testing.assert_allclose(record.X, X * DOWN, atol=1e-14)


@pytest.mark.parametrize("axes", [[0, 1, 2], [1, 2, 0], [2, 0, 1]])
def test_without_rs_the_camera_stands(tmp_path, axes):
    W = in_turn(SHAPES[..., axes[:2]])
    record = io.read(saved(tmp_path, **akhter(W=W, Rs=None)))
    np.testing.assert_array_equal(record.X, SHAPES[..., axes] * DOWN)
    assert np.linalg.det(np.eye(3)[axes]) == 1


def test_ground_truth_that_does_not_project_is_left_out(tmp_path):
    for changes in ({"Rs": None}, {"S": in_blocks(SHAPES)}, {"Rs": np.ones((2 * F, 3))}):
        record = io.read(saved(tmp_path, **akhter(**changes)))
        assert record.X is None
        assert "does not project to W" in record.source.notes[0]


def test_torresani(tmp_path):
    record = io.read(saved(tmp_path, P3_gt=in_blocks(X)))
    np.testing.assert_array_equal(record.X, X)
    np.testing.assert_array_equal(record.W, X[..., :2])


def test_key_and_layout(tmp_path):
    W = X[..., :2]
    path = saved(tmp_path, a=in_turn(W), b=in_blocks(W), c=W, W=in_blocks(W).astype(np.float32))
    np.testing.assert_array_equal(io.read(path, key="a").W, W)
    np.testing.assert_array_equal(io.read(path, key="b", layout="blocked").W, W)
    np.testing.assert_array_equal(io.read(path, key="c").W, W)
    np.testing.assert_array_equal(io.read(path, layout="blocked").W, W.astype(np.float32))
    with pytest.raises(ValueError, match="layout must be"):
        io.read(path, layout="rows")
    with pytest.raises(FileFormatError, match=r"no array 'd'.*has a \(10, 4\), b \(10, 4\), c"):
        io.read(path, key="d")


BAD = {
    "no W": ({"tracks": np.ones((4, 3)), "n": "text"}, r"tracks \(4, 3\), n \(1,\).*key="),
    "odd rows": (akhter(W=np.ones((5, P))), "W: 2 rows a frame"),
    "W one number": (akhter(W=3.0), "W: 2 rows a frame"),
    "W four axes": (akhter(W=np.ones((2, 2, 2, 2))), "W: 2 rows a frame"),
    "W empty": (akhter(W=np.ones((0, 4))), "W: 2 rows a frame"),
    "W text": (akhter(W="text"), "neither W nor P3_gt"),
    "W complex": (akhter(W=np.ones((2 * F, P)) * 1j), "neither W nor P3_gt"),
    "W cells": (akhter(W=np.array([[{"a": 1}]], dtype=object)), "neither W nor P3_gt"),
    "infinite": (akhter(W=np.full((2 * F, P), np.inf)), "infinite at frame 0, point 0"),
    "half": (akhter(W=np.where(np.eye(2 * F, P, -3), np.nan, 1.0)), "frame 1, point 0"),
    "S short": (akhter(S=np.ones((3 * F - 3, P))), "S: S has shape"),
    "S odd": (akhter(S=np.ones((3 * F - 1, P))), "S: 3 rows a frame"),
    "Rs short": (akhter(Rs=np.ones((2 * F, 2))), "Rs: shape"),
    "edges from 0": (akhter(list=np.array([[0, 1]])), "list: pairs of points 1 to 4"),
    "edges beyond": (akhter(list=np.array([[1, 5]])), "list: pairs of points 1 to 4"),
    "edges broken": (akhter(list=np.array([[1, 1.5]])), "list: pairs of points 1 to 4"),
    "edges NaN": (akhter(list=np.array([[1, np.nan]])), "list: pairs of points 1 to 4"),
    "edges three": (akhter(list=np.array([[1, 2, 3]])), "list: pairs of points 1 to 4"),
    "P3_gt odd": ({"P3_gt": np.ones((4, 3))}, "P3_gt: 3 rows a frame"),
}


@pytest.mark.parametrize(("arrays", "message"), BAD.values(), ids=list(BAD))
def test_wrong_arrays_are_one_clear_error(tmp_path, monkeypatch, arrays, message):
    # A process for each would take long, and is what other tests have.
    monkeypatch.setattr(_mat, "run_isolated", lambda module, function, path: load_arrays(path))
    path = saved(tmp_path, **arrays)
    with pytest.raises(FileFormatError, match=f"(?s){message}") as caught:
        io.read(path)
    assert str(path) in str(caught.value)


def test_damaged_files_are_one_clear_error(tmp_path):
    path = saved(tmp_path, **akhter())
    whole = path.read_bytes()
    tag = struct.pack("<II", 9, X[..., :2].nbytes)
    assert tag in whole
    damaged = {
        "cut": whole[: len(whole) // 2],
        "cut in the header": whole[:130],
        "numbers of 4 GiB": whole.replace(tag, struct.pack("<II", 9, 0xFFFFFFF0)),
        "no MATLAB": b"frame,a_x,a_y\n" * 20,
    }
    for content in damaged.values():
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match=r"a\.mat"):
            io.read(path, format="mat")


@pytest.mark.parametrize("offset", [0, 512])
def test_version_73_says_what_to_do(tmp_path, offset):
    path = tmp_path / "a.mat"
    path.write_bytes(
        b"MATLAB 7.3 MAT-file".ljust(offset)[:offset] + b"\x89HDF\r\n\x1a\n" + b"0" * 99
    )
    with pytest.raises(FileFormatError, match=r"version 7\.3.*-v7"):
        io.read(path)


def test_looks_like_mat(tmp_path):
    for version in ("4", "5"):
        assert _mat.looks_like_mat(Probe(saved(tmp_path, version, **akhter())))
    for content in (b"\x01", b"{}", b"P" * 200, b"PK\x03\x04" + bytes(300)):
        path = tmp_path / "b.mat"
        path.write_bytes(content)
        assert not _mat.looks_like_mat(Probe(path))
        with pytest.raises(FileFormatError, match="not recognised"):
            io.read(path)


def test_modules_beside_the_data_are_not_imported(tmp_path, monkeypatch):
    path = saved(tmp_path, **akhter())
    for name in ("numpy", "json", "scipy"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('executed')")
    monkeypatch.chdir(tmp_path)
    assert len(io.read(path)) == F


@needs_data
@pytest.mark.parametrize("name", ["pickup", "dance", "shark"])
def test_recorded_sequences(name):
    file = "torresani2008/jaws.mat" if name == "shark" else f"akhter2011_mocap/{name}.mat"
    record = io.read(Path(HOME, file))
    expected = load_short_sequence(name)
    # The data sets stay as they are published, y up but for the shark; files are read as images.
    turn = 1.0 if name == "shark" else DOWN
    for found, wanted in ((record.W, expected.W), (record.X, expected.X)):
        wanted = wanted * np.broadcast_to(turn, 3)[: wanted.shape[-1]]
        centred = found - found.mean(axis=1, keepdims=True)
        np.testing.assert_allclose(centred, wanted, atol=1e-12 * np.abs(wanted).max())
    assert list(record.edges) == expected.edges


@needs_data
def test_a_recorded_body_stands_upright():
    record = io.read(Path(HOME, "akhter2011_mocap/pickup.mat"))
    head, feet = [0, 1, 2, 3], [31, 32, 33, 38, 39, 40]
    assert (record.W[:, head, 1].max(1) < record.W[:, feet, 1].min(1)).all()
    np.testing.assert_allclose(
        record.X[..., :2] - record.X[..., :2].mean(1, keepdims=True),
        record.W - record.W.mean(1, keepdims=True),
        atol=1e-9,
    )
