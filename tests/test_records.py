"""Records: taking frames, spreading them, and tags beside scikit-learn's."""

import numpy as np
import pytest
from toy_methods import Cardboard

from nrsfm_learn.base import NRSfMTags, Observations, Reconstruction, Tags

F, P = 3, 4  # as many frames as a camera matrix has rows, where axes are easily confused


@pytest.fixture
def observations():
    rng = np.random.default_rng(0)
    return Observations(
        W=rng.normal(size=(F, P, 2)),
        visible=rng.random((F, P)) < 0.5,
        groups=np.array(["a", "b", "c"]),
        categories=np.arange(F),
        intrinsics=rng.normal(size=(F, 3, 3)),
        boxes=rng.normal(size=(F, 4)),
        weights=rng.random((F, P)),
    )


@pytest.mark.parametrize("index", [np.array([2, 0]), slice(1, None), np.array([True, False, True])])
def test_take_takes_the_same_frames_of_every_field(observations, index):
    taken = observations.take(index)
    for field in Observations._fields:
        expected = getattr(observations, field)[index]
        np.testing.assert_array_equal(getattr(taken, field), expected, err_msg=field)


def test_take_keeps_one_camera_for_all_frames(observations):
    K = np.diag([500.0, 500.0, 1.0])
    taken = observations._replace(intrinsics=K).take(np.array([1]))
    np.testing.assert_array_equal(taken.intrinsics, K)


def test_take_of_more_frames_than_a_camera_has_rows():
    many = Observations(np.zeros((9, P, 2)), np.ones((9, P), bool), intrinsics=np.eye(3))
    taken = many.take(np.array([8, 7, 6, 5]))
    assert len(taken.W) == 4
    np.testing.assert_array_equal(taken.intrinsics, np.eye(3))


def test_take_leaves_out_what_is_not_there():
    taken = Observations(np.zeros((F, P, 2)), np.ones((F, P), bool)).take([0])
    assert taken[2:] == (None,) * 5


def test_empty_reconstructions_have_the_shapes_of_full_ones():
    empty = Reconstruction.empty(F, P, np.float32)
    shapes = [(F, P, 3), (F, P, 3), (F, 3, 3), (F, 3), (F,)]
    assert [a.shape for a in empty[:5]] == shapes
    assert all(np.isnan(a).all() and a.dtype == np.float32 for a in empty[:5])
    assert empty.codes is None


def test_spread_puts_frames_in_their_places():
    few = Reconstruction.empty(2, P)._replace(scales=np.array([1.0, 2.0]), codes=np.eye(2))
    whole = few.spread(np.array([3, 1]), 4)
    np.testing.assert_array_equal(whole.scales, [np.nan, 2, np.nan, 1])
    np.testing.assert_array_equal(whole.codes[[3, 1]], np.eye(2))
    assert np.isnan(whole.codes[[0, 2]]).all()
    assert whole.X.shape == (4, P, 3)


def test_tags_are_scikit_learns_and_ours():
    tags = Cardboard().__sklearn_tags__()
    assert isinstance(tags, Tags)
    assert tags.nrsfm_tags == NRSfMTags(stochastic=False, equivariant=True)
    assert tags.input_tags.three_d_array
    assert not tags.input_tags.two_d_array
    assert tags.input_tags.allow_nan
    assert tags.transformer_tags.preserves_dtype == ["float64", "float32"]
    assert not tags.target_tags.required
