"""``nrsfm-learn compare``."""

from pathlib import Path

import click

from ._outputs import Outputs
from ._shared import (
    _intrinsics,
    busy,
    file_argument,
    input_options,
    json_option,
    method_named,
    print_json,
    read_keypoints,
    read_truth,
    report_option,
)
from ._wording import in_the_shell

_FAST = ("ProcrusteanRegression", "BMM", "RigidFactorization")


@click.command(
    name="compare",
    epilog="\b\nExample:\n  nrsfm-learn compare walk.csv -m PAUL -m BMM --report compared.html",
)
@file_argument
@click.option(
    "-m",
    "--method",
    "methods",
    multiple=True,
    help=f"One of `methods`; repeat for more.  [default: {', '.join(_FAST)}]",
)
@click.option(
    "--time-limit",
    type=click.FloatRange(min=0, min_open=True),
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="Of each method.",
)
@click.option(
    "--truth",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="3-D ground truth of the same frames and points, in the camera frame.",
)
@click.option("--intrinsics", metavar="FX,FY,CX,CY", callback=_intrinsics, help="Camera in pixels.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@report_option
@input_options
@json_option
def command(file, methods, time_limit, truth, intrinsics, device, seed, report, as_json, **reading):
    """Fit several methods to FILE: a table and, with --report, a page with each result.

    Without ground truth the methods are sorted by how much the lengths between neighbouring points
    vary, which suits objects with rigid parts; the score does not see wrong depth.
    """
    from ..auto import ComparedMethod, compare, comparison_table

    names = [method_named(name).__name__ for name in methods or _FAST]
    outputs = Outputs([file, truth], report)
    keypoints = read_keypoints(file, **reading)
    X_true = read_truth(truth, keypoints)
    with busy(f"Comparing {', '.join(names)} ...", quiet=as_json) as say:
        rows = compare(
            keypoints,
            list(dict.fromkeys(names)),
            X_true=X_true,
            time_limit=time_limit,
            intrinsics=intrinsics,
            device=device,
            random_state=seed,
            progress=say,
        )
        if report is not None:
            from ..report import write_comparison

            write_comparison(report, rows, title=f"{file.name}: methods compared")
    done = [row for row in rows if row.result is not None]
    if as_json:
        shown = [name for name in ComparedMethod._fields if name not in ("result", "X_true")]
        methods = [{name: getattr(row, name) for name in shown} for row in rows]
        print_json({"file": file, "methods": methods, "report": report})
    else:
        _print_table(*comparison_table(done))
        for row in rows:
            if row.result is None:
                click.echo(f"{row.method} failed: {in_the_shell(' '.join(row.problem.split()))}")
        if report is not None:
            click.echo(outputs.told())
    if not done:
        # No exception: with --json, stdout has its one object already.
        click.echo("Error: no method could be fitted.", err=True)
        click.get_current_context().exit(1)


def _print_table(columns, cells):
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    for line in [columns, *cells]:
        first, *numbers = (cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join([first.strip().ljust(widths[0]), *numbers]))
