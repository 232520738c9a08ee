"""Compressible NRSfM: each frame a combination of few shapes out of many."""

from numbers import Integral
from typing import NamedTuple

import torch
from sklearn.utils._param_validation import Interval

from .._deadline import time_is_up
from ..base import NRSfMTags
from ..geometry import complete_rotation, nearest_orthonormal_3x2, onp, refine_onp
from ._base import BaseClassicalNRSfM, Solution
from ._basis_lift import ShapeBasis, strided
from ._block_dictionary import learn_blocks
from ._metric_upgrade import free_scale_upgrade, synchronize_signs

# Frames that must use a block for it to have a say in the cameras.
_FEWEST_FRAMES = 10
_TURN_STARTS, _TURN_ROUNDS = 8, 20
# Rounds of camera and codes for frames that the fit has not seen.
_LIFT_ROUNDS = 20


class _Coding(NamedTuple):
    """Codes (n_frames, n_shapes), rotations (n_frames, 3, 3), squared errors (n_frames,)."""

    codes: torch.Tensor
    rotations: torch.Tensor
    errors: torch.Tensor


def solve_compressible(
    tracks, completed, n_bases, *, n_active=3, penalty=1e-3, max_iter=200, tol=1e-4, generator=None
):
    r"""Learn a block-sparse dictionary, cameras from its blocks, then both together.

    Parameters
    ----------
    tracks : Tracks
        Keypoints.
    completed : Tensor of shape (n_frames, n_points, 2)
        The same, completed and centred; see :func:`complete_tracks`.
    n_bases : int
        Shapes in the dictionary.
    n_active : int, default=3
        Shapes that a frame may use.
    penalty : float, default=1e-3
        Weight of the squared norm of codes times shapes.
    max_iter, tol : int, float
        Most rounds in which cameras, codes and shapes are improved in turn; relative fall of the
        error at which to stop.
    generator : torch.Generator
        Draws the starts by which the blocks' frames are brought together.

    Returns
    -------
    Solution

    References
    ----------
    .. [1] C. Kong, S. Lucey, "Prior-less compressible structure from motion", CVPR 2016.
    """
    _, psi, _ = learn_blocks(completed, n_bases, n_active)
    R = cameras_of_blocks(completed, psi, generator)
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


def cameras_of_blocks(frames, psi, generator):
    r"""Find the rotations that the blocks of a code agree on.

    The codes of block k are :math:`\Psi_{fk} = c_{fk} G_k R_f^{xy\top}`, so that each block gives
    its rows :math:`R_f^{xy}` by a metric upgrade of its own, up to the sign of :math:`c_{fk}` in
    each frame and one orthogonal matrix. The blocks are brought to the frame of the one that
    carries most, and averaged with the sizes of their codes as weights.

    Parameters
    ----------
    frames : Tensor of shape (n_frames, n_points, 2)
        Centred keypoints, complete.
    psi : Tensor of shape (n_frames, n_blocks, 3, 2)
        Codes.
    generator : torch.Generator

    Returns
    -------
    Tensor of shape (n_frames, 3, 3)
        A frame that only blocks without a say use looks as the one before it does.
    """
    energy = psi.square().sum((2, 3))
    order = energy.sum(0).argsort(descending=True).tolist()
    rows = torch.zeros(len(psi), 2, 3).to(psi)
    for number, k in enumerate(order):
        users = energy[:, k] > 0
        if users.sum() < min(_FEWEST_FRAMES, len(psi)) and number > 0:
            continue
        motion = psi[users, k].mT
        own = free_scale_upgrade(motion / motion.square().mean().sqrt()).rotations[:, :2]
        if number > 0:
            own = _turned(own, rows[users], generator)
        rows[users] += energy[users, k].sqrt()[:, None, None] * own
    for f in torch.nonzero(rows.square().sum((1, 2)) == 0).squeeze(1).tolist():
        rows[f] = rows[f - 1]
    R = complete_rotation(nearest_orthonormal_3x2(rows.mT)).mT
    return synchronize_signs(frames, R, torch.ones_like(R[:, 0, 0]))


def _turned(rows, reference, generator):
    """Return rows times one orthogonal matrix, with the sign of each frame, nearest to others."""
    best, nearest = rows, -torch.inf
    for _ in range(_TURN_STARTS):
        start = torch.randn(3, 3, generator=generator, dtype=rows.dtype, device=rows.device)
        turn = torch.linalg.qr(start)[0]
        for _ in range(_TURN_ROUNDS):
            agreement = ((rows @ turn) * reference).sum((1, 2))
            sign = torch.where(agreement < 0, -1.0, 1.0).to(rows)
            U, _, V = torch.linalg.svd(torch.einsum("f,fia,fib->ab", sign, rows, reference))
            turn = U @ V
        turned = sign[:, None, None] * (rows @ turn)
        total = float((turned * reference).sum())
        if total > nearest:
            best, nearest = turned, total
    return best


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
    def __init__(
        self,
        n_bases="auto",
        *,
        n_active=3,
        max_iter=200,
        tol=1e-4,
        device="auto",
        random_state=0,
    ):
        self.n_bases = n_bases
        self.n_active = n_active
        self.max_iter = max_iter
        self.tol = tol
        self.device = device
        self.random_state = random_state

    _parameter_constraints = {  # noqa: RUF012
        **BaseClassicalNRSfM._parameter_constraints,
        "n_active": [Interval(Integral, 1, None, closed="left")],
    }

    def _nrsfm_tags(self):
        return NRSfMTags(stochastic=False)

    def _solve(self, tracks, completed, n_bases, generator):
        return solve_compressible(
            tracks,
            completed,
            n_bases,
            n_active=self.n_active,
            max_iter=self.max_iter,
            tol=self.tol,
            generator=generator,
        )
