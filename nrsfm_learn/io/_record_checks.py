"""Checks of what the records hold."""

import operator

import numpy as np


def index_of(individual, individuals):
    """Return the index of an individual that is given by name or index.

    Parameters
    ----------
    individual : str or int
        Name, or index from 0. A string of digits that is no name counts as an index.
    individuals : sequence of str
        Names.

    Returns
    -------
    int
        Index from 0.

    Raises
    ------
    ValueError
        If there is none.
    """
    if isinstance(individual, str) and individual in individuals:
        return list(individuals).index(individual)
    try:
        index = int(individual) if isinstance(individual, str) else operator.index(individual)
    except (TypeError, ValueError):
        index = -1
    if not 0 <= index < len(individuals):
        shown = ", ".join(repr(name) for name in individuals[:10])
        more = f" and {len(individuals) - 10} more" if len(individuals) > 10 else ""
        raise ValueError(
            f"individual={individual!r} is not there. There are {shown}{more}: give one of these "
            f"names, or an index from 0 to {len(individuals) - 1}."
        )
    return index


def equal_values(a, b):
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    return type(a) is type(b) and not isinstance(a, np.ndarray) and a == b


def check_texts(values, name):
    if isinstance(values, str):
        raise TypeError(f"{name} must be a sequence of names, got the string {values!r}.")
    return () if values is None else tuple(check_text(value, name) for value in values)


def check_text(value, name):
    """As a string that every format can hold."""
    text = str(value)
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError(f"{name} has {text[:40]!a}, which is no valid text.")
    return text


def check_names(names, n_points):
    if len(names) != n_points:
        raise ValueError(f"names has {len(names)} entries, but there are {n_points} points.")
    return check_unique(tuple(names), "names")


def check_unique(names, name):
    if len(set(names)) != len(names):
        twice = next(text for k, text in enumerate(names) if text in names[:k])
        raise ValueError(f"{name} has {twice!r} more than once: give each a name of its own.")
    return names


def check_edges(edges, n_points):
    pairs = np.asarray(edges)
    if pairs.size == 0:
        return ()
    if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.dtype.kind not in "iu":
        raise ValueError(
            f"edges must be pairs of integers, got shape {pairs.shape} and dtype {pairs.dtype}."
        )
    if pairs.min() < 0 or pairs.max() >= n_points:
        raise ValueError(
            f"edges must join points 0 to {n_points - 1}, got {pairs.min()} to {pairs.max()}; "
            f"subtract 1 if they count from 1."
        )
    return tuple((int(a), int(b)) for a, b in pairs)


def check_confidence(confidence, shape):
    if confidence is None:
        return None
    confidence = np.array(confidence, dtype=np.float64)
    if confidence.shape != shape:
        raise ValueError(f"confidence must have shape {shape}, got {confidence.shape}.")
    if np.isinf(confidence).any():
        frame, point = np.argwhere(np.isinf(confidence))[0]
        raise ValueError(
            f"confidence is infinite at frame {frame}, point {point}; np.nan where unknown."
        )
    return confidence


def check_frame_numbers(frames, n_frames):
    return np.arange(n_frames) if frames is None else check_integers(frames, n_frames, "frames")


def check_integers(values, n_frames, name):
    if values is None:
        return np.zeros(n_frames, dtype=np.int64)
    values = np.asarray(values)
    if values.size == 0:
        values = values.astype(np.int64)
    if values.shape != (n_frames,) or values.dtype.kind not in "iu":
        raise ValueError(
            f"{name} must be {n_frames} integers, one a frame, got shape {values.shape} and dtype "
            f"{values.dtype}."
        )
    return values.astype(np.int64)
