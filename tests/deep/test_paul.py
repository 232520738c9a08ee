"""PAUL as an estimator, on data small enough for seconds."""

import copy
import functools
import pickle

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, KFold

from nrsfm_learn import PAUL, AutoDecoderLifter, _training, load
from nrsfm_learn.base import Observations
from nrsfm_learn.datasets import make_low_rank
from nrsfm_learn.deep import _free_codes
from nrsfm_learn.deep._frames import image_gain
from nrsfm_learn.metrics import normalized_error

SMALL = {
    "n_components": 2,
    "widths": [16, 8],
    "encoder_width": 24,
    "max_iter": 25,
    "batch_size": 16,
    "random_state": 0,
    "device": "cpu",
}
CAMERAS = ["orthographic", "weak_perspective", "perspective"]
MANY = {"n_init": 4, "rung_iter": 6}
VARIANTS = {
    "encoder": {},
    "free": {"codes": "free"},
    "deep_nrsfm": {"encoder": "deep_nrsfm"},
}


def make_model(cls=PAUL, **settings):
    return cls(**{**SMALL, **settings})


def make_data(camera="orthographic", missing=0.15, **settings):
    settings = {"n_frames": 30, "n_points": 9, "rank": 2, "random_state": 0, **settings}
    image = {} if camera == "orthographic" else {"image_size": (640, 480)}
    return make_low_rank(camera=camera, missing=missing, **image, **settings)


def side_of(data, camera):
    return {"intrinsics": data.intrinsics} if camera == "perspective" else {}


@functools.cache
def _fitted(camera, missing, settings):
    data = make_data(camera, missing)
    model = make_model(camera=camera, **dict(settings))
    return model.fit(data.W, **side_of(data, camera)), data


def fitted(camera="orthographic", missing=0.15, **settings):
    """A fit of a few iterations, shared by the tests that only look at it."""
    model, data = _fitted(camera, missing, tuple(sorted({"max_iter": 8, **settings}.items())))
    return copy.copy(model), data


@pytest.fixture(scope="module", autouse=True)
def few_steps():
    """Few steps to the codes of frames: how good they are is the matter of another file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_free_codes, "_N_STEPS", 5)
        yield


@pytest.fixture(scope="module")
def data():
    return make_data()


@pytest.fixture(scope="module")
def model(data):
    return make_model().fit(data.W)


@pytest.fixture(scope="module")
def many(data):
    return make_model(**MANY).fit(data.W)


def assert_same_fit(first, second):
    np.testing.assert_array_equal(first.loss_curve_, second.loss_curve_)
    np.testing.assert_array_equal(first.reconstruction_, second.reconstruction_)
    assert first.inits_ == second.inits_
    assert len(first.runners_up_) == len(second.runners_up_)
    pairs = [(first.module_, second.module_), *zip(first.runners_up_, second.runners_up_)]  # noqa: B905
    for a, b in pairs:
        for p, q in zip(a.parameters(), b.parameters(), strict=True):
            assert torch.equal(p, q)


def error(data, X):
    return normalized_error(data.X, X, protocol="procrustes")


# -- learning


@pytest.mark.parametrize("cls", [PAUL, AutoDecoderLifter])
def test_learns_low_rank_shapes(cls):
    data = make_data(missing=0.05, n_frames=60)
    settings = {"batch_size": 60, "learning_rate": 5e-3, "widths": [32, 16], "encoder_width": 64}
    before, after = (make_model(cls, **{**settings, "max_iter": n}).fit(data.W) for n in (1, 150))
    assert after.loss_curve_[-10:].mean() < 0.5 * after.loss_curve_[:10].mean()
    assert error(data, after.reconstruction_) < 0.75 * error(data, before.reconstruction_)


# -- what is there after fit


@pytest.mark.parametrize("missing", [0.0, 0.15])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("camera", CAMERAS)
def test_attributes_compose_to_the_reconstruction(camera, variant, missing):
    model, data = fitted(camera, missing, **VARIANTS[variant])
    F, P = data.visible.shape
    X, S, R, t, s = (
        model.reconstruction_,
        model.shapes_,
        model.rotations_,
        model.translations_,
        model.scales_,
    )
    assert (X.shape, S.shape, R.shape, t.shape, s.shape) == (
        (F, P, 3),
        (F, P, 3),
        (F, 3, 3),
        (F, 3),
        (F,),
    )
    assert model.codes_.shape == (F, 2)
    assert (model.n_components_, model.n_points_in_, model.n_iter_) == (2, P, 8)
    for f in range(F):
        size = np.abs(X[f] - t[f]).max()
        np.testing.assert_allclose(X[f], s[f] * S[f] @ R[f].T + t[f], atol=1e-4 * size)
        np.testing.assert_allclose(R[f] @ R[f].T, np.eye(3), atol=1e-5)
        assert np.linalg.det(R[f]) > 0
    assert np.abs(S.mean(1)).max() < 1e-4 * np.abs(S).max()
    if camera != "weak_perspective":
        np.testing.assert_allclose(s, 1, rtol=1e-6)
    else:
        assert s.std() > 0.01 * s.mean()
        # As large as their boxes say, but for the one constant of the data set.
        gain, _ = image_gain(Observations(data.W, data.visible), camera, "box_max")
        np.testing.assert_allclose(s * gain, np.median(gain), rtol=1e-5)
    assert np.isfinite(X).all()


@pytest.mark.parametrize("missing", [0.0, 0.15])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("camera", CAMERAS)
def test_observed_points_reproject_exactly(camera, variant, missing):
    model, data = fitted(camera, missing, **VARIANTS[variant])
    W = model.inverse_transform(model.reconstruction_)
    size = np.nanstd(data.W)
    np.testing.assert_allclose(W[data.visible], data.W[data.visible], atol=1e-4 * size)
    model.set_params(keep_observed=False)
    W = model.inverse_transform(model.transform(data.W))
    assert np.abs(W - data.W)[data.visible].max() > 0.01 * size


@pytest.mark.parametrize("variant", ["encoder", "deep_nrsfm"])
@pytest.mark.parametrize("camera", CAMERAS)
def test_transform_of_the_fitted_frames_is_the_reconstruction(camera, variant):
    model, data = fitted(camera, **VARIANTS[variant])
    X = model.transform(data.W)
    np.testing.assert_allclose(X, model.reconstruction_, atol=1e-4 * np.nanstd(data.W))
    # In other batches too.
    np.testing.assert_allclose(model.transform(data.W[5:9]), X[5:9], atol=1e-3 * np.nanstd(X))


@pytest.mark.parametrize("camera", CAMERAS)
def test_free_codes_reconstruct_the_fitted_frames(camera):
    model, data = fitted(camera, codes="free")
    X = model.transform(data.W)
    np.testing.assert_allclose(X, model.reconstruction_, atol=1e-4 * np.nanstd(data.W))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("camera", CAMERAS)
def test_unseen_frames(camera, variant):
    model, _ = fitted(camera, **VARIANTS[variant])
    other = make_data(camera, n_frames=5, rank=2, random_state=1)
    found = model.lift(other.W)
    assert found.X.shape == (5, 9, 3)
    assert found.codes.shape == (5, 2)
    assert np.isfinite(found.X).all()
    W = model.inverse_transform(found.X)
    np.testing.assert_allclose(
        W[other.visible], other.W[other.visible], atol=1e-4 * np.nanstd(other.W)
    )
    # One frame alone is lifted like that frame among others.
    np.testing.assert_allclose(
        model.transform(other.W[2:3])[0], found.X[2], atol=1e-3 * np.nanstd(found.X)
    )


def test_units_of_the_input_are_units_of_the_output(data, model):
    # A power of two rounds nothing: what training would make of rounding is another matter.
    bigger = make_model().fit(1024 * data.W)
    np.testing.assert_allclose(bigger.reconstruction_, 1024 * model.reconstruction_, rtol=1e-5)
    np.testing.assert_array_equal(bigger.loss_curve_, model.loss_curve_)
    expected = 1024 * model.decode(model.codes_)
    np.testing.assert_allclose(bigger.decode(model.codes_), expected, rtol=1e-5)


def test_pixels_with_intrinsics_are_the_unit_plane():
    data = make_data("perspective")
    K = data.intrinsics
    on_plane = (data.W - K[:2, 2]) / K[[0, 1], [0, 1]]
    first = make_model(camera="perspective").fit(data.W, intrinsics=K)
    second = make_model(camera="perspective").fit(on_plane)
    np.testing.assert_allclose(first.reconstruction_, second.reconstruction_, rtol=1e-3, atol=1e-3)


def test_float32_and_float64(data):
    single, double = (make_model().fit(data.W.astype(t)) for t in (np.float32, np.float64))
    assert single.reconstruction_.dtype == np.float32
    assert double.reconstruction_.dtype == np.float64
    np.testing.assert_allclose(single.reconstruction_, double.reconstruction_, atol=1e-2)


def test_mask_is_the_same_as_nan(data, model):
    W = np.where(data.visible[..., None], data.W, 1e6)
    masked = make_model().fit(W, mask=data.visible)
    np.testing.assert_array_equal(masked.reconstruction_, model.reconstruction_)


def test_frames_that_are_too_poor_are_left_out(data):
    W = data.W.copy()
    W[[3, 20]] = np.nan
    with pytest.warns(UserWarning, match="frame"):
        model = make_model(codes="free", max_iter=5).fit(W)
    bad = np.isnan(model.reconstruction_).all((1, 2))
    assert np.flatnonzero(bad).tolist() == [3, 20]
    shapes, codes = model.sample(4, random_state=0)
    assert np.isfinite(shapes).all()
    assert np.isfinite(codes).all()


def test_weights_reach_the_objective(data):
    weights = np.random.default_rng(0).uniform(0.1, 1, size=data.visible.shape)
    plain, weighted = (
        make_model(max_iter=3, **s).fit(data.W, **w)
        for s, w in (({}, {}), ({}, {"weights": weights}))
    )
    assert plain.loss_curve_[0] != weighted.loss_curve_[0]


# -- codes


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("camera", CAMERAS)
def test_decode_gives_the_canonical_shapes(camera, variant):
    model, data = fitted(camera, **VARIANTS[variant])
    found = model.set_params(keep_observed=False).lift(data.W)
    S = model.decode(found.codes)
    np.testing.assert_allclose(S, found.shapes, atol=1e-4 * np.abs(S).max())
    between = model.decode(model.codes_[:3] / 2 + model.codes_[3:6] / 2)
    assert between.shape == (3, 9, 3)
    np.testing.assert_allclose(between.mean(1), 0, atol=1e-5 * np.abs(S).max())
    assert model.decode(model.codes_[:0]).shape == (0, 9, 3)
    assert model.decode(model.codes_[:1].tolist()).shape == (1, 9, 3)


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (np.zeros((3, 5)), r"codes must have shape \(n_codes, 2\).*got \(3, 5\)"),
        (np.zeros(2), r"codes must have shape \(n_codes, 2\).*got \(2,\)"),
        (np.array([[0, 0], [1, np.nan]]), r"codes\[1\] is not finite"),
        (np.array([[0, np.inf]]), r"codes\[0\] is not finite"),
    ],
)
def test_bad_codes(model, codes, message):
    with pytest.raises(ValueError, match=message):
        model.decode(codes)


def test_samples(model):
    shapes, codes = model.sample(300, random_state=0)
    assert shapes.shape == (300, 9, 3)
    assert codes.shape == (300, 2)
    np.testing.assert_allclose(shapes, model.decode(codes))
    # From where the codes of the data are, and from all of it alike.
    mean, deviation = model.codes_.mean(0), model.codes_.std(0)
    assert (np.abs(codes.mean(0) - mean) < 0.4 * deviation).all()
    np.testing.assert_allclose(codes.std(0), deviation, rtol=0.35)
    assert (np.abs(codes[:150].mean(0) - codes[150:].mean(0)) < 0.6 * deviation).all()
    again = model.sample(300, random_state=0)[1]
    np.testing.assert_array_equal(again, codes)
    assert not np.array_equal(model.sample(300, random_state=1)[1], codes)
    assert model.sample()[0].shape == (1, 9, 3)
    assert model.sample(2, n_mixtures=1000, random_state=0)[0].shape == (2, 9, 3)


def test_samples_leave_the_global_generator_alone(model):
    np.random.seed(3)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    model.sample(3, random_state=0)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_unfitted():
    for call in (lambda m: m.decode([[0, 0]]), lambda m: m.sample(2)):
        with pytest.raises(NotFittedError):
            call(make_model())


# -- starts


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("camera", ["orthographic", "perspective"])
def test_records_of_the_starts(camera, variant):
    model, data = fitted(camera, **MANY, max_iter=25, **VARIANTS[variant])
    assert len(model.inits_) == 4
    assert len({r["seed"] for r in model.inits_}) == 4
    assert sorted(r["rung"] for r in model.inits_) == [0, 0, 1, 2]
    assert sorted(r["n_iter"] for r in model.inits_) == [6, 6, 12, 25]
    (chosen,) = (r for r in model.inits_ if r["chosen"])
    assert chosen["rung"] == 2
    assert all(
        np.isfinite([r["loss"], r["score"], r["neighbor_distance"]]).all() for r in model.inits_
    )
    assert len(model.runners_up_) == 3
    # Networks that differ, and lift.
    X = model.transform(data.W)
    for module in model.runners_up_:
        other = copy.copy(model)
        other.module_ = module
        assert np.abs(other.transform(data.W) - X).max() > 0.01 * np.nanstd(X)


def alone(model, data, **settings):
    """A fit of the chosen start of a model, on its own."""
    number = next(n for n, r in enumerate(model.inits_) if r["chosen"])
    single = copy.deepcopy(model).set_params(n_init=1, **settings)
    seed = model.inits_[number]["seed"]
    build = single._build_module
    single._build_module = lambda _=0: build(seed)
    return single.fit(data.W)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_one_after_the_other_the_chosen_run_is_bit_for_bit_the_one_alone(data, monkeypatch, seed):
    monkeypatch.setattr(PAUL, "_trains_together", False)
    settings = {"rigidity_weight": 0.5, "cycle_weight": 0.5}
    model = make_model(**MANY, random_state=seed, **settings).fit(data.W)
    single = alone(model, data)
    np.testing.assert_array_equal(model.loss_curve_, single.loss_curve_)
    np.testing.assert_array_equal(model.reconstruction_, single.reconstruction_)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_together_the_chosen_run_is_the_one_alone_up_to_rounding(data, seed):
    settings = {"rigidity_weight": 0.5, "cycle_weight": 0.5}
    model = make_model(**MANY, random_state=seed, **settings).fit(data.W)
    assert model._trains_together
    single = alone(model, data)
    np.testing.assert_allclose(model.loss_curve_, single.loss_curve_, rtol=2e-3)
    scale = np.nanstd(data.W)
    assert np.median(np.abs(model.reconstruction_ - single.reconstruction_)) < 1e-3 * scale


def test_the_first_start_is_that_of_a_fit_with_one(data):
    seeds = [make_model(n_init=n).fit(data.W).inits_[0]["seed"] for n in (1, 2, 4)]
    assert len(set(seeds)) == 1


def test_one_start(model):
    (record,) = model.inits_
    assert record["chosen"]
    assert len(model.runners_up_) == 0


def test_automatic_starts_are_for_runs_that_are_long_enough(data, monkeypatch):
    counts = []

    class Stop(Exception):
        pass

    def train_starts(starts, *_, **__):
        counts.append(len(starts))
        raise Stop

    monkeypatch.setattr("nrsfm_learn.deep._base.train_starts", train_starts)
    for max_iter in (999, 1000):
        with pytest.raises(Stop):
            make_model(n_init="auto", max_iter=max_iter).fit(data.W)
    assert counts[0] == 1
    assert counts[1] > 1


@pytest.mark.parametrize(
    "criterion", ["auto", "neighbor_distance", "cycle", "hidden_keypoints", "loss"]
)
@pytest.mark.parametrize("variant", VARIANTS)
def test_start_criteria(data, variant, criterion):
    settings = {**MANY, "max_iter": 15, "rung_iter": 4, "start_criterion": criterion}
    model = make_model(**settings, **VARIANTS[variant]).fit(data.W)
    first = [r for r in model.inits_ if r["rung"] == 0]
    others = [r for r in model.inits_ if r["rung"] > 0]
    assert len(first) == 2
    assert all(np.isfinite(r["score"]) for r in model.inits_)
    last = [r for r in others if r["rung"] >= 1]
    chosen = next(r for r in last if r["chosen"])
    assert chosen["score"] == min(r["score"] for r in last)
    if criterion not in ("auto", "loss"):
        assert chosen[criterion] == chosen["score"]


# -- interrupts and checkpoints


@pytest.fixture
def at_iteration(monkeypatch):
    def plan(number, act):
        rate = _training.learning_rate_at

        def learning_rate_at(iteration, options):
            if iteration == number:
                act()
            return rate(iteration, options)

        monkeypatch.setattr(_training, "learning_rate_at", learning_rate_at)

    return plan


def press_ctrl_c():
    raise KeyboardInterrupt


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("at", [0, 3, 9, 20])
def test_interrupt_within_a_rung_leaves_a_usable_estimator(data, at_iteration, variant, at):
    at_iteration(at, press_ctrl_c)
    with pytest.warns(ConvergenceWarning, match=f"after {at} of 25 iterations"):
        model = make_model(**MANY, **VARIANTS[variant]).fit(data.W)
    assert model.stop_reason_ == "interrupted"
    assert model.n_iter_ == len(model.loss_curve_) == at
    assert sum(r["chosen"] for r in model.inits_) == 1
    assert np.isfinite(model.transform(data.W)).all()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"codes": "free"},
        {"encoder": "deep_nrsfm"},
        {"start_criterion": "cycle"},
        {"start_criterion": "hidden_keypoints"},
        {"rigidity_weight": 0.5, "cycle_weight": 0.5, "hide_fraction": 0.3},
        {"n_init": 1},
    ],
    ids=str,
)
def test_resumed_fit_ends_bit_for_bit_the_same(data, at_iteration, monkeypatch, tmp_path, settings):
    settings = {**MANY, **settings}
    whole = make_model(**settings).fit(data.W)
    for at in (5, 9):
        folder = {"checkpoint_dir": tmp_path / str(at), "checkpoint_every": 4}
        with monkeypatch.context():
            at_iteration(at, press_ctrl_c)
            with pytest.warns(ConvergenceWarning):
                make_model(**settings, **folder).fit(data.W)
            monkeypatch.undo()
        assert_same_fit(make_model(**settings, **folder).fit(data.W), whole)


# -- warm start


@pytest.mark.parametrize("variant", VARIANTS)
def test_warm_start_goes_on_with_one_start(data, variant):
    model = make_model(**MANY, warm_start=True, **VARIANTS[variant]).fit(data.W)
    assert len(model.inits_) == 4
    present = [p.detach().clone() for p in model.module_.parameters()]
    model.set_params(max_iter=1, learning_rate=1e-9).fit(data.W)
    assert len(model.inits_) == 1
    assert len(model.runners_up_) == 0
    for p, was in zip(model.module_.parameters(), present, strict=True):
        torch.testing.assert_close(p, was, rtol=0, atol=1e-7)


def test_warm_start_refuses_other_sizes(data):
    model = make_model(max_iter=2, warm_start=True).fit(data.W)
    X = model.transform(data.W)
    for setting in ({"n_components": 3}, {"widths": [8]}, {"codes": "free"}):
        given = {name: getattr(model, name) for name in setting}
        with pytest.raises(ValueError, match=r"(?s)other points, sizes or settings"):
            model.set_params(**setting).fit(data.W)
        model.set_params(**given)
        np.testing.assert_array_equal(model.transform(data.W), X)


# -- persistence


@pytest.mark.parametrize("n_init", [1, 4])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("camera", ["orthographic", "perspective"])
def test_save_and_load(camera, variant, n_init, tmp_path):
    model, data = fitted(camera, n_init=n_init, rung_iter=2, **VARIANTS[variant])
    path = tmp_path / "model.safetensors"
    model.save(path)
    for loaded in (PAUL.load(path), load(path)):
        assert type(loaded) is PAUL
        assert loaded.inits_ == model.inits_
        np.testing.assert_array_equal(loaded.transform(data.W), model.transform(data.W))
        np.testing.assert_array_equal(loaded.decode(model.codes_), model.decode(model.codes_))
        np.testing.assert_array_equal(
            loaded.sample(3, random_state=0)[0], model.sample(3, random_state=0)[0]
        )
        assert len(loaded.runners_up_) == len(model.runners_up_) == n_init - 1
        for a, b in zip(
            loaded.runners_up_.parameters(), model.runners_up_.parameters(), strict=True
        ):
            assert torch.equal(a, b)


@pytest.mark.parametrize("n_init", [1, 4])
@pytest.mark.parametrize("variant", VARIANTS)
def test_pickle(data, variant, n_init):
    settings = {"max_iter": 8, "n_init": n_init, "rung_iter": 2}
    model = make_model(**settings, **VARIANTS[variant]).fit(data.W)
    for copied in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert_same_fit(copied, model)
        np.testing.assert_array_equal(copied.transform(data.W), model.transform(data.W))


# -- model selection


def test_grid_search_over_the_length_of_codes(data):
    search = GridSearchCV(
        make_model(max_iter=5), {"n_components": [1, 3]}, cv=KFold(2), error_score="raise"
    )
    search.fit(data.W)
    assert search.best_params_["n_components"] in (1, 3)
    assert search.best_estimator_.n_components_ == search.best_params_["n_components"]
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.predict(data.W).shape == (30, 9, 3)


# -- settings


@pytest.mark.parametrize(
    "setting",
    [
        {"n_components": 0},
        {"n_components": "many"},
        {"codes": "random"},
        {"encoder": "cnn"},
        {"encoder_width": 0},
        {"camera": "fisheye"},
        {"code_weight": -1.0},
        {"decay_weight": -1.0},
        {"rigidity_weight": -0.1},
        {"cycle_weight": "yes"},
        {"hide_fraction": 1.0},
        {"keep_observed": 2},
        {"n_refine_steps": -1},
        {"scale_method": "box"},
        {"n_init": 0},
        {"halving_factor": 1},
        {"rung_iter": 0},
        {"start_criterion": "luck"},
        {"preset": "fast"},
    ],
    ids=str,
)
def test_settings_out_of_range(data, setting):
    (name,) = setting
    with pytest.raises(ValueError, match=f"'{name}' parameter of PAUL"):
        make_model(**setting).fit(data.W)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"widths": [8, 0]}, r"widths must be positive integers; got \[8, 0\]"),
        ({"widths": [8.5]}, "widths must be positive integers"),
        ({"codes": "free", "cycle_weight": 1.0}, r"cycle_weight=1.0.*free codes have no encoder"),
    ],
)
def test_settings_that_do_not_go_together(data, settings, message):
    with pytest.raises(ValueError, match=message):
        make_model(**settings).fit(data.W)


def test_inputs_that_do_not_fit(data, model):
    with pytest.raises(ValueError, match="intrinsics"):
        make_model().fit(data.W, intrinsics=np.eye(3))
    with pytest.raises(ValueError, match="9"):
        model.transform(data.W[:, :8])
    pixels = make_data("perspective")
    with pytest.raises(ValueError, match=r"looks like pixels.*intrinsics"):
        make_model(camera="perspective").fit(pixels.W)


def test_regularisers_reach_the_objective(data):
    def first_loss(**settings):
        return make_model(max_iter=1, hide_fraction=0.0, **settings).fit(data.W).loss_curve_[0]

    off = {"code_weight": 0.0, "decay_weight": 0.0, "rigidity_weight": 0.0, "cycle_weight": 0.0}
    plain = first_loss(**off)
    for name in off:
        assert first_loss(**{**off, name: 1.0}) > plain + 1e-3


def test_hiding_is_for_data_with_missing_keypoints(monkeypatch):
    fractions = []
    hidden = "nrsfm_learn.deep._paul.ProcrusteanObjective.__init__"
    from nrsfm_learn.deep._procrustean_objective import ProcrusteanObjective

    init = ProcrusteanObjective.__init__

    def spy(self, *args, **kwargs):
        fractions.append(kwargs["hide_fraction"])
        init(self, *args, **kwargs)

    monkeypatch.setattr(hidden, spy)
    for missing, given in ((0.0, "auto"), (0.2, "auto"), (0.2, 0.1), (0.0, 0.4)):
        make_model(max_iter=1, hide_fraction=given).fit(make_data(missing=missing).W)
    assert fractions == [0.0, 0.3, 0.1, 0.4]
