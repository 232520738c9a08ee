"""EM-PPCA: every M-step against the derivative of what it maximises, all on known data."""

import math

import numpy as np
import pytest
import torch

from nrsfm_learn.classical import _em_ppca_solver as solver
from nrsfm_learn.classical._em_ppca_posterior import Dynamics, Model, clip_table, expect
from nrsfm_learn.classical._em_ppca_solver import solve_em_ppca
from nrsfm_learn.datasets import make_low_rank
from nrsfm_learn.geometry import axis_angle_to_matrix, random_rotations

with_and_without_scale = pytest.mark.parametrize("scale", [False, True])


def problem(n_frames=12, n_points=6, n_bases=2, seed=0):
    """Keypoints that the model nearly explains, with confidences and a third of them hidden."""
    rng = np.random.default_rng(seed)
    model = Model(
        torch.from_numpy(rng.normal(size=(n_points, 3))),
        torch.from_numpy(0.4 * rng.normal(size=(n_bases, n_points, 3))),
        random_rotations(
            n_frames, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
        ),
        torch.from_numpy(rng.uniform(0.8, 1.2, n_frames)),
        torch.from_numpy(rng.normal(size=(n_frames, 2))),
        0.1,
    )
    shapes = model.mean + torch.einsum(
        "fk,kpi->fpi", torch.from_numpy(rng.normal(size=(n_frames, n_bases))), model.basis
    )
    W = model.scales[:, None, None] * (shapes @ model.rotations[:, :2].mT)
    W = W + model.translations[:, None] + 0.2 * torch.from_numpy(rng.normal(size=W.shape))
    weights = rng.uniform(0.5, 1.5, size=(n_frames, n_points))
    weights[rng.random(weights.shape) < 0.3] = 0
    weights[:, :3] = 1
    return W, torch.from_numpy(weights), model


def expected_error(W, weights, model, posterior):
    """Expected weighted squared error of each frame, by loops over frames and points."""
    errors = []
    for f in range(len(W)):
        camera, error = model.scales[f] * model.rotations[f, :2], 0.0
        for p in range(W.shape[1]):
            A = torch.stack([camera @ V[p] for V in model.basis], 1)
            r = W[f, p] - model.translations[f] - camera @ model.mean[p] - A @ posterior.codes[f]
            error = error + weights[f, p] * (r @ r + torch.trace(A @ posterior.covariance[f] @ A.T))
        errors.append(error)
    return torch.stack(errors)


def expected_log_likelihood(W, weights, model, posterior):
    error = expected_error(W, weights, model, posterior).sum()
    return -error / (2 * model.noise_variance) - (weights > 0).sum() * math.log(
        model.noise_variance
    )


def test_shapes_maximise_the_expected_log_likelihood():
    W, weights, model = problem()
    posterior = expect(W, weights, model)
    found = solver._update_shapes(W, weights, model, posterior)
    mean, basis = found.mean.clone().requires_grad_(), found.basis.clone().requires_grad_()
    error = expected_error(W, weights, model._replace(mean=mean, basis=basis), posterior).sum()
    assert error < expected_error(W, weights, model, posterior).sum()
    for gradient in torch.autograd.grad(error, (mean, basis)):
        assert gradient.abs().max() < 1e-7


def test_shapes_stay_where_nothing_was_seen():
    W, weights, model = problem()
    weights[:, 4] = 0
    model = model._replace(rotations=torch.eye(3, dtype=W.dtype).expand(len(W), 3, 3))
    found = solver._update_shapes(W, weights, model, expect(W, weights, model))
    torch.testing.assert_close(found.mean[4], model.mean[4])
    torch.testing.assert_close(found.basis[:, 4], model.basis[:, 4])
    torch.testing.assert_close(found.mean[:, 2], model.mean[:, 2])
    torch.testing.assert_close(found.basis[..., 2], model.basis[..., 2])
    assert (found.mean[:4, :2] - model.mean[:4, :2]).abs().min() > 1e-6


def test_standardizing_changes_no_expected_shape():
    W, weights, model = problem()
    posterior = expect(W, weights, model)
    found, codes = solver._standardize(model, posterior)
    torch.testing.assert_close(
        expected_error(W, weights, found, codes), expected_error(W, weights, model, posterior)
    )
    second = torch.einsum("fk,fl->kl", codes.codes, codes.codes) + codes.covariance.sum(0)
    torch.testing.assert_close(second / len(W), torch.eye(2, dtype=W.dtype))
    torch.testing.assert_close(codes.codes.mean(0), torch.zeros(2, dtype=W.dtype))


@with_and_without_scale
def test_cameras_and_noise_maximise_the_expected_log_likelihood(scale):
    W, weights, model = problem()
    posterior = expect(W, weights, model)
    found = solver._update_cameras(W, weights, model, posterior, scale, 0.0)
    assert (
        expected_error(W, weights, found, posterior)
        <= expected_error(W, weights, model, posterior) + 1e-12
    ).all()
    if scale:
        assert found.scales.mean() == pytest.approx(1)
    for _ in range(200):
        found = solver._update_cameras(W, weights, found, posterior, scale, 0.0)
    turn = torch.zeros(len(W), 3, dtype=W.dtype, requires_grad=True)
    free = [found.scales, found.translations, torch.tensor(found.noise_variance, dtype=W.dtype)]
    free = [x.clone().requires_grad_() for x in free]
    R = axis_angle_to_matrix(turn) @ found.rotations
    error = expected_error(
        W, weights, Model(found.mean, found.basis, R, free[0], free[1], 0), posterior
    ).sum()
    value = -error / (2 * free[2]) - (weights > 0).sum() * torch.log(free[2])
    of_turn, of_scale, of_translation, of_noise = torch.autograd.grad(value, (turn, *free))
    assert of_turn.abs().max() < 1e-5
    assert of_translation.abs().max() < 1e-9
    assert of_noise.abs() < 1e-7
    if scale:
        assert of_scale.abs().max() < 1e-5
    torch.testing.assert_close(
        found.rotations.det(), torch.ones(len(W), dtype=W.dtype), rtol=0, atol=1e-12
    )


def test_centring_moves_no_point_in_the_image():
    W, weights, model = problem()
    posterior = expect(W, weights, model)
    found = solver._centre(model)
    assert found.mean.mean(0).abs().max() < 1e-14
    torch.testing.assert_close(
        expected_error(W, weights, found, posterior), expected_error(W, weights, model, posterior)
    )


def test_dynamics_maximise_the_expected_log_likelihood():
    W, weights, model = problem()
    table = clip_table(torch.tensor([0] * 7 + [1] * 5), 12, W.device)
    eye = torch.eye(2, dtype=W.dtype)
    dynamics = Dynamics(0.5 * eye, 0.7 * eye)
    posterior = expect(W, weights, model, dynamics, table)
    found = solver._update_dynamics(dynamics, posterior, table)
    Phi, Q = (x.clone().requires_grad_() for x in found)
    now, lagged, before = posterior.steps
    scatter = now - Phi @ lagged.T - lagged @ Phi.T + Phi @ before @ Phi.T
    value = -(torch.trace(torch.linalg.solve(Q, scatter)) + 10 * torch.logdet(Q)) / 2
    for gradient in torch.autograd.grad(value, (Phi, Q)):
        assert gradient.abs().max() < 1e-9
    alone = clip_table(torch.arange(12), 12, W.device)
    assert solver._update_dynamics(dynamics, posterior, alone) is dynamics


def scene(missing=0.0, noise=0.01, camera="orthographic", n_frames=120, rank=3):
    """Generated data, and a start of turned cameras and disturbed shapes."""
    data = make_low_rank(
        n_frames,
        20,
        rank,
        camera=camera,
        views="smooth",
        missing=missing,
        noise=noise,
        clips=2,
        random_state=0,
    )
    rng = np.random.default_rng(1)
    turn = axis_angle_to_matrix(0.15 * torch.from_numpy(rng.normal(size=(n_frames, 3))))
    shapes = data.shapes * (1 if data.scales is None else np.mean(data.scales))
    shapes = shapes + 0.3 * shapes.std() * rng.normal(size=shapes.shape)
    return data, {
        "W": torch.from_numpy(data.W),
        "weights": torch.from_numpy(data.visible.astype(float)),
        "shapes": torch.from_numpy(shapes),
        "rotations": turn @ torch.from_numpy(data.rotations),
    }


def reconstruct(fit):
    shapes = fit.mean + torch.einsum("fk,kpi->fpi", fit.codes, fit.basis)
    X = fit.scales[:, None, None] * (shapes @ fit.rotations.mT)
    return (X - X.mean(1, keepdim=True)).numpy()


def centred(X):
    return X - X.mean(1, keepdims=True)


def relative_error(X, Y):
    """Mean over frames of the distance to X relative to its size; nothing is aligned."""
    return np.mean(np.linalg.norm(X - Y, axis=(1, 2)) / np.linalg.norm(X, axis=(1, 2)))


@with_and_without_scale
@pytest.mark.parametrize("dynamics", [False, True])
@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_likelihood_never_falls(missing, dynamics, scale):
    data, start = scene(missing, noise=0.03)
    clips = torch.from_numpy(np.asarray(data.groups))
    fit = solve_em_ppca(
        **start, n_bases=3, scale=scale, dynamics=dynamics, clips=clips, max_iter=30, tol=0
    )
    history = np.array(fit.log_likelihood)
    assert len(history) == fit.n_iter
    assert (np.diff(history) > -1e-9 * np.abs(history[1:])).all()
    assert fit.noise_variance > 0
    assert (fit.transition is not None) == dynamics
    assert scale or (fit.scales == 1).all()
    assert fit.mean.mean(0).abs().max() < 1e-9


@pytest.mark.parametrize("dynamics", [False, True])
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_recovers_low_rank_shapes_from_a_perturbed_start(missing, dynamics):
    data, start = scene(missing)
    fit = solve_em_ppca(**start, n_bases=2, dynamics=dynamics, max_iter=150)
    X = centred(data.X)
    before = (start["shapes"] @ start["rotations"].mT).numpy()
    worst = relative_error(X, centred(before))
    assert worst > 0.2
    assert relative_error(X, reconstruct(fit)) < 0.05
    # The noise that was put in, one percent of the size of W, less what the five parameters of
    # each frame's camera and the nine of each point take up.
    size = np.linalg.norm(centred(data.W_complete), axis=(1, 2)).mean() / math.sqrt(20)
    taken = (5 * len(X) + 9 * 20) / (2 * data.visible.sum())
    expected = 0.01 * size * math.sqrt(1 - taken)
    assert math.sqrt(fit.noise_variance) == pytest.approx(expected, rel=0.08)


def test_recovers_scales():
    data, start = scene(camera="weak_perspective")
    fit = solve_em_ppca(**start, n_bases=2, scale=True, max_iter=150)
    np.testing.assert_allclose(fit.scales, data.scales / np.mean(data.scales), rtol=0.03)
    X = data.scales[:, None, None] * centred(data.X)
    assert relative_error(X, reconstruct(fit)) < 0.05


def test_rigid_start_finds_deformations():
    data, start = scene()
    start["shapes"] = torch.from_numpy(data.shapes.mean(0)).expand_as(start["shapes"])
    start["rotations"] = torch.from_numpy(data.rotations)
    fit = solve_em_ppca(**start, n_bases=2, max_iter=150)
    assert relative_error(centred(data.X), reconstruct(fit)) < 0.05


def test_random_deformations_where_the_start_has_none():
    data, start = scene(noise=0.0, rank=1)
    start["shapes"] = torch.from_numpy(data.shapes)
    start["rotations"] = torch.from_numpy(data.rotations)
    fits = [
        solve_em_ppca(**start, n_bases=2, max_iter=5, generator=torch.Generator().manual_seed(seed))
        for seed in (0, 0, 1)
    ]
    assert torch.equal(fits[0].basis, fits[1].basis)
    assert not torch.equal(fits[0].basis, fits[2].basis)
    assert relative_error(centred(data.X), reconstruct(fits[0])) < 1e-3


@pytest.mark.parametrize("content", [1e6, float("nan")])
def test_hidden_keypoints_are_not_read(content):
    _, start = scene(0.3)
    hidden = start["weights"] == 0
    start["W"][hidden] = 0.0
    expected = solve_em_ppca(**start, n_bases=2, max_iter=3)
    start["W"][hidden] = content
    found = solve_em_ppca(**start, n_bases=2, max_iter=3)
    assert found.log_likelihood == expected.log_likelihood
    assert torch.equal(found.codes, expected.codes)
    assert torch.equal(found.rotations, expected.rotations)


def test_frame_without_keypoints_keeps_its_camera():
    _, start = scene()
    start["weights"][5] = 0
    fit = solve_em_ppca(**start, n_bases=2, scale=True, max_iter=5)
    torch.testing.assert_close(fit.rotations[5], start["rotations"][5])
    assert fit.codes[5].abs().max() == 0
    assert all(torch.isfinite(x).all() for x in fit[:7])


def test_turning_the_image_turns_the_cameras():
    _, start = scene(0.2)
    fit = solve_em_ppca(**start, n_bases=2, max_iter=10)
    turn = axis_angle_to_matrix(torch.tensor([0, 0, 0.7], dtype=torch.float64))
    start["W"] = start["W"] @ turn[:2, :2].T
    start["rotations"] = turn @ start["rotations"]
    turned = solve_em_ppca(**start, n_bases=2, max_iter=10)
    torch.testing.assert_close(turned.rotations, turn @ fit.rotations, rtol=0, atol=1e-7)
    torch.testing.assert_close(turned.translations, fit.translations @ turn[:2, :2].T)
    torch.testing.assert_close(turned.mean, fit.mean, rtol=0, atol=1e-7)
    np.testing.assert_allclose(turned.log_likelihood, fit.log_likelihood, rtol=1e-9)


def test_units_and_origin_of_the_image_do_not_matter():
    _, start = scene(0.2)
    fit = solve_em_ppca(**start, n_bases=2, max_iter=10)
    start["W"] = 250 * start["W"] + torch.tensor([640.0, 360.0], dtype=torch.float64)
    start["shapes"] = 250 * start["shapes"]
    pixels = solve_em_ppca(**start, n_bases=2, max_iter=10)
    torch.testing.assert_close(pixels.mean, 250 * fit.mean, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(pixels.rotations, fit.rotations, rtol=0, atol=1e-7)
    assert pixels.noise_variance == pytest.approx(250**2 * fit.noise_variance, rel=1e-6)


def test_stops_when_the_likelihood_stops_rising():
    _, start = scene()
    fit = solve_em_ppca(**start, n_bases=2, max_iter=500, tol=1e-4)
    assert fit.converged
    assert 1 < fit.n_iter < 500
    assert not solve_em_ppca(**start, n_bases=2, max_iter=2).converged
