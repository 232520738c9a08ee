import numpy as np
import pytest
from scipy.stats import kstest

from nrsfm_learn.datasets import (
    make_articulated_body,
    make_bending_sheet,
    make_low_rank,
    make_rigid_category,
)
from nrsfm_learn.datasets._cameras import (
    clip_labels,
    project,
    quaternions_to_matrices,
    smooth_signals,
    view_rotations,
)

CAMERAS = ["orthographic", "weak_perspective", "perspective"]
VIEWS = ["random", "smooth", "turntable", "upright"]
GENERATORS = [make_articulated_body, make_rigid_category, make_bending_sheet, make_low_rank]
K = np.array([[800.0, 2.0, 320.0], [0.0, 780.0, 240.0], [0.0, 0.0, 1.0]])


@pytest.mark.parametrize("make", GENERATORS)
@pytest.mark.parametrize("camera", CAMERAS)
@pytest.mark.parametrize("intrinsics", [None, K])
def test_projection_reproduces_w(make, camera, intrinsics):
    data = make(25, camera=camera, intrinsics=intrinsics, random_state=0)
    X = np.einsum("fij,fpj->fpi", data.rotations, data.shapes) + data.translations[:, None]
    np.testing.assert_allclose(data.X, X, atol=1e-12)
    for f in range(25):
        for p in range(X.shape[1]):
            x, y, z = X[f, p]
            if camera == "perspective":
                x, y = x / z, y / z
            x, y = data.scales[f] * x, data.scales[f] * y
            if intrinsics is not None:
                x, y, w = intrinsics @ [x, y, 1]
                assert w == 1
            np.testing.assert_allclose(data.W_complete[f, p], [x, y], rtol=1e-12, atol=1e-12)
    if camera != "weak_perspective":
        assert (data.scales == 1).all()
    else:
        assert np.ptp(data.scales) > 0.1
    if camera != "perspective":
        assert (data.translations[:, 2] == 0).all()


@pytest.mark.parametrize("views", VIEWS)
def test_rotations_are_proper(views):
    groups = clip_labels(60, 3)
    R = view_rotations(views, groups, np.random.RandomState(0))
    np.testing.assert_allclose(
        R @ R.swapaxes(1, 2), np.broadcast_to(np.eye(3), R.shape), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(R), 1, atol=1e-12)


def test_random_views_are_uniform():
    R = view_rotations("random", np.zeros(4000, dtype=int), np.random.RandomState(0))
    # Under the uniform distribution every entry of a rotation is uniform on [-1, 1].
    for i in range(3):
        for j in range(3):
            assert kstest(R[:, i, j], "uniform", args=(-1, 2)).pvalue > 1e-4


@pytest.mark.parametrize("views", ["smooth", "turntable"])
def test_paths_are_smooth_within_clips(views):
    R = view_rotations(views, clip_labels(300, 3), np.random.RandomState(0))
    turn = np.einsum("fij,fij->f", R[1:], R[:-1])
    angle = np.rad2deg(np.arccos(np.clip((turn - 1) / 2, -1, 1)))
    cut = np.isin(np.arange(299), [99, 199])
    assert angle[~cut].max() < 5
    assert angle[~cut].min() > 0.1
    assert angle[cut].max() > 5


@pytest.mark.parametrize("views", ["smooth", "turntable", "upright"])
def test_upright_views_show_the_head_above_the_feet(views):
    body = make_articulated_body(100, motion="walk", views=views, random_state=0)
    head, foot = (body.X[:, body.names.index(n), 1] for n in ("head", "lfoot"))
    assert (head < foot).all(), "y points down in the image"


def test_raised_cameras_look_down():
    R = view_rotations("upright", np.zeros(500, dtype=int), np.random.RandomState(0))
    axis = R[:, 2]  # the direction of view in the object frame, where y is up
    elevation = np.rad2deg(np.arcsin(-axis[:, 1]))
    assert -10.001 <= elevation.min() < -5
    assert 40 < elevation.max() <= 45.001


def test_turntable_goes_round_once():
    R = view_rotations("turntable", np.zeros(36, dtype=int), np.random.RandomState(0))
    azimuth = np.unwrap(np.arctan2(R[:, 2, 0], R[:, 2, 2]))
    np.testing.assert_allclose(np.abs(np.diff(azimuth)), np.deg2rad(10), atol=1e-12)


@pytest.mark.parametrize("ratio", [0.05, 1 / 3, 0.6])
@pytest.mark.parametrize("views", ["random", "smooth"])
def test_depth_ratio(ratio, views):
    body = make_articulated_body(
        200, camera="perspective", views=views, depth_ratio=ratio, random_state=0
    )
    depth = body.X[..., 2].max(1) - body.X[..., 2].min(1)
    assert (depth / body.X[..., 2].mean(1)).mean() == pytest.approx(ratio, rel=1e-9)
    assert body.X[..., 2].min() > 0


def test_depth_ratio_with_the_camera_inside():
    with pytest.raises(ValueError, match="camera inside the object in frame"):
        make_articulated_body(100, camera="perspective", depth_ratio=1.9, random_state=0)


@pytest.mark.parametrize("camera", CAMERAS)
def test_image_size(camera):
    data = make_articulated_body(100, camera=camera, image_size=(640, 480), random_state=0)
    W, K = data.W_complete, data.intrinsics
    assert (W >= 0).all()
    assert (W <= [640, 480]).all()
    assert np.ptp(W[..., 1]) > 240 or np.ptp(W[..., 0]) > 320
    np.testing.assert_array_equal(K[:2, 2], [320, 240])
    assert K[0, 0] == K[1, 1]


@pytest.mark.parametrize("camera", CAMERAS)
def test_noise_is_relative_to_the_spread(camera):
    data = make_articulated_body(
        300, camera=camera, noise=0.05, image_size=(640, 480), random_state=0
    )
    W = data.W_complete
    spread = np.sqrt(((W - W.mean(1, keepdims=True)) ** 2).sum((1, 2))).mean() / np.sqrt(31)
    residual = data.W - W
    assert residual.std() == pytest.approx(0.05 * spread, rel=0.03)
    assert abs(residual.mean()) < 0.05 * spread / 20


def test_project_defaults():
    X = np.array([[[1.0, 2.0, 4.0]]])
    np.testing.assert_array_equal(project(X), [[[1, 2]]])
    np.testing.assert_array_equal(project(X, "weak_perspective", scales=[3.0]), [[[3, 6]]])
    np.testing.assert_array_equal(project(X, "perspective"), [[[0.25, 0.5]]])


def test_quaternions_are_scalar_first():
    angle = 0.7
    R = quaternions_to_matrices(2.0 * np.array([[np.cos(angle / 2), 0, 0, np.sin(angle / 2)]]))
    c, s = np.cos(angle), np.sin(angle)
    np.testing.assert_allclose(R[0], [[c, -s, 0], [s, c, 0], [0, 0, 1]], atol=1e-15)


def test_smooth_signals():
    groups = clip_labels(20_000, 20)
    x = smooth_signals(groups, 5, np.random.RandomState(0), period=40.0)
    np.testing.assert_allclose(x.std(0), 1, atol=0.15)
    np.testing.assert_allclose(x.mean(0), 0, atol=0.1)
    # Four sinusoids with periods above 40 frames change by at most this much a frame.
    jump = np.abs(np.diff(x, axis=0))[np.diff(groups) == 0]
    assert jump.max() < 4 / np.sqrt(2) * 2 * np.pi / 40


def test_split_clips():
    assert clip_labels(10, 3).tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert clip_labels(450, None).max() == 2
    assert clip_labels(5, None).tolist() == [0] * 5
