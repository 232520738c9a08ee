"""Methods on the same keypoints: what they get, their names, their order."""

from types import SimpleNamespace

import numpy as np
import pytest

from nrsfm_learn import BMM
from nrsfm_learn.auto import ComparedMethod, _compare, compare
from nrsfm_learn.auto._compare import _order

DLC = (
    "scorer,net,net,net,net,net,net\n"
    "bodyparts,nose,nose,nose,tail,tail,tail\n"
    "coords,x,y,likelihood,x,y,likelihood\n"
    "0,1,2,0.9,3,4,0.5\n"
    "1,5,6,0.9,7,8,0.2\n"
)


@pytest.fixture
def lifted(monkeypatch):
    """Take the place of the fit; return what it was given."""
    given = []

    def lift(keypoints, method, **options):
        given.append((keypoints, options))
        X = np.concatenate([keypoints.W, keypoints.W[..., :1]], axis=-1)
        return SimpleNamespace(reconstruction=X, estimator=BMM(), score=0.5, length_variation=0.1)

    monkeypatch.setattr(_compare, "lift", lift)
    return given


def test_a_lower_threshold_than_the_custom_of_the_format_is_kept(lifted, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(DLC)
    compare(path, ["BMM"], min_confidence=0.3, time_limit=9)
    keypoints, options = lifted[0]
    assert keypoints.visible.tolist() == [[True, True], [True, False]]
    assert options == {"progress": None, "time_limit": 9}


def test_estimators_of_one_class_have_names_of_their_own(lifted):
    W = np.random.default_rng(0).normal(size=(4, 5, 2))
    rows = compare(W, [BMM(n_bases=1), BMM(n_bases=2), "RigidFactorization"])
    assert sorted(row.method for row in rows) == ["BMM", "BMM (2)", "RigidFactorization"]


def test_order_with_what_is_not_a_number_and_failures():
    def row(name, variation, result=True):
        return ComparedMethod(name, result, "", 0.0, 0.0, variation, {})

    rows = [
        row("failed", np.nan, None),
        row("c", 0.3),
        row("unknown", np.nan),
        row("a", 0.1),
        row("b", 0.2),
    ]
    ordered = [row.method for row in sorted(rows, key=_order)]
    assert ordered == ["a", "b", "c", "unknown", "failed"]
