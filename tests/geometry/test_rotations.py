import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from scipy.stats import kstest
from torch.autograd import gradcheck, gradgradcheck

from nrsfm_learn.geometry import (
    axis_angle_to_matrix,
    cayley_to_matrix,
    matrix_to_axis_angle,
    matrix_to_quaternion,
    matrix_to_rotation_6d,
    quaternion_to_matrix,
    random_rotations,
    rotation_6d_to_matrix,
    rotation_angle,
)

ANGLES = [0.0, 1e-12, 1e-7, 1e-4, 0.05, 0.0999, 0.1001, 0.19999, 0.20001, 1.0, 3.0, 3.14159]


def vectors(angle, n=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    axis = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    return angle * axis / torch.linalg.norm(axis, dim=-1, keepdim=True)


@pytest.mark.parametrize("angle", [*ANGLES, np.pi, 4.0, 20.0])
def test_axis_angle_to_matrix_equals_scipy(angle, device, dtype):
    v = vectors(angle)
    R = axis_angle_to_matrix(v.to(device, dtype)).cpu()
    atol = 1e-14 if dtype == torch.float64 else 5e-6
    np.testing.assert_allclose(R, Rotation.from_rotvec(v.numpy()).as_matrix(), atol=atol)


@pytest.mark.parametrize("angle", ANGLES)
def test_matrix_to_axis_angle_equals_scipy(angle, device, dtype):
    v = vectors(angle)
    R = torch.as_tensor(Rotation.from_rotvec(v.numpy()).as_matrix()).to(device, dtype)
    atol = 1e-13 if dtype == torch.float64 else 2e-6
    np.testing.assert_allclose(matrix_to_axis_angle(R).cpu(), v, atol=atol)


def test_axis_angle_at_a_half_turn_is_one_of_two():
    v = vectors(np.pi)
    found = matrix_to_axis_angle(axis_angle_to_matrix(v))
    error = torch.minimum((found - v).abs().amax(-1), (found + v).abs().amax(-1))
    assert error.max() < 1e-7


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-3, 0.0999, 0.1001, 0.2, 1.0, 2.5, 3.1])
def test_axis_angle_derivatives(angle):
    v = vectors(angle, n=3).requires_grad_()
    assert gradcheck(axis_angle_to_matrix, v)
    assert gradgradcheck(axis_angle_to_matrix, v)
    R = axis_angle_to_matrix(v.detach()).requires_grad_()
    assert gradcheck(matrix_to_axis_angle, R)
    # The inverse function: the derivative of the round trip is the identity.
    trip = torch.func.vmap(
        torch.func.jacrev(lambda u: matrix_to_axis_angle(axis_angle_to_matrix(u)))
    )
    assert (trip(v.detach()) - torch.eye(3, dtype=v.dtype)).abs().max() < 1e-12


def test_float32_derivative_at_small_angles_keeps_its_digits():
    v = vectors(1e-3).float().requires_grad_()
    weights = torch.linspace(-1, 2, 9).reshape(3, 3)
    (axis_angle_to_matrix(v) * weights).sum().backward()
    exact = v.detach().double().requires_grad_()
    (axis_angle_to_matrix(exact) * weights.double()).sum().backward()
    assert (v.grad - exact.grad).abs().max() < 1e-5


@pytest.mark.parametrize("angle", [*ANGLES, -2.0])
def test_cayley_to_matrix_equals_scipy(angle, device, dtype):
    axis = vectors(1.0)
    R = cayley_to_matrix((2 * np.tan(angle / 2) * axis).to(device, dtype)).cpu()
    expected = Rotation.from_rotvec(angle * axis.numpy()).as_matrix()
    np.testing.assert_allclose(R, expected, atol=1e-14 if dtype == torch.float64 else 5e-6)


@given(st.integers(0, 2**31), st.floats(-6, 6))
@settings(deadline=None, max_examples=40)
def test_cayley_to_matrix_is_the_quotient(seed, exponent):
    omega = vectors(10.0**exponent, seed=seed)
    R = cayley_to_matrix(omega)
    # Row i of the matrix of the cross product is the i-th unit vector times the vector.
    half = np.cross(np.eye(3), omega.numpy()[:, None]) / 2
    np.testing.assert_allclose(half[0] @ [1, 2, 3], np.cross(omega[0], [1, 2, 3]) / 2)
    np.testing.assert_allclose((np.eye(3) - half) @ R.numpy(), np.eye(3) + half, rtol=1e-9)
    np.testing.assert_allclose(R @ R.mT, np.broadcast_to(np.eye(3), (6, 3, 3)), atol=1e-9)
    np.testing.assert_allclose(torch.linalg.det(R), 1, atol=1e-9)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-3, 0.1, 1.0, 10.0])
def test_cayley_derivatives(angle):
    omega = vectors(angle, n=3).requires_grad_()
    assert gradcheck(cayley_to_matrix, omega)
    assert gradgradcheck(cayley_to_matrix, omega)


@pytest.mark.parametrize("angle", [1e-12, 1e-4, 1e-3])
def test_small_cayley_vector_is_the_axis_angle_vector(angle):
    omega = vectors(angle)
    difference = cayley_to_matrix(omega) - axis_angle_to_matrix(omega)
    # 2 atan(t / 2) = t - t^3 / 12 + ...
    assert difference.abs().max() <= angle**3 / 10 + 1e-16
    slope = torch.func.jacrev(cayley_to_matrix)(torch.zeros(3, dtype=torch.float64))
    generators = np.cross(np.eye(3), np.eye(3)[:, None])  # d R / d omega_k is [e_k]x
    np.testing.assert_allclose(slope.permute(2, 0, 1), generators, atol=1e-15)


def test_quaternions_equal_scipy(device, dtype):
    q = torch.randn(300, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = Rotation.from_quat(q.numpy(), scalar_first=True)
    atol = 1e-13 if dtype == torch.float64 else 3e-6
    R = quaternion_to_matrix(q.to(device, dtype))
    np.testing.assert_allclose(R.cpu(), expected.as_matrix(), atol=atol)
    found = matrix_to_quaternion(R).cpu()
    canonical = expected.as_quat(canonical=True, scalar_first=True)
    np.testing.assert_allclose(found, canonical, atol=atol)
    assert (found[:, 0] >= 0).all()


@pytest.mark.parametrize("axis", range(3))
def test_quaternion_of_a_half_turn(axis):
    R = -torch.eye(3, dtype=torch.float64)
    R[axis, axis] = 1
    q = matrix_to_quaternion(R)
    assert q[0] == 0
    assert q[1 + axis].abs() == 1


def test_quaternion_derivatives(device):
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(8, 4, generator=generator, dtype=torch.float64).to(device).requires_grad_()
    assert gradcheck(quaternion_to_matrix, q)
    R = quaternion_to_matrix(q.detach()).requires_grad_()
    assert gradcheck(matrix_to_quaternion, R)
    zero = torch.zeros(4, dtype=torch.float64, device=device, requires_grad=True)
    R = quaternion_to_matrix(zero)
    R.sum().backward()
    assert torch.equal(R.detach().cpu(), torch.eye(3, dtype=torch.float64))
    assert torch.equal(zero.grad, torch.zeros_like(zero))


def test_rotation_6d_is_gram_schmidt(device, dtype):
    x = torch.randn(50, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    columns = x.reshape(50, 2, 3).mT.numpy()
    Q, upper = np.linalg.qr(columns)
    Q = Q * np.sign(np.diagonal(upper, axis1=-2, axis2=-1))[:, None, :]
    expected = np.concatenate((Q, np.cross(Q[..., 0], Q[..., 1])[..., None]), -1)
    R = rotation_6d_to_matrix(x.to(device, dtype))
    atol = 1e-12 if dtype == torch.float64 else 1e-4
    np.testing.assert_allclose(R.cpu(), expected, atol=atol)
    back = rotation_6d_to_matrix(matrix_to_rotation_6d(R))
    assert (back - R).abs().max() < 10 * torch.finfo(dtype).eps


def test_rotation_6d_derivatives(device):
    x = torch.randn(8, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = x.to(device).requires_grad_()
    assert gradcheck(rotation_6d_to_matrix, x)
    R = random_rotations(4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert gradcheck(matrix_to_rotation_6d, R.requires_grad_())


@pytest.mark.parametrize(
    "vector",
    [[0] * 6, [0, 0, 0, 1, 2, 3], [1, 2, 3, 0, 0, 0], [1, 2, 3, -2, -4, -6], [0, 0, 1, 0, 0, 1]],
)
def test_rotation_6d_degenerate(vector, device, dtype):
    x = torch.tensor(vector, dtype=dtype, device=device, requires_grad=True)
    R = rotation_6d_to_matrix(x)
    eye = torch.eye(3, dtype=dtype, device=device)
    assert (R.mT @ R - eye).abs().max() < 1e-6
    assert torch.linalg.det(R) > 0
    R.sum().backward()
    assert x.grad.isfinite().all()


def test_random_rotations_are_haar():
    R = random_rotations(4000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert (R @ R.mT - torch.eye(3)).abs().max() < 1e-14
    assert (torch.linalg.det(R) - 1).abs().max() < 1e-14
    # Every entry of a Haar rotation is uniform on [-1, 1]; the angle has density (1 - cos) / pi.
    for i in range(3):
        for j in range(3):
            assert kstest(R[:, i, j].numpy(), "uniform", args=(-1, 2)).pvalue > 1e-3
    angle = rotation_angle(R, torch.eye(3, dtype=torch.float64)).numpy()
    assert kstest(angle, lambda t: (t - np.sin(t)) / np.pi).pvalue > 1e-3


def test_random_rotations_are_reproducible(device, dtype):
    draws = [
        random_rotations(3, generator=torch.Generator(device).manual_seed(5), dtype=dtype)
        for _ in range(2)
    ]
    assert torch.equal(*draws)
    assert draws[0].dtype == dtype
    assert draws[0].device.type == device.type


@given(st.integers(0, 2**31), st.sampled_from(ANGLES))
@settings(deadline=None, max_examples=40)
def test_rotation_angle(seed, angle):
    R1 = random_rotations(6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    R2 = R1 @ axis_angle_to_matrix(vectors(angle, seed=seed))
    assert (rotation_angle(R1, R2) - angle).abs().max() < 1e-14
    expected = (
        Rotation.from_matrix(R1.numpy()).inv() * Rotation.from_matrix(R2.numpy())
    ).magnitude()
    np.testing.assert_allclose(rotation_angle(R1, R2), expected, atol=1e-7)


def test_rotation_angle_derivative_and_corner():
    R = random_rotations(4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert gradcheck(rotation_angle, (R[:2].requires_grad_(), R[2:]))
    same = torch.eye(3, requires_grad=True)
    rotation_angle(same, torch.eye(3)).backward()
    assert torch.equal(same.grad, torch.zeros(3, 3))


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (axis_angle_to_matrix, (2,)),
        (cayley_to_matrix, (4,)),
        (matrix_to_axis_angle, (3, 2)),
        (quaternion_to_matrix, (3,)),
        (matrix_to_quaternion, (4, 4)),
        (rotation_6d_to_matrix, (3, 2)),
        (matrix_to_rotation_6d, (2, 3)),
    ],
)
def test_bad_shape(function, shape):
    with pytest.raises(ValueError, match="must have shape"):
        function(torch.zeros(shape))


def test_leading_dimensions():
    v = torch.randn(2, 1, 4, 3, generator=torch.Generator().manual_seed(0))
    R = axis_angle_to_matrix(v)
    assert R.shape == (2, 1, 4, 3, 3)
    assert cayley_to_matrix(v).shape == (2, 1, 4, 3, 3)
    assert matrix_to_quaternion(R).shape == (2, 1, 4, 4)
    assert matrix_to_axis_angle(R).shape == (2, 1, 4, 3)
    assert matrix_to_rotation_6d(R).shape == (2, 1, 4, 6)
    assert rotation_angle(R, R[0, 0, 0]).shape == (2, 1, 4)
    assert axis_angle_to_matrix(v[:0]).shape == (0, 1, 4, 3, 3)
    assert cayley_to_matrix(v[:0]).shape == (0, 1, 4, 3, 3)
