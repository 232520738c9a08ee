import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.utils._param_validation import InvalidParameterError

from nrsfm_learn.preprocessing import HideKeypoints, _hide, hide_keypoints


@settings(deadline=None, max_examples=50)
@given(
    visible=hnp.arrays(bool, st.tuples(st.integers(0, 6), st.integers(1, 9))),
    fraction=st.floats(0, 1),
    min_visible=st.integers(0, 10),
    seed=st.integers(0, 2**32 - 1),
)
def test_counts(visible, fraction, min_visible, seed):
    hidden = hide_keypoints(visible, fraction, seed, min_visible)
    assert hidden.shape == visible.shape
    assert hidden.dtype == bool
    assert not (hidden & ~visible).any()
    for seen, chosen in zip(visible.sum(axis=1), hidden.sum(axis=1), strict=True):
        wanted = max(1, round(fraction * int(seen))) if fraction > 0 else 0
        assert chosen == min(wanted, max(0, seen - min_visible))
        assert seen - chosen >= min(seen, min_visible)


def test_usual_counts():
    visible = np.ones((3, 31), dtype=bool)
    visible[1, 4:] = False
    visible[2, 3:] = False
    np.testing.assert_array_equal(hide_keypoints(visible, 0.2, 0).sum(axis=1), [6, 1, 0])
    np.testing.assert_array_equal(hide_keypoints(visible, 1.0, 0).sum(axis=1), [28, 1, 0])
    assert not hide_keypoints(visible, 0.0, 0).any()


def test_all_subsets_are_equally_likely():
    visible = np.tile([True, True, False, True, True, True], (60_000, 1))
    hidden = hide_keypoints(visible, 0.4, 0)
    codes = hidden @ (2 ** np.arange(6))
    subsets = [2**i + 2**j for i, j in itertools.combinations([0, 1, 3, 4, 5], 2)]
    counts = np.array([(codes == subset).sum() for subset in subsets])
    assert counts.sum() == 60_000
    # Ten cells of 6,000: the chi-squared statistic with 9 degrees of freedom; 33.7 is its 0.9999.
    assert ((counts - 6000) ** 2 / 6000).sum() < 33.7


def test_seeds_and_sources():
    visible = np.ones((50, 12), dtype=bool)
    first = hide_keypoints(visible, 0.3, 7)
    np.testing.assert_array_equal(hide_keypoints(visible, 0.3, 7), first)
    np.testing.assert_array_equal(hide_keypoints(visible, 0.3, np.random.RandomState(7)), first)
    assert (hide_keypoints(visible, 0.3, 8) != first).any()
    generator = np.random.default_rng(7)
    one, two = (hide_keypoints(visible, 0.3, generator) for _ in range(2))
    assert (one != two).any()
    np.testing.assert_array_equal(hide_keypoints(visible, 0.3, np.random.default_rng(7)), one)


def test_the_global_random_state_is_left_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    hide_keypoints(np.ones((50, 12), dtype=bool), 0.3, 7)
    hide_keypoints(np.ones((50, 12), dtype=bool), 0.3, np.random.default_rng(0))
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_blocks_of_frames_change_nothing(monkeypatch):
    visible = np.random.default_rng(0).random((100, 12)) > 0.2
    whole = hide_keypoints(visible, 0.3, 7)
    monkeypatch.setattr(_hide, "_FRAMES_AT_ONCE", 17)
    np.testing.assert_array_equal(hide_keypoints(visible, 0.3, 7), whole)


def test_refuses_arguments():
    visible = np.ones((4, 5), dtype=bool)
    for fraction in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match="fraction must be between 0 and 1"):
            hide_keypoints(visible, fraction)
    with pytest.raises(ValueError, match="min_visible must not be negative, got -1"):
        hide_keypoints(visible, 0.2, 0, -1)
    with pytest.raises(ValueError, match=r"visible must have .*got \(5,\).*visible\[None\]"):
        hide_keypoints(visible[0])
    with pytest.raises(TypeError, match=r"visible must be boolean.*visible\.astype\(bool\)"):
        hide_keypoints(visible.astype(int))
    with pytest.raises(InvalidParameterError, match="'fraction' parameter of HideKeypoints"):
        HideKeypoints(1.5).fit(np.zeros((4, 5, 2)))
    with pytest.raises(InvalidParameterError, match="'random_state' parameter of HideKeypoints"):
        HideKeypoints(random_state="seed").fit(np.zeros((4, 5, 2)))


def test_transformer_hides_what_the_function_says():
    W = np.random.default_rng(0).normal(size=(20, 8, 2))
    mask = np.random.default_rng(1).random((20, 8)) > 0.2
    transformer = HideKeypoints(0.3, min_visible=2, random_state=5)
    out = transformer.fit_transform(W, mask)
    hidden = hide_keypoints(mask, 0.3, 5, 2)
    np.testing.assert_array_equal(np.isnan(out[..., 0]), ~mask | hidden)
    np.testing.assert_array_equal(out[mask & ~hidden], W[mask & ~hidden])
    np.testing.assert_array_equal(transformer.transform(W, mask), out)


def test_a_random_state_instance_draws_anew():
    W = np.random.default_rng(0).normal(size=(20, 8, 2))
    transformer = HideKeypoints(0.3, random_state=np.random.RandomState(5)).fit(W)
    first, second = transformer.transform(W), transformer.transform(W)
    assert (np.isnan(first) != np.isnan(second)).any()
