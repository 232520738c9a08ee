"""Contract checks of what comes out: attributes, invariances, poor frames."""

import numpy as np

from ..base import TooPoorWarning
from ._example import assert_close, example, fitted, quick, recorded, refuses

_FIELDS = ("reconstruction_", "shapes_", "rotations_", "translations_", "scales_")


def check_fit_returns_self(estimator):
    """Check that ``fit`` returns the estimator, which knows its number of points."""
    data = example(estimator)
    estimator = quick(estimator)
    assert estimator.fit(data.W, **data.side) is estimator
    assert estimator.n_points_in_ == data.W.shape[1]


def check_attributes(estimator):
    """Check that the common attributes are finite, of their shapes and the dtype of ``W``."""
    data = example(estimator)
    F, P = data.visible.shape
    shapes = ((F, P, 3), (F, P, 3), (F, 3, 3), (F, 3), (F,))
    for dtype in (np.float64, np.float32):
        model = quick(estimator).fit(data.hidden.astype(dtype), **data.side)
        for name, shape in zip(_FIELDS, shapes, strict=True):
            array = getattr(model, name)
            assert isinstance(array, np.ndarray), f"{name} is a {type(array).__name__}"
            assert array.shape == shape, f"{name} has shape {array.shape}, not {shape}"
            assert array.dtype == dtype, f"{name} has dtype {array.dtype} for W of {dtype}"
            assert np.isfinite(array).all(), f"{name} is not finite"
        if hasattr(model, "codes_"):
            assert len(model.codes_) == F


def check_rotations(estimator):
    """Check that ``rotations_`` are orthonormal with determinant +1 and ``scales_`` positive."""
    model, _ = fitted(estimator)
    R = model.rotations_.astype(float)
    np.testing.assert_allclose(R @ R.swapaxes(1, 2), np.broadcast_to(np.eye(3), R.shape), atol=1e-5)
    np.testing.assert_allclose(np.linalg.det(R), 1, atol=1e-5)
    assert (model.scales_ > 0).all()


def check_composition(estimator):
    """Check that scale times turned, centred shape plus translation is the reconstruction."""
    model, _ = fitted(estimator)
    turned = model.shapes_ @ model.rotations_.swapaxes(1, 2)
    composed = model.scales_[:, None, None] * turned + model.translations_[:, None]
    assert_close(composed, model.reconstruction_, 1e-5, "scales * R shapes + translations")
    size = np.abs(model.shapes_).max()
    np.testing.assert_allclose(
        model.shapes_.mean(1), 0, atol=1e-4 * size, err_msg="shapes_ are not centred"
    )


def check_same_frames(estimator):
    """Check that all methods that lift agree with ``reconstruction_`` on the fitted frames."""
    model, data = fitted(estimator)
    W, X = data.hidden, model.reconstruction_
    for name in ("transform", "predict"):
        assert_close(getattr(model, name)(W), X, 1e-5, f"{name} of the fitted frames")
    for field, attribute in zip(model.lift(W), _FIELDS, strict=False):
        assert_close(field, getattr(model, attribute), 1e-4, f"lift's part of {attribute}")
    again = quick(estimator).fit_transform(W, **data.side)
    assert_close(again, X, 1e-5, "fit_transform")
    model.transform(W)[:] = 0
    assert np.abs(model.reconstruction_).max() > 0, "transform gives away reconstruction_ itself"


def check_other_frames(estimator):
    """Check that an inductive method lifts unseen frames, and another one says it cannot."""
    model, _ = fitted(estimator)
    other = example(estimator, n_frames=5, seed=1)
    if not estimator._nrsfm_tags().inductive:
        with refuses("cannot lift others", "transform of frames that fit has not seen"):
            model.transform(other.hidden)
        return
    X = model.transform(other.hidden)
    assert X.shape == (5, other.W.shape[1], 3)
    assert np.isfinite(X).all()
    one = model.transform(other.hidden[:1])
    assert np.isfinite(one).all()
    if not estimator._nrsfm_tags().contextual:
        assert_close(one, X[:1], 1e-4, "a single frame")


def check_frames_do_not_mix(estimator):
    """Check that a method lifts each frame by itself, unless it is temporal."""
    tags = estimator._nrsfm_tags()
    if not tags.inductive or tags.temporal:
        return
    model, data = fitted(estimator)
    X = model.transform(data.hidden)
    assert_close(model.transform(data.hidden[5:9]), X[5:9], 1e-4, "some of the frames")
    assert_close(model.transform(data.hidden[::-1]), X[::-1], 1e-4, "frames in another order")
    model._chunk_frames = 7
    assert_close(model.transform(data.hidden), X, 1e-4, "frames in chunks")


def check_inverse_transform(estimator):
    """Check that ``inverse_transform`` projects all points, and leaves NaN frames NaN."""
    model, data = fitted(estimator)
    X = model.reconstruction_.copy()
    X[2] = np.nan
    W = model.inverse_transform(X)
    assert W.shape == data.W.shape
    assert np.isnan(W[2]).all()
    assert np.isfinite(np.delete(W, 2, axis=0)).all()
    if estimator._nrsfm_tags().perspective:
        K = data.side["intrinsics"]
        expected = X[..., :2] / X[..., 2:] * K[[0, 1], [0, 1]] + K[:2, 2]
    else:
        expected = X[..., :2]
    assert_close(W, expected, 1e-5, "inverse_transform")


def check_mask_equals_nan(estimator):
    """Check that NaN, ``mask`` and a boolean ``y`` say the same, and that all must say visible."""
    if not estimator._nrsfm_tags().missing:
        return
    data = example(estimator)
    half = data.visible.copy()
    half[::2] = True
    other = data.visible | ~half
    X = quick(estimator).fit_transform(data.hidden, **data.side)
    calls = {
        "mask": ((data.W,), {"mask": data.visible}),
        "a boolean y": ((data.W, data.visible), {}),
        "a list as y": ((data.W, data.visible.tolist()), {}),
        "y and mask": ((data.W, half), {"mask": other}),
        "NaN and mask": ((np.where(half[..., None], data.W, np.nan),), {"mask": other}),
    }
    for what, (args, kwargs) in calls.items():
        model = quick(estimator).fit(*args, **kwargs, **data.side)
        np.testing.assert_array_equal(model.reconstruction_, X, err_msg=what)
    np.testing.assert_array_equal(
        model.transform(data.W, data.visible), model.transform(data.hidden)
    )


def check_masked_values_never_matter(estimator):
    """Check that what stands in ``W`` where the mask is False has no influence."""
    if not estimator._nrsfm_tags().missing:
        return
    data = example(estimator)
    X = quick(estimator).fit_transform(data.W, mask=data.visible, **data.side)
    for value in (np.inf, -np.inf, 1e300, 0.0):
        W = np.where(data.visible[..., None], data.W, value)
        model = quick(estimator).fit(W, mask=data.visible, **data.side)
        np.testing.assert_array_equal(model.reconstruction_, X, err_msg=f"{value} where masked")
        np.testing.assert_array_equal(
            model.transform(W, data.visible), model.transform(data.W, data.visible)
        )


def _with_bad_frames(data, bad):
    """Put a bad frame at the third place and one at the end."""
    W = np.concatenate([data.hidden[:2], bad, data.hidden[2:], bad])
    index = np.delete(np.arange(len(W)), [2, len(W) - 1])
    return W, index


def _check_bad_frames(estimator, bad):
    data = example(estimator)
    W, good = _with_bad_frames(data, bad)
    expected = quick(estimator).fit(data.hidden, **data.side)
    with recorded(TooPoorWarning) as caught:
        model = quick(estimator).fit(W, **data.side)
    assert len(caught) == 1, f"fit warns {len(caught)} times of the bad frames"
    assert f"2 of {len(W)} frames" in str(caught[0].message)
    for name in _FIELDS:
        array = getattr(model, name)
        assert np.isnan(np.delete(array, good, axis=0)).all(), f"{name} of bad frames is not NaN"
        if not estimator._nrsfm_tags().temporal:
            assert_close(array[good], getattr(expected, name), 1e-5, f"{name} of the others")
    with recorded(TooPoorWarning) as caught:
        X = model.transform(W)
    assert len(caught) == 1, f"transform warns {len(caught)} times of the bad frames"
    assert_close(X, model.reconstruction_, 1e-5, "transform with bad frames")


def check_poor_frames(estimator):
    """Check that frames with few visible points come back NaN, warned of once, others as ever."""
    if not estimator._nrsfm_tags().missing:
        return
    bad = example(estimator).W[:1].copy()
    bad[:, estimator._min_visible - 1 :] = np.nan
    _check_bad_frames(estimator, bad)


def check_constant_frames(estimator):
    """Check the same of frames whose points are all in one place."""
    _check_bad_frames(estimator, np.full_like(example(estimator).W[:1], 123.4))


def check_nothing_liftable(estimator):
    """Check that ``transform`` of poor frames alone gives NaN, and ``fit`` of them is refused."""
    tags = estimator._nrsfm_tags()
    if not tags.missing:
        return
    data = example(estimator)
    W = data.W.copy()
    W[np.arange(len(W)), np.arange(len(W)) % W.shape[1]] = np.nan
    for frame in range(len(W)):
        W[frame, (frame + 1 + np.arange(W.shape[1] - 2)) % W.shape[1]] = np.nan
    with refuses("needs at least", "fit to poor frames alone"):
        quick(estimator).fit(W, **data.side)
    if tags.inductive:
        model, _ = fitted(estimator)
        with recorded(TooPoorWarning) as caught:
            X = model.transform(W)
        assert len(caught) == 1
        assert X.shape == (*W.shape[:2], 3)
        assert np.isnan(X).all()


def check_units(estimator):
    """Check that other units and another origin of ``W`` change nothing but the result's."""
    data = example(estimator)
    X = quick(estimator).fit_transform(data.hidden, **data.side)
    scale, offset = 1000.0, np.array([30000.0, -7000.0])
    side, expected = data.side, scale * X + np.array([*offset, 0.0])
    if estimator._nrsfm_tags().perspective:
        # Pixels of another size are a matter of the camera matrix.
        change = np.array([[scale, 0, offset[0]], [0, scale, offset[1]], [0, 0, 1]])
        side, expected = {"intrinsics": change @ data.side["intrinsics"]}, X
    other = quick(estimator).fit_transform(scale * data.hidden + offset, **side)
    assert_close(other - other.mean(1, keepdims=True), _centered(expected), 1e-3, "shapes")
    assert_close(other.mean(1), expected.mean(1), 1e-3, "centres")


def check_in_plane_rotation(estimator):
    """Check that rotating the image rotates the reconstruction, if the tag says equivariant."""
    tags = estimator._nrsfm_tags()
    if not tags.equivariant:
        return
    model, data = fitted(estimator)
    angle = 0.7
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    H = turn
    if tags.perspective:
        K = data.side["intrinsics"]
        H = K @ turn @ np.linalg.inv(K)
    W = data.hidden @ H[:2, :2].T + H[:2, 2]
    X = model.reconstruction_ @ turn.T
    turned = model.transform(W) if tags.inductive else quick(estimator).fit_transform(W)
    assert_close(turned, X, 1e-4, "the reconstruction of the rotated image")


def _centered(X):
    return X - X.mean(1, keepdims=True)
