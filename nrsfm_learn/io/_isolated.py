"""Run a reader of a binary format in a process of its own.

HDF5 and C3D are read by C libraries, which a hostile or damaged file can crash, hang or make take
all memory. In a child process that is an error message; in this one it would be the end.
"""

import io
import json
import math
import os
import signal
import subprocess
import sys
import time
import zipfile
from importlib import import_module

import numpy as np

from ._errors import FileFormatError
from ._source import check_file

_CPU_SECONDS = 2
_BYTES_A_SECOND = 2_000_000
_WALL = 10
_MEMORY = 4 << 30
_OUTPUT = 1 << 30
_WAY_OUT = "The file is damaged, or not of this format: export it again."

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    f"from {__name__} import _child; _child(*sys.argv[2:])"
)


def run_isolated(module, function, path):
    """Call ``function(path)`` of a module in a child process.

    The child finds modules where this process does. On POSIX, its processor time and memory are
    limited, in proportion to the size of the file.

    Parameters
    ----------
    module : str
        Full name of the module, such as ``"nrsfm_learn.io._sleap"``.
    function : str
        Name of a function in it: path (str) to a dict whose values are numpy arrays of numbers,
        bools or strings, or JSON. It may raise ``FileFormatError``, ``ImportError``; any other
        exception is taken as a sign of a damaged file.
    path : path-like
        File to read.

    Returns
    -------
    dict
        What the function returned.

    Raises
    ------
    FileNotFoundError, PermissionError
        If there is no such file, or it may not be read.
    FileFormatError
        If the function raised it or failed, crashed, or used up its time or memory.
    ImportError
        If the library that reads the format is not installed.
    RuntimeError
        If the child cannot be started; this is no fault of the file.
    """
    path = check_file(path)
    with path.open("rb"):
        # A file that may not be read is no damaged file: let the system's own error speak.
        pass
    size = path.stat().st_size
    limits = {
        "seconds": _CPU_SECONDS + size // _BYTES_A_SECOND,
        "memory": _MEMORY + 10 * size,
        "output": _OUTPUT + 10 * size,
    }
    if not sys.executable:
        raise RuntimeError(f"{path} is read in a child process: sys.executable must be set.")
    try:
        # The wall clock is for a child that waits; one that computes is stopped by its CPU limit.
        child = subprocess.run(
            [*_interpreter(), _START, _search_path(), module, function, path, json.dumps(limits)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_WALL * limits["seconds"],
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise FileFormatError(path, "its reader took too long", way_out=_WAY_OUT) from error
    if child.returncode > 0 and child.stderr:
        # The child is silent once it runs: this was said before.
        last = child.stderr.decode(errors="replace").strip().splitlines()[-1]
        raise RuntimeError(f"The child process that reads {path} did not start: {last}")
    if child.returncode:
        raise FileFormatError(path, _death(child.returncode), way_out=_WAY_OUT)
    return _unpack(child.stdout, path)


def _interpreter():
    # Neither the folder that one happens to be in nor a wish for strict warnings may decide what
    # the child imports or whether it starts.
    return [sys.executable, "-I" if sys.flags.isolated else "-P", "-W", "ignore", "-c"]


def _search_path():
    """Return this sys.path without the current folder, with the one of this package."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    folders = [folder for folder in sys.path if folder and isinstance(folder, str)]
    return json.dumps(folders if root in folders else [root, *folders])


def _death(status):
    if status > 0:
        return f"its reader stopped (exit status {status})"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    if name == "SIGXCPU":
        return "its reader took too long"
    if name == "SIGKILL":
        return "its reader was killed; it took too much memory or time"
    return f"its reader crashed ({name})"


def _unpack(data, path):
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            status = json.loads(str(stored["status"]))
            arrays = {key[2:]: stored[key] for key in stored.files if key.startswith("a_")}
    except (zipfile.BadZipFile, EOFError, KeyError, ValueError, OSError) as error:
        raise FileFormatError(path, "its reader broke off", way_out=_WAY_OUT) from error
    if status["kind"] == "import":
        raise ImportError(status["message"])
    if status["kind"] == "format":
        raise FileFormatError(path, **status["error"])
    return {**status["values"], **arrays}


def _child(module, function, path, limits):
    """Do what the child process is for; the result goes to what was stdout."""
    out = os.fdopen(os.dup(1), "wb")
    # C libraries print what they like, and as much as they like.
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    arrays, status = {}, {"kind": "ok", "values": {}}
    try:
        arrays, status["values"] = _call(module, function, path, json.loads(limits))
        text = json.dumps(status)
    except FileFormatError as error:
        arrays, text = {}, json.dumps({"kind": "format", "error": error.parts}, default=str)
    except ImportError as error:
        arrays, text = {}, json.dumps({"kind": "import", "message": str(error)})
    except Exception as error:
        problem = f"it cannot be read ({type(error).__name__}: {error})"
        if isinstance(error, MemoryError):
            problem = "it takes more memory than a file of its size should"
        parts = {"problem": problem, "way_out": _WAY_OUT}
        arrays, text = {}, json.dumps({"kind": "format", "error": parts})
    with out:
        np.savez(out, status=np.array(text), **arrays)


def _call(module, function, path, limits):
    """Call the function within the limits and part its arrays from its other values."""
    load = getattr(import_module(module), function)
    _limit(limits)
    results = load(path)
    arrays = {f"a_{k}": v for k, v in results.items() if isinstance(v, np.ndarray)}
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise TypeError(f"{name[2:]} is an array of objects")
    size = sum(array.nbytes for array in arrays.values())
    if size > limits["output"]:
        raise MemoryError
    return arrays, {k: v for k, v in results.items() if f"a_{k}" not in arrays}


def _limit(limits):
    try:
        import resource
    except ImportError:  # Windows: the wall clock alone.
        return
    seconds = limits["seconds"] + math.ceil(time.process_time())
    # One second after the signal that can be ignored comes the one that cannot.
    for kind, most, hardest in (
        (resource.RLIMIT_CPU, seconds, seconds + 1),
        (resource.RLIMIT_AS, limits["memory"], limits["memory"]),
        (resource.RLIMIT_CORE, 0, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        if hard != resource.RLIM_INFINITY:
            most, hardest = min(most, hard), min(hardest, hard)
        try:
            resource.setrlimit(kind, (most, hardest))
        except (ValueError, OSError):
            # macOS refuses limits of the address space.
            continue
