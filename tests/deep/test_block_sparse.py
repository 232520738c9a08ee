"""Block soft thresholding: the fast form against the formula."""

import numpy as np
import pytest
import torch

from nrsfm_learn.deep.nn import block_soft_threshold
from nrsfm_learn.deep.nn._block_sparse import block_soft_threshold_reference


def make(block_size=6, n_frames=7, n_atoms=9, seed=0, dtype=torch.float64):
    """Blocks, and thresholds that kill some of them, none of them or make them longer."""
    rng = np.random.default_rng(seed)
    blocks = torch.tensor(rng.normal(size=(block_size, n_frames, n_atoms)), dtype=dtype)
    thresholds = torch.tensor(np.linspace(-1, 5, n_atoms), dtype=dtype)
    return blocks, thresholds


@pytest.mark.parametrize("block_size", [1, 6, 9])
@pytest.mark.parametrize("form", [block_soft_threshold, block_soft_threshold_reference])
def test_value_is_the_formula_block_by_block(form, block_size):
    blocks, thresholds = make(block_size)
    out = form(blocks, thresholds).numpy()
    n_dead = 0
    for f in range(blocks.shape[1]):
        for k in range(blocks.shape[2]):
            block = blocks[:, f, k].numpy()
            gain = max(0.0, 1 - thresholds[k].item() / np.linalg.norm(block))
            n_dead += gain == 0
            np.testing.assert_allclose(out[:, f, k], gain * block, rtol=1e-12, atol=1e-15)
    assert 0 < n_dead < 63


@pytest.mark.parametrize("block_size", [6, 9])
@pytest.mark.parametrize("form", [block_soft_threshold, block_soft_threshold_reference])
def test_gradient_against_finite_differences(form, block_size):
    blocks, thresholds = make(block_size, n_frames=4, n_atoms=8)
    norms = blocks.norm(dim=0)
    # Some atoms pass every block, some none; and no block sits on the kink.
    assert (norms < thresholds).any()
    assert (norms > thresholds).any()
    assert (thresholds < 0).any()
    assert ((norms - thresholds).abs() > 1e-3).all()
    inputs = blocks.requires_grad_(), thresholds.requires_grad_()
    assert torch.autograd.gradcheck(form, inputs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_both_forms_have_the_same_gradient(dtype):
    grad = torch.tensor(np.random.default_rng(1).normal(size=(6, 7, 9)), dtype=dtype)
    found = []
    for form in (block_soft_threshold, block_soft_threshold_reference):
        inputs = [x.requires_grad_() for x in make(dtype=dtype)]
        found.append(torch.autograd.grad(form(*inputs), inputs, grad))
    for fast, slow in zip(*found, strict=True):
        torch.testing.assert_close(fast, slow)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("threshold", [0.3, 0.0, -0.3])
def test_zero_block_stays_zero_with_a_finite_gradient(dtype, threshold):
    blocks = torch.zeros(6, 2, 1, dtype=dtype)
    blocks[:, 1] = 1
    blocks.requires_grad_()
    thresholds = torch.tensor([threshold], dtype=dtype, requires_grad=True)
    out = block_soft_threshold(blocks, thresholds)
    assert out[:, 0].abs().max() == 0
    out.sum().backward()
    assert blocks.grad.isfinite().all()
    # Only the block that is there moves the threshold: -<G, Pi> / |Pi| = -6 / sqrt(6).
    assert thresholds.grad.item() == pytest.approx(-np.sqrt(6), rel=1e-6)
    if threshold > 0:
        assert blocks.grad[:, 0].abs().max() == 0
    elif threshold == 0:
        assert (blocks.grad[:, 0] == 1).all()


@pytest.mark.parametrize("norm", [1e-30, 1e-20, 1e-12, 1e-7, 1e-6])
@pytest.mark.parametrize("threshold", [0.3, 0.0, -0.3])
def test_gradient_stays_finite_through_many_levels_of_tiny_blocks(norm, threshold):
    blocks = torch.full((6, 1, 1), norm / np.sqrt(6), requires_grad=True)
    thresholds = torch.tensor([threshold], requires_grad=True)
    out = blocks
    for _ in range(6):
        # Each level sees blocks as small as the first did, which is the worst case.
        out = block_soft_threshold(out, thresholds)
        out = out * (norm / out.detach().norm().clamp_min(norm))
    out.sum().backward()
    assert blocks.grad.isfinite().all()
    assert thresholds.grad.isfinite().all()


def test_dead_blocks_pass_no_gradient():
    blocks, thresholds = make()
    blocks.requires_grad_()
    thresholds = torch.full_like(thresholds, 100.0).requires_grad_()
    out = block_soft_threshold(blocks, thresholds)
    out.sum().backward()
    assert out.abs().max() == blocks.grad.abs().max() == thresholds.grad.abs().max() == 0


def test_inputs_are_not_changed():
    blocks, thresholds = make()
    before = blocks.clone(), thresholds.clone()
    grad = torch.ones_like(blocks)
    inputs = blocks.requires_grad_(), thresholds.requires_grad_()
    torch.autograd.grad(block_soft_threshold(*inputs), inputs, grad)
    assert torch.equal(inputs[0], before[0])
    assert torch.equal(inputs[1], before[1])
    assert (grad == 1).all()
