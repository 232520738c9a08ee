import numpy as np
import pytest

from nrsfm_learn.io import FileFormatError
from nrsfm_learn.io._delimited import check_increasing, read_rows, split_line


def test_fields_and_quotes():
    assert split_line("a.csv", ' a ,"b,c", d"e,', 1) == ["a", "b,c", 'd"e', ""]
    assert split_line("a.csv", "", 1) == []
    with pytest.raises(FileFormatError, match=r"a\.csv, line 3: no row"):
        split_line("a.csv", 'a,"b', 3)


def test_numbers_labels_and_empty_fields():
    lines = ["i,1,2,3", 'j,,-2.5e1,"4"', "k,,,", "l, 7 ,nan,NaN"]
    values, labels = read_rows("a.csv", lines, 4, first=2, n_labels=1)
    nan = np.nan
    np.testing.assert_array_equal(
        values, [[1, 2, 3], [nan, -25, 4], [nan, nan, nan], [7, nan, nan]]
    )
    assert labels == [["i"], ["j"], ["k"], ["l"]]


@pytest.mark.parametrize("n_fields", [1, 2])
def test_single_columns_and_no_rows(n_fields):
    lines = [",".join(["1"] * n_fields)] * 3
    assert read_rows("a.csv", lines, n_fields, first=1)[0].shape == (3, n_fields)
    assert read_rows("a.csv", [], n_fields, first=1)[0].shape == (0, n_fields)
    empty, _ = read_rows("a.csv", [",".join([""] * n_fields)], n_fields, first=1)
    assert np.isnan(empty).all()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,2", "line 8: 2 fields, expected 3"),
        ("1,2,3,4", "line 8: 4 fields, expected 3"),
        ("1,x,3", "line 8: field 2 is 'x'"),
        ("1,2 3,3", "line 8: field 2 is '2 3'"),
        ("1,0x10,3", "line 8: field 2"),
        ("1,1j,3", "line 8: field 2"),
        ("1,-inf,3", "line 8: field 2 is -inf"),
        ("1,2e151,3", "line 8: field 2 is 2e151"),
        ("1,2_0,3", "no number"),
        ('1,"2,0",3', "line 8: a quoted field has a comma"),
        ('1,"2,3', "line 8: no row"),
        ("#1,2,3", "line 8: field 1"),
    ],
)
def test_bad_rows_are_named(line, message):
    with pytest.raises(FileFormatError, match=message):
        read_rows("a.csv", ["1,2,3", line], 3, first=7)


def test_frames_must_increase():
    check_increasing("a.csv", np.array([0, 1, 5]), str)
    check_increasing("a.csv", np.array([], dtype=int), str)
    with pytest.raises(FileFormatError, match="row 2: frame 5 follows frame 5"):
        check_increasing("a.csv", np.array([0, 5, 5]), lambda row: f"row {row}")
