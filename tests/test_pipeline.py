"""Deep NRSfM++ among scikit-learn's tools: pipelines, searches, cross-validation."""

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    TimeSeriesSplit,
    cross_val_predict,
    cross_validate,
)
from sklearn.pipeline import make_pipeline

from nrsfm_learn import DeepNRSfMPP
from nrsfm_learn.metrics import get_scorer
from nrsfm_learn.preprocessing import CenterOnVisible, HideKeypoints, ScaleKeypoints
from nrsfm_learn.testing._example import example

QUICK = {"preset": "quick", "max_iter": 4, "batch_size": 16, "random_state": 0, "device": "cpu"}


@pytest.fixture(scope="module")
def data():
    return example(DeepNRSfMPP(), n_frames=30)


@pytest.fixture(scope="module")
def truth(data):
    return np.random.default_rng(0).normal(size=(*data.visible.shape, 3))


def model(**params):
    return DeepNRSfMPP(k_last=2, dictionary_sizes=[8, 2], **QUICK).set_params(**params)


def test_a_pipeline_takes_nan_and_a_mask_alike(data):
    pipeline = make_pipeline(CenterOnVisible(), ScaleKeypoints(), model())
    by_nan = clone(pipeline).fit(data.hidden)
    by_mask = clone(pipeline).fit(data.W, data.visible)
    X = by_nan.transform(data.hidden)
    assert X.shape == (30, 8, 3)
    np.testing.assert_array_equal(by_mask.transform(data.hidden), X)
    np.testing.assert_array_equal(clone(pipeline).fit_transform(data.W, data.visible), X)
    assert by_nan.score(data.hidden) == by_mask.score(data.hidden)


def test_preprocessing_changes_the_units_and_nothing_else(data):
    centered = CenterOnVisible().fit_transform(data.hidden)
    scaler = ScaleKeypoints().fit(centered)
    X = make_pipeline(CenterOnVisible(), ScaleKeypoints(), model()).fit_transform(data.hidden)
    raw = model().fit_transform(data.hidden)

    def shape(X):
        return X - X.mean(1, keepdims=True)

    ratio = np.linalg.norm(shape(raw)) / np.linalg.norm(shape(X))
    expected = np.linalg.norm(np.nan_to_num(centered)) / np.linalg.norm(
        np.nan_to_num(scaler.transform(centered))
    )
    assert ratio == pytest.approx(expected, rel=1e-3)
    np.testing.assert_allclose(ratio * shape(X), shape(raw), atol=1e-3 * np.abs(shape(raw)).max())


def test_hiding_keypoints_is_a_step_like_any_other(data):
    pipeline = make_pipeline(HideKeypoints(0.2, random_state=0), model())
    assert np.isfinite(pipeline.fit_transform(data.hidden)).all()


def test_a_search_over_the_bottleneck_with_the_mask_as_y(data):
    grid = {"k_last": [1, 3]}
    settings = {"cv": 3, "error_score": "raise"}
    estimator = model(dictionary_sizes=None, preset="quick")
    search = GridSearchCV(estimator, grid, n_jobs=2, **settings).fit(data.W, data.visible)
    alone = GridSearchCV(estimator, grid, **settings).fit(data.hidden)
    np.testing.assert_allclose(
        search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"], rtol=1e-4
    )
    assert search.best_estimator_.dictionary_sizes_[-1] == search.best_params_["k_last"]
    assert search.transform(data.hidden).shape == (30, 8, 3)


def test_a_search_by_3d_ground_truth_as_y(data, truth):
    scoring = {name: get_scorer(name) for name in ("neg_pa_mpjpe", "neg_stress")}
    search = GridSearchCV(
        model(),
        {"cycle_weight": [0.0, 1.0]},
        cv=2,
        scoring=scoring,
        refit="neg_pa_mpjpe",
        error_score="raise",
        n_jobs=2,
    ).fit(data.hidden, truth)
    for name in scoring:
        assert (search.cv_results_[f"mean_test_{name}"] < 0).all()
    first = clone(model(cycle_weight=0.0)).fit(data.hidden[15:])
    expected = scoring["neg_pa_mpjpe"](first, data.hidden[:15], truth[:15])
    assert search.cv_results_["split0_test_neg_pa_mpjpe"][0] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("inside", [False, True])
def test_cross_validation_by_time_and_by_clip(data, inside):
    estimator = make_pipeline(CenterOnVisible(), model()) if inside else model()
    by_time = cross_validate(
        estimator, data.hidden, cv=TimeSeriesSplit(3), error_score="raise", return_estimator=True
    )
    assert np.isfinite(by_time["test_score"]).all()
    assert (by_time["test_score"] <= 1).all()
    groups = np.repeat([0, 1, 2], 10)
    by_clip = cross_validate(
        estimator, data.W, data.visible, groups=groups, cv=GroupKFold(3), error_score="raise"
    )
    assert np.isfinite(by_clip["test_score"]).all()


def test_every_frame_is_lifted_by_a_model_that_has_not_seen_it(data):
    X = cross_val_predict(model(), data.hidden, cv=3)
    assert X.shape == (30, 8, 3)
    expected = model().fit(data.hidden[10:]).transform(data.hidden[:10])
    np.testing.assert_allclose(X[:10], expected, rtol=1e-4, atol=1e-3)


def test_a_mask_is_routed_through_a_pipeline_to_fit_transform_and_score(data):
    with sklearn.config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(CenterOnVisible(), model())
        garbage = np.where(data.visible[..., None], data.W, 1e6)
        pipeline.fit(garbage, mask=data.visible)
        X = pipeline.transform(garbage, mask=data.visible)
        score = pipeline.score(garbage, mask=data.visible, sample_weight=np.ones(30))
    plain = make_pipeline(CenterOnVisible(), model()).fit(data.hidden)
    np.testing.assert_array_equal(X, plain.transform(data.hidden))
    assert score == pytest.approx(plain.score(data.hidden))


def test_a_callback_reaches_the_estimators_of_a_search(data):
    pytest.importorskip("rich", reason="sklearn.callback.ProgressBar draws with rich")
    from sklearn.callback import ProgressBar

    search = GridSearchCV(model(), {"cycle_weight": [0.0]}, cv=2, error_score="raise")
    search.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(data.hidden)
    assert np.isfinite(search.best_score_)
