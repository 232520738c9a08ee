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
_ROUNDING = 1e-13
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
        Bound on how far the sum of depths is below the largest, relative; an entry a Newton step,
        of the worst frame where frames are problems of their own.
    n_iter : int
        Newton steps.
    converged : bool
        Whether the tolerance was met, in all frames.
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
        - \sum_{f,ij}
        \log \bigl( d_{ij}^2 - \| \lambda_{fi} q_{fi} - \lambda_{fj} q_{fj} \|^2 \bigr)
        - \sum_{f,i} \log (\lambda^{\max} - \lambda_{fi})

    for growing :math:`\tau`. With N cones and n depths the sum is then at most
    :math:`(2N + n) / \tau` below its largest value. The depths of a frame meet those of others only
    through the distances, and are eliminated frame by frame.

    Parameters
    ----------
    lines : SightLines
        Lines of sight and their graph.
    distances : Tensor of shape (n_edges,), optional
        The :math:`d_{ij}`, if they are known. Each frame is then a problem of its own.
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
    weight = problem.degree / problem.depth_of(point)
    gap = torch.ones_like(weight)
    # Problems that rounding, and not the tolerance, brought to an end are done as well.
    done, curve, n_iter = problem.degree == 0, [], 0
    while n_iter < max_iter and not done.all() and not (n_iter and time_is_up()):
        n_iter += 1
        step, decrement = problem.newton_step(point, weight)
        point, moved = problem.search(point, step, weight, decrement, done)
        gap = torch.where(done, gap, problem.degree / (weight * problem.depth_of(point)))
        curve.append(float(gap[problem.degree > 0].max()))
        centred = (decrement < _CENTRED) | ~moved
        done = done | (centred & (gap <= tol)) | (~moved & (decrement < _CENTRED))
        weight = torch.where(centred & ~done, _GROWTH * weight, weight)
    bounded = point.depths < _LOOSE * problem.farthest
    converged = bool(((gap <= tol) | (problem.degree == 0)).all())
    return MaximumDepth(point.depths, point.distances, bounded, curve, n_iter, converged)


class _Point(NamedTuple):
    """Depths (n_frames, n_points) and distances (n_edges,)."""

    depths: torch.Tensor
    distances: torch.Tensor

    def moved(self, step, length):
        """Return the point after a step of a length (n_problems,), each problem its own."""
        return _Point(
            self.depths + length[:, None] * step.depths,
            self.distances if step.distances is None else self.distances + length * step.distances,
        )


class _Barrier:
    """The barrier function and its Newton steps: of one problem of all frames, or one a frame."""

    def __init__(self, lines, distances):
        self.lines, self.free = lines, distances is None
        i, j = lines.edges.T
        self.active = lines.weights > 0
        self.cosine = (lines.rays[:, i] * lines.rays[:, j]).sum(-1)
        self.spread = (lines.rays[:, i] - lines.rays[:, j]).norm(dim=-1).clamp_min(1e-12)
        self.degree = self.total(2 * self.active.double()) + self.total(lines.seen.double())
        self.unit = torch.ones(len(lines.edges)).to(lines.rays) if self.free else distances
        # The depth at which an edge spans its angle.
        reach = torch.where(self.active, self.unit / self.spread, torch.nan)
        self.nearest = reach.nan_to_num(torch.inf).amin(1)
        typical = reach.flatten()[None] if self.free else reach
        self.farthest = (_FARTHEST * typical.nanmedian(1).values.nan_to_num(1.0))[:, None]

    def total(self, values):
        """Add up what points or edges (n_frames, ...) contribute to each problem."""
        return values.sum().reshape(1) if self.free else values.sum(1)

    def depth_of(self, point):
        """Return the sum of the depths of each problem."""
        return self.total(torch.where(self.lines.seen, point.depths, 0.0)).clamp_min(1e-300)

    def start(self):
        """Return a point inside all cones: all depths of a frame alike."""
        depth = torch.minimum(0.5 * self.nearest, _LOOSE * self.farthest[:, 0])
        return _Point(depth[:, None].expand(self.lines.seen.shape).clone(), self.unit)

    def slacks(self, point):
        """Return the edges' vectors, and d^2 minus their squared lengths (1 where not active)."""
        along = self.lines.differences(point.depths)
        length, d = along.norm(dim=-1), point.distances
        return along, torch.where(self.active, (d - length) * (d + length), 1.0)

    def value(self, point, weight):
        """Return the barrier function of each problem, infinite outside of its cones."""
        _, slack = self.slacks(point)
        room = torch.where(self.lines.seen, self.farthest - point.depths, 1.0)
        # The logarithm of what is not positive is NaN or minus infinity.
        barrier = -self.total(slack.log()) - self.total(room.log())
        value = barrier - weight * self.depth_of(point)
        inside = torch.isfinite(value) & bool((point.distances > 0).all())
        return torch.where(inside, value, torch.inf)

    def newton_step(self, point, weight):
        """Return the Newton step of each problem and its squared decrement.

        Where rounding forbids a step both are 0.
        """
        lines, on = self.lines, self.active.to(point.depths)
        i, j = lines.edges.T
        along, slack = self.slacks(point)
        shape, seen = lines.seen.shape, lines.seen.to(slack)
        # Derivatives of the squared length by the depths of both ends.
        by_i = 2 * (along * lines.rays[:, i]).sum(-1)
        by_j = -2 * (along * lines.rays[:, j]).sum(-1)
        by_d = 2 * point.distances
        first, second = on / slack, on / slack.square()
        room = torch.where(lines.seen, self.farthest - point.depths, 1.0)
        gradient = seen * (1 / room - weight[:, None])
        gradient = gradient + scatter_to_points(shape, i, first * by_i)
        gradient = gradient + scatter_to_points(shape, j, first * by_j)
        system = factorize(
            lines.edges,
            1 / room.square(),
            2 * first + second * by_i.square(),
            2 * first + second * by_j.square(),
            -2 * self.cosine * first + second * by_i * by_j,
            (-second * by_i * by_d, -second * by_j * by_d) if self.free else None,
            (second * by_d.square() - 2 * first).sum(0) if self.free else None,
        )
        if not self.free:
            depths, _ = system.solve(-gradient)
            depths = torch.where(system.regular[:, None], depths, 0.0)
            return _Point(depths, None), -(gradient * depths).sum(1)
        if not system.regular.all():
            zero = _Point(torch.zeros_like(point.depths), torch.zeros_like(point.distances))
            return zero, torch.zeros_like(weight)
        by_distance = -(first * by_d).sum(0)
        depths, distances = system.solve(-gradient, -by_distance)
        # The sum of the distances stays what it is.
        depths_of_one, of_one = system.solve(torch.zeros_like(gradient), torch.ones_like(distances))
        excess = distances.sum() / of_one.sum()
        step = _Point(depths - excess * depths_of_one, distances - excess * of_one)
        slope = (gradient * step.depths).sum() + (by_distance * step.distances).sum()
        return step, -slope.reshape(1)

    def search(self, point, step, weight, decrement, done):
        """Go along the steps as far as the values fall; return where, and which problems moved."""
        value = self.value(point, weight)
        # Differences below rounding of the value count as none.
        slack = _ROUNDING * value.abs()
        length = torch.where(done, 0.0, 1.0).to(value)
        moved = done
        while True:
            new = point.moved(step, length)
            moved = self.value(new, weight) <= value - _DECREASE * length * decrement + slack
            if moved.all():
                return new, ~done
            length = torch.where(moved, length, _SHRINK * length)
            length = torch.where(length < _SMALLEST_STEP, 0.0, length)
            if not (length[~moved] > 0).any():
                return point.moved(step, length), moved & ~done
