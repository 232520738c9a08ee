"""Shape coefficients that are smooth in time: Gauss-Newton with variable projection."""

import math
from typing import NamedTuple

import torch

from .._deadline import time_is_up
from ..geometry import dct_basis

# Least curvature of a basis shape's coordinate, over the mean.
_RIDGE = 1e-9
_FIRST_DAMPING, _LESS, _MORE, _LARGEST = 1e-3, 1 / 3, 4.0, 1e6


class ColumnSpaceFit(NamedTuple):
    """Result of :func:`fit_codes`.

    Attributes
    ----------
    coefficients : Tensor of shape (n_functions, n_bases)
        X: the codes in the cosine basis.
    codes : Tensor of shape (n_frames, n_bases)
    basis : Tensor of shape (n_bases, n_points, 3)
    curve : list of float
        Sum of squared residuals.
    n_iter : int
    converged : bool
    """

    coefficients: torch.Tensor
    codes: torch.Tensor
    basis: torch.Tensor
    curve: list
    n_iter: int
    converged: bool


def code_functions(clips, n_frames, fraction, like, *, at_least=1):
    """Return cosines that codes are made of, (n_frames, n_functions), a block for each clip.

    Parameters
    ----------
    clips : list
        Frames of each clip.
    n_frames : int
        Frames in all.
    fraction : float
        Share of the frequencies of a clip.
    like : Tensor
        Of the dtype and device to use.
    at_least : int, default=1
        Cosines that each clip gets, as far as it has frames.

    Returns
    -------
    Tensor of shape (n_frames, n_functions)
        Orthonormal columns; the lowest frequency of each clip first.
    """
    blocks, order = [], []
    index = torch.arange(n_frames, device=like.device)
    for clip in clips:
        frames = index[clip]
        low = min(len(frames), max(at_least, math.ceil(fraction * len(frames))))
        block = torch.zeros(n_frames, low, dtype=like.dtype, device=like.device)
        block[frames] = dct_basis(len(frames), low, dtype=like.dtype, device=like.device)
        blocks.append(block)
        order.extend(k / len(frames) for k in range(low))
    order = torch.tensor(order).argsort(stable=True)
    return torch.cat(blocks, dim=1)[:, order]


def fit_codes(tracks, offsets, rotations, functions, start, *, free=None, max_iter=100, tol=1e-4):
    r"""Fit the codes of a shape basis by Gauss-Newton with variable projection.

    .. math::

        \min_X \sum_p \min_{s_p} \bigl\| V_p (w_p - M s_p) \bigr\|^2, \qquad
        M = D (\Omega X \otimes I_3)

    with :math:`D` the rotations' first two rows, :math:`\Omega` the cosines and :math:`V_p` what is
    visible of point *p*. The Jacobian is Kaufman's, :math:`-P^\perp_M\, \partial M\, s`, so that
    :math:`J^\top J` is a sum of products of small moments: no row of the Jacobian is ever formed.

    Parameters
    ----------
    tracks : Tracks
        Keypoints.
    offsets : Tensor of shape (n_frames, 2)
        Translations.
    rotations : Tensor of shape (n_frames, 3, 3)
        Rotations.
    functions : Tensor of shape (n_frames, n_functions)
        Cosines.
    start : Tensor of shape (n_functions, n_bases)
        Where to begin.
    free : int, optional
        Only the last so many bases are fitted; all by default. The others' codes stay.
    max_iter : int, default=100
        Most steps.
    tol : float, default=1e-4
        Relative fall of the sum at which to stop.

    Returns
    -------
    ColumnSpaceFit

    References
    ----------
    .. [1] P. F. U. Gotardo, A. M. Martinez, "Computing smooth time trajectories for camera and
       deformable shape in structure from motion with occlusion", IEEE TPAMI 33(10), 2011.
    """
    problem = CodeProblem(tracks, offsets, rotations, functions)
    X = torch.linalg.qr(start)[0]
    n_functions, n_bases = X.shape
    first = 0 if free is None else n_bases - free
    damping, curve = _FIRST_DAMPING, []
    state = problem.project(X)
    curve.append(state.cost)
    eye = torch.eye(n_functions * (n_bases - first), dtype=X.dtype, device=X.device)
    converged, n_iter = False, 0
    while n_iter < max_iter and not (converged or (n_iter and time_is_up())):
        n_iter += 1
        H, g = problem.normal_equations(state, first)
        scale = H.diagonal().mean()
        while True:
            step = torch.linalg.solve_ex(H + damping * scale * eye, g)[0]
            proposal = X.clone()
            proposal[:, first:] += step.reshape(n_functions, -1)
            # Any basis of the columns gives the same sum; an orthonormal one keeps it well posed.
            proposal = torch.linalg.qr(proposal)[0]
            new = problem.project(proposal)
            if new.cost < state.cost or damping > _LARGEST:
                break
            damping *= _MORE
        if not new.cost < state.cost:
            converged = True
            break
        converged = state.cost - new.cost <= tol * state.cost
        damping = max(damping * _LESS, 1e-12)
        X, state = proposal, new
        curve.append(state.cost)
    return ColumnSpaceFit(X, state.codes, state.basis, curve, n_iter, converged)


class _State(NamedTuple):
    """The best basis for some codes."""

    codes: torch.Tensor
    basis: torch.Tensor
    residual: torch.Tensor
    cost: float
    # Inverse roots of the points' normal matrices: one for all where nothing is hidden.
    root: torch.Tensor


class CodeProblem:
    """Sum of squares and normal equations for one set of keypoints and cameras."""

    def __init__(self, tracks, offsets, rotations, functions):
        self.weights = tracks.weights
        uniform = bool((tracks.weights == tracks.weights[0, 0]).all())
        self.complete = tracks.complete and uniform
        self.target = tracks.points - offsets[:, None]
        self.motion, self.functions = rotations[:, :2], functions
        self.square = self.motion.mT @ self.motion

    def project(self, X):
        """Solve for the basis shapes, point by point, that are best for codes from the cosines."""
        return self.project_codes(self.functions @ X)

    def project_codes(self, codes):
        """Solve for the basis shapes, point by point, that are best for any codes."""
        n_bases = codes.shape[1]
        M = torch.einsum("fk,fci->fcki", codes, self.motion).flatten(2)
        size = M.shape[2]
        if self.complete:
            normal = torch.einsum("fcm,fcn->mn", M, M)[None] * self.weights[0, 0]
        else:
            gram = torch.einsum("fcm,fcn->fmn", M, M).flatten(1)
            normal = (self.weights.T @ gram).reshape(-1, size, size)
        ridge = _RIDGE * normal.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]
        normal = normal + ridge * torch.eye(size, dtype=M.dtype, device=M.device)
        factor = torch.linalg.cholesky(normal)
        moments = torch.einsum("fcm,fp,fpc->pm", M, self.weights, self.target)
        points = torch.cholesky_solve(moments[..., None], factor).squeeze(-1)
        residual = self.target - torch.einsum("fcm,pm->fpc", M, points)
        cost = float((self.weights[..., None] * residual.square()).sum())
        basis = points.reshape(-1, n_bases, 3).transpose(0, 1)
        return _State(codes, basis, residual, cost, factor)

    def code_gradient(self, state):
        """Return minus half the derivative (n_frames, n_bases) of the cost by the codes.

        The basis shapes are at their best, so that their own change does not count.
        """
        back = torch.einsum("fci,fpc->fpi", self.motion, self.weights[..., None] * state.residual)
        return torch.einsum("fpi,kpi->fk", back, state.basis)

    def normal_equations(self, state, first):
        """Return J^T J and -J^T r for the codes from the first one on."""
        basis = state.basis[first:]
        n_functions, n_bases = self.functions.shape[1], len(basis)
        size = n_functions * n_bases
        M = torch.einsum("fk,fci->fcki", state.codes, self.motion).flatten(2)
        g = (self.functions.T @ self.code_gradient(state)[:, first:]).reshape(-1)
        if self.complete:
            weight = self.weights[0, 0]
            spread = torch.einsum("kpi,lpj->kilj", basis, basis)
            local = weight * torch.einsum("kilj,fij->fkl", spread, self.square)
            moved = torch.einsum("fcm,fci->fmi", M, self.motion).flatten(1)
            moved = weight * (self.functions.T @ moved).reshape(n_functions, -1, 3)
            moved = torch.linalg.solve_triangular(
                state.root[0], moved.transpose(0, 1).flatten(1), upper=False
            ).reshape(-1, n_functions, 3)
            pairs = torch.einsum("mai,mbj->aibj", moved, moved)
            minus = torch.einsum("kilj,aibj->akbl", spread, pairs).reshape(size, size)
        else:
            local = torch.einsum("fp,kpi,fij,lpj->fkl", self.weights, basis, self.square, basis)
            minus = self._hidden_part(M, state.root, basis).reshape(size, size)
        plus = torch.einsum("fa,fkl,fb->akbl", self.functions, local, self.functions)
        return plus.reshape(size, size) - minus, g

    def _hidden_part(self, M, roots, basis):
        """Return what the basis shapes absorb, where each point is seen in frames of its own."""
        n_functions = self.functions.shape[1]
        moved = torch.einsum("fcm,fci->fmi", M, self.motion).flatten(1)
        total = None
        for p in range(basis.shape[1]):
            by_frame = self.functions.T @ (self.weights[:, p, None] * moved)
            by_frame = by_frame.reshape(n_functions, -1, 3)
            along = torch.einsum("ami,ki->mak", by_frame, basis[:, p])
            Z = torch.linalg.solve_triangular(roots[p], along.flatten(1), upper=False)
            total = Z.T @ Z if total is None else total.addmm_(Z.T, Z)
        return total
