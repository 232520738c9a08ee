import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrsfm_learn.metrics import auc, mpjpe, pck

# Distances after centring: 1, 1, 0, 0, then 0 everywhere.
X = np.zeros((2, 4, 3))
X[:, 2], X[:, 3] = [5, 0, 0], [-5, 0, 0]
Y = X.copy()
Y[0, 0, 2], Y[0, 1, 2] = 1, -1


def test_hand_computed():
    assert pck(X, Y, threshold=0.99, protocol="mpjpe") == 0.75
    assert pck(X, Y, threshold=1.0, protocol="mpjpe") == 1.0
    assert pck(X, Y, threshold=0.99, protocol="mpjpe", reduction="none").tolist() == [0.5, 1.0]
    # Zero below 1, so half of the first frame's curve lies at 2/4 and half at 4/4.
    assert auc(X, Y, threshold=2.0, protocol="mpjpe") == pytest.approx((0.75 + 1.0) / 2)
    mask = np.ones((2, 4), bool)
    mask[0, :2] = False
    assert pck(X, Y, threshold=0.5, protocol="mpjpe", mask=mask) == 1.0


@given(seed=st.integers(0, 10_000))
@settings(deadline=None, max_examples=25)
def test_auc_is_the_integral_of_pck(seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(3, 6, 3))
    Y = X + rng.normal(size=X.shape) * [1, 1, -1]
    options = {"protocol": ["mpjpe", "n_mpjpe", "pa_mpjpe"][seed % 3], "flip": "frame"}
    # The midpoint rule errs by at most one step of the grid for each of the jumps.
    grid = (np.arange(400) + 0.5) / 400 * 1.5
    curve = [pck(X, Y, threshold=t, **options) for t in grid]
    assert np.all(np.diff(curve) >= 0)
    assert auc(X, Y, threshold=1.5, **options) == pytest.approx(np.mean(curve), abs=2e-3)


def test_auc_with_a_far_threshold_is_linear_in_mpjpe():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(2, 4, 7, 3))
    options = {"align": "root", "root": 2}
    expected = 1 - mpjpe(X, Y, **options) / 50
    value = auc(X, Y, threshold=50, protocol="mpjpe", **options)
    assert value == pytest.approx(expected)


def test_options_are_checked():
    for metric in (pck, auc):
        with pytest.raises(TypeError, match="protocol"):
            metric(X, Y, threshold=1.0)
        with pytest.raises(ValueError, match=r"threshold=-1\.0 must be a positive length"):
            metric(X, Y, threshold=-1, protocol="mpjpe")
        with pytest.raises(ValueError, match="protocol='stress' is not known"):
            metric(X, Y, threshold=1, protocol="stress")
