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

# Further from 1 is no error of scale, but another unit.
_OTHER_UNITS = 1.5


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
        errors, scale = {}, 1.0
        if X_true is not None:
            X = estimator.transform(keypoints.W, **given)
            errors, scale = evaluate(X_true, X), _scale_between(X, X_true)
    if as_json:
        print_json(
            {"method": type(estimator).__name__, "score": score, "scale": scale, "errors": errors}
        )
        return
    click.echo(f"score, R^2 on hidden keypoints: {score:.3f}")
    if not 1 / _OTHER_UNITS < scale < _OTHER_UNITS:
        click.echo(
            f"The truth is {scale:.3g} times as large as the lifted points, as if in other units: "
            f"only normalized_error (procrustes), n_mpjpe and pa_mpjpe, which are free of scale, "
            f"apply; the others do not."
        )
    if errors:
        click.echo(format_report(errors))
    else:
        click.echo("No 3-D ground truth (--truth): the score does not see wrong depth.")


def _scale_between(X, X_true):
    """Least-squares factor from the lifted to the true shapes, both centred in each frame.

    By the coordinates of the image alone, which both have but for that factor.
    """
    import numpy as np

    seen = ~(np.isnan(X) | np.isnan(X_true)).any(-1, keepdims=True)
    n_seen = np.maximum(seen.sum(1, keepdims=True), 1)
    lifted, true = (
        np.where(seen, A - np.where(seen, A, 0).sum(1, keepdims=True) / n_seen, 0)[..., :2]
        for A in (X, X_true)
    )
    size = np.sum(lifted**2)
    return float(np.sum(lifted * true) / size) if size > 0 else 1.0
