"""First shapes of objects that are known."""

import numpy as np
import pytest
import torch

from nrsfm_learn.base import Observations
from nrsfm_learn.classical._completion import complete_tracks
from nrsfm_learn.classical._first_shapes import first_shapes, meet_keypoints
from nrsfm_learn.classical._tracks import tracks_of
from nrsfm_learn.datasets import make_low_rank


def problem(rank=2, missing=0.0, seed=0, weights=None, device="cpu", **options):
    data = make_low_rank(50, 15, rank, missing=missing, random_state=seed, **options)
    if weights is not None:
        weights = np.where(data.visible, weights, 0.0)
    observations = Observations(data.W, data.visible, weights=weights)
    tracks = tracks_of(observations, torch.device(device))
    completed = complete_tracks(tracks, generator(device)).points
    return data, tracks, completed


def generator(device="cpu"):
    return torch.Generator(device=device).manual_seed(0)


def shape_error(X, data, size):
    """Relative error of camera-frame points, up to the sign of depth."""
    truth = data.X - data.X.mean(1, keepdims=True)
    X = size * X.cpu().numpy()
    errors = [np.linalg.norm(X * [1, 1, sign] - truth) for sign in (1, -1)]
    return min(errors) / np.linalg.norm(truth)


@pytest.mark.parametrize("missing", [0.0, 0.2])
@pytest.mark.parametrize(("init", "rank"), [("nuclear_norm", 2), ("rigid", 1)])
def test_exact_keypoints(init, rank, missing, device):
    data, tracks, completed = problem(rank, missing, device=device)
    shapes, R = first_shapes(tracks, completed, init, generator(device))
    assert shapes.shape == (50, 15, 3)
    eye = torch.eye(3, dtype=R.dtype, device=R.device).expand_as(R)
    torch.testing.assert_close(R @ R.mT, eye, atol=1e-9, rtol=0)
    torch.testing.assert_close(torch.linalg.det(R), torch.ones_like(R[:, 0, 0]))
    assert shapes.mean(1).abs().max() < 1e-9
    assert shape_error(shapes @ R.mT, data, tracks.size) < (0.15 if missing else 0.05)


def test_rigid_start_is_one_shape_for_all_frames():
    _, tracks, completed = problem(3)
    shapes, R = first_shapes(tracks, completed, "rigid", generator())
    assert (shapes == shapes[0]).all()
    # It explains most of keypoints that deform.
    left = tracks.points - (shapes @ R.mT)[..., :2]
    assert 0.05 < left.norm() / tracks.points.norm() < 0.7


@pytest.mark.parametrize("init", ["nuclear_norm", "rigid"])
def test_tracks_are_left_alone_and_the_seed_decides(init):
    _, tracks, completed = problem(missing=0.2)
    before = tracks.points.clone(), tracks.weights.clone(), completed.clone()
    one, other = (first_shapes(tracks, completed, init, generator()) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    after = tracks.points, tracks.weights, completed
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("confident", [False, True])
def test_keypoints_are_met(confident):
    rng = np.random.default_rng(1)
    weights = rng.uniform(0.2, 2, size=(50, 15)) if confident else None
    _, tracks, _ = problem(missing=0.3, weights=weights)
    X = torch.from_numpy(rng.normal(size=(50, 15, 3)))
    met = meet_keypoints(tracks, X)
    for f in range(50):
        seen = tracks.seen[f].numpy()
        w = tracks.weights[f].numpy()[seen]
        points, before, after = (a[f].numpy() for a in (tracks.points, X, met))
        # What is visible is where it was seen, up to one translation.
        moved = after[seen, :2] - points[seen]
        np.testing.assert_allclose(moved, np.broadcast_to(moved[0], moved.shape), atol=1e-12)
        np.testing.assert_allclose(after.mean(0), 0, atol=1e-12)
        # Depths and hidden keypoints move together, by what centres the frame and no more.
        t = np.average(points[seen] - before[seen, :2], axis=0, weights=w)
        expected = before.copy()
        expected[seen, :2] = points[seen] - t
        np.testing.assert_allclose(after, expected - expected.mean(0), atol=1e-12)


def test_keypoints_that_are_met_stay():
    _, tracks, _ = problem(missing=0.3)
    X = torch.from_numpy(np.random.default_rng(1).normal(size=(50, 15, 3)))
    once = meet_keypoints(tracks, X)
    torch.testing.assert_close(meet_keypoints(tracks, once), once, atol=1e-12, rtol=0)
