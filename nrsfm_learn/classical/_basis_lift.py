"""Frames that a fit has not seen, lifted by the shapes that it has learned."""

from typing import NamedTuple

import torch

from ..geometry import axis_angle_to_matrix, onp, refine_onp

# Shapes of the fit that each frame is compared with, and how many of them are starts.
_N_CANDIDATES, _N_STARTS = 64, 4
_MAX_ITER, _TOLERANCE = 50, 1e-12
_DAMPING, _MOST_DAMPING = 1e-3, 1e8
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
    stride = -(-len(shapes) // _N_CANDIDATES)
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
    """Lift frames of which each has several starts, as frames of their own; keep the best."""
    n_frames, n_points, _ = points.shape
    problem = _Problem(points, weights, model, scale)
    pose = problem.first_pose()
    state = problem.evaluate(pose)
    damping = torch.full_like(state.cost, _DAMPING)
    done = torch.zeros_like(state.cost, dtype=torch.bool)
    for _ in range(_MAX_ITER):
        H, g = problem.normal_equations(pose, state)
        diagonal = H.diagonal(dim1=1, dim2=2)
        floor = 1e-12 * diagonal.mean(1, keepdim=True)
        H = H + torch.diag_embed(damping[:, None] * diagonal.clamp_min(floor))
        proposal = problem.moved(pose, torch.linalg.solve_ex(H, g)[0])
        new = problem.evaluate(proposal)
        better = (new.cost < state.cost) & ~done
        settled = state.cost - new.cost <= _TOLERANCE * state.cost
        done = done | (better & settled) | (~better & (damping >= _MOST_DAMPING))
        pose, state = _where(better, proposal, pose), _where(better, new, state)
        damping = torch.where(better, damping / 3, damping * 4).clamp(1e-12, _MOST_DAMPING)
        if done.all():
            break
    best = state.cost.reshape(n_frames, -1).argmin(1)
    best = best + problem.n_starts * torch.arange(n_frames, device=best.device)
    rotations, codes, scales = pose.rotation[best], pose.codes[best], pose.log_scale[best].exp()
    shapes = model.mean + (codes @ model.basis.flatten(1)).reshape(-1, n_points, 3)
    projected = scales[:, None, None] * (shapes @ rotations.mT)[..., :2]
    share = weights / weights.sum(1, keepdim=True)
    offsets = (share[..., None] * (points - projected)).sum(1)
    return BasisLift(shapes, rotations, scales, offsets, codes)


class _Pose(NamedTuple):
    """The unknowns: rotation (n, 3, 3), codes (n, n_bases) and logarithm of the scale (n,)."""

    rotation: torch.Tensor
    codes: torch.Tensor
    log_scale: torch.Tensor


class _State(NamedTuple):
    """What a pose makes of the shape: points (n, n_points, 3), weighted residuals, cost (n,)."""

    posed: torch.Tensor
    residual: torch.Tensor
    cost: torch.Tensor


class _Problem:
    """Reprojection of some frames, each as often as it has starts, and the prior of the codes."""

    def __init__(self, points, weights, model, scale):
        self.model, self.scale = model, scale
        self.directions = model.basis.flatten(1)
        self.n_starts = min(_N_STARTS, len(model.candidates))
        self.points, self.weights = points, weights
        share = (weights / weights.sum(1, keepdim=True))[..., None]
        target = points - (share * points).sum(1, keepdim=True)
        self.frames = target, share
        many = (a.repeat_interleave(self.n_starts, 0) for a in (target, share, weights))
        self.target, self.share, self.weight = many
        self.root = self.weight.sqrt()[..., None] / model.noise

    def first_pose(self):
        """Choose the shapes of the fit that orthographic-N-point brings nearest."""
        target, share = self.frames
        candidates, weights = self.model.candidates, self.weights[:, None]
        fit = onp(candidates, target[:, None], visible=weights, scale=self.scale)
        left = (
            target[:, None] - fit.scale[..., None, None] * (candidates @ fit.rotation.mT)[..., :2]
        )
        left = left - (share[:, None] * left).sum(2, keepdim=True)
        error = (weights[..., None] * left.square()).sum((2, 3))
        chosen = error.topk(self.n_starts, dim=1, largest=False).indices
        pick = torch.arange(len(target), device=target.device)[:, None]
        rotation = fit.rotation[pick, chosen].flatten(0, 1)
        log_scale = fit.scale[pick, chosen].flatten().clamp_min(1e-6).log()
        shape = candidates[chosen.flatten()]
        if not self.scale:
            rotation = refine_onp(shape, self.target, rotation, visible=self.weight)
        # The candidates are combinations of the basis, up to what was left out of it.
        codes = (shape - self.model.mean).flatten(1) @ torch.linalg.pinv(self.directions)
        return _Pose(rotation, codes, log_scale)

    def evaluate(self, pose):
        """Return the state of a pose."""
        shape = self.model.mean + (pose.codes @ self.directions).reshape(*self.target.shape[:2], 3)
        posed = pose.log_scale.exp()[:, None, None] * (shape @ pose.rotation.mT)
        residual = self._weigh(self.target - posed[..., :2])
        cost = residual.square().sum((1, 2)) + pose.codes.square().sum(1)
        return _State(posed, residual, cost)

    def normal_equations(self, pose, state):
        """Return J^T J with the prior, and -J^T r, for rotation vector, codes and scale."""
        x, y, z = state.posed.unbind(-1)
        zero = torch.zeros_like(x)
        # d(exp([w]x) X)_xy / dw = (w x X)_xy
        by = [torch.stack([zero, -z], 2), torch.stack([z, zero], 2), torch.stack([-y, x], 2)]
        turned = torch.einsum("kpi,fji->fkpj", self.model.basis, pose.rotation[:, :2])
        J = [torch.stack(by, 1), pose.log_scale.exp()[:, None, None, None] * turned]
        if self.scale:
            J.append(state.posed[:, None, :, :2])
        J = self._weigh(torch.cat(J, dim=1)).flatten(2)
        codes = slice(3, 3 + len(self.model.basis))
        g = (J @ state.residual.flatten(1)[..., None]).squeeze(-1)
        g[:, codes] -= pose.codes
        H = J @ J.mT
        H[:, codes, codes] += torch.eye(len(self.model.basis), dtype=H.dtype, device=H.device)
        return H, g

    def moved(self, pose, step):
        """Return the pose after a step."""
        n_codes = len(self.model.basis)
        return _Pose(
            axis_angle_to_matrix(step[:, :3]) @ pose.rotation,
            pose.codes + step[:, 3 : 3 + n_codes],
            pose.log_scale + step[:, -1] if self.scale else pose.log_scale,
        )

    def _weigh(self, left):
        """Take off the translation that is best for each frame, and weigh."""
        extra = (slice(None), *(None,) * (left.ndim - 3))
        share, root = self.share[extra], self.root[extra]
        return root * (left - (share * left).sum(-2, keepdim=True))


def _where(condition, first, second):
    """Choose between named tuples of tensors, frame by frame."""
    chosen = (
        torch.where(condition.reshape(-1, *(1,) * (a.ndim - 1)), a, b)
        for a, b in zip(first, second, strict=True)
    )
    return type(first)(*chosen)
