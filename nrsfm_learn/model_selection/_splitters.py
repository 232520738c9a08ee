"""Splitters for video, where neighbouring frames are no independent samples."""

from numbers import Integral

import numpy as np
from sklearn.model_selection import BaseCrossValidator, LeaveOneGroupOut
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import _num_samples

from .._validation import check_groups

__all__ = ["ContiguousBlockSplit", "LeaveOneSequenceOut"]


class ContiguousBlockSplit(BaseCrossValidator):
    """Hold out contiguous blocks of video, one in each clip at a time.

    Every clip is cut into ``n_splits`` blocks of nearly equal length, in the order of its frames;
    fold k tests on the k-th block of all clips and trains on the rest. A random split would put a
    near copy of each test frame, its neighbour in time, into the training set.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    gap : int, default=0
        Frames on both sides of a test block, within its clip, that are in neither set.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    See Also
    --------
    LeaveOneSequenceOut : Hold out whole clips.
    sklearn.model_selection.TimeSeriesSplit : Train on the past only.

    Examples
    --------
    >>> import numpy as np
    >>> from nrsfm_learn.model_selection import ContiguousBlockSplit
    >>> W = np.zeros((6, 4, 2))
    >>> for train, test in ContiguousBlockSplit(3, gap=1).split(W):
    ...     print(train, test)
    [3 4 5] [0 1]
    [0 5] [2 3]
    [0 1 2] [4 5]
    """

    # Clips are read where they are routed; without them the frames are one clip.
    __metadata_request__split = {"W": UNUSED, "groups": True}  # noqa: RUF012

    def __init__(self, n_splits=5, *, gap=0):
        for name, value, least in (("n_splits", n_splits, 2), ("gap", gap, 0)):
            if not isinstance(value, Integral) or value < least:
                raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}.")
        self.n_splits = n_splits
        self.gap = gap

    def get_n_splits(self, W=None, y=None, groups=None):
        """Return the number of folds.

        Parameters
        ----------
        W, y, groups : object
            Not looked at.

        Returns
        -------
        int
            ``n_splits``.
        """
        return self.n_splits

    def split(self, W, y=None, groups=None):
        """Yield the frames to train on and to test on.

        Parameters
        ----------
        W : array-like of shape (n_frames, ...)
            Anything with one entry a frame.
        y : object
            Not looked at.
        groups : array-like of shape (n_frames,), optional
            Clip of each frame; without it all frames are one clip.

        Yields
        ------
        train, test : ndarray of int
            Indices in ascending order.

        Raises
        ------
        ValueError
            If a clip is too short, or ``gap`` leaves nothing to train on.
        """
        n_frames = _num_samples(W)
        clips = [np.arange(n_frames)]
        if groups is not None:
            labels, members = np.unique(check_groups(groups, n_frames), return_inverse=True)
            clips = [np.flatnonzero(members == label) for label in range(len(labels))]
        shortest = min(clips, key=len)
        if len(shortest) < self.n_splits:
            clip = "W" if groups is None else f"the clip '{labels[members[shortest[0]]]}'"
            raise ValueError(
                f"n_splits={self.n_splits}, but {clip} has {len(shortest)} frame(s): lower "
                f"n_splits, leave out short clips, or hold out whole clips by LeaveOneSequenceOut "
                f"or sklearn.model_selection.GroupKFold."
            )
        for fold in range(self.n_splits):
            train = np.ones(n_frames, dtype=bool)
            test = np.zeros(n_frames, dtype=bool)
            for clip in clips:
                bounds = len(clip) * np.arange(self.n_splits + 1) // self.n_splits
                start, stop = bounds[fold], bounds[fold + 1]
                test[clip[start:stop]] = True
                train[clip[max(start - self.gap, 0) : stop + self.gap]] = False
            if not train.any():
                raise ValueError(
                    f"gap={self.gap} leaves no frame to train on in fold {fold} of {n_frames} "
                    f"frames in {len(clips)} clip(s): lower it."
                )
            yield np.flatnonzero(train), np.flatnonzero(test)


class LeaveOneSequenceOut(LeaveOneGroupOut):
    """Hold out one clip at a time; ``groups`` says which clip a frame belongs to.

    This is :class:`sklearn.model_selection.LeaveOneGroupOut` under the name of the field, for
    keypoints of shape (n_frames, n_points, 2), and with errors that say what to pass.

    See Also
    --------
    ContiguousBlockSplit : Hold out a part of each clip.

    Examples
    --------
    >>> import numpy as np
    >>> from nrsfm_learn.model_selection import LeaveOneSequenceOut
    >>> W = np.zeros((5, 4, 2))
    >>> for train, test in LeaveOneSequenceOut().split(W, groups=["a", "a", "b", "b", "b"]):
    ...     print(train, test)
    [2 3 4] [0 1]
    [0 1] [2 3 4]
    """

    __metadata_request__split = {"W": UNUSED, "groups": True}  # noqa: RUF012

    def get_n_splits(self, W=None, y=None, groups=None):
        """Return the number of clips.

        Parameters
        ----------
        W, y : object
            Not looked at.
        groups : array-like of shape (n_frames,)
            Clip of each frame.

        Returns
        -------
        int
            Number of different labels.

        Raises
        ------
        ValueError
            If ``groups`` is missing.
        """
        return super().get_n_splits(groups=_clips(groups))

    def split(self, W, y=None, groups=None):
        """Yield the frames to train on and to test on.

        Parameters
        ----------
        W : array-like of shape (n_frames, ...)
            Anything with one entry a frame.
        y : object
            Not looked at.
        groups : array-like of shape (n_frames,)
            Clip of each frame.

        Yields
        ------
        train, test : ndarray of int
            Indices in ascending order; one clip is tested at a time, in the order of the labels.

        Raises
        ------
        ValueError
            If ``groups`` is missing, malformed or names fewer than two clips.
        """
        groups = _clips(groups, _num_samples(W))
        if len(np.unique(groups)) < 2:
            raise ValueError(
                f"groups names only the clip '{groups[0]}', and nothing would be left to train on: "
                f"split one clip by ContiguousBlockSplit."
            )
        yield from super().split(np.empty((len(groups), 0)), None, groups)


def _clips(groups, n_frames=None):
    if groups is None:
        raise ValueError(
            "groups is missing: LeaveOneSequenceOut needs the clip of each frame, as in "
            "search.fit(W, y, groups=groups). One clip is split by ContiguousBlockSplit."
        )
    return check_groups(groups, len(groups) if n_frames is None else n_frames)
