import numpy as np
import pytest

from nrsfm_learn.datasets import make_low_rank, make_rigid_category
from nrsfm_learn.diagnosis import diagnose
from nrsfm_learn.diagnosis._perspective import measure_field_of_view


@pytest.mark.parametrize("depth_ratio", [0.1, 0.3, 0.6])
@pytest.mark.parametrize("views", ["random", "turntable"])
def test_depth_over_distance_is_measured_without_intrinsics(depth_ratio, views):
    data = make_low_rank(
        300, rank=1, camera="perspective", depth_ratio=depth_ratio, views=views, random_state=0
    )
    diagnosis = diagnose(data.W)
    true = np.median(np.ptp(data.X[..., 2], axis=1) / data.X[..., 2].mean(1))
    assert diagnosis.depth_ratio == pytest.approx(true, rel=0.2)
    assert diagnosis.depth_ratio_error < 0.1 * true


@pytest.mark.parametrize("camera", ["orthographic", "weak_perspective"])
def test_parallel_cameras_show_no_distortion(camera):
    diagnosis = diagnose(make_rigid_category(300, camera=camera, random_state=0).W)
    assert diagnosis.depth_ratio < 0.03
    assert "camera='perspective'" not in diagnosis.recommendation


def test_scale_variation_of_a_rigid_body_is_that_of_the_camera():
    data = make_low_rank(300, rank=1, camera="weak_perspective", random_state=0)
    diagnosis = diagnose(data.W)
    expected = data.scales.std() / data.scales.mean()
    assert diagnosis.scale_variation == pytest.approx(expected, rel=0.05)


def test_strong_distortion_changes_the_recommendation():
    car = make_rigid_category(300, camera="perspective", depth_ratio=0.5, random_state=0)
    assert "camera='perspective'" in diagnose(car.W).recommendation
    pixels = diagnose(car.W * 500 + 400)
    assert "camera='weak_perspective'" in pixels.recommendation
    assert "intrinsics" in pixels["perspective"].advice


def test_field_of_view_of_points_on_a_circle():
    angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    circle = np.tan(np.deg2rad(10)) * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    assert measure_field_of_view(np.repeat(circle[None], 3, 0)) == pytest.approx(20)


def test_nothing_is_claimed_where_nothing_turns(fixed_view):
    diagnosis = diagnose(fixed_view(make_low_rank(100, random_state=0).shapes))
    assert np.isnan(diagnosis.depth_ratio)
    assert "cannot be measured" in diagnosis["perspective"].message
