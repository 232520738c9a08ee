"""Block soft thresholding, the nonlinearity of Deep NRSfM++.

Block codes are laid out as ``(block_size, n_frames, n_atoms)``, the entries of a block first and
atoms last. A layer of the encoder is then one matrix product with its dictionary, and the norm of a
block is a sum of contiguous slices.
"""

import torch

# Squared norm of a block below which its norm counts as no smaller; blocks are of order one.
_SMALLEST_SQUARE = 1e-12


def block_soft_threshold_reference(blocks, thresholds):
    r"""Block soft thresholding as the formula says it; the fast form is tested against it.

    .. math:: \Pi_k \mapsto \Bigl(1 - \frac{\lambda_k}{\|\Pi_k\|_F}\Bigr)^{+} \Pi_k

    Parameters
    ----------
    blocks : Tensor of shape (block_size, n_frames, n_atoms)
        Entries of each block along the first axis.
    thresholds : Tensor of shape (n_atoms,)
        One threshold an atom.

    Returns
    -------
    Tensor of shape (block_size, n_frames, n_atoms)
        The thresholded blocks. A block of norm zero stays zero.

    References
    ----------
    Wang, Lin and Lucey, "Deep NRSfM++: Towards Unsupervised 2D-3D Lifting in the Wild", 3DV 2020,
    eq. 22.
    """
    norms = torch.linalg.vector_norm(blocks, dim=0)
    safe = torch.where(norms > 0, norms, torch.ones_like(norms))
    return torch.relu(1 - thresholds / safe) * (norms > 0) * blocks


def _sum_of_products(first, second):
    """Return ``(first * second).sum(0)`` without the temporary of the full size; several times
    faster on a CPU.
    """
    total = first[0] * second[0]
    for a, b in zip(first[1:], second[1:], strict=True):
        total.addcmul_(a, b)
    return total


class _BlockSoftThreshold(torch.autograd.Function):
    """Fused form: keeps the input and two numbers a block, and is finite at blocks of norm zero."""

    @staticmethod
    def forward(ctx, blocks, thresholds):
        # A block of norm zero stays zero whatever its gain is, but the gain of a negative threshold
        # goes into the gradient, to the power of the levels: the floor keeps that finite.
        inverse_norm = _sum_of_products(blocks, blocks).clamp_min_(_SMALLEST_SQUARE).rsqrt_()
        gain = (inverse_norm * -thresholds).add_(1).clamp_min_(0)
        ctx.save_for_backward(blocks, thresholds, inverse_norm, gain)
        return blocks * gain

    @staticmethod
    def backward(ctx, grad):
        blocks, thresholds, inverse_norm, gain = ctx.saved_tensors
        # d/dPi = gain G + lambda <G, Pi> / |Pi|^3 Pi and d/dlambda = -<G, Pi> / |Pi|, both where
        # the gain is positive.
        inner = _sum_of_products(grad, blocks).mul_(inverse_norm).mul_(gain > 0)
        grad_thresholds = inner.sum(0).neg_()
        inner.mul_(inverse_norm).mul_(inverse_norm).mul_(thresholds)
        return (grad * gain).addcmul_(blocks, inner), grad_thresholds


block_soft_threshold = _BlockSoftThreshold.apply
