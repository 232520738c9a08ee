"""Variable projection against dense algebra that forms every row."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nrsfm_learn.classical import _column_space_solver as solver
from nrsfm_learn.classical._column_space_solver import code_functions, fit_codes
from nrsfm_learn.classical._tracks import Tracks
from nrsfm_learn.geometry import random_rotations

KINDS = pytest.mark.parametrize("kind", ["complete", "hidden", "weighted", "one weight"])
ROOT = {"complete": 1.0, "one weight": 0.7}


def randn(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def make_tracks(points, weights, clips=None):
    points = points * (weights > 0)[..., None]
    clips = [slice(0, len(points))] if clips is None else clips
    return Tracks(points, weights, clips, torch.zeros_like(points[:, 0]), 1.0)


def weights_of(kind, n_frames, n_points, seed=0):
    rng = np.random.default_rng(seed)
    weights = np.full((n_frames, n_points), ROOT.get(kind, 1.0))
    if kind == "weighted":
        weights = rng.uniform(0.2, 2, weights.shape)
    if kind in ("hidden", "weighted"):
        weights[rng.random(weights.shape) < 0.25] = 0
    return torch.from_numpy(weights)


def problem(kind="complete", n_frames=14, n_points=6, n_functions=4, n_bases=2, seed=0):
    """Keypoints without structure, cameras, cosines and some coefficients."""
    weights = weights_of(kind, n_frames, n_points, seed)
    tracks = make_tracks(randn(n_frames, n_points, 2, seed=seed), weights)
    generator = torch.Generator().manual_seed(seed)
    R = random_rotations(n_frames, generator=generator, dtype=torch.float64)
    offsets = 0.2 * randn(n_frames, 2, seed=seed + 1)
    functions = code_functions(tracks.clips, n_frames, n_functions / n_frames, R)
    X = torch.linalg.qr(randn(n_functions, n_bases, seed=seed + 2))[0]
    return tracks, offsets, R, functions, X


def exact(kind="complete", n_frames=60, n_points=8, n_functions=6, n_bases=2, seed=0):
    """Keypoints of shapes whose codes are smooth, with the codes."""
    tracks, offsets, R, functions, X = problem(
        kind, n_frames, n_points, n_functions, n_bases, seed=seed
    )
    codes = functions @ X
    shapes = torch.einsum("fk,kpi->fpi", codes, randn(n_bases, n_points, 3, seed=seed + 3))
    points = (shapes @ R.mT)[..., :2] + offsets[:, None]
    return tracks._replace(points=points * tracks.seen[..., None]), offsets, R, functions, X, shapes


def dense(tracks, offsets, R, functions, X):
    """For each point: rows of M and targets, with the roots of the weights on them."""
    codes = functions @ X
    n_frames, n_points, _ = tracks.points.shape
    M = torch.cat([torch.kron(codes[f], R[f, :2]) for f in range(n_frames)])
    for p in range(n_points):
        root = tracks.weights[:, p].sqrt().repeat_interleave(2)
        w = (tracks.points[:, p] - offsets).flatten()
        yield root, M, root * w


def dense_cost(*problem_):
    total = 0.0
    for root, M, w in dense(*problem_):
        A = (root[:, None] * M).numpy()
        left = A @ np.linalg.lstsq(A, w.numpy(), rcond=None)[0] - w.numpy()
        total += float(left @ left)
    return total


@KINDS
def test_codes_are_projected_out_by_least_squares(kind):
    tracks, offsets, R, functions, X = problem(kind)
    state = solver.CodeProblem(tracks, offsets, R, functions).project(X)
    assert state.cost == pytest.approx(dense_cost(tracks, offsets, R, functions, X), rel=1e-6)
    for p, (root, M, w) in enumerate(dense(tracks, offsets, R, functions, X)):
        s = np.linalg.lstsq((root[:, None] * M).numpy(), w.numpy(), rcond=None)[0]
        np.testing.assert_allclose(state.basis[:, p].numpy().ravel(), s, atol=1e-6)
    torch.testing.assert_close(state.codes, functions @ X)


@KINDS
def test_gradient_is_that_of_the_projected_cost(kind):
    tracks, offsets, R, functions, X = problem(kind)
    normal = solver.CodeProblem(tracks, offsets, R, functions)
    _, g = normal.normal_equations(normal.project(X), 0)
    step, slopes = 1e-5, []
    for k in range(X.numel()):
        nudge = torch.zeros(X.numel(), dtype=X.dtype)
        nudge[k] = step
        nudge = nudge.reshape(X.shape)
        up, down = (dense_cost(tracks, offsets, R, functions, X + s * nudge) for s in (1, -1))
        slopes.append((up - down) / (2 * step))
    # The cost's gradient is 2 J^T r, and g is -J^T r.
    np.testing.assert_allclose(-2 * g, slopes, atol=1e-5)


@KINDS
@pytest.mark.parametrize("first", [0, 1, 2])
def test_matrix_is_kaufmans(kind, first):
    problem_ = problem(kind, n_bases=3, n_frames=20)
    tracks, offsets, R, functions, X = problem_
    normal = solver.CodeProblem(tracks, offsets, R, functions)
    H, g = normal.normal_equations(normal.project(X), first)
    n_functions, n_bases = X.shape
    J, r = [], []
    for root, M, w in dense(*problem_):
        A = root[:, None] * M
        s = torch.linalg.lstsq(A, w[:, None]).solution.squeeze(1)
        U = torch.linalg.svd(A, full_matrices=False)[0]
        columns = []
        for a in range(n_functions):
            for k in range(first, n_bases):
                E = torch.zeros_like(X)
                E[a, k] = 1
                codes = functions @ E
                dM = torch.cat([torch.kron(codes[f], R[f, :2]) for f in range(len(R))])
                moved = root * (dM @ s)
                columns.append(-(moved - U @ (U.T @ moved)))
        J.append(torch.stack(columns, dim=1))
        r.append(w - A @ s)
    J, r = torch.cat(J), torch.cat(r)
    torch.testing.assert_close(H, J.T @ J, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(g, -J.T @ r, atol=1e-6, rtol=1e-6)


@KINDS
@pytest.mark.parametrize("seed", range(2))
def test_the_cost_never_rises_and_ends_at_a_minimum(kind, seed):
    tracks, offsets, R, functions, X = problem(kind, n_frames=30, seed=seed)
    fit = fit_codes(tracks, offsets, R, functions, X, max_iter=200, tol=1e-12)
    assert fit.converged
    assert (np.diff(fit.curve) < 0).all()
    assert len(fit.curve) >= fit.n_iter
    problem_ = (tracks, offsets, R, functions)
    assert fit.curve[-1] == pytest.approx(dense_cost(*problem_, fit.coefficients), rel=1e-6)
    assert fit.curve[0] == pytest.approx(dense_cost(*problem_, X), rel=1e-6)
    normal = solver.CodeProblem(*problem_)
    start = normal.normal_equations(normal.project(X), 0)[1].norm()
    end = normal.normal_equations(normal.project(fit.coefficients), 0)[1].norm()
    assert end < 1e-3 * start
    # What is returned belongs together.
    torch.testing.assert_close(fit.codes, functions @ fit.coefficients)
    predicted = torch.einsum("fk,kpi,fci->fpc", fit.codes, fit.basis, R[:, :2]) + offsets[:, None]
    cost = (tracks.weights[..., None] * (tracks.points - predicted).square()).sum()
    assert fit.curve[-1] == pytest.approx(float(cost), rel=1e-9)


@KINDS
def test_exact_keypoints_are_fitted(kind):
    tracks, offsets, R, functions, X, shapes = exact(kind)
    nearby = X + 0.2 * randn(*X.shape, seed=8)
    fit = fit_codes(tracks, offsets, R, functions, nearby, tol=1e-10)
    assert fit.curve[0] > 1e-2
    assert fit.curve[-1] < 1e-8
    found = torch.einsum("fk,kpi->fpi", fit.codes, fit.basis)
    assert (found - shapes).norm() < 1e-3 * shapes.norm()
    # The codes agree as a space.
    P, Q = fit.coefficients, X
    torch.testing.assert_close(P @ P.T, Q @ Q.T, atol=1e-3, rtol=0)


def test_start_may_be_any_basis_of_its_columns():
    tracks, offsets, R, functions, X = problem("hidden")
    mixed = X @ torch.tensor([[3.0, 1], [-1, 0.2]], dtype=torch.float64)
    one = fit_codes(tracks, offsets, R, functions, X)
    other = fit_codes(tracks, offsets, R, functions, mixed)
    assert one.curve[0] == pytest.approx(other.curve[0], rel=1e-6)
    assert one.curve[-1] == pytest.approx(other.curve[-1], rel=0.05)


@KINDS
@pytest.mark.parametrize("free", [1, 2])
def test_free_bases_move_and_the_others_stay(kind, free):
    tracks, offsets, R, functions, X = problem(kind, n_bases=3, n_frames=30, n_functions=6)
    fit = fit_codes(tracks, offsets, R, functions, X, free=free, tol=1e-10)
    assert fit.curve[-1] < 0.999 * fit.curve[0]
    kept = X[:, : 3 - free]
    inside = fit.coefficients[:, : 3 - free]
    torch.testing.assert_close(inside @ inside.T, kept @ kept.T, atol=1e-10, rtol=0)
    # With everything free it gets no worse.
    every = fit_codes(tracks, offsets, R, functions, fit.coefficients)
    assert every.curve[-1] <= fit.curve[-1] * (1 + 1e-9)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.floats(0.01, 1))
@settings(deadline=None, max_examples=40)
def test_code_functions_are_cosines_of_each_clip(groups, fraction):
    groups = np.array(groups)
    clips = [torch.from_numpy(np.flatnonzero(groups == g)) for g in np.unique(groups)]
    functions = code_functions(clips, len(groups), fraction, randn(1)).numpy()
    count = functions.shape[1]
    np.testing.assert_allclose(functions.T @ functions, np.eye(count), atol=1e-10)
    frequencies = []
    for column in functions.T:
        (own,) = (g for g in np.unique(groups) if np.abs(column[groups == g]).max() > 1e-6)
        signal = column[groups == own]
        n = len(signal)
        waves = np.cos(np.pi * np.outer(np.arange(n) + 0.5, np.arange(n)) / n)
        k = np.abs(waves.T @ signal).argmax()
        part = waves[:, k] * (waves[:, k] @ signal) / (waves[:, k] @ waves[:, k])
        np.testing.assert_allclose(signal, part, atol=1e-10)
        frequencies.append(k / n)
    # Slow ones first, and of each clip its share, at least the constant.
    assert (np.diff(frequencies) >= 0).all()
    share = [max(1, int(np.ceil(fraction * (groups == g).sum()))) for g in np.unique(groups)]
    assert count == sum(share)


def test_steps_are_counted():
    tracks, offsets, R, functions, X = problem("hidden")
    fit = fit_codes(tracks, offsets, R, functions, X, max_iter=2, tol=0.0)
    assert fit.n_iter == 2
    assert not fit.converged
    assert len(fit.curve) == 3
