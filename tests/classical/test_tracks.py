"""Tracks against sums written out frame by frame."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nrsfm_learn.base import Observations
from nrsfm_learn.classical._tracks import clips_of, stacked, tracks_of


def observations(n_frames=7, n_points=9, missing=0.3, seed=0, confident=False, **side):
    rng = np.random.default_rng(seed)
    W = 40 * rng.normal(size=(n_frames, n_points, 2)) + 300 * rng.normal(size=(n_frames, 1, 2))
    visible = rng.random((n_frames, n_points)) >= missing
    visible[:, :3] = True
    weights = np.where(visible, rng.uniform(0.2, 2, visible.shape), 0.0) if confident else None
    W = np.where(visible[..., None], W, np.nan)
    return Observations(W, visible, weights=weights, **side)


@given(st.integers(0, 2**31), st.floats(0, 0.7), st.booleans())
@settings(deadline=None, max_examples=25)
def test_points_centers_and_size_give_the_keypoints_back(seed, missing, confident):
    given_ = observations(missing=missing, seed=seed, confident=confident)
    tracks = tracks_of(given_, torch.device("cpu"))
    squares = []
    for f, (W, visible) in enumerate(zip(given_.W, given_.visible, strict=True)):
        center = W[visible].mean(0)
        np.testing.assert_allclose(tracks.centers[f], center, rtol=1e-12)
        expected = (W[visible] - center) / tracks.size
        np.testing.assert_allclose(tracks.points[f].numpy()[visible], expected, atol=1e-12)
        assert (tracks.points[f].numpy()[~visible] == 0).all()
        squares.append((W[visible] - center).ravel() ** 2)
    assert tracks.size == pytest.approx(np.sqrt(np.concatenate(squares).mean()), rel=1e-12)
    np.testing.assert_array_equal(tracks.seen, given_.visible)
    assert tracks.complete == given_.visible.all()
    expected = given_.weights if confident else given_.visible.astype(float)
    np.testing.assert_array_equal(tracks.weights, expected)


def test_double_precision_on_the_device(device):
    single = observations()
    tracks = tracks_of(single._replace(W=single.W.astype(np.float32)), device)
    for tensor in (tracks.points, tracks.weights, tracks.centers):
        assert tensor.dtype == torch.float64
        assert tensor.device.type == device.type


def test_units_do_not_matter_and_size_can_be_given():
    given_ = observations()
    tracks = tracks_of(given_, torch.device("cpu"))
    other = tracks_of(given_._replace(W=1000 * given_.W + 77), torch.device("cpu"))
    torch.testing.assert_close(other.points, tracks.points, rtol=1e-9, atol=1e-9)
    assert other.size == pytest.approx(1000 * tracks.size, rel=1e-9)
    fixed = tracks_of(given_, torch.device("cpu"), size=5.0)
    assert fixed.size == 5
    torch.testing.assert_close(fixed.points * 5, tracks.points * tracks.size)
    torch.testing.assert_close(fixed.centers, tracks.centers)


@given(st.integers(0, 2**31), st.booleans())
@settings(deadline=None, max_examples=25)
def test_hiding_is_as_if_never_seen(seed, confident):
    given_ = observations(seed=seed, confident=confident)
    hidden = np.random.default_rng(seed + 1).random(given_.visible.shape) < 0.3
    hidden[:, :2] = False
    tracks = tracks_of(given_, torch.device("cpu"))
    fewer = tracks.hide(torch.from_numpy(hidden))
    visible = given_.visible & ~hidden
    expected = tracks_of(
        given_._replace(
            W=np.where(visible[..., None], given_.W, np.nan),
            visible=visible,
            weights=None if given_.weights is None else given_.weights * visible,
        ),
        torch.device("cpu"),
        tracks.size,
    )
    torch.testing.assert_close(fewer.points, expected.points, rtol=0, atol=1e-12)
    torch.testing.assert_close(fewer.centers, expected.centers)
    torch.testing.assert_close(fewer.weights, expected.weights)
    assert fewer.size == tracks.size
    # The tracks themselves stay as they were.
    again = tracks_of(given_, torch.device("cpu"))
    assert all(torch.equal(a, b) for a, b in zip(tracks[:2], again[:2], strict=True))


def test_a_frame_all_hidden_stays_finite():
    tracks = tracks_of(observations(), torch.device("cpu"))
    hidden = torch.zeros_like(tracks.seen)
    hidden[2] = True
    fewer = tracks.hide(hidden)
    assert fewer.points.isfinite().all()
    assert (fewer.points[2] == 0).all()
    assert fewer.offsets(torch.ones_like(fewer.points)).isfinite().all()


@pytest.mark.parametrize("confident", [False, True])
def test_offsets_minimise_the_weighted_error(confident):
    tracks = tracks_of(observations(confident=confident), torch.device("cpu"))
    predicted = torch.from_numpy(np.random.default_rng(4).normal(size=tracks.points.shape))
    for f in range(len(predicted)):
        w = tracks.weights[f].sqrt().numpy()
        # Each coordinate: sqrt(w) t = sqrt(w) (point - prediction).
        right = w[:, None] * (tracks.points[f] - predicted[f]).numpy()
        expected = np.linalg.lstsq(w[:, None], right, rcond=None)[0][0]
        np.testing.assert_allclose(tracks.offsets(predicted)[f], expected, atol=1e-12)


def test_clips():
    cpu = torch.device("cpu")
    (whole,) = clips_of(None, 5, cpu)
    assert list(range(5))[whole] == list(range(5))
    groups = np.array(["b", "a", "b", "c", "a", "a"])
    found = [clip.tolist() for clip in clips_of(groups, 6, cpu)]
    assert found == [[1, 4, 5], [0, 2], [3]]
    tracks = tracks_of(observations(groups=np.array([7, 7, 7, 2, 2, 2, 7])), cpu)
    assert [clip.tolist() for clip in tracks.clips] == [[3, 4, 5], [0, 1, 2, 6]]


def test_stacked_has_two_rows_a_frame():
    points = torch.from_numpy(np.random.default_rng(0).normal(size=(4, 5, 2)))
    matrix = stacked(points)
    rows = np.vstack([points[f].numpy().T for f in range(4)])
    np.testing.assert_array_equal(matrix, rows)
