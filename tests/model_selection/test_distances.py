"""Steady distances and spread in depth, against their definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist, squareform
from scipy.spatial.transform import Rotation

from nrsfm_learn.model_selection import depth_spread, neighbor_distance_variation


def by_definition(X, visible):
    n_points = X.shape[1]
    lowest = []
    for i in range(n_points):
        variations = []
        for j in set(range(n_points)) - {i}:
            both = visible[:, i] & visible[:, j]
            if both.sum() >= 2:
                lengths = np.linalg.norm(X[both, i] - X[both, j], axis=1)
                variations.append(lengths.std() / lengths.mean())
        if variations:
            lowest.append(min(variations))
    return np.mean(lowest) if lowest else np.nan


@settings(deadline=None, max_examples=40)
@given(
    n_frames=st.integers(2, 8),
    n_points=st.integers(2, 7),
    share=st.sampled_from([0.4, 0.8, 1.0]),
    seed=st.integers(0, 999),
)
def test_definition(n_frames, n_points, share, seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_frames, n_points, 3))
    visible = rng.uniform(size=X.shape[:2]) < share
    expected = by_definition(X, visible)
    value = neighbor_distance_variation(X, visible=visible)
    np.testing.assert_allclose(value, expected, rtol=1e-10)
    assert isinstance(value, float)
    hidden = np.where(visible[..., None], X, np.nan)
    assert neighbor_distance_variation(hidden) == pytest.approx(value, nan_ok=True)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 999), scale=st.sampled_from([1e-3, 1.0, 1e4]))
def test_does_not_depend_on_pose_units_or_handedness(seed, scale):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(6, 5, 3))
    R = Rotation.random(6, rng).as_matrix()
    moved = scale * (X * [1, 1, -1] @ R.swapaxes(1, 2) + rng.normal(size=(6, 1, 3)))
    value = neighbor_distance_variation(X)
    assert neighbor_distance_variation(moved[:, rng.permutation(5)]) == pytest.approx(value)


def test_rigid_parts_have_none_and_a_wrong_depth_has():
    rng = np.random.default_rng(0)
    parts = rng.normal(size=(4, 3, 3))
    pose = Rotation.random(4 * 200, 1).as_matrix().reshape(4, 200, 3, 3)
    X = np.concatenate([p @ R for p, R in zip(parts, pose, strict=True)], axis=1)
    assert neighbor_distance_variation(X) == pytest.approx(0, abs=1e-12)
    assert neighbor_distance_variation(X * [1, 1, 2]) > 0.1
    assert neighbor_distance_variation(X * [1, 1, 0]) > 0.1


def test_all_distances_of_a_big_case_are_seen():
    X = np.random.default_rng(1).normal(size=(300, 40, 3))
    lengths = np.stack([squareform(pdist(x)) for x in X])
    variation = lengths.std(0) / (lengths.mean(0) + np.eye(40))
    np.fill_diagonal(variation, np.inf)
    value = neighbor_distance_variation(X)
    assert value == pytest.approx(variation.min(1).mean(), rel=1e-10)
    assert neighbor_distance_variation(X.astype(np.float32)) == pytest.approx(value, rel=1e-5)


def test_far_from_the_origin():
    X = np.random.default_rng(2).normal(size=(50, 6, 3))
    value = neighbor_distance_variation(X)
    assert neighbor_distance_variation(X + 1e6) == pytest.approx(value, rel=1e-6)


def test_groups_are_compared_with_themselves():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(12, 5, 3))
    groups = np.array(["b", "a"] * 3 + ["b"] * 4 + ["c"] + ["a"])
    # The clip c has a single frame, in which nothing can vary.
    sizes = {"a": 4, "b": 7}
    expected = sum(
        n * by_definition(X[groups == g], np.ones((n, 5), bool)) for g, n in sizes.items()
    ) / sum(sizes.values())
    assert neighbor_distance_variation(X, groups=groups) == pytest.approx(expected)
    rigid = np.repeat(X[:3], 4, axis=0)
    assert neighbor_distance_variation(rigid) > 0.1
    assert neighbor_distance_variation(rigid, groups=np.arange(12) // 4) == pytest.approx(0)
    assert np.isnan(neighbor_distance_variation(X, groups=np.arange(12)))


def test_points_that_coincide_are_no_neighbours():
    X = np.random.default_rng(4).normal(size=(10, 4, 3))
    twin = np.concatenate([X, X[:, :1]], axis=1)
    expected = by_definition(X, np.ones((10, 4), bool))
    four = neighbor_distance_variation(twin) * 5 - neighbor_distance_variation(X) * 4
    # The twin has the steadiest neighbour of the point it is.
    lengths = np.linalg.norm(X[:, 1:] - X[:, :1], axis=2)
    assert four == pytest.approx((lengths.std(0) / lengths.mean(0)).min())
    assert neighbor_distance_variation(X) == pytest.approx(expected)
    assert np.isnan(neighbor_distance_variation(np.zeros((10, 4, 3))))
    assert np.isnan(neighbor_distance_variation(X[:1]))
    assert np.isnan(neighbor_distance_variation(X[:, :1]))


def test_depth_spread_by_definition():
    rng = np.random.default_rng(5)
    X = rng.normal(size=(7, 5, 3)) * [1, 2, 3] + rng.normal(size=(7, 1, 3)) * 100
    X[2, 3] = np.nan
    X[4] = np.nan
    squares = np.zeros(3)
    for x in X:
        x = x[~np.isnan(x[:, 0])]
        squares += (x.var(0) * len(x)) if len(x) else 0
    expected = np.sqrt(squares[2] / squares[:2].mean())
    assert depth_spread(X) == pytest.approx(expected, rel=1e-9)
    assert depth_spread(5 * X * [1, 1, 2]) == pytest.approx(2 * expected, rel=1e-9)


def test_depth_spread_is_one_over_random_views_of_any_shape():
    rod = np.outer(np.arange(6.0), [1, 0, 0]) + np.random.default_rng(6).normal(size=(6, 3)) * 0.1
    X = rod @ Rotation.random(20000, 2).as_matrix()
    assert depth_spread(X) == pytest.approx(1, abs=0.02)


def test_depth_spread_of_little():
    X = np.random.default_rng(7).normal(size=(5, 4, 3))
    assert depth_spread(X * [1, 1, 0]) == 0
    assert np.isnan(depth_spread(X * [0, 0, 1]))
    assert np.isnan(depth_spread(np.full((5, 4, 3), np.nan)))


@pytest.mark.parametrize("function", [neighbor_distance_variation, depth_spread])
def test_errors(function):
    with pytest.raises(ValueError, match="X must have shape"):
        function(np.ones((5, 4, 2)))
    X = np.ones((5, 4, 3))
    X[1, 2] = np.inf
    with pytest.raises(ValueError, match="X is infinite at frame 1, point 2"):
        function(X)


def test_errors_of_masks_and_groups():
    X = np.ones((5, 4, 3))
    with pytest.raises(ValueError, match="visible must have shape"):
        neighbor_distance_variation(X, visible=np.ones((4, 5), bool))
    with pytest.raises(ValueError, match="groups must have shape"):
        neighbor_distance_variation(X, groups=[0, 1])
