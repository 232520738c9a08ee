"""Groups, signs and the consensus of weak reconstructions."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nrsfm_learn.classical._consensus_solver import consensus, draw_groups, frame_signs


def parts_of(X, groups):
    parts = X[:, groups].transpose(1, 0, 2, 3)
    return parts - parts.mean(2, keepdims=True)


def make_parts(n_frames=12, n_points=10, size=6, n_groups=8, seed=0):
    """Shapes, groups, and what each group says: mirrored in depth in frames drawn at random."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_frames, n_points, 3))
    X -= X.mean(1, keepdims=True)
    groups = draw_groups(n_points, size, n_groups, torch.Generator().manual_seed(seed)).numpy()
    flips = np.where(rng.random((n_groups, n_frames)) < 0.2, -1.0, 1.0)
    parts = parts_of(X, groups)
    parts[..., 2] *= flips[..., None]
    return X, groups, parts, flips


@settings(deadline=None, max_examples=25)
@given(st.integers(4, 30), st.integers(4, 12), st.integers(1, 40), st.integers(0, 99))
def test_groups_share_the_points_out(n_points, size, n_groups, seed):
    size = min(size, n_points)
    groups = draw_groups(n_points, size, n_groups, torch.Generator().manual_seed(seed)).numpy()
    assert groups.shape == (n_groups, size)
    assert all(len(set(group)) == size for group in groups.tolist())
    count = np.bincount(groups.ravel(), minlength=n_points)
    assert count.max() - count.min() <= 1


def test_signs_are_found_up_to_one_a_frame():
    X, groups, parts, flips = make_parts()
    depths = torch.tensor(parts[..., 2])
    signs = frame_signs(depths, torch.tensor(groups), X.shape[1]).numpy()
    np.testing.assert_array_equal(np.abs((signs * flips).sum(0)), len(groups))


def test_exact_parts_give_the_shapes():
    X, groups, parts, _ = make_parts()
    found, curve, converged = consensus(torch.tensor(parts), torch.tensor(groups), X.shape[1])
    found = found.numpy()
    assert converged
    assert curve[-1] < 1e-6
    np.testing.assert_allclose(found[..., :2], X[..., :2], atol=1e-6)
    # Each frame's depth up to a sign: most of its groups are right, so that it is the right one
    # for all frames or for none.
    sign = np.sign((found[..., 2] * X[..., 2]).sum(1))
    np.testing.assert_allclose(sign[:, None] * found[..., 2], X[..., 2], atol=1e-6)
    assert abs(sign.sum()) == len(X)


def test_a_wrong_group_hardly_counts():
    X, groups, _, _ = make_parts(n_groups=10)
    rng = np.random.default_rng(1)
    exact = parts_of(X, groups)
    exact[3] += 0.5 * rng.normal(size=exact[3].shape)
    exact[3] -= exact[3].mean(1, keepdims=True)
    tensor, index = torch.tensor(exact), torch.tensor(groups)
    once, _, _ = consensus(tensor, index, X.shape[1], max_iter=1)
    robust, curve, _ = consensus(tensor, index, X.shape[1], max_iter=200, tol=1e-8)
    assert np.linalg.norm(robust.numpy() - X) < 0.3 * np.linalg.norm(once.numpy() - X)
    assert (np.diff(curve) <= 1e-6).all()


def test_first_round_is_least_squares():
    X, groups, _, _ = make_parts()
    rng = np.random.default_rng(2)
    noisy = parts_of(X, groups) + 0.05 * rng.normal(size=(len(groups), len(X), 6, 3))
    noisy -= noisy.mean(2, keepdims=True)
    found, _, _ = consensus(torch.tensor(noisy), torch.tensor(groups), X.shape[1], max_iter=1)
    # Unknowns of a frame: positions, then a translation a group.
    rows, n_points = [], X.shape[1]
    for g, group in enumerate(groups):
        for p in group:
            row = np.zeros(n_points + len(groups))
            row[p], row[n_points + g] = 1, -1
            rows.append(row)
    for frame in range(3):
        best = np.linalg.lstsq(np.array(rows), noisy[:, frame].reshape(-1, 3), rcond=None)[0]
        best = best[:n_points] - best[:n_points].mean(0)
        np.testing.assert_allclose(found[frame], best, atol=1e-6)


@pytest.mark.parametrize("n_points", [9, 12])
def test_points_of_no_group_stay_at_the_centre(n_points):
    _, groups, parts, _ = make_parts(n_points=9, n_groups=1, size=8)
    found, _, _ = consensus(torch.tensor(parts), torch.tensor(groups), n_points)
    assert torch.isfinite(found).all()
