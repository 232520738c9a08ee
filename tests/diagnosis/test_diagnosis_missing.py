import numpy as np
import pytest

from nrsfm_learn.datasets import make_articulated_body
from nrsfm_learn.diagnosis._missing import measure_missing


def measure(visible):
    return measure_missing(visible, np.ones(len(visible) - 1, dtype=bool))


@pytest.mark.parametrize(("occlusion", "pattern"), [("random", "random"), ("contiguous", "runs")])
def test_generated_patterns_are_recognised(occlusion, pattern):
    body = make_articulated_body(600, missing=0.3, occlusion=occlusion, random_state=0)
    missing = measure(body.visible)
    assert missing.pattern == pattern
    assert missing.fraction == pytest.approx(1 - body.visible.mean())
    if pattern == "random":
        assert missing.run_ratio == pytest.approx(1, abs=0.05)


def test_points_that_are_hidden_more_often():
    rng = np.random.default_rng(0)
    visible = rng.uniform(size=(500, 10)) > np.r_[0.9, 0.8, np.full(8, 0.05)]
    missing = measure(visible)
    assert missing.pattern == "points"
    assert missing.worst_points[:2].tolist() == [0, 1]
    np.testing.assert_allclose(missing.by_point, 1 - visible.mean(0))


def test_nothing_hidden():
    missing = measure(np.ones((5, 4), bool))
    assert (missing.fraction, missing.pattern, missing.apart) == (0, "none", ())


def test_unseen_points_and_points_never_seen_together():
    visible = np.ones((20, 5), bool)
    visible[:, 4] = False
    visible[:10, 0] = visible[10:, 1] = False
    visible[3, 2] = False
    missing = measure(visible)
    assert missing.unseen.tolist() == [4]
    assert missing.apart == ((0, 1),)


def test_runs_do_not_go_on_over_the_border_of_clips():
    visible = np.ones((400, 3), bool)
    visible[::2] = False
    inside = np.arange(399) % 2 == 1
    assert measure_missing(visible, inside).run_ratio == 1


def test_worst_frames():
    visible = np.ones((9, 4), bool)
    visible[5, :3] = visible[2, :2] = False
    assert measure(visible).worst_frames[:2].tolist() == [5, 2]
