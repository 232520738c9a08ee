import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp
from sklearn.utils._param_validation import InvalidParameterError

from nrsfm_learn.preprocessing import FlagPoorFrames, flag_poor_frames


@pytest.fixture
def W():
    W = np.random.default_rng(0).normal(size=(8, 5, 2))
    W[1, :3] = np.nan  # two points
    W[4] = np.nan
    W[5, :2] = np.nan  # three points
    W[6] = (2.0, -1.0)
    return W


def test_poor_and_constant_frames_become_nan(W):
    before = W.copy()
    flagged, poor = flag_poor_frames(W)
    np.testing.assert_array_equal(np.flatnonzero(poor), [1, 4, 6])
    assert np.isnan(flagged[poor]).all()
    np.testing.assert_array_equal(flagged[~poor], W[~poor])
    np.testing.assert_array_equal(W, before)


def test_options(W):
    for min_visible, on_constant, expected in (
        (2, "nan", [4, 6]),
        (3, "keep", [1, 4]),
        (4, "keep", [1, 4, 5]),
        (0, "keep", []),
        (6, "keep", range(8)),
    ):
        _, poor = flag_poor_frames(W, None, min_visible, on_constant)
        np.testing.assert_array_equal(np.flatnonzero(poor), expected)


def test_visible_hides_before_counting(W):
    visible = np.ones((8, 5), dtype=bool)
    visible[0, :3] = False
    visible[2, 0] = False
    flagged, poor = flag_poor_frames(W, visible)
    np.testing.assert_array_equal(np.flatnonzero(poor), [0, 1, 4, 6])
    assert np.isnan(flagged[2, 0]).all()
    np.testing.assert_array_equal(flagged[2, 1:], W[2, 1:])


def test_one_warning_counts_them(W):
    match = r"FlagPoorFrames: 3 of 8 frame\(s\) have fewer than 3 visible .*NaN: \[1, 4, 6\]"
    with pytest.warns(UserWarning, match=match) as caught:
        out = FlagPoorFrames().fit_transform(W)
    assert len(caught) == 1
    np.testing.assert_array_equal(out, flag_poor_frames(W)[0])
    many = np.full((100, 5, 2), np.nan)
    with pytest.warns(UserWarning, match=r"100 of 100 .*\[0, 1, 2, 3, 4, \.\.\.\]"):
        FlagPoorFrames().fit_transform(many)


def test_no_warning_without_poor_frames():
    W = np.random.default_rng(0).normal(size=(8, 5, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(FlagPoorFrames().fit(W).transform(W), W)


def test_constant_frames_can_be_an_error(W):
    with pytest.raises(ValueError, match=r"W is constant in 1 frame\(s\): \[6\]"):
        FlagPoorFrames(on_constant="raise").fit(W)
    W[6] = np.nan
    transformer = FlagPoorFrames(on_constant="raise")
    with pytest.warns(UserWarning, match="3 of 8"):
        transformer.fit_transform(W)


def test_refuses_parameters(W):
    with pytest.raises(InvalidParameterError, match="'min_visible' parameter of FlagPoorFrames"):
        FlagPoorFrames(min_visible=-1).fit(W)
    with pytest.raises(ValueError, match="on_constant must be 'nan' or 'keep', got 'drop'"):
        flag_poor_frames(W, on_constant="drop")
    with pytest.raises(InvalidParameterError, match="'on_constant' parameter of FlagPoorFrames"):
        FlagPoorFrames(on_constant="drop").fit(W)


@settings(deadline=None, max_examples=50)
@given(mask=hnp.arrays(bool, (6, 5)))
def test_what_is_left_shows_enough(mask):
    W = np.random.default_rng(0).normal(size=(6, 5, 2))
    flagged, poor = flag_poor_frames(W, mask)
    left = np.isfinite(flagged[..., 0]).sum(axis=1)
    np.testing.assert_array_equal(left, np.where(mask.sum(axis=1) >= 3, mask.sum(axis=1), 0))
    np.testing.assert_array_equal(poor, mask.sum(axis=1) < 3)
    again, poor_again = flag_poor_frames(flagged)
    np.testing.assert_array_equal(again, flagged)
    np.testing.assert_array_equal(poor_again, poor)
