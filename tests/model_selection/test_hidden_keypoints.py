"""The score that needs no 3-D, with estimators whose score is known."""

from typing import ClassVar

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import Pipeline

from nrsfm_learn.base import NRSfMTags, Tags
from nrsfm_learn.datasets import make_low_rank
from nrsfm_learn.model_selection import hidden_keypoint_score
from nrsfm_learn.preprocessing import hide_keypoints


class Answer(BaseEstimator):
    """Predicts ``gain`` times the right offset from the visible mean; 0 is the centroid, 1 right.

    It looks the right answer up by the frame's visible keypoints, so that it can answer for any
    subset of the frames.
    """

    # Of the class, because a clone would have a copy of its own.
    log: ClassVar[list] = []

    def __init__(self, truth=None, gain=0.0, give_up=0):
        self.truth = truth
        self.gain = gain
        self.give_up = give_up

    def fit(self, W, y=None, mask=None, **side_inputs):
        self.fitted_ = np.array(W)
        self.log.append(("fit", np.array(W), side_inputs))
        return self

    def transform(self, W, **side_inputs):
        self.log.append(("transform", np.array(W), side_inputs))
        X = np.empty((*W.shape[:2], 3))
        for f, w in enumerate(W):
            distance = np.nansum((self.truth - w) ** 2, axis=(1, 2))
            right = self.truth[np.argmin(distance)]
            centroid = np.nanmean(w, axis=0)
            X[f, :, :2] = centroid + self.gain * (right - centroid)
            X[f, :, 2] = 0
        X[: self.give_up] = np.nan
        return X

    def inverse_transform(self, X, intrinsics=None):
        self.log.append(("inverse_transform", np.array(X), {"intrinsics": intrinsics}))
        return X[..., :2]


class Transductive(Answer):
    """The same as a method of the package that lifts only the frames it is fitted on."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        return Tags(**vars_of(tags), nrsfm_tags=NRSfMTags(inductive=False))


def vars_of(tags):
    return {name: getattr(tags, name) for name in tags.__dataclass_fields__}


@pytest.fixture
def log():
    """Calls of all estimators of a test."""
    Answer.log.clear()
    return Answer.log


@pytest.fixture(scope="module")
def W():
    return make_low_rank(n_frames=30, n_points=12, rank=2, random_state=0).W + [5, -7]


@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize(
    ("gain", "expected"), [(0.0, 0.0), (1.0, 1.0), (0.5, 0.75), (2.0, 0.0), (-1.0, -3.0)]
)
def test_known_scores(W, gain, expected, missing):
    # An answer that is wrong by (1 - gain) of the offset has error (1 - gain)^2 of the baseline.
    hidden = np.random.default_rng(1).uniform(size=W.shape[:2]) < missing
    hidden[:, :5] = False
    seen = np.where(hidden[..., None], np.nan, W)
    score = hidden_keypoint_score(Answer(W, gain).fit(seen), seen)
    assert score == pytest.approx(expected, abs=1e-12)
    assert isinstance(score, float)


def test_the_centroid_of_all_frames_is_no_baseline(W):
    # Frames far apart would make any answer near its frame look good.
    apart = W + np.arange(30)[:, None, None] * 100
    assert hidden_keypoint_score(Answer(apart, 0.0).fit(apart), apart) == pytest.approx(0, abs=1e-9)


def test_formula_point_by_point(W):
    rng = np.random.default_rng(2)
    guesses = W + rng.normal(size=W.shape)

    class Guess(Answer):
        def transform(self, W, **_):
            return np.concatenate([guesses, np.zeros((*guesses.shape[:2], 1))], -1)

    hidden = hide_keypoints(np.ones(W.shape[:2], bool), 0.25, 7, 3)
    weight = rng.uniform(size=30)
    error = baseline = 0
    for f, p in np.argwhere(hidden):
        centroid = W[f][~hidden[f]].mean(0)
        error += weight[f] * np.sum((W[f, p] - guesses[f, p]) ** 2)
        baseline += weight[f] * np.sum((W[f, p] - centroid) ** 2)
    score = hidden_keypoint_score(
        Guess().fit(W), W, fraction=0.25, random_state=7, sample_weight=weight
    )
    assert score == pytest.approx(1 - error / baseline, rel=1e-12)


def test_what_is_hidden(W, log):
    visible = np.random.default_rng(3).uniform(size=W.shape[:2]) < 0.8
    visible[0, 4:] = False
    visible[:, :3] = True
    hidden_keypoint_score(Answer(W).fit(W), W, mask=visible, fraction=0.3, min_visible=3)
    (_, shown, _) = log[1]
    seen = ~np.isnan(shown).any(-1)
    assert (visible | ~seen).all()
    assert seen.sum(1).min() >= 3
    np.testing.assert_array_equal(shown[seen], W[seen])
    for f in range(30):
        n = visible[f].sum()
        assert n - seen[f].sum() == min(max(1, round(0.3 * n)), n - 3)


def test_seeded(W):
    class Biased(Answer):
        def transform(self, W, **_):
            X = super().transform(W)
            X[:, ::2] += 1
            return X

    model = Biased(W, 1.0).fit(W)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    scores = [hidden_keypoint_score(model, W, random_state=s) for s in (0, 0, 1)]
    assert scores[0] == scores[1] != scores[2]
    assert scores[0] == hidden_keypoint_score(model, W)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_mask_boolean_y_and_nan_are_the_same(W):
    visible = np.random.default_rng(4).uniform(size=W.shape[:2]) < 0.8
    visible[:, :5] = True
    model = Answer(W, 0.7).fit(W)
    expected = hidden_keypoint_score(model, np.where(visible[..., None], W, np.nan))
    garbage = np.where(visible[..., None], W, 1e6)
    assert hidden_keypoint_score(model, garbage, mask=visible) == expected
    assert hidden_keypoint_score(model, garbage, visible) == expected
    # Ground truth in y is not looked at.
    assert hidden_keypoint_score(model, garbage, np.zeros((30, 12, 3)), visible) == expected


def test_frames_that_the_method_gives_up_on_count_as_the_centroid(W):
    apart = W + np.arange(30)[:, None, None] * 100
    half = hidden_keypoint_score(Answer(apart, 1.0, give_up=15).fit(apart), apart)
    by_weight = hidden_keypoint_score(
        Answer(apart, 1.0, give_up=15).fit(apart), apart, sample_weight=np.arange(30) >= 15
    )
    assert by_weight == pytest.approx(1, abs=1e-12)
    baseline = hidden_baseline(apart)
    assert half == pytest.approx(baseline[15:].sum() / baseline.sum(), rel=1e-9)
    assert hidden_keypoint_score(Answer(apart, 1.0, give_up=30).fit(apart), apart) == 0


def hidden_baseline(W):
    hidden = hide_keypoints(np.ones(W.shape[:2], bool), 0.2, 0, 3)
    return np.array([np.sum((w[h] - w[~h].mean(0)) ** 2) for w, h in zip(W, hidden, strict=True)])


def test_sample_weight(W):
    class HalfGood(Answer):
        def transform(self, W, **_):
            X = super().transform(W)
            return np.where(np.arange(30)[:, None, None] < 10, X, X + 1)

    model = HalfGood(W, 1.0).fit(W)
    scores = [
        hidden_keypoint_score(model, W, sample_weight=w)
        for w in (None, np.ones(30), np.full(30, 5.0), np.arange(30) < 10, np.arange(30) >= 10)
    ]
    assert scores[0] == scores[1] == pytest.approx(scores[2], rel=1e-12)
    assert scores[3] == pytest.approx(1, abs=1e-12)
    assert scores[4] < scores[0] < scores[3]


@pytest.mark.parametrize(
    "weight", [np.ones(29), np.ones((30, 1)), -np.ones(30), np.full(30, np.nan)]
)
def test_bad_sample_weight(W, weight):
    with pytest.raises(ValueError, match=r"sample_weight must hold one .* of the 30 frames"):
        hidden_keypoint_score(Answer(W).fit(W), W, sample_weight=weight)


def test_keypoints_of_weight_zero_are_neither_shown_nor_scored(W, log):
    weights = np.ones(12)
    weights[[2, 7]] = 0
    broken = W.copy()
    broken[:, [2, 7]] += 1000
    score = hidden_keypoint_score(Answer(W, 1.0).fit(W), broken, weights=weights)
    assert score == pytest.approx(1, abs=1e-12)
    shown = log[1][1]
    assert np.isnan(shown[:, [2, 7]]).all()


def test_nothing_to_hide_is_nan(W):
    model = Answer(W).fit(W)
    assert np.isnan(hidden_keypoint_score(Answer(W[:, :3]).fit(W), W[:, :3]))
    assert np.isnan(hidden_keypoint_score(model, W, fraction=0.0))
    assert np.isnan(hidden_keypoint_score(model, W, sample_weight=np.zeros(30)))


def test_points_in_one_place_are_nan():
    W = np.ones((4, 6, 2))
    assert np.isnan(hidden_keypoint_score(Answer(W).fit(W), W))


def test_methods_that_lift_no_other_frames_are_fitted_again(W, log):
    model = Transductive(W, 1.0).fit(W)
    assert hidden_keypoint_score(model, W) == pytest.approx(1, abs=1e-12)
    calls = [name for name, _, _ in log]
    assert calls == ["fit", "fit", "transform", "inverse_transform"]
    np.testing.assert_array_equal(log[1][1], log[2][1])
    assert np.isnan(log[1][1]).any()
    # The estimator that was handed in stays as it was.
    np.testing.assert_array_equal(model.fitted_, W)


@pytest.mark.parametrize(("cls", "refit", "n_fits"), [(Answer, True, 1), (Transductive, False, 0)])
def test_refit_can_be_chosen(W, log, cls, refit, n_fits):
    model = cls(W, 1.0).fit(W)
    hidden_keypoint_score(model, W, refit=refit)
    assert [name for name, _, _ in log[1:]].count("fit") == n_fits


def test_last_step_of_a_pipeline_tells_whether_to_fit_again(W, log):
    pipeline = Pipeline([("only", Transductive(W, 1.0))]).fit(W)
    assert hidden_keypoint_score(pipeline, W) == pytest.approx(1, abs=1e-12)
    assert [name for name, _, _ in log].count("fit") == 2


def test_clone_leaves_the_checkpoints_of_the_fit_alone(W):
    folders = []

    class Checkpointed(Transductive):
        def __init__(self, truth=None, gain=1.0, give_up=0, checkpoint_dir=None):
            super().__init__(truth, gain, give_up)
            self.checkpoint_dir = checkpoint_dir

        def fit(self, W, y=None, mask=None, **side_inputs):
            folders.append(self.checkpoint_dir)
            return super().fit(W)

    model = Checkpointed(W, checkpoint_dir="somewhere").fit(W)
    hidden_keypoint_score(model, W)
    assert folders == ["somewhere", None]
    assert model.checkpoint_dir == "somewhere"


@pytest.mark.parametrize("cls", [Answer, Transductive])
def test_side_inputs_are_passed_on(W, log, cls):
    K = np.diag([2.0, 2, 1])
    groups = np.arange(30) // 10
    model = cls(W, 1.0).fit(W)
    log.clear()
    hidden_keypoint_score(model, W, intrinsics=K, groups=groups)
    for name, _, side in log:
        np.testing.assert_array_equal(side["intrinsics"], K)
        if name != "inverse_transform":
            np.testing.assert_array_equal(side["groups"], groups)


def test_estimator_that_is_not_fitted(W):
    with pytest.raises(ValueError, match="not fitted yet"):
        hidden_keypoint_score(Answer(W), W)


def test_malformed_input(W):
    model = Answer(W).fit(W)
    with pytest.raises(ValueError, match="W must have"):
        hidden_keypoint_score(model, W[0])
    with pytest.raises(TypeError, match="mask must be boolean"):
        hidden_keypoint_score(model, W, mask=np.ones(W.shape[:2]))
    with pytest.raises(ValueError, match="fraction must be between"):
        hidden_keypoint_score(model, W, fraction=1.5)


def test_is_a_scorer_of_grid_search(W):
    visible = np.random.default_rng(5).uniform(size=W.shape[:2]) < 0.9
    visible[:, :5] = True
    for y in (None, visible):
        search = GridSearchCV(
            Answer(W),
            {"gain": [-0.5, 0.0, 0.9, 1.5]},
            scoring=hidden_keypoint_score,
            cv=KFold(3),
            error_score="raise",
        ).fit(W, y)
        assert search.best_params_ == {"gain": 0.9}
        np.testing.assert_allclose(
            search.cv_results_["mean_test_score"], [1 - 2.25, 0, 0.99, 0.75], atol=1e-9
        )
