"""The package's own JSON: schema, damaged files, round trips."""

import json
import time

import numpy as np
import pytest
from hypothesis import given, settings
from record_strategies import keypoints, points_3d

from nrsfm_learn import io
from nrsfm_learn.io import FileFormatError, Keypoints, Points3D
from nrsfm_learn.io._formats import Probe
from nrsfm_learn.io._plain_json import looks_like_json

NAN = np.nan


def keypoints_file(**changes):
    data = {
        "format": "nrsfm_learn keypoints",
        "format_version": 1,
        "names": ["nose", "tail"],
        "edges": [[0, 1]],
        "fps": 25,
        "frames": [3, 7],
        "individuals": ["m", "n"],
        "individual": [1, 0],
        "clips": [0, 5],
        "W": [[[1, 2.5], [3, 4]], [[None, None], [5, 6]]],
        "confidence": [[0.5, None], [0, 1]],
        "X": [[[1, 2, 3], [4, 5, 6]], [[None, None, None], [7, 8, 9]]],
    }
    return {key: value for key, value in {**data, **changes}.items() if value is not ...}


def points_file(**changes):
    data = {
        "format": "nrsfm_learn points 3d",
        "format_version": 1,
        "names": ["a"],
        "X": [[[1, 2, 3]], [[None] * 3]],
        "unit": "mm",
        "axes": "z up",
    }
    return {**data, **changes}


def written(tmp_path, data):
    path = tmp_path / "a.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


def test_keypoints(tmp_path):
    record = io.read(written(tmp_path, keypoints_file()))
    assert record == Keypoints(
        [[[1, 2.5], [3, 4]], [[NAN, NAN], [5, 6]]],
        names=["nose", "tail"],
        edges=[(0, 1)],
        fps=25,
        frames=[3, 7],
        individuals=["m", "n"],
        individual=[1, 0],
        clips=[0, 5],
        confidence=[[0.5, NAN], [0, 1]],
        X=[[[1, 2, 3], [4, 5, 6]], [[NAN] * 3, [7, 8, 9]]],
    )
    assert record.source.format == "json"


def test_what_may_be_left_out(tmp_path):
    keys = ("edges", "fps", "frames", "individuals", "individual", "clips", "confidence", "X")
    for absent in (..., None):
        path = written(tmp_path, keypoints_file(**dict.fromkeys(keys, absent)))
        record = io.read(path)
        assert record == Keypoints(
            [[[1, 2.5], [3, 4]], [[NAN, NAN], [5, 6]]], names=["nose", "tail"]
        )


def test_points(tmp_path):
    record = io.read(written(tmp_path, points_file()))
    assert record == Points3D([[[1, 2, 3]], [[NAN] * 3]], names=["a"], unit="mm", axes="z up")
    assert io.read(written(tmp_path, points_file(unit=None, axes=None))).axes == ""


def test_options(tmp_path):
    path = written(tmp_path, keypoints_file())
    record = io.read(path, min_confidence=0.3)
    assert record.visible.tolist() == [[True, True], [False, True]]
    assert not record.source.notes
    record = io.read(path, min_confidence=0.6)
    assert record.visible.tolist() == [[False, True], [False, True]]
    assert "1 keypoints" in record.source.notes[0]
    assert io.read(path, individual="m").frames.tolist() == [7]
    with pytest.raises(ValueError, match="not there"):
        io.read(path, individual="k")
    with pytest.raises(FileFormatError, match="no row of the individual 'k'"):
        io.read(written(tmp_path, keypoints_file(individuals=["m", "n", "k"])), individual="k")
    with pytest.raises(ValueError, match="leave it out"):
        io.read(written(tmp_path, points_file()), min_confidence=0.1)
    with pytest.raises(ValueError, match="not there"):
        io.read(written(tmp_path, points_file()), individual="m")


W = keypoints_file()["W"]
BAD = {
    "another format": (keypoints_file(format="coco"), "format: .*'coco'"),
    "format a list": (keypoints_file(format=["coco"]), "format: .*a list of 1"),
    "no format": (keypoints_file(format=...), "format: .*null"),
    "a list": ([1], "an object was expected"),
    "later version": (keypoints_file(format_version=2), "format_version: .*the number 2"),
    "version true": (keypoints_file(format_version=True), "format_version"),
    "no version": (keypoints_file(format_version=...), "'format_version' is missing"),
    "no names": (keypoints_file(names=...), "'names' is missing"),
    "names a string": (keypoints_file(names="ab"), "names: a list"),
    "names numbers": (keypoints_file(names=[1, 2]), r"names\[0\]"),
    "names alike": (keypoints_file(names=["a", "a"]), r"names\[1\]"),
    "half a letter": (
        '{"format": "nrsfm_learn keypoints", "format_version": 1, '
        '"names": ["\\ud800"], "W": [[[1, 2]]]}',
        r"names\[0\]",
    ),
    "null letter": (keypoints_file(names=["a\0", "b"]), "no valid text"),
    "too many names": (keypoints_file(names=["a", "b", "c"]), r"W\[0\]: a list of 3"),
    "no W": (keypoints_file(W=...), "'W' is missing"),
    "W empty": (keypoints_file(W=[]), "W: 0 frames"),
    "W an object": (keypoints_file(W={}), "W: a list"),
    "ragged frame": (keypoints_file(W=[W[0], W[1][:1]]), r"W\[1\]: a list of 2 was expected"),
    "ragged point": (keypoints_file(W=[W[0], [[1, 2], [3]]]), r"W\[1\]\[1\]: a list of 2"),
    "3-D point": (keypoints_file(W=[W[0], [[1, 2], [3, 4, 5]]]), r"W\[1\]\[1\]: a list of 2"),
    "point null": (keypoints_file(W=[W[0], [None, [3, 4]]]), r"W\[1\]\[0\]: .*null"),
    "string": (keypoints_file(W=[W[0], [[1, 2], [3, "4"]]]), r"W\[1\]\[1\]\[1\]: .*string"),
    "boolean": (keypoints_file(W=[W[0], [[1, 2], [True, 4]]]), r"W\[1\]\[1\]\[0\]: .*true"),
    "list": (keypoints_file(W=[W[0], [[1, 2], [[3], 4]]]), r"W\[1\]\[1\]\[0\]: "),
    "half": (keypoints_file(W=[W[0], [[1, 2], [None, 4]]]), "NaN in x only at frame 1, point 1"),
    "NaN": (keypoints_file(W=[W[0], [[1, 2], [NAN, NAN]]]), r"W\[1\]\[1\]\[0\]: "),
    "Infinity": (keypoints_file(W=[W[0], [[1, 2], [1, np.inf]]]), r"W\[1\]\[1\]\[1\]: "),
    "large": (json.dumps(keypoints_file()).replace("2.5", "1e999"), r"W\[0\]\[0\]\[1\]: "),
    "large integer": (keypoints_file(W=[W[0], [[1, 2], [1, 10**400]]]), r"W\[1\]\[1\]\[1\]: "),
    "squares overflow": (keypoints_file(W=[W[0], [[1, 2], [1, 1e200]]]), "too large at frame 1"),
    "confidence short": (keypoints_file(confidence=[[1, 1]]), "confidence: a list of 2"),
    "confidence infinite": (keypoints_file(confidence=[[1, 1], [1, -np.inf]]), "confidence.1..1."),
    "X short": (keypoints_file(X=[[[1, 2, 3]] * 2]), "X: a list of 2"),
    "frames short": (keypoints_file(frames=[1]), "frames: 1 numbers for 2 frames"),
    "frames floats": (keypoints_file(frames=[1, 2.0]), r"frames\[1\]"),
    "frames large": (keypoints_file(frames=[1, 2**63]), r"frames\[1\]"),
    "individual unknown": (keypoints_file(individual=[0, 2]), "individual must index the 2"),
    "individual negative": (keypoints_file(individual=[0, -1]), "individual must index the 2"),
    "individuals alike": (keypoints_file(individuals=["m", "m"]), r"individuals\[1\]"),
    "no individuals": (keypoints_file(individuals=[]), "individual must index"),
    "edges from 1": (keypoints_file(edges=[[1, 2]]), r"edges\[0\]"),
    "edges short": (keypoints_file(edges=[[1]]), r"edges\[0\]"),
    "fps": (keypoints_file(fps=0), "fps: a positive number"),
    "fps true": (keypoints_file(fps=True), "fps: a positive number"),
    "unit": (points_file(unit=3), "unit: a string"),
    "no X": ({k: v for k, v in points_file().items() if k != "X"}, "'X' is missing"),
    "cut": (json.dumps(keypoints_file(), indent=1)[:300], "line 37: no valid JSON"),
    "deep": ('{"format": "nrsfm_learn keypoints", "W": ' + "[" * 100_000, "a.json"),
    "digits": ('{"format": "nrsfm_learn keypoints", "W": ' + "1" * 5000 + "}", "a.json"),
}


@pytest.mark.parametrize(("data", "message"), BAD.values(), ids=list(BAD))
def test_damaged_files_are_one_clear_error(tmp_path, data, message):
    path = written(tmp_path, data)
    with pytest.raises(FileFormatError, match=f"(?s){message}") as caught:
        io.read(path, format="json")
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (keypoints_file(), True),
        (points_file(), True),
        (json.dumps(keypoints_file(), indent=4), True),
        (dict(reversed(keypoints_file().items())), True),
        (keypoints_file(format_version=9), True),
        (keypoints_file(format="coco"), False),
        ({"annotations": [], "format": ["nrsfm_learn keypoints"]}, False),
        ([keypoints_file()], False),
        ("3", False),
    ],
)
def test_looks_like_json(tmp_path, data, expected):
    assert looks_like_json(Probe(written(tmp_path, data))) is expected


def test_no_part_of_a_written_file_is_read(tmp_path):
    whole = io.write(tmp_path / "a.json", Keypoints(np.ones((2, 2, 2)))).read_text()
    assert json.loads(whole)["W"] == [[[1, 1]] * 2] * 2
    for n in range(1, len(whole.rstrip())):
        with pytest.raises(FileFormatError):
            io.read(written(tmp_path, whole[:n]))


def test_nothing_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="no frames"):
        io.write(tmp_path / "a.json", Keypoints(np.zeros((0, 1, 2))))


@settings(deadline=None, max_examples=50)
@given(keypoints() | points_3d())
def test_records_survive(tmp_path_factory, record):
    path = tmp_path_factory.mktemp("json") / "a.json"
    assert io.read(io.write(path, record)) == record


def test_fast_on_long_files(tmp_path):
    rng = np.random.default_rng(0)
    record = Keypoints(rng.normal(size=(2000, 20, 2)), confidence=rng.random((2000, 20)))
    path = io.write(tmp_path / "a.json", record)
    seconds = []
    for _ in range(3):
        start = time.process_time()
        read = io.read(path)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.3
    assert read == record
