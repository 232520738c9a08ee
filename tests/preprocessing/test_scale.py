import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.utils._param_validation import InvalidParameterError

from nrsfm_learn.preprocessing import ScaleKeypoints, keypoint_scale

METHODS = ["dataset", "box_max", "box_min", "spread"]


def data(seed=0):
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(9, 6, 2)) * (5.0, 2.0) + (100.0, -40.0)
    visible = rng.random((9, 6)) > 0.25
    visible[:, :3] = True
    return np.where(visible[..., None], W, np.nan), visible


def by_hand(W, method):
    scales = []
    for frame in W:
        seen = frame[~np.isnan(frame[:, 0])]
        edges = seen.max(axis=0) - seen.min(axis=0)
        if method == "box_max":
            scales.append(edges.max())
        elif method == "box_min":
            scales.append(edges.min())
        else:
            scales.append(np.sqrt(seen.var(axis=0).sum()))
    return np.mean(scales) if method == "dataset" else np.array(scales)


@pytest.mark.parametrize("method", METHODS)
def test_values(method):
    W, visible = data()
    np.testing.assert_allclose(keypoint_scale(W, method=method), by_hand(W, method), rtol=1e-12)
    spoilt = np.where(visible[..., None], W, 1e6)
    np.testing.assert_array_equal(
        keypoint_scale(spoilt, visible, method), keypoint_scale(W, method=method)
    )


def test_three_dimensions():
    X = np.random.default_rng(0).normal(size=(9, 6, 3))
    for method in METHODS:
        np.testing.assert_allclose(keypoint_scale(X, method=method), by_hand(X, method))


@settings(deadline=None, max_examples=25)
@given(method=st.sampled_from(METHODS), factor=st.floats(1e-3, 1e3), shift=st.floats(-1e3, 1e3))
def test_scale_follows_size_and_ignores_place(method, factor, shift):
    W, _ = data()
    np.testing.assert_allclose(
        keypoint_scale(factor * W + shift, method=method),
        factor * keypoint_scale(W, method=method),
        rtol=1e-7,
    )


def test_detector_boxes():
    W, _ = data()
    boxes = np.tile([10.0, 20.0, 14.0, 27.0], (9, 1))
    np.testing.assert_array_equal(keypoint_scale(W, None, "box_max", boxes), np.full(9, 7.0))
    np.testing.assert_array_equal(keypoint_scale(W, None, "box_min", boxes), np.full(9, 4.0))
    with pytest.raises(ValueError, match=r"boxes have no use for method='spread'.*boxes=None"):
        keypoint_scale(W, None, "spread", boxes)
    boxes[4, 2] = 0.0
    with pytest.raises(ValueError, match=r"x1 > x0 .* frame 4"):
        keypoint_scale(W, None, "box_max", boxes)


def test_frames_that_show_nothing_or_one_point():
    W, _ = data()
    expected = keypoint_scale(W[2:], method="dataset")
    W[0] = np.nan
    W[1, 1:] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert keypoint_scale(W) == pytest.approx(expected, rel=1e-14)
        for method in METHODS[1:]:
            scale = keypoint_scale(W, method=method)
            assert np.isnan(scale[0])
            assert scale[1] == 0.0
            assert (scale[2:] > 0).all()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("method", METHODS[1:])
def test_rounding_is_no_extent(method, dtype):
    # The mean of many equal numbers seldom equals them.
    W = np.tile(np.random.default_rng(0).normal(size=(50, 1, 2)), (1, 11, 1)).astype(dtype)
    W[:, ::2] *= 1 + np.finfo(dtype).eps
    np.testing.assert_array_equal(keypoint_scale(W, method=method), 0.0)
    W[:, 0] += 1e-4
    assert (keypoint_scale(W, method=method) > 1e-5).all()


def test_refuses_data_without_extent_and_unknown_methods():
    with pytest.raises(ValueError, match=r"W has no extent.*mask what is visible"):
        keypoint_scale(np.ones((4, 5, 2)))
    with pytest.raises(ValueError, match="W has no extent"):
        ScaleKeypoints().fit(np.full((4, 5, 2), np.nan))
    with pytest.raises(ValueError, match=r"method must be one of .*'box_max'.*got 'max'"):
        keypoint_scale(np.ones((4, 5, 2)), method="max")
    with pytest.raises(InvalidParameterError, match=r"'method' parameter of ScaleKeypoints"):
        ScaleKeypoints("max").fit(np.ones((4, 5, 2)))


def test_one_scale_for_all_data_is_that_of_fit():
    W, _ = data()
    transformer = ScaleKeypoints().fit(W)
    assert transformer.scale_ == pytest.approx(by_hand(W, "dataset"))
    np.testing.assert_allclose(transformer.transform(3 * W), 3 * W / transformer.scale_)


@pytest.mark.parametrize("method", METHODS[1:])
def test_each_frame_gets_unit_size(method):
    W, _ = data()
    transformer = ScaleKeypoints(method)
    out = transformer.fit_transform(W)
    np.testing.assert_allclose(keypoint_scale(out, method=method), 1.0)
    np.testing.assert_allclose(clone(transformer).fit_transform(7.0 * W), out, rtol=1e-12)
    assert not hasattr(transformer, "scale_")


def test_frames_without_extent_are_lost_with_one_warning():
    W, _ = data()
    W[2] = (5.0, 5.0)
    W[6] = np.arange(12.0).reshape(6, 2) * (1.0, 0.0)
    with pytest.warns(UserWarning, match=r"ScaleKeypoints: 2 of 9 frame\(s\).*\[2, 6\]") as caught:
        out = ScaleKeypoints("box_min").fit_transform(W)
    assert len(caught) == 1
    np.testing.assert_array_equal(np.isnan(out).all(axis=(1, 2)), np.isin(range(9), [2, 6]))


def test_inverse_brings_back_keypoints_and_shapes():
    W, _ = data()
    transformer = ScaleKeypoints().fit(W)
    scaled = transformer.transform(W)
    kept = scaled.copy()
    np.testing.assert_allclose(transformer.inverse_transform(scaled), W, rtol=1e-14)
    np.testing.assert_array_equal(scaled, kept)
    X = np.random.default_rng(1).normal(size=(4, 6, 3))
    np.testing.assert_allclose(transformer.inverse_transform(X), X * transformer.scale_)
    with pytest.raises(ValueError, match="5 points, but ScaleKeypoints is expecting 6"):
        transformer.inverse_transform(X[:, :5])
    assert not hasattr(ScaleKeypoints("box_max"), "inverse_transform")
