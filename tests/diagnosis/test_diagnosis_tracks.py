import numpy as np
import pytest

from nrsfm_learn.datasets import make_articulated_body
from nrsfm_learn.diagnosis import diagnose
from nrsfm_learn.diagnosis._tracks import measure_tracks


@pytest.fixture
def W():
    return make_articulated_body(300, clips=1, views="smooth", random_state=0).W


def measure(W, groups=None):
    visible = ~np.isnan(W[..., 0])
    groups = np.zeros(len(W)) if groups is None else groups
    size = np.nanstd(W - np.nanmean(W, axis=1, keepdims=True)) * np.sqrt(2)
    rng = np.random.RandomState(0)
    return measure_tracks(W, visible, groups[1:] == groups[:-1], size, rng)


def test_video_and_photographs(W):
    assert measure(W).is_video
    shuffled = W[np.random.default_rng(0).permutation(300)]
    tracks = measure(shuffled)
    assert tracks.smoothness == pytest.approx(1, abs=0.1)
    assert tracks[1:] == (False, (), (), ())


def test_clean_tracks(W):
    assert measure(W)[2:] == ((), (), ())
    W[np.random.default_rng(0).uniform(size=W.shape[:2]) < 0.2] = np.nan
    assert measure(W)[2:] == ((), (), ())


def test_exchanged_points(W):
    left, right = 5, 10
    apart = np.linalg.norm(W[:, left] - W[:, right], axis=1)
    start = int(np.argmax(apart))
    W[start : start + 4, [left, right]] = W[start : start + 4, [right, left]]
    tracks = measure(W)
    assert (start, left, right) in tracks.swaps
    assert {(i, j) for _, i, j in tracks.swaps} == {(left, right)}
    assert tracks.jumps == ()
    finding = diagnose(W)["swaps"]
    assert finding.severity == "warning"
    assert f"({start}, {left}, {right})" in finding.message


def test_a_point_that_jumps_for_one_frame(W):
    W[40, 7] += 1.0
    W[90, 20] -= [0, 0.8]
    tracks = measure(W)
    assert tracks.jumps == ((40, 7), (90, 20))
    assert tracks.swaps == ()
    assert diagnose(W)["jumps"].severity == "warning"


def test_cuts_are_seen_unless_groups_name_them(W):
    W[100:] = W[100:] @ np.array([[0, 1], [-1, 0]]) + 3
    assert measure(W).cuts == (100,)
    assert measure(W).jumps == ()
    groups = (np.arange(300) >= 100).astype(int)
    assert measure(W, groups).cuts == ()
    assert "groups" in diagnose(W)["cuts"].advice


def test_every_clip_a_single_frame(W):
    tracks = measure(W, np.arange(300))
    assert np.isnan(tracks.smoothness)
    assert not tracks.is_video
