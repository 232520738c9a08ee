"""Cameras of decoded shapes, and the reconstruction that they give with what was seen."""

import numpy as np
import pytest
import torch

from nrsfm_learn.deep._frames import Frames
from nrsfm_learn.deep._procrustean_pose import pose
from nrsfm_learn.geometry import axis_angle_to_matrix, random_rotations

F, P = 8, 10
both_cameras = pytest.mark.parametrize("perspective", [False, True])
with_and_without_missing = pytest.mark.parametrize("missing", [False, True])


def scene(perspective=False, missing=True, noise=0.0, weighted=False, depth=20.0, seed=0):
    """Centred shapes, points in the camera frame, frames; under perspective far away."""
    rng = np.random.default_rng(seed)
    S = rng.normal(size=(F, P, 3))
    S = torch.from_numpy(S - S.mean(1, keepdims=True))
    R = random_rotations(F, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    visible = np.ones((F, P))
    if missing:
        for f in range(F):
            visible[f, rng.choice(P, size=f % 5, replace=False)] = 0
    visible = torch.from_numpy(visible)
    gain = torch.full((F,), depth, dtype=torch.float64)
    X = S @ R.mT + noise * torch.from_numpy(rng.normal(size=(F, P, 3)))
    if perspective:
        offset = torch.from_numpy(rng.normal(size=(F, 1, 3)))
        offset[..., 2] = depth
        X = X + offset
        points = X[..., :2] / X[..., 2:]
    else:
        seen = visible[..., None]
        X = X - (X * seen).sum(1, keepdim=True) / seen.sum(1, keepdim=True) * torch.tensor(
            [1, 1, 0]
        )
        points = X[..., :2] / depth
    weights = torch.from_numpy(rng.uniform(0.1, 2, size=(F, P))) if weighted else None
    return S, R, X, Frames(points * visible[..., None], visible, gain, weights, perspective)


def compose(found):
    return found.shapes @ found.rotations.mT + found.translations[:, None]


def project(X, frames):
    return (
        X[..., :2] / X[..., 2:] if frames.perspective else X[..., :2] / frames.gain[:, None, None]
    )


def errors(X, frames):
    """Squared reprojection error of each frame, relative to the visible means, by loops."""
    found = []
    for f in range(F):
        m = frames.visible[f] > 0
        omega = torch.ones(P).double() if frames.weights is None else frames.weights[f]
        omega = omega[m, None]
        d = (X[f, :, :2] - frames.normalized()[f])[m]
        d = d - (omega * d).sum(0) / omega.sum()
        found.append((omega * d.square()).sum().item())
    return np.array(found)


@with_and_without_missing
@pytest.mark.parametrize("keep_observed", [False, True])
def test_exact_shapes_are_reconstructed(missing, keep_observed):
    S, R, X, frames = scene(missing=missing)
    found = pose(S, frames, keep_observed=keep_observed)
    torch.testing.assert_close(found.rotations, R, atol=1e-7, rtol=0)
    torch.testing.assert_close(found.shapes, S, atol=1e-6, rtol=0)
    expected = X - X[..., 2:].mean(1, keepdim=True) * torch.tensor([0, 0, 1])
    torch.testing.assert_close(compose(found), expected, atol=1e-6, rtol=0)


@with_and_without_missing
@pytest.mark.parametrize("keep_observed", [False, True])
def test_exact_shapes_are_reconstructed_under_perspective(missing, keep_observed):
    # Two passes leave an error of second order in extent over distance.
    S, R, X, frames = scene(True, missing, depth=100.0)
    found = pose(S, frames, keep_observed=keep_observed)
    torch.testing.assert_close(found.rotations, R, atol=1e-3, rtol=0)
    torch.testing.assert_close(compose(found), X, atol=1e-2, rtol=0)


@both_cameras
@with_and_without_missing
def test_observed_points_reproject_exactly(perspective, missing):
    S, _, _, frames = scene(perspective, missing, noise=0.3)
    found = pose(S, frames, keep_observed=True)
    W = project(compose(found), frames)
    seen = frames.visible > 0
    torch.testing.assert_close(W[seen], frames.points[seen], atol=1e-12, rtol=0)
    plain = pose(S, frames, keep_observed=False)
    torch.testing.assert_close(found.rotations, plain.rotations, atol=0, rtol=0)
    X, kept = compose(plain), compose(found)
    assert (project(X, frames)[seen] - frames.points[seen]).abs().max() > 1e-3
    # Depth and what is hidden are those of the shape.
    torch.testing.assert_close(kept[..., 2], X[..., 2], atol=1e-12, rtol=0)
    torch.testing.assert_close(kept[~seen], X[~seen], atol=1e-12, rtol=0)


@both_cameras
@pytest.mark.parametrize("keep_observed", [False, True])
def test_shapes_are_centred_and_cameras_are_rotations(perspective, keep_observed):
    S, _, _, frames = scene(perspective, noise=0.3)
    found = pose(S, frames, keep_observed=keep_observed)
    assert found.shapes.mean(1).abs().max() < 1e-12
    R = found.rotations
    torch.testing.assert_close(R @ R.mT, torch.eye(3).double().expand(F, 3, 3))
    assert (torch.linalg.det(R) > 0).all()
    if not keep_observed:
        torch.testing.assert_close(found.shapes, S)
    depth = found.translations[:, 2]
    expected = frames.gain if perspective else torch.zeros(F).double()
    torch.testing.assert_close(depth, expected, atol=1e-10, rtol=0)


def test_visible_means_agree_where_nothing_is_put_right():
    S, _, _, frames = scene(noise=0.3)
    W = project(compose(pose(S, frames, keep_observed=False)), frames)
    for f in range(F):
        m = frames.visible[f] > 0
        torch.testing.assert_close(W[f][m].mean(0), frames.points[f][m].mean(0), atol=1e-12, rtol=0)


@pytest.mark.parametrize("weighted", [False, True])
def test_steps_lower_the_reprojection_error(weighted):
    S, _, _, frames = scene(noise=0.3, weighted=weighted)
    values = [
        errors(compose(pose(S, frames, n_refine_steps=n, keep_observed=False)), frames)
        for n in (0, 1, 3, 30)
    ]
    for more, fewer in zip(values[1:], values, strict=False):
        assert (more <= fewer * (1 + 1e-12)).all()
    assert (values[2] < 0.999 * values[0]).mean() > 0.5
    assert values[0].sum() - values[2].sum() > 0.9 * (values[0].sum() - values[3].sum())


@pytest.mark.parametrize("weighted", [False, True])
def test_steps_end_at_the_least_reprojection_error(weighted):
    S, _, _, frames = scene(noise=0.3, weighted=weighted)
    found = pose(S, frames, n_refine_steps=60, keep_observed=False)
    step, least = 1e-4, errors(S @ found.rotations.mT, frames)
    for axis in range(3):
        omega = torch.zeros(F, 3).double()
        omega[:, axis] = step
        up, down = (
            errors(S @ (axis_angle_to_matrix(w) @ found.rotations).mT, frames)
            for w in (omega, -omega)
        )
        assert (up >= least * (1 - 1e-12)).all()
        assert (down >= least * (1 - 1e-12)).all()
        assert (np.abs(up - down) / (2 * step) < 1e-3 * least.max()).all()


def test_points_of_weight_zero_do_not_pull_the_camera():
    S, R, _, frames = scene(missing=False)
    weights = torch.ones(F, P).double()
    weights[:, 0] = 0
    points = frames.points.clone()
    points[:, 0] += 1
    # Centred again, as the frames of the fit are.
    points = points - points.mean(1, keepdim=True)
    found = pose(S, frames._replace(points=points, weights=weights))
    torch.testing.assert_close(found.rotations, R, atol=1e-7, rtol=0)


@both_cameras
def test_the_camera_turns_with_the_image(perspective):
    S, _, _, frames = scene(perspective, noise=0.3)
    R_z = axis_angle_to_matrix(torch.tensor([0, 0, 0.7], dtype=torch.float64))
    first = pose(S, frames)
    second = pose(S, frames._replace(points=frames.points @ R_z[:2, :2].mT))
    torch.testing.assert_close(second.rotations, R_z @ first.rotations, atol=1e-8, rtol=0)
    torch.testing.assert_close(second.shapes, first.shapes, atol=1e-8, rtol=0)
    torch.testing.assert_close(compose(second), compose(first) @ R_z.mT, atol=1e-7, rtol=0)
