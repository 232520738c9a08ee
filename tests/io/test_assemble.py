"""The last step of the readers: hiding, stacking, notes."""

import numpy as np
import pytest

from nrsfm_learn.io import FileFormatError
from nrsfm_learn.io._assemble import (
    assemble,
    assemble_rows,
    check_min_confidence,
)

NAN = np.nan
RNG = np.random.default_rng(0)
TWO = RNG.normal(size=(2, 4, 3, 2))
TWO[0, 1] = NAN
TWO[1, 2, 0] = NAN
SCORES = RNG.random((2, 4, 3))


@pytest.mark.parametrize("value", [None, 0, 0.5, np.float32(0.25), np.int64(1), -3])
def test_thresholds(value):
    checked = check_min_confidence(value)
    assert checked == value
    assert checked is None or type(checked) is float


@pytest.mark.parametrize("value", [True, "0.5", NAN, np.inf, [0.5], np.array([0.5]), 1j])
def test_no_thresholds(value):
    with pytest.raises(ValueError, match="min_confidence must be a finite number"):
        check_min_confidence(value)


def test_one_individual_keeps_its_empty_frames():
    record = assemble("f", "a.x", TWO[:1], names=["a", "b", "c"], fps=30, edges=[(0, 1)])
    np.testing.assert_array_equal(record.W, TWO[0])
    assert record.frames.tolist() == [0, 1, 2, 3]
    assert record.confidence is None
    assert (record.names, record.fps, record.edges) == (("a", "b", "c"), 30, ((0, 1),))
    assert (record.source.format, record.source.path, record.source.notes) == ("f", "a.x", ())
    kept = assemble("f", "a.x", TWO[:1], individual=0)
    assert kept == record.replace(names=kept.names, fps=None, edges=())


def test_several_are_stacked_without_their_empty_frames():
    record = assemble(
        "f", "a.x", TWO, SCORES, individuals=["m", "n"], frames=[5, 7, 8, 9], notes=["turned"]
    )
    rows = [(0, 0), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2), (1, 3)]
    for row, (k, f) in enumerate(rows):
        np.testing.assert_array_equal(record.W[row], TWO[k, f])
        np.testing.assert_array_equal(record.confidence[row], SCORES[k, f])
        assert record.individual[row] == k
        assert record.frames[row] == [5, 7, 8, 9][f]
    assert len(record) == len(rows)
    assert record.individuals == ("m", "n")
    assert record.source.notes[0] == "turned"
    assert "2 individuals are stacked" in record.source.notes[1]


@pytest.mark.parametrize("individual", ["m", 0])
def test_one_of_several(individual):
    record = assemble("f", "a.x", TWO, individuals=["m", "n"], individual=individual)
    np.testing.assert_array_equal(record.W, TWO[0, [0, 2, 3]])
    assert record.individuals == ("m",)
    assert not record.source.notes
    with pytest.raises(ValueError, match="'m', 'n'"):
        assemble("f", "a.x", TWO, individuals=["m", "n"], individual="o")


@pytest.mark.parametrize(
    ("min_confidence", "custom", "used"), [(None, 0.0, 0.0), (None, 0.4, 0.4), (0.7, 0.4, 0.7)]
)
def test_low_confidence_is_hidden(min_confidence, custom, used):
    scores = SCORES.copy()
    scores[1, 3, 1] = NAN  # Nothing is known against it.
    record = assemble("f", "a.x", TWO[1:], scores[1:], min_confidence=min_confidence, custom=custom)
    there = ~np.isnan(TWO[1]).any(-1)
    visible = there & ~(scores[1] < used)
    np.testing.assert_array_equal(record.visible, visible)
    np.testing.assert_array_equal(record.confidence, scores[1])
    hidden = there.sum() - visible.sum()
    assert hidden == 0 or f"{hidden} keypoints ({hidden / 11:.1%})" in record.source.notes[0]
    assert len(record.source.notes) == (hidden > 0)


def test_individuals_of_one_name_are_told_apart():
    tracks = np.zeros((4, 1, 1, 2))
    record = assemble("f", "a.x", tracks, individuals=["m", "m", "m (2)", "m"])
    assert len(set(record.individuals)) == 4
    assert record.individuals[0] == "m"
    assert any("one name" in note for note in record.source.notes)


def test_a_file_with_nothing_to_see_is_an_error():
    nothing = np.full((1, 2, 3, 2), NAN)
    with pytest.raises(FileFormatError, match=r"a\.x: no keypoint is visible"):
        assemble("f", "a.x", nothing)
    with pytest.raises(FileFormatError, match=r"9 keypoints .*below 2 .*Lower min_confidence"):
        assemble("f", "a.x", TWO[:1], SCORES[:1], min_confidence=2)
    for shape in ((0, 2, 3, 2), (1, 0, 3, 2), (1, 2, 0, 2)):
        with pytest.raises(FileFormatError, match="holds"):
            assemble("f", "a.x", np.zeros(shape))
    with pytest.raises(FileFormatError, match="names 1 individuals and has tracks of 2"):
        assemble("f", "a.x", TWO)
    infinite = np.zeros((1, 2, 3, 2))
    infinite[0, 1, 2, 0] = -np.inf
    with pytest.raises(FileFormatError, match="frame 1, keypoint 2: a coordinate is infinite"):
        assemble("f", "a.x", infinite)


def test_a_threshold_needs_confidences():
    for make, array in (
        (assemble, TWO[:1]),
        (assemble_rows, TWO[1]),
        (assemble_rows, np.ones((1, 2, 3))),
    ):
        with pytest.raises(ValueError, match="has none: leave it out") as caught:
            make("f", "a.x", array, min_confidence=0.5)
        assert not isinstance(caught.value, FileFormatError)


@pytest.mark.parametrize(
    "wrong", [{"names": ["a", "a", "b"]}, {"fps": -1}, {"edges": [(0, 3)]}, {"clips": [0.5]}]
)
def test_what_contradicts_itself_is_the_fault_of_the_file(wrong):
    for make, array in ((assemble, TWO[:1]), (assemble_rows, TWO[1])):
        with pytest.raises(FileFormatError, match=r"a\.x: .*[^.]\.$"):
            make("f", "a.x", array, **wrong)


def test_rows_stay_as_they_are():
    rows, scores = TWO.reshape(8, 3, 2), SCORES.reshape(8, 3)
    who = [1, 0] * 4
    record = assemble_rows("f", "a.x", rows, scores, who=np.array(who), individuals=["m", "n"])
    np.testing.assert_array_equal(record.W, rows)
    np.testing.assert_array_equal(record.confidence, scores)
    assert record.individual.tolist() == who
    kept = assemble_rows(
        "f", "a.x", rows, scores, who=np.array(who), individuals=["m", "n"], individual="m"
    )
    np.testing.assert_array_equal(kept.W, rows[1::2])
    with pytest.raises(FileFormatError, match="no row of the individual 'o'"):
        assemble_rows("f", "a.x", rows, individuals=["m", "o"], individual="o")


def test_rows_and_points_are_hidden_only_when_asked():
    rows, scores = TWO[1], SCORES[1] - 0.5
    assert np.array_equal(assemble_rows("f", "a.x", rows, scores).W, rows, equal_nan=True)
    record = assemble_rows("f", "a.x", rows, scores, min_confidence=0)
    there = ~np.isnan(rows).any(-1)
    np.testing.assert_array_equal(record.visible, there & (scores >= 0))
    assert "were hidden" in record.source.notes[0]
    X = np.concatenate([rows, rows[..., :1]], axis=-1)
    points = assemble_rows("f", "a.x", X, scores, min_confidence=0, unit="mm")
    np.testing.assert_array_equal(~np.isnan(points.X).any(-1), there & (scores >= 0))
    assert points.unit == "mm"
    with pytest.raises(FileFormatError, match="confidence of 2 or more"):
        assemble_rows("f", "a.x", X, scores, min_confidence=2)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((np.zeros((0, 3, 2)),), {}),
        ((TWO[1], SCORES[1].T), {}),
        ((TWO[1], SCORES[1].T), {"min_confidence": 0.5}),
        ((TWO[1],), {"visible": np.ones((3, 4), bool)}),
        ((TWO[1][..., :1],), {}),
    ],
)
def test_rows_that_do_not_fit(args, kwargs):
    with pytest.raises(FileFormatError, match=r"a\.x"):
        assemble_rows("f", "a.x", *args, **kwargs)
