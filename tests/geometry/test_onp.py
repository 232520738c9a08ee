import numpy as np
import pytest
import scipy.optimize
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from nrsfm_learn.geometry import (
    axis_angle_to_matrix,
    joint_onp,
    onp,
    project_weak_perspective,
    random_rotations,
    refine_onp,
)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def scene(n_frames, n_points, seed=0):
    generator = torch.Generator().manual_seed(seed)
    S = randn(n_frames, n_points, 3, seed=seed) + randn(n_frames, 1, 3, seed=seed + 1)
    R = random_rotations(n_frames, generator=generator, dtype=torch.float64)
    s = 0.1 + 5 * torch.rand(n_frames, generator=generator, dtype=torch.float64)
    t = 10 * randn(n_frames, 2, seed=seed + 2)
    visible = torch.rand(n_frames, n_points, generator=generator) > 0.3
    visible[:, :5] = True
    return S, R, s, t, visible


@given(st.integers(0, 2**31), st.integers(5, 20))
@settings(deadline=None, max_examples=40)
def test_exact_pose_with_masks(seed, n_points):
    S, R, s, t, visible = scene(6, n_points, seed)
    # Our convention, by columns: x_cam = R x.
    X_cam = torch.einsum("fij,fpj->fpi", R, S)
    W = s[:, None, None] * X_cam[..., :2] + t[:, None]
    W = torch.where(visible[..., None], W, torch.nan)
    fit = onp(S, W, visible=visible)
    seen = [x[m] - x[m].mean(0) for x, m in zip(S, visible, strict=True)]
    spread = torch.stack([torch.linalg.svdvals(x) for x in seen])
    tolerance = 1e-11 * (spread[:, 0] / spread[:, 2]) ** 2
    assert ((fit.rotation - R).abs().amax((-2, -1)) < tolerance).all()
    assert ((fit.scale / s - 1).abs() < tolerance).all()
    assert ((fit.translation - t).abs().amax(-1) < 100 * tolerance).all()
    projected = project_weak_perspective(S @ fit.rotation.mT, fit.scale, fit.translation)
    error = (projected - W)[visible].abs().max()
    assert error < 100 * tolerance.max()


def test_noisy_is_numpy_least_squares_then_polar(device, dtype):
    S, R, s, _, visible = scene(5, 12)
    W = s[:, None, None] * (S @ R.mT)[..., :2] + 0.3 * randn(5, 12, 2, seed=9)
    fit = onp(*(x.to(device, dtype) for x in (S, W)), visible=visible.to(device))
    atol = 1e-10 if dtype == torch.float64 else 1e-4
    for f in range(5):
        m = visible[f].numpy()
        S0, W0 = S[f].numpy()[m], W[f].numpy()[m]
        S0, W0 = S0 - S0.mean(0), W0 - W0.mean(0)
        U, _, Vt = np.linalg.svd(np.linalg.lstsq(S0, W0, rcond=None)[0], full_matrices=False)
        Q = U @ Vt
        np.testing.assert_allclose(fit.rotation[f, :2].cpu(), Q.T, atol=atol)
        scale = (W0 * (S0 @ Q)).sum() / ((S0 @ Q) ** 2).sum()
        np.testing.assert_allclose(fit.scale[f].cpu(), scale, atol=atol)
    assert (torch.linalg.det(fit.rotation) - 1).abs().max() < 1e-5


def test_weights_count_like_copies():
    S, R, s, _, _ = scene(3, 8)
    W = s[:, None, None] * (S @ R.mT)[..., :2] + 0.3 * randn(3, 8, 2, seed=9)
    weights = torch.tensor([2.0, 1, 1, 0, 1, 3, 1, 1], dtype=torch.float64)
    index = torch.repeat_interleave(torch.arange(8), weights.long())
    weighted, copied = onp(S, W, visible=weights), onp(S[:, index], W[:, index])
    for a, b in zip(weighted, copied, strict=True):
        assert torch.allclose(a, b)


def test_without_scale():
    S, R, _, t, visible = scene(4, 9)
    W = (S @ R.mT)[..., :2] + t[:, None]
    fit = onp(S, W, visible=visible, scale=False)
    assert torch.equal(fit.scale, torch.ones(4, dtype=torch.float64))
    assert (fit.rotation - R).abs().max() < 1e-9
    assert (fit.translation - t).abs().max() < 1e-9


@pytest.mark.parametrize("scale", [True, False])
def test_derivative(scale, device):
    S, R, s, _, visible = (x.to(device) for x in scene(2, 7))
    W = s[:, None, None] * (S @ R.mT)[..., :2] + 0.2 * randn(2, 7, 2, seed=9).to(device)
    W[~visible] = torch.nan
    S.requires_grad_()
    assert gradcheck(lambda x: tuple(onp(x, W, visible=visible, scale=scale)), S)
    clean = W.nan_to_num().requires_grad_()
    assert gradcheck(lambda w: tuple(onp(S, w, visible=visible, scale=scale)), clean)
    weights = (visible.double() * 0.5 + 0.25).requires_grad_()
    assert gradcheck(lambda m: tuple(onp(S, clean, visible=m, scale=scale)), weights)


def test_flat_shapes_keep_what_they_determine(device, dtype):
    S, R, _, _, _ = scene(5, 9)
    S[..., 2] = 0
    W = (S @ R.mT)[..., :2]
    S, W = S.to(device, dtype).requires_grad_(), W.to(device, dtype)
    fit = onp(S, W, scale=False)
    # The least-squares matrix restricted to the plane is known, its normal row is zero: the result
    # is the polar factor of that, so the two in-plane rows come from R alone.
    known = R.mT[:, :2, :2]
    U, _, Vt = torch.linalg.svd(known)
    atol = 1e-6 if dtype == torch.float64 else 2e-2
    assert (fit.rotation.mT[:, :2, :2].cpu() - U @ Vt).abs().max() < atol
    fit.rotation.mul(torch.arange(9, device=device).reshape(3, 3)).sum().backward()
    assert S.grad.isfinite().all()


@pytest.mark.parametrize("n_visible", [0, 1, 2, 3])
def test_too_few_points_are_finite(n_visible, device, dtype):
    S, R, _, _, _ = scene(4, 9)
    W = (S @ R.mT)[..., :2].to(device, dtype)
    visible = (torch.arange(9) < n_visible).expand(4, 9).to(device)
    S = S.to(device, dtype).requires_grad_()
    fit = onp(S, W, visible=visible)
    assert all(x.isfinite().all() for x in fit)
    assert (fit.rotation @ fit.rotation.mT - torch.eye(3, device=device)).abs().max() < 1e-5
    sum(x.sum() for x in fit).backward()
    assert S.grad.isfinite().all()


def test_broadcast_and_bad_input():
    S, R, _, _, _ = scene(4, 9)
    W = (S[0] @ R.mT)[..., :2]
    fit = onp(S[0], W)
    assert fit.rotation.shape == (4, 3, 3)
    assert (fit.rotation - R).abs().max() < 1e-9
    assert fit.scale.shape == (4,)
    assert fit.translation.shape == (4, 2)
    with pytest.raises(ValueError, match=r"W must have shape \(..., 9, 2\)"):
        onp(S, W[:, :8])
    with pytest.raises(ValueError, match="visible must have shape"):
        onp(S, W, visible=torch.ones(4, 8, dtype=torch.bool))


# -- several shapes of one frame


def deform(S, amount, seed=20):
    return S + amount * randn(*S.shape, seed=seed)


@given(st.integers(0, 2**31), st.integers(5, 20))
@settings(deadline=None, max_examples=40)
def test_joint_pose_of_exact_shapes(seed, n_points):
    S, R, _, t, visible = scene(6, n_points, seed)
    W = (S @ R.mT)[..., :2] + t[:, None]
    W = torch.where(visible[..., None], W, torch.nan)
    # Where the shapes stand, each of its own, does not matter.
    shapes = [S, S + 10 * randn(6, 1, 3, seed=seed + 3), S - 1]
    seen = [x[m] - x[m].mean(0) for x, m in zip(S, visible, strict=True)]
    spread = torch.stack([torch.linalg.svdvals(x) for x in seen])
    tolerance = 1e-10 * (spread[:, 0] / spread[:, 2]) ** 2
    found = joint_onp(shapes, W, visible=visible)
    assert ((found - R).abs().amax((-2, -1)) < tolerance).all()


def test_joint_pose_is_numpy_least_squares_over_the_stack_then_polar(device, dtype):
    S, R, _, _, visible = scene(5, 12)
    W = (S @ R.mT)[..., :2] + 0.3 * randn(5, 12, 2, seed=9)
    shapes = [S, deform(S, 0.4)]
    W_in = torch.where(visible[..., None], W, torch.nan).to(device, dtype)
    found = joint_onp([x.to(device, dtype) for x in shapes], W_in, visible=visible.to(device))
    for f in range(5):
        m = visible[f].numpy()
        rows = [x[f].numpy()[m] - x[f].numpy()[m].mean(0) for x in shapes]
        W0 = W[f].numpy()[m] - W[f].numpy()[m].mean(0)
        A = np.linalg.lstsq(np.vstack(rows), np.vstack([W0, W0]), rcond=None)[0]
        U, _, Vt = np.linalg.svd(A, full_matrices=False)
        Q = U @ Vt
        expected = np.vstack([Q.T, np.cross(Q[:, 0], Q[:, 1])])
        atol = 1e-10 if dtype == torch.float64 else 1e-4
        np.testing.assert_allclose(found[f].cpu(), expected, atol=atol)


def test_joint_pose_of_one_shape_is_that_of_onp():
    S, R, s, t, visible = scene(5, 12)
    W = s[:, None, None] * (S @ R.mT)[..., :2] + t[:, None] + 0.3 * randn(5, 12, 2, seed=9)
    expected = onp(S, W, visible=visible, scale=False).rotation
    for shapes in ([S], [S, S], (S, S + 5)):
        torch.testing.assert_close(joint_onp(shapes, W, visible=visible), expected)


def test_joint_pose_weights_count_like_copies():
    S, R, _, _, _ = scene(3, 8)
    W = (S @ R.mT)[..., :2] + 0.3 * randn(3, 8, 2, seed=9)
    shapes = [S, deform(S, 0.2)]
    weights = torch.tensor([2.0, 1, 1, 0, 1, 3, 1, 1], dtype=torch.float64)
    index = torch.repeat_interleave(torch.arange(8), weights.long())
    weighted = joint_onp(shapes, W, visible=weights)
    copied = joint_onp([x[:, index] for x in shapes], W[:, index])
    torch.testing.assert_close(weighted, copied)


def test_joint_pose_derivative(device):
    S, R, _, _, visible = (x.to(device) for x in scene(2, 7))
    W = ((S @ R.mT)[..., :2] + 0.2 * randn(2, 7, 2, seed=9).to(device)).requires_grad_()
    other = deform(S.cpu(), 0.3).to(device).requires_grad_()
    S.requires_grad_()
    assert gradcheck(lambda a, b, w: joint_onp([a, b], w, visible=visible), (S, other, W))


def test_joint_pose_refuses_other_points():
    S, _, _, _, _ = scene(2, 7)
    with pytest.raises(ValueError, match=r"shapes must have shape \(..., 7, 3\)"):
        joint_onp([S, S[:, :6]], S[..., :2])


# -- refinement


def reprojection(S, W, R, visible):
    """Squared error of each frame, by loops."""
    errors = []
    for f in range(len(S)):
        m = visible[f]
        X, seen = S[f][m] @ R[f].mT, W[f][m]
        errors.append((X[:, :2] - X[:, :2].mean(0) - seen + seen.mean(0)).square().sum())
    return torch.stack(errors)


def noisy_scene(noise=0.3, n_frames=8, n_points=10, seed=0):
    S, R, _, t, visible = scene(n_frames, n_points, seed)
    W = (S @ R.mT)[..., :2] + t[:, None] + noise * randn(n_frames, n_points, 2, seed=seed + 9)
    return S, R, torch.where(visible[..., None], W, torch.nan), visible


def test_refinement_of_an_exact_pose_leaves_it():
    S, R, W, visible = noisy_scene(0)
    torch.testing.assert_close(refine_onp(S, W, R, visible=visible), R, rtol=0, atol=1e-9)


@given(st.integers(0, 2**31))
@settings(deadline=None, max_examples=25)
def test_refinement_finds_an_exact_pose_from_nearby(seed):
    S, R, W, visible = noisy_scene(0, seed=seed)
    omega = 0.1 * randn(8, 3, seed=seed + 1)
    start = axis_angle_to_matrix(omega) @ R
    found = refine_onp(S, W, start, visible=visible, n_steps=20)
    assert (reprojection(S, W, found, visible) < 1e-8).all()


@given(st.integers(0, 2**31), st.integers(1, 6))
@settings(deadline=None, max_examples=25)
def test_refinement_never_raises_the_error(seed, n_steps):
    S, _, W, visible = noisy_scene(0.5, seed=seed)
    start = onp(S, W, visible=visible, scale=False).rotation
    found = refine_onp(S, W, start, visible=visible, n_steps=n_steps)
    before, after = (reprojection(S, W, R, visible) for R in (start, found))
    assert (after <= before * (1 + 1e-12)).all()
    assert (found @ found.mT - torch.eye(3)).abs().max() < 1e-10
    assert (torch.linalg.det(found) > 0.5).all()


def test_refinement_ends_where_the_error_is_least():
    S, _, W, visible = noisy_scene(0.4)
    start = onp(S, W, visible=visible, scale=False).rotation
    found = refine_onp(S, W, start, visible=visible, n_steps=50)
    step = 1e-5
    for axis in range(3):
        omega = torch.zeros(8, 3, dtype=torch.float64)
        omega[:, axis] = step
        up, down = (
            reprojection(S, W, axis_angle_to_matrix(w) @ found, visible) for w in (omega, -omega)
        )
        scale = reprojection(S, W, found, visible).max()
        assert ((up - down).abs() / (2 * step) < 1e-5 * scale).all()
    # SciPy, started in the same places, gets no lower.
    for f in range(8):

        def error(w, f=f):
            turned = axis_angle_to_matrix(torch.from_numpy(w)) @ start[f]
            return reprojection(S[f : f + 1], W[f : f + 1], turned[None], visible[f : f + 1]).item()

        best = scipy.optimize.minimize(error, np.zeros(3), method="BFGS").fun
        assert reprojection(S, W, found, visible)[f] <= best * (1 + 1e-6)
    default = refine_onp(S, W, start, visible=visible)
    before, three, many = (reprojection(S, W, R, visible).sum() for R in (start, default, found))
    assert before - three > 0.9 * (before - many) > 0


def test_refinement_weights_count_like_copies():
    S, R, _, _, _ = scene(3, 8)
    W = (S @ R.mT)[..., :2] + 0.3 * randn(3, 8, 2, seed=9)
    weights = torch.tensor([2.0, 1, 1, 0, 1, 3, 1, 1], dtype=torch.float64)
    index = torch.repeat_interleave(torch.arange(8), weights.long())
    weighted = refine_onp(S, W, R, visible=weights)
    copied = refine_onp(S[:, index], W[:, index], R)
    torch.testing.assert_close(weighted, copied)


@pytest.mark.parametrize("n_visible", [0, 1, 2, 3])
def test_refinement_with_too_few_points_is_finite(n_visible, device, dtype):
    S, R, _, _, _ = scene(4, 9)
    W = (S @ R.mT)[..., :2].to(device, dtype)
    visible = (torch.arange(9) < n_visible).expand(4, 9).to(device)
    start = random_rotations(4, generator=torch.Generator().manual_seed(3)).to(device, dtype)
    found = refine_onp(S.to(device, dtype), W, start, visible=visible)
    assert found.isfinite().all()
    assert (found @ found.mT - torch.eye(3, device=device)).abs().max() < 1e-5


def test_refinement_refuses_other_shapes():
    S, R, _, _, _ = scene(4, 9)
    with pytest.raises(ValueError, match=r"W must have shape \(..., 9, 2\)"):
        refine_onp(S, S[:, :8, :2], R)
    with pytest.raises(ValueError, match=r"rotation must have shape \(..., 3, 3\)"):
        refine_onp(S, S[..., :2], R[..., :2])
