import numpy as np
import pytest

from nrsfm_learn.metrics import e3d, mpjpe, n_mpjpe, normalized_error, pa_mpjpe, stress

METRICS = {
    "mpjpe": (mpjpe, {}),
    "n_mpjpe": (n_mpjpe, {"flip": "frame"}),
    "pa_mpjpe": (pa_mpjpe, {}),
    "stress": (stress, {}),
    "frobenius": (normalized_error, {"protocol": "frobenius", "flip": "sequence"}),
    "procrustes": (normalized_error, {"protocol": "procrustes"}),
    "e3d-none": (e3d, {"protocol": "none"}),
    "e3d-sequence": (e3d, {"protocol": "sequence"}),
    "e3d-frame": (e3d, {"protocol": "frame"}),
}


@pytest.fixture(params=METRICS)
def metric(request):
    function, options = METRICS[request.param]
    return lambda *args, **kwargs: function(*args, **options, **kwargs)


@pytest.fixture
def shapes():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(6, 7, 3))
    return X, X + 0.3 * rng.normal(size=X.shape)


def test_perfect_reconstruction_is_zero_up_to_translation(metric, shapes):
    X, _ = shapes
    shift = np.random.default_rng(1).normal(size=(6, 1, 3))
    assert metric(X, X + shift) == pytest.approx(0.0, abs=1e-12)


def test_returns_a_python_float(metric, shapes):
    assert type(metric(*shapes)) is float


def test_mask_equals_nan_in_the_truth(metric, shapes):
    X, Y = shapes
    mask = np.random.default_rng(2).random((6, 7)) < 0.7
    unknown = np.where(mask[..., None], X, np.nan)
    assert metric(X, Y, mask=mask) == metric(unknown, Y)


def test_points_outside_mask_do_not_matter(metric, shapes):
    X, Y = shapes
    mask = np.ones((6, 7), bool)
    mask[2, 3] = mask[4, 0] = False
    expected = metric(X, Y, mask=mask)
    X, Y = X.copy(), Y.copy()
    X[2, 3], Y[2, 3], Y[4, 0] = np.inf, 1e3, np.nan
    assert metric(X, Y, mask=mask) == expected


def test_mask_of_a_whole_point_equals_deleting_it(metric, shapes):
    X, Y = shapes
    mask = np.ones((6, 7), bool)
    mask[:, 4] = False
    left = np.delete(X, 4, axis=1), np.delete(Y, 4, axis=1)
    assert metric(X, Y, mask=mask) == pytest.approx(metric(*left), rel=1e-12)


def test_frames_without_prediction_are_left_out(metric, shapes):
    X, Y = shapes
    expected = metric(X[1:], Y[1:])
    Y = Y.copy()
    Y[0] = np.nan
    assert metric(X, Y) == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ValueError, match=r"X_pred is NaN in frames \[0\]"):
        metric(X, Y, on_nan="raise")


def test_frames_with_fewer_than_two_points_are_left_out(metric, shapes):
    X, Y = shapes
    expected = metric(X[:5], Y[:5])
    X = X.copy()
    X[5, 1:] = np.nan
    assert metric(X, Y, on_nan="raise") == pytest.approx(expected, rel=1e-12)


def test_reduction_none_has_the_frames_of_the_input(metric, shapes):
    X, Y = shapes
    Y = Y.copy()
    Y[3] = np.nan
    each = metric(X, Y, reduction="none")
    assert each.shape == (6,)
    assert np.flatnonzero(np.isnan(each)).tolist() == [3]
    assert np.nanmean(each) == pytest.approx(metric(X, Y), rel=1e-12)


def test_inputs_stay_untouched_and_may_be_lists_or_float32(metric, shapes):
    X, Y = shapes
    before = X.copy(), Y.copy()
    value = metric(X, Y)
    np.testing.assert_array_equal((X, Y), before)
    assert metric(X.tolist(), Y.tolist()) == value
    assert metric(X.astype("f4"), Y.astype("f4")) == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda X, Y: (X[0], Y[0]), ValueError, r"X_true must have shape .* got \(7, 3\)"),
        (lambda X, Y: (X[..., :2], Y), ValueError, r"X_true .* got \(6, 7, 2\)"),
        (lambda X, Y: (X, Y[:, :, :2]), ValueError, r"X_pred .* got \(6, 7, 2\)"),
        (
            lambda X, Y: (X, Y[:5]),
            ValueError,
            r"X_true has shape \(6, 7, 3\) and X_pred \(5, 7, 3\)",
        ),
        (lambda X, Y: (X, Y.astype(str)), TypeError, "X_pred has dtype"),
        (lambda X, Y: (X + 1j, Y), ValueError, "X_true has dtype complex"),
    ],
)
def test_malformed_arrays_are_named(metric, shapes, change, error, message):
    with pytest.raises(error, match=message):
        metric(*change(*shapes))


@pytest.mark.parametrize("name", ["X_true", "X_pred"])
@pytest.mark.parametrize(("index", "value"), [((2, 3), np.inf), ((2, 3, 1), np.nan)])
def test_bad_values_are_located(metric, shapes, name, index, value):
    arrays = dict(zip(("X_true", "X_pred"), (X.copy() for X in shapes), strict=True))
    arrays[name][index] = value
    with pytest.raises(ValueError, match=f"{name} is .* at frame 2, point 3"):
        metric(**arrays)


def test_half_missing_prediction_is_located(metric, shapes):
    X, Y = shapes
    Y = Y.copy()
    Y[1, 5:] = np.nan
    with pytest.raises(ValueError, match=r"X_pred is NaN at frame 1, point 5 \(and 1 more\)"):
        metric(X, Y)


def test_malformed_mask_is_named(metric, shapes):
    with pytest.raises(TypeError, match="mask must be boolean"):
        metric(*shapes, mask=np.ones((6, 7)))
    with pytest.raises(ValueError, match=r"mask must have shape .*\(6, 7\)"):
        metric(*shapes, mask=np.ones((7, 6), bool))


def test_nothing_left_to_compare(metric, shapes):
    X, Y = shapes
    with pytest.raises(ValueError, match="nothing to compare: of 6 frames, 6 have fewer than two"):
        metric(X, Y, mask=np.zeros((6, 7), bool))
    with pytest.raises(ValueError, match=r"nothing to compare: .* 6 have an X_pred of NaN"):
        metric(X, np.full_like(Y, np.nan))


@pytest.mark.parametrize("option", ["on_nan", "reduction"])
def test_unknown_options_are_named(metric, shapes, option):
    with pytest.raises(ValueError, match=f"{option}='median' is not known"):
        metric(*shapes, **{option: "median"})
