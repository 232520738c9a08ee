"""Kernel shape trajectory: shapes on a curved manifold, moving smoothly in time."""

from numbers import Integral, Real

import torch
from sklearn.utils._param_validation import Interval

from .._deadline import time_is_up
from ._base import BaseClassicalNRSfM, Solution
from ._column_space_fitting import ColumnSpaceFitting, solve_column_space
from ._column_space_solver import CodeProblem, code_functions

# Squared distance of two frames' latent coordinates at the start, on average.
_SPREAD = 1.0
_HISTORY = 20
# Of the objective in a step, at most: by default there is no line search to speak of.
_EVALUATIONS = 20
# Size of a column that is rounding, once the others are taken out, over the largest.
_DEPENDENT = 1e-10
# Steps between two solutions for the translation of frames with hidden points.
_STEPS_AT_ONCE = 25
# Steps with which a number of bases is tried.
_TRIAL_ITERATIONS = 30


def solve_kernel_trajectory(
    tracks, completed, rotations, n_bases, *, n_latent=3, fraction=0.1, max_iter=500, tol=1e-4
):
    r"""Fit shapes whose codes are kernels of a smooth latent trajectory.

    Parameters
    ----------
    tracks : Tracks
        Keypoints.
    completed : Tensor of shape (n_frames, n_points, 2)
        The same, completed and centred; see :func:`complete_tracks`.
    rotations : Tensor of shape (n_frames, 3, 3)
        Rotations.
    n_bases : int
        K.
    n_latent : int, default=3
        Latent coordinates, at most; no more than K - 1, which is what the start has, but one.
    fraction : float, default=0.1
        Share of the frequencies that a latent coordinate may have.
    max_iter : int, default=500
        Most steps of L-BFGS.
    tol : float, default=1e-4
        Relative fall of the objective over ten steps at which to stop.

    Returns
    -------
    Solution

    References
    ----------
    .. [1] P. F. U. Gotardo, A. M. Martinez, "Kernel non-rigid structure from motion", ICCV 2011.
    """
    start = solve_column_space(tracks, completed, rotations, n_bases, fraction=fraction, tol=1e-3)
    functions = code_functions(tracks.clips, len(completed), fraction, completed, at_least=n_bases)
    latent = first_latent(start.shapes, max(1, min(n_latent, n_bases - 1)))
    unknowns = functions.T @ latent
    centers = spread_frames(functions @ unknowns, n_bases)
    offsets, curve, converged = start.offsets, [], False
    while len(curve) < max_iter and not (converged or (curve and time_is_up())):
        problem = CodeProblem(tracks, offsets, rotations, functions)
        steps = max_iter - len(curve)
        if not tracks.complete:
            steps = min(steps, _STEPS_AT_ONCE)
        unknowns, part, settled = _descend(problem, unknowns, centers, steps, tol)
        curve.extend(part)
        state = problem.project_codes(_span(kernel_codes(functions @ unknowns, centers))[0])
        shapes = torch.einsum("fk,kpi->fpi", state.codes, state.basis)
        shapes = shapes - shapes.mean(1, keepdim=True)
        previous, offsets = offsets, tracks.offsets((shapes @ rotations.mT)[..., :2])
        moved = (offsets - previous).norm() > tol * tracks.points.norm()
        converged = settled and (tracks.complete or not bool(moved))
    scales = torch.ones_like(offsets[:, 0])
    return Solution(shapes, rotations, scales, offsets, curve, len(curve), converged)


def kernel_codes(latent, centers):
    r"""Return the Gaussian kernel of each frame's latent coordinates with those of some frames.

    .. math:: c_{fk} = \exp \bigl( -\| x_f - x_{f_k} \|^2 \bigr)

    Parameters
    ----------
    latent : Tensor of shape (n_frames, n_latent)
        Latent coordinates.
    centers : Tensor of int of shape (n_bases,)
        Frames.

    Returns
    -------
    Tensor of shape (n_frames, n_bases)
    """
    difference = latent[:, None] - latent[centers]
    return torch.exp(-difference.square().sum(2))


def first_latent(shapes, n_latent):
    """Return the leading principal coordinates of shapes, in the unit of the kernel.

    Parameters
    ----------
    shapes : Tensor of shape (n_frames, n_points, 3)
        In the common frame.
    n_latent : int
        How many.

    Returns
    -------
    Tensor of shape (n_frames, n_latent)
    """
    flat = (shapes - shapes.mean(0)).flatten(1)
    left, values, _ = torch.linalg.svd(flat, full_matrices=False)
    latent = left[:, :n_latent] * values[:n_latent]
    size = latent.square().sum(1).mean().clamp_min(1e-300)
    return latent * (_SPREAD / (2 * size)).sqrt()


def spread_frames(latent, n_bases):
    """Choose frames one by one, each as far as can be from those chosen before.

    Parameters
    ----------
    latent : Tensor of shape (n_frames, n_latent)
        Coordinates.
    n_bases : int
        How many.

    Returns
    -------
    Tensor of int of shape (n_bases,)
    """
    chosen = [int((latent - latent.mean(0)).square().sum(1).argmin())]
    distance = torch.full_like(latent[:, 0], float("inf"))
    for _ in range(n_bases - 1):
        distance = torch.minimum(distance, (latent - latent[chosen[-1]]).square().sum(1))
        chosen.append(int(distance.argmax()))
    return torch.tensor(chosen, device=latent.device)


def _span(codes):
    """Return Q and R of the codes: any basis of their columns has the same cost, this one well."""
    Q, R = torch.linalg.qr(codes)
    diagonal = R.diagonal()
    # Columns that depend on others have no gradient of their own.
    floor = _DEPENDENT * diagonal.abs().max()
    safe = torch.where(diagonal.abs() < floor, floor, diagonal)
    return Q, R - torch.diag(diagonal) + torch.diag(safe)


@torch.enable_grad()
def _descend(problem, start, centers, max_iter, tol):
    """Minimise by L-BFGS; return coefficients, costs and whether the tolerance was met."""
    unknowns = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [unknowns], max_iter=1, max_eval=_EVALUATIONS, history_size=_HISTORY,
        line_search_fn="strong_wolfe", tolerance_grad=0.0, tolerance_change=0.0,
    )  # fmt: skip

    def closure():
        optimizer.zero_grad()
        codes = kernel_codes(problem.functions @ unknowns, centers)
        with torch.no_grad():
            Q, R = _span(codes)
            state = problem.project_codes(Q)
            gradient = -2 * problem.code_gradient(state)
            gradient = torch.linalg.solve_triangular(R, gradient.T, upper=True).T
        (codes * gradient).sum().backward()
        return torch.tensor(state.cost, dtype=codes.dtype)

    curve, converged = [], False
    while len(curve) < max_iter and not (converged or (curve and time_is_up())):
        curve.append(float(optimizer.step(closure)))
        if len(curve) > 10:
            converged = curve[-11] - curve[-1] <= tol * curve[-11]
    return unknowns.detach(), curve, converged


class KernelShapeTrajectory(ColumnSpaceFitting):
    r"""Kernel shape trajectory (KSTA): shapes on a curved manifold, moving smoothly in time.

    .. math::

        \min_{X, B, t} \sum_{f,p} m_{fp} \Bigl\| w_{fp} - t_f - R_f^{xy} \sum_{k=1}^K
        c_{fk}\, b_{kp} \Bigr\|^2, \qquad
        c_{fk} = \exp \bigl( -\| x_f - x_{f_k} \|^2 \bigr), \quad
        x_f = \Omega_f X

    A few latent coordinates x of each frame are combinations :math:`\Omega` of the lowest cosines;
    the coefficients of the K basis shapes are their Gaussian kernels with those of K of the frames.
    So few numbers make a shape space of more dimensions, and smooth coordinates make coefficients
    with higher frequencies. The basis shapes are eliminated (variable projection), and L-BFGS finds
    the coordinates, from those of :class:`ColumnSpaceFitting` with as many bases. The
    rotations are those of a metric upgrade of high rank; see :class:`BMM`.

    Parameters
    ----------
    n_bases : int or "auto", default="auto"
        Basis shapes K, and frames of the kernel. 3 K must be less than the number of points.
        "auto": the number that best predicts withheld keypoints and keeps neighbours at constant
        distances, among those with a rank 3 K of two thirds of the points at most.
    n_latent : int, default=3
        Latent coordinates; fewer where K - 1 are.
    frequency_fraction : float, default=0.1
        Share of the frequencies of a clip that the coordinates may have; K at least.
    max_iter : int, default=500
        Most steps of L-BFGS.
    tol : float, default=1e-4
        Relative fall of the objective over ten steps at which to stop.
    device : {"auto", "cpu", "cuda"} or torch.device, default="auto"
        Where to compute.
    random_state : int, RandomState instance or None, default=0
        Seed of what is withheld, for "auto" and to complete ``W`` for the rotations.

    Attributes
    ----------
    reconstruction_ : ndarray of shape (n_frames, n_points, 3)
        Camera-frame points of the fitted frames, in units of ``W``.
    shapes_, rotations_, translations_, scales_ : ndarray
        Shape in the common frame, rotation, translation and scale (1) of each frame.
    mean_shape_, basis_ : ndarray
        Mean and principal components of the shapes, a standard deviation each, in units of ``W``:
        what unseen frames are lifted with.
    codes_ : ndarray of shape (n_frames, n_components)
        Coefficients of the fitted shapes, in standard deviations.
    n_bases_ : int
        Number of bases.
    n_bases_trials_ : ndarray of shape (n_trials, 3)
        Number of bases, error of withheld keypoints over that of the centroid, and variation of
        neighbour distances of each trial; empty if the number was given.
    loss_curve_ : ndarray
        Objective, in squares of the size of ``W``.
    n_iter_, converged_ : int, bool
        Steps of L-BFGS; whether ``tol`` was met.
    noise_, candidate_shapes_, frame_keys_ : float, ndarray, ndarray
        What unseen frames are lifted with beside the basis, and fitted ones known by.
    n_points_in_ : int
        Number of points.

    See Also
    --------
    ColumnSpaceFitting : Coefficients that are combinations of cosines themselves.

    Notes
    -----
    Missing keypoints are native; only for the rotations ``W`` is completed first. The order of
    frames matters, and is that within each clip of ``groups``. Unseen frames are lifted by camera
    and coefficients of the principal components of the shapes, not of the kernel and without
    smoothness. Beside the start, for which see :class:`ColumnSpaceFitting`, a step takes
    :math:`O(F K^2 + P K^3)`, :math:`O(F P K^2)` with missing keypoints: linear in frames and
    points.

    References
    ----------
    .. [1] P. F. U. Gotardo, A. M. Martinez, "Kernel non-rigid structure from motion", ICCV 2011.
       The start, the choice of the kernel's frames and the steps are derived anew here.

    Examples
    --------
    >>> from nrsfm_learn import KernelShapeTrajectory
    >>> from nrsfm_learn.datasets import make_low_rank
    >>> data = make_low_rank(n_frames=60, n_points=16, rank=2, random_state=0)
    >>> KernelShapeTrajectory(n_bases=3).fit_transform(data.W).shape
    (60, 16, 3)
    """

    _parameter_constraints = {  # noqa: RUF012
        **BaseClassicalNRSfM._parameter_constraints,
        "n_latent": [Interval(Integral, 1, None, closed="left")],
        "frequency_fraction": [Interval(Real, 0, 1, closed="right")],
    }

    def __init__(
        self,
        n_bases="auto",
        *,
        n_latent=3,
        frequency_fraction=0.1,
        max_iter=500,
        tol=1e-4,
        device="auto",
        random_state=0,
    ):
        self.n_bases = n_bases
        self.n_latent = n_latent
        self.frequency_fraction = frequency_fraction
        self.max_iter = max_iter
        self.tol = tol
        self.device = device
        self.random_state = random_state

    def _attempt(self, tracks, start, n_bases, generator):
        n_iter = min(self.max_iter, _TRIAL_ITERATIONS)
        solution = self._run(tracks, start, n_bases, n_iter)
        return solution.keypoints, solution.shapes

    def _solve(self, tracks, start, n_bases, generator):
        return self._run(tracks, start, n_bases, self.max_iter)

    def _run(self, tracks, start, n_bases, max_iter):
        return solve_kernel_trajectory(
            tracks,
            *start,
            n_bases,
            n_latent=self.n_latent,
            fraction=self.frequency_fraction,
            max_iter=max_iter,
            tol=self.tol,
        )
