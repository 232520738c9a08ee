import numpy as np
import pytest

from nrsfm_learn.datasets import make_articulated_body
from nrsfm_learn.diagnosis import diagnose
from nrsfm_learn.diagnosis._entries import measure_entries


@pytest.fixture
def W():
    return make_articulated_body(100, random_state=0).W + 5


def measure(W):
    visible = ~np.isnan(W[..., 0])
    return measure_entries(W, visible, np.arange(len(W)))


def test_clean_data_have_nothing_odd(W):
    entries = measure(W)
    assert entries[:-1] == ((), (), (), (), 0, ())


def test_coinciding_points(W):
    W[:, 7] = W[:, 3]
    W[:5, 7] += 1
    W[50:, 3] = np.nan
    assert measure(W).duplicate_points == ((3, 7),)
    W[:12, 7] += 1
    assert measure(W).duplicate_points == ()


def test_repeated_frames_with_the_same_points_hidden(W):
    W[3, 4] = np.nan
    W[[8, 60]] = W[3]
    W[9] = W[3]
    W[9, 4] = 0
    W[[20, 21]] = np.nan
    entries = measure(W)
    assert entries.duplicate_frames == (8, 60)
    assert entries.poor_frames == (20, 21)


def test_poor_and_straight_frames(W):
    W[4, 2:] = np.nan
    W[6] = 7.0
    W[8] = np.linspace(0, 1, 31)[:, None] * [3, -2] + 4
    W[9] = W[8] + 0.2 * np.random.default_rng(0).normal(size=(31, 2))
    entries = measure(W)
    assert entries.poor_frames == (4, 6)
    assert entries.line_frames == (8,)


@pytest.mark.parametrize("mark", [0.0, -1.0])
def test_marks_for_missing_points_are_suspected(W, mark):
    W[[3, 5, 9], [1, 2, 1]] = mark
    assert measure(W).placeholders == 3
    finding = diagnose(W)["points"]
    assert finding.severity == "warning"
    assert "(0, 0)" in finding.message
    assert "NaN" in finding.advice


def test_a_root_at_the_origin_is_no_mark(W):
    assert measure(W - W[:, :1]).placeholders == 0


def test_far_points(W):
    W[30, 4] += 60
    W[:, 9] += 60  # always far: a long limb
    assert measure(W).far == ((30, 4),)


@pytest.mark.parametrize(
    ("transform", "units"),
    [
        (lambda W: W * 100, "pixels"),
        (lambda W: np.round(W * 20), "pixels"),
        (lambda W: (W - W.min()) / np.ptp(W), "fractions"),
        (lambda W: W - 5, "unit plane or metric"),
    ],
)
def test_units(W, transform, units):
    assert measure(transform(W)).units == units


def test_fractions_get_a_warning(W):
    finding = diagnose((W - W.min()) / np.ptp(W))["units"]
    assert finding.severity == "warning"
    assert "width and height" in finding.message
