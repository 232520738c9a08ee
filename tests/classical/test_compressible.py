"""Compressible NRSfM: few basis shapes of many."""

import numpy as np
import pytest
import torch

from nrsfm_learn import CompressibleNRSfM
from nrsfm_learn.classical._compressible import code_frames
from nrsfm_learn.datasets import load_short_sequence, make_low_rank
from nrsfm_learn.geometry import random_rotations
from nrsfm_learn.metrics import normalized_error


def make_data(seed=0, **options):
    options = {"n_frames": 100, "n_points": 20, "rank": 3, "clips": 1, **options}
    return make_low_rank(random_state=seed, **options)


def error(data, X):
    return normalized_error(data.X, X, protocol="frobenius", flip="sequence")


@pytest.mark.parametrize("cameras", ["factorization", "blocks"])
def test_low_rank_shapes_are_recovered(cameras):
    data = make_data()
    model = CompressibleNRSfM(3, cameras=cameras, device="cpu").fit(data.W)
    assert model.converged_
    assert error(data, model.reconstruction_) < 0.02


def test_more_basis_shapes_than_a_frame_uses():
    data = make_data()
    model = CompressibleNRSfM(6, n_active=3, device="cpu").fit(data.W)
    assert model.codes_.shape == (100, 6)
    assert (np.count_nonzero(model.codes_, axis=1) <= 3).all()
    assert error(data, model.reconstruction_) < 0.1


def test_shapes_are_combinations_of_the_basis():
    data = make_data()
    model = CompressibleNRSfM(4, device="cpu").fit(data.W)
    shapes = np.einsum("fk,kpc->fpc", model.codes_, model.basis_)
    np.testing.assert_allclose(shapes, model.shapes_, atol=1e-9 * np.abs(shapes).max())
    assert model.loss_curve_[-1] < model.loss_curve_[0]


def test_hidden_keypoints_and_unseen_frames():
    data = make_data(n_frames=150, missing=0.1)
    model = CompressibleNRSfM(3, device="cpu").fit(data.W[:120])
    X = np.concatenate([model.reconstruction_, model.transform(data.W[120:])])
    assert error(data, X) < 0.1
    assert np.isfinite(model.lift(data.W[120:]).codes).all()


def test_codes_solve_the_penalised_least_squares_of_their_support():
    generator = torch.Generator().manual_seed(0)
    options = {"generator": generator, "dtype": torch.float64}
    shapes = torch.randn(5, 12, 3, **options)
    shapes = shapes - shapes.mean(1, keepdim=True)
    R = random_rotations(6, **options)
    frames = torch.randn(6, 12, 2, **options)
    weights = (torch.rand(6, 12, **options) > 0.2).double()
    codes = code_frames(frames, shapes, R, 3, 0.1, weights=weights).codes
    for f in range(6):
        active = np.flatnonzero(codes[f].numpy())
        assert len(active) == 3
        seen = weights[f].numpy() > 0
        A = np.stack([(shapes[k] @ R[f].T)[:, :2].numpy()[seen] for k in active])
        A = (A - A.mean(1, keepdims=True)).reshape(3, -1).T
        target = frames[f].numpy()[seen]
        target = (target - target.mean(0)).ravel()
        ridge = np.diag([0.1 * float(shapes[k].square().sum()) for k in active])
        expected = np.linalg.solve(A.T @ A + ridge, A.T @ target)
        np.testing.assert_allclose(codes[f, active], expected, rtol=1e-6)


@pytest.mark.parametrize(("name", "value"), [("n_active", 0), ("cameras", "none")])
def test_settings_out_of_range(name, value):
    with pytest.raises(ValueError, match=f"'{name}' parameter of CompressibleNRSfM"):
        CompressibleNRSfM(**{name: value}).fit(make_data().W)


def test_real_data(data_dir):
    data = load_short_sequence("pickup", data_home=data_dir)
    X = CompressibleNRSfM(8, device="cpu").fit(data.W[::2]).reconstruction_
    assert normalized_error(data.X[::2], X, protocol="procrustes") < 0.05
