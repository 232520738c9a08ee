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
