"""Several categories in one array: each has its own points, and NaN in those of the others."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from sklearn.utils import Bunch

from .._validation import check_groups, check_shapes_3d, check_W


@dataclass(frozen=True)
class CategoryLayout:
    """Which points belong to which category.

    Attributes
    ----------
    categories : tuple of str
        Names of the categories.
    indices : tuple of tuple of int
        Points of each category, counted from 0. Categories may share points.
    names : tuple of str
        Name of every point.

    Raises
    ------
    ValueError
        If the parts contradict each other.

    See Also
    --------
    stack_categories : Builds one.

    Examples
    --------
    >>> from nrsfm_learn.preprocessing import CategoryLayout
    >>> layout = CategoryLayout(("car", "cat"), ((0, 1), (2,)), ("car/lamp", "car/roof", "cat/ear"))
    >>> layout.mask(["cat", "car"])
    array([[False, False,  True],
           [ True,  True, False]])
    """

    categories: tuple
    indices: tuple
    names: tuple

    def __post_init__(self):
        for field in ("categories", "names"):
            values = tuple(str(value) for value in getattr(self, field))
            if len(set(values)) < len(values):
                twice = next(value for value in values if values.count(value) > 1)
                raise ValueError(
                    f"{field} must differ from each other, but {twice!r} is there twice."
                )
            object.__setattr__(self, field, values)
        indices = tuple(tuple(int(i) for i in points) for points in self.indices)
        object.__setattr__(self, "indices", indices)
        if len(indices) != len(self.categories):
            raise ValueError(
                f"indices must have one entry a category, {len(self.categories)}, got "
                f"{len(indices)}."
            )
        for category, points in zip(self.categories, indices, strict=True):
            if not points or len(set(points)) < len(points):
                raise ValueError(
                    f"indices of category {category!r} must be at least one point, each once, got "
                    f"{list(points)}."
                )
            if min(points) < 0 or max(points) >= self.n_points:
                raise ValueError(
                    f"indices of category {category!r} must lie between 0 and "
                    f"{self.n_points - 1}, got {list(points)}: names has {self.n_points} points."
                )

    @property
    def n_points(self):
        """Number of points of all categories together."""
        return len(self.names)

    def points(self, category):
        """Return the points of a category.

        Parameters
        ----------
        category : str
            Its name.

        Returns
        -------
        ndarray of int of shape (n_points_of_category,)
            Indices into all points.

        Raises
        ------
        ValueError
            If there is no such category.
        """
        if category not in self.categories:
            raise ValueError(
                f"there is no category {category!r}; the layout has {list(self.categories)}."
            )
        return np.array(self.indices[self.categories.index(category)])

    def point_names(self, category):
        """Return the names of a category's points, without the category.

        Parameters
        ----------
        category : str
            Its name.

        Returns
        -------
        tuple of str
            Such as "left_front_wheel" for "car/left_front_wheel".
        """
        return tuple(self.names[i].removeprefix(f"{category}/") for i in self.points(category))

    def mask(self, categories):
        r"""Tell which points the category of each frame has.

        .. math:: \zeta_{z_f} \in \{0, 1\}^P

        Parameters
        ----------
        categories : array-like of str of shape (n_frames,)
            Category of each frame.

        Returns
        -------
        ndarray of bool of shape (n_frames, n_points)
            True where a point belongs to the category of the frame, seen or not.

        Raises
        ------
        ValueError
            If a category is unknown.

        References
        ----------
        Y. B. Can, A. Liniger, D. P. Paudel and L. Van Gool, End-to-end learning of multi-category
        3D pose and shape estimation, equation 2.
        """
        selection = np.zeros((len(self.categories), self.n_points), dtype=bool)
        for k, points in enumerate(self.indices):
            selection[k, list(points)] = True
        return selection[self.codes(categories)]

    def codes(self, categories):
        """Return the categories of frames as numbers.

        Parameters
        ----------
        categories : array-like of str of shape (n_frames,)
            Category of each frame.

        Returns
        -------
        ndarray of int of shape (n_frames,)
            Indices into `categories`.

        Raises
        ------
        ValueError
            If a category is unknown.
        """
        labels = np.asarray(categories)
        labels = check_groups(labels, labels.size, "categories").astype(str)
        known, where = np.unique(labels, return_inverse=True)
        number = {category: k for k, category in enumerate(self.categories)}
        unknown = [label for label in known.tolist() if label not in number]
        if unknown:
            raise ValueError(
                f"categories has {unknown[0]!r} at frame {int(np.argmax(labels == unknown[0]))}, "
                f"but the layout has only {list(self.categories)}."
            )
        return np.array([number[label] for label in known.tolist()], dtype=int)[where.reshape(-1)]

    def to_dict(self):
        """Return the layout as plain lists, which JSON can hold.

        Returns
        -------
        dict
            With the keys "categories", "indices" and "names".
        """
        return {
            "categories": list(self.categories),
            "indices": [list(points) for points in self.indices],
            "names": list(self.names),
        }

    @classmethod
    def from_dict(cls, values):
        """Return the layout that :meth:`to_dict` wrote.

        Parameters
        ----------
        values : dict
            With the keys "categories", "indices" and "names".

        Returns
        -------
        CategoryLayout
            The layout.
        """
        return cls(values["categories"], values["indices"], values["names"])


def stack_categories(parts):
    r"""Put the keypoints of several categories into one array, for one network.

    Category z has :math:`P_z` points of its own; together there are :math:`P = \sum_z P_z`, and a
    frame has NaN in the points of all categories but its own:

    .. math:: w_{fp} \text{ is NaN where } (\zeta_{z_f})_p = 0 .

    Parameters
    ----------
    parts : dict of str to array, tuple or record
        For each category one of: keypoints `W` of shape (n_frames, n_points, 2); a tuple
        ``(W, names)`` or ``(W, names, X)`` with the points' names (or None) and 3-D ground truth of
        shape (n_frames, n_points, 3); or a record with these as attributes, such as
        :class:`nrsfm_learn.io.Keypoints` or what the functions of :mod:`nrsfm_learn.datasets`
        return, whose edges and groups are kept, too.

    Returns
    -------
    Bunch
        - W : ndarray of shape (n_frames, n_points, 2), one category after the other, NaN where
          hidden or of another category.
        - visible : ndarray of bool of shape (n_frames, n_points).
        - X : ndarray of shape (n_frames, n_points, 3), NaN where unknown; None if no part has it.
        - categories : ndarray of str of shape (n_frames,), for ``fit(W, categories=...)``.
        - names : list of str, such as "car/left_front_wheel".
        - edges : list of (int, int).
        - groups : ndarray of int of shape (n_frames,), clips numbered through all categories; a
          part without groups is one clip.
        - layout : CategoryLayout.

    Raises
    ------
    ValueError, TypeError
        If there are no parts, or one is empty or malformed; the message has its category.

    See Also
    --------
    split_categories : The way back.

    Notes
    -----
    Frames of a category are consecutive. For cross-validation shuffle them, as
    ``KFold(shuffle=True)`` does, or keep the proportions by
    ``StratifiedKFold().split(W, categories)``.

    Examples
    --------
    >>> from nrsfm_learn.datasets import make_rigid_category
    >>> from nrsfm_learn.preprocessing import stack_categories
    >>> cars, chairs = (make_rigid_category(20, category=c) for c in ("car", "chair"))
    >>> data = stack_categories({"car": cars, "chair": chairs})
    >>> data.W.shape, data.names[0], str(data.categories[0])
    ((40, 26, 2), 'car/left_front_wheel', 'car')
    """
    if not isinstance(parts, Mapping):
        raise TypeError(
            f"parts must be a dict of category to keypoints, got {type(parts).__name__}; for "
            f"example {{'car': (W_cars, names_of_cars), 'chair': (W_chairs, names_of_chairs)}}."
        )
    if not parts:
        raise ValueError("parts is empty; give at least one category.")
    records = {str(category): _record(category, part) for category, part in parts.items()}
    starts = np.cumsum([0, *(r.W.shape[1] for r in records.values())])
    names = [f"{category}/{name}" for category, r in records.items() for name in r.names]
    layout = CategoryLayout(tuple(records), [range(a, b) for a, b in pairwise(starts)], names)
    n_frames = sum(len(r.W) for r in records.values())
    W = np.full((n_frames, layout.n_points, 2), np.nan)
    X = np.full((n_frames, layout.n_points, 3), np.nan)
    categories = np.repeat(list(records), [len(r.W) for r in records.values()])
    edges, groups = [], []
    for (category, r), start in zip(records.items(), starts, strict=False):
        block = np.ix_(categories == category, layout.points(category))
        W[block] = r.W
        if r.X is not None:
            X[block] = r.X
        edges += [(int(i) + int(start), int(j) + int(start)) for i, j in r.edges]
        groups.append(r.groups + sum(g.max() + 1 for g in groups))
    known = any(r.X is not None for r in records.values())
    return Bunch(
        W=W,
        visible=~np.isnan(W[..., 0]),
        X=X if known else None,
        categories=categories,
        names=names,
        edges=edges,
        groups=np.concatenate(groups),
        layout=layout,
    )


def split_categories(array, categories, layout):
    """Take an array over all points apart into the categories.

    Parameters
    ----------
    array : array-like of shape (n_frames, n_points) or (n_frames, n_points, k)
        Keypoints, masks, reconstructions or errors of stacked categories.
    categories : array-like of str of shape (n_frames,)
        Category of each frame.
    layout : CategoryLayout
        Which points belong to which category.

    Returns
    -------
    dict of str to ndarray
        For each category that has frames, in the order of the layout: its frames and points, of
        shape (n_frames_of_category, n_points_of_category) or with the axis of length k.

    Raises
    ------
    ValueError
        If the sizes differ or a category is unknown.

    See Also
    --------
    stack_categories : The way there.
    """
    array = np.asarray(array)
    if array.ndim not in (2, 3) or array.shape[1] != layout.n_points:
        raise ValueError(
            f"array must have shape (n_frames, n_points) or (n_frames, n_points, k) with the "
            f"n_points={layout.n_points} of the layout, got {array.shape}."
        )
    codes = layout.codes(check_groups(categories, len(array), "categories"))
    return {
        category: array[codes == k][:, layout.points(category)]
        for k, category in enumerate(layout.categories)
        if (codes == k).any()
    }


def _record(category, part):
    """Check what is known of one category: W, names, X, edges, groups."""
    if isinstance(part, tuple):
        if not 2 <= len(part) <= 3:
            raise ValueError(
                f"category {category!r}: a tuple must be (W, names) or (W, names, X), got "
                f"{len(part)} entries."
            )
        part = dict(zip(("W", "names", "X"), part, strict=False))
    elif hasattr(part, "W"):
        keys = ("W", "visible", "names", "X", "edges", "groups")
        part = {key: getattr(part, key, None) for key in keys}
    else:
        part = {"W": part}
    try:
        if np.shape(part["W"])[:1] == (0,):
            raise ValueError("W has no frames; leave the category out.")
        W, _ = check_W(part["W"], part.get("visible"))
        n_frames, n_points = W.shape[:2]
        names = part.get("names")
        names = [f"point_{p}" for p in range(n_points)] if names is None else list(names)
        if len(names) != n_points or len(set(names)) < n_points:
            raise ValueError(
                f"names must be {n_points} different names, one a point, got {len(names)} of which "
                f"{len(set(names))} differ."
            )
        X = part.get("X")
        if X is not None:
            X = check_shapes_3d(X, "X", (n_frames, n_points))
        groups = part.get("groups")
        groups = np.zeros(n_frames) if groups is None else check_groups(groups, n_frames)
    except (TypeError, ValueError) as error:
        raise type(error)(f"category {category!r}: {error}") from error
    edges = part.get("edges")
    return Bunch(
        W=W,
        names=names,
        X=X,
        edges=() if edges is None else edges,
        groups=np.unique(groups, return_inverse=True)[1].reshape(-1),
    )
