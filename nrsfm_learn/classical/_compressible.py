"""Compressible NRSfM: each frame a combination of few shapes out of many."""

from numbers import Integral
from typing import NamedTuple

import torch
from sklearn.utils._param_validation import Interval, StrOptions

from .._deadline import time_is_up
from ..geometry import onp, refine_onp
from ._base import BaseClassicalNRSfM, Solution
from ._basis_lift import BasisLift, ShapeBasis, strided
from ._block_dictionary import learn_blocks
from ._metric_upgrade import free_scale_upgrade, high_rank_rotations, synchronize_signs

# Weight of the squared norm of codes times shapes.
_PENALTY = 1e-3
# Most rounds with which a number of bases is tried.
_TRIAL_ITER = 30
# Starts, and rounds of camera and codes, for frames that the fit has not seen.
_LIFT_STARTS, _LIFT_ROUNDS = 4, 20


class _Coding(NamedTuple):
    """Codes (n_frames, n_shapes), rotations (n_frames, 3, 3), squared errors (n_frames,)."""

    codes: torch.Tensor
    rotations: torch.Tensor
    errors: torch.Tensor


def solve_compressible(
    tracks,
    completed,
    n_bases,
    rotations=None,
    *,
    n_active=6,
    penalty=_PENALTY,
    max_iter=500,
    tol=1e-3,
):
    r"""Learn a block-sparse dictionary, cameras from its codes, then shapes and codes.

    Parameters
    ----------
    tracks : Tracks
        Keypoints.
    completed : Tensor of shape (n_frames, n_points, 2)
        The same, completed and centred; see :func:`complete_tracks`.
    n_bases : int
        Shapes in the dictionary.
    rotations : Tensor of shape (n_frames, 3, 3), optional
        Cameras to begin with; those of the block code by default.
    n_active : int, default=6
        Shapes that a frame may use.
    penalty : float, optional
        Weight of the squared norm of codes times shapes.
    max_iter, tol : int, float
        Most rounds in which cameras, codes and shapes are improved in turn; relative fall of the
        error at which to stop.

    Returns
    -------
    Solution

    References
    ----------
    .. [1] C. Kong, S. Lucey, "Prior-less compressible structure from motion", CVPR 2016.
    """
    _, psi, _ = learn_blocks(completed, n_bases, n_active)
    R = _cameras_of_codes(completed, psi) if rotations is None else rotations
    shapes = _first_dictionary(completed, psi, R, penalty)
    coding = code_frames(completed, shapes, R, n_active, penalty)
    curve, converged = [], False
    size = completed.square().sum().clamp_min(1e-300)
    while len(curve) < max_iter and not converged and not (curve and time_is_up()):
        shapes = _update_shapes(completed, coding, penalty)
        coding = code_frames(completed, shapes, coding.rotations, n_active, penalty, coding.codes)
        curve.append(float(coding.errors.sum() / size))
        converged = len(curve) > 1 and curve[-2] - curve[-1] <= tol * curve[-2]
    S = torch.einsum("fk,kpc->fpc", coding.codes, shapes)
    offsets = tracks.offsets((S @ coding.rotations.mT)[..., :2])
    noise = float((coding.errors.sum() / (2 * completed[..., 0].numel())).sqrt().clamp_min(1e-3))
    basis = ShapeBasis(S.mean(0), shapes, noise, strided(S.mean(0), S))
    return Solution(
        S, coding.rotations, torch.ones_like(coding.errors), offsets, curve, len(curve), converged,
        basis, coding.codes,
    )  # fmt: skip


def _cameras_of_codes(frames, psi):
    """Return rotations (n_frames, 3, 3) by one metric upgrade of all blocks of a sparse code."""
    motion = psi.permute(0, 3, 1, 2).flatten(2)
    upgrade = free_scale_upgrade(motion / motion.square().mean().sqrt().clamp_min(1e-300))
    return synchronize_signs(frames, upgrade.rotations, upgrade.scales)


def code_frames(frames, shapes, rotations, n_active, penalty, codes=None, weights=None):
    r"""Code frames by few shapes each, and turn their cameras to what that gives.

    .. math::

        \min_{c_f, R_f} \bigl\| W_f - R_f^{xy} \textstyle\sum_k c_{fk} B_k \bigr\|^2
        + \mu \sum_k c_{fk}^2 \| B_k \|^2

    with at most L codes that are not zero, by orthogonal matching pursuit; a frame whose former
    codes fit better keeps which of them are not zero.

    Parameters
    ----------
    frames : Tensor of shape (n_frames, n_points, 2)
        Centred keypoints.
    shapes : Tensor of shape (n_shapes, n_points, 3)
        Dictionary.
    rotations : Tensor of shape (n_frames, 3, 3)
        Cameras to code with.
    n_active : int
        L.
    penalty : float
        :math:`\mu`.
    codes : Tensor of shape (n_frames, n_shapes), optional
        Former codes.
    weights : Tensor of shape (n_frames, n_points), optional
        0 where hidden. Both sides are then centred on what is visible.

    Returns
    -------
    _Coding
    """
    seen = torch.ones_like(frames[..., 0]) if weights is None else weights
    share = (seen / seen.sum(1, keepdim=True))[..., None]
    root = seen.sqrt()[..., None]
    target = (root * (frames - (share * frames).sum(1, keepdim=True))).flatten(1)
    atoms = torch.einsum("kpa,fba->fkpb", shapes, rotations[:, :2])
    atoms = root[:, None] * (atoms - (share[:, None] * atoms).sum(2, keepdim=True))
    atoms = atoms.flatten(2)
    own = torch.diag_embed((penalty * shapes.square().sum((1, 2))).expand(len(frames), -1))
    gram = atoms @ atoms.mT + own + 1e-12 * torch.eye(len(shapes)).to(shapes)
    moments = (atoms @ target[..., None]).squeeze(-1)
    found = _pursue(gram, moments, n_active)
    if codes is not None:
        kept = _on_support(gram, moments, codes != 0)
        gain = ((2 * moments - (gram @ found[..., None]).squeeze(-1)) * found).sum(1)
        former = ((2 * moments - (gram @ kept[..., None]).squeeze(-1)) * kept).sum(1)
        found = torch.where((gain > former)[:, None], found, kept)
    S = torch.einsum("fk,kpc->fpc", found, shapes)
    visible = None if weights is None else weights
    turned = refine_onp(S, frames, rotations, visible=visible)
    errors = [_errors(S, R, frames, share, root) for R in (rotations, turned)]
    better = errors[1] < errors[0]
    rotations = torch.where(better[:, None, None], turned, rotations)
    return _Coding(found, rotations, torch.where(better, errors[1], errors[0]))


def _errors(S, R, frames, share, root):
    left = frames - (S @ R.mT)[..., :2]
    return (root * (left - (share * left).sum(1, keepdim=True))).square().sum((1, 2))


def _pursue(gram, moments, n_active):
    """Orthogonal matching pursuit of all frames, from Gram matrices and moments."""
    active = torch.zeros_like(moments, dtype=torch.bool)
    codes = torch.zeros_like(moments)
    scale = gram.diagonal(dim1=1, dim2=2)
    for _ in range(min(n_active, moments.shape[1])):
        left = moments - (gram @ codes[..., None]).squeeze(-1)
        gain = torch.where(active, -1.0, left.square() / scale)
        active.scatter_(1, gain.argmax(1, keepdim=True), True)
        codes = _on_support(gram, moments, active)
    return codes


def _on_support(gram, moments, active):
    """Fit the codes that are active."""
    both = active[:, :, None] & active[:, None]
    unit = torch.eye(gram.shape[1]).to(gram)
    system = torch.where(both, gram, unit)
    right = torch.where(active, moments, 0.0)
    return torch.linalg.solve(system, right[..., None]).squeeze(-1)


def _first_dictionary(frames, psi, R, penalty):
    """Return shapes for the codes that the cameras leave of a block code."""
    codes = psi.norm(dim=(2, 3)) / 2**0.5
    for k in range(psi.shape[1]):
        users = codes[:, k] > 0
        if users.any():
            # A transformation of its own, times the code: of one direction but for the sign.
            turned = (psi[users, k] @ R[users, :2]).flatten(1)
            direction = torch.linalg.eigh(turned.T @ turned)[1][:, -1]
            codes[users, k] *= torch.where(turned @ direction < 0, -1.0, 1.0).to(psi)
    return _update_shapes(frames, _Coding(codes, R, codes[:, 0]), penalty)


def _update_shapes(frames, coding, penalty):
    """Solve for all shapes, given cameras and codes; shapes that no frame uses are zero."""
    codes, rows = coding.codes, coding.rotations[:, :2]
    n_shapes = codes.shape[1]
    design = torch.einsum("fk,fba->fbka", codes, rows).flatten(2)
    gram = torch.einsum("fbi,fbj->ij", design, design)
    ridge = penalty * codes.square().sum(0).repeat_interleave(3)
    ridge = ridge + 1e-9 * gram.diagonal().mean().clamp_min(1e-300)
    moments = torch.einsum("fbi,fpb->ip", design, frames)
    solution = torch.linalg.solve(gram + torch.diag(ridge), moments)
    shapes = solution.reshape(n_shapes, 3, -1).mT
    return shapes - shapes.mean(1, keepdim=True)


class CompressibleNRSfM(BaseClassicalNRSfM):
    r"""Compressible NRSfM (SPS): each shape a combination of few basis shapes out of many.

    .. math::

        W_f = \sum_k c_{fk} R_f^{xy} B_k, \qquad
        \| c_f \|_0 \le L

    No rank is assumed: the K basis shapes may be more than a frame needs, and other frames may use
    others. Written with points as rows, the frames have a block-sparse code in a dictionary of
    blocks of three columns,

    .. math::

        W_f^\top = \sum_k D_k \Psi_{fk}, \qquad D_k = B_k^\top G_k^{-1}, \quad
        \Psi_{fk} = c_{fk} G_k R_f^{xy\top} ,

    which block K-SVD learns, whatever the cameras. From cameras and the sizes of the codes on,
    cameras, codes and shapes are improved in turn.

    Parameters
    ----------
    n_bases : int or "auto", default="auto"
        K, basis shapes in the dictionary. 3 K must be less than the number of points. "auto": the
        number that best predicts withheld keypoints and keeps neighbours at constant distances.
    n_active : int, default=6
        L, basis shapes that a frame may use.
    cameras : {"factorization", "blocks"}, default="factorization"
        Where the first cameras come from: from a factorisation of high rank, as in :class:`EMPPCA`;
        or, as published, from the block code, with the :math:`G_k` that make the rows of each
        frame orthogonal and of one length.
    max_iter : int, default=500
        Most rounds of cameras, codes and shapes.
    tol : float, default=1e-3
        Relative fall of the squared error in a round at which to stop.
    device : {"auto", "cpu", "cuda"} or torch.device, default="auto"
        Where to compute.
    random_state : int, RandomState instance or None, default=0
        Seed of what is withheld, for "auto" and to complete ``W``.

    Attributes
    ----------
    reconstruction_, shapes_, rotations_, translations_, scales_
        As in :class:`BMM`.
    codes_ : ndarray of shape (n_frames, n_bases)
        Coefficients of the basis shapes, at most ``n_active`` of them not zero.
    mean_shape_ : ndarray of shape (n_points, 3)
        Mean of the fitted shapes.
    basis_ : ndarray of shape (n_bases, n_points, 3)
        Basis shapes.
    n_bases_, n_bases_trials_
        As in :class:`BMM`.
    loss_curve_ : ndarray
        Squared reprojection error over the squared size of the keypoints, after each round.
    n_iter_, converged_, n_points_in_
        As in :class:`BMM`.

    See Also
    --------
    BMM : Shapes of low rank.
    nrsfm_learn.deep.DeepNRSfM : Several such dictionaries, one on another, as a network.

    Notes
    -----
    Missing keypoints are completed by a low rank (and smoothness within ``groups``) before the fit,
    which takes them for seen. Unseen frames: camera and codes in turn with the basis shapes of the
    fit, on the visible keypoints, from the fitted shapes that fit best.

    A block code is not unique unless there are many more frames than basis shapes, of views that
    differ. On short videos the cameras that follow from it (``cameras="blocks"``) are poor: see the
    user guide. The sign of depth is open, as in :class:`BMM`.

    Complexity for F frames, P points: :math:`O(F K (P + L^2) + F K^2 P + K P^3)` a round of the
    dictionary, :math:`O(F K^2 P)` a round of what follows and :math:`O(F K^4 + K^6)` for the
    cameras: linear in the frames.

    References
    ----------
    .. [1] C. Kong, S. Lucey, "Prior-less compressible structure from motion", CVPR 2016. How
       blocks are upgraded, and what follows the cameras, are derived anew here.

    Examples
    --------
    >>> from nrsfm_learn import CompressibleNRSfM
    >>> from nrsfm_learn.datasets import make_low_rank
    >>> data = make_low_rank(n_frames=60, n_points=16, rank=2, random_state=0)
    >>> CompressibleNRSfM(n_bases=3).fit_transform(data.W).shape
    (60, 16, 3)
    """

    _parameter_constraints = {  # noqa: RUF012
        **BaseClassicalNRSfM._parameter_constraints,
        "n_active": [Interval(Integral, 1, None, closed="left")],
        "cameras": [StrOptions({"factorization", "blocks"})],
    }

    def __init__(
        self,
        n_bases="auto",
        *,
        n_active=6,
        cameras="factorization",
        max_iter=500,
        tol=1e-3,
        device="auto",
        random_state=0,
    ):
        self.n_bases = n_bases
        self.n_active = n_active
        self.cameras = cameras
        self.max_iter = max_iter
        self.tol = tol
        self.device = device
        self.random_state = random_state

    def _start(self, tracks, completed, generator):
        rotations = high_rank_rotations(completed) if self.cameras == "factorization" else None
        return completed, rotations

    def _solve(self, tracks, start, n_bases, generator):
        completed, rotations = start
        return solve_compressible(
            tracks,
            completed,
            n_bases,
            rotations,
            n_active=self.n_active,
            max_iter=self.max_iter,
            tol=self.tol,
        )

    def _attempt(self, tracks, start, n_bases, generator):
        completed, rotations = start
        options = {"n_active": self.n_active, "max_iter": _TRIAL_ITER, "tol": self.tol}
        solution = solve_compressible(tracks, completed, n_bases, rotations, **options)
        return solution.keypoints, solution.shapes

    def _lift_with(self, tracks, model):
        """Lift by sparse codes, from the candidates that come nearest."""
        candidates = model.candidates
        fit = onp(candidates, tracks.points[:, None], visible=tracks.weights[:, None], scale=False)
        left = tracks.points[:, None] - (candidates @ fit.rotation.mT)[..., :2]
        share = tracks.weights / tracks.weights.sum(1, keepdim=True)
        left = left - (share[:, None, :, None] * left).sum(2, keepdim=True)
        error = (tracks.weights[:, None, :, None] * left.square()).sum((2, 3))
        chosen = error.topk(min(_LIFT_STARTS, len(candidates)), dim=1, largest=False).indices
        best = None
        for start in chosen.T:
            R = fit.rotation[torch.arange(len(start), device=start.device), start]
            codes = None
            for _ in range(_LIFT_ROUNDS):
                coding = code_frames(
                    tracks.points, model.basis, R, self.n_active, _PENALTY, codes, tracks.weights
                )
                R, codes = coding.rotations, coding.codes
            best = coding if best is None else _better(coding, best)
        shapes = torch.einsum("fk,kpc->fpc", best.codes, model.basis)
        offsets = tracks.offsets((shapes @ best.rotations.mT)[..., :2])
        return BasisLift(shapes, best.rotations, torch.ones_like(best.errors), offsets, best.codes)


def _better(first, second):
    """Choose between two codings, frame by frame."""
    wins = first.errors < second.errors
    return _Coding(
        *(
            torch.where(wins.reshape(-1, *(1,) * (a.ndim - 1)), a, b)
            for a, b in zip(first, second, strict=True)
        )
    )
