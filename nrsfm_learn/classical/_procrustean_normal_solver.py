"""Procrustean normal distribution: expectation maximisation over aligned shapes."""

from typing import NamedTuple

import torch

from .._deadline import time_is_up
from ..geometry import axis_angle_to_matrix, generalized_procrustes, procrustes

# Standard deviation of a coordinate at the start, in units of the tracks; what it falls to at
# least, and by how much in an iteration. A small one freezes what the start has wrong.
_FIRST_NOISE, _COOLING = 0.05, 0.92
# Variance in every direction of the tangent space at the start, over that of the start's shapes.
_FIRST_TAIL = 1e-3
# Of the steps of the cameras: damping over the mean curvature, and most turn in radians.
_DAMPING, _LARGEST_TURN = 1e-3, 0.2
# Numbers in the largest array of a batch of frames.
_BATCH = 4_000_000


class ProcrusteanNormalFit(NamedTuple):
    """Result of :func:`fit_procrustean_normal`.

    Attributes
    ----------
    mean : Tensor of shape (n_points, 3)
        Mean shape, centred.
    covariance : Tensor of shape (3 n_points, 3 n_points)
        Of the aligned shapes, points' coordinates together.
    shapes : Tensor of shape (n_frames, n_points, 3)
        Means of the aligned shapes, given the keypoints.
    rotations : Tensor of shape (n_frames, 3, 3)
        Act on column vectors.
    scales : Tensor of shape (n_frames,)
        One a frame, of geometric mean 1.
    noise : float
        Standard deviation of a coordinate of a keypoint of weight 1.
    curve : list of float
        Negative log-likelihood for each visible coordinate, at the noise of the iteration, up to
        a constant.
    n_iter : int
    converged : bool
    """

    mean: torch.Tensor
    covariance: torch.Tensor
    shapes: torch.Tensor
    rotations: torch.Tensor
    scales: torch.Tensor
    noise: float
    curve: list
    n_iter: int
    converged: bool


def tangent_projection(mean, *, scale=False):
    r"""Return the directions that alignment to a mean shape takes out, orthonormal.

    Parameters
    ----------
    mean : Tensor of shape (n_points, 3)
        Mean shape.
    scale : bool, default=False
        Whether the alignment has a scale.

    Returns
    -------
    Tensor of shape (3 n_points, 6) or (3 n_points, 7)
        Translations, infinitesimal rotations :math:`e_k \times \bar x_p` and, with a scale, the
        mean itself. The tangent space is their complement.
    """
    eye = torch.eye(3, dtype=mean.dtype, device=mean.device)
    turned = torch.linalg.cross(eye[None].expand(len(mean), 3, 3), mean[:, None].expand(-1, 3, 3))
    columns = [eye.repeat(len(mean), 1), turned.mT.flatten(0, 1)]
    if scale:
        columns.append(mean.reshape(-1, 1))
    return torch.linalg.qr(torch.cat(columns, dim=1))[0]


def fit_procrustean_normal(
    tracks, shapes, *, n_bases=None, scale=False, least_noise=0.002, max_iter=100, tol=1e-3
):
    r"""Fit mean, covariance and cameras by expectation maximisation.

    With :math:`A_f = s_f\, (I_P \otimes R_f^{xy})` of the visible points and
    :math:`D_f = \sigma^2 \operatorname{diag}(1/m_{fp})`, the E-step is that of a Gaussian,

    .. math::

        M_f = A_f \Sigma A_f^\top + D_f, \qquad
        E[y_f] = \bar x + \Sigma A_f^\top M_f^{-1} (w_f - t_f - A_f \bar x), \qquad
        \operatorname{Cov}[y_f] = \Sigma - \Sigma A_f^\top M_f^{-1} A_f \Sigma

    Cameras take a damped Gauss-Newton step on the likelihood of the keypoints, the shapes
    integrated out; translations are solved for. Then the expected shapes are aligned to their
    mean, and mean and covariance are their moments, projected to the tangent space.

    Parameters
    ----------
    tracks : Tracks
        Keypoints.
    shapes : Tensor of shape (n_frames, n_points, 3)
        Start, in the camera frame.
    n_bases : int, optional
        Directions that have a variance of their own; the others of the tangent space share one. By
        default all have their own.
    scale : bool, default=False
        Whether each frame has a scale of its own.
    least_noise : float, default=0.002
        Least standard deviation of a coordinate.
    max_iter : int, default=100
        Most iterations.
    tol : float, default=1e-3
        Change of the log-likelihood for each visible coordinate, in the last noise, at which to
        stop.

    Returns
    -------
    ProcrusteanNormalFit

    References
    ----------
    .. [1] M. Lee, J. Cho, C.-H. Choi, S. Oh, "Procrustean normal distribution for non-rigid
       structure from motion", CVPR 2013. The steps of the cameras are derived anew here.
    """
    weights = tracks.weights * tracks.seen.sum() / tracks.weights.sum()
    n_seen = 2 * int(tracks.seen.sum())
    Y, R, s = _align(shapes, None, scale)
    mean = Y.mean(0)
    Q = tangent_projection(mean, scale=scale)
    C = _covariance(Y, mean, Q, 0.0)
    tail = _FIRST_TAIL * C.diagonal().mean()
    C = C + tail * (torch.eye(len(C), dtype=C.dtype, device=C.device) - Q @ Q.T)
    noise, curve, converged = _FIRST_NOISE, [], False
    while len(curve) < max_iter and not (converged or (curve and time_is_up())):
        step = _expect(tracks.points, weights, mean, C, R, s, noise, scale)
        curve.append(step.cost / n_seen)
        settled = noise <= least_noise
        change = abs(curve[-2] - curve[-1]) if len(curve) > 1 else float("inf")
        converged = settled and change <= tol
        left = C - C @ step.information @ C / len(R)
        Y, R, s = _align(step.shapes, (step.rotations, step.scales), scale)
        mean = Y.mean(0)
        Q = tangent_projection(mean, scale=scale)
        C = _cut(_covariance(Y, mean, Q, left), Q, n_bases)
        # The most likely noise, but not at once.
        previous, noise = noise, max(least_noise, _COOLING * noise, step.noise)
        settled = settled or abs(previous - noise) <= 0.01 * noise
        converged = converged or (settled and change <= tol)
    return ProcrusteanNormalFit(mean, C, Y, R, s, noise, curve, len(curve), converged)


def _align(X, cameras, scale):
    """Take shapes to their mean: in the camera's frame without cameras, else in that of those."""
    if cameras is None:
        X = X - X.mean(1, keepdim=True)
        fit = generalized_procrustes(X, max_iter=1000, tol=1e-12)
        R, s = fit.rotations.mT, torch.ones_like(X[:, 0, 0])
        Y = X @ R
    else:
        R, s = cameras
        Y = X
    mean = Y.mean(0)
    turn = procrustes(Y, mean).rotation
    Y, R = Y @ turn.mT, R @ turn.mT
    if scale:
        factor = (Y * mean).sum((1, 2)) / mean.square().sum()
        factor = factor.clamp_min(1e-3)
        Y, s = Y / factor[:, None, None], s * factor
        unit = s.log().mean().exp()
        Y, s = Y * unit, s / unit
    return Y, R, s


def _covariance(Y, mean, Q, left):
    """Return the second moment about the mean, in the tangent space."""
    D = (Y - mean).flatten(1)
    C = D.T @ D / len(D) + left
    C = C - Q @ (Q.T @ C)
    C = C - (C @ Q) @ Q.T
    return (C + C.T) / 2


def _cut(C, Q, n_bases):
    """Let all but the first directions of the tangent space share their variance."""
    size = len(C) - Q.shape[1]
    if n_bases is None or n_bases >= size:
        return C
    values, vectors = torch.linalg.eigh(C)
    values, vectors = values.flip(0), vectors.flip(1)
    rest = values[n_bases:size].clamp_min(0).mean()
    first = vectors[:, :n_bases]
    eye = torch.eye(len(C), dtype=C.dtype, device=C.device)
    rest = rest * (eye - Q @ Q.T - first @ first.T)
    return first * values[:n_bases] @ first.T + rest


class _Step(NamedTuple):
    """What an E-step tells: shapes in the old frame, cameras after their step, and sums."""

    shapes: torch.Tensor
    rotations: torch.Tensor
    scales: torch.Tensor
    # Sum of A' M^-1 A over the frames.
    information: torch.Tensor
    noise: float
    cost: float


def _expect(points, weights, mean, C, R, s, noise, scale):
    """E-step, and a step of the cameras, batch by batch."""
    n_frames, n_points = weights.shape
    batch = max(1, _BATCH // (3 * n_points) ** 2)
    parts = []
    for a in range(0, n_frames, batch):
        frames = slice(a, a + batch)
        parts.append(
            _expect_batch(points[frames], weights[frames], mean, C, R[frames], s[frames], noise,
                          scale)
        )  # fmt: skip
    shapes, rotations, scales, information, square, cost = zip(*parts, strict=True)
    n_seen = 2 * float((weights > 0).sum())
    return _Step(
        torch.cat(shapes),
        torch.cat(rotations),
        torch.cat(scales),
        sum(information),
        (float(sum(square)) / n_seen) ** 0.5,
        float(sum(cost)),
    )


def _expect_batch(points, weights, mean, C, R, s, noise, scale):
    n_frames, n_points = weights.shape
    seen = (weights > 0).to(points.dtype)
    A = s[:, None, None] * R[:, :2]
    # Hidden coordinates stay as rows that nothing is known of: zero in A, and alone in M.
    D = noise**2 / torch.where(weights > 0, weights, 1.0)
    D = D.repeat_interleave(2, 1)
    rows = seen.repeat_interleave(2, 1)[..., None]
    blocks = C.reshape(n_points, 3, n_points, 3)
    AC = torch.einsum("fci,piqj->fpcqj", A, blocks).reshape(n_frames, 2 * n_points, -1) * rows
    M = (AC.reshape(n_frames, -1, n_points, 3) @ A.mT[:, None]).flatten(2) * rows.mT
    M.diagonal(dim1=1, dim2=2).add_(D)
    factor = torch.linalg.cholesky(M)
    inverse = torch.cholesky_inverse(factor)
    ones = torch.eye(2, dtype=C.dtype, device=C.device).repeat(n_points, 1) * rows
    weighted = inverse @ ones
    total = ones.mT @ weighted
    r = (points - mean @ A.mT).flatten(1)[..., None] * rows
    r = r - ones @ torch.linalg.solve(total, weighted.mT @ r)
    alpha = inverse @ r
    shapes = mean + (AC.mT @ alpha).reshape(n_frames, n_points, 3)
    cost = (r * alpha).sum() / 2 + factor.diagonal(dim1=1, dim2=2).log().sum()
    # What hidden rows add to the determinant is none of the data.
    cost = cost - ((1 - rows.squeeze(-1)) * D.log()).sum() / 2

    spread = (inverse * rows * rows.mT).reshape(n_frames, 2 * n_points, n_points, 2)
    spread = (spread @ A[:, None]).reshape(n_frames, n_points, 2, 3 * n_points)
    information = torch.einsum("fci,fpcm->pim", A, spread).reshape(3 * n_points, -1)

    square = D.square() * alpha.squeeze(-1).square() + D - D.square() * _diagonal(inverse)
    square = square * weights.repeat_interleave(2, 1)

    posed = s[:, None, None] * (shapes @ R.mT)
    J = _derivatives(posed, scale) * rows
    # d log det M / 2 = <M^-1 A C, dA>, of which only each point's own block is needed.
    own = inverse.reshape(n_frames, n_points, 2, -1)
    own = torch.einsum("fpcm,fmpi->fci", own, AC.reshape(n_frames, -1, n_points, 3))
    G = own @ R.mT * s[:, None, None]
    gradient = [-G[:, 1, 2], G[:, 0, 2], G[:, 1, 0] - G[:, 0, 1]]
    if scale:
        gradient.append(G[:, 0, 0] + G[:, 1, 1])
    gradient = torch.stack(gradient, 1)[..., None] - J.mT @ alpha
    H = inverse @ J
    across = weighted.mT @ J
    H = J.mT @ H - across.mT @ torch.linalg.solve(total, across)
    H = H + _DAMPING * torch.diag_embed(_diagonal(H).mean(1, keepdim=True).expand(-1, len(H[0])))
    step = -torch.linalg.solve(H, gradient).squeeze(-1)
    step = step * (_LARGEST_TURN / step.norm(dim=1, keepdim=True).clamp_min(_LARGEST_TURN))
    rotations = axis_angle_to_matrix(step[:, :3]) @ R
    scales = s * step[:, 3].exp() if scale else s
    return shapes, rotations, scales, information, square.sum(), cost


def _derivatives(posed, scale):
    """Return the derivatives of projected points (n_frames, 2 n_points, 3 or 4) by the camera."""
    x, y, z = posed.unbind(-1)
    zero = torch.zeros_like(x)
    # d(exp([w]x) X)_xy / dw = (w x X)_xy, and X itself for the scale's logarithm.
    by_x = [zero, z, -y]
    by_y = [-z, zero, x]
    if scale:
        by_x.append(x)
        by_y.append(y)
    return torch.stack([torch.stack(by_x, -1), torch.stack(by_y, -1)], 2).flatten(1, 2)


def _diagonal(A):
    return A.diagonal(dim1=1, dim2=2)
