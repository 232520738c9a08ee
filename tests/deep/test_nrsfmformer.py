"""NRSfMFormer as an estimator: windows, clips, priors, files."""

import copy
import re

import numpy as np
import pytest
from sklearn.base import clone

import nrsfm_learn
from nrsfm_learn import NRSfMFormer
from nrsfm_learn.base import TooPoorWarning
from nrsfm_learn.datasets import make_low_rank
from nrsfm_learn.deep._presets import former_preset
from nrsfm_learn.priors import DiffusionPosePrior

QUICK = {
    "window": 7,
    "frame_step": 1,
    "n_overlaps": 2,
    "width": 8,
    "n_blocks": 1,
    "n_heads": 2,
    "max_iter": 3,
    "batch_size": 4,
    "random_state": 0,
    "device": "cpu",
}


def clips(lengths=(20, 4, 16), seed=0):
    n_frames = sum(lengths)
    data = make_low_rank(n_frames=n_frames, n_points=8, rank=2, random_state=seed)
    return data.W, np.repeat([f"clip {k}" for k in range(len(lengths))], lengths), data.X


def prior(n_points=8, **settings):
    X = make_low_rank(n_frames=30, n_points=n_points, rank=2, random_state=0).X
    settings = {"width": 8, "n_blocks": 0, "max_iter": 2, "random_state": 0, **settings}
    return DiffusionPosePrior(**settings, device="cpu").fit(X)


@pytest.fixture(scope="module")
def fitted():
    W, groups, _ = clips()
    return NRSfMFormer(**QUICK).fit(W, groups=groups), W, groups


def test_clips_are_lifted_by_themselves(fitted):
    model, W, groups = fitted
    X = model.transform(W, groups=groups)
    np.testing.assert_allclose(X, model.reconstruction_, atol=1e-5)
    for clip in np.unique(groups):
        own = groups == clip
        np.testing.assert_allclose(model.transform(W[own]), X[own], atol=1e-5)
    # Without groups it is one clip.
    assert not np.allclose(model.transform(W), X, atol=1e-3)
    # Frames of clips may lie in between each other.
    order = np.argsort(np.concatenate([np.arange(20), np.arange(4) * 5.1, np.arange(16) * 1.3]))
    np.testing.assert_allclose(model.transform(W[order], groups=groups[order]), X[order], atol=1e-5)


def test_overlapping_windows_are_averaged(fitted):
    model, W, _ = fitted
    W = W[:10]
    whole = copy.copy(model).set_params(n_overlaps=1)
    z = np.full((4, 10, 8), np.nan)
    for start in range(4):
        z[start, start : start + 7] = whole.transform(W[start : start + 7])[..., 2]
    starts = (0, 3)  # windows begin every 3 frames, and 3 + 7 is the end
    expected = np.nanmean(z[list(starts)], axis=0)
    expected -= expected.mean(1, keepdims=True)
    np.testing.assert_allclose(model.transform(W)[..., 2], expected, atol=1e-5)


def test_frames_of_a_window_may_lie_apart():
    W, groups, _ = clips()
    model = NRSfMFormer(**{**QUICK, "frame_step": 2}).fit(W, groups=groups)
    assert model.frame_step_ == 2
    # Every other frame of a clip of two windows' length is a clip of its own.
    X = model.transform(W[:14])
    model.frame_step_ = 1
    np.testing.assert_allclose(model.transform(W[:14:2]), X[::2], atol=1e-5)
    np.testing.assert_allclose(model.transform(W[1:14:2]), X[1::2], atol=1e-5)
    auto = NRSfMFormer(**{**QUICK, "frame_step": "auto"})
    assert auto.fit(W, groups=groups).frame_step_ == 2  # the median clip has 16 frames
    assert auto.fit(W, groups=np.arange(len(W)) // 4).frame_step_ == 1


def test_frames_of_a_window_are_seen_together(fitted):
    model, W, _ = fitted
    W = W[:7].copy()
    X = model.transform(W)
    W[6] += np.random.default_rng(0).normal(size=W[6].shape)
    assert np.abs(model.transform(W)[0] - X[0]).max() > 1e-6


def test_shorter_than_a_window(fitted):
    model, W, _ = fitted
    for n_frames in (1, 2, 6):
        assert np.isfinite(model.transform(W[:n_frames])).all()
    short = NRSfMFormer(**QUICK).fit(W[:3])
    assert short.reconstruction_.shape == (3, 8, 3)


@pytest.mark.parametrize("keep_observed", [True, False])
def test_missing_keypoints(keep_observed):
    W, groups, _ = clips()
    W[np.random.default_rng(0).uniform(size=W.shape[:2]) < 0.2] = np.nan
    W[5] = np.nan
    with pytest.warns(TooPoorWarning):
        model = NRSfMFormer(**QUICK, keep_observed=keep_observed).fit(W, groups=groups)
    assert np.isnan(model.reconstruction_[5]).all()
    X = np.delete(model.reconstruction_, 5, axis=0)
    assert np.isfinite(X).all()
    seen = ~np.isnan(np.delete(W, 5, axis=0)[..., 0])
    close = np.allclose(X[seen][:, :2], np.delete(W, 5, axis=0)[seen], atol=1e-5)
    assert close == keep_observed


def test_weak_perspective():
    W, groups, _ = clips()
    model = NRSfMFormer(**QUICK, camera="weak_perspective").fit(W, groups=groups)
    factor = np.random.default_rng(0).uniform(0.1, 10, size=len(W))[:, None, None]
    X = model.transform(factor * W, groups=groups)
    expected = factor * model.reconstruction_
    np.testing.assert_allclose(X, expected, atol=1e-4 * np.abs(expected).max())


def test_each_weight_changes_the_fit():
    W, groups, _ = clips()
    off = {"rigidity_weight": 0.0, "alignment_weight": 0.0, "rank_weight": 0.0}
    settings = {**QUICK, **off, "shape_smoothness": 0.0}
    base = NRSfMFormer(**settings).fit(W, groups=groups).loss_curve_
    for change in (
        {"reprojection_weight": 2.0},
        {"alignment_weight": 1.0},
        {"shape_smoothness": 1.0},
        {"rotation_smoothness": 1.0},
        {"rank_weight": 1.0},
        {"rigidity_weight": 1.0},
        {"cycle_weight": 1.0},
        {"hide_fraction": 0.3},
        {"reference": False},
        {"prior": prior()},
    ):
        model = NRSfMFormer(**{**settings, **change}).fit(W, groups=groups)
        assert not np.allclose(model.loss_curve_, base), change


def test_prior(tmp_path):
    W, groups, _ = clips()
    known = prior()
    model = NRSfMFormer(**QUICK, prior=known).fit(W, groups=groups)
    assert not model.unsupervised_
    assert NRSfMFormer(**QUICK).fit(W, groups=groups).unsupervised_
    # A clone, as a grid search makes it, has the fitted prior.
    again = clone(model).fit(W, groups=groups)
    assert again.prior is known
    np.testing.assert_array_equal(again.loss_curve_, model.loss_curve_)
    # A file holds what lifts, and says that it had a prior.
    model.save(tmp_path / "model.safetensors")
    assert model.prior is known
    loaded = nrsfm_learn.load(tmp_path / "model.safetensors")
    assert loaded.prior is None
    assert not loaded.unsupervised_
    np.testing.assert_array_equal(
        loaded.transform(W, groups=groups), model.transform(W, groups=groups)
    )


def test_checkpoints_know_their_prior(tmp_path):
    W, groups, _ = clips()
    settings = {**QUICK, "checkpoint_dir": str(tmp_path)}
    NRSfMFormer(**settings, prior=prior()).fit(W, groups=groups)
    other = prior(random_state=1)
    with pytest.raises(ValueError, match="belongs to a fit with other data or settings"):
        NRSfMFormer(**settings, prior=other).fit(W, groups=groups)


def test_several_starts():
    W, groups, _ = clips()
    model = NRSfMFormer(**{**QUICK, "n_init": 2}).fit(W, groups=groups)
    assert len(model.inits_) == 2
    assert all(np.isfinite(start["loss"]) for start in model.inits_)
    assert model.confidence_.shape == W.shape[:2]
    spread = model.predict_spread(W, groups=groups)
    assert np.isfinite(spread).all()


def test_starts_are_compared_on_whole_windows(fitted):
    model, W, groups = fitted
    from nrsfm_learn.base import Observations

    observations = Observations(W, ~np.isnan(W[..., 0]), groups=groups)
    frames = model._comparison_frames(14, observations)
    runs = np.split(frames, np.flatnonzero(np.diff(frames) > 1) + 1)
    assert all(len(run) >= 7 for run in runs)
    assert len(frames) < len(W)


def test_malformed_settings():
    W, groups, _ = clips()
    for settings, message in (
        ({"n_heads": 3}, "n_heads=3 does not divide width=8"),
        ({"prior": DiffusionPosePrior()}, "prior is not fitted"),
        ({"prior": prior(n_points=5)}, "prior knows shapes of 5 points, and W has 8"),
        ({"window": 1}, "'window' parameter"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            NRSfMFormer(**{**QUICK, **settings}).fit(W, groups=groups)


def test_presets():
    paper = former_preset("paper", 1000)
    assert (paper["width"], paper["n_heads"], paper["batch_size"]) == (512, 8, 128)
    assert paper["rank_weight"] == 0
    assert (paper["max_iter"], paper["step_size"]) == (400, 8)
    auto = former_preset("auto", 1000)
    assert 32 <= auto["width"] <= 64
    assert former_preset("quick", 1000)["max_iter"] < auto["max_iter"]
