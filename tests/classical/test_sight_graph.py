"""Which points are held together."""

import numpy as np
import pytest
import torch

from nrsfm_learn.base import Observations
from nrsfm_learn.classical._sight_graph import neighborhood_graph, rays_of, sight_lines

ALL = np.ones((2, 6), dtype=bool)


def line_of_points():
    """Six points in a row, 0.1 apart; in the second frame the last one is far off."""
    W = np.zeros((2, 6, 2))
    W[:, :, 0] = 0.1 * np.arange(6)
    W[1, 5, 0] = 3.0
    return W


def pairs(edges):
    return {tuple(edge) for edge in edges.tolist()}


def test_rays_are_unit_vectors_through_the_keypoints():
    W = np.array([[[0.5, -0.25], [np.nan, np.nan]]])
    ray = rays_of(W)[0]
    np.testing.assert_allclose(np.linalg.norm(ray, axis=1), 1)
    np.testing.assert_allclose(ray[0, :2] / ray[0, 2], W[0, 0])
    np.testing.assert_array_equal(ray[1], [0, 0, 1])


def test_neighbours_are_near_in_every_frame():
    edges = pairs(neighborhood_graph(rays_of(line_of_points()), ALL, 1))
    assert {(0, 1), (1, 2)} <= edges
    # The only link of the last point, to the one that it is never farther from than needed.
    assert [e for e in edges if 5 in e] == [(4, 5)]


def test_the_graph_is_connected():
    W = line_of_points()
    W[:, 3:, 0] += 10.0
    edges = pairs(neighborhood_graph(rays_of(W), ALL, 1))
    assert any(i < 3 <= j for i, j in edges)


def test_points_never_seen_together_are_not_linked():
    visible = ALL.copy()
    visible[0, :3] = visible[1, 3:] = False
    edges = pairs(neighborhood_graph(rays_of(line_of_points()), visible, 5))
    assert edges == {(0, 1), (0, 2), (1, 2), (3, 4), (3, 5), (4, 5)}


def test_points_that_few_are_linked_to_are_not_seen():
    W, visible = line_of_points(), ALL.copy()
    visible[1, [2, 5]] = False
    edges = np.array([[0, 1], [1, 2], [2, 3], [3, 4], [4, 5]])
    lines = sight_lines(Observations(W, visible), edges, torch.device("cpu"))
    np.testing.assert_array_equal(lines.seen[0], True)
    np.testing.assert_array_equal(lines.seen[1], False)
    np.testing.assert_array_equal(lines.weights, [[1, 1, 1, 1, 1], [0, 0, 0, 0, 0]])


def test_an_edge_weighs_what_its_worse_end_does():
    weights = np.tile([4.0, 2.0, 1.0, 4.0, 4.0, 4.0], (2, 1))
    edges = np.array([[0, 1], [1, 2], [0, 3], [3, 4], [4, 5]])
    observations = Observations(line_of_points(), ALL, weights=weights)
    lines = sight_lines(observations, edges, torch.device("cpu"))
    np.testing.assert_allclose(lines.weights[0], [0.5, 0.25, 1, 1, 1])


def test_leaving_points_out():
    edges = np.array([[0, 1], [1, 2], [2, 3], [3, 4], [4, 5]])
    lines = sight_lines(Observations(line_of_points(), ALL), edges, torch.device("cpu"))
    kept = lines.keep(torch.tensor([True, True, False, True, True, True]))
    np.testing.assert_array_equal(kept.weights[0], [1, 0, 0, 1, 1])
    assert not kept.seen[:, 2].any()


def test_differences():
    edges = np.array([[0, 1], [1, 2], [0, 2]])
    W = line_of_points()[:, :3]
    lines = sight_lines(Observations(W, ALL[:, :3]), edges, torch.device("cpu"))
    depths = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dtype=torch.float64)
    points = depths[..., None] * lines.rays
    expected = points[:, edges[:, 0]] - points[:, edges[:, 1]]
    torch.testing.assert_close(lines.differences(depths), expected)


@pytest.mark.parametrize("n_neighbors", [2, 5, 50])
def test_edges_are_sorted_pairs(n_neighbors):
    edges = neighborhood_graph(rays_of(line_of_points()), ALL, n_neighbors)
    assert (edges[:, 0] < edges[:, 1]).all()
    assert len(pairs(edges)) == len(edges) <= 15
