"""Categories, their points, and frames drawn alike from all of them."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrsfm_learn.deep._categories import balanced_order, category_index, learn_categories

VISIBLE = np.array([[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 1]], dtype=bool)
LABELS = np.array(["b", "b", "a", "a"])


def test_points_are_those_that_are_seen():
    names, points = learn_categories(LABELS, VISIBLE)
    assert names.tolist() == ["a", "b"]
    np.testing.assert_array_equal(points, [[0, 0, 1, 1], [1, 1, 0, 0]])


def test_without_labels_every_point_belongs():
    names, points = learn_categories(None, VISIBLE)
    assert names is None
    np.testing.assert_array_equal(points, [[1, 1, 1, 1]])


def test_given_points():
    _, points = learn_categories(LABELS, VISIBLE, {"a": [1, 2, 3]})
    np.testing.assert_array_equal(points, [[0, 1, 1, 1], [1, 1, 0, 0]])
    names, points = learn_categories(np.array([7, 7, 3, 3]), VISIBLE, {7: (0, 1, 2)})
    np.testing.assert_array_equal(names, [3, 7])
    np.testing.assert_array_equal(points, [[0, 0, 1, 1], [1, 1, 1, 0]])


@pytest.mark.parametrize(
    ("labels", "given_points", "message"),
    [
        (LABELS, {"c": [0]}, "names 'c', but the categories of fit are ['a', 'b']"),
        (None, {"a": [0]}, "names 'a', but fit was given no categories"),
        (LABELS, {"a": [0, 4]}, "category_points['a'] must list points, integers from 0 to 3"),
        (LABELS, {"a": [-1]}, "must list points"),
        (LABELS, {"a": []}, "must list points"),
        (LABELS, {"a": [0.5]}, "must list points"),
        (LABELS, {"a": [2]}, "W shows point 3 in frame 2, of category 'a', whose points are [2]"),
    ],
)
def test_refused_points(labels, given_points, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        learn_categories(labels, VISIBLE, given_points)


def test_category_index():
    found = category_index(LABELS, ["a", "b"], 4, name="Lifter")
    np.testing.assert_array_equal(found, [1, 1, 0, 0])
    np.testing.assert_array_equal(category_index(None, None, 3, name="Lifter"), [0, 0, 0])
    np.testing.assert_array_equal(category_index(LABELS, None, 4, name="Lifter"), [0] * 4)
    with pytest.raises(ValueError, match=re.escape("Lifter was fitted to the categories ['a']")):
        category_index(None, ["a"], 4, name="Lifter")
    with pytest.raises(ValueError, match="categories has 'b' at frame 0"):
        category_index(LABELS, ["a"], 4, name="Lifter")


@settings(deadline=None, max_examples=50)
@given(index=st.lists(st.integers(0, 3), min_size=1, max_size=40))
def test_balanced_order(index):
    names, index = np.unique(index, return_inverse=True)
    order = balanced_order(index, len(names))
    largest = np.bincount(index).max()
    np.testing.assert_array_equal(np.bincount(index[order]), [largest] * len(names))
    counts = np.bincount(order, minlength=len(index))
    for k in range(len(names)):
        # Within a category, no frame comes more than once more often than another.
        assert np.ptp(counts[index == k]) <= 1
        assert counts[index == k].min() >= 1
