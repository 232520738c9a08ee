"""Cycle error with lifters whose error is known."""

import warnings

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from sklearn.base import BaseEstimator
from sklearn.pipeline import make_pipeline

from nrsfm_learn import DeepNRSfMPP
from nrsfm_learn.base import NRSfMTags, Reconstruction, Tags
from nrsfm_learn.datasets import make_low_rank
from nrsfm_learn.model_selection import cycle_error
from nrsfm_learn.preprocessing import ScaleKeypoints


class Lifter(BaseEstimator):
    """Answers with ``answer(centred view, number of the call) -> (shapes, rotations)``."""

    tags = NRSfMTags()

    def __init__(self, answer=None, depth=0.0, scale=1.0):
        self.answer = answer
        self.depth = depth
        self.scale = scale

    def fit(self, W):
        self.calls_ = []
        return self

    def lift(self, W, **side_inputs):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            center = np.nanmean(W, axis=1)
        shapes, rotations = self.answer(W - center[:, None], len(self.calls_))
        self.calls_.append((np.array(W), side_inputs))
        t = np.c_[center, np.full(len(W), self.depth)]
        X = shapes @ rotations.swapaxes(1, 2) + t[:, None]
        return Reconstruction(
            X, shapes / self.scale, rotations, t, np.full(len(W), float(self.scale))
        )

    def inverse_transform(self, X, intrinsics=None):
        if self.tags.perspective:
            return X[..., :2] / X[..., 2:]
        return X[..., :2]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        values = {name: getattr(tags, name) for name in tags.__dataclass_fields__}
        return Tags(**values, nrsfm_tags=self.tags)


class PerspectiveLifter(Lifter):
    tags = NRSfMTags(perspective=True)


class TransductiveLifter(Lifter):
    tags = NRSfMTags(inductive=False)


SHAPE = np.random.default_rng(0).normal(size=(9, 3))
SHAPE -= SHAPE.mean(0)
VIEWS = Rotation.random(20, 1).as_matrix()
W = (SHAPE @ VIEWS.swapaxes(1, 2))[..., :2] + [3.0, -1.0]


def pose(view, shape=SHAPE, depth_sign=1):
    """The one rotation under which a shape in general position has this view."""
    rows = np.linalg.lstsq(shape, view, rcond=None)[0].T
    x, y = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return np.stack([x, y, np.cross(x, y)])


def right(views, _):
    return np.broadcast_to(SHAPE, (len(views), 9, 3)), np.stack([pose(v) for v in views])


def mirrored(views, _):
    """The mirror image of the right shape: other rotations, the same views."""
    flipped = SHAPE * [1, 1, -1]
    return np.broadcast_to(flipped, (len(views), 9, 3)), np.stack([pose(v, flipped) for v in views])


def flat(views, _):
    shapes = np.concatenate([np.nan_to_num(views), np.zeros((len(views), 9, 1))], axis=2)
    return shapes, np.broadcast_to(np.eye(3), (len(views), 3, 3))


def drawn_rotations(n, seed=0, skip=0):
    """The documented draw: normal quaternions, then a permutation of the masks, view by view."""
    rng = np.random.RandomState(seed)
    for _ in range(skip):
        rng.normal(size=(n, 4))
        rng.permutation(n)
    x, y, z, w = (rng.normal(size=(n, 4))).T
    return (
        np.stack(
            [
                [w * w + x * x - y * y - z * z, 2 * (x * y - w * z), 2 * (x * z + w * y)],
                [2 * (x * y + w * z), w * w - x * x + y * y - z * z, 2 * (y * z - w * x)],
                [2 * (x * z - w * y), 2 * (y * z + w * x), w * w - x * x - y * y + z * z],
            ]
        ).transpose(2, 0, 1)
        / (w * w + x * x + y * y + z * z)[:, None, None]
    )


@pytest.mark.parametrize("frame", ["canonical", "camera"])
@pytest.mark.parametrize("answer", [right, mirrored])
def test_rigid_object_that_is_understood(answer, frame):
    # A mirrored answer is as consistent as the right one: no parallel camera tells them apart.
    assert cycle_error(Lifter(answer).fit(W), W, frame=frame) == pytest.approx(0, abs=1e-9)


def test_mixed_signs_of_the_depth_are_seen_in_both_frames():
    def first_right_then_mirrored(views, call):
        return (mirrored if call else right)(views, call)

    canonical = 2 * np.linalg.norm(SHAPE[:, 2]) / np.linalg.norm(SHAPE)
    error = cycle_error(Lifter(first_right_then_mirrored).fit(W), W)
    assert error == pytest.approx(canonical, rel=1e-9)

    X = SHAPE @ drawn_rotations(20).swapaxes(1, 2)
    camera = 2 * np.linalg.norm(X[..., 2], axis=1) / np.linalg.norm(X, axis=(1, 2))
    model = Lifter(first_right_then_mirrored).fit(W)
    errors = cycle_error(model, W, frame="camera", reduction="none")
    np.testing.assert_allclose(errors, camera, rtol=1e-9)


def test_only_the_camera_frame_sees_a_wrong_rotation():
    def wrong_rotation(views, call):
        shapes, rotations = right(views, call)
        return shapes, rotations[::-1] if call else rotations

    model = Lifter(wrong_rotation).fit(W)
    assert cycle_error(model, W) == pytest.approx(0, abs=1e-9)
    assert cycle_error(Lifter(wrong_rotation).fit(W), W, frame="camera") > 0.5


@pytest.mark.parametrize("scale", [1.0, 5.0])
def test_formula_for_a_flat_lifter(scale):
    S = np.concatenate([W - W.mean(1, keepdims=True), np.zeros((20, 9, 1))], axis=2)
    expected = np.zeros(20)
    for view in range(3):
        again = (S @ drawn_rotations(20, 7, skip=view).swapaxes(1, 2)) * [1, 1, 0]
        expected += np.linalg.norm(again - S, axis=(1, 2)) / np.linalg.norm(S, axis=(1, 2)) / 3
    model = Lifter(flat, scale=scale).fit(W)
    errors = cycle_error(model, W, n_views=3, random_state=7, reduction="none")
    np.testing.assert_allclose(errors, expected, rtol=1e-12)
    mean = cycle_error(Lifter(flat, scale=scale).fit(W), W, n_views=3, random_state=7)
    assert mean == pytest.approx(expected.mean(), rel=1e-12)
    assert isinstance(mean, float)


def test_rotations_are_uniform():
    model = Lifter(flat).fit(W)
    many = np.broadcast_to(W[0], (4000, 9, 2))
    cycle_error(model, many)
    S = np.c_[W[0] - W[0].mean(0), np.zeros(9)]
    views = model.calls_[1][0] - model.calls_[1][0].mean(1, keepdims=True)
    # The image axes in the object's plane: uniform unit vectors have mean 0 and covariance I / 3.
    axes = np.linalg.lstsq(S[:, :2], views.transpose(1, 0, 2).reshape(9, -1), rcond=None)[0]
    assert np.abs(axes.mean(1)).max() < 0.03
    np.testing.assert_allclose(axes @ axes.T / axes.shape[1], np.eye(2) / 3, atol=0.02)


def test_seeded():
    runs = [cycle_error(Lifter(flat).fit(W), W, random_state=s) for s in (0, 0, 1)]
    assert runs[0] == runs[1] != runs[2]


def test_views_hide_what_frames_hide():
    visible = np.random.default_rng(3).uniform(size=(20, 9)) < 0.7
    visible[:, :4] = True
    model = Lifter(flat).fit(W)
    cycle_error(model, np.where(visible[..., None], W, np.nan))
    shown = ~np.isnan(model.calls_[1][0]).any(-1)
    assert sorted(map(tuple, shown)) == sorted(map(tuple, visible))
    assert (shown != visible).any()
    by_mask, by_weight = Lifter(flat).fit(W), Lifter(flat).fit(W)
    cycle_error(by_mask, W, visible)
    cycle_error(by_weight, W, weights=visible * 0.5)
    for other in (by_mask, by_weight):
        np.testing.assert_array_equal(model.calls_[1][0], other.calls_[1][0])


def test_frames_that_cannot_be_lifted():
    def gives_up(views, call):
        shapes, rotations = right(views, call)
        shapes = shapes.copy()
        shapes[:4] = np.nan
        return shapes, rotations

    # The first four frames are not lifted, and neither are the first four views of the others.
    errors = cycle_error(Lifter(gives_up).fit(W), W, reduction="none")
    assert np.isnan(errors[:4]).all()
    np.testing.assert_allclose(errors[4:], [1] * 4 + [0] * 12, atol=1e-9)
    assert cycle_error(Lifter(gives_up).fit(W), W) == pytest.approx(4 / 16, abs=1e-9)
    assert np.isnan(cycle_error(Lifter(gives_up).fit(W), W[:3]))


def test_a_shape_that_collapses_is_no_perfect_one():
    def point(views, _):
        return np.zeros((len(views), 9, 3)), np.broadcast_to(np.eye(3), (len(views), 3, 3))

    assert cycle_error(Lifter(point).fit(W), W) == 1


@pytest.mark.parametrize("depth", [100.0, 2.5])
def test_perspective_views_and_scale(depth):
    def twice_the_size(views, call):
        return np.broadcast_to(SHAPE * 2**call, (len(views), 9, 3)), VIEWS

    model = PerspectiveLifter(twice_the_size, depth=depth).fit(W)
    assert cycle_error(model, W) == pytest.approx(0, abs=1e-12)
    t = np.c_[W.mean(1), np.full(20, depth)]
    turned = SHAPE @ drawn_rotations(20).swapaxes(1, 2)
    nearest = (turned[..., 2] + depth).min(1)
    X = turned + t[:, None]
    plain = X[..., :2] / X[..., 2:]
    views = model.calls_[1][0]
    far = nearest >= 0.2 * depth
    assert far.any()
    np.testing.assert_allclose(views[far], plain[far], rtol=1e-9)
    for f in np.flatnonzero(~far):
        # Moved away along the line of sight until the nearest point is at 0.2 of the centre.
        push = -turned[f, :, 2].min() / (0.8 * depth)
        X = turned[f] + push * t[f]
        np.testing.assert_allclose(X[:, 2].min(), 0.2 * push * depth)
        np.testing.assert_allclose(views[f], X[:, :2] / X[:, 2:], rtol=1e-9)
    assert far.all() == (depth == 100.0)


def test_side_inputs_that_hold_for_views():
    K = np.broadcast_to(np.eye(3), (20, 3, 3)) * np.arange(1, 21)[:, None, None]
    groups = np.arange(20) // 5
    boxes = np.tile([0.0, 0, 1, 1], (20, 1))

    def skips_first(views, call):
        shapes, rotations = right(views, call)
        shapes = shapes.copy()
        shapes[: 1 - call] = np.nan
        return shapes, rotations

    model = Lifter(skips_first).fit(W)
    cycle_error(model, W, intrinsics=K, groups=groups, boxes=boxes)
    (_, first), (_, second) = model.calls_
    assert set(first) == {"intrinsics", "groups", "boxes"}
    assert set(second) == {"intrinsics", "groups"}
    np.testing.assert_array_equal(second["intrinsics"], K[1:])
    np.testing.assert_array_equal(second["groups"], groups[1:])
    model = Lifter(right).fit(W)
    cycle_error(model, W[:3], intrinsics=np.eye(3))
    assert model.calls_[1][1]["intrinsics"].shape == (3, 3)


@pytest.mark.parametrize("camera", ["orthographic", "weak_perspective", "perspective"])
def test_training_lowers_it(camera):
    data = make_low_rank(n_frames=80, n_points=12, rank=2, camera=camera, random_state=0)
    settings = {"dictionary_sizes": [16, 4], "random_state": 0, "device": "cpu", "camera": camera}
    errors = [
        cycle_error(DeepNRSfMPP(max_iter=n, batch_size=40, **settings).fit(data.W), data.W)
        for n in (1, 250)
    ]
    assert errors[1] < 0.5 * errors[0]


def test_pipeline():
    data = make_low_rank(n_frames=40, n_points=10, rank=2, random_state=0)
    model = DeepNRSfMPP(dictionary_sizes=[8, 3], max_iter=3, random_state=0, device="cpu")
    scaled = ScaleKeypoints().fit_transform(100 * data.W)
    expected = cycle_error(model.fit(scaled), scaled)
    pipeline = make_pipeline(ScaleKeypoints(), model).fit(100 * data.W)
    assert cycle_error(pipeline, 100 * data.W) == pytest.approx(expected, rel=1e-5)
    assert cycle_error(make_pipeline(model).fit(scaled), scaled) == pytest.approx(expected)


def test_errors():
    model = Lifter(right).fit(W)
    with pytest.raises(ValueError, match="frame='world' is not known"):
        cycle_error(model, W, frame="world")
    with pytest.raises(ValueError, match="n_views must be a positive integer, got 0"):
        cycle_error(model, W, n_views=0)
    with pytest.raises(ValueError, match="W must have"):
        cycle_error(model, W[0])
    with pytest.raises(ValueError, match="TransductiveLifter reconstructs only the frames"):
        cycle_error(TransductiveLifter(right).fit(W), W)
    with pytest.raises(ValueError, match="not fitted yet"):
        cycle_error(Lifter(right), W)
    with pytest.raises(TypeError, match=r"ScaleKeypoints has no lift"):
        cycle_error(ScaleKeypoints().fit(W), W)


def test_views_hide_what_frames_of_their_category_hide():
    # Two categories with points of their own; the lifter tells what it was shown.
    rng = np.random.default_rng(0)
    n, own = 20, np.array([[1, 1, 1, 1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, 1, 1, 1]], dtype=bool)
    labels = np.repeat([1, 0], n)
    shapes = np.where(own[labels][..., None], rng.normal(size=(2 * n, 9, 3)), np.nan)
    shapes -= np.nanmean(shapes, axis=1, keepdims=True)
    visible = own[labels] & (rng.random((2 * n, 9)) > 0.2)
    shown = []

    class Method(Lifter):
        def lift(self, W, **side):
            shown.append((~np.isnan(W[..., 0]), side["categories"]))
            # The second time everything is a tenth larger, and answers for all points.
            factor = 1.0 if len(shown) == 1 else 1.1
            X = factor * (shapes if len(shown) == 1 else np.nan_to_num(shapes, nan=7.0))
            eye = np.broadcast_to(np.eye(3), (2 * n, 3, 3))
            return Reconstruction(X, X, eye, np.zeros((2 * n, 3)), np.ones(2 * n))

        def inverse_transform(self, X):
            return X[..., :2]

    W = np.where(visible[..., None], np.nan_to_num(shapes[..., :2]), np.nan)
    error = cycle_error(Method().fit(W), W, categories=labels)
    assert error == pytest.approx(0.1)
    views, given = shown[1]
    np.testing.assert_array_equal(given, labels)
    assert not (views & ~own[labels]).any()
    for k in (0, 1):
        # The same masks, in another order.
        before, after = (
            sorted(map(tuple, masks[labels == k].tolist())) for masks in (visible, views)
        )
        assert before == after
    assert (views != visible).any()
