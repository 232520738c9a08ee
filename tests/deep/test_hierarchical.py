"""The network of Deep NRSfM++ against its equations, written out with Kronecker products."""

import itertools

import numpy as np
import pytest
import torch

from nrsfm_learn.deep._frames import Frames
from nrsfm_learn.deep.nn import HierarchicalBlockSparseLifter
from nrsfm_learn.deep.nn._solver import gauss_newton_step
from nrsfm_learn.geometry import (
    normalized_dictionary_orthographic,
    normalized_dictionary_perspective,
)

P, SIZES = 8, [12, 6, 3]
I3 = np.eye(3)
VARIANTS = [
    (columns, activation, readout)
    for columns in (2, 3)
    for activation in ("bst", "relu")
    for readout in ("invariant", "linear")
]


def make_module(
    columns=2,
    activation="bst",
    readout="invariant",
    unrolled=1,
    seed=0,
    dtype=torch.float64,
):
    generator = torch.Generator().manual_seed(seed)
    module = HierarchicalBlockSparseLifter(
        P,
        SIZES,
        n_columns=columns,
        n_unrolled=unrolled,
        activation=activation,
        code_readout=readout,
        generator=generator,
    ).to(dtype)
    with torch.no_grad():
        for vector in [*module.thresholds, *module.biases]:
            vector.copy_(0.2 * torch.randn(len(vector), generator=generator))
        module.code_map += 0.1 * torch.randn(module.code_map.shape, generator=generator)
    return module


def make_frames(n_frames=5, seed=0):
    """Points on the image, what is visible of them (zeros elsewhere), and depths."""
    rng = np.random.default_rng(seed)
    visible = np.ones((n_frames, P))
    for f in range(n_frames):
        visible[f, rng.choice(P, size=f % 5, replace=False)] = 0
    W = rng.normal(size=(n_frames, P, 2)) * 0.4 * visible[..., None]
    depth = rng.uniform(1, 3, size=n_frames)
    return W, visible, depth


def as_frames(W, visible, depth, columns, dtype=torch.float64):
    arrays = (torch.from_numpy(np.asarray(a)).to(dtype) for a in (W, visible, depth))
    return Frames(*arrays, perspective=columns == 3)


def flat_dictionary(module):
    """D# of shape (P, 3 K_1), atom k in columns 3k to 3k + 2, centred."""
    D = module.shape_dictionary.detach().numpy()  # (3, P, K)
    D = D - D.mean(1, keepdims=True)
    return D.transpose(1, 2, 0).reshape(P, -1)


def activate(Psi, thresholds, activation):
    out = np.zeros_like(Psi)
    for k, threshold in enumerate(thresholds.detach().numpy()):
        block = Psi[3 * k : 3 * k + 3]
        if activation == "bst":
            out[3 * k : 3 * k + 3] = max(0, 1 - threshold / np.linalg.norm(block)) * block
        else:
            out[3 * k : 3 * k + 3] = np.maximum(block - threshold, 0)
    return out


def bilinear_form(D, W, visible, depth, n_columns):
    """M W~ as a vector and M D~ as a matrix acting on the columns of Psi laid end to end."""
    m = visible[:, None]
    centered = (W - (m * W).sum(0) / m.sum()) * m * depth
    D, seen = torch.from_numpy(D), torch.from_numpy(visible)
    if n_columns == 3:
        D_tilde = normalized_dictionary_perspective(D, torch.from_numpy(W), seen).numpy()
    else:
        D_tilde = normalized_dictionary_orthographic(D, seen).numpy()
        zero = np.zeros_like(D_tilde)
        D_tilde = np.hstack([D_tilde, zero, zero, D_tilde]).reshape(2 * P, -1)
    return centered.ravel(), np.diag(np.repeat(visible, 2)) @ D_tilde


def first_code(D, W, visible, depth, n_columns, Psi=None, step_size=1.0):
    """D~^T M (W~ - D~ Psi) of one frame, over the fraction that is visible, on top of Psi."""
    W_tilde, D_tilde = bilinear_form(D, W, visible, depth, n_columns)
    if Psi is None:
        columns = D_tilde.T @ W_tilde * P / visible.sum()
    else:
        columns = Psi.T.ravel()
        residual = W_tilde - D_tilde @ columns
        columns = columns + step_size * D_tilde.T @ residual * P / visible.sum()
    return columns.reshape(n_columns, -1).T


def lift_reference(module, W, visible, depth):
    """Equations 21, 22, 24 and 25 for one frame, all unrolled iterations."""
    C, K = module.n_columns, SIZES[-1]
    D = flat_dictionary(module)
    lifts, previous = [], None
    for step_size in (None, *module.step_sizes.tolist()):
        Psi = first_code(D, W, visible, depth, C, previous, step_size)
        Psi = activate(Psi, module.thresholds[0], module.activation)
        for level, thresholds in zip(module.dictionaries, module.thresholds[1:], strict=True):
            Psi = np.kron(level.detach().numpy(), I3).T @ Psi
            Psi = activate(Psi, thresholds, module.activation)

        blocks = Psi.reshape(K, 3, C)
        A = sum(c * block for c, block in zip(module.camera_readout.tolist(), blocks, strict=True))
        U, _, Vt = np.linalg.svd(A, full_matrices=False)
        if C == 2:
            Q = U @ Vt
            right = np.column_stack([Q, np.cross(Q[:, 0], Q[:, 1])])
        else:
            right = U @ np.diag([1, 1, np.linalg.det(U @ Vt)]) @ Vt
        if module.code_readout == "invariant":
            products = np.array([np.sum(block * right[:, :C]) for block in blocks])
        else:
            products = blocks.transpose(1, 2, 0).ravel()
        code = products @ module.code_map.detach().numpy()

        hidden = code
        for level, bias in zip(module.dictionaries[::-1], module.biases[::-1], strict=True):
            hidden = np.maximum(level.detach().numpy() @ hidden + bias.detach().numpy(), 0)
        shape = D @ np.kron(hidden[:, None], I3)
        lifts.append((shape, right.T, code, hidden))
        previous = np.kron(hidden[:, None], right[:, :C])
    return lifts


def fill(W, visible, depth, rotated, n_columns):
    """One frame with hidden points where the rotated shape has them, once it is put in place.

    The translation is the least-squares solution over the visible points.
    """
    seen = visible > 0
    if n_columns == 2:
        predicted = rotated[:, :2] / depth
        return np.where(seen[:, None], W, predicted + (W - predicted)[seen].mean(0))
    placed = W * (rotated[:, 2:] + depth) - rotated[:, :2]
    xy = rotated[:, :2] + placed[seen].mean(0)
    return np.where(seen[:, None], W, xy / np.maximum(rotated[:, 2:] + depth, 0.2 * depth))


@pytest.mark.parametrize("unrolled", [1, 3])
@pytest.mark.parametrize(("columns", "activation", "readout"), VARIANTS)
def test_forward_is_the_equations(columns, activation, readout, unrolled):
    module = make_module(columns, activation, readout, unrolled)
    W, visible, depth = make_frames()
    lifts = module(as_frames(W, visible, depth, columns))
    assert len(lifts) == unrolled
    for f in range(5):
        expected = lift_reference(module, W[f], visible[f], depth[f])
        for lift, values in zip(lifts, expected, strict=True):
            assert [tuple(o.shape) for o in lift] == [(5, P, 3), (5, 3, 3), (5, 3), (5, 12)]
            for output, value in zip(lift, values, strict=True):
                np.testing.assert_allclose(output[f].detach().numpy(), value, atol=1e-9)
            rotated = values[0] @ values[1].T
            np.testing.assert_allclose(lift.rotated[f].detach().numpy(), rotated, atol=1e-9)


@pytest.mark.parametrize("unrolled", [1, 2])
@pytest.mark.parametrize(("columns", "activation", "readout"), VARIANTS)
def test_solver_steps_follow_the_last_iteration(columns, activation, readout, unrolled):
    module = make_module(columns, activation, readout, unrolled)
    frames = as_frames(*make_frames(), columns)
    dictionary = module.centered_dictionary()
    plain = module(frames)
    lifts = module(frames, dictionary, n_solver_steps=2)
    assert len(plain) == unrolled
    assert len(lifts) == unrolled + 2
    first = gauss_newton_step(module, frames, plain[-1], dictionary)
    expected = [*plain, first, gauss_newton_step(module, frames, first, dictionary)]
    for found, value in zip(lifts, expected, strict=True):
        assert [tuple(o.shape) for o in found] == [(5, P, 3), (5, 3, 3), (5, 3), (5, 12)]
        for a, b in zip(found, value, strict=True):
            torch.testing.assert_close(a, b)
    assert (lifts[-1].rotations - plain[-1].rotations).abs().max() > 0.05


@pytest.mark.parametrize(("unrolled", "completions"), [(1, 1), (1, 3), (2, 2)])
@pytest.mark.parametrize(("columns", "activation", "readout"), VARIANTS)
def test_completed_frames_are_lifted_again(columns, activation, readout, unrolled, completions):
    module = make_module(columns, activation, readout, unrolled)
    W, visible, depth = make_frames()
    frames = as_frames(W, visible, depth, columns)
    lifts = module(frames, n_completions=completions)
    assert len(lifts) == unrolled * (1 + completions)
    for found, value in zip(lifts, module(frames), strict=False):
        assert all(torch.equal(a, b) for a, b in zip(found, value, strict=True))
    for done in range(completions):
        earlier = lifts[unrolled * (done + 1) - 1]
        later = lifts[unrolled * (done + 1) : unrolled * (done + 2)]
        for f in range(5):
            filled = fill(W[f], visible[f], depth[f], earlier.rotated[f].detach().numpy(), columns)
            expected = lift_reference(module, filled, np.ones(P), depth[f])
            for lift, values in zip(later, expected, strict=True):
                for output, value in zip(lift, values, strict=True):
                    np.testing.assert_allclose(output[f].detach().numpy(), value, atol=1e-8)
        # The first frame is complete, the others are not.
        moved = (later[-1].rotations - earlier.rotations).abs().amax((1, 2))
        assert unrolled > 1 or moved[0] < 1e-9
        assert moved[1:].min() > 1e-6


@pytest.mark.parametrize("columns", [2, 3])
def test_completions_of_complete_frames_change_nothing(columns):
    module = make_module(columns, unrolled=2)
    W, visible, depth = make_frames()
    W = np.random.default_rng(8).normal(size=W.shape) * 0.4
    frames = as_frames(W, np.ones_like(visible), depth, columns)
    plain, lifts = module(frames), module(frames, n_completions=2)
    assert (len(plain), len(lifts)) == (2, 6)
    for i, lift in enumerate(lifts):
        for a, b in zip(lift, plain[i % 2], strict=True):
            torch.testing.assert_close(a, b, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("columns", [2, 3])
def test_solver_steps_of_completed_frames_see_what_was_visible(columns):
    module = make_module(columns)
    frames = as_frames(*make_frames(), columns)
    dictionary = module.centered_dictionary()
    lifts = module(frames, dictionary, n_completions=1, n_solver_steps=1)
    assert len(lifts) == 3
    expected = gauss_newton_step(module, frames, lifts[1], dictionary)
    for a, b in zip(lifts[2], expected, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("columns", [2, 3])
def test_no_gradient_flows_into_the_fill(columns):
    module = make_module(columns)
    frames = as_frames(*make_frames(), columns)
    with torch.no_grad():
        filled = frames.completed(module(frames)[-1])
    weights = torch.from_numpy(np.random.default_rng(5).normal(size=(5, P, 3)))
    parameters = [p for p in module.parameters() if p.numel()]
    found, expected = (
        torch.autograd.grad((weights * lift.rotated).sum(), parameters)
        for lift in (module(frames, n_completions=1)[-1], module(filled)[-1])
    )
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)
    assert all(g.abs().max() > 1e-6 for g in found)


def test_what_follows_the_dictionary_goes_by_name():
    module = make_module()
    with pytest.raises(TypeError, match="positional"):
        module(as_frames(*make_frames(), 2), module.centered_dictionary(), 1)


@pytest.mark.parametrize("columns", [2, 3])
def test_plain_dictionary_encodes_like_the_normalised_one(columns):
    # D~^T M W~ = D^T M W~, also of a dictionary which is not centred.
    D = np.random.default_rng(1).normal(size=(P, 12)) + 1
    W, visible, depth = make_frames()
    frames = as_frames(W, visible, depth, columns)
    fast = frames.columns(frames.normalized())
    for f in range(5):
        expected = first_code(D, W[f], visible[f], depth[f], columns)
        product = D.T @ fast[:, f].numpy().T
        np.testing.assert_allclose(product, expected, atol=1e-12)


def test_rotations_are_rotations_and_shapes_centred():
    for columns, steps in itertools.product((2, 3), (0, 2)):
        frames = as_frames(*make_frames(), columns)
        module = make_module(columns, unrolled=2)
        shapes, rotations, _, _ = module(frames, n_solver_steps=steps)[-1]
        identity = torch.eye(3, dtype=torch.float64).expand(5, 3, 3)
        torch.testing.assert_close(rotations @ rotations.mT, identity)
        torch.testing.assert_close(rotations.det(), torch.ones(5, dtype=torch.float64))
        assert shapes.mean(1).abs().max() < 1e-12 < shapes.abs().max()


def test_dictionary_is_centred():
    module = make_module()
    D = module.centered_dictionary()
    assert D.shape == (3, P, SIZES[0])
    assert D.mean(1).abs().max() < 1e-15
    difference = D - module.shape_dictionary
    assert (difference - difference[:, :1]).abs().max() < 1e-15
    with torch.no_grad():
        before = module(as_frames(*make_frames(), 2))[-1]
        module.shape_dictionary += torch.linspace(-1, 1, 3 * SIZES[0]).reshape(3, 1, SIZES[0])
        after = module(as_frames(*make_frames(), 2))[-1]
    for a, b in zip(before, after, strict=True):
        torch.testing.assert_close(a, b)


def test_sizes_and_readouts():
    module = make_module()
    assert module.dictionary_sizes == SIZES
    assert sum(p.numel() for p in make_module(readout="linear").parameters()) > sum(
        p.numel() for p in module.parameters()
    )


def test_single_level():
    module = HierarchicalBlockSparseLifter(P, [4], generator=torch.Generator().manual_seed(0))
    shapes, _, codes, first = module(as_frames(*make_frames(), 2, torch.float32))[-1]
    torch.testing.assert_close(codes, first)
    D = module.centered_dictionary()
    torch.testing.assert_close(shapes, torch.einsum("fk,dpk->fpd", codes, D))


@pytest.mark.parametrize("sizes", [SIZES, [4], [5, 7]])
def test_decoder_and_its_jacobian(sizes):
    generator = torch.Generator().manual_seed(0)
    module = HierarchicalBlockSparseLifter(P, sizes, generator=generator).double()
    with torch.no_grad():
        for bias in module.biases:
            bias.copy_(0.3 * torch.randn(len(bias), generator=generator))
    D = module.centered_dictionary().detach()
    codes = torch.randn(20, sizes[-1], generator=generator, dtype=torch.float64)
    shapes, by_code = module.decode_with_jacobian(codes, D)
    plain, hidden = module.decode(codes, D)
    torch.testing.assert_close(shapes, plain)
    torch.testing.assert_close(plain, module.decode(codes)[0])
    assert shapes.shape == (20, P, 3)
    assert by_code.shape == (20, sizes[-1], P, 3)
    if len(sizes) > 1:
        # Units of the first level are dead in some frames and alive in others.
        assert 0.1 < (hidden > 0).double().mean() < 0.9

    def one(code):
        return module.decode(code[None], D)[0][0]

    # Derivatives by the last axis, which is the code's.
    exact = torch.func.vmap(torch.func.jacrev(one))(codes)
    torch.testing.assert_close(by_code, exact.permute(0, 3, 1, 2))
    step = 1e-6 * torch.eye(sizes[-1], dtype=torch.float64)
    for k in range(sizes[-1]):
        high, low = (module.decode(codes + s * step[k], D)[0] for s in (1, -1))
        torch.testing.assert_close(by_code[:, k], (high - low) / 2e-6, atol=1e-6, rtol=1e-6)


def test_decoder_of_dead_units_has_derivative_zero():
    module = make_module()
    with torch.no_grad():
        module.biases[-1].fill_(-100.0)
        module.biases[0].fill_(0.7)
    shapes, by_code = module.decode_with_jacobian(
        torch.ones(2, SIZES[-1], dtype=torch.float64), module.centered_dictionary()
    )
    assert by_code.abs().max() == 0
    assert shapes.abs().max() > 0.1


def test_initial_parameters_come_from_the_generator_alone():
    before = torch.random.get_rng_state()
    first, again, other = (
        HierarchicalBlockSparseLifter(P, SIZES, generator=torch.Generator().manual_seed(s))
        for s in (0, 0, 1)
    )
    assert torch.equal(torch.random.get_rng_state(), before)
    state, same, differs = (m.state_dict() for m in (first, again, other))
    assert all(torch.equal(state[key], same[key]) for key in state)
    assert not torch.equal(state["shape_dictionary"], differs["shape_dictionary"])


def turn(angle):
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]])


def lifted_turned(columns, activation, readout, angle, unrolled, **steps):
    module = make_module(columns, activation, readout, unrolled)
    W, visible, depth = make_frames()
    lifts = [
        module(as_frames(w, visible, depth, columns), **steps)[-1] for w in (W, W @ turn(angle).T)
    ]
    return [[o.detach().numpy() for o in lift] for lift in lifts]


@pytest.mark.parametrize("columns", [2, 3])
@pytest.mark.parametrize(
    ("unrolled", "completions", "steps"),
    [(1, 0, 0), (3, 0, 0), (1, 1, 0), (2, 2, 0), (1, 0, 2), (3, 0, 1), (1, 1, 1)],
)
@pytest.mark.parametrize("angle", [0.3, 2.0, -np.pi / 2])
def test_rotating_the_image_rotates_the_camera_only(columns, angle, unrolled, completions, steps):
    rounds = {"n_completions": completions, "n_solver_steps": steps}
    before, after = lifted_turned(columns, "bst", "invariant", angle, unrolled, **rounds)
    Rz = np.eye(3)
    Rz[:2, :2] = turn(angle)
    np.testing.assert_allclose(after[0], before[0], atol=1e-10)
    np.testing.assert_allclose(after[1], Rz @ before[1], atol=1e-10)
    np.testing.assert_allclose(after[2], before[2], atol=1e-10)


@pytest.mark.parametrize(
    ("activation", "readout", "camera_turns"),
    [("bst", "linear", True), ("relu", "invariant", False), ("relu", "linear", False)],
)
def test_the_other_variants_are_not_equivariant(activation, readout, camera_turns):
    before, after = lifted_turned(2, activation, readout, 0.7, 1)
    Rz = np.eye(3)
    Rz[:2, :2] = turn(0.7)
    assert np.abs(after[0] - before[0]).max() > 1e-2
    assert np.allclose(after[1], Rz @ before[1], atol=1e-10) == camera_turns


@pytest.mark.parametrize(("columns", "activation", "readout"), VARIANTS)
def test_permuting_points_and_dictionary_permutes_the_shape(columns, activation, readout):
    module, permuted = (make_module(columns, activation, readout, 2) for _ in range(2))
    W, visible, depth = make_frames()
    order = np.random.default_rng(3).permutation(P)
    with torch.no_grad():
        permuted.shape_dictionary.copy_(module.shape_dictionary[:, order])
        frames = as_frames(W, visible, depth, columns)
        expected = module(frames, n_completions=1, n_solver_steps=1)[-1]
        frames = as_frames(W[:, order], visible[:, order], depth, columns)
        found = permuted(frames, n_completions=1, n_solver_steps=1)[-1]
    torch.testing.assert_close(found[0], expected[0][:, order])
    for a, b in zip(found[1:], expected[1:], strict=True):
        torch.testing.assert_close(a, b)


def test_frames_do_not_see_each_other():
    module = make_module(unrolled=2)
    frames = as_frames(*make_frames(), 2)
    steps = {"n_completions": 1, "n_solver_steps": 1}
    whole = module(frames, **steps)[-1]
    for f in range(5):
        alone = module(frames.take(slice(f, f + 1)), **steps)[-1]
        for a, b in zip(alone, whole, strict=True):
            torch.testing.assert_close(a[0], b[f])


@pytest.mark.parametrize("columns", [2, 3])
def test_what_hidden_points_hold_does_not_matter(columns):
    # Input hiding hides points that have coordinates.
    module = make_module(columns, unrolled=2)
    W, visible, depth = make_frames()
    other = np.where(visible[..., None] > 0, W, 17.0)
    steps = {"n_completions": 1, "n_solver_steps": 1}
    for a, b in zip(
        module(as_frames(W, visible, depth, columns), **steps)[-1],
        module(as_frames(other, visible, depth, columns), **steps)[-1],
        strict=True,
    ):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize(
    ("unrolled", "completions", "steps"), [(1, 0, 0), (3, 0, 0), (3, 0, 1), (1, 1, 0), (2, 2, 1)]
)
def test_mirror_flips_the_depth_of_every_frame(unrolled, completions, steps):
    module = make_module(unrolled=unrolled)
    frames = as_frames(*make_frames(), 2)
    rounds = {"n_completions": completions, "n_solver_steps": steps}
    before = module(frames, **rounds)[-1]
    module.mirror_()
    after = module(frames, **rounds)[-1]
    flip = torch.tensor([1.0, 1, -1], dtype=torch.float64)
    torch.testing.assert_close(after.rotated, before.rotated * flip)
    torch.testing.assert_close(after.shapes, before.shapes * flip)
    torch.testing.assert_close(after.codes, before.codes)
    module.mirror_()
    again = module(frames, **rounds)[-1]
    torch.testing.assert_close(again.shapes, before.shapes)


@pytest.mark.parametrize("columns", [2, 3])
@pytest.mark.parametrize("readout", ["invariant", "linear"])
def test_gradient_against_finite_differences(columns, readout):
    module = make_module(columns, readout=readout, unrolled=2)
    frames = as_frames(*make_frames(3), columns)
    rng = np.random.default_rng(5)
    weights = [torch.from_numpy(rng.normal(size=s)) for s in ((3, P, 3), (3, 3, 3), (3, 3))]

    def loss(*_):
        # Gradcheck perturbs the module's own parameters in place.
        outputs = module(frames, n_solver_steps=1)[-1]
        return sum((w * o).sum() for w, o in zip(weights, outputs, strict=False))

    assert torch.autograd.gradcheck(loss, list(module.parameters()), fast_mode=True)


@pytest.mark.parametrize("columns", [2, 3])
@pytest.mark.parametrize("readout", ["invariant", "linear"])
@pytest.mark.parametrize("threshold", [-0.2, 0.0, 0.2, 100.0])
@pytest.mark.parametrize("hidden", [0, 5])
def test_degenerate_frames_have_finite_gradients(columns, readout, threshold, hidden):
    module = make_module(columns, readout=readout, unrolled=2, dtype=torch.float32)
    with torch.no_grad():
        for thresholds in module.thresholds:
            thresholds.fill_(threshold)
    rng = np.random.default_rng(0)
    W = np.full((5, P, 2), 0.3)
    W[1] = rng.normal(size=P)[:, None] * [1.0, 0.5]  # points in a row: blocks of rank one
    W[2, 0] += 1e-9
    W[3] = 0
    W[4] = rng.normal(size=(P, 2))
    visible = np.ones((5, P))
    visible[:, :hidden] = 0
    frames = as_frames(W, visible, np.ones(5), columns, torch.float32)
    shapes, rotations, codes, _ = module(frames, n_completions=1, n_solver_steps=1)[-1]
    slope = torch.from_numpy(rng.normal(size=(5, 3, 3))).float()
    loss = shapes.square().sum() + (rotations * slope).sum() + codes.sum()
    loss.backward()
    assert loss.isfinite()
    for name, parameter in module.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.norm() < 1e9, name
    identity = torch.eye(3).expand(5, 3, 3)
    torch.testing.assert_close(rotations @ rotations.mT, identity, atol=1e-5, rtol=0)
