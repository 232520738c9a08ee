"""Procrustean regression: its cost against NumPy, both regularisers, hard and soft keypoints."""

import numpy as np
import pytest
import torch

from nrsfm_learn import ProcrusteanRegression
from nrsfm_learn.base import Observations
from nrsfm_learn.classical._completion import complete_tracks
from nrsfm_learn.classical._first_shapes import first_shapes, meet_keypoints
from nrsfm_learn.classical._tracks import tracks_of
from nrsfm_learn.datasets import load_short_sequence, make_low_rank
from nrsfm_learn.geometry import generalized_procrustes
from nrsfm_learn.metrics import normalized_error

regularizers = pytest.mark.parametrize("regularizer", ["log_det", "nuclear_norm"])

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def make_data(missing=0.0, seed=0, **options):
    options = {"n_frames": 30, "n_points": 12, "rank": 3, "clips": 1, **options}
    return make_low_rank(missing=missing, min_visible=6, random_state=seed, **options)


def make_model(**settings):
    return ProcrusteanRegression(**{"max_iter": 40, "tol": 1e-3, "device": "cpu", **settings})


def error(data, X):
    return normalized_error(data.X, X, protocol="frobenius", flip="sequence")


def start_of(W, init="nuclear_norm"):
    """Aligned shapes from which the descent starts, and their unit of length."""
    observations = Observations(W, ~np.isnan(W[..., 0]))
    tracks = tracks_of(observations, torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    completed = complete_tracks(tracks, generator).points
    shapes, rotations = first_shapes(tracks, completed, init, generator)
    X = meet_keypoints(tracks, shapes @ rotations.mT)
    aligned = generalized_procrustes(X, max_iter=1000, tol=1e-12)
    return (X @ aligned.rotations).numpy(), tracks.size


def cost_of(shapes, regularizer, energy, epsilon=0.003):
    values = np.linalg.svd(shapes.reshape(len(shapes), -1), compute_uv=False)
    if regularizer == "nuclear_norm":
        return values.sum()
    return np.log1p(np.square(values) / (epsilon**2 * energy)).sum()


@regularizers
def test_cost_is_that_of_the_aligned_shapes_and_below_the_start(regularizer):
    data = make_data()
    model = make_model(regularizer=regularizer).fit(data.W)
    start, size = start_of(data.W)
    energy = np.square(start).sum()
    cost = cost_of(model.shapes_ / size, regularizer, energy)
    # The curve ends a step before the shapes.
    assert model.loss_curve_[-1] == pytest.approx(cost, rel=2e-3)
    before = generalized_cost(start, regularizer, energy)
    assert cost <= before * (1 + 1e-9)
    assert (np.diff(model.loss_curve_)[-5:] <= 1e-9 * abs(cost)).all()


def generalized_cost(shapes, regularizer, energy):
    """Cost of shapes, aligned by Procrustes analysis written out here."""
    aligned = shapes.copy()
    for _ in range(300):
        total = aligned.sum(0)
        U, _, Vt = np.linalg.svd(aligned.swapaxes(1, 2) @ total)
        U[:, :, 2] *= np.linalg.det(U @ Vt)[:, None]
        aligned = aligned @ (U @ Vt)
    return cost_of(aligned, regularizer, energy)


@pytest.mark.parametrize("missing", [0.0, 0.1])
@regularizers
def test_low_rank_shapes_are_recovered(regularizer, missing):
    data = make_data(missing, n_frames=50, n_points=16)
    model = make_model(regularizer=regularizer).fit(data.W)
    assert error(data, model.reconstruction_) < (0.1 if missing else 0.02)


@regularizers
def test_aligned_shapes_are_a_maximum_of_agreement(regularizer):
    data = make_data()
    shapes = make_model(regularizer=regularizer).fit(data.W).shapes_
    total = shapes.sum(0)
    for S in shapes:
        # Rotations to the mean of the others are stationary: a symmetric matrix.
        M = S.T @ total
        np.testing.assert_allclose(M, M.T, atol=1e-4 * np.abs(M).max())


def test_regularization_trades_keypoints_for_regularity():
    data = make_data(noise=0.05)
    left, regularity = [], []
    for weight in (0.01, 1.0):
        model = make_model(regularizer="nuclear_norm", regularization=weight).fit(data.W)
        left.append(np.linalg.norm(model.reconstruction_[..., :2] - data.W))
        regularity.append(cost_of(model.shapes_, "nuclear_norm", None))
    assert left == sorted(left)
    assert regularity == sorted(regularity, reverse=True)


def test_soft_cost_uses_confidence():
    data = make_data(n_frames=40, n_points=14)
    rng = np.random.default_rng(3)
    bad = rng.random(data.visible.shape) < 0.05
    W = data.W.copy()
    W[bad] += W.std() * rng.normal(size=W[bad].shape)
    model = make_model(regularization=0.1)
    plain = error(data, model.fit(W).reconstruction_)
    weighted = error(data, model.fit(W, weights=np.where(bad, 1e-3, 1.0)).reconstruction_)
    assert weighted < 0.9 * plain


def test_rigid_start():
    data = make_data(n_frames=50, n_points=16)
    model = make_model(init="rigid").fit(data.W)
    # Much better than where it began, if not as good as from the other start.
    rigid, size = start_of(data.W, "rigid")
    before = normalized_error(data.X, size * rigid, protocol="procrustes")
    assert normalized_error(data.X, model.reconstruction_, protocol="procrustes") < before


@pytest.mark.parametrize(
    "setting",
    [{"regularizer": "rank"}, {"epsilon": 0.0}, {"regularization": 0.0}, {"init": "zero"}],
    ids=str,
)
def test_settings_out_of_range(setting):
    (name,) = setting
    with pytest.raises(ValueError, match=f"'{name}' parameter of ProcrusteanRegression"):
        make_model(**setting).fit(make_data().W)


def test_real_data(data_dir):
    data = load_short_sequence("pickup", data_home=data_dir)
    model = make_model(tol=1e-4).fit(data.W[::4])
    assert normalized_error(data.X[::4], model.reconstruction_, protocol="procrustes") < 0.05
