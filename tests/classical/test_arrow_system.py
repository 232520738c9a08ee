"""Linear systems of depths and distances, against the dense matrix."""

import numpy as np
import pytest
import torch

from nrsfm_learn.classical._arrow_system import factorize, scatter_to_points

F, P = 3, 5
EDGES = torch.tensor([[0, 1], [0, 2], [1, 3], [2, 4], [3, 4], [1, 2]])
E = len(EDGES)


def make(seed=0):
    """Contributions of a sum of outer products of (depth i, depth j, distance), and the matrix."""
    generator = torch.Generator().manual_seed(seed)
    v = torch.randn(3, 2, F, E, generator=generator, dtype=torch.float64)
    ii, jj, ij, iD, jD, DD = (
        (v[a] * v[b]).sum(0) for a, b in ((0, 0), (1, 1), (0, 1), (0, 2), (1, 2), (2, 2))
    )
    diagonal = torch.rand(F, P, generator=generator, dtype=torch.float64) + 0.1
    corner = DD.sum(0) + 0.1
    dense = np.zeros((F * P + E, F * P + E))
    np.fill_diagonal(dense, np.concatenate([diagonal.ravel(), corner]))
    for f in range(F):
        for e, (i, j) in enumerate(EDGES.tolist()):
            a, b, d = f * P + i, f * P + j, F * P + e
            dense[a, a] += ii[f, e]
            dense[b, b] += jj[f, e]
            for (x, y), value in {(a, b): ij, (a, d): iD, (b, d): jD}.items():
                dense[x, y] += value[f, e]
                dense[y, x] += value[f, e]
    return (diagonal, ii, jj, ij), ((iD, jD), corner), dense


def test_with_distances():
    inner, outer, dense = make()
    rng = np.random.default_rng(1)
    right = rng.normal(size=F * P + E)
    system = factorize(EDGES, *inner, *outer)
    depths, distances = system.solve(
        torch.as_tensor(right[: F * P].reshape(F, P)), torch.as_tensor(right[F * P :])
    )
    expected = np.linalg.solve(dense, right)
    assert system.regular.tolist() == [True]
    np.testing.assert_allclose(np.concatenate([depths.ravel(), distances]), expected, rtol=1e-9)


def test_without_distances():
    inner, _, dense = make()
    right = np.random.default_rng(1).normal(size=(F, P))
    system = factorize(EDGES, *inner)
    depths, none = system.solve(torch.as_tensor(right))
    expected = np.linalg.solve(dense[: F * P, : F * P], right.ravel())
    assert none is None
    np.testing.assert_allclose(depths.ravel(), expected, rtol=1e-9)


def test_a_block_that_is_not_positive_definite_is_told():
    (diagonal, *rest), outer, _ = make()
    diagonal[1] = -100.0
    assert factorize(EDGES, diagonal, *rest).regular.tolist() == [True, False, True]
    assert factorize(EDGES, diagonal, *rest, *outer).regular.tolist() == [False]


@pytest.mark.parametrize("column", [0, 1])
def test_scatter(column):
    values = torch.arange(F * E, dtype=torch.float64).reshape(F, E)
    found = scatter_to_points((F, P), EDGES[:, column], values)
    for p in range(P):
        expected = values[:, EDGES[:, column] == p].sum(1)
        torch.testing.assert_close(found[:, p], expected)
