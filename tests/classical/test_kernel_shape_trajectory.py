"""Kernel shape trajectory: kernels and gradient against formula and finite differences."""

import numpy as np
import pytest
import torch
from scipy.fft import dct
from scipy.spatial.distance import cdist

from nrsfm_learn import ColumnSpaceFitting, KernelShapeTrajectory
from nrsfm_learn.classical._column_space_solver import CodeProblem, code_functions
from nrsfm_learn.classical._kernel_shape_trajectory import (
    _descend,
    _span,
    first_latent,
    kernel_codes,
    spread_frames,
)
from nrsfm_learn.classical._tracks import Tracks
from nrsfm_learn.datasets import load_short_sequence, make_low_rank
from nrsfm_learn.metrics import normalized_error

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def kernel_problem(hide, seed=0, n_frames=40, n_points=14, K=4):
    """Shapes that are kernels of a smooth path: tracks, rotations, path and frames."""
    rng = np.random.default_rng(seed)
    theta = dct(np.eye(n_frames), norm="ortho", axis=0)[:5].T * np.sqrt(n_frames)
    latent = torch.tensor(theta[:, 1:] @ rng.normal(size=(4, 2)) / 4)
    centers = spread_frames(latent, K)
    B = rng.normal(size=(K, n_points, 3))
    S = np.einsum("fk,kpi->fpi", kernel_codes(latent, centers).numpy(), B)
    S -= S.mean(1, keepdims=True)
    R = np.linalg.qr(rng.normal(size=(n_frames, 3, 3)))[0]
    R *= np.linalg.det(R)[:, None, None]
    points = torch.tensor((S @ R.swapaxes(1, 2))[..., :2])
    weights = torch.ones(n_frames, n_points, dtype=torch.float64)
    if hide:
        weights[torch.tensor(rng.random(weights.shape) < 0.1)] = 0
    tracks = Tracks(points, weights, [slice(None)], torch.zeros(n_frames, 2), 1.0)
    return tracks, torch.tensor(R), latent, centers


def test_kernels():
    rng = np.random.default_rng(0)
    latent = rng.normal(size=(9, 2))
    codes = kernel_codes(torch.tensor(latent), torch.tensor([1, 4])).numpy()
    np.testing.assert_allclose(codes, np.exp(-(cdist(latent, latent[[1, 4]]) ** 2)))


def test_frames_of_the_kernel_are_far_apart():
    latent = torch.tensor([[0.0], [0.1], [5.0], [-3.0], [4.9]])
    assert set(spread_frames(latent, 3).tolist()) in ({0, 2, 3}, {1, 2, 3})


@pytest.mark.parametrize("hide", [False, True])
def test_gradient_of_the_codes_is_finite_differences(hide):
    tracks, R, latent, _ = kernel_problem(hide)
    functions = code_functions([slice(None)], len(latent), 0.2, latent)
    problem = CodeProblem(tracks, torch.zeros(len(latent), 2), R, functions)
    rng = torch.Generator().manual_seed(0)
    codes = torch.randn(len(latent), 3, dtype=torch.float64, generator=rng)
    state = problem.project_codes(codes)
    direction = torch.randn(codes.shape, dtype=torch.float64, generator=rng)
    step = 1e-5
    costs = [problem.project_codes(codes + sign * step * direction).cost for sign in (1, -1)]
    slope = -2 * (problem.code_gradient(state) * direction).sum()
    assert (costs[0] - costs[1]) / (2 * step) == pytest.approx(float(slope), rel=1e-4)


@pytest.mark.parametrize("hide", [False, True])
def test_descent_finds_the_path(hide):
    tracks, R, latent, centers = kernel_problem(hide)
    functions = code_functions([slice(None)], len(latent), 0.15, latent)
    problem = CodeProblem(tracks, torch.zeros(len(latent), 2), R, functions)
    true = functions.T @ latent
    rng = torch.Generator().manual_seed(0)
    start = true + 0.1 * torch.randn(true.shape, dtype=torch.float64, generator=rng)
    first = problem.project_codes(_span(kernel_codes(functions @ start, centers))[0]).cost
    found, curve, _ = _descend(problem, start, centers, 200, 1e-6)
    last = problem.project_codes(_span(kernel_codes(functions @ found, centers))[0]).cost
    assert last < 0.05 * first
    assert (np.diff(curve) <= 1e-9 * curve[0]).all()


def test_first_latent_coordinates_are_principal():
    shapes = torch.randn(12, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    latent = first_latent(shapes, 2)
    np.testing.assert_allclose(latent.mean(0), 0, atol=1e-12)
    assert float(latent[:, 0] @ latent[:, 1]) == pytest.approx(0, abs=1e-12)
    distances = cdist(latent.numpy(), latent.numpy()) ** 2
    assert distances.mean() == pytest.approx(1.0)


def test_low_rank_shapes():
    data = make_low_rank(60, 16, rank=3, clips=1, random_state=0)
    errors = [
        normalized_error(
            data.X, model.fit(data.W).reconstruction_, protocol="frobenius", flip="sequence"
        )
        for model in (ColumnSpaceFitting(3, device="cpu"), KernelShapeTrajectory(5, device="cpu"))
    ]
    assert errors[1] < max(0.1, 1.5 * errors[0])


def test_settings_out_of_range():
    with pytest.raises(ValueError, match="'n_latent' parameter of KernelShapeTrajectory"):
        KernelShapeTrajectory(n_latent=0).fit(make_low_rank(20, 8, rank=2, random_state=0).W)


def test_real_data(data_dir):
    data = load_short_sequence("pickup", data_home=data_dir)
    X = KernelShapeTrajectory(4, device="cpu").fit(data.W).reconstruction_
    assert normalized_error(data.X, X, protocol="procrustes") < 0.06
