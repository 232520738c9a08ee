import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.collections import LineCollection, PathCollection

from nrsfm_learn.metrics import normalized_error
from nrsfm_learn.plotting import ReconstructionDisplay

matplotlib.use("Agg")

EDGES = [(k, k + 1) for k in range(6)]


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = 40 * rng.normal(size=(12, 7, 3)) + [300, 200, 0]
    W = X[:, :, :2].copy()
    W[2, 3] = W[5, :2] = np.nan
    return W, X, X + 4 * rng.normal(size=X.shape)


class Depth:
    """Lifts every keypoint to depth 1, hidden ones to the frame's mean; remembers its arguments."""

    def transform(self, W, **side_inputs):
        self.W, self.side_inputs = W, side_inputs
        places = np.where(np.isnan(W), np.nanmean(W, axis=1, keepdims=True), W)
        return np.dstack([places, np.ones(W.shape[:2])])


class Perspective(Depth):
    def inverse_transform(self, X, intrinsics=None):
        return np.full((*X.shape[:2], 2), float(intrinsics[0, 0]))


def points(ax):
    return [np.asarray(c.get_offsets()) for c in ax.collections if isinstance(c, PathCollection)]


def texts(figure):
    return [t.get_text() for t in figure.legends[0].get_texts()]


def test_importing_and_building_needs_no_matplotlib():
    code = (
        "import sys, numpy as np; from nrsfm_learn.plotting import *; X = np.random.rand(3, 4, 3);"
        "ReconstructionDisplay(X[..., :2], X); assert 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_layout_without_truth(data):
    W, _, Y = data
    display = ReconstructionDisplay.from_arrays(W, Y, edges=EDGES)
    assert display.axes_.shape == (3, 4)
    assert display.figure_ is display.axes_[0, 0].figure
    assert display.errors_ is None
    assert [ax.get_title() for ax in display.axes_[0]] == [f"frame {f}" for f in (0, 4, 7, 11)]
    assert "ground truth" not in texts(display.figure_)
    for ax in display.axes_.flat:
        assert ax.get_aspect() == 1
        assert ax.yaxis_inverted()
        assert not ax.xaxis_inverted()


def test_input_row_shows_keypoints_and_hidden_ones_hollow(data):
    W, X, _ = data
    display = ReconstructionDisplay.from_arrays(W, X, edges=EDGES, frames=[5])
    seen, hidden = (c for c in display.axes_[0, 0].collections if isinstance(c, PathCollection))
    np.testing.assert_allclose(seen.get_offsets(), W[5, 2:])
    np.testing.assert_allclose(hidden.get_offsets(), X[5, :2, :2])
    np.testing.assert_allclose(hidden.get_facecolor(), [[1, 1, 1, 1]])
    solid, dashed = (c for c in display.axes_[0, 0].collections if isinstance(c, LineCollection))
    assert [len(solid.get_segments()), len(dashed.get_segments())] == [4, 2]
    assert "hidden keypoint, reprojected" in texts(display.figure_)


def test_visible_hides_keypoints_like_nan(data):
    W, X, _ = data
    visible = np.isfinite(W).all(2)
    full = np.where(visible[..., None], W, 0.0)
    one = ReconstructionDisplay.from_arrays(full, X, visible=visible, frames=[2])
    two = ReconstructionDisplay.from_arrays(W, X, frames=[2])
    for a, b in zip(points(one.axes_[0, 0]), points(two.axes_[0, 0]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_views_show_every_point_inside_the_axes(data):
    W, X, Y = data
    display = ReconstructionDisplay.from_arrays(W, Y, X_true=X, views=[(0, 0), (90, 0), (10, 80)])
    assert display.axes_.shape == (4, 4)
    for ax in display.axes_[1:].flat:
        found = np.concatenate(points(ax))
        assert len(found) == 14
        assert np.all(
            np.abs(found - np.mean([ax.get_xlim(), ax.get_ylim()], axis=1))
            < np.ptp(ax.get_xlim()) / 2
        )


def test_the_view_of_the_camera_shows_the_image(data):
    W, X, _ = data
    display = ReconstructionDisplay.from_arrays(W, X, frames=[0], views=[(0, 0)])
    (found,) = points(display.axes_[1, 0])
    expected = X[0, np.argsort(-X[0, :, 2]), :2] - X[0, :, :2].mean(0)
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize(("align", "protocol"), [(True, "procrustes"), (False, "frobenius")])
def test_errors_name_their_protocol(data, align, protocol):
    W, X, Y = data
    X = X.copy()
    X[3, 2] = np.nan
    frames = [3, 8]
    display = ReconstructionDisplay.from_arrays(W, Y, X_true=X, frames=frames, align=align)
    expected = normalized_error(X, Y, protocol=protocol, reduction="none")[frames]
    np.testing.assert_allclose(display.errors_, expected)
    for ax, error in zip(display.axes_[0], expected, strict=True):
        assert ax.get_title().endswith(f"error {100 * error:.1f} %")
    legend = display.figure_.legends[0]
    assert protocol in legend.get_title().get_text()
    assert texts(display.figure_)[-2:] == ["ground truth", "distance between them"]


def test_error_lines_join_each_known_point_to_its_truth(data):
    W, X, Y = data
    X = X.copy()
    X[3, 2] = np.nan
    display = ReconstructionDisplay.from_arrays(
        W, Y, X_true=X, frames=[3], align=False, views=[(0, 0)]
    )
    lines = next(c for c in display.axes_[1, 0].collections if isinstance(c, LineCollection))
    known = np.isfinite(X[3]).all(1)
    centred = [(A[3] - A[3, known].mean(0))[known, :2] for A in (Y, X)]
    np.testing.assert_allclose(np.array(lines.get_segments()), np.stack(centred, axis=1))


def test_frames_that_were_not_lifted_say_so(data):
    W, X, Y = data
    Y = Y.copy()
    Y[[0, 1, 11]] = np.nan
    display = ReconstructionDisplay.from_arrays(W, Y, X_true=X, frames=[0, 2])
    assert np.isnan(display.errors_[0])
    assert np.isfinite(display.errors_[1])
    assert display.axes_[0, 0].get_title() == "frame 0"
    assert "not lifted" in [t.get_text() for t in display.axes_[1, 0].texts]
    default = ReconstructionDisplay.from_arrays(W, Y)
    assert default.frames.tolist() == [2, 5, 7, 10]
    nothing = ReconstructionDisplay.from_arrays(W, np.full_like(Y, np.nan), X_true=X)
    assert np.isnan(nothing.errors_).all()
    nothing.figure_.draw_without_rendering()


def test_from_estimator_passes_the_mask_and_side_inputs(data):
    W, X, _ = data
    mask = np.random.default_rng(1).random(W.shape[:2]) < 0.8
    estimator = Depth()
    display = ReconstructionDisplay.from_estimator(
        estimator, np.nan_to_num(W), mask=mask & np.isfinite(W).all(2), X_true=X, edges=EDGES
    )
    assert np.array_equal(np.isnan(estimator.W).any(2), ~mask | np.isnan(W).any(2))
    assert estimator.side_inputs == {}
    assert display.errors_.shape == (4,)
    K = np.diag([123.0, 123.0, 1.0])
    estimator = Perspective()
    side = {"intrinsics": K, "groups": np.zeros(12)}
    display = ReconstructionDisplay.from_estimator(estimator, W, side_inputs=side, frames=[5])
    assert set(estimator.side_inputs) == {"intrinsics", "groups"}
    _, hidden = points(display.axes_[0, 0])
    np.testing.assert_array_equal(hidden, np.full((2, 2), 123.0))


def test_draws_into_a_figure_that_is_given_and_saves(data, tmp_path):
    W, X, Y = data
    figure = plt.figure(figsize=(6, 6))
    left, right = figure.subfigures(1, 2)
    for part, align in ((left, True), (right, False)):
        display = ReconstructionDisplay.from_arrays(
            W, Y, X_true=X, frames=[0, 5], align=align, fig=part
        )
        assert display.figure_ is part
    figure.savefig(tmp_path / "picture.png", dpi=40)
    assert (tmp_path / "picture.png").stat().st_size > 1000


def test_malformed_input_is_named(data):
    W, X, Y = data
    make = ReconstructionDisplay.from_arrays
    with pytest.raises(ValueError, match=r"X has \(n_frames, n_points\) = \(11, 7\)"):
        make(W, Y[1:])
    with pytest.raises(ValueError, match=r"X_true must have shape"):
        make(W, Y, X_true=X[..., :2])
    with pytest.raises(ValueError, match=r"edges\[0\]"):
        make(W, Y, edges=[(1, 7)])
    with pytest.raises(ValueError, match="reprojection has shape"):
        make(W, Y, reprojection=W[:3])
    with pytest.raises(ValueError, match=r"views=.* pairs"):
        make(W, Y, views=[(1, 2, 3)])
