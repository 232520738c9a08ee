"""Block-sparse coding and dictionaries."""

import itertools

import numpy as np
import pytest
import torch

from nrsfm_learn.classical._block_dictionary import block_codes, learn_blocks


def make(n_frames=80, n_points=24, n_blocks=5, n_active=2, seed=0):
    """Frames that use some blocks of an orthonormal dictionary."""
    generator = torch.Generator().manual_seed(seed)
    options = {"generator": generator, "dtype": torch.float64}
    Q = torch.linalg.qr(torch.randn(n_points, 3 * n_blocks, **options))[0]
    blocks = Q.reshape(n_points, n_blocks, 3).transpose(0, 1)
    codes = torch.randn(n_frames, n_blocks, 3, 2, **options)
    rank = torch.rand(n_frames, n_blocks, **options).argsort(1)
    codes = torch.where((rank < n_active)[..., None, None], codes, 0.0)
    return torch.einsum("kpd,fkdc->fpc", blocks, codes), blocks, codes


def residual(frames, blocks, codes):
    return frames - torch.einsum("kpd,fkdc->fpc", blocks, codes)


def test_exact_codes_are_found():
    frames, blocks, codes = make()
    torch.testing.assert_close(block_codes(frames, blocks, 2), codes, rtol=0, atol=1e-8)


def test_a_code_has_few_blocks_and_is_the_least_squares_fit_of_them():
    frames, _, _ = make(n_frames=10)
    generator = torch.Generator().manual_seed(1)
    blocks = torch.linalg.qr(torch.randn(5, 24, 3, generator=generator, dtype=torch.float64))[0]
    codes = block_codes(frames, blocks, 3)
    for frame, code in zip(frames, codes, strict=True):
        active = np.flatnonzero(code.abs().sum((1, 2)) > 0)
        assert len(active) == 3
        A = np.concatenate([blocks[k].numpy() for k in active], axis=1)
        expected = np.linalg.lstsq(A, frame.numpy(), rcond=None)[0]
        np.testing.assert_allclose(code[active].reshape(-1, 2), expected, atol=1e-7)


def test_one_block_is_the_best_one():
    frames, _, _ = make(n_frames=20)
    generator = torch.Generator().manual_seed(1)
    blocks = torch.linalg.qr(torch.randn(6, 24, 3, generator=generator, dtype=torch.float64))[0]
    left = residual(frames, blocks, block_codes(frames, blocks, 1)).square().sum((1, 2))
    each = [(frames - D @ (D.T @ frames)).square().sum((1, 2)) for D in blocks]
    torch.testing.assert_close(left, torch.stack(each).amin(0))


def test_the_dictionary_lowers_the_error_and_stays_orthonormal():
    frames, _, _ = make(n_frames=200)
    blocks, codes, curve = learn_blocks(frames, 5, 2, max_iter=40, tol=1e-6)
    assert all(b <= a + 1e-12 for a, b in itertools.pairwise(curve))
    assert curve[-1] < 0.9 * curve[0]
    eye = torch.eye(3, dtype=torch.float64).expand(5, 3, 3)
    torch.testing.assert_close(blocks.mT @ blocks, eye, rtol=0, atol=1e-9)
    assert ((codes.abs().sum((2, 3)) > 0).sum(1) <= 2).all()
    left = residual(frames, blocks, codes).norm() / frames.norm()
    assert float(left) == pytest.approx(curve[-1], rel=1e-9)


def test_blocks_that_nothing_uses_start_again():
    frames, _, _ = make(n_frames=200, n_blocks=5, n_active=1)
    _, codes, _ = learn_blocks(frames, 5, 1, max_iter=40, tol=0.0)
    assert ((codes.abs().sum((2, 3)) > 0).sum(0) > 0).all()


def test_more_blocks_than_are_active_need_not_exist():
    frames, _, _ = make(n_frames=10)
    blocks, codes, _ = learn_blocks(frames, 2, 6)
    assert blocks.shape == (2, 24, 3)
    assert codes.shape == (10, 2, 3, 2)
