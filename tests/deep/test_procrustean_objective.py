"""The objective of PAUL against loops over frames in numpy, float64."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from nrsfm_learn._starts import Lane, Start
from nrsfm_learn.deep import _procrustean_objective
from nrsfm_learn.deep._frames import NEAREST, Frames
from nrsfm_learn.deep._procrustean_objective import (
    ProcrusteanObjective,
    align,
    visible_centered,
)
from nrsfm_learn.deep.nn import ProcrusteanAutoEncoder
from nrsfm_learn.geometry import axis_angle_to_matrix, random_rotations

F, P, K = 7, 9, 3
both_cameras = pytest.mark.parametrize("perspective", [False, True])
ONLY_CODES = {"code_weight": 0.0, "decay_weight": 0.0}


def rng_tensor(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def make_visible(missing, seed=0, n_frames=F):
    rng = np.random.default_rng(seed)
    visible = np.ones((n_frames, P))
    if missing:
        for f in range(n_frames):
            visible[f, rng.choice(P, size=f % 5, replace=False)] = 0
    return torch.from_numpy(visible)


def make_frames(perspective=False, missing=True, weighted=False, seed=0, n_frames=F):
    rng = np.random.default_rng(seed)
    visible = make_visible(missing, seed, n_frames)
    points = torch.from_numpy(rng.normal(size=(n_frames, P, 2))) * (0.2 if perspective else 1)
    if not perspective:
        # As normalize_frames makes them.
        points = visible_centered(points, visible)
    return Frames(
        points * visible[..., None],
        visible,
        torch.from_numpy(rng.uniform(4, 6, size=n_frames) if perspective else np.full(n_frames, 2)),
        torch.from_numpy(rng.uniform(0.1, 2, size=(n_frames, P))) if weighted else None,
        perspective,
    )


def make_module(perspective=False, autoencode=True, encoder="mlp", free=0, seed=0):
    module = ProcrusteanAutoEncoder(
        P,
        K,
        [8, 6],
        encoder=None if free else encoder,
        encoder_width=10,
        n_free_codes=free,
        autoencode=autoencode,
        perspective=perspective,
        generator=torch.Generator().manual_seed(seed),
    ).double()
    with torch.no_grad():
        for p in module.parameters():
            p += 0.1 * rng_tensor(*p.shape, seed=3)
    return module


def make_objective(frames, module=None, seed=0, **settings):
    module = make_module(frames.perspective) if module is None else module
    generator = torch.Generator().manual_seed(seed)
    return ProcrusteanObjective(module, frames, generator=generator, **settings)


def value(objective, iteration=0, index=slice(None)):
    return objective(index, iteration).item()


# -- the equations, one frame at a time


def onp_of(shapes, W, weights):
    """Eq. 2.9 and the projection onto rotations."""
    root = np.sqrt(weights)[:, None]
    rows = [root * (S - np.average(S, axis=0, weights=weights)) for S in shapes]
    seen = root * (W - np.average(W, axis=0, weights=weights))
    A = np.linalg.lstsq(np.vstack(rows), np.vstack([seen] * len(rows)), rcond=None)[0]
    U, _, Vt = np.linalg.svd(A, full_matrices=False)
    x, y = (U @ Vt).T
    return np.vstack([x, y, np.cross(x, y)])


def align_frame(shapes, points, m, gain, weights, perspective):
    """Eq. 2.9 to 2.11 and 2.14 (as corrected) of one frame: rotation and completed points."""
    seen = m > 0
    # The gain is the depth of the object's centre, not of the mean of what is visible.
    whole = sum(S - S.mean(0) for S in shapes) / len(shapes)
    shapes = [S - S[seen].mean(0) for S in shapes]
    mean = sum(shapes) / len(shapes)
    weights = np.where(seen, weights, 0)
    W = (points - points[seen].mean(0)) * gain
    R = onp_of([S[seen] for S in shapes], W[seen], weights[seen])
    if perspective:
        for last in (False, False, True):
            # Where the lines of sight reach the depth of the shape.
            z = (whole @ R.T)[:, 2:] + gain
            W = points * np.maximum(z, NEAREST * gain)
            W = W - W[seen].mean(0)
            if not last:
                R = onp_of([S[seen] for S in shapes], W[seen], weights[seen])
    cam = mean @ R.T
    cam[seen, :2] = W[seen]
    return R, cam


def aligned(streams, frames):
    streams = [S.detach().numpy() for S in streams]
    weights = np.ones((len(frames.points), P))
    if frames.weights is not None:
        weights = frames.weights.numpy()
    pairs = [
        align_frame(
            [S[f] for S in streams],
            frames.points[f].numpy(),
            frames.visible[f].numpy(),
            frames.gain[f].item(),
            weights[f],
            frames.perspective,
        )
        for f in range(len(frames.points))
    ]
    return [np.stack(x) for x in zip(*pairs, strict=True)]


def reconstruction(streams, frames):
    """Eq. 2.15, summed over the streams."""
    rotations, cam = aligned(streams, frames)
    total = 0
    for S in streams:
        for f in range(len(cam)):
            m = frames.visible[f].numpy() > 0
            S_f = S[f].detach().numpy()
            residual = S_f - S_f[m].mean(0) - cam[f] @ rotations[f]
            omega = np.ones(P) if frames.weights is None else frames.weights[f].numpy()
            omega = np.where(m, omega, 1)
            total += np.sqrt((omega * (residual**2).sum(1)).sum())
    return total / len(cam)


def perceptron(layers, x):
    for i, layer in enumerate(layers):
        x = x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
        x = np.maximum(x, 0) if i < len(layers) - 1 else x
    return x


def decode(module, codes):
    S = perceptron(module.decoder.layers, codes).reshape(-1, P, 3)
    return S - S.mean(1, keepdims=True)


def encode_shapes(module, S):
    return perceptron(module.shape_encoder.layers, S.reshape(len(S), -1))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("missing", [False, True])
@both_cameras
def test_alignment(perspective, missing, weighted):
    frames = make_frames(perspective, missing, weighted)
    streams = [rng_tensor(F, P, 3, seed=s) for s in (1, 2)]
    for given in (streams, streams[:1]):
        rotations, cam = aligned(given, frames)
        found = align(given, frames)
        np.testing.assert_allclose(found.rotations, rotations, atol=1e-8)
        np.testing.assert_allclose(found.seen, cam, atol=1e-8)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("autoencode", [False, True])
@both_cameras
def test_objective_of_the_paper(perspective, autoencode, missing, weighted):
    frames = make_frames(perspective, missing, weighted)
    module = make_module(perspective, autoencode, free=F)
    objective = make_objective(frames, module, code_weight=0.3, decay_weight=0.02)
    codes = module.free_codes.detach().numpy()
    streams = [decode(module, codes)]
    if autoencode:
        streams.append(decode(module, encode_shapes(module, streams[0])))
    expected = reconstruction([torch.from_numpy(S) for S in streams], frames)
    expected += 0.3 * (codes**2).sum(1).mean()
    squares = sum((layer.weight.detach().numpy() ** 2).sum() for layer in module.decoder.layers)
    expected += 0.02 * squares
    assert value(objective) == pytest.approx(expected, rel=1e-8)


@both_cameras
def test_codes_come_from_the_encoder(perspective):
    frames = make_frames(perspective)
    objective = make_objective(frames, **ONLY_CODES)
    with torch.no_grad():
        codes = objective.module.code(frames).numpy()
    S = decode(objective.module, codes)
    streams = [S, decode(objective.module, encode_shapes(objective.module, S))]
    expected = reconstruction([torch.from_numpy(S) for S in streams], frames)
    assert value(objective) == pytest.approx(expected, rel=1e-8)


def test_nuclear_norm():
    frames, module = make_frames(), make_module(autoencode=False, free=F)
    plain, low_rank = (make_objective(frames, module, nuclear_weight=w) for w in (0.0, 0.4))
    S = decode(module, module.free_codes.detach().numpy())
    norm = np.linalg.norm(S.reshape(F, -1), ord="nuc")
    assert value(low_rank) - value(plain) == pytest.approx(0.4 * norm / np.sqrt(F), rel=1e-9)


@pytest.mark.parametrize("free", [0, F])
@both_cameras
def test_some_frames(perspective, free):
    frames = make_frames(perspective, weighted=True)
    module = make_module(perspective, free=free)
    objective = make_objective(frames, module, **ONLY_CODES)
    one = [value(objective, index=torch.tensor([f])) for f in range(F)]
    index = torch.tensor([4, 1, 4])
    expected = np.mean([one[f] for f in index])
    assert value(objective, index=index) == pytest.approx(expected, rel=1e-9)
    assert len({round(x, 6) for x in one}) == F


# -- gradients


@pytest.mark.parametrize("weighted", [False, True])
@both_cameras
def test_gradient_flows_through_camera_and_depth(perspective, weighted):
    frames = make_frames(perspective, weighted=weighted).take(slice(3))
    streams = [rng_tensor(3, P, 3, seed=s).requires_grad_() for s in (1, 2)]
    assert gradcheck(lambda *S: ProcrusteanObjective._reconstruction(S, frames), streams)
    # With the solution of the lower level held fixed it would be another.
    loss = ProcrusteanObjective._reconstruction(streams, frames)
    whole = torch.autograd.grad(loss, streams)[0]
    with torch.no_grad():
        solution = align(streams, frames)
        target = solution.seen @ solution.rotations
    weights = None if frames.weights is None else torch.where(frames.visible > 0, frames.weights, 1)
    residuals = [visible_centered(S, frames.visible) - target for S in streams]
    loss = sum(_procrustean_objective.frame_norm_loss(r, weights) for r in residuals)
    fixed = torch.autograd.grad(loss, streams)[0]
    assert (whole - fixed).norm() > 0.02 * whole.norm()


@pytest.mark.parametrize("free", [0, F])
@both_cameras
def test_gradient_of_the_whole_objective(perspective, free):
    objective = make_objective(
        make_frames(perspective),
        make_module(perspective, free=free),
        rigidity_weight=0.5,
        nuclear_weight=0.1,
    )
    objective.before_step(0)
    parameters = list(objective.module.parameters())
    gradients = torch.autograd.grad(objective(slice(None), 0), parameters)
    for seed in range(4):
        directions = [rng_tensor(*p.shape, seed=seed + 10) for p in parameters]
        expected = sum((g * d).sum() for g, d in zip(gradients, directions, strict=True)).item()
        ends, step = [], 1e-6
        for sign in (1, -2):
            with torch.no_grad():
                for p, d in zip(parameters, directions, strict=True):
                    p += sign * step * d
            ends.append(value(objective))
        with torch.no_grad():
            for p, d in zip(parameters, directions, strict=True):
                p += step * d
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(expected, rel=1e-5)


# -- what must not matter, and what has to


@both_cameras
def test_the_canonical_frame_does_not_matter(perspective):
    frames = make_frames(perspective, weighted=True)
    streams = [rng_tensor(F, P, 3, seed=s) for s in (1, 2)]
    Q = random_rotations(1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)[0]
    first, second = align(streams, frames), align([S @ Q.mT for S in streams], frames)
    torch.testing.assert_close(second.rotations, first.rotations @ Q.mT, atol=1e-8, rtol=0)
    torch.testing.assert_close(second.seen, first.seen, atol=1e-8, rtol=0)
    losses = [
        ProcrusteanObjective._reconstruction(S, frames).item()
        for S in (streams, [S @ Q.mT for S in streams], [S + 3 for S in streams])
    ]
    np.testing.assert_allclose(losses, losses[0], rtol=1e-9)


@both_cameras
def test_the_camera_turns_with_the_image(perspective):
    frames = make_frames(perspective)
    streams = [rng_tensor(F, P, 3, seed=s) for s in (1, 2)]
    R_z = axis_angle_to_matrix(torch.tensor([0, 0, 0.7], dtype=torch.float64))
    first = align(streams, frames)
    second = align(streams, frames._replace(points=frames.points @ R_z[:2, :2].mT))
    torch.testing.assert_close(second.rotations, R_z @ first.rotations, atol=1e-8, rtol=0)
    torch.testing.assert_close(second.seen, first.seen @ R_z.mT, atol=1e-8, rtol=0)


def test_parallel_cameras_do_not_tell_an_object_from_its_mirror_image():
    streams = [rng_tensor(F, P, 3, seed=s) for s in (1, 2)]
    mirror = torch.tensor([1.0, 1, -1], dtype=torch.float64)
    for perspective in (False, True):
        frames = make_frames(perspective)
        losses = [
            ProcrusteanObjective._reconstruction(S, frames).item()
            for S in (streams, [S * mirror for S in streams])
        ]
        assert (abs(losses[0] - losses[1]) < 1e-8 * losses[0]) != perspective


@pytest.mark.parametrize("weighted", [False, True])
def test_points_that_are_hidden_do_not_matter(weighted):
    frames = make_frames(weighted=weighted)
    streams = [rng_tensor(F, P, 3, seed=s) for s in (1, 2)]
    hidden = frames.visible[..., None] == 0
    loss = ProcrusteanObjective._reconstruction(streams, frames).item()
    # One shape: a hidden point is where the shape has it, and adds nothing.
    one = [streams[0], torch.where(hidden, streams[0] + 1, streams[0])]
    values = [ProcrusteanObjective._reconstruction([S], frames).item() for S in one]
    assert values[1] == pytest.approx(values[0], rel=1e-9)
    # Two: they have to agree on it.
    apart = [streams[0], torch.where(hidden, streams[1] + 1, streams[1])]
    assert ProcrusteanObjective._reconstruction(apart, frames).item() > loss + 1e-3


def exact(perspective, missing=True, depth=5.0):
    """Shapes, rotations, and the frames that a camera sees."""
    S = rng_tensor(F, P, 3, seed=1)
    S = S - S.mean(1, keepdim=True)
    R = random_rotations(F, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    X = S @ R.mT
    visible = make_visible(missing)
    gain = torch.full((F,), depth, dtype=torch.float64)
    if perspective:
        offset = torch.tensor([0.4, -0.3, 0]) + 0.2 * rng_tensor(F, 1, 3, seed=4)
        offset[..., 2] = gain[:, None]
        X = X + offset
        points = X[..., :2] / X[..., 2:]
    else:
        points = visible_centered(X[..., :2], visible) / gain[:, None, None]
    return S, R, X, Frames(points * visible[..., None], visible, gain, None, perspective)


@pytest.mark.parametrize("missing", [False, True])
def test_exact_shapes_under_a_parallel_camera(missing):
    S, R, X, frames = exact(False, missing)
    found = align([S, S], frames)
    torch.testing.assert_close(found.rotations, R, atol=1e-8, rtol=0)
    torch.testing.assert_close(found.seen, visible_centered(X, frames.visible), atol=1e-8, rtol=0)
    assert ProcrusteanObjective._reconstruction([S, S], frames).item() < 1e-7


@pytest.mark.parametrize("missing", [False, True])
def test_exact_shapes_under_perspective(missing, monkeypatch):
    S, R, X, frames = exact(True, missing, depth=8.0)
    errors = []
    for passes in (0, 2, 100):
        monkeypatch.setattr(_procrustean_objective, "_PERSPECTIVE_PASSES", passes)
        found = align([S, S], frames)
        errors.append((found.rotations - R).abs().max().item())
    # In the end exact; two passes take most of the way.
    assert errors[2] < 1e-7
    assert errors[1] < 0.35 * errors[0]
    torch.testing.assert_close(found.seen, visible_centered(X, frames.visible), atol=1e-6, rtol=0)


def test_points_behind_the_camera_are_kept_before_it():
    S, _, _, frames = exact(True)
    huge = (100 * S).requires_grad_()
    loss = ProcrusteanObjective._reconstruction([huge], frames)
    loss.backward()
    assert loss.isfinite()
    assert huge.grad.isfinite().all()


# -- what the encoder is shown


def spied(objective, monkeypatch):
    """Frames that the 2D-3D encoder gets."""
    seen, code = [], objective.module.code
    monkeypatch.setattr(
        objective.module, "code", lambda frames: seen.append(frames) or code(frames)
    )
    return seen


def test_keypoints_are_hidden_from_the_encoder_alone(monkeypatch):
    frames = make_frames(n_frames=60)
    objective = make_objective(frames, hide_fraction=0.4, **ONLY_CODES)
    seen = spied(objective, monkeypatch)
    loss = value(objective)
    (shown,) = seen
    assert (shown.visible <= frames.visible).all()
    part = shown.visible.sum() / frames.visible.sum()
    assert 0.5 < part < 0.75
    assert (shown.visible.sum(1) >= 3).all()
    assert (shown.points[shown.visible == 0] == 0).all()
    with torch.no_grad():
        S = objective.module.decode(objective.module.code(shown))
        streams = [S, objective.module.decode(objective.module.encode_shapes(S))]
    assert loss == pytest.approx(reconstruction(streams, frames), rel=1e-8)


@pytest.mark.parametrize("missing", [False, True])
@both_cameras
def test_cycle(perspective, missing, monkeypatch):
    frames = make_frames(perspective, missing, n_frames=30)
    plain = make_objective(frames)
    objective = make_objective(frames, cycle_weight=0.7, cycle_start=5)
    assert value(objective, 4) == pytest.approx(value(plain), rel=1e-12)
    seen = spied(objective, monkeypatch)
    loss = value(objective, 5)
    first, views = seen
    with torch.no_grad():
        S = objective.module.decode(objective.module.code(first))
        again = objective.module.decode(objective.module.code(views))
    expected = (again - S).square().sum((1, 2)).sqrt().mean().item()
    assert loss - value(plain) == pytest.approx(0.7 * expected, rel=1e-6)
    # What they see are the shapes, turned; what they hide, some frames hide.
    assert views.perspective == perspective
    rows = [sorted(map(tuple, x.visible.tolist())) for x in (views, frames)]
    assert rows[0] == rows[1]
    assert not missing or (views.visible != frames.visible).any()
    if not perspective:
        assert (views.gain == 1).all()
        for f in range(30):
            m = views.visible[f] > 0
            A = torch.linalg.lstsq(S[f], views.points[f]).solution if m.all() else None
            if A is not None:
                torch.testing.assert_close(S[f] @ A, views.points[f], atol=1e-8, rtol=0)
                torch.testing.assert_close(A.mT @ A, torch.eye(2).double(), atol=1e-8, rtol=0)


# -- local rigidity


def test_rigidity_rises_from_its_start_on():
    frames = make_frames(n_frames=30)
    plain = make_objective(frames)
    objective = make_objective(frames, rigidity_weight=0.6, rigidity_start=10)
    base = value(plain)
    with torch.no_grad():
        S = objective.module.decode(objective.module.code(frames)).numpy()
    lengths = np.linalg.norm(S[:, :, None] - S[:, None], axis=-1)
    variation = lengths.std(0) / np.where(np.eye(P), 1, lengths.mean(0)) + np.diag([np.inf] * P)
    steadiest = np.sort(variation, axis=1)[:, :3]
    whole = 0.6 * (0.1 * np.tanh(steadiest / 0.1)).mean() * np.sqrt(P)
    for iteration, part in ((0, 0), (9, 0), (10, 0.1), (14, 0.5), (19, 1), (400, 1)):
        objective.before_step(iteration)
        assert value(objective, iteration) - base == pytest.approx(part * whole, rel=1e-4, abs=1e-9)


def test_neighbours_are_looked_for_now_and_then():
    frames = make_frames(n_frames=30)
    objective = make_objective(frames, rigidity_weight=1.0, rigidity_start=10)
    found = []
    for iteration in range(120):
        objective.neighbors.zero_()
        objective.before_step(iteration)
        if objective.neighbors.any():
            found.append(iteration)
    assert found == [10, 60, 110]
    without = make_objective(frames)
    without.before_step(0)
    assert not without.neighbors.any()


# -- mirror images under perspective


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("autoencode", [False, True])
def test_the_better_of_two_mirror_images_is_chosen(mirrored, autoencode):
    S, _, _, frames = exact(True, depth=6.0)
    module = make_module(True, autoencode, free=F)
    with torch.no_grad():
        # A decoder that has these very shapes: one unit for each frame.
        module.free_codes = torch.nn.Parameter(torch.eye(F, dtype=torch.float64))
        last = torch.nn.Linear(F, 3 * P).double()
        last.weight.copy_(S.flatten(1).T)
        last.bias.zero_()
        module.decoder.layers = torch.nn.ModuleList([last])
    if mirrored:
        module.mirror_()
    objective = make_objective(frames, module, mirror_checks=[3])
    for iteration, changed in ((2, False), (3, mirrored), (4, False)):
        before = module.decode(module.free_codes).detach()
        objective.before_step(iteration)
        after = module.decode(module.free_codes).detach()
        assert torch.equal(after, before) != changed
    torch.testing.assert_close(after, S)


def test_a_parallel_camera_has_no_mirror_checks():
    objective = make_objective(make_frames(), mirror_checks=[0, 1])
    before = [p.clone() for p in objective.module.parameters()]
    objective.before_step(0)
    assert all(
        torch.equal(a, b) for a, b in zip(before, objective.module.parameters(), strict=True)
    )


# -- several starts at once


@pytest.mark.parametrize("missing", [False, True])
@both_cameras
def test_stacked_starts_are_the_separate_ones(perspective, missing):
    frames = make_frames(perspective, missing, n_frames=20)

    def make_starts(seeds):
        generator = torch.Generator().manual_seed(5)
        starts = []
        for seed in seeds:
            module = make_module(perspective, seed=seed)
            objective = ProcrusteanObjective(
                module,
                frames,
                generator=generator,
                rigidity_weight=0.5,
                cycle_weight=0.5,
                hide_fraction=0.3,
                mirror_checks=[2],
            )
            starts.append(Start(module, objective, seed))
        return starts

    index = torch.tensor([3, 0, 12, 5, 5, 19])
    together = make_starts(range(3))
    lane = Lane(range(3), together, 1e-3)
    curve = torch.stack([lane.step(index, i, 1e-3, 10.0)[0] for i in range(6)])
    lane.close()
    for seed, start in enumerate(together):
        (alone,) = make_starts([seed])
        lane = Lane([0], [alone], 1e-3)
        expected = torch.cat([lane.step(index, i, 1e-3, 10.0)[0] for i in range(6)])
        torch.testing.assert_close(curve[:, seed], expected, rtol=1e-7, atol=1e-7)
        assert torch.equal(start.objective.neighbors, alone.objective.neighbors)
        for a, b in zip(start.module.parameters(), alone.module.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)
