import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from nrsfm_learn.datasets import make_bending_sheet
from nrsfm_learn.datasets._sheet import bend_sheet


@settings(deadline=None, max_examples=30)
@given(
    direction=st.floats(-4, 4),
    odd=st.floats(-3, 3),
    even=st.floats(-2, 2),
    u=st.floats(-0.15, 0.15),
    v=st.floats(-0.1, 0.1),
)
def test_isometry(direction, odd, even, u, v):
    # The first fundamental form is the identity: J^T J = I, with J by central differences.
    h = 1e-5
    flat = np.array([[u + h, v], [u - h, v], [u, v + h], [u, v - h]])
    x = bend_sheet(
        flat, direction=np.array([direction]), sizes=np.array([[odd, even]]), length=0.36
    )
    J = np.stack([x[0, 0] - x[0, 1], x[0, 2] - x[0, 3]], axis=1) / (2 * h)
    np.testing.assert_allclose(J.T @ J, np.eye(2), atol=1e-6)


def test_arc_lengths_of_a_fine_grid():
    data = make_bending_sheet(4, 2, 2001, height=0.2, width=0.3, random_state=0)
    row = data.shapes[:, :2001]
    length = np.linalg.norm(np.diff(row, axis=1), axis=-1).sum(1)
    np.testing.assert_allclose(length, 0.3, rtol=1e-6)
    chord = np.linalg.norm(row[:, -1] - row[:, 0], axis=-1)
    assert (chord < 0.3).all()
    assert chord.min() < 0.28, "the sheet does bend"


def test_rulings_are_straight():
    # With the bending along u, points of one column lie on a ruling: all their distances stay.
    flat = np.array([[0.07, v] for v in (-0.1, -0.02, 0.03, 0.1)])
    x = bend_sheet(flat, direction=np.zeros(1), sizes=np.array([[2.0, 1.0]]), length=0.36)[0]
    wanted = np.abs(flat[:, None, 1] - flat[None, :, 1])
    np.testing.assert_allclose(np.linalg.norm(x[:, None] - x[None], axis=-1), wanted, atol=1e-14)


def test_quadrature_is_exact():
    flat = np.array([[0.15, 0.0], [-0.11, 0.0]])
    odd, even, length = 2.4, -1.2, 0.36
    x = bend_sheet(flat, direction=np.zeros(1), sizes=np.array([[odd, even]]), length=length)[0]

    def phi(s):
        return odd / 2 * np.sin(np.pi * s / length) + even * np.sin(np.pi * s / length) ** 2

    for point, (u, _) in zip(x, flat, strict=True):
        expected = [quad(lambda s, f=f: f(phi(s)), 0, u, epsabs=1e-14)[0] for f in (np.cos, np.sin)]
        np.testing.assert_allclose(point[[0, 2]], expected, atol=1e-13)


def test_neighbours_keep_their_distance():
    data = make_bending_sheet(50, 15, 20, random_state=1)
    i, j = np.array(data.edges).T
    wanted = np.linalg.norm(data.flat[i] - data.flat[j], axis=-1)
    got = np.linalg.norm(data.shapes[:, i] - data.shapes[:, j], axis=-1)
    assert (got <= wanted + 1e-12).all(), "a chord is no longer than the way along the sheet"
    assert (got / wanted).min() > 0.98
    assert len(data.edges) == 15 * 19 + 14 * 20


def test_flat_without_bending():
    data = make_bending_sheet(5, 3, 4, bending=0, random_state=0)
    wanted = np.concatenate([data.flat, np.zeros((12, 1))], axis=1)
    np.testing.assert_allclose(data.shapes, np.broadcast_to(wanted, (5, 12, 3)), atol=1e-15)
    assert data.names[:5] == ["r0c0", "r0c1", "r0c2", "r0c3", "r1c0"]


def test_self_occlusion():
    flat = make_bending_sheet(50, 5, 6, bending=0, occlusion="self", random_state=0)
    assert flat.visible.all()
    bent = make_bending_sheet(150, 8, 10, occlusion="self", random_state=0)
    hidden = ~bent.visible
    assert 0.005 < hidden.mean() < 0.4
    # A hidden point has another part of the sheet in front of it.
    f, p = np.argwhere(hidden)[0]
    around = np.linalg.norm(bent.X[f, :, :2] - bent.X[f, p, :2], axis=-1) < 0.06
    assert (bent.X[f, around, 2] < bent.X[f, p, 2]).any()


def test_seed_reproduces():
    a, b = (make_bending_sheet(10, missing=0.2, random_state=1) for _ in range(2))
    np.testing.assert_array_equal(a.W, b.W)


def test_errors():
    with pytest.raises(ValueError, match="n_rows must be an integer, at least 2, got 1"):
        make_bending_sheet(5, 1, 5)
    with pytest.raises(ValueError, match="height and width must be positive"):
        make_bending_sheet(5, width=0)
