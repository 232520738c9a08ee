"""What is said before a file is written, and where writers refuse other data than points."""

import os

import numpy as np
import pytest

from nrsfm_learn import io
from nrsfm_learn.io import _source
from nrsfm_learn.io._formats import FORMATS
from nrsfm_learn.io._read_write import check_target, target_files

W = np.random.default_rng(0).normal(size=(5, 4, 2))
CHAIN = [(0, 1), (1, 2), (2, 3)]
KEYPOINTS = io.Keypoints(W, edges=CHAIN, fps=30)


@pytest.mark.parametrize("name", [f.name for f in FORMATS if f.writes and f.kind == "3-D"])
def test_writers_of_points_refuse_keypoints(tmp_path, name):
    with pytest.raises(TypeError, match="data is Keypoints, not Points3D"):
        getattr(io, f"write_{name}")(tmp_path / "a.glb", KEYPOINTS)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("target", "changes", "message"),
    [
        ("a.c3d", {"fps": None}, "C3D needs a frame rate"),
        ("a.c3d", {"names": ["a" * 200, "b", "c", "d"]}, "at most 127 bytes"),
        ("a.bvh", {"fps": None}, "BVH needs a frame rate"),
        ("a.bvh", {"edges": ()}, "no edges"),
        ("a.bvh", {"edges": CHAIN[:2]}, "do not reach 'point_3'"),
        ("a.bvh", {"edges": [*CHAIN, (0, 3)]}, "closes a cycle"),
        ("a.xyz", {}, "ends like no format"),
    ],
)
def test_keypoints_are_checked_for_what_their_points_will_need(target, changes, message):
    with pytest.raises(ValueError, match=message):
        check_target(target, KEYPOINTS.replace(**changes))
    check_target("a.c3d", KEYPOINTS)
    check_target("a.bvh", KEYPOINTS)
    check_target("a.csv", KEYPOINTS.replace(fps=None, edges=()))


def test_frames_and_points_that_will_be_missing_in_a_bvh():
    for index in ((2, slice(2)), (slice(None), 1)):
        hidden = W.copy()
        hidden[index] = np.nan
        data = KEYPOINTS.replace(W=hidden)
        with pytest.raises(ValueError, match="BVH cannot hold missing points"):
            check_target("a.bvh", data)
        if index[0] == 2:
            check_target("a.bvh", data, fill="interpolate")
        else:
            with pytest.raises(ValueError, match="'point_1': missing in every frame"):
                check_target("a.bvh", data, fill="interpolate")
    # One hidden keypoint is no missing point: methods fill it in.
    hidden = W.copy()
    hidden[2, 1] = np.nan
    check_target("a.bvh", KEYPOINTS.replace(W=hidden))


def test_target_files_are_those_that_are_written(tmp_path):
    for n_frames in (1, 3):
        points = io.Points3D(np.zeros((n_frames, 4, 3)))
        for name in ("a.ply", "a.csv"):
            folder = tmp_path / f"{n_frames}{name}"
            first = io.write(folder / name, points)
            files = target_files(folder / name, points)
            assert files == sorted(folder.iterdir())
            assert files[0] == first


def test_places_that_cannot_be_written(tmp_path, monkeypatch):
    assert _source.check_place(tmp_path / "new" / "a.csv") == tmp_path / "new" / "a.csv"
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="is a folder"):
        _source.check_place(tmp_path)
    with pytest.raises(ValueError, match="leads through"):
        _source.check_place(tmp_path / "file" / "a.csv")
    asked = []
    monkeypatch.setattr(os, "access", lambda path, mode: asked.append(path))
    with pytest.raises(PermissionError, match=r"new/a\.csv' cannot be written: the folder"):
        _source.check_place(tmp_path / "new" / "a.csv")
    assert asked == [tmp_path]


@pytest.mark.parametrize("suffix", ["csv", "ply"])
def test_late_errors_name_the_path_of_the_user(tmp_path, monkeypatch, suffix):
    def full(self, data):
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    path = tmp_path / f"a.{suffix}"
    with pytest.raises(OSError, match="No space left") as caught:
        io.write(path, io.Points3D(np.zeros((2, 4, 3))))
    assert caught.value.filename == str(path)
    assert ".part" not in str(caught.value)
    assert not list(tmp_path.iterdir())
