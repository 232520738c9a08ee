"""Norms of residuals."""

import numpy as np
import pytest
import torch

from nrsfm_learn.losses import frame_norm, frame_norm_loss


@pytest.fixture
def residual():
    return np.random.default_rng(0).normal(size=(5, 7, 2))


def test_norm_of_each_frame(residual):
    expected = [np.linalg.norm(frame) for frame in residual]
    norms = frame_norm(torch.from_numpy(residual))
    np.testing.assert_allclose(norms.numpy(), expected, rtol=1e-12)
    loss = frame_norm_loss(torch.from_numpy(residual))
    assert loss.item() == pytest.approx(np.mean(expected), rel=1e-12)


def test_weights_weight_squares(residual):
    weights = np.random.default_rng(1).uniform(size=(5, 7))
    weights[2] = 0
    expected = [
        np.linalg.norm(np.diag(np.sqrt(w)) @ frame)
        for w, frame in zip(weights, residual, strict=True)
    ]
    args = torch.from_numpy(residual), torch.from_numpy(weights)
    np.testing.assert_allclose(frame_norm(*args).numpy(), expected, rtol=1e-12, atol=1e-15)
    assert frame_norm_loss(*args).item() == pytest.approx(np.mean(expected), rel=1e-12)


def test_gradient(residual):
    weights = torch.linspace(0, 1, 7, dtype=torch.float64).expand(5, 7)
    inputs = torch.from_numpy(residual).requires_grad_()
    assert torch.autograd.gradcheck(frame_norm, (inputs,))
    assert torch.autograd.gradcheck(lambda e: frame_norm_loss(e, weights), (inputs,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_zero_residual_has_zero_gradient(dtype):
    residual = torch.zeros(3, 4, 2, dtype=dtype)
    residual[1] = 1
    residual.requires_grad_()
    loss = frame_norm_loss(residual)
    loss.backward()
    assert residual.grad[[0, 2]].abs().max() == 0
    assert residual.grad[1].flatten() == pytest.approx(np.full(8, 1 / np.sqrt(8) / 3), rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradient_of_a_tiny_residual_is_bounded(dtype):
    # The gradient of one frame's norm has norm 1, however small the residual.
    residual = torch.full((1, 4, 2), 1e-12, dtype=dtype, requires_grad=True)
    frame_norm_loss(residual).backward()
    assert residual.grad.isfinite().all()
    assert residual.grad.norm() <= 1 + 1e-6
