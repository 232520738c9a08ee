"""The result: what it says, writes and mirrors."""

import numpy as np
import pytest

import nrsfm_learn
from nrsfm_learn import io
from nrsfm_learn.auto import Plan, Result
from nrsfm_learn.datasets import make_low_rank
from nrsfm_learn.io import Keypoints, Points3D

F, P = 30, 8


@pytest.fixture(scope="module")
def model():
    W = make_low_rank(n_frames=F, n_points=P, rank=2, random_state=0).W
    return nrsfm_learn.BMM(n_bases=2).fit(W)


def make_result(model, **others):
    W = make_low_rank(n_frames=F, n_points=P, rank=2, random_state=0).W
    W[3] = np.nan
    X = model.reconstruction_.copy()
    X[3] = np.nan
    keypoints = Keypoints(
        W, names=[f"p{i}" for i in range(P)], edges=[(0, 1), (2, 7)], fps=25,
        frames=np.arange(F) * 2, source=io.Source("csv", "a.csv", ("two were hidden",)),
    )  # fmt: skip
    plan = Plan(
        "BMM", {"n_bases": 2}, "it is fast", ("PAUL: no time",), F, F - 10,
        {"diagnosis": 0.5, "fit": 2.25}, 30.0, False,
    )  # fmt: skip
    fields = {
        "reconstruction": X,
        "keypoints": keypoints,
        "estimator": model,
        "diagnosis": None,
        "confidence": np.full((F, P), 0.75),
        "score": 0.98765,
        "warnings": ("depth may be made up",),
        "plan": plan,
        "intrinsics": None,
        "points": np.arange(P),
    }
    return Result(**{**fields, **others})


def test_text(model):
    result = make_result(model)
    assert repr(result) == "Result(30 frames, 8 points, by BMM, score 0.988, 1 warnings)"
    text = str(result)
    for part in (
        "30 frames of 8 points",
        "1 frame(s) show too little",
        "BMM(n_bases=2): it is fast",
        "Fitted 20 of 30 frames",
        "Skipped: PAUL: no time",
        "2.8 s of 30 s: diagnosis 0.5, fit 2.2",
        "Score on hidden keypoints: 0.988",
        "Mean confidence: 0.75",
        "! depth may be made up",
    ):
        assert part in text
    assert "nan" in repr(make_result(model, score=float("nan"), confidence=None))


def test_points3d_has_all_that_the_keypoints_had(model):
    result = make_result(model)
    points = result.points3d()
    assert isinstance(points, Points3D)
    np.testing.assert_array_equal(points.X, result.reconstruction)
    assert (points.names, points.edges, points.fps) == (
        result.keypoints.names,
        ((0, 1), (2, 7)),
        25.0,
    )
    np.testing.assert_array_equal(points.frames, np.arange(F) * 2)
    np.testing.assert_array_equal(points.confidence, 0.75)


def test_save_hands_its_points_to_write(model, tmp_path, monkeypatch):
    seen = {}

    def write(path, data, *, format=None, **options):
        seen.update(path=path, data=data, format=format, **options)
        return path

    monkeypatch.setattr("nrsfm_learn.auto._result.write", write)
    result = make_result(model)
    assert result.save(tmp_path / "a.csv", format="csv", digits=3) == tmp_path / "a.csv"
    assert seen["data"] == result.points3d()
    assert (seen["format"], seen["digits"]) == ("csv", 3)


def test_flipped_mirrors_each_frame_in_depth(model):
    result = make_result(model)
    other = result.flipped()
    X, Y = result.reconstruction, other.reconstruction
    np.testing.assert_array_equal(Y[..., :2], X[..., :2])
    shown = np.arange(F) != 3
    mean = X[shown, :, 2].mean(1, keepdims=True)
    np.testing.assert_allclose(Y[shown, :, 2] - mean, mean - X[shown, :, 2], atol=1e-12)
    np.testing.assert_allclose(other.flipped().reconstruction, X, atol=1e-12)
    assert other.keypoints is result.keypoints
    np.testing.assert_array_equal(result.reconstruction, X)


def test_a_perspective_result_has_one_depth(model):
    near = nrsfm_learn.DeepNRSfMPP(camera="perspective")
    with pytest.raises(ValueError, match="tells an object from its mirror image"):
        make_result(model, estimator=near).flipped()


def test_report_gets_the_points_that_were_fitted(model, tmp_path, monkeypatch):
    seen = {}

    def write_report(path, estimator, W, **options):
        seen.update(path=path, estimator=estimator, W=W, **options)
        return path

    monkeypatch.setattr("nrsfm_learn.report.write_report", write_report)
    chosen = np.array([0, 1, 2, 4, 5, 7])
    result = make_result(model, points=chosen)
    result.report(tmp_path / "r.html", title="A mouse")
    np.testing.assert_array_equal(seen["W"], result.keypoints.W[:, chosen])
    np.testing.assert_array_equal(seen["reconstruction"], result.reconstruction[:, chosen])
    assert seen["names"] == ["p0", "p1", "p2", "p4", "p5", "p7"]
    assert seen["edges"] == [(0, 1), (2, 5)]
    assert seen["notes"] == ("depth may be made up", "two were hidden", "PAUL: no time")
    assert (seen["fps"], seen["fit_seconds"], seen["title"]) == (25.0, 2.25, "A mouse")
    assert seen["side_inputs"] is None


def test_report_for_real(tmp_path, model):
    path = make_result(model).report(tmp_path / "r.html")
    page = path.read_text(encoding="utf-8")
    assert "depth may be made up" in page
