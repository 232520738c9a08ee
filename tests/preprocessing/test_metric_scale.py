import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.pipeline import make_pipeline
from sklearn.utils._param_validation import InvalidParameterError

from nrsfm_learn.preprocessing import MetricScale, metric_scale


@pytest.fixture
def X():
    return np.random.default_rng(0).normal(size=(9, 6, 3))


def edge_lengths(X, i, j):
    return np.sqrt(((X[:, i] - X[:, j]) ** 2).sum(axis=-1))


def test_the_median_edge_gets_its_length(X):
    transformer = MetricScale((1, 4), 0.42)
    out = transformer.fit_transform(X)
    assert np.median(edge_lengths(out, 1, 4)) == pytest.approx(0.42)
    np.testing.assert_allclose(out, X * transformer.scale_)
    assert transformer.scale_ == pytest.approx(0.42 / np.median(edge_lengths(X, 1, 4)))
    np.testing.assert_allclose(transformer.transform(2 * X), 2 * out)
    np.testing.assert_allclose(transformer.inverse_transform(out), X)


def test_each_edge_gets_its_length(X):
    X[3, 0] = np.nan
    transformer = MetricScale((1, 4), 0.42, per_frame=True)
    out = transformer.fit_transform(X)
    np.testing.assert_allclose(edge_lengths(out, 1, 4), 0.42)
    assert np.isnan(out[3, 0]).all()
    assert np.isfinite(out[3, 1:]).all()
    factor = metric_scale(X, (1, 4), 0.42, per_frame=True)
    np.testing.assert_allclose(out, X * factor[:, None, None])
    assert not hasattr(transformer, "scale_")
    assert not hasattr(transformer, "inverse_transform")


@settings(deadline=None, max_examples=25)
@given(factor=st.floats(1e-3, 1e3), per_frame=st.booleans())
def test_the_units_that_came_in_do_not_matter(factor, per_frame):
    X = np.random.default_rng(0).normal(size=(9, 6, 3))
    transformer = MetricScale((0, 5), 2.0, per_frame=per_frame)
    expected = transformer.fit_transform(X)
    np.testing.assert_allclose(transformer.fit_transform(factor * X), expected, rtol=1e-10)


def test_frames_without_the_edge_do_not_count(X):
    expected = metric_scale(X[2:], (1, 4), 1.0)
    X[0, 1] = X[1, 4] = np.nan
    assert metric_scale(X, (1, 4), 1.0) == pytest.approx(expected, rel=1e-14)


def test_a_mask_chooses_frames_and_hides_nothing(X):
    mask = np.ones((9, 6), dtype=bool)
    mask[:4, 1] = False
    mask[:, 0] = False
    for out in (
        MetricScale((1, 4), 1.0).fit_transform(X, mask),
        MetricScale((1, 4), 1.0).fit(X, mask=mask).transform(X),
        make_pipeline(MetricScale((1, 4), 1.0)).fit_transform(X, mask),
    ):
        np.testing.assert_allclose(out, X / np.median(edge_lengths(X[4:], 1, 4)))


def test_frames_lost_with_one_warning(X):
    X[2, 4] = np.nan
    X[7, 4] = X[7, 1]
    transformer = MetricScale((1, 4), 1.0, per_frame=True)
    with pytest.warns(UserWarning, match=r"MetricScale: 2 of 9 frame\(s\).*\[2, 7\]") as caught:
        out = transformer.fit_transform(X)
    assert len(caught) == 1
    np.testing.assert_array_equal(np.isnan(out).all(axis=(1, 2)), np.isin(range(9), [2, 7]))


@pytest.mark.parametrize(
    "edge", [(1, 1), (0, 6), (-1, 2), (0, 1, 2), (0.0, 1.0), [[0, 1]], (True, False)]
)
@pytest.mark.parametrize("per_frame", [False, True])
def test_refuses_edges(X, edge, per_frame):
    with pytest.raises(ValueError, match=r"edge must be the indices of two .* 0 to 5, got"):
        MetricScale(edge, 1.0, per_frame).fit(X)


def test_refuses_an_edge_without_length(X):
    for spoil in (np.nan, 1.0):
        X[:, [1, 4]] = spoil
        with pytest.raises(ValueError, match=r"edge \(1, 4\) has no length.*Choose another"):
            MetricScale((1, 4), 1.0).fit(X)
    with pytest.raises(ValueError, match=r"edge \(0, 2\) has no length"):
        MetricScale((0, 2), 1.0).fit(X, np.zeros((9, 6), dtype=bool))


def test_refuses_lengths_and_keypoints(X):
    for length in (0, -1.0, "1 m"):
        with pytest.raises(InvalidParameterError, match="'length' parameter of MetricScale"):
            MetricScale((0, 1), length).fit(X)
    with pytest.raises(ValueError, match=r"X must have .*\(n_frames, n_points, 3\), got \(9, 6, 2"):
        MetricScale((0, 1), 1.0).fit(X[..., :2])
    with pytest.raises(ValueError, match=r"mask must have shape .*got \(6, 9\).*mask\.T"):
        MetricScale((0, 1), 1.0).fit(X, mask=np.ones((6, 9), dtype=bool))
