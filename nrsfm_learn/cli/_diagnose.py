"""``nrsfm-learn diagnose``."""

import dataclasses
import shlex

import click

from ._shared import (
    _intrinsics,
    file_argument,
    input_options,
    json_option,
    print_json,
    read_keypoints,
)
from ._wording import in_the_shell


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
    diagnosis = diagnose(
        keypoints.W, groups=keypoints.groups, intrinsics=intrinsics, names=keypoints.names
    )
    suggested = _lift_command(file, diagnosis, intrinsics, **reading)
    if as_json:
        values = dataclasses.asdict(diagnosis)
        values["findings"] = [finding._asdict() for finding in diagnosis.findings]
        print_json(values | {"command": suggested})
    else:
        click.echo(in_the_shell(str(diagnosis)))
        click.echo(f"\n  {suggested}")


def _lift_command(
    file, diagnosis, intrinsics, file_format, min_confidence, individual, reader_options, fps, edges
):
    """Return the command line that lifts the same data as the diagnosis suggests."""
    given = {
        "--format": file_format,
        "--min-confidence": min_confidence,
        "--individual": individual,
        "--fps": fps,
        "--edges": edges,
    }
    words = ["nrsfm-learn", "lift", str(file), "-m", diagnosis.estimator]
    for option, pairs in (("--set", diagnosis.settings), ("--read", reader_options)):
        words += [word for name, value in pairs.items() for word in (option, f"{name}={value}")]
    for option, value in given.items():
        words += [] if value is None else [option, str(value)]
    if intrinsics is not None:
        camera = intrinsics[[0, 1, 0, 1], [0, 1, 2, 2]]
        words += ["--intrinsics", ",".join(f"{number:g}" for number in camera)]
    return shlex.join(words)
