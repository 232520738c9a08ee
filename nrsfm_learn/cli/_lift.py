"""``nrsfm-learn lift``."""

from pathlib import Path

import click

from ._shared import (
    busy,
    file_argument,
    input_options,
    json_option,
    method_options,
    new_file,
    output_option,
    print_json,
    read_keypoints,
    report_option,
)


@click.command(
    name="lift",
    epilog="\b\nExamples:\n  nrsfm-learn lift walk.csv --report walk.html\n"
    "  nrsfm-learn lift walk.csv -o walk.c3d --time-limit 600\n"
    "  nrsfm-learn lift wed.csv --model mouse.safetensors -o wed_3d.csv",
)
@file_argument
@output_option(
    "3-D file to write: csv, npz, json, c3d, bvh, glb, ply or rrd.  [default: FILE_3d.csv, unless "
    "--report is given]"
)
@report_option
@click.option("-m", "--method", default="auto", show_default=True, help="Or one of `methods`.")
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Lift with a model that `fit` or --save-model wrote, without fitting.",
)
@click.option("--save-model", type=new_file, metavar="FILE", help="Save the fitted method.")
@click.option(
    "--time-limit",
    type=click.FloatRange(min=0, min_open=True),
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="Of the fit and all that belongs to it.",
)
@click.option("--flip", is_flag=True, help="Write the mirror image in depth.")
@input_options
@method_options
@json_option
def command(
    file,
    output,
    report,
    method,
    model,
    save_model,
    time_limit,
    flip,
    settings,
    intrinsics,
    device,
    seed,
    as_json,
    **reading,
):
    """Lift the 2-D keypoints of FILE to 3-D.

    Without --model, the data are diagnosed, a method is chosen and fitted within the time limit,
    and what was skipped is said.
    """
    keypoints = read_keypoints(file, **reading)
    if output is None and report is None:
        output = Path(f"{file.name.removesuffix(file.suffix)}_3d.csv")
    if output is not None:
        from ..io._formats import format_named

        # Before minutes of fitting, not after.
        format_named(None, output, "writes")
    with busy("Reading ...", quiet=as_json) as say:
        result = _result(
            keypoints, method, model, settings, intrinsics, device, seed, time_limit, say
        )
        written = {}
        # The model first: whatever a writer refuses can be done again from it without a fit.
        if save_model is not None:
            names, edges = result.named_edges()
            card = {"names": names, "edges": edges, "score": result.score, "data": file.name}
            result.estimator.save(save_model, card=card)
            written["model"] = save_model
        if flip:
            result = result.flipped()
        if output is not None:
            written["output"] = result.save(output)
        if report is not None:
            written["report"] = result.report(report)
    if as_json:
        print_json({**result.summary(), **written})
        return
    click.echo(result)
    click.echo("Written: " + ", ".join(str(path) for path in written.values()))


def _result(keypoints, method, model, settings, intrinsics, device, seed, time_limit, say):
    from .. import auto, load, model_card
    from ._shared import make_estimator, method_named

    if model is not None:
        if method != "auto" or settings:
            raise click.UsageError("--model is fitted already: leave out --method and --set.")
        say(f"Lifting with {model} ...")
        names = model_card(model).get("names")
        return auto.lift_with(load(model), keypoints, names=names, intrinsics=intrinsics)
    if settings:
        if method == "auto":
            raise click.UsageError("--set needs --method: the settings are of one method.")
        method = make_estimator(method, settings, device, seed)
    elif method != "auto":
        method = method_named(method).__name__
    return auto.lift(
        keypoints,
        method,
        intrinsics=intrinsics,
        time_limit=time_limit,
        device=device,
        random_state=seed,
        progress=say,
    )
