"""From detected instances, frame by frame, to one track for each individual."""

import numpy as np

from ._assemble import assemble
from ._errors import FileFormatError
from ._record_checks import index_of

# A gap in the frame numbers of a video is filled; images with arbitrary numbers are not.
_MOST_FILLED = 10


def assemble_instances(
    format,
    path,
    points,
    confidence,
    when,
    ids,
    frames,
    *,
    label,
    even=True,
    individual=None,
    notes=(),
    clips=None,
    **others,
):
    """Make the record from instances that were detected one by one.

    Parameters
    ----------
    format, path, others
        As for :func:`~nrsfm_learn.io._assemble.assemble`.
    points : ndarray of shape (n_instances, n_points, 2)
        Keypoints, NaN where there are none.
    confidence : ndarray of shape (n_instances, n_points) or None
        Confidences.
    when : sequence of int of shape (n_instances,)
        Frame of each instance, as an index into `frames`; in order within a frame.
    ids : sequence of int, str or None of shape (n_instances,)
        Identity of each instance, None where the tracker gave none. If it gave none at all, the
        k-th instance of each frame is taken for individual k.
    frames : sequence of int of shape (n_frames,)
        Number of each frame, in increasing order, also of those without instances.
    label : str
        What the individuals are called: ``f"{label}_{id}"``.
    even : bool, default=True
        Whether missing frame numbers become frames without keypoints if there is just one
        individual.
    individual : str or int, default=None
        The one to keep; by default all are stacked.
    notes : sequence of str
        What the reader did.
    clips : ndarray of int of shape (n_frames,), default=None
        Clip of each frame.

    Returns
    -------
    Keypoints
        The record. Its size grows with the number of instances, not with that of individuals
        times frames.

    Raises
    ------
    FileFormatError
        If there are no instances, or two with the same identity in one frame.
    """
    notes, when = list(notes), np.asarray(when, dtype=np.int64)
    if not len(points):
        raise FileFormatError(path, f"no {label} was detected in {len(frames)} frames")
    who, individuals = _identities(path, when, ids, frames, label, notes)
    tracked = who >= 0
    points, who, when = points[tracked], who[tracked], when[tracked]
    confidence = None if confidence is None else confidence[tracked]
    frames = np.asarray(frames, dtype=np.int64)
    clips = np.zeros(len(frames), dtype=np.int64) if clips is None else np.asarray(clips)
    if len(individuals) == 1:
        if even:
            frames, when, clips = _even(frames, when, clips, notes)
        rows = np.full(len(frames), -1)
        rows[when] = np.arange(len(when))
        points = np.where((rows >= 0)[:, None, None], points[rows], np.nan)
        if confidence is not None:
            confidence = np.where((rows >= 0)[:, None], confidence[rows], np.nan)
    else:
        rows = np.lexsort((when, who))
        if individual is not None:
            rows = rows[who[rows] == index_of(individual, individuals)]
        else:
            notes.append(
                f"{len(individuals)} individuals are stacked one after the other; each row's is "
                f"in `individual`"
            )
        points, who = points[rows], who[rows]
        confidence = None if confidence is None else confidence[rows]
        frames, clips = frames[when[rows]], clips[when[rows]]
    # One row after the other, as if of one individual: a table of individuals by frames would be
    # almost empty for a crowd.
    record = assemble(
        format,
        path,
        points[None],
        None if confidence is None else confidence[None],
        individuals=individuals[:1],
        individual=individual if len(individuals) == 1 else None,
        frames=frames,
        notes=notes,
        **others,
    ).replace(clips=clips)
    if len(individuals) == 1:
        return record
    record = record.replace(individuals=individuals, individual=who)
    return record.select(rows=record.visible.any(-1))


def _identities(path, when, ids, frames, label, notes):
    """Return the individual of each instance, -1 for none, and the names of the individuals."""
    given = {value for value in ids if value is not None}
    if not given:
        # Instances come frame by frame: the place within the frame.
        new = np.flatnonzero(np.diff(when, prepend=-1))
        who = np.arange(len(when)) - np.repeat(new, np.diff(new, append=len(when)))
        if who.max() > 0:
            notes.append(
                f"nobody was tracked: individual k is the k-th {label} of each frame, and they "
                f"may swap"
            )
        return who, tuple(f"{label}_{k}" for k in range(who.max() + 1))
    known = sorted(given, key=lambda value: (isinstance(value, str), value))
    index = {value: k for k, value in enumerate(known)}
    who = np.array([-1 if value is None else index[value] for value in ids])
    untracked = np.count_nonzero(who < 0)
    if untracked:
        notes.append(f"{untracked:,} instances without an identity were left out")
    pairs = np.stack([when, who], axis=1)[who >= 0]
    unique, count = np.unique(pairs, axis=0, return_counts=True)
    if count.max() > 1:
        f, k = unique[count.argmax()]
        raise FileFormatError(
            path,
            f"the identity {known[k]!r} is there {count.max()} times",
            where=f"frame {frames[f]}",
        )
    return who, tuple(f"{label}_{value}" for value in known)


def _even(frames, when, clips, notes):
    """Put frames where numbers are missing, so that time is even."""
    if len(frames) < 2 or clips.any():
        return frames, when, clips
    step = int(np.gcd.reduce(np.diff(frames)))
    n_even = int(frames[-1] - frames[0]) // step + 1
    missing = n_even - len(frames)
    if missing == 0:
        return frames, when, clips
    if n_even > _MOST_FILLED * len(frames):
        notes.append("the frame numbers have large gaps: neighbours here need not be so in time")
        return frames, when, clips
    notes.append(
        f"{missing:,} frames whose numbers are missing were added without keypoints, so that time "
        f"is even"
    )
    when = (frames[when] - frames[0]) // step
    return frames[0] + step * np.arange(n_even), when, np.zeros(n_even, dtype=np.int64)
