"""What several methods made of the same keypoints, in one page."""

from ..io._source import write_whole
from . import _page as html
from . import _sections as sections
from ._viewer import asset, payload, viewer
from ._write import _check_path

_FRAMES = 1000


def write_comparison(path, rows, *, title="Methods compared"):
    """Write a page on what :func:`nrsfm_learn.auto.compare` returned.

    It holds the table, one interactive view with a menu of the methods, all errors by protocol if
    there is ground truth, and each method's settings.

    Parameters
    ----------
    path : path-like
        File to write; it is replaced in one step.
    rows : list of ComparedMethod
        What was compared, the best first.
    title : str, default="Methods compared"
        Title of the page.

    Returns
    -------
    pathlib.Path
        The file written.

    Raises
    ------
    ValueError
        If there are no rows, or the path is a folder or leads through a file.

    See Also
    --------
    write_report : One method in depth.

    Examples
    --------
    >>> from nrsfm_learn.report import write_comparison
    >>> write_comparison("compared.html", rows)  # doctest: +SKIP
    """
    from ..auto import comparison_table

    rows = list(rows)
    if not rows:
        raise ValueError("rows is empty: pass what nrsfm_learn.auto.compare returned.")
    path = _check_path(path)
    done = [row for row in rows if row.result is not None]
    failed = [row for row in rows if row.result is None]
    names = f"{len(rows)} methods on the same keypoints"
    body = {}
    if done:
        columns, cells = comparison_table(done)
        body["Table"] = [html.table(cells, columns, numbers=True, code=True), _meaning(done)]
        body["Reconstructions"] = _view(done)
    if failed:
        body["Failed"] = [html.table([(r.method, r.problem) for r in failed], code=True)]
    if any(row.errors for row in done):
        body["Error by protocol"] = _errors(done)
    for row in done:
        what = [html.bullets([*str(row.result.plan).splitlines(), *row.result.warnings])]
        body[row.method] = [*what, *sections.settings(row.result.estimator)]
    header = [html.paragraph(f"{names}: {', '.join(row.method for row in rows)}.", "lead")]
    text = html.page(title, header, body, style=asset("viewer.css"), script=asset("viewer.js"))
    return write_whole(path, text)


def _meaning(rows):
    text = (
        "score: R² on hidden keypoints, which does not see wrong depth. length variation: how much "
        "the distance of each point to its steadiest neighbour varies; lower is better for objects "
        "with rigid parts, and 0 by construction for a rigid model. seconds: of everything, on the "
        "machine that wrote this page."
    )
    if any(row.errors for row in rows):
        text += (
            " procrustes: normalized_error after one orthogonal matrix and scale a frame. sequence "
            "flip: normalized_error with one sign of depth for all frames."
        )
    return html.paragraph(text, "soft")


def _view(rows):
    parts = [_part(row) for row in rows[::-1]]
    first = rows[0].result
    names, edges = first.named_edges()
    data = payload(
        parts,
        names=names,
        edges=edges,
        parallel=all(sections.is_parallel(row.result.estimator) for row in rows),
        fps=first.keypoints.fps or 30.0,
        viewer_frames=max(1, _FRAMES // len(parts)),
    )
    begins = f"Shown first is {rows[0].method}; the menu has the others."
    return [html.paragraph(begins, "soft"), viewer(data)]


def _part(row):
    result, seen = row.result, row.result.points
    keypoints, confidence = result.keypoints, result.confidence
    return sections.Part(
        row.method,
        keypoints.W[:, seen],
        keypoints.visible[:, seen],
        result.reconstruction[:, seen],
        None if row.X_true is None else row.X_true[:, seen],
        reprojection=result.reprojection()[:, seen],
        score=row.score,
        errors=row.errors,
        numbers=keypoints.frames,
        groups=keypoints.groups,
        confidence=None if confidence is None else confidence[:, seen],
    )


def _errors(rows):
    rows = [row for row in rows if row.errors]
    lines = [
        (name, *(sections._value(name, row.errors) for row in rows)) for name in rows[0].errors
    ]
    return [html.table(lines, ("protocol", *(row.method for row in rows)), numbers=True, code=True)]
