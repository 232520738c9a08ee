"""Keypoints and Points3D: what they check, select and compare."""

import numpy as np
import pytest

from nrsfm_learn.io import Keypoints, Points3D, Source
from nrsfm_learn.io._records import index_of

F, P = 6, 3
RNG = np.random.default_rng(0)
W = RNG.normal(size=(F, P, 2))
W[1, 2] = np.nan
X = RNG.normal(size=(F, P, 3))


def several():
    return Keypoints(
        W,
        confidence=RNG.random((F, P)),
        names=["a", "b", "c"],
        edges=[(0, 2)],
        fps=30,
        individuals=["m", "n", "o"],
        individual=[0, 0, 1, 1, 0, 1],
        frames=[3, 4, 3, 4, 3, 3],
        clips=[0, 0, 0, 0, 7, 7],
        X=X,
    )


def test_defaults():
    record = Keypoints(W)
    assert record.names == ("point_0", "point_1", "point_2")
    assert record.frames.tolist() == list(range(F))
    assert record.individual.tolist() == record.clips.tolist() == record.groups.tolist() == [0] * F
    assert (len(record), record.n_frames, record.n_points) == (F, F, P)
    assert record.source == Source("", "", ())
    assert record.W is not W
    np.testing.assert_array_equal(record.visible, ~np.isnan(W).any(-1))
    points = Points3D(X.astype(np.float32))
    assert points.X.dtype == np.float64
    assert points.axes == "x right, y down, z away from the camera"
    assert (len(points), points.n_points) == (F, P)


def test_names_may_be_an_array():
    names = np.array(["a", "b", "c"])
    assert Keypoints(W, names=names).names == Points3D(X, names=names).names == ("a", "b", "c")


def test_repr():
    assert repr(Keypoints(W)) == "Keypoints(6 frames, 3 points, 6% missing)"
    assert repr(several()) == "Keypoints(6 frames, 3 individuals, 3 points, 6% missing)"
    assert repr(Keypoints(W[:0])) == "Keypoints(0 frames, 3 points, 0% missing)"
    assert repr(Points3D(X, unit="mm")) == "Points3D(6 frames, 3 points, mm)"


def test_visible_hides():
    visible = np.ones((F, P), bool)
    visible[0, 1] = False
    record = Keypoints(W, visible=visible)
    assert np.isnan(record.W[0, 1]).all()
    assert not record.visible[0, 1]
    assert not record.visible[1, 2]


def test_groups_tell_clips_and_individuals_apart():
    groups = several().groups
    pairs = [(0, 0), (0, 0), (0, 1), (0, 1), (7, 0), (7, 1)]
    for i in range(F):
        for j in range(F):
            assert (groups[i] == groups[j]) == (pairs[i] == pairs[j])
    assert set(groups) == set(range(4))


@pytest.mark.parametrize("individual", ["n", 1, "1", np.int64(1)])
def test_select_an_individual(individual):
    record = several()
    chosen = record.select(individual)
    rows = [2, 3, 5]
    for name in ("W", "visible", "confidence", "frames", "clips", "X"):
        np.testing.assert_array_equal(getattr(chosen, name), getattr(record, name)[rows])
    assert chosen.individuals == ("n",)
    assert chosen.individual.tolist() == [0, 0, 0]
    assert (chosen.names, chosen.edges, chosen.fps) == (record.names, record.edges, record.fps)


@pytest.mark.parametrize(
    ("rows", "kept"), [([5, 0], [5, 0]), (np.arange(F) > 3, [4, 5]), ([], []), (slice(2), None)]
)
def test_select_rows(rows, kept):
    record = several()
    if kept is None:
        rows, kept = np.arange(F)[rows], [0, 1]
    chosen = record.select(rows=rows)
    np.testing.assert_array_equal(chosen.W, record.W[kept])
    np.testing.assert_array_equal(chosen.X, record.X[kept])
    names = [record.individuals[k] for k in record.individual[kept]]
    assert [chosen.individuals[k] for k in chosen.individual] == names


def test_select_rows_of_an_individual():
    chosen = several().select("n", rows=[2])
    np.testing.assert_array_equal(chosen.W, W[[5]])
    assert len(several().select("o")) == 0


@pytest.mark.parametrize("individual", ["k", 3, -1, "-1", 1.0, None, np.inf, [0]])
def test_no_such_individual(individual):
    with pytest.raises(ValueError, match="'m', 'n': give one of these names"):
        index_of(individual, ["m", "n"])


def test_names_go_before_indices():
    assert index_of("0", ["1", "0"]) == 1
    assert index_of(0, ["1", "0"]) == 0
    with pytest.raises(ValueError, match="and 5 more"):
        index_of("k", [f"m{k}" for k in range(15)])


def test_replace():
    record = several()
    assert record.replace() == record
    assert record.replace(fps=25).fps == 25
    filled = record.replace(W=np.nan_to_num(W))
    assert filled.visible.all()
    visible = np.zeros((F, P), bool)
    assert not record.replace(W=np.nan_to_num(W), visible=visible).visible.any()
    assert not record.replace(visible=visible).visible.any()
    with pytest.raises(ValueError, match="names has 2 entries"):
        record.replace(names=["a", "b"])
    assert Points3D(X).replace(unit="m").unit == "m"


def test_equality_sees_everything_but_the_source():
    record = several()
    assert record == several().replace(confidence=record.confidence, source=Source("coco"))
    changes = {
        "W": W + 1,
        "visible": np.zeros((F, P), bool),
        "confidence": None,
        "names": ["a", "b", "d"],
        "edges": (),
        "fps": None,
        "individuals": ["m", "n", "p"],
        "individual": [0] * F,
        "frames": np.arange(F),
        "clips": np.arange(F),
        "X": X + 1,
    }
    for name, value in changes.items():
        assert record != record.replace(**{name: value}), name
    assert record != Points3D(X)
    assert Points3D(X) == Points3D(X)
    assert Points3D(X) != Points3D(X, axes="z up")
    with pytest.raises(TypeError, match="unhashable"):
        hash(record)


def test_records_cannot_be_changed_in_place():
    with pytest.raises(AttributeError):
        Keypoints(W).fps = 3


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"W": W[0]}, ValueError, "W must have shape"),
        ({"W": W * np.inf}, ValueError, "infinite"),
        ({"W": W[:, :0]}, ValueError, "0 points"),
        ({"visible": np.ones((F, P))}, TypeError, "boolean"),
        ({"visible": np.ones((P, F), bool)}, ValueError, "shape"),
        ({"confidence": np.ones((P, F))}, ValueError, "confidence must have shape"),
        ({"confidence": np.full((F, P), np.inf)}, ValueError, "infinite at frame 0, point 0"),
        ({"names": "abc"}, TypeError, "names must be a sequence"),
        ({"names": ["a", "b"]}, ValueError, "2 entries"),
        ({"names": ["a", "b", "a"]}, ValueError, "'a' more than once"),
        ({"names": ["a", "b", "c\0"]}, ValueError, "no valid text"),
        ({"names": ["a", "b", "\ud800"]}, ValueError, "no valid text"),
        ({"edges": [(0, 3)]}, ValueError, "subtract 1"),
        ({"edges": [(-1, 0)]}, ValueError, "edges must join"),
        ({"edges": [(0, 1, 2)]}, ValueError, "pairs"),
        ({"edges": [(0.0, 1.0)]}, ValueError, "pairs of integers"),
        ({"edges": [("a", "b")]}, ValueError, "pairs of integers"),
        ({"fps": 0}, ValueError, "fps must be positive"),
        ({"fps": np.nan}, ValueError, "fps must be positive"),
        ({"fps": np.inf}, ValueError, "fps must be positive"),
        ({"individuals": "abc"}, TypeError, "individuals must be a sequence"),
        ({"individuals": ["a", "a"]}, ValueError, "'a' more than once"),
        ({"individuals": ()}, ValueError, "must index the 0"),
        ({"individual": [0, 0, 0, 0, 0, 1]}, ValueError, "must index the 1 individuals"),
        ({"individual": [0]}, ValueError, "6 integers"),
        ({"frames": np.arange(5)}, ValueError, "6 integers"),
        ({"frames": np.arange(6.0)}, ValueError, "6 integers"),
        ({"clips": [True] * F}, ValueError, "6 integers"),
        ({"X": X[:, :2]}, ValueError, "X has"),
        ({"X": W}, ValueError, "X must have shape"),
    ],
)
def test_contradictions_of_keypoints(kwargs, error, message):
    with pytest.raises(error, match=message):
        Keypoints(**{"W": W, **kwargs})


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"X": W}, "X must have shape"),
        ({"X": X[:0]}, "empty"),
        ({"names": ["a"]}, "1 entries"),
        ({"frames": [1]}, "6 integers"),
        ({"confidence": np.ones(F)}, "confidence must have shape"),
        ({"unit": "m\0"}, "no valid text"),
        ({"axes": "\udfff"}, "no valid text"),
    ],
)
def test_contradictions_of_points(kwargs, message):
    with pytest.raises(ValueError, match=message):
        Points3D(**{"X": X, **kwargs})
