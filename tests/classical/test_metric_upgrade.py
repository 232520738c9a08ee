"""Metric upgrades: derivatives, optimality, and cameras that are known."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nrsfm_learn.classical import _metric_upgrade as upgrade
from nrsfm_learn.datasets import make_low_rank
from nrsfm_learn.geometry import random_rotations

MIRROR = torch.diag(torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64))


def randn(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def rotations_of(n_frames, seed=0):
    return random_rotations(n_frames, generator=generator(seed), dtype=torch.float64)


def scaled_object(n_frames=20, n_points=10, seed=0, spread=0.5):
    """Keypoints of a rigid object in scaled orthographic cameras, their rotations and scales."""
    S = randn(n_points, 3, seed=seed)
    S = S - S.mean(0)
    R = rotations_of(n_frames, seed)
    s = 1 + spread * (2 * torch.rand(n_frames, generator=generator(seed), dtype=torch.float64) - 1)
    return s[:, None, None] * (S @ R[:, :2].mT), R, s


def low_rank_object(n_frames=80, n_points=20, rank=2, seed=0, **options):
    data = make_low_rank(n_frames, n_points, rank, random_state=seed, **options)
    W = torch.from_numpy(data.W)
    return W - W.mean(1, keepdim=True), torch.from_numpy(data.rotations)


def common_frame_error(found, true):
    """Largest difference of rotations up to one common rotation, and perhaps a mirror in depth.

    SciPy-free: the best common rotation is the polar factor of the sum of R_true^T R_found.
    """
    errors = []
    for candidate in (found, MIRROR @ found @ MIRROR):
        U, _, V = np.linalg.svd((true.mT @ candidate).sum(0).numpy())
        turn = torch.from_numpy(U @ np.diag([1, 1, np.linalg.det(U @ V)]) @ V)
        errors.append(float((candidate - true @ turn).abs().max()))
    return min(errors)


def assert_rotations(R):
    eye = torch.eye(3, dtype=R.dtype)
    torch.testing.assert_close(R @ R.mT, eye.expand_as(R), atol=1e-10, rtol=0)
    torch.testing.assert_close(torch.linalg.det(R), torch.ones_like(R[:, 0, 0]))


# -- the factor


def test_motion_factor_spans_the_columns_and_has_rows_of_unit_length():
    W = randn(9, 7, 2)
    W = W - W.mean(1, keepdim=True)
    motion = upgrade.motion_factor(W, 3)
    assert float(motion.square().sum(2).mean()) == pytest.approx(1, rel=1e-12)
    matrix = np.vstack([W[f].numpy().T for f in range(9)])
    U, s, _ = np.linalg.svd(matrix)
    # Products of rows do not depend on the signs of singular vectors.
    expected = (U[:, :3] * s[:3]) @ U[:, :3].T
    rows = motion.reshape(18, 3).numpy()
    np.testing.assert_allclose(rows @ rows.T, expected * 18 / s[:3].sum(), atol=1e-12)


def test_motion_factor_has_no_columns_of_rounding():
    W, _, _ = scaled_object()
    motion = upgrade.motion_factor(W, 6)
    torch.testing.assert_close(motion, upgrade.motion_factor(W, 3))
    noise = 1e-6 * torch.randn(W.shape, generator=torch.Generator().manual_seed(0)).to(W)
    assert upgrade.motion_factor(W + noise, 6).shape[2] == 6


# -- residuals and their derivatives


def unit_formula(motion, G):
    rows = []
    for M in motion @ G:
        i, j = M
        rows.append([i @ i - 1, j @ j - 1, 2**0.5 * (i @ j)])
    return torch.tensor(rows, dtype=torch.float64).T.flatten()


def ratio_formula(motion, G):
    rows = []
    for M in motion @ G:
        i, j = M
        s = (i @ i + j @ j) / 2
        rows.append([(i @ i - j @ j) / s, 2 * (i @ j) / s])
    return torch.tensor(rows, dtype=torch.float64).T.flatten()


@pytest.mark.parametrize(
    ("residuals", "formula"),
    [
        (upgrade._unit_residuals, unit_formula),
        (upgrade._ratio_residuals, ratio_formula),
    ],
)
def test_residuals_and_jacobians(residuals, formula):
    motion, G = randn(5, 2, 6), randn(3, 6, 3, seed=1)
    linearize = residuals(motion)
    r, J = linearize(G.flatten(1))
    assert J.shape == (3, r.shape[1], 18)
    step = 1e-6
    for g in range(3):
        torch.testing.assert_close(r[g], formula(motion, G[g]))
        for k in range(18):
            nudge = torch.zeros(18, dtype=torch.float64)
            nudge[k] = step
            nudge = nudge.reshape(6, 3)
            slope = formula(motion, G[g] + nudge) - formula(motion, G[g] - nudge)
            torch.testing.assert_close(J[g, :, k], slope / (2 * step), atol=1e-6, rtol=1e-6)


# -- the trace-norm problem


def explicit_gradient(motion, Q):
    """Gradient of trace and constraints by loops over frames."""
    n_frames, rank = len(motion), motion.shape[2]
    gradient = upgrade._TRACE_WEIGHT * torch.eye(rank, dtype=torch.float64)
    size = sum(torch.outer(m, m) for frame in motion for m in frame) / (2 * n_frames)
    gradient = gradient + upgrade._CONSTRAINT_WEIGHT * ((size * Q).sum() - 1) * size
    for x, y in motion:
        unequal = torch.outer(x, x) - torch.outer(y, y)
        skew = torch.outer(x, y) + torch.outer(y, x)
        part = (unequal * Q).sum() * unequal + (skew * Q).sum() * skew
        gradient = gradient + upgrade._CONSTRAINT_WEIGHT / n_frames * part
    return gradient


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_gram_matrix_of_least_trace_is_optimal(noise):
    # Of rank 3 the solution is G G^T itself, and the optimality conditions can be looked at.
    W, _, _ = scaled_object(30, 8, seed=2)
    W = W + noise * randn(*W.shape, seed=3)
    motion = upgrade.motion_factor(W - W.mean(1, keepdim=True), 3)
    G = upgrade.gram_by_trace_norm(motion)
    Q = G @ G.T
    gradient = explicit_gradient(motion, Q)
    assert torch.linalg.eigvalsh(gradient)[0] > -1e-4
    assert (gradient @ Q).abs().max() < 1e-4
    # For scale: without the solution the gradient is that of the constraint on the size.
    assert explicit_gradient(motion, 0 * Q).abs().max() > 100


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_gram_matrix_meets_the_constraints_of_exact_data(rank):
    W, _ = low_rank_object(rank=rank)
    motion = upgrade.motion_factor(W, 3 * rank)
    G = upgrade.gram_by_trace_norm(motion)
    assert G.shape == (3 * rank, 3)
    i, j = (motion @ G).unbind(1)
    if rank == 1:
        np.testing.assert_allclose((i * j).sum(1), np.zeros(len(W)), atol=1e-3)
        np.testing.assert_allclose(i.square().sum(1), j.square().sum(1), atol=1e-3)
        assert float((i.square().sum(1) + j.square().sum(1)).mean()) / 2 == pytest.approx(
            1, abs=1e-3
        )
    violation = ((i * j).sum(1).square() + (i.square().sum(1) - j.square().sum(1)).square()).mean()
    length = float((i.square().sum(1) + j.square().sum(1)).mean()) / 2
    assert 0.3 < length < 1.001
    assert float(violation) < 0.05 * length**2


# -- rotations


@given(st.integers(0, 2**31), st.integers(5, 40), st.integers(5, 15))
@settings(deadline=None, max_examples=25)
def test_rigid_object_with_a_scale_for_each_frame(seed, n_frames, n_points):
    W, R, s = scaled_object(n_frames, n_points, seed)
    found = upgrade.free_scale_upgrade(upgrade.motion_factor(W, 3))
    assert found.residual < 1e-12
    assert_rotations(found.rotations)
    assert common_frame_error(found.rotations, R) < 1e-4
    np.testing.assert_allclose(found.scales, s / s.mean(), rtol=1e-4)


@given(st.integers(0, 2**31), st.integers(5, 40), st.integers(5, 15))
@settings(deadline=None, max_examples=25)
def test_rigid_object_of_constant_scale(seed, n_frames, n_points):
    W, R, _ = scaled_object(n_frames, n_points, seed, spread=0)
    found = upgrade.constant_scale_upgrade(upgrade.motion_factor(W, 3), 3, generator(seed))
    assert found.residual < 1e-12
    assert found.converged
    assert_rotations(found.rotations)
    assert common_frame_error(found.rotations, R) < 1e-4
    np.testing.assert_allclose(found.scales, np.ones(n_frames), atol=1e-4)


@pytest.mark.parametrize("rank", [2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_deforming_object(rank, seed):
    W, R = low_rank_object(rank=rank, seed=seed)
    found = upgrade.free_scale_upgrade(upgrade.motion_factor(W, 3 * rank))
    assert found.converged
    assert found.residual < 1e-10
    signed = upgrade.synchronize_signs(W, found.rotations, found.scales)
    assert common_frame_error(signed, R) < 1e-3
    # The triplet of the first basis, whose coefficient is 1, is among the solutions.
    fixed = upgrade.constant_scale_upgrade(upgrade.motion_factor(W, 3 * rank), 10, generator())
    assert fixed.converged
    assert fixed.residual < 1e-10
    assert common_frame_error(fixed.rotations, R) < 1e-3


def test_residual_is_that_of_the_triplet():
    W = randn(12, 9, 2)
    motion = upgrade.motion_factor(W - W.mean(1, keepdim=True), 6)
    free = upgrade.free_scale_upgrade(motion)
    expected = ratio_formula(motion, free.triplet).square().sum() / 12
    assert free.residual == pytest.approx(float(expected), rel=1e-9)
    fixed = upgrade.constant_scale_upgrade(motion, 4, generator())
    expected = unit_formula(motion, fixed.triplet).square().sum() / 12
    assert fixed.residual == pytest.approx(float(expected), rel=1e-9)
    for found in (free, fixed):
        assert_rotations(found.rotations)
        assert float(found.scales.mean()) == pytest.approx(1)


def test_more_starts_are_never_worse_and_the_seed_decides():
    W = randn(12, 9, 2)
    motion = upgrade.motion_factor(W - W.mean(1, keepdim=True), 6)

    def residual(n_init, seed=0):
        return upgrade.constant_scale_upgrade(motion, n_init, generator(seed)).residual

    found = [residual(n) for n in (1, 3, 8)]
    assert found[0] >= found[1] * (1 - 1e-9)
    assert found[0] >= found[2] * (1 - 1e-9)
    assert residual(8) == residual(8)


# -- signs


def flipped(R, seed):
    sign = torch.from_numpy(np.random.default_rng(seed).choice([-1.0, 1.0], len(R)))
    return torch.stack([sign, sign, torch.ones_like(sign)], 1)[..., None] * R


# Fewer frames than 3 P, between 2 P and 3 P, and more.
@pytest.mark.parametrize("n_frames", [12, 25, 80])
@pytest.mark.parametrize("seed", range(3))
def test_signs_are_recovered(n_frames, seed):
    W, R = low_rank_object(n_frames, 10, 3, seed=seed, deformation=0.3)
    order = np.random.default_rng(seed).permutation(n_frames)
    W, R = W[order], R[order]
    found = upgrade.synchronize_signs(W, flipped(R, seed + 1), torch.ones(n_frames).double())
    both = torch.diag(torch.tensor([-1.0, -1, 1], dtype=torch.float64))
    assert torch.equal(found, R) or torch.equal(found, both @ R)
    assert_rotations(found)


def test_signs_do_not_depend_on_the_order_of_the_frames():
    W, R = low_rank_object(30, 12, 3, deformation=0.8)
    W = W + 0.1 * randn(*W.shape)
    R, scales = flipped(R, 5), 0.5 + torch.rand(30, generator=generator()).double()
    order = torch.from_numpy(np.random.default_rng(0).permutation(30))
    found = upgrade.synchronize_signs(W, R, scales)
    again = upgrade.synchronize_signs(W[order], R[order], scales[order])
    assert torch.equal(again, found[order])


# -- the rotations that others build on


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("seed", range(2))
def test_high_rank_rotations_of_exact_data(rank, seed):
    # The factorisation has a higher rank than the data.
    W, R = low_rank_object(rank=rank, seed=seed)
    assert common_frame_error(upgrade.high_rank_rotations(W), R) < 1e-2


def noisy_object():
    W, _ = low_rank_object(40, 14, 3, noise=0.05)
    return W


def frame_products(R):
    """What does not depend on the common frame, nor on a mirror: products of first two rows."""
    rows = R[:, :2].reshape(-1, 3)
    return rows @ rows.T


@pytest.mark.parametrize("unit", [1e-4, 1e5])
def test_high_rank_rotations_do_not_depend_on_units(unit):
    W = noisy_object()
    found = frame_products(upgrade.high_rank_rotations(W))
    again = frame_products(upgrade.high_rank_rotations(unit * W))
    torch.testing.assert_close(again, found, atol=1e-5, rtol=0)


def test_high_rank_rotations_turn_with_the_image():
    W = noisy_object()
    angle = torch.tensor(0.7, dtype=torch.float64)
    turn = torch.eye(3, dtype=torch.float64)
    turn[:2, :2] = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()]).reshape(2, 2)
    found = upgrade.high_rank_rotations(W)
    again = upgrade.high_rank_rotations(W @ turn[:2, :2].T)
    torch.testing.assert_close(
        frame_products(again), frame_products(turn @ found), atol=1e-5, rtol=0
    )


def test_high_rank_rotations_follow_the_frames():
    W = noisy_object()
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(W)))
    found = upgrade.high_rank_rotations(W)[order]
    again = upgrade.high_rank_rotations(W[order])
    torch.testing.assert_close(frame_products(again), frame_products(found), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("n_frames", "n_points"), [(3, 4), (3, 40), (40, 4), (4, 7)])
def test_few_frames_or_points(n_frames, n_points):
    W = randn(n_frames, n_points, 2)
    R = upgrade.high_rank_rotations(W - W.mean(1, keepdim=True))
    assert R.shape == (n_frames, 3, 3)
    assert_rotations(R)
