"""Cyclic self-supervision."""

import numpy as np
import pytest
import torch

from nrsfm_learn.losses import cycle_loss


@pytest.fixture
def shapes():
    return torch.from_numpy(np.random.default_rng(0).normal(size=(40, 6, 3)))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_views_are_rotated_shapes_and_the_loss_is_the_distance_to_the_shapes(shapes):
    seen = []

    def lift_views(X):
        seen.append(X)
        return X

    loss = cycle_loss(shapes, lift_views, generator())
    (X,) = seen
    for x, s in zip(X.numpy(), shapes.numpy(), strict=True):
        Q = np.linalg.lstsq(s, x, rcond=None)[0].T
        np.testing.assert_allclose(s @ Q.T, x, atol=1e-12)
        np.testing.assert_allclose(Q @ Q.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(Q) == pytest.approx(1)
    expected = np.mean(np.linalg.norm((X - shapes).numpy(), axis=(1, 2)))
    assert loss.item() == pytest.approx(expected, rel=1e-12)


def test_views_are_uniform_over_rotations():
    # Columns of uniform rotations have mean 0 and second moment I / 3; 4 standard errors.
    shapes = torch.eye(3, dtype=torch.float64).expand(4000, 3, 3)
    seen = []
    cycle_loss(shapes, lambda X: seen.append(X) or X, generator(1))
    entries = seen[0].numpy()
    assert np.abs(entries.mean(0)).max() < 4 * np.sqrt(1 / 3 / 4000)
    assert np.abs((entries**2).mean(0) - 1 / 3).max() < 4 * np.sqrt((1 / 5 - 1 / 9) / 4000)


def test_perfect_lifter_has_no_loss(shapes):
    loss = cycle_loss(shapes, lambda X: shapes, generator())
    assert loss.item() < 1e-12


def test_the_shapes_are_held_fixed(shapes):
    shapes = shapes.requires_grad_()
    gain = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    cycle_loss(shapes, lambda X: gain * X, generator()).backward()
    assert shapes.grad is None
    assert gain.grad.abs() > 0


def test_seeded_by_the_generator_alone(shapes):
    before = torch.random.get_rng_state()
    first, again, other = (
        cycle_loss(shapes, lambda X: 2 * X, generator(s)).item() for s in (0, 0, 1)
    )
    assert first == again != other
    assert torch.equal(torch.random.get_rng_state(), before)
