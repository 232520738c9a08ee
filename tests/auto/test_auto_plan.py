"""Rules, race arithmetic, and plans from made-up timings."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nrsfm_learn
from nrsfm_learn import BMM, PAUL, DeepNRSfMPP, ProcrusteanRegression
from nrsfm_learn._starts import Ladder
from nrsfm_learn.auto import _estimate
from nrsfm_learn.auto._clock import Clock
from nrsfm_learn.auto._estimate import Data, evenly, prepare, usual_training
from nrsfm_learn.auto._plan import Candidate, candidates, n_bases_of, plan_training, race_cost
from nrsfm_learn.testing import all_estimators


class FakeTime:
    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


def facts(**others):
    return SimpleNamespace(
        **{
            "turning": 0.8,
            "camera": "orthographic",
            "rank_999": 7,
            "n_points": 41,
            "n_frames": 300,
            "estimator": "PAUL",
            "settings": {"n_components": 4, "codes": "encoder"},
            "reason": "one video",
            **others,
        }
    )


def names(method, diagnosis):
    return [type(c.estimator).__name__ for c in candidates(method, diagnosis, "cpu", 3)]


# -- rules


def test_recommended_method_first_and_fast_ones_behind_it():
    assert names("auto", facts()) == ["PAUL", "ProcrusteanRegression", "BMM"]
    first, _, last = candidates("auto", facts(), "cpu", 3)
    assert (first.estimator.n_components, first.estimator.random_state) == (4, 3)
    assert 0 < first.least < 1
    assert "one video" in first.reason
    assert last.estimator.n_bases == 3


def test_settings_of_the_recommendation_are_kept():
    many = facts(
        estimator="DeepNRSfMPP", settings={"k_last": 10, "camera": "perspective"},
        camera="perspective",
    )  # fmt: skip
    first = candidates("auto", many, "cpu", 0)[0].estimator
    assert isinstance(first, DeepNRSfMPP)
    assert (first.k_last, first.camera) == (10, "perspective")


def test_paul_is_the_second_choice_for_a_near_camera():
    near = {"estimator": "DeepNRSfMPP", "settings": {"k_last": 8}, "camera": "perspective"}
    assert names("auto", facts(**near)) == ["DeepNRSfMPP", "PAUL", "ProcrusteanRegression", "BMM"]
    assert candidates("auto", facts(**near), "cpu", 0)[1].estimator.camera == "perspective"


def test_very_many_frames_end_with_a_method_that_lifts_fast():
    many = facts(estimator="DeepNRSfMPP", settings={"k_last": 8}, n_frames=50_000)
    order = ["DeepNRSfMPP", "ProcrusteanRegression", "BMM", "DeepNRSfMPP"]
    assert names("auto", many) == order
    first, *_, last = candidates("auto", many, "cpu", 0)
    assert 0 < last.least < first.least


def test_rigid_objects():
    assert names("auto", facts(turning=0.999)) == ["RigidFactorization"]
    (found,) = candidates("auto", facts(turning=0.999, camera="weak_perspective"), "cpu", 0)
    assert found.estimator.camera == "weak_perspective"
    near = facts(turning=0.999, camera="perspective", estimator="DeepNRSfMPP", settings={})
    assert names("auto", near)[0] == "DeepNRSfMPP"
    assert names("auto", facts(turning=float("nan")))[0] == "PAUL"


@pytest.mark.parametrize("name", [name for name, _ in all_estimators()])
def test_every_method_can_be_asked_for(name):
    for camera in ("orthographic", "weak_perspective", "perspective"):
        assert names(name, facts(camera=camera)) == [name]


@pytest.mark.parametrize(
    ("name", "camera", "got"),
    [
        ("PAUL", "perspective", "perspective"),
        ("PAUL", "weak_perspective", "weak_perspective"),
        ("EMPPCA", "perspective", "weak_perspective"),
        ("RigidFactorization", "orthographic", "orthographic"),
    ],
)
def test_camera_of_a_method_that_was_asked_for(name, camera, got):
    assert candidates(name, facts(camera=camera), "cpu", 0)[0].estimator.camera == got


def test_an_estimator_of_the_user_is_copied():
    mine = PAUL(n_components=9, max_iter=77)
    (found,) = candidates(mine, facts(), "cpu", 0)
    assert found.estimator is not mine
    assert found.estimator.get_params() == mine.get_params()


def test_unknown_methods():
    with pytest.raises(
        ValueError, match=r"method='Paul' is not known: use 'auto', or one of .*PAUL"
    ):
        candidates("Paul", facts(), "cpu", 0)
    with pytest.raises(TypeError, match=r"Make one: method=PAUL\(\)"):
        candidates(PAUL, facts(), "cpu", 0)
    with pytest.raises(TypeError, match="got int"):
        candidates(7, facts(), "cpu", 0)


@given(st.integers(1, 200), st.integers(4, 100))
@settings(deadline=None, max_examples=50)
def test_number_of_bases_is_one_that_the_points_carry(rank, n_points):
    n_bases = n_bases_of(rank, n_points)
    assert n_bases >= 1
    assert n_bases == 1 or 3 * n_bases < n_points


# -- how iterations are divided


@pytest.mark.parametrize("n_starts", [1, 2, 4, 5, 16, 33])
def test_cost_of_a_race_is_that_of_its_ladder(n_starts):
    rung = 100
    ladder = Ladder.climb(n_starts, 2, rung, 16 * rung)
    live, total, done = n_starts, 0, 0
    for end, kept in ladder.rungs:
        total, done, live = total + live * (end - done), end, kept
    total += 16 * rung - done
    assert race_cost(n_starts) == pytest.approx(total / (16 * rung))


def test_plenty_of_time_changes_nothing():
    assert plan_training(1e9, 5000, 16) == (5000, 16)
    assert plan_training(1e9, 500, 1) == (500, 1)


def test_starts_are_given_up_before_iterations():
    enough = 0.7 * 5000 * race_cost(16)
    assert plan_training(enough, 5000, 16) == (3500, 16)
    max_iter, starts = plan_training(0.55 * 5000 * race_cost(16), 5000, 16)
    assert starts == 8
    assert max_iter > 0.55 * 5000
    assert plan_training(2000 * race_cost(4), 5000, 16) == (2000, 4)
    assert plan_training(900, 5000, 16) == (900, 1)
    assert plan_training(0, 5000, 16) == (1, 1)


def test_starts_of_the_user_are_kept():
    assert plan_training(900, 5000, 16, keep_starts=True) == (int(900 / race_cost(16)), 16)


@given(
    st.floats(0, 1e6), st.integers(1, 20_000), st.integers(1, 64), st.booleans()
)  # fmt: skip
@settings(deadline=None, max_examples=50)
def test_a_plan_never_costs_more_than_there_is(iterations, max_iter, n_starts, keep):
    planned, starts = plan_training(iterations, max_iter, n_starts, keep_starts=keep)
    assert 1 <= planned <= max_iter
    assert 1 <= starts <= n_starts
    assert not keep or starts == n_starts
    assert planned == 1 or planned * race_cost(starts) <= iterations * (1 + 1e-9)


# -- plans from timings


def data_of(n_frames=400, n_points=12, hidden=()):
    W = np.random.default_rng(0).normal(size=(n_frames, n_points, 2))
    for frames, point in hidden:
        W[frames, point] = np.nan
    return Data(W, np.zeros(n_frames, int))


@pytest.fixture
def trained(monkeypatch):
    """Set what a trial of a method that trains measures."""

    def put(step, lift=0.1):
        monkeypatch.setattr(_estimate, "time_training", lambda *_: (step, lift))

    return put


@pytest.fixture
def classical(monkeypatch):
    """Set what a trial of a classical method measures, a frame."""

    def put(begin, step, lift):
        monkeypatch.setattr(_estimate, "time_classical", lambda *_: (begin, step, lift))

    return put


def plan(estimator, limit, data=None, **options):
    clock = Clock(limit, FakeTime())
    least = options.pop("least", 0.0)
    return prepare(Candidate(estimator, "", least), data or data_of(), clock, 7, **options)


def test_training_fits_the_time(trained):
    trained(step=0.01, lift=0.5)
    ready = plan(PAUL(), 40.0)
    n, starts = ready.estimator.max_iter, ready.estimator.n_init
    assert 0.01 * n * race_cost(starts) + ready.reserve <= 40
    assert 0.01 * n * race_cost(starts) > 0.6 * 40
    assert ready.reserve >= 0.5 * 5
    assert "there is time for" in ready.note


def test_training_at_leisure_is_that_of_the_estimator(trained):
    trained(step=1e-5, lift=1e-3)
    ready = plan(PAUL(), 100.0)
    max_iter, n_init = usual_training(PAUL(), data_of())
    assert (ready.estimator.max_iter, ready.estimator.n_init) == (max_iter, n_init)
    assert ready.enough
    assert not ready.note


def test_too_few_iterations_are_not_enough(trained):
    trained(step=0.1)
    assert not plan(PAUL(), 40.0, least=0.1).enough
    assert plan(PAUL(), 400.0, least=0.1).enough
    # Whoever asks for few iterations gets them.
    assert plan(PAUL(max_iter=50), 40.0, least=0.1).enough


def test_no_trial_of_training_where_there_is_no_time_for_it(monkeypatch):
    monkeypatch.setattr(_estimate, "time_training", None)
    ready = plan(PAUL(), 6.0)
    assert not ready.enough
    assert "no time to train" in ready.note


def test_settings_of_the_user_are_kept_but_for_iterations(trained):
    trained(step=0.1)
    mine = PAUL(n_components=5, n_init=3, learning_rate=0.005)
    ready = plan(mine, 40.0, keep=True)
    assert ready.estimator.max_iter < usual_training(mine, data_of())[0]
    expected = {**mine.get_params(), "max_iter": ready.estimator.max_iter}
    assert ready.estimator.get_params() == expected


@pytest.mark.parametrize(
    "cls",
    [
        PAUL,
        DeepNRSfMPP,
        nrsfm_learn.DeepNRSfM,
        nrsfm_learn.C3DPO,
        nrsfm_learn.MultiCategoryLifter,
    ],
)
def test_usual_training_is_what_the_estimator_does(cls, monkeypatch):
    seen = {}

    def train(self, starts, n_frames, options, **others):
        seen.update(max_iter=options.max_iter, n_init=len(starts))
        raise KeyError("enough seen")

    monkeypatch.setattr(cls, "_train", train)
    data = data_of(60)
    for settings_ in ({}, {"preset": "quick"}, {"max_iter": 70}, {"n_init": 3}):
        with pytest.raises(KeyError, match="enough seen"):
            cls(**settings_).fit(data.W, groups=data.groups)
        expected = usual_training(cls(**settings_), data)
        assert (seen["max_iter"], seen["n_init"]) == expected


def test_batches_come_from_a_part_of_very_many_frames(trained):
    trained(step=1e-4, lift=0.1)
    ready = plan(DeepNRSfMPP(), 60.0, data_of(30_000))
    assert ready.n_frames == 20_000
    # All frames are lifted after the fit, those fitted once more.
    assert ready.reserve > 0.1 * 30_000 / 20_000


def test_classical_fit_of_all_frames(classical):
    classical(begin=1e-3, step=1e-4, lift=1e-3)
    ready = plan(ProcrusteanRegression(), 60.0)
    assert (ready.n_frames, ready.enough) == (400, True)
    assert ready.estimator.get_params() == ProcrusteanRegression().get_params()


def test_classical_fit_with_fewer_steps(classical):
    classical(begin=1e-3, step=5e-4, lift=1e-3)
    ready = plan(ProcrusteanRegression(), 20.0)
    assert ready.n_frames == 400
    assert 25 <= ready.estimator.max_iter < 500
    assert 400 * (1e-3 + 5e-4 * ready.estimator.max_iter) <= 20


def test_classical_fit_of_a_part_of_the_frames(classical):
    classical(begin=0.01, step=0.002, lift=0.005)
    ready = plan(ProcrusteanRegression(), 20.0, data_of(1000))
    assert 60 <= ready.n_frames < 1000
    assert ready.enough
    fitted = ready.n_frames * (0.01 + 15 * 0.002)
    assert fitted + 0.005 * (1000 - ready.n_frames) <= 20
    # Frames that are lifted after the fit are in what is kept for later.
    assert ready.reserve >= 0.005 * (1000 - ready.n_frames)


def test_classical_fit_that_cannot_be_done(classical):
    classical(begin=0.1, step=0.1, lift=0.1)
    assert not plan(ProcrusteanRegression(), 20.0).enough
    classical(begin=0.1, step=0.1, lift=0.0)
    # A method that lifts no other frames has to fit them all.
    ready = plan(nrsfm_learn.TrajectoryBasis(n_bases=2), 20.0)
    assert ready.n_frames == 400
    assert not ready.enough


def test_number_of_bases_is_fixed_where_trials_take_too_long(classical):
    classical(begin=1e-4, step=1e-4, lift=1e-4)
    ready = plan(BMM(), 20.0)
    assert ready.estimator.n_bases == 3
    assert "several numbers of bases" in ready.note
    assert plan(BMM(), 20.0, keep=True).estimator.n_bases == "auto"
    assert plan(BMM(), 2000.0).estimator.n_bases == "auto"


# -- frames


@given(st.integers(1, 300), st.integers(1, 300))
@settings(deadline=None, max_examples=50)
def test_evenly(n_frames, n_taken):
    index = evenly(n_frames, n_taken)
    assert len(index) == min(n_frames, n_taken)
    assert index[0] == 0
    assert index[-1] == n_frames - 1 or n_taken == 1
    assert len(index) == 1 or np.diff(index).max() - np.diff(index).min() <= 1


def test_chosen_frames_show_every_point_and_enough_of_it():
    rarely = np.setdiff1d(np.arange(400), [137])
    data = data_of(hidden=[(rarely, 4), (slice(0, 40), slice(0, 10))])
    index = data.choose(50)
    visible = ~np.isnan(data.W[..., 0])
    assert 137 in index
    assert (visible[index].sum(1) >= 3).all()
    assert len(index) == 51
    np.testing.assert_array_equal(data.choose(400), np.arange(400))


# -- trials, for real


def test_trial_of_training_takes_few_iterations_and_changes_nothing():
    estimator, clock = PAUL(random_state=0), Clock(60.0)
    step, lift = _estimate.time_training(estimator, data_of(30), clock)
    assert 0 < step < 5
    assert 0 < lift < 5
    assert not hasattr(estimator, "module_")
    assert estimator.max_iter is None


def test_trial_that_takes_too_long_is_ended():
    clock = Clock(0.001)
    step, _ = _estimate.time_training(PAUL(random_state=0), data_of(30), clock)
    assert step > 0


@pytest.mark.parametrize("name", ["ProcrusteanRegression", "BMM", "TrajectoryBasis"])
def test_trial_of_a_classical_method(name):
    estimator = getattr(nrsfm_learn, name)()
    begin, step, lift = _estimate.time_classical(estimator, data_of(80), Clock(60.0), 2)
    assert begin >= 0
    assert step > 0
    assert (lift > 0) == (name != "TrajectoryBasis")


def test_trial_of_a_method_that_takes_each_clip_by_itself():
    # Of the 250 frames of a trial, two or three are of one clip.
    data = data_of(2000)._replace(groups=np.arange(2000) // 20)
    estimator = nrsfm_learn.TrajectoryBasis()
    _, step, _ = _estimate.time_classical(estimator, data, Clock(60.0), 2)
    assert step > 0
