"""The registry: every format is complete, and files are recognised."""

import inspect

import pytest

from nrsfm_learn import io
from nrsfm_learn.io import FileFormatError
from nrsfm_learn.io._formats import FORMATS, Probe, check_options, format_named, recognise

NAMES = [format.name for format in FORMATS]


def test_names_are_unique_and_listed():
    assert len(set(NAMES)) == len(NAMES)
    assert io.formats() is FORMATS
    for name in ("read_csv", "write_csv", "read_coco", "write_ply", "from_movement"):
        assert name in io.__all__
    for name in ("read_ply", "write_coco"):
        assert name not in io.__all__
        with pytest.raises(AttributeError, match=name):
            getattr(io, name)
    assert set(io.__all__) <= set(dir(io))


@pytest.mark.parametrize("format", FORMATS, ids=NAMES)
def test_every_format_has_what_it_promises(format):
    assert set(format.kind.split(", ")) <= {"2-D", "3-D"}
    assert all(suffix == "/" or suffix == suffix.lower() for suffix in format.suffixes)
    for is_there, name in ((format.reads, "reader"), (format.writes, "writer")):
        if not is_there:
            continue
        function = getattr(format, name)
        assert getattr(io, function.__name__) is function
        parameters = list(inspect.signature(function).parameters.values())
        positional = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
        assert positional == (["path"] if name == "reader" else ["path", "data"])
        assert all(p.default is not p.empty for p in parameters if p.kind is p.KEYWORD_ONLY)


@pytest.mark.parametrize("suffix", sorted({s for f in FORMATS if f.reads for s in f.suffixes}))
@pytest.mark.parametrize(
    "content", [b"", b"\0", b"{}", b"[]", b"null", b"hello", b"\xff\xfe\n", b"1,2\n3,4\n", b"\n\n"]
)
def test_nothing_is_taken_for_a_format(tmp_path, suffix, content):
    path = tmp_path / ("folder" if suffix == "/" else f"a{suffix}")
    if suffix == "/":
        path.mkdir()
    else:
        path.write_bytes(content)
    formats = [format for format in FORMATS if format.reads and suffix in format.suffixes]
    # Where a suffix has one format alone, that format may say what is wrong with the file.
    for format in formats if len(formats) > 1 else ():
        try:
            assert not format.looks_like(Probe(path))
        except FileFormatError:
            assert suffix == ".json"
    with pytest.raises(FileFormatError, match=path.name):
        io.read(path)


def test_other_suffixes_are_not_looked_at(tmp_path):
    path = tmp_path / "a.data"
    path.write_text("frame,a_x,a_y\n0,1,2\n")
    with pytest.raises(FileFormatError, match=r"not recognised.*format=.*<point>_x"):
        recognise(path)
    assert len(io.read(path, format="csv")) == 1


def test_missing_and_empty_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"a\.csv"):
        recognise(tmp_path / "a.csv")
    (tmp_path / "a.csv").touch()
    with pytest.raises(FileFormatError, match="empty"):
        recognise(tmp_path / "a.csv")
    with pytest.raises(FileFormatError, match="not recognised"):
        recognise(tmp_path)


def test_probe(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"\xef\xbb\xbf[1,\r\n2]" + b" " * 100_000)
    probe = Probe(path)
    assert not probe.is_folder
    assert len(probe.head) == 65_536
    assert probe.lines[0] == "[1,"
    assert probe.json == [1, 2]
    path.unlink()
    assert probe.json == [1, 2]
    assert Probe(tmp_path).is_folder


def test_format_named(tmp_path):
    path = tmp_path / "a.CSV"
    assert format_named("csv", path, "writes").name == "csv"
    assert format_named(None, path, "writes").name == "csv"
    with pytest.raises(ValueError, match=r"'coco' is not one that the package writes; .*json, csv"):
        format_named("coco", path, "writes")
    with pytest.raises(ValueError, match=r"'ply' is not one that the package reads"):
        format_named("ply", path, "reads")
    with pytest.raises(ValueError, match=r"ends like no format .*\.json \(json\)"):
        format_named(None, tmp_path / "a.xyz", "writes")


def test_check_options():
    def reader(path, *, individual=None, key=None):
        pass

    check_options(reader, {"key": 1}, "f")
    with pytest.raises(TypeError, match="'f' has no option 'other'; it has individual, key"):
        check_options(reader, {"key": 1, "other": 2}, "f")
    with pytest.raises(TypeError, match="no option 'path'; it has none"):
        check_options(lambda path: None, {"path": 2}, "f")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1,2,3\n4,5,6\n", "not recognised .*numbers only: is the header missing"),
        ("bodyparts,nose,nose\ncoords,x,y\n0,1,2\n", "not recognised .*that of the scorer"),
        ("a_x,b_x,b_y\n1,2,3\n", "not recognised .*column of y of 'a' is missing"),
    ],
)
def test_why_a_csv_is_not_recognised(tmp_path, content, message):
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(FileFormatError, match=message):
        io.read(path)
    with pytest.raises(FileFormatError, match=message.removeprefix("not recognised .*")):
        io.read(path, format="csv")


def test_why_a_folder_is_not_recognised(tmp_path):
    (tmp_path / "a.txt").touch()
    with pytest.raises(FileFormatError, match=r"no files \*_keypoints\.json"):
        io.read(tmp_path)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("dlc", "dlc_h5 or dlc_csv"), ("deeplabcut", "dlc_csv or dlc_h5"), ("cvs", "csv"), ("q", "")],
)
def test_a_format_that_is_nearly_one(tmp_path, name, meant):
    with pytest.raises(ValueError, match=f"did you mean {meant}" if meant else "reads; it reads"):
        io.read(tmp_path / "a.csv", format=name)
