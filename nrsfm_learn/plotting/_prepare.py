"""What a picture needs before anything is drawn: checks, placement, superposition."""

import numpy as np


def check_edges(edges, n_points):
    """Return edges as (n_edges, 2) integers, after refusing points that do not exist."""
    if edges is None or len(edges) == 0:
        return np.empty((0, 2), int)
    edges = np.asarray(edges)
    if edges.ndim != 2 or edges.shape[1] != 2 or edges.dtype.kind not in "iu":
        raise ValueError(
            f"edges must be pairs of point indices, shape (n_edges, 2) of integers; got shape "
            f"{edges.shape}, dtype {edges.dtype}."
        )
    outside = (edges < 0) | (edges >= n_points)
    if outside.any():
        k = int(outside.any(1).argmax())
        raise ValueError(
            f"edges[{k}] = {edges[k].tolist()} names a point outside 0 to {n_points - 1}; edges "
            "count points from 0."
        )
    return edges.astype(int)


def check_frames(frames, liftable):
    """Return frame indices; four spread over those that were lifted if none are given."""
    n_frames = len(liftable)
    if frames is None:
        candidates = np.flatnonzero(liftable) if liftable.any() else np.arange(n_frames)
        spread = np.linspace(0, len(candidates) - 1, min(4, len(candidates)))
        return candidates[np.round(spread).astype(int)]
    frames = np.atleast_1d(np.asarray(frames))
    if frames.ndim != 1 or frames.dtype.kind not in "iu" or len(frames) == 0:
        raise ValueError(f"frames={frames.tolist()} must be a list of frame indices.")
    outside = (frames < -n_frames) | (frames >= n_frames)
    if outside.any():
        raise ValueError(f"frames: {frames[outside][0]} is not one of the {n_frames} frames.")
    return frames % n_frames


def reproject(W, X):
    """Place X's first two coordinates on the visible keypoints by one scale and shift a frame."""
    known = np.isfinite(W).all(2) & np.isfinite(X).all(2)
    n = np.maximum(known.sum(1), 1)[:, None, None]
    flat = X[:, :, :2]
    inside = known[:, :, None]
    w0 = np.where(inside, W, 0).sum(1, keepdims=True) / n
    x0 = np.where(inside, flat, 0).sum(1, keepdims=True) / n
    w, x = np.where(inside, W - w0, 0), np.where(inside, flat - x0, 0)
    size = (x * x).sum((1, 2))
    scale = np.divide((w * x).sum((1, 2)), size, out=np.ones_like(size), where=size > 0)
    return scale[:, None, None] * (flat - x0) + w0


def superpose(X, X_true, align):
    """Centre one frame of both on their common points; with ``align`` fit X to X_true.

    The fit is that of ``normalized_error(protocol="procrustes")``: one scale and one orthogonal
    matrix, taken from the common points and applied to all.
    """
    common = np.isfinite(X).all(1) & np.isfinite(X_true).all(1)
    if common.sum() < 2:
        return X - np.nanmean(X, axis=0), np.full_like(X_true, np.nan)
    X, X_true = X - X[common].mean(0), X_true - X_true[common].mean(0)
    if align:
        U, _, Vt = np.linalg.svd(X[common].T @ X_true[common])
        size = np.linalg.norm(X[common])
        X = X @ (U @ Vt) * (np.linalg.norm(X_true[common]) / size if size > 0 else 0.0)
    return X, X_true


def fit_square(places):
    """Centres (n, 2) of the frames' bounding boxes and half the side of a square that fits any."""
    known = np.isfinite(places).all(2, keepdims=True)
    some = known.any((1, 2))
    if not some.any():
        return np.zeros((len(places), 2)), 1.0
    low = np.where(known, places, np.inf).min(1)
    high = np.where(known, places, -np.inf).max(1)
    low[~some] = high[~some] = 0.0
    half = 0.57 * (high - low).max()
    return (low + high) / 2, half if half > 0 else 1.0
