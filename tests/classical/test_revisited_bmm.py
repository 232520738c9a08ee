"""Block matrix method, revisited: rotations of many triplets, a norm that spares large values."""

import numpy as np
import pytest
import torch

from nrsfm_learn import BMM, RevisitedBMM
from nrsfm_learn.classical._revisited_bmm import intersect_rotations
from nrsfm_learn.datasets import load_short_sequence, make_low_rank
from nrsfm_learn.geometry import axis_angle_to_matrix, random_rotations
from nrsfm_learn.metrics import normalized_error


def make_data(seed=0, **options):
    options = {"n_frames": 60, "n_points": 16, "rank": 3, "clips": 1, **options}
    return make_low_rank(random_state=seed, **options)


def error(data, X):
    return normalized_error(data.X, X, protocol="frobenius", flip="sequence")


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_low_rank_shapes_are_recovered(seed):
    data = make_data(seed=seed)
    assert error(data, RevisitedBMM(3, device="cpu").fit(data.W).reconstruction_) < 0.02


def test_hidden_keypoints():
    data = make_data(n_frames=80, n_points=20, missing=0.1)
    model = RevisitedBMM(3, device="cpu").fit(data.W)
    assert error(data, model.reconstruction_) < 0.1


def test_interleaved_clips_are_the_clips():
    data = make_data(clips=2)
    order = np.argsort(np.r_[np.arange(30), np.arange(30)], kind="stable")
    model = RevisitedBMM(3, device="cpu")
    X = model.fit(data.W, groups=data.groups).reconstruction_
    mixed = model.fit(data.W[order], groups=data.groups[order]).reconstruction_
    np.testing.assert_allclose(mixed, X[order], atol=1e-6)


def smooth_path(n_frames, seed=0):
    generator = torch.Generator().manual_seed(seed)
    first = random_rotations(1, generator=generator, dtype=torch.float64)
    angle = torch.linspace(0, 3, n_frames, dtype=torch.float64)[:, None]
    axis = torch.tensor([[0.3, 0.9, 0.1]], dtype=torch.float64)
    return axis_angle_to_matrix(angle * axis) @ first


def test_agreeing_solutions_are_that_solution():
    R = smooth_path(20)
    mirror = torch.diag(torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64))
    turns = random_rotations(2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    candidates = torch.stack([R @ turns[0], mirror @ R @ mirror @ turns[1], R])
    found = intersect_rotations(candidates, [slice(0, 20)])
    torch.testing.assert_close(found, R, rtol=0, atol=1e-9)


def test_a_frame_where_one_solution_jerks_is_left_to_the_others():
    R = smooth_path(30)
    turn = axis_angle_to_matrix(torch.tensor([1.5, 0.5, 0.0], dtype=torch.float64))
    candidates = torch.stack([R, R, R]).clone()
    candidates[2, 12] = turn @ R[12]
    found = intersect_rotations(candidates, [slice(0, 30)])
    distance = (found - R).norm(dim=(1, 2))
    assert distance[12] < 0.05
    # The common frame follows the mean of all frames, of which one is far off.
    assert distance.max() < 0.05


def test_one_solution_alone_is_kept():
    R = smooth_path(5)
    assert intersect_rotations(R[None], [slice(0, 5)]) is not None
    torch.testing.assert_close(intersect_rotations(R[None], [slice(0, 5)]), R)


@pytest.mark.parametrize("epsilon", [0.0, -1.0])
def test_settings_out_of_range(epsilon):
    with pytest.raises(ValueError, match="'epsilon' parameter of RevisitedBMM"):
        RevisitedBMM(epsilon=epsilon).fit(make_data().W)


def test_real_data_and_better_than_what_it_revises(data_dir):
    data = load_short_sequence("pickup", data_home=data_dir)
    X, W = data.X[::2], data.W[::2]
    errors = [
        normalized_error(X, model.fit(W).reconstruction_, protocol="procrustes")
        for model in (RevisitedBMM(10, device="cpu"), BMM(10, device="cpu"))
    ]
    assert errors[0] < 0.03
    assert errors[0] < errors[1]
