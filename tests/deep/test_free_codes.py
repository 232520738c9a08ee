"""Codes of frames that a decoder without an encoder was not trained on."""

import numpy as np
import pytest
import torch

from nrsfm_learn.deep._frames import Frames
from nrsfm_learn.deep._free_codes import solve_codes
from nrsfm_learn.deep._procrustean_objective import align, visible_centered
from nrsfm_learn.deep.nn import ProcrusteanAutoEncoder
from nrsfm_learn.geometry import random_rotations

F, P, K = 12, 9, 2
both_cameras = pytest.mark.parametrize("perspective", [False, True])


@pytest.fixture(scope="module")
def module():
    module = ProcrusteanAutoEncoder(
        P, K, [16], encoder=None, n_free_codes=F, generator=torch.Generator().manual_seed(0)
    ).double()
    with torch.no_grad():
        # Shapes that differ from each other less than from nothing at all.
        module.decoder.layers[-1].bias += torch.randn(
            3 * P, generator=torch.Generator().manual_seed(1)
        )
    return module


def frames_of(shapes, perspective=False, missing=False, seed=0):
    rng = np.random.default_rng(seed)
    n = len(shapes)
    R = random_rotations(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    X = shapes.detach() @ R.mT
    visible = np.ones((n, P))
    if missing:
        for f in range(n):
            visible[f, rng.choice(P, size=f % 4, replace=False)] = 0
    visible = torch.from_numpy(visible)
    if perspective:
        X = X + torch.tensor([0.5, -0.2, 30.0])
        points, gain = X[..., :2] / X[..., 2:], torch.full((n,), 30.0).double()
    else:
        points, gain = visible_centered(X[..., :2], visible), torch.ones(n).double()
    return Frames(points * visible[..., None], visible, gain, None, perspective)


def error(module, codes, frames):
    """Distance of each decoded shape from what its frame shows, by loops."""
    with torch.no_grad():
        S = module.decode(codes)
        found = align([S], frames)
        distances = []
        for f in range(len(S)):
            m = frames.visible[f] > 0
            residual = S[f] - S[f][m].mean(0) - found.seen[f] @ found.rotations[f]
            distances.append(residual.norm().item())
    return np.array(distances)


@pytest.mark.parametrize("missing", [False, True])
@both_cameras
def test_frames_of_known_codes_are_found(module, perspective, missing):
    known = module.free_codes.detach()
    frames = frames_of(module.decode(known), perspective, missing)
    codes = solve_codes(module, frames)
    assert codes.shape == (F, K)
    assert error(module, codes, frames).max() < (0.02 if perspective else 1e-5)


@both_cameras
def test_frames_between_known_codes_are_found(module, perspective):
    known = module.free_codes.detach()
    between = (known[:-1] + known[1:]) / 2
    frames = frames_of(module.decode(between), perspective)
    codes = solve_codes(module, frames)
    after = error(module, codes, frames)
    nearest = np.min([error(module, known[n].expand(F - 1, K), frames) for n in range(F)], axis=0)
    assert (after <= nearest * (1 + 1e-9)).all()
    assert np.median(after) < 0.1 * np.median(nearest)


@both_cameras
def test_no_code_is_worse_than_the_nearest_known_one(module, perspective):
    # Frames of other objects, which no code fits.
    rng = np.random.default_rng(5)
    shapes = torch.from_numpy(rng.normal(size=(6, P, 3)))
    frames = frames_of(shapes, perspective, missing=True)
    after = error(module, solve_codes(module, frames), frames)
    known = module.free_codes.detach()
    nearest = np.min([error(module, known[n].expand(6, K), frames) for n in range(F)], axis=0)
    assert (after <= nearest * (1 + 1e-9)).all()
    assert nearest.min() > 0.1


def test_a_frame_has_the_same_code_in_any_company(module):
    known = module.free_codes.detach()
    frames = frames_of(module.decode(known + 0.1), missing=True)
    codes = solve_codes(module, frames)
    torch.testing.assert_close(solve_codes(module, frames.take(slice(3, 6))), codes[3:6])


def test_the_networks_are_left_as_they_are(module):
    before = [p.detach().clone() for p in module.parameters()]
    frames = frames_of(module.decode(module.free_codes)[:3])
    codes = solve_codes(module, frames)
    for p, was in zip(module.parameters(), before, strict=True):
        assert torch.equal(p, was)
        assert p.grad is None
        assert p.requires_grad
    assert not codes.requires_grad
    with torch.no_grad():
        torch.testing.assert_close(solve_codes(module, frames), codes, rtol=0, atol=0)


def test_many_known_codes(monkeypatch):
    # No more are tried than fit; a frame of any of them is found.
    module = ProcrusteanAutoEncoder(
        P, K, [16], encoder=None, n_free_codes=700, generator=torch.Generator().manual_seed(0)
    ).double()
    frames = frames_of(module.decode(module.free_codes.detach()[[5, 341, 699]]))
    codes = solve_codes(module, frames)
    assert error(module, codes, frames).max() < 0.05
