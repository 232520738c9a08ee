"""``nrsfm-learn fit``."""

import dataclasses
import time
from pathlib import Path

import click

from ._outputs import Outputs
from ._shared import (
    busy,
    input_options,
    json_option,
    make_estimator,
    method_options,
    output_option,
    print_json,
    read_keypoints,
    report_option,
    side_inputs,
)


@click.command(
    name="fit",
    epilog="\b\nExamples:\n  nrsfm-learn fit mon.csv tue.csv -m DeepNRSfMPP --set k_last=8 "
    "-o mouse.safetensors\n  nrsfm-learn lift wed.csv --model mouse.safetensors",
)
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option("-m", "--method", required=True, help="`nrsfm-learn methods` lists them.")
@output_option("Model file to write.  [default: METHOD.safetensors]")
@report_option
@input_options
@method_options
@json_option
def command(files, method, output, report, settings, intrinsics, device, seed, as_json, **reading):
    """Fit one method to the frames of all FILEs together, and save it.

    All files must have the same keypoints. There is no limit of time: `lift` has one.
    """
    estimator = make_estimator(method, settings, device, seed)
    name = type(estimator).__name__
    output = Path(f"{name}.safetensors") if output is None else output
    outputs = Outputs(files, output, report)
    keypoints = _together([read_keypoints(file, **reading) for file in files], files)
    given = side_inputs(keypoints, intrinsics)
    began = time.monotonic()
    with busy(f"Fitting {name} to {keypoints.n_frames:,} frames ...", quiet=as_json) as say:
        estimator.fit(keypoints.W, **given)
        if getattr(estimator, "stop_reason_", None) == "interrupted":
            # Training ends at Ctrl-C with what it has; who presses it here wants no file of that.
            raise KeyboardInterrupt
        seconds = time.monotonic() - began
        score = estimator.score(keypoints.W, **given)
        card = {"names": keypoints.names, "edges": keypoints.edges, "score": score}
        estimator.save(output, card=card | {"data": [file.name for file in files]})
        if report is not None:
            _write_report(report, estimator, keypoints, given, seconds, files)
    values = {"method": name, "model": output, "score": score, "seconds": round(seconds, 1)}
    values |= {"n_frames": keypoints.n_frames, "n_points": keypoints.n_points, "report": report}
    values["warnings"] = say.warnings
    if as_json:
        print_json(values)
        return
    click.echo(f"{name} fitted in {seconds:.0f} s; score on hidden keypoints {score:.3f}.")
    click.echo(outputs.told())


def _together(parts, files):
    """Put the frames of several files under each other, each file a clip of its own."""
    import numpy as np

    first = parts[0]
    for part, file in zip(parts[1:], files[1:], strict=True):
        if part.names != first.names:
            raise click.ClickException(
                f"{file} has the keypoints {', '.join(part.names)}; {files[0]} has "
                f"{', '.join(first.names)}. They must be the same, in one order."
            )
    if len(parts) == 1:
        return first
    notes = [
        f"{file.name}: {note}"
        for part, file in zip(parts, files, strict=True)
        for note in part.source.notes
    ]
    groups, n_groups = [], 0
    for part in parts:
        groups.append(part.groups + n_groups)
        n_groups += int(part.groups.max()) + 1
    return first.replace(
        W=np.concatenate([part.W for part in parts]),
        visible=np.concatenate([part.visible for part in parts]),
        confidence=None,
        individuals=("all",),
        individual=None,
        frames=np.concatenate([part.frames for part in parts]),
        clips=np.concatenate(groups),
        X=None,
        source=dataclasses.replace(first.source, notes=tuple(notes)),
    )


def _write_report(path, estimator, keypoints, given, seconds, files):
    from ..report import write_report

    several = f" and {len(files) - 1} more" if len(files) > 1 else ""
    write_report(
        path,
        estimator,
        keypoints.W,
        X_true=keypoints.X,
        edges=keypoints.edges or None,
        names=keypoints.names,
        title=f"{files[0].name}{several} in 3-D",
        side_inputs=given,
        fit_seconds=seconds,
        fps=keypoints.fps,
        frame_numbers=keypoints.frames,
        notes=keypoints.source.notes,
    )
