"""The page that compares methods."""

import re

import numpy as np
import pytest

from nrsfm_learn.auto import compare
from nrsfm_learn.datasets import make_low_rank
from nrsfm_learn.report import write_comparison

DATA = make_low_rank(n_frames=30, n_points=8, rank=1, views="random", random_state=0)


@pytest.fixture(scope="module")
def rows():
    methods = ["RigidFactorization", "BMM"]
    return compare(DATA.W, methods, X_true=DATA.X, time_limit=20)


def test_it_has_a_table_a_view_and_the_settings_of_each(rows, tmp_path):
    page = write_comparison(tmp_path / "c.html", rows, title="<two>").read_text()
    assert "&lt;two&gt;" in page
    headings = re.findall("<h2>(.*?)</h2>", page)
    assert headings[:3] == ["Table", "Reconstructions", "Error by protocol"]
    assert {"RigidFactorization", "BMM"} <= set(headings)
    assert page.count("<canvas") >= 1
    for row in rows:
        assert f"{row.errors['normalized_error (procrustes)']:.1%}" in page


def test_a_method_that_failed_is_named_with_its_reason(rows, tmp_path):
    failed = rows[0]._replace(method="Lost", result=None, problem="too <few> frames", errors={})
    page = write_comparison(tmp_path / "c.html", [*rows, failed]).read_text()
    assert "too &lt;few&gt; frames" in page
    only = write_comparison(tmp_path / "d.html", [failed]).read_text()
    assert "<canvas" not in only


def test_points_that_no_frame_shows_are_left_out(tmp_path):
    W = DATA.W.copy()
    W[:, 3] = np.nan
    rows = compare(W, ["RigidFactorization"], time_limit=20)
    page = write_comparison(tmp_path / "c.html", rows).read_text()
    assert '"point_4"' in page
    assert '"point_3"' not in page


def test_nothing_to_compare_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="rows is empty"):
        write_comparison(tmp_path / "c.html", [])
