import tarfile

import numpy as np
import pytest

from nrsfm_learn import io
from nrsfm_learn.datasets import load_asf_amc

ASF = """:version 1.10
:name chain
:units
  mass 1.0
  length 0.45
  angle deg
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
  end
  begin
     id 2
     name lower
     direction 0 1 0
     length 1
     axis 0 0 0 XYZ
  end
:hierarchy
  begin
    root upper
    upper lower
  end
"""
AMC = """#!OML:ASF chain.asf
:FULLY-SPECIFIED
:DEGREES
1
root 0 0 0 0 0 0
upper 0 0 0
2
root 1 2 3 0 0 0
upper 0 0 90
"""


@pytest.fixture
def clip(tmp_path):
    (tmp_path / "05.asf").write_text(ASF)
    (tmp_path / "05_01.amc").write_text(AMC)
    return tmp_path / "05_01.amc"


def test_known_answers(clip):
    found = io.read(clip)
    unit = 0.0254 / 0.45
    expected = [[[0, 0, 0], [2, 0, 0], [2, 1, 0]], [[1, 2, 3], [1, 4, 3], [0, 4, 3]]]
    np.testing.assert_allclose(found.X, unit * np.array(expected), atol=1e-12)
    assert found.names == ("root", "upper", "lower")
    assert found.edges == ((0, 1), (1, 2))
    assert (found.fps, found.unit, found.axes) == (120.0, "m", "x, y up, z")
    assert found.source.format == "amc"
    assert str(clip.with_name("05.asf")) in found.source.notes[0]
    assert "120 frames a second" in found.source.notes[1]


def test_options(clip, tmp_path):
    other = tmp_path / "sub" / "other.asf"
    other.parent.mkdir()
    other.write_text(ASF.replace("length 2", "length 4"))
    found = io.read(clip, skeleton=other, scale=0.01, fps=60)
    np.testing.assert_allclose(found.X[0, 1], [0.04, 0, 0])
    assert found.fps == 60


@pytest.mark.parametrize(
    ("there", "taken"),
    [
        (["05.asf", "06.asf"], "05.asf"),
        (["05.ASF", "06.asf"], "05.ASF"),
        (["05.asf", "05_01.asf"], "05_01.asf"),
        (["skeleton.asf"], "skeleton.asf"),
        (["0.asf", "06.asf"], None),
        ([], None),
    ],
)
def test_skeleton_in_the_folder(tmp_path, there, taken):
    path = tmp_path / "05_01.amc"
    path.write_text(AMC)
    for name in there:
        (tmp_path / name).write_text(ASF)
    if taken is None:
        with pytest.raises(io.FileFormatError, match=r"skeleton.*Give the skeleton"):
            io.read(path)
    else:
        assert io.read(path).source.notes[0] == f"the skeleton is {tmp_path / taken}"


def test_skeleton_alone(clip):
    with pytest.raises(io.FileFormatError, match=r"05.asf: is a skeleton .* Name the .amc file"):
        io.read(clip.with_name("05.asf"))


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("05_01.amc", "upper 0 0 90", "upper 0 0", "line 9: expected 3 finite numbers"),
        ("05_01.amc", "upper 0 0 90", "upper 0 0 x", "line 9: expected numbers"),
        ("05_01.amc", "upper 0 0 90", "upper 0 0 1e999", "line 9: expected 3 finite"),
        ("05_01.amc", "upper 0 0 90", "middle 0 0 90", "line 9: 'middle' is no bone"),
        ("05_01.amc", "upper 0 0 90\n", "", "line 8: frame 2 ends without upper"),
        ("05_01.amc", "root 1 2 3", "root 1e200 2 3", "frame 1: the positions are too large"),
        ("05.asf", "length 0.45", "length 0", "line 5: the unit of length must be positive"),
        ("05.asf", "direction 0 1 0", "direction 0 1", "line 24: expected 3 finite numbers"),
        ("05.asf", "upper lower", "upper", "bone 'lower' has no parent"),
    ],
)
def test_malformed(clip, file, old, new, message):
    path = clip.with_name(file)
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(io.FileFormatError, match=message) as caught:
        io.read(clip)
    assert caught.value.path == str(path)
    assert str(caught.value).count(str(path)) == 1


@pytest.mark.parametrize("name", ["05_01.amc", "05.asf"])
@pytest.mark.parametrize(
    "content", [b"", b"\0\xff" * 50, b"1\n", b":units\nlength\n", b"begin\nend"]
)
def test_no_amc(clip, name, content):
    clip.with_name(name).write_bytes(content)
    with pytest.raises(io.FileFormatError):
        io.read_amc(clip)


def test_every_truncation_of_the_skeleton(clip):
    path = clip.with_name("05.asf")
    # The last word is the name of a child; without the closing "end" the tree is whole.
    for n in range(1, len(ASF) - len("r\n  end\n")):
        path.write_text(ASF[:n])
        with pytest.raises(io.FileFormatError):
            io.read_amc(clip)


@pytest.mark.parametrize(
    "options", [{"fps": 0}, {"fps": float("nan")}, {"scale": -1}, {"scale": float("inf")}]
)
def test_bad_options(clip, options):
    with pytest.raises(ValueError, match="must be positive and finite"):
        io.read(clip, **options)


def test_missing_file(clip):
    with pytest.raises(FileNotFoundError):
        io.read_amc(clip.with_name("no.amc"))
    with pytest.raises(FileNotFoundError):
        io.read_amc(clip, skeleton=clip.with_name("no.asf"))


def test_real_clip(data_dir, tmp_path):
    with tarfile.open(data_dir / "cmu_mocap" / "subject_18.tar.xz") as archive:
        for name in ("18.asf", "18_15.amc"):
            (tmp_path / name).write_bytes(archive.extractfile(f"18/{name}").read())
    found = io.read(tmp_path / "18_15.amc")
    expected = load_asf_amc(tmp_path / "18.asf", tmp_path / "18_15.amc")
    np.testing.assert_array_equal(found.X, expected.X)
    # A grown person, upright along y.
    height = np.ptp(found.X[..., 1], axis=1)
    assert 1.2 < np.median(height) < 2
    # As BVH, whose joints turn all their children at once, it takes position channels.
    again = io.read(io.write(tmp_path / "a.bvh", found, exact=True))
    order = [again.names.index(name) for name in found.names]
    assert np.abs(again.X[:, order] - found.X).max() < 1e-5
    rigid = io.read(io.write(tmp_path / "b.bvh", found)).X[:, order]
    assert np.median(np.linalg.norm(rigid - found.X, axis=-1)) < 0.02
