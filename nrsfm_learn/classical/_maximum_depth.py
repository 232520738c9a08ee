"""The maximum-depth heuristic: how far away can points be that hold together?"""

from typing import NamedTuple

import torch

from .._deadline import time_is_up
from ._arrow_system import factorize, scatter_to_points

# Growth of the weight of the depths from one barrier problem to the next.
_GROWTH = 20.0
# Newton decrement (squared) at which a barrier problem counts as solved.
_CENTRED = 0.5
# Line search: sufficient decrease, and by how much steps shrink.
_DECREASE, _SHRINK, _SMALLEST_STEP = 0.1, 0.7, 1e-10
# No point is farther than this many times the depth at which a typical edge spans its angle: it
# keeps points bounded whose lines of sight coincide with those of all their neighbours.
_FARTHEST = 100.0
# Part of that beyond which a point is not held by its neighbours.
_LOOSE = 0.5


class MaximumDepth(NamedTuple):
    """Result of :func:`solve_maximum_depth`.

    Attributes
    ----------
    depths : Tensor of shape (n_frames, n_points)
        Distance of each point from the camera's centre; anything where it is not seen.
    distances : Tensor of shape (n_edges,)
        Largest distance that each edge may have; of mean 1 if they were not given.
    bounded : Tensor of bool of shape (n_frames, n_points)
        Whether something holds the point: False where it went as far as points may go at all.
    curve : list of float
        Bound on how far the sum of depths is below the largest, relative; an entry a Newton step.
    n_iter : int
        Newton steps.
    converged : bool
        Whether the tolerance was met.
    """

    depths: torch.Tensor
    distances: torch.Tensor
    bounded: torch.Tensor
    curve: list
    n_iter: int
    converged: bool


def solve_maximum_depth(lines, distances=None, *, max_iter=200, tol=1e-4):
    r"""Put points as far from the camera as distances between neighbours allow.

    .. math::

        \max_{\lambda, d} \sum_{f,i} m_{fi} \lambda_{fi} \quad \text{s.t.} \quad
        \| \lambda_{fi} q_{fi} - \lambda_{fj} q_{fj} \| \le d_{ij}
        \ \text{for all } f \text{ that show } i \text{ and } j, \quad
        \tfrac{1}{E} \sum_{ij} d_{ij} = 1

    a second-order cone programme, by a barrier method: Newton steps on

    .. math::

        -\tau \sum_{f,i} \lambda_{fi}
        - \sum_{f,ij} \log \bigl( d_{ij}^2 - \| \lambda_{fi} q_{fi} - \lambda_{fj} q_{fj} \|^2 \bigr)
        - \sum_{f,i} \log (\lambda^{\max} - \lambda_{fi})

    for growing :math:`\tau`. With N cones and n depths the sum is then at most
    :math:`(2N + n) / \tau` below its largest value. The depths of a frame meet those of others only
    through the distances, and are eliminated frame by frame.

    Parameters
    ----------
    lines : SightLines
        Lines of sight and their graph.
    distances : Tensor of shape (n_edges,), optional
        The :math:`d_{ij}`, if they are known. The frames are then problems of their own, but are
        solved as one.
    max_iter : int, default=200
        Most Newton steps.
    tol : float, default=1e-4
        Relative bound on the sum of depths at which to stop.

    Returns
    -------
    MaximumDepth

    References
    ----------
    .. [1] A. Chhatkuli, D. Pizarro, T. Collins, A. Bartoli, "Inextensible non-rigid
       structure-from-motion by second-order cone programming", IEEE TPAMI 40(10), 2018, section 4.
       The solver is derived anew here.
    .. [2] S. Boyd, L. Vandenberghe, "Convex Optimization", 2004, section 11.6 (barriers of cones).
    """
    problem = _Barrier(lines, distances)
    point = problem.start()
    weight = problem.degree / float(point.depths[lines.seen].sum())
    curve, n_iter, stuck, gap = [], 0, False, 1.0
    while n_iter < max_iter and not stuck and not (n_iter and time_is_up()):
        n_iter += 1
        step, decrement = problem.newton_step(point, weight)
        if step is None:
            break
        point, moved = problem.search(point, step, weight, decrement)
        gap = problem.degree / (weight * float(point.depths[lines.seen].sum()))
        curve.append(gap)
        if decrement < _CENTRED or not moved:
            if gap <= tol:
                break
            # Rounding ends what the tolerance does not.
            stuck = not moved and decrement < _CENTRED
            weight *= _GROWTH
    bounded = point.depths < _LOOSE * problem.farthest
    return MaximumDepth(point.depths, point.distances, bounded, curve, n_iter, gap <= tol)


class _Point(NamedTuple):
    depths: torch.Tensor
    distances: torch.Tensor


class _Barrier:
    """The barrier function of one problem, its value and its Newton steps."""

    def __init__(self, lines, distances):
        self.lines, self.known = lines, distances
        i, j = lines.edges.T
        self.active = lines.weights > 0
        self.cosine = (lines.rays[:, i] * lines.rays[:, j]).sum(-1)
        self.spread = (lines.rays[:, i] - lines.rays[:, j]).norm(dim=-1)
        self.degree = 2 * int(self.active.sum()) + int(lines.seen.sum())
        self.unit = torch.ones(len(lines.edges)).to(lines.rays) if distances is None else distances
        spread = self.spread[self.active].median().clamp_min(1e-12)
        self.farthest = float(_FARTHEST * self.unit.median() / spread)

    def start(self):
        """Return a point inside all cones: all depths of a frame alike."""
        room = torch.where(self.active, self.unit / self.spread.clamp_min(1e-300), torch.inf)
        nearest = (0.5 * room.amin(1)).clamp_max(0.5 * self.farthest)
        return _Point(nearest[:, None].expand(self.lines.seen.shape).clone(), self.unit)

    def slacks(self, point):
        """Return the edges' vectors, and d^2 minus their squared lengths (1 where not active)."""
        along = self.lines.differences(point.depths)
        length, d = along.norm(dim=-1), point.distances
        return along, torch.where(self.active, (d - length) * (d + length), 1.0)

    def value(self, point, weight):
        """Return the barrier function, infinite outside of the cones."""
        _, slack = self.slacks(point)
        seen = self.lines.seen
        depths = point.depths[seen]
        if (slack <= 0).any() or (point.distances <= 0).any() or (depths >= self.farthest).any():
            return float("inf")
        value = -weight * depths.sum() - slack.log().sum() - (self.farthest - depths).log().sum()
        return float(value)

    def newton_step(self, point, weight):
        """Return the Newton step and its squared decrement; None where rounding forbids one."""
        lines, active = self.lines, self.active
        i, j = lines.edges.T
        along, slack = self.slacks(point)
        shape, on = lines.seen.shape, active.to(slack)
        # Derivatives of the squared length by the depths of both ends.
        by_i = 2 * (along * lines.rays[:, i]).sum(-1)
        by_j = -2 * (along * lines.rays[:, j]).sum(-1)
        by_d = 2 * point.distances
        first, second = on / slack, on / slack.square()
        room = (self.farthest - point.depths).clamp_min(1e-300)
        seen = lines.seen.to(slack)
        gradient = seen * (1 / room - weight)
        gradient = gradient + scatter_to_points(shape, i, first * by_i)
        gradient = gradient + scatter_to_points(shape, j, first * by_j)
        # Depths that are not seen get an equation of their own, and stay.
        diagonal = torch.where(lines.seen, 1 / room.square(), 1.0)
        free = self.known is None
        borders = (-second * by_i * by_d, -second * by_j * by_d) if free else None
        system = factorize(
            lines.edges,
            diagonal,
            2 * first + second * by_i.square(),
            2 * first + second * by_j.square(),
            -2 * self.cosine * first + second * by_i * by_j,
            borders,
            (second * by_d.square() - 2 * first).sum(0) if free else None,
        )
        if system is None:
            return None, 0.0
        if not free:
            depths, _ = system.solve(-gradient)
            return _Point(depths, torch.zeros_like(self.known)), -float((gradient * depths).sum())
        by_distance = -(first * by_d).sum(0)
        depths, distances = system.solve(-gradient, -by_distance)
        # The sum of the distances stays what it is.
        ones = torch.ones_like(distances)
        depths_of_one, of_one = system.solve(torch.zeros_like(gradient), ones)
        excess = distances.sum() / of_one.sum()
        step = _Point(depths - excess * depths_of_one, distances - excess * of_one)
        decrement = -(gradient * step.depths).sum() - (by_distance * step.distances).sum()
        return step, float(decrement)

    def search(self, point, step, weight, decrement):
        """Go along a step as far as the value falls; return where, and whether it moved."""
        value, length = self.value(point, weight), 1.0
        while length > _SMALLEST_STEP:
            new = _Point(*(a + length * b for a, b in zip(point, step, strict=True)))
            # Differences below rounding of the value count as none.
            if self.value(new, weight) <= value - _DECREASE * length * decrement + 1e-13 * abs(
                value
            ):
                return new, True
            length *= _SHRINK
        return point, False
