"""The auto-decoder baseline of PAUL."""

import inspect

import numpy as np
import pytest
import torch

from nrsfm_learn import PAUL, AutoDecoderLifter, load
from nrsfm_learn.datasets import make_low_rank
from nrsfm_learn.deep import _free_codes

SMALL = {
    "n_components": 2,
    "widths": [16, 8],
    "encoder_width": 24,
    "max_iter": 20,
    "random_state": 0,
    "device": "cpu",
}


@pytest.fixture(scope="module", autouse=True)
def few_steps():
    """Few steps to the codes of frames: how good they are is the matter of another file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_free_codes, "_N_STEPS", 5)
        yield


@pytest.fixture(scope="module")
def data():
    return make_low_rank(n_frames=30, n_points=9, rank=2, missing=0.1, random_state=0)


def make_model(**settings):
    return AutoDecoderLifter(**{**SMALL, **settings})


def test_it_has_no_encoder_of_shapes(data):
    model = make_model().fit(data.W)
    assert model.module_.shape_encoder is None
    assert PAUL(**SMALL).fit(data.W).module_.shape_encoder is not None


def test_the_first_loss_is_that_of_the_decoder_alone(data):
    settings = {"hide_fraction": 0.0, "code_weight": 0.0, "decay_weight": 0.0, "max_iter": 1}
    whole = {**settings, "batch_size": 30}
    loss = make_model(**whole, learning_rate=1e-9).fit(data.W).loss_curve_[0]
    # The distance to the reconstruction that keeps what was observed, before any training: its
    # shapes in the canonical frame against the decoded ones, both minus their visible means.
    model = make_model(**whole, learning_rate=1e-9, n_refine_steps=0).fit(data.W)
    decoded = model.decode(model.codes_)
    unit = model._unit
    norms = []
    for f in range(30):
        m = data.visible[f]
        seen = data.W[f][m] - data.W[f][m].mean(0)
        S = decoded[f] - decoded[f][m].mean(0)
        error = seen - (S @ model.rotations_[f].T)[m, :2]
        norms.append(unit * np.linalg.norm(error))
    assert loss == pytest.approx(np.mean(norms), rel=1e-3)


def test_low_rank_weight_reaches_the_objective(data):
    def losses(weight):
        return make_model(low_rank_weight=weight, batch_size=30).fit(data.W).loss_curve_

    plain, some, more = losses(0.0), losses(0.1), losses(0.2)
    assert some[0] - plain[0] > 0.01
    assert more[0] - plain[0] == pytest.approx(2 * (some[0] - plain[0]), rel=1e-3)


def test_low_rank_lowers_the_rank(data):
    def rank(weight):
        model = make_model(
            low_rank_weight=weight, n_components=4, max_iter=150, learning_rate=5e-3, batch_size=30
        ).fit(data.W)
        S = model.decode(model.codes_).reshape(30, -1)
        values = np.linalg.svd(S, compute_uv=False)
        return values.sum() / values[0]

    assert rank(1.0) < 0.9 * rank(0.0)


def test_published_defaults():
    parameters = inspect.signature(AutoDecoderLifter).parameters
    assert parameters["rigidity_weight"].default == 0
    assert parameters["cycle_weight"].default == 0
    assert parameters["low_rank_weight"].default == 0
    of_paul = inspect.signature(PAUL).parameters
    others = set(parameters) - {"rigidity_weight", "cycle_weight", "low_rank_weight"}
    assert set(of_paul) - {"rigidity_weight", "cycle_weight"} == others
    assert all(parameters[name].default == of_paul[name].default for name in others)


@pytest.mark.parametrize(("weight", "together"), [(0.0, True), (0.01, False)])
def test_starts(data, weight, together):
    model = make_model(low_rank_weight=weight, n_init=3, rung_iter=4).fit(data.W)
    assert model._trains_together == together
    assert len(model.inits_) == 3
    assert len(model.runners_up_) == 2
    again = make_model(low_rank_weight=weight, n_init=3, rung_iter=4).fit(data.W)
    np.testing.assert_array_equal(again.reconstruction_, model.reconstruction_)


@pytest.mark.parametrize("camera", ["orthographic", "weak_perspective", "perspective"])
@pytest.mark.parametrize("codes", ["encoder", "free"])
def test_cameras_and_codes(camera, codes):
    image = {} if camera == "orthographic" else {"image_size": (640, 480)}
    data = make_low_rank(
        n_frames=20, n_points=9, rank=2, camera=camera, missing=0.1, random_state=0, **image
    )
    side = {"intrinsics": data.intrinsics} if camera == "perspective" else {}
    model = make_model(camera=camera, codes=codes, low_rank_weight=0.01).fit(data.W, **side)
    X = model.reconstruction_
    assert np.isfinite(X).all()
    W = model.inverse_transform(X)
    atol = 1e-4 * np.nanstd(data.W)
    np.testing.assert_allclose(W[data.visible], data.W[data.visible], atol=atol)
    assert np.isfinite(model.transform(data.W[:3])).all()
    assert model.sample(2, random_state=0)[0].shape == (2, 9, 3)


def test_save_and_load(data, tmp_path):
    model = make_model(low_rank_weight=0.01, n_init=3, rung_iter=4).fit(data.W)
    path = tmp_path / "model.safetensors"
    model.save(path)
    loaded = load(path)
    assert type(loaded) is AutoDecoderLifter
    assert loaded.low_rank_weight == 0.01
    np.testing.assert_array_equal(loaded.transform(data.W), model.transform(data.W))
    for a, b in zip(loaded.runners_up_.parameters(), model.runners_up_.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("weight", [-1.0, "auto", None])
def test_bad_weight(data, weight):
    with pytest.raises(ValueError, match="'low_rank_weight' parameter of AutoDecoderLifter"):
        make_model(low_rank_weight=weight).fit(data.W)
