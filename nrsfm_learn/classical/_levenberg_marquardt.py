"""Damped Gauss-Newton for many small least-squares problems at once."""

from typing import NamedTuple

import torch

from .._deadline import time_is_up

_DAMPING, _LESS, _MORE = 1e-2, 1 / 3, 4.0
_SMALLEST, _LARGEST = 1e-12, 1e10
# Residuals this many units of rounding small, over the terms they are made of, are zero: left
# alone, they fall and fall.
_ROUNDING = 100


class LeastSquaresFit(NamedTuple):
    """Result of :func:`levenberg_marquardt`.

    Attributes
    ----------
    solution : Tensor of shape (n_problems, n_unknowns)
    cost : Tensor of shape (n_problems,)
        Sum of squared residuals.
    n_iter : int
    converged : Tensor of bool of shape (n_problems,)
        Whether the last steps lowered the cost by less than the tolerance.
    """

    solution: torch.Tensor
    cost: torch.Tensor
    n_iter: int
    converged: torch.Tensor


def levenberg_marquardt(linearize, start, *, max_iter=200, tol=1e-10, solved=0.0):
    r"""Minimise a sum of squares by Levenberg and Marquardt's damped Gauss-Newton steps.

    .. math:: (J^\top J + \mu \operatorname{diag} J^\top J)\, \delta = -J^\top r

    Each problem has its own damping :math:`\mu`, and takes only steps that lower its cost.

    Parameters
    ----------
    linearize : callable
        ``linearize(x) -> (r, J)`` for x of shape (n_problems, n_unknowns): residuals
        (n_problems, n_residuals) and their Jacobian.
    start : Tensor of shape (n_problems, n_unknowns)
        Where to begin.
    max_iter : int, default=200
        Most steps.
    tol : float, default=1e-10
        A problem has converged once a step lowers its cost by less than this fraction, no step
        lowers it, or it is solved exactly.
    solved : float, default=0.0
        A cost that is as good as none.

    Returns
    -------
    LeastSquaresFit
    """
    x = start
    damping = torch.full(x.shape[:1], _DAMPING, dtype=x.dtype, device=x.device)
    r, J = linearize(x)
    cost = r.square().sum(1)
    unit = (_ROUNDING * torch.finfo(x.dtype).eps) ** 2
    converged = torch.zeros_like(cost, dtype=torch.bool)
    n_iter = 0
    while n_iter < max_iter and not (converged.all() or (n_iter and time_is_up())):
        n_iter += 1
        H = J.mT @ J
        g = (J.mT @ r[..., None]).squeeze(-1)
        diagonal = H.diagonal(dim1=1, dim2=2)
        exact = unit * (diagonal * x.square()).sum(1)
        floor = 1e-12 * diagonal.mean(1, keepdim=True) + 1e-300
        damped = H + torch.diag_embed(damping[:, None] * diagonal.clamp_min(floor))
        # A singular matrix gives no step here, and more damping in the next round.
        step = torch.linalg.solve_ex(damped, g)[0]
        proposal = x - step
        r_new, J_new = linearize(proposal)
        cost_new = r_new.square().sum(1)
        better = (cost_new < cost) & ~converged
        small = (cost - cost_new <= tol * cost) | (cost_new <= exact.clamp_min(solved))
        converged = converged | (better & small) | (~better & (damping >= _LARGEST))
        x = torch.where(better[:, None], proposal, x)
        r = torch.where(better[:, None], r_new, r)
        J = torch.where(better[:, None, None], J_new, J)
        cost = torch.where(better, cost_new, cost)
        damping = torch.where(better, damping * _LESS, damping * _MORE)
        damping = damping.clamp(_SMALLEST, _LARGEST)
    return LeastSquaresFit(x, cost, n_iter, converged)
