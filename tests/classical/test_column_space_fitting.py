"""Column space fitting: coefficients that are cosines, clips, confidence."""

import numpy as np
import pytest
from scipy.fft import dct

from nrsfm_learn import ColumnSpaceFitting
from nrsfm_learn.datasets import load_short_sequence, make_low_rank
from nrsfm_learn.metrics import normalized_error

variants = pytest.mark.parametrize("variant", ["csf", "csf2"])


def cosine_codes(n_frames=60, n_points=20, K=3, d=6, seed=0):
    """Shapes of rank K with coefficients of d cosines, each frame from a side of its own: X."""
    rng = np.random.default_rng(seed)
    theta = dct(np.eye(n_frames), norm="ortho", axis=0)[:d].T * np.sqrt(n_frames)
    coefficients = np.eye(d, K)
    coefficients[1:, 1:] = 0.3 * np.linalg.qr(rng.normal(size=(d - 1, K - 1)))[0]
    B = rng.normal(size=(K, n_points, 3))
    S = np.einsum("fk,kpi->fpi", theta @ coefficients, B - B.mean(1, keepdims=True))
    Q = np.linalg.qr(rng.normal(size=(n_frames, 3, 3)))[0]
    Q = Q * np.linalg.det(Q)[:, None, None]
    return S @ Q.swapaxes(1, 2)


def error(X_true, X):
    return normalized_error(X_true, X, protocol="frobenius", flip="sequence")


@pytest.mark.parametrize("seed", [0, 1, 2])
@variants
def test_cosine_codes_are_recovered(variant, seed):
    X = cosine_codes(seed=seed)
    model = ColumnSpaceFitting(3, variant=variant, frequency_fraction=0.1, device="cpu")
    # Exact but for the rotations, which come from a factorisation of higher rank.
    assert error(X, model.fit(X[..., :2]).reconstruction_) < 0.03


@variants
def test_codes_have_only_the_frequencies_that_are_allowed(variant):
    data = make_low_rank(60, 16, rank=3, clips=1, random_state=0)
    model = ColumnSpaceFitting(3, variant=variant, frequency_fraction=0.1, device="cpu")
    shapes = model.fit(data.W).shapes_
    spectrum = dct(shapes, norm="ortho", axis=0)
    assert np.abs(spectrum[6:]).max() < 1e-9 * np.abs(spectrum).max()
    assert np.linalg.matrix_rank(shapes.reshape(60, -1), tol=1e-6) == 3


def test_objective_is_the_sum_of_squares():
    data = make_low_rank(60, 16, rank=3, clips=1, noise=0.02, random_state=0)
    model = ColumnSpaceFitting(3, device="cpu").fit(data.W)
    left = model.reconstruction_[..., :2] - data.W
    size = np.sqrt(np.square(data.W - data.W.mean(1, keepdims=True)).mean())
    assert model.loss_curve_[-1] == pytest.approx(np.square(left / size).sum(), rel=1e-6)
    assert (np.diff(model.loss_curve_) <= 0).all()


def test_interleaved_clips_are_the_clips():
    data = make_low_rank(80, 16, rank=3, clips=2, random_state=0)
    order = np.argsort(np.r_[np.arange(40), np.arange(40)], kind="stable")
    model = ColumnSpaceFitting(3, frequency_fraction=0.3, device="cpu")
    X = model.fit(data.W, groups=data.groups).reconstruction_
    mixed = model.fit(data.W[order], groups=data.groups[order]).reconstruction_
    np.testing.assert_allclose(mixed, X[order], atol=1e-5)
    assert error(data.X, X) < 0.02
    assert error(data.X[order], model.fit(data.W[order]).reconstruction_) > 0.1


def test_confidence_lowers_the_influence_of_bad_keypoints():
    data = make_low_rank(60, 16, rank=3, clips=1, random_state=0)
    rng = np.random.default_rng(3)
    bad = rng.random(data.visible.shape) < 0.05
    W = data.W.copy()
    W[bad] += W.std() * rng.normal(size=W[bad].shape)
    model = ColumnSpaceFitting(3, frequency_fraction=0.2, device="cpu")
    plain = error(data.X, model.fit(W).reconstruction_)
    weighted = error(data.X, model.fit(W, weights=np.where(bad, 1e-3, 1.0)).reconstruction_)
    # Little, for the rotations do not know of it.
    assert weighted < plain


@pytest.mark.parametrize(
    "setting", [{"variant": "csf3"}, {"frequency_fraction": 1.5}, {"n_bases": -1}], ids=str
)
def test_settings_out_of_range(setting):
    (name,) = setting
    with pytest.raises(ValueError, match=f"'{name}' parameter of ColumnSpaceFitting"):
        ColumnSpaceFitting(**setting).fit(cosine_codes()[..., :2])


@pytest.mark.parametrize(("missing", "most"), [(0.0, 0.045), (0.3, 0.12)])
def test_real_data(data_dir, missing, most):
    data = load_short_sequence("pickup", data_home=data_dir)
    X, W = data.X[::2], data.W[::2].copy()
    W[np.random.default_rng(0).random(W.shape[:2]) < missing] = np.nan
    model = ColumnSpaceFitting(10, device="cpu").fit(W)
    assert normalized_error(X, model.reconstruction_, protocol="procrustes") < most
