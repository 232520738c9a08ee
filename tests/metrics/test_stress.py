import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from scipy.stats import ortho_group

from nrsfm_learn.metrics import stress


def test_hand_computed():
    X = np.array([[[0.0, 0, 0], [3, 4, 0], [0, 0, 1]]])  # distances 5, 1, sqrt(26)
    Y = np.array([[[0.0, 0, 0], [2, 0, 0], [0, 2, 0]]])  # distances 2, 2, sqrt(8)
    assert stress(X, Y) == pytest.approx((3 + 1 + np.sqrt(26) - np.sqrt(8)) / 3)


@given(seed=st.integers(0, 10_000))
@settings(deadline=None, max_examples=30)
def test_against_scipy_and_invariance(seed):
    rng = np.random.default_rng(seed)
    X, Y = rng.normal(size=(2, 4, 9, 3))
    mask = rng.random((4, 9)) < 0.7
    mask[:, :2] = True
    expected = [
        np.abs(pdist(x[m]) - pdist(y[m])).mean() for x, y, m in zip(X, Y, mask, strict=True)
    ]
    each = stress(X, Y, mask=mask, reduction="none")
    np.testing.assert_allclose(each, expected, rtol=1e-12)
    Q = ortho_group.rvs(3, size=4, random_state=seed)
    moved = Y @ Q + rng.normal(size=(4, 1, 3))
    assert stress(X, moved, mask=mask) == pytest.approx(np.mean(expected), rel=1e-10)
