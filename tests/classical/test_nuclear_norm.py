"""Shapes of least nuclear norm, against a solver and a certificate that know nothing of ADMM."""

import numpy as np
import pytest
import scipy.optimize
import torch

from nrsfm_learn.base import Observations
from nrsfm_learn.classical import _nuclear_norm as step
from nrsfm_learn.classical._tracks import tracks_of
from nrsfm_learn.datasets import make_low_rank
from nrsfm_learn.geometry import random_rotations

TIGHT = {"max_iter": 3000, "tol": 1e-6}


def make_tracks(W, visible=None, weights=None, device="cpu"):
    visible = np.ones(W.shape[:2], bool) if visible is None else visible
    W = np.where(visible[..., None], W, np.nan)
    if weights is not None:
        weights = np.where(visible, weights, 0.0)
    return tracks_of(Observations(W, visible, weights=weights), torch.device(device))


def random_problem(n_frames=6, n_points=5, missing=0.0, seed=0, confident=False):
    """Keypoints without any structure."""
    rng = np.random.default_rng(seed)
    visible = rng.random((n_frames, n_points)) >= missing
    visible[:, :3] = True
    visible[0] = True
    weights = rng.uniform(0.1, 3, visible.shape) if confident else None
    tracks = make_tracks(rng.normal(size=(n_frames, n_points, 2)), visible, weights)
    generator = torch.Generator().manual_seed(seed)
    return tracks, random_rotations(n_frames, generator=generator, dtype=torch.float64)


def low_rank_problem(n_frames=60, n_points=15, rank=2, missing=0.0, seed=0):
    data = make_low_rank(n_frames, n_points, rank, missing=missing, random_state=seed)
    tracks = make_tracks(data.W, data.visible)
    return data, tracks, torch.from_numpy(data.rotations)


def nuclear_norm(shapes):
    return float(np.linalg.svd(np.asarray(shapes).reshape(len(shapes), -1), compute_uv=False).sum())


def feasible_shapes(tracks, rotations):
    """Return a shape that meets the keypoints, and a basis of all changes that still do.

    Column by column: each depth, each hidden coordinate, each translation of what is visible;
    every shape is centred.
    """
    n_frames, n_points, _ = tracks.points.shape
    seen = tracks.seen.numpy()
    centering = np.eye(n_points) - 1 / n_points

    def posed(f, X):
        shapes = np.zeros((n_frames, n_points, 3))
        shapes[f] = centering @ X @ rotations[f].numpy()
        return shapes.ravel()

    directions = []
    for f in range(n_frames):
        for p in range(n_points):
            for i in range(3):
                if i == 2 or not seen[f, p]:
                    X = np.zeros((n_points, 3))
                    X[p, i] = 1
                    directions.append(posed(f, X))
    directions = np.array(directions).T
    U, s, _ = np.linalg.svd(directions, full_matrices=False)
    flat = np.concatenate([tracks.points.numpy(), np.zeros((n_frames, n_points, 1))], axis=2)
    start = sum(posed(f, flat[f]) for f in range(n_frames))
    return start, U[:, s > 1e-9 * s[0]]


def least_nuclear_norm(tracks, rotations):
    """Bounds from both sides: L-BFGS on a smoothed norm, and a point of the dual problem."""
    n_frames = len(tracks.points)
    start, basis = feasible_shapes(tracks, rotations)
    x = np.zeros(basis.shape[1])
    for mu in (0.1, 0.01, 1e-3):

        def smoothed(x, mu=mu):
            S = (start + basis @ x).reshape(n_frames, -1)
            U, s, V = np.linalg.svd(S, full_matrices=False)
            root = np.sqrt(s**2 + mu**2)
            return root.sum(), basis.T @ ((U * (s / root)) @ V).ravel()

        options = {"maxiter": 1000, "maxfun": 2000, "maxcor": 30, "ftol": 1e-15, "gtol": 1e-6}
        x = scipy.optimize.minimize(smoothed, x, jac=True, method="L-BFGS-B", options=options).x
    S = (start + basis @ x).reshape(n_frames, -1)
    upper = nuclear_norm(S)
    # A matrix Y of spectral norm 1 at right angles to all changes: <Y, S> is the same for all
    # feasible S, and no more than their nuclear norm.
    U, s, V = np.linalg.svd(S, full_matrices=False)
    Y = ((U * (s / np.sqrt(s**2 + mu**2))) @ V).ravel()
    Y = (Y - basis @ (basis.T @ Y)).reshape(n_frames, -1)
    lower = float((Y * S).sum() / max(1, np.linalg.norm(Y, 2)))
    return lower, upper


def assert_feasible(tracks, rotations, result):
    X = result.shapes @ rotations.mT
    left = (X[..., :2] + result.offsets[:, None] - tracks.points)[tracks.seen]
    assert left.abs().max() < 1e-10
    assert X.mean(1).abs().max() < 1e-10


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_the_least_nuclear_norm_is_found(missing, seed):
    tracks, rotations = random_problem(missing=missing, seed=seed)
    lower, upper = least_nuclear_norm(tracks, rotations)
    assert upper - lower < 2e-3 * upper
    found = step.nuclear_norm_shapes(tracks, rotations, **TIGHT)
    assert found.converged
    assert_feasible(tracks, rotations, found)
    value = nuclear_norm(found.shapes)
    assert lower * (1 - 1e-9) <= value <= upper * (1 + 1e-3)
    # It is an optimum of some depth, not that of flat shapes.
    flat = step.pseudo_inverse_shapes(tracks, tracks.points, rotations)
    assert nuclear_norm(flat.shapes) > 1.02 * value or missing


def test_default_tolerance_is_close():
    tracks, rotations = random_problem(seed=4)
    lower, _ = least_nuclear_norm(tracks, rotations)
    assert nuclear_norm(step.nuclear_norm_shapes(tracks, rotations).shapes) < 1.01 * lower


def test_confidences_do_not_change_what_is_least():
    # The constraint knows visible and hidden only.
    tracks, rotations = random_problem(missing=0.4, confident=True)
    equal = tracks._replace(weights=tracks.seen.double())
    found = step.nuclear_norm_shapes(tracks, rotations, **TIGHT)
    expected = step.nuclear_norm_shapes(equal, rotations, **TIGHT)
    assert_feasible(tracks, rotations, found)
    assert nuclear_norm(found.shapes) == pytest.approx(nuclear_norm(expected.shapes), rel=1e-4)


def test_any_start_ends_in_the_same_place():
    tracks, rotations = random_problem(missing=0.2)
    depth = 3 * torch.from_numpy(np.random.default_rng(5).normal(size=tracks.seen.shape))
    found = step.nuclear_norm_shapes(tracks, rotations, **TIGHT)
    other = step.nuclear_norm_shapes(tracks, rotations, depth=depth, **TIGHT)
    assert nuclear_norm(other.shapes) == pytest.approx(nuclear_norm(found.shapes), rel=1e-3)


@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(2))
def test_low_rank_shapes_come_back_from_known_cameras(missing, seed):
    data, tracks, rotations = low_rank_problem(missing=missing, seed=seed)
    found = step.nuclear_norm_shapes(tracks, rotations, max_iter=1000, tol=1e-5)
    assert_feasible(tracks, rotations, found)
    shapes = torch.from_numpy(data.shapes) / tracks.size
    error = (found.shapes - shapes).norm() / shapes.norm()
    assert error < 0.1
    flat = step.pseudo_inverse_shapes(tracks, tracks.points, rotations)
    assert (flat.shapes - shapes).norm() / shapes.norm() > 5 * error
    if missing:
        # Hidden keypoints, in units of W, translation included.
        predicted = (found.shapes @ rotations.mT)[..., :2] + found.offsets[:, None]
        predicted = tracks.size * predicted + tracks.centers[:, None]
        hidden = ~data.visible
        left = predicted.numpy()[hidden] - data.W_complete[hidden]
        assert np.sqrt(np.mean(left**2)) < 0.1 * tracks.size


def weighted_value(shapes, epsilon):
    """The concave function whose slope the weights are: sum of epsilon log(1 + s / epsilon)."""
    s = np.linalg.svd(shapes.flatten(1).numpy(), compute_uv=False)
    return epsilon * np.log1p(s / s[0] / epsilon).sum()


def test_weighted_norm_lowers_its_own_objective():
    epsilon = 0.05
    tracks, rotations = random_problem(missing=0.2, seed=2)
    plain = step.nuclear_norm_shapes(tracks, rotations, **TIGHT)
    # As the method does it: the weighted norm has many minima.
    depth = (plain.shapes @ rotations.mT)[..., 2]
    weighted = step.nuclear_norm_shapes(tracks, rotations, epsilon=epsilon, depth=depth, **TIGHT)
    assert_feasible(tracks, rotations, weighted)
    assert weighted_value(weighted.shapes, epsilon) < weighted_value(plain.shapes, epsilon)
    assert nuclear_norm(weighted.shapes) >= nuclear_norm(plain.shapes) * (1 - 1e-6)


def test_large_epsilon_is_the_nuclear_norm():
    tracks, rotations = random_problem(missing=0.2, seed=2)
    plain = step.nuclear_norm_shapes(tracks, rotations, **TIGHT)
    weighted = step.nuclear_norm_shapes(tracks, rotations, epsilon=1e6, **TIGHT)
    # The growing penalty of the weighted norm ends its way a little before the minimum.
    assert nuclear_norm(weighted.shapes) < 1.01 * nuclear_norm(plain.shapes)


def test_objective_ends_at_the_norm_over_the_largest_singular_value():
    tracks, rotations = random_problem()
    found = step.nuclear_norm_shapes(tracks, rotations, **TIGHT)
    s = np.linalg.svd(found.shapes.flatten(1).numpy(), compute_uv=False)
    assert len(found.objective) == found.n_iter
    assert found.objective[-1] == pytest.approx(s.sum() / s[0], rel=0.01)


@pytest.mark.parametrize("shape", [(5, 9), (9, 5)])
@pytest.mark.parametrize("epsilon", [None, 0.3])
def test_shrinking_is_that_of_the_singular_value_decomposition(shape, epsilon):
    A = np.random.default_rng(0).normal(size=shape)
    low, _ = step._shrink(torch.from_numpy(A), 0.8, epsilon)
    U, s, V = np.linalg.svd(A, full_matrices=False)
    weights = 1.0 if epsilon is None else epsilon / (s / s[0] + epsilon)
    np.testing.assert_allclose(low, (U * np.maximum(s - 0.8 * weights, 0)) @ V, atol=1e-10)


def test_stops_at_max_iter():
    tracks, rotations = random_problem()
    found = step.nuclear_norm_shapes(tracks, rotations, max_iter=3)
    assert found.n_iter == 3
    assert not found.converged
    assert_feasible(tracks, rotations, found)


def test_pseudo_inverse():
    tracks, rotations = random_problem(missing=0.3)
    rng = np.random.default_rng(1)
    completed = torch.from_numpy(rng.normal(size=tracks.points.shape)) * ~tracks.seen[..., None]
    completed = tracks.points + completed
    found = step.pseudo_inverse_shapes(tracks, completed, rotations)
    for f in range(len(completed)):
        W = (completed[f] - completed[f].mean(0)).numpy()
        expected = (np.linalg.pinv(rotations[f, :2].numpy()) @ W.T).T
        np.testing.assert_allclose(found.shapes[f], expected, atol=1e-12)
    X = found.shapes @ rotations.mT
    assert X[..., 2].abs().max() < 1e-12
    left = X[..., :2] + found.offsets[:, None] - tracks.points
    assert left[tracks.seen].abs().max() < 1e-12
