"""C3DPO as an estimator, and what it shares with the multi-category lifter."""

import re

import numpy as np
import pytest
import torch

import nrsfm_learn
from nrsfm_learn import C3DPO, MultiCategoryLifter
from nrsfm_learn.base import TooPoorWarning
from nrsfm_learn.datasets import make_low_rank, make_rigid_category
from nrsfm_learn.deep._presets import factorization_preset
from nrsfm_learn.metrics import mpjpe
from nrsfm_learn.model_selection import cycle_error

QUICK = {"n_components": 3, "width": 16, "max_iter": 5, "random_state": 0, "device": "cpu"}
both = pytest.mark.parametrize("cls", [C3DPO, MultiCategoryLifter])


def stack(n_frames=30, missing=0.0, seed=0):
    """Cars and chairs, their points side by side; return W, labels and the number of car points."""
    parts = [
        make_rigid_category(n_frames, category=name, missing=missing, random_state=seed)
        for name in ("car", "chair")
    ]
    n_car, n_chair = (part.W.shape[1] for part in parts)
    W = np.full((2 * n_frames, n_car + n_chair, 2), np.nan)
    W[:n_frames, :n_car], W[n_frames:, n_car:] = parts[0].W, parts[1].W
    return W, np.repeat(["car", "chair"], n_frames), n_car


@both
def test_a_rigid_object_is_found(cls):
    data = make_low_rank(n_frames=300, n_points=12, rank=1, random_state=0)
    settings = {"n_components": 1, "width": 32, "n_init": 1, "random_state": 0}
    # In so few steps Adam comes further.
    settings |= {"optimizer": "adam", "learning_rate": 5e-3, "max_iter": 400, "batch_size": 64}
    model = cls(**settings).fit(data.W)
    X = data.X - data.X.mean(1, keepdims=True)
    size = np.linalg.norm(X, axis=-1).mean()
    flat = X * np.array([1, 1, 0])
    error = mpjpe(X, model.reconstruction_, flip="frame") / size
    assert mpjpe(X, flat) / size > 0.4
    assert error < 0.3


@both
@pytest.mark.parametrize("keep_observed", [True, False])
def test_observed_keypoints(cls, keep_observed):
    W, labels, _ = stack(missing=0.2)
    model = cls(**QUICK, keep_observed=keep_observed).fit(W, categories=labels)
    visible = ~np.isnan(W[..., 0])
    found = model.reconstruction_[visible][:, :2]
    assert np.allclose(found, W[visible], atol=1e-5) == keep_observed
    # The translation is the best one for squared errors in both cases.
    difference = np.where(visible[..., None], model.reconstruction_[..., :2] - W, 0).sum(1)
    np.testing.assert_allclose(difference, 0, atol=1e-4)
    if keep_observed:
        return
    for name in ("car", "chair"):
        shapes = model.shapes_[labels == name]
        again = model.decode(model.codes_[labels == name], name)
        np.testing.assert_allclose(again, shapes, atol=1e-5 * np.nanmax(np.abs(shapes)))


@both
def test_each_frame_has_the_points_of_its_category(cls):
    W, labels, n_car = stack(missing=0.2)
    model = cls(**QUICK, n_init=3).fit(W, categories=labels)
    assert list(model.categories_) == ["car", "chair"]
    car = np.arange(W.shape[1]) < n_car
    np.testing.assert_array_equal(model.category_points_, [car, ~car])
    own = np.where((labels == "car")[:, None], car, ~car)
    for name in ("reconstruction_", "shapes_"):
        array = getattr(model, name)
        np.testing.assert_array_equal(np.isfinite(array).all(2), own)
        np.testing.assert_array_equal(np.isnan(array).all(2), ~own)
    for field in (model.rotations_, model.translations_, model.scales_, model.codes_):
        assert np.isfinite(field).all()
    np.testing.assert_array_equal(np.isfinite(model.confidence_), own)
    np.testing.assert_array_equal(np.isfinite(model.predict_spread(W, categories=labels)), own)
    assert np.isfinite(model.length_variation_)
    assert all(np.isfinite(start["loss"]) for start in model.inits_)
    assert np.isfinite([start["cycle"] for start in model.inits_ if "cycle" in start]).all()
    assert np.isfinite(model.score(W, categories=labels))
    assert np.isfinite(cycle_error(model, W, categories=labels))


@both
def test_categories_of_other_frames(cls, tmp_path):
    W, labels, n_car = stack()
    model = cls(**QUICK).fit(W, categories=labels)
    model.save(tmp_path / "model.safetensors")
    for fitted in (model, nrsfm_learn.load(tmp_path / "model.safetensors")):
        X = fitted.transform(W[25:35], categories=labels[25:35])
        np.testing.assert_allclose(X, model.reconstruction_[25:35], atol=1e-5)
        with pytest.raises(ValueError, match=re.escape("fitted to the categories ['car', 'ch")):
            fitted.transform(W)
        with pytest.raises(ValueError, match="categories has 'sofa' at frame 0"):
            fitted.transform(W[:1], categories=["sofa"])
        with pytest.raises(ValueError, match="shows point 0 in frame 1, of category 'chair'"):
            fitted.transform(W[:2], categories=["car", "chair"])
        with pytest.raises(ValueError, match=re.escape("category must be one of ['car', 'chair']")):
            fitted.decode(model.codes_)
    swapped = model.decode(model.codes_[:4], "chair")
    assert np.isnan(swapped[:, :n_car]).all()
    np.testing.assert_allclose(swapped[:, n_car:].mean(1), 0, atol=1e-6)


@both
def test_decode_without_categories(cls):
    data = make_low_rank(n_frames=30, n_points=8, rank=2, random_state=0)
    model = cls(**QUICK, keep_observed=False).fit(data.W)
    assert model.categories_ is None
    codes = model.codes_[:4].astype(float)
    expected = np.einsum("fd,dpi->fpi", codes, model.basis_.astype(float)) + model.mean_shape_
    expected = expected - expected.mean(1, keepdims=True)
    shapes = model.decode(codes) * model.gain_references_[0]
    np.testing.assert_allclose(shapes, expected, atol=1e-6)
    np.testing.assert_allclose(model.decode(codes), model.shapes_[:4], atol=1e-5)
    for bad, message in (
        (codes[:, :2], "codes must have shape (n_codes, 3)"),
        (np.where(np.arange(4)[:, None] == 2, np.nan, codes), "codes[2] is not finite"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            model.decode(bad)
    with pytest.raises(ValueError, match="category='car', but fit was given no categories"):
        model.decode(codes, "car")


@both
def test_mutual_coherence(cls):
    W, labels, _ = stack()
    model = cls(**{**QUICK, "n_components": 4}).fit(W, categories=labels)
    rows = model.module_.code_head.weight.detach().numpy().astype(float)
    cosines = [
        abs(rows[i] @ rows[j]) / np.linalg.norm(rows[i]) / np.linalg.norm(rows[j])
        for i in range(4)
        for j in range(i)
    ]
    assert model.mutual_coherence() == pytest.approx(max(cosines), rel=1e-6)
    with torch.no_grad():
        model.module_.code_head.weight[:4, :4] = 2 * torch.eye(4)
        model.module_.code_head.weight[:, 4:] = 0
    assert model.mutual_coherence() == 0
    assert cls(**{**QUICK, "n_components": 1}).fit(W, categories=labels).mutual_coherence() == 0


@both
def test_categories_have_scales_of_their_own(cls):
    W, labels, _ = stack()
    model = cls(**QUICK).fit(W, categories=labels)
    larger = W.copy()
    larger[labels == "chair"] *= 100
    other = cls(**QUICK).fit(larger, categories=labels)
    factor = np.where(labels == "chair", 100, 1)[:, None, None]
    X = factor * model.reconstruction_
    np.testing.assert_allclose(other.reconstruction_, X, atol=1e-3 * np.nanmax(np.abs(X)))
    np.testing.assert_allclose(model.scales_, 1, rtol=1e-12)


@both
def test_weak_perspective_has_a_scale_a_frame(cls):
    W, labels, _ = stack(missing=0.2)
    settings = {**QUICK, "camera": "weak_perspective"}
    model = cls(**settings).fit(W, categories=labels)
    factor = np.random.default_rng(0).uniform(0.1, 10, size=len(W))
    X = model.transform(factor[:, None, None] * W, categories=labels)
    expected = factor[:, None, None] * model.reconstruction_
    np.testing.assert_allclose(X, expected, atol=1e-4 * np.nanmax(np.abs(expected)))
    lift = model.lift(factor[:, None, None] * W, categories=labels)
    np.testing.assert_allclose(lift.scales, factor * model.scales_, rtol=1e-6)


@both
def test_perspective(cls):
    data = make_rigid_category(
        300, category="car", camera="perspective", depth_ratio=0.6, random_state=0
    )
    settings = {"n_components": 2, "width": 32, "n_init": 1, "random_state": 0}
    settings |= {"optimizer": "adam", "learning_rate": 5e-3, "max_iter": 700, "batch_size": 64}
    if cls is MultiCategoryLifter:
        # Two columns of a matrix take more and smaller steps than an axis and an angle.
        settings |= {"learning_rate": 2e-3, "max_iter": 1200}
    model = cls(**settings, camera="perspective").fit(data.W, intrinsics=data.intrinsics)
    seen = model.inverse_transform(model.reconstruction_, intrinsics=data.intrinsics)
    np.testing.assert_allclose(seen, data.W, atol=1e-3 * np.abs(data.W).max())
    assert (model.scales_ == 1).all()
    assert (model.translations_[:, 2] > 0).all()
    if cls is C3DPO:
        # Its second network takes more steps than a test has.
        return
    # Each frame is known up to one scale; of depth not even the sign is free.
    X, Y = (a - a.mean(1, keepdims=True) for a in (data.X, model.reconstruction_))
    errors = []
    for sign in (1, -1):
        Z = Y * np.array([1, 1, sign])
        Z = Z * ((X * Z).sum((1, 2)) / (Z**2).sum((1, 2)))[:, None, None]
        errors.append((np.linalg.norm(X - Z, axis=(1, 2)) / np.linalg.norm(X, axis=(1, 2))).mean())
    assert errors[0] < 0.35
    assert errors[0] < 0.6 * errors[1]


@both
def test_rare_categories_come_as_often(cls):
    W, labels, _ = stack(n_frames=40)
    rare = np.concatenate([np.arange(40), [40, 41]])
    model = cls(**QUICK).fit(W[rare], categories=labels[rare])
    assert np.isfinite(model.reconstruction_[-1]).any()
    drawn = []
    forward = type(model)._objective

    class Spy(cls):
        def _objective(self, module, **settings):
            drawn.append(labels[rare][settings["order"].numpy()])
            return forward(self, module, **settings)

    Spy(**QUICK).fit(W[rare], categories=labels[rare])
    np.testing.assert_array_equal(np.unique(drawn[0], return_counts=True)[1], [40, 40])


@both
def test_poor_frames_among_categories(cls):
    W, labels, _ = stack()
    W[3] = np.nan
    with pytest.warns(TooPoorWarning):
        model = cls(**QUICK, n_init=2).fit(W, categories=labels)
    assert np.isnan(model.reconstruction_[3]).all()
    assert np.isnan(model.confidence_[3]).all()
    assert np.isfinite(model.reconstruction_[4]).any()


@both
def test_warm_start(cls):
    W, labels, _ = stack()
    model = cls(**QUICK, warm_start=True).fit(W, categories=labels)
    before = model.module_.code_head.weight.detach().clone()
    model.set_params(max_iter=1, learning_rate=1e-12).fit(W, categories=labels)
    np.testing.assert_allclose(model.module_.code_head.weight.detach(), before, atol=1e-9)
    with pytest.raises(ValueError, match="warm_start=True goes on from the network"):
        model.set_params(width=20).fit(W, categories=labels)


@both
def test_checkpoints_keep_batch_normalisation(cls, tmp_path):
    W, labels, _ = stack()
    whole = cls(**{**QUICK, "max_iter": 8}).fit(W, categories=labels)
    settings = {**QUICK, "max_iter": 8, "checkpoint_dir": str(tmp_path), "checkpoint_every": 3}

    class Stop:
        n = 0

        def setup(self, estimator, context):
            pass

        def on_fit_task_begin(self, estimator, context):
            pass

        def on_fit_task_end(self, estimator, context):
            self.n += 1
            return self.n == 5

        def teardown(self, estimator, context):
            pass

    model = cls(**settings)
    model.set_callbacks(Stop()).fit(W, categories=labels)
    assert model.n_iter_ < 8
    again = cls(**settings).fit(W, categories=labels)
    np.testing.assert_array_equal(again.reconstruction_, whole.reconstruction_)


def test_the_parts_of_the_objective():
    W, labels, _ = stack()
    base = C3DPO(**QUICK, canonical_weight=0.0).fit(W, categories=labels)
    for other in ({"canonical_weight": 1.0}, {"in_plane": None}, {"optimizer": "adam"}):
        settings = {**QUICK, "canonical_weight": 0.0, **other}
        model = C3DPO(**settings).fit(W, categories=labels)
        assert not np.allclose(model.loss_curve_, base.loss_curve_)


def test_presets():
    paper = factorization_preset("paper", 10)
    assert (paper["width"], paper["schedule"], paper["step_factor"]) == (1024, "step", 0.1)
    assert paper["optimizer"] == "sgd"
    assert paper["step_size"] * 2 < paper["max_iter"] < paper["step_size"] * 3
    assert factorization_preset("quick", 10)["max_iter"] == 1000
    assert C3DPO(preset="quick", max_iter=2, n_init=1).fit(stack()[0]).width_ == 256
