"""Which points belong to which category, and frames drawn alike from all of them."""

import numpy as np


def learn_categories(labels, visible, given=None):
    """Tell the categories of some frames, and the points of each.

    Parameters
    ----------
    labels : ndarray of shape (n_frames,) or None
        Category of each frame; None where all frames show one category that has every point.
    visible : ndarray of bool of shape (n_frames, n_points)
        What was ever seen.
    given : dict, default=None
        Points of categories by label, where they are known; those of the others are the points that
        are visible in any of their frames.

    Returns
    -------
    names : ndarray of shape (n_categories,) or None
        Sorted labels.
    points : ndarray of bool of shape (n_categories, n_points)
        One row that is all True, if there are no labels.

    Raises
    ------
    ValueError
        If ``given`` names a category that no frame has, or points that there are not.
    """
    n_points = visible.shape[1]
    given = {} if given is None else given
    if labels is None:
        if given:
            raise ValueError(
                f"category_points names {next(iter(given))!r}, but fit was given no categories: "
                f"pass categories=, one label a frame."
            )
        return None, np.ones((1, n_points), dtype=bool)
    names, index = np.unique(labels, return_inverse=True)
    unknown = [label for label in given if label not in names.tolist()]
    if unknown:
        raise ValueError(
            f"category_points names {unknown[0]!r}, but the categories of fit are {names.tolist()}."
        )
    points = np.zeros((len(names), n_points), dtype=bool)
    for k, name in enumerate(names.tolist()):
        if name not in given:
            points[k] = visible[index == k].any(0)
            continue
        numbers = np.asarray(given[name])
        good = numbers.ndim == 1 and numbers.size and numbers.dtype.kind in "iu"
        if not good or numbers.min() < 0 or numbers.max() >= n_points:
            raise ValueError(
                f"category_points[{name!r}] must list points, integers from 0 to {n_points - 1}; "
                f"got {given[name]!r}."
            )
        points[k, numbers] = True
    check_within(visible, points, index, names)
    return names, points


def category_index(labels, names, n_frames, *, name):
    """Return the number (n_frames,) of each frame's category.

    Parameters
    ----------
    labels : ndarray of shape (n_frames,) or None
        What was given.
    names : sequence or None
        The categories of ``fit``.
    n_frames : int
        Frames to number.
    name : str
        What messages call the method.

    Raises
    ------
    ValueError
        If labels are missing, or one is none of the categories.
    """
    if names is None:
        return np.zeros(n_frames, dtype=np.intp)
    names = np.asarray(names)
    if labels is None:
        raise ValueError(
            f"{name} was fitted to the categories {names.tolist()}: pass categories= of these "
            f"frames as well."
        )
    known = np.isin(labels, names)
    if not known.all():
        frame = int(np.argmin(known))
        raise ValueError(
            f"categories has {str(labels[frame])!r} at frame {frame}, "
            f"but the categories of fit are {names.tolist()}."
        )
    return np.searchsorted(names, labels)


def check_within(visible, points, index, names):
    """Refuse keypoints that are no points of their frame's category.

    Parameters
    ----------
    visible : ndarray of bool of shape (n_frames, n_points)
        Keypoints.
    points : ndarray of bool of shape (n_categories, n_points)
        Points of each category.
    index : ndarray of int of shape (n_frames,)
        Category of each frame.
    names : ndarray of shape (n_categories,) or None
        Labels.

    Raises
    ------
    ValueError
        Names the first.
    """
    foreign = visible & ~points[index]
    if foreign.any():
        frame, point = np.argwhere(foreign)[0].tolist()
        label = np.asarray(names)[index[frame]].item()
        raise ValueError(
            f"W shows point {point} in frame {frame}, of category {label!r}, whose points are "
            f"{np.flatnonzero(points[index[frame]]).tolist()}: hide it with mask, or fit with "
            f"category_points that have it."
        )


def balanced_order(index, n_categories):
    """Return frame numbers in which every category is equally frequent.

    The frames of each category are repeated, in turn, up to the number of the largest one. To draw
    from the result is to draw class-balanced batches.

    Parameters
    ----------
    index : ndarray of int of shape (n_frames,)
        Category of each frame.
    n_categories : int
        How many there are.

    Returns
    -------
    ndarray of int of shape (n_categories * largest,)
    """
    members = [np.flatnonzero(index == k) for k in range(n_categories)]
    largest = max(map(len, members))
    return np.concatenate([np.resize(frames, largest) for frames in members])
