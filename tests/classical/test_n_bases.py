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
    """Misses the keypoints by a known share of their distance from the centroid.

    Its shapes are one shape that grows and shrinks, so that each distance varies by a known share.
    """

    def __init__(self, tracks, trials):
        self.tracks, self.trials, self.asked, self.begun = tracks, trials, [], []

    def begin(self, kept, generator):
        self.begun.append(kept)
        return "begun"

    def attempt(self, kept, begun, n_bases, generator):
        assert begun == "begun"
        assert kept is self.begun[0]
        self.asked.append(n_bases)
        trial = self.trials[n_bases]
        if isinstance(trial, Exception):
            raise trial
        share, variation = trial
        # The truth in the coordinates of what was kept, by way of the units of W.
        W = self.tracks.points * self.tracks.size + self.tracks.centers[:, None]
        truth = (W - kept.centers[:, None]) / kept.size
        n_frames, n_points, _ = truth.shape
        shape = torch.from_numpy(np.random.default_rng(n_bases).normal(size=(n_points, 3)))
        growth = 1 + variation * torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(
            n_frames // 2
        )
        return (1 - share) * truth, growth[:, None, None] * shape

    def choose(self, candidates=None, seed=0):
        generator = torch.Generator().manual_seed(seed)
        candidates = list(self.trials) if candidates is None else candidates
        return choose_n_bases(candidates, self.begin, self.attempt, self.tracks, generator)


def test_errors_are_over_those_of_the_centroid():
    trials = {1: (1.0, 0.3), 2: (0.5, 0.02), 3: (0.25, 0.0)}
    fake = Fake(make_tracks(), trials)
    best, found = fake.choose()
    assert best == 3
    assert fake.asked == [1, 2, 3]
    for k, trial in trials.items():
        assert found[k] == pytest.approx(trial, rel=1e-9, abs=1e-9)


def test_a_tenth_is_withheld_from_those_who_predict():
    fake = Fake(make_tracks(100), {1: (0.5, 0.1), 2: (0.5, 0.1)})
    fake.choose()
    (kept,) = fake.begun
    hidden = 1 - float(kept.seen.double().mean())
    # 1200 draws: within four standard deviations.
    assert hidden == pytest.approx(0.1, abs=4 * (0.09 / 1200) ** 0.5)
    assert (kept.points[~kept.seen] == 0).all()


@given(
    st.lists(st.tuples(st.floats(0.01, 2), st.floats(0, 0.9)), min_size=2, max_size=7),
    st.integers(0, 2**31),
)
@settings(deadline=None, max_examples=50)
def test_the_least_product_wins(trials, seed):
    best, _ = Fake(make_tracks(10, 8), dict(enumerate(trials, 1))).choose(seed=seed % 997)
    errors = np.hypot([error for error, _ in trials], 0.01)
    score = errors * (np.square([variation for _, variation in trials]) + 0.005**2)
    in_question = errors <= 8 * errors.min() * (1 + 1e-6)
    assert in_question[best - 1]
    assert score[best - 1] <= score[errors <= 8 * errors.min() * (1 - 1e-6)].min() * (1 + 1e-6)


def test_a_constant_shape_that_predicts_nothing_is_out_of_the_question():
    assert Fake(make_tracks(), {1: (0.5, 0.0), 2: (0.05, 0.1), 3: (0.02, 0.2)}).choose()[0] == 2
    assert Fake(make_tracks(), {1: (0.1, 0.0), 2: (0.05, 0.1), 3: (0.02, 0.2)}).choose()[0] == 1


def test_either_part_counts_where_the_other_is_equal():
    assert Fake(make_tracks(), {1: (0.4, 0.1), 2: (0.2, 0.1), 3: (0.3, 0.1)}).choose()[0] == 2
    assert Fake(make_tracks(), {1: (0.2, 0.1), 2: (0.2, 0.05), 3: (0.2, 0.2)}).choose()[0] == 2
    # Constant to a thousandth or to a ten thousandth is all the same; the error decides.
    assert Fake(make_tracks(), {1: (0.2, 1e-4), 2: (0.1, 1e-3), 3: (0.3, 0)}).choose()[0] == 2


# A collapsed shape has no distances to vary.
BROKEN = [
    (np.nan, 0.01),
    (np.inf, 0.01),
    (0.01, np.nan),
    torch.linalg.LinAlgError("singular"),
    "collapsed",
]


@pytest.mark.parametrize("broken", BROKEN, ids=str)
@pytest.mark.parametrize("which", [1, 2, 3])
def test_survives_candidates_that_fail(broken, which):
    trials = {1: (0.6, 0.1), 2: (0.4, 0.1), 3: (0.2, 0.1), which: broken}
    fake = Fake(make_tracks(), trials)
    if broken == "collapsed":
        trials[which] = (0.01, 0.0)
        attempt = fake.attempt

        def collapsing(kept, begun, n_bases, generator):
            keypoints, shapes = attempt(kept, begun, n_bases, generator)
            return keypoints, shapes * (n_bases != which)

        fake.attempt = collapsing
    best, found = fake.choose([1, 2, 3])
    assert best == (2 if which == 3 else 3)
    assert found[which] == (np.inf, np.inf)
    assert len(found) == 3


def test_all_fail():
    best, found = Fake(make_tracks(), dict.fromkeys((2, 4), (np.nan, 0.1))).choose()
    assert best == 2
    assert set(found.values()) == {(np.inf, np.inf)}


def test_other_errors_are_not_hidden():
    with pytest.raises(RuntimeError, match="a bug"):
        Fake(make_tracks(), {1: (0.5, 0.1), 2: RuntimeError("a bug")}).choose()


def test_nothing_to_choose_or_to_withhold():
    fake = Fake(make_tracks(), {5: (0.5, 0.1)})
    assert fake.choose(iter([5])) == (5, {})
    # Four points a frame are left alone.
    fake = Fake(make_tracks(20, 4), {2: (0.5, 0.1), 3: (0.1, 0.1)})
    assert fake.choose() == (2, {})
    assert fake.asked == []


def test_the_seed_decides_what_is_withheld():
    fakes = [Fake(make_tracks(), {1: (0.5, 0.1), 2: (0.5, 0.1)}) for _ in range(3)]
    for fake, seed in zip(fakes, (0, 0, 1), strict=True):
        fake.choose(seed=seed)
    first, again, other = (fake.begun[0].seen for fake in fakes)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
