"""The choice of a number of bases among methods whose errors are known."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nrsfm_learn.base import Observations
from nrsfm_learn.classical._n_bases import choose_n_bases
from nrsfm_learn.classical._tracks import tracks_of


def make_tracks(n_frames=30, n_points=12, seed=0):
    W = np.random.default_rng(seed).normal(size=(n_frames, n_points, 2))
    W += 50 * np.random.default_rng(seed + 1).normal(size=(n_frames, 1, 2))
    return tracks_of(Observations(W, np.ones(W.shape[:2], bool)), torch.device("cpu"))


class Fake:
    """Predicts the keypoints with an error of known share of their distance from the centroid."""

    def __init__(self, tracks, shares):
        self.tracks, self.shares, self.asked, self.begun = tracks, shares, [], []

    def begin(self, kept, generator):
        self.begun.append(kept)
        return "begun"

    def predict(self, kept, begun, n_bases, generator):
        assert begun == "begun"
        assert kept is self.begun[0]
        self.asked.append(n_bases)
        share = self.shares[n_bases]
        if isinstance(share, Exception):
            raise share
        # The truth in the coordinates of what was kept, by way of the units of W.
        W = self.tracks.points * self.tracks.size + self.tracks.centers[:, None]
        truth = (W - kept.centers[:, None]) / kept.size
        return (1 - share) * truth

    def choose(self, candidates, seed=0, **options):
        generator = torch.Generator().manual_seed(seed)
        return choose_n_bases(
            candidates, self.begin, self.predict, self.tracks, generator, **options
        )


def test_errors_are_over_those_of_the_centroid():
    fake = Fake(make_tracks(), {1: 1.0, 2: 0.5, 3: 0.25})
    best, errors = fake.choose([1, 2, 3])
    assert best == 3
    assert errors == pytest.approx({1: 1.0, 2: 0.5, 3: 0.25}, rel=1e-9)
    assert fake.asked == [1, 2, 3]


def test_a_tenth_is_withheld_from_those_who_predict():
    fake = Fake(make_tracks(100), {1: 0.5, 2: 0.5})
    fake.choose([1, 2])
    (kept,) = fake.begun
    hidden = 1 - float(kept.seen.double().mean())
    assert 0.07 < hidden < 0.13
    assert (kept.points[~kept.seen] == 0).all()


@given(st.lists(st.floats(0.8, 1.2), min_size=2, max_size=7))
@settings(deadline=None, max_examples=50)
def test_the_smallest_that_no_larger_one_beats_by_three_percent(shares):
    fake = Fake(make_tracks(10, 8), dict(enumerate(shares, 1)))
    best, errors = fake.choose(list(fake.shares))
    expected = next(
        k for k in errors if all(errors[j] >= 0.97 * errors[k] for j in errors if j > k)
    )
    assert best == expected


def test_many_small_gains_count_together():
    # None is three percent better than its predecessor; the last is, than the first.
    shares = {1: 1.0, 2: 0.98, 3: 0.965, 4: 0.955}
    assert Fake(make_tracks(), shares).choose(list(shares))[0] == 2


def test_stops_where_the_prediction_is_fine():
    fake = Fake(make_tracks(), {1: 0.5, 2: 0.02, 3: 0.004, 4: 0.001})
    best, errors = fake.choose([1, 2, 3, 4], fine=0.01)
    assert best == 3
    assert fake.asked == list(errors) == [1, 2, 3]


@pytest.mark.parametrize("broken", [np.nan, np.inf, torch.linalg.LinAlgError("singular")])
@pytest.mark.parametrize("which", [1, 2, 3])
def test_survives_candidates_that_fail(broken, which):
    shares = {1: 0.6, 2: 0.4, 3: 0.2, which: broken}
    best, errors = Fake(make_tracks(), shares).choose([1, 2, 3])
    assert best == (2 if which == 3 else 3)
    assert errors[which] == np.inf
    assert len(errors) == 3


def test_all_fail():
    best, errors = Fake(make_tracks(), dict.fromkeys((2, 4), np.nan)).choose([2, 4])
    assert best == 2
    assert set(errors.values()) == {np.inf}


def test_other_errors_are_not_hidden():
    with pytest.raises(RuntimeError, match="a bug"):
        Fake(make_tracks(), {1: 0.5, 2: RuntimeError("a bug")}).choose([1, 2])


def test_nothing_to_choose_or_to_withhold():
    fake = Fake(make_tracks(), {5: 0.5})
    assert fake.choose(iter([5])) == (5, {})
    # Four points a frame are left alone.
    fake = Fake(make_tracks(20, 4), {2: 0.5, 3: 0.1})
    assert fake.choose([2, 3]) == (2, {})
    assert fake.asked == []


def test_the_seed_decides_what_is_withheld():
    fakes = [Fake(make_tracks(), {1: 0.5, 2: 0.5}) for _ in range(3)]
    for fake, seed in zip(fakes, (0, 0, 1), strict=True):
        fake.choose([1, 2], seed)
    first, again, other = (fake.begun[0].seen for fake in fakes)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
