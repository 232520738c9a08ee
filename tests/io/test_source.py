"""Reading files that may be anything, writing them whole."""

import os
from pathlib import Path

import pytest

from nrsfm_learn.io import FileFormatError
from nrsfm_learn.io._source import as_path, check_file, read_json, read_text, write_whole


def written(tmp_path, content, name="a.json"):
    path = tmp_path / name
    path.write_bytes(content)
    return path


def test_paths(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert as_path("~/a.csv") == tmp_path / "a.csv"
    # Spreadsheet programs leave such files behind.
    assert as_path("~$walk.csv") == Path("~$walk.csv")
    for wrong in (b"a", 3, None, ["a"]):
        with pytest.raises(TypeError, match="path must be a path or a string"):
            as_path(wrong)
    with pytest.raises(ValueError, match="null character"):
        as_path("a\0.csv")


def test_check_file(tmp_path):
    path = written(tmp_path, b"x")
    assert check_file(str(path)) == path
    with pytest.raises(FileNotFoundError, match=r"no file .*b\.csv"):
        check_file(tmp_path / "b.csv")
    with pytest.raises(FileFormatError, match="is a folder"):
        check_file(tmp_path)
    with pytest.raises(FileFormatError, match="empty"):
        check_file(written(tmp_path, b""))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
def test_pipes_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(FileFormatError, match="no plain file"):
        check_file(tmp_path / "pipe.csv")
    with pytest.raises(ValueError, match="no plain file"):
        write_whole(tmp_path / "pipe.csv", "text")
    with pytest.raises(ValueError, match="no plain file"):
        write_whole(os.devnull, "text")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"a\nb", "a\nb"),
        (b"\xef\xbb\xbfa\r\nb\rc", "a\nb\nc"),
        ("é\u2028x".encode(), "é\u2028x"),
    ],
)
def test_read_text(tmp_path, content, text):
    assert read_text(written(tmp_path, content)) == text


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"abc\xff", "byte 3: .*0xff"), (b"a\0b", "null bytes"), ("a".encode("utf-16"), "UTF-8")],
)
def test_no_text(tmp_path, content, message):
    with pytest.raises(FileFormatError, match=message):
        read_text(written(tmp_path, content))


def test_read_json(tmp_path):
    assert read_json(written(tmp_path, b'\xef\xbb\xbf{"a": [1, null]}')) == {"a": [1, None]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1,\n"b": ', "line 2: no valid JSON .*truncated"),
        (b"{} {}", "line 1: no valid JSON"),
        (b"[" * 200_000, "cannot be read|no valid JSON"),
        (b"[" + b"1" * 5000 + b"]", "cannot be read"),
        (b"\xff", "UTF-8"),
    ],
)
def test_no_json(tmp_path, content, message):
    with pytest.raises(FileFormatError, match=rf"a\.json.*({message})"):
        read_json(written(tmp_path, content))


def test_write_whole_makes_folders_and_replaces(tmp_path):
    path = tmp_path / "new" / "folder" / "a.txt"
    assert write_whole(str(path), "é\r\n") == path
    assert path.read_bytes() == b"\xc3\xa9\r\n"
    write_whole(path, b"\0\xff")
    assert path.read_bytes() == b"\0\xff"
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


def test_names_may_be_as_long_as_the_system_allows(tmp_path):
    path = tmp_path / ("a" * 251 + ".csv")
    assert write_whole(path, "x").read_text() == "x"


def test_what_is_not_written_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "\ud800")

    def full(self, data):
        Path.open(self, "wb").close()
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_places_that_are_none(tmp_path):
    with pytest.raises(ValueError, match="is a folder"):
        write_whole(tmp_path, "x")
    (tmp_path / "file").write_text("x")
    for name in ("file/a.txt", "file/b/a.txt"):
        with pytest.raises(ValueError, match="leads through something that is no folder"):
            write_whole(tmp_path / name, "x")
