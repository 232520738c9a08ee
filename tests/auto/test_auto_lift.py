"""The one call: what it takes, what it chooses, what it says."""

import numpy as np
import pytest

import nrsfm_learn
from nrsfm_learn import lift
from nrsfm_learn.auto import _estimate, _lift, _trial
from nrsfm_learn.auto._estimate import Ready
from nrsfm_learn.auto._input import as_keypoints
from nrsfm_learn.datasets import make_articulated_body, make_low_rank
from nrsfm_learn.io import Keypoints, Points3D
from nrsfm_learn.metrics import normalized_error

DATA = make_low_rank(n_frames=60, n_points=12, rank=2, views="smooth", random_state=0)


@pytest.fixture
def quick_plan(monkeypatch):
    """Plan without trials: one candidate, few steps."""

    def put(n_frames=None, reserve=0.0, enough=True, note="", **settings):
        def prepare(candidate, data, clock, rank, **_):
            estimator = candidate.estimator
            accepted = estimator.get_params(deep=False)
            estimator.set_params(**{k: v for k, v in settings.items() if k in accepted})
            return Ready(estimator, n_frames or len(data.W), reserve, enough, note)

        monkeypatch.setattr(_lift, "prepare", prepare)

    put(max_iter=20, n_init=1)
    return put


# -- input


def test_array_becomes_a_record():
    W = DATA.W.copy()
    mask = np.ones(W.shape[:2], bool)
    mask[4, 5] = False
    found = as_keypoints(
        W.astype(np.float32), mask=mask, groups=np.repeat(["b", "a"], 30),
        names=list("abcdefghijkl"), edges=[(0, 1)], fps=30,
    )  # fmt: skip
    assert isinstance(found, Keypoints)
    np.testing.assert_array_equal(found.visible, mask)
    assert np.isnan(found.W[4, 5]).all()
    assert found.names == tuple("abcdefghijkl")
    assert (found.edges, found.fps) == (((0, 1),), 30.0)
    np.testing.assert_array_equal(found.groups, np.repeat([1, 0], 30))


def test_record_is_taken_with_what_is_given_beside_it():
    individual = np.repeat([0, 1], 30)
    record = Keypoints(
        DATA.W, individuals=("ann", "bob"), individual=individual, fps=25,
        confidence=np.full(DATA.W.shape[:2], 0.5),
    )  # fmt: skip
    assert as_keypoints(record) == record
    np.testing.assert_array_equal(as_keypoints(record).groups, individual)
    bob = as_keypoints(record, individual="bob", fps=50)
    assert (bob.n_frames, bob.individuals, bob.fps) == (30, ("bob",), 50.0)
    np.testing.assert_array_equal(as_keypoints(record, groups=np.arange(60)).groups, np.arange(60))


def test_low_confidence_is_hidden_and_unknown_confidence_is_not():
    confidence = np.full(DATA.W.shape[:2], 0.9)
    confidence[0, 0], confidence[1, 1], confidence[2, 2] = 0.1, 0.5, np.nan
    found = as_keypoints(DATA.W, confidence=confidence, min_confidence=0.5)
    expected = np.ones_like(found.visible)
    expected[0, 0] = False
    np.testing.assert_array_equal(found.visible, expected)
    np.testing.assert_array_equal(found.confidence, confidence)
    with pytest.raises(ValueError, match="needs confidences"):
        as_keypoints(DATA.W, min_confidence=0.5)


def test_a_path_is_read_with_its_options(monkeypatch, tmp_path):
    seen = {}

    def read(path, **options):
        seen.update(path=path, **options)
        return Keypoints(DATA.W)

    monkeypatch.setattr("nrsfm_learn.auto._input.read", read)
    found = as_keypoints(tmp_path / "a.csv", min_confidence=0.3, individual="bob", fps=10)
    assert seen == {"path": tmp_path / "a.csv", "min_confidence": 0.3, "individual": "bob"}
    assert found.fps == 10
    seen.clear()
    as_keypoints("a.csv")
    assert seen == {"path": "a.csv"}


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ((Points3D(np.zeros((5, 4, 3))),), TypeError, "3-D already"),
        ((np.zeros((5, 4, 3)),), ValueError, "n_points, 2"),
        (("no such file.csv",), FileNotFoundError, "no such file"),
    ],
)
def test_what_is_no_keypoints(arguments, error, match):
    with pytest.raises(error, match=match):
        lift(*arguments)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"time_limit": 1}, ValueError, "at least 5 seconds"),
        ({"time_limit": float("nan")}, ValueError, "at least 5 seconds"),
        ({"time_limit": float("inf")}, ValueError, "finite"),
        ({"time_limit": "60"}, TypeError, "number of seconds"),
        ({"time_limit": True}, TypeError, "number of seconds"),
        ({"progress": 3}, TypeError, "progress must be a function"),
        ({"individual": "bob"}, ValueError, "W is an array"),
        ({"intrinsics": np.eye(2)}, ValueError, "intrinsics"),
        ({"mask": np.ones((3, 3), bool)}, ValueError, "mask must have shape"),
        ({"groups": np.zeros(3)}, ValueError, "groups"),
        ({"method": "PLAU"}, ValueError, "method='PLAU' is not known"),
    ],
)
def test_malformed_arguments(options, error, match):
    with pytest.raises(error, match=match):
        lift(DATA.W, **options)


def test_hopeless_data_are_refused():
    with pytest.raises(ValueError, match=r"cannot be reconstructed: .*frame"):
        lift(DATA.W[:2])
    with pytest.raises(ValueError, match=r"cannot be reconstructed: 3 points.*Track at least"):
        lift(DATA.W[:, :3])


# -- the call


def test_for_real(capsys):
    data = make_low_rank(n_frames=60, n_points=12, rank=2, random_state=0)
    W = data.W.copy()
    W[7] = np.nan
    told = []
    result = lift(
        W, "ProcrusteanRegression", groups=np.zeros(60), time_limit=30, progress=told.append
    )
    shown = np.arange(60) != 7
    X = result.reconstruction
    assert X.shape == (60, 12, 3)
    assert np.isnan(X[7]).all()
    assert np.isfinite(X[shown]).all()
    error = normalized_error(data.X[shown], X[shown], protocol="frobenius", flip="sequence")
    assert error < 0.02
    assert result.plan.method == "ProcrusteanRegression"
    assert set(result.plan.seconds) == {
        "diagnosis", "planning", "fit", "lift", "confidence", "score",
    }  # fmt: skip
    assert result.plan.time_limit == 30
    assert result.score > 0.9
    assert result.confidence is None
    assert result.diagnosis.n_frames == 60
    assert told[-1].startswith("Done in")
    assert any("Fitting ProcrusteanRegression to 60 frames" in text for text in told)
    assert all(isinstance(text, str) for text in told)
    assert capsys.readouterr().out == ""


def asks(monkeypatch, is_enough):
    """Record which candidates are planned; ``is_enough(name, last)`` says which have time."""
    asked = []

    def prepare(candidate, data, clock, rank, *, keep=False, last=False):
        estimator, name = candidate.estimator, type(candidate.estimator).__name__
        asked.append((name, last))
        short = {"max_iter": 20, "n_init": 1, "n_bases": 2}
        accepted = estimator.get_params(deep=False)
        estimator.set_params(**{k: v for k, v in short.items() if k in accepted})
        enough = is_enough(name, last)
        return Ready(estimator, len(data.W), 0.0, enough, "" if enough else f"{name} is too slow")

    monkeypatch.setattr(_lift, "prepare", prepare)
    return asked


def test_auto_takes_the_first_candidate_if_there_is_time_for_none(monkeypatch):
    asked = asks(monkeypatch, lambda name, last: last)
    result = lift(DATA.W)
    # First the fast one and the trained one, to be compared; then what there is time for.
    assert [name for name, _ in asked] == [
        "ProcrusteanRegression", "PAUL", "PAUL", "ProcrusteanRegression", "BMM",
    ]  # fmt: skip
    assert [last for _, last in asked] == [False] * 4 + [True]
    assert result.plan.method == "BMM"
    assert result.plan.skipped == ("PAUL is too slow", "ProcrusteanRegression is too slow")


@pytest.mark.parametrize("better", ["PAUL", "ProcrusteanRegression"])
def test_auto_fits_two_and_keeps_the_one_with_less_to_explain(monkeypatch, better):
    asks(monkeypatch, lambda name, last: True)
    monkeypatch.setattr(_trial, "_score", lambda estimator, *_: 0.5)
    steady = {"PAUL": 0.1, "ProcrusteanRegression": 0.1} | {better: 0.05}
    monkeypatch.setattr(
        _trial, "length_variation", lambda estimator, X: steady[type(estimator).__name__]
    )
    result = lift(DATA.W)
    assert result.plan.method == better
    assert "chosen before" in result.plan.reason
    assert result.length_variation == 0.05


def test_what_speaks_against_a_result():
    assert _trial.doubt(0.1, 0.8) == pytest.approx(0.02)
    assert _trial.doubt(0.1, 0.999) == _trial.doubt(0.1, 0.98)
    assert _trial.doubt(0.0, 0.9) > _trial.doubt(0.1, 0.9)
    assert _trial.doubt(0.1, np.nan) == _trial.doubt(np.nan, 0.9) == np.inf


def test_an_interrupted_training_ends_the_call(quick_plan, monkeypatch):
    def fit(self, W, **side):
        self.stop_reason_ = "interrupted"
        return self

    monkeypatch.setattr(nrsfm_learn.PAUL, "fit", fit)
    with pytest.raises(KeyboardInterrupt):
        lift(DATA.W, "PAUL")


def test_confidence_of_several_starts(quick_plan):
    quick_plan(max_iter=40, n_init=3)
    result = lift(DATA.W, "PAUL")
    np.testing.assert_array_equal(result.confidence, result.estimator.confidence_)
    quick_plan(n_frames=40, max_iter=40, n_init=3)
    result = lift(DATA.W, "PAUL")
    assert (result.plan.n_fitted, result.plan.n_frames) == (40, 60)
    assert result.confidence.shape == (60, 12)
    assert ((result.confidence >= 0) & (result.confidence <= 1)).all()
    assert np.isfinite(result.reconstruction).all()


def test_an_estimator_of_the_user(quick_plan):
    mine = nrsfm_learn.PAUL(n_components=3, max_iter=15, random_state=1)
    result = lift(DATA.W, mine)
    assert not hasattr(mine, "reconstruction_")
    assert result.estimator.n_components == 3
    assert result.plan.settings["n_components"] == 3


def test_a_fit_that_the_clock_ends_says_so(quick_plan, monkeypatch):
    quick_plan(max_iter=100_000, n_init=1, reserve=1e9)
    result = lift(DATA.W, "PAUL")
    assert result.estimator.stop_reason_ == "deadline"
    assert result.estimator.n_iter_ < 100_000
    assert result.plan.stopped_early
    assert any("The clock ended the fit" in text for text in result.warnings)


def test_too_little_time_is_said_first(quick_plan):
    quick_plan(max_iter=20, enough=False)
    result = lift(DATA.W, "BMM", time_limit=6)
    assert result.warnings[0].startswith("6 s are too little time for these data by BMM")


def test_points_that_no_frame_shows_are_nan(quick_plan):
    W = DATA.W.copy()
    W[:, [2, 9]] = np.nan
    result = lift(W, "BMM", names=[f"joint {n}" for n in range(12)])
    assert np.isnan(result.reconstruction[:, [2, 9]]).all()
    np.testing.assert_array_equal(result.points, [0, 1, 3, 4, 5, 6, 7, 8, 10, 11])
    assert np.isfinite(result.reconstruction[:, result.points]).all()
    assert any("No frame shows joint 2, joint 9" in text for text in result.warnings)


def test_data_without_depth_are_lifted_with_a_warning_in_front(quick_plan):
    rng = np.random.default_rng(0)
    W = DATA.W[0] + 0.02 * rng.normal(size=(60, 12, 2))
    result = lift(W, "BMM")
    assert result.diagnosis.reconstructible is not True
    assert "made up" in result.warnings[0]
    assert np.isfinite(result.reconstruction).all()


def test_what_cannot_be_known_is_said(quick_plan):
    said = " ".join(lift(DATA.W, "BMM").warnings)
    assert "does not see the sign of depth" in said
    assert "Scale is known up to one factor for all frames" in said
    body = make_articulated_body(
        60, camera="perspective", intrinsics=[[900, 0, 640], [0, 900, 360], [0, 0, 1]],
        random_state=0,
    )  # fmt: skip
    near = lift(body.W, "PAUL", intrinsics=body.intrinsics)
    assert near.estimator.camera == "perspective"
    said = " ".join(near.warnings)
    assert "sign of depth" not in said
    assert "one factor a frame" in said
    np.testing.assert_allclose(
        near.estimator.inverse_transform(near.reconstruction), body.W, atol=200
    )
    said = " ".join(lift(body.W, "BMM", intrinsics=body.intrinsics).warnings)
    assert "takes it for a distant one" in said


def test_frames_of_a_video_get_one_sign(quick_plan, monkeypatch):
    clip = make_articulated_body(60, clips=1, views="smooth", random_state=0)
    X = clip.X.copy()
    X[10:20, :, 2] *= -1

    def fit(self, W, **side):
        self.reconstruction_ = X
        return self

    monkeypatch.setattr(nrsfm_learn.BMM, "fit", fit)
    monkeypatch.setattr(_trial, "_score", lambda *_: 0.5)
    result = lift(clip.W, "BMM")
    assert result.diagnosis.is_video
    ratio = result.reconstruction[..., 2] - result.reconstruction[..., 2].mean(1, keepdims=True)
    truth = clip.X[..., 2] - clip.X[..., 2].mean(1, keepdims=True)
    np.testing.assert_allclose(ratio, truth, atol=1e-9)
    assert any(text.startswith("10 frame(s) were mirrored") for text in result.warnings)


def test_warnings_of_the_fit_are_collected_and_not_shown(quick_plan, recwarn):
    result = lift(DATA.W, "ProcrusteanRegression")
    assert any("stopped after" in text for text in result.warnings)
    assert len(set(result.warnings)) == len(result.warnings)
    assert not [w for w in recwarn if "stopped after" in str(w.message)]


def test_ctrl_c_passes(monkeypatch):
    def press(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(_lift, "prepare", press)
    with pytest.raises(KeyboardInterrupt):
        lift(DATA.W)


def test_score_is_left_out_where_it_would_take_another_fit(quick_plan):
    result = lift(DATA.W, "TrajectoryBasis")
    assert np.isnan(result.score)
    assert any("fitted once more" in text for text in result.plan.skipped)


def test_score_is_left_out_where_no_time_is_left(quick_plan, monkeypatch):
    monkeypatch.setattr(_estimate, "time_lift", lambda *_: 1e9)
    result = lift(DATA.W, "BMM")
    assert np.isnan(result.score)
    assert any("no time was left" in text for text in result.plan.skipped)
