"""``nrsfm-learn score``."""

from pathlib import Path

import click

from ._shared import (
    _intrinsics,
    busy,
    file_argument,
    input_options,
    json_option,
    print_json,
    read_keypoints,
    read_truth,
    side_inputs,
)


@click.command(
    name="score",
    epilog="\b\nExamples:\n  nrsfm-learn score wed.csv --model mouse.safetensors\n"
    "  nrsfm-learn score wed.csv --model mouse.safetensors --truth wed_3d.c3d",
)
@file_argument
@click.option(
    "--model", required=True, type=click.Path(path_type=Path), metavar="FILE", help="Saved model."
)
@click.option(
    "--truth",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="3-D ground truth of the same frames and points, in the camera frame.",
)
@click.option("--intrinsics", metavar="FX,FY,CX,CY", callback=_intrinsics, help="Camera in pixels.")
@input_options
@json_option
def command(file, model, truth, intrinsics, as_json, **reading):
    """Judge the saved model on FILE: hidden keypoints without 3-D, every protocol with it."""
    from .. import load
    from ..metrics import evaluate, format_report

    keypoints = read_keypoints(file, **reading)
    estimator = load(model)
    X_true = read_truth(truth, keypoints)
    given = side_inputs(keypoints, intrinsics)
    with busy(f"Scoring {type(estimator).__name__} ...", quiet=as_json):
        score = estimator.score(keypoints.W, **given)
        errors = {}
        if X_true is not None:
            errors = evaluate(X_true, estimator.transform(keypoints.W, **given))
    if as_json:
        print_json({"method": type(estimator).__name__, "score": score, "errors": errors})
        return
    click.echo(f"score, R^2 on hidden keypoints: {score:.3f}")
    if errors:
        click.echo(format_report(errors))
    else:
        click.echo("No 3-D ground truth (--truth): the score does not see wrong depth.")
