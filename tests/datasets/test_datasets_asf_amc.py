import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from nrsfm_learn.datasets import load_asf_amc

ASF = """# a chain of two bones
:version 1.10
:name chain
:units
  mass 1.0
  length 0.45
  angle deg
:documentation
   begin and end are words here
:root
   order TX TY TZ RX RY RZ
   axis XYZ
   position 0 0 0
   orientation 0 0 0
:bonedata
  begin
     id 1
     name upper
     direction 1 0 0
     length 2
     axis 0 0 0 XYZ
     dof rx ry rz
     limits (-180.0 180.0)
            (-180.0 180.0)
            (-180.0 180.0)
  end
  begin
     id 2
     name lower
     direction 0 1 0
     length 1
     axis 0 0 90 XYZ
     dof rx
     limits (-10.0 170.0)
  end
  begin
     id 3
     name tip
     direction 0 0 1
     length 0.5
     axis 0 0 0 XYZ
  end
:hierarchy
  begin
    root upper
    upper lower
    lower tip
  end
"""
AMC = """#!OML:ASF chain.asf
:FULLY-SPECIFIED
:DEGREES
1
root 0 0 0 0 0 0
upper 0 0 0
lower 0
2
root 1 2 3 0 0 90
upper 0 0 0
lower 0
3
root 0 0 0 0 0 0
upper 90 0 90
lower 0
4
root 0 0 0 0 0 0
upper 0 0 0
lower 90
"""
UNIT = 0.0254 / 0.45


def test_known_answers():
    clip = load_asf_amc(ASF, AMC)
    assert clip.names == ["root", "upper", "lower", "tip"]
    assert clip.edges == [(0, 1), (1, 2), (2, 3)]
    assert clip.fps == 120
    expected = [
        # at rest
        [[0, 0, 0], [2, 0, 0], [2, 1, 0], [2, 1, 0.5]],
        # the root moves and turns by 90 degrees about z
        [[1, 2, 3], [1, 4, 3], [0, 4, 3], [0, 4, 3.5]],
        # upper turns about x first and then about z: (0, 1, 0) -> (0, 0, 1) -> (0, 0, 1),
        # (0, 0, 1) -> (0, -1, 0) -> (1, 0, 0)
        [[0, 0, 0], [0, 2, 0], [0, 2, 1], [0.5, 2, 1]],
        # lower turns about its own x axis, which is the world's y: (0, 0, 1) -> (1, 0, 0)
        [[0, 0, 0], [2, 0, 0], [2, 1, 0], [2.5, 1, 0]],
    ]
    np.testing.assert_allclose(clip.X, UNIT * np.array(expected), atol=1e-15)


def test_scale_and_fps():
    clip = load_asf_amc(ASF, AMC, scale=0.01, fps=60)
    np.testing.assert_allclose(clip.X[0, 1], [0.02, 0, 0])
    assert clip.fps == 60


@pytest.mark.parametrize("kind", ["text", "file", "bytes", "path", "str path"])
def test_sources(tmp_path, kind):
    sources = []
    for name, text in (("chain.asf", ASF), ("chain.amc", AMC)):
        path = tmp_path / name
        path.write_text(text)
        sources.append(
            {
                "text": text,
                "file": io.StringIO(text),
                "bytes": io.BytesIO(text.encode()),
                "path": path,
                "str path": str(path),
            }[kind]
        )
    np.testing.assert_array_equal(load_asf_amc(*sources).X, load_asf_amc(ASF, AMC).X)


def test_units_of_angle():
    amc = AMC.replace(":DEGREES", ":RADIANS").replace(" 90", f" {np.pi / 2!r}")
    np.testing.assert_allclose(load_asf_amc(ASF, amc).X, load_asf_amc(ASF, AMC).X, atol=1e-15)
    asf = ASF.replace("angle deg", "angle rad").replace("axis 0 0 90", f"axis 0 0 {np.pi / 2!r}")
    np.testing.assert_allclose(load_asf_amc(asf, AMC).X, load_asf_amc(ASF, AMC).X, atol=1e-15)


def test_order_of_bones_in_the_file_does_not_matter():
    start, end = ASF.index("  begin\n     id 1"), ASF.index("  begin\n     id 2")
    last = ASF.index(":hierarchy")
    asf = ASF[:start] + ASF[end:last] + ASF[start:end] + ASF[last:]
    clip = load_asf_amc(asf, AMC)
    assert clip.names == ["root", "lower", "tip", "upper"]
    np.testing.assert_allclose(clip.X[:, [0, 3, 1, 2]], load_asf_amc(ASF, AMC).X, atol=1e-15)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("direction 1 0 0", "direction 1 0", r"line 19: expected 3 finite numbers, found '1 0'"),
        ("length 2\n", "length two\n", r"line 20: expected numbers, found 'two'"),
        ("     length 1\n", "", r"line 27: the bone that begins here has no 'length'"),
        ("axis 0 0 90 XYZ", "axis 0 0 90", r"line 32: expected three angles and their order"),
        ("name lower", "name upper", r"line 27: a second bone is called 'upper'"),
        ("dof rx\n", "dof tx\n", r"line 33: only rotations rx ry rz are supported, found 'tx'"),
        ("order TX TY TZ RX", "order TX TY RX", r"line 11: the root's order must hold"),
        ("orientation 0 0 0", "orientation 0 5 0", r"line 14: a root that starts rotated"),
        ("length 0.45", "length 0", r"line 6: the unit of length must be positive"),
        ("angle deg", "angle grad", r"line 7: the unit of angles must be deg or rad"),
        ("upper lower", "upper elbow", r"line 46: bone 'elbow' is not in the bone data"),
        ("    lower tip\n", "", r"bone 'tip' has no parent in the hierarchy"),
        ("    root upper\n", "    tip upper\n", r"are not connected to the root"),
    ],
)
def test_malformed_asf(tmp_path, old, new, message):
    assert ASF.count(old) == 1
    path = tmp_path / "bad.asf"
    path.write_text(ASF.replace(old, new))
    with pytest.raises(ValueError, match=rf"bad\.asf, (line \d+: .*)?{message}"):
        load_asf_amc(path, AMC)


@pytest.mark.parametrize(
    ("amc", "message"),
    [
        (AMC.replace("upper 90 0 90", "upper 90 0"), r"line 14: expected 3 finite numbers"),
        (
            AMC.replace("upper 90 0 90", "upper 90 0 x"),
            r"line 14: expected numbers, found '90 0 x'",
        ),
        (AMC.replace("upper 90 0 90", "upper 90 0 nan"), r"line 14: expected 3 finite numbers"),
        (AMC.replace("upper 90 0 90", "thigh 90 0 90"), r"line 14: 'thigh' is no bone"),
        (AMC.replace("upper 90 0 90\n", ""), r"line 15: frame 3 ends without upper"),
        (AMC.replace("upper 90 0 90\n", "lower 0\n"), r"line 15: 'lower' appears a second time in"),
        (AMC.replace("lower 90\n", ""), r"frame 4 ends without lower"),
        (AMC.replace(":DEGREES\n1\n", ":DEGREES\n"), r"line 4: 'root' appears before any frame"),
        (":FULLY-SPECIFIED\n:DEGREES\n", r"line 2: the file has no frames"),
    ],
)
def test_malformed_amc(amc, message):
    with pytest.raises(ValueError, match=rf"<amc>, (line \d+: )?{message}"):
        load_asf_amc(ASF, amc)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_asf_amc(tmp_path / "no.asf", AMC)


@pytest.mark.parametrize(("subject", "clip"), [("18", "18_15"), ("05", "05_15")])
def test_agrees_with_independent_kinematics(subject, clip):
    home = os.environ.get("NRSFM_LEARN_DATA")
    if not home:
        pytest.skip("NRSFM_LEARN_DATA is not set: no recordings to compare with")
    with tarfile.open(Path(home, "cmu_mocap", f"subject_{subject}.tar.xz")) as archive:
        asf, amc = (
            archive.extractfile(f"{subject}/{name}") for name in (f"{subject}.asf", f"{clip}.amc")
        )
        read = load_asf_amc(asf, amc)
    with np.load(Path(home, "cmu_joints_30hz", f"S{subject}.npz"), allow_pickle=False) as data:
        expected = data["X"][data["clip"] == data["clips"].tolist().index(clip)]
        assert read.names == data["names"].tolist()
        assert read.edges == [tuple(e) for e in data["edges"].tolist()]
    assert read.X[::4].shape == expected.shape
    assert np.abs(read.X[::4] - expected).max() < 1e-3
