"""numpy files: keys, hostile archives, round trips."""

import io as std_io
import pickle
import struct
import warnings
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from record_strategies import keypoints, points_3d

from nrsfm_learn import io
from nrsfm_learn.io import FileFormatError, Keypoints, Points3D, _npz
from nrsfm_learn.io._formats import Probe

NAN = np.nan
RNG = np.random.default_rng(0)
W = RNG.normal(size=(4, 3, 2))
X = RNG.normal(size=(4, 3, 3))
CAMERA = "x right, y down, z away from the camera"


def saved(tmp_path, **arrays):
    path = tmp_path / "a.npz"
    np.savez(path, **arrays)
    return path


def npy_bytes(array):
    file = std_io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npy_header(shape, descr="<f8", data=b""):
    header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}"
    header = (header + " " * (63 - (10 + len(header)) % 64) + "\n").encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def zipped(members, compression=zipfile.ZIP_STORED):
    file = std_io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that come twice
        with zipfile.ZipFile(file, "w", compression) as archive:
            for name, content in members:
                archive.writestr(name, content)
    return file.getvalue()


def test_keypoints_with_everything(tmp_path):
    confidence, mask = RNG.random((4, 3)), np.ones((4, 3), bool)
    mask[1, 2] = False
    visible = np.ones((4, 3), bool)
    visible[3, 0] = False
    path = saved(
        tmp_path,
        W=W,
        mask=mask,
        visible=visible,
        confidence=confidence,
        names=["a", "b", "c"],
        edges=[[0, 1]],
        fps=12.5,
        individuals=["m", "n"],
        individual=[0, 0, 1, 1],
        frames=[5, 6, 5, 9],
        clips=np.array([0, 0, 0, 1], dtype=np.uint8),
        X=X,
        cameras=np.array([object()], dtype=object),
    )
    expected = Keypoints(
        W,
        visible=mask & visible,
        confidence=confidence,
        names=["a", "b", "c"],
        edges=[(0, 1)],
        fps=12.5,
        individuals=["m", "n"],
        individual=[0, 0, 1, 1],
        frames=[5, 6, 5, 9],
        clips=[0, 0, 0, 1],
        X=X,
    )
    record = io.read(path)
    assert record == expected
    assert record.source.format == "npz"
    # What is not known is not loaded, be it a pickle.
    assert record.source.notes == ("arrays that are not known here were left out: 'cameras'",)
    assert io.read(path, individual="n") == expected.select("n")
    hidden = io.read(path, min_confidence=0.5)
    np.testing.assert_array_equal(hidden.visible, mask & visible & (confidence >= 0.5))


def test_keypoints_with_the_least(tmp_path):
    record = io.read(saved(tmp_path, W=W))
    assert record == Keypoints(W)
    assert record.names == ("point_0", "point_1", "point_2")


def test_entries_behind_the_mask_may_be_anything(tmp_path):
    half = W.copy()
    half[2, 1, 0] = NAN
    mask = ~np.isnan(half).any(-1)
    np.testing.assert_array_equal(io.read(saved(tmp_path, W=half, mask=mask)).visible, mask)


@pytest.mark.parametrize("dtype", ["<f4", ">f8", "f2", "i4", "u1", "longdouble"])
def test_number_types_and_orders(tmp_path, dtype):
    array = np.asfortranarray((10 * np.abs(W)).astype(dtype))
    np.testing.assert_array_equal(io.read(saved(tmp_path, W=array)).W, array.astype(float))


def test_points(tmp_path):
    assert io.read(saved(tmp_path, X=X)) == Points3D(X, axes="")
    assert io.read(saved(tmp_path, reconstruction=X)) == Points3D(X, axes=CAMERA)
    path = saved(tmp_path, X=X, unit="mm", axes="z up", names=["a", "b", "c"], fps=30)
    expected = Points3D(X, unit="mm", axes="z up", names=["a", "b", "c"], fps=30)
    assert io.read(path) == expected


def test_npy(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, W)
    assert io.read(path) == Keypoints(W)
    np.save(path, X)
    assert io.read(path) == Points3D(X, axes="")


def test_the_way_out_for_a_matrix_is_right(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((8, 3)))
    with pytest.raises(FileFormatError, match="several things") as caught:
        io.read(path)
    in_turn = W.swapaxes(1, 2).reshape(8, 3)
    n_frames = 4
    assert "W.reshape(n_frames, 2, -1).swapaxes(1, 2)" in str(caught.value)
    np.testing.assert_array_equal(in_turn.reshape(n_frames, 2, -1).swapaxes(1, 2), W)
    blocks = np.concatenate([W[..., 0], W[..., 1]])
    assert "np.stack(np.split(W, 2), axis=-1)" in str(caught.value)
    np.testing.assert_array_equal(np.stack(np.split(blocks, 2), axis=-1), W)


class Evil:
    def __reduce__(self):
        return exec, ("raise SystemExit('a file was executed')",)


PICKLE = np.lib.format.magic(1, 0) + npy_header((4, 3, 2), "|O")[8:] + pickle.dumps(Evil())
GOOD = npy_bytes(W)
NAMES = npy_bytes(np.array(["a", "b", "c"]))
BAD_ARCHIVES = {
    "pickle": ([("W.npy", PICKLE)], "dtype object"),
    "no arrays": ([], "."),
    "other arrays": ([("tracks.npy", GOOD)], "'tracks'"),
    "W and no npy": ([("W.npy", b"hello")], "damaged"),
    "W empty": ([("W.npy", b"")], "damaged"),
    "name twice": ([("W.npy", GOOD), ("W.npy", GOOD)], "one name"),
    "name twice, no suffix": ([("W.npy", GOOD), ("W", GOOD)], "one name"),
    "both of 3-D": ([("X.npy", npy_bytes(X)), ("reconstruction.npy", npy_bytes(X))], "one of X"),
    "truncated": ([("W.npy", GOOD[:-8])], "W: its header says"),
    "too long": ([("W.npy", GOOD + b"\0")], "W: its header says"),
    "shape too large": ([("W.npy", npy_header((10**12, 3, 2)))], "W: its header says"),
    "shape beyond counting": ([("W.npy", npy_header((10**4000, 3, 2)))], "W|damaged"),
    "shape beyond printing": ([("W.npy", npy_header("1" * 5000 + ", 2"))], "damaged"),
    "negative shape": ([("W.npy", npy_header((-4, -3, 2), data=bytes(192)))], "W: its header"),
    "no shape": ([("W.npy", npy_header("'abc'"))], "damaged"),
    "many letters": (
        [("W.npy", GOOD), ("names.npy", npy_header((10**15,), "<U0"))],
        "names: dtype",
    ),
    "impossible letters": (
        [("W.npy", GOOD), ("names.npy", npy_header((3,), "<U1", b"\xff" * 12))],
        "damaged",
    ),
    "half a letter": (
        [("W.npy", GOOD), ("names.npy", npy_header((3,), "<U1", b"\0\xd8\0\0" * 3))],
        "no valid text",
    ),
    "header is code": ([("W.npy", npy_header("__import__('os')"))], "damaged"),
    "header nested": ([("W.npy", npy_header("(" * 3000 + ")" * 3000))], "damaged"),
    "version 3": ([("W.npy", b"\x93NUMPY\x03\x00" + GOOD[8:])], "version"),
    "structured": ([("W.npy", npy_bytes(np.zeros(4, "f8,f8")))], "W: dtype"),
    "complex": ([("W.npy", npy_bytes(W + 0j))], "W: dtype complex128"),
    "dates": ([("W.npy", npy_bytes(np.zeros((4, 3, 2), "M8[s]")))], "W: dtype"),
    "strings": ([("W.npy", npy_bytes(W.astype(str)))], "W: floats or integers with 3 axes"),
    "booleans": ([("W.npy", npy_bytes(W > 0))], "W: floats or integers with 3 axes"),
    "two axes": ([("W.npy", npy_bytes(W[0]))], "W: floats or integers with 3 axes"),
    "3-D as W": ([("W.npy", npy_bytes(X))], "W must have shape"),
    "no frames": ([("W.npy", npy_bytes(W[:0]))], "no positions"),
    "no points": ([("W.npy", npy_bytes(W[:, :0]))], "no positions"),
    "infinite": ([("W.npy", npy_bytes(W * np.inf))], "infinite at frame 0"),
    "half missing": (
        [("W.npy", npy_bytes(np.where(np.arange(2) == 1, NAN, W)))],
        "NaN in y only at frame 0, point 0",
    ),
    "mask of numbers": ([("W.npy", GOOD), ("mask.npy", npy_bytes(W[..., 0]))], "mask: booleans"),
    "mask turned": ([("W.npy", GOOD), ("mask.npy", npy_bytes(W[..., 0].T > 0))], "the mask has"),
    "masks differ": (
        [
            ("W.npy", GOOD),
            ("mask.npy", npy_bytes(W[..., 0].T > 0)),
            ("visible.npy", npy_bytes(W[..., 0] > 0)),
        ],
        "mask and visible differ",
    ),
    "confidence turned": (
        [("W.npy", GOOD), ("confidence.npy", npy_bytes(W[..., 0].T))],
        "confidences have shape",
    ),
    "names short": ([("W.npy", npy_bytes(W[:, :2])), ("names.npy", NAMES)], "names has 3 entries"),
    "names numbers": ([("W.npy", GOOD), ("names.npy", npy_bytes(np.arange(3)))], "names: strings"),
    "names alike": ([("W.npy", GOOD), ("names.npy", npy_bytes(np.array(["a"] * 3)))], "'a' more"),
    "edges from 1": ([("W.npy", GOOD), ("edges.npy", npy_bytes(np.array([[2, 3]])))], "subtract 1"),
    "edges floats": ([("W.npy", GOOD), ("edges.npy", npy_bytes(W[0]))], "edges: integers"),
    "fps array": ([("W.npy", GOOD), ("fps.npy", npy_bytes(W[0]))], "fps: floats"),
    "fps NaN": ([("W.npy", GOOD), ("fps.npy", npy_bytes(np.array(NAN)))], "fps must be positive"),
    "frames short": ([("W.npy", GOOD), ("frames.npy", npy_bytes(np.arange(3)))], "frames must be"),
    "individual": ([("W.npy", GOOD), ("individual.npy", npy_bytes(np.arange(4)))], "must index"),
    "X short": ([("W.npy", GOOD), ("X.npy", npy_bytes(X[:3]))], "X has"),
}


@pytest.mark.parametrize(("members", "message"), BAD_ARCHIVES.values(), ids=list(BAD_ARCHIVES))
def test_damaged_archives_are_one_clear_error(tmp_path, members, message):
    path = tmp_path / "a.npz"
    path.write_bytes(zipped(members))
    for options in ({}, {"min_confidence": 0.5} if "confidence" in message else {}):
        with pytest.raises(FileFormatError, match=f"(?s){message}") as caught:
            io.read(path, format="npz", **options)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"hello", b"PK\x03\x04", b"PK\x03\x04" + bytes(99), b"\x93NUMPY", GOOD[:40]]
)
def test_other_bytes_are_one_clear_error(tmp_path, content):
    for name in ("a.npz", "a.npy"):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match=name):
            io.read(path, format="npz")


def test_bombs_are_refused_by_their_size(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    content = npy_header((4 << 20,), "|b1") + bytes(4 << 20)
    path.write_bytes(zipped([("W.npy", content)], zipfile.ZIP_DEFLATED))
    assert path.stat().st_size < 20_000
    with pytest.raises(FileFormatError, match="W: floats"):
        io.read(path)
    monkeypatch.setattr(_npz, "_ALWAYS", 100_000)
    with pytest.raises(FileFormatError, match="would unpack to 4,194,4"):
        io.read(path)


def test_large_arrays_that_compress_well_are_no_bomb(tmp_path):
    path = io.write(tmp_path / "a.npz", Keypoints(np.zeros((20_000, 20, 2))))
    assert path.stat().st_size < 50_000
    assert io.read(path).W.shape == (20_000, 20, 2)


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_any_damaged_byte_is_an_error_or_harmless(tmp_path_factory, data):
    whole = bytearray(zipped([("W.npy", GOOD), ("names.npy", NAMES)], zipfile.ZIP_DEFLATED))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    path.write_bytes(whole)
    try:
        record = io.read(path)
    except FileFormatError:
        return
    np.testing.assert_array_equal(record.W, W)


def test_no_part_of_a_written_file_is_read(tmp_path):
    whole = io.write(tmp_path / "a.npz", Keypoints(W)).read_bytes()
    for n in range(1, len(whole), 7):
        path = tmp_path / "cut.npz"
        path.write_bytes(whole[:n])
        with pytest.raises(FileFormatError):
            io.read(path)


@pytest.mark.parametrize(
    ("content", "expected"), [(GOOD, True), (zipped([("W.npy", GOOD)]), True), (b"frame,a", False)]
)
def test_looks_like_npz(tmp_path, content, expected):
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    assert _npz.looks_like_npz(Probe(path)) is expected


@settings(deadline=None, max_examples=50)
@given(keypoints() | points_3d())
def test_records_survive(tmp_path_factory, record):
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    assert io.read(io.write(path, record)) == record


def test_written_arrays_are_plain(tmp_path):
    record = Keypoints(W, names=["é", "b", "c"], edges=[(0, 2)], fps=30)
    with np.load(io.write(tmp_path / "a.npz", record), allow_pickle=False) as file:
        np.testing.assert_array_equal(file["W"], W)
        assert file["names"].tolist() == ["é", "b", "c"]
        assert file["edges"].tolist() == [[0, 2]]
        assert file["fps"] == 30
        assert file["visible"].all()


def test_npy_and_nothing_are_not_written(tmp_path):
    with pytest.raises(ValueError, match=r"end it in \.npz"):
        io.write(tmp_path / "a.npy", Keypoints(W), format="npz")
    with pytest.raises(ValueError, match=r"ends like no format that is written: (?!.*\.npy)"):
        io.write(tmp_path / "a.npy", Keypoints(W))
    with pytest.raises(ValueError, match="no frames"):
        io.write(tmp_path / "a.npz", Keypoints(W[:0]))
    assert not list(tmp_path.iterdir())
