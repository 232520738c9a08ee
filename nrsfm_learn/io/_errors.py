"""The one error of the readers."""


class FileFormatError(ValueError):
    """A file that cannot be read: damaged, incomplete, or of another format.

    The message names the file, the place in it and what to do.

    Parameters
    ----------
    path : path-like
        The file or folder.
    problem : str
        What is wrong, in one clause or sentence without the final full stop.
    where : str, default=""
        Line, key, frame or data set in the file.
    way_out : str, default=""
        What to do, as a sentence.

    Attributes
    ----------
    path : str
        The file or folder.
    where : str
        Line, key, frame or data set in the file; "" if it is the file as a whole.
    parts : dict
        The arguments `problem`, `where` and `way_out`.

    Examples
    --------
    >>> from nrsfm_learn.io import FileFormatError
    >>> print(FileFormatError("a.csv", "3 fields, expected 4", where="line 7"))
    a.csv, line 7: 3 fields, expected 4.
    """

    def __init__(self, path, problem, *, where="", way_out=""):
        self.path, self.where = str(path), where
        self.parts = {"problem": problem, "where": where, "way_out": way_out}
        place = f"{path}, {where}" if where else str(path)
        super().__init__(f"{place}: {problem}." + (f" {way_out}" if way_out else ""))

    def __reduce__(self):
        # The default would rebuild it from its message alone, which fails across processes.
        return _rebuild, (self.path, self.parts)


def _rebuild(path, parts):
    return FileFormatError(path, **parts)
