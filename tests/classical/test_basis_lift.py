"""Frames made from a known basis, lifted again."""

import numpy as np
import pytest
import scipy.optimize
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from nrsfm_learn.classical._basis_lift import (
    ShapeBasis,
    learn_basis,
    lift_with_basis,
    strided,
)
from nrsfm_learn.geometry import random_rotations

# Steps end where the sum of squares no longer falls, which leaves half its digits to the rest.
STOPPED = {"atol": 1e-7, "rtol": 0}
SCALE = pytest.mark.parametrize("scale", [False, True])


def randn(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def model_of(n_points=15, n_bases=2, noise=1e-4, seed=0, n_candidates=30):
    mean = randn(n_points, 3, seed=seed)
    basis = 0.3 * randn(n_bases, n_points, 3, seed=seed + 1)
    mean, basis = mean - mean.mean(0), basis - basis.mean(1, keepdim=True)
    shapes = mean + torch.einsum("fk,kpi->fpi", randn(n_candidates, n_bases, seed=seed + 2), basis)
    return ShapeBasis(mean, basis, noise, strided(mean, shapes))


def frames_of(model, n_frames=12, missing=0.0, scale=False, seed=5):
    """Keypoints, weights and what they were made from."""
    n_bases, n_points, _ = model.basis.shape
    codes = randn(n_frames, n_bases, seed=seed)
    shapes = model.mean + torch.einsum("fk,kpi->fpi", codes, model.basis)
    generator = torch.Generator().manual_seed(seed)
    R = random_rotations(n_frames, generator=generator, dtype=torch.float64)
    s = 0.5 + torch.rand(n_frames, generator=generator).double() * (2 if scale else 0)
    s = s if scale else torch.ones(n_frames).double()
    t = randn(n_frames, 2, seed=seed + 1)
    W = s[:, None, None] * (shapes @ R.mT)[..., :2] + t[:, None]
    rng = np.random.default_rng(seed + 2)
    visible = rng.random((n_frames, n_points)) >= missing
    for row in visible:
        row[rng.permutation(n_points)[:10]] = True
    weights = torch.from_numpy(visible).double()
    return W * weights[..., None], weights, codes, shapes, R, s, t


@SCALE
@pytest.mark.parametrize("missing", [0.0, 0.4])
@pytest.mark.parametrize("seed", range(3))
def test_frames_of_the_model_come_back(missing, scale, seed):
    model = model_of(seed=seed)
    W, weights, codes, shapes, R, s, t = frames_of(model, missing=missing, scale=scale)
    found = lift_with_basis(W, weights, model, scale=scale)
    # The prior on the codes pulls by the square of the noise.
    tolerance = {"atol": 1e-4, "rtol": 0}
    torch.testing.assert_close(found.codes, codes, **tolerance)
    torch.testing.assert_close(found.shapes, shapes, **tolerance)
    torch.testing.assert_close(found.rotations, R, **tolerance)
    torch.testing.assert_close(found.scales, s, **tolerance)
    torch.testing.assert_close(found.offsets, t, **tolerance)


def posterior(x, W, weights, model, scale):
    """Objective of one frame as the docstring has it: rotation vector, codes, t and log scale."""
    n_codes = len(model.basis)
    R = Rotation.from_rotvec(x[:3]).as_matrix()
    codes, t = x[3 : 3 + n_codes], x[3 + n_codes : 5 + n_codes]
    s = np.exp(x[-1]) if scale else 1.0
    shape = model.mean.numpy() + np.einsum("k,kpi->pi", codes, model.basis.numpy())
    left = W.numpy() - t - s * (shape @ R.T)[:, :2]
    root = np.sqrt(weights.numpy())[:, None] / model.noise
    return np.concatenate([(root * left).ravel(), codes])


@SCALE
def test_the_posterior_of_noisy_frames_has_its_peak_there(scale):
    model = model_of(noise=0.1)
    W, weights, codes, _, R, s, t = frames_of(model, n_frames=6, missing=0.3, scale=scale)
    weights = weights * (
        0.3 + torch.rand(weights.shape, generator=torch.Generator().manual_seed(1))
    )
    W = (W + 0.1 * randn(*W.shape, seed=3)) * (weights > 0)[..., None]
    found = lift_with_basis(W, weights, model, scale=scale)
    for f in range(6):

        def unknowns(R, codes, t, s, f=f):
            rotvec = Rotation.from_matrix(R[f].numpy()).as_rotvec()
            return np.concatenate([rotvec, codes[f], t[f], [s[f].log()] if scale else []])

        def descend(x, f=f):
            arguments = (W[f], weights[f], model, scale)
            again = scipy.optimize.least_squares(posterior, x, args=arguments, xtol=1e-12)
            return np.square(posterior(x, *arguments)).sum(), 2 * again.cost, again.grad

        # SciPy finds nothing better nearby, nor from the truth.
        x = unknowns(found.rotations, found.codes, found.offsets, found.scales)
        cost, nearby, gradient = descend(x)
        assert nearby > cost * (1 - 1e-6)
        assert np.abs(gradient).max() < 1e-2 * cost
        assert descend(unknowns(R, codes, t, s))[1] > cost * (1 - 1e-6)


@SCALE
@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_each_frame_is_lifted_by_itself(scale, missing):
    model = model_of(noise=0.05)
    W, weights, *_ = frames_of(model, missing=missing, scale=scale)
    W = (W + 0.1 * randn(*W.shape, seed=4)) * weights[..., None]
    together = lift_with_basis(W, weights, model, scale=scale)
    for f in (0, 5, 11):
        alone = lift_with_basis(W[f : f + 1], weights[f : f + 1], model, scale=scale)
        for one, many in zip(alone, together, strict=True):
            torch.testing.assert_close(one[0], many[f], **STOPPED)
    order = torch.from_numpy(np.random.default_rng(0).permutation(12))
    turned = lift_with_basis(W[order], weights[order], model, scale=scale)
    for one, many in zip(turned, together, strict=True):
        torch.testing.assert_close(one, many[order], **STOPPED)


def test_many_frames_go_in_parts():
    model = model_of(8, 1, noise=0.05, n_candidates=4)
    W, weights, *_ = frames_of(model, n_frames=6)
    W = W + 0.05 * randn(*W.shape, seed=4)
    once = lift_with_basis(W, weights, model)
    often = lift_with_basis(W.repeat(50, 1, 1), weights.repeat(50, 1), model)
    assert len(often.shapes) == 300
    for one, many in zip(once, often, strict=True):
        torch.testing.assert_close(many[-6:], one, atol=1e-9, rtol=0)


def test_what_hidden_keypoints_hold_and_where_a_frame_stands_does_not_matter():
    model = model_of(noise=0.05)
    W, weights, *_ = frames_of(model, missing=0.4)
    found = lift_with_basis(W, weights, model)
    other = lift_with_basis(W + 100 * (1 - weights)[..., None], weights, model)
    for one, two in zip(found, other, strict=True):
        torch.testing.assert_close(one, two, atol=1e-9, rtol=0)
    moved = lift_with_basis((W + 7) * weights[..., None], weights, model)
    torch.testing.assert_close(moved.offsets, found.offsets + 7, atol=1e-7, rtol=0)
    torch.testing.assert_close(moved.shapes, found.shapes, atol=1e-7, rtol=0)


@SCALE
def test_rigid_model(scale):
    model = model_of(n_bases=0)
    W, weights, _, shapes, R, s, t = frames_of(model, missing=0.3, scale=scale)
    found = lift_with_basis(W, weights, model, scale=scale)
    assert found.codes.shape == (12, 0)
    torch.testing.assert_close(found.shapes, shapes)
    torch.testing.assert_close(found.rotations, R, atol=1e-6, rtol=0)
    torch.testing.assert_close(found.scales, s, atol=1e-6, rtol=0)
    torch.testing.assert_close(found.offsets, t, atol=1e-6, rtol=0)


def test_a_scale_is_taken_up_where_it_is_asked_for_only():
    model = model_of(noise=0.01)
    W, weights, *_ = frames_of(model)
    assert (lift_with_basis(3 * W, weights, model).scales == 1).all()
    found = lift_with_basis(3 * W, weights, model, scale=True)
    torch.testing.assert_close(found.scales, torch.full((12,), 3.0).double(), atol=0.02, rtol=0)


@SCALE
@pytest.mark.parametrize("kind", ["three", "coincident", "in a row", "one"])
def test_degenerate_frames_are_finite(kind, scale):
    model = model_of(noise=0.05)
    W, weights, *_ = frames_of(model)
    if kind in ("three", "one"):
        weights[:, 3 if kind == "three" else 1 :] = 0
    elif kind == "coincident":
        W[:] = 2.0
    else:
        W[..., 1] = 0.0
    found = lift_with_basis(W * weights[..., None], weights, model, scale=scale)
    assert all(field.isfinite().all() for field in found)
    eye = torch.eye(3).double().expand(12, 3, 3)
    torch.testing.assert_close(found.rotations @ found.rotations.mT, eye, atol=1e-9, rtol=0)
    assert (found.scales > 0).all()
    # The codes stay within reason.
    assert found.codes.abs().max() < 30


def test_a_wide_noise_keeps_to_the_mean():
    model = model_of(noise=1e3)
    W, weights, *_ = frames_of(model)
    assert lift_with_basis(W, weights, model).codes.abs().max() < 1e-3


# -- what is learned


@given(st.integers(0, 2**31), st.integers(1, 20), st.integers(0, 6))
@settings(deadline=None, max_examples=30)
def test_learned_basis_is_principal_component_analysis(seed, n_frames, n_bases):
    shapes = randn(n_frames, 5, 3, seed=seed)
    shapes = shapes - shapes.mean(1, keepdim=True)
    model, codes = learn_basis(shapes, n_bases, 0.1)
    kept = min(n_bases, max(n_frames - 1, 0), 12)
    assert model.basis.shape == (kept, 5, 3)
    assert codes.shape == (n_frames, kept)
    assert model.noise == 0.1
    torch.testing.assert_close(model.mean, shapes.mean(0))
    flat = (shapes - shapes.mean(0)).reshape(n_frames, -1).numpy()
    variance, vectors = np.linalg.eigh(flat.T @ flat / n_frames)
    V = vectors[:, ::-1][:, :kept]
    # Each basis shape is as long as the standard deviation.
    lengths = model.basis.flatten(1).norm(dim=1).numpy()
    np.testing.assert_allclose(lengths**2, variance[::-1][:kept], atol=1e-8)
    rebuilt = (codes @ model.basis.flatten(1)).numpy()
    np.testing.assert_allclose(rebuilt, flat @ V @ V.T, atol=1e-6)
    np.testing.assert_allclose(codes.T @ codes / n_frames, np.eye(kept), atol=1e-8)


def test_components_that_vanish_are_left_out():
    shapes = torch.einsum("fk,kpi->fpi", randn(20, 2), randn(2, 6, 3, seed=1))
    model, codes = learn_basis(shapes, 5, 0.1)
    assert len(model.basis) == codes.shape[1] == 2
    rigid, codes = learn_basis(shapes[:1].expand(20, -1, -1), 5, 0.1)
    assert len(rigid.basis) == codes.shape[1] == 0


@pytest.mark.parametrize("n_frames", [1, 30, 64, 127, 128, 1000])
def test_candidates_are_the_mean_and_shapes_from_all_over(n_frames):
    shapes = randn(n_frames, 4, 3)
    mean = shapes.mean(0)
    candidates = strided(mean, shapes)
    assert torch.equal(candidates[0], mean)
    index = [(shapes == c).flatten(1).all(1).nonzero().item() for c in candidates[1:]]
    assert index == sorted(set(index))
    assert index[0] == 0
    assert n_frames - index[-1] <= -(-n_frames // 64)
    assert min(n_frames, 33) <= len(index) <= 64
