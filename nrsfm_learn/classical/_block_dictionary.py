"""Block-sparse dictionaries: frames as combinations of few blocks out of many."""

import torch


def block_codes(frames, blocks, n_active):
    r"""Code frames by few blocks each: block orthogonal matching pursuit.

    .. math::

        \min_\Psi \| W_f - \sum_k D_k \Psi_{fk} \|_F^2 \quad \text{s.t.} \quad
        \Psi_{fk} \ne 0 \ \text{for at most L of the } k

    The block that explains most of what is left is added, and all that were chosen are fitted anew.

    Parameters
    ----------
    frames : Tensor of shape (n_frames, n_points, 2)
        What to code.
    blocks : Tensor of shape (n_blocks, n_points, 3)
        The dictionary, the three columns of each block orthonormal.
    n_active : int
        L.

    Returns
    -------
    Tensor of shape (n_frames, n_blocks, 3, 2)
        Zero where a block is not active.

    References
    ----------
    .. [1] Y. C. Eldar, P. Kuppinger, H. Boelcskei, "Block-sparse signals: uncertainty relations and
       efficient recovery", IEEE Transactions on Signal Processing 58(6), 2010, section V.
    """
    n_frames, n_points, _ = frames.shape
    n_blocks = len(blocks)
    flat = blocks.transpose(0, 1).reshape(n_points, 3 * n_blocks)
    gram = flat.T @ flat + 1e-12 * torch.eye(3 * n_blocks).to(flat)
    moments = torch.einsum("pd,fpc->fdc", flat, frames)
    active = torch.zeros(n_frames, n_blocks, dtype=torch.bool, device=frames.device)
    psi = torch.zeros_like(moments)
    for n in range(1, min(n_active, n_blocks) + 1):
        left = (moments - gram @ psi).reshape(n_frames, n_blocks, 6).square().sum(2)
        active.scatter_(1, torch.where(active, -1.0, left).argmax(1, keepdim=True), True)
        index = torch.nonzero(active)[:, 1].reshape(n_frames, n)
        rows = (3 * index[..., None] + torch.arange(3, device=index.device)).flatten(1)
        part = gram[rows[:, :, None], rows[:, None]]
        chosen = torch.linalg.solve(part, moments.gather(1, rows[..., None].expand(-1, -1, 2)))
        psi = torch.zeros_like(moments).scatter_(1, rows[..., None].expand(-1, -1, 2), chosen)
    return psi.reshape(n_frames, n_blocks, 3, 2)


def learn_blocks(frames, n_blocks, n_active, *, max_iter=30, tol=1e-4):
    r"""Learn a dictionary of which each frame takes few blocks: block K-SVD.

    Codes and blocks are improved in turn. A block and its codes become the best approximation of
    rank 3 of what the other blocks leave of the frames that use it, or, if none does, of the frames
    of which all blocks leave most. The start are the left singular
    vectors of all frames, three a block.

    Parameters
    ----------
    frames : Tensor of shape (n_frames, n_points, 2)
        Complete, centred keypoints.
    n_blocks : int
        At most a third of the number of points.
    n_active : int
        Blocks that a frame may use.
    max_iter : int, default=30
        Most rounds.
    tol : float, default=1e-4
        Relative fall of the error at which to stop.

    Returns
    -------
    blocks : Tensor of shape (n_blocks, n_points, 3)
    codes : Tensor of shape (n_frames, n_blocks, 3, 2)
    curve : list of float
        Norm of what is left over that of the frames, an entry a round.

    References
    ----------
    .. [1] C. Kong, S. Lucey, "Prior-less compressible structure from motion", CVPR 2016, section 4.
    .. [2] L. Zelnik-Manor, K. Rosenblum, Y. C. Eldar, "Dictionary optimization for block-sparse
       representations", IEEE Transactions on Signal Processing 60(5), 2012.
    """
    n_points = frames.shape[1]
    wide = frames.transpose(0, 1).reshape(n_points, -1)
    left = torch.linalg.eigh(wide @ wide.T)[1].flip(1)[:, : 3 * n_blocks]
    blocks = left.reshape(n_points, n_blocks, 3).transpose(0, 1).contiguous()
    size, curve = frames.norm().clamp_min(1e-300), []
    codes = block_codes(frames, blocks, n_active)
    for _ in range(max_iter):
        residual = frames - torch.einsum("kpd,fkdc->fpc", blocks, codes)
        for k in range(n_blocks):
            users = codes[:, k].flatten(1).norm(dim=1) > 0
            if not users.any():
                # What nothing uses starts again where the others explain least.
                worst = residual.square().sum((1, 2)).topk(-(-len(frames) // n_blocks)).indices
                wide = residual[worst].transpose(0, 1).reshape(n_points, -1)
                blocks[k] = torch.linalg.eigh(wide @ wide.T)[1].flip(1)[:, :3]
                continue
            own = residual[users] + blocks[k] @ codes[users, k]
            wide = own.transpose(0, 1).reshape(n_points, -1)
            blocks[k] = torch.linalg.eigh(wide @ wide.T)[1].flip(1)[:, :3]
            codes[users, k] = blocks[k].T @ own
            residual[users] = own - blocks[k] @ codes[users, k]
        updated = block_codes(frames, blocks, n_active)
        # Greedy choices may be worse than those of the last round, frame by frame.
        error, new = (
            (frames - torch.einsum("kpd,fkdc->fpc", blocks, c)).square().sum((1, 2))
            for c in (codes, updated)
        )
        codes = torch.where((new < error)[:, None, None, None], updated, codes)
        curve.append(float(torch.minimum(new, error).sum().sqrt() / size))
        if len(curve) > 1 and curve[-2] - curve[-1] <= tol * curve[-2]:
            break
    return blocks, codes, curve
