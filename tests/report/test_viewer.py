"""What is handed to the script: sizes, quantisation, errors, choice of frames."""

import base64
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.linalg import orthogonal_procrustes

from nrsfm_learn.flips import mirror_depth
from nrsfm_learn.metrics import n_mpjpe
from nrsfm_learn.report import _viewer
from nrsfm_learn.report._sections import Part


def decoded(packed, shape):
    """Read as the script does."""
    levels = np.frombuffer(base64.b64decode(packed["q"], validate=True), "<i2").reshape(shape)
    scales = np.frombuffer(base64.b64decode(packed["s"], validate=True), "<f4")
    assert scales.shape == shape[:1]
    values = levels * scales.astype(float).reshape(-1, *[1] * (len(shape) - 1)) / 32767
    return np.where(levels == -32768, np.nan, values)


def make_part(n_frames=6, n_points=5, *, truth=True, seed=0, **fields):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_frames, n_points, 3)) + [100, 50, 900]
    W = X[..., :2] + rng.normal(scale=0.1, size=(n_frames, n_points, 2))
    values = {
        "name": "frames",
        "W": W,
        "visible": np.isfinite(W[..., 0]),
        "X": X,
        "X_true": 3 * X + rng.normal(scale=0.3, size=X.shape) if truth else None,
        "reprojection": X[..., :2],
        "score": 1.0,
        "errors": {},
        "numbers": np.arange(n_frames),
    }
    return Part(**(values | fields))


def payload(*parts, **options):
    n_points = parts[0].X.shape[1]
    options = {"names": [f"p{k}" for k in range(n_points)], "parallel": True} | options
    data = _viewer.payload(parts, **options)
    json.dumps(data, allow_nan=False)
    return data


@settings(deadline=None, max_examples=50)
@given(
    arrays(
        float,
        st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 3)),
        elements=st.floats(-1e30, 1e30) | st.just(np.nan),
    )
)
def test_values_come_back_within_half_a_step(values):
    back = decoded(_viewer.encode(values), values.shape)
    assert np.array_equal(np.isnan(back), np.isnan(values))
    largest = np.abs(np.nan_to_num(values)).max((1, 2), keepdims=True)
    error = np.nan_to_num(np.abs(back - values))
    # The scale itself is a float32, hence the second term; the third is its smallest step.
    assert (error <= largest * (0.5 / 32767 + 2e-7) + 1e-44).all()


def test_a_wild_frame_costs_no_other_its_accuracy():
    values = np.ones((3, 2, 2)) * [[[0.1]], [[1e200]], [[0.3]]]
    back = decoded(_viewer.encode(values), values.shape)
    np.testing.assert_allclose(back[[0, 2]], values[[0, 2]], rtol=1e-4)
    assert np.isfinite(back).all()


@given(st.integers(1, 5000), st.integers(1, 300))
def test_shown_frames_are_evenly_spaced_and_few(n_frames, most):
    shown = _viewer.shown_frames(n_frames, most)
    assert len(shown) == min(n_frames, most)
    assert shown[0] == 0
    gaps = np.diff(shown)
    if len(gaps):
        assert shown[-1] == n_frames - 1
        assert gaps.min() >= 1
        assert np.ptp(gaps) <= 1


@pytest.mark.parametrize("hidden", [False, True])
def test_errors_are_those_of_the_metric(hidden):
    part = make_part()
    X, X_true = part.X, part.X_true.copy()
    X_true[..., 2] *= -1
    if hidden:
        X_true[0, 1] = np.nan
        X_true[3, :2] = np.nan
    as_is, mirrored = _viewer.errors_of(part._replace(X_true=X_true), parallel=True)
    for errors, shapes in ((as_is, X), (mirrored, mirror_depth(X))):
        expected = n_mpjpe(X_true, shapes, reduction="none")
        np.testing.assert_allclose(np.nanmean(errors, axis=1), expected)
    assert np.isnan(as_is).any() == hidden
    assert np.nanmean(mirrored) < 0.5 * np.nanmean(as_is)


def test_under_perspective_there_is_no_mirror_image():
    part = make_part()
    assert len(_viewer.errors_of(part, parallel=False)) == 1
    assert len(payload(part, parallel=False)["parts"][0]["errors"]) == 1
    assert _viewer.errors_of(make_part(truth=False), parallel=True) == []


def test_shapes_are_centred_and_the_truth_has_their_size():
    part = make_part()
    (shown,) = payload(part)["parts"]
    X, truth = (decoded(shown[name], part.X.shape) for name in ("X", "X_true"))
    np.testing.assert_allclose(X.mean(1), 0, atol=1e-3)
    centred = part.X - part.X.mean(1, keepdims=True)
    # One factor for all frames, so that the object does not breathe.
    np.testing.assert_allclose(X, centred * np.linalg.norm(X) / np.linalg.norm(centred), atol=1e-3)
    sizes = [np.linalg.norm(A, axis=(1, 2)) for A in (X, truth)]
    np.testing.assert_allclose(*sizes, rtol=1e-3)
    # It is neither turned nor mirrored.
    R, _ = orthogonal_procrustes(X.reshape(-1, 3), truth.reshape(-1, 3))
    np.testing.assert_allclose(R, np.eye(3), atol=0.1)


def test_image_and_reprojection_move_together():
    part = make_part()
    (shown,) = payload(part)["parts"]
    shape = part.W.shape
    W, reprojection = (decoded(shown[name], shape) for name in ("W", "reprojection"))
    apart = part.W - part.reprojection
    factor = np.linalg.norm(W - reprojection) / np.linalg.norm(apart)
    np.testing.assert_allclose(W - reprojection, factor * apart, atol=1e-3)
    np.testing.assert_allclose(reprojection.mean(1), 0, atol=1e-3)
    assert np.abs(W).max() <= 1.2


def test_what_is_unknown_stays_unknown():
    part = make_part()
    for array in (part.X, part.reprojection, part.X_true):
        array[2] = np.nan
    part.X_true[4] = np.nan
    part.W[1, 3] = np.nan
    (shown,) = payload(part)["parts"]
    X, truth = (decoded(shown[name], part.X.shape) for name in ("X", "X_true"))
    assert np.isnan(X[2]).all()
    assert np.isfinite(X[[0, 1, 3, 4, 5]]).all()
    assert np.isnan(truth[[2, 4]]).all()
    W = decoded(shown["W"], part.W.shape)
    assert np.argwhere(np.isnan(W[..., 0])).tolist() == [[1, 3]]
    assert np.isfinite(W[2]).all()
    errors = decoded(shown["errors"][0], part.X.shape[:2])
    assert np.isnan(errors[[2, 4]]).all()
    assert all(np.isfinite(mean) for mean in shown["error_means"][0])


def test_nothing_known_at_all():
    part = make_part()
    for array in (part.X, part.reprojection, part.X_true, part.W):
        array[:] = np.nan
    (shown,) = payload(part)["parts"]
    assert np.isnan(decoded(shown["X"], part.X.shape)).all()
    assert shown["error_means"][0] == [None] * 5


def test_failed_frames_do_not_shrink_the_others():
    part = make_part(300)
    (before,) = payload(part)["parts"]
    part.X[7] *= 1e6
    part.reprojection[7] *= 1e6
    (after,) = payload(part)["parts"]
    for name, shape in (("X", part.X.shape), ("W", part.W.shape)):
        pair = [decoded(p[name], shape)[20:] for p in (before, after)]
        np.testing.assert_allclose(*pair, rtol=0.3, atol=0.01)


def test_many_frames_are_thinned_and_time_keeps_its_pace():
    part = make_part(100, numbers=np.arange(100) + 1000, groups=np.repeat(["b", "a"], 50))
    (shown,) = payload(part, viewer_frames=11, fps=50)["parts"]
    assert (shown["frames"], shown["frames_in_all"]) == (11, 100)
    assert shown["fps"] == pytest.approx(5.5)
    assert shown["frame_numbers"] == [1000 + round(9.9 * k) for k in range(11)]
    labels = [shown["clips"]["labels"][code] for code in shown["clips"]["codes"]]
    assert labels == ["b"] * 6 + ["a"] * 5 or labels == ["b"] * 5 + ["a"] * 6
    all_errors = _viewer.errors_of(part, parallel=True)[0]
    np.testing.assert_allclose(shown["error_means"][0], all_errors.mean(0), rtol=1e-4)


def test_the_part_that_the_picture_shows_comes_first():
    fitted, held_out = make_part(name="fitted frames"), make_part(4, name="held-out frames")
    data = payload(fitted, held_out)
    assert [p["name"] for p in data["parts"]] == ["held-out frames", "fitted frames"]
    assert [p["frames"] for p in data["parts"]] == [4, 6]


def test_confidence_is_shown_with_its_mean():
    confidence = np.linspace(0, 1, 30).reshape(6, 5)
    confidence[1, 2] = np.nan
    (shown,) = payload(make_part(truth=False, confidence=confidence))["parts"]
    np.testing.assert_allclose(decoded(shown["confidence"], (6, 5)), confidence, atol=1e-4)
    np.testing.assert_allclose(shown["confidence_means"], np.nanmean(confidence, 0), rtol=1e-4)
    assert shown["errors"] == []


def test_size_of_a_thousand_frames():
    part = make_part(1000, 31, confidence=np.full((1000, 31), 0.5))
    assert len(_viewer.viewer(payload(part))) < 1_200_000


@settings(max_examples=50)
@given(st.text())
def test_no_text_leaves_its_element(text):
    written = _viewer.as_script_text({"names": [text, "</script><!--"]})
    assert not set("<>&") & set(written)
    assert json.loads(written)["names"] == [text, "</script><!--"]


def test_keys_are_named_where_they_do_something():
    part = make_part()
    assert "f mirrors depth, t shows" in _viewer.viewer(payload(part))
    words = _viewer.viewer(payload(make_part(truth=False), parallel=False))
    assert "mirrors depth" not in words
    assert "shows the ground truth" not in words
