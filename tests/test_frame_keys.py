"""Frames known again by their keypoints."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrsfm_learn._frame_keys import frame_keys, match_keys
from nrsfm_learn._validation import check_W
from nrsfm_learn.base import Observations


def keys_of(W, mask=None):
    return frame_keys(Observations(*check_W(W, mask, min_visible=1)))


def keypoints(n_frames=20, n_points=6, seed=0):
    return np.random.default_rng(seed).normal(size=(n_frames, n_points, 2))


def test_different_frames_have_different_keys():
    W = keypoints(500)
    assert keys_of(W).dtype == np.int64
    assert len(np.unique(keys_of(W))) == 500
    nudged = W.copy()
    nudged[:, 3, 1] = np.nextafter(nudged[:, 3, 1], np.inf)
    assert not np.isin(keys_of(nudged), keys_of(W)).any()
    # The same coordinates, belonging to other points.
    assert not np.isin(keys_of(W[:, ::-1]), keys_of(W)).any()


def test_a_key_depends_on_its_own_frame_only():
    W = keypoints()
    order = np.random.default_rng(1).permutation(20)
    np.testing.assert_array_equal(keys_of(W[order]), keys_of(W)[order])
    np.testing.assert_array_equal(keys_of(W[::3]), keys_of(W)[::3])


def test_hidden_by_nan_or_mask_is_the_same_and_the_kind_of_nan_too():
    W = keypoints()
    visible = np.random.default_rng(2).random(W.shape[:2]) > 0.3
    visible[:, :3] = True
    by_nan = np.where(visible[..., None], W, np.nan)
    other_nan = np.where(visible[..., None], W, -np.nan)
    np.testing.assert_array_equal(keys_of(by_nan), keys_of(W, visible))
    np.testing.assert_array_equal(keys_of(by_nan), keys_of(other_nan))
    changed = ~visible.all(1)
    assert (keys_of(W)[changed] != keys_of(by_nan)[changed]).all()


def test_dtype_and_memory_order_do_not_matter():
    W = keypoints().astype(np.float32)
    np.testing.assert_array_equal(keys_of(W), keys_of(W.astype(np.float64)))
    np.testing.assert_array_equal(keys_of(W), keys_of(np.asfortranarray(W)))


@given(
    st.lists(st.integers(-5, 5), min_size=0, max_size=12),
    st.lists(st.integers(-5, 5), min_size=1, max_size=12),
)
@settings(deadline=None, max_examples=50)
def test_matches_are_those_of_a_plain_search(keys, known_keys):
    row, known = match_keys(np.array(keys, np.int64), np.array(known_keys, np.int64))
    assert len(row) == len(known) == len(keys)
    if keys == known_keys:
        assert row.tolist() == list(range(len(keys)))
        assert known.all()
        return
    for key, found, is_known in zip(keys, row, known, strict=True):
        assert is_known == (key in known_keys)
        if is_known:
            assert found == known_keys.index(key)
        # A row that means nothing must still be one to index with.
        assert 0 <= found < len(known_keys)


@pytest.mark.parametrize("extreme", [np.iinfo(np.int64).min, np.iinfo(np.int64).max])
def test_extreme_keys(extreme):
    known_keys = np.array([0, extreme, 5])
    row, known = match_keys(np.array([extreme, 1]), known_keys)
    assert row[0] == 1
    assert known.tolist() == [True, False]


def test_frames_that_look_alike_keep_their_places_in_the_order_of_the_fit():
    keys = np.array([3, 3, 1, 3])
    np.testing.assert_array_equal(match_keys(keys, keys)[0], [0, 1, 2, 3])
    np.testing.assert_array_equal(match_keys(keys[::-1].copy(), keys)[0], [0, 2, 0, 0])
