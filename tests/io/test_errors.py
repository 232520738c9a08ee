"""The error of the readers."""

import copy
import pickle

import pytest

from nrsfm_learn.io import FileFormatError


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({}, "a.csv: 3 fields."),
        ({"where": "line 7"}, "a.csv, line 7: 3 fields."),
        ({"way_out": "Export it."}, "a.csv: 3 fields. Export it."),
        ({"where": "line 7", "way_out": "Export it."}, "a.csv, line 7: 3 fields. Export it."),
    ],
)
def test_message_and_parts(kwargs, message):
    error = FileFormatError("a.csv", "3 fields", **kwargs)
    assert str(error) == message
    assert isinstance(error, ValueError)
    for other in (error, pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert str(other) == message
        assert other.path == "a.csv"
        assert other.where == kwargs.get("where", "")
        rebuilt = FileFormatError(other.path, **other.parts)
        assert str(rebuilt) == message
