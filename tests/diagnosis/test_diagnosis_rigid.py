import numpy as np
import pytest

from nrsfm_learn.datasets import make_low_rank
from nrsfm_learn.diagnosis._low_rank import complete
from nrsfm_learn.diagnosis._rigid import factorise, fit_rigid


def rigid(missing=0.0, **options):
    data = make_low_rank(
        150, rank=1, missing=missing, camera="weak_perspective", random_state=0, **options
    )
    completed, _ = complete(data.W, data.visible, np.random.RandomState(0))
    return data, completed


def distances(X):
    return np.linalg.norm(X[:, None] - X[None], axis=2)


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_a_rigid_body_is_recovered_up_to_scale(missing):
    data, completed = rigid(missing)
    fit = fit_rigid(completed, data.visible)
    true = distances(data.shapes[0])
    found = distances(fit.shape)
    np.testing.assert_allclose(found / found.mean(), true / true.mean(), atol=0.01)
    ratio = fit.scales / data.scales
    np.testing.assert_allclose(ratio / ratio.mean(), 1, atol=0.02)
    assert np.abs(fit.residuals).max() < 0.02 * np.nanstd(data.W)
    assert (fit.residuals[~data.visible] == 0).all()


def test_viewing_directions_are_those_of_the_camera():
    data, completed = rigid()
    directions = fit_rigid(completed, data.visible).rotations[:, 2]
    true = data.rotations[:, 2]
    # Angles between views do not depend on the frame of the body, nor on its mirror image.
    np.testing.assert_allclose(np.abs(directions @ directions.T), np.abs(true @ true.T), atol=0.02)


def test_rotations_are_rotations_and_the_body_has_unit_size():
    data, completed = rigid(0.2, noise=0.1)
    fit = fit_rigid(completed, data.visible)
    np.testing.assert_allclose(
        fit.rotations @ fit.rotations.swapaxes(1, 2),
        np.broadcast_to(np.eye(3), (150, 3, 3)),
        atol=1e-9,
    )
    np.testing.assert_allclose(np.linalg.det(fit.rotations), 1)
    assert np.square(fit.shape).sum(1).mean() == pytest.approx(1)
    np.testing.assert_allclose(fit.shape.mean(0), 0, atol=1e-12)


def test_residuals_are_what_the_fit_leaves():
    data, completed = rigid(noise=0.1)
    fit = fit_rigid(completed, data.visible)
    posed = np.einsum("f,fij,pj->fpi", fit.scales, fit.rotations[:, :2], fit.shape)
    np.testing.assert_allclose(fit.residuals, completed - posed, atol=1e-9)


def test_factorisation_is_exact_and_metric():
    _, W = rigid()
    shape, motion = factorise(W)
    np.testing.assert_allclose(shape @ motion.swapaxes(1, 2), W, atol=1e-9)
    x, y = motion[:, 0], motion[:, 1]
    np.testing.assert_allclose((x * y).sum(1), 0, atol=1e-9)
    np.testing.assert_allclose((x * x).sum(1), (y * y).sum(1), rtol=1e-8)
