import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrsfm_learn.preprocessing import split_clips, stack_clips


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.booleans())
@settings(deadline=None, max_examples=25)
def test_splitting_undoes_stacking(lengths, named):
    rng = np.random.default_rng(0)
    clips = [rng.normal(size=(n, 4, 2)) for n in lengths]
    given_ = {f"clip {9 - k}": clip for k, clip in enumerate(clips)} if named else clips
    W, groups = stack_clips(given_)
    assert W.shape == (sum(lengths), 4, 2)
    back = split_clips(W, groups)
    assert list(back) == (list(given_) if named else list(range(len(clips))))
    for clip, found in zip(clips, back.values(), strict=True):
        np.testing.assert_array_equal(found, clip)


def test_frames_of_a_clip_need_not_be_neighbours():
    clips = split_clips(np.arange(6) * 10, [1, 0, 1, 2, 0, 1])
    assert {k: v.tolist() for k, v in clips.items()} == {1: [0, 20, 50], 0: [10, 40], 2: [30]}


def test_other_arrays():
    M, groups = stack_clips([np.ones((2, 5), bool), np.zeros((1, 5), bool)])
    assert M.dtype == bool
    assert groups.tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        ([], "clips is empty"),
        (
            {"a": np.ones((2, 3, 2)), "b": np.ones((2, 4, 2))},
            "clip 'b' has frames of shape",
        ),
        ([np.ones((2, 3, 2)), np.ones((0, 3, 2))], r"clip 1 must be .* at least one frame"),
        ([np.ones(3)], "clip 0 must be"),
    ],
)
def test_bad_clips(clips, message):
    with pytest.raises(ValueError, match=message):
        stack_clips(clips)


def test_split_needs_one_label_a_frame():
    with pytest.raises(ValueError, match="groups must have shape"):
        split_clips(np.ones((3, 2)), [0, 1])
