import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.pipeline import make_pipeline

from nrsfm_learn.preprocessing import (
    UnitFocalPlane,
    pixels_to_unit_plane,
    unit_plane_to_pixels,
)

K = np.array([[1000.0, 0.5, 320.0], [0.0, 900.0, 240.0], [0.0, 0.0, 1.0]])


def cameras(n_frames, seed=0):
    rng = np.random.default_rng(seed)
    each = np.tile(K, (n_frames, 1, 1))
    each[:, 0, 0] *= rng.uniform(0.5, 2, n_frames)
    each[:, 1, 1] *= rng.uniform(0.5, 2, n_frames)
    each[:, :2, 2] += rng.normal(size=(n_frames, 2))
    each[:, 0, 1] = rng.normal(size=n_frames)
    return each


@pytest.mark.parametrize("intrinsics", [K, cameras(6)], ids=["one", "each"])
def test_against_homogeneous_coordinates(intrinsics):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(6, 5, 3)) + (0, 0, 8)
    full = np.broadcast_to(intrinsics, (6, 3, 3))
    homogeneous = np.einsum("fij,fpj->fpi", full, X)
    pixels = homogeneous[..., :2] / homogeneous[..., 2:]
    unit = X[..., :2] / X[..., 2:]
    np.testing.assert_allclose(unit_plane_to_pixels(unit, intrinsics), pixels, rtol=1e-12)
    np.testing.assert_allclose(pixels_to_unit_plane(pixels, intrinsics), unit, atol=1e-12)
    inverse = np.einsum("fij,fpj->fpi", np.linalg.inv(full), np.dstack([pixels, np.ones((6, 5))]))
    np.testing.assert_allclose(
        UnitFocalPlane(intrinsics).fit_transform(pixels), inverse[..., :2], atol=1e-12
    )


@settings(deadline=None, max_examples=25)
@given(
    fx=st.floats(10, 1e4),
    fy=st.floats(10, 1e4),
    skew=st.floats(-5, 5),
    cx=st.floats(-1e3, 1e3),
    cy=st.floats(-1e3, 1e3),
)
def test_round_trip(fx, fy, skew, cx, cy):
    W = np.random.default_rng(0).uniform(0, 1000, size=(4, 5, 2))
    W[2, 3] = np.nan
    transformer = UnitFocalPlane([[fx, skew, cx], [0, fy, cy], [0, 0, 1]])
    unit = transformer.fit_transform(W)
    assert np.isnan(unit[2, 3]).all()
    np.testing.assert_allclose(transformer.inverse_transform(unit), W, atol=1e-8)


def test_single_precision_stays_single():
    W = np.ones((4, 5, 2), dtype=np.float32)
    assert pixels_to_unit_plane(W, cameras(4)).dtype == np.float32
    assert unit_plane_to_pixels(W, K).dtype == np.float32


def test_refuses_intrinsics():
    W = np.ones((4, 5, 2))
    with pytest.raises(ValueError, match=r"intrinsics seem transposed.*swapaxes"):
        UnitFocalPlane(K.T).fit(W)
    with pytest.raises(ValueError, match=r"intrinsics must have shape .*\(4, 3, 3\), got \(6,"):
        UnitFocalPlane(cameras(6)).fit(W)
    transformer = UnitFocalPlane(cameras(4)).fit(W)
    with pytest.raises(ValueError, match=r"\(2, 3, 3\), got \(4, 3, 3\)"):
        transformer.transform(W[:2])
    with pytest.raises(ValueError, match=r"W must have shape .*got \(4, 5, 3\)"):
        transformer.inverse_transform(np.ones((4, 5, 3)))


def test_pipelines_invert():
    W = np.random.default_rng(0).uniform(0, 1000, size=(4, 5, 2))
    pipeline = make_pipeline(UnitFocalPlane(K), UnitFocalPlane(cameras(4)))
    np.testing.assert_allclose(pipeline.inverse_transform(pipeline.fit_transform(W)), W)
