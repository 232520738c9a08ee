import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.spatial.transform import Rotation

from nrsfm_learn.metrics import mpjpe, n_mpjpe, pa_mpjpe

MIRROR = np.array([1.0, 1.0, -1.0])


def draw(seed, n_frames=5, n_points=8):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_frames, n_points, 3))
    Y = X * np.where(rng.random((n_frames, 1, 1)) < 0.5, MIRROR, 1.0)
    return X, Y + 0.4 * rng.normal(size=X.shape), rng


def umeyama_by_scipy(p, g):
    """Best similarity of p to g for one frame, through scipy's solution of Wahba's problem."""
    p, g = p - p.mean(0), g - g.mean(0)
    rotation, _ = Rotation.align_vectors(g, p)
    turned = rotation.apply(p)
    return turned * (turned * g).sum() / (p * p).sum(), g


def test_hand_computed():
    X = np.array([[[0.0, 0, 1], [0, 0, -1]], [[1.0, 0, 0], [-1, 0, 0]]])
    Y = np.array([[[0.0, 0, -2], [0, 0, 2]], [[1.0, 3, 0], [-1, -3, 0]]])
    assert mpjpe(X, Y) == 3.0
    assert mpjpe(X, Y, reduction="none").tolist() == [3.0, 3.0]
    assert mpjpe(X, Y, flip="frame") == 2.0  # 1 after the flip, and 3
    assert mpjpe(X, Y, flip="best") == 2.0
    assert mpjpe(X, Y, flip="sequence") == 2.0
    # a = -1/2 turns the first frame into the truth; a = 1/10 leaves (0.9, 0.3) in the second.
    assert n_mpjpe(X, Y) == pytest.approx(np.sqrt(0.9) / 2)
    assert pa_mpjpe(X, Y) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("flip", ["none", "frame", "sequence"])
@pytest.mark.parametrize("align", ["mean", "root", "depth", "root_depth"])
def test_mpjpe_against_loops(align, flip):
    X, Y, rng = draw(3)
    mask = rng.random(X.shape[:2]) < 0.8
    mask[:, 2] = True
    error = np.empty((2, len(X)))
    for f in range(len(X)):
        for s, mirror in enumerate((np.ones(3), MIRROR)):
            o_x, o_y = (
                (X[f, 2], Y[f, 2])
                if align.startswith("root")
                else (X[f, mask[f]].mean(0), Y[f, mask[f]].mean(0))
            )
            if align.endswith("depth"):
                o_x, o_y = [0, 0, o_x[2]], [0, 0, o_y[2]]
            gap = (Y[f, mask[f]] - o_y) * mirror - (X[f, mask[f]] - o_x)
            error[s, f] = np.sqrt((gap**2).sum(1)).mean()
    expected = {
        "none": error[0].mean(),
        "frame": error.min(0).mean(),
        "sequence": error.mean(1).min(),
    }[flip]
    root = 2 if align.startswith("root") else None
    assert mpjpe(X, Y, mask=mask, align=align, root=root, flip=flip) == pytest.approx(
        expected, rel=1e-12
    )


def test_n_mpjpe_scale_is_the_least_squares_one():
    X, Y, _ = draw(4, n_frames=1)
    p, g = (A[0] - A[0].mean(0) for A in (Y, X))
    best = minimize_scalar(lambda a: ((a * p - g) ** 2).sum())
    expected = np.linalg.norm(best.x * p - g, axis=1).mean()
    assert n_mpjpe(X, Y) == pytest.approx(expected, rel=1e-6)


@given(seed=st.integers(0, 10_000))
@settings(deadline=None, max_examples=30)
def test_pa_mpjpe_against_scipy(seed):
    X, Y, rng = draw(seed)
    mask = rng.random(X.shape[:2]) < 0.8
    mask[:, :4] = True
    expected = [
        np.linalg.norm(np.subtract(*umeyama_by_scipy(p[m], g[m])), axis=1).mean()
        for p, g, m in zip(Y, X, mask, strict=True)
    ]
    np.testing.assert_allclose(
        pa_mpjpe(X, Y, mask=mask, reduction="none"), expected, rtol=1e-7, atol=1e-9
    )


@given(seed=st.integers(0, 10_000))
@settings(deadline=None, max_examples=30)
def test_pa_mpjpe_ignores_similarities_but_not_reflections(seed):
    X, Y, rng = draw(seed)
    R = Rotation.random(len(X), random_state=seed).as_matrix()
    moved = rng.uniform(0.1, 9, (len(X), 1, 1)) * Y @ R + rng.normal(size=(len(X), 1, 3))
    assert pa_mpjpe(X, moved) == pytest.approx(pa_mpjpe(X, Y), rel=1e-9)
    assert pa_mpjpe(X, moved @ np.diag(MIRROR), flip="frame") == pytest.approx(
        pa_mpjpe(X, Y, flip="frame"), rel=1e-9
    )
    assert pa_mpjpe(X, X @ R) < 1e-12
    assert pa_mpjpe(X, X * MIRROR) > 0.05
    assert pa_mpjpe(X, X * MIRROR @ R, flip="frame") < 1e-12


@given(seed=st.integers(0, 10_000), scale=st.floats(0.01, 100))
@settings(deadline=None, max_examples=30)
def test_scale_and_flip_invariance(seed, scale):
    X, Y, _ = draw(seed)
    for flip in ("none", "frame", "sequence"):
        assert n_mpjpe(X, scale * Y, flip=flip) == pytest.approx(n_mpjpe(X, Y, flip=flip))
        assert mpjpe(scale * X, scale * Y, flip=flip) == pytest.approx(
            scale * mpjpe(X, Y, flip=flip)
        )
    for metric in (mpjpe, n_mpjpe):
        for flip in ("frame", "sequence"):
            assert metric(X, Y * MIRROR, flip=flip) == pytest.approx(metric(X, Y, flip=flip))
        assert metric(X, Y, flip="frame") <= metric(X, Y, flip="sequence") <= metric(X, Y)


def test_collapsed_prediction_is_the_size_of_the_truth():
    X, _, _ = draw(0)
    expected = np.linalg.norm(X - X.mean(1, keepdims=True), axis=2).mean()
    for metric in (mpjpe, n_mpjpe, pa_mpjpe):
        assert metric(X, np.zeros_like(X)) == pytest.approx(expected)


def test_root_is_checked():
    X, Y, _ = draw(0)
    with pytest.raises(ValueError, match="needs root"):
        mpjpe(X, Y, align="root")
    with pytest.raises(ValueError, match="root=8 is not one of the 8 points"):
        n_mpjpe(X, Y, align="root", root=8)
    with pytest.raises(ValueError, match="root=1 has no meaning for align='mean'"):
        mpjpe(X, Y, root=1)
    with pytest.raises(ValueError, match="align='hip' is not known"):
        mpjpe(X, Y, align="hip")
    with pytest.raises(ValueError, match="flip='maybe' is not known"):
        mpjpe(X, Y, flip="maybe")
    X[3, 1], Y[0] = np.nan, np.nan
    with pytest.raises(ValueError, match="root point 1 does not count in frame 3"):
        mpjpe(X, Y, align="root", root=1)
