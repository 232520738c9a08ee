import numpy as np
import pytest

from nrsfm_learn.datasets import make_low_rank
from nrsfm_learn.diagnosis._low_rank import centre, complete, effective_rank, energies


def test_centre_uses_visible_points():
    rng = np.random.default_rng(0)
    W, visible = rng.normal(size=(6, 5, 2)), rng.uniform(size=(6, 5)) < 0.7
    centred = centre(np.where(visible[..., None], W, np.nan), visible)
    for f in range(6):
        np.testing.assert_allclose(
            centred[f, visible[f]], W[f, visible[f]] - W[f, visible[f]].mean(0)
        )
    assert (centred[~visible] == 0).all()


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_k_shapes_have_rank_3k(rank):
    W = make_low_rank(200, rank=rank, random_state=0).W
    fractions = energies(centre(W, np.ones(W.shape[:2], bool)))
    assert fractions.sum() == pytest.approx(1)
    assert effective_rank(fractions, 1 - 1e-12) == 3 * rank


def test_effective_rank_counts():
    fractions = np.array([0.9, 0.09, 0.009, 0.001])
    assert [effective_rank(fractions, e) for e in (0.5, 0.95, 0.9985, 1.5)] == [1, 2, 3, 4]


@pytest.mark.parametrize("rank", [1, 2])
def test_hidden_points_of_low_rank_data_are_found(rank):
    data = make_low_rank(200, rank=rank, missing=0.3, random_state=0)
    completed, used = complete(data.W, data.visible, np.random.RandomState(0))
    truth = data.W_complete - data.W_complete.mean(1, keepdims=True)
    assert used >= 3 * rank
    assert np.linalg.norm(completed - truth) < 0.05 * np.linalg.norm(truth)
    np.testing.assert_allclose(completed.mean(1), 0, atol=1e-12)


def test_complete_data_are_only_centred():
    W = np.random.default_rng(0).normal(size=(9, 5, 2))
    completed, used = complete(W, np.ones((9, 5), bool), np.random.RandomState(0))
    np.testing.assert_allclose(completed, W - W.mean(1, keepdims=True))
    assert used is None
