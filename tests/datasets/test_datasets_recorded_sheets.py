"""Recorded sheets before a perspective camera."""

import numpy as np
import pytest

from nrsfm_learn.datasets import load_sheet


@pytest.mark.parametrize(
    ("name", "shape"),
    [("paper", (10, 90)), ("shirt", (10, 85)), ("hulk", (10, 73)), ("cushion", (4, 80))],
)
def test_points_project_onto_keypoints(data_dir, name, shape):
    data = load_sheet(name, data_home=data_dir)
    assert data.W.shape == (*shape, 2)
    assert data.X.shape == (*shape, 3)
    assert data.visible.all()
    projected = data.X @ data.intrinsics.T
    error = np.linalg.norm(projected[..., :2] / projected[..., 2:] - data.W, axis=-1)
    # Pixels, of measured points.
    assert np.median(error) < 2


def test_unknown_name_and_missing_file(tmp_path):
    with pytest.raises(ValueError, match="name must be one of"):
        load_sheet("flag", data_home=tmp_path)
    with pytest.raises(FileNotFoundError, match="ToTem-NRSfM"):
        load_sheet("paper", data_home=tmp_path)
