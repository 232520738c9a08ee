"""Trajectory basis: trajectories that are cosines, clips, and frames that it cannot lift."""

import numpy as np
import pytest
from scipy.fft import dct

from nrsfm_learn import TrajectoryBasis
from nrsfm_learn.datasets import load_short_sequence, make_low_rank
from nrsfm_learn.metrics import normalized_error

K = 3

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def cosine_data(n_frames=60, n_points=20, seed=0):
    """World trajectories of K cosines, each frame from a side of its own: X."""
    rng = np.random.default_rng(seed)
    theta = dct(np.eye(n_frames), norm="ortho", axis=0)[:K].T * np.sqrt(n_frames)
    A = rng.normal(size=(K, n_points, 3)) * np.array([1.0, 0.3, 0.3])[:, None, None]
    S = np.einsum("fk,kpi->fpi", theta, A - A.mean(1, keepdims=True))
    Q = np.linalg.qr(rng.normal(size=(n_frames, 3, 3)))[0]
    Q = Q * np.linalg.det(Q)[:, None, None]
    return S @ Q.swapaxes(1, 2)


def error(X_true, X):
    return normalized_error(X_true, X, protocol="frobenius", flip="sequence")


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_cosines_are_recovered(seed):
    X = cosine_data(seed=seed)
    model = TrajectoryBasis(K, device="cpu").fit(X[..., :2])
    # To first order a common frame that turns as a cosine keeps all rotations orthonormal, so that
    # the residual is of fourth order in the error, and its root is what can be reached.
    assert model.loss_curve_[0] < 1e-9
    assert error(X, model.reconstruction_) < 0.02
    assert model.reconstruction_.shape == X.shape


def test_shapes_are_trajectories_of_cosines():
    data = make_low_rank(50, 16, rank=3, clips=1, missing=0.1, random_state=0)
    model = TrajectoryBasis(K, device="cpu").fit(data.W)
    spectrum = dct(model.shapes_, norm="ortho", axis=0)
    assert np.abs(spectrum[K:]).max() < 1e-9 * np.abs(spectrum).max()


def test_hidden_keypoints():
    X = cosine_data()
    hidden = np.random.default_rng(0).random(X.shape[:2]) < 0.1
    W = np.where(hidden[..., None], np.nan, X[..., :2])
    model = TrajectoryBasis(K, device="cpu").fit(W)
    # From sides that have nothing in common completion is rough, and rotations with it.
    assert error(X, model.reconstruction_) < 0.15


def test_other_frames_are_refused():
    data = make_low_rank(30, 13, rank=2, clips=1, random_state=0)
    model = TrajectoryBasis(2, device="cpu").fit(data.W)
    np.testing.assert_array_equal(model.transform(data.W), model.reconstruction_)
    for W in (data.W[:10], data.W[::-1], data.W + 1):
        with pytest.raises(ValueError, match=r"cannot lift others.*fit_transform.*EMPPCA"):
            model.transform(W)


def test_interleaved_clips_are_the_clips():
    data = make_low_rank(60, 16, rank=3, clips=2, random_state=0)
    order = np.argsort(np.r_[np.arange(30), np.arange(30)], kind="stable")
    model = TrajectoryBasis(K, device="cpu")
    X = model.fit(data.W, groups=data.groups).reconstruction_
    mixed = model.fit(data.W[order], groups=data.groups[order]).reconstruction_
    np.testing.assert_allclose(mixed, X[order], atol=1e-6)
    # As one clip they are none.
    alone = model.fit(data.W[order]).reconstruction_
    assert error(data.X[order], alone) > 2 * error(data.X, X)


def test_clips_are_reconstructed_one_by_one():
    data = make_low_rank(60, 16, rank=3, clips=2, random_state=0)
    together = TrajectoryBasis(K, device="cpu").fit(data.W, groups=data.groups).reconstruction_
    for clip in (0, 1):
        frames = data.groups == clip
        alone = TrajectoryBasis(K, device="cpu").fit(data.W[frames]).reconstruction_
        assert normalized_error(together[frames], alone, protocol="procrustes") < 0.01


def test_confidence_lowers_the_influence_of_bad_keypoints():
    data = make_low_rank(60, 16, rank=3, clips=1, random_state=0)
    rng = np.random.default_rng(3)
    bad = rng.random(data.visible.shape) < 0.05
    W = data.W.copy()
    W[bad] += W.std() * rng.normal(size=W[bad].shape)
    model = TrajectoryBasis(K, device="cpu")
    plain = error(data.X, model.fit(W).reconstruction_)
    weighted = error(data.X, model.fit(W, weights=np.where(bad, 1e-3, 1.0)).reconstruction_)
    assert weighted < 0.9 * plain


def test_real_data(data_dir):
    data = load_short_sequence("pickup", data_home=data_dir)
    model = TrajectoryBasis(12, device="cpu").fit(data.W[::2])
    assert normalized_error(data.X[::2], model.reconstruction_, protocol="procrustes") < 0.06
