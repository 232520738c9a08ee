from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from nrsfm_learn.geometry import (
    block_code,
    center_dictionary,
    normalize_observations,
    normalized_dictionary_orthographic,
    normalized_dictionary_perspective,
    normalized_reprojection_orthographic,
    normalized_reprojection_perspective,
    perspective_translation,
    project_orthographic,
    project_perspective,
    random_rotations,
)


class Scene(NamedTuple):
    D: torch.Tensor
    codes: torch.Tensor
    rotation: torch.Tensor
    t: torch.Tensor
    visible: torch.Tensor
    X_rotated: torch.Tensor

    @property
    def X_cam(self):
        return self.X_rotated + self.t[:, None]

    def observe(self, project):
        """Projections, NaN where hidden."""
        return torch.where(self.visible[..., None], project(self.X_cam), torch.nan)


def scene(seed, n_points, n_atoms, *, centred, n_frames=3):
    generator = torch.Generator().manual_seed(seed)

    def randn(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    D = randn(n_points, 3 * n_atoms)
    if centred:
        D = D - D.mean(0)
    codes = randn(n_frames, n_atoms)
    R = random_rotations(n_frames, generator=generator, dtype=torch.float64)
    # Written out point by point, in our convention x_cam = R x, with no help of the package.
    S = np.einsum("pkc,fk->fpc", D.reshape(n_points, n_atoms, 3).numpy(), codes.numpy())
    X = torch.as_tensor(np.einsum("fij,fpj->fpi", R.numpy(), S))
    t = randn(n_frames, 3)
    t[:, 2] = 2 - X[..., 2].amin(-1)
    visible = torch.rand(n_frames, n_points, generator=generator) > 0.4
    visible[:, 0] = True
    return Scene(D, codes, R, t, visible, X)


scenes = {
    "seed": st.integers(0, 2**31),
    "n_points": st.integers(3, 15),
    "n_atoms": st.integers(1, 6),
}


def check_orthographic(sc, form):
    M = sc.visible[..., None].double()
    W = normalize_observations(sc.observe(project_orthographic), sc.visible)
    D = normalized_dictionary_orthographic(sc.D, sc.visible, form=form)
    right = M * (D @ block_code(sc.codes, sc.rotation)[..., :2])
    return (W - right).abs().max()


def check_perspective(sc, form):
    M = sc.visible.double().repeat_interleave(2, -1)
    observed = sc.observe(project_perspective)
    W = normalize_observations(observed, sc.visible, sc.t[:, 2]).flatten(-2)
    D = normalized_dictionary_perspective(sc.D, observed, sc.visible, form=form)
    psi = block_code(sc.codes, sc.rotation).mT.flatten(-2)
    right = M * torch.einsum("fij,fj->fi", D, psi)
    return (W - right).abs().max()


class TestEquation7:
    """M W~ = M D~ Psi~ for random dictionaries, codes, rotations, translations and masks."""

    @given(**scenes, centred=st.booleans())
    @settings(deadline=None, max_examples=50)
    def test_general_form_holds_for_any_dictionary(self, seed, n_points, n_atoms, centred):
        sc = scene(seed, n_points, n_atoms, centred=centred)
        assert check_orthographic(sc, "general") < 1e-10
        assert check_perspective(sc, "general") < 1e-10

    @given(**scenes)
    @settings(deadline=None, max_examples=50)
    def test_published_form_holds_for_a_centred_dictionary(self, seed, n_points, n_atoms):
        sc = scene(seed, n_points, n_atoms, centred=True)
        assert check_orthographic(sc, "object-centric") < 1e-10
        assert check_perspective(sc, "object-centric") < 1e-10

    def test_published_form_needs_a_centred_dictionary(self):
        sc = scene(0, 10, 3, centred=False)
        assert check_orthographic(sc, "object-centric") > 0.1
        assert check_perspective(sc, "object-centric") > 0.1
        sc = sc._replace(visible=torch.ones_like(sc.visible))
        assert check_orthographic(sc, "object-centric") > 0.1

    def test_printed_factor_is_a_misprint(self):
        sc = scene(0, 10, 3, centred=True)
        M = sc.visible[..., None].double()
        W = normalize_observations(sc.observe(project_orthographic), sc.visible)
        printed = sc.D + ((1 - M) * sc.D).sum(-2, keepdim=True) / 10
        assert (W - M * (printed @ block_code(sc.codes, sc.rotation)[..., :2])).abs().max() > 0.1

    @given(**scenes)
    @settings(deadline=None, max_examples=25)
    def test_holds_for_weights(self, seed, n_points, n_atoms):
        sc = scene(seed, n_points, n_atoms, centred=False)
        generator = torch.Generator().manual_seed(seed)
        confidence = torch.rand(sc.visible.shape, generator=generator, dtype=torch.float64)
        weights = sc.visible * (0.1 + confidence)
        M = sc.visible[..., None]
        W = normalize_observations(sc.observe(project_orthographic), weights)
        D = normalized_dictionary_orthographic(sc.D, weights)
        psi = block_code(sc.codes, sc.rotation)
        assert (W - M * (D @ psi[..., :2])).abs().max() < 1e-10
        observed = sc.observe(project_perspective)
        W = normalize_observations(observed, weights, sc.t[:, 2])
        right = normalized_reprojection_perspective(sc.X_rotated, observed, weights)
        assert (W - right).abs().max() < 1e-10


@given(**scenes, centred=st.booleans())
@settings(deadline=None, max_examples=40)
def test_reprojections_are_the_products(seed, n_points, n_atoms, centred):
    sc = scene(seed, n_points, n_atoms, centred=centred)
    psi = block_code(sc.codes, sc.rotation)
    D = normalized_dictionary_orthographic(sc.D, sc.visible)
    cheap = normalized_reprojection_orthographic(sc.X_rotated[..., :2], sc.visible)
    assert (cheap - D @ psi[..., :2]).abs().max() < 1e-10
    observed = sc.observe(project_perspective)
    D = normalized_dictionary_perspective(sc.D, observed, sc.visible)
    product = torch.einsum("fij,fj->fi", D, psi.mT.flatten(-2)).unflatten(-1, (-1, 2))
    cheap = normalized_reprojection_perspective(sc.X_rotated, observed, sc.visible)
    assert (cheap - product * sc.visible[..., None]).abs().max() < 1e-10


def test_block_code_is_the_kronecker_product(device, dtype):
    sc = scene(1, 5, 4, centred=False)
    psi = block_code(sc.codes.to(device, dtype), sc.rotation.to(device, dtype)).cpu()
    atol = 1e-14 if dtype == torch.float64 else 1e-6
    for f in range(3):
        # The literature's matrix acts on the right: the transpose of ours.
        expected = np.kron(sc.codes[f, :, None].numpy(), sc.rotation[f].numpy().T)
        np.testing.assert_allclose(psi[f], expected, atol=atol)
    assert (sc.D @ block_code(sc.codes, sc.rotation) - sc.X_rotated).abs().max() < 1e-12


@given(**scenes, centred=st.booleans())
@settings(deadline=None, max_examples=40)
def test_perspective_translation(seed, n_points, n_atoms, centred):
    sc = scene(seed, n_points, n_atoms, centred=centred)
    observed = sc.observe(project_perspective)
    t = perspective_translation(sc.X_rotated, observed, sc.visible, sc.t[:, 2])
    assert (t - sc.t).abs().max() < 1e-10 * (1 + sc.t.abs().max())
    if centred:
        # Eq. 13, point by point.
        u, m = observed.nan_to_num(), sc.visible.double()[..., None]
        x, z = sc.X_rotated[..., :2], sc.X_rotated[..., 2:]
        printed = (m * u * (z + sc.t[:, None, 2:]) + (1 - m) * x).sum(1) / m.sum(1)
        assert (t[:, :2] - printed).abs().max() < 1e-10 * (1 + sc.t.abs().max())


def test_depth_defaults_to_one_and_everything_visible():
    sc = scene(3, 8, 2, centred=False)
    sc = sc._replace(visible=torch.ones_like(sc.visible))
    W = sc.observe(project_perspective)
    assert torch.equal(
        normalize_observations(W), normalize_observations(W, sc.visible, torch.ones(3).double())
    )
    assert torch.allclose(
        perspective_translation(sc.X_rotated, W),
        perspective_translation(sc.X_rotated, W, sc.visible, torch.ones(3).double()),
    )
    for form in ("general", "object-centric"):
        assert torch.allclose(
            normalized_dictionary_orthographic(sc.D, form=form).expand(3, -1, -1),
            normalized_dictionary_orthographic(sc.D, sc.visible, form=form),
        )
        assert torch.allclose(
            normalized_dictionary_perspective(sc.D, W, form=form),
            normalized_dictionary_perspective(sc.D, W, sc.visible, form=form),
        )
    assert torch.allclose(
        normalized_reprojection_orthographic(W), normalize_observations(W, sc.visible)
    )


def test_hidden_points_have_no_influence():
    sc = scene(4, 8, 2, centred=False)
    W = sc.observe(project_perspective)
    X = sc.X_rotated.clone().requires_grad_()
    for hidden_value in (torch.nan, 0.0, 1e6, torch.inf):
        other = torch.where(sc.visible[..., None], W, hidden_value).requires_grad_()
        out = normalized_reprojection_perspective(X, other, sc.visible)
        reference = normalized_reprojection_perspective(X, W, sc.visible)
        assert torch.equal(out, reference)
        assert torch.equal(out[~sc.visible], torch.zeros_like(out[~sc.visible]))
        t = perspective_translation(X, other, sc.visible)
        (out.square().sum() + t.sum()).backward()
        assert other.grad.isfinite().all()
        assert torch.equal(other.grad[~sc.visible], torch.zeros_like(out[~sc.visible]))
        assert X.grad.isfinite().all()
        normalized = normalize_observations(other, sc.visible)
        assert torch.equal(normalized, normalize_observations(W, sc.visible))


def test_frame_without_visible_points_is_zero(dtype):
    W = torch.full((2, 5, 2), torch.nan, dtype=dtype)
    visible = torch.zeros(2, 5, dtype=torch.bool)
    X = torch.ones(2, 5, 3, dtype=dtype, requires_grad=True)
    assert torch.equal(normalize_observations(W, visible), torch.zeros_like(W))
    out = normalized_reprojection_perspective(X, W, visible)
    assert torch.equal(out, torch.zeros_like(W))
    (out.sum() + perspective_translation(X, W, visible).sum()).backward()
    assert X.grad.isfinite().all()


def test_derivatives(device):
    sc = scene(5, 4, 2, centred=False, n_frames=2)
    visible = sc.visible.to(device)
    W = project_perspective(sc.X_cam)
    D, codes, R, depth, X, W = (
        x.to(device).requires_grad_()
        for x in (sc.D, sc.codes, sc.rotation, sc.t[:, 2].clone(), sc.X_rotated, W)
    )
    weights = (sc.visible.double() + 0.5).to(device).requires_grad_()
    assert gradcheck(lambda w, d: normalize_observations(w, visible, d), (W, depth))
    assert gradcheck(normalize_observations, (W, weights, depth))
    assert gradcheck(center_dictionary, D)
    assert gradcheck(block_code, (codes, R))
    assert gradcheck(normalized_reprojection_orthographic, (W, weights))
    assert gradcheck(normalized_reprojection_perspective, (X, W, weights))
    assert gradcheck(lambda x, w: normalized_reprojection_perspective(x, w, visible), (X, W))
    assert gradcheck(perspective_translation, (X, W, weights, depth))


@pytest.mark.parametrize("form", ["general", "object-centric"])
def test_dictionary_derivatives(form, device):
    sc = scene(5, 4, 2, centred=False, n_frames=2)
    visible = sc.visible.to(device)
    D = sc.D.to(device).requires_grad_()
    W = project_perspective(sc.X_cam).to(device).requires_grad_()
    assert gradcheck(lambda d: normalized_dictionary_orthographic(d, visible, form=form), D)
    assert gradcheck(
        lambda d, w: normalized_dictionary_perspective(d, w, visible, form=form), (D, W)
    )


def test_float32_and_device(device, dtype):
    sc = scene(6, 9, 3, centred=True)
    sc = Scene(*(x.to(device) if x.dtype == torch.bool else x.to(device, dtype) for x in sc))
    W = normalize_observations(sc.observe(project_perspective), sc.visible, sc.t[:, 2])
    assert W.dtype == dtype
    atol = 1e-10 if dtype == torch.float64 else 1e-4
    for form in ("general", "object-centric"):
        D = normalized_dictionary_perspective(
            sc.D, sc.observe(project_perspective), sc.visible, form=form
        )
        assert D.dtype == dtype
        assert D.shape == (3, 18, 27)
        psi = block_code(sc.codes, sc.rotation).mT.flatten(-2)
        right = torch.einsum("fij,fj->fi", D, psi).unflatten(-1, (-1, 2))
        assert (W - right * sc.visible[..., None]).abs().max() < atol


def test_center_dictionary_and_leading_dimensions():
    sc = scene(7, 6, 2, centred=False)
    assert center_dictionary(sc.D).sum(0).abs().max() < 1e-13
    W = project_perspective(sc.X_cam).expand(5, 3, 6, 2)
    visible = sc.visible.expand(5, 3, 6)
    assert normalize_observations(W, visible).shape == (5, 3, 6, 2)
    assert normalized_dictionary_orthographic(sc.D, visible).shape == (5, 3, 6, 6)
    assert normalized_dictionary_perspective(sc.D, W, visible).shape == (5, 3, 12, 18)
    assert normalized_reprojection_perspective(sc.X_rotated, W, visible).shape == (5, 3, 6, 2)
    assert perspective_translation(sc.X_rotated, W, visible).shape == (5, 3, 3)


def test_bad_input():
    D, W = torch.zeros(5, 6), torch.zeros(2, 5, 2)
    with pytest.raises(ValueError, match="form must be 'general' or 'object-centric', got 'table'"):
        normalized_dictionary_orthographic(D, form="table")
    with pytest.raises(ValueError, match=r"visible must have shape .* n_points = 5"):
        normalize_observations(W, torch.ones(2, 4, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"W must have shape \(..., 5, 2\)"):
        normalized_dictionary_perspective(D, W[:, :4])
    with pytest.raises(ValueError, match=r"W must have shape \(..., 4, 2\)"):
        normalized_reprojection_perspective(torch.zeros(2, 4, 3), W)
    with pytest.raises(ValueError, match="rotation must have shape"):
        block_code(torch.zeros(4), torch.zeros(3, 2))
