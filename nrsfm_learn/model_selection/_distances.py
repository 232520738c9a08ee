"""What a set of reconstructed shapes tells of itself: steady distances and spread in depth."""

import numpy as np

from .._validation import check_groups, check_mask, check_shapes_3d


def neighbor_distance_variation(X, *, visible=None, groups=None):
    r"""How much the distance between a point and its steadiest neighbour varies over frames.

    .. math:: \frac{1}{P} \sum_i \min_{j \ne i}
              \frac{\operatorname{std}_f \| x_{fi} - x_{fj} \|}
                   {\operatorname{mean}_f \| x_{fi} - x_{fj} \|}

    Most deforming objects have rigid parts, so that a point has some other point at a constant
    distance. A reconstruction with a wrong depth has not, since its distances depend on the view.
    No alignment is needed. The sign of the depth is not seen: mirror images have equal distances.

    Parameters
    ----------
    X : array-like of shape (n_frames, n_points, 3)
        Reconstructed shapes of one object, in any frame. Where the camera leaves the scale of each
        frame open (weak perspective, perspective), pass canonical ``shapes_``.
    visible : array-like of bool of shape (n_frames, n_points), optional
        Points that count; those that are not NaN if None.
    groups : array-like of shape (n_frames,), optional
        Objects of different size, or clips of them: distances are compared within each group, and
        the groups' values averaged with their number of frames as weight.

    Returns
    -------
    float
        Dimensionless; 0 if every point has a neighbour at constant distance, lower is better. NaN
        if no pair of points is seen apart in two frames of a group.

    Raises
    ------
    TypeError, ValueError
        If an argument is malformed.

    See Also
    --------
    cycle_error : A criterion for estimators rather than shapes.

    Notes
    -----
    Standard deviations are those of the population. Pairs that coincide in every frame have no
    coefficient of variation and are passed over, so that a collapsed shape is no perfect one.
    """
    X = check_shapes_3d(X)
    counted = ~np.isnan(X[..., 0])
    if visible is not None:
        counted &= check_mask(visible, X.shape[:2], "visible")
    if groups is None:
        return float(_steadiest(X, counted).mean())
    labels, members = np.unique(check_groups(groups, len(X)), return_inverse=True)
    values, n_frames = [], []
    for label in range(len(labels)):
        inside = members == label
        values.append(_steadiest(X[inside], counted[inside]).mean())
        n_frames.append(np.count_nonzero(inside))
    known = ~np.isnan(values)
    if not known.any():
        return float("nan")
    return float(np.average(np.array(values)[known], weights=np.array(n_frames)[known]))


def _steadiest(X, counted):
    """Return the lowest coefficient of variation of each point that has one; [nan] if none."""
    n_points = X.shape[1]
    # Frames last: sums over them run along memory, and one pass for each index offset between the
    # points keeps the temporaries at the size of the input.
    X = np.ascontiguousarray(np.where(counted[..., None], X, 0.0).transpose(1, 2, 0), dtype=float)
    counted = np.ascontiguousarray(counted.T)
    complete = counted.all()
    lowest = np.full(n_points, np.inf)
    for offset in range(1, n_points):
        lengths = np.sqrt(np.square(X[offset:] - X[:-offset]).sum(axis=1))
        both = True if complete else counted[offset:] & counted[:-offset]
        n = np.count_nonzero(np.broadcast_to(both, lengths.shape), axis=1)
        usable = n >= 2
        mean = lengths.sum(axis=1, where=both) / np.maximum(n, 1)
        lengths -= mean[:, None]
        spread = np.sqrt(np.square(lengths).sum(axis=1, where=both) / np.maximum(n, 1))
        variation = np.full(len(n), np.inf)
        np.divide(spread, mean, out=variation, where=usable & (mean > 0))
        lowest[offset:] = np.minimum(lowest[offset:], variation)
        lowest[:-offset] = np.minimum(lowest[:-offset], variation)
    found = lowest[np.isfinite(lowest)]
    return found if len(found) else np.array([np.nan])


def depth_spread(X):
    r"""Spread in depth over the spread in the image, of shapes in the camera frame.

    .. math:: \sqrt{\frac{\sum_{fp} z_{fp}^2}{\frac12 \sum_{fp} (x_{fp}^2 + y_{fp}^2)}}

    with every frame centred. Over views from all sides a right reconstruction comes out near 1,
    whatever the shape: no direction of the object is seen more often in depth than in the image.
    Far above 1 depth has run away; near 0 the reconstruction is flat.

    Parameters
    ----------
    X : array-like of shape (n_frames, n_points, 3)
        Reconstruction in the camera frame, as ``transform`` returns it; NaN where unknown.

    Returns
    -------
    float
        Ratio; NaN if nothing is known, or all points of each frame project to one place.

    Raises
    ------
    TypeError, ValueError
        If ``X`` is malformed.

    See Also
    --------
    neighbor_distance_variation : Needs no assumption on the views.

    Notes
    -----
    Where the camera moves little, or stays upright, the ratio of the true shapes is not 1: compare
    it between fits then, rather than with 1.
    """
    X = check_shapes_3d(X).astype(float, copy=False)
    known = ~np.isnan(X[..., 0])
    X = np.where(known[..., None], X, 0.0)
    centers = X.sum(1) / np.maximum(known.sum(1), 1)[:, None]
    x, y, z = np.square(np.where(known[..., None], X - centers[:, None], 0.0)).sum(axis=(0, 1))
    return float(np.sqrt(z / ((x + y) / 2))) if x + y > 0 else float("nan")
