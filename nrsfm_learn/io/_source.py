"""Reading files that may be anything, and writing files that are whole or not there."""

import json
import os
import uuid
from pathlib import Path

from ._errors import FileFormatError


def check_file(path):
    """Return the path of a file that exists and is not empty.

    Parameters
    ----------
    path : path-like
        Where.

    Returns
    -------
    pathlib.Path
        The path.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FileFormatError
        If it is a folder, no plain file, or empty.
    """
    path = as_path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    if path.is_dir():
        raise FileFormatError(path, "is a folder, not a file", way_out="Name the file in it.")
    if not path.is_file():
        raise FileFormatError(path, "is no plain file")
    if path.stat().st_size == 0:
        raise FileFormatError(path, "the file is empty", way_out="Export it again.")
    return path


def as_path(path):
    """Return a path, or say that it is none.

    Parameters
    ----------
    path : path-like
        Where.

    Returns
    -------
    pathlib.Path
        The path.

    Raises
    ------
    TypeError, ValueError
        If it is no path.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path must be a path or a string, got {type(path).__name__}.")
    if "\0" in os.fsdecode(path):
        raise ValueError(f"path={path!r} has a null character in it.")
    path = Path(path)
    try:
        return path.expanduser()
    except RuntimeError:  # A name such as "~$walk.csv", and no user of that name.
        return path


def read_text(path):
    r"""Read a text file in UTF-8, with or without a byte order mark.

    Parameters
    ----------
    path : path-like
        Where.

    Returns
    -------
    str
        The text; line ends are ``"\n"``.

    Raises
    ------
    FileNotFoundError, FileFormatError
        As :func:`check_file`, and if the file is no text.
    """
    path = check_file(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileFormatError(
            path,
            f"no text in UTF-8 (byte {error.object[error.start]:#04x})",
            where=f"byte {error.start}",
            way_out="Save the file as UTF-8, or name its format if it is a binary file.",
        ) from error
    if "\0" in text:
        raise FileFormatError(path, "no text file: it has null bytes")
    return text


def read_json(path):
    """Read a JSON file.

    Parameters
    ----------
    path : path-like
        Where.

    Returns
    -------
    object
        What it holds.

    Raises
    ------
    FileNotFoundError, FileFormatError
        As :func:`read_text`, and if the file is no JSON; the message has the line.
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise FileFormatError(
            path,
            f"no valid JSON ({error.msg}, column {error.colno})",
            where=f"line {error.lineno}",
            way_out="If it ends there, the file is truncated: export it again.",
        ) from error
    except (RecursionError, ValueError) as error:
        # ValueError: an integer of thousands of digits.
        raise FileFormatError(path, f"JSON that cannot be read ({error})") from error


def write_whole(path, content):
    """Write a file beside its place and rename it, so that there is never half of it.

    Parameters
    ----------
    path : path-like
        Where; missing folders are made, a file of that name is replaced.
    content : str or bytes
        What; text is written as UTF-8.

    Returns
    -------
    pathlib.Path
        The path.

    Raises
    ------
    ValueError
        If the path is a folder or a device, or leads through a file.
    OSError
        If it cannot be written; names `path`, not the temporary file.

    See Also
    --------
    check_place : The same questions before there is anything to write.
    """
    path = _check_target_file(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ValueError(
            f"path={str(path)!r} leads through something that is no folder ({error}): choose "
            f"another folder."
        ) from error
    except OSError as error:
        raise _naming(path, error) from error
    # Not with the name of the file in it, which may be as long as names can be.
    temporary = path.with_name(f".{uuid.uuid4().hex}.part")
    data = content.encode() if isinstance(content, str) else content
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        raise _naming(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def check_place(path):
    """Check that a file can be written at a path, before the work whose result it is to hold.

    Parameters
    ----------
    path : path-like
        Where.

    Returns
    -------
    pathlib.Path
        The path.

    Raises
    ------
    ValueError
        If the path is a folder or a device, or leads through a file.
    PermissionError
        If the nearest folder that exists is not writable.
    """
    path = _check_target_file(path)
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir():
        raise ValueError(
            f"path={str(path)!r} leads through something that is no folder ({folder}): choose "
            f"another folder."
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(
            f"path={str(path)!r} cannot be written: the folder {folder} is not writable for you. "
            f"Choose another folder."
        )
    return path


def _naming(path, error):
    """Return the error with the user's path in the place of a temporary one."""
    return OSError(error.errno, error.strerror or str(error), str(path))


def _check_target_file(path):
    path = as_path(path)
    if path.is_dir():
        raise ValueError(f"path={str(path)!r} is a folder: name the file to write.")
    if path.exists() and not path.is_file():
        raise ValueError(f"path={str(path)!r} is no plain file, and would be replaced by one.")
    return path
