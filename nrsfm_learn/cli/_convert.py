"""``nrsfm-learn convert``."""

from pathlib import Path

import click

from ._outputs import Outputs
from ._shared import _settings, json_option, print_json, read_record, reading_options
from ._wording import in_the_shell


def _table():
    from ..io import formats

    lines = ["\b", "Formats (name: what it is, and which suffixes; r read, w written):"]
    for f in formats():
        suffixes = " ".join("folder" if s == "/" else s for s in f.suffixes)
        ways = ("r" if f.reads else "") + ("w" if f.writes else "")
        lines.append(f"  {f.name:10s} {f.title} ({suffixes}), {f.kind}, {ways}")
    lines += ["", "\b", "Examples:", "  nrsfm-learn convert walk.h5 walk.csv"]
    lines += ["  nrsfm-learn convert walk_3d.csv walk.glb"]
    return "\n".join(lines)


@click.command(name="convert", epilog=_table())
@click.argument("source", metavar="SOURCE", type=click.Path(path_type=Path))
@click.argument("target", metavar="TARGET", type=click.Path(path_type=Path))
@click.option(
    "--from",
    "--format",
    "file_format",
    metavar="NAME",
    help="Format of SOURCE; recognised by default.",
)
@click.option("--to", "to_format", metavar="NAME", help="Format of TARGET; by its suffix.")
@reading_options
@click.option(
    "--write",
    "writer_options",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_settings,
    help="An option of the writer.",
)
@json_option
def command(source, target, to_format, writer_options, as_json, **reading):
    """Turn the file SOURCE of one format into the file TARGET of another."""
    from ..io import write

    outputs = Outputs([source], target)
    data = read_record(source, **reading)
    outputs.expect(target, data, to_format)
    written = write(target, data, format=to_format, **writer_options)
    notes = [in_the_shell(note) for note in data.source.notes]
    if as_json:
        print_json(
            {
                "source": str(source),
                "format": data.source.format,
                "target": str(written),
                "n_frames": data.n_frames,
                "n_points": data.n_points,
                "names": data.names,
                "notes": notes,
            }
        )
        return
    click.echo(f"{source} ({data.source.format}): {data}")
    for note in notes:
        click.echo(f"  {note}")
    click.echo(outputs.told())
