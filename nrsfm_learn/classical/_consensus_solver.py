"""Weak reconstructions of groups of points, and their consensus."""

import torch

from .._deadline import time_is_up
from ._metric_upgrade import free_scale_upgrade, motion_factor, synchronize_signs
from ._nuclear_norm import nuclear_norm_shapes

# Residuals below this part of the shapes' root mean square are not told apart by the weights.
_SMALL = 0.01
# Added to the Laplacian of each frame.
_RIDGE = 1e-9


def draw_groups(n_points, group_size, n_groups, generator):
    """Draw groups of points at random, such that all points are in about as many groups.

    Parameters
    ----------
    n_points, group_size, n_groups : int
        Numbers of points, of points of a group and of groups.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    Tensor of int of shape (n_groups, group_size)
        Points of each group, ascending. Each point is in as many groups as any other, or in one
        more.
    """
    device = generator.device
    count = torch.zeros(n_points, device=device)
    groups = []
    for _ in range(n_groups):
        order = count + torch.rand(n_points, generator=generator, device=device)
        group = order.argsort()[:group_size].sort().values
        count[group] += 1
        groups.append(group)
    return torch.stack(groups)


def weak_reconstruction(tracks, completed, n_bases, *, cut=False, max_iter=200, tol=1e-3):
    """Reconstruct a group of points by itself, with cameras of its own.

    Parameters
    ----------
    tracks : Tracks
        Keypoints of the group.
    completed : Tensor of shape (n_frames, group_size, 2)
        The same, completed and centred.
    n_bases : int
        K: the cameras are those of a factorisation of rank 3 K.
    cut : bool, default=False
        Whether to cut the shapes down to rank K, with which keypoints are no longer met.
    max_iter, tol : int, float
        Of the shapes of least nuclear norm.

    Returns
    -------
    Tensor of shape (n_frames, group_size, 3)
        Shapes in the camera frame, centred.
    """
    upgrade = free_scale_upgrade(motion_factor(completed, 3 * n_bases))
    R = synchronize_signs(completed, upgrade.rotations, upgrade.scales)
    shapes = nuclear_norm_shapes(tracks, R, max_iter=max_iter, tol=tol).shapes
    if cut:
        flat = shapes.flatten(1)
        basis = torch.linalg.eigh(flat.T @ flat)[1][:, -n_bases:]
        shapes = (flat @ basis @ basis.T).reshape(shapes.shape)
    X = shapes @ R.mT
    return X - X.mean(1, keepdim=True)


def consensus(parts, groups, n_points, *, max_iter=50, tol=1e-4):
    r"""Agree on one position a point and frame.

    .. math::

        \min_{X, s, b} \sum_{f,g} \bigl\| \operatorname{diag}(1, 1, s_{fg})\, Y_{fg} + b_{fg}
        - X_{f, G_g} \bigr\|_F, \qquad s_{fg} \in \{-1, 1\}

    Groups know their shape up to a translation, and up to a mirror image in depth which may differ
    from frame to frame; see :func:`frame_signs`. The norm is not squared, so that a group which is
    wrong hardly counts: least squares with weights :math:`1 / \| \cdot \|` that are renewed.

    Parameters
    ----------
    parts : Tensor of shape (n_groups, n_frames, group_size, 3)
        Shapes of each group in the camera frame, centred.
    groups : Tensor of int of shape (n_groups, group_size)
        Points of each group.
    n_points : int
        Points in all.
    max_iter : int, default=50
        Most rounds.
    tol : float, default=1e-4
        Relative change of the shapes at which to stop.

    Returns
    -------
    X : Tensor of shape (n_frames, n_points, 3)
        Centred.
    curve : list of float
        The objective over the number of groups and frames, in each round.
    converged : bool
    """
    n_groups, n_frames, size, _ = parts.shape
    options = {"dtype": parts.dtype, "device": parts.device}
    signs = frame_signs(parts[..., 2], groups, n_points)
    Y = torch.cat([parts[..., :2], signs[..., None, None] * parts[..., 2:]], dim=3).transpose(0, 1)
    scale = Y.square().mean().sqrt().clamp_min(1e-300)
    member = torch.zeros(n_groups, n_points, **options).scatter_(1, groups, 1.0)
    # A group's norm about its best translation is the quadratic form of a Laplacian.
    forms = (torch.diag_embed(member) - member[:, :, None] * member[:, None] / size).flatten(1)
    # Points that no group links are put at the centre.
    ridge = _RIDGE * torch.eye(n_points, **options)
    weights = torch.ones(n_frames, n_groups, **options)
    X, curve, converged = None, [], False
    while len(curve) < max_iter and not (converged or (curve and time_is_up())):
        L = (weights @ forms).reshape(n_frames, n_points, n_points) + ridge * weights.mean()
        right = torch.zeros(n_frames, n_points, 3, **options)
        weighted = (weights[..., None, None] * Y).flatten(1, 2)
        right.index_add_(1, groups.flatten(), weighted)
        previous = X
        X = torch.linalg.solve(L, right)
        X = X - X.mean(1, keepdim=True)
        own = X[:, groups]
        left = (Y - own + own.mean(2, keepdim=True)).square().sum(3).mean(2)
        curve.append(float(left.sqrt().mean()))
        weights = scale / (left + (_SMALL * scale) ** 2).sqrt()
        converged = previous is not None and bool((X - previous).norm() <= tol * X.norm())
    return X, curve, converged


def frame_signs(depths, groups, n_points):
    """Return the sign of each group's depths in each frame.

    The signs are those of the leading eigenvector of the matrix of inner products of depths, over
    the points that two groups share: one for each group over all frames, then one for each frame.

    Parameters
    ----------
    depths : Tensor of shape (n_groups, n_frames, group_size)
        Centred depths.
    groups : Tensor of int of shape (n_groups, group_size)
        Points of each group.
    n_points : int
        Points in all.

    Returns
    -------
    Tensor of shape (n_groups, n_frames)
        1 or -1.
    """
    n_groups, n_frames, _ = depths.shape
    full = torch.zeros(n_groups, n_frames, n_points, dtype=depths.dtype, device=depths.device)
    full.scatter_(2, groups[:, None].expand(-1, n_frames, -1), depths)
    member = torch.zeros(n_groups, n_points, dtype=depths.dtype, device=depths.device)
    member.scatter_(1, groups, 1.0)
    shared = (member @ member.T).clamp_min(1)
    by_frame = full.transpose(0, 1)
    # Inner products of what two groups say of their common points, both centred there.
    sums = by_frame @ member.T
    products = by_frame @ by_frame.mT - sums * sums.mT / shared
    signs = _leading_signs(products.sum(0))
    products = products * signs[:, None] * signs
    flips = _leading_signs(products)
    return (signs * flips).T


def _leading_signs(products):
    """Return the signs of the leading eigenvectors, of which the majority is positive."""
    leading = torch.linalg.eigh(products)[1][..., -1]
    signs = torch.where(leading < 0, -1.0, 1.0).to(products.dtype)
    majority = leading.sum(-1, keepdim=True)
    return signs * torch.where(majority < 0, -1.0, 1.0).to(products.dtype)
