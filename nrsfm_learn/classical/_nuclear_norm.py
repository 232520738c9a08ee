"""Shapes of low rank, given the rotations: the block-matrix shape step."""

from typing import NamedTuple

import torch

from .._deadline import time_is_up

# Penalty of the constraint at the start, over the largest singular value; its growth in each step
# of the weighted norm, which is not convex and would not settle. The nuclear norm does, exactly.
_PENALTY, _GROWTH = 20.0, 1.01
_TOO_FAR = 10.0


class ShapeStep(NamedTuple):
    """Result of :func:`nuclear_norm_shapes`.

    Attributes
    ----------
    shapes : Tensor of shape (n_frames, n_points, 3)
        Centred shapes in the common frame.
    offsets : Tensor of shape (n_frames, 2)
        Translation in the image.
    objective : list of float
        Sum of the (weighted) singular values in each iteration, over the largest.
    n_iter : int
    converged : bool
    """

    shapes: torch.Tensor
    offsets: torch.Tensor
    objective: list
    n_iter: int
    converged: bool


def nuclear_norm_shapes(tracks, rotations, *, epsilon=None, depth=None, max_iter=500, tol=1e-4):
    r"""Find the shapes of lowest rank that project exactly onto the visible keypoints.

    .. math::

        \min_{z, t} \sum_i \omega_i\, \sigma_i \bigl( S^\sharp \bigr) \quad\text{s.t.}\quad
        S_f = R_f^\top [W_f - t_f;\, z_f]

    with :math:`S^\sharp` the (n_frames, 3 n_points) matrix whose rows are the shapes. The unknowns
    are the depths, the hidden coordinates and the translation of frames with hidden keypoints.
    Solved by the alternating direction method of multipliers: singular values are shrunk, and the
    visible coordinates put back.

    Parameters
    ----------
    tracks : Tracks
        Keypoints.
    rotations : Tensor of shape (n_frames, 3, 3)
        Rotations.
    epsilon : float, optional
        With None all weights are 1: the nuclear norm, a convex problem. Otherwise
        :math:`\omega_i = \epsilon / (\sigma_i / \sigma_1 + \epsilon)`, renewed in each iteration,
        so that the large singular values, which carry the shape, are hardly shrunk.
    depth : Tensor of shape (n_frames, n_points), optional
        Start; 0 by default.
    max_iter : int, default=500
        Most iterations.
    tol : float, default=1e-4
        Relative change of the shapes, and distance from the constraint, at which to stop.

    Returns
    -------
    ShapeStep

    References
    ----------
    .. [1] Y. Dai, H. Li, M. He, "A simple prior-free method for non-rigid structure-from-motion
       factorization", IJCV 107(2), 2014, section 5.
    .. [2] S. Kumar, "Non-rigid structure from motion: prior-free factorization method revisited",
       WACV 2020: the weighted norm.
    """
    n_frames, n_points, _ = tracks.points.shape
    # Keypoints that are met exactly have no confidence: the nearest feasible shapes have the plain
    # mean for their translation.
    tracks = tracks._replace(weights=tracks.seen.to(tracks.points.dtype))
    seen, complete = tracks.seen[..., None], tracks.complete
    points = tracks.points
    if complete:
        points = points - points.mean(1, keepdim=True)
    camera = torch.cat(
        [points, (torch.zeros_like(points[..., 0]) if depth is None else depth)[..., None]], dim=2
    )
    offsets = torch.zeros_like(points[:, 0])
    S = (camera @ rotations).flatten(1)
    largest = torch.linalg.matrix_norm(S, 2)
    penalty = _PENALTY / largest
    dual = torch.zeros_like(S)
    objective, converged, n_iter = [], False, 0
    while n_iter < max_iter and not (converged or (n_iter and time_is_up())):
        n_iter += 1
        low, total = _shrink(S + dual / penalty, 1 / penalty, epsilon)
        objective.append(float(total))
        posed = (low - dual / penalty).reshape(n_frames, n_points, 3) @ rotations.mT
        plane = points
        if not complete:
            offsets = tracks.offsets(posed[..., :2])
            plane = torch.where(seen, points - offsets[:, None], posed[..., :2])
        camera = torch.cat([plane, posed[..., 2:]], dim=2)
        camera = camera - camera.mean(1, keepdim=True)
        previous, S = S, (camera @ rotations).flatten(1)
        gap = S - low
        dual = dual + penalty * gap
        change, size = (S - previous).norm(), S.norm()
        converged = bool((change <= tol * size) & (gap.norm() <= _TOO_FAR * tol * size))
        if epsilon is not None:
            penalty = penalty * _GROWTH
    shapes = S.reshape(n_frames, n_points, 3)
    offsets = tracks.offsets((shapes @ rotations.mT)[..., :2])
    return ShapeStep(shapes, offsets, objective, n_iter, converged)


def pseudo_inverse_shapes(tracks, points, rotations):
    r"""Return the shapes of least Frobenius norm that project onto the keypoints.

    .. math:: S_f = R_f^{xy\,\top} (R_f^{xy} R_f^{xy\,\top})^{-1} W_f = R_f^\top [W_f;\, 0]

    Parameters
    ----------
    tracks : Tracks
        Keypoints.
    points : Tensor of shape (n_frames, n_points, 2)
        The same, completed.
    rotations : Tensor of shape (n_frames, 3, 3)
        Rotations.

    Returns
    -------
    ShapeStep
        Shapes without depth in their own camera.
    """
    points = points - points.mean(1, keepdim=True)
    shapes = points @ rotations[:, :2]
    return ShapeStep(shapes, tracks.offsets(points), [], 0, True)


def _shrink(A, threshold, epsilon):
    """Shrink the singular values of a matrix; return it and the norm that is minimised."""
    # The Gram matrix of the smaller side has all that is needed, at a tenth of the SVD's price.
    wide = A.shape[1] > A.shape[0]
    gram = A @ A.T if wide else A.T @ A
    squares, vectors = torch.linalg.eigh(gram)
    values = squares.clamp_min(0).sqrt()
    weights = torch.ones_like(values)
    if epsilon is not None:
        weights = epsilon / (values / values[-1].clamp_min(1e-300) + epsilon)
    kept = (values - threshold * weights).clamp_min(0)
    factor = kept / values.clamp_min(1e-300)
    low = (vectors * factor) @ (vectors.T @ A) if wide else (A @ vectors * factor) @ vectors.T
    return low, (weights * kept).sum() / kept[-1].clamp_min(1e-300)
