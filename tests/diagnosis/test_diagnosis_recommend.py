import numpy as np
import pytest

from nrsfm_learn import DeepNRSfMPP
from nrsfm_learn.datasets import make_articulated_body, make_low_rank, make_rigid_category
from nrsfm_learn.diagnosis import diagnose
from nrsfm_learn.diagnosis._perspective import Perspective
from nrsfm_learn.diagnosis._recommend import Camera, choose_camera, recommend

NAN = float("nan")
PARALLEL = Camera("orthographic", "")


@pytest.mark.parametrize(
    ("measured", "turning", "has_intrinsics", "units", "camera"),
    [
        (Perspective(0.02, 0.01, 0.05, NAN), 0.8, False, "pixels", "orthographic"),
        (Perspective(0.02, 0.01, 0.15, NAN), 0.8, False, "pixels", "orthographic"),
        (Perspective(0.02, 0.01, 0.15, NAN), 0.99, False, "pixels", "weak_perspective"),
        (Perspective(0.02, 0.01, 0.50, NAN), 0.8, False, "pixels", "weak_perspective"),
        (Perspective(0.30, 0.01, 0.05, NAN), 0.8, False, "pixels", "weak_perspective"),
        (Perspective(0.30, 0.01, 0.05, NAN), 0.8, False, "unit plane or metric", "perspective"),
        (Perspective(0.30, 0.10, 0.05, NAN), 0.8, False, "pixels", "orthographic"),
        (Perspective(0.02, 0.01, 0.05, 30), 0.8, True, "pixels", "perspective"),
        (Perspective(0.02, 0.01, 0.05, 5), 0.8, True, "pixels", "weak_perspective"),
        (Perspective(NAN, NAN, NAN, NAN), NAN, False, "pixels", "orthographic"),
    ],
)
def test_camera(measured, turning, has_intrinsics, units, camera):
    assert choose_camera(measured, turning, has_intrinsics, units).name == camera


@pytest.mark.parametrize(
    ("n_frames", "rank", "turning", "camera", "expected"),
    [
        (300, 6, 0.8, PARALLEL, "PAUL(n_components=4, codes='encoder')"),
        (300, 12, 0.7, PARALLEL, "PAUL(n_components=8, codes='encoder')"),
        (300, 3, 0.999, PARALLEL, "PAUL(n_components=2, codes='encoder')"),
        (20_000, 12, 0.7, PARALLEL, "DeepNRSfMPP(k_last=10)"),
        (20_000, 9, 0.7, PARALLEL, "DeepNRSfMPP(k_last=8)"),
        (20_000, 5, 0.95, PARALLEL, "DeepNRSfMPP(k_last=4)"),
        (300, 5, 0.99, Camera("perspective", ""), "DeepNRSfMPP(k_last=2, camera='perspective')"),
    ],
)
def test_estimator(n_frames, rank, turning, camera, expected):
    assert str(recommend(n_frames, 1, True, rank, turning, camera)) == expected


@pytest.mark.parametrize(
    "data",
    [
        make_articulated_body(1600, random_state=0),
        make_rigid_category(1600, camera="weak_perspective", random_state=0),
        make_rigid_category(200, camera="perspective", depth_ratio=0.5, random_state=0),
    ],
    ids=["body", "category", "perspective"],
)
def test_what_is_recommended_can_be_built(data):
    text = diagnose(data.W).recommendation
    model = eval(text, {"DeepNRSfMPP": DeepNRSfMPP})
    assert model.camera == data.camera
    assert 2 <= model.k_last <= 10


def test_one_video_is_called_so():
    W = make_low_rank(200, clips=1, views="smooth", random_state=0).W
    assert "one video" in diagnose(W).reason
    assert "a small set" in diagnose(W, groups=np.arange(200) // 50).reason
