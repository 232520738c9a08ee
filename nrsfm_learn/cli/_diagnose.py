"""``nrsfm-learn diagnose``."""

import dataclasses

import click

from ._shared import (
    _intrinsics,
    file_argument,
    input_options,
    json_option,
    print_json,
    read_keypoints,
)


@click.command(name="diagnose", epilog="\b\nExample:\n  nrsfm-learn diagnose walk.csv")
@file_argument
@input_options
@click.option(
    "--intrinsics", metavar="FX,FY,CX,CY", callback=_intrinsics, help="Camera in pixels, if known."
)
@json_option
def command(file, intrinsics, as_json, **reading):
    """Tell whether FILE can be reconstructed, what stands against it, and which method suits."""
    from ..diagnosis import diagnose

    keypoints = read_keypoints(file, **reading)
    diagnosis = diagnose(keypoints.W, groups=keypoints.groups, intrinsics=intrinsics)
    if as_json:
        values = dataclasses.asdict(diagnosis)
        values["findings"] = [finding._asdict() for finding in diagnosis.findings]
        print_json(values)
    else:
        click.echo(diagnosis)
