import numpy as np
import pytest
from scipy.stats import ortho_group

from nrsfm_learn.metrics import normalized_error
from nrsfm_learn.plotting._prepare import (
    check_edges,
    check_frames,
    fit_square,
    reproject,
    superpose,
)


def test_edges():
    assert check_edges(None, 5).shape == (0, 2)
    assert check_edges([(0, 4)], 5).tolist() == [[0, 4]]
    with pytest.raises(ValueError, match=r"edges\[1\] = \[3, 5\] names a point outside 0 to 4"):
        check_edges([(0, 1), (3, 5)], 5)
    with pytest.raises(ValueError, match=r"shape \(n_edges, 2\)"):
        check_edges([0, 1, 2], 5)
    with pytest.raises(ValueError, match="dtype float64"):
        check_edges([[0.0, 1.0]], 5)


def test_frames():
    liftable = np.ones(10, bool)
    liftable[0] = False
    assert check_frames(None, liftable).tolist() == [1, 4, 6, 9]
    assert check_frames(None, liftable[:2]).tolist() == [1]
    assert check_frames([0, -1], liftable).tolist() == [0, 9]
    assert check_frames(3, liftable).tolist() == [3]
    with pytest.raises(ValueError, match="frames: 10 is not one of the 10 frames"):
        check_frames([1, 10], liftable)
    with pytest.raises(ValueError, match="must be a list of frame indices"):
        check_frames([0.5], liftable)


def test_reprojection_undoes_scale_and_shift_from_visible_points():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4, 7, 3))
    places = X[:, :, :2] * rng.uniform(2, 90, (4, 1, 1)) + rng.normal(size=(4, 1, 2))
    W = places.copy()
    W[:, 2:4] = np.nan
    np.testing.assert_allclose(reproject(W, X), places)


@pytest.mark.parametrize("align", [True, False])
def test_superposition_leaves_the_error_that_is_printed(align):
    rng = np.random.default_rng(0)
    X_true = rng.normal(size=(9, 3))
    X = 5 * (X_true + 0.2 * rng.normal(size=(9, 3))) @ ortho_group.rvs(3, random_state=0) + 3
    X_true[4] = np.nan
    moved, true = superpose(X, X_true, align)
    known = np.isfinite(X_true).all(1)
    ratio = np.linalg.norm((moved - true)[known]) / np.linalg.norm(true[known])
    protocol = "procrustes" if align else "frobenius"
    assert ratio == pytest.approx(normalized_error(X_true[None], X[None], protocol=protocol))
    assert np.isfinite(moved).all()


def test_superposition_without_common_points_shows_the_prediction():
    X = np.random.default_rng(0).normal(size=(5, 3))
    moved, true = superpose(X, np.full((5, 3), np.nan), True)
    np.testing.assert_allclose(moved, X - X.mean(0))
    assert np.isnan(true).all()


def test_square_holds_every_frame_around_its_own_centre():
    rng = np.random.default_rng(0)
    places = rng.normal(size=(3, 6, 2)) + [[[100, 0]], [[0, 7]], [[5, 5]]]
    places[2, 1:4] = np.nan
    centres, half = fit_square(places)
    assert np.nanmax(np.abs(places - centres[:, None])) < half
    assert half < 5
    for empty in (np.full((2, 3, 2), np.nan), np.zeros((2, 3, 2))):
        centres, half = fit_square(empty)
        assert np.all(centres == 0)
        assert half == 1
