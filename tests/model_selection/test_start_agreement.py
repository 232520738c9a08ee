"""Agreement between starts against SciPy's Procrustes alignments."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import procrustes
from scipy.spatial.transform import Rotation

from nrsfm_learn.model_selection import pairwise_start_error, start_agreement


def similar(X, seed, mirror=False):
    """The same shapes, each frame moved by a similarity of its own."""
    rng = np.random.default_rng(seed)
    n = len(X)
    R = Rotation.random(n, rng).as_matrix() * (-1 if mirror else 1)
    return rng.uniform(0.1, 9, (n, 1, 1)) * X @ R.swapaxes(1, 2) + rng.normal(size=(n, 1, 3))


def rotation_only(x, y):
    """Relative residual of the best similarity without reflection."""
    x, y = x - x.mean(0), y - y.mean(0)
    moved = Rotation.align_vectors(y, x)[0].apply(x)
    scale = max((moved * y).sum() / (moved * moved).sum(), 0)
    return np.linalg.norm(scale * moved - y) / np.linalg.norm(y)


@settings(deadline=None, max_examples=25)
@given(n_points=st.integers(3, 8), seed=st.integers(0, 999))
def test_against_scipy(n_points, seed):
    starts = np.random.default_rng(seed).normal(size=(3, 4, n_points, 3))
    errors = pairwise_start_error(starts)
    proper = pairwise_start_error(starts, reflect=False)
    for a in range(3):
        for b in range(3):
            pairs = list(zip(starts[a], starts[b], strict=True))
            expected = np.mean([np.sqrt(max(procrustes(x, y)[2], 0)) for x, y in pairs])
            assert errors[a, b] == pytest.approx(expected, abs=1e-7)
            expected = np.mean([rotation_only(x, y) for x, y in pairs])
            assert proper[a, b] == pytest.approx(expected, abs=1e-7)
    np.testing.assert_array_equal(errors, errors.T)
    off = [errors[0, 1], errors[0, 2], errors[1, 2]]
    assert start_agreement(starts) == pytest.approx(np.mean(off))
    assert start_agreement(list(starts), reflect=False) >= start_agreement(starts) - 1e-12


def test_similarities_agree_and_reflections_only_if_allowed():
    X = np.random.default_rng(0).normal(size=(10, 6, 3))
    assert start_agreement([X, similar(X, 1)], reflect=False) == pytest.approx(0, abs=1e-7)
    mirrored = [X, similar(X, 2, mirror=True)]
    assert start_agreement(mirrored) == pytest.approx(0, abs=1e-7)
    assert start_agreement(mirrored, reflect=False) > 0.1


def test_errors_lie_between_agreement_and_nothing_in_common():
    X = np.random.default_rng(1).normal(size=(5, 6, 3))
    collapsed = np.ones((5, 6, 3))
    np.testing.assert_allclose(pairwise_start_error([X, collapsed]), [[0, 1], [1, 0]])
    # A rod along x and a rod along another pattern of points that is orthogonal to the first.
    first, second = np.zeros((2, 1, 4, 3))
    first[0, :, 0], second[0, :, 0] = [1, -1, 0, 0], [0, 0, 1, -1]
    assert start_agreement([first, second]) == pytest.approx(1)


def test_frames_that_only_some_starts_have():
    rng = np.random.default_rng(2)
    starts = rng.normal(size=(3, 6, 5, 3))
    starts[0, 0] = np.nan
    starts[1, 1:3] = np.nan
    errors = pairwise_start_error(starts)
    assert errors[0, 1] == pytest.approx(pairwise_start_error(starts[:, 3:])[0, 1])
    assert errors[0, 2] == pytest.approx(pairwise_start_error(starts[:, 1:])[0, 2])
    starts[1] = np.nan
    errors = pairwise_start_error(starts)
    assert np.isnan(errors[1, [0, 2]]).all()
    assert start_agreement(starts) == pytest.approx(errors[0, 2])
    assert np.isnan(start_agreement(starts[:2]))


def test_errors():
    X = np.ones((4, 5, 3))
    with pytest.raises(ValueError, match="at least two starts, got 1"):
        start_agreement([X])
    with pytest.raises(ValueError, match=r"reconstructions\[1\] has \(n_frames, n_points\)"):
        start_agreement([X, X[:3]])
    with pytest.raises(ValueError, match=r"reconstructions\[0\] must have shape"):
        start_agreement(X)
