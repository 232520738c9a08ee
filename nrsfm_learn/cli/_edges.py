"""The option ``--edges``."""

import click


def edges_by_name(text, names):
    """Find the points that ``--edges`` joins.

    Parameters
    ----------
    text : str
        ``A-B,C-D``, whose names may have hyphens, or the path of a JSON file.
    names : sequence of str
        Names of the points.

    Returns
    -------
    list of (int, int)
        Pairs of points.
    """
    from ..io._source import read_json

    where = {name: p for p, name in enumerate(names)}
    if text.lower().endswith(".json"):
        pairs = read_json(text)
        if not (isinstance(pairs, list) and all(isinstance(pair, list) for pair in pairs)):
            raise click.UsageError(f"{text} is no list of pairs of names.")
    else:
        pairs = [_split_at_hyphen(part.strip(), where) for part in text.split(",")]
    for pair in pairs:
        if len(pair) != 2 or any(name not in where for name in map(str, pair)):
            raise click.UsageError(
                f"--edges: {'-'.join(map(str, pair))!r} is not two points joined by a hyphen; the "
                f"points are {', '.join(names)}."
            )
    return [(where[str(a)], where[str(b)]) for a, b in pairs]


def _split_at_hyphen(part, where):
    places = [k for k, letter in enumerate(part) if letter == "-"]
    pairs = [(part[:k].strip(), part[k + 1 :].strip()) for k in places]
    return next((pair for pair in pairs if where.keys() >= set(pair)), (part,))
