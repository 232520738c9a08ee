"""The program: its commands, and what becomes of errors."""

import json
import sys
import time
from importlib import import_module

import click

from .._version import __version__
from ._wording import in_the_shell

_EPILOG = """\b
Examples:
  nrsfm-learn lift walk.csv --report walk.html
  nrsfm-learn diagnose walk.csv
  nrsfm-learn compare walk.csv --method PAUL --method BMM

\b
Exit codes: 0 done, 1 the data or files do not allow it, 2 wrong usage, 130 interrupted.
FILE may be a DeepLabCut csv or h5, SLEAP h5, COCO, OpenPose, MMPose or MediaPipe JSON,
a plain csv or npz and more: `nrsfm-learn convert --help` lists them."""

# Name of the command to module and one line of help: the modules load when their command runs.
_COMMANDS = {
    "lift": ("_lift", "Lift the keypoints of a file to 3-D: the one that most people need."),
    "diagnose": ("_diagnose", "Tell whether and how a file can be reconstructed."),
    "fit": ("_fit", "Fit one method to one or more files and save it."),
    "score": ("_score", "Judge a saved model on a file, with or without 3-D."),
    "compare": ("_compare", "Fit several methods to one file: a table and a report."),
    "convert": ("_convert", "Turn a file of one format into another."),
    "methods": ("_methods", "List the methods, or the settings of one."),
    "demo": ("_demo", "Reconstruct a generated walking body: a picture and a report."),
}


class _LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, context):
        return list(_COMMANDS)

    def get_command(self, context, name):
        if name not in _COMMANDS:
            return None
        module = import_module(f"{__package__}.{_COMMANDS[name][0]}")
        return module.command

    def format_commands(self, context, formatter):
        # The default would import all of them for their one line of help.
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=_EPILOG,
)
@click.version_option(__version__, "--version", prog_name="nrsfm-learn")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def program(context, debug):
    """3-D from the 2-D keypoints of one camera, without 3-D labels."""
    context.obj = {"debug": debug, "began": time.monotonic()}


def main(argv=None):
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, default=None
        Arguments without the program's name; those of the process if None.

    Returns
    -------
    int
        Exit code: 0 done, 1 the data or files do not allow it, 2 wrong usage, 130 interrupted.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        # What ``context.exit`` was given; None of a command that went to its end.
        status = program.main(argv, prog_name="nrsfm-learn", standalone_mode=False)
    except click.ClickException as error:
        if "--json" in argv:
            kind = "usage" if isinstance(error, click.UsageError) else "data"
            _print_json_error(kind, error.format_message())
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return 130
    except (BrokenPipeError, SystemExit):
        # The reader of our output (`| head`) has gone, which click turns into an exit of its own:
        # nothing is left to say, even at exit.
        sys.stdout = None
        return 0
    except Exception as error:
        if "--debug" in argv:
            raise
        return _complain(error, argv)
    return status or 0


def _complain(error, argv):
    """Say what is wrong in one message; only what no one foresaw asks for a bug report."""
    text = in_the_shell(" ".join(str(error).split())) or type(error).__name__
    if not _is_foreseen(error):
        text = f"{type(error).__name__}: {text} (this may be a bug; --debug shows where)"
    if "--json" in argv:
        _print_json_error(type(error).__name__, text)
    click.echo(f"Error: {text}", err=True)
    return 1


def _is_foreseen(error):
    if isinstance(error, (ValueError, OSError, ImportError)):
        return True
    from ..io._formats import UnknownOptionError

    return isinstance(error, UnknownOptionError)


def _print_json_error(kind, message):
    click.echo(json.dumps({"error": {"type": kind, "message": message}}))
