import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes
from scipy.stats import ortho_group

from nrsfm_learn.metrics import normalized_error

MIRROR = np.array([1.0, 1.0, -1.0])


def draw(seed, n_frames=5, n_points=8):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_frames, n_points, 3))
    Y = X * np.where(rng.random((n_frames, 1, 1)) < 0.5, MIRROR, 1.0)
    mask = rng.random((n_frames, n_points)) < 0.8
    mask[:, :4] = True
    return X, Y + 0.4 * rng.normal(size=X.shape), mask, rng


def test_hand_computed():
    X = np.array([[[0.0, 0, 1], [0, 0, -1]]])
    Y = np.array([[[0.0, 0, -3], [0, 0, 3]]])
    assert normalized_error(X, Y, protocol="frobenius") == pytest.approx(4.0)
    assert normalized_error(X, Y, protocol="frobenius", flip="frame") == pytest.approx(2.0)
    assert normalized_error(X, Y, protocol="procrustes") == pytest.approx(0.0, abs=1e-12)
    # At right angles and of equal length the ratio is sqrt(2).
    Y = np.array([[[1.0, 0, 0], [-1, 0, 0]]])
    assert normalized_error(X, Y, protocol="frobenius") == pytest.approx(np.sqrt(2))


@given(seed=st.integers(0, 10_000))
@settings(deadline=None, max_examples=30)
def test_frobenius_against_loops(seed):
    X, Y, mask, _ = draw(seed)
    ratio = np.empty((2, len(X)))
    for f, m in enumerate(mask):
        g, p = X[f, m] - X[f, m].mean(0), Y[f, m] - Y[f, m].mean(0)
        ratio[:, f] = [np.sqrt(((p * s - g) ** 2).sum() / (g**2).sum()) for s in (1, MIRROR)]
    for flip, expected in (
        ("none", ratio[0].mean()),
        ("frame", ratio.min(0).mean()),
        ("sequence", ratio.mean(1).min()),
    ):
        value = normalized_error(X, Y, protocol="frobenius", mask=mask, flip=flip)
        assert value == pytest.approx(expected, abs=1e-12)


@given(seed=st.integers(0, 10_000))
@settings(deadline=None, max_examples=30)
def test_procrustes_against_scipy_and_invariance(seed):
    X, Y, mask, rng = draw(seed)
    expected = []
    for f, m in enumerate(mask):
        g, p = X[f, m] - X[f, m].mean(0), Y[f, m] - Y[f, m].mean(0)
        p *= np.linalg.norm(g) / np.linalg.norm(p)
        Q, _ = orthogonal_procrustes(p, g)
        expected.append(np.linalg.norm(p @ Q - g) / np.linalg.norm(g))
    each = normalized_error(X, Y, protocol="procrustes", mask=mask, reduction="none")
    np.testing.assert_allclose(each, expected, atol=1e-10)
    Q = ortho_group.rvs(3, size=len(X), random_state=seed)
    moved = rng.uniform(0.1, 9, (len(X), 1, 1)) * Y @ Q + rng.normal(size=(len(X), 1, 3))
    value = normalized_error(X, moved, protocol="procrustes", mask=mask)
    assert value == pytest.approx(np.mean(expected), abs=1e-10)


def test_collapsed_prediction_has_error_one():
    X, _, _, _ = draw(0)
    for protocol in ("frobenius", "procrustes"):
        assert normalized_error(X, np.zeros_like(X), protocol=protocol) == pytest.approx(1.0)


def test_protocol_is_never_implied_and_options_are_checked():
    X, Y, _, _ = draw(0)
    with pytest.raises(TypeError, match="protocol"):
        normalized_error(X, Y)
    with pytest.raises(ValueError, match="protocol='kong' is not known"):
        normalized_error(X, Y, protocol="kong")
    with pytest.raises(ValueError, match="allows reflections"):
        normalized_error(X, Y, protocol="procrustes", flip="frame")


def test_truth_without_extent_is_located():
    X, Y, _, _ = draw(0)
    X[3], Y[1] = 1.0, np.nan
    with pytest.raises(ValueError, match=r"X_true .* in frame 3"):
        normalized_error(X, Y, protocol="frobenius")
