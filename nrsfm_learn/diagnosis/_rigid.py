"""A rigid body under scaled orthography, as a probe for how much the view changes."""

from typing import NamedTuple

import numpy as np

from ._low_rank import masked_mean

_ITERATIONS = 60
_THINNEST = 0.02


class RigidFit(NamedTuple):
    """The rigid body that explains the keypoints best.

    Attributes
    ----------
    shape : ndarray of shape (n_points, 3)
        Its points, of unit root mean square, up to the mirror image.
    rotations : ndarray of shape (n_frames, 3, 3)
        From the body to the camera.
    scales : ndarray of shape (n_frames,)
        Image units per unit of `shape`.
    residuals : ndarray of shape (n_frames, n_points, 2)
        What it leaves of the keypoints, in their units, 0 where hidden.
    """

    shape: np.ndarray
    rotations: np.ndarray
    scales: np.ndarray
    residuals: np.ndarray


def fit_rigid(completed, visible):
    r"""Fit one rigid body to all frames.

    .. math::

        \min_{S, s_f, R_f, t_f} \sum_{(f,p)\,\text{visible}}
        \lVert w_{fp} - s_f R_f^{1:2} S_p - t_f \rVert^2

    by alternation, started from the factorisation of the completed matrix. The depth of each frame
    is treated as missing data, so that no step raises the sum.

    Parameters
    ----------
    completed : ndarray of shape (n_frames, n_points, 2)
        Centred keypoints, hidden ones filled in for the start.
    visible : ndarray of bool of shape (n_frames, n_points)
        Which of them count.

    Returns
    -------
    RigidFit

    References
    ----------
    Tomasi and Kanade, Shape and motion from image streams under orthography: a factorization
    method, IJCV 9(2), 1992. Metric constraints of scaled orthography: Poelman and Kanade, A
    paraperspective factorization method for shape and motion recovery, TPAMI 19(3), 1997.
    """
    size = np.sqrt(np.square(completed).sum(2).mean())
    W = completed / size
    seen = visible[..., None]
    shape, motion = factorise(W)
    rotations, scales = _nearest_rotations(motion)
    for _ in range(_ITERATIONS):
        shape -= shape.mean(0)
        radius = np.sqrt(np.square(shape).sum(1).mean())
        shape, scales = shape / radius, scales * radius
        posed = scales[:, None, None] * (shape @ rotations.swapaxes(1, 2))
        offset = masked_mean(W - posed[..., :2], visible)
        target = posed.copy()
        target[..., :2] = np.where(seen, W - offset, posed[..., :2])
        rotations, scales = _align(shape, target - target.mean(1, keepdims=True))
        motion = scales[:, None, None] * rotations[:, :2]
        offset = masked_mean(W - shape @ motion.swapaxes(1, 2), visible)
        shape = _resect(motion, W - offset, visible)
    residuals = W - shape @ motion.swapaxes(1, 2)
    residuals = np.where(seen, residuals - masked_mean(residuals, visible), 0.0)
    shape -= shape.mean(0)
    radius = np.sqrt(np.square(shape).sum(1).mean())
    return RigidFit(shape / radius, rotations, scales * radius * size, residuals * size)


def factorise(W):
    """Factorise complete centred keypoints into rigid shape and scaled orthographic motion.

    Parameters
    ----------
    W : ndarray of shape (n_frames, n_points, 2)
        Keypoints.

    Returns
    -------
    shape : ndarray of shape (n_points, 3)
        The body, up to a rotation and a mirror image.
    motion : ndarray of shape (n_frames, 2, 3)
        Rows of equal length at right angles, as nearly as one linear map can make them.
    """
    n_frames, n_points, _ = W.shape
    stacked = W.swapaxes(1, 2).reshape(2 * n_frames, n_points)
    left, values, right = np.linalg.svd(stacked, full_matrices=False)
    root = np.sqrt(np.maximum(values[:3], 1e-12 * values[0]))
    motion = (left[:, :3] * root).reshape(n_frames, 2, 3)
    upgrade = _metric_upgrade(motion)
    return (np.linalg.inv(upgrade) @ (root[:, None] * right[:3])).T, motion @ upgrade


def _metric_upgrade(motion):
    """Solve for Q Q^T in the equations that make both rows of each frame alike."""
    i, j = np.triu_indices(3)
    twice = np.where(i == j, 1.0, 2.0)

    def form(x, y):
        return (x[:, i] * y[:, j] + x[:, j] * y[:, i]) * (twice / 2)

    x, y = motion[:, 0], motion[:, 1]
    norm = np.maximum(np.square(motion).sum((1, 2)), np.finfo(float).tiny)[:, None]
    equal = (form(x, x) - form(y, y)) / norm
    orthogonal = 2 * form(x, y) / norm
    total = ((form(x, x) + form(y, y)) / norm).mean(0)
    weight = np.sqrt(2 * len(motion))
    A = np.vstack([equal, orthogonal, weight * total])
    entries = np.linalg.lstsq(A, np.r_[np.zeros(2 * len(motion)), weight], rcond=None)[0]
    square = np.empty((3, 3))
    square[i, j] = square[j, i] = entries
    values, vectors = np.linalg.eigh(square)
    # Noise and deformation can make it indefinite; a thin but real body is a start.
    return vectors * np.sqrt(np.maximum(values, _THINNEST * np.abs(values).max()))


def _nearest_rotations(motion):
    left, values, right = np.linalg.svd(motion, full_matrices=False)
    two = left @ right
    return np.concatenate([two, np.cross(two[:, 0], two[:, 1])[:, None]], axis=1), values.mean(1)


def _align(shape, target):
    """Rotation and scale that take the centred shape to each centred target."""
    left, values, right = np.linalg.svd(target.swapaxes(1, 2) @ shape)
    sign = np.where(np.linalg.det(left @ right) < 0, -1.0, 1.0)
    left[:, :, 2] *= sign[:, None]
    values[:, 2] *= sign
    return left @ right, values.sum(1) / np.square(shape).sum()


def _resect(motion, W, visible):
    """Least-squares position of each point, given the cameras."""
    weights = visible.astype(float)
    A = np.einsum("fp,fci,fcj->pij", weights, motion, motion, optimize=True)
    b = np.einsum("fp,fci,fpc->pi", weights, motion, W, optimize=True)
    # Only damps directions of depth that the cameras don't see at all.
    damping = 1e-9 * np.trace(A, axis1=1, axis2=2) + 1e-12
    return np.linalg.solve(A + damping[:, None, None] * np.eye(3), b[..., None])[..., 0]
