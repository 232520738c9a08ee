import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nrsfm_learn import io

SINGLE = """\
scorer,DLC_resnet50_run1,DLC_resnet50_run1,DLC_resnet50_run1,DLC_resnet50_run1,DLC_resnet50_run1,DLC_resnet50_run1
bodyparts,nose,nose,nose,tail base,tail base,tail base
coords,x,y,likelihood,x,y,likelihood
0,10.5,20.25,0.99,30.0,40.0,0.95
1,11.5,21.25,0.59,31.0,41.0,0.6
2,12.5,22.25,1.0,,,
4,-1.5,1e2,0.75,33.0,43.0,1.23e-05
"""

MULTI = """\
scorer,DLC,DLC,DLC,DLC,DLC,DLC,DLC,DLC,DLC,DLC,DLC,DLC,DLC,DLC,DLC
individuals,mus1,mus1,mus1,mus1,mus1,mus1,mus2,mus2,mus2,mus2,mus2,mus2,single,single,single
bodyparts,nose,nose,nose,tail,tail,tail,nose,nose,nose,tail,tail,tail,corner,corner,corner
coords,x,y,likelihood,x,y,likelihood,x,y,likelihood,x,y,likelihood,x,y,likelihood
0,1,2,0.9,3,4,0.9,,,,,,,91,92,0.9
1,5,6,0.9,7,8,0.9,11,12,0.9,13,14,0.8,93,94,0.9
2,,,,,,,15,16,0.9,17,18,0.9,95,96,0.1
"""

LABELLED_3 = """\
scorer,,,Ada,Ada,Ada,Ada
bodyparts,,,nose,nose,tail,tail
coords,,,x,y,x,y
labeled-data,reach,img0007.png,1.5,2.5,3.5,4.5
labeled-data,reach,img0012.png,,,5.5,6.5
labeled-data,walk,img0007.png,7.5,8.5,,
"""

LABELLED_1 = """\
scorer,Ada,Ada
bodyparts,nose,nose
coords,x,y
labeled-data/reach/img0007.png,1.5,2.5
labeled-data\\reach\\img0012.png,3.5,4.5
"""


@pytest.fixture
def read(tmp_path):
    def read(text, **options):
        path = tmp_path / "a.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return io.read(path, **options)

    return read


def test_single_animal(read):
    keypoints = read(SINGLE)
    assert keypoints.source.format == "dlc_csv"
    assert keypoints.names == ("nose", "tail base")
    assert keypoints.individuals == ("individual",)
    assert keypoints.frames.tolist() == [0, 1, 2, 4]
    assert keypoints.edges == ()
    assert keypoints.fps is None
    nan = np.nan
    np.testing.assert_array_equal(
        keypoints.W,
        [
            [[10.5, 20.25], [30, 40]],
            [[nan, nan], [31, 41]],
            [[12.5, 22.25], [nan, nan]],
            [[-1.5, 100], [nan, nan]],
        ],
    )
    np.testing.assert_array_equal(
        keypoints.confidence, [[0.99, 0.95], [0.59, 0.6], [1, nan], [0.75, 1.23e-05]]
    )
    assert "2 keypoints" in keypoints.source.notes[0]
    assert "below 0.6" in keypoints.source.notes[0]


def test_min_confidence(read):
    assert read(SINGLE, min_confidence=0).visible.sum() == 7
    assert read(SINGLE, min_confidence=0.7).visible.tolist() == [
        [True, True],
        [False, False],
        [True, False],
        [True, False],
    ]
    with pytest.raises(io.FileFormatError, match="Lower min_confidence"):
        read(SINGLE, min_confidence=2)
    with pytest.raises(ValueError, match="min_confidence"):
        read(SINGLE, min_confidence=np.nan)


def test_several_animals_are_stacked(read):
    keypoints = read(MULTI)
    assert keypoints.individuals == ("mus1", "mus2")
    assert keypoints.individual.tolist() == [0, 0, 1, 1]
    assert keypoints.frames.tolist() == [0, 1, 1, 2]
    assert keypoints.names == ("nose", "tail")
    np.testing.assert_array_equal(keypoints.W.reshape(4, 4)[2], [11, 12, 13, 14])
    assert keypoints.confidence[2].tolist() == [0.9, 0.8]
    assert any("corner" in note and "single" in note for note in keypoints.source.notes)


@pytest.mark.parametrize("individual", ["mus2", 1])
def test_one_animal(read, individual):
    keypoints = read(MULTI, individual=individual)
    assert keypoints.individuals == ("mus2",)
    np.testing.assert_array_equal(keypoints.W.reshape(2, 4), [[11, 12, 13, 14], [15, 16, 17, 18]])
    assert keypoints.frames.tolist() == [1, 2]


@pytest.mark.parametrize("individual", ["single", 2])
def test_unique_bodyparts(read, individual):
    keypoints = read(MULTI, individual=individual)
    assert keypoints.names == ("corner",)
    assert keypoints.individuals == ("single",)
    nan = np.nan
    np.testing.assert_array_equal(keypoints.W[:, 0], [[91, 92], [93, 94], [nan, nan]])


def test_unknown_animal(read):
    with pytest.raises(ValueError, match=r"'mus1', 'mus2', 'single'"):
        read(MULTI, individual="mus3")


def test_animal_called_single_with_the_same_bodyparts_is_one_more(read):
    text = MULTI.replace("corner,corner,corner", "nose,nose,nose")
    with pytest.raises(io.FileFormatError, match="other body parts"):
        read(text.replace("single", "mus3"))
    assert read(text).individuals == ("mus1", "mus2")
    alone = "\n".join(
        ",".join(line.split(",")[k] for k in (0, 13, 14, 15)) for line in text.splitlines()
    )
    assert read(alone).individuals == ("single",)


def test_animals_may_list_their_bodyparts_in_another_order(read):
    lines = [line.split(",") for line in MULTI.splitlines()]
    order = [*range(7), 10, 11, 12, 7, 8, 9, 13, 14, 15]
    text = "\n".join(",".join(line[k] for k in order) for line in lines)
    assert read(text) == read(MULTI)


def test_labelled_frames_in_three_columns(read):
    keypoints = read(LABELLED_3)
    assert keypoints.frames.tolist() == [7, 12, 7]
    assert keypoints.clips.tolist() == [0, 0, 1]
    assert keypoints.groups.tolist() == [0, 0, 1]
    assert keypoints.confidence is None
    nan = np.nan
    np.testing.assert_array_equal(
        keypoints.W.reshape(3, 4),
        [[1.5, 2.5, 3.5, 4.5], [nan, nan, 5.5, 6.5], [7.5, 8.5, nan, nan]],
    )
    with pytest.raises(ValueError, match="needs confidences"):
        read(LABELLED_3, min_confidence=0.5)


def test_labelled_frames_in_one_column(read):
    keypoints = read(LABELLED_1)
    assert keypoints.frames.tolist() == [7, 12]
    assert keypoints.clips.tolist() == [0, 0]
    quoted = LABELLED_1.replace(
        "labeled-data/reach/img0007.png", '"labeled-data/reach/img0007.png"'
    )
    assert read(quoted) == keypoints
    # Without numbers, and with the same number twice, frames are counted.
    assert read(LABELLED_1.replace("img0012", "last")).frames.tolist() == [0, 1]
    assert read(LABELLED_1.replace("img0012.png", "b7.png")).frames.tolist() == [0, 1]


def test_labelled_frames_of_several_animals(read):
    text = (
        "scorer,Ada,Ada,Ada,Ada\nindividuals,a,a,b,b\nbodyparts,nose,nose,nose,nose\n"
        "coords,x,y,x,y\nv/img3.png,1,2,,\nv/img5.png,3,4,5,6\nw/img5.png,,,7,8\n"
    )
    keypoints = read(text)
    assert keypoints.individual.tolist() == [0, 0, 1, 1]
    assert keypoints.frames.tolist() == [3, 5, 5, 5]
    assert keypoints.clips.tolist() == [0, 0, 0, 1]
    assert keypoints.W[:, 0, 0].tolist() == [1, 3, 5, 7]


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.replace("\n", "\r\n"),
        lambda t: "\ufeff" + t,
        lambda t: t + "\n\n",
        lambda t: t.rstrip("\n"),
        lambda t: t.replace(",DLC_resnet50_run1", ',"DLC_resnet50_run1"').replace(
            "coords", '"coords"'
        ),
        lambda t: t.replace("\n0,", "\n0.0,"),
        lambda t: t.replace(",,,", ",nan,NaN,nan"),
        lambda t: t.replace("10.5", " 10.5"),
    ],
)
def test_harmless_differences(read, change):
    assert read(change(SINGLE)) == read(SINGLE)


def test_columns_of_other_kinds_are_left_out_with_a_note(read):
    text = SINGLE.replace(",likelihood,x,y,likelihood", ",likelihood,x,y,x_var")
    text = text.replace("x_var", "likelihood")
    lines = [line.split(",") for line in text.splitlines()]
    extra = ["DLC_resnet50_run1", "nose", "x_ens_var", "1", "2", "3", "4"]
    wide = "\n".join(",".join([*line, e]) for line, e in zip(lines, extra, strict=True))
    keypoints = read(wide)
    assert "x_ens_var" in keypoints.source.notes[0]
    assert keypoints == read(SINGLE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.splitlines()[0], "line 2: the header line 'bodyparts'"),
        (lambda t: "\n".join(t.splitlines()[:3]), "0 frames"),
        (lambda t: t.replace("coords", "coord"), "line 3: the header line 'coords'"),
        (lambda t: t.replace("bodyparts,", "bodyparts,,"), "line 2: 8 fields, but line 1 has 7"),
        (lambda t: t.replace("coords,x", "coords,"), "line 3: the first coordinate is in column 3"),
        (lambda t: t.replace("run1,", "run2,", 1), "2 scorers"),
        (lambda t: t.replace(",x,y,likelihood", ",x,x,likelihood", 1), "'x' of body part 'nose'"),
        (lambda t: t.replace("tail base", "nose"), "there twice"),
        (lambda t: t.replace("tail base", ""), "no name"),
        (lambda t: t.replace("likelihood,x", "score,x"), "no 'likelihood'"),
        (lambda t: t.replace("x,y,likelihood", "length,orientation,likelihood"), "no 'x'"),
        (lambda t: t.replace("likelihood", "z"), "3-D"),
        (lambda t: t.replace("1,11.5,", "1,"), "line 5: 6 fields, expected 7"),
        (lambda t: t + "5,1,2,0.9,3", "line 8: 5 fields, expected 7.*truncated"),
        (lambda t: t + "5,1,2,0.9,3,4,0.9,7\n", "line 8: 8 fields"),
        (lambda t: t.replace("\n2,", "\n\n2,"), "line 6: 1 fields"),
        (lambda t: t.replace("21.25", "abc"), "line 5: field 3 is 'abc'"),
        (lambda t: t.replace("21.25", "2_1"), "a field is no number"),
        (lambda t: t.replace("21.25", "٣"), "number"),
        (lambda t: t.replace("21.25", "True"), "line 5: field 3 is 'True'"),
        (lambda t: t.replace("21.25", "inf"), "line 5: field 3 is inf"),
        (lambda t: t.replace("21.25", "1e999"), "line 5: field 3 is 1e999"),
        (lambda t: t.replace("21.25", "1e200"), "line 5: field 3 is 1e200"),
        (lambda t: t.replace("0.59", "-inf"), "line 5: field 4 is -inf"),
        (lambda t: t.replace("21.25", '"21,25"'), "line 5: a quoted field has a comma"),
        (lambda t: t.replace("21.25", '"21.25'), "line 5: no row of a csv file"),
        (lambda t: t.replace("\n1,", "\n0,"), "line 5: frame 0 follows frame 0"),
        (lambda t: t.replace("\n4,", "\n1,"), "line 7: frame 1 follows frame 2"),
        (lambda t: t.replace("\n1,", "\n1O,"), "line 5: the row starts with '1O'"),
        (lambda t: t.replace("\n1,", "\n-1,"), "line 5: the row starts with '-1'"),
        (lambda t: t.replace("\n1,", "\n,"), "line 5: the row starts with ''"),
        (lambda t: t.replace("\n1,", "\n1.5,"), "line 5: the row starts with '1.5'"),
        (lambda t: t.replace("nose", '"no'), "line 2: no row of a csv file"),
        (lambda t: t.encode("utf-16"), "UTF-8"),
        (lambda t: t.encode() + b"\xff", "UTF-8"),
        (lambda t: t + "\0", "null bytes"),
        (lambda t: "\n" * 5, "'scorer'"),
        (lambda t: t.replace(",", ";"), "'scorer'"),
    ],
)
def test_damaged_files(read, change, message):
    with pytest.raises(io.FileFormatError, match=message) as caught:
        read(change(SINGLE), format="dlc_csv")
    assert "a.csv" in str(caught.value)


def test_the_same_image_twice(read):
    text = LABELLED_3.replace("img0012", "img0007")
    with pytest.raises(
        io.FileFormatError, match=r"line 5: 'labeled-data/reach/img0007.png' is there"
    ):
        read(text)


def test_enormous_numbers_of_frames_and_images(read):
    digits = "9" * 5000
    with pytest.raises(io.FileFormatError):
        read(SINGLE.replace("\n4,", f"\n{digits},").replace("\n2,", f"\n{digits},"))
    assert read(LABELLED_1.replace("0012", digits)).n_frames == 2


def test_long_line_is_no_hang(read):
    start = time.perf_counter()
    with pytest.raises(io.FileFormatError):
        read("scorer" + ",a" * 400_000 + "\nbodyparts" + ",b" * 400_000 + "\n")
    with pytest.raises(io.FileFormatError):
        read("scorer," + "a" * 2_000_000 + "\nbodyparts,b\ncoords,x\n")
    assert time.perf_counter() - start < 5


def test_not_taken_for_deeplabcut(read, tmp_path):
    for text in ("nose_x,nose_y\n1,2\n", "scorer,points\n1,2\n", "a,scorer\nb,bodyparts\n"):
        path = tmp_path / "b.csv"
        path.write_text(text)
        try:
            found = io.read(path).source.format
        except io.FileFormatError:
            continue
        assert found != "dlc_csv"


@settings(deadline=None, max_examples=25)
@given(
    values=arrays(
        np.float64,
        st.tuples(st.integers(1, 4), st.integers(1, 3), st.just(3)),
        elements=st.floats(-1e6, 1e6) | st.just(np.nan),
    )
)
def test_any_numbers_come_back(tmp_path_factory, values):
    if not ((values[..., 2] >= 0.6) | np.isnan(values[..., 2]))[
        ~np.isnan(values[..., :2]).any(-1)
    ].any():
        return
    n_points = values.shape[1]
    header = [
        ["scorer", *["s"] * (3 * n_points)],
        ["bodyparts", *[f"p{p}" for p in range(n_points) for _ in range(3)]],
        ["coords", *["x", "y", "likelihood"] * n_points],
    ]
    rows = [
        [str(f), *["" if np.isnan(v) else repr(float(v)) for v in row.ravel()]]
        for f, row in enumerate(values)
    ]
    path = tmp_path_factory.mktemp("dlc") / "a.csv"
    path.write_text("\n".join(",".join(row) for row in header + rows))
    keypoints = io.read(path)
    hidden = np.isnan(values[..., :2]).any(-1) | (values[..., 2] < 0.6)
    np.testing.assert_array_equal(keypoints.W, np.where(hidden[..., None], np.nan, values[..., :2]))
    np.testing.assert_array_equal(keypoints.confidence, values[..., 2])


def test_a_hundred_thousand_rows_are_fast(tmp_path):
    n = 100_000
    row = ",".join(f"{k}.12345,{k}.5,0.9" for k in range(10))
    path = tmp_path / "big.csv"
    with path.open("w") as file:
        file.write("scorer" + ",s" * 30 + "\nbodyparts")
        file.write("".join(f",p{p}" * 3 for p in range(10)) + "\ncoords" + ",x,y,likelihood" * 10)
        file.write("".join(f"\n{k},{row}" for k in range(n)))
    start = time.process_time()
    keypoints = io.read(path)
    assert time.process_time() - start < 5
    assert keypoints.W.shape == (n, 10, 2)
    assert keypoints.W[-1, 3].tolist() == [3.12345, 3.5]
