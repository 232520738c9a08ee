"""The diffusion prior: schedules, training, sampling, its loss, and files."""

import math

import numpy as np
import pytest
import torch
from sklearn.base import clone

import nrsfm_learn
from nrsfm_learn.flips import mirror_depth
from nrsfm_learn.priors import (
    DiffusionPosePrior,
    cosine_schedule,
    depth_signs,
    diffuse,
    linear_schedule,
    reverse_step,
)

QUICK = {"width": 16, "n_blocks": 1, "max_iter": 5, "random_state": 0, "device": "cpu"}


def hinges(n_frames=400, seed=0):
    """Two rods joined at a hinge, in front of a camera at any angle about the vertical."""
    rng = np.random.default_rng(seed)
    bend = rng.uniform(0.3, 1.2, n_frames)
    zero = np.zeros(n_frames)
    tip = np.stack([np.sin(bend), 1 + np.cos(bend), zero], -1)
    fixed = [[0, 0, 0], [0, 1, 0], [0.3, 0.2, 0.5], [-0.2, 0.5, 0.4]]
    X = np.concatenate([np.broadcast_to(fixed, (n_frames, 4, 3)), tip[:, None]], 1)
    turn = rng.uniform(0, 2 * np.pi, n_frames)
    c, s = np.cos(turn), np.sin(turn)
    R = np.stack([c, zero, s, zero, zero + 1, zero, -s, zero, c], -1).reshape(-1, 3, 3)
    X = X @ R.swapaxes(1, 2)
    return X - X.mean(1, keepdims=True)


@pytest.fixture(scope="module")
def trained():
    settings = {"width": 64, "n_blocks": 2, "max_iter": 1200, "batch_size": 128}
    return DiffusionPosePrior(**settings, learning_rate=3e-3, random_state=0).fit(hinges())


@pytest.mark.parametrize("n_steps", [1, 7, 1000])
def test_schedules_fall_from_all_to_nearly_nothing(n_steps):
    for schedule in (cosine_schedule, linear_schedule):
        signal = schedule(n_steps, dtype=torch.float64)
        assert signal.shape == (n_steps + 1,)
        assert signal[0] == 1
        assert (signal.diff() < 0).all()
        assert signal[-1] > 0
    if n_steps == 1000:
        assert cosine_schedule(n_steps)[-1] < 1e-4
        assert linear_schedule(n_steps)[-1] < 1e-4


def test_cosine_schedule_is_the_published_formula():
    def f(t):
        return math.cos((t / 50 + 0.008) / 1.008 * math.pi / 2) ** 2

    expected, signal = 1.0, cosine_schedule(50, dtype=torch.float64)
    for t in range(1, 51):
        expected *= 1 - min(1 - f(t) / f(t - 1), 0.999)
        assert signal[t].item() == pytest.approx(expected, rel=1e-9)
    # Without the bound the product telescopes.
    assert signal[20].item() == pytest.approx(f(20) / f(0), rel=1e-9)


def test_linear_schedule_is_the_published_formula():
    betas = np.linspace(1e-4, 0.02, 1000)
    signal = linear_schedule(1000, dtype=torch.float64).numpy()
    np.testing.assert_allclose(signal[1:], np.cumprod(1 - betas), rtol=1e-12)


def test_a_malformed_number_of_steps_is_refused():
    for bad in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match="n_steps must be a positive integer"):
            cosine_schedule(bad)


def test_steps_of_noise_in_one_go():
    # Adding noise step by step gives the mean and variance of adding it at once.
    signal = linear_schedule(20, dtype=torch.float64)
    mean, variance = 1.0, 0.0
    for t in range(1, 21):
        beta = 1 - signal[t] / signal[t - 1]
        mean, variance = mean * (1 - beta) ** 0.5, variance * (1 - beta) + beta
    one = torch.ones(1, 1, 3, dtype=torch.float64)
    at_once = diffuse(one, torch.zeros_like(one), signal[-1:])
    assert at_once[0, 0, 0].item() == pytest.approx(float(mean), rel=1e-12)
    noise = diffuse(torch.zeros_like(one), one, signal[-1:])
    assert noise[0, 0, 0].item() ** 2 == pytest.approx(float(variance), rel=1e-12)


def test_reverse_step_with_the_true_shape():
    generator = torch.Generator().manual_seed(0)
    y0, noise, z = torch.randn(3, 500, 4, 3, generator=generator, dtype=torch.float64)
    signal = cosine_schedule(10, dtype=torch.float64)
    y = diffuse(y0, noise, signal[7].expand(500))
    # Without noise: the same noise at the lower level; at level 0 the shape itself.
    np.testing.assert_allclose(
        reverse_step(y, y0, signal[7], signal[4]), diffuse(y0, noise, signal[4].expand(500))
    )
    np.testing.assert_allclose(reverse_step(y, y0, signal[7], signal[0], noise=z), y0, atol=1e-12)
    # With noise: mean and variance of the posterior of neighbouring steps (DDPM eq. 7).
    beta = 1 - signal[7] / signal[6]
    mean = signal[6].sqrt() * beta / (1 - signal[7]) * y0
    mean = mean + (1 - beta).sqrt() * (1 - signal[6]) / (1 - signal[7]) * y
    variance = (1 - signal[6]) / (1 - signal[7]) * beta
    step = reverse_step(y, y0, signal[7], signal[6], noise=z)
    np.testing.assert_allclose(step, mean + variance.sqrt() * z, atol=1e-10)


def test_samples_of_a_trained_prior_are_the_shapes(trained):
    X = hinges(60, seed=1)
    size = np.linalg.norm(X, axis=(1, 2)).mean()
    Y = trained.sample(X[..., :2], random_state=0)
    np.testing.assert_allclose(Y.mean(1), 0, atol=1e-6)
    error = np.linalg.norm(Y - X, axis=(1, 2)).mean() / size
    flat = np.linalg.norm(X[..., 2], axis=1).mean() / size
    assert flat > 0.3
    assert error < 0.1
    # In other units, with the scale told.
    Z = trained.sample(100 * X[..., :2], scale=100 * trained.scale_, random_state=0)
    np.testing.assert_allclose(Z, 100 * Y, atol=1e-2)
    again = trained.sample(X[..., :2], random_state=1)
    assert not np.array_equal(again, Y)
    hidden = X[..., :2].copy()
    hidden[:, 3] = np.nan
    assert np.isfinite(trained.sample(hidden, random_state=0)).all()


def test_the_loss_prefers_the_shapes(trained):
    X = torch.tensor(hinges(200, seed=1), dtype=torch.float32)
    W = X[..., :2]

    def loss(shapes, **kwargs):
        return trained.loss(shapes, W, generator=torch.Generator().manual_seed(0), **kwargs).item()

    right = loss(X)
    assert loss(X * torch.tensor([1.0, 1.0, 0.0])) > 3 * right
    assert loss(X * torch.tensor([1.0, 1.0, -1.0])) > 3 * right
    # Position and units do not matter.
    assert loss(X + 5.0) == pytest.approx(right, rel=1e-3)
    scaled = trained.loss(
        10 * X,
        10 * W,
        scale=10 * trained.scale_,
        generator=torch.Generator().manual_seed(0),
    )
    assert scaled.item() == pytest.approx(right, rel=1e-3)
    visible = torch.ones(X.shape[:2], dtype=torch.bool)
    visible[:, 4] = False
    junk = torch.where(visible[..., None], W, torch.full_like(W, 1e9))
    nan = torch.where(visible[..., None], W, torch.full_like(W, torch.nan))
    losses = [
        trained.loss(X, points, seen, generator=torch.Generator().manual_seed(0)).item()
        for points, seen in ((junk, visible), (nan, visible), (nan, None))
    ]
    assert losses[0] == losses[1] == losses[2]


def test_gradient_of_the_loss(trained):
    X = torch.tensor(hinges(3, seed=2))
    direction = torch.randn(X.shape, generator=torch.Generator().manual_seed(1), dtype=X.dtype)
    W = X[..., :2].clone()
    before = [None if p.grad is None else p.grad.clone() for p in trained.module_.parameters()]

    def loss(shapes):
        return trained.loss(shapes, W, generator=torch.Generator().manual_seed(0))

    shapes = (X + 0.1 * direction).requires_grad_()
    (gradient,) = torch.autograd.grad(loss(shapes), shapes)
    h = 1e-6
    with torch.no_grad():
        finite = (loss(shapes + h * direction) - loss(shapes - h * direction)) / (2 * h)
    assert (gradient * direction).sum().item() == pytest.approx(finite.item(), rel=1e-6)
    for p, q in zip(trained.module_.parameters(), before, strict=True):
        assert p.grad is None or torch.equal(p.grad, q)
    assert next(trained.module_.parameters()).dtype == torch.float32


@pytest.mark.parametrize("views", ["given", "vertical", "any"])
@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_settings(views, schedule):
    prior = DiffusionPosePrior(**QUICK, views=views, schedule=schedule, n_steps=20).fit(hinges(40))
    assert np.isfinite(prior.loss_curve_).all()
    assert prior.n_iter_ == 5
    again = clone(prior).fit(hinges(40))
    np.testing.assert_array_equal(again.loss_curve_, prior.loss_curve_)
    other = clone(prior).set_params(random_state=1).fit(hinges(40))
    assert not np.array_equal(other.loss_curve_, prior.loss_curve_)


def test_save_and_load(tmp_path, trained):
    path = tmp_path / "prior.safetensors"
    trained.save(path, card={"data": "hinges"})
    W = hinges(5)[..., :2]
    for loaded in (nrsfm_learn.load(path), DiffusionPosePrior.load(path)):
        assert loaded.get_params() == trained.get_params()
        np.testing.assert_array_equal(
            loaded.sample(W, random_state=0), trained.sample(W, random_state=0)
        )
        assert not hasattr(loaded, "runners_up_")
    assert nrsfm_learn.model_card(path)["data"] == "hinges"
    with pytest.raises(ValueError, match="holds a DiffusionPosePrior, not a PAUL"):
        nrsfm_learn.PAUL.load(path)


def test_malformed_input(trained):
    X, prior = hinges(10), DiffusionPosePrior(**QUICK)
    unknown = X.copy()
    unknown[4, 2] = np.nan
    for args, message in (
        ((unknown,), "X has unknown points .* first in frame 4"),
        ((X[..., :2],), "X must have shape"),
        ((X, X[:5, :, :2]), "W has 5 frames, X has 10"),
        ((X, X[:, :4, :2]), "W has 4 points"),
    ):
        with pytest.raises(ValueError, match=message):
            prior.fit(*args)
    with pytest.raises(ValueError, match="views='any' turns the shapes"):
        clone(prior).set_params(views="any").fit(X, X[..., :2])
    with pytest.raises(ValueError, match="'n_steps' parameter"):
        clone(prior).set_params(n_steps=0).fit(X)
    with pytest.raises(ValueError, match="not fitted"):
        prior.sample(X[..., :2])
    with pytest.raises(ValueError, match="W has 4 points"):
        trained.sample(X[:, :4, :2])
    with pytest.raises(ValueError, match="n_steps must be a positive integer"):
        trained.sample(X[..., :2], n_steps=0)
    X = torch.tensor(X)
    with pytest.raises(ValueError, match=r"shapes must have shape .* = \(10, 5, 3\)"):
        trained.loss(X[:, :4], X[..., :2])
    with pytest.raises(ValueError, match="visible must have shape"):
        trained.loss(X, X[..., :2], torch.ones(3, 5))


def test_depth_signs_of_clips(trained):
    X = hinges(60, seed=1)
    groups = np.repeat(["a", "b", "c"], 20)
    mirrored = groups == "b"
    given = np.where(mirrored[:, None, None], mirror_depth(X), X)
    given[3] = np.nan
    # Units and position do not matter: the prior was fitted in others.
    signs = depth_signs(trained, 100 * given + 7, groups=groups, random_state=0)
    np.testing.assert_array_equal(signs[4:], np.where(mirrored, -1, 1)[4:])
    assert signs[3] == 1
    assert (depth_signs(trained, mirror_depth(X), random_state=0) == -1).all()
    own = depth_signs(trained, mirror_depth(X), groups=np.arange(60), random_state=0)
    assert (own < 0).mean() > 0.9
    assert (depth_signs(trained, np.full((2, 5, 3), np.nan)) == 1).all()


def test_depth_signs_refuses_malformed_input(trained):
    X = hinges(10)
    with pytest.raises(ValueError, match="X has 4 points"):
        depth_signs(trained, X[:, :4])
    with pytest.raises(ValueError, match="groups"):
        depth_signs(trained, X, groups=[0, 1])
    with pytest.raises(ValueError, match="not fitted"):
        depth_signs(DiffusionPosePrior(**QUICK), X)
