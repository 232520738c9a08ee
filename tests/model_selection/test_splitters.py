"""What splitters for video promise."""

import numpy as np
import pytest
import sklearn
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.model_selection import GridSearchCV, LeaveOneGroupOut, cross_validate

from nrsfm_learn import DeepNRSfMPP
from nrsfm_learn.datasets import make_low_rank
from nrsfm_learn.model_selection import ContiguousBlockSplit, LeaveOneSequenceOut


@pytest.fixture(scope="module")
def data():
    return make_low_rank(n_frames=40, n_points=8, rank=2, clips=4, random_state=0)


def quick():
    return DeepNRSfMPP(dictionary_sizes=[8, 3], max_iter=2, random_state=0, device="cpu")


@settings(deadline=None, max_examples=50)
@given(
    lengths=st.lists(st.integers(5, 14), min_size=1, max_size=4),
    n_splits=st.integers(2, 5),
    gap=st.integers(0, 2),
    interleaved=st.booleans(),
)
def test_blocks(lengths, n_splits, gap, interleaved):
    groups = np.repeat(np.arange(len(lengths)), lengths)
    if interleaved:
        # Frames of a clip need not stand together; their order is that of time.
        groups = np.random.default_rng(0).permutation(groups)
    W = np.zeros((len(groups), 3, 2))
    splitter = ContiguousBlockSplit(n_splits, gap=gap)
    try:
        folds = list(splitter.split(W, None, groups))
    except ValueError as error:
        assume("leaves no frame" not in str(error))
        raise
    assert len(folds) == n_splits == splitter.get_n_splits(W, None, groups)
    tested = np.concatenate([test for _, test in folds])
    np.testing.assert_array_equal(np.sort(tested), np.arange(len(groups)))
    for train, test in folds:
        assert len(train)
        assert (np.diff(train) > 0).all()
        assert (np.diff(test) > 0).all()
        for clip in range(len(lengths)):
            frames = np.flatnonzero(groups == clip)
            times = np.flatnonzero(np.isin(frames, test))
            trained = np.flatnonzero(np.isin(frames, train))
            # One block, of nearly the same length as the others of the clip.
            assert len(times) == times[-1] - times[0] + 1
            assert len(times) in (len(frames) // n_splits, -(-len(frames) // n_splits))
            # Training takes all frames of the clip but the block and the gap around it.
            away = np.abs(np.arange(len(frames))[:, None] - times).min(1)
            np.testing.assert_array_equal(trained, np.flatnonzero(away > gap))


def test_one_video_without_groups():
    folds = list(ContiguousBlockSplit(3, gap=2).split(np.zeros((9, 4, 2))))
    expected = [
        ([5, 6, 7, 8], [0, 1, 2]),
        ([0, 8], [3, 4, 5]),
        ([0, 1, 2, 3], [6, 7, 8]),
    ]
    for (train, test), (wanted_train, wanted_test) in zip(folds, expected, strict=True):
        np.testing.assert_array_equal(train, wanted_train)
        np.testing.assert_array_equal(test, wanted_test)


def test_leave_one_sequence_out_is_leave_one_group_out(data):
    names = np.array(["walk", "run", "jump", "dance"], dtype=object)[data.groups]
    for groups in (data.groups, list(names), names.astype(str)):
        ours = list(LeaveOneSequenceOut().split(data.W, None, groups))
        flat = data.W.reshape(40, -1)
        theirs = list(LeaveOneGroupOut().split(flat, None, groups))
        assert len(ours) == 4 == LeaveOneSequenceOut().get_n_splits(groups=groups)
        for pair, wanted in zip(ours, theirs, strict=True):
            for indices, wanted_indices in zip(pair, wanted, strict=True):
                np.testing.assert_array_equal(indices, wanted_indices)


@pytest.mark.parametrize("splitter", [ContiguousBlockSplit(4, gap=1), LeaveOneSequenceOut()])
@pytest.mark.parametrize("routing", [False, True])
def test_grid_search(data, splitter, routing):
    with sklearn.config_context(enable_metadata_routing=routing):
        search = GridSearchCV(quick(), {"cycle_weight": [0.0, 1.0]}, cv=splitter, refit=False)
        search.fit(data.W, groups=data.groups)
    scores = np.stack([search.cv_results_[f"split{k}_test_score"] for k in range(4)])
    assert np.isfinite(scores).all()
    # The first fold by hand.
    train, test = next(iter(splitter.split(data.W, None, data.groups)))
    model = quick().set_params(cycle_weight=1.0).fit(data.W[train])
    assert scores[0, 1] == pytest.approx(model.score(data.W[test]), rel=1e-4)


@pytest.mark.parametrize("routing", [False, True])
def test_cross_validate_without_groups(data, routing):
    with sklearn.config_context(enable_metadata_routing=routing):
        result = cross_validate(quick(), data.W, data.visible, cv=ContiguousBlockSplit(2))
    assert np.isfinite(result["test_score"]).all()


def test_repr():
    assert repr(ContiguousBlockSplit(3, gap=2)) == "ContiguousBlockSplit(gap=2, n_splits=3)"
    assert repr(LeaveOneSequenceOut()) == "LeaveOneSequenceOut()"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_splits": 1}, "n_splits must be an integer of at least 2, got 1"),
        ({"n_splits": 2.5}, "n_splits must be an integer"),
        ({"gap": -1}, "gap must be an integer of at least 0, got -1"),
    ],
)
def test_bad_parameters(arguments, message):
    with pytest.raises(ValueError, match=message):
        ContiguousBlockSplit(**arguments)


def test_errors(data):
    with pytest.raises(ValueError, match=r"the clip 'b' has 3 frame\(s\): lower n_splits"):
        list(ContiguousBlockSplit(5).split(np.zeros((13, 2, 2)), None, ["a"] * 10 + ["b"] * 3))
    with pytest.raises(ValueError, match=r"n_splits=5, but W has 3 frame"):
        list(ContiguousBlockSplit(5).split(np.zeros((3, 2, 2))))
    with pytest.raises(ValueError, match="gap=9 leaves no frame to train on in fold 0"):
        list(ContiguousBlockSplit(2, gap=9).split(np.zeros((10, 2, 2))))
    with pytest.raises(ValueError, match="groups must have shape"):
        list(ContiguousBlockSplit(2).split(data.W, None, [0, 1]))
    with pytest.raises(ValueError, match="groups is missing: LeaveOneSequenceOut needs the clip"):
        list(LeaveOneSequenceOut().split(data.W))
    with pytest.raises(ValueError, match="groups is missing"):
        GridSearchCV(quick(), {}, cv=LeaveOneSequenceOut()).fit(data.W)
    with pytest.raises(ValueError, match="names only the clip '7'"):
        list(LeaveOneSequenceOut().split(data.W, None, [7] * 40))
