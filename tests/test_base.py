"""The base class, through small methods of the test's own."""

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import get_routing_for_object
from toy_methods import Cardboard, Centroid, Complete, Pinhole, Transductive

from nrsfm_learn.base import BaseNRSfM, TooPoorWarning
from nrsfm_learn.preprocessing import CenterOnVisible


@pytest.fixture
def W():
    """A flat shape, turned, scaled and moved in the plane: Cardboard reconstructs it exactly."""
    rng = np.random.default_rng(0)
    flat = rng.normal(size=6) + 1j * rng.normal(size=6)
    angle = rng.uniform(-0.5, 0.5, size=12)
    frames = np.exp(1j * angle)[:, None] * flat * rng.uniform(0.5, 2, (12, 1)) + 5
    return np.stack([frames.real, frames.imag], axis=-1)


@pytest.fixture
def mask(W):
    mask = np.random.default_rng(1).random(W.shape[:2]) < 0.7
    mask[:, :3] = True
    return mask


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def test_a_fit_reconstructs_what_the_method_can(W):
    model = Cardboard().fit(W)
    np.testing.assert_allclose(model.reconstruction_[..., :2], W, atol=1e-9)
    np.testing.assert_allclose(model.inverse_transform(model.transform(W)), W, atol=1e-9)
    assert model.score(W) == pytest.approx(1)


def test_the_centroid_scores_zero_and_worse_scores_less(W):
    assert Centroid().fit(W).score(W) == pytest.approx(0, abs=1e-12)

    class Wrong(Centroid):
        def _lift(self, observations):
            lifted = super()._lift(observations)
            return lifted._replace(X=lifted.X + 100)

    assert Wrong().fit(W).score(W) < 0


def test_a_global_mean_is_no_baseline(W):
    far = W + np.arange(len(W))[:, None, None] * 1000
    assert Centroid().fit(far).score(far) == pytest.approx(0, abs=1e-9)


def test_a_method_that_takes_none_missing_has_no_score(W):
    with pytest.raises(ValueError, match="score hides keypoints, but Complete takes none missing"):
        Complete().fit(W).score(W)


def test_chunks_reach_the_method_and_change_nothing(W):
    model = Cardboard().fit(W)
    model._chunk_frames = 5
    X = model.transform(W)
    assert len(model.seen.W) == 2  # 12 frames in chunks of 5
    np.testing.assert_array_equal(X, model.reconstruction_)


def test_a_method_without_the_two_hooks_says_what_is_missing(W):
    with pytest.raises(NotImplementedError, match="BaseNRSfM must define _fit"):
        BaseNRSfM().fit(W)

    class NoLift(BaseNRSfM):
        def _fit(self, observations):
            pass

    with pytest.raises(NotImplementedError, match="NoLift must define _lift"):
        NoLift().fit(W)


def test_per_frame_inputs_lose_their_poor_frames_together(W):
    W[4] = np.nan
    rng = np.random.default_rng(0)
    K = np.eye(3) + 0.01 * np.triu(rng.random((12, 3, 3)), 1)
    K[:, 2] = [0, 0, 1]
    given = {
        "groups": np.arange(12),
        "categories": np.arange(12) % 2,
        "intrinsics": K,
        "boxes": np.sort(rng.random((12, 2, 2)), axis=1).reshape(12, 4) + [0, 0, 1, 1],
        "weights": rng.random((12, 6)) + 0.1,
    }
    good = np.delete(np.arange(12), 4)
    model = Pinhole()
    with pytest.warns(TooPoorWarning):
        model.fit(W, **given)
    model._chunk_frames = None
    with pytest.warns(TooPoorWarning):
        X = model.transform(W, **given)
    for name, array in given.items():
        np.testing.assert_array_equal(getattr(model.seen, name), array[good], err_msg=name)
    assert np.isnan(X[4]).all()


def test_weights_reach_the_method_and_count(W):
    W[:, 5] += 3  # one bad point
    trusted = np.array([1, 1, 1, 1, 1, 1e-9])
    model = Cardboard().fit(W, weights=trusted)
    error = np.abs(model.reconstruction_[..., :2] - W)
    even = np.abs(Cardboard().fit_transform(W)[..., :2] - W)
    assert error[:, :5].mean() < even[:, :5].mean()
    assert model.seen.weights.shape[1:] == (6,)


def test_weight_zero_is_hidden_from_the_method(W, mask):
    model = Cardboard().fit(W, weights=mask.astype(float))
    assert np.isnan(model.seen.W[~model.seen.visible]).all()
    np.testing.assert_array_equal(
        model.transform(W, weights=mask.astype(float)), model.transform(W, mask)
    )


def test_one_camera_is_remembered_and_per_frame_ones_must_come_again(W):
    K = np.array([[300.0, 0, 10], [0, 310.0, 20], [0, 0, 1]])
    pixels = W @ K[:2, :2].T + K[:2, 2]
    model = Pinhole().fit(pixels, intrinsics=K)
    np.testing.assert_array_equal(model.intrinsics_, K)
    np.testing.assert_allclose(model.reconstruction_, Pinhole().fit_transform(W), atol=1e-9)
    np.testing.assert_allclose(model.inverse_transform(model.transform(pixels)), pixels)
    X = model.transform(W, intrinsics=np.eye(3))
    np.testing.assert_allclose(X, model.reconstruction_, atol=1e-9)

    model.fit(pixels, intrinsics=np.repeat(K[None], 12, 0))
    assert model.intrinsics_ is None
    for call in (model.transform, model.score, model.inverse_transform):
        with pytest.raises(ValueError, match="one camera matrix a frame: pass intrinsics"):
            call(model.reconstruction_ if call == model.inverse_transform else pixels)
    assert not model.fit(W).per_frame_intrinsics_
    np.testing.assert_array_equal(model.transform(W), model.reconstruction_)


def test_a_transductive_method_recalls_its_frames_and_only_those(W):
    W[3] = np.nan
    model = Transductive()
    with pytest.warns(TooPoorWarning):
        X = model.fit_transform(W)
    with pytest.warns(TooPoorWarning):
        again = model.transform(W)
    np.testing.assert_array_equal(again, X)
    assert np.isnan(again[3]).all()
    for other in (np.delete(W, 3, axis=0), W[:5], W + 1e-9):
        with pytest.raises(ValueError, match="cannot lift others, but W differ"):
            model.transform(other)


def test_a_transductive_method_notices_other_side_inputs(W):
    groups = np.repeat([0, 1], 6)
    model = Transductive().fit(W, groups=groups)
    np.testing.assert_array_equal(model.transform(W), model.transform(W, groups=groups))
    with pytest.raises(ValueError, match="but groups differ"):
        model.transform(W, groups=groups[::-1])


def test_a_transductive_method_is_scored_by_a_fit_without_the_hidden_keypoints(W):
    # Recalling the fit, which saw all keypoints, would score 1 exactly.
    noisy = W + np.random.default_rng(2).normal(scale=0.2, size=W.shape)
    score = Transductive().fit(noisy).score(noisy)
    assert 0 < score < 1


def test_a_failed_refit_leaves_no_callback_context_behind(W):
    model = Cardboard().fit(W)
    before = set(vars(model))
    with pytest.raises(ValueError, match="W must have shape"):
        model.fit(W[0])
    assert set(vars(model)) == before
    assert not hasattr(model, "_callback_root")


@pytest.mark.parametrize(
    ("method", "extra"),
    [("fit", ()), ("transform", ()), ("predict", ()), ("score", ("sample_weight",))],
)
def test_side_inputs_are_requested_from_the_start(method, extra):
    request = getattr(get_routing_for_object(Cardboard()), method).requests
    names = ("mask", "groups", "categories", "intrinsics", "boxes", "weights", *extra)
    assert request == dict.fromkeys(names, True)


@pytest.mark.usefixtures("routing")
def test_a_routed_mask_reaches_every_step(W, mask):
    pipeline = Pipeline([("center", CenterOnVisible()), ("lift", Cardboard())])
    garbage = np.where(mask[..., None], W, 1e6)
    X = pipeline.fit(garbage, mask=mask).transform(garbage, mask=mask)
    hidden = np.where(mask[..., None], W, np.nan)
    expected = clone(pipeline).fit(hidden).transform(hidden)
    np.testing.assert_allclose(X, expected)
    score = pipeline.score(garbage, mask=mask, sample_weight=np.ones(12))
    assert score == pytest.approx(clone(pipeline).fit(hidden).score(hidden))


@pytest.mark.usefixtures("routing")
def test_routed_groups_and_weights_reach_the_method(W):
    groups = np.repeat(["a", "b"], 6)
    weights = np.linspace(0.5, 1, 72).reshape(12, 6)
    pipeline = Pipeline([("center", CenterOnVisible()), ("lift", Cardboard())])
    pipeline.fit(W, groups=groups, weights=weights)
    seen = pipeline[-1].seen
    np.testing.assert_array_equal(seen.groups, groups[-len(seen.W) :])
    np.testing.assert_array_equal(seen.weights, weights[-len(seen.W) :])


@pytest.mark.usefixtures("routing")
def test_a_search_cuts_routed_inputs_to_its_folds(W, mask):
    cv, groups = GroupKFold(3), np.repeat([0, 1, 2], 4)
    search = GridSearchCV(Cardboard(), {"depth": [0.0, 1.0]}, cv=cv, error_score="raise")
    garbage = np.where(mask[..., None], W, 1e6)
    search.fit(garbage, mask=mask, groups=groups)
    hidden = np.where(mask[..., None], W, np.nan)
    for fold, (train, test) in enumerate(cv.split(W, groups=groups)):
        expected = Cardboard().fit(hidden[train]).score(hidden[test])
        assert search.cv_results_[f"split{fold}_test_score"][0] == pytest.approx(expected)


def test_groups_in_a_pipeline_need_routing(W):
    with pytest.raises(ValueError, match="groups"):
        Pipeline([("lift", Cardboard())]).fit(W, groups=np.zeros(12))


def test_lift_tells_what_transform_leaves_out(W):
    model = Cardboard(depth=2.0).fit(W)
    lifted = model.lift(W)
    composed = lifted.scales[:, None, None] * lifted.shapes @ lifted.rotations.swapaxes(1, 2)
    np.testing.assert_allclose(composed + lifted.translations[:, None], model.transform(W))
    assert lifted.codes is None
    with pytest.raises(NotFittedError):
        Cardboard().lift(W)
    with pytest.raises(TypeError, match="confidences"):
        model.lift(W, confidences=1)


def test_inverse_transform_refuses_what_transform_does_not_return(W):
    model = Cardboard().fit(W)
    with pytest.raises(ValueError, match=r"X must have shape \(n_frames, n_points, 3\)"):
        model.inverse_transform(W)
    with pytest.raises(ValueError, match="no perspective camera"):
        model.inverse_transform(model.reconstruction_, intrinsics=np.eye(3))
