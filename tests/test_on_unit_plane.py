"""Observations of a perspective camera on its unit focal plane."""

import numpy as np
import pytest

from nrsfm_learn._unit_plane import on_unit_plane
from nrsfm_learn.base import Observations

K = np.array([[900.0, 0, 320], [0, 800, 240], [0, 0, 1]])


def make_observations(n_frames=6, n_points=10, missing=0.3, seed=0, **side):
    rng = np.random.default_rng(seed)
    sizes = rng.uniform(5, 80, size=(n_frames, 1, 1))
    W = rng.normal(size=(n_frames, n_points, 2)) * sizes + rng.normal(size=(n_frames, 1, 2)) * 200
    visible = rng.uniform(size=W.shape[:2]) >= missing
    visible[:, :4] = True
    return Observations(np.where(visible[..., None], W, np.nan), visible, **side)


def test_unit_plane():
    observations = make_observations(intrinsics=K)
    boxes = np.array([[320, 240, 320 + 900, 240 + 1600]] * 6, dtype=float)
    unit = on_unit_plane(observations._replace(boxes=boxes))
    expected = (observations.W - [320, 240]) / [900, 800]
    np.testing.assert_allclose(unit.W, expected, rtol=1e-12)
    np.testing.assert_allclose(unit.boxes, [[0, 0, 1, 2]] * 6, atol=1e-12)
    assert on_unit_plane(observations).boxes is None


def test_unit_plane_with_a_camera_for_each_frame():
    cameras = np.stack([K * [[f + 1], [1], [1]] for f in range(6)])
    boxes = np.array([[0, 0, 640, 480]] * 6, dtype=float)
    observations = make_observations(intrinsics=cameras, boxes=boxes)
    unit = on_unit_plane(observations)
    for f in range(6):
        back = unit.W[f] @ cameras[f, :2, :2].T + cameras[f, :2, 2]
        np.testing.assert_allclose(back, observations.W[f], rtol=1e-10)
        corners = unit.boxes[f].reshape(2, 2) @ cameras[f, :2, :2].T + cameras[f, :2, 2]
        np.testing.assert_allclose(corners.ravel(), [0, 0, 640, 480], atol=1e-9)


def test_without_intrinsics_the_observations_are_on_the_plane():
    observations = on_unit_plane(make_observations(intrinsics=K))._replace(intrinsics=None)
    assert on_unit_plane(observations) is observations


def at_distance(distance, n_far):
    """Ten frames of ten points, of which so many are that far from the axis, the rest near it."""
    angles = np.random.default_rng(0).uniform(0, 2 * np.pi, size=100)
    radii = np.where(np.arange(100) < n_far, distance, 0.1)
    W = (radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)).reshape(10, 10, 2)
    return Observations(W, np.ones((10, 10), dtype=bool))


def test_pixels_without_intrinsics_are_refused():
    with pytest.raises(ValueError, match=r"looks like pixels.*intrinsics=K.*focal length"):
        on_unit_plane(make_observations())
    with pytest.raises(ValueError, match=r"is 3\.01 from the optical axis \(71\.6 degrees\)"):
        on_unit_plane(at_distance(3.01, 60))
    for observations in (at_distance(2.99, 100), at_distance(1e6, 40)):
        assert on_unit_plane(observations) is observations
    assert on_unit_plane(at_distance(500, 100)._replace(intrinsics=K)).W.max() < 2


def test_hidden_keypoints_are_no_pixels():
    near = at_distance(1.0, 100)
    visible = near.visible.copy()
    visible[:, :6] = False
    for hidden in (np.nan, 1e9):
        observations = Observations(np.where(visible[..., None], near.W, hidden), visible)
        assert on_unit_plane(observations) is observations
