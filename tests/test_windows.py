import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrsfm_learn._windows import average_windows, clip_numbers, cut_windows

LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=60).map(np.array)
RAGGED = st.lists(st.integers(1, 25), min_size=1, max_size=6).map(
    lambda lengths: np.repeat(np.arange(len(lengths)), lengths)
)


def slow_windows(groups, window, stride):
    """The definition, a clip at a time."""
    rows = []
    for label in dict.fromkeys(groups.tolist()):
        frames = [f for f, g in enumerate(groups.tolist()) if g == label]
        begin = 0
        while True:
            if begin + window >= len(frames):
                rows.append(frames[max(0, len(frames) - window) :])
                break
            rows.append(frames[begin : begin + window])
            begin += stride
    return rows


@given(st.one_of(LABELS, RAGGED), st.integers(1, 12), st.data())
@settings(deadline=None, max_examples=50)
def test_windows_are_those_of_the_definition(groups, window, data):
    stride = data.draw(st.integers(1, window))
    cut = cut_windows(len(groups), groups, window=window, stride=stride)
    assert cut.index.shape == cut.valid.shape == (len(cut.index), window)
    found = [row[good].tolist() for row, good in zip(cut.index, cut.valid, strict=True)]
    assert found == slow_windows(groups, window, stride)
    # Every frame is covered, and no window has two clips, padding included.
    assert set(cut.index[cut.valid]) == set(range(len(groups)))
    assert (groups[cut.index] == groups[cut.index[:, :1]]).all()
    # Padding stands at the end and repeats the last frame.
    assert (np.diff(cut.valid.astype(int), axis=1) <= 0).all()
    last = cut.index[np.arange(len(cut.index)), cut.valid.sum(1) - 1]
    assert (np.where(cut.valid, last[:, None], cut.index) == last[:, None]).all()


@given(st.one_of(LABELS, RAGGED), st.integers(1, 8), st.integers(1, 5), st.data())
@settings(deadline=None, max_examples=50)
def test_windows_of_every_kth_frame(groups, window, step, data):
    stride = data.draw(st.integers(1, window * step))
    cut = cut_windows(len(groups), groups, window=window, stride=stride, step=step)
    assert set(cut.index[cut.valid]) == set(range(len(groups)))
    assert cut.valid.any(1).all()
    # In each clip by itself the frames of a window are `step` apart.
    place = np.array([np.count_nonzero(groups[:f] == g) for f, g in enumerate(groups)])
    for row, good in zip(cut.index, cut.valid, strict=True):
        assert len(set(groups[row])) == 1
        assert set(np.diff(place[row[good]])) <= {step}


@given(RAGGED, st.integers(1, 12), st.data())
@settings(deadline=None, max_examples=50)
def test_averaging_keeps_what_windows_agree_on(groups, window, data):
    stride = data.draw(st.integers(1, window))
    cut = cut_windows(len(groups), groups, window=window, stride=stride)
    signal = np.random.default_rng(0).normal(size=(len(groups), 4, 3))
    values = signal[cut.index]
    values[~cut.valid] = np.nan
    weights = data.draw(st.sampled_from([None, np.linspace(1, 2, window)]))
    np.testing.assert_allclose(average_windows(values, cut, weights), signal, rtol=1e-12)
    constant = np.where(cut.valid, 3.0, np.nan)
    np.testing.assert_allclose(average_windows(constant, cut, weights), 3.0, rtol=1e-14)


def test_averaging_is_the_weighted_mean():
    cut = cut_windows(5, window=3, stride=2)
    assert cut.index.tolist() == [[0, 1, 2], [2, 3, 4]]
    values = np.array([[0.0, 0.0, 6.0], [0.0, 0.0, 0.0]])
    assert average_windows(values, cut).tolist() == [0, 0, 3, 0, 0]
    assert average_windows(values, cut, [1, 1, 2]).tolist() == [0, 0, 4, 0, 0]
    assert average_windows(values.astype(np.float32), cut).dtype == np.float32


def test_without_groups_there_is_one_clip():
    cut = cut_windows(7, window=4)
    assert cut.index.tolist() == [[0, 1, 2, 3], [3, 4, 5, 6]]
    short = cut_windows(2, window=4)
    assert short.index.tolist() == [[0, 1, 1, 1]]
    assert short.valid.tolist() == [[True, True, False, False]]


def test_clips_are_numbered_as_they_appear():
    labels = np.array(["b", "a", "b", "c"])
    assert clip_numbers(labels, 4).tolist() == [0, 1, 0, 2]
    assert clip_numbers(None, 3).tolist() == [0, 0, 0]


@pytest.mark.parametrize("settings_", [{"window": 0}, {"window": 2.5}])
def test_bad_windows(settings_):
    with pytest.raises(ValueError, match="window must be a positive number of frames"):
        cut_windows(5, **settings_)


@pytest.mark.parametrize("step", [0, 1.5])
def test_bad_steps(step):
    with pytest.raises(ValueError, match="step must be a positive number of frames"):
        cut_windows(5, window=4, step=step)


@pytest.mark.parametrize("stride", [0, 5, 1.5])
def test_bad_strides(stride):
    with pytest.raises(ValueError, match=r"stride must be .* between 1 and the 4 that"):
        cut_windows(5, window=4, stride=stride)
