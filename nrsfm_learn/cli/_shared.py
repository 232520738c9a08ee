"""Options that several commands have, and how commands read, warn and report progress."""

import ast
import contextlib
import functools
import json
import sys
import warnings
from pathlib import Path

import click

from ._edges import edges_by_name
from ._wording import in_the_shell


def input_options(command):
    """Add the options of a command that reads a file of keypoints."""
    option = click.option(
        "--format",
        "file_format",
        metavar="NAME",
        help="Format of FILE; recognised by default. `convert --help` lists them.",
    )
    return option(reading_options(command))


def reading_options(command):
    """Add the options of reading, all but the format."""
    options = [
        click.option(
            "--min-confidence",
            type=float,
            metavar="C",
            help="Hide keypoints with less confidence. Default: the custom of the format.",
        ),
        click.option(
            "--individual",
            metavar="NAME",
            help="The one individual to use, by name or index from 0. Default: all, stacked.",
        ),
        click.option(
            "--read",
            "reader_options",
            multiple=True,
            metavar="NAME=VALUE",
            callback=_settings,
            help="A further option of the reader, such as part=face. Repeat for more.",
        ),
        click.option(
            "--fps",
            type=click.FloatRange(min=0, min_open=True),
            help="Frames a second, where the file does not tell.",
        ),
        click.option(
            "--edges",
            metavar="A-B,C-D",
            help="Joined points, by their names; or a JSON file with a list of pairs of names.",
        ),
    ]
    return _apply(options, command)


def method_options(command):
    """Add the options that settle how a method is fitted."""
    options = [
        click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="NAME=VALUE",
            callback=_settings,
            help="A setting of the method, such as k_last=8. Repeat for more.",
        ),
        click.option(
            "--intrinsics",
            metavar="FX,FY,CX,CY",
            callback=_intrinsics,
            help="Camera in pixels, for perspective methods.",
        ),
        click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1."),
        click.option(
            "--seed",
            type=click.IntRange(0),
            default=0,
            show_default=True,
            help="Of all random choices.",
        ),
    ]
    return _apply(options, command)


def output_option(text):
    """Add ``--output`` with that text of help."""
    return click.option("-o", "--output", type=new_file, metavar="FILE", help=text)


# A folder in its place is refused at once, not after hours of fitting.
new_file = click.Path(path_type=Path, dir_okay=False)
report_option = click.option(
    "--report",
    type=new_file,
    metavar="FILE",
    help="Write a self-contained HTML page to judge the result by.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON for machines instead of text."
)
file_argument = click.argument("file", metavar="FILE", type=click.Path(path_type=Path))


def read_keypoints(file, **reading):
    """Read 2-D keypoints, or say what the file holds instead.

    Parameters
    ----------
    file : pathlib.Path
        File or folder.
    **reading
        From :func:`input_options`.

    Returns
    -------
    Keypoints
        What the file holds; its reader's notes are printed to stderr.
    """
    from ..io import Keypoints

    data = read_record(file, **reading)
    if not isinstance(data, Keypoints):
        raise click.ClickException(
            f"{file} holds 3-D points ({data.source.format}): there is nothing to lift. "
            f"`nrsfm-learn convert` writes it in another format."
        )
    for note in data.source.notes:
        click.echo(f"Note: {in_the_shell(note)}.", err=True)
    return data


def read_record(file, file_format, min_confidence, individual, reader_options, fps, edges):
    """Read keypoints or 3-D points, with the frame rate and edges that were given beside.

    Parameters
    ----------
    file : pathlib.Path
        File or folder.
    file_format, min_confidence, individual, reader_options, fps, edges
        From :func:`input_options`.

    Returns
    -------
    Keypoints or Points3D
        What the file holds.
    """
    from ..io import read

    options = dict(reader_options)
    if min_confidence is not None:
        options["min_confidence"] = min_confidence
    if individual is not None:
        options["individual"] = individual
    data = read(file, format=file_format, **options)
    given = {} if fps is None else {"fps": fps}
    if edges is not None:
        given["edges"] = edges_by_name(edges, data.names)
    return data.replace(**given)


def read_truth(file, keypoints):
    """Read ground truth for keypoints: 3-D points of a file, or those beside the keypoints.

    Parameters
    ----------
    file : pathlib.Path or None
        File with 3-D points in the camera frame; None for those that `keypoints` has. Points are
        matched by name if it has the same names, otherwise by their order.
    keypoints : Keypoints
        The keypoints.

    Returns
    -------
    ndarray of shape (n_frames, n_points, 3) or None
        Ground truth, if there is any.
    """
    if file is None:
        return keypoints.X
    from ..io import read

    data = read(file)
    X = data.X
    if X is None:
        raise click.ClickException(f"{file} holds no 3-D points.")
    if X.shape[:2] != keypoints.W.shape[:2]:
        raise click.ClickException(
            f"{file} has {X.shape[0]} frames of {X.shape[1]} points, the keypoints have "
            f"{keypoints.n_frames} of {keypoints.n_points}: they must be the same."
        )
    if set(data.names) == set(keypoints.names):
        X = X[:, [data.names.index(name) for name in keypoints.names]]
    return X


def make_estimator(name, settings, device, seed):
    """Make an estimator from its name and the settings of the command line.

    Parameters
    ----------
    name : str
        Class name, in any case.
    settings : dict
        From ``--set``.
    device : str
        From ``--device``.
    seed : int
        From ``--seed``.

    Returns
    -------
    object
        Unfitted estimator.
    """
    estimator = method_named(name)()
    known = estimator.get_params()
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise click.UsageError(
            f"{type(estimator).__name__} has no setting {unknown[0]!r}; it has "
            f"{', '.join(sorted(known))}."
        )
    common = {"device": device, "random_state": seed}
    return estimator.set_params(**{k: v for k, v in common.items() if k in known} | settings)


def method_named(name):
    """Return the class of a method by its name, in any case.

    Parameters
    ----------
    name : str
        Its name.

    Returns
    -------
    type
        The class.
    """
    from ..testing import all_estimators

    classes = dict(all_estimators())
    for known, cls in classes.items():
        if known.lower() == name.lower():
            return cls
    raise click.UsageError(f"There is no method {name!r}; there are {', '.join(classes)}.")


def side_inputs(keypoints, intrinsics):
    """Return what a method takes beside ``W``: the clips, and the camera if one was given.

    Parameters
    ----------
    keypoints : Keypoints
        The keypoints.
    intrinsics : ndarray of shape (3, 3) or None
        From ``--intrinsics``.

    Returns
    -------
    dict
        Keyword arguments of ``fit`` and ``transform``.
    """
    given = {"groups": keypoints.groups}
    if intrinsics is not None:
        given["intrinsics"] = intrinsics
    return given


@contextlib.contextmanager
def busy(text, quiet=False):
    """Show that something goes on while the block runs; warnings come out as lines of stderr.

    Parameters
    ----------
    text : str
        What goes on.
    quiet : bool, default=False
        Show nothing but warnings.

    Yields
    ------
    callable
        Call it with a text to show that instead. Its ``warnings`` are a list of the texts of
        warnings, once the block has ended.
    """
    from rich.console import Console

    console = Console(stderr=True)
    with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(sys.stderr):
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        say = _Progress()
        try:
            if quiet:
                yield say
            elif console.is_terminal:
                with console.status(text) as status:
                    say.show = status.update
                    yield say
            else:
                say.show = functools.partial(click.echo, err=True)
                say(text)
                yield say
        except KeyboardInterrupt:
            # What training says of its interruption is for those who keep what it has done.
            caught.clear()
            raise
        finally:
            texts = (in_the_shell(" ".join(str(w.message).split())) for w in caught)
            say.warnings += dict.fromkeys(texts)
            for message in say.warnings:
                click.echo(f"Warning: {message}", err=True)


class _Progress:
    """Shows what goes on, and keeps the warnings."""

    def __init__(self):
        self.show, self.warnings = None, []

    def __call__(self, text):
        if self.show is not None:
            self.show(text)


def print_json(values):
    """Print values as JSON; numpy numbers become numbers, NaN becomes null.

    Parameters
    ----------
    values : dict
        What to print.
    """
    click.echo(json.dumps(_jsonable(values), indent=2, allow_nan=False))


def _jsonable(value):
    import numpy as np

    if isinstance(value, dict):
        return {str(k): _jsonable(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return _jsonable(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_jsonable(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def _apply(options, command):
    for option in reversed(options):
        command = option(command)
    return command


def _settings(context, parameter, pairs):
    settings = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name.strip():
            raise click.BadParameter(f"{pair!r} is not of the form NAME=VALUE.")
        try:
            value = ast.literal_eval(text)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            value = text
        settings[name.strip().replace("-", "_")] = value
    return settings


def _intrinsics(context, parameter, text):
    if text is None:
        return None
    import numpy as np

    try:
        fx, fy, cx, cy = (float(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(f"{text!r} is not four numbers FX,FY,CX,CY.") from None
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
