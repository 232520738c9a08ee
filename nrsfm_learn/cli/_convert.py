"""``nrsfm-learn convert``."""

from pathlib import Path

import click

from ._shared import _settings, json_option, print_json


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
@click.option("--from", "from_format", metavar="NAME", help="Format of SOURCE; recognised.")
@click.option("--to", "to_format", metavar="NAME", help="Format of TARGET; by its suffix.")
@click.option(
    "--read",
    "reader_options",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_settings,
    help="An option of the reader, such as min_confidence=0.3 or part=face.",
)
@click.option(
    "--write",
    "writer_options",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_settings,
    help="An option of the writer.",
)
@click.option("--fps", type=float, help="Frames a second, where SOURCE does not tell.")
@json_option
def command(source, target, from_format, to_format, reader_options, writer_options, fps, as_json):
    """Turn the file SOURCE of one format into the file TARGET of another."""
    from ..io import read, write

    data = read(source, format=from_format, **reader_options)
    if fps is not None:
        data = data.replace(fps=fps)
    written = write(target, data, format=to_format, **writer_options)
    if as_json:
        print_json(
            {
                "source": str(source),
                "format": data.source.format,
                "target": str(written),
                "n_frames": data.n_frames,
                "n_points": data.n_points,
                "names": data.names,
                "notes": data.source.notes,
            }
        )
        return
    click.echo(f"{source} ({data.source.format}): {data}")
    for note in data.source.notes:
        click.echo(f"  {note}")
    click.echo(f"Written: {written}")
