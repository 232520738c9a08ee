import pickle
from typing import ClassVar

import numpy as np
import pytest
import sklearn
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.metrics import make_scorer
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.metadata_routing import UNUSED

from nrsfm_learn.metrics import (
    get_scorer,
    get_scorer_names,
    make_shape_scorer,
    mpjpe,
    normalized_error,
    pa_mpjpe,
    pck,
)


class Constant(TransformerMixin, BaseEstimator):
    """Lift each keypoint to one depth per point; hidden keypoints to the point (9, 9)."""

    __metadata_request__fit: ClassVar = {"W": UNUSED, "mask": True}
    __metadata_request__transform: ClassVar = {"W": UNUSED, "mask": True}

    def __init__(self, slope=0.0):
        self.slope = slope

    def fit(self, W, y=None, mask=None):
        self.n_points_ = np.shape(W)[1]
        return self

    def transform(self, W, mask=None):
        hidden = np.isnan(W).any(2) if mask is None else ~mask | np.isnan(W).any(2)
        z = np.broadcast_to(self.slope * np.arange(self.n_points_), np.shape(W)[:2])
        return np.dstack([np.where(hidden[..., None], 9.0, W), z])

    predict = transform


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    W = rng.normal(size=(12, 6, 2))
    X = np.dstack([W, np.broadcast_to(2.0 * np.arange(6), (12, 6))])
    return W, X, rng.random((12, 6)) < 0.7


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


GRID = {"slope": [0.0, 2.0, 5.0]}
CV = KFold(3)


def test_score_is_the_negated_metric(data):
    W, X, _ = data
    model = Constant(1.0).fit(W)
    Y = model.transform(W)
    assert make_shape_scorer(mpjpe)(model, W, X) == -mpjpe(X, Y)
    scorer = make_shape_scorer(pck, greater_is_better=True, threshold=2.0, protocol="mpjpe")
    value = scorer(model, W, ground_truth=X)
    assert value == pck(X, Y, threshold=2.0, protocol="mpjpe")
    assert 0 < value < 1


def test_mask_reaches_the_estimator_and_not_the_metric(data):
    W, X, M = data
    model = Constant(2.0).fit(W)
    scorer = make_shape_scorer(mpjpe)
    expected = -mpjpe(X, model.transform(W, mask=M))
    assert expected < -1
    assert scorer(model, W, X, mask=M) == expected
    assert scorer(model, W, M, ground_truth=X) == expected
    assert scorer(model, np.where(M[..., None], W, np.nan), X) == expected
    # Points that count are those known in the ground truth: here the visible ones, lifted exactly.
    known = np.where(M[..., None], X, np.nan)
    assert scorer(model, W, known, mask=M) == pytest.approx(0.0, abs=1e-12)


def test_missing_ground_truth_is_a_clear_error(data):
    W, X, M = data
    scorer = make_shape_scorer(mpjpe)
    for y in (None, M):
        with pytest.raises(ValueError, match="3-D ground truth, which is missing"):
            scorer(Constant().fit(W), W, y)
    with pytest.raises(ValueError, match="pass only one"):
        scorer(Constant().fit(W), W, X, ground_truth=X)
    with pytest.raises(TypeError, match="y has dtype"):
        scorer(Constant().fit(W), W, np.zeros(12))
    with pytest.raises(ValueError, match=r"mask must have shape"):
        scorer(Constant().fit(W), W, X, mask=M.T)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_grid_search_with_ground_truth_as_y(data, n_jobs):
    W, X, _ = data
    scorer = make_shape_scorer(normalized_error, protocol="frobenius")
    search = GridSearchCV(Constant(), GRID, scoring=scorer, cv=CV, n_jobs=n_jobs).fit(W, X)
    assert search.best_params_ == {"slope": 2.0}
    assert search.best_score_ == pytest.approx(0.0, abs=1e-12)
    assert search.score(W, X) == pytest.approx(0.0, abs=1e-12)


def test_a_mask_as_y_fails_the_search_clearly(data):
    W, _, M = data
    search = GridSearchCV(Constant(), GRID, scoring=get_scorer("neg_mpjpe"), error_score="raise")
    with pytest.raises(ValueError, match="A boolean y is a mask"):
        search.fit(W, M)


def test_grid_search_with_routed_ground_truth_and_mask(data, routing):
    W, X, M = data
    known = np.where(M[..., None], X, np.nan)
    scorer = make_shape_scorer(mpjpe)
    search = GridSearchCV(Constant(), GRID, scoring=scorer, cv=CV, error_score="raise")
    search.fit(W, mask=M, ground_truth=known)
    assert search.best_params_ == {"slope": 2.0}
    assert search.best_score_ == pytest.approx(0.0, abs=1e-12)
    # Had the mask not arrived, hidden keypoints would have been lifted exactly too.
    search.fit(W, mask=M, ground_truth=X)
    assert search.best_score_ < -1
    assert search.score(W, mask=M, ground_truth=X) < -1


def test_requests_can_be_renamed_and_refused(data, routing):
    W, X, M = data
    scorer = make_shape_scorer(mpjpe).set_score_request(ground_truth="X_true", mask=False)
    search = GridSearchCV(Constant(), GRID, scoring=scorer, cv=CV, error_score="raise")
    search.fit(W, mask=M, X_true=X)
    assert search.best_score_ == pytest.approx(0.0, abs=1e-12)
    with pytest.raises(TypeError, match="takes ground_truth and mask, not sample_weight"):
        scorer.set_score_request(sample_weight=True)


def test_pipeline_with_a_mask_and_routing_off(data):
    W, X, M = data
    pipeline = make_pipeline(FunctionTransformer(), Constant(2.0)).fit(W)
    direct = make_shape_scorer(mpjpe)(Constant(2.0).fit(W), W, X, mask=M)
    assert make_shape_scorer(mpjpe)(pipeline, W, X, mask=M) == direct


def test_several_scorers_at_once(data, routing):
    W, X, M = data
    scoring = {name: get_scorer(name) for name in get_scorer_names()}
    result = cross_validate(
        Constant(2.0), W, scoring=scoring, cv=CV, params={"ground_truth": X, "mask": M}
    )
    for name in get_scorer_names():
        assert np.all(result[f"test_{name}"] < 0)


@pytest.mark.parametrize("enabled", [False, True])
def test_plain_make_scorer_also_works(data, enabled):
    W, X, _ = data
    with sklearn.config_context(enable_metadata_routing=enabled):
        scorer = make_scorer(mpjpe, greater_is_better=False, flip="frame")
        search = GridSearchCV(Constant(), GRID, scoring=scorer, cv=CV, error_score="raise")
        assert search.fit(W, X).best_params_ == {"slope": 2.0}


def test_named_scorers_hold_what_they_say(data):
    W, X, _ = data
    model = Constant(-1.0).fit(W)
    Y = model.transform(W)
    assert get_scorer("neg_pa_mpjpe")(model, W, X) == -pa_mpjpe(X, Y)
    assert get_scorer("neg_mpjpe_flip_frame")(model, W, X) == -mpjpe(X, Y, flip="frame")
    value = get_scorer("neg_normalized_error_procrustes")(model, W, X)
    assert value == -normalized_error(X, Y, protocol="procrustes")
    with pytest.raises(ValueError, match="known are: neg_e3d_sequence, neg_mpjpe"):
        get_scorer("mpjpe")
    with pytest.raises(TypeError, match="use get_scorer"):
        make_shape_scorer("neg_mpjpe")


def test_repr_and_pickle(data):
    W, X, _ = data
    scorer = make_shape_scorer(normalized_error, protocol="procrustes")
    assert repr(scorer) == "make_shape_scorer(normalized_error, protocol='procrustes')"
    again = pickle.loads(pickle.dumps(scorer))
    model = Constant(1.0).fit(W)
    assert again(model, W, X) == scorer(model, W, X)
