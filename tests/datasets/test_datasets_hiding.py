import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrsfm_learn.datasets import make_articulated_body, make_low_rank
from nrsfm_learn.datasets._hiding import hidden_by_capsules, hidden_by_mesh, hide, hide_in_blocks


def runs(hidden):
    """Lengths of the stretches of hidden frames of all points."""
    lengths = []
    for column in hidden.T:
        edges = np.diff(np.concatenate([[0], column.astype(int), [0]]))
        lengths.extend(np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1))
    return np.array(lengths)


@pytest.mark.parametrize("missing", [0.0, 0.1, 0.3, 0.7])
@pytest.mark.parametrize("occlusion", ["random", "contiguous"])
def test_fraction_missing(missing, occlusion):
    body = make_articulated_body(1500, missing=missing, occlusion=occlusion, random_state=0)
    assert 1 - body.visible.mean() == pytest.approx(missing, abs=0.03)


def test_contiguous_occlusion_is_contiguous():
    rng = np.random.RandomState(0)
    groups = np.zeros(3000, dtype=int)
    blocks = runs(hide_in_blocks(groups, 20, 0.3, rng))
    assert blocks.mean() == pytest.approx(15, rel=0.15)
    scattered = runs(hide(groups, 20, 0.3, "random", 0, rng))
    assert scattered.mean() == pytest.approx(1 / 0.7, rel=0.05)


def test_blocks_end_with_the_clip():
    rng = np.random.RandomState(0)
    groups = np.repeat(np.arange(400), 2)
    hidden = hide_in_blocks(groups, 30, 0.5, rng)
    within = (hidden[::2] == hidden[1::2]).mean()
    across = (hidden[1:-1:2] == hidden[2::2]).mean()
    assert within > 0.9
    assert across == pytest.approx(0.5, abs=0.03)


@settings(deadline=None, max_examples=30)
@given(
    missing=st.floats(0, 0.98),
    min_visible=st.integers(0, 6),
    occlusion=st.sampled_from(["random", "contiguous"]),
    seed=st.integers(0, 1000),
)
def test_enough_stay_visible(missing, min_visible, occlusion, seed):
    data = make_low_rank(
        30, 6, 2, missing=missing, min_visible=min_visible, occlusion=occlusion, random_state=seed
    )
    assert (data.visible.sum(1) >= min_visible).all()
    assert np.isfinite(data.W[data.visible]).all()
    assert np.isnan(data.W[~data.visible]).all()


def test_only_poor_frames_get_points_back():
    groups = np.zeros(500, dtype=int)
    free = hide(groups, 8, 0.6, "random", 0, np.random.RandomState(1))
    kept = hide(groups, 8, 0.6, "random", 3, np.random.RandomState(1))
    rich = (~free).sum(1) >= 3
    np.testing.assert_array_equal(free[rich], kept[rich])
    assert ((~kept[~rich]).sum(1) == 3).all()
    assert (free | ~kept).all(), "nothing is hidden in addition"


def capsule_reference(X, bones, radii, perspective):
    """Points hidden by limbs, by sampling the line of sight and the bones densely."""
    hidden = np.zeros(len(X), dtype=bool)
    for k, p in enumerate(X):
        d = -p / np.linalg.norm(p) if perspective else np.array([0, 0, -1.0])
        sight = p + np.linspace(0, 5, 400)[:, None] * d
        for (i, j), r in zip(bones, radii, strict=True):
            bone = X[i] + np.linspace(0, 1, 80)[:, None] * (X[j] - X[i])
            gap = np.linalg.norm(sight[:, None] - bone[None], axis=-1)
            hidden[k] |= gap.min() < r and gap[0].min() >= r
    return hidden


@pytest.mark.parametrize("perspective", [False, True])
def test_capsules_against_sampling(perspective):
    rng = np.random.RandomState(0)
    X = rng.uniform(-1, 1, size=(8, 7, 3)) + [0, 0, 3]
    bones, radii = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6)], np.full(6, 0.25)
    found = hidden_by_capsules(X, None, perspective, bones=bones, radii=radii, chunk=5)
    expected = np.stack([capsule_reference(x, bones, radii, perspective) for x in X])
    assert 0.1 < expected.mean() < 0.9
    # Sampling misses a graze now and then.
    assert (found == expected).mean() > 0.97


def test_a_limb_hides_the_skin_of_its_far_side_and_what_lies_in_it():
    joints = np.array([[[0.0, -1, 5], [0, 1, 5], [3, -1, 5], [3, 1, 5]]])
    skin = np.array([[[0, 0, 4.7999], [0, 0, 5.2001], [3, 0, 5.0], [1.5, 0, 9.0]]])
    options = {"bones": [(0, 1), (2, 3)], "radii": [0.2, 0.2], "joints": joints - [0, 0, 5]}
    hidden = hidden_by_capsules(skin, lambda p: p + [0, 0, 5], False, **options)
    assert hidden.tolist() == [[False, True, True, False]]


def ray_hits(p, d, a, b, c):
    """Solve p + t d = a + u (b - a) + v (c - a)."""
    t, u, v = np.linalg.solve(np.stack([-d, b - a, c - a], axis=1), p - a)
    return t > 1e-6 and u >= 0 and v >= 0 and u + v <= 1


@pytest.mark.parametrize("perspective", [False, True])
def test_mesh_against_ray_triangle_intersection(perspective):
    rng = np.random.RandomState(1)
    t = np.array([0.1, -0.2, 4.0])
    vertices = rng.uniform(-1, 1, size=(10, 12, 3))
    triangles = np.arange(12).reshape(4, 3)
    X = rng.uniform(-1, 1, size=(10, 15, 3)) + t
    found = hidden_by_mesh(
        X, lambda points: points + t, perspective, vertices=vertices, triangles=triangles, batch=150
    )
    expected = np.zeros_like(found)
    for f in range(10):
        for p in range(15):
            d = -X[f, p] if perspective else np.array([0, 0, -1.0])
            corners = vertices[f][triangles] + t
            expected[f, p] = any(ray_hits(X[f, p], d, *corner) for corner in corners)
    assert 0.1 < expected.mean() < 0.9
    np.testing.assert_array_equal(found, expected)


def test_triangles_of_a_point_and_triangles_edge_on_do_not_hide_it():
    corners = np.array([[[0.0, 0, 2], [1, 0, 2.5], [0, 1, 2.2]]])
    edge_on = np.array([[[0.2, 0.2, 0.0], [0.2, 0.8, 0.0], [0.2, 0.2, 1.0]]])
    vertices = np.concatenate([corners, edge_on], axis=1)
    X = np.concatenate([corners, corners.mean(1, keepdims=True)], axis=1)
    hidden = hidden_by_mesh(
        X, lambda p: p, False, vertices=vertices, triangles=[[0, 1, 2], [3, 4, 5]]
    )
    assert not hidden.any()
