"""``read`` and ``write`` for any format."""

import subprocess
import sys

import numpy as np
import pytest

from nrsfm_learn import io
from nrsfm_learn.io import FileFormatError, Keypoints, Points3D

RNG = np.random.default_rng(0)
KEYPOINTS = Keypoints(RNG.normal(size=(4, 3, 2)), names=["a", "b", "c"], edges=[(0, 1)], fps=30)
POINTS = Points3D(RNG.normal(size=(4, 3, 3)), names=["a", "b", "c"], edges=[(0, 1)], unit="mm")
BOTH = ("csv", "json", "npz")


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("record", [KEYPOINTS, POINTS], ids=["2-D", "3-D"])
def test_there_and_back_by_the_suffix(tmp_path, name, record):
    path = io.write(tmp_path / f"a.{name}", record)
    assert path == tmp_path / f"a.{name}"
    assert io.read(path) == io.read(str(path), format=name) == record
    assert io.read(path).source.format == name
    assert io.read(path).source.path == str(path)


@pytest.mark.parametrize("name", BOTH)
def test_there_and_back_by_the_format(tmp_path, name):
    path = io.write(tmp_path / "a.data", KEYPOINTS, format=name)
    assert io.read(path, format=name) == KEYPOINTS


@pytest.mark.parametrize("name", BOTH)
def test_conversions_keep_everything(tmp_path, name):
    path = io.write(tmp_path / "a.npz", KEYPOINTS)
    for other in (name, "npz"):
        path = io.write(tmp_path / f"b.{other}", io.read(path))
    assert io.read(path) == KEYPOINTS


def test_options_are_passed_on_or_refused(tmp_path):
    path = io.write(tmp_path / "a.csv", KEYPOINTS)
    with pytest.raises(ValueError, match="not there"):
        io.read(path, individual="z")
    with pytest.raises(TypeError, match="'csv' has no option 'key'; it has min_confidence"):
        io.read(path, key="W")
    with pytest.raises(TypeError, match="'csv' has no option 'indent'"):
        io.write(path, KEYPOINTS, indent=1)


def test_what_is_no_record_is_not_written(tmp_path):
    for data in (KEYPOINTS.W, None, [KEYPOINTS], {"W": KEYPOINTS.W}):
        with pytest.raises(TypeError, match=r"Keypoints or Points3D.*Points3D\(X"):
            io.write(tmp_path / "a.csv", data)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("format", [f for f in io.formats() if f.writes], ids=lambda f: f.name)
def test_each_writer_says_what_it_cannot_hold(tmp_path, format):
    path = tmp_path / f"a{format.suffixes[0]}"
    for kind, record in (("2-D", KEYPOINTS), ("3-D", POINTS)):
        if kind not in format.kind:
            with pytest.raises(ValueError, match=f"data are {kind}: write csv, npz or json"):
                io.write(path, record)


def test_places_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"a\.csv"):
        io.read(tmp_path / "a.csv")
    with pytest.raises(FileNotFoundError, match=r"a\.csv"):
        io.read(tmp_path / "a.csv", format="csv")
    for wrong in (None, 3, KEYPOINTS.W, KEYPOINTS):
        with pytest.raises(TypeError, match="path"):
            io.read(wrong)
    for name in BOTH:
        with pytest.raises(FileFormatError, match="folder"):
            io.read(tmp_path, format=name)
        (tmp_path / "empty").touch()
        with pytest.raises(FileFormatError, match="empty"):
            io.read(tmp_path / "empty", format=name)
        (tmp_path / "folder").mkdir(exist_ok=True)
        with pytest.raises(ValueError, match="is a folder"):
            io.write(tmp_path / "folder", KEYPOINTS, format=name)


def test_importing_is_light():
    heavy = ("torch", "sklearn", "scipy", "h5py", "ezc3d", "matplotlib", "pandas", "xarray")
    code = (
        "import sys; from nrsfm_learn import io; "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
