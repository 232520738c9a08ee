"""Networks of PAUL against loops over their layers."""

import numpy as np
import pytest
import torch

from nrsfm_learn.deep._frames import Frames
from nrsfm_learn.deep.nn import ProcrusteanAutoEncoder
from nrsfm_learn.deep.nn._procrustean import MultilayerPerceptron, ResidualEncoder

F, P, K, WIDTHS = 6, 7, 3, [12, 8]


def make(seed=0, **settings):
    settings = {"encoder_width": 10, **settings}
    generator = torch.Generator().manual_seed(seed)
    return ProcrusteanAutoEncoder(P, K, WIDTHS, generator=generator, **settings).double()


def make_frames(perspective=False, missing=True, seed=0):
    rng = np.random.default_rng(seed)
    visible = np.ones((F, P))
    if missing:
        visible[np.arange(F), rng.integers(P, size=F)] = 0
    return Frames(
        torch.from_numpy(rng.normal(size=(F, P, 2)) * visible[..., None]),
        torch.from_numpy(visible),
        torch.from_numpy(rng.uniform(1, 3, size=F)),
        None,
        perspective,
    )


def shake(module, seed=1):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            p += 0.2 * torch.randn(p.shape, generator=generator)
    return module


def linear(layer, x):
    return layer.weight.detach().numpy() @ x + layer.bias.detach().numpy()


def perceptron(layers, x):
    *hidden, last = layers
    for layer in hidden:
        x = np.maximum(linear(layer, x), 0)
    return linear(last, x)


def residual(encoder, x):
    x = np.maximum(linear(encoder.first, x), 0)
    for inner, outer in encoder.blocks:
        x = x + np.maximum(linear(outer, np.maximum(linear(inner, x), 0)), 0)
    return linear(encoder.last, x)


def sizes(layers):
    return [layers[0].in_features, *(layer.out_features for layer in layers)]


def test_sizes():
    module = make()
    assert sizes(module.decoder.layers) == [K, 8, 12, 3 * P]
    assert sizes(module.shape_encoder.layers) == [3 * P, 12, 8, K]
    assert make(autoencode=False).shape_encoder is None


def test_decoder_and_shape_encoder():
    module = shake(make())
    codes = torch.randn(F, K, generator=torch.Generator().manual_seed(2)).double()
    S, again = module.decode(codes), None
    again = module.encode_shapes(S).detach().numpy()
    for f in range(F):
        shape = perceptron(module.decoder.layers, codes[f].numpy()).reshape(P, 3)
        shape = shape - shape.mean(0)
        np.testing.assert_allclose(S[f].detach(), shape, atol=1e-12)
        np.testing.assert_allclose(
            again[f], perceptron(module.shape_encoder.layers, shape.ravel()), atol=1e-12
        )


@pytest.mark.parametrize("perspective", [False, True])
def test_residual_encoder_sees_points_mask_and_direction(perspective):
    module = shake(make(perspective=perspective))
    frames = make_frames(perspective)
    codes = module.code(frames).detach()
    for f in range(F):
        m = frames.visible[f].numpy()
        points = frames.points[f].numpy()
        W = (points - points[m > 0].mean(0)) * frames.gain[f].item() * m[:, None]
        x = np.concatenate([W.ravel(), 1 - m, *([points.ravel()] if perspective else [])])
        np.testing.assert_allclose(codes[f], residual(module.observation_encoder, x), atol=1e-12)


def test_what_is_hidden_changes_nothing_before_training():
    # Nothing was learned of a mask yet; only the points count.
    module, frames = make(), make_frames(missing=False)
    visible = frames.visible.clone()
    visible[:, 0] = 0
    points = frames.points.clone()
    points[:, 0] = 0
    points = points - points.sum(1, keepdim=True) / (P - 1)
    points[:, 0] = 0
    seen = frames._replace(points=points, gain=torch.ones(F).double())
    torch.testing.assert_close(module.code(seen._replace(visible=visible)), module.code(seen))
    assert (
        shake(module).code(seen._replace(visible=visible)) - module.code(seen)
    ).abs().max() > 0.01


@pytest.mark.parametrize("perspective", [False, True])
def test_block_sparse_encoder_is_that_of_deep_nrsfm(perspective):
    module = shake(make(encoder="deep_nrsfm", perspective=perspective))
    frames = make_frames(perspective)
    encoder = module.observation_encoder
    codes = encoder.lifter.encode(frames)
    assert codes.shape == (F, K)
    for f in range(F):
        expected = linear(encoder.last, codes[f].detach().numpy())
        np.testing.assert_allclose(module.code(frames)[f].detach(), expected, atol=1e-12)
    # It turns with the image: the code does not see by how much.
    if not perspective:
        R = torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=torch.float64)
        turned = module.code(frames._replace(points=frames.points @ R.mT))
        torch.testing.assert_close(turned, module.code(frames))


def test_free_codes():
    module = make(encoder=None, n_free_codes=11)
    assert module.free_codes.shape == (11, K)
    assert module.free_codes.requires_grad
    assert make().free_codes is None
    other = make(seed=1, encoder=None, n_free_codes=11)
    assert (module.free_codes - other.free_codes).abs().max() > 0.1


def test_seeds_and_the_global_generator():
    torch.manual_seed(3)
    state = torch.random.get_rng_state()
    first, again, other = make(0), make(0), make(1)
    assert torch.equal(torch.random.get_rng_state(), state)
    for a, b in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(first.decoder.layers[0].weight, other.decoder.layers[0].weight)


def test_signals_keep_their_size_through_the_layers():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(400, 64, generator=generator)
    deep = MultilayerPerceptron([64, 256, 128, 64, 32], generator)
    encoder = ResidualEncoder(64, 128, 2, 16, generator)
    for module in (deep, encoder):
        with torch.no_grad():
            assert 0.5 < module(x).square().mean().sqrt() < 2
        assert all(p.isfinite().all() for p in module.parameters())


def test_mirror():
    module = shake(make())
    codes = torch.randn(F, K, generator=torch.Generator().manual_seed(2)).double()
    S = module.decode(codes).detach()
    again = module.encode_shapes(S).detach()
    before = [p.detach().clone() for p in module.parameters()]
    module.mirror_()
    mirrored = module.decode(codes)
    torch.testing.assert_close(mirrored, S * torch.tensor([1, 1, -1]))
    torch.testing.assert_close(module.encode_shapes(mirrored), again)
    module.mirror_()
    assert all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))
    without = shake(make(autoencode=False))
    S = without.decode(codes).detach()
    without.mirror_()
    torch.testing.assert_close(without.decode(codes), S * torch.tensor([1, 1, -1]))
