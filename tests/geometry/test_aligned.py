import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from torch.autograd import gradcheck

from nrsfm_learn.geometry import (
    aligned_nuclear_norm,
    generalized_procrustes,
    procrustean_cost,
    procrustes_aligned,
    random_rotations,
)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotations(n, seed=0):
    return random_rotations(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def stack(n_frames, n_points, noise=0.3, seed=0):
    """Deformed copies of one shape, each turned and moved."""
    X = randn(1, n_points, 3, seed=seed) + noise * randn(n_frames, n_points, 3, seed=seed + 1)
    return X @ rotations(n_frames, seed=seed + 2).mT + randn(n_frames, 1, 3, seed=seed + 3)


def gradient(cost, X):
    X = X.detach().clone().requires_grad_()
    cost(X).sum().backward()
    return X.grad


def differences(cost, X, h=1e-3):
    """Gradient of a batched cost by central differences of fourth order."""
    E = torch.eye(X.numel(), dtype=X.dtype).view(-1, *X.shape)

    def at(step):
        return torch.cat([cost(X + step * part) for part in E.split(256)])

    return ((8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)).view(X.shape)


def error(found, expected):
    return float((found - expected).norm() / expected.norm())


def linear(aligned):
    """A random linear function; it depends on the common rotation."""
    return (randn(*aligned.shape[-3:], seed=77) * aligned).sum((-3, -2, -1))


def invariant(aligned):
    """A random linear function of the inner products of shapes: it does not."""
    A = aligned.flatten(-2)
    return (randn(A.shape[-2], A.shape[-2], seed=78) * (A @ A.mT)).sum((-2, -1))


def nuclear(aligned):
    return torch.linalg.svdvals(aligned.flatten(-2)).sum(-1)


def cross_columns(Y):
    """K of shape (3P, 3): the derivative of w x y by w, over points."""
    return np.concatenate([[[0, z, -y], [-z, 0, x], [y, -x, 0]] for x, y, z in Y.tolist()])


def dense_jacobian(Y, R):
    """Print's eq. 13 to 19, dense, with lstsq in place of the inverse of eq. 14."""
    F, P = Y.shape[:2]
    K = [cross_columns(y) for y in Y]
    total = sum(K)
    A, B = np.zeros((3 * P * F, 3 * F)), np.zeros((3 * F, 3 * F))
    C, D = np.zeros((3 * F, 3 * P * F)), np.zeros((3 * P * F, 3 * P * F))
    for i in range(F):
        rows, wide = slice(3 * i, 3 * i + 3), slice(3 * P * i, 3 * P * (i + 1))
        A[wide, rows] = K[i]
        D[wide, wide] = np.kron(np.eye(P) - 1 / P, R[i].numpy())
        for j in range(F):
            columns, far = slice(3 * j, 3 * j + 3), slice(3 * P * j, 3 * P * (j + 1))
            others = total - K[i]
            B[rows, columns] = others.T @ K[i] if i == j else -K[i].T @ K[j]
            C[rows, far] = -others.T if i == j else K[i].T
    BC, _, rank, _ = np.linalg.lstsq(B, C, rcond=1e-10)
    assert rank == 3 * F - 3
    return (A @ BC + np.eye(3 * P * F)) @ D


class TestProcrustesAligned:
    @given(st.integers(0, 2**31), st.integers(1, 30), st.integers(4, 12))
    @settings(deadline=None, max_examples=30)
    def test_is_rigid_and_a_maximum(self, seed, n_frames, n_points):
        X = stack(n_frames, n_points, seed=seed)
        Y = procrustes_aligned(X)
        centred = X - X.mean(1, keepdim=True)
        assert torch.equal(Y[0], centred[0])
        assert torch.allclose(torch.cdist(Y, Y), torch.cdist(X, X), atol=1e-6)
        volumes = torch.linalg.det(Y[:, :3]), torch.linalg.det(centred[:, :3])
        assert torch.allclose(*volumes, atol=1e-10)
        # Stationary, and each rotation the best one to the sum.
        total = Y.sum(0)
        H = total.mT @ Y
        assert (H - H.mT).abs().max() < 1e-12 * total.square().sum()
        for y in Y:
            best = Rotation.align_vectors(total.numpy(), y.numpy())[0]
            assert (best.apply(y.numpy()) * total.numpy()).sum() <= (y * total).sum() + 1e-8

    @pytest.mark.parametrize("noise", [0.1, 0.6])
    def test_equals_many_alternations(self, noise):
        X = stack(12, 9, noise)
        fit = generalized_procrustes(X, max_iter=1000, tol=1e-15)
        to_first = fit.rotations[0].mT
        expected = (X - X.mean(1, keepdim=True)) @ (to_first @ fit.rotations).mT
        assert (procrustes_aligned(X) - expected).abs().max() < 1e-9

    def test_unrelated_shapes_converge(self):
        X = randn(3, 40, 8, 3)
        Y = procrustes_aligned(X)
        torque = torch.linalg.cross(Y, Y.sum(1, keepdim=True)).sum(2)
        assert torque.abs().max() < 1e-10

    @pytest.mark.parametrize(("n_frames", "n_points"), [(3, 5), (3, 17), (32, 6)])
    @pytest.mark.parametrize("function", [linear, invariant])
    def test_gradient_is_that_of_differences(self, n_frames, n_points, function):
        X = stack(n_frames, n_points)

        def cost(X):
            return function(procrustes_aligned(X))

        assert error(gradient(cost, X), differences(cost, X)) < 1e-8

    @pytest.mark.parametrize(("n_frames", "n_points"), [(4, 11), (14, 5)])
    def test_factor_and_eigenvalues_agree(self, n_frames, n_points, monkeypatch):
        X = torch.stack([stack(n_frames, n_points, seed=seed) for seed in (0, 1)])
        direction = randn(*X.shape, seed=5)

        def both():
            leaf = X.clone().requires_grad_()
            Y = procrustes_aligned(leaf)
            return Y.detach(), torch.autograd.grad((Y * direction).sum(), leaf)[0]

        factored = both()
        monkeypatch.setattr("nrsfm_learn.geometry.aligned._PIVOT", float("inf"))
        for a, b in zip(factored, both(), strict=True):
            assert error(a, b) < 1e-9

    def test_shapes_of_zeros_count_nowhere(self):
        X = stack(9, 6)
        padded = torch.cat((X, torch.zeros(3, 6, 3, dtype=X.dtype)))
        cost = aligned_nuclear_norm(padded), aligned_nuclear_norm(X)
        torch.testing.assert_close(*cost, rtol=1e-12, atol=0)
        found = gradient(aligned_nuclear_norm, padded)
        assert error(found[:9], gradient(aligned_nuclear_norm, X)) < 1e-9

    # More points than frames, fewer, and as many.
    @pytest.mark.parametrize(("n_frames", "n_points"), [(4, 11), (14, 5), (6, 6)])
    def test_gradient_is_that_of_the_dense_system(self, n_frames, n_points):
        X = stack(n_frames, n_points).requires_grad_()
        Y = procrustes_aligned(X)
        R = [
            Rotation.align_vectors(y, x - x.mean(0))[0].as_matrix()
            for x, y in zip(X.detach().numpy(), Y.detach().numpy(), strict=True)
        ]
        J = dense_jacobian(Y.detach(), torch.as_tensor(np.array(R)))
        (G,) = torch.autograd.grad(invariant(Y), Y, retain_graph=True)
        (found,) = torch.autograd.grad(Y, X, G)
        expected = torch.as_tensor(G.flatten().numpy() @ J).view_as(X)
        assert error(found, expected) < 1e-11

    @pytest.mark.parametrize("function", [invariant, nuclear])
    def test_gradient_is_that_of_many_alternations(self, function):
        X = stack(10, 7)

        def unrolled(X):
            return function(generalized_procrustes(X, max_iter=300, tol=1e-15).aligned)

        def frozen(X):
            R = generalized_procrustes(X.detach()).rotations
            return function((X - X.mean(1, keepdim=True)) @ R.mT)

        found = gradient(lambda X: function(procrustes_aligned(X)), X)
        assert error(found, gradient(unrolled, X)) < 1e-9
        # Without the rotations' part it is another gradient.
        assert error(found, gradient(frozen, X)) > 0.01

    def test_gradient_along_rigid_motions_vanishes(self):
        X = stack(9, 6)
        G = gradient(lambda X: invariant(procrustes_aligned(X)), X)
        assert G.sum(1).abs().max() < 1e-11 * G.norm()
        assert torch.linalg.cross(X, G).sum(1).abs().max() < 1e-11 * G.norm() * X.norm()

    def test_batch(self):
        X = torch.stack([stack(7, 6, seed=k) for k in range(4)]).view(2, 2, 7, 6, 3)
        Y = procrustes_aligned(X)
        G = gradient(lambda X: linear(procrustes_aligned(X)), X)
        for i, j in np.ndindex(2, 2):
            assert torch.allclose(Y[i, j], procrustes_aligned(X[i, j]), atol=1e-11)
            one = gradient(lambda X: linear(procrustes_aligned(X)), X[i, j])
            assert torch.allclose(G[i, j], one, atol=1e-10)

    def test_stops_when_told(self):
        X = stack(9, 6, noise=1.0)
        Y = procrustes_aligned(X, max_iter=1)
        assert torch.allclose(torch.cdist(Y, Y), torch.cdist(X, X), atol=1e-6)
        assert (Y - procrustes_aligned(X)).abs().max() > 1e-6
        assert gradient(lambda X: linear(procrustes_aligned(X, max_iter=1)), X).isfinite().all()

    def test_bad_input(self):
        with pytest.raises(ValueError, match="X must have shape"):
            procrustes_aligned(randn(4, 5, 2))
        with pytest.raises(ValueError, match="at least one frame and one point"):
            procrustes_aligned(randn(0, 5, 3))
        broken = randn(4, 5, 3)
        broken[2, 3, 1] = torch.nan
        with pytest.raises(ValueError, match="frame 2, point 3"):
            procrustes_aligned(broken)
        with pytest.raises(ValueError, match="max_iter must be at least 1, got 0"):
            procrustes_aligned(randn(4, 5, 3), max_iter=0)


class TestAlignedNuclearNorm:
    @pytest.mark.parametrize(("n_frames", "n_points"), [(3, 6), (32, 6), (12, 4)])
    @pytest.mark.parametrize("subtract_mean", [False, True])
    def test_value_and_gradient(self, n_frames, n_points, subtract_mean):
        X = stack(n_frames, n_points)

        def cost(X):
            return aligned_nuclear_norm(X, subtract_mean=subtract_mean)

        Y = procrustes_aligned(X)
        Y = Y - Y.mean(0) if subtract_mean else Y
        assert torch.allclose(cost(X), nuclear(Y), rtol=1e-9)
        assert error(gradient(cost, X), differences(cost, X)) < 1e-7

    @given(st.integers(0, 2**31), st.integers(2, 20), st.booleans())
    @settings(deadline=None, max_examples=30)
    def test_rigid_motion_of_any_shape_changes_nothing(self, seed, n_frames, subtract_mean):
        X = stack(n_frames, 8, seed=seed)
        moved = X @ rotations(n_frames, seed=seed + 9).mT + 5 * randn(n_frames, 1, 3, seed=seed + 8)
        norms = [aligned_nuclear_norm(x, subtract_mean=subtract_mean) for x in (X, moved)]
        assert torch.allclose(*norms, rtol=1e-8)

    @given(st.floats(1e-6, 1e6))
    @settings(deadline=None, max_examples=25)
    def test_is_homogeneous(self, scale):
        X = stack(6, 7)
        assert torch.allclose(aligned_nuclear_norm(scale * X), scale * aligned_nuclear_norm(X))
        both = [gradient(aligned_nuclear_norm, x) for x in (X, scale * X)]
        assert torch.allclose(*both, atol=1e-9)

    @pytest.mark.parametrize(("n_frames", "n_points"), [(32, 17), (60, 8)])
    def test_float32(self, n_frames, n_points, device):
        X = stack(n_frames, n_points, noise=0.05)
        single = X.to(device, torch.float32)
        value = aligned_nuclear_norm(single)
        assert value.dtype == torch.float32
        assert torch.allclose(value.cpu().double(), aligned_nuclear_norm(X), rtol=1e-5)
        found = gradient(aligned_nuclear_norm, single).cpu().double()
        assert error(found, gradient(aligned_nuclear_norm, X)) < 1e-4

    @pytest.mark.parametrize("n_frames", [1, 2, 5, 20])
    @pytest.mark.parametrize("kind", ["identical", "planar", "mirrored", "collinear", "zero"])
    @pytest.mark.parametrize("subtract_mean", [False, True])
    def test_degenerate_is_finite(self, n_frames, kind, subtract_mean, dtype, device):
        X = randn(1, 8, 3).expand(n_frames, -1, -1).clone()
        if kind == "planar":
            X = randn(n_frames, 8, 3)
            X[..., 2] = 0
        elif kind == "mirrored":
            X[::2] *= -1
        elif kind == "collinear":
            X[..., 1:] = 0
        elif kind == "zero":
            X[n_frames // 2 :] = 0
        X = X.to(device, dtype).requires_grad_()
        value = aligned_nuclear_norm(X, subtract_mean=subtract_mean)
        value.backward()
        assert value.isfinite()
        assert X.grad.isfinite().all()
        # Where rotations are not unique it is wrong, but must not destroy a descent.
        assert X.grad.norm() < 1e3

    def test_identical_shapes_are_of_rank_one(self):
        shape = randn(9, 3)
        X = shape @ rotations(16).mT
        expected = 4 * (shape - shape.mean(0)).norm()
        assert torch.allclose(aligned_nuclear_norm(X), expected, rtol=1e-12)
        G = gradient(aligned_nuclear_norm, X) @ rotations(16)
        unit = (shape - shape.mean(0)) / (shape - shape.mean(0)).norm() / 4
        assert (G - unit).abs().max() < 1e-9


class TestProcrusteanCost:
    def test_value(self):
        X, W = stack(6, 8), randn(6, 8, 2, seed=5)
        visible = torch.rand(6, 8, generator=torch.Generator().manual_seed(1)) > 0.3
        expected = 0.0
        for x, w, seen in zip(X.numpy(), W.numpy(), visible.numpy(), strict=True):
            r = x[seen, :2] - w[seen]
            expected += 0.5 * r.var(0).sum() * seen.sum()
        expected += 0.2 * float(nuclear(procrustes_aligned(X)))
        hidden = torch.where(visible[..., None], W, torch.nan)
        found = procrustean_cost(X, hidden, visible, regularization=0.2)
        assert found.item() == pytest.approx(expected, rel=1e-10)
        # A shape's position is free, and the observation's.
        moved = procrustean_cost(X + 3, hidden - 2, visible, regularization=0.2)
        assert moved.item() == pytest.approx(expected, rel=1e-10)

    def test_gradient(self):
        X, W = stack(4, 5), randn(4, 5, 2, seed=5)
        weights = torch.rand(4, 5, generator=torch.Generator().manual_seed(1)).double()
        weights[1, 2] = 0
        W[1, 2] = torch.nan

        def cost(X):
            return procrustean_cost(X, W, weights, regularization=0.7)

        assert error(gradient(cost, X), differences(cost, X)) < 1e-8
        assert gradcheck(lambda X: procrustean_cost(X, randn(4, 5, 2)), X.requires_grad_())

    def test_descent_recovers_depth(self):
        shape = randn(10, 3)
        truth = shape @ rotations(16).mT
        truth = truth - truth.mean(1, keepdim=True)
        X = truth + 0.3 * randn(16, 10, 3, seed=4) * torch.tensor([0.0, 0.0, 1.0])
        # The cost does not see where a shape is.
        X = X - X.mean(1, keepdim=True)
        start = error(X, truth)
        X.requires_grad_()
        optimizer = torch.optim.Adam([X], lr=0.01)
        for _ in range(150):
            optimizer.zero_grad()
            procrustean_cost(X, truth[..., :2], regularization=0.02).backward()
            optimizer.step()
        assert error(X.detach(), truth) < 0.3 * start

    def test_bad_input(self):
        with pytest.raises(ValueError, match=r"W must have shape \(..., 4, 5, 2\)"):
            procrustean_cost(stack(4, 5), randn(3, 5, 2))
        with pytest.raises(ValueError, match="n_points = 5"):
            procrustean_cost(stack(4, 5), randn(4, 5, 2), torch.ones(4, 6))
