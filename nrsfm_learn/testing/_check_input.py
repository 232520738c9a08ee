"""Contract checks of what goes in: dtypes, malformed input, side inputs, cameras."""

import numpy as np

from ._example import assert_close, example, fitted, quick, refuses


def check_input_is_not_modified(estimator):
    """Check that ``fit``, ``transform`` and ``score`` write into nothing they are given."""
    data = example(estimator)
    given = {"mask": data.visible, "weights": np.ones(data.visible.shape), **data.side}
    W = data.W.copy()
    kept = {name: array.copy() for name, array in given.items()}
    for array in (W, *given.values()):
        array.flags.writeable = False
    model = quick(estimator).fit(W, **given)
    model.transform(W, **given)
    if estimator._nrsfm_tags().missing:
        model.score(W, **given)
    np.testing.assert_array_equal(W, data.W)
    for name, array in kept.items():
        np.testing.assert_array_equal(given[name], array, err_msg=name)


def check_dtypes(estimator):
    """Check that integers, half precision, lists, and any memory layout are taken."""
    data = example(estimator)
    W = np.rint(data.W)
    X = quick(estimator).fit_transform(W, **data.side)
    exact = {
        "int32": W.astype(np.int32),
        "a list": W.tolist(),
        "Fortran order": np.asfortranarray(W),
        "big endian": W.astype(">f8"),
    }
    for what, array in exact.items():
        other = quick(estimator).fit_transform(array, **data.side)
        assert other.dtype == np.float64, f"{what} gives {other.dtype}"
        np.testing.assert_array_equal(other, X, err_msg=what)
    for dtype in (np.float32, np.float16):
        other = quick(estimator).fit_transform(W.astype(dtype), **data.side)
        assert other.dtype == np.float32, f"{dtype.__name__} gives {other.dtype}"
        assert_close(other, X, 2e-2, dtype.__name__)


def _malformed(data):
    """List (what, W, other arguments, message) of input that every method must refuse."""
    W, visible = data.W, data.visible
    F, P = visible.shape

    def with_value(value, place):
        bad = W.copy()
        bad[place] = value
        return bad

    confidence = np.concatenate([W, np.ones((F, P, 1))], axis=2)
    # The example may turn an object array down for its dtype only.
    objects = W.astype(object)
    objects[1, 0, 0] = None
    return [
        ("a matrix", W[:, 0], {}, "W must have shape"),
        ("rows of coordinates", W.reshape(F, -1), {}, "reshape"),
        ("a confidence as third coordinate", confidence, {}, "confidence"),
        ("x and y before the points", W.swapaxes(1, 2), {}, r"swapaxes\(1, 2\)"),
        ("sequences stacked", W[None], {}, "W must have shape"),
        ("infinity", with_value(np.inf, (2, 1)), {}, "infinite at frame 2, point 1"),
        ("a huge number", with_value(1e200, (2, 1)), {}, "too large at frame 2, point 1"),
        ("NaN in x only", with_value(np.nan, (2, 1, 0)), {}, "NaN in x only at frame 2, point 1"),
        ("NaN in y only", with_value(np.nan, (2, 1, 1)), {}, "NaN in y only at frame 2, point 1"),
        ("complex numbers", W + 0j, {}, "[Cc]omplex"),
        ("strings", W.astype(str), {}, "W has dtype"),
        ("None for missing", objects, {}, "np.nan, not None"),
        ("booleans", W > 0, {}, "bool"),
        ("a ragged list", [[[0, 0]], [[0, 0], [1, 1]]], {}, "differ in length"),
        ("a masked array", np.ma.masked_greater(W, 300), {}, "filled"),
        ("no frames", W[:0], {}, "0 frame"),
        ("no points", W[:, :0], {}, "0 points|points, but"),
        ("a mask of another shape", W, {"mask": visible[1:]}, "mask must have shape"),
        ("a transposed mask", W, {"mask": visible.T}, r"mask\.T"),
        ("a mask of floats", W, {"mask": visible.astype(float)}, "mask must be boolean"),
        ("groups of another length", W, {"groups": np.zeros(F - 1)}, "groups must have shape"),
        ("categories of another length", W, {"categories": [0]}, "categories must have shape"),
        ("weights of another shape", W, {"weights": np.ones((F, P + 1))}, "weights must have"),
        ("a negative weight", W, {"weights": np.full((F, P), -1.0)}, "not negative"),
        ("weights that are all 0", W, {"weights": np.zeros((F, P))}, "all 0"),
        ("boxes of another shape", W, {"boxes": np.zeros((F, 2))}, "boxes must have shape"),
        ("empty boxes", W, {"boxes": np.ones((F, 4))}, "x1 > x0"),
    ]


def check_malformed_input(estimator):
    """Check that malformed input raises one clear error, in ``fit`` and in ``transform``."""
    model, data = fitted(estimator)
    for what, W, arguments, message in _malformed(data):
        with refuses(message, f"fit of {what}"):
            quick(estimator).fit(W, **{**data.side, **arguments})
        with refuses(message, f"transform of {what}"):
            model.transform(W, **{**data.side, **arguments})


def check_malformed_training_set(estimator):
    """Check that ``fit`` refuses what teaches nothing, and a ``y`` that is no mask."""
    data = example(estimator)
    F, P = data.visible.shape

    def refused(message, what, W, y=None):
        with refuses(message, f"fit of {what}"):
            quick(estimator).fit(W, y, **data.side)

    n_few = estimator._min_frames - 1
    if n_few:
        refused(f"has {n_few} frame", "too few frames", data.W[:n_few])
    refused("y has dtype", "class labels", data.W, np.arange(F) % 2)
    refused("y.astype", "a mask of numbers as y", data.W, np.ones((F, P)))
    refused("shape", "a mask of another shape as y", data.W, data.visible[1:])
    if estimator._nrsfm_tags().missing:
        W = data.W.copy()
        W[:, 3] = np.nan
        refused(r"never shows the point\(s\) \[3\]", "a point that is never visible", W)
        weights = np.ones(P)
        weights[3] = 0
        with refuses(r"never shows the point\(s\) \[3\]", "fit of a point of weight 0"):
            quick(estimator).fit(data.W, weights=weights, **data.side)


def check_missing_is_refused(estimator):
    """Check that a method without the ``missing`` tag says so, whatever hides a keypoint."""
    if estimator._nrsfm_tags().missing:
        return
    data = example(estimator)
    W, visible = data.W.copy(), data.visible.copy()
    W[2, 1], visible[2, 1] = np.nan, False
    calls = {"NaN": (W, {}), "mask": (data.W, {"mask": visible})}
    calls["weight 0"] = (data.W, {"weights": visible.astype(float)})
    for what, (keypoints, arguments) in calls.items():
        with refuses("takes no missing keypoints.* frame 2, point 1", f"fit with {what}"):
            quick(estimator).fit(keypoints, **arguments, **data.side)


def check_refused_fit_changes_nothing(estimator):
    """Check that a fitted estimator is as it was after ``fit`` refused some input."""
    model, data = fitted(estimator)
    X = model.transform(data.hidden)
    with refuses("swapaxes", "fit of x and y before the points"):
        model.fit(data.W.swapaxes(1, 2))
    np.testing.assert_array_equal(model.transform(data.hidden), X)


def check_n_points(estimator):
    """Check that only ``fit`` takes another number of points, and then starts anew."""
    model, data = fitted(estimator)
    with refuses(f"7 points.*expecting {data.W.shape[1]}", "transform of fewer points"):
        model.transform(data.W[:, :7])
    with refuses(f"7 points.*expecting {data.W.shape[1]}", "inverse_transform of fewer points"):
        model.inverse_transform(model.reconstruction_[:, :7])
    again = model.fit(data.W[:, :7], **data.side)
    assert again.n_points_in_ == 7
    fresh = quick(estimator).fit_transform(data.W[:, :7], **data.side)
    assert_close(again.reconstruction_, fresh, 1e-5, "a second fit")


def check_side_inputs(estimator):
    """Check that ``fit``, ``transform`` and ``score`` take all side inputs."""
    data = example(estimator)
    F, P = data.visible.shape
    low, high = data.W.min(1) - 1, data.W.max(1) + 1
    given = {
        "groups": np.repeat(["a", "b"], [F // 2, F - F // 2]),
        "categories": np.zeros(F, dtype=int),
        "boxes": np.concatenate([low, high], axis=1),
        "weights": np.linspace(0.5, 1, P),
        **data.side,
    }
    model = quick(estimator).fit(data.W, **given)
    assert np.isfinite(model.transform(data.W, **given)).all()
    if estimator._nrsfm_tags().missing:
        assert np.isfinite(model.score(data.W, **given))


def check_weights(estimator):
    """Check that weight 0 hides a keypoint, and a weight a point holds in every frame."""
    data = example(estimator)
    per_point = np.linspace(0.5, 1, data.W.shape[1])
    each = np.broadcast_to(per_point, data.visible.shape)
    X = quick(estimator).fit_transform(data.W, weights=each, **data.side)
    other = quick(estimator).fit_transform(data.W, weights=per_point, **data.side)
    np.testing.assert_array_equal(other, X, err_msg="weights of shape (n_points,)")
    if not estimator._nrsfm_tags().missing:
        return
    zeros = np.where(data.visible, 1.0, 0.0)
    X = quick(estimator).fit_transform(data.hidden, weights=zeros, **data.side)
    other = quick(estimator).fit_transform(data.W, weights=zeros, **data.side)
    np.testing.assert_array_equal(other, X, err_msg="weights of 0 do not hide")
    unknown = np.where(data.visible, 1.0, np.nan)
    other = quick(estimator).fit_transform(data.hidden, weights=unknown, **data.side)
    np.testing.assert_array_equal(other, X, err_msg="a weight of a missing keypoint counts")


def check_intrinsics(estimator):
    """Check that ``intrinsics`` are refused, or remembered under a perspective camera."""
    model, data = fitted(estimator)
    if not estimator._nrsfm_tags().perspective:
        K = np.eye(3)
        with refuses("no perspective camera", "fit with intrinsics"):
            quick(estimator).fit(data.W, intrinsics=K)
        with refuses("no perspective camera", "transform with intrinsics"):
            model.transform(data.W, intrinsics=K)
        return
    K, X = data.side["intrinsics"], model.reconstruction_
    W = data.hidden
    assert_close(model.transform(W, intrinsics=K), X, 1e-5, "intrinsics given again")
    on_plane = (W - K[:2, 2]) / K[[0, 1], [0, 1]]
    unit = quick(estimator).fit_transform(on_plane)
    assert_close(unit, X, 1e-3, "W on the unit focal plane")
    each = np.broadcast_to(K, (len(W), 3, 3))
    model = quick(estimator).fit(W, intrinsics=each)
    assert_close(model.reconstruction_, X, 1e-4, "one matrix a frame")
    if estimator._nrsfm_tags().inductive:
        with refuses("intrinsics of these frames", "transform without the frames' intrinsics"):
            model.transform(W)
        with refuses("intrinsics of these frames", "inverse_transform without them"):
            model.inverse_transform(X)
        assert_close(model.transform(W, intrinsics=each), X, 1e-4, "transform with them")
        assert_close(model.inverse_transform(X, each), model.inverse_transform(X, K), 1e-5, "both")
    with refuses("intrinsics must have shape", "intrinsics of other frames"):
        quick(estimator).fit(W, intrinsics=each[1:])


def check_unfitted(estimator):
    """Check that before ``fit`` everything that needs it raises ``NotFittedError``."""
    from sklearn.exceptions import NotFittedError

    data = example(estimator)
    for name in ("transform", "predict", "lift", "score"):
        with refuses("not fitted", f"{name} of an unfitted estimator", NotFittedError):
            getattr(quick(estimator), name)(data.W)
    with refuses("not fitted", "inverse_transform of an unfitted estimator", NotFittedError):
        quick(estimator).inverse_transform(np.zeros((2, 8, 3)))
    with refuses("not fitted", "save of an unfitted estimator", NotFittedError):
        quick(estimator).save("never_written.safetensors")
