import numpy as np
import pytest
import torch

from nrsfm_learn import PAUL, AutoDecoderLifter, DeepNRSfM, DeepNRSfMPP
from nrsfm_learn._records import Observations
from nrsfm_learn._windows import cut_windows
from nrsfm_learn.datasets import make_low_rank
from nrsfm_learn.deep._temporal import WindowedObjective, training_windows

SMALL = {
    "max_iter": 100,
    "batch_size": 32,
    "learning_rate": 1e-2,
    "n_init": 1,
    "random_state": 0,
    "device": "cpu",
}
# Keypoints kept where they were seen bring their noise with them.
METHODS = [
    PAUL(widths=[16], encoder_width=16, keep_observed=False, **SMALL),
    PAUL(widths=[16], codes="free", cycle_weight=0, keep_observed=False, **SMALL),
    AutoDecoderLifter(widths=[16], encoder_width=16, keep_observed=False, **SMALL),
    DeepNRSfMPP(k_last=2, dictionary_sizes=[8, 2], **SMALL),
    DeepNRSfM(k_last=2, dictionary_sizes=[8, 2], **SMALL),
]


@pytest.fixture(scope="module")
def data():
    return make_low_rank(96, 10, rank=2, views="smooth", clips=3, noise=0.1, random_state=0)


def test_an_objective_is_handed_the_frames_of_its_windows():
    seen = []

    def objective(index, iteration, valid):
        seen.append((index.tolist(), iteration, valid.tolist()))
        return torch.tensor(0.0)

    windows = cut_windows(7, np.repeat([0, 1], [5, 2]), window=3)
    WindowedObjective(objective, windows, "cpu")(torch.tensor([2, 0]), 4)
    assert seen == [([5, 6, 6, 0, 1, 2], 4, [[True, True, False], [True] * 3])]


def test_training_windows():
    W = np.zeros((100, 4, 2))
    observations = Observations(W, np.ones((100, 4), bool), groups=np.repeat([0, 1], 50))
    windows, batch_size = training_windows(observations, 64, name="X", temporal_weight=1.0)
    assert windows.index.shape[1] * batch_size == 64
    assert set(windows.index[windows.valid]) == set(range(100))


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
def test_it_lowers_jitter(method, data):
    def jitter(weight):
        method.set_params(temporal_weight=weight)
        shapes = method.fit(data.W, groups=data.groups).shapes_
        within = data.groups[1:] == data.groups[:-1]
        change = np.linalg.norm(np.diff(shapes, axis=0)[within], axis=(1, 2))
        return change.mean() / np.linalg.norm(shapes, axis=(1, 2)).mean()

    free, smooth = jitter(0.0), jitter(10.0)
    method.set_params(temporal_weight=0.0)
    assert smooth < 0.9 * free


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
def test_clips_of_one_frame_are_refused(method, data):
    method.set_params(temporal_weight=1.0)
    try:
        with pytest.raises(ValueError, match="every clip of groups has a single frame"):
            method.fit(data.W, groups=np.arange(96))
        assert method._nrsfm_tags().temporal
    finally:
        method.set_params(temporal_weight=0.0)
    assert not method._nrsfm_tags().temporal


def test_a_batch_must_hold_two_frames(data):
    with pytest.raises(ValueError, match="batch_size=1 has none"):
        PAUL(temporal_weight=1.0, batch_size=1, max_iter=2).fit(data.W)


def test_starts_that_train_together(data):
    model = PAUL(widths=[16], encoder_width=16, temporal_weight=0.1, **{**SMALL, "n_init": 3})
    model.fit(data.W, groups=data.groups)
    assert len(model.inits_) == 3
    assert np.isfinite(model.reconstruction_).all()
