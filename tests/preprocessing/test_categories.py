import json

import numpy as np
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline

from nrsfm_learn.base import BaseNRSfM, NRSfMTags, Reconstruction
from nrsfm_learn.datasets import make_rigid_category
from nrsfm_learn.io import Keypoints
from nrsfm_learn.preprocessing import (
    CategoryLayout,
    CenterOnVisible,
    split_categories,
    stack_categories,
)

RNG = np.random.default_rng(0)
CARS, CATS = RNG.normal(size=(4, 3, 2)), RNG.normal(size=(2, 5, 2))
CARS[1, 2] = np.nan


@pytest.fixture(scope="module")
def stacked():
    return stack_categories(
        {"car": (CARS, ["lamp", "roof", "wheel"]), "cat": (CATS, list("abcde"), np.ones((2, 5, 3)))}
    )


def test_values(stacked):
    assert stacked.W.shape == (6, 8, 2)
    np.testing.assert_array_equal(stacked.W[:4, :3], CARS)
    np.testing.assert_array_equal(stacked.W[4:, 3:], CATS)
    assert np.isnan(stacked.W[:4, 3:]).all()
    assert np.isnan(stacked.W[4:, :3]).all()
    np.testing.assert_array_equal(stacked.visible, np.isfinite(stacked.W).all(-1))
    assert stacked.categories.tolist() == ["car"] * 4 + ["cat"] * 2
    assert stacked.names == ["car/lamp", "car/roof", "car/wheel", *(f"cat/{c}" for c in "abcde")]
    assert np.isnan(stacked.X[:4]).all()
    np.testing.assert_array_equal(
        np.isfinite(stacked.X[4:]).all(-1), [[False] * 3 + [True] * 5] * 2
    )
    assert stacked.groups.tolist() == [0, 0, 0, 0, 1, 1]


def test_the_selection_is_that_of_equation_2(stacked):
    layout = stacked.layout
    zeta = {"car": [1, 1, 1, 0, 0, 0, 0, 0], "cat": [0, 0, 0, 1, 1, 1, 1, 1]}
    labels = ["cat", "car", "cat"]
    np.testing.assert_array_equal(layout.mask(labels), [zeta[z] for z in labels])
    assert layout.mask(labels).dtype == bool
    assert layout.points("cat").tolist() == [3, 4, 5, 6, 7]
    assert layout.point_names("car") == ("lamp", "roof", "wheel")
    assert layout.n_points == 8
    assert layout.codes(labels).tolist() == [1, 0, 1]


def test_a_layout_survives_json_and_cannot_be_changed(stacked):
    layout = stacked.layout
    again = CategoryLayout.from_dict(json.loads(json.dumps(layout.to_dict())))
    assert again == layout
    assert hash(again) == hash(layout)
    with pytest.raises(AttributeError):
        layout.names = ()


def test_categories_may_share_points():
    layout = CategoryLayout(("dog", "cat"), ((0, 1), (1, 2)), ("a", "b", "c"))
    np.testing.assert_array_equal(layout.mask(["dog", "cat"]), [[1, 1, 0], [0, 1, 1]])


@settings(deadline=None, max_examples=25)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 6)), min_size=1, max_size=4),
    seed=st.integers(0, 99),
)
def test_splitting_undoes_stacking_in_any_order_of_frames(sizes, seed):
    rng = np.random.default_rng(seed)
    parts = {f"z{k}": rng.normal(size=(F, P, 2)) for k, (F, P) in enumerate(sizes)}
    for W in parts.values():
        W[rng.uniform(size=W.shape[:2]) < 0.3] = np.nan
    data = stack_categories(parts)
    assert list(split_categories(data.W, data.categories, data.layout)) == list(parts)
    order = rng.permutation(len(data.W))
    found = split_categories(data.W[order], data.categories[order], data.layout)
    seen = split_categories(data.visible[order], data.categories[order], data.layout)
    for name, W in parts.items():
        rows = [k - np.flatnonzero(data.categories == name)[0] for k in order]
        rows = [r for r, c in zip(rows, data.categories[order], strict=True) if c == name]
        np.testing.assert_array_equal(found[name], W[rows])
        np.testing.assert_array_equal(seen[name], ~np.isnan(W[rows][..., 0]))


def test_a_category_without_frames_is_left_out(stacked):
    assert list(split_categories(stacked.W[:4], stacked.categories[:4], stacked.layout)) == ["car"]


def test_records_keep_edges_groups_and_ground_truth():
    bunch = make_rigid_category(6, category="chair", n_instances=3, random_state=0)
    record = Keypoints(CARS, names=("x", "y", "z"), edges=((0, 2),), clips=np.array([4, 4, 7, 7]))
    data = stack_categories({"animal": record, "chair": bunch})
    assert data.edges[0] == (0, 2)
    assert data.edges[1:] == [(i + 3, j + 3) for i, j in bunch.edges]
    assert data.groups.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    np.testing.assert_array_equal(data.X[4:, 3:], bunch.X)
    assert np.isnan(data.X[:4]).all()
    assert stack_categories({"a": CARS}).X is None
    assert stack_categories({"a": CARS}).names == ["a/point_0", "a/point_1", "a/point_2"]


def test_errors_of_stacking():
    with pytest.raises(TypeError, match="parts must be a dict of category to keypoints, got list"):
        stack_categories([CARS])
    with pytest.raises(ValueError, match="parts is empty"):
        stack_categories({})
    with pytest.raises(ValueError, match="category 'cat': W has no frames"):
        stack_categories({"car": CARS, "cat": CATS[:0]})
    with pytest.raises(ValueError, match="category 'car': names must be 3 different names"):
        stack_categories({"car": (CARS, ["a", "b"])})
    with pytest.raises(ValueError, match="category 'car': names must be 3 different names"):
        stack_categories({"car": (CARS, ["a", "b", "a"])})
    with pytest.raises(ValueError, match=r"category 'car': a tuple must be \(W, names\)"):
        stack_categories({"car": (CARS,)})
    with pytest.raises(ValueError, match="category 'car': X has"):
        stack_categories({"car": (CARS, None, np.zeros((4, 5, 3)))})
    with pytest.raises(ValueError, match="category 'car': W must have shape"):
        stack_categories({"car": np.zeros((4, 3))})


def test_errors_of_splitting_and_of_layouts(stacked):
    layout = stacked.layout
    with pytest.raises(ValueError, match=r"categories has 'dog' at frame 1, .* \['car', 'cat'\]"):
        layout.mask(["car", "dog"])
    with pytest.raises(ValueError, match="there is no category 'dog'"):
        layout.points("dog")
    with pytest.raises(ValueError, match="n_points=8 of the layout, got"):
        split_categories(stacked.W[:, :7], stacked.categories, layout)
    with pytest.raises(ValueError, match="categories must have shape"):
        split_categories(stacked.W, stacked.categories[:3], layout)
    with pytest.raises(ValueError, match="categories must have shape"):
        layout.mask("car")
    with pytest.raises(ValueError, match="'a' is there twice"):
        CategoryLayout(("a", "a"), ((0,), (1,)), ("x", "y"))
    with pytest.raises(ValueError, match="one entry a category, 1, got 2"):
        CategoryLayout(("a",), ((0,), (1,)), ("x", "y"))
    with pytest.raises(ValueError, match="category 'a' must be at least one point"):
        CategoryLayout(("a",), ((),), ("x", "y"))
    with pytest.raises(ValueError, match="category 'a' must lie between 0 and 1"):
        CategoryLayout(("a",), ((0, 2),), ("x", "y"))


class PerCategory(BaseNRSfM):
    """Reads its layout off the data: knows a frame's category, and no point of another."""

    def __init__(self, depth=0.0):
        self.depth = depth

    def _nrsfm_tags(self):
        return NRSfMTags(stochastic=False)

    def _check(self, observations):
        W, seen, labels = observations.W, observations.visible, observations.categories
        assert labels is not None, "no categories arrived"
        for name in np.unique(labels):
            # The first letter of a category is that of its points' x, which is 10 times its code.
            x = W[labels == name][..., 0][seen[labels == name]]
            np.testing.assert_array_equal(x.round(-1), 10.0 * int(name))

    def _fit(self, observations):
        self._check(observations)
        self.known_ = sorted(set(observations.categories.tolist()))

    def _lift(self, observations):
        self._check(observations)
        F, P = observations.visible.shape
        X = np.concatenate([np.nan_to_num(observations.W), np.full((F, P, 1), self.depth)], axis=2)
        eye = np.broadcast_to(np.eye(3), (F, 3, 3))
        return Reconstruction(X, X, eye, np.zeros((F, 3)), np.ones(F))


@pytest.fixture(scope="module")
def labelled():
    rng = np.random.default_rng(1)
    parts = {}
    for k, (frames, points) in enumerate([(12, 4), (6, 5), (9, 3)], start=1):
        parts[str(k)] = rng.uniform(-1, 1, size=(frames, points, 2)) + [10 * k, 0]
    return stack_categories(parts)


def test_categories_reach_a_method(labelled):
    method = PerCategory().fit(labelled.W, categories=labelled.categories)
    assert method.known_ == ["1", "2", "3"]
    X = method.transform(labelled.W, categories=labelled.categories)
    for name, part in split_categories(X, labelled.categories, labelled.layout).items():
        W = split_categories(labelled.W, labelled.categories, labelled.layout)[name]
        np.testing.assert_array_equal(part[..., :2], W)
    wrong = np.roll(labelled.categories, 1)
    with pytest.raises(AssertionError):
        PerCategory().fit(labelled.W, categories=wrong)


def test_categories_pass_a_pipeline_and_a_search_frame_by_frame(labelled):
    grid, cv = {"depth": [0.0, 1.0]}, KFold(3, shuffle=True, random_state=0)
    with sklearn.config_context(enable_metadata_routing=True):
        search = GridSearchCV(PerCategory(), grid, cv=cv, error_score="raise")
        search.fit(labelled.W, categories=labelled.categories)
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()
        # A search has no side inputs in transform, its best estimator has.
        best = search.best_estimator_
        X = best.transform(labelled.W[::2], categories=labelled.categories[::2])
        assert X.shape == (14, 12, 3)
        inside = GridSearchCV(
            make_pipeline(Shift(), PerCategory()),
            {"percategory__depth": [0.0, 1.0]},
            cv=cv,
            error_score="raise",
        ).fit(labelled.W, categories=labelled.categories)
        assert np.isfinite(inside.cv_results_["mean_test_score"]).all()
        pipeline = make_pipeline(Shift(), PerCategory())
        pipeline.fit(labelled.W, categories=labelled.categories)
        score = pipeline.score(labelled.W, categories=labelled.categories)
    shifted = labelled.W + [0, 1.0]
    alone = PerCategory().fit(shifted, categories=labelled.categories)
    assert score == pytest.approx(alone.score(shifted, categories=labelled.categories))


def test_folds_may_keep_the_proportions_of_the_categories(labelled):
    for _, test in StratifiedKFold(3).split(labelled.W, labelled.categories):
        assert np.unique(labelled.categories[test], return_counts=True)[1].tolist() == [4, 2, 3]


class Shift(CenterOnVisible):
    """A step that takes a mask and no categories, and leaves x as it is."""

    def _transform(self, W, visible):
        return W + [0, 1.0]
