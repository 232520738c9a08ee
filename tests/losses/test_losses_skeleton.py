"""Losses that know the bones."""

import numpy as np
import pytest
import torch

from nrsfm_learn.losses import bone_lengths, bone_symmetry_loss

LEFT = torch.tensor([[0, 1], [1, 2]])
RIGHT = torch.tensor([[0, 3], [3, 4]])


@pytest.fixture
def X():
    return np.random.default_rng(0).normal(size=(6, 5, 3))


def test_lengths(X):
    bones = torch.tensor([[0, 1], [4, 2], [1, 1]])
    lengths = bone_lengths(torch.from_numpy(X), bones).numpy()
    assert lengths.shape == (6, 3)
    for f in range(6):
        assert lengths[f, 0] == pytest.approx(np.linalg.norm(X[f, 0] - X[f, 1]), rel=1e-12)
        assert lengths[f, 1] == pytest.approx(np.linalg.norm(X[f, 4] - X[f, 2]), rel=1e-12)
        assert lengths[f, 2] == 0


def test_symmetry_loss(X):
    expected = np.mean(
        [
            abs(np.linalg.norm(x[l0] - x[l1]) - np.linalg.norm(x[r0] - x[r1]))
            for x in X
            for (l0, l1), (r0, r1) in zip(LEFT.tolist(), RIGHT.tolist(), strict=True)
        ]
    )
    loss = bone_symmetry_loss(torch.from_numpy(X), LEFT, RIGHT)
    assert loss.item() == pytest.approx(expected, rel=1e-12)
    assert bone_symmetry_loss(torch.from_numpy(X), RIGHT, LEFT).item() == loss.item()


def test_mirrored_body_has_no_loss_wherever_it_stands(X):
    X[:, 3:] = X[:, 1:3] * [-1, 1, 1]
    X[:, 0, 0] = 0
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    loss = bone_symmetry_loss(torch.from_numpy(X @ turn + [3, 4, 5]), LEFT, RIGHT)
    assert loss.item() < 1e-14


def test_gradient(X):
    points = torch.from_numpy(X).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: bone_lengths(x, LEFT), (points,))
    assert torch.autograd.gradcheck(lambda x: bone_symmetry_loss(x, LEFT, RIGHT), (points,))


def test_bones_of_no_length_have_a_finite_gradient():
    points = torch.zeros(2, 5, 3, requires_grad=True)
    bone_symmetry_loss(points, LEFT, RIGHT).backward()
    assert points.grad.isfinite().all()
