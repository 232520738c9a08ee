"""``nrsfm-learn demo``."""

import click

from ._shared import json_option, print_json


@click.command(name="demo", epilog="\b\nExample:\n  nrsfm-learn demo --output results")
@click.option("--output", default="demo_output", show_default=True, help="Folder to write to.")
@click.option("--quick", is_flag=True, help="A first look: fewer frames and iterations.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@json_option
def command(output, quick, seed, as_json):
    """Reconstruct a generated walking body with hidden keypoints; leave a picture and a report."""
    import contextlib
    import sys
    from pathlib import Path

    from ..demo import main

    arguments = ["--output", output, "--seed", str(seed), *(["--quick"] if quick else [])]
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        status = main(arguments)
    if as_json:
        print_json({"files": sorted(str(path) for path in Path(output).iterdir())})
    click.get_current_context().exit(status)
