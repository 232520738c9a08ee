import numpy as np
import pytest

from nrsfm_learn.datasets import make_articulated_body, make_camera_path, make_low_rank


def axis_of_sight(R):
    """Direction from the object to the camera, object frame."""
    return -R[:, 2]


def test_rotations_follow_the_formula():
    R = make_camera_path(
        100,
        speed=2.0,
        elevation=10.0,
        swing=5.0,
        period=80.0,
        random_state=np.random.RandomState(1),
    )
    start = np.random.RandomState(1).uniform(0, 2 * np.pi)
    t = np.arange(100)
    azimuth = start + np.deg2rad(2.0 * t)
    height = np.deg2rad(10 + 5 * np.sin(2 * np.pi * t / 80))
    expected = np.stack(
        [np.sin(azimuth) * np.cos(height), np.sin(height), np.cos(azimuth) * np.cos(height)], 1
    )
    np.testing.assert_allclose(axis_of_sight(R), expected, atol=1e-12)
    # Upright: the object's vertical has no part to the right of the image, and points up in it.
    np.testing.assert_allclose(R[:, 0, 1], 0, atol=1e-12)
    assert (R[:, 1, 1] < 0).all()
    np.testing.assert_allclose(np.linalg.det(R), 1)


def test_clips_have_paths_of_their_own():
    groups = np.repeat(["b", "a", "c"], [40, 50, 30])
    R = make_camera_path(120, groups=groups, random_state=0)
    turn = np.einsum("fij,fij->f", R[1:], R[:-1])
    angle = np.rad2deg(np.arccos(np.clip((turn - 1) / 2, -1, 1)))
    cut = groups[1:] != groups[:-1]
    assert angle[~cut].max() < 2.5
    assert angle[cut].min() > 5
    R2 = make_camera_path(120, groups=groups, random_state=0)
    np.testing.assert_array_equal(R, R2)


@pytest.mark.parametrize("make", [make_articulated_body, make_low_rank])
def test_generators_take_a_path(make):
    R = make_camera_path(30, random_state=0)
    data = make(30, views=R, random_state=0)
    np.testing.assert_array_equal(data.rotations, R)
    X = data.shapes @ R.swapaxes(1, 2) + data.translations[:, None]
    np.testing.assert_allclose(data.X, X)
    assert "given views" in data.DESCR


@pytest.mark.parametrize(
    ("views", "message"),
    [
        (np.eye(3), "views must be rotations of shape"),
        (np.tile(np.diag([1.0, 1.0, -1.0]), (30, 1, 1)), r"views\[0\] is no rotation"),
        (np.where(np.arange(30)[:, None, None] == 7, np.nan, np.eye(3)), r"views\[7\] is no rot"),
        ("round", "views must be one of"),
    ],
)
def test_bad_views(views, message):
    with pytest.raises(ValueError, match=message):
        make_low_rank(30, views=views)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_frames": 0}, "n_frames must be positive"),
        ({"groups": [0]}, "groups must have shape"),
        ({"speed": (2, 1)}, r"speed must be .lowest, highest"),
        ({"swing": (1, 2, 3)}, "swing must be a number or a pair"),
        ({"period": 0.0}, "period must be positive"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        make_camera_path(**{"n_frames": 5, **settings})
