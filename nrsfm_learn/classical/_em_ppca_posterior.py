"""E-step of EM-PPCA: the posterior of the codes, given shapes and cameras."""

import math
from typing import NamedTuple

import torch


class Model(NamedTuple):
    """Shapes, cameras and noise."""

    mean: torch.Tensor
    basis: torch.Tensor
    rotations: torch.Tensor
    scales: torch.Tensor
    translations: torch.Tensor
    noise_variance: float


class Dynamics(NamedTuple):
    """Transition of the codes from frame to frame, and covariance about it."""

    transition: torch.Tensor
    covariance: torch.Tensor


class Posterior(NamedTuple):
    """What the M-step needs to know of the codes."""

    codes: torch.Tensor
    covariance: torch.Tensor
    # Sums over the steps of the clips of E[z_t z_t'], E[z_t z_{t-1}'], E[z_{t-1} z_{t-1}'].
    steps: tuple | None
    # Log-likelihood without the terms of the noise alone.
    evidence: torch.Tensor


def camera_of(model):
    """Scaled first two rows of each rotation."""
    return model.scales[:, None, None] * model.rotations[:, :2]


def _evidence_of_codes(W, weights, model):
    """Information matrix and vector of the codes, and the residuals' power, by unit noise."""
    n_bases, n_points, _ = model.basis.shape
    camera = camera_of(model)
    residual = W - model.translations.unsqueeze(1) - model.mean @ camera.mT
    design = (model.basis.reshape(-1, 3) @ camera.mT).reshape(-1, n_bases, 2 * n_points)
    weighted = design * weights.repeat_interleave(2, -1).unsqueeze(1)
    vector = (weighted @ residual.reshape(-1, 2 * n_points, 1)).squeeze(-1)
    return weighted @ design.mT, vector, (weights * residual.square().sum(-1)).sum(-1)


def _log_diagonal(triangular):
    return triangular.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def _independent_posterior(information, vector, power):
    """Posterior of codes that are N(0, I) in every frame."""
    eye = torch.eye(vector.shape[-1], dtype=vector.dtype, device=vector.device)
    factor = torch.linalg.cholesky(eye + information)
    covariance = torch.cholesky_inverse(factor)
    codes = (covariance @ vector.unsqueeze(-1)).squeeze(-1)
    evidence = ((vector * codes).sum(-1) - power) / 2 - _log_diagonal(factor)
    return Posterior(codes, covariance, None, evidence.sum())


def clip_table(clips, n_frames, device):
    """Return the frames of each clip, one clip a row, filled up with -1."""
    if clips is None:
        return torch.arange(n_frames, device=device).unsqueeze(0)
    rows = [torch.nonzero(clips == clip).squeeze(-1) for clip in clips.unique()]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-1).to(device)


def _smoothed_posterior(information, vector, power, dynamics, table):
    """Posterior of codes that follow linear dynamics: Kalman filter and RTS smoother.

    All clips advance together; the frames that fill up the shorter ones say nothing.
    """
    Phi, Q = dynamics
    present = table >= 0
    J = torch.where(present[..., None, None], information[table], 0.0)
    h = torch.where(present.unsqueeze(-1), vector[table], 0.0).unsqueeze(-1)
    eye = torch.eye(len(Q), dtype=Q.dtype, device=Q.device)
    m, P = torch.zeros_like(h[:, 0]), eye.expand_as(J[:, 0])
    filtered = []
    for frame in range(table.shape[1]):
        root = torch.linalg.cholesky(P)
        # (P^-1 + J)^-1 = L (I + L' J L)^-1 L' with P = L L', which inverts nothing that is small.
        factor = torch.linalg.cholesky(eye + root.mT @ J[:, frame] @ root)
        half = torch.linalg.solve_triangular(factor, root.mT, upper=False)
        P_new = half.mT @ half
        surprise = h[:, frame] - J[:, frame] @ m
        m_new = m + P_new @ surprise
        filtered.append((m, P, m_new, P_new, surprise, factor))
        m, P = Phi @ m_new, Phi @ P_new @ Phi.mT + Q
    m, P, m_new, P_new, surprise, factor = (torch.stack(x, 1) for x in zip(*filtered, strict=True))
    gained = (surprise.mT @ P_new @ surprise + 2 * m.mT @ h - m.mT @ J @ m).sum()
    evidence = (gained - power.sum()) / 2 - _log_diagonal(factor).sum()

    gain = torch.linalg.solve(P[:, 1:], Phi @ P_new[:, :-1]).mT
    codes, covariance = [m_new[:, -1]], [P_new[:, -1]]
    for frame in range(table.shape[1] - 2, -1, -1):
        G = gain[:, frame]
        codes.append(m_new[:, frame] + G @ (codes[-1] - m[:, frame + 1]))
        covariance.append(P_new[:, frame] + G @ (covariance[-1] - P[:, frame + 1]) @ G.mT)
    z, C = torch.stack(codes[::-1], 1), torch.stack(covariance[::-1], 1)
    second = C + z @ z.mT
    lagged = C[:, 1:] @ gain.mT + z[:, 1:] @ z[:, :-1].mT
    step = present[:, 1:]
    steps = (second[:, 1:][step].sum(0), lagged[step].sum(0), second[:, :-1][step].sum(0))
    back = torch.argsort(table[present])
    return Posterior(z[present][back].squeeze(-1), C[present][back], steps, evidence)


def expect(W, weights, model, dynamics=None, table=None):
    """E-step: the posterior of the codes."""
    terms = [term / model.noise_variance for term in _evidence_of_codes(W, weights, model)]
    if dynamics is None:
        return _independent_posterior(*terms)
    return _smoothed_posterior(*terms, dynamics, table)


def log_likelihood(weights, model, posterior):
    """Log-likelihood of the visible coordinates, codes integrated out."""
    seen = weights[weights > 0]
    noise = seen.log().sum() - len(seen) * math.log(2 * math.pi * model.noise_variance)
    return float(noise + posterior.evidence)


def posterior_codes(W, weights, mean, basis, rotations, scales, translations, noise_variance):
    r"""Posterior mean and covariance of the codes of each frame, given shapes and cameras.

    .. math::
        C_t = \Big( I + \tfrac{1}{\sigma^2} \sum_p m_{tp} A_{tp}^\top A_{tp} \Big)^{-1}, \qquad
        \hat z_t = \tfrac{1}{\sigma^2} C_t \sum_p m_{tp} A_{tp}^\top
        (w_{tp} - c_t R_t \bar s_p - d_t), \qquad A_{tp} = c_t R_t V_p.

    Parameters
    ----------
    W : torch.Tensor, shape (n_frames, n_points, 2)
        Keypoints; what stands where the weight is zero is not read.
    weights : torch.Tensor, shape (n_frames, n_points)
        Precision of each keypoint relative to the others; 0 where hidden.
    mean : torch.Tensor, shape (n_points, 3)
        Mean shape.
    basis : torch.Tensor, shape (n_bases, n_points, 3)
        Deformations.
    rotations : torch.Tensor, shape (n_frames, 3, 3)
        ``x_cam = R x``.
    scales : torch.Tensor, shape (n_frames,)
        Scale of each frame.
    translations : torch.Tensor, shape (n_frames, 2)
        In the image.
    noise_variance : float
        Of one coordinate of a keypoint of weight one.

    Returns
    -------
    codes : torch.Tensor, shape (n_frames, n_bases)
        Means; zero for a frame without visible keypoints.
    covariance : torch.Tensor, shape (n_frames, n_bases, n_bases)
        Covariances.

    See Also
    --------
    solve_em_ppca : Where shapes and noise come from.

    References
    ----------
    .. [1] L. Torresani, A. Hertzmann and C. Bregler, "Nonrigid structure-from-motion: estimating
       shape and motion with hierarchical priors", IEEE TPAMI 30(5), 2008.
    """
    W = torch.where((weights > 0).unsqueeze(-1), W, 0.0)
    model = Model(mean, basis, rotations, scales, translations, noise_variance)
    posterior = expect(W, weights, model)
    return posterior.codes, posterior.covariance
