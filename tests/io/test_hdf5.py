import os

import numpy as np
import pytest

from nrsfm_learn.io import FileFormatError
from nrsfm_learn.io._formats import Probe
from nrsfm_learn.io._hdf5 import is_hdf5, kind_of, numbers, open_hdf5, strings, text_of

h5py = pytest.importorskip("h5py", reason="h5 files are read with h5py")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.h5"


def test_signature(path):
    with h5py.File(path, "w"):
        pass
    assert is_hdf5(Probe(path))
    path.write_bytes(b"HDF")
    assert not is_hdf5(Probe(path))


def test_kind_follows_the_file(path):
    with h5py.File(path, "w") as file:
        file["tracks"] = np.zeros(3)
        file["node_names"] = [b"a"]
    assert kind_of(path) == "sleap"
    with h5py.File(path, "w") as file:
        file.create_group("any").attrs["pandas_type"] = np.bytes_(b"frame")
    os.utime(path, ns=(1, 1))
    assert kind_of(path) == "pandas"
    with h5py.File(path, "w") as file:
        file["a"] = 1
        file["b"] = h5py.SoftLink("/nowhere")
        file["c"] = h5py.ExternalLink("nowhere.h5", "/a")
    os.utime(path, ns=(2, 2))
    assert kind_of(path) == ""


def test_reading(path):
    with h5py.File(path, "w") as file:
        file["f"] = np.arange(6.0).reshape(2, 3)
        file["fixed"] = np.array(["é".encode(), b"b"])
        file["vlen"] = ["é", "b"]
        file["none"] = np.empty(0)
        file.create_dataset("zeros", data=np.zeros((1000, 1000)), compression="gzip")
    with open_hdf5(str(path)) as file:
        np.testing.assert_array_equal(numbers(file, "f", path, 2), [[0, 1, 2], [3, 4, 5]])
        assert strings(file, "fixed", path) == ["é", "b"]
        assert strings(file, "vlen", path) == ["é", "b"]
        assert strings(file, "none", path) == []
        # Nothing compresses better than this, and it is read.
        assert not numbers(file, "zeros", path, 2).any()


def test_data_sets_that_are_refused(path, tmp_path):
    (tmp_path / "raw").write_bytes(bytes(80))
    with h5py.File(path, "w") as file:
        file["real"] = np.zeros(10)
        file["soft"] = h5py.SoftLink("/real")
        file["outside"] = h5py.ExternalLink("other.h5", "/real")
        file.create_group("group")
        file.create_dataset("raw", (10,), float, external=[(str(tmp_path / "raw"), 0, 80)])
        layout = h5py.VirtualLayout((10,), float)
        layout[:] = h5py.VirtualSource(str(path), "real", (10,))
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("bomb", (10**9,), float, chunks=(1000,))
        file["text"] = [b"a"]
    with open_hdf5(str(path)) as file:
        for name in ("soft", "outside", "group", "raw", "virtual"):
            with pytest.raises(FileFormatError, match=f"'{name}'.*another place"):
                numbers(file, name, path, 1)
        with pytest.raises(FileFormatError, match="'nothing': it is missing"):
            numbers(file, "nothing", path, 1)
        with pytest.raises(FileFormatError, match="8,000,000,000 bytes"):
            numbers(file, "bomb", path, 1)
        with pytest.raises(FileFormatError, match="2 axes of numbers"):
            numbers(file, "real", path, 2)
        with pytest.raises(FileFormatError, match="1 axes of numbers"):
            numbers(file, "text", path, 1)
        with pytest.raises(FileFormatError, match="a list of strings"):
            strings(file, "real", path)


def test_text():
    assert text_of(b"a\xc3\xa9") == text_of("aé") == text_of(np.bytes_(b"a\xc3\xa9")) == "aé"
    with pytest.raises(TypeError, match="int in place of a string"):
        text_of(3)
