"""Loops that end when they are told to."""

import numpy as np
import pytest
import torch

import nrsfm_learn
from nrsfm_learn._deadline import stop_when, time_is_up
from nrsfm_learn._training import TrainingOptions, train
from nrsfm_learn.datasets import make_low_rank

DATA = make_low_rank(n_frames=40, n_points=12, rank=2, noise=0.05, random_state=0)


class Countdown:
    """Says that the time is up at its n-th question."""

    def __init__(self, n):
        self.n, self.asked = n, 0

    def __call__(self):
        self.asked += 1
        return self.asked >= self.n


def test_outside_of_a_block_there_is_time():
    assert time_is_up() is False
    with stop_when(lambda: True):
        assert time_is_up() is True
        with stop_when(lambda: False):
            assert time_is_up() is False
        assert time_is_up() is True
    assert time_is_up() is False
    with pytest.raises(RuntimeError), stop_when(lambda: True):
        raise RuntimeError
    assert time_is_up() is False


def test_training_ends_with_the_parameters_of_then():
    def run(max_iter, ask=None):
        point = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.constant_(point.weight, 3.0)
        options = TrainingOptions(max_iter, 10, learning_rate=0.1, schedule="constant")
        generator = torch.Generator().manual_seed(0)

        def objective(index, iteration):
            return point.weight.square().sum()

        with stop_when(ask or (lambda: False)):
            result = train(point, objective, 10, options, generator=generator)
        return result, point.weight.item()

    whole, weight = run(7)
    stopped, weight_then = run(100, Countdown(7))
    assert (whole.stop_reason, whole.n_iter) == ("max_iter", 7)
    assert (stopped.stop_reason, stopped.n_iter) == ("deadline", 7)
    assert weight_then == weight


def test_a_race_of_starts_ends_with_one():
    model = nrsfm_learn.PAUL(n_components=2, max_iter=64, n_init=4, random_state=0)
    with stop_when(Countdown(2)):
        model.fit(DATA.W)
    assert (model.stop_reason_, model.n_iter_) == ("deadline", 2)
    assert sum(start["chosen"] for start in model.inits_) == 1
    assert np.isfinite(model.reconstruction_).all()


@pytest.mark.parametrize(
    "name",
    [
        "BMM",
        "ColumnSpaceFitting",
        "EMPPCA",
        "KernelShapeTrajectory",
        "ProcrusteanNormal",
        "ProcrusteanRegression",
        "RevisitedBMM",
        "RigidFactorization",
        "TrajectoryBasis",
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_classical_loops_take_one_step_at_least_and_leave_a_reconstruction(name):
    cls = getattr(nrsfm_learn, name)
    settings = {"n_bases": 3} if "n_bases" in cls._get_param_names() else {}
    hurried, patient = Countdown(1), Countdown(10**9)
    with stop_when(hurried):
        model = cls(**settings).fit(DATA.W)
    with stop_when(patient):
        whole = cls(**settings).fit(DATA.W)
    assert 1 <= hurried.asked < patient.asked
    assert 1 <= model.n_iter_ <= whole.n_iter_
    assert np.isfinite(model.reconstruction_).all()
    np.testing.assert_array_equal(
        whole.reconstruction_, cls(**settings).fit(DATA.W).reconstruction_
    )


@pytest.mark.filterwarnings("ignore")
def test_numbers_of_bases_that_there_was_no_time_for_are_not_chosen():
    whole = nrsfm_learn.BMM().fit(DATA.W)
    with stop_when(lambda: True):
        hurried = nrsfm_learn.BMM().fit(DATA.W)
    assert len(whole.n_bases_trials_) > 1
    assert len(hurried.n_bases_trials_) == 1
    assert hurried.n_bases_ == whole.n_bases_trials_[0, 0]
