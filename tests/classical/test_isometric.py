"""Isometric NRSfM: sheets before a perspective camera."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning

from nrsfm_learn import IsometricNRSfM
from nrsfm_learn.datasets import load_sheet, make_bending_sheet
from nrsfm_learn.geometry import procrustes


def make_data(n_frames=12, n_rows=5, n_cols=6, seed=0, **options):
    options = {"camera": "perspective", "bending": 1.5, **options}
    return make_bending_sheet(n_frames, n_rows, n_cols, random_state=seed, **options)


def error(X, Y):
    """Return the mean distance after a similarity of each frame, over the sheet's diameter."""
    X, Y = (torch.as_tensor(np.asarray(a, float)) for a in (X, Y))
    aligned = procrustes(Y, X, scale=True).aligned
    diameter = (X[:, :, None] - X[:, None]).norm(dim=-1).amax((1, 2)).mean()
    return float((aligned - X).norm(dim=-1).mean() / diameter)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_generated_sheets_are_recovered(seed):
    data = make_data(seed=seed)
    model = IsometricNRSfM(8, device="cpu").fit(data.W)
    assert error(data.X, model.reconstruction_) < 0.03
    assert model.converged_
    assert model.length_variation_ < 0.05


def test_the_refinement_lowers_the_error():
    data = make_data()
    convex = IsometricNRSfM(8, refine=False, device="cpu").fit(data.W)
    refined = IsometricNRSfM(8, device="cpu").fit(data.W)
    assert len(convex.refinement_curve_) == 0
    assert refined.length_variation_ < convex.length_variation_
    X = data.X
    assert error(X, refined.reconstruction_) < error(X, convex.reconstruction_) < 0.06


def test_all_frames_are_in_one_scale_and_project_onto_the_keypoints():
    data = make_data()
    X = IsometricNRSfM(8, device="cpu").fit(data.W).reconstruction_
    ratio = X[..., 2].mean(1) / data.X[..., 2].mean(1)
    assert ratio.std() < 0.05 * ratio.mean()
    np.testing.assert_allclose(X[..., :2] / X[..., 2:], data.W, atol=1e-12)
    assert X[..., 2].mean() == pytest.approx(1, rel=0.02)


def test_hidden_keypoints():
    data = make_data(n_frames=20, missing=0.2)
    model = IsometricNRSfM(8, device="cpu").fit(data.W)
    assert error(data.X, model.reconstruction_) < 0.04
    assert model.score(data.W) > 0.9


def test_unseen_frames():
    data = make_data(n_frames=24)
    model = IsometricNRSfM(8, device="cpu").fit(data.W[:16])
    assert error(data.X[16:], model.transform(data.W[16:])) < 0.03


def test_pixels_and_intrinsics():
    K = np.array([[900.0, 0, 640], [0, 950, 360], [0, 0, 1]])
    data = make_data(intrinsics=K)
    plane = make_data()
    model = IsometricNRSfM(8, device="cpu").fit(data.W, intrinsics=K)
    X = IsometricNRSfM(8, device="cpu").fit(plane.W).reconstruction_
    np.testing.assert_allclose(model.reconstruction_, X, rtol=0, atol=1e-6)
    np.testing.assert_allclose(model.inverse_transform(X), data.W, rtol=1e-6)
    with pytest.raises(ValueError, match="looks like pixels"):
        IsometricNRSfM(device="cpu").fit(data.W)


def test_it_says_when_it_stops_early():
    with pytest.warns(ConvergenceWarning, match=r"before it met tol=0.001: raise max_iter"):
        model = IsometricNRSfM(6, max_iter=4, device="cpu").fit(make_data().W)
    assert model.n_iter_ == 4
    assert not model.converged_
    assert len(model.loss_curve_) == 4


def test_points_that_nothing_links():
    data = make_data(n_frames=4)
    W = np.full_like(data.W, np.nan)
    # Each frame shows three points, no two of them together in two frames, and each point once.
    for f in range(4):
        W[f, 3 * f : 3 * f + 3] = data.W[f, 3 * f : 3 * f + 3]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        X = IsometricNRSfM(4, device="cpu").fit_transform(W[:, :12])
    assert X.shape == (4, 12, 3)


@pytest.mark.parametrize(
    ("name", "value"), [("n_neighbors", 1), ("refine", "yes"), ("max_iter", 0), ("tol", 0.0)]
)
def test_settings_out_of_range(name, value):
    with pytest.raises(ValueError, match=f"'{name}' parameter of IsometricNRSfM"):
        IsometricNRSfM(**{name: value}).fit(make_data(n_frames=2).W)


@pytest.mark.parametrize(("name", "most"), [("paper", 0.015), ("shirt", 0.015), ("hulk", 0.01)])
def test_recorded_sheets(data_dir, name, most):
    data = load_sheet(name, data_home=data_dir)
    model = IsometricNRSfM(8, device="cpu").fit(data.W, intrinsics=data.intrinsics)
    assert error(data.X, model.reconstruction_) < most
