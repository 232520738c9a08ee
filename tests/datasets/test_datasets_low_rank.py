import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrsfm_learn.datasets import make_low_rank


@settings(deadline=None, max_examples=25)
@given(rank=st.integers(1, 6), seed=st.integers(0, 100))
def test_rank(rank, seed):
    data = make_low_rank(80, 15, rank, clips=2, random_state=seed)
    s = np.linalg.svd(data.shapes.reshape(80, -1), compute_uv=False)
    assert s[rank - 1] > 0.05 * s[0]
    assert (s[rank:] < 1e-12 * s[0]).all()
    # Stacked as 3 rows a frame, each basis shape counts three times.
    s = np.linalg.svd(data.shapes.transpose(0, 2, 1).reshape(240, 15), compute_uv=False)
    assert (s[3 * rank :] < 1e-12 * s[0]).all()
    np.testing.assert_allclose(data.shapes.mean(1), 0, atol=1e-12)


def test_basis_and_coefficients_make_the_shapes():
    data = make_low_rank(30, 10, 3, random_state=0)
    for f in range(30):
        shape = sum(c * B for c, B in zip(data.coefficients[f], data.basis, strict=True))
        np.testing.assert_allclose(data.shapes[f], shape, atol=1e-12)


@pytest.mark.parametrize("deformation", [0.2, 0.8])
def test_deformation(deformation):
    data = make_low_rank(2000, 200, 4, clips=20, deformation=deformation, random_state=0)
    change = np.sqrt(((data.shapes - data.basis[0]) ** 2).sum((1, 2)).mean())
    assert change / np.linalg.norm(data.basis[0]) == pytest.approx(deformation, rel=0.1)


def test_seed_reproduces():
    a, b = (make_low_rank(10, random_state=1) for _ in range(2))
    np.testing.assert_array_equal(a.W, b.W)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((10, 20, 11), {}, r"rank must be an integer between 1 and .* = 10, got 11"),
        ((100, 5, 13), {}, r"= 12, got 13"),
        ((10, 20, 0), {}, "rank must be"),
        ((10, 3, 1), {}, "n_points must be an integer, at least 4"),
        ((10, 20, 2), {"deformation": 0}, "deformation must be positive"),
        ((10, 20, 2), {"occlusion": "self"}, "occlusion='self' needs a surface"),
    ],
)
def test_errors(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        make_low_rank(*arguments, **options)
