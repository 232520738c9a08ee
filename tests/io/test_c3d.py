import struct
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nrsfm_learn import io
from nrsfm_learn.io import _c3d

ezc3d = pytest.importorskip("ezc3d", reason="needs the package ezc3d")


def points(n_frames=4, n_points=3, seed=0, **others):
    X = np.random.default_rng(seed).normal(size=(n_frames, n_points, 3)) * 500
    return io.Points3D(X, **{"fps": 100.0, "unit": "mm", **others})


def vax(value):
    """A number as DEC stores it: exponent two higher, 16-bit halves swapped."""
    low, high = struct.unpack("<HH", struct.pack("<f", 4 * value))
    return struct.pack("<HH", high, low)


def intel(value):
    return struct.pack("<f", value)


def by_hand(X, residuals, *, labels, processor=84, scale=-1.0, rate=50.0, first=1):
    """A C3D file packed after the user guide: header, one parameter section, data."""

    def parameter(name, kind, dimensions, payload, group=1):
        body = struct.pack("bB", kind, len(dimensions)) + bytes(dimensions) + payload + b"\0"
        head = struct.pack("bb", len(name), group) + name.encode()
        return head + struct.pack("<h", 2 + len(body)) + body

    def group(name, number):
        return struct.pack("bb", len(name), -number) + name.encode() + struct.pack("<hB", 3, 0)

    def word(value):
        return struct.pack("<h", value)

    real = vax if processor == 85 else intel
    n_frames, n_points = X.shape[:2]
    width = max(map(len, labels))
    section = bytes([1, 0x50, 1, processor])
    section += group("POINT", 1)
    section += parameter("USED", 2, [], word(n_points))
    section += parameter("FRAMES", 2, [], word(n_frames))
    section += parameter("SCALE", 4, [], real(scale))
    section += parameter("RATE", 4, [], real(rate))
    section += parameter("DATA_START", 2, [], word(3))
    section += parameter("UNITS", -1, [2], b"mm")
    text = b"".join(label.encode().ljust(width) for label in labels)
    section += parameter("LABELS", -1, [width, len(labels)], text)
    section += group("ANALOG", 2)
    section += parameter("USED", 2, [], word(0), group=2)
    section += parameter("RATE", 4, [], real(0.0), group=2)
    section += bytes(2)
    assert len(section) <= 512
    head = struct.pack("<BBHHHHH", 2, 0x50, n_points, 0, first, first + n_frames - 1, 10)
    head += real(scale) + struct.pack("<HH", 3, 0) + real(rate)
    data = b""
    for position, residual in zip(X.reshape(-1, 3), residuals.ravel(), strict=True):
        if scale < 0:
            data += b"".join(map(real, (*position, residual)))
        else:
            data += struct.pack("<4h", *np.round(position / scale).astype(int), residual)
    return head.ljust(512, b"\0") + section.ljust(512, b"\0") + data


@pytest.mark.parametrize("scale", [-1.0, 0.5])
@pytest.mark.parametrize("processor", [84, 85])
def test_published_layout(tmp_path, processor, scale):
    X = np.arange(1, 19, dtype=float).reshape(3, 2, 3) * 0.5
    residuals = np.zeros((3, 2), dtype=int)
    residuals[1, 0] = -1
    X[2, 1] = 0
    path = tmp_path / "a.c3d"
    labels = ["LASI", "RASI"]
    path.write_bytes(
        by_hand(X, residuals, labels=labels, processor=processor, scale=scale, first=8)
    )
    found = io.read(path)
    expected = X.copy()
    expected[1, 0] = expected[2, 1] = np.nan
    np.testing.assert_array_equal(found.X, expected)
    assert found.names == ("LASI", "RASI")
    assert (found.fps, found.unit, found.edges) == (50.0, "mm", ())
    assert found.axes.startswith("as in the file")
    assert found.frames.tolist() == [7, 8, 9]
    note = "1 points at exactly (0, 0, 0) were taken for missing ones"
    assert found.source == io.Source("c3d", str(path), (note,))


def test_labels_that_are_lacking_or_repeated(tmp_path):
    X = np.ones((1, 6, 3))
    path = tmp_path / "a.c3d"
    labels = ["a", "a", "", "a_2", "a"]
    path.write_bytes(by_hand(X, np.zeros((1, 6), int), labels=labels))
    found = io.read_c3d(path)
    assert found.names == ("a", "a_3", "point_2", "a_2", "a_4", "point_5")
    assert "point 1, labelled 'a'" in found.source.notes[0]
    assert "1 more" in found.source.notes[-1]


@settings(
    deadline=None, max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 99),
    n_frames=st.integers(1, 12),
    n_points=st.integers(1, 9),
    missing=st.floats(0, 0.6),
    fps=st.sampled_from([25.0, 29.97, 59.94, 1000.0]),
    unit=st.sampled_from(["mm", "m", ""]),
    first=st.integers(0, 40_000),
)
def test_round_trip(tmp_path, seed, n_frames, n_points, missing, fps, unit, first):
    data = points(n_frames, n_points, seed, fps=fps, unit=unit, frames=first + np.arange(n_frames))
    X = data.X.astype(np.float32).astype(float)
    X[np.random.default_rng(seed).random(X.shape[:2]) < missing] = np.nan
    X[0, 0] = 1
    data = data.replace(X=X)
    assert io.read(io.write(tmp_path / "a.c3d", data)) == data


def test_read_by_ezc3d_alone(tmp_path):
    data = points(5, 3, names=("nose", "ear", "tail"))
    X = data.X.copy()
    X[2, 1] = np.nan
    path = io.write_c3d(tmp_path / "sub" / "a.c3d", data.replace(X=X))
    file = ezc3d.c3d(str(path))
    assert file["parameters"]["POINT"]["LABELS"]["value"] == ["nose", "ear", "tail"]
    assert file["parameters"]["POINT"]["UNITS"]["value"] == ["mm"]
    assert file["parameters"]["POINT"]["RATE"]["value"] == [100.0]
    assert file["parameters"]["ANALOG"]["USED"]["value"] == [0]
    assert file["header"]["points"]["frame_rate"] == 100
    residuals = file["data"]["meta_points"]["residuals"][0]
    assert np.argwhere(residuals == -1).tolist() == [[1, 2]]
    assert np.count_nonzero(residuals) == 1
    np.testing.assert_allclose(file["data"]["points"][:3].transpose(2, 1, 0), X, rtol=1e-6)
    assert [p.name for p in path.parent.iterdir()] == ["a.c3d"]


def test_axes(tmp_path):
    path = io.write_c3d(tmp_path / "a.c3d", points())
    assert io.read_c3d(path).axes == io.Points3D.axes
    path = io.write_c3d(tmp_path / "a.c3d", points(axes="z up"))
    assert io.read_c3d(path).axes == "as in the file: those of the laboratory, often z up"
    file = ezc3d.c3d(str(path))
    file.add_parameter("POINT", "X_SCREEN", ["+X"])
    file.add_parameter("POINT", "Y_SCREEN", ["+Z"])
    file.write(str(path))
    assert io.read_c3d(path).axes == "as in the file: +X right, +Z up on the screen"


def test_more_than_255_points(tmp_path):
    data = points(2, 600, names=[f"marker {p}" for p in range(600)])
    found = io.read_c3d(io.write_c3d(tmp_path / "a.c3d", data))
    assert found.names == data.names
    np.testing.assert_allclose(found.X, data.X, rtol=1e-6)


def test_frame_numbers_with_gaps_start_anew(tmp_path):
    path = io.write_c3d(tmp_path / "a.c3d", points(3, frames=[4, 6, 7]))
    assert io.read_c3d(path).frames.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fps": None}, r"C3D needs a frame rate .* data.replace\(fps=30\)"),
        ({"fps": 1e-60}, "fps=1e-60 does not fit"),
        ({"X": np.full((4, 3, 3), 1e39)}, "frame 0, point 0"),
        ({"names": ("a", "b", "c" * 128)}, "at most 127 bytes"),
        ({"names": ("a", "b", "c\nd")}, "printable"),
        ({"unit": "\N{MICRO SIGN}" * 100}, "at most 127 bytes"),
    ],
)
def test_not_writable(tmp_path, change, message):
    path = tmp_path / "a.c3d"
    with pytest.raises(ValueError, match=message):
        io.write(path, points().replace(**change))
    assert not path.exists()


def test_too_many_frames(tmp_path):
    with pytest.raises(ValueError, match="at most 65,535 frames and points"):
        io.write(tmp_path / "a.c3d", io.Points3D(np.ones((65_536, 1, 3)), fps=30))


def test_names_beyond_the_parameter_section(tmp_path):
    data = points(1, 1200, names=[f"{p:0120d}" for p in range(1200)])
    with pytest.raises(ValueError, match="shorter names"):
        io.write(tmp_path / "a.c3d", data)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return io.write_c3d(tmp_path_factory.mktemp("c3d") / "good.c3d", points(60, 3)).read_bytes()


def patched(data, **words):
    """Change 16-bit words of the header, numbered from 1 as in the user guide."""
    data = bytearray(data)
    for word, value in words.items():
        struct.pack_into("<H", data, 2 * (int(word[1:]) - 1), value)
    return bytes(data)


@pytest.mark.parametrize(
    ("mutate", "message"),
    [
        (lambda d: d[:100], "header: no C3D file"),
        (lambda d: b"PK" + d[2:], "header: no C3D file"),
        (lambda d: d[:1] + b"\x51" + d[2:], "header: no C3D file"),
        (lambda d: d[:512], "block 2: there is no parameter section"),
        (lambda d: d[:515] + b"\x10" + d[516:], "block 2: there is no parameter section"),
        (lambda d: b"\xff" + d[1:], "block 255: there is no parameter section"),
        (lambda d: d[:1700], "header: 60 frames of 3 points take .* truncated"),
        (lambda d: patched(d, w2=65_535), "header: 60 frames of 65,535 points"),
        (lambda d: patched(d, w5=65_534), "header: 65,534 frames"),
        (lambda d: patched(d, w9=60_000), "header: 60 frames"),
        (lambda d: d[:600], "truncated"),
        (lambda d: patched(d[:600], w4=2, w5=1), "ezc3d cannot read it|crashed"),
        (lambda d: d[:515] + b"\x56" + d[516:], "block 2: is in the byte order of MIPS"),
    ],
)
def test_malformed(tmp_path, good, mutate, message):
    path = tmp_path / "bad.c3d"
    path.write_bytes(mutate(good))
    with pytest.raises(io.FileFormatError, match=message) as caught:
        io.read(path)
    assert str(path) in str(caught.value)


def test_all_missing(tmp_path):
    path = tmp_path / "a.c3d"
    path.write_bytes(by_hand(np.ones((2, 1, 3)), np.full((2, 1), -1), labels=["a"]))
    with pytest.raises(io.FileFormatError, match="every point is missing"):
        io.read_c3d(path)


def test_infinite(tmp_path):
    X = np.ones((2, 1, 3))
    X[1, 0, 2] = np.inf
    path = tmp_path / "a.c3d"
    path.write_bytes(by_hand(X, np.zeros((2, 1), int), labels=["a"]))
    with pytest.raises(io.FileFormatError, match="frame 1, point 0: a coordinate is infinite"):
        io.read_c3d(path)


def test_frames_that_ezc3d_leaves_out(tmp_path):
    """Beyond 16 bits, frames must not be lost in silence."""
    file = ezc3d.c3d()
    file["parameters"]["POINT"]["RATE"]["value"] = [30.0]
    file["parameters"]["POINT"]["LABELS"]["value"] = ["a"]
    file["data"]["points"] = np.ones((4, 1, 70_000))
    words = {"START": [1, 0], "END": [70_000 & 0xFFFF, 1]}
    file["parameters"]["TRIAL"] = {"__METADATA__": {"DESCRIPTION": "", "IS_LOCKED": False}}
    for name, value in words.items():
        file["parameters"]["TRIAL"][f"ACTUAL_{name}_FIELD"] = {
            "type": 2,
            "description": "",
            "is_locked": False,
            "value": np.array(value),
        }
    path = tmp_path / "long.c3d"
    file.write(str(path))
    with pytest.raises(io.FileFormatError, match=r"only 65,535 of 70,000 frames .* in parts"):
        io.read_c3d(path)


@settings(
    deadline=None, max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damaged_bytes(tmp_path, good, data):
    """Random damage is read as something or is an error with the file's name, nothing else."""
    bad = bytearray(good)
    for _ in range(data.draw(st.integers(1, 6))):
        bad[data.draw(st.integers(2, 1400))] = data.draw(st.integers(0, 255))
    path = tmp_path / "bad.c3d"
    path.write_bytes(bytes(bad))
    try:
        found = io.read_c3d(path).source.path
    except io.FileFormatError as error:
        found = error.path
    assert found == str(path)


def test_without_the_library(tmp_path, monkeypatch):
    path = io.write_c3d(tmp_path / "a.c3d", points())
    monkeypatch.setitem(sys.modules, "ezc3d", None)
    # The child process has modules of its own, so what it runs is called here.
    with pytest.raises(ImportError, match=r"Reading C3D needs the package ezc3d: pip install"):
        _c3d._load(path)
    with pytest.raises(ImportError, match=r"Writing C3D needs the package ezc3d: pip install"):
        io.write_c3d(tmp_path / "b.c3d", points())


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        io.read_c3d(tmp_path / "no.c3d")


def test_points_at_the_origin_are_missing_and_the_notes_say_so(tmp_path):
    X = points().X
    X[1:3, 0] = 0.0
    record = io.read(io.write(tmp_path / "a.c3d", points().replace(X=X)))
    assert np.isnan(record.X).all(-1).tolist() == (X == 0).all(-1).tolist()
    assert "2 points at exactly (0, 0, 0)" in record.source.notes[-1]
