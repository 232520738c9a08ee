"""Files that a command writes: refused before its work, told after it."""

import os

import click


class Outputs:
    """The files that one command is to write.

    Parameters
    ----------
    inputs : sequence of (pathlib.Path or None)
        What it reads, which it must not write.
    *outputs : pathlib.Path or None
        What it writes.

    Raises
    ------
    click.UsageError
        If a file is to be read and written, or written twice.
    ValueError, PermissionError
        If a file cannot be written where it is to be.
    """

    def __init__(self, inputs, *outputs):
        from ..io._source import check_place

        outputs = [path for path in outputs if path is not None]
        for k, path in enumerate(outputs):
            if any(_same(path, other) for other in inputs if other is not None):
                raise click.UsageError(
                    f"{path} is read, and would be replaced: give the file to write another name."
                )
            if any(_same(path, other) for other in outputs[:k]):
                raise click.UsageError(f"{path} would be written twice: give two names.")
            check_place(path)
        self._files = {path: [path] for path in outputs}
        self._replaced = {path for path in outputs if path.exists()}

    def expect(self, path, data, format=None):
        """Find out to which files points go, which may be one a frame.

        Parameters
        ----------
        path : pathlib.Path
            One of the outputs.
        data : Keypoints or Points3D
            What is to be written, or the keypoints of which it will be made.
        format : str, default=None
            Of the file; by default that of its suffix.
        """
        from ..io._read_write import target_files

        self._files[path] = target_files(path, data, format=format)
        self._replaced.discard(path)
        if any(file.exists() for file in self._files[path]):
            self._replaced.add(path)

    def told(self):
        """Tell what was written.

        Returns
        -------
        str
            One line.
        """
        parts = []
        for path, files in self._files.items():
            several = f" to {files[-1].name} ({len(files):,} files)" if len(files) > 1 else ""
            parts.append(f"{files[0]}{several}" + (" (replaced)" if path in self._replaced else ""))
        return "Written: " + ", ".join(parts)


def _same(path, other):
    from ..io._source import as_path

    path, other = as_path(path), as_path(other)
    try:
        return path.samefile(other)
    except OSError:
        return os.path.normcase(path.resolve()) == os.path.normcase(other.resolve())
