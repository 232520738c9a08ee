"""Distances that are the same in all frames."""

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares

from nrsfm_learn._deadline import stop_when
from nrsfm_learn.base import Observations
from nrsfm_learn.classical._isometry_refinement import refine_isometry
from nrsfm_learn.classical._sight_graph import neighborhood_graph, rays_of, sight_lines
from nrsfm_learn.datasets import make_bending_sheet


def make_lines(n_frames=4, n_neighbors=5, missing=0.0, bending=1.0, seed=0):
    data = make_bending_sheet(
        n_frames, 4, 4, camera="perspective", missing=missing, bending=bending, random_state=seed
    )
    edges = neighborhood_graph(rays_of(data.W), data.visible, n_neighbors)
    lines = sight_lines(Observations(data.W, data.visible), edges, torch.device("cpu"))
    true = torch.as_tensor(np.linalg.norm(data.X, axis=-1))
    return lines, true


def noisy(depths, sigma=0.003, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return depths * (1 + sigma * torch.randn(depths.shape, generator=generator, dtype=depths.dtype))


def test_scipy_finds_the_same_minimum():
    lines, true = make_lines()
    start = noisy(true)
    found = refine_isometry(lines, start, max_iter=300, tol=1e-9)
    i, j = lines.edges.T.numpy()
    rays = lines.rays.numpy()

    def residuals(x):
        depths = x.reshape(true.shape)
        along = depths[:, i, None] * rays[:, i] - depths[:, j, None] * rays[:, j]
        logs = np.log(np.linalg.norm(along, axis=-1))
        return (logs - logs.mean(0)).ravel()

    other = least_squares(residuals, start.numpy().ravel(), method="trf", xtol=1e-12, ftol=1e-12)
    assert found.curve[-1] ** 2 * lines.weights.sum() == pytest.approx(2 * other.cost, rel=1e-3)


def test_a_rigid_sheet_is_recovered_from_noisy_depths():
    lines, true = make_lines(bending=0.0)
    found = refine_isometry(lines, noisy(true), max_iter=200, tol=1e-9)
    scale = (found.depths / true).mean()
    torch.testing.assert_close(found.depths / scale, true, rtol=1e-4, atol=0)
    assert found.curve[-1] < 1e-5


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_the_deviation_falls_and_the_distances_are_the_mean_lengths(missing):
    lines, true = make_lines(missing=missing)
    found = refine_isometry(lines, noisy(true))
    assert (np.diff(found.curve) <= 0).all()
    logs = lines.differences(found.depths).norm(dim=-1).log()
    share = lines.weights / lines.weights.sum(0)
    expected = (share * torch.where(lines.weights > 0, logs, 0.0)).sum(0).exp()
    torch.testing.assert_close(found.distances, expected, rtol=1e-3, atol=0)


def test_known_distances_are_kept_and_frames_are_their_own():
    lines, true = make_lines(bending=0.0)
    distances = lines.differences(true).norm(dim=-1).mean(0)
    start = noisy(true)
    found = refine_isometry(lines, start, distances, max_iter=200, tol=1e-9)
    torch.testing.assert_close(found.distances, distances)
    torch.testing.assert_close(found.depths, true, rtol=1e-4, atol=0)
    part = slice(2, 3)
    one = lines._replace(rays=lines.rays[part], seen=lines.seen[part], weights=lines.weights[part])
    alone = refine_isometry(one, start[part], distances, max_iter=200, tol=1e-9)
    torch.testing.assert_close(alone.depths, found.depths[part], rtol=1e-6, atol=0)


def test_the_common_scale_has_no_part():
    lines, true = make_lines()
    first = refine_isometry(lines, noisy(true))
    second = refine_isometry(lines, 100 * noisy(true))
    torch.testing.assert_close(second.depths, 100 * first.depths, rtol=1e-6, atol=0)


def test_edges_without_length_do_not_count():
    lines, true = make_lines()
    rays, depths = lines.rays.clone(), noisy(true)
    i, j = lines.edges[0].tolist()
    rays[:, i], depths[:, i] = rays[:, j], depths[:, j]
    found = refine_isometry(lines._replace(rays=rays), depths)
    assert torch.isfinite(found.depths).all()
    assert found.curve[-1] < 1


def test_it_stops():
    lines, true = make_lines()
    found = refine_isometry(lines, noisy(true), max_iter=1)
    assert found.n_iter == 1
    assert not found.converged
    with stop_when(lambda: True):
        assert refine_isometry(lines, noisy(true)).n_iter == 1
