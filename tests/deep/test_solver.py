"""The Gauss-Newton step against the damped normal equations of one frame, written out in numpy."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from nrsfm_learn.deep._frames import Frames
from nrsfm_learn.deep.nn import HierarchicalBlockSparseLifter, Lift
from nrsfm_learn.deep.nn._solver import _CODE_RIDGE, _ROTATION_RIDGE, _TINY, gauss_newton_step
from nrsfm_learn.geometry import axis_angle_to_matrix, random_rotations, rotation_angle

P, F, SIZES = 12, 8, [16, 8, 3]
both_cameras = pytest.mark.parametrize("perspective", [False, True])
complete_or_not = pytest.mark.parametrize("missing", [False, True])


def make_module(perspective, sizes=SIZES, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    module = HierarchicalBlockSparseLifter(
        P, sizes, n_columns=3 if perspective else 2, generator=generator
    )
    with torch.no_grad():
        for bias in module.biases:
            bias.copy_(0.5 + 0.3 * torch.randn(len(bias), generator=generator))
    return module.to(dtype)


def make_world(module, perspective, missing):
    """Frames that the module itself drew: exact projections of shapes of its decoder."""
    rng = np.random.default_rng(3)
    codes = torch.from_numpy(rng.normal(size=(F, module.dictionary_sizes[-1])))
    R = random_rotations(F, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    visible = np.ones((F, P))
    for f in range(F if missing else 0):
        visible[f, rng.choice(P, size=f % 5, replace=False)] = 0
    with torch.no_grad():
        shapes, first_codes = module.decode(codes)
        X = shapes @ R.mT
        t = torch.from_numpy(rng.normal(size=(F, 1, 3)) * 0.3)
        if perspective:
            gain = X[..., 2].abs().amax(1) * 3
            t[..., 2] = gain[:, None]
            placed = X + t
            W = placed[..., :2] / placed[..., 2:]
        else:
            scale = torch.linspace(0.5, 2, F, dtype=torch.float64)
            W, gain = ((X + t) * scale[:, None, None])[..., :2], 1 / scale
    visible = torch.from_numpy(visible)
    frames = Frames(W * visible[..., None], visible, gain, None, perspective)
    return frames, Lift(shapes, R, codes, first_codes)


def moved(module, lift, angle, relative):
    """Turn the camera by an angle and change the code by a share of its length."""
    rng = np.random.default_rng(7)
    axes, change = (
        torch.nn.functional.normalize(torch.from_numpy(rng.normal(size=(F, n))), dim=-1)
        for n in (3, lift.codes.shape[1])
    )
    codes = lift.codes + relative * change * lift.codes.norm(dim=-1, keepdim=True)
    shapes, first_codes = module.decode(codes)
    return Lift(shapes, axis_angle_to_matrix(angle * axes) @ lift.rotations, codes, first_codes)


def norms(frames, lift):
    return frames.residual(lift.rotated).flatten(1).norm(dim=-1)


@pytest.fixture
def world(perspective, missing):
    module = make_module(perspective)
    frames, truth = make_world(module, perspective, missing)
    with torch.no_grad():
        yield module, frames, truth, module.centered_dictionary()


# -- where it goes


@both_cameras
@complete_or_not
def test_truth_is_left_alone(world):
    module, frames, truth, D = world
    assert norms(frames, truth).max() < 1e-12
    for found, value in zip(gauss_newton_step(module, frames, truth, D), truth, strict=True):
        torch.testing.assert_close(found, value)


@both_cameras
@complete_or_not
def test_first_step_explains_most_of_the_residual(world):
    module, frames, truth, D = world
    start = moved(module, truth, 0.2, 0.1)
    before = norms(frames, start)
    after = norms(frames, gauss_newton_step(module, frames, start, D))
    assert (before > 0.01 * norms(frames, truth._replace(shapes=0 * truth.shapes))).all()
    assert (after < 0.5 * before).all()


@both_cameras
@complete_or_not
def test_a_few_steps_reach_the_truth(world):
    module, frames, truth, D = world
    lift = moved(module, truth, 0.2, 0.1)
    first = norms(frames, lift)
    for _ in range(8):
        lift = gauss_newton_step(module, frames, lift, D)
    assert (norms(frames, lift) < 1e-8 * first).all()
    assert rotation_angle(lift.rotations, truth.rotations).max() < 1e-8
    torch.testing.assert_close(lift.codes, truth.codes)
    torch.testing.assert_close(lift.shapes, truth.shapes)
    torch.testing.assert_close(lift.first_codes, truth.first_codes)
    identity = torch.eye(3, dtype=torch.float64).expand(F, 3, 3)
    torch.testing.assert_close(lift.rotations @ lift.rotations.mT, identity)
    torch.testing.assert_close(lift.rotations.det(), torch.ones(F, dtype=torch.float64))


@both_cameras
@complete_or_not
def test_steps_are_bounded(world):
    module, frames, truth, D = world
    # Keypoints a million times too far apart ask for a code a million times as long.
    frames = frames._replace(gain=frames.gain * 1e6)
    start = moved(module, truth, 1.0, 0.5)
    found = gauss_newton_step(module, frames, start, D)
    length = start.codes.norm(dim=-1)
    change = (found.codes - start.codes).norm(dim=-1)
    assert (change < 1.001 * length).all()
    assert (change > 0.9 * length).any()
    angle = rotation_angle(found.rotations, start.rotations)
    assert angle.max() < 2 * np.arctan(0.5) + 1e-9
    assert angle.max() > 0.9


# -- what it is


def decode(module, code):
    """Equation 25 of one frame."""
    hidden = code
    for level, bias in zip(module.dictionaries[::-1], module.biases[::-1], strict=True):
        hidden = np.maximum(level.detach().numpy() @ hidden + bias.detach().numpy(), 0)
    D = module.shape_dictionary.detach().numpy()
    return np.einsum("dpk,k->pd", D - D.mean(1, keepdims=True), hidden)


def form(points, m, X, perspective):
    """Right-hand side of eq. 7 of one frame."""
    r = X[:, :2] - points * X[:, 2:] if perspective else X[:, :2]
    return (m[:, None] * (r - (m[:, None] * r).sum(0) / m.sum())).ravel()


def derivative(function, n, step=1e-6):
    """Derivative at zero by central differences, (n_values, n)."""
    return np.stack([function(e) - function(-e) for e in step * np.eye(n)], 1) / (2 * step)


def step_reference(module, frames, lift, f):
    """Damped least squares on code and rotation of one frame; returns the new ones."""
    points, m = frames.points[f].numpy(), frames.visible[f].numpy()
    R, code = lift.rotations[f].numpy(), lift.codes[f].numpy()
    n_codes = len(code)

    def predicted(turn, change):
        turned = Rotation.from_rotvec(turn).as_matrix() @ R
        return form(points, m, decode(module, code + change) @ turned.T, frames.perspective)

    seen = (points - (m[:, None] * points).sum(0) / m.sum()) * m[:, None] * frames.gain[f].item()
    e = seen.ravel() - predicted(np.zeros(3), np.zeros(n_codes))
    by_turn = derivative(lambda v: predicted(v, np.zeros(n_codes)), 3)
    by_code = derivative(lambda v: predicted(np.zeros(3), v), n_codes)
    ridges = [_ROTATION_RIDGE * np.square(by_turn).sum() / 3 + _TINY] * 3
    ridges += [_CODE_RIDGE * np.square(by_code).sum() / n_codes + _TINY] * n_codes
    # Ridges are further equations, which ask for no step.
    J = np.vstack([np.hstack([by_turn, by_code]), np.diag(np.sqrt(ridges))])
    step = np.linalg.lstsq(J, np.append(e, np.zeros(3 + n_codes)), rcond=None)[0]
    omega, change = step[:3] / np.sqrt(1 + step[:3] @ step[:3]), step[3:]
    half = np.cross(np.eye(3), omega) / 2
    turn = np.linalg.solve(np.eye(3) - half, np.eye(3) + half)
    change = change / np.sqrt(1 + change @ change / (code @ code + _TINY))
    return code + change, turn @ R


@pytest.mark.parametrize("angle", [0.1, 1.0, 3.0])
@both_cameras
@complete_or_not
def test_step_is_the_damped_normal_equations(world, angle):
    module, frames, truth, D = world
    start = moved(module, truth, angle, 0.3)
    found = gauss_newton_step(module, frames, start, D)
    moves = []
    for f in range(F):
        code, R = step_reference(module, frames, start, f)
        np.testing.assert_allclose(found.codes[f], code, atol=1e-6)
        np.testing.assert_allclose(found.rotations[f], R, atol=1e-6)
        np.testing.assert_allclose(found.shapes[f], decode(module, code), atol=1e-6)
        moves.append(np.abs(code - start.codes[f].numpy()).max())
    assert min(moves) > 1e-3


def turned_in_plane(frames, lift, angle):
    c, s = np.cos(angle), np.sin(angle)
    Rz = torch.tensor([[c, -s, 0], [s, c, 0], [0, 0, 1]], dtype=torch.float64)
    turned = frames._replace(points=frames.points @ Rz[:2, :2].T)
    return turned, lift._replace(rotations=Rz @ lift.rotations), Rz


@pytest.mark.parametrize("angle", [0.3, 2.0, -np.pi / 2])
@both_cameras
@complete_or_not
def test_rotating_image_and_start_rotates_the_camera_only(world, angle):
    module, frames, truth, D = world
    start = moved(module, truth, 0.5, 0.3)
    turned, turned_start, Rz = turned_in_plane(frames, start, angle)
    before = gauss_newton_step(module, frames, start, D)
    after = gauss_newton_step(module, turned, turned_start, D)
    torch.testing.assert_close(after.codes, before.codes)
    torch.testing.assert_close(after.shapes, before.shapes)
    torch.testing.assert_close(after.rotations, Rz @ before.rotations)


# -- gradients


@both_cameras
@pytest.mark.parametrize("sizes", [SIZES, [3]])
def test_gradient_against_finite_differences(perspective, sizes):
    module = make_module(perspective, sizes)
    frames, truth = make_world(module, perspective, missing=True)
    frames = frames.take(slice(3))
    with torch.no_grad():
        start = moved(module, truth, 0.3, 0.3)
    start = [start.codes[:3].requires_grad_(), start.rotations[:3].requires_grad_()]
    parameters = [module.shape_dictionary, *module.dictionaries, *module.biases]

    def step(codes, rotations, *_):
        # Gradcheck perturbs the module's own parameters in place.
        D = module.centered_dictionary()
        shapes, first_codes = module.decode(codes, D)
        lift = Lift(shapes, rotations, codes, first_codes)
        return tuple(gauss_newton_step(module, frames, lift, D))

    assert torch.autograd.gradcheck(step, (*start, *parameters), fast_mode=True)


@both_cameras
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("code", [0.0, 1e-12, 1.0])
@pytest.mark.parametrize("bias", [-5.0, 0.0, 0.5])
def test_degenerate_frames_have_a_finite_step_and_gradient(perspective, dtype, code, bias):
    module = make_module(perspective, dtype=dtype)
    with torch.no_grad():
        for b in module.biases:
            b.fill_(bias)
    generator = torch.Generator().manual_seed(1)
    points = torch.full((7, P, 2), 0.3)
    points[1] = torch.linspace(-1, 1, P)[:, None]
    points[2, 0] += 1e-7
    points[3] = 0
    points[4] = torch.randn(P, 2, generator=generator) * (10 if perspective else 1e4)
    points[5:] = torch.randn(2, P, 2, generator=generator)
    visible = torch.ones(7, P)
    visible[5, 3:] = 0
    visible[6, 1:] = 0
    frames = Frames(
        (points * visible[..., None]).to(dtype),
        visible.to(dtype),
        torch.ones(7, dtype=dtype),
        None,
        perspective,
    )
    codes = torch.full((7, SIZES[-1]), code, dtype=dtype, requires_grad=True)
    rotations = random_rotations(7, generator=generator, dtype=dtype).requires_grad_()
    D = module.centered_dictionary()
    shapes, first_codes = module.decode(codes, D)
    lift = Lift(shapes, rotations, codes, first_codes)
    for _ in range(3):
        lift = gauss_newton_step(module, frames, lift, D)
    assert all(part.isfinite().all() for part in lift)
    slope = torch.randn(7, 3, 3, generator=generator).to(dtype)
    loss = lift.shapes.square().sum() + lift.codes.sum() + (lift.rotations * slope).sum()
    loss.backward()
    used = [module.shape_dictionary, *module.dictionaries, *module.biases]
    for tensor in (codes, rotations, *used):
        assert tensor.grad.isfinite().all()
    identity = torch.eye(3, dtype=dtype).expand(7, 3, 3)
    torch.testing.assert_close(lift.rotations @ lift.rotations.mT, identity, atol=1e-5, rtol=0)
