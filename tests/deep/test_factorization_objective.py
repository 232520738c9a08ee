"""The objectives of C3DPO and of the multi-category lifter against loops in numpy, float64."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch.autograd import gradcheck

from nrsfm_learn.deep import _factorization_objective
from nrsfm_learn.deep._factorization_objective import (
    CanonicalizationObjective,
    CyclicObjective,
    Factorization,
    FactorizationObjective,
    huber,
    in_plane_rotations,
    point_huber_loss,
    rotation_huber_loss,
)
from nrsfm_learn.deep._frames import Frames
from nrsfm_learn.deep.nn import FactorizationNetwork
from nrsfm_learn.geometry import random_rotations

F, D = 6, 3
EPS = 0.01
# Two categories: points 0 to 4, and 5 to 8.
SELECTION = np.zeros((F, 9))
SELECTION[:4, :5] = SELECTION[4:, 5:] = 1
P = SELECTION.shape[1]
modes = pytest.mark.parametrize("in_plane", ["equivariance", "augmentation", None])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def h(d):
    """The formula of the paper, for one distance."""
    return EPS * (np.sqrt(1 + d**2 / EPS**2) - 1)


def tensor(array):
    return torch.from_numpy(np.asarray(array, float))


def make_frames(seed=0, missing=True, selection=SELECTION, weighted=False):
    rng = np.random.default_rng(seed)
    visible = selection.copy()
    if missing:
        for f, row in enumerate(visible):
            row[rng.choice(np.flatnonzero(row), size=f % 2, replace=False)] = 0
    points = rng.normal(size=(*visible.shape, 2)) * visible[..., None]
    points -= points.sum(1, keepdims=True) / visible.sum(1)[:, None, None]
    points *= visible[..., None]
    weights = tensor(rng.uniform(0.1, 2, size=visible.shape)) if weighted else None
    return Frames(tensor(points), tensor(visible), torch.ones(len(visible)).double(), weights)


def make_module(seed=0, n_points=P, **settings):
    module = FactorizationNetwork(
        n_points, D, width=8, bottleneck=4, n_blocks=1, generator=seeded(seed), **settings
    ).double()
    with torch.no_grad():
        for k, parameter in enumerate(module.parameters()):
            noise = torch.randn(parameter.shape, generator=seeded(100 + k), dtype=torch.float64)
            parameter += 0.3 * noise
    return module


def make_objective(cls, frames=None, module=None, selection=SELECTION, seed=0, **settings):
    frames = make_frames() if frames is None else frames
    canonicalize = cls is CanonicalizationObjective
    module = make_module(canonicalize=canonicalize) if module is None else module
    settings.setdefault("order", torch.arange(len(selection)))
    return cls(module, frames, tensor(selection), generator=seeded(seed), **settings)


# -- the loss of a distance


@settings(deadline=None, max_examples=50)
@given(d=st.floats(0, 1e6))
def test_huber(d):
    value = huber(torch.tensor(d, dtype=torch.float64) ** 2).item()
    # In extended precision, since sqrt(1 + r) - 1 cancels.
    ratio = np.longdouble(d) ** 2 / np.longdouble(EPS) ** 2
    expected = EPS * float(ratio / (np.sqrt(1 + ratio) + 1))
    assert value == pytest.approx(expected, rel=1e-12, abs=1e-300)
    assert 0 <= value <= d * (1 + 1e-12)
    assert d - value <= EPS * (1 + 1e-9) + 1e-9 * d


def test_huber_is_square_near_zero_with_a_gradient_there():
    d2 = torch.tensor([0.0, 1e-20], dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(huber(d2), d2 / (2 * EPS))
    (gradient,) = torch.autograd.grad(huber(d2).sum(), d2)
    torch.testing.assert_close(gradient, torch.full_like(d2, 1 / (2 * EPS)))


def test_point_huber_loss_is_the_loop():
    rng = np.random.default_rng(0)
    residual, weights = rng.normal(size=(4, 5, 3)), rng.uniform(size=(4, 5))
    weights[1, 2:] = 0
    total = 0
    for e, w in zip(residual, weights, strict=True):
        total += sum(w[p] * h(np.linalg.norm(e[p])) for p in range(5)) / w.sum() / 4
    assert point_huber_loss(tensor(residual), tensor(weights)).item() == pytest.approx(total)
    inputs = tensor(residual).requires_grad_()
    assert gradcheck(lambda e: point_huber_loss(e, tensor(weights)), inputs)


def test_rotation_huber_loss_compares_where_the_axes_go():
    A, B = (random_rotations(3, generator=seeded(k), dtype=torch.float64) for k in (0, 1))
    moved = np.linalg.norm(A.numpy() - B.numpy(), axis=1)
    np.testing.assert_allclose(rotation_huber_loss(A, B).item(), h(moved).mean())
    assert rotation_huber_loss(A, A).item() == 0


def test_in_plane_rotations():
    R = in_plane_rotations(4000, generator=seeded(), dtype=torch.float64).numpy()
    np.testing.assert_allclose(
        R @ R.swapaxes(1, 2), np.broadcast_to(np.eye(3), R.shape), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(R), 1)
    np.testing.assert_array_equal(R[:, 2], np.broadcast_to([0, 0, 1], (4000, 3)))
    angles = np.arctan2(R[:, 1, 0], R[:, 0, 0])
    assert stats.kstest(angles, stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 1e-3


# -- reprojection


@pytest.mark.parametrize("weighted", [False, True])
def test_reprojection_is_the_loop(weighted):
    frames = make_frames(weighted=weighted)
    rng = np.random.default_rng(1)
    shapes = rng.normal(size=(F, P, 3)) * SELECTION[..., None]
    R = random_rotations(F, generator=seeded(), dtype=torch.float64)
    found = Factorization(None, tensor(shapes), R)
    total = 0
    for f in range(F):
        seen = frames.visible[f].numpy() > 0
        projected = (shapes[f] @ R[f].numpy().T)[seen, :2]
        w = frames.weights[f].numpy()[seen] if weighted else np.ones(seen.sum())
        error = frames.points[f].numpy()[seen] - (projected - projected.mean(0))
        total += (w * h(np.linalg.norm(error, axis=1))).sum() / w.sum() / F
    loss = FactorizationObjective.reprojection_loss(found, frames)
    assert loss.item() == pytest.approx(total)

    def loss_of(X):
        return FactorizationObjective.reprojection_loss(Factorization(None, X, R), frames)

    assert gradcheck(loss_of, tensor(shapes).requires_grad_())


@modes
def test_lift_is_the_network_on_turned_images(in_plane):
    objective = make_objective(FactorizationObjective, in_plane=in_plane)
    module, frames = objective.module.eval(), objective.frames
    found = objective.lift(frames, objective.selection)
    turns = [torch.eye(3).double().expand(F, 3, 3)] * 2
    if in_plane is not None:
        n = 2 if in_plane == "equivariance" else 1
        drawn = in_plane_rotations(n * F, generator=seeded(), dtype=torch.float64)
        turns = [drawn[:F], drawn[-F:]]
    images = [frames.points @ turn[:, :2, :2].mT for turn in turns]
    first, second = (module.features(image, frames.visible) for image in images)
    torch.testing.assert_close(found.rotations, turns[0].mT @ module.rotations(first))
    torch.testing.assert_close(found.codes, module.codes(second))
    expected = module.decode(module.codes(second), objective.selection)
    torch.testing.assert_close(found.shapes, expected)


class RigidLifter:
    """Knows the one shape, up to a scale which is its code; lifts any view of it exactly.

    With ``leak`` its code depends on the angle of the image.
    """

    def __init__(self, shape, leak=0.0):
        self.shape = shape - shape.mean(0)
        self.leak = leak
        self.training = False

    def train(self, mode=True):
        self.training = mode

    def features(self, points, visible):
        return torch.cat((points, visible[..., None]), -1)

    def _camera(self, features):
        rows = (torch.linalg.pinv(self.shape) @ features[..., :2]).mT
        return rows / rows[:, :1].norm(dim=-1, keepdim=True), rows[:, 0].norm(dim=-1)

    def codes(self, features):
        rows, scale = self._camera(features)
        return (scale * (1 + self.leak * rows[:, 0, 0]))[:, None]

    def rotations(self, features):
        x, y = self._camera(features)[0].unbind(1)
        return torch.stack((x, y, torch.linalg.cross(x, y)), 1)

    def decode(self, codes, selection):
        return codes[..., None] * self.shape

    def canonical_codes(self, X):
        return (X.square().sum((1, 2)) / self.shape.square().sum()).sqrt()[:, None]


def rigid_objective(cls, seed, in_plane, leak=0.0, **settings):
    rng = np.random.default_rng(seed)
    shape = tensor(rng.normal(size=(7, 3)))
    module = RigidLifter(shape, leak)
    R = random_rotations(F, generator=seeded(seed), dtype=torch.float64)
    sizes = tensor(rng.uniform(0.5, 2, size=F))[:, None, None]
    points = ((sizes * module.shape) @ R.mT)[..., :2]
    frames = Frames(points, torch.ones(F, 7).double(), torch.ones(F).double())
    return make_objective(
        cls, frames, module, np.ones((F, 7)), seed=seed, in_plane=in_plane, **settings
    )


@modes
@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_a_perfect_equivariant_lifter_has_no_loss(in_plane, seed):
    for cls in (FactorizationObjective, CanonicalizationObjective, CyclicObjective):
        objective = rigid_objective(cls, seed, in_plane)
        assert objective(slice(None), 0).item() < 1e-12


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), leak=st.floats(0.05, 0.5))
def test_a_code_that_depends_on_the_angle_has_a_loss(seed, leak):
    objective = rigid_objective(FactorizationObjective, seed, "equivariance", leak)
    assert objective(slice(None), 0).item() > 1e-6


def test_in_plane_turns_of_the_data_do_not_change_the_expected_loss():
    # The network is no equivariant one: only the mean over the drawn angles is invariant.
    def mean_loss(frames, turned):
        objective = make_objective(FactorizationObjective, frames, seed=turned)
        objective.module.eval()
        return np.mean([objective(slice(None), 0).item() for _ in range(800)])

    frames = make_frames()
    turn = in_plane_rotations(F, generator=seeded(5), dtype=torch.float64)[:, :2, :2]
    turned = frames._replace(points=frames.points @ turn.mT)
    assert mean_loss(turned, 1) == pytest.approx(mean_loss(frames, 2), rel=0.03)


# -- categories


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000))
@pytest.mark.parametrize("cls", [CanonicalizationObjective, CyclicObjective])
def test_points_in_another_order_are_the_same_problem(cls, seed):
    # Swapping the two categories is one such order.
    order = np.random.default_rng(seed).permutation(P)
    module, other = (make_module(canonicalize=True) for _ in range(2))
    coordinates = [3 * p + d for p in order for d in range(3)]
    inputs = [*(2 * p + d for p in order for d in range(2)), *(2 * P + order)]
    with torch.no_grad():
        other.trunk.first.weight.copy_(module.trunk.first.weight[:, inputs])
        other.canonical_trunk.first.weight.copy_(
            module.canonical_trunk.first.weight[:, coordinates]
        )
        other.basis.weight.copy_(module.basis.weight[coordinates])
        other.basis.bias.copy_(module.basis.bias[coordinates])
    frames = make_frames()
    permuted = frames._replace(points=frames.points[:, order], visible=frames.visible[:, order])
    one = make_objective(cls, frames, module)(slice(None), 0)
    two = make_objective(cls, permuted, other, SELECTION[:, order])(slice(None), 0)
    assert one.item() == pytest.approx(two.item(), rel=1e-9)


@pytest.mark.parametrize("cls", [CanonicalizationObjective, CyclicObjective])
def test_the_basis_at_points_of_other_categories_does_not_matter(cls):
    objective = make_objective(cls)
    index = torch.tensor([0, 1, 2, 3])
    before = objective(index, 0).item()
    with torch.no_grad():
        objective.module.basis.weight[15:] += 1
        objective.module.basis.bias[15:] -= 7
    objective.generator.manual_seed(0)
    assert objective(index, 0).item() == pytest.approx(before, rel=1e-12)
    with torch.no_grad():
        objective.module.basis.bias[3] += 1
    objective.generator.manual_seed(0)
    assert objective(index, 0).item() != pytest.approx(before, rel=1e-6)


def test_frames_are_drawn_through_the_order():
    objective = make_objective(FactorizationObjective, order=torch.tensor([4, 5, 0, 1]))
    plain = make_objective(FactorizationObjective)
    drawn = objective(torch.tensor([0, 3, 2]), 0)
    assert drawn.item() == plain(torch.tensor([4, 1, 0]), 0).item()


def test_targets_are_what_the_loss_counts():
    frames, whole = make_frames(), make_frames(missing=False)
    objective = make_objective(FactorizationObjective, frames, targets=whole, in_plane=None)
    found = objective.lift(frames, objective.selection)
    expected = FactorizationObjective.reprojection_loss(found, whole)
    assert objective(slice(None), 0).item() == expected.item()


def test_hidden_keypoints_are_counted_but_not_shown():
    frames = make_frames(missing=False)
    settings = {"in_plane": None, "hide_fraction": 0.2}
    objective = make_objective(FactorizationObjective, frames, **settings)
    shown = frames.hidden(0.2, seeded())
    assert shown.visible.sum() < frames.visible.sum()
    found = objective.lift(shown, objective.selection)
    expected = FactorizationObjective.reprojection_loss(found, frames)
    assert objective(slice(None), 0).item() == expected.item()


# -- shape apart from pose


def test_canonicalization_is_the_loop():
    objective = make_objective(CanonicalizationObjective, n_views=2, weight=0.7)
    module = objective.module.eval()
    index = torch.arange(F)
    found = objective.lift(objective.frames, objective.selection)
    views = random_rotations(2 * F, generator=_copy(objective.generator), dtype=torch.float64)
    total = 0
    for f in range(F):
        own = SELECTION[f] > 0
        for Q in views[2 * f : 2 * f + 2]:
            turned = (found.shapes[f] @ Q.T)[None]
            again = module.decode(module.canonical_codes(turned), objective.selection[f : f + 1])
            error = (again[0] - found.shapes[f]).detach().numpy()[own]
            total += h(np.linalg.norm(error, axis=1)).mean() / (2 * F)
    loss = objective.disentanglement_loss(found, index, 0)
    assert loss.item() == pytest.approx(0.7 * total)


def _copy(generator):
    return _restored(generator.get_state())


def _restored(state):
    generator = torch.Generator()
    generator.set_state(state)
    return generator


def test_cycle_is_the_loop():
    objective = make_objective(CyclicObjective, weight=0.7, start=3)
    module = objective.module.eval()
    index = torch.arange(F)
    found = objective.lift(objective.frames, objective.selection)
    assert objective.disentanglement_loss(found, index, 2) == 0.0
    views = random_rotations(F, generator=_copy(objective.generator), dtype=torch.float64)
    total = 0
    for f in range(F):
        own, zeta = SELECTION[f] > 0, objective.selection[f : f + 1]
        shown = objective.frames.visible[f : f + 1]
        seen = (found.shapes[f] @ views[f].T)[None, :, :2]
        seen = seen - seen[:, shown[0] > 0].mean(1)
        features = module.features(seen * shown[..., None], shown)
        again = module.decode(module.codes(features), zeta)
        error = (again[0] - found.shapes[f]).detach().numpy()[own]
        axes = (module.rotations(features)[0] - views[f]).detach().numpy()
        total += h(np.linalg.norm(error, axis=1)).mean() / F
        total += h(np.linalg.norm(axes, axis=0)).mean() / F
    loss = objective.disentanglement_loss(found, index, 3)
    assert loss.item() == pytest.approx(0.7 * total)


def finite_difference(function, parameter, step=1e-6):
    gradient = torch.zeros_like(parameter)
    flat, out = parameter.detach().view(-1), gradient.view(-1)
    for k in range(0, len(flat), max(1, len(flat) // 8)):
        values = []
        for sign in (1, -1):
            flat[k] += sign * step
            values.append(function())
            flat[k] -= sign * step
        out[k] = (values[0] - values[1]) / (2 * step)
    return gradient


@pytest.mark.parametrize("cls", [FactorizationObjective, CanonicalizationObjective])
@pytest.mark.parametrize("training", [False, True])
def test_gradients_are_finite_differences(cls, training):
    # Of the canonicalisation too: what it compares with is not held fixed.
    objective = make_objective(cls)
    objective.module.train(training)

    def value():
        objective.generator.manual_seed(0)
        return objective(slice(None), 0)

    parameters = list(objective.module.parameters())
    gradients = torch.autograd.grad(value(), parameters, allow_unused=True)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        found = finite_difference(lambda: value().item(), parameter)
        if gradient is None:
            assert (found == 0).all()
            continue
        checked = found != 0
        torch.testing.assert_close(gradient[checked], found[checked], rtol=1e-5, atol=1e-6)


def test_the_cycle_holds_the_views_fixed_and_not_the_shapes():
    objective = make_objective(CyclicObjective)
    objective.module.eval()
    found = objective.lift(objective.frames, objective.selection)
    shapes = found.shapes.detach().requires_grad_()
    state = objective.generator.get_state()

    def value(shapes):
        objective.generator.set_state(state)
        return objective.disentanglement_loss(found._replace(shapes=shapes), torch.arange(F), 0)

    loss = value(shapes)
    gradient = torch.autograd.grad(loss, shapes, retain_graph=True)[0]
    views = random_rotations(F, generator=_restored(state), dtype=torch.float64)
    frames = objective.frames.view_of(shapes.detach() @ views.mT).masked(objective.frames.visible)
    features = objective.module.features(frames.normalized(), frames.visible)
    again = objective.module.decode(objective.module.codes(features), objective.selection).detach()
    alone = point_huber_loss(again - shapes, objective.selection)
    torch.testing.assert_close(gradient, torch.autograd.grad(alone, shapes)[0])
    parameters = (objective.module.rotation_head.bias, objective.module.basis.weight)
    gradients = torch.autograd.grad(loss, parameters)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        found_gradient = finite_difference(lambda: value(shapes).item(), parameter)
        checked = found_gradient != 0
        assert checked.any()
        torch.testing.assert_close(gradient[checked], found_gradient[checked], rtol=1e-5, atol=1e-6)


def test_batch_normalisation_is_frozen_in_the_cycle():
    objective = make_objective(CyclicObjective, start=2)
    norm = objective.module.trunk.first_norm
    moved = []
    for iteration in range(4):
        before = norm.running_mean.clone()
        objective.before_step(iteration)
        objective(slice(None), iteration)
        moved.append(not torch.equal(norm.running_mean, before))
    assert moved == [True, True, False, False]
    objective.weight = 0.0
    objective.before_step(3)
    assert objective.module.training


def test_no_weight_draws_nothing(monkeypatch):
    monkeypatch.setattr(_factorization_objective, "random_rotations", None)
    plain = make_objective(FactorizationObjective)(slice(None), 9)
    for cls in (CanonicalizationObjective, CyclicObjective):
        module = make_module(canonicalize=True)
        with torch.no_grad():
            module.load_state_dict(make_module().state_dict(), strict=False)
        assert make_objective(cls, module=module, weight=0.0)(slice(None), 9).item() == plain.item()
