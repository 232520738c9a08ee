import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from nrsfm_learn.geometry import (
    pixels_to_unit_plane,
    project_orthographic,
    project_perspective,
    project_weak_perspective,
    unit_plane_to_pixels,
)


def points(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    X = torch.randn(*shape, 3, generator=generator, dtype=torch.float64)
    X[..., 2] += 8
    return X


def intrinsics(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    f, skew, c = (torch.rand(*shape, 2, generator=generator, dtype=torch.float64) for _ in range(3))
    K = torch.zeros(*shape, 3, 3, dtype=torch.float64)
    K[..., 0, 0], K[..., 1, 1] = 500 + 900 * f[..., 0], 500 + 900 * f[..., 1]
    K[..., 0, 1] = 20 * skew[..., 0]
    K[..., 0, 2], K[..., 1, 2] = 640 * c[..., 0], 480 * c[..., 1]
    K[..., 2, 2] = 1
    return K


def test_orthographic(device, dtype):
    X = points(4, 5).to(device, dtype)
    assert torch.equal(project_orthographic(X), X[..., :2])


def test_weak_perspective_is_the_limit_of_perspective():
    X = points(4, 5)
    X[..., 2] -= 8
    depth = 1e6
    far = project_perspective(X + torch.tensor([0, 0, depth], dtype=X.dtype))
    assert torch.allclose(depth * far, project_weak_perspective(X, 1.0), atol=1e-4)
    scale = torch.tensor([1.0, 2, 3, 4], dtype=X.dtype)
    translation = points(4)[..., :2]
    W = project_weak_perspective(X, scale, translation)
    for f in range(4):
        assert torch.allclose(W[f], scale[f] * X[f, :, :2] + translation[f])


def test_perspective_in_pixels_is_the_homogeneous_product(device, dtype):
    X, K = points(4, 5), intrinsics(4)
    homogeneous = np.einsum("fij,fpj->fpi", K.numpy(), X.numpy())
    expected = homogeneous[..., :2] / homogeneous[..., 2:]
    W = project_perspective(X.to(device, dtype), K.to(device, dtype))
    atol = 1e-10 if dtype == torch.float64 else 1e-3
    np.testing.assert_allclose(W.cpu(), expected, atol=atol)


@given(st.integers(0, 2**31), st.booleans())
@settings(deadline=None, max_examples=25)
def test_pixels_are_the_inverse_calibration(seed, one_camera):
    W = 1000 * points(3, 6, seed=seed)[..., :2]
    K = intrinsics(seed=seed) if one_camera else intrinsics(3, seed=seed)
    W[0, 2] = torch.nan
    unit = pixels_to_unit_plane(W, K)
    homogeneous = torch.cat((W, torch.ones_like(W[..., :1])), -1)
    expected = homogeneous @ torch.linalg.inv(K).mT
    assert torch.allclose(unit, expected[..., :2], equal_nan=True)
    assert torch.allclose(unit_plane_to_pixels(unit, K), W, equal_nan=True)
    assert unit[0, 2].isnan().all()
    assert unit.isnan().sum() == 2


def test_derivatives(device):
    X = points(2, 3).to(device).requires_grad_()
    K = intrinsics(2).to(device).requires_grad_()
    scale = torch.tensor([0.5, 2.0], dtype=X.dtype, device=device, requires_grad=True)
    t = torch.ones(2, 2, dtype=X.dtype, device=device, requires_grad=True)
    assert gradcheck(project_orthographic, X)
    assert gradcheck(project_weak_perspective, (X, scale, t))
    assert gradcheck(project_perspective, X)
    assert gradcheck(project_perspective, (X, K))
    W = X[..., :2].detach().requires_grad_()
    assert gradcheck(pixels_to_unit_plane, (W, K))
    assert gradcheck(unit_plane_to_pixels, (W, K))


def test_bad_input():
    with pytest.raises(ValueError, match=r"X must have shape \(..., n_points, 3\), got \(4, 2\)"):
        project_orthographic(torch.zeros(4, 2))
    with pytest.raises(ValueError, match="X must have shape"):
        project_perspective(torch.zeros(3))
    with pytest.raises(ValueError, match="intrinsics must have shape"):
        pixels_to_unit_plane(torch.zeros(4, 2), torch.zeros(2, 2))
    with pytest.raises(ValueError, match="W must have shape"):
        unit_plane_to_pixels(torch.zeros(4, 3), torch.zeros(3, 3))
