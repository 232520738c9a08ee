"""Typed access to the values of JSON files."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrsfm_learn.io import FileFormatError
from nrsfm_learn.io import _json_values as values

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        ([1, 2], "a list of 2"),
        ({}, "an object of 0"),
        ("a" * 100, "the string '" + "a" * 40 + "'"),
        ("\ud800\n", r"the string '\ud800\n'"),
        (1.5, "the number 1.5"),
        (10**100, "the number 1" + "0" * 29),
    ],
)
def test_shown(value, expected):
    assert values.shown(value) == expected


@given(JSON)
@settings(deadline=None, max_examples=50)
def test_whatever_is_shown_is_short_and_printable(value):
    text = values.shown(value)
    assert len(text) < 500
    assert text.isascii()
    assert text.isprintable()


@pytest.mark.parametrize(
    ("value", "kind"),
    [(True, int), (1.0, int), (2**63, int), (-(2**62), int), (None, list), ({}, list), ([], dict),
     (1, str), ("\udc00", str)],
)  # fmt: skip
def test_values_of_another_kind_are_refused(value, kind):
    with pytest.raises(FileFormatError, match=r"^f\.json, here: "):
        values.check_kind("f.json", value, kind, "here")


def test_a_missing_member_is_named():
    with pytest.raises(FileFormatError, match=r"^f\.json, a\[0\]: the key 'b' is missing\."):
        values.member("f.json", {}, "b", int, "a[0]")
    with pytest.raises(FileFormatError, match=r"^f\.json, a\[0\]\.b: a whole number was expected"):
        values.member("f.json", {"b": None}, "b", int, "a[0]")


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf"), True, "1", None, 10**400])
def test_positive_refuses(value):
    with pytest.raises(FileFormatError, match="fps: a positive number was expected"):
        values.positive("f.json", value, "fps")
    assert values.positive("f.json", 29.97, "fps") == 29.97


def number_rows(rows, length=2):
    return values.number_rows(rows, length, lambda k: ("f.json", f"row {k}"))


@given(st.lists(st.lists(st.integers(-(2**70), 2**70) | st.floats(allow_nan=False,
       allow_infinity=False), min_size=2, max_size=2)))  # fmt: skip
@settings(deadline=None, max_examples=50)
def test_rows_of_numbers(rows):
    expected = np.array([[float(value) for value in row] for row in rows]).reshape(-1, 2)
    np.testing.assert_array_equal(number_rows(rows), expected)


@given(JSON, st.integers(0, 2))
@settings(deadline=None, max_examples=50)
def test_anything_else_among_the_numbers_is_refused_where_it_is(value, k):
    if type(value) in (int, float) and abs(value) < 1e300:
        return
    rows = [[1, 2.0], [3, 4], [5, 6]]
    rows[k][1] = value
    with pytest.raises(FileFormatError, match=rf"^f\.json, row {k}: entry 1 must be a finite"):
        number_rows(rows)


@pytest.mark.parametrize("row", [[], [1], [1, 2, 3], None, "12", {"x": 1, "y": 2}])
def test_rows_of_other_lengths_are_refused(row):
    with pytest.raises(FileFormatError, match="row 1: 2 numbers were expected"):
        number_rows([[1, 2], row])


def test_integers_beyond_the_largest_double_are_refused():
    with pytest.raises(FileFormatError, match="row 0: entry 0 must be a finite number"):
        number_rows([[json.loads("1" + "0" * 400), 0]])


def test_edges_are_counted_from_0():
    assert values.check_edges("f.json", [[1, 2], [2, 3]], 3, "skeleton", 1) == ((0, 1), (1, 2))
    assert values.check_edges("f.json", [[0, 2]], 3, "skeleton") == ((0, 2),)


@pytest.mark.parametrize(
    "edges",
    [
        [[0, 3]],
        [[-1, 0]],
        [[0]],
        [[0, 1, 2]],
        [0, 1],
        "01",
        [[0, "1"]],
        [[0, True]],
        [[0, 1.0]],
        None,
    ],
)
def test_edges_that_join_no_points_are_refused(edges):
    with pytest.raises(FileFormatError, match=r"^f\.json, skeleton"):
        values.check_edges("f.json", edges, 3, "skeleton")


def test_names_come_once():
    assert values.check_point_names("f.json", ["a", "b"], "names") == ("a", "b")
    with pytest.raises(FileFormatError, match=r"names\[2\]: the string 'a' also names point 0"):
        values.check_point_names("f.json", ["a", "b", "a"], "names")
    with pytest.raises(FileFormatError, match=r"names\[0\]: a string was expected"):
        values.check_point_names("f.json", [1], "names")
