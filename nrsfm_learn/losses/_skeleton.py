"""Losses that know which points are joined by bones."""

import torch


def bone_lengths(X, bones):
    """Length of each bone in each frame.

    Parameters
    ----------
    X : Tensor of shape (n_frames, n_points, 3)
        Points in any frame.
    bones : Tensor of int of shape (n_bones, 2)
        The two points of each bone.

    Returns
    -------
    Tensor of shape (n_frames, n_bones)
        Lengths.
    """
    difference = X[:, bones[:, 0]] - X[:, bones[:, 1]]
    return torch.linalg.vector_norm(difference, dim=-1)


def bone_symmetry_loss(X, left, right):
    r"""Mean absolute difference between bones that should be equally long.

    .. math:: \frac1{FB} \sum_{f,b} \bigl| \|x_{l_b} - x_{l'_b}\| - \|x_{r_b} - x_{r'_b}\| \bigr|

    Parameters
    ----------
    X : Tensor of shape (n_frames, n_points, 3)
        Points in any frame.
    left, right : Tensor of int of shape (n_bones, 2)
        Bones of the left side, and their mirror images in the same order.

    Returns
    -------
    Tensor
        A scalar.

    References
    ----------
    .. [1] C. Wang, C.-H. Lin, S. Lucey, "Deep NRSfM++: towards unsupervised 2D-3D lifting in the
       wild", 3DV 2020, supplement IV.
    """
    return (bone_lengths(X, left) - bone_lengths(X, right)).abs().mean()
