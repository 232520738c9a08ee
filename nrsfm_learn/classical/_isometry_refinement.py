"""From inextensible to isometric: the same distances in all frames."""

from typing import NamedTuple

import torch

from .._deadline import time_is_up
from ._arrow_system import factorize, scatter_to_points

_DAMPING, _LESS, _MORE = 1e-3, 1 / 3, 4.0
_SMALLEST, _LARGEST = 1e-10, 1e8
# Edges this short against the others have no direction to speak of.
_SHORT = 1e-3
# Mean squared deviation that is rounding.
_EXACT = 1e-20


class Isometry(NamedTuple):
    """Result of :func:`refine_isometry`.

    Attributes
    ----------
    depths : Tensor of shape (n_frames, n_points)
    distances : Tensor of shape (n_edges,)
        Geometric mean of each edge's length over the frames, or as given.
    curve : list of float
        Root of the mean squared relative deviation of the lengths, an entry a step.
    n_iter : int
    converged : bool
        Whether no problem had anything left to lower.
    """

    depths: torch.Tensor
    distances: torch.Tensor
    curve: list
    n_iter: int
    converged: bool


def refine_isometry(lines, depths, distances=None, *, max_iter=50, tol=1e-4):
    r"""Move points along their lines of sight until distances are the same in all frames.

    .. math::

        \min_{\lambda, d} \sum_{f,ij} m_{f,ij} \bigl( \log \| \lambda_{fi} q_{fi}
        - \lambda_{fj} q_{fj} \| - \log d_{ij} \bigr)^2

    by Levenberg and Marquardt's method from a start that must be near. Logarithms make it
    independent of the common scale, which stays that of the start.

    Parameters
    ----------
    lines : SightLines
        Lines of sight and their graph.
    depths : Tensor of shape (n_frames, n_points)
        Where to start.
    distances : Tensor of shape (n_edges,), optional
        The :math:`d_{ij}`, if they are known. Each frame is then a problem of its own.
    max_iter : int, default=50
        Most steps.
    tol : float, default=1e-4
        Fraction by which a step must lower the objective to be followed by another.

    Returns
    -------
    Isometry
    """
    i, j = lines.edges.T
    shape, free = depths.shape, distances is None

    def total(values):
        return values.sum().reshape(1) if free else values.sum(1)

    length = lines.differences(depths).norm(dim=-1)
    typical = length[lines.weights > 0].median() if free else distances.median()
    # What is too short in the start does not count.
    weights = torch.where(length > _SHORT * typical, lines.weights, 0.0)
    # Nor does any length fall so far below that its logarithm is not finite.
    floor = (1e-3 * _SHORT * typical) ** 2
    if free:
        share = weights / weights.sum(0).clamp_min(1e-300)
        logs = (share * (0.5 * length.square().clamp_min(floor).log())).sum(0)
    else:
        logs = distances.log()

    def evaluate(depths, logs):
        along = lines.differences(depths)
        square = along.square().sum(-1).clamp_min(floor)
        residual = 0.5 * square.log() - logs
        cost = total(weights * residual.square())
        # Behind the camera nothing is seen.
        behind = total((lines.seen & (depths <= 0)).double()) > 0
        return along, square, residual, torch.where(behind, torch.inf, cost)

    corner = weights.sum(0)
    count = total(weights).clamp_min(1e-300)
    along, square, residual, cost = evaluate(depths, logs)
    damping, done = torch.full_like(cost, _DAMPING), cost <= _EXACT * count
    n_iter, curve = 0, []
    while n_iter < max_iter and not done.all() and not (n_iter and time_is_up()):
        n_iter += 1
        by_i = (along * lines.rays[:, i]).sum(-1) / square
        by_j = -(along * lines.rays[:, j]).sum(-1) / square
        pull = weights * residual
        gradient = scatter_to_points(shape, i, pull * by_i)
        gradient = gradient + scatter_to_points(shape, j, pull * by_j)
        ii, jj = weights * by_i.square(), weights * by_j.square()
        diagonal = scatter_to_points(shape, i, ii) + scatter_to_points(shape, j, jj)
        diagonal = torch.where(diagonal > 0, damping[:, None] * diagonal, 1.0)
        system = factorize(
            lines.edges,
            diagonal,
            ii,
            jj,
            weights * by_i * by_j,
            (-weights * by_i, -weights * by_j) if free else None,
            (1 + damping) * corner + (corner == 0) if free else None,
        )
        step, log_step = system.solve(-gradient, pull.sum(0) if free else None)
        proposal = depths + step, logs + log_step if free else logs
        new = evaluate(*proposal)
        better = system.regular & (new[-1] < cost) & ~done
        small = (cost - new[-1] <= tol * cost) | (new[-1] <= _EXACT * count)
        done = done | (better & small) | (~better & (damping >= _LARGEST))
        depths = torch.where(better[:, None], proposal[0], depths)
        if free:
            logs = torch.where(better, proposal[1], logs)
        along, square, residual = (
            torch.where(better.reshape(-1, *(1,) * (b.ndim - 1)), b, a)
            for a, b in zip((along, square, residual), new[:-1], strict=True)
        )
        cost = torch.where(better, new[-1], cost)
        damping = damping * torch.where(better, _LESS, _MORE)
        damping = damping.clamp(_SMALLEST, _LARGEST)
        curve.append(float((cost.sum() / count.sum()).sqrt()))
    return Isometry(depths, logs.exp(), curve, n_iter, bool(done.all()))
