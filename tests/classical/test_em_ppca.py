"""EM-PPCA as an estimator: its likelihood and codes against SciPy, its start, its dynamics."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from nrsfm_learn import EMPPCA
from nrsfm_learn.datasets import load_short_sequence, make_low_rank
from nrsfm_learn.metrics import normalized_error

VARIANTS = [
    {},
    {"camera": "weak_perspective"},
    {"dynamics": True},
    {"init": "rigid"},
]
variants = pytest.mark.parametrize("settings", VARIANTS, ids=str)


def make_data(settings=None, missing=0.0, seed=0, **options):
    options = {"n_frames": 50, "n_points": 14, "rank": 3, "clips": 1, **options}
    camera = (settings or {}).get("camera", "orthographic")
    return make_low_rank(
        camera=camera, missing=missing, min_visible=6, random_state=seed, **options
    )


def error(data, X):
    true = data.scales[:, None, None] * data.X
    return normalized_error(true, X, protocol="frobenius", flip="sequence")


@variants
def test_low_rank_shapes_are_recovered(settings):
    data = make_data(settings)
    model = EMPPCA(2, device="cpu", **settings).fit(data.W)
    # A Gaussian of two deformations is the truth; the floor of the noise leaves 1e-5.
    assert error(data, model.reconstruction_) < 1e-3
    assert model.noise_ < 1e-2 * data.W.std()


@variants
def test_low_rank_shapes_with_hidden_keypoints(settings):
    data = make_data(settings, missing=0.1, n_frames=80, n_points=20)
    model = EMPPCA(2, device="cpu", **settings).fit(data.W)
    assert error(data, model.reconstruction_) < 0.1


@variants
def test_negative_log_likelihood_falls(settings):
    data = make_data(settings, missing=0.1, noise=0.05)
    curve = EMPPCA(2, device="cpu", **settings).fit(data.W).loss_curve_
    assert len(curve) > 2
    assert (np.diff(curve) <= 1e-9).all()


@pytest.mark.parametrize("camera", ["orthographic", "weak_perspective"])
def test_likelihood_and_codes_are_those_of_the_gaussian(camera):
    settings = {"camera": camera}
    data = make_data(settings, missing=0.1, noise=0.05, n_frames=30)
    model = EMPPCA(2, device="cpu", **settings).fit(data.W)
    total = 0.0
    for f in range(30):
        seen = data.visible[f]
        camera_f = model.scales_[f] * model.rotations_[f][:2]
        mean = (model.mean_shape_[seen] @ camera_f.T + model.translations_[f, :2]).ravel()
        V = (model.basis_[:, seen] @ camera_f.T).reshape(2, -1).T
        w = data.W[f, seen].ravel()
        covariance = V @ V.T + model.noise_**2 * np.eye(len(w))
        total += multivariate_normal(mean, covariance).logpdf(w)
        code = V.T @ np.linalg.solve(covariance, w - mean)
        np.testing.assert_allclose(model.codes_[f], code, atol=1e-5)
    n_coordinates = 2 * data.visible.sum()
    centred = data.W - np.nanmean(data.W, axis=1, keepdims=True)
    # The solver's unit of length.
    size = np.sqrt(np.nanmean(np.square(centred)))
    expected = -total / n_coordinates - np.log(size)
    assert model.loss_curve_[-1] == pytest.approx(expected, abs=1e-4)


def test_noise_is_measured():
    data = make_data(noise=0.05, n_frames=120, n_points=20)
    model = EMPPCA(2, device="cpu").fit(data.W)
    spread = np.linalg.norm(data.W_complete - data.W_complete.mean(1, keepdims=True), axis=(1, 2))
    sigma = 0.05 * spread.mean() / np.sqrt(20)
    assert model.noise_ == pytest.approx(sigma, rel=0.2)


def test_dynamics_do_not_mix_clips():
    data = make_data(clips=2, n_frames=60, noise=0.02)
    order = np.argsort(np.r_[np.arange(30), np.arange(30)], kind="stable")
    model = EMPPCA(2, dynamics=True, device="cpu")
    X = model.fit(data.W, groups=data.groups).reconstruction_
    mixed = model.fit(data.W[order], groups=data.groups[order]).reconstruction_
    np.testing.assert_allclose(mixed, X[order], atol=1e-4)


def test_tags_tell_of_dynamics():
    assert not EMPPCA()._nrsfm_tags().temporal
    assert EMPPCA(dynamics=True)._nrsfm_tags().temporal


def test_confidence_lowers_the_influence_of_bad_keypoints():
    data = make_data(n_frames=60, n_points=16)
    rng = np.random.default_rng(3)
    bad = rng.random(data.visible.shape) < 0.05
    W = data.W.copy()
    W[bad] += W.std() * rng.normal(size=W[bad].shape)
    model = EMPPCA(2, device="cpu")
    plain = error(data, model.fit(W).reconstruction_)
    weighted = error(data, model.fit(W, weights=np.where(bad, 1e-3, 1.0)).reconstruction_)
    assert weighted < 0.9 * plain


@pytest.mark.parametrize(
    "setting", [{"camera": "perspective"}, {"dynamics": "no"}, {"init": "random"}], ids=str
)
def test_settings_out_of_range(setting):
    (name,) = setting
    with pytest.raises(ValueError, match=f"'{name}' parameter of EMPPCA"):
        EMPPCA(**setting).fit(make_data().W)


@pytest.mark.parametrize(("missing", "most"), [(0.0, 0.035), (0.3, 0.08)])
def test_real_data(data_dir, missing, most):
    data = load_short_sequence("pickup", data_home=data_dir)
    X, W = data.X[::2], data.W[::2].copy()
    W[np.random.default_rng(0).random(W.shape[:2]) < missing] = np.nan
    model = EMPPCA(12, device="cpu", tol=1e-3).fit(W)
    assert normalized_error(X, model.reconstruction_, protocol="procrustes") < most
