"""Plain csv: both layouts, every spelling of a header, damaged files, round trips."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from record_strategies import keypoints, points_3d

from nrsfm_learn import io
from nrsfm_learn.io import FileFormatError, Keypoints, Points3D
from nrsfm_learn.io._csv import looks_like_csv
from nrsfm_learn.io._formats import Probe

NAN = np.nan
WIDE = "frame,nose_x,nose_y,tail_x,tail_y\n4,1.5,2,-3,4e2\n6,,,0.1,1e-3\n"
LONG = "frame,keypoint,x,y\n4,nose,1.5,2\n4,tail,-3,4e2\n6,nose,,\n6,tail,0.1,1e-3\n"
W = np.array([[[1.5, 2], [-3, 400]], [[NAN, NAN], [0.1, 0.001]]])


def written(tmp_path, text, name="a.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def check(record, names=("nose", "tail"), frames=(4, 6)):
    np.testing.assert_array_equal(record.W, W)
    assert record.names == names
    assert record.frames.tolist() == list(frames)
    assert record.source.format == "csv"


HEADERS = {
    "as it is": WIDE,
    "long": LONG,
    "bytes of a byte order mark": "\ufeff" + WIDE,
    "line ends of Windows": WIDE.replace("\n", "\r\n"),
    "line ends of old Macs": WIDE.replace("\n", "\r"),
    "no line end": WIDE.rstrip(),
    "tabs": WIDE.replace(",", "\t"),
    "semicolons": WIDE.replace(",", ";"),
    "spaces around": WIDE.replace(",", " , "),
    "capitals": WIDE.replace("_x", "_X").replace("_y", "_Y").replace("frame", "Frame"),
    "points": WIDE.replace("_", "."),
    "spaces": WIDE.replace("_", " "),
    "axis first": "frame,x_nose,y_nose,x_tail,y_tail\n" + WIDE.split("\n", 1)[1],
    "frame last": "nose_x,nose_y,tail_x,tail_y,frame\n1.5,2,-3,4e2,4\n,,0.1,1e-3,6\n",
    "other order": "tail_y,nose_x,nose_y,tail_x,frame\n4e2,1.5,2,-3,4\n1e-3,,,0.1,6\n",
    "quotes": WIDE.replace("nose_x", '"nose_x"').replace("1.5", '"1.5"'),
    "comments of others": "# by hand\n#\n\n" + WIDE,
    "blank lines": WIDE.replace("\n4", "\n\n4") + "\n\n",
    "frames of pandas": WIDE.replace("\n4", "\n4.0").replace("\n6", "\n6.0"),
    "words for missing": WIDE.replace("6,,,", "6,NaN, NA ,"),
    "comma at each end": WIDE.replace("\n", ",\n"),
    "long, other words": LONG.replace("keypoint,x,y", "Bodypart,X,Y"),
    "long, semicolons": LONG.replace(",", ";"),
    "long, missing rows": LONG.replace("6,nose,,\n", ""),
    "long, frames mixed": "frame,x,y,node\n6,0.1,1e-3,tail\n4,1.5,2,nose\n4,-3,4e2,tail\n",
}


@pytest.mark.parametrize("text", HEADERS.values(), ids=list(HEADERS))
def test_every_spelling_is_read(tmp_path, text):
    record = io.read(written(tmp_path, text))
    if record.names == ("tail", "nose"):
        # Points are in the order in which the file names them.
        record = record.replace(W=record.W[:, ::-1], names=record.names[::-1])
    check(record)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt", ".CSV"])
def test_recognised_by_its_header_under_every_suffix(tmp_path, suffix):
    check(io.read(written(tmp_path, WIDE, f"a{suffix}")))


def test_without_frames_rows_are_counted(tmp_path):
    text = "nose_x,nose_y,tail_x,tail_y\n1.5,2,-3,4e2\n,,0.1,1e-3\n"
    check(io.read(written(tmp_path, text)), frames=(0, 1))


def test_without_frames_each_individual_is_counted(tmp_path):
    text = "animal,a_x,a_y\nm,1,1\nn,2,2\nm,3,3\nn,4,4\nn,5,5\n"
    record = io.read(written(tmp_path, text))
    assert record.individuals == ("m", "n")
    assert record.individual.tolist() == [0, 0, 1, 1, 1]
    assert record.frames.tolist() == [0, 1, 0, 1, 2]
    assert record.W[:, 0, 0].tolist() == [1, 3, 2, 4, 5]


def test_long_with_everything(tmp_path):
    lines = ["Likelihood,y,x,Point,track,Clip,FRAME"]
    for clip in (0, 1):
        for frame in (3, 1):
            for k, who in enumerate(("b", "a")):
                for p, point in enumerate(("nose", "ear, left")):
                    value = 1000 * clip + 100 * frame + 10 * k + p
                    lines.append(f'0.{frame}{p},{value}.5,{value},"{point}",{who},{clip},{frame}')
    record = io.read(written(tmp_path, "\n".join(lines)))
    assert record.individuals == ("b", "a")
    assert record.names == ("nose", "ear, left")
    assert record.individual.tolist() == [0] * 4 + [1] * 4
    assert record.clips.tolist() == [0, 0, 1, 1] * 2
    assert record.frames.tolist() == [1, 3, 1, 3] * 2
    rows = 1000 * record.clips + 100 * record.frames + 10 * record.individual
    np.testing.assert_array_equal(record.W[..., 0], rows[:, None] + [0, 1])
    np.testing.assert_array_equal(record.W[..., 1], rows[:, None] + [0.5, 1.5])
    np.testing.assert_allclose(record.confidence, record.frames[:, None] / 10 + [0, 0.01])
    assert len(np.unique(record.groups)) == 4


def test_csv_of_sleap(tmp_path):
    # SLEAP, "Export Analysis CSV": one row an instance.
    text = (
        "track,frame_idx,instance.score,A.x,A.y,A.score,B.x,B.y,B.score\n"
        "track_0,0,0.9,1,2,0.5,3,4,0.6\n"
        "track_1,0,0.8,5,6,0.7,,,\n"
        "track_0,2,0.7,7,8,0.8,9,10,0.9\n"
    )
    record = io.read(written(tmp_path, text))
    assert record.names == ("A", "B")
    assert record.individuals == ("track_0", "track_1")
    assert record.frames.tolist() == [0, 2, 0]
    np.testing.assert_array_equal(record.W[2], [[5, 6], [NAN, NAN]])
    np.testing.assert_array_equal(record.confidence, [[0.5, 0.6], [0.8, 0.9], [0.7, NAN]])
    assert "instance.score" in record.source.notes[0]


def test_options(tmp_path):
    text = "frame,individual,a_x,a_y,a_score\n0,m,1,2,0.2\n0,n,3,4,0.9\n1,m,5,6,0.8\n1,n,7,8,0.1\n"
    path = written(tmp_path, text)
    record = io.read(path)
    assert record.visible.all()
    record = io.read(path, min_confidence=0.5)
    assert record.visible[:, 0].tolist() == [False, True, True, False]
    assert record.confidence[:, 0].tolist() == [0.2, 0.8, 0.9, 0.1]
    assert "2 keypoints" in record.source.notes[0]
    for individual in ("n", 1, "1"):
        record = io.read(path, individual=individual)
        assert record.individuals == ("n",)
        np.testing.assert_array_equal(record.W[:, 0], [[3, 4], [7, 8]])
    with pytest.raises(ValueError, match=r"'k' is not there. There are 'm', 'n'"):
        io.read(path, individual="k")
    with pytest.raises(FileFormatError, match=r"confidence of 0\.95 or more"):
        io.read(path, min_confidence=0.95)
    with pytest.raises(ValueError, match="has none: leave it out"):
        io.read(written(tmp_path, WIDE), min_confidence=0.5)


def test_3d(tmp_path):
    path = written(tmp_path, "frame,a_x,a_y,a_z,a_confidence\n3,1,2,3,0.4\n9,4,5,6,\n")
    record = io.read(path)
    assert record == Points3D(
        [[[1, 2, 3]], [[4, 5, 6]]], names=["a"], frames=[3, 9], confidence=[[0.4], [NAN]], axes=""
    )
    assert np.isnan(io.read(path, min_confidence=0.5).X).all(-1)[:, 0].tolist() == [True, False]
    long = written(tmp_path, "name,frame,z,y,x\na,3,3,2,1\nb,3,6,5,4\n", "long.csv")
    np.testing.assert_array_equal(io.read(long).X, [[[1, 2, 3], [4, 5, 6]]])


def test_3d_of_several_individuals_is_stacked(tmp_path):
    path = written(tmp_path, "frame,individual,a_x,a_y,a_z\n0,m,1,2,3\n0,n,4,5,6\n")
    assert io.read(path).individual.tolist() == [0, 1]
    np.testing.assert_array_equal(io.read(path, individual="n").X, [[[4, 5, 6]]])


GOOD = "frame,individual,a_x,a_y\n0,m,1,2\n1,m,3,4\n2,m,5,6\n"
BAD = {
    "header only": ("frame,a_x,a_y\n", "a header and no rows"),
    "no header": ("0,1,2\n1,3,4\n", "line 1: no header"),
    "half a point": ("frame,a_x,a_y,b_x\n0,1,2,3\n", "line 1: .*y of 'b' is missing"),
    "one z": ("a_x,a_y,a_z,b_x,b_y\n1,2,3,4,5\n", "'b' has no z"),
    "column twice": ("a_x,a_y,a_x\n1,2,3\n", "two columns hold x of 'a'"),
    "frame twice": ("frame,frame_idx,a_x,a_y\n1,2,3,4\n", "say the same"),
    "long, no frame": ("keypoint,x,y\na,1,2\n", "no column 'frame'"),
    "long, x twice": ("frame,keypoint,x,X,y\n0,a,1,1,2\n", "say the same"),
    "truncated row": (GOOD[:-3], "line 4: 3 fields, but the header has 4"),
    "too many cells": (GOOD.replace("3,4", "3,4,5"), "line 3: 5 fields"),
    "truncated after blank lines": ("\n" + GOOD[:-3], "line 5: 3 fields"),
    "a word": (GOOD.replace("3,4", "3,four"), r"line 3: 'four' in column 'a_y'"),
    "infinite": (GOOD.replace("3,4", "3,inf"), "line 3: 'inf'"),
    "too large": (GOOD.replace("3,4", "3,1e999"), "line 3: '1e999'"),
    "squares overflow": (GOOD.replace("3,4", "3,1e200"), "line 3: '1e200'"),
    "underscores": (GOOD.replace("3,4", "3,1_0"), "line 3: '1_0'"),
    "other digits": (GOOD.replace("3,4", "3,٤"), "line 3: '٤'"),
    "hexadecimal": (GOOD.replace("3,4", "3,0x10"), "line 3: '0x10'"),
    "true": (GOOD.replace("3,4", "3,True"), "line 3: 'True'"),
    "half a keypoint": (GOOD.replace("3,4", "3,"), "line 3: y is missing"),
    "half, second point": ("a_x,a_y,b_x,b_y\n1,2,,4\n", "line 2: x of 'b' is missing"),
    "decimal commas": (GOOD.replace(",", ";").replace("4", "4,5"), "line 3: '4,5'.*decimal points"),
    "decimal commas, commas": (GOOD.replace("3,4", "3,0,4,5"), "line 3: .*decimal commas"),
    "frame is a time": (GOOD.replace("\n1,", "\n0.5,"), "line 3: '0.5' in column 'frame'"),
    "frame is empty": (GOOD.replace("\n1,", "\n,"), "line 3: '' in column 'frame'"),
    "frame beyond 64 bits": (GOOD.replace("\n1,", f"\n{2**63},"), "line 3"),
    "frame twice for one": (GOOD.replace("\n1,", "\n0,"), "line 3: frame 0 is there a second"),
    "quotes not closed": (GOOD.replace("m,3", '"m,3'), "line"),
    "text behind quotes": (GOOD.replace("m,3", '"m"m,3'), "line 3"),
    "long, twice": (LONG + "4,nose,1,2\n", "line 6: frame 4, point 'nose', is there a second"),
    "long, no name": (LONG.replace("6,nose", "6,"), "line 4: the name of a point is empty"),
    "no text": (GOOD.encode("utf-16"), "no text in UTF-8"),
    "Latin-1 far behind": ((GOOD + "#" * 99999).encode() + b"\xe9", "no text in UTF-8"),
    "null bytes": (GOOD.replace("4", "4\0"), "line 3"),
    "cell without end": (GOOD + '"' + "a" * 200_000, "line 5: field larger"),
    "wrong version": ("# nrsfm_learn keypoints 2\n" + GOOD, "later version"),
    "comment no JSON": ("# nrsfm_learn keypoints 1\n# fps: thirty\n" + GOOD, "'fps' in line 2"),
    "fps a string": ('# nrsfm_learn keypoints 1\n# fps: "30"\n' + GOOD, "fps: a positive number"),
    "fps NaN": ("# nrsfm_learn keypoints 1\n# fps: NaN\n" + GOOD, "fps: a positive number"),
    "names a list": ('# nrsfm_learn keypoints 1\n# names: ["b"]\n' + GOOD, "names: an object"),
    "edges unknown": ('# nrsfm_learn keypoints 1\n# edges: [["a", "b"]]\n' + GOOD, "edges: "),
    "edges a number": ("# nrsfm_learn keypoints 1\n# edges: [1]\n" + GOOD, "edges: a list"),
    "deep comment": ("# nrsfm_learn keypoints 1\n# edges: " + "[" * 99999 + "\n" + GOOD, "no JSON"),
    "two names alike": (
        '# nrsfm_learn keypoints 1\n# names: {"a": "b"}\nframe,a_x,a_y,b_x,b_y\n0,1,2,3,4\n',
        "'b' more than once",
    ),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=list(BAD))
def test_damaged_files_are_one_clear_error(tmp_path, text, message):
    path = written(tmp_path, text)
    with pytest.raises(FileFormatError, match=f"(?s){message}") as caught:
        io.read(path, format="csv")
    assert str(path) in str(caught.value)


def test_a_table_that_is_mostly_empty_is_refused_before_it_takes_all_memory(tmp_path):
    rows = [f"{k},point{k},1,2" for k in range(20_000)]
    path = written(tmp_path, "\n".join(["frame,name,x,y", *rows]))
    with pytest.raises(FileFormatError, match="20000 points in 20000 frames"):
        io.read(path)


DLC = "scorer,net,net,net\nbodyparts,nose,nose,nose\ncoords,x,y,likelihood\n0,1,2,0.5\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((text, True) for text in HEADERS.values()),
        (DLC, False),
        ("1,2,3\n4,5,6\n", False),
        ("a_x,b_y\n1,2\n", False),
        ("name,age\nx,y\n", False),
        ("{}", False),
        (b"\x89HDF\r\n\x1a\n\0\0", False),
        ("\n\n\n", False),
        ('"', False),
        # A header longer than what a probe holds.
        (",".join(f"point{k}_x,point{k}_y" for k in range(9000)) + "\n", True),
    ],
)
def test_looks_like_csv(tmp_path, text, expected):
    assert looks_like_csv(Probe(written(tmp_path, text))) is expected


def test_written_file_in_full(tmp_path):
    record = Keypoints(
        [[[0.1, 2], [3, 4]], [[NAN, NAN], [5, 6]]],
        confidence=[[0.5, NAN], [0, 1]],
        names=["nose", 'a "b", c'],
        edges=[(0, 1)],
        fps=29.97,
        individuals=["m", " n"],
        individual=[0, 1],
        frames=[3, 5],
        clips=[0, 2],
    )
    path = io.write(tmp_path / "a.csv", record)
    assert path.read_text() == (
        "# nrsfm_learn keypoints 1\n"
        "# rows: 2\n"
        "# fps: 29.97\n"
        '# edges: [["nose", "a \\"b\\", c"]]\n'
        '# individuals: {"m": "m", "individual_1": " n"}\n'
        'frame,individual,clip,nose_x,nose_y,nose_confidence,"a ""b"", c_x","a ""b"", c_y",'
        '"a ""b"", c_confidence"\n'
        "3,m,0,0.1,2.0,0.5,3.0,4.0,\n"
        "5,individual_1,2,,,0.0,5.0,6.0,1.0\n"
    )
    assert io.read(path) == record
    # A spreadsheet program quotes the comments and fills up their lines.
    comments, rest = path.read_text().split("\nframe")
    quoted = ['"' + line.replace('"', '""') + '",,,,' for line in comments.split("\n")]
    path.write_text("\n".join(quoted) + "\nframe" + rest)
    assert io.read(path) == record


def test_ground_truth_and_nothing_are_not_written(tmp_path):
    record = Keypoints(np.zeros((2, 1, 2)), X=np.zeros((2, 1, 3)))
    with pytest.raises(ValueError, match=r"data\.replace\(X=None\)"):
        io.write(tmp_path / "a.csv", record)
    with pytest.raises(ValueError, match="no frames"):
        io.write(tmp_path / "a.csv", Keypoints(np.zeros((0, 1, 2))))
    assert not list(tmp_path.iterdir())


def test_frames_that_come_again_survive(tmp_path):
    record = Keypoints(np.arange(8.0).reshape(4, 1, 2), frames=[0, 1, 0, 1])
    assert io.read(io.write(tmp_path / "a.csv", record)) == record


@settings(deadline=None, max_examples=50)
@given(keypoints(with_truth=False))
def test_keypoints_survive(tmp_path_factory, record):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    assert io.read(io.write(path, record)) == record


@settings(deadline=None, max_examples=50)
@given(points_3d())
def test_points_survive(tmp_path_factory, record):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    assert io.read(io.write(path, record)) == record


@pytest.mark.parametrize("names", [("a", "a_x"), ("x", "y"), ("x_a", "y_a"), ("a", "a_confidence")])
def test_names_that_look_like_columns_survive(tmp_path, names):
    record = Keypoints(np.arange(8.0).reshape(2, 2, 2), names=names, confidence=np.ones((2, 2)))
    assert io.read(io.write(tmp_path / "a.csv", record)) == record


@pytest.mark.parametrize("individuals", [1, 2])
def test_no_part_of_a_written_file_is_read(tmp_path, individuals):
    record = Keypoints(
        np.arange(12.0).reshape(3, 2, 2) / 7,
        names=["a", "b"],
        edges=[(0, 1)],
        individuals=["m", "n"][:individuals],
    )
    whole = io.write(tmp_path / "a.csv", record).read_bytes()
    for n in range(1, len(whole)):
        with pytest.raises(FileFormatError):
            io.read(written(tmp_path, whole[:n], "cut.csv"), format="csv")


def test_rows_may_be_taken_out_with_their_comment(tmp_path):
    text = io.write(tmp_path / "a.csv", Keypoints(np.arange(8.0).reshape(2, 2, 2))).read_text()
    shorter = text.rsplit("\n", 2)[0] + "\n"
    with pytest.raises(FileFormatError, match="1 rows, and its comment says 2"):
        io.read(written(tmp_path, shorter))
    assert len(io.read(written(tmp_path, shorter.replace("# rows: 2\n", "")))) == 1


def test_fast_on_long_files(tmp_path):
    n = 40_000
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, n)).tolist()
    rows = (f"{k // 20},point {k % 20},{x[k]!r},{y[k]!r}" for k in range(n))
    path = written(tmp_path, "\n".join(["frame,name,x,y", *rows]))
    seconds = []
    for _ in range(3):
        start = time.process_time()
        record = io.read(path)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.2  # A million in five seconds.
    np.testing.assert_array_equal(record.W.reshape(-1, 2), np.stack([x, y], axis=1))


def test_foreign_rows_are_sorted_by_frame(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("individual,frame,a_x,a_y\nm,2,1,1\nn,0,5,5\nm,0,3,3\nm,1,2,2\n")
    record = io.read(path)
    assert record.frames.tolist() == [0, 1, 2, 0]
    assert record.W[:, 0, 0].tolist() == [3, 2, 1, 5]
    assert any("sorted by frame" in note for note in record.source.notes)
    path.write_text("frame,individual,a_x,a_y\n0,m,1,1\n0,n,5,5\n1,m,3,3\n1,n,2,2\n")
    record = io.read(path)
    assert record.W[:, 0, 0].tolist() == [1, 3, 5, 2]
    assert not any("sorted" in note for note in record.source.notes)


def test_a_threshold_beyond_all_confidences_says_so(tmp_path):
    path = tmp_path / "a.csv"
    for highest, message in ((0.9, "are between 0 and 1"), (50, "are at most 50")):
        path.write_text(f"a_x,a_y,a_score\n1,2,0.5\n3,4,{highest}\n")
        with pytest.raises(FileFormatError, match=f"Lower min_confidence .*{message}"):
            io.read(path, min_confidence=60)
