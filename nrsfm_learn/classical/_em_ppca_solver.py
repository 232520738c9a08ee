"""Shapes as draws from a Gaussian that the data teach: expectation maximisation of EM-PPCA."""

import math
from typing import NamedTuple

import torch

from .._deadline import time_is_up
from ..geometry import cayley_to_matrix
from ._em_ppca_posterior import (
    Dynamics,
    Model,
    camera_of,
    clip_table,
    expect,
    log_likelihood,
    posterior_codes,
)

__all__ = ["EMPPCAFit", "posterior_codes", "solve_em_ppca"]

# Rotation steps of one M-step; EM needs progress there, not convergence.
_N_ROTATION_STEPS = 2
# Pull of the shape update to where it stands, relative to the mean curvature: it holds the
# directions that no camera sees, and costs those that one does nothing.
_RIDGE = 1e-10
# Smallest noise variance relative to the mean square of the centred keypoints. Exact data have no
# maximum of the likelihood without one.
_NOISE_FLOOR = 1e-8
# Norm, relative to the mean shape, below which a basis shape of the start counts as absent, and
# of the random one in its place: a basis shape of zero is a saddle that EM never leaves.
_ABSENT, _SMALL = 1e-6, 1e-3
# Frames whose contributions to the shapes' normal equations are held at once.
_CHUNK = 1024


class EMPPCAFit(NamedTuple):
    """Result of :func:`solve_em_ppca`.

    Attributes
    ----------
    mean : torch.Tensor, shape (n_points, 3)
        Mean shape, centred.
    basis : torch.Tensor, shape (n_bases, n_points, 3)
        Deformations, scaled such that the codes have covariance I a priori (under dynamics: in the
        first frame of a clip).
    codes : torch.Tensor, shape (n_frames, n_bases)
        Posterior means of the codes.
    codes_covariance : torch.Tensor, shape (n_frames, n_bases, n_bases)
        Posterior covariances of the codes.
    rotations : torch.Tensor, shape (n_frames, 3, 3)
        ``x_cam = R x``, determinant +1.
    scales : torch.Tensor, shape (n_frames,)
        Positive, of mean one; all one unless fitted.
    translations : torch.Tensor, shape (n_frames, 2)
        In the image.
    noise_variance : float
        Of one coordinate of a keypoint of weight one.
    transition : torch.Tensor, shape (n_bases, n_bases), or None
        Matrix that takes the codes of one frame to those expected in the next; None without
        dynamics.
    transition_covariance : torch.Tensor, shape (n_bases, n_bases), or None
        Covariance about what the transition expects; None without dynamics.
    log_likelihood : list of float
        Of the visible coordinates, codes integrated out, after each iteration.
    n_iter : int
        Iterations that were made.
    converged : bool
        Whether the likelihood stopped rising before the iterations ran out.
    """

    mean: torch.Tensor
    basis: torch.Tensor
    codes: torch.Tensor
    codes_covariance: torch.Tensor
    rotations: torch.Tensor
    scales: torch.Tensor
    translations: torch.Tensor
    noise_variance: float
    transition: torch.Tensor | None
    transition_covariance: torch.Tensor | None
    log_likelihood: list[float]
    n_iter: int
    converged: bool


def _update_shapes(W, weights, model, posterior):
    """Mean and basis that fit best in expectation: one linear system a point."""
    camera = camera_of(model)
    one = torch.ones_like(posterior.codes[:, :1])
    codes = torch.cat((one, posterior.codes), 1)
    second = codes.unsqueeze(2) * codes.unsqueeze(1)
    second[:, 1:, 1:] += posterior.covariance
    size = 3 * codes.shape[1]
    normal = W.new_zeros(W.shape[1], size, size)
    for part in torch.arange(len(W), device=W.device).split(_CHUNK):
        kron = torch.einsum("fkl,fai,faj->fkilj", second[part], camera[part], camera[part])
        normal += (weights[part].T @ kron.reshape(len(part), -1)).view_as(normal)
    centred = weights.unsqueeze(-1) * (W - model.translations.unsqueeze(1))
    right = torch.einsum("fk,fpi->pki", codes, centred @ camera).flatten(1)
    shapes = torch.cat((model.mean.unsqueeze(0), model.basis)).transpose(0, 1).flatten(1)
    curvature = normal.diagonal(dim1=1, dim2=2).mean(1)
    curvature = torch.where(curvature > 0, curvature, curvature.mean())
    ridge = _RIDGE * curvature[:, None, None] * torch.eye(size, dtype=W.dtype, device=W.device)
    error = right.unsqueeze(-1) - normal @ shapes.unsqueeze(-1)
    shapes = shapes + torch.linalg.solve(normal + ridge, error).squeeze(-1)
    shapes = shapes.unflatten(1, (-1, 3)).transpose(0, 1)
    return model._replace(mean=shapes[0], basis=shapes[1:])


def _standardize(model, posterior):
    """Move the codes' mean and covariance over the frames into the shapes.

    An M-step of the model with codes N(m, C), which is no larger a family, since V z + s is the
    same as V C^1/2 z' + s + V m. It finds the size of a deformation in one step, not by degrees.
    """
    mean = posterior.codes.mean(0)
    offset = posterior.codes - mean
    spread = (posterior.covariance.sum(0) + offset.T @ offset) / len(offset)
    root = torch.linalg.cholesky(spread)
    shift = torch.einsum("k,kpi->pi", mean, model.basis)
    basis = torch.einsum("kl,kpi->lpi", root, model.basis)
    codes = torch.linalg.solve_triangular(root, offset.T, upper=False).T
    half = torch.linalg.solve_triangular(root, posterior.covariance, upper=False)
    covariance = torch.linalg.solve_triangular(root, half.mT, upper=False)
    model = model._replace(mean=model.mean + shift, basis=basis)
    return model, posterior._replace(codes=codes, covariance=covariance)


def _centre(model):
    """Move the centroid of the mean shape into the translations."""
    centroid = model.mean.mean(0)
    return model._replace(
        mean=model.mean - centroid, translations=model.translations + camera_of(model) @ centroid
    )


class _Alignment(NamedTuple):
    """Expected squared error of each frame as a function of its camera A, c R[:2].

    With the best translation it is ``power - 2 tr(A cross') + tr(A shape A')``.
    """

    shape: torch.Tensor
    cross: torch.Tensor
    power: torch.Tensor
    shape_mean: torch.Tensor
    image_mean: torch.Tensor

    def error(self, camera):
        quadratic = ((camera @ self.shape) * camera).sum((-2, -1))
        return self.power - 2 * (camera * self.cross).sum((-2, -1)) + quadratic


def _alignment(W, weights, model, posterior):
    m = weights.unsqueeze(-1)
    total = weights.sum(1)[:, None, None].clamp_min(torch.finfo(W.dtype).tiny)
    shapes = model.mean + torch.einsum("fk,kpi->fpi", posterior.codes, model.basis)
    shape_mean, image_mean = (m.mT @ shapes) / total, (m.mT @ W) / total
    shapes, image = shapes - shape_mean, W - image_mean
    products = torch.einsum("kpi,lpj->pklij", model.basis, model.basis).flatten(1)
    spread = (weights @ products).view(len(W), -1, 9)
    spread = (posterior.covariance.flatten(1).unsqueeze(1) @ spread).view(-1, 3, 3)
    return _Alignment(
        (m * shapes).mT @ shapes + spread,
        (m * image).mT @ shapes,
        (m * image.square()).sum((-2, -1)),
        shape_mean.squeeze(1),
        image_mean.squeeze(1),
    )


def _turn(rotations, scales, alignment):
    """Gauss-Newton step of each rotation, kept where the error falls."""
    c = scales[:, None, None]
    eye = torch.eye(3, dtype=scales.dtype, device=scales.device)
    # Derivatives of R to a turn about each axis of the camera.
    turns = torch.linalg.cross(eye[None, :, :, None], rotations.unsqueeze(1), dim=2)[:, :, :2]
    camera = c * rotations[:, :2]
    slope = (c * (camera @ alignment.shape - alignment.cross)).unsqueeze(1)
    gradient = (turns * slope).sum((-2, -1))
    flat = turns.flatten(2)
    hessian = c.square() * (turns @ alignment.shape.unsqueeze(1)).flatten(2) @ flat.mT
    trace = hessian.diagonal(dim1=1, dim2=2).sum(1)
    damping = torch.where(trace > 0, _RIDGE * trace, 1.0)[:, None, None] * eye
    omega = -torch.linalg.solve(hessian + damping, gradient.unsqueeze(-1)).squeeze(-1)
    turned = cayley_to_matrix(omega) @ rotations
    better = alignment.error(c * turned[:, :2]) < alignment.error(camera)
    return torch.where(better[:, None, None], turned, rotations)


def _update_cameras(W, weights, model, posterior, scale, floor):
    """Rotations that fit better, scales, translations and noise that fit best in expectation."""
    alignment = _alignment(W, weights, model, posterior)
    rotations, scales = model.rotations, model.scales
    for _ in range(_N_ROTATION_STEPS):
        rotations = _turn(rotations, scales, alignment)
    basis, mean = model.basis, model.mean
    if scale:
        rows = rotations[:, :2]
        size = ((rows @ alignment.shape) * rows).sum((-2, -1))
        best = (rows * alignment.cross).sum((-2, -1)) / size.clamp_min(torch.finfo(W.dtype).tiny)
        # A negative scale is half a turn about the camera's axis.
        half_turn = torch.where(best < 0, -1.0, 1.0).to(W.dtype)[:, None, None]
        rotations = torch.cat((half_turn * rows, rotations[:, 2:]), 1)
        scales = torch.where(best != 0, best.abs(), scales)
    camera = scales[:, None, None] * rotations[:, :2]
    translations = alignment.image_mean - (camera @ alignment.shape_mean.unsqueeze(-1)).squeeze(-1)
    seen = (weights.sum(1) > 0).unsqueeze(-1)
    translations = torch.where(seen, translations, model.translations)
    error = alignment.error(camera).sum() / (2 * (weights > 0).sum())
    common = scales.mean()
    return Model(
        mean * common,
        basis * common,
        rotations,
        scales / common,
        translations,
        max(float(error), floor),
    )


def _update_dynamics(dynamics, posterior, table):
    """Transition and covariance that fit best in expectation."""
    now, lagged, before = posterior.steps
    n_steps = int((table[:, 1:] >= 0).sum())
    if n_steps == 0:
        return dynamics
    transition = torch.linalg.solve(before, lagged.T).T
    covariance = (now - transition @ lagged.T) / n_steps
    return Dynamics(transition, (covariance + covariance.T) / 2)


def _start(W, weights, n_bases, shapes, rotations, scale, floor, generator):
    """Model whose shapes are the principal components of the start's."""
    n_frames, n_points, _ = W.shape
    m = weights.unsqueeze(-1)
    total = m.sum(1, keepdim=True).clamp_min(torch.finfo(W.dtype).tiny)
    rows = rotations[:, :2]
    shapes = shapes - shapes.mean(1, keepdim=True)
    projected = shapes @ rows.mT
    offset = (m * projected).sum(1, keepdim=True) / total
    image_mean = (m * W).sum(1, keepdim=True) / total
    projected, image = projected - offset, W - image_mean
    scales = torch.ones_like(weights[:, 0])
    if scale:
        power = (m * projected.square()).sum((1, 2))
        ratio = (m * projected * image).sum((1, 2)) / power.clamp_min(torch.finfo(W.dtype).tiny)
        scales = torch.where(ratio > 0, ratio, scales)
        common = scales.mean()
        scales, shapes, projected = scales / common, shapes * common, projected * common
    c = scales[:, None, None]
    # Moved parallel to the image to where its points were seen, even a rigid start deforms.
    error = torch.where(m > 0, image / c - projected, 0.0)
    mean = shapes.mean(0)
    deformations = (shapes - mean + error @ rows).flatten(1) / math.sqrt(n_frames)
    values, components = torch.linalg.svd(deformations, full_matrices=False)[1:]
    basis = W.new_zeros(n_bases, 3 * n_points)
    found = min(n_bases, len(values))
    basis[:found] = values[:found, None] * components[:found]
    size = torch.linalg.norm(mean)
    absent = torch.linalg.norm(basis, dim=1) <= _ABSENT * size
    noise = torch.randn(basis.shape, generator=generator, dtype=W.dtype, device=W.device)
    filled = noise * (_SMALL * size / math.sqrt(3 * n_points))
    basis = torch.where(absent.unsqueeze(-1), filled, basis).unflatten(1, (n_points, 3))
    left_over = deformations.square().sum() - values[:found].square().sum()
    # Of a keypoint of weight one.
    weight = float(weights.sum() / (weights > 0).sum())
    variance = max(weight * float(left_over) / (3 * n_points), floor)
    translations = image_mean - c * (mean @ rows.mT * m).sum(1, keepdim=True) / total
    return Model(mean, basis, rotations, scales, translations.squeeze(1), variance)


def solve_em_ppca(
    W,
    weights,
    n_bases,
    *,
    shapes,
    rotations,
    scale=False,
    dynamics=False,
    clips=None,
    max_iter=100,
    tol=1e-6,
    generator=None,
):
    r"""Fit shapes with a Gaussian prior and their cameras to keypoints by expectation maximisation.

    .. math::
        w_{tp} = c_t R_t \Big( \bar s_p + \sum_k z_{tk} V_{kp} \Big) + d_t + n_{tp}, \qquad
        z_t \sim N(0, I), \quad n_{tp} \sim N(0, \sigma^2 I / m_{tp}),

    where :math:`R_t` are the first two rows of a rotation, and with dynamics, within each clip,

    .. math::
        z_1 \sim N(0, I), \qquad z_t = \Phi z_{t-1} + v_t, \quad v_t \sim N(0, Q).

    The codes z are integrated out. The E-step is their posterior, by a Kalman smoother under
    dynamics. The M-step solves one linear system a point for :math:`\bar s, V`, takes
    Gauss-Newton steps of each rotation, kept where the expected error falls, and has the rest in
    closed form. No iteration lowers the likelihood.

    Parameters
    ----------
    W : torch.Tensor, shape (n_frames, n_points, 2)
        Keypoints, float64; what stands where the weight is zero is not read.
    weights : torch.Tensor, shape (n_frames, n_points)
        Precision :math:`m_{tp}` of each keypoint relative to the others; 0 where hidden.
    n_bases : int
        Number K of deformations.
    shapes : torch.Tensor, shape (n_frames, n_points, 3)
        Start, in the frame that `rotations` turn to the cameras and in the units of `W`; may be the
        same in all frames.
    rotations : torch.Tensor, shape (n_frames, 3, 3)
        Start, ``x_cam = R x``.
    scale : bool, default False
        Whether every frame has a scale of its own (weak perspective).
    dynamics : bool, default False
        Whether codes follow linear dynamics.
    clips : torch.Tensor of int, shape (n_frames,), optional
        Clip of each frame, frames of a clip in the order of time; one clip by default. Read only
        under dynamics.
    max_iter : int, default 100
        Most iterations.
    tol : float, default 1e-6
        Stop once an iteration raises the log-likelihood by less than this for each visible
        coordinate.
    generator : torch.Generator, optional
        Of the device of `W`; draws the deformations that the start lacks, which it does where
        `shapes`, moved to the keypoints, differ in fewer than K ways.

    Returns
    -------
    EMPPCAFit
        Named tuple; the shape of frame t is ``mean + einsum("k,kpi->pi", codes[t], basis)``. A
        point that no frame shows, and directions that no camera sees, stay at the start.

    See Also
    --------
    posterior_codes : Codes of further frames.

    Notes
    -----
    The likelihood has many maxima, and the one that is reached depends on the start's rotations.
    Deformations start as the principal components of `shapes`, moved parallel to the image to where
    their points were seen. Without dynamics the codes' mean and covariance are estimated in every
    M-step and moved into the shapes [2]_.

    References
    ----------
    .. [1] L. Torresani, A. Hertzmann and C. Bregler, "Nonrigid structure-from-motion: estimating
       shape and motion with hierarchical priors", IEEE TPAMI 30(5), 2008.
    .. [2] C. Liu, D. B. Rubin and Y. N. Wu, "Parameter expansion to accelerate EM: the PX-EM
       algorithm", Biometrika 85(4), 1998.
    """
    W = torch.where((weights > 0).unsqueeze(-1), W, 0.0)
    n_coordinates = 2 * int((weights > 0).sum())
    m = weights.unsqueeze(-1)
    centre = (m * W).sum(1, keepdim=True) / m.sum(1, keepdim=True).clamp_min(1e-300)
    floor = _NOISE_FLOOR * float((m * (W - centre).square()).sum()) / n_coordinates
    model = _start(W, weights, n_bases, shapes, rotations, scale, floor, generator)
    table = process = None
    if dynamics:
        table = clip_table(clips, len(W), W.device)
        eye = torch.eye(n_bases, dtype=W.dtype, device=W.device)
        # Independent frames, from which the first M-step finds how they depend.
        process = Dynamics(torch.zeros_like(eye), eye)
    posterior = expect(W, weights, model, process, table)
    value, history, converged = log_likelihood(weights, model, posterior), [], False
    while len(history) < max_iter and not (converged or (history and time_is_up())):
        previous = value
        model = _update_shapes(W, weights, model, posterior)
        if dynamics:
            process = _update_dynamics(process, posterior, table)
        else:
            model, posterior = _standardize(model, posterior)
        model = _update_cameras(W, weights, _centre(model), posterior, scale, floor)
        posterior = expect(W, weights, model, process, table)
        value = log_likelihood(weights, model, posterior)
        history.append(value)
        converged = value - previous <= tol * n_coordinates
    transition, covariance = process or (None, None)
    return EMPPCAFit(
        model.mean,
        model.basis,
        posterior.codes,
        posterior.covariance,
        *model[2:],
        transition,
        covariance,
        history,
        len(history),
        converged,
    )
