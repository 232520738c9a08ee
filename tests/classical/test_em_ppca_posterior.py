"""Posterior of the codes against dense Gaussian conditionals."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from nrsfm_learn.classical._em_ppca_posterior import (
    Dynamics,
    Model,
    clip_table,
    expect,
    log_likelihood,
    posterior_codes,
)
from nrsfm_learn.geometry import random_rotations


def problem(n_frames=6, n_points=7, n_bases=3, missing=0.3, seed=0):
    """Random model, keypoints and weights; the last frame shows nothing."""
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    model = Model(
        torch.from_numpy(rng.normal(size=(n_points, 3))),
        torch.from_numpy(0.5 * rng.normal(size=(n_bases, n_points, 3))),
        random_rotations(n_frames, generator=generator, dtype=torch.float64),
        torch.from_numpy(rng.uniform(0.5, 2, n_frames)),
        torch.from_numpy(rng.normal(size=(n_frames, 2))),
        float(rng.uniform(0.05, 0.5)),
    )
    weights = rng.uniform(0.2, 2, size=(n_frames, n_points))
    weights[rng.random(weights.shape) < missing] = 0
    weights[-1] = 0
    W = torch.from_numpy(rng.normal(size=(n_frames, n_points, 2)))
    return W, torch.from_numpy(weights), model


def dense_frame(W, weights, model, f):
    """Observed vector less its mean, its matrix of the codes, and its noise covariance."""
    y, H, noise = [], [], []
    for p in np.flatnonzero(weights[f].numpy() > 0):
        camera = (model.scales[f] * model.rotations[f, :2]).numpy()
        expected = camera @ model.mean[p].numpy() + model.translations[f].numpy()
        for i in range(2):
            y.append(W[f, p, i].item() - expected[i])
            H.append([camera[i] @ V[p].numpy() for V in model.basis])
            noise.append(model.noise_variance / weights[f, p].item())
    return np.array(y), np.array(H).reshape(len(y), len(model.basis)), np.diag(noise)


def dense_posterior(prior, y, H, noise):
    """Mean and covariance of codes given y, and the log density of y, by the joint Gaussian."""
    if not len(y):
        return np.zeros(len(prior)), prior, 0.0
    S = H @ prior @ H.T + noise
    gain = np.linalg.solve(S, H @ prior).T
    log_density = multivariate_normal(np.zeros(len(y)), S).logpdf(y)
    return gain @ y, prior - gain @ H @ prior, log_density


@given(
    n_frames=st.integers(1, 5),
    n_points=st.integers(1, 6),
    n_bases=st.integers(1, 5),
    missing=st.sampled_from([0.0, 0.3, 0.9]),
    seed=st.integers(0, 1000),
)
@settings(deadline=None, max_examples=30)
def test_posterior_is_the_dense_conditional(n_frames, n_points, n_bases, missing, seed):
    W, weights, model = problem(n_frames, n_points, n_bases, missing, seed)
    codes, covariance = posterior_codes(W, weights, *model)
    total = 0.0
    for f in range(n_frames):
        mean, cov, log_density = dense_posterior(
            np.eye(n_bases), *dense_frame(W, weights, model, f)
        )
        np.testing.assert_allclose(codes[f], mean, atol=1e-9)
        np.testing.assert_allclose(covariance[f], cov, atol=1e-9)
        total += log_density
    found = log_likelihood(weights, model, expect(W, weights, model))
    assert found == pytest.approx(total, rel=1e-9, abs=1e-8)


@pytest.mark.parametrize(
    "clips", [None, [0, 0, 0, 0, 0, 0, 0], [2, 2, 5, 5, 5, 5, 9], [1, 0] * 3 + [1]]
)
def test_smoother_is_the_dense_conditional(clips):
    K = 3
    W, weights, model = problem(7, 5, K, seed=3)
    rng = np.random.default_rng(4)
    Phi = 0.5 * rng.normal(size=(K, K))
    root = rng.normal(size=(K, K))
    Q = root @ root.T + 0.1 * np.eye(K)
    dynamics = Dynamics(torch.from_numpy(Phi), torch.from_numpy(Q))
    labels = None if clips is None else torch.tensor(clips)
    posterior = expect(W, weights, model, dynamics, clip_table(labels, 7, W.device))
    total, sums = 0.0, np.zeros((3, K, K))
    labels = np.zeros(7) if clips is None else np.array(clips)
    for label in np.unique(labels):
        frames = np.flatnonzero(labels == label)
        n = len(frames)
        # z = L e, e independent: the codes of a clip as a map of its innovations.
        L, noise = np.zeros((n * K, n * K)), np.zeros((n * K, n * K))
        for t in range(n):
            for s in range(t + 1):
                L[t * K : t * K + K, s * K : s * K + K] = np.linalg.matrix_power(Phi, t - s)
            noise[t * K : t * K + K, t * K : t * K + K] = Q if t else np.eye(K)
        parts = [dense_frame(W, weights, model, f) for f in frames]
        y = np.concatenate([part[0] for part in parts])
        H, N = np.zeros((len(y), n * K)), np.zeros((len(y), len(y)))
        row = 0
        for t, (part, design, spread) in enumerate(parts):
            rows = slice(row, row + len(part))
            H[rows, t * K : t * K + K], N[rows, rows] = design, spread
            row += len(part)
        mean, cov, log_density = dense_posterior(L @ noise @ L.T, y, H, N)
        total += log_density
        second = cov + np.outer(mean, mean)
        for t, f in enumerate(frames):
            here = slice(t * K, t * K + K)
            np.testing.assert_allclose(posterior.codes[f], mean[here], atol=1e-9)
            np.testing.assert_allclose(posterior.covariance[f], cov[here, here], atol=1e-9)
            if t:
                before = slice(t * K - K, t * K)
                sums += [second[here, here], second[here, before], second[before, before]]
    for found, expected in zip(posterior.steps, sums, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-9)
    assert log_likelihood(weights, model, posterior) == pytest.approx(total, rel=1e-10)


def test_without_memory_the_smoother_is_the_independent_posterior():
    W, weights, model = problem()
    eye = torch.eye(3, dtype=torch.float64)
    independent = expect(W, weights, model)
    smoothed = expect(W, weights, model, Dynamics(0 * eye, eye), clip_table(None, 6, W.device))
    torch.testing.assert_close(smoothed.codes, independent.codes)
    torch.testing.assert_close(smoothed.covariance, independent.covariance)
    torch.testing.assert_close(smoothed.evidence, independent.evidence)


@pytest.mark.parametrize("content", [0.0, 1e6, float("nan")])
def test_hidden_keypoints_are_not_read(content):
    W, weights, model = problem()
    expected = posterior_codes(W, weights, *model)
    W[weights == 0] = content
    for found, wanted in zip(posterior_codes(W, weights, *model), expected, strict=True):
        assert torch.equal(found, wanted)


def test_a_frame_does_not_depend_on_the_others():
    W, weights, model = problem(9)
    codes, covariance = posterior_codes(W, weights, *model)
    for f in range(9):
        own = slice(f, f + 1)
        one = posterior_codes(
            W[own],
            weights[own],
            model.mean,
            model.basis,
            model.rotations[own],
            model.scales[own],
            model.translations[own],
            model.noise_variance,
        )
        torch.testing.assert_close(one[0][0], codes[f], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(one[1][0], covariance[f], rtol=1e-12, atol=1e-12)


def test_clip_table():
    table = clip_table(torch.tensor([3, 1, 3, 3, 1]), 5, "cpu")
    assert table.tolist() == [[1, 4, -1], [0, 2, 3]]
