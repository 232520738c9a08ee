"""From inextensible to isometric: the same distances in all frames."""

from typing import NamedTuple

import torch

from .._deadline import time_is_up
from ._arrow_system import factorize, scatter_to_points

_DAMPING, _LESS, _MORE = 1e-3, 1 / 3, 4.0
_SMALLEST, _LARGEST = 1e-10, 1e8
# Edges this short against the others have no direction to speak of.
_SHORT = 1e-3


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
        The :math:`d_{ij}`, if they are known.
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
    length = lines.differences(depths).norm(dim=-1)
    typical = length[lines.weights > 0].median()
    # What is too short in the start does not count.
    weights = torch.where(length > _SHORT * typical, lines.weights, 0.0)
    total = weights.sum().clamp_min(1e-300)
    floor = (_SHORT * typical) ** 2
    if free:
        share = weights / weights.sum(0).clamp_min(1e-300)
        logs = (share * length.clamp_min(1e-3 * _SHORT * typical).log()).sum(0)
    else:
        logs = distances.log()

    def evaluate(depths, logs):
        along = lines.differences(depths)
        square = along.square().sum(-1).clamp_min(1e-6 * floor)
        residual = 0.5 * square.log() - logs
        cost = (weights * residual.square()).sum()
        # Behind the camera nothing is seen.
        valid = bool((depths[lines.seen] > 0).all())
        return along, square, residual, cost if valid else torch.full_like(cost, torch.inf)

    along, square, residual, cost = evaluate(depths, logs)
    damping, n_iter, curve, converged = _DAMPING, 0, [], False
    while n_iter < max_iter and not converged and not (n_iter and time_is_up()):
        n_iter += 1
        by_i = (along * lines.rays[:, i]).sum(-1) / square
        by_j = -(along * lines.rays[:, j]).sum(-1) / square
        pull = weights * residual
        gradient = scatter_to_points(shape, i, pull * by_i)
        gradient = gradient + scatter_to_points(shape, j, pull * by_j)
        ii, jj = weights * by_i.square(), weights * by_j.square()
        diagonal = scatter_to_points(shape, i, ii) + scatter_to_points(shape, j, jj)
        diagonal = torch.where(diagonal > 0, damping * diagonal, 1.0)
        corner = weights.sum(0)
        system = factorize(
            lines.edges,
            diagonal,
            ii,
            jj,
            weights * by_i * by_j,
            (-weights * by_i, -weights * by_j) if free else None,
            (1 + damping) * corner + (corner == 0) if free else None,
        )
        better = False
        if system is not None:
            step, log_step = system.solve(-gradient, pull.sum(0) if free else None)
            proposal = depths + step, logs + log_step if free else logs
            new = evaluate(*proposal)
            better = bool(new[-1] < cost)
        if better:
            # A cost that is rounding has nothing left to fall.
            least = 1e-20 * total
            converged = bool(cost - new[-1] <= tol * cost) or bool(new[-1] <= least)
            depths, logs = proposal
            along, square, residual, cost = new
        else:
            converged = damping >= _LARGEST
        damping = min(max(damping * (_LESS if better else _MORE), _SMALLEST), _LARGEST)
        curve.append(float((cost / total).sqrt()))
    return Isometry(depths, logs.exp(), curve, n_iter, converged)
