"""The maximum-depth problem, against conditions of optimality and another solver."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from nrsfm_learn._deadline import stop_when
from nrsfm_learn.base import Observations
from nrsfm_learn.classical._maximum_depth import solve_maximum_depth
from nrsfm_learn.classical._sight_graph import neighborhood_graph, rays_of, sight_lines
from nrsfm_learn.datasets import make_bending_sheet


def make_lines(n_frames=3, n_rows=3, n_cols=3, n_neighbors=4, missing=0.0, seed=0):
    data = make_bending_sheet(
        n_frames, n_rows, n_cols, camera="perspective", missing=missing, random_state=seed
    )
    edges = neighborhood_graph(rays_of(data.W), data.visible, n_neighbors)
    return sight_lines(Observations(data.W, data.visible), edges, torch.device("cpu")), data


def lengths(lines, depths):
    return lines.differences(depths).norm(dim=-1)


@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_another_solver_finds_the_same_optimum(missing):
    lines, _ = make_lines(missing=missing)
    found = solve_maximum_depth(lines, tol=1e-7)
    F, P = lines.seen.shape
    E = len(lines.edges)
    seen, active = lines.seen.numpy(), lines.weights.numpy() > 0
    i, j = lines.edges.T.numpy()
    rays = lines.rays.numpy()

    def slack(x):
        depths, d = x[: F * P].reshape(F, P), x[F * P :]
        along = depths[:, i, None] * rays[:, i] - depths[:, j, None] * rays[:, j]
        return (d**2 - np.square(along).sum(-1))[active]

    start = np.concatenate([np.ones(F * P), np.ones(E)])
    other = minimize(
        lambda x: -x[: F * P][seen.ravel()].sum(),
        start,
        method="SLSQP",
        bounds=[(0, None)] * (F * P + E),
        constraints=[
            {"type": "ineq", "fun": slack},
            {"type": "eq", "fun": lambda x: x[F * P :].mean() - 1},
        ],
        options={"maxiter": 500, "ftol": 1e-10},
    )
    assert found.converged
    total = float(found.depths[lines.seen].sum())
    assert total == pytest.approx(-other.fun, rel=1e-4)
    assert total >= -other.fun * (1 - 1e-6)


def test_constraints_hold_and_the_distances_have_mean_one():
    lines, _ = make_lines(missing=0.2, n_frames=5)
    found = solve_maximum_depth(lines)
    excess = (lengths(lines, found.depths) - found.distances)[lines.weights > 0]
    assert excess.max() < 0
    assert float(found.distances.mean()) == pytest.approx(1, abs=1e-9)
    assert found.bounded[lines.seen].all()
    assert len(found.curve) == found.n_iter
    assert found.curve[-1] <= 1e-4


def test_the_bound_on_the_gap_holds():
    lines, _ = make_lines()
    best = float(solve_maximum_depth(lines, tol=1e-8).depths.sum())
    for tol in (0.3, 0.03, 0.003):
        found = solve_maximum_depth(lines, tol=tol)
        # Centred only to a Newton decrement, the bound holds to a factor.
        assert 1 - float(found.depths.sum()) / best <= 1.5 * found.curve[-1]


def test_given_distances_give_the_depths_of_the_joint_problem():
    lines, _ = make_lines(n_frames=4)
    joint = solve_maximum_depth(lines, tol=1e-7)
    each = solve_maximum_depth(lines, joint.distances, tol=1e-7)
    torch.testing.assert_close(each.depths, joint.depths, rtol=1e-4, atol=0)


def test_frames_with_given_distances_are_problems_of_their_own():
    lines, _ = make_lines(n_frames=4, missing=0.2)
    bounds = torch.ones(len(lines.edges), dtype=torch.float64)
    together = solve_maximum_depth(lines, bounds)
    for f in range(4):
        part = slice(f, f + 1)
        one = lines._replace(
            rays=lines.rays[part], seen=lines.seen[part], weights=lines.weights[part]
        )
        alone = solve_maximum_depth(one, bounds)
        torch.testing.assert_close(alone.depths, together.depths[part], rtol=1e-9, atol=1e-12)


def test_depth_is_proportional_to_the_distances():
    lines, _ = make_lines()
    bounds = torch.ones(len(lines.edges), dtype=torch.float64)
    first, second = (solve_maximum_depth(lines, s * bounds, tol=1e-6).depths for s in (1, 1000))
    torch.testing.assert_close(second, 1000 * first, rtol=1e-5, atol=0)


def test_a_flat_sheet_before_the_camera_is_nearly_recovered():
    # Fronto-parallel, and only moved within its plane and away: all edges keep their image.
    grid = np.stack(np.meshgrid([-0.2, 0, 0.2], [-0.2, 0, 0.2]), axis=-1).reshape(-1, 2)
    W = np.stack([grid, grid / 2, grid / 1.5])
    edges = neighborhood_graph(rays_of(W), np.ones(W.shape[:2], bool), 3)
    lines = sight_lines(Observations(W, np.ones(W.shape[:2], bool)), edges, torch.device("cpu"))
    points = solve_maximum_depth(lines, tol=1e-8).depths[..., None] * lines.rays
    z = points[..., 2] / points[0, 0, 2]
    expected = torch.tensor([1.0, 2.0, 1.5], dtype=torch.float64)[:, None].expand(3, 9)
    torch.testing.assert_close(z, expected, rtol=0.02, atol=0)


def test_points_held_by_nothing_are_told():
    lines, _ = make_lines()
    # Two points on one line of sight that nothing else holds.
    weights = lines.weights.clone()
    i, j = lines.edges.T
    weights[0, ((i == 0) | (j == 0)) & ~((i == 0) & (j == 1))] = 0
    weights[0, ((i == 1) | (j == 1)) & ~((i == 0) & (j == 1))] = 0
    rays = lines.rays.clone()
    rays[0, 1] = rays[0, 0]
    assert ((i == 0) & (j == 1)).any()
    found = solve_maximum_depth(lines._replace(weights=weights, rays=rays))
    assert not found.bounded[0, :2].any()
    assert found.bounded[1:].all()
    assert torch.isfinite(found.depths).all()


def test_few_steps_do_not_converge():
    lines, _ = make_lines()
    found = solve_maximum_depth(lines, max_iter=3)
    assert not found.converged
    assert found.n_iter == 3
    with stop_when(lambda: True):
        assert solve_maximum_depth(lines).n_iter == 1


def test_a_frame_without_points_is_left_alone():
    lines, _ = make_lines()
    lines = lines.keep(torch.tensor([[True], [False], [True]]).expand(3, 9))
    bounds = torch.ones(len(lines.edges), dtype=torch.float64)
    for distances in (None, bounds):
        found = solve_maximum_depth(lines, distances)
        assert found.converged
        assert torch.isfinite(found.depths).all()
