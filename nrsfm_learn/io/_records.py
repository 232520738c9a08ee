"""What the readers return and the writers take."""

from dataclasses import dataclass, field, fields, replace

import numpy as np

from .._validation import check_shapes_3d, check_W
from ._record_checks import (
    check_confidence,
    check_edges,
    check_frame_numbers,
    check_integers,
    check_names,
    check_text,
    check_texts,
    check_unique,
    equal_values,
    index_of,
)


@dataclass(frozen=True)
class Source:
    """Where keypoints come from.

    Attributes
    ----------
    format : str
        Name of the format, such as "coco"; "" for data that come from no file.
    path : str
        File or folder.
    notes : tuple of str
        What the reader did that a user should know: keypoints hidden for their low confidence,
        individuals that were stacked, an axis that was turned.
    """

    format: str = ""
    path: str = ""
    notes: tuple = ()


class _Record:
    """Shared by both records: length, changed copies, a short repr."""

    def __len__(self):
        return len(self._positions)

    @property
    def n_frames(self):
        """Number of frames."""
        return self._positions.shape[0]

    @property
    def n_points(self):
        """Number of points."""
        return self._positions.shape[1]

    def replace(self, **changes):
        """Return a copy with other values; they are checked as at first.

        Parameters
        ----------
        **changes
            Attributes to set.

        Returns
        -------
        Keypoints or Points3D
            The copy.
        """
        return replace(self, **changes)

    @property
    def groups(self):
        """Clip and individual of each frame as one number; for ``fit(W, groups=...)``."""
        pairs = np.stack([self.clips, self.individual], axis=1)
        return np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1)

    def select(self, individual=None, *, rows=None):
        """Keep some rows.

        Parameters
        ----------
        individual : str or int, default=None
            Name, or index from 0, of the one individual to keep.
        rows : array-like of bool or int, default=None
            Rows to keep, of those that `individual` leaves.

        Returns
        -------
        Keypoints or Points3D
            A copy; its `individuals` are those that have rows left.

        Raises
        ------
        ValueError
            If there is no such individual.
        """
        keep = np.arange(self.n_frames)
        if individual is not None:
            keep = keep[self.individual == index_of(individual, self.individuals)]
        if rows is not None:
            rows = np.asarray(rows)
            keep = keep[rows if rows.size else rows.astype(np.int64)]
        left, who = np.unique(self.individual[keep], return_inverse=True)
        by_row = {name: getattr(self, name) for name in self._row_fields}
        return self.replace(
            **{name: None if value is None else value[keep] for name, value in by_row.items()},
            individuals=tuple(self.individuals[k] for k in left) or self.individuals[:1],
            individual=who.reshape(-1),
        )

    def __eq__(self, other):
        if type(other) is not type(self):
            return NotImplemented
        return all(
            equal_values(getattr(self, f.name), getattr(other, f.name))
            for f in fields(self)
            if f.name != "source"
        )

    __hash__ = None
    # Arrays with one entry a row, beside `individual`.
    _row_fields = ()

    def _set(self, name, value):
        object.__setattr__(self, name, value)

    def _check_common(self, n_frames, n_points):
        names = check_texts(self.names, "names") or [f"point_{p}" for p in range(n_points)]
        self._set("names", check_names(names, n_points))
        self._set("edges", check_edges(self.edges, n_points))
        self._set("frames", check_frame_numbers(self.frames, n_frames))
        self._set(
            "individuals", check_unique(check_texts(self.individuals, "individuals"), "individuals")
        )
        who = check_integers(self.individual, n_frames, "individual")
        if n_frames and not (who.min() >= 0 and who.max() < len(self.individuals)):
            raise ValueError(
                f"individual must index the {len(self.individuals)} individuals, got "
                f"{who.min()} to {who.max()}."
            )
        self._set("individual", who)
        self._set("clips", check_integers(self.clips, n_frames, "clips"))
        fps = self.fps
        if fps is not None:
            fps = float(fps)
            if not 0 < fps < np.inf:
                raise ValueError(f"fps must be positive and finite, got {fps}; None if unknown.")
            self._set("fps", fps)


@dataclass(frozen=True, eq=False, repr=False)
class Keypoints(_Record):
    """2-D keypoints of one camera, as every reader returns them.

    ``estimator.fit(keypoints.W, groups=keypoints.groups)`` is all that a method needs.

    Attributes
    ----------
    W : ndarray of float64 of shape (n_frames, n_points, 2)
        Keypoints in the units of the file (pixels as a rule; x right, y down), NaN where not
        visible.
    visible : ndarray of bool of shape (n_frames, n_points)
        Where `W` is not NaN.
    confidence : ndarray of float64 of shape (n_frames, n_points) or None
        What the tracker said, also of keypoints that are not visible; NaN where it said nothing.
        None if the format has none.
    names : tuple of str
        Name of each point.
    edges : tuple of (int, int)
        Pairs of points that are joined, counted from 0; empty if the format has none.
    fps : float or None
        Frames a second, if the file tells.
    individuals : tuple of str
        Individuals that were read, in the order of `individual`.
    source : Source
        Where it comes from and what the reader did.
    individual : ndarray of int of shape (n_frames,)
        Index into `individuals` of each row. Several individuals are stacked one after the other:
        an animal more is more frames of the same kind of object.
    frames : ndarray of int of shape (n_frames,)
        Number of each frame in its video, or of each image in the file.
    clips : ndarray of int of shape (n_frames,)
        Clip of each frame, where one file holds several videos; otherwise 0.
    X : ndarray of float64 of shape (n_frames, n_points, 3) or None
        Ground truth in the camera frame, if the file has it; NaN where unknown.

    Raises
    ------
    ValueError, TypeError
        If the arrays contradict each other.

    Examples
    --------
    >>> import numpy as np
    >>> from nrsfm_learn.io import Keypoints
    >>> Keypoints(np.zeros((10, 3, 2)), names=("nose", "ear", "tail"))
    Keypoints(10 frames, 3 points, 0% missing)
    """

    W: np.ndarray
    visible: np.ndarray = None
    confidence: np.ndarray = None
    names: tuple = ()
    edges: tuple = ()
    fps: float = None
    individuals: tuple = ("individual",)
    source: Source = field(default_factory=Source)
    individual: np.ndarray = None
    frames: np.ndarray = None
    clips: np.ndarray = None
    X: np.ndarray = None

    _row_fields = ("W", "visible", "confidence", "frames", "clips", "X")

    def __post_init__(self):
        W, visible = check_W(self.W, self.visible, min_frames=0)
        n_frames, n_points = visible.shape
        self._set("W", W.astype(np.float64, copy=False))
        self._set("visible", visible)
        self._set("confidence", check_confidence(self.confidence, visible.shape))
        self._check_common(n_frames, n_points)
        if self.X is not None:
            # A selection may have no frames left, which a ground truth by itself must have.
            X = check_shapes_3d(self.X, "X", visible.shape) if n_frames else self.X
            self._set("X", np.asarray(X, dtype=np.float64))

    def __repr__(self):
        missing = 1 - self.visible.mean() if self.visible.size else 0.0
        several = f", {len(self.individuals)} individuals" if len(self.individuals) > 1 else ""
        return (
            f"Keypoints({self.n_frames:,} frames{several}, {self.n_points} points, "
            f"{missing:.0%} missing)"
        )

    @property
    def _positions(self):
        return self.W

    def replace(self, **changes):
        """Return a copy with other values; they are checked as at first.

        Parameters
        ----------
        **changes
            Attributes to set. With another `W` and no `visible`, what is visible follows from `W`.

        Returns
        -------
        Keypoints
            The copy.
        """
        if "W" in changes:
            changes = {"visible": None, **changes}
        return super().replace(**changes)


@dataclass(frozen=True, eq=False, repr=False)
class Points3D(_Record):
    """3-D points, as motion capture files hold them and as methods reconstruct them.

    Attributes
    ----------
    X : ndarray of float64 of shape (n_frames, n_points, 3)
        Points, NaN where unknown.
    names : tuple of str
        Name of each point.
    edges : tuple of (int, int)
        Pairs of points that are joined, counted from 0.
    fps : float or None
        Frames a second, if known.
    unit : str
        Unit of length, such as "mm"; "" if unknown.
    axes : str
        Direction of the axes in words: "x right, y down, z away from the camera" for
        reconstructions (the default), as the file has them otherwise.
    confidence : ndarray of float64 of shape (n_frames, n_points) or None
        Confidence of each point, if known.
    source : Source
        Where it comes from and what the reader did.
    frames : ndarray of int of shape (n_frames,)
        Number of each frame.
    individuals : tuple of str
        Individuals, in the order of `individual`.
    individual, clips : ndarray of int of shape (n_frames,)
        Individual and clip of each row, as in :class:`Keypoints`.

    Raises
    ------
    ValueError, TypeError
        If the arrays contradict each other.

    Examples
    --------
    >>> import numpy as np
    >>> from nrsfm_learn.io import Points3D
    >>> Points3D(np.zeros((10, 3, 3)), unit="mm")
    Points3D(10 frames, 3 points, mm)
    """

    X: np.ndarray
    names: tuple = ()
    edges: tuple = ()
    fps: float = None
    unit: str = ""
    axes: str = "x right, y down, z away from the camera"
    confidence: np.ndarray = None
    source: Source = field(default_factory=Source)
    frames: np.ndarray = None
    individuals: tuple = ("individual",)
    individual: np.ndarray = None
    clips: np.ndarray = None

    _row_fields = ("X", "confidence", "frames", "clips")

    def __post_init__(self):
        X = check_shapes_3d(self.X)
        n_frames, n_points = X.shape[:2]
        self._set("X", X.astype(np.float64, copy=False))
        self._set("confidence", check_confidence(self.confidence, X.shape[:2]))
        self._check_common(n_frames, n_points)
        self._set("unit", check_text(self.unit, "unit"))
        self._set("axes", check_text(self.axes, "axes"))

    def __repr__(self):
        unit = f", {self.unit}" if self.unit else ""
        several = f", {len(self.individuals)} individuals" if len(self.individuals) > 1 else ""
        return f"Points3D({self.n_frames:,} frames{several}, {self.n_points} points{unit})"

    @property
    def _positions(self):
        return self.X
