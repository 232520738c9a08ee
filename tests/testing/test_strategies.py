"""The strategies draw what they promise, and enough of it to find faults."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from nrsfm_learn.testing import keypoints, masks, rotations, shapes

ROOT = Path(__file__).parents[2]
quick = settings(deadline=None, max_examples=25)


@quick
@given(R=rotations(5))
def test_rotations_are_rotations(R):
    assert R.shape == (5, 3, 3)
    np.testing.assert_allclose(R @ R.swapaxes(1, 2), np.broadcast_to(np.eye(3), R.shape), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(R), 1)


def test_the_simplest_rotation_is_the_identity():
    np.testing.assert_array_equal(find(rotations(), lambda R: True), np.eye(3))


def test_rotations_reach_beyond_a_quarter_turn():
    R = find(rotations(), lambda R: np.trace(R) < 0)
    assert np.trace(R) < 0


@quick
@given(data=st.data(), n_frames=st.integers(1, 5), n_points=st.integers(1, 6))
def test_masks_keep_enough_visible(data, n_frames, n_points):
    least = data.draw(st.integers(0, n_points))
    visible = data.draw(masks(n_frames, n_points, least))
    assert visible.shape == (n_frames, n_points)
    assert visible.dtype == bool
    assert visible.sum(1).min() >= least


def test_masks_can_hide_any_point_in_spite_of_the_minimum():
    for point in range(4):
        assert not find(masks(1, 4, 3), lambda v, p=point: not v[0, p])[0, point]


def test_an_impossible_minimum_is_refused():
    with pytest.raises(ValueError, match="min_visible must be between 0 and n_points = 4, got 5"):
        masks(2, 4, 5)


@quick
@given(W=keypoints(4, 5, missing=True, min_visible=2))
def test_missing_keypoints_are_missing_as_a_whole(W):
    nan = np.isnan(W)
    assert (nan[..., 0] == nan[..., 1]).all()
    assert (~nan[..., 0]).sum(1).min() >= 2
    assert np.nanmax(np.abs(W)) <= 100


def test_keypoints_are_sometimes_missing_and_never_unless_asked():
    assert np.isnan(find(keypoints(2, 5, missing=True), lambda W: np.isnan(W).any())).any()

    @quick
    @given(W=keypoints(2, 5))
    def none_missing(W):
        assert np.isfinite(W).all()

    none_missing()


@quick
@given(X=shapes(3, 4, centered=True))
def test_centered_shapes_are_centered(X):
    assert X.shape == (3, 4, 3)
    np.testing.assert_allclose(X.mean(1), 0, atol=1e-12)


def test_hypothesis_is_loaded_only_by_the_strategies():
    code = (
        "import sys, nrsfm_learn.testing as t; assert 'hypothesis' not in sys.modules\n"
        "sys.modules['hypothesis'] = None\n"
        "try: t.rotations()\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert "pip install 'nrsfm_learn[test]'" in done.stdout
