import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nrsfm_learn.preprocessing import CenterOnVisible, center_on_visible

frames = hnp.arrays(np.float64, (4, 5, 2), elements=st.floats(-1e4, 1e4))
masks = hnp.arrays(bool, (4, 5))


@pytest.mark.parametrize("n_coordinates", [2, 3])
def test_values(n_coordinates):
    rng = np.random.default_rng(0)
    W = rng.normal(size=(7, 5, n_coordinates))
    W[1, 2] = W[4, :3] = np.nan
    before = W.copy()
    centered, centers = center_on_visible(W)
    expected = np.array([frame[~np.isnan(frame[:, 0])].mean(axis=0) for frame in W])
    np.testing.assert_allclose(centers, expected, rtol=1e-13)
    np.testing.assert_allclose(centered, W - expected[:, None], rtol=1e-13, atol=1e-15)
    np.testing.assert_array_equal(W, before)


def test_points_that_do_not_count_move_along():
    X = np.random.default_rng(0).normal(size=(7, 5, 3))
    visible = np.ones((7, 5), dtype=bool)
    visible[:, 0] = False
    centered, centers = center_on_visible(X, visible)
    np.testing.assert_allclose(centers, X[:, 1:].mean(axis=1))
    np.testing.assert_allclose(centered[:, 0], X[:, 0] - X[:, 1:].mean(axis=1))


def test_a_frame_without_points():
    W = np.ones((2, 5, 2))
    W[1] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        centered, centers = center_on_visible(W)
    np.testing.assert_array_equal(centers, [[1, 1], [np.nan, np.nan]])
    assert np.isnan(centered[1]).all()
    np.testing.assert_array_equal(centered[0], 0)


def test_single_precision_keeps_its_digits():
    # Summed in single precision, the mean of 10,000 such points is wrong in the sixth digit.
    W = np.random.default_rng(0).normal(4000.0, 1.0, size=(1, 10_000, 2)).astype(np.float32)
    _, centers = center_on_visible(W)
    assert centers.dtype == np.float32
    np.testing.assert_allclose(centers, W.astype(np.float64).mean(axis=1), rtol=1e-7)


@settings(deadline=None, max_examples=50)
@given(W=frames, mask=masks)
def test_centering_is_idempotent(W, mask):
    once = CenterOnVisible().fit_transform(W, mask)
    twice, centers = center_on_visible(once)
    np.testing.assert_allclose(np.nan_to_num(centers), 0.0, atol=1e-11)
    np.testing.assert_allclose(twice, once, atol=1e-11)


@settings(deadline=None, max_examples=50)
@given(W=frames, mask=masks, shift=hnp.arrays(np.float64, (4, 1, 2), elements=st.floats(-1e4, 1e4)))
def test_translation_is_removed(W, mask, shift):
    out = CenterOnVisible().fit_transform(W, mask)
    np.testing.assert_allclose(CenterOnVisible().fit_transform(W + shift, mask), out, atol=1e-10)


@settings(deadline=None, max_examples=25)
@given(W=frames, mask=masks)
def test_a_mask_equals_nan(W, mask):
    from_mask = center_on_visible(W, mask)
    from_nan = center_on_visible(np.where(mask[..., None], W, np.nan))
    np.testing.assert_array_equal(from_mask[1], from_nan[1])
    np.testing.assert_array_equal(from_mask[0][mask], from_nan[0][mask])


def test_there_is_no_inverse():
    assert not hasattr(CenterOnVisible(), "inverse_transform")
