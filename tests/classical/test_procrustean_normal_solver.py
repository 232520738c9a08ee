"""Procrustean normal distribution: E-step against the joint Gaussian, and the tangent space."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from nrsfm_learn.classical._procrustean_normal_solver import (
    _cut,
    _derivatives,
    _expect,
    fit_procrustean_normal,
    tangent_projection,
)
from nrsfm_learn.classical._tracks import Tracks


def make_problem(n_frames=4, n_points=6, seed=0, hide=True):
    rng = np.random.default_rng(seed)
    mean = rng.normal(size=(n_points, 3))
    mean -= mean.mean(0)
    A = rng.normal(size=(3 * n_points, 3 * n_points)) / 10
    Q = tangent_projection(torch.tensor(mean)).numpy()
    A = A - Q @ (Q.T @ A)
    R = Rotation.random(n_frames, random_state=seed).as_matrix()
    s = rng.uniform(0.8, 1.2, n_frames)
    weights = rng.uniform(0.5, 2.0, (n_frames, n_points))
    if hide:
        weights[0, 1] = weights[-1, [0, 4]] = 0
    points = rng.normal(size=(n_frames, n_points, 2)) * (weights > 0)[..., None]
    return points, weights, mean, A @ A.T, R, s


def flat_tensor(*arrays):
    return [torch.as_tensor(a, dtype=torch.float64) for a in arrays]


def log_density(points, weights, mean, C, R, s, noise):
    """Conditional mean and covariance of a frame's shape, and -log p up to a constant, by NumPy."""
    seen = np.flatnonzero(weights > 0)
    A = np.zeros((2 * len(seen), mean.size))
    for row, p in enumerate(seen):
        A[2 * row : 2 * row + 2, 3 * p : 3 * p + 3] = s * R[:2]
    D = np.diag(np.repeat(noise**2 / weights[seen], 2))
    M = A @ C @ A.T + D
    ones = np.tile(np.eye(2), (len(seen), 1))
    r = points[seen].ravel() - A @ mean.ravel()
    inverse = np.linalg.inv(M)
    t = np.linalg.solve(ones.T @ inverse @ ones, ones.T @ inverse @ r)
    r = r - ones @ t
    y = mean.ravel() + C @ A.T @ inverse @ r
    cost = r @ inverse @ r / 2 + np.linalg.slogdet(M)[1] / 2
    left = r - A @ (y - mean.ravel())
    covariance = C - C @ A.T @ inverse @ A @ C
    power = np.repeat(weights[seen], 2) * (left**2 + np.diag(A @ covariance @ A.T))
    return y.reshape(mean.shape), cost, A.T @ inverse @ A, power.sum()


@pytest.mark.parametrize("hide", [False, True])
def test_expectation_is_that_of_the_joint_gaussian(hide):
    points, weights, mean, C, R, s = make_problem(hide=hide)
    noise = 0.1
    step = _expect(*flat_tensor(points, weights, mean, C, R, s), noise, True)
    frames = [
        log_density(*frame[:2], mean, C, *frame[2:], noise)
        for frame in zip(points, weights, R, s, strict=True)
    ]
    np.testing.assert_allclose(step.shapes, [f[0] for f in frames], atol=1e-10)
    assert step.cost == pytest.approx(sum(f[1] for f in frames), rel=1e-10)
    np.testing.assert_allclose(step.information, sum(f[2] for f in frames), rtol=1e-8, atol=1e-8)
    n_seen = 2 * (weights > 0).sum()
    assert step.noise**2 == pytest.approx(sum(f[3] for f in frames) / n_seen, rel=1e-8)


def test_cameras_step_down_the_likelihood():
    points, weights, mean, C, R, s = make_problem(n_frames=1)
    step = _expect(*flat_tensor(points, weights, mean, C, R, s), 0.3, True)
    turn = Rotation.from_matrix(step.rotations[0].numpy() @ R[0].T).as_rotvec()
    growth = np.log(step.scales[0].item() / s[0])

    def cost(share):
        turned = Rotation.from_rotvec(share * turn).as_matrix() @ R[0]
        scale = s[0] * np.exp(share * growth)
        return log_density(points[0], weights[0], mean, C, turned, scale, 0.3)[1]

    # The slope along the step: minus gradient' H^-1 gradient.
    assert (cost(1e-4) - cost(-1e-4)) / 2e-4 < 0
    assert cost(0.1) < cost(0)


def test_camera_derivatives_are_finite_differences():
    X = np.random.default_rng(0).normal(size=(5, 3))
    J = _derivatives(torch.tensor(X)[None], True)[0].numpy()
    step = 1e-6
    for k in range(3):
        turned = X @ Rotation.from_rotvec(step * np.eye(3)[k]).as_matrix().T
        np.testing.assert_allclose(J[:, k], ((turned - X)[:, :2] / step).ravel(), atol=1e-5)
    np.testing.assert_allclose(J[:, 3], X[:, :2].ravel())


@pytest.mark.parametrize("scale", [False, True])
def test_tangent_space_has_no_motions(scale):
    mean = np.random.default_rng(1).normal(size=(7, 3))
    Q = tangent_projection(torch.tensor(mean - mean.mean(0)), scale=scale).numpy()
    assert Q.shape == (21, 7 if scale else 6)
    np.testing.assert_allclose(Q.T @ Q, np.eye(Q.shape[1]), atol=1e-12)
    mean = mean - mean.mean(0)
    motions = [np.tile(e, 7) for e in np.eye(3)] + [np.cross(e, mean).ravel() for e in np.eye(3)]
    for motion in motions + [mean.ravel()] * scale:
        np.testing.assert_allclose(Q @ (Q.T @ motion), motion, atol=1e-10)


def test_cut_keeps_the_trace_and_the_first_directions():
    *_, mean, C, _, _ = make_problem()
    Q = tangent_projection(torch.tensor(mean))
    cut = _cut(torch.tensor(C), Q, 3).numpy()
    assert np.trace(cut) == pytest.approx(np.trace(C))
    np.testing.assert_allclose(np.linalg.eigvalsh(cut)[-3:], np.linalg.eigvalsh(C)[-3:])
    np.testing.assert_allclose(cut @ Q.numpy(), 0, atol=1e-12)
    rest = np.linalg.eigvalsh(cut)[6:-3]
    np.testing.assert_allclose(rest, rest.mean(), rtol=1e-8)


@pytest.mark.parametrize("scale", [False, True])
def test_draws_from_the_distribution_are_recovered(scale):
    rng = np.random.default_rng(0)
    n_frames, n_points = 80, 10
    mean = rng.normal(size=(n_points, 3))
    mean -= mean.mean(0)
    Q = tangent_projection(torch.tensor(mean), scale=scale).numpy()
    B = rng.normal(size=(2, 3 * n_points))
    B = 0.15 * (B - B @ Q @ Q.T)
    Y = mean + (rng.normal(size=(n_frames, 2)) @ B).reshape(n_frames, n_points, 3)
    R = Rotation.random(n_frames, random_state=0).as_matrix()
    s = np.exp(0.1 * rng.normal(size=n_frames)) if scale else np.ones(n_frames)
    X = s[:, None, None] * (Y @ R.swapaxes(1, 2))
    points, weights = flat_tensor(X[..., :2], np.ones((n_frames, n_points)))
    tracks = Tracks(points, weights, [slice(None)], torch.zeros(n_frames, 2), 1.0)
    start = X + 0.1 * rng.normal(size=X.shape)
    fit = fit_procrustean_normal(tracks, torch.tensor(start), scale=scale, max_iter=120)
    found = (fit.scales[:, None, None] * (fit.shapes @ fit.rotations.mT)).numpy()
    assert np.linalg.norm(found - X) / np.linalg.norm(X) < 0.03
    Q = tangent_projection(fit.mean, scale=scale)
    assert (fit.covariance @ Q).abs().max() < 1e-10
    assert fit.scales.log().mean().abs() < 1e-8
