"""Deep NRSfM++ as an estimator, on data small enough to learn in seconds."""

import copy
import itertools

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning

from nrsfm_learn import DeepNRSfMPP, _training
from nrsfm_learn.datasets import (
    load_cmu_joints,
    make_articulated_body,
    make_low_rank,
    make_rigid_category,
)
from nrsfm_learn.deep._frames import image_gain
from nrsfm_learn.deep.nn import HierarchicalBlockSparseLifter
from nrsfm_learn.metrics import normalized_error

SMALL = {"dictionary_sizes": [32, 16, 4], "batch_size": 32, "device": "cpu", "random_state": 0}
FAST = {**SMALL, "learning_rate": 3e-3, "random_state": 1}


def error(data, X):
    return normalized_error(data.X, X, protocol="procrustes")


def spread(W, visible):
    """Root mean square distance of the visible keypoints from their frame's mean."""
    shown = np.where(visible[..., None], W, np.nan)
    centered = shown - np.nanmean(shown, axis=1, keepdims=True)
    return np.sqrt(np.nanmean(np.sum(centered**2, axis=-1)))


def reprojection(model, data):
    """Root mean square reprojection error at visible keypoints, over their spread."""
    W = model.inverse_transform(model.reconstruction_)
    squares = np.sum((W - data.W) ** 2, axis=-1)[data.visible]
    return np.sqrt(squares.mean()) / spread(data.W, data.visible)


@pytest.fixture(scope="module")
def data():
    return make_low_rank(n_frames=80, n_points=12, rank=2, missing=0.1, random_state=0)


@pytest.fixture(scope="module")
def complete():
    return make_low_rank(n_frames=80, n_points=12, rank=2, random_state=0)


@pytest.fixture(scope="module")
def model(data):
    return DeepNRSfMPP(max_iter=150, **FAST).fit(data.W)


@pytest.fixture(scope="module")
def camera_data():
    return {
        camera: make_low_rank(
            n_frames=60,
            n_points=12,
            rank=2,
            camera=camera,
            image_size=(640, 480),
            missing=0.1,
            random_state=0,
        )
        for camera in ("weak_perspective", "perspective")
    }


@pytest.fixture(scope="module")
def perspective_model(camera_data):
    data = camera_data["perspective"]
    model = DeepNRSfMPP(camera="perspective", max_iter=150, **FAST)
    return model.fit(data.W, intrinsics=data.intrinsics)


# -- learning


def test_learns_low_rank_shapes(data, model):
    before = DeepNRSfMPP(max_iter=5, **FAST).fit(data.W)
    assert error(data, before.reconstruction_) > 0.7
    assert error(data, model.reconstruction_) < 0.4
    assert model.score(data.W) > 0.6 > 0.2 > before.score(data.W)
    assert model.loss_curve_[-20:].mean() < 0.6 * model.loss_curve_[:20].mean()


def test_learns_an_articulated_body():
    body = make_articulated_body(100, motion="walk", random_state=0)
    settings = {**FAST, "dictionary_sizes": [64, 32, 8]}
    before, after = (
        DeepNRSfMPP(max_iter=n, **settings).fit(body.W).reconstruction_ for n in (5, 120)
    )
    assert error(body, before) > 0.7
    assert error(body, after) < 0.5


def test_lifts_frames_that_it_has_not_seen(data, model):
    other = make_low_rank(n_frames=160, n_points=12, rank=2, missing=0.1, random_state=0)
    # The same basis is drawn first; motion and cameras differ.
    unseen = other.basis @ np.eye(3)
    np.testing.assert_allclose(unseen, data.basis)
    assert error(other, model.transform(other.W)) < 0.5


def test_real_motion_capture(data_dir):
    body = load_cmu_joints(18, data_dir)
    settings = {**FAST, "dictionary_sizes": [64, 32, 8], "batch_size": 64}
    model = DeepNRSfMPP(max_iter=120, **settings).fit(body.W)
    # Without training it is 1; the defaults are to end below 0.08.
    assert error(body, model.reconstruction_) < 0.55
    assert model.score(body.W) > 0.6


@pytest.mark.parametrize(("views", "occlusion"), [("random", "random"), ("upright", "self")])
def test_learns_a_rigid_category_in_perspective(views, occlusion):
    cars, others = (
        make_rigid_category(
            200,
            category="car",
            camera="perspective",
            image_size=(640, 480),
            views=views,
            occlusion=occlusion,
            random_state=seed,
        )
        for seed in (0, 1)
    )
    settings = {**FAST, "camera": "perspective", "batch_size": 64}
    before, model = (
        DeepNRSfMPP(max_iter=n, **settings).fit(cars.W, intrinsics=cars.intrinsics)
        for n in (5, 100)
    )
    assert error(cars, before.reconstruction_) > 0.7
    # No reflection is allowed: perspective tells the two apart.
    assert error(cars, model.reconstruction_) < 0.2
    unseen = model.transform(others.W, intrinsics=others.intrinsics)
    assert error(others, unseen) < 0.2
    assert (unseen[..., 2] > 0).all()
    assert reprojection(model, cars) < 0.2 < 0.5 * reprojection(before, cars)


# -- what a fit leaves behind


def test_shapes_of_the_attributes(data, model):
    F, P = data.visible.shape
    assert model.reconstruction_.shape == model.shapes_.shape == (F, P, 3)
    assert model.rotations_.shape == (F, 3, 3)
    assert model.translations_.shape == (F, 3)
    assert model.scales_.shape == (F,)
    assert model.codes_.shape == (F, 4)
    assert model.dictionary_.shape == (P, 3, 32)
    assert model.dictionary_sizes_ == [32, 16, 4]
    assert np.abs(model.dictionary_.mean(0)).max() < 1e-6
    assert np.abs(model.shapes_.mean(1)).max() < 1e-5 * np.abs(model.shapes_).max()


@pytest.mark.parametrize("camera", ["orthographic", "weak_perspective", "perspective"])
def test_attributes_compose_to_the_reconstruction(camera, data, camera_data):
    data = camera_data.get(camera, data)
    K = data.intrinsics if camera == "perspective" else None
    model = DeepNRSfMPP(camera=camera, max_iter=20, **SMALL).fit(data.W, intrinsics=K)
    R = model.rotations_
    np.testing.assert_allclose(R @ R.swapaxes(1, 2), np.broadcast_to(np.eye(3), R.shape), atol=1e-5)
    np.testing.assert_allclose(np.linalg.det(R), 1, atol=1e-5)
    X = model.shapes_ @ R.swapaxes(1, 2) * model.scales_[:, None, None]
    X = X + model.translations_[:, None]
    scale = np.abs(model.reconstruction_).max()
    np.testing.assert_allclose(X, model.reconstruction_, atol=1e-5 * scale)
    assert (model.scales_ > 0).all()
    if camera == "orthographic":
        np.testing.assert_array_equal(model.scales_, 1)
    if camera != "perspective":
        assert not model.translations_[:, 2].any()
        shown = np.where(data.visible[..., None], model.reconstruction_[..., :2] - data.W, np.nan)
        np.testing.assert_allclose(np.nanmean(shown, axis=1), 0, atol=1e-5 * scale)


@pytest.mark.parametrize("camera", ["orthographic", "weak_perspective", "perspective"])
def test_transform_of_the_fitted_frames_is_the_reconstruction(camera, data, camera_data):
    data = camera_data.get(camera, data)
    K = data.intrinsics if camera == "perspective" else None
    rounds = 0 if camera == "orthographic" else 2
    model = DeepNRSfMPP(camera=camera, scale_correction=rounds, max_iter=10, **SMALL)
    X = model.fit_transform(data.W, intrinsics=K)
    np.testing.assert_array_equal(X, model.reconstruction_)
    np.testing.assert_array_equal(model.transform(data.W), X)
    garbage = np.where(data.visible[..., None], data.W, 1e9)
    np.testing.assert_array_equal(model.transform(garbage, data.visible), X)
    some = model.transform(data.W[10:20])
    np.testing.assert_allclose(some, X[10:20], atol=1e-4 * np.abs(X).max())


def test_rotating_the_image_rotates_the_reconstruction(data, model):
    c, s = np.cos(0.7), np.sin(0.7)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    assert model.__sklearn_tags__().nrsfm_tags.equivariant
    turned = model.transform(data.W @ turn[:2, :2].T)
    expected = model.reconstruction_ @ turn.T
    assert np.abs(turned - expected).max() < 1e-4 * np.abs(expected).max()


def test_units_of_the_input_are_units_of_the_output(data):
    settings = {"max_iter": 20, **SMALL}
    X = DeepNRSfMPP(**settings).fit_transform(data.W)
    pixels = DeepNRSfMPP(**settings).fit_transform(data.W * 250 + [320, 240])
    np.testing.assert_allclose(pixels - [320, 240, 0], X * 250, atol=1e-2 * np.abs(X).max() * 250)


# -- perspective


def test_perspective_reconstruction_projects_onto_the_keypoints(camera_data, perspective_model):
    data, model = camera_data["perspective"], perspective_model
    before = DeepNRSfMPP(camera="perspective", max_iter=5, **FAST)
    before.fit(data.W, intrinsics=data.intrinsics)
    assert reprojection(model, data) < 0.4
    assert reprojection(model, data) < 0.5 * reprojection(before, data)
    assert error(data, model.reconstruction_) < 0.4
    assert (model.reconstruction_[..., 2] > 0).all()
    # The projection of inverse_transform, written out.
    x = model.reconstruction_ @ data.intrinsics.T
    np.testing.assert_allclose(
        model.inverse_transform(model.reconstruction_), x[..., :2] / x[..., 2:], rtol=1e-6
    )


def test_pixels_with_intrinsics_are_the_unit_plane(camera_data):
    data = camera_data["perspective"]
    K = data.intrinsics
    unit = (data.W - K[:2, 2]) / np.diag(K)[:2]
    model = DeepNRSfMPP(camera="perspective", max_iter=20, **SMALL)
    expected = model.fit_transform(data.W, intrinsics=K)
    pixels = model.inverse_transform(expected)
    found = model.fit_transform(unit)
    assert model.intrinsics_ is None
    np.testing.assert_allclose(found, expected, atol=1e-3 * np.abs(expected).max())
    on_plane = (pixels - K[:2, 2]) / np.diag(K)[:2]
    np.testing.assert_allclose(model.inverse_transform(found), on_plane, atol=1e-2)


def test_pixels_without_intrinsics_are_refused(camera_data, perspective_model):
    data = camera_data["perspective"]
    with pytest.raises(ValueError, match=r"W looks like pixels.*[Pp]ass intrinsics=K to fit"):
        DeepNRSfMPP(camera="perspective", max_iter=1, **SMALL).fit(data.W)
    # A model that knows its camera needs no reminder.
    assert np.isfinite(perspective_model.transform(data.W)).all()
    K = data.intrinsics
    unit = (data.W - K[:2, 2]) / np.diag(K)[:2]
    model = DeepNRSfMPP(camera="perspective", max_iter=1, **SMALL).fit(unit)
    with pytest.raises(ValueError, match="W looks like pixels"):
        model.transform(data.W)
    # Parallel cameras have no unit plane to be on.
    for camera in ("orthographic", "weak_perspective"):
        DeepNRSfMPP(camera=camera, max_iter=1, **SMALL).fit(data.W)


def test_boxes_set_the_depth(camera_data):
    data = camera_data["perspective"]
    K = data.intrinsics
    size = np.linspace(100, 400, 60)
    center = np.nanmean(data.W, axis=1)
    boxes = np.hstack([center - size[:, None] / 2, center + size[:, None] / 2])
    model = DeepNRSfMPP(camera="perspective", max_iter=5, **SMALL)
    model.fit(data.W, intrinsics=K, boxes=boxes)
    # The depth of the centre is inversely proportional to the box.
    product = model.translations_[:, 2] * size
    np.testing.assert_allclose(product, product[0], rtol=1e-4)
    without = model.transform(data.W)
    with_boxes = model.transform(data.W, boxes=boxes)
    np.testing.assert_array_equal(with_boxes, model.reconstruction_)
    assert np.abs(without - with_boxes).max() > 0.1


# -- weak perspective and the correction of its scale


def test_weak_perspective_scales_are_the_boxes(camera_data):
    data = camera_data["weak_perspective"]
    model = DeepNRSfMPP(camera="weak_perspective", max_iter=5, **SMALL).fit(data.W)
    edges = np.nanmax(data.W, axis=1) - np.nanmin(data.W, axis=1)
    ratio = model.scales_ / edges.max(1)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)
    assert np.median(model.scales_) == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize("camera", ["weak_perspective", "perspective"])
@pytest.mark.parametrize("bones", [None, [(0, 1), (2, 3)]])
def test_scale_correction_rounds(camera, bones, camera_data):
    data = camera_data[camera]
    K = data.intrinsics if camera == "perspective" else None
    settings = {"camera": camera, "bones": bones, "max_iter": 20, **SMALL}
    plain = DeepNRSfMPP(**settings).fit(data.W, intrinsics=K)
    model = DeepNRSfMPP(scale_correction=2, **settings).fit(data.W, intrinsics=K)
    # A whole run, and two of half as many iterations that go on from it.
    assert model.n_iter_ == len(model.loss_curve_) == 20 + 10 + 10
    np.testing.assert_array_equal(model.loss_curve_[:20], plain.loss_curve_)
    assert not np.allclose(model.translations_, plain.translations_)

    def gain_of(m):
        if camera == "perspective":
            return m.translations_[:, 2]
        return m.gain_reference_ / m.scales_

    unit = (data.W - K[:2, 2]) / np.diag(K)[:2] if K is not None else data.W
    observations = type("Observations", (), {"W": unit, "visible": data.visible, "boxes": None})
    gain, _ = image_gain(observations, camera, "box_max", model.gain_constant_)
    np.testing.assert_allclose(gain_of(plain), gain, rtol=1e-4)
    # Each round multiplies by a factor between a half and two.
    factor = gain_of(model) / gain
    assert factor.min() >= 0.25 * (1 - 1e-4)
    assert factor.max() <= 4 * (1 + 1e-4)
    assert factor.std() > 1e-3


def test_corrected_shapes_are_more_alike_in_size(camera_data):
    data = camera_data["weak_perspective"]
    model = DeepNRSfMPP(camera="weak_perspective", max_iter=40, **FAST).fit(data.W)
    gain = model.gain_reference_ / model.scales_
    sizes = np.linalg.norm(model.shapes_, axis=(1, 2))
    model.n_corrections_, model.size_target_ = 1, np.median(sizes) * model.gain_reference_
    lift = model.lift(data.W)
    expected = gain * np.clip(np.median(sizes) / sizes, 0.5, 2)
    np.testing.assert_allclose(model.gain_reference_ / lift.scales, expected, rtol=1e-4)


# -- sizes and presets


def test_sizes_follow_k_last(data):
    model = DeepNRSfMPP(k_last=10, max_iter=1, device="cpu").fit(data.W)
    sizes = model.dictionary_sizes_
    assert sizes[-1] == 10
    assert all(below < above <= 2 * below for above, below in itertools.pairwise(sizes))
    assert model.codes_.shape == (80, 10)


def test_k_last_above_the_first_size(data):
    model = DeepNRSfMPP(k_last=700, max_iter=1, device="cpu").fit(data.W)
    assert model.dictionary_sizes_ == [700]


def test_explicit_sizes_win(data):
    for sizes in ([20, 5], (7,), np.array([9, 9, 3])):
        model = DeepNRSfMPP(k_last=3, dictionary_sizes=sizes, max_iter=1, device="cpu").fit(data.W)
        assert model.dictionary_sizes_ == list(sizes)
        assert model.dictionary_.shape == (12, 3, sizes[0])


@pytest.mark.parametrize("sizes", [[], [8, 0], [8, -1]])
def test_bad_sizes(data, sizes):
    with pytest.raises(ValueError, match="dictionary_sizes must be positive integers"):
        DeepNRSfMPP(dictionary_sizes=sizes).fit(data.W)


@pytest.mark.parametrize(("preset", "first"), [("quick", 256), ("paper", 512)])
def test_presets(data, preset, first):
    model = DeepNRSfMPP(preset=preset, max_iter=2, device="cpu", random_state=0).fit(data.W)
    assert model.dictionary_sizes_[0] == first
    assert model.dictionary_sizes_[-1] == 8
    assert np.isfinite(model.reconstruction_).all()


# -- settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"symmetry_weight": 0.1}, "needs symmetric_bones"),
        ({"symmetry_weight": 0.1, "symmetric_bones": [(0, 1)]}, r"of shape \(n, 2, 2\)"),
        ({"symmetric_bones": [((0, 1), (2, 12))]}, "names point 12, but W has points 0 to 11"),
        ({"symmetric_bones": [((0, 1), (2, -1))]}, "names point -1"),
        ({"bones": [(0, 1, 2)]}, r"bones must be integers of shape \(n, 2\)"),
        ({"bones": [(0.5, 1)]}, "bones must be integers"),
        ({"bones": [(0, 31)]}, "bones names? point 31, but W has points 0 to 11"),
        ({"bones": []}, "bones must be integers"),
        ({"scale_correction": 1}, "orthographic camera has one scale for all"),
        ({"camera": "fisheye"}, "'camera' parameter"),
        ({"k_last": 0}, "'k_last' parameter"),
        ({"cycle_weight": -1.0}, "'cycle_weight' parameter"),
        ({"hide_fraction": 1.0}, "'hide_fraction' parameter"),
        ({"activation": "tanh"}, "'activation' parameter"),
        ({"code_readout": "none"}, "'code_readout' parameter"),
        ({"preset": "slow"}, "'preset' parameter"),
        ({"n_unrolled": 0}, "'n_unrolled' parameter"),
        ({"n_solver_steps": -1}, "'n_solver_steps' parameter"),
        ({"n_unrolled": "auto"}, "'n_unrolled' parameter"),
        ({"n_completions": -1}, "'n_completions' parameter"),
        ({"n_completions": "none"}, "'n_completions' parameter"),
        ({"n_solver_steps": 1.5}, "'n_solver_steps' parameter"),
        ({"cycle_weight": "off"}, "'cycle_weight' parameter"),
    ],
)
def test_bad_settings(data, settings, message):
    with pytest.raises(ValueError, match=message):
        DeepNRSfMPP(max_iter=1, **settings).fit(data.W)


def test_parallel_cameras_take_no_intrinsics(data):
    with pytest.raises(ValueError, match="intrinsics were given"):
        DeepNRSfMPP(max_iter=1).fit(data.W, intrinsics=np.eye(3))


def first_loss(data, **settings):
    return DeepNRSfMPP(max_iter=1, **{**SMALL, "batch_size": 1000}, **settings).fit(data.W)


def test_regularisers_reach_the_objective(data):
    plain = first_loss(data, hide_fraction=0.0, cycle_weight=0.0).loss_curve_[0]
    for setting in (
        {"code_l1": 0.1},
        {"symmetry_weight": 1.0, "symmetric_bones": [((0, 1), (2, 3))]},
        {"cycle_weight": 1.0},
    ):
        settings = {"hide_fraction": 0.0, "cycle_weight": 0.0, **setting}
        assert first_loss(data, **settings).loss_curve_[0] > plain + 1e-3


@pytest.mark.parametrize(
    ("n_completions", "fraction"), [("auto", 0.0), (1, 0.0), (2, 0.0), (0, 0.3)]
)
def test_automatic_hiding_is_for_missing_data_that_is_not_completed(
    n_completions, fraction, data, complete
):
    for observed, expected in ((complete, 0.0), (data, fraction)):
        auto, hiding, showing = (
            first_loss(observed, n_completions=n_completions, hide_fraction=h).loss_curve_[0]
            for h in ("auto", 0.3, 0.0)
        )
        assert auto == (hiding if expected else showing)
        assert hiding != showing


def test_automatic_hiding_under_perspective(camera_data):
    data = camera_data["perspective"]
    auto, explicit, other = (
        DeepNRSfMPP(camera="perspective", max_iter=1, hide_fraction=h, **SMALL)
        .fit(data.W, intrinsics=data.intrinsics)
        .loss_curve_[0]
        for h in ("auto", 0.3, 0.0)
    )
    assert auto == explicit != other


def test_one_iteration_is_unrolled_unless_more_are_asked_for(data, complete):
    for observed in (data, complete):
        default, one, three = (
            first_loss(observed, **settings)
            for settings in ({}, {"n_unrolled": 1}, {"n_unrolled": 3})
        )
        assert [len(m.module_.step_sizes) for m in (default, one, three)] == [0, 0, 2]
        np.testing.assert_array_equal(default.reconstruction_, one.reconstruction_)
        assert default.loss_curve_[0] == one.loss_curve_[0] != three.loss_curve_[0]


@pytest.fixture
def completions(monkeypatch):
    """Number of completions of each call of the network."""
    calls = []
    forward = HierarchicalBlockSparseLifter.forward

    def spy(self, *args, n_completions=0, **kwargs):
        calls.append(n_completions)
        return forward(self, *args, n_completions=n_completions, **kwargs)

    monkeypatch.setattr(HierarchicalBlockSparseLifter, "forward", spy)

    def taken():
        numbers = set(calls)
        calls.clear()
        return numbers

    return taken


@pytest.mark.parametrize("camera", ["orthographic", "weak_perspective"])
def test_automatic_completions_are_for_what_is_hidden_at_hand(camera, data, complete, completions):
    everything = np.ones(complete.W.shape[:2], dtype=bool)
    some = everything.copy()
    some[7, 3] = False
    for observed, mask, expected in (
        (data.W, None, 1),
        (complete.W, None, 0),
        (complete.W, everything, 0),
        (complete.W, some, 1),
    ):
        model = DeepNRSfMPP(camera=camera, max_iter=2, **SMALL).fit(observed, mask=mask)
        assert completions() == {expected}
        assert model.n_completions == "auto"
        # Whatever the fit had to do with, these frames are lifted as they need.
        model.transform(data.W)
        assert completions() == {1}
        model.transform(complete.W)
        assert completions() == {0}
        model.transform(complete.W, some)
        assert completions() == {1}
        model.transform(complete.W[:5], some[:5])
        assert completions() == {0}


def test_no_automatic_completions_under_perspective(camera_data, completions):
    data = camera_data["perspective"]
    assert not data.visible.all()
    model = DeepNRSfMPP(camera="perspective", max_iter=2, **SMALL)
    model.fit(data.W, intrinsics=data.intrinsics)
    assert completions() == {0}
    model.transform(data.W)
    assert completions() == {0}
    model.set_params(n_completions=2).transform(data.W)
    assert completions() == {2}


@pytest.mark.parametrize("number", [0, 1, 3])
def test_explicit_completions_are_taken_wherever(number, data, complete, completions):
    for observed in (data, complete):
        model = first_loss(observed, n_completions=number)
        assert completions() == {number}
        model.transform(observed.W)
        assert completions() == {number}


def test_completions_change_frames_with_hidden_keypoints_only(data, model):
    plain = copy.deepcopy(model).set_params(n_completions=0)
    changed = np.abs(plain.transform(data.W) - model.reconstruction_).max((1, 2))
    size = np.abs(model.reconstruction_).max()
    whole = data.visible.all(1)
    assert 5 < whole.sum() < 75
    assert changed[whole].max() < 1e-5 * size
    assert changed[~whole].min() > 1e-4 * size


def test_warm_start_goes_on_with_and_without_missing_keypoints(data, complete, completions):
    for first, second, expected in ((data, complete, 0), (complete, data, 1)):
        model = first_loss(first, warm_start=True)
        completions()
        assert np.isfinite(model.fit(second.W).reconstruction_).all()
        assert completions() == {expected}


AUTOMATIC = {
    "orthographic": {"n_completions": 1, "n_solver_steps": 0, "cycle_weight": 1.0},
    "weak_perspective": {"n_completions": 1, "n_solver_steps": 0, "cycle_weight": 1.0},
    "perspective": {"n_completions": 0, "n_solver_steps": 2, "cycle_weight": 0.1},
}


@pytest.mark.parametrize("camera", list(AUTOMATIC))
@pytest.mark.parametrize("name", ["n_completions", "n_solver_steps", "cycle_weight"])
def test_automatic_settings_follow_the_camera(camera, name, data, camera_data):
    data = camera_data.get(camera, data)
    K = data.intrinsics if camera == "perspective" else None
    expected = AUTOMATIC[camera][name]
    settings = {"camera": camera, "max_iter": 5, **SMALL}
    auto, explicit, other = (
        DeepNRSfMPP(**settings, **{name: value}).fit(data.W, intrinsics=K)
        for value in ("auto", expected, expected + 1)
    )
    np.testing.assert_array_equal(auto.loss_curve_, explicit.loss_curve_)
    np.testing.assert_array_equal(auto.reconstruction_, explicit.reconstruction_)
    assert getattr(auto, name) == "auto"
    assert auto.loss_curve_[-1] != other.loss_curve_[-1]


def test_solver_steps_are_taken_in_transform_too(data, model):
    solving = copy.deepcopy(model).set_params(n_solver_steps=0)
    np.testing.assert_array_equal(solving.transform(data.W), model.reconstruction_)
    solving.reconstruction_ = solving.set_params(n_solver_steps=3).transform(data.W)
    # The decoder of a short training explains no more.
    assert reprojection(solving, data) < 0.95 * reprojection(model, data)


def test_weights_reach_the_objective(data):
    settings = {**SMALL, "max_iter": 1, "batch_size": 1000, "cycle_weight": 0.0}
    settings["hide_fraction"] = 0.0
    plain, quarter = (
        DeepNRSfMPP(**settings).fit(data.W, weights=np.full(12, w)).loss_curve_[0]
        for w in (1.0, 0.25)
    )
    assert quarter == pytest.approx(plain / 2, rel=1e-5)


# -- ends of training


@pytest.fixture
def interrupt(monkeypatch):
    """Raise KeyboardInterrupt at the n-th optimiser step."""

    def plan(number):
        steps = itertools.count()
        rate = _training.learning_rate_at

        def learning_rate_at(iteration, options):
            if next(steps) == number:
                raise KeyboardInterrupt
            return rate(iteration, options)

        monkeypatch.setattr(_training, "learning_rate_at", learning_rate_at)

    return plan


@pytest.mark.parametrize("step", [12, 35, 43])
def test_interrupt_in_any_round_leaves_a_usable_estimator(camera_data, interrupt, step):
    data = camera_data["weak_perspective"]
    interrupt(step)
    model = DeepNRSfMPP(camera="weak_perspective", scale_correction=2, max_iter=30, **SMALL)
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        model.fit(data.W)
    assert model.stop_reason_ == "interrupted"
    assert model.n_iter_ == len(model.loss_curve_) == step
    assert np.isfinite(model.reconstruction_).all()
    np.testing.assert_array_equal(model.transform(data.W), model.reconstruction_)


def test_warm_start_refuses_a_network_of_other_points(data, model):
    warm = DeepNRSfMPP(max_iter=2, warm_start=True, **SMALL).fit(data.W)
    module = warm.module_
    with pytest.raises(ValueError, match="points"):
        warm.fit(data.W[:, :10])
    with pytest.raises(ValueError, match=r"set warm_start=False"):
        warm.fit(data.W[:, :10])
    assert warm.module_ is module
    assert np.isfinite(warm.fit(data.W).reconstruction_).all()


def test_resumed_rounds_of_scale_correction(camera_data, interrupt, tmp_path, monkeypatch):
    data = camera_data["weak_perspective"]
    settings = {"camera": "weak_perspective", "scale_correction": 2, "max_iter": 20, **SMALL}
    expected = DeepNRSfMPP(**settings).fit(data.W)
    kept = {"checkpoint_dir": str(tmp_path), "checkpoint_every": 4}
    interrupt(27)
    with pytest.warns(ConvergenceWarning):
        DeepNRSfMPP(**settings, **kept).fit(data.W)
    monkeypatch.undo()
    resumed = DeepNRSfMPP(**settings, **kept).fit(data.W)
    np.testing.assert_array_equal(resumed.loss_curve_, expected.loss_curve_)
    np.testing.assert_array_equal(resumed.reconstruction_, expected.reconstruction_)
    for a, b in zip(resumed.module_.parameters(), expected.module_.parameters(), strict=True):
        assert torch.equal(a, b)
