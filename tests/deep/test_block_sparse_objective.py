"""The objective of Deep NRSfM++ against explicit matrices."""

import numpy as np
import pytest
import torch

from nrsfm_learn.deep._block_sparse_objective import _EARLIER_WEIGHT, BlockSparseObjective
from nrsfm_learn.deep._frames import Frames
from nrsfm_learn.deep.nn import HierarchicalBlockSparseLifter
from nrsfm_learn.geometry import (
    block_code,
    normalized_dictionary_orthographic,
    normalized_dictionary_perspective,
    random_rotations,
)

P, F, SIZES = 9, 8, [10, 5, 3]
both_cameras = pytest.mark.parametrize("perspective", [False, True])


def make_module(perspective, unrolled=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    module = HierarchicalBlockSparseLifter(
        P,
        SIZES,
        n_columns=3 if perspective else 2,
        n_unrolled=unrolled,
        generator=generator,
    )
    with torch.no_grad():
        for vector in [*module.thresholds, *module.biases]:
            vector.copy_(0.1 * torch.rand(len(vector), generator=generator))
    return module.double()


def make_frames(perspective=False, missing=True, weighted=False, seed=0):
    rng = np.random.default_rng(seed)
    visible = np.ones((F, P))
    if missing:
        for f in range(F):
            visible[f, rng.choice(P, size=f % 6, replace=False)] = 0
    points = rng.normal(size=(F, P, 2)) * 0.3 * visible[..., None]
    return Frames(
        torch.from_numpy(points),
        torch.from_numpy(visible),
        torch.from_numpy(rng.uniform(0.5, 2, size=F)),
        torch.from_numpy(rng.uniform(size=(F, P))) if weighted else None,
        perspective,
    )


def make_objective(frames=None, unrolled=1, seed=0, **settings):
    frames = make_frames() if frames is None else frames
    generator = torch.Generator().manual_seed(seed)
    module = make_module(frames.perspective, unrolled)
    return BlockSparseObjective(module, frames, generator=generator, **settings)


def lift(module, frames, shown=None):
    """What the module says of the frames, in its last iteration."""
    with torch.no_grad():
        return module(frames if shown is None else frames._replace(visible=shown))[-1]


def flat_dictionary(module):
    return module.centered_dictionary().detach().permute(1, 2, 0).reshape(P, -1)


def residual_norms(module, frames, lifted=None):
    """|M W~ - M D~ Psi~| of each frame from the matrices of eq. 14 and 15."""
    D = flat_dictionary(module)
    _, rotations, _, first_codes = lift(module, frames) if lifted is None else lifted
    norms = []
    for f in range(F):
        W, m = frames.points[f], frames.visible[f]
        W_tilde = (W - (m[:, None] * W).sum(0) / m.sum()) * m[:, None] * frames.gain[f]
        Psi = block_code(first_codes[f], rotations[f])
        if frames.perspective:
            D_tilde = normalized_dictionary_perspective(D, W, m, form="object-centric")
            expected = (D_tilde @ Psi.mT.flatten()).reshape(P, 2)
        else:
            D_tilde = normalized_dictionary_orthographic(D, m, form="object-centric")
            expected = D_tilde @ Psi[:, :2]
        error = (W_tilde - expected) * m[:, None]
        weights = torch.ones(P) if frames.weights is None else frames.weights[f]
        norms.append((weights * error.square().sum(1)).sum().sqrt())
    return torch.stack(norms)


@pytest.mark.parametrize("weighted", [False, True])
@both_cameras
def test_reprojection_is_the_norm_of_the_bilinear_residual(perspective, weighted):
    frames = make_frames(perspective, weighted=weighted)
    objective = make_objective(frames)
    expected = residual_norms(objective.module, frames)
    assert expected.min() > 0.05
    assert objective(slice(None), 0).item() == pytest.approx(expected.mean().item(), rel=1e-10)


@pytest.mark.parametrize(
    ("unrolled", "completions", "steps"),
    [(3, 0, 0), (2, 0, 1), (1, 0, 2), (1, 2, 0), (1, 1, 1)],
)
@both_cameras
def test_earlier_iterations_count_too(perspective, unrolled, completions, steps):
    # What is filled in counts in none of them: the norms are of what the frames show.
    frames = make_frames(perspective, weighted=True)
    rounds = {"n_completions": completions, "n_solver_steps": steps}
    objective = make_objective(frames, unrolled=unrolled, **rounds)
    with torch.no_grad():
        lifts = objective.module(frames, **rounds)
    first, second, last = (residual_norms(objective.module, frames, x).mean() for x in lifts)
    assert len({first.item(), second.item(), last.item()}) == 3
    expected = last + _EARLIER_WEIGHT * (first + second)
    assert objective(slice(None), 0).item() == pytest.approx(expected.item(), rel=1e-10)


def test_solver_steps_are_taken_from_their_start_on():
    frames = make_frames()
    plain = make_objective(frames)(slice(None), 0).item()
    solved = make_objective(frames, n_solver_steps=2)(slice(None), 0).item()
    values = [
        make_objective(frames, n_solver_steps=2, solver_start=10)(slice(None), i).item()
        for i in (0, 9, 10, 500)
    ]
    assert values[0] == values[1] == plain
    assert values[2] == values[3] == solved
    assert abs(solved - plain) > 0.01


@both_cameras
def test_some_frames(perspective):
    frames = make_frames(perspective, weighted=True)
    objective = make_objective(frames)
    index = torch.tensor([4, 1, 4])
    expected = residual_norms(objective.module, frames)[index].mean().item()
    assert objective(index, 0).item() == pytest.approx(expected, rel=1e-10)


# -- hiding


def hide(objective, visible):
    """What is left visible of frames by the objective's own fraction and generator."""
    frames = Frames(torch.ones(*visible.shape, 2), visible, torch.ones(len(visible)))
    hidden = frames.hidden(objective.hide_fraction, objective.generator)
    assert torch.equal(hidden.points[..., 0] != 0, hidden.visible > 0)
    return hidden.visible


@pytest.mark.parametrize("fraction", [0.3, 0.6, 0.95])
def test_hiding_leaves_at_least_three(fraction):
    rng = np.random.default_rng(0)
    visible = torch.from_numpy((rng.uniform(size=(3000, P)) < 0.6).astype(float))
    visible[:, :3] = 1
    objective = make_objective(hide_fraction=fraction)
    shown = hide(objective, visible)
    assert shown.sum(-1).min() >= 3
    assert (shown <= visible).all()
    assert set(shown.unique().tolist()) == {0.0, 1.0}
    assert (shown < visible).any()


def test_hiding_hides_the_fraction_it_says():
    visible = torch.ones(20_000, 30)
    shown = hide(make_objective(hide_fraction=0.3), visible)
    # Four standard errors of the mean of 600,000 draws.
    assert shown.mean().item() == pytest.approx(0.7, abs=4 * np.sqrt(0.21 / 600_000))
    assert shown.mean(0).std() < 0.01


def test_hiding_is_from_the_encoder_only():
    frames = make_frames(missing=False)
    objective = make_objective(frames, hide_fraction=0.4, seed=3)
    shown = hide(objective, frames.visible)
    assert (shown < frames.visible).any()
    lifted = lift(objective.module, frames, shown)
    expected = residual_norms(objective.module, frames, lifted).mean().item()
    again = make_objective(frames, hide_fraction=0.4, seed=3)
    assert again(slice(None), 0).item() == pytest.approx(expected, rel=1e-10)
    assert abs(expected - residual_norms(objective.module, frames).mean().item()) > 1e-4


def test_what_is_hidden_from_the_encoder_is_filled_in():
    frames = make_frames(missing=False)
    settings = {"hide_fraction": 0.4, "seed": 3, "n_completions": 1}
    objective = make_objective(frames, **settings)
    shown = frames._replace(visible=hide(objective, frames.visible))
    with torch.no_grad():
        first = objective.module(shown)[-1]
        second = objective.module(shown.completed(first))[-1]
    norms = [residual_norms(objective.module, frames, x).mean().item() for x in (first, second)]
    found = make_objective(frames, **settings)(slice(None), 0).item()
    assert found == pytest.approx(norms[1] + _EARLIER_WEIGHT * norms[0], rel=1e-10)
    assert abs(norms[1] - norms[0]) > 1e-4


def test_draws_come_from_the_generator_alone():
    settings = {"hide_fraction": 0.4, "cycle_weight": 1.0}
    before = torch.random.get_rng_state()
    first, again, other = (
        make_objective(seed=s, **settings)(slice(None), 0).item() for s in (0, 0, 1)
    )
    assert first == again != other
    assert torch.equal(torch.random.get_rng_state(), before)


# -- regularisers


def test_lasso_on_the_first_code():
    plain, lasso = make_objective(), make_objective(code_l1=0.3)
    codes = lift(plain.module, plain.frames)[3]
    added = lasso(slice(None), 0) - plain(slice(None), 0)
    assert added.item() == pytest.approx(0.3 * np.abs(codes.numpy()).sum(1).mean(), rel=1e-10)


def test_bone_symmetry():
    pairs = [((0, 1), (2, 3)), ((1, 4), (3, 5))]
    plain = make_objective()
    symmetric = make_objective(symmetry_weight=0.3, symmetric_bones=pairs)
    shapes = lift(plain.module, plain.frames)[0].numpy()
    expected = np.mean(
        [
            abs(np.linalg.norm(s[a] - s[b]) - np.linalg.norm(s[c] - s[d]))
            for s in shapes
            for (a, b), (c, d) in pairs
        ]
    )
    added = symmetric(slice(None), 0) - plain(slice(None), 0)
    assert added.item() == pytest.approx(0.3 * expected, rel=1e-9)


# -- the cycle


def test_cycle_counts_from_its_start_on():
    plain = make_objective()(slice(None), 0).item()
    values = [
        make_objective(cycle_weight=2.0, cycle_start=10)(slice(None), i).item()
        for i in (0, 9, 10, 500)
    ]
    assert values[0] == values[1] == plain
    assert values[2] == values[3] > plain + 0.01


def cycle_reference(module, frames, shapes, seed, steps=0):
    """Lift rotated, projected copies of shapes; no point is missing."""
    generator = torch.Generator().manual_seed(seed)
    Q = random_rotations(F, generator=generator, dtype=torch.float64)
    X = shapes @ Q.mT
    if frames.perspective:
        # Nothing nearer than a fifth of the depth of the centre.
        t = frames.gain[:, None]
        z = torch.maximum(X[..., 2] + t, 0.2 * t)
        points, gain = X[..., :2] / z[..., None], frames.gain
    else:
        points, gain = X[..., :2], torch.ones(F, dtype=torch.float64)
    everything = torch.ones(F, P, dtype=torch.float64)
    views = Frames(points, everything, gain, perspective=frames.perspective)
    lifted = module(views, n_solver_steps=steps)[-1].shapes
    return (lifted - shapes).square().sum((1, 2)).sqrt().mean()


@pytest.mark.parametrize("steps", [0, 2])
@both_cameras
def test_cycle_lifts_what_was_lifted_from_another_side(perspective, steps):
    frames = make_frames(perspective, missing=False)
    plain = make_objective(frames, n_solver_steps=steps)
    with_cycle = make_objective(frames, seed=5, cycle_weight=0.7, n_solver_steps=steps)
    with torch.no_grad():
        shapes = with_cycle.module(frames, n_solver_steps=steps)[-1].shapes
    expected = cycle_reference(with_cycle.module, frames, shapes, 5, steps)
    added = with_cycle(slice(None), 0) - plain(slice(None), 0)
    assert added.item() == pytest.approx(0.7 * expected.item(), rel=1e-8)


def test_cycle_of_missing_data_takes_masks_of_other_frames():
    frames = make_frames()
    objective = make_objective(frames, cycle_weight=1.0)
    seen = []
    objective.module.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    objective(slice(None), 0)
    first, views = seen
    assert torch.equal(first.visible, frames.visible)
    assert not torch.equal(views.visible, first.visible)
    assert sorted(views.visible.tolist()) == sorted(first.visible.tolist())
    assert views.points[views.visible == 0].abs().max() == 0


@both_cameras
def test_views_of_the_cycle_are_completed_too(perspective):
    frames = make_frames(perspective)
    objective = make_objective(frames, seed=5, cycle_weight=0.7, n_completions=1)
    calls = []

    def record(_, args, kwargs, output):
        calls.append((args[0], kwargs["n_completions"], output))

    objective.module.register_forward_hook(record, with_kwargs=True)
    found = objective(slice(None), 0).item()
    (_, first, lifts), (views, second, lifted) = calls
    assert first == second == 1
    assert (views.visible == 0).any()
    completed = views.completed(objective.module(views, n_completions=0)[-1])
    again = objective.module(completed, n_completions=0)[-1].shapes
    torch.testing.assert_close(lifted[-1].shapes, again)
    cycle = (again - lifts[-1].shapes).square().sum((1, 2)).sqrt().mean().item()
    plain = make_objective(frames, n_completions=1)(slice(None), 0).item()
    assert found == pytest.approx(plain + 0.7 * cycle, rel=1e-9)


# -- the mirror image


def trained_in_perspective():
    """A module trained on a rigid shape seen close by, its frames and the truth."""
    generator = torch.Generator().manual_seed(0)
    shape = torch.randn(P, 3, generator=generator)
    shape -= shape.mean(0)
    X = shape @ random_rotations(200, generator=generator).mT
    X[..., 2] += 4
    points = X[..., :2] / X[..., 2:]
    frames = Frames(points, torch.ones(200, P), torch.full((200,), 4.0), perspective=True)
    module = HierarchicalBlockSparseLifter(P, [4], n_columns=3, generator=generator)
    objective = BlockSparseObjective(module, frames, generator=generator)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.02)
    for i in range(300):
        optimizer.zero_grad()
        objective(slice(None), i).backward()
        optimizer.step()
    X = X - X.mean(1, keepdim=True)
    return module, frames, objective, X


def test_the_better_of_the_two_mirror_images_is_kept():
    module, frames, objective, X = trained_in_perspective()
    right = objective(slice(None), 0).item()
    module.mirror_()
    wrong = objective(slice(None), 0).item()
    assert wrong > right * 1.5 or right > wrong * 1.5
    best, worst = sorted((right, wrong))
    if wrong < right:
        module.mirror_()
    for _ in range(2):
        checked = BlockSparseObjective(
            module, frames, generator=torch.Generator(), mirror_checks=[7]
        )
        checked.before_step(6)
        before = checked(slice(None), 6).item()
        assert before in (pytest.approx(worst, rel=1e-5), pytest.approx(best, rel=1e-5))
        checked.before_step(7)
        assert checked(slice(None), 7).item() == pytest.approx(best, rel=1e-5)
        assert checked(slice(None), 8).item() == pytest.approx(best, rel=1e-5)

    # The better one is the right one: it has the depths of the truth, not their opposites.
    module.mirror_()
    checked._choose_mirror()
    kept = module.shape_dictionary.detach().clone()
    depth, found = X[..., 2], lift(module, frames).rotated[..., 2]
    agreement = torch.nn.functional.cosine_similarity(found, depth, dim=1)
    assert agreement.median() > 0.9
    checked._choose_mirror()
    assert torch.equal(module.shape_dictionary, kept)


def test_parallel_cameras_have_no_better_mirror_image():
    objective = make_objective(mirror_checks=[0])
    before = objective.module.shape_dictionary.detach().clone()
    objective.before_step(0)
    assert torch.equal(objective.module.shape_dictionary, before)


# -- gradients


def parameters_of(objective):
    return [p for p in objective.module.parameters() if p.numel()]


@both_cameras
def test_gradient_without_the_cycle(perspective):
    frames = make_frames(perspective, weighted=True)
    settings = {
        "hide_fraction": 0.3,
        "code_l1": 0.1,
        "symmetry_weight": 0.2,
        "symmetric_bones": [((0, 1), (2, 3))],
    }
    objective = make_objective(frames, unrolled=2, n_solver_steps=1, **settings)

    def loss(*_):
        # Gradcheck perturbs the module's own parameters in place; each call draws the same.
        objective.generator.manual_seed(4)
        return objective(slice(None), 0)

    assert torch.autograd.gradcheck(loss, parameters_of(objective), fast_mode=True)


@both_cameras
def test_gradient_of_the_cycle_holds_the_shapes_fixed(perspective):
    frames = make_frames(perspective, missing=False)
    objective = make_objective(frames, seed=5, cycle_weight=0.7, n_solver_steps=1)
    plain = make_objective(frames, n_solver_steps=1)
    plain.module = objective.module
    with torch.no_grad():
        shapes = objective.module(frames, n_solver_steps=1)[-1].shapes
    parameters = parameters_of(objective)
    found = torch.autograd.grad(objective(slice(None), 0), parameters)
    rng = np.random.default_rng(6)
    direction = [torch.from_numpy(rng.normal(size=p.shape)) for p in parameters]
    slope = sum((g * d).sum() for g, d in zip(found, direction, strict=True)).item()

    def value(step):
        with torch.no_grad():
            for p, d in zip(parameters, direction, strict=True):
                p += step * d
            cycle = cycle_reference(objective.module, frames, shapes, 5, 1)
            total = plain(slice(None), 0) + 0.7 * cycle
            for p, d in zip(parameters, direction, strict=True):
                p -= step * d
        return total.item()

    numeric = (value(1e-6) - value(-1e-6)) / 2e-6
    assert slope == pytest.approx(numeric, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(
    ("perspective", "completions", "size"),
    # Of a line of sight, 10 is 84 degrees off the axis and 2 is 63. A completion under perspective
    # feeds on what it predicts, which grows without bound beyond.
    [(False, 0, 1e4), (False, 1, 1e4), (True, 0, 10), (True, 1, 2)],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_degenerate_frames_have_a_finite_loss_and_gradient(perspective, completions, size, dtype):
    points = torch.zeros(F, P, 2)
    points[1] = 0.5
    points[2, 0] = 1e-7
    points[3] = torch.linspace(-1, 1, P)[:, None]
    points[4] = torch.randn(P, 2, generator=torch.Generator().manual_seed(0))
    points[4] *= size
    visible = torch.ones(F, P)
    visible[5, 3:] = 0
    gain = torch.ones(F, dtype=dtype)
    frames = Frames(points.to(dtype), visible.to(dtype), gain, None, perspective)
    settings = {"unrolled": 2, "n_completions": completions, "n_solver_steps": 1}
    settings |= {"cycle_weight": 1.0, "hide_fraction": 0.3}
    objective = make_objective(frames, **settings)
    objective.module.to(dtype)
    loss = objective(slice(None), 0)
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad.isfinite().all() for p in parameters_of(objective))
