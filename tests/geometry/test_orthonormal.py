import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import polar
from torch.autograd import gradcheck, gradgradcheck

from nrsfm_learn.geometry import (
    complete_rotation,
    nearest_orthonormal_3x2,
    nearest_rotation,
    random_rotations,
)


def with_singular_values(values, n=4, *, columns=3, seed=0, device="cpu"):
    """Matrices U diag(values) V^T with U, V rotations (V of the plane for two columns)."""
    generator = torch.Generator().manual_seed(seed)
    U, V = (random_rotations(n, generator=generator, dtype=torch.float64) for _ in range(2))
    if columns == 2:
        angle = 2 * np.pi * torch.rand(n, generator=generator, dtype=torch.float64)
        c, s = torch.cos(angle), torch.sin(angle)
        V = torch.stack((c, -s, s, c), -1).reshape(n, 2, 2)
    D = torch.diag(torch.tensor(values, dtype=torch.float64))
    U = U[..., :columns]
    return (U @ D @ V.mT).to(device), (U @ V.mT).to(device)


def tolerance(dtype):
    return 1e-12 if dtype == torch.float64 else 1e-5


class TestNearestOrthonormal3x2:
    def test_equals_scipy_polar_factor(self, device, dtype):
        generator = torch.Generator().manual_seed(1)
        A = torch.randn(200, 3, 2, generator=generator, dtype=torch.float64)
        A = A[torch.linalg.cond(A) < 20]
        expected = np.stack([polar(a)[0] for a in A.numpy()])
        Q = nearest_orthonormal_3x2(A.to(device, dtype))
        assert Q.dtype == dtype
        np.testing.assert_allclose(Q.cpu().numpy(), expected, atol=tolerance(dtype))

    @given(
        st.integers(0, 2**31),
        st.floats(1e-3, 1.0),
        st.floats(-25, 25),
    )
    @settings(deadline=None, max_examples=50)
    def test_any_ratio_and_any_scale(self, seed, ratio, exponent):
        A, expected = with_singular_values([1.0, ratio], columns=2, seed=seed)
        Q = nearest_orthonormal_3x2(A * 10**exponent)
        assert (Q - expected).abs().max() < 1e-12 / ratio

    @pytest.mark.parametrize("values", [[1.0, 1.0], [1.0, 0.3], [1.0, 0.01], [1e-3, 1e-3]])
    def test_derivative(self, values, device):
        A, _ = with_singular_values(values, columns=2, device=device)
        A.requires_grad_()
        # Finite differences of a derivative that grows as 1 / smallest^2 need a smaller step.
        assert gradcheck(nearest_orthonormal_3x2, A, eps=1e-6 * values[1], atol=1e-5)
        if values[1] > 0.1:
            assert gradgradcheck(nearest_orthonormal_3x2, A)

    @pytest.mark.parametrize("ratio", [0.0, 1e-16, 1e-12, 1e-8, 1e-6, 1e-4])
    @pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
    def test_near_rank_one(self, ratio, scale, device, dtype):
        A, _ = with_singular_values([1.0, ratio], n=50, columns=2)
        A = (A * scale).to(device, dtype).requires_grad_()
        Q = nearest_orthonormal_3x2(A)
        eye = torch.eye(2, dtype=dtype, device=device)
        assert (Q.mT @ Q - eye).abs().max() < 20 * torch.finfo(dtype).eps
        # One of the nearest: <A, Q> is the sum of the singular values.
        inner = (A * Q).sum((-2, -1)) / scale
        assert (inner - 1 - ratio).abs().max() < 20 * torch.finfo(dtype).eps
        weights = torch.linspace(-1, 1, 6, dtype=dtype, device=device).reshape(3, 2)
        (Q * weights).sum().backward()
        assert A.grad.isfinite().all()
        assert (A.grad * scale).abs().max() < 2e3

    def test_same_column_twice_and_axes(self, device, dtype):
        for axis in range(3):
            x = torch.zeros(3, dtype=dtype, device=device)
            x[axis] = -2
            for pair in ((x, x), (x, 0 * x), (0 * x, x), (x, -x)):
                A = torch.stack(pair, -1).requires_grad_()
                Q = nearest_orthonormal_3x2(A)
                Q[1, 0].backward()
                assert (Q.mT @ Q - torch.eye(2, device=device, dtype=dtype)).abs().max() < 1e-6
                assert A.grad.isfinite().all()

    def test_zero_and_subnormal(self, device, dtype):
        A = torch.zeros(2, 3, 2, dtype=dtype, device=device)
        A[1, 0, 0] = torch.finfo(dtype).smallest_normal / 4
        A.requires_grad_()
        Q = nearest_orthonormal_3x2(A)
        Q.sum().backward()
        assert torch.equal(Q.cpu(), torch.eye(3, 2, dtype=dtype).expand(2, 3, 2))
        assert torch.equal(A.grad, torch.zeros_like(A))

    def test_one_bad_matrix_leaves_the_others_alone(self):
        A, expected = with_singular_values([1.0, 0.5], columns=2)
        A[1] = 0
        A[2, 0, 0] = float("nan")
        A.requires_grad_()
        Q = nearest_orthonormal_3x2(A)
        Q[[0, 3]].sum().backward()
        assert (Q[[0, 3]] - expected[[0, 3]]).abs().max() < 1e-12
        assert A.grad[[0, 1, 3]].isfinite().all()
        assert Q[2].isnan().any()

    def test_shapes_and_vmap(self):
        A = torch.randn(2, 5, 3, 2, generator=torch.Generator().manual_seed(0))
        Q = nearest_orthonormal_3x2(A)
        assert Q.shape == A.shape
        assert torch.allclose(nearest_orthonormal_3x2(A[1, 2]), Q[1, 2], atol=1e-6)
        assert torch.allclose(torch.func.vmap(nearest_orthonormal_3x2)(A), Q, atol=1e-6)
        assert nearest_orthonormal_3x2(A[:0]).shape == (0, 5, 3, 2)

    def test_bad_input(self):
        with pytest.raises(ValueError, match=r"A must have shape \(..., 3, 2\), got \(3, 3\)"):
            nearest_orthonormal_3x2(torch.zeros(3, 3))
        with pytest.raises(TypeError, match="A must be a floating point"):
            nearest_orthonormal_3x2(torch.zeros(3, 2, dtype=torch.long))
        with pytest.raises(TypeError, match="got ndarray"):
            nearest_orthonormal_3x2(np.zeros((3, 2)))


def test_complete_rotation(device):
    A = torch.randn(7, 3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    A = A.to(device).requires_grad_()
    R = complete_rotation(nearest_orthonormal_3x2(A))
    assert torch.allclose(torch.linalg.det(R), torch.ones(7, dtype=R.dtype, device=device))
    assert torch.allclose(R @ R.mT, torch.eye(3, dtype=R.dtype, device=device).expand(7, 3, 3))
    assert gradcheck(lambda a: complete_rotation(nearest_orthonormal_3x2(a)), A)


def svd_rotation(A):
    U, _, Vt = np.linalg.svd(A)
    U[..., 2] *= np.linalg.det(U @ Vt)[..., None]
    return U @ Vt


# Signed singular values where the nearest rotation is unique and smooth.
SMOOTH = [
    [1.0, 1.0, 1.0],
    [1.0, 1.0, 0.3],
    [1.0, 0.3, 0.3],
    [1.0, 0.5, -0.2],
    [1.0, 1.0, -0.5],
    [1.0, 0.3, 0.0],
    [1.0, 0.05, 0.05],
]


class TestNearestRotation:
    def test_equals_svd(self, device, dtype):
        generator = torch.Generator().manual_seed(2)
        A = torch.randn(500, 3, 3, generator=generator, dtype=torch.float64)
        s = torch.linalg.svdvals(A)
        A = A[(s[:, 1] + torch.linalg.det(A).sign() * s[:, 2]) / s[:, 0] > 0.05]
        assert (torch.linalg.det(A) < 0).sum() > 100
        R = nearest_rotation(A.to(device, dtype))
        assert R.dtype == dtype
        np.testing.assert_allclose(R.cpu(), svd_rotation(A.numpy()), atol=tolerance(dtype))

    @pytest.mark.parametrize("values", SMOOTH)
    @pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
    def test_repeated_negative_and_zero_singular_values(self, values, scale, device, dtype):
        A, expected = with_singular_values(values, n=50, device=device)
        R = nearest_rotation((A * scale).to(dtype))
        assert (R - expected).abs().max() < tolerance(dtype)

    @pytest.mark.parametrize("values", SMOOTH)
    def test_derivative(self, values, device):
        A, _ = with_singular_values(values, n=3, device=device)
        assert gradcheck(nearest_rotation, A.requires_grad_(), atol=1e-4)
        assert gradgradcheck(nearest_rotation, A, atol=1e-3, rtol=1e-2)

    @pytest.mark.parametrize(
        "values",
        [[1.0, 1.0, -1.0], [1.0, 0.3, -0.3], [1.0, 0, 0], [1.0, 1e-9, 0], [1.0, 1e-6, -1e-6]],
    )
    def test_where_it_is_not_unique(self, values, device, dtype):
        A, _ = with_singular_values(values, n=50)
        A = A.to(device, dtype).requires_grad_()
        R = nearest_rotation(A)
        eps = torch.finfo(dtype).eps
        eye = torch.eye(3, dtype=dtype, device=device)
        assert (R.mT @ R - eye).abs().max() < 20 * eps
        assert (torch.linalg.det(R) - 1).abs().max() < 20 * eps
        assert ((A * R).sum((-2, -1)) - sum(values)).abs().max() < max(1e-7, 20 * eps)
        (R * torch.linspace(-1, 1, 9, dtype=dtype, device=device).reshape(3, 3)).sum().backward()
        assert A.grad.isfinite().all()
        assert A.grad.abs().max() < 1e5

    def test_zero(self, device, dtype):
        A = torch.zeros(2, 3, 3, dtype=dtype, device=device, requires_grad=True)
        R = nearest_rotation(A)
        R.sum().backward()
        assert (R - torch.eye(3, dtype=dtype, device=device)).abs().max() < 1e-6
        assert torch.equal(A.grad, torch.zeros_like(A))

    @given(st.integers(0, 2**31))
    @settings(deadline=None, max_examples=25)
    def test_equivariant(self, seed):
        generator = torch.Generator().manual_seed(seed)
        A = torch.randn(3, 3, generator=generator, dtype=torch.float64)
        s = torch.linalg.svdvals(A)
        gap = (s[1] + torch.linalg.det(A).sign() * s[2]) / s[0]
        U, V = random_rotations(2, generator=generator, dtype=torch.float64)
        difference = nearest_rotation(U @ A @ V) - U @ nearest_rotation(A) @ V
        assert difference.abs().max() < 1e-12 / gap.clamp_min(1e-9)

    def test_shapes_and_vmap(self):
        A = torch.randn(2, 5, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        R = nearest_rotation(A)
        assert torch.allclose(nearest_rotation(A[1, 2]), R[1, 2])
        assert torch.allclose(torch.func.vmap(nearest_rotation)(A), R)
        with pytest.raises(ValueError, match=r"A must have shape \(..., 3, 3\)"):
            nearest_rotation(A[..., :2])
