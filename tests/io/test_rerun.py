"""Rerun recordings; skipped where the package is not installed."""

import sys

import numpy as np
import pytest

from nrsfm_learn import io

X = np.random.default_rng(0).normal(size=(4, 3, 3))
X[1, 2] = np.nan
DATA = io.Points3D(X, names=("a", "b", "c"), edges=[(0, 1), (1, 2)], fps=25)


def test_without_the_package_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(ImportError, match=r"nrsfm-learn\[rerun\]"):
        io.write(tmp_path / "a.rrd", DATA)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("several", [False, True])
def test_a_recording_is_written(tmp_path, several):
    pytest.importorskip("rerun", reason="the package rerun-sdk is not installed")
    data = DATA
    if several:
        data = DATA.replace(individuals=("m/1", "n"), individual=[0, 0, 1, 1], fps=None)
    path = io.write(tmp_path / "a.rrd", data)
    assert path.read_bytes()[:3] == b"RRF"
    assert [p.name for p in tmp_path.iterdir()] == ["a.rrd"]


def test_paths_tell_individuals_and_clips_apart():
    rr = pytest.importorskip("rerun", reason="the package rerun-sdk is not installed")
    from nrsfm_learn.io._rerun import _paths

    names = ("a/b", "a_b", "a\\/b", "a b")
    data = io.Points3D(np.zeros((8, 1, 3)), individuals=names, individual=[0, 1, 2, 3] * 2)
    assert len(set(_paths(rr, data))) == 4
    data = data.replace(clips=[0] * 4 + [1] * 4)
    paths = _paths(rr, data)
    assert len(set(paths)) == 8
    assert all(path.endswith(("/clip_0", "/clip_1")) for path in paths)
    assert set(_paths(rr, DATA)) == {""}


def test_a_recording_that_fails_is_closed(tmp_path, monkeypatch):
    rr = pytest.importorskip("rerun", reason="the package rerun-sdk is not installed")
    closed = []

    def fail(*args, **kwargs):
        raise RuntimeError("full")

    monkeypatch.setattr(rr.RecordingStream, "log", fail)
    monkeypatch.setattr(rr.RecordingStream, "disconnect", lambda self: closed.append(self))
    with pytest.raises(RuntimeError, match="full"):
        io.write(tmp_path / "a.rrd", DATA)
    assert len(closed) >= 1
    assert not list(tmp_path.iterdir())
