import os
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes
from scipy.stats import ortho_group

from nrsfm_learn.metrics import e3d

MIRROR = np.array([1.0, 1.0, -1.0])

# Percent: as published with the data; one least-squares matrix for the sequence; one per frame.
STORED = {
    "drink": ("2.50", "2.49", "2.26"),
    "pickup": ("23.69", "22.22", "5.91"),
    "yoga": ("16.25", "14.83", "4.76"),
    "stretch": ("10.88", "10.87", "8.18"),
    "dance": ("29.56", "31.37", "27.77"),
}


@pytest.mark.parametrize("name", STORED)
def test_stored_reconstructions_reproduce_the_printed_digits(name):
    if "NRSFM_LEARN_DATA" not in os.environ:
        pytest.skip("real data: set NRSFM_LEARN_DATA to the folder that holds akhter2011_mocap")
    d = scipy.io.loadmat(Path(os.environ["NRSFM_LEARN_DATA"]) / "akhter2011_mocap" / f"{name}.mat")
    n_frames = len(d["S"]) // 3
    X, Y = (d[key].reshape(n_frames, 3, -1).transpose(0, 2, 1) for key in ("S", "Shat"))
    figures = [f"{100 * e3d(X, Y, protocol=p):.2f}" for p in ("none", "sequence", "frame")]
    assert tuple(figures) == STORED[name]


def test_hand_computed():
    X = np.array([[[1.0, 0, 0], [-1, 0, 0]], [[0, 2.0, 0], [0, -2, 0]]])  # sigma = (1 + 2)/3/2
    Y = np.array([[[0, 1.0, 0], [0, -1, 0]], [[-2.0, 0, 0], [2, 0, 0]]])  # a quarter turn
    assert e3d(X, Y, protocol="none") == pytest.approx((np.sqrt(2) + np.sqrt(8)) / 2 / 0.5)
    assert e3d(X, Y, protocol="sequence") == pytest.approx(0.0, abs=1e-12)
    Y[1] *= -1  # per frame still a rotation, but with one matrix only as a reflection
    assert e3d(X, Y, protocol="sequence") == pytest.approx(0.0, abs=1e-12)
    Y[1] = [[2.0, 0, 2], [-2, 0, -2]]
    assert e3d(X, Y, protocol="frame") == pytest.approx((np.sqrt(8) - 2) / 2 / 0.5)


@given(seed=st.integers(0, 10_000))
@settings(deadline=None, max_examples=30)
def test_against_scipy_and_invariance(seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(5, 8, 3))
    Y = X + 0.3 * rng.normal(size=X.shape)
    g, p = X - X.mean(1, keepdims=True), Y - Y.mean(1, keepdims=True)
    sigma = X.std(axis=1, ddof=0).mean()
    whole, _ = orthogonal_procrustes(p.reshape(-1, 3), g.reshape(-1, 3))
    each = np.stack([orthogonal_procrustes(a, b)[0] for a, b in zip(p, g, strict=True)])
    for protocol, Q in (("none", np.eye(3)), ("sequence", whole), ("frame", each)):
        expected = np.linalg.norm(p @ Q - g, axis=2).mean() / sigma
        assert e3d(X, Y, protocol=protocol) == pytest.approx(expected, abs=1e-10)
    one, many = ortho_group.rvs(3, random_state=seed), ortho_group.rvs(3, 5, random_state=seed)
    for protocol, Q in (("sequence", one), ("frame", many)):
        value = e3d(X, Y @ Q, protocol=protocol)
        assert value == pytest.approx(e3d(X, Y, protocol=protocol), abs=1e-10)


@given(seed=st.integers(0, 10_000))
@settings(deadline=None, max_examples=25)
def test_flips(seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(5, 8, 3))
    signs = np.where(rng.random((5, 1, 1)) < 0.5, MIRROR, 1.0)
    assert e3d(X, X * signs, protocol="none", flip="frame") == pytest.approx(0.0, abs=1e-12)
    assert e3d(X, X * MIRROR, protocol="none", flip="sequence") == pytest.approx(0.0, abs=1e-12)
    plain, mirrored = (e3d(X, X * signs * s, protocol="none") for s in (1, MIRROR))
    value = e3d(X, X * signs, protocol="none", flip="sequence")
    assert value == pytest.approx(min(plain, mirrored), abs=1e-12)


def test_sigma_under_a_mask_uses_the_points_that_count():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(2, 4, 8, 3))
    mask = rng.random((4, 8)) < 0.7
    mask[:, :2] = True
    spread = np.mean([x[m].std(0).mean() for x, m in zip(X, mask, strict=True)])
    gaps = [
        np.linalg.norm((y[m] - y[m].mean(0)) - (x[m] - x[m].mean(0)), axis=1).mean()
        for x, y, m in zip(X, Y, mask, strict=True)
    ]
    assert e3d(X, Y, protocol="none", mask=mask) == pytest.approx(np.mean(gaps) / spread)


def test_options_are_checked():
    X = np.random.default_rng(0).normal(size=(4, 8, 3))
    with pytest.raises(TypeError, match="protocol"):
        e3d(X, X)
    with pytest.raises(ValueError, match="protocol='world' is not known"):
        e3d(X, X, protocol="world")
    with pytest.raises(ValueError, match="allows reflections"):
        e3d(X, X, protocol="sequence", flip="sequence")
    with pytest.raises(ValueError, match="e3d is undefined"):
        e3d(np.ones_like(X), X, protocol="none")
