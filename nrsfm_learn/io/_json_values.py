"""Values of a JSON file, checked for their type: the file may hold anything."""

from itertools import chain

import numpy as np

from ._errors import FileFormatError

_KINDS = {dict: "an object", list: "a list", str: "a string", int: "a whole number"}
_LARGEST = 2**62


def shown(value):
    """Say in a few words what a value is.

    Parameters
    ----------
    value : object
        From a JSON file.

    Returns
    -------
    str
        Never long, and printable everywhere.
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (dict, list)):
        return f"{_KINDS[type(value)]} of {len(value)}"
    if isinstance(value, str):
        return f"the string {value[:40]!a}"
    return f"the number {repr(value)[:30]}"


def check_kind(path, value, kind, where):
    """Return a value if it is of a kind.

    Parameters
    ----------
    path : path-like
        File.
    value : object
        Value.
    kind : {dict, list, str, int}
        What it must be.
    where : str
        Its place in the file.

    Returns
    -------
    dict, list, str or int
        The value. A string can be encoded, a whole number fits into 64 bits.

    Raises
    ------
    FileFormatError
        If it is something else.
    """
    # True is an int to isinstance.
    if type(value) is not kind or (kind is int and abs(value) >= _LARGEST):
        raise FileFormatError(path, f"{_KINDS[kind]} was expected, got {shown(value)}", where=where)
    if kind is str and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise FileFormatError(path, f"{shown(value)} is no valid text", where=where)
    return value


def member(path, mapping, key, kind, where=""):
    """Return a member of an object that must be there and of a kind.

    Parameters
    ----------
    path : path-like
        File.
    mapping : dict
        Object.
    key : str
        Key.
    kind : {dict, list, str, int}
        What it must be.
    where : str, default=""
        Place of the object.

    Returns
    -------
    dict, list, str or int
        The value.

    Raises
    ------
    FileFormatError
        If it is not there, or something else.
    """
    if key not in mapping:
        raise FileFormatError(path, f"the key {key!r} is missing", where=where)
    return check_kind(path, mapping[key], kind, f"{where}.{key}".lstrip("."))


def positive(path, value, where):
    """Return a positive finite number.

    Parameters
    ----------
    path : path-like
        File.
    value : object
        Value.
    where : str
        Its place in the file.

    Returns
    -------
    float
        The number.

    Raises
    ------
    FileFormatError
        If it is none.
    """
    if not _is_number(value) or value <= 0:
        raise FileFormatError(
            path, f"a positive number was expected, got {shown(value)}", where=where
        )
    return float(value)


def number_rows(rows, length, place):
    """Make an array of lists of numbers.

    Parameters
    ----------
    rows : list
        Lists, from a JSON file.
    length : int
        Number of entries that each must have.
    place : callable
        Maps the index of a row to its path and its place in that file.

    Returns
    -------
    ndarray of float64 of shape (n_rows, length)
        The numbers, all finite.

    Raises
    ------
    FileFormatError
        If a row is no list of `length` finite numbers.
    """
    for k, row in enumerate(rows):
        if type(row) is not list or len(row) != length:
            got = f"{len(row)} numbers" if type(row) is list else shown(row)
            path, where = place(k)
            raise FileFormatError(path, f"{length} numbers were expected, got {got}", where=where)
    flat = list(chain.from_iterable(rows))
    # Types first: numpy would make numbers of booleans and of strings of digits.
    if set(map(type, flat)) <= {int, float}:
        try:
            values = np.array(flat, dtype=np.float64)
        except OverflowError:  # An integer beyond the largest double.
            values = np.array([np.nan])
        if np.isfinite(values).all():
            return values.reshape(len(rows), length)
    at = next(k for k, value in enumerate(flat) if not _is_number(value))
    path, where = place(at // length)
    raise FileFormatError(
        path, f"entry {at % length} must be a finite number, got {shown(flat[at])}", where=where
    )


def _is_number(value):
    if type(value) not in (int, float):
        return False
    try:
        return bool(np.isfinite(float(value)))
    except OverflowError:
        return False


def check_edges(path, edges, n_points, where, first=0):
    """Return bones that a file names.

    Parameters
    ----------
    path : path-like
        File.
    edges : object
        What the file has: a list of pairs of whole numbers.
    n_points : int
        Number of points.
    where : str
        Their place in the file.
    first : int, default=0
        Number of the first point.

    Returns
    -------
    tuple of (int, int)
        Pairs, counted from 0.

    Raises
    ------
    FileFormatError
        If they are no pairs, or name points that do not exist.
    """
    pairs = []
    for k, edge in enumerate(check_kind(path, edges, list, where)):
        here = f"{where}[{k}]"
        if len(check_kind(path, edge, list, here)) != 2:
            raise FileFormatError(path, f"a pair was expected, got {shown(edge)}", where=here)
        pair = tuple(check_kind(path, end, int, here) - first for end in edge)
        if not all(0 <= end < n_points for end in pair):
            raise FileFormatError(
                path,
                f"{edge[0]} to {edge[1]} does not join two of the points {first} to "
                f"{n_points - 1 + first}",
                where=here,
            )
        pairs.append(pair)
    return tuple(pairs)


def check_point_names(path, names, where):
    """Return names of points that a file has.

    Parameters
    ----------
    path : path-like
        File.
    names : list
        Names.
    where : str
        Their place in the file.

    Returns
    -------
    tuple of str
        The names.

    Raises
    ------
    FileFormatError
        If one is no string, or there twice.
    """
    known = {}
    for k, name in enumerate(names):
        check_kind(path, name, str, f"{where}[{k}]")
        if name in known:
            raise FileFormatError(
                path, f"{shown(name)} also names point {known[name]}", where=f"{where}[{k}]"
            )
        known[name] = k
    return tuple(names)
