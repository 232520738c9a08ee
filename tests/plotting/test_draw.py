import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from nrsfm_learn.plotting._draw import draw_shape, shaded, view_name, view_rotation

matplotlib.use("Agg")


def test_the_camera_itself_is_the_identity():
    np.testing.assert_allclose(view_rotation(0, 0), np.eye(3), atol=1e-15)


def test_viewpoints_to_the_right_and_above():
    # From the camera's right, what is deep in the image lies to the right, what is right is near.
    np.testing.assert_allclose(view_rotation(90, 0) @ [0, 0, 1], [1, 0, 0], atol=1e-15)
    np.testing.assert_allclose(view_rotation(90, 0) @ [1, 0, 0], [0, 0, -1], atol=1e-15)
    # From above, the top (y = -1) is near, and what is deep is up in the view.
    np.testing.assert_allclose(view_rotation(0, 90) @ [0, -1, 0], [0, 0, -1], atol=1e-15)
    np.testing.assert_allclose(view_rotation(0, 90) @ [0, 0, 1], [0, -1, 0], atol=1e-15)


@given(azimuth=st.floats(-360, 360), elevation=st.floats(-90, 90))
@settings(deadline=None, max_examples=30)
def test_view_rotations_are_rotations_that_keep_the_vertical(azimuth, elevation):
    R = view_rotation(azimuth, elevation)
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(R) == pytest.approx(1.0)
    assert (R @ [0, 1, 0])[0] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("view", "name"),
    [
        ((0, 0), "the camera"),
        ((90, 0), "90° right"),
        ((-40, 20), "40° left, 20° above"),
        ((0, -5), "5° below"),
    ],
)
def test_view_names(view, name):
    assert view_name(*view) == name


def test_shading_goes_from_the_colour_to_its_tint():
    colors = shaded("#0000ff", np.array([3.0, 1.0, 2.0]), 0.5)
    np.testing.assert_allclose(colors, [[0.5, 0.5, 1], [0, 0, 1], [0.25, 0.25, 1]])
    np.testing.assert_allclose(shaded("k", np.array([7.0]), 0.5), [[0, 0, 0]])


def test_bones_are_drawn_from_far_to_near_and_unknown_points_left_out():
    X = np.array([[0.0, 0, 0], [1, 0, 1], [2, 0, 5], [np.nan] * 3])
    ax = Figure().add_subplot()
    edges = np.array([[0, 1], [1, 2], [2, 3]])
    draw_shape(ax, X, edges, "k", size=9, width=2, zorder=1)
    lines = next(c for c in ax.collections if isinstance(c, LineCollection))
    segments = np.array(lines.get_segments())
    # Twice each, outline and bone: first the pair (1, 2) of mean depth 3, then (0, 1).
    np.testing.assert_array_equal(segments[:, :, 0], [[1, 2], [1, 2], [0, 1], [0, 1]])
    points = next(c for c in ax.collections if not isinstance(c, LineCollection))
    np.testing.assert_array_equal(points.get_offsets()[:, 0], [2, 1, 0])
