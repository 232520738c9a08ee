"""Frames that a fit has not seen, lifted by the shapes that it has learned."""

from typing import NamedTuple

import torch

from ..geometry import axis_angle_to_matrix, onp, refine_onp

# Shapes of the fit that each frame is compared with, and how many of them are starts.
_N_CANDIDATES, _N_STARTS = 64, 4
_MAX_ITER, _TOLERANCE = 50, 1e-12
_FRAMES_AT_ONCE = 256


class ShapeBasis(NamedTuple):
    """What a method has learned of an object.

    Attributes
    ----------
    mean : Tensor of shape (n_points, 3)
        Mean shape, centred.
    basis : Tensor of shape (n_bases, n_points, 3)
        Directions of deformation, each times the standard deviation of its coefficient.
    noise : float
        Standard deviation of a keypoint's coordinate about the model, in units of the shapes.
    candidates : Tensor of shape (n_candidates, n_points, 3)
        Shapes to start from.
    """

    mean: torch.Tensor
    basis: torch.Tensor
    noise: float
    candidates: torch.Tensor


class BasisLift(NamedTuple):
    """Result of :func:`lift_with_basis`.

    Attributes
    ----------
    shapes : Tensor of shape (n_frames, n_points, 3)
    rotations : Tensor of shape (n_frames, 3, 3)
    scales : Tensor of shape (n_frames,)
    offsets : Tensor of shape (n_frames, 2)
    codes : Tensor of shape (n_frames, n_bases)
        Coefficients, in standard deviations.
    """

    shapes: torch.Tensor
    rotations: torch.Tensor
    scales: torch.Tensor
    offsets: torch.Tensor
    codes: torch.Tensor


def learn_basis(shapes, n_bases, noise):
    """Describe shapes of a fit by their mean and principal components.

    Parameters
    ----------
    shapes : Tensor of shape (n_frames, n_points, 3)
        Centred shapes in the common frame.
    n_bases : int
        Components to keep, at most; those that vanish are left out.
    noise : float
        As of :class:`ShapeBasis`.

    Returns
    -------
    basis : ShapeBasis
    codes : Tensor of shape (n_frames, n_bases)
        Coefficients of the shapes, in standard deviations.
    """
    n_frames, n_points, _ = shapes.shape
    mean = shapes.mean(0)
    left, values, right = torch.linalg.svd((shapes - mean).flatten(1), full_matrices=False)
    size = shapes.norm()
    n_bases = int(min(n_bases, (values[: n_frames - 1] > 1e-6 * size).sum()))
    root = n_frames**0.5
    basis = (values[:n_bases, None] * right[:n_bases] / root).reshape(n_bases, n_points, 3)
    model = ShapeBasis(mean, basis, noise, strided(mean, shapes))
    return model, left[:, :n_bases] * root


def strided(mean, shapes):
    """Return the mean shape and some of the shapes, for :attr:`ShapeBasis.candidates`."""
    stride = max(1, len(shapes) // _N_CANDIDATES)
    return torch.cat([mean[None], shapes[::stride]])


def lift_with_basis(points, weights, model, *, scale=False):
    r"""Find camera and coefficients of each frame.

    .. math::

        \min_{R_f, c_f, t_f} \frac{1}{\sigma^2} \sum_p m_{fp} \bigl\| w_{fp} - t_f
        - s_f R_f^{xy} \bigl( \bar s_p + \textstyle\sum_k c_{fk} b_{kp} \bigr) \bigr\|^2
        + \| c_f \|^2

    Orthographic-N-point on shapes of the fit gives the starts; Gauss-Newton steps over camera and
    coefficients together follow, which is what alternating between them would come to. Each frame
    is lifted by itself.

    Parameters
    ----------
    points : Tensor of shape (n_frames, n_points, 2)
        Keypoints, 0 where hidden.
    weights : Tensor of shape (n_frames, n_points)
        0 where hidden.
    model : ShapeBasis
        What the fit has learned.
    scale : bool, default=False
        Whether each frame has a scale of its own.

    Returns
    -------
    BasisLift
    """
    parts = [
        _lift(points[start : start + _FRAMES_AT_ONCE], weights[start : start + _FRAMES_AT_ONCE],
              model, scale)
        for start in range(0, len(points), _FRAMES_AT_ONCE)
    ]  # fmt: skip
    return BasisLift(*(torch.cat(field) for field in zip(*parts, strict=True)))


def _lift(points, weights, model, scale):
    n_frames, n_points, _ = points.shape
    total = weights.sum(1, keepdim=True)
    share = (weights / total)[..., None]
    target = points - (share * points).sum(1, keepdim=True)
    root = weights.sqrt()[..., None]
    fit = onp(model.candidates, target[:, None], visible=weights[:, None], scale=scale)
    posed = fit.scale[..., None, None] * (model.candidates @ fit.rotation.mT)[..., :2]
    left = target[:, None] - posed
    left = left - (share[:, None] * left).sum(2, keepdim=True)
    error = (weights[:, None, :, None] * left.square()).sum((2, 3))
    n_starts = min(_N_STARTS, error.shape[1])
    chosen = error.topk(n_starts, dim=1, largest=False).indices
    pick = torch.arange(n_frames, device=points.device)[:, None]
    rotation = fit.rotation[pick, chosen].flatten(0, 1)
    log_scale = fit.scale[pick, chosen].flatten().clamp_min(1e-6).log()
    shape = model.candidates[chosen.flatten()]
    directions = model.basis.flatten(1)
    # The candidates are combinations of the basis, up to what was left out of it.
    codes = (shape - model.mean).flatten(1) @ torch.linalg.pinv(directions)

    many = (target, share, root)
    target, share, root = (a.repeat_interleave(n_starts, 0) for a in many)
    if not scale:
        seen = root.squeeze(-1).square()
        rotation = refine_onp(shape, target, rotation, visible=seen)
    n_codes = len(model.basis)
    sigma = model.noise

    def evaluate(rotation, codes, log_scale):
        shape = model.mean + (codes @ directions).reshape(-1, n_points, 3)
        X = log_scale.exp()[:, None, None] * (shape @ rotation.mT)
        r = target - X[..., :2]
        r = root * (r - (share * r).sum(1, keepdim=True)) / sigma
        return X, r, r.square().sum((1, 2)) + codes.square().sum(1)

    X, r, cost = evaluate(rotation, codes, log_scale)
    damping = torch.full_like(cost, 1e-3)
    done = torch.zeros_like(cost, dtype=torch.bool)
    eye = torch.eye(3 + n_codes + scale, dtype=cost.dtype, device=cost.device)
    prior = torch.zeros_like(eye)
    prior[3 : 3 + n_codes, 3 : 3 + n_codes] = eye[:n_codes, :n_codes]
    for _ in range(_MAX_ITER):
        x, y, z = X.unbind(-1)
        zero = torch.zeros_like(x)
        # d(exp([w]x) X)_xy / dw = (w x X)_xy
        by = [torch.stack([zero, -z], 2), torch.stack([z, zero], 2), torch.stack([-y, x], 2)]
        turned = torch.einsum("kpi,fji->fkpj", model.basis, rotation[:, :2])
        turned = log_scale.exp()[:, None, None, None] * turned
        J = [torch.stack(by, 1), turned]
        if scale:
            J.append(X[:, None, :, :2])
        J = torch.cat(J, dim=1)
        J = root[:, None] * (J - (share[:, None] * J).sum(2, keepdim=True)) / sigma
        J = J.flatten(2)
        g = (J @ r.flatten(1)[..., None]).squeeze(-1)
        g[:, 3 : 3 + n_codes] -= codes
        H = J @ J.mT + prior
        diagonal = H.diagonal(dim1=1, dim2=2)
        floor = 1e-12 * diagonal.mean(1, keepdim=True)
        H = H + torch.diag_embed(damping[:, None] * diagonal.clamp_min(floor))
        step = torch.linalg.solve_ex(H, g)[0]
        new = (
            axis_angle_to_matrix(step[:, :3]) @ rotation,
            codes + step[:, 3 : 3 + n_codes],
            log_scale + step[:, -1] if scale else log_scale,
        )
        X_new, r_new, cost_new = evaluate(*new)
        better = (cost_new < cost) & ~done
        done = (
            done | (better & (cost - cost_new <= _TOLERANCE * cost)) | (~better & (damping >= 1e8))
        )
        rotation = torch.where(better[:, None, None], new[0], rotation)
        codes = torch.where(better[:, None], new[1], codes)
        log_scale = torch.where(better, new[2], log_scale)
        X = torch.where(better[:, None, None], X_new, X)
        r = torch.where(better[:, None, None], r_new, r)
        cost = torch.where(better, cost_new, cost)
        damping = torch.where(better, damping / 3, damping * 4).clamp(1e-12, 1e8)
        if done.all():
            break
    best = cost.reshape(n_frames, n_starts).argmin(1)
    best = best + n_starts * torch.arange(n_frames, device=best.device)
    rotation, codes, scales = rotation[best], codes[best], log_scale[best].exp()
    shapes = model.mean + (codes @ directions).reshape(-1, n_points, 3)
    projected = scales[:, None, None] * (shapes @ rotation.mT)[..., :2]
    offsets = ((weights / total)[..., None] * (points - projected)).sum(1)
    return BasisLift(shapes, rotation, scales, offsets, codes)
