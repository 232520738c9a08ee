from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrsfm_learn._records import Reconstruction
from nrsfm_learn.datasets import make_articulated_body
from nrsfm_learn.flips import (
    consistent_flips,
    flip_hypotheses,
    mirror_depth,
    mirror_reconstruction,
)


@pytest.fixture(scope="module")
def clip():
    """A body that moves and turns slowly, as it is."""
    return make_articulated_body(150, clips=1, views="smooth", random_state=1).X


def movement(X, signs):
    """The objective of the docstring, written out."""
    z = np.array([s * (x[:, 2] - x[:, 2].mean()) for s, x in zip(signs, X, strict=True)])
    return np.square(z[1:] - z[:-1]).sum() + np.square(z[2:] - z[:-2]).sum()


def mirrored_at(X, frames):
    return np.where(np.isin(np.arange(len(X)), frames)[:, None, None], mirror_depth(X), X)


def reconstruction(n_frames=5, n_points=7, depth=0.0, seed=0):
    rng = np.random.default_rng(seed)
    shapes = rng.normal(size=(n_frames, n_points, 3))
    shapes -= shapes.mean(1, keepdims=True)
    rotations = np.linalg.qr(rng.normal(size=(n_frames, 3, 3)))[0]
    rotations *= np.linalg.det(rotations)[:, None, None]
    translations = rng.normal(size=(n_frames, 3)) * [1, 1, 0] + [0, 0, depth]
    scales = rng.uniform(0.5, 2, n_frames)
    codes = rng.normal(size=(n_frames, 2))
    return Reconstruction(
        pose(shapes, rotations, translations, scales),
        shapes,
        rotations,
        translations,
        scales,
        codes,
    )


def pose(shapes, rotations, translations, scales):
    posed = np.einsum("f,fij,fpj->fpi", scales, rotations, shapes)
    return posed + translations[:, None]


def test_mirror_depth_keeps_the_image_and_the_centre():
    X = np.random.default_rng(0).normal(size=(4, 6, 3)) + [0, 0, 9]
    mirrored = mirror_depth(X)
    np.testing.assert_array_equal(mirrored[..., :2], X[..., :2])
    np.testing.assert_allclose(mirrored[..., 2].mean(1), X[..., 2].mean(1))
    np.testing.assert_allclose(
        mirrored[..., 2] + X[..., 2], np.repeat(2 * X[..., 2].mean(1)[:, None], 6, 1)
    )
    np.testing.assert_allclose(mirror_depth(mirrored), X, atol=1e-14)


def test_mirror_depth_takes_the_mean_of_known_points():
    X = np.random.default_rng(0).normal(size=(3, 5, 3))
    X[1, 2] = np.nan
    X[2] = np.nan
    mirrored = mirror_depth(X)
    np.testing.assert_array_equal(np.isnan(mirrored), np.isnan(X))
    known = [0, 1, 3, 4]
    np.testing.assert_allclose(mirrored[1, known], mirror_depth(X[1:2, known])[0])


def test_dtype_is_kept_and_the_input_not_touched():
    X = np.random.default_rng(0).normal(size=(4, 6, 3)).astype(np.float32)
    before = X.copy()
    assert flip_hypotheses(X, groups=np.zeros(4)).dtype == np.float32
    np.testing.assert_array_equal(X, before)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 9), st.integers(0, 10_000))
def test_signs_minimise_the_movement_among_all(n_frames, seed):
    X = np.random.default_rng(seed).normal(size=(n_frames, 4, 3))
    best = min(movement(X, signs) for signs in product([1, -1], repeat=n_frames))
    signs = consistent_flips(X)
    assert set(signs) <= {1, -1}
    assert movement(X, signs) == pytest.approx(best)
    assert signs.sum() >= 0


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 149), max_size=70, unique=True))
def test_planted_flips_are_found(clip, frames):
    expected = np.ones(150, dtype=int)
    expected[frames] = -1
    np.testing.assert_array_equal(consistent_flips(mirrored_at(clip, frames)), expected)


def test_the_majority_decides(clip):
    signs = consistent_flips(mirrored_at(clip, np.arange(100)))
    np.testing.assert_array_equal(signs, np.repeat([1, -1], [100, 50]))


def test_a_frame_of_nonsense_does_not_part_the_clip(clip):
    X = mirrored_at(clip, np.arange(60, 75))
    X[40, :, 2] = np.random.default_rng(0).normal(size=X.shape[1])
    signs = np.delete(consistent_flips(X), 40)
    np.testing.assert_array_equal(np.flatnonzero(signs < 0), np.arange(59, 74))


def test_frames_of_nan_are_bridged_and_left_alone(clip):
    X = mirrored_at(clip, np.arange(50, 60))
    X[[0, 49, 55, 56]] = np.nan
    signs = consistent_flips(X)
    assert (signs[[0, 49, 55, 56]] == 1).all()
    np.testing.assert_array_equal(np.flatnonzero(signs < 0), [50, 51, 52, 53, 54, 57, 58, 59])


def test_points_of_nan_carry_no_evidence(clip):
    X = mirrored_at(clip, [30, 31])
    X[np.random.default_rng(0).uniform(size=X.shape[:2]) < 0.3] = np.nan
    np.testing.assert_array_equal(np.flatnonzero(consistent_flips(X) < 0), [30, 31])


def test_clips_are_independent_and_may_interleave(clip):
    first, second = mirrored_at(clip, [3, 4]), mirror_depth(mirrored_at(clip, [7]))
    X = np.stack([first, second], axis=1).reshape(-1, *clip.shape[1:])
    groups = np.tile(["a", "b"], len(clip))
    np.testing.assert_array_equal(np.flatnonzero(consistent_flips(X, groups) < 0), [6, 8, 15])


def test_hypotheses_without_groups_keep_the_signs():
    X = np.random.default_rng(0).normal(size=(5, 4, 3))
    first, second = flip_hypotheses(X)
    np.testing.assert_array_equal(first, X)
    np.testing.assert_array_equal(second, mirror_depth(X))


def test_one_hypothesis_of_a_clip_is_the_truth(clip):
    first, second = flip_hypotheses(mirrored_at(clip, [9, 80, 81]), groups=np.zeros(150))
    np.testing.assert_allclose(first, clip, atol=1e-12)
    np.testing.assert_allclose(second, mirror_depth(clip), atol=1e-12)


def test_all_nan():
    X = np.full((3, 4, 3), np.nan)
    np.testing.assert_array_equal(consistent_flips(X), [1, 1, 1])
    assert np.isnan(flip_hypotheses(X, groups=[0, 0, 0])).all()


@pytest.mark.parametrize("frames", [None, np.array([True, False, True, False, False])])
def test_mirrored_reconstruction_is_consistent(frames):
    r = reconstruction()
    mirrored = mirror_reconstruction(r, frames)
    chosen = np.ones(5, bool) if frames is None else frames
    np.testing.assert_allclose(mirrored.X, pose(*mirrored[1:5]), atol=1e-12)
    np.testing.assert_allclose(mirrored.X[chosen], mirror_depth(r.X)[chosen], atol=1e-12)
    np.testing.assert_array_equal(mirrored.X[~chosen], r.X[~chosen])
    np.testing.assert_allclose(np.linalg.det(mirrored.rotations), 1)
    np.testing.assert_array_equal(mirrored.codes, r.codes)
    back = mirror_reconstruction(mirrored, frames)
    for name in r._fields:
        np.testing.assert_allclose(getattr(back, name), getattr(r, name), atol=1e-12)


def test_frames_that_could_not_be_lifted_stay_nan():
    r = reconstruction().spread(np.array([0, 2, 3, 4, 5]), 6)
    mirrored = mirror_reconstruction(r._replace(codes=None))
    assert mirrored.codes is None
    assert np.isnan(mirrored.X[1]).all()
    np.testing.assert_allclose(mirrored.X[0], mirror_depth(r.X[:1])[0], atol=1e-12)


def test_perspective_reconstructions_have_no_mirror_image():
    with pytest.raises(ValueError, match=r"depth offset of 5 in frame .* no second hypothesis"):
        mirror_reconstruction(reconstruction(depth=5.0))


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: consistent_flips(np.zeros((4, 3, 2))), ValueError, r"X must have shape"),
        (lambda: consistent_flips(np.zeros((4, 3, 3)), [0, 1]), ValueError, r"groups must have"),
        (lambda: mirror_reconstruction(np.zeros((4, 3, 3))), TypeError, r"use mirror_depth"),
        (
            lambda: mirror_reconstruction(reconstruction(), [1, 1, 1, 1, -1]),
            TypeError,
            r"signs < 0",
        ),
        (lambda: mirror_reconstruction(reconstruction(), [True]), ValueError, r"shape \(5,\)"),
    ],
)
def test_bad_input(call, error, match):
    with pytest.raises(error, match=match):
        call()
