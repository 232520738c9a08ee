import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from torch.autograd import gradcheck

from nrsfm_learn.geometry import generalized_procrustes, procrustes, random_rotations


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotations(n, seed=0):
    return random_rotations(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class TestProcrustes:
    @given(st.integers(0, 2**31), st.integers(3, 12), st.booleans())
    @settings(deadline=None, max_examples=40)
    def test_moved_copy_is_met(self, seed, n_points, masked):
        X, t = randn(4, n_points, 3, seed=seed), randn(4, 3, seed=seed + 1)
        R, s = rotations(4, seed=seed), torch.tensor([0.1, 1.0, 3.0, 50.0], dtype=torch.float64)
        Y = s[:, None, None] * X @ R.mT + t[:, None]
        weights = None
        if masked:
            # Three visible points at least, NaN in the others.
            weights = torch.arange(n_points).expand(4, -1) < 3
            X = torch.where(weights[..., None], X, torch.nan)
        fit = procrustes(X, Y, weights=weights, scale=True)
        seen = slice(None) if weights is None else slice(3)
        error = (fit.aligned - Y)[:, seen].abs().amax((-2, -1)) / s
        # Three points or nearly collinear ones leave the smallest pair of singular values tiny.
        spread = torch.linalg.svdvals(X[:, seen] - X[:, seen].mean(1, keepdim=True))
        condition = spread[:, 0] / spread[:, 1]
        assert (error < 1e-11 * condition**2).all()
        assert ((fit.rotation - R).abs().amax((-2, -1)) < 1e-11 * condition**2).all()
        assert torch.allclose(fit.scale, s, rtol=1e-9)
        assert torch.allclose(fit.translation, t, atol=1e-7)

    def test_equals_scipy_on_noise(self, device, dtype):
        X, Y = randn(9, 3), randn(9, 3, seed=1)
        w = torch.rand(9, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        x0 = X - (w[:, None] * X).sum(0) / w.sum()
        y0 = Y - (w[:, None] * Y).sum(0) / w.sum()
        expected, _ = Rotation.align_vectors(y0.numpy(), x0.numpy(), weights=w.numpy())
        fit = procrustes(X.to(device, dtype), Y.to(device, dtype), weights=w.to(device, dtype))
        atol = 1e-12 if dtype == torch.float64 else 1e-5
        np.testing.assert_allclose(fit.rotation.cpu(), expected.as_matrix(), atol=atol)
        assert fit.scale == 1

    def test_is_the_least_squares_minimum(self):
        X, Y = randn(3, 8, 3), randn(3, 8, 3, seed=1)
        fit = procrustes(X, Y, scale=True)

        def loss(s, R, t):
            return (s[:, None, None] * X @ R.mT + t[:, None] - Y).square().sum((-2, -1))

        best = loss(fit.scale, fit.rotation, fit.translation)
        for seed in range(20):
            step = 1e-3 * randn(3, 7, seed=seed)
            turn = torch.as_tensor(Rotation.from_rotvec(step[:, :3].numpy()).as_matrix())
            moved = loss(fit.scale + step[:, 3], turn @ fit.rotation, fit.translation + step[:, 4:])
            assert (moved > best).all()

    def test_reflection(self):
        X = randn(5, 7, 3)
        mirror = torch.diag(torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64))
        Y = X @ (rotations(5) @ mirror).mT + 2
        free, bound = procrustes(X, Y, reflection=True), procrustes(X, Y)
        assert (free.aligned - Y).abs().max() < 1e-12
        assert (torch.linalg.det(free.rotation) + 1).abs().max() < 1e-12
        assert (torch.linalg.det(bound.rotation) - 1).abs().max() < 1e-12
        assert (bound.aligned - Y).abs().max() > 0.1
        same = procrustes(X, X @ rotations(5).mT, reflection=True)
        assert (torch.linalg.det(same.rotation) - 1).abs().max() < 1e-12

    @pytest.mark.parametrize("options", [{}, {"scale": True}, {"scale": True, "reflection": True}])
    def test_derivative(self, options):
        X, Y = randn(2, 6, 3), randn(2, 6, 3, seed=1)
        weights = torch.rand(2, 6, generator=torch.Generator().manual_seed(0)).double() + 0.1
        inputs = tuple(v.requires_grad_() for v in (X, Y, weights))
        assert gradcheck(lambda x, y, w: tuple(procrustes(x, y, weights=w, **options)), inputs)

    def test_degenerate_is_finite(self, dtype):
        for X in (torch.zeros(5, 3, dtype=dtype), torch.ones(5, 3, dtype=dtype)):
            X.requires_grad_()
            fit = procrustes(X, randn(5, 3).to(dtype), scale=True)
            fit.aligned.sum().backward()
            assert fit.aligned.isfinite().all()
            assert X.grad.isfinite().all()

    def test_broadcast_and_bad_input(self):
        X, Y = randn(2, 4, 6, 3), randn(6, 3, seed=1)
        fit = procrustes(X, Y)
        assert fit.aligned.shape == (2, 4, 6, 3)
        assert torch.allclose(procrustes(X[1, 2], Y).aligned, fit.aligned[1, 2])
        with pytest.raises(ValueError, match=r"Y must have shape \(..., 6, 3\)"):
            procrustes(X, Y[:5])
        with pytest.raises(ValueError, match="n_points = 6"):
            procrustes(X, Y, weights=torch.ones(5))


class TestGeneralizedProcrustes:
    def test_rotated_copies_become_one(self, device, dtype):
        shape = randn(10, 3)
        X = (shape @ rotations(8).mT + randn(8, 1, 3, seed=3)).to(device, dtype)
        fit = generalized_procrustes(X)
        atol = 1e-12 if dtype == torch.float64 else 1e-5
        assert (fit.aligned - fit.mean).abs().max() < atol
        assert fit.mean.mean(-2).abs().max() < atol
        assert (torch.linalg.det(fit.rotations) - 1).abs().max() < atol
        # The first shape is the frame of reference.
        assert (fit.aligned[0] - (X[0] - X[0].mean(0))).abs().max() < 10 * atol
        assert fit.n_iter <= 5

    def test_mean_and_rotations_are_stationary(self):
        X = randn(1, 12, 3) @ rotations(20).mT + 0.2 * randn(20, 12, 3, seed=5)
        fit = generalized_procrustes(X, tol=1e-13)
        assert fit.n_iter < 100
        assert (fit.aligned.mean(0) - fit.mean).abs().max() < 1e-11
        # Stationary in each rotation: the product with the mean is symmetric and positive.
        H = fit.mean.mT @ fit.aligned
        assert (H - H.mT).abs().max() < 1e-10
        eigenvalues = torch.linalg.eigvalsh((H + H.mT) / 2)
        assert (eigenvalues[:, 0] + eigenvalues[:, 1] > 0).all()
        rigid = (X - X.mean(1, keepdim=True)) @ fit.rotations.mT
        assert (rigid - (fit.aligned - fit.aligned.mean(1, keepdim=True))).abs().max() < 1e-12

    def test_mirror_images_stay_mirror_images(self):
        shape = randn(10, 3)
        mirrored = shape * torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64)
        X = torch.stack((shape, shape, shape, mirrored)) @ rotations(4).mT
        fit = generalized_procrustes(X)
        assert (torch.linalg.det(fit.rotations) - 1).abs().max() < 1e-12
        assert (fit.aligned[3] - fit.aligned[0]).abs().max() > 0.1

    def test_weights_hide_points(self):
        shape = randn(12, 3)
        X = shape @ rotations(9).mT + randn(9, 1, 3, seed=3)
        visible = torch.rand(9, 12, generator=torch.Generator().manual_seed(1)) > 0.25
        assert (visible.sum(-1) >= 6).all()
        assert visible.any(0).all()
        assert not visible.all(-1).any()
        hidden = torch.where(visible[..., None], X, torch.nan)
        fit = generalized_procrustes(hidden, weights=visible, max_iter=300)
        assert (fit.aligned - fit.mean)[visible].abs().max() < 1e-7
        assert procrustes(fit.mean, shape).aligned.sub(shape).abs().max() < 1e-7
        assert fit.aligned[~visible].isnan().all()
        everywhere = generalized_procrustes(X, weights=torch.ones(12, dtype=torch.float64))
        assert torch.allclose(everywhere.mean, generalized_procrustes(X).mean)

    def test_derivative(self):
        X = randn(1, 5, 3) @ rotations(4).mT + 0.1 * randn(4, 5, 3, seed=5)
        X.requires_grad_()
        assert gradcheck(lambda x: tuple(generalized_procrustes(x, tol=1e-14)[:3]), X, atol=1e-4)

    def test_batch_and_bad_input(self):
        X = randn(2, 6, 8, 3)
        fit = generalized_procrustes(X, tol=1e-13, max_iter=500)
        assert fit.mean.shape == (2, 8, 3)
        one = generalized_procrustes(X[1], tol=1e-13, max_iter=500)
        assert torch.allclose(one.mean, fit.mean[1], atol=1e-8)
        assert generalized_procrustes(X, max_iter=3).n_iter == 3
        with pytest.raises(ValueError, match="at least one frame"):
            generalized_procrustes(X[:, :0])
        with pytest.raises(ValueError, match="max_iter"):
            generalized_procrustes(X, max_iter=0)
        with pytest.raises(ValueError, match="X must have shape"):
            generalized_procrustes(X[..., :2])
