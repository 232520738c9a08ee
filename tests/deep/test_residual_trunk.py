"""The residual trunk and the factorisation network against numpy and SciPy, in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from nrsfm_learn.deep.nn import FactorizationNetwork, ResidualTrunk

P, D, WIDTH, NARROW = 5, 3, 12, 4


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def make_network(seed=0, **settings):
    network = FactorizationNetwork(
        P, D, width=WIDTH, bottleneck=NARROW, n_blocks=2, generator=seeded(seed), **settings
    ).double()
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        # Away from the initial values, at which biases and statistics could be left out unseen.
        for tensor in (*network.parameters(), *network.buffers()):
            if tensor.is_floating_point():
                tensor += torch.from_numpy(rng.uniform(0.1, 0.5, size=tuple(tensor.shape)))
    return network


def normed(norm, x, batch):
    mean = x.mean(0) if batch else norm.running_mean.numpy()
    variance = x.var(0) if batch else norm.running_var.numpy()
    weight, bias = norm.weight.detach().numpy(), norm.bias.detach().numpy()
    return (x - mean) / np.sqrt(variance + norm.eps) * weight + bias


def trunk_in_numpy(trunk, x, *, batch):
    x = np.maximum(normed(trunk.first_norm, x @ trunk.first.weight.detach().numpy().T, batch), 0)
    for block in trunk.blocks:
        y = x
        for k, (layer, norm) in enumerate(zip(block.layers, block.norms, strict=True)):
            y = normed(norm, y @ layer.weight.detach().numpy().T, batch)
            y = np.maximum(y, 0) if k < 2 else y
        x = np.maximum(x + y, 0)
    return x


@pytest.mark.parametrize("training", [False, True])
def test_trunk_formula(training):
    trunk = make_network().trunk.train(training)
    x = np.random.default_rng(1).normal(size=(9, 3 * P))
    expected = trunk_in_numpy(trunk, x, batch=training)
    found = trunk(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_published_sizes_and_initial_weights():
    trunk = ResidualTrunk(30, generator=seeded())
    shapes = [tuple(layer.weight.shape) for block in trunk.blocks for layer in block.layers]
    assert tuple(trunk.first.weight.shape) == (1024, 30)
    assert shapes == [(256, 1024), (256, 256), (1024, 256)] * 6
    weights = torch.cat([layer.weight.flatten() for b in trunk.blocks for layer in b.layers])
    assert abs(weights.mean()) < 1e-4
    np.testing.assert_allclose(weights.std().item(), 0.01, rtol=0.01)
    network = FactorizationNetwork(10, 4, generator=seeded())
    assert network.code_head.weight.std().item() == pytest.approx(0.01, rel=0.1)
    assert network.code_head.bias.abs().max() == network.basis.bias.abs().max() == 0


def test_a_seed_gives_one_network():
    first, again, other = (make_network(seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not torch.equal(first["trunk.first.weight"], other["trunk.first.weight"])


def test_features_read_coordinates_and_visibility():
    network = make_network().eval()
    rng = np.random.default_rng(2)
    points, visible = rng.normal(size=(4, P, 2)), rng.integers(0, 2, size=(4, P)).astype(float)
    x = np.concatenate([points.reshape(4, -1), visible], axis=1)
    found = network.features(torch.from_numpy(points), torch.from_numpy(visible))
    expected = trunk_in_numpy(network.trunk, x, batch=False)
    np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("nonnegative", [False, True])
def test_codes(nonnegative):
    network = make_network(nonnegative=nonnegative, canonicalize=True).eval()
    features = torch.from_numpy(np.random.default_rng(3).normal(size=(50, WIDTH)))
    head = network.code_head
    expected = features.numpy() @ head.weight.detach().numpy().T + head.bias.detach().numpy()
    assert (expected < 0).any()
    if nonnegative:
        expected = np.maximum(expected, 0)
    np.testing.assert_allclose(network.codes(features).detach().numpy(), expected, atol=1e-12)
    X = torch.from_numpy(np.random.default_rng(4).normal(size=(50, P, 3)))
    x = trunk_in_numpy(network.canonical_trunk, X.numpy().reshape(50, -1), batch=False)
    head = network.canonical_head
    expected = x @ head.weight.detach().numpy().T + head.bias.detach().numpy()
    if nonnegative:
        expected = np.maximum(expected, 0)
    np.testing.assert_allclose(network.canonical_codes(X).detach().numpy(), expected, atol=1e-12)


def test_rotations_of_axis_and_angle_are_those_of_scipy_also_at_zero():
    network = make_network(rotation="log")
    features = torch.from_numpy(np.random.default_rng(3).normal(size=(6, WIDTH)))
    with torch.no_grad():
        network.rotation_head.bias -= network.rotation_head(features)[0]
    features.requires_grad_()
    vectors = network.rotation_head(features).detach().numpy()
    assert np.abs(vectors[0]).max() < 1e-14
    R = network.rotations(features)
    expected = Rotation.from_rotvec(vectors).as_matrix()
    np.testing.assert_allclose(R.detach().numpy(), expected, atol=1e-12)
    (gradient,) = torch.autograd.grad(R.square().sum() + R.sum(), features)
    assert torch.isfinite(gradient).all()


def test_rotations_of_six_numbers_are_two_columns_made_orthonormal():
    network = make_network()
    features = torch.from_numpy(np.random.default_rng(3).normal(size=(6, WIDTH)))
    columns = network.rotation_head(features).detach().numpy().reshape(6, 2, 3).swapaxes(1, 2)
    Q, upper = np.linalg.qr(columns)
    Q *= np.sign(np.diagonal(upper, axis1=1, axis2=2))[:, None]
    expected = np.concatenate((Q, np.cross(Q[..., 0], Q[..., 1])[..., None]), -1)
    found = network.rotations(features).detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-12)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_decode(seed):
    network, rng = make_network(), np.random.default_rng(seed)
    codes = rng.normal(size=(4, D))
    selection = np.zeros((4, P))
    for row in selection:
        row[rng.choice(P, size=rng.integers(1, P + 1), replace=False)] = 1
    found = network.decode(torch.from_numpy(codes), torch.from_numpy(selection)).detach().numpy()
    basis, mean = (a.detach().numpy() for a in (network.basis.weight, network.basis.bias))
    for X, code, row in zip(found, codes, selection > 0, strict=True):
        expected = (basis @ code + mean).reshape(P, 3)[row]
        np.testing.assert_allclose(X[row], expected - expected.mean(0), atol=1e-12)
        assert (X[~row] == 0).all()


@pytest.mark.parametrize("rotation", ["6d", "log"])
def test_mirror_flips_depth_and_nothing_else(rotation):
    network = make_network(canonicalize=True, rotation=rotation).eval()
    rng = np.random.default_rng(1)
    features = torch.from_numpy(rng.normal(size=(4, WIDTH)))
    codes, selection = torch.from_numpy(rng.normal(size=(4, D))), torch.ones(4, P).double()
    flip = torch.tensor([1.0, 1.0, -1.0]).double()
    X, R = network.decode(codes, selection), network.rotations(features)
    again = network.canonical_codes(X @ R.mT)
    network.mirror_()
    mirrored, turned = network.decode(codes, selection), network.rotations(features)
    torch.testing.assert_close(mirrored, X * flip)
    torch.testing.assert_close(mirrored @ turned.mT, (X @ R.mT) * flip)
    torch.testing.assert_close(network.canonical_codes(mirrored @ turned.mT), again)
    network.mirror_()
    torch.testing.assert_close(network.decode(codes, selection), X)
