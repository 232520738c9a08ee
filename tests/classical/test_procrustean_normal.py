"""ProcrusteanNormal: recovery, starts, missing keypoints, scales, unseen frames."""

import numpy as np
import pytest

from nrsfm_learn import ProcrusteanNormal
from nrsfm_learn.datasets import load_short_sequence, make_low_rank
from nrsfm_learn.metrics import normalized_error

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def make_data(missing=0.0, seed=0, **options):
    options = {"n_frames": 60, "n_points": 12, "rank": 3, "clips": 1, **options}
    return make_low_rank(missing=missing, min_visible=6, random_state=seed, **options)


def make_model(**settings):
    settings = {"init": "nuclear_norm", "max_iter": 60, "device": "cpu", **settings}
    return ProcrusteanNormal(**settings)


def error(data, X):
    return normalized_error(data.X, X, protocol="frobenius", flip="sequence")


@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_low_rank_shapes_are_recovered(missing):
    data = make_data(missing)
    assert error(data, make_model().fit(data.W).reconstruction_) < (0.06 if missing else 0.03)


@pytest.mark.parametrize("init", ["auto", "low_rank", "rigid"])
def test_starts(init):
    data = make_data()
    model = make_model(init=init, max_iter=30).fit(data.W)
    assert np.isfinite(model.reconstruction_).all()
    if init == "auto":
        assert error(data, model.reconstruction_) < 0.1


def test_number_of_bases():
    data = make_data(n_frames=40, n_points=8)
    model = make_model(n_bases="auto", max_iter=10).fit(data.W)
    assert model.n_bases_ in model.n_bases_trials_[:, 0]
    assert make_model(max_iter=5).fit(data.W).n_bases_ == 3 * 8 - 6
    with pytest.raises(ValueError, match="use at most 18"):
        make_model(n_bases=19).fit(data.W)


def test_unseen_frames_are_lifted_by_the_distribution():
    data = make_data(n_frames=100)
    model = make_model().fit(data.W[:80])
    X = model.transform(data.W[80:])
    assert normalized_error(data.X[80:], X, protocol="procrustes") < 0.05
    spread = model.codes_.std(0)
    assert (spread < 1.5).all()


def test_weak_perspective():
    data = make_data(n_frames=80, n_points=20, rank=2)
    scales = np.exp(0.2 * np.sin(np.arange(80)))
    model = make_model(camera="weak_perspective").fit(data.W * scales[:, None, None])
    assert np.corrcoef(model.scales_, scales)[0, 1] > 0.9


@pytest.mark.parametrize(
    "setting", [{"least_noise": 0.0}, {"init": "zero"}, {"camera": "x"}], ids=str
)
def test_settings_out_of_range(setting):
    (name,) = setting
    with pytest.raises(ValueError, match=f"'{name}' parameter of ProcrusteanNormal"):
        make_model(**setting).fit(make_data().W)


def test_real_data(data_dir):
    data = load_short_sequence("pickup", data_home=data_dir)
    model = make_model(max_iter=30).fit(data.W[::4])
    assert normalized_error(data.X[::4], model.reconstruction_, protocol="procrustes") < 0.05
