"""``nrsfm-learn methods``."""

import click

from ._shared import json_option, method_named, print_json

_TAGS = {
    "missing": "missing keypoints",
    "perspective": "perspective cameras",
    "temporal": "uses the order of frames",
    "inductive": "lifts unseen frames",
}


@click.command(name="methods", epilog="\b\nExample:\n  nrsfm-learn methods PAUL")
@click.argument("name", metavar="[NAME]", required=False)
@json_option
def command(name, as_json):
    """List the methods and what they can do, or the settings of the method NAME."""
    if name is None:
        _list(as_json)
        return
    cls = method_named(name)
    params = cls().get_params()
    summary = cls.__doc__.strip().splitlines()[0]
    if as_json:
        print_json({"name": cls.__name__, "summary": summary, "settings": params})
        return
    click.echo(f"{cls.__name__}: {summary}\n\nSettings and defaults (--set NAME=VALUE):")
    for key, value in params.items():
        click.echo(f"  {key} = {value!r}")


def _list(as_json):
    from ..testing import all_estimators

    rows = []
    for name, cls in all_estimators():
        tags = cls()._nrsfm_tags()
        able = {tag: getattr(tags, tag) for tag in _TAGS}
        able["perspective"] = _takes_perspective(cls)
        rows.append({"name": name, "summary": cls.__doc__.strip().splitlines()[0], **able})
    if as_json:
        print_json({"methods": rows})
        return
    for row in rows:
        able = ", ".join(text for tag, text in _TAGS.items() if row[tag])
        click.echo(f"{row['name']}: {row['summary']}\n    {able}")
    click.echo("\nSettings of one: nrsfm-learn methods NAME")


def _takes_perspective(cls):
    """Whether it has a perspective camera, by default or as a setting."""
    estimator = cls()
    if "camera" not in estimator.get_params():
        return estimator._nrsfm_tags().perspective
    try:
        estimator.set_params(camera="perspective")._validate_params()
    except ValueError:
        return False
    return estimator._nrsfm_tags().perspective
