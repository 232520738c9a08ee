"""Hidden points, placed as other frames show them."""

import numpy as np
import torch

from nrsfm_learn.classical._local_templates import complete_from_templates
from nrsfm_learn.geometry import random_rotations


def make(n_frames=5, n_points=12, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = torch.randn(n_points, 3, generator=generator, dtype=torch.float64)
    R = random_rotations(n_frames, generator=generator, dtype=torch.float64)
    t = torch.randn(n_frames, 1, 3, generator=generator, dtype=torch.float64)
    hidden = torch.rand(n_frames, n_points, generator=generator) < 0.3
    hidden[0, :] = False
    return shape @ R.mT + t, ~hidden


def completed(points, known):
    hollow = torch.where(known[..., None], points, torch.nan)
    return complete_from_templates(torch.nan_to_num(hollow), known, hollow)


def test_a_rigid_object_is_completed_exactly():
    points, known = make()
    torch.testing.assert_close(completed(points, known), points, rtol=0, atol=1e-5)


def test_known_points_stay():
    points, known = make()
    moved = points + 0.3 * torch.randn(points.shape, generator=torch.Generator().manual_seed(1))
    found = completed(moved, known)
    torch.testing.assert_close(found[known], moved[known], rtol=0, atol=0)
    assert torch.isfinite(found).all()


def test_the_frame_that_fits_counts_most():
    points, known = make(n_frames=3)
    known[:] = True
    known[2, 4] = False
    # In the first frame that point is elsewhere, and so are the others.
    wrong = points.clone()
    wrong[0] = points[0] * torch.tensor([3.0, 1.0, 0.3], dtype=torch.float64)
    found = completed(wrong, known)
    assert (found[2, 4] - points[2, 4]).norm() < 1e-3


def test_near_points_count_more_than_far_ones():
    # Two rigid halves; between the frames one half turns against the other.
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(6, 3)), rng.normal(size=(6, 3)) + [12, 0, 0]
    turn = random_rotations(1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)[0]
    moved = (right - [12, 0, 0]) @ turn.numpy().T + [12, 0, 0]
    points = torch.as_tensor(np.stack([np.r_[left, right], np.r_[left, moved]]))
    known = torch.ones(2, 12, dtype=torch.bool)
    known[1, 8] = False
    found = completed(points, known)
    assert (found[1, 8] - points[1, 8]).norm() < 0.3


def test_a_point_with_few_neighbours_is_finite():
    points, known = make(n_points=4)
    known[1:] = False
    known[1:, :2] = True
    assert torch.isfinite(completed(points, known)).all()
