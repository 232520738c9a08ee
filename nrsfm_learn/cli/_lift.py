"""``nrsfm-learn lift``."""

import time
from pathlib import Path

import click

from ._outputs import Outputs
from ._shared import (
    _settings,
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
from ._wording import in_the_shell

# Seconds kept for importing and for the report, and the fewest that the fit can do with.
_WRITING, _LEAST_TIME = 4.0, 5.0


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
    type=click.FloatRange(min=10),
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="Of the whole command; 10 or more.",
)
@click.option("--flip", is_flag=True, help="Write the mirror image in depth.")
@click.option(
    "--write",
    "writer_options",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_settings,
    help="An option of the writer, such as fill=interpolate for bvh. Repeat for more.",
)
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
    writer_options,
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
    from ..io._read_write import check_target

    if output is None and report is None:
        output = Path(f"{file.name.removesuffix(file.suffix)}_3d.csv")
    # Before minutes of fitting, not after.
    outputs = Outputs([file, model], save_model, output, report)
    keypoints = read_keypoints(file, **reading)
    if output is not None:
        check_target(output, keypoints, **writer_options)
        outputs.expect(output, keypoints)
    click.echo("Loading ...", err=True)
    from .. import auto

    # Loading and reading count, and so does writing, which takes a second or two.
    spent = time.monotonic() - click.get_current_context().obj["began"]
    time_limit = max(_LEAST_TIME, time_limit - spent - _WRITING)
    with busy("Diagnosing ...", quiet=as_json) as say:
        result = _result(
            auto, keypoints, method, model, settings, intrinsics, device, seed, time_limit, say
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
            written["output"] = result.save(output, **writer_options)
        if report is not None:
            written["report"] = result.report(report, title=f"{file.name} in 3-D")
    if as_json:
        summary = result.summary()
        summary["warnings"] = [in_the_shell(warning) for warning in summary["warnings"]]
        print_json({**summary, **written})
        return
    click.echo(in_the_shell(str(result)))
    click.echo(outputs.told())


def _result(auto, keypoints, method, model, settings, intrinsics, device, seed, time_limit, say):
    from .. import load, model_card
    from ._shared import make_estimator, method_named

    if model is not None:
        if method != "auto" or settings:
            raise click.UsageError("--model is fitted already: leave out --method and --set.")
        say(f"Lifting with {model} ...")
        names = model_card(model).get("names")
        if names == [f"point_{p}" for p in range(len(names or ()))]:
            # The points had no names: these stand for their order.
            names = None
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
