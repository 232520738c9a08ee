import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrsfm_learn.preprocessing import SwapMap, swap_left_right, swap_permutation

PAIRS = [(0, 3), (4, 1)]


def test_values():
    W = np.arange(20.0).reshape(2, 5, 2)
    W[1, 4] = np.nan
    out = swap_left_right(W, PAIRS)
    for frame in range(2):
        for point, partner in enumerate([3, 4, 2, 0, 1]):
            x, y = W[frame, partner]
            np.testing.assert_array_equal(out[frame, point], [-x, y])
    np.testing.assert_array_equal(swap_left_right(W, PAIRS, mirror=False), W[:, [3, 4, 2, 0, 1]])
    assert W[0, 0, 0] == 0.0
    assert not np.shares_memory(out, W)


def test_three_dimensions_and_no_pairs():
    X = np.random.default_rng(0).normal(size=(4, 5, 3))
    np.testing.assert_array_equal(swap_left_right(X, []), X * (-1, 1, 1))
    np.testing.assert_array_equal(swap_left_right(X, np.empty((0, 2), int), mirror=False), X)


def test_a_symmetric_shape_seen_from_the_front_is_its_own_mirror_image():
    half = np.random.default_rng(0).normal(size=(4, 2, 2))
    middle = np.concatenate([np.zeros((4, 1, 1)), half[:, :1, 1:]], axis=2)
    W = np.concatenate([half, middle, half * (-1, 1)], axis=1)
    np.testing.assert_array_equal(swap_left_right(W, [(0, 3), (1, 4)]), W)


@settings(deadline=None, max_examples=25)
@given(order=st.permutations(range(7)), n_pairs=st.integers(0, 3), mirror=st.booleans())
def test_swapping_twice_changes_nothing(order, n_pairs, mirror):
    pairs = np.array(order[: 2 * n_pairs]).reshape(-1, 2)
    permutation = swap_permutation(pairs, 7)
    np.testing.assert_array_equal(permutation[permutation], np.arange(7))
    assert (permutation != np.arange(7)).sum() == 2 * n_pairs
    W = np.random.default_rng(0).normal(size=(4, 7, 2))
    W[1, 3] = np.nan
    transformer = SwapMap(pairs, mirror=mirror)
    out = transformer.fit_transform(W)
    np.testing.assert_array_equal(transformer.permutation_, permutation)
    np.testing.assert_array_equal(transformer.inverse_transform(out), W)
    np.testing.assert_array_equal(transformer.transform(out), W)


def test_inverse_takes_reconstructions():
    W = np.random.default_rng(0).normal(size=(4, 5, 2))
    X = np.dstack([W, W[..., 0]])
    transformer = SwapMap(PAIRS).fit(W)
    np.testing.assert_array_equal(transformer.inverse_transform(X), swap_left_right(X, PAIRS))


@pytest.mark.parametrize(
    ("pairs", "match"),
    [
        ([(0, 3), (1, 5)], r"pairs\[1\] is \(1, 5\), but there are only the points 0 to 4"),
        ([(-1, 3)], r"pairs\[0\] is \(-1, 3\)"),
        ([(0, 3), (3, 1)], r"pairs name point 3 more than once.*left out"),
        ([(2, 2)], r"pairs name point 2 more than once"),
        ([(0.0, 3.0)], r"pairs must be integers .*float64"),
        ([0, 3], r"pairs must be integers of shape \(n_pairs, 2\).*\(2,\)"),
        ([("left", "right")], r"pairs must be integers"),
    ],
)
def test_refuses_pairs(pairs, match):
    with pytest.raises(ValueError, match=match):
        SwapMap(pairs).fit(np.zeros((4, 5, 2)))
