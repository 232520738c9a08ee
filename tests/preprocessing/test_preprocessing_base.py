"""What all transformers promise, checked on each of them."""

import pickle
import warnings

import numpy as np
import pytest
import sklearn
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import UNUSED

from nrsfm_learn import preprocessing
from nrsfm_learn.preprocessing import (
    CenterOnVisible,
    FlagPoorFrames,
    HideKeypoints,
    MetricScale,
    ScaleKeypoints,
    SwapMap,
    UnitFocalPlane,
    center_on_visible,
    flag_poor_frames,
    hide_keypoints,
    keypoint_scale,
    metric_scale,
    pixels_to_unit_plane,
    stack_categories,
    swap_left_right,
    unit_plane_to_pixels,
)
from nrsfm_learn.preprocessing._base import KeypointTransformer, as_points, resolve_visible

K = np.array([[1000.0, 0.5, 320.0], [0.0, 900.0, 240.0], [0.0, 0.0, 1.0]])
PAIRS = [(0, 1), (2, 4)]

IN_2D = [
    CenterOnVisible(),
    FlagPoorFrames(),
    HideKeypoints(random_state=0),
    ScaleKeypoints(),
    ScaleKeypoints("box_max"),
    ScaleKeypoints("spread"),
    SwapMap(PAIRS),
    UnitFocalPlane(K),
]
ALL = [*IN_2D, MetricScale((0, 1), 1.5), MetricScale((0, 1), 1.5, per_frame=True)]


def keypoints(n_frames=12, n_points=6, n_coordinates=2, seed=0):
    rng = np.random.default_rng(seed)
    W = rng.normal(300.0, 50.0, size=(n_frames, n_points, n_coordinates))
    mask = rng.random((n_frames, n_points)) > 0.2
    mask[:, :4] = True
    return W, mask


def data_for(transformer, **kwargs):
    return keypoints(n_coordinates=3 if isinstance(transformer, MetricScale) else 2, **kwargs)


class Recorder(BaseEstimator):
    """A last step that keeps what it is given."""

    __metadata_request__fit = {"W": UNUSED, "mask": True}  # noqa: RUF012
    __metadata_request__score = {"W": UNUSED, "mask": True}  # noqa: RUF012

    def __init__(self, offset=0.0):
        self.offset = offset

    def fit(self, W, y=None, mask=None):
        self.W_, self.y_, self.mask_ = W, y, mask
        return self

    def predict(self, W):
        return W + self.offset

    def score(self, W, y=None, mask=None, sample_weight=None):
        return -float(np.nanmean(np.abs(W))) - self.offset


def test_all_exported_transformers_are_checked_here():
    exported = {getattr(preprocessing, name) for name in preprocessing.__all__ if name[0].isupper()}
    exported.remove(preprocessing.CategoryLayout)
    assert exported == {type(transformer) for transformer in ALL}
    assert all(issubclass(transformer, KeypointTransformer) for transformer in exported)


@pytest.mark.parametrize("transformer", ALL, ids=repr)
def test_clone_and_parameters(transformer):
    copy = clone(transformer)
    assert copy is not transformer
    assert repr(copy) == repr(transformer)
    assert set(vars(copy)) == set(copy.get_params())
    for name, value in copy.get_params().items():
        np.testing.assert_array_equal(value, transformer.get_params()[name])
        assert copy.set_params(**{name: value}) is copy


@pytest.mark.parametrize("transformer", ALL, ids=repr)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_shape_dtype_and_untouched_input(transformer, dtype):
    W, mask = data_for(transformer)
    W = W.astype(dtype)
    before, mask_before = W.copy(), mask.copy()
    W.setflags(write=False)
    fitted = clone(transformer)
    assert fitted.fit(W, mask=mask) is fitted
    assert fitted.n_points_in_ == 6
    for out in (fitted.transform(W), fitted.transform(W, mask), fitted.fit_transform(W, mask)):
        assert out.shape == W.shape
        assert out.dtype == np.dtype(dtype)
        assert not np.shares_memory(out, W)
    np.testing.assert_array_equal(W, before)
    np.testing.assert_array_equal(mask, mask_before)


@pytest.mark.parametrize("transformer", IN_2D, ids=repr)
def test_hidden_points_come_out_as_nan_and_only_they(transformer):
    W, mask = keypoints()
    out = clone(transformer).fit_transform(W, mask)
    if isinstance(transformer, SwapMap):
        mask = mask[:, [1, 0, 4, 3, 2, 5]]
    assert np.isnan(out[~mask]).all()
    if not isinstance(transformer, HideKeypoints):
        assert np.isfinite(out[mask]).all()


@pytest.mark.parametrize("transformer", IN_2D, ids=repr)
def test_all_ways_of_saying_what_is_missing_agree(transformer):
    W, mask = keypoints()
    with_nan = np.where(mask[..., None], W, np.nan)
    rubbish = np.where(mask[..., None], W, np.inf)
    expected = clone(transformer).fit(with_nan).transform(with_nan)
    for W_given, y, given in (
        (with_nan, None, None),
        (rubbish, mask, None),
        (rubbish, None, mask),
        (with_nan, mask, mask),
        (with_nan, np.ones((12, 6, 3)), None),
    ):
        out = clone(transformer).fit_transform(W_given, y, mask=given)
        np.testing.assert_array_equal(out, expected)
        both = mask if y is None or y.ndim == 3 else y
        fitted = clone(transformer).fit(W_given, y, mask=given)
        np.testing.assert_array_equal(fitted.transform(W_given, mask=both), expected)


@pytest.mark.parametrize("transformer", ALL, ids=repr)
def test_lists_and_tensors(transformer):
    W, _ = data_for(transformer)
    fitted = clone(transformer).fit(W)
    expected = fitted.transform(W)
    np.testing.assert_array_equal(fitted.transform(W.tolist()), expected)
    np.testing.assert_array_equal(fitted.transform(torch.tensor(W)), expected)


@pytest.mark.parametrize("transformer", ALL, ids=repr)
def test_pickle(transformer):
    W, _ = data_for(transformer)
    fitted = clone(transformer).fit(W)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.transform(W), fitted.transform(W))


# Not HideKeypoints, whose draws depend on all frames before.
@pytest.mark.parametrize("transformer", [t for t in ALL if type(t) is not HideKeypoints], ids=repr)
def test_an_empty_frame_stays_empty_and_disturbs_no_other(transformer):
    W, _ = data_for(transformer)
    fitted = clone(transformer).fit(W)
    expected = fitted.transform(W)
    W[3] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("error", RuntimeWarning)
        out = fitted.transform(W)
    assert np.isnan(out[3]).all()
    others = np.arange(12) != 3
    np.testing.assert_array_equal(out[others], expected[others])


@pytest.mark.parametrize("transformer", ALL, ids=repr)
def test_refuses_before_fit_and_another_number_of_points(transformer):
    W, _ = data_for(transformer)
    with pytest.raises(NotFittedError):
        clone(transformer).transform(W)
    fitted = clone(transformer).fit(W)
    who = type(transformer).__name__
    with pytest.raises(ValueError, match=rf"has 5 points, but {who} is expecting 6 points"):
        fitted.transform(W[:, :5])


@pytest.mark.parametrize("transformer", IN_2D, ids=repr)
def test_refuses_malformed_input(transformer):
    W, mask = keypoints()
    transformer = clone(transformer)
    with pytest.raises(ValueError, match=r"W must have shape .*\(12, 12\).*W\.reshape"):
        transformer.fit(W.reshape(12, 12))
    with pytest.raises(TypeError, match=r"mask must be boolean.*mask\.astype\(bool\)"):
        transformer.fit(W, mask=mask.astype(int))
    with pytest.raises(TypeError, match=r"y has dtype int64.*y\.astype\(bool\)"):
        transformer.fit_transform(W, mask.astype(int))
    transformer.fit(W)
    with pytest.raises(ValueError, match=r"mask must have shape .*\(12, 6\), got \(6, 12\).*\.T"):
        transformer.transform(W, mask.T)
    W[4, 2, 1] = np.nan
    with pytest.raises(ValueError, match="W is NaN in y only at frame 4, point 2"):
        transformer.transform(W)
    W[4, 2, 1] = np.inf
    with pytest.raises(ValueError, match="W is infinite at frame 4, point 2"):
        transformer.fit_transform(W)


@pytest.mark.parametrize("transformer", ALL, ids=repr)
def test_tags_and_output_wrapping(transformer):
    tags = get_tags(transformer)
    assert tags.input_tags.allow_nan
    assert tags.input_tags.three_d_array
    assert not tags.input_tags.two_d_array
    assert not tags.target_tags.required
    # A data frame has no third axis; the global setting must not reach the transformers.
    W, _ = data_for(transformer)
    assert not hasattr(transformer, "set_output")
    with sklearn.config_context(transform_output="pandas"):
        assert type(clone(transformer).fit_transform(W)) is np.ndarray


# ---------------------------------------------------------------------------------------------
# In pipelines


def steps():
    return [
        ("center", CenterOnVisible()),
        ("scale", ScaleKeypoints()),
        ("flag", FlagPoorFrames()),
        ("last", Recorder()),
    ]


def expected_by_hand(W, mask):
    W = np.where(mask[..., None], W, np.nan)
    W = W - np.nanmean(W, axis=1, keepdims=True)
    spread = np.sqrt(np.nansum(W**2, axis=(1, 2)) / mask.sum(axis=1))
    return W / spread.mean()


def test_pipeline_with_nan():
    W, mask = keypoints()
    with_nan = np.where(mask[..., None], W, np.nan)
    pipeline = Pipeline(steps()).fit(with_nan)
    np.testing.assert_allclose(pipeline["last"].W_, expected_by_hand(W, mask), rtol=1e-12)
    assert pipeline["last"].y_ is None
    np.testing.assert_allclose(pipeline.predict(with_nan), expected_by_hand(W, mask), rtol=1e-12)


def test_pipeline_with_the_mask_as_y():
    W, mask = keypoints()
    pipeline = Pipeline(steps()).fit(np.where(mask[..., None], W, 1e9), mask)
    np.testing.assert_allclose(pipeline["last"].W_, expected_by_hand(W, mask), rtol=1e-12)
    assert pipeline["last"].y_ is mask
    assert pipeline["last"].mask_ is None


def test_pipeline_with_a_routed_mask():
    W, mask = keypoints()
    spoilt = np.where(mask[..., None], W, 1e9)
    with sklearn.config_context(enable_metadata_routing=True):
        pipeline = Pipeline(steps()).fit(spoilt, mask=mask)
        np.testing.assert_allclose(pipeline["last"].W_, expected_by_hand(W, mask), rtol=1e-12)
        assert pipeline["last"].mask_ is mask
        score = pipeline.score(spoilt, mask=mask)
        assert score == pytest.approx(-np.nanmean(np.abs(expected_by_hand(W, mask))))
        out = pipeline[:-1].transform(spoilt, mask=mask)
    np.testing.assert_allclose(out, expected_by_hand(W, mask), rtol=1e-12)


def test_pipeline_of_all_takes_both_forms():
    W, mask = keypoints()
    with_nan = np.where(mask[..., None], W, np.nan)
    pipeline = make_pipeline(
        UnitFocalPlane(K),
        FlagPoorFrames(min_visible=2),
        HideKeypoints(0.2, random_state=0),
        CenterOnVisible(),
        ScaleKeypoints("box_max"),
        SwapMap(PAIRS),
    )
    from_nan = pipeline.fit_transform(with_nan)
    np.testing.assert_array_equal(clone(pipeline).fit_transform(W, mask), from_nan)
    np.testing.assert_array_equal(pipeline.transform(with_nan), from_nan)
    assert np.isnan(from_nan).all(axis=2).sum() > (~mask).sum()


def test_grid_search_over_a_step():
    W, mask = keypoints(24)
    with_nan = np.where(mask[..., None], W, np.nan)
    grid = {"scale__method": ["dataset", "box_max"], "last__offset": [0.0, 1.0]}
    for data in ((with_nan,), (with_nan, mask)):
        search = GridSearchCV(Pipeline(steps()), grid, cv=3, error_score="raise").fit(*data)
        assert search.best_params_ == {"last__offset": 0.0, "scale__method": "box_max"}
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_resolve_visible():
    W, mask = keypoints()
    W[2, 5] = np.nan
    np.testing.assert_array_equal(resolve_visible(W), ~np.isnan(W[..., 0]))
    expected = mask.copy()
    expected[2, 5] = False
    np.testing.assert_array_equal(resolve_visible(W, mask), expected)
    assert not np.shares_memory(resolve_visible(W, mask), mask)
    with pytest.raises(TypeError, match=r"visible must be boolean.*visible > threshold"):
        resolve_visible(W, mask.astype(float))
    with pytest.raises(ValueError, match=r"visible must have .*\(12, 6\), got \(6,\)"):
        resolve_visible(W, mask[0])


def test_as_points():
    W, _ = keypoints()
    assert as_points(W) is W
    assert as_points(W.astype(np.float32)).dtype == np.float32
    assert as_points(W.astype(np.float16)).dtype == np.float32
    assert as_points(W.astype(int)).dtype == np.float64
    assert as_points(W.tolist(), 2).shape == W.shape
    with pytest.raises(TypeError, match="W has dtype"):
        as_points(W.astype(str))
    with pytest.raises(TypeError, match=r"X is a numpy masked array.*X\.filled"):
        as_points(np.ma.masked_array(W), name="X")


FUNCTIONS = {
    "center_on_visible": (2, lambda W: center_on_visible(W)[0]),
    "flag_poor_frames": (2, lambda W: flag_poor_frames(W)[0]),
    "keypoint_scale": (2, keypoint_scale),
    "metric_scale": (3, lambda X: metric_scale(X, (0, 1), 1.0)),
    "pixels_to_unit_plane": (2, lambda W: pixels_to_unit_plane(W, K)),
    "stack_categories": (2, lambda W: stack_categories({"only": W}).W),
    "swap_left_right": (2, lambda W: swap_left_right(W, PAIRS)),
    "unit_plane_to_pixels": (2, lambda W: unit_plane_to_pixels(W, K)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_take_integers_and_refuse_other_axes(name):
    n_coordinates, function = FUNCTIONS[name]
    W = keypoints(n_coordinates=n_coordinates)[0].astype(int)
    # Integers must not be truncated on the way, as they would be by assignment to their like.
    np.testing.assert_array_equal(function(W), function(W.astype(float)))
    np.testing.assert_array_equal(function(W.tolist()), function(W.astype(float)))
    with pytest.raises(ValueError, match=r" must have shape \(n_frames, n_points, "):
        function(W.swapaxes(1, 2))
    with pytest.raises(ValueError, match=r" must have shape \(n_frames, n_points, "):
        function(W[0])


def test_every_function_is_checked_here():
    names = {name for name in preprocessing.__all__ if name[0].islower()}
    others = {"hide_keypoints", "split_categories", "split_clips", "stack_clips"}
    assert names == {*FUNCTIONS, *others, "swap_permutation"}


def test_a_choice_to_hide_is_a_mask():
    W, mask = keypoints()
    hidden = hide_keypoints(mask, 0.2, 0)
    out = center_on_visible(W, mask & ~hidden)[0]
    spoilt = np.where(hidden[..., None], 1e6, W)
    seen = mask & ~hidden
    np.testing.assert_array_equal(center_on_visible(spoilt, seen)[0][seen], out[seen])
