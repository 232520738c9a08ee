"""Shapes and cameras from which iterative methods start."""

import torch

from ._metric_upgrade import high_rank_rotations
from ._nuclear_norm import nuclear_norm_shapes
from ._rigid_factorization import solve_rigid

# A start need not be exact.
_SETTINGS = {"max_iter": 500, "tol": 1e-3}
_RIGID_SETTINGS = {"max_iter": 100, "tol": 1e-4}


def first_shapes(tracks, completed, init, generator):
    """Return shapes (n_frames, n_points, 3) in a common frame, and rotations (n_frames, 3, 3).

    Parameters
    ----------
    tracks : Tracks
        Keypoints.
    completed : Tensor of shape (n_frames, n_points, 2)
        The same, completed and centred.
    init : {"nuclear_norm", "rigid"}
        Shapes of least nuclear norm with the rotations of a factorisation of high rank; or one
        rigid shape.
    generator : torch.Generator
        Draws the starts of the rigid one.

    Returns
    -------
    shapes : Tensor of shape (n_frames, n_points, 3)
    rotations : Tensor of shape (n_frames, 3, 3)
    """
    if init == "rigid":
        rigid = solve_rigid(tracks, completed, generator=generator, **_RIGID_SETTINGS)
        return rigid.shapes, rigid.rotations
    rotations = high_rank_rotations(completed)
    step = nuclear_norm_shapes(tracks, rotations, **_SETTINGS)
    return step.shapes, rotations


def meet_keypoints(tracks, X):
    """Put visible keypoints where they were seen.

    Parameters
    ----------
    tracks : Tracks
        Keypoints.
    X : Tensor of shape (n_frames, n_points, 3)
        Shapes in the camera frame.

    Returns
    -------
    X : Tensor of shape (n_frames, n_points, 3)
        Centred; hidden keypoints and depths as they were.
    """
    offsets = tracks.offsets(X[..., :2])
    plane = torch.where(tracks.seen[..., None], tracks.points - offsets[:, None], X[..., :2])
    X = torch.cat([plane, X[..., 2:]], dim=2)
    return X - X.mean(1, keepdim=True)
