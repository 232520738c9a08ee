"""The mixed spatio-temporal encoder and its heads."""

import math

import numpy as np
import pytest
import torch

from nrsfm_learn.deep.nn import MixedEncoder, MotionNetwork
from nrsfm_learn.deep.nn._mixed_encoder import AttentionBlock


def draw(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def inputs(n=2, window=5, n_points=4):
    points = draw(n, window, n_points, 2)
    return points, torch.ones(n, window, n_points, dtype=torch.float64)


def layer_norm(x):
    return (x - x.mean(-1, keepdim=True)) / (x.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()


def test_attention_block_is_the_formula():
    block = AttentionBlock(12, 3, generator=torch.Generator().manual_seed(0)).double()
    x = draw(2, 7, 12)
    used = torch.tensor([1, 1, 1, 0, 1, 1, 0], dtype=torch.bool).expand(2, 1, 1, 7)
    y = layer_norm(x) @ block.queries_keys_values.weight.T
    q, k, v = (part.unflatten(-1, (3, 4)) for part in y.split(12, -1))
    heads = []
    for head in range(3):
        scores = q[:, :, head] @ k[:, :, head].mT / 2
        scores = scores.masked_fill(~used[:, 0], -math.inf)
        weights = scores.exp() / scores.exp().sum(-1, keepdim=True)
        heads.append(weights @ v[:, :, head])
    y = x + torch.cat(heads, -1) @ block.output.weight.T
    hidden = layer_norm(y) @ block.hidden.weight.T
    gelu = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
    expected = y + gelu @ block.narrow.weight.T
    torch.testing.assert_close(block(x, used), expected)


def test_tokens():
    encoder = MixedEncoder(4, 5, width=16, n_blocks=2, n_heads=2).double()
    tokens, features = encoder(*inputs())
    assert tokens.shape == (2, 6, 5, 16)
    assert features.shape == (2, 5, 64)
    # Everything reaches everything: the first point of the first frame the last of the last.
    points, visible = inputs()
    points.requires_grad_()
    encoder(points, visible)[0][0, -1, -1, 0].backward()
    assert (points.grad[0] != 0).all()
    assert (points.grad[1] == 0).all()


def test_frames_that_fill_up_a_window_do_not_matter():
    encoder = MixedEncoder(4, 5, width=16, n_blocks=2, n_heads=2).double()
    points, visible = inputs()
    present = torch.ones(2, 5, dtype=torch.bool)
    present[1, 3:] = False
    z, _ = encoder(points, visible, present)
    changed = points.clone()
    changed[1, 3:] = 100.0
    again, _ = encoder(changed, visible, present)
    torch.testing.assert_close(again[0], z[0])
    torch.testing.assert_close(again[1, :4], z[1, :4])
    whole = torch.ones(2, 5, dtype=torch.bool)
    for a, b in zip(encoder(points, visible, whole), encoder(points, visible), strict=True):
        torch.testing.assert_close(a, b)


def test_order_of_frames_matters():
    encoder = MixedEncoder(4, 5, width=16, n_blocks=1, n_heads=2).double()
    points, visible = inputs()
    z = encoder(points, visible)[0][:, 1:]
    again = encoder(points.flip(1), visible)[0][:, 1:].flip(1)
    assert not torch.allclose(again, z, atol=1e-3)


@pytest.mark.parametrize("reference", [True, False])
def test_motion_network(reference):
    module = MotionNetwork(4, 5, width=16, n_blocks=1, n_heads=2, reference=reference).double()
    shapes, rotations, mean = module(*inputs())
    assert shapes.shape == (2, 5, 4, 3)
    np.testing.assert_allclose(shapes.detach().mean(-2), 0, atol=1e-12)
    eye = torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(rotations @ rotations.mT, eye.expand(2, 5, 3, 3))
    # The cameras begin near the identity.
    angle = torch.acos((rotations.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2)
    assert 0 < angle.max() < 0.5
    if reference:
        z, features = module.encoder(*inputs())
        np.testing.assert_allclose(mean.detach().mean(-2), 0, atol=1e-12)
        deformation = torch.einsum("pcd,wfpd->wfpc", module.deformation_head, z[:, 1:, 1:])
        deformation = deformation + module.frame_head(features).unflatten(-1, (4, 3))
        deformation = deformation - deformation.mean(-2, keepdim=True)
        torch.testing.assert_close(shapes, mean.unsqueeze(1) + deformation)
    else:
        assert mean is None


def test_initial_parameters_come_from_the_generator():
    first, again, other = (
        MotionNetwork(4, 5, width=8, n_heads=2, generator=torch.Generator().manual_seed(seed))
        for seed in (0, 0, 1)
    )
    for name, parameter in first.state_dict().items():
        assert torch.equal(parameter, again.state_dict()[name])
    drawn = [n for n, p in first.named_parameters() if not torch.equal(p, other.state_dict()[n])]
    assert len(drawn) > 10
