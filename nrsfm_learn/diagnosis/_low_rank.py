"""Rank of the centred measurement matrix, hidden entries filled in."""

import numpy as np

_ITERATIONS = 40
_HELD_OUT = 0.05
_HIGHEST = 12


def centre(W, visible):
    """Subtract from each frame the mean of its visible points; hidden entries become 0.

    Parameters
    ----------
    W : ndarray of shape (n_frames, n_points, 2)
        Keypoints.
    visible : ndarray of bool of shape (n_frames, n_points)
        Where they are visible.

    Returns
    -------
    ndarray of shape (n_frames, n_points, 2)
    """
    seen = visible[..., None]
    return np.where(seen, W - masked_mean(np.where(seen, W, 0.0), visible), 0.0)


def masked_mean(differences, visible):
    """Mean over visible points of what is 0 elsewhere, with the points' axis kept."""
    count = np.maximum(visible.sum(1), 1)[:, None, None]
    return np.where(visible[..., None], differences, 0.0).sum(1, keepdims=True) / count


def energies(W):
    """Fractions of energy in the singular values of the (2 n_frames, n_points) matrix.

    Parameters
    ----------
    W : ndarray of shape (n_frames, n_points, 2)
        Complete centred keypoints.

    Returns
    -------
    ndarray of shape (n,)
        Squared singular values, descending, of sum 1 (or all 0).
    """
    squared = np.square(np.linalg.svd(W.swapaxes(1, 2).reshape(-1, W.shape[1]), compute_uv=False))
    return squared / max(squared.sum(), np.finfo(float).tiny)


def effective_rank(fractions, energy):
    """Return how many of the largest fractions reach that energy."""
    return int(min(np.count_nonzero(np.cumsum(fractions) < energy) + 1, len(fractions)))


def complete(W, visible, rng):
    """Fill in hidden points by the low rank that predicts withheld visible ones best.

    Parameters
    ----------
    W : ndarray of shape (n_frames, n_points, 2)
        Keypoints.
    visible : ndarray of bool of shape (n_frames, n_points)
        Where they are visible.
    rng : numpy.random.RandomState
        Chooses the points that are withheld.

    Returns
    -------
    completed : ndarray of shape (n_frames, n_points, 2)
        Each frame centred on all its points.
    rank : int or None
        The rank that was used; None if nothing was hidden.
    """
    W = centre(W, visible)
    if visible.all():
        return W, None
    withheld = visible & (rng.uniform(size=visible.shape) < _HELD_OUT)
    withheld &= (visible.sum(1) - withheld.sum(1) >= 3)[:, None]
    kept = visible & ~withheld
    # A rank near the number of visible points of a frame fits anything.
    most = max(3, min(_HIGHEST, int(np.median(visible.sum(1))) // 2, W.shape[1] - 1))
    best, best_rank, trial = np.inf, 3, centre(W, kept)
    for rank in range(3, most + 1, 3):
        trial = _impute(trial, W, kept, rank)
        # The prediction is centred on all points, W on the visible ones.
        difference = trial - W
        difference -= masked_mean(difference, kept)
        error = np.square(difference)[withheld].sum()
        if error > 0.95 * best:
            break
        best, best_rank = error, rank
    completed = W
    for rank in range(3, best_rank + 1, 3):
        completed = _impute(completed, W, visible, rank)
    return completed, best_rank


def _truncate(W, rank):
    # The basis of the rows is all that is needed, and their Gram matrix is small.
    gram = np.einsum("fpc,fqc->pq", W, W, optimize=True)
    basis = np.linalg.eigh(gram)[1][:, -rank:]
    return (W.swapaxes(1, 2) @ basis @ basis.T).swapaxes(1, 2)


def _impute(current, W, visible, rank):
    """Alternate between projecting to a rank and putting the visible points back."""
    for _ in range(_ITERATIONS):
        low_rank = _truncate(current, rank)
        # W is known up to the mean of all points, hidden ones included: fit it to the low rank.
        offset = masked_mean(low_rank - W, visible)
        current = np.where(visible[..., None], W + offset, low_rank)
        current -= current.mean(1, keepdims=True)
    return current
