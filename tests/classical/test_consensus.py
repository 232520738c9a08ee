"""ConsensusNRSfM: recovery, processes, sizes of groups."""

import numpy as np
import pytest

from nrsfm_learn import ConsensusNRSfM
from nrsfm_learn.datasets import load_short_sequence, make_low_rank
from nrsfm_learn.metrics import normalized_error


def make_data(missing=0.0, seed=0, **options):
    options = {"n_frames": 60, "n_points": 20, "rank": 2, "clips": 1, **options}
    return make_low_rank(missing=missing, min_visible=10, random_state=seed, **options)


def make_model(**settings):
    return ConsensusNRSfM(**{"n_bases": 3, "n_groups": 8, "device": "cpu", **settings})


def error(data, X):
    return normalized_error(data.X, X, protocol="frobenius", flip="sequence")


@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_low_rank_shapes_are_recovered(missing):
    data = make_data(missing)
    model = make_model().fit(data.W)
    assert model.converged_
    assert error(data, model.reconstruction_) < (0.15 if missing else 0.1)
    seen = data.visible
    np.testing.assert_allclose(model.reconstruction_[..., :2][seen], data.W[seen], atol=1e-8)


def test_processes_change_nothing():
    data = make_data(n_frames=30)
    one = make_model(n_groups=4).fit(data.W).reconstruction_
    two = make_model(n_groups=4, n_jobs=2).fit(data.W).reconstruction_
    np.testing.assert_allclose(two, one, atol=1e-8 * np.abs(one).max())


def test_number_of_bases_is_that_of_groups():
    data = make_data(n_frames=40)
    model = make_model(n_bases="auto", group_size=8).fit(data.W)
    np.testing.assert_array_equal(model.n_bases_trials_[:, 0], [1, 2])
    with pytest.raises(ValueError, match="use at most 2"):
        make_model(group_size=8).fit(data.W)


def test_fewer_points_than_a_group():
    data = make_data(n_points=10)
    assert error(data, make_model(group_size=50).fit(data.W).reconstruction_) < 0.1


@pytest.mark.parametrize("setting", [{"group_size": 3}, {"n_groups": 0}, {"n_jobs": "x"}], ids=str)
def test_settings_out_of_range(setting):
    (name,) = setting
    with pytest.raises(ValueError, match=f"'{name}' parameter of ConsensusNRSfM"):
        make_model(**setting).fit(make_data().W)


def test_real_data(data_dir):
    data = load_short_sequence("pickup", data_home=data_dir)
    X = make_model().fit(data.W[::4]).reconstruction_
    assert normalized_error(data.X[::4], X, protocol="procrustes") < 0.12
