"""Criteria without ground truth as scorers of scikit-learn's searches."""

import pickle

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.pipeline import make_pipeline

from nrsfm_learn import DeepNRSfMPP
from nrsfm_learn.datasets import make_low_rank
from nrsfm_learn.model_selection import (
    cycle_error,
    depth_spread,
    dictionary_coherence,
    hidden_keypoint_score,
    neighbor_distance_variation,
    unsupervised_scorer,
    unsupervised_scorer_names,
)
from nrsfm_learn.preprocessing import ScaleKeypoints

NAMES = ["coherence", "cycle", "depth_spread", "hidden_keypoints", "neighbor_distance"]
CV = KFold(2)


@pytest.fixture(scope="module")
def data():
    return make_low_rank(n_frames=30, n_points=9, rank=2, clips=2, missing=0.2, random_state=0)


@pytest.fixture(scope="module")
def model(data):
    return quick().fit(data.W)


def quick(**params):
    settings = {"dictionary_sizes": [8, 3], "max_iter": 3, "random_state": 0, "device": "cpu"}
    return DeepNRSfMPP(**settings | params)


def expected(name, model, W, **side):
    """What each scorer should say, by the functions of the package."""
    return {
        "coherence": lambda: -dictionary_coherence(model),
        "cycle": lambda: -cycle_error(model, W, **side),
        "depth_spread": lambda: -abs(np.log(depth_spread(model.transform(W, **side)))),
        "hidden_keypoints": lambda: hidden_keypoint_score(model, W, **side),
        "neighbor_distance": lambda: (
            -neighbor_distance_variation(model.lift(W, **side).shapes, groups=side.get("groups"))
        ),
    }[name]()


def test_names():
    assert unsupervised_scorer_names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_score(name, model, data):
    scorer = unsupervised_scorer(name)
    value = scorer(model, data.W)
    assert isinstance(value, float)
    assert value == pytest.approx(expected(name, model, data.W), rel=1e-6)
    again = pickle.loads(pickle.dumps(scorer))
    assert repr(again) == repr(scorer) == f"unsupervised_scorer({name!r})"
    assert again(model, data.W) == value
    # However the mask comes, and whatever hidden keypoints hold.
    garbage = np.where(data.visible[..., None], data.W, 1e3)
    assert scorer(model, garbage, data.visible) == value
    assert scorer(model, garbage, mask=data.visible) == value
    assert scorer(model, data.W, data.X) == value


def test_groups_reach_the_distances(model, data):
    scorer = unsupervised_scorer("neighbor_distance")
    value = scorer(model, data.W, groups=data.groups)
    assert value == pytest.approx(
        expected("neighbor_distance", model, data.W, groups=data.groups), rel=1e-6
    )
    assert value != scorer(model, data.W)


def test_options(model, data):
    scorer = unsupervised_scorer("cycle", frame="camera", n_views=2, random_state=3)
    assert repr(scorer) == "unsupervised_scorer('cycle', frame='camera', n_views=2, random_state=3)"
    error = cycle_error(model, data.W, frame="camera", n_views=2, random_state=3)
    assert scorer(model, data.W) == pytest.approx(-error)
    scorer = unsupervised_scorer("hidden_keypoints", fraction=0.4, random_state=5)
    score = hidden_keypoint_score(model, data.W, fraction=0.4, random_state=5)
    assert scorer(model, data.W) == pytest.approx(score)
    scorer = unsupervised_scorer("coherence", level=0)
    assert scorer(model, data.W) == -dictionary_coherence(model, level=0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("with_mask", [False, True])
def test_grid_search(name, data, with_mask):
    W = np.where(np.isnan(data.W), 1e3, data.W) if with_mask else data.W
    search = GridSearchCV(
        quick(),
        {"learning_rate": [1e-6, 1e-2]},
        scoring=unsupervised_scorer(name),
        cv=CV,
        error_score="raise",
    ).fit(W, data.visible if with_mask else None)
    scores = np.zeros((2, 2))
    for k, (train, test) in enumerate(CV.split(data.W)):
        for j, rate in enumerate((1e-6, 1e-2)):
            model = quick(learning_rate=rate).fit(data.W[train])
            scores[j, k] = expected(name, model, data.W[test])
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], scores.mean(1), rtol=1e-4)
    assert search.best_index_ == scores.mean(1).argmax()


def test_every_scorer_at_once_on_a_pipeline(data):
    pipeline = make_pipeline(ScaleKeypoints(), quick())
    scoring = {name: unsupervised_scorer(name) for name in NAMES}
    W = 50 * data.W
    result = cross_validate(pipeline, W, scoring=scoring, cv=CV, error_score="raise")
    train, test = next(CV.split(W))
    scaler = ScaleKeypoints().fit(W[train])
    model = quick().fit(scaler.transform(W[train]))
    for name in NAMES:
        value = expected(name, model, scaler.transform(W[test]))
        assert result[f"test_{name}"][0] == pytest.approx(value, rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_routed_metadata(name):
    data = make_low_rank(
        n_frames=24,
        n_points=9,
        camera="perspective",
        image_size=(640, 480),
        missing=0.2,
        random_state=0,
    )
    W = np.where(np.isnan(data.W), 1e3, data.W)
    estimator = quick(camera="perspective")
    with sklearn.config_context(enable_metadata_routing=True):
        result = cross_validate(
            estimator,
            W,
            scoring=unsupervised_scorer(name),
            cv=CV,
            params={"mask": data.visible, "intrinsics": data.intrinsics},
            error_score="raise",
        )
    for k, (train, test) in enumerate(CV.split(W)):
        model = clone(estimator).fit(data.W[train], intrinsics=data.intrinsics)
        value = expected(name, model, data.W[test], intrinsics=data.intrinsics)
        assert result["test_score"][k] == pytest.approx(value, rel=1e-3)


def test_requests(data):
    scorer = unsupervised_scorer("cycle").set_score_request(mask=False, groups=None)
    with sklearn.config_context(enable_metadata_routing=True):
        result = cross_validate(
            quick(), data.W, scoring=scorer, cv=CV, params={"mask": data.visible}
        )
    assert np.isfinite(result["test_score"]).all()
    with pytest.raises(TypeError, match="not ground_truth"):
        scorer.set_score_request(ground_truth=True)


def test_flat_reconstructions_are_the_worst(model, data):
    class Flat(DeepNRSfMPP):
        def lift(self, W, mask=None, **side_inputs):
            result = super().lift(W, mask, **side_inputs)
            return result._replace(X=result.X * [1, 1, 0])

    flat = Flat(**quick().get_params()).fit(data.W)
    assert unsupervised_scorer("depth_spread")(flat, data.W) == -np.inf


def test_errors():
    with pytest.raises(
        ValueError, match="name='loss' is no criterion; known are: coherence, cycle"
    ):
        unsupervised_scorer("loss")
    with pytest.raises(TypeError, match="'cycle' takes frame, n_views, random_state, not fraction"):
        unsupervised_scorer("cycle", fraction=0.2)
    with pytest.raises(TypeError, match="takes no options, not n_views"):
        unsupervised_scorer("depth_spread", n_views=2)
