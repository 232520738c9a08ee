"""Rigid factorisation: exact where the object is rigid, and weighted least squares elsewhere."""

import numpy as np
import pytest

from nrsfm_learn import RigidFactorization
from nrsfm_learn.datasets import make_low_rank
from nrsfm_learn.metrics import normalized_error

cameras = pytest.mark.parametrize("camera", ["orthographic", "weak_perspective"])


def make_data(camera="orthographic", missing=0.0, seed=0, **options):
    options = {"n_frames": 30, "n_points": 12, **options}
    return make_low_rank(
        rank=1, camera=camera, missing=missing, min_visible=5, random_state=seed, **options
    )


def error(data, X):
    true = data.scales[:, None, None] * data.X
    return normalized_error(true, X, protocol="frobenius", flip="sequence")


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("missing", [0.0, 0.3])
@cameras
def test_exact_data_are_recovered(camera, missing, seed):
    data = make_data(camera, missing, seed)
    model = RigidFactorization(camera=camera, device="cpu").fit(data.W)
    # Hidden keypoints and depths alike; the least ridge of the points leaves 1e-9.
    assert error(data, model.reconstruction_) < 1e-6
    hidden = ~data.visible
    if hidden.any():
        left = (model.reconstruction_[..., :2] - data.W_complete)[hidden]
        assert np.abs(left).max() < 1e-6
    # Scales are known up to one factor.
    ratio = model.scales_ / data.scales
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-6)


@cameras
def test_noise_is_averaged(camera):
    noise = 0.02
    data = make_data(camera, n_frames=60, noise=noise)
    model = RigidFactorization(camera=camera, device="cpu").fit(data.W)
    # The shape is an average of sixty frames: much less wrong than one of them.
    S = data.shapes[:1]
    assert normalized_error(S, model.shapes_[:1], protocol="procrustes") < noise / 2
    left = (model.reconstruction_[..., :2] - data.W) / np.sqrt(2)
    spread = np.linalg.norm(data.W_complete - data.W_complete.mean(1, keepdims=True), axis=(1, 2))
    sigma = noise * spread.mean() / np.sqrt(12)
    assert np.linalg.norm(left) / np.sqrt(left.size / 2) == pytest.approx(sigma, rel=0.25)


def test_the_objective_is_the_sum_of_squares_and_never_rises():
    data = make_data(missing=0.2, noise=0.05)
    model = RigidFactorization(device="cpu", tol=1e-9).fit(data.W)
    left = (model.reconstruction_[..., :2] - data.W)[data.visible]
    centred = data.W - np.nanmean(data.W, axis=1, keepdims=True)
    size = np.sqrt(np.nanmean(np.square(centred)))
    assert model.loss_curve_[-1] == pytest.approx(np.square(left / size).sum(), rel=1e-6)
    assert (np.diff(model.loss_curve_) <= 1e-12 * model.loss_curve_[0]).all()


def test_a_deforming_object_is_left_to_other_methods():
    data = make_low_rank(30, 12, rank=3, random_state=0)
    model = RigidFactorization(device="cpu").fit(data.W)
    assert error(data, model.reconstruction_) > 0.1


def test_one_scale_does_not_explain_many():
    data = make_data("weak_perspective")
    fits = [RigidFactorization(camera=c, device="cpu").fit(data.W) for c in (
        "orthographic", "weak_perspective")]  # fmt: skip
    assert error(data, fits[0].reconstruction_) > 100 * error(data, fits[1].reconstruction_)


@cameras
def test_unseen_frames(camera):
    data = make_data(camera, n_frames=40)
    model = RigidFactorization(camera=camera, device="cpu").fit(data.W[:30])
    X = np.concatenate([model.reconstruction_, model.transform(data.W[30:])])
    assert error(data, X) < 1e-6


@cameras
def test_confidence_lowers_the_influence_of_bad_keypoints(camera):
    data = make_data(camera, n_frames=40)
    rng = np.random.default_rng(0)
    bad = rng.random(data.visible.shape) < 0.05
    W = data.W.copy()
    W[bad] += W.std() * rng.normal(size=W[bad].shape)
    model = RigidFactorization(camera=camera, device="cpu")
    plain = error(data, model.fit(W).reconstruction_)
    weighted = error(data, model.fit(W, weights=np.where(bad, 1e-3, 1.0)).reconstruction_)
    masked = error(data, model.fit(W, mask=~bad).reconstruction_)
    assert weighted < 0.1 * plain
    assert masked < 1e-6


@pytest.mark.parametrize(
    "setting", [{"camera": "perspective"}, {"n_init": 0}, {"max_iter": 0}, {"tol": -1.0}], ids=str
)
def test_settings_out_of_range(setting):
    (name,) = setting
    with pytest.raises(ValueError, match=f"'{name}' parameter of RigidFactorization"):
        RigidFactorization(**setting).fit(make_data().W)
