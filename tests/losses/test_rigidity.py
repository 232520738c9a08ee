"""Local rigidity."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nrsfm_learn.geometry import random_rotations
from nrsfm_learn.losses import local_rigidity_loss, steadiest_neighbors

TAU = 0.1


def breathing(n_frames=30, n_points=8, seed=0):
    """Shapes of which each point moves by another amount."""
    rng = np.random.default_rng(seed)
    amounts = np.linspace(0.005, 0.3, n_points)[:, None]
    shapes = rng.normal(size=(n_points, 3)) + amounts * rng.normal(size=(n_frames, n_points, 3))
    return torch.from_numpy(shapes)


def variation(shapes):
    """Standard deviation over mean of every distance, by loops."""
    F, P, _ = shapes.shape
    table = np.full((P, P), np.inf)
    for p in range(P):
        for q in range(P):
            lengths = [np.linalg.norm(shapes[f, p] - shapes[f, q]) for f in range(F)]
            if p != q and np.mean(lengths) > 1e-6:
                table[p, q] = np.std(lengths) / np.mean(lengths)
    return table


@pytest.mark.parametrize("n_frames", [30, 700])
@pytest.mark.parametrize("n_neighbors", [1, 3])
def test_steadiest_neighbours_by_brute_force(n_frames, n_neighbors):
    shapes = breathing(n_frames, 6 if n_frames > 100 else 8)
    expected = np.argsort(variation(shapes.numpy()), axis=1)[:, :n_neighbors]
    np.testing.assert_array_equal(steadiest_neighbors(shapes, n_neighbors).numpy(), expected)


def test_no_more_neighbours_than_there_are():
    found = steadiest_neighbors(breathing(n_points=3), 5)
    assert found.shape == (3, 2)
    assert [set(row) for row in found.tolist()] == [{1, 2}, {0, 2}, {0, 1}]


def test_points_that_coincide_are_no_neighbours():
    # Their distance does not vary, and says nothing.
    shapes = breathing()
    shapes[:, 5] = shapes[:, 2]
    found = steadiest_neighbors(shapes, 3)
    assert 5 not in found[2].tolist()
    assert 2 not in found[5].tolist()
    assert local_rigidity_loss(shapes, found).isfinite()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_formula(dtype):
    shapes = breathing()
    neighbors = steadiest_neighbors(shapes, 3)
    table = variation(shapes.numpy())
    P, m = neighbors.shape
    expected = 0
    for p in range(P):
        for q in neighbors[p].tolist():
            expected += TAU * np.tanh(table[p, q] / TAU)
    expected *= np.sqrt(P) / (P * m)
    loss = local_rigidity_loss(shapes.to(dtype), neighbors)
    assert loss.dtype == dtype
    assert loss.item() == pytest.approx(expected, rel=1e-4)


@given(st.integers(0, 2**31))
@settings(deadline=None, max_examples=25)
def test_neither_camera_nor_mirror_nor_scale_matters(seed):
    shapes = breathing(seed=seed)
    generator = torch.Generator().manual_seed(seed)
    R = random_rotations(len(shapes), generator=generator, dtype=torch.float64)
    turned = 3 * (shapes @ R.mT) + torch.randn(len(shapes), 1, 3, generator=generator).double()
    neighbors = steadiest_neighbors(shapes)
    loss = local_rigidity_loss(shapes, neighbors).item()
    mirrored = shapes * torch.tensor([1.0, 1, -1])
    for other in (turned, mirrored):
        assert torch.equal(steadiest_neighbors(other), neighbors)
        assert local_rigidity_loss(other, neighbors).item() == pytest.approx(loss, rel=1e-6)


def test_rigid_shapes_have_none():
    R = random_rotations(20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    shapes = breathing(1)[0] @ R.mT
    neighbors = steadiest_neighbors(shapes)
    assert local_rigidity_loss(shapes, neighbors).item() < 1e-5
    assert local_rigidity_loss(breathing(), neighbors).item() > 0.01


def test_a_wrong_depth_is_seen():
    body = breathing(1)[0]
    R = random_rotations(50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    seen = body @ R.mT
    squeezed = seen * torch.tensor([1.0, 1, 0.8])
    neighbors = steadiest_neighbors(squeezed)
    right, wrong = (local_rigidity_loss(X, neighbors).item() for X in (seen, squeezed))
    assert right < 1e-5 < 0.05 < wrong


def test_gradient():
    shapes = breathing(6, 5).requires_grad_()
    neighbors = steadiest_neighbors(shapes.detach(), 2)
    assert torch.autograd.gradcheck(lambda S: local_rigidity_loss(S, neighbors), (shapes,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradient_is_finite_where_the_formula_has_none(dtype):
    # Rigid: the deviation is zero; coinciding: the distance is.
    for shapes in (breathing(1).expand(5, 8, 3).clone(), torch.zeros(5, 8, 3)):
        shapes = shapes.to(dtype).requires_grad_()
        neighbors = torch.tensor([[1, 2], [0, 2], *[[0, 1]] * 6])
        local_rigidity_loss(shapes, neighbors).backward()
        assert shapes.grad.isfinite().all()


def test_pairs_that_vary_much_are_left_alone():
    shapes = breathing(40, 2)
    shapes[:, 1] = shapes[:, 0] + torch.tensor([1.0, 0, 0]) * torch.linspace(0.2, 5, 40)[:, None]
    shapes.requires_grad_()
    loss = local_rigidity_loss(shapes, torch.tensor([[1], [0]]))
    loss.backward()
    assert loss.item() == pytest.approx(TAU * np.sqrt(2), rel=1e-3)
    assert shapes.grad.abs().max() < 1e-3
