"""Rigid shapes as a start, and training that holds them."""

import numpy as np
import pytest
import torch

from nrsfm_learn import C3DPO, MultiCategoryLifter
from nrsfm_learn.datasets import make_low_rank
from nrsfm_learn.deep._frames import Frames
from nrsfm_learn.deep._rigid_start import rigid_shapes
from nrsfm_learn.deep.nn import FactorizationNetwork
from nrsfm_learn.metrics import normalized_error

SIZES = (40, 60)
POINTS = (8, 10)


def two_objects():
    """Return keypoints of two rigid objects side by side, labels and the objects."""
    objects = [
        make_low_rank(n_frames=n, n_points=p, rank=1, random_state=seed)
        for seed, (n, p) in enumerate(zip(SIZES, POINTS, strict=True))
    ]
    W = np.full((sum(SIZES), sum(POINTS), 2), np.nan)
    W[: SIZES[0], : POINTS[0]], W[SIZES[0] :, POINTS[0] :] = objects[0].W, objects[1].W
    return W, np.repeat([0, 1], SIZES), objects


def frames_of(W, scales):
    visible = ~np.isnan(W[..., 0])
    centered = np.where(visible[..., None], W - np.nanmean(W, axis=1, keepdims=True), 0)
    to = torch.from_numpy
    return Frames(to(centered), to(visible.astype(float)), to(1 / scales))


def own_points():
    first = np.arange(sum(POINTS)) < POINTS[0]
    return np.stack((first, ~first))


@pytest.mark.parametrize("scaled", [False, True])
def test_the_shape_of_each_category_is_found(scaled):
    W, index, objects = two_objects()
    sizes = np.random.default_rng(0).uniform(0.5, 2, len(W)) if scaled else np.ones(len(W))
    shapes = rigid_shapes(
        frames_of(W * sizes[:, None, None], np.ones(len(W))), index, own_points(), scaled=scaled
    )
    for points, data in zip(own_points(), objects, strict=True):
        S, T = (a - a.mean(0) for a in (shapes[points], data.X[0]))
        if scaled:
            S = S * np.linalg.norm(T) / np.linalg.norm(S)
        assert normalized_error(T[None], S[None], protocol="procrustes") < 1e-3


def test_shapes_are_in_units_of_the_network():
    W, index, _ = two_objects()
    small = rigid_shapes(frames_of(W, np.full(len(W), 4.0)), index, own_points(), scaled=False)
    large = rigid_shapes(frames_of(W, np.full(len(W), 2.0)), index, own_points(), scaled=False)
    np.testing.assert_allclose(np.abs(large), np.abs(2 * small), atol=1e-6)


def test_what_tells_nothing_begins_at_zero():
    W, index, _ = two_objects()
    few = np.r_[0, SIZES[0] : len(W)]
    frames = frames_of(W[few], np.ones(len(few)))
    shapes = rigid_shapes(frames, index[few], own_points(), scaled=False)
    assert (shapes[: POINTS[0]] == 0).all()
    assert np.abs(shapes[POINTS[0] :]).max() > 0


def test_categories_that_share_points_with_one_before_begin_as_those_do():
    W, index, _ = two_objects()
    frames = frames_of(W, np.ones(len(W)))
    points = np.concatenate((own_points(), own_points()[1:]))
    shared = np.where(np.arange(len(W)) < len(W) - 20, index, 2)
    alone = index.copy()
    alone[-20:] = -1
    np.testing.assert_array_equal(
        rigid_shapes(frames, shared, points, scaled=False),
        rigid_shapes(frames, alone, own_points(), scaled=False),
    )


def test_points_that_are_not_trusted_count_less():
    W, index, objects = two_objects()
    W[:, 0, 0] += np.random.default_rng(0).normal(size=len(W))
    frames, own = frames_of(W, np.ones(len(W))), own_points()
    weights = torch.ones(W.shape[:2], dtype=torch.float64)
    weights[:, 0] = 1e-3
    T = objects[0].X[0, 1:]
    errors = []
    for given in (None, weights):
        S = rigid_shapes(frames._replace(weights=given), index, own, scaled=False)[1 : POINTS[0]]
        S, T = S - S.mean(0), T - T.mean(0)
        errors.append(normalized_error(T[None], S[None], protocol="procrustes"))
    assert errors[1] < 0.5 * errors[0]


def test_shapes_that_run_away_in_depth_are_left_out():
    rng = np.random.default_rng(0)
    S = rng.normal(size=(POINTS[0], 3))
    S = S - S.mean(0)
    angles = 1e-3 * rng.normal(size=SIZES[0])
    W = S[None, :, :2] + angles[:, None, None] * np.array([40.0, 0]) * S[None, :, 2:]
    W = W + 1e-3 * rng.normal(size=W.shape)
    own = np.ones((1, POINTS[0]), bool)
    index = np.zeros(len(W), int)
    near = rigid_shapes(frames_of(W, np.ones(len(W))), index, own, scaled=False)
    assert (
        np.square(near).sum(1).mean() <= 4 * np.square(W - W.mean(1, keepdims=True)).sum(2).mean()
    )


@pytest.mark.parametrize("nonnegative", [False, True])
def test_held_shapes_get_no_gradient_and_cameras_do(nonnegative):
    network = FactorizationNetwork(5, 3, width=8, bottleneck=4, nonnegative=nonnegative)
    shapes = torch.arange(15.0).reshape(5, 3)
    network.begin_with_(shapes)
    network.eval()
    points, ones = torch.randn(4, 5, 2), torch.ones(4, 5)
    expected = shapes - shapes.mean(0)
    values = {}
    for held in (True, False):
        network.held = held
        network.zero_grad()
        features = network.features(points, ones)
        X = network.decode(network.codes(features), ones)
        # Codes are small beside the mean.
        assert (X - expected).abs().max() < 0.2
        (X @ network.rotations(features).mT).square().sum().backward()
        values[held] = X
        own = (*network.basis.parameters(), *network.code_head.parameters())
        assert all(p.grad is not None for p in own)
        assert any(p.grad.abs().max() > 0 for p in own) != held
    torch.testing.assert_close(values[True], values[False])
    network.held = True
    features = network.features(points, ones)
    X = network.decode(network.codes(features), ones)
    (gradient,) = torch.autograd.grad(
        (X @ network.rotations(features).mT)[..., 0].sum(), network.rotation_head.bias
    )
    assert gradient.abs().max() > 0


@pytest.mark.parametrize("cls", [C3DPO, MultiCategoryLifter])
def test_a_fit_begins_with_the_rigid_shapes(cls):
    W, index, _ = two_objects()
    settings = {"width": 8, "max_iter": 1, "n_init": 2, "optimizer": "adam", "random_state": 0}
    labels = np.array(["a", "b"])[index]
    model = cls(2, **settings, init="rigid", learning_rate=1e-12).fit(W, categories=labels)
    gain = model.gain_references_[index]
    frames = frames_of(W, 1 / gain)
    expected = rigid_shapes(frames, index, own_points(), scaled=False)
    # A rigid shape is known up to a rotation, which rounding may choose.
    for points in own_points():
        found, wanted = (a[points].astype(float) for a in (model.mean_shape_, expected))
        np.testing.assert_allclose(found @ found.T, wanted @ wanted.T, atol=1e-3)
    assert not any(module.held for module in (model.module_, *model.runners_up_))
    random = cls(2, **settings, init="random", learning_rate=1e-12).fit(W, categories=labels)
    assert (np.abs(random.mean_shape_) < 1e-6).all()
