import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrsfm_learn.datasets import make_articulated_body, make_low_rank
from nrsfm_learn.diagnosis._low_rank import centre
from nrsfm_learn.diagnosis._motion import measure_fixed_lengths, measure_motion, verdict


def measure(W, visible=None):
    visible = np.ones(W.shape[:2], bool) if visible is None else visible
    return measure_motion(centre(W, visible), visible, np.random.RandomState(0))


@pytest.mark.parametrize("degrees", [20, 45, 90])
def test_the_spread_of_a_rigid_arc_is_its_angle(arc, degrees):
    motion = measure(arc(make_low_rank(300, rank=1, random_state=0).shapes, degrees))
    angle = degrees * (0.5 - 0.5 * np.cos(np.linspace(0, 6, 300)))
    apart = np.abs(angle[:, None] - angle[None])[np.triu_indices(300, 1)]
    assert motion.angular_spread == pytest.approx(np.percentile(apart, 90), rel=0.02)
    assert motion.typical_angle == pytest.approx(np.percentile(apart, 50), rel=0.05)
    assert motion.turning > 0.99


def test_random_views_cover_the_sphere():
    motion = measure(make_low_rank(400, rank=1, random_state=0).W)
    assert motion.sphere_coverage > 0.95
    # For independent uniform directions the cosine is uniform.
    assert motion.typical_angle == pytest.approx(90, abs=3)
    assert motion.angular_spread == pytest.approx(np.degrees(np.arccos(-0.8)), abs=5)


def test_a_turntable_covers_a_ring():
    """Half of the axes lie within 15 degrees of a great circle for sin 15 of the sphere."""
    data = make_low_rank(400, rank=1, clips=1, views="turntable", random_state=1)
    axis = np.array([0, 1, 0])
    assert np.ptp(data.rotations[:, 2] @ axis) < 1e-9
    coverage = measure(data.W).sphere_coverage
    assert coverage == pytest.approx(np.sin(np.deg2rad(15)), abs=0.06)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1000))
def test_in_plane_rotation_and_scale_change_nothing(seed):
    rng = np.random.default_rng(seed)
    W = make_low_rank(60, rank=2, random_state=seed).W
    z = W[..., 0] + 1j * W[..., 1]
    z = z * (np.exp(1j * rng.uniform(0, 6, 60)))[:, None]
    one, other = measure(W), measure(np.stack([z.real, z.imag], axis=2))
    assert one.view_change == pytest.approx(other.view_change)
    assert one.fixed_lengths == pytest.approx(other.fixed_lengths)
    assert one.third_singular_ratio == pytest.approx(other.third_singular_ratio)


def test_one_view_has_no_change_and_no_third_singular_value():
    rng = np.random.default_rng(0)
    z = rng.normal(size=20) + 1j * rng.normal(size=20)
    z = z * (rng.uniform(0.5, 2, 100) * np.exp(1j * rng.uniform(0, 6, 100)))[:, None]
    motion = measure(np.stack([z.real, z.imag], axis=2))
    assert motion.view_change < 1e-12
    assert motion.third_singular_ratio < 1e-6
    assert verdict(motion) == (False, "same view")


def test_lengths_are_fixed_in_a_fixed_view_only():
    """Two rigid triangles that swing against each other in the image plane."""
    rng = np.random.default_rng(0)
    triangles = rng.normal(size=(2, 3)) + 1j * rng.normal(size=(2, 3))
    swing = np.exp(1j * rng.uniform(-0.5, 0.5, (80, 2, 1)))
    z = (triangles * swing + np.array([[-2], [2]])).reshape(80, 6)
    z *= rng.uniform(0.5, 2, (80, 1))
    assert measure_fixed_lengths(z, rng) >= 0.5
    foreshortened = z.real * rng.uniform(0, 1, (80, 1)) + 1j * z.imag
    assert measure_fixed_lengths(foreshortened, rng) == 0


def test_a_turning_body_keeps_no_length_across_its_axis():
    body = make_articulated_body(200, clips=1, views="turntable", random_state=0)
    z = body.W[..., 0] + 1j * body.W[..., 1]
    assert measure_fixed_lengths(z, np.random.RandomState(0)) < 0.05


def test_flat_bodies_are_recognised():
    data = make_low_rank(100, rank=1, random_state=0)
    flat = data.shapes * [1, 1, 0]
    W = (flat @ data.rotations.swapaxes(1, 2))[..., :2]
    assert measure(W).flatness < 0.01
    assert measure(data.W).flatness > 0.3


def test_few_points_are_never_enough():
    rng = np.random.default_rng(0)
    visible = np.argsort(rng.uniform(size=(200, 10)), axis=1) < 4
    W = np.where(visible[..., None], rng.normal(size=(200, 10, 2)), np.nan)
    motion = measure(W, visible)
    assert verdict(motion)[0] is not True
