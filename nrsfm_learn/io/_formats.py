"""The formats that the package knows, and which one a file has."""

import difflib
import inspect
from importlib import import_module
from typing import NamedTuple

from ._errors import FileFormatError
from ._source import as_path, read_json

_HEAD = 65_536


class Format(NamedTuple):
    """A file format.

    Attributes
    ----------
    name : str
        What ``format=`` takes.
    title : str
        What people call it.
    kind : {"2-D", "3-D", "2-D, 3-D"}
        What it holds.
    suffixes : tuple of str
        File names end like this; ("/",) for folders.
    module : str
        Module of this package with ``read_NAME``, ``write_NAME`` or both, and ``looks_like``.
    reads, writes : bool
        Which directions exist.
    only_read : tuple of str
        Those of `suffixes` that are not written.
    """

    name: str
    title: str
    kind: str
    suffixes: tuple
    module: str
    reads: bool = True
    writes: bool = False
    only_read: tuple = ()

    @property
    def reader(self):
        """The function that reads it."""
        return getattr(import_module(f"{__package__}.{self.module}"), f"read_{self.name}")

    @property
    def writer(self):
        """The function that writes it."""
        return getattr(import_module(f"{__package__}.{self.module}"), f"write_{self.name}")

    def check(self, data, options):
        """Check what can be known of data before they are there to be written.

        Parameters
        ----------
        data : Keypoints or Points3D
            What is to be written, or the keypoints of which it will be made.
        options : dict
            Of the writer.

        Raises
        ------
        TypeError, ValueError, ImportError
            As the writer does.
        """
        check_options(self.writer, options, self.name)
        module = import_module(f"{__package__}.{self.module}")
        check = getattr(module, f"check_{self.name}", None)
        if check is not None:
            check(data, **options)

    def looks_like(self, probe):
        """Tell whether a file looks like this format.

        Parameters
        ----------
        probe : Probe
            The file.

        Returns
        -------
        bool
            True if so.
        """
        suffixes = ("/",) if probe.is_folder else (probe.path.suffix.lower(),)
        if not set(suffixes) & set(self.suffixes):
            return False
        module = import_module(f"{__package__}.{self.module}")
        return getattr(module, f"looks_like_{self.name}")(probe)


# In the order in which they are tried: those with the clearest marks first.
FORMATS = (
    Format("json", "nrsfm_learn JSON", "2-D, 3-D", (".json",), "_plain_json", writes=True),
    Format("openpose", "OpenPose, one JSON file a frame", "2-D", ("/", ".json"), "_openpose"),
    Format("coco", "COCO keypoints, annotations or results", "2-D", (".json",), "_coco"),
    Format("mmpose", "MMPose predictions", "2-D", (".json",), "_mmpose"),
    Format("mediapipe", "MediaPipe pose landmarks", "2-D", (".json",), "_mediapipe"),
    Format("dlc_csv", "DeepLabCut csv", "2-D", (".csv",), "_deeplabcut"),
    Format("dlc_h5", "DeepLabCut h5", "2-D", (".h5", ".hdf5"), "_deeplabcut_h5"),
    Format("sleap", "SLEAP analysis h5", "2-D", (".h5", ".hdf5"), "_sleap"),
    Format("anipose", "Anipose 3-D csv", "3-D", (".csv",), "_anipose"),
    Format("csv", "plain csv", "2-D, 3-D", (".csv", ".tsv", ".txt"), "_csv", writes=True),
    Format(
        "npz",
        "numpy npz or npy (npy: read only)",
        "2-D, 3-D",
        (".npz", ".npy"),
        "_npz",
        writes=True,
        only_read=(".npy",),
    ),
    Format("mat", "NRSfM .mat sequences", "2-D", (".mat",), "_mat"),
    Format("c3d", "C3D motion capture", "3-D", (".c3d",), "_c3d", writes=True),
    Format("bvh", "Biovision BVH", "3-D", (".bvh",), "_bvh", writes=True),
    Format("amc", "Acclaim ASF/AMC", "3-D", (".amc", ".asf"), "_amc"),
    Format("gltf", "glTF, animated", "3-D", (".gltf", ".glb"), "_gltf", reads=False, writes=True),
    Format("ply", "PLY, one file a frame", "3-D", (".ply",), "_ply", reads=False, writes=True),
    Format("rerun", "Rerun recording", "3-D", (".rrd",), "_rerun", reads=False, writes=True),
)
BY_NAME = {format.name: format for format in FORMATS}


class Probe:
    """What the formats look at to recognise a file.

    Parameters
    ----------
    path : pathlib.Path
        File or folder.

    Attributes
    ----------
    path : pathlib.Path
        File or folder.
    is_folder : bool
        Which of them.
    head : bytes
        The first 64 KiB of a file.
    """

    def __init__(self, path):
        self.path = path
        self.is_folder = path.is_dir()
        self.head = b""
        self._json = None
        if not self.is_folder:
            with path.open("rb") as file:
                self.head = file.read(_HEAD)

    @property
    def lines(self):
        """Lines of the head as text, at most 10; the last may be cut off."""
        return self.head.decode("utf-8-sig", errors="replace").splitlines()[:10]

    @property
    def json(self):
        """The whole file as JSON; it is read once.

        Raises
        ------
        FileFormatError
            If it is none.
        """
        if self._json is None:
            self._json = (read_json(self.path),)
        return self._json[0]


def recognise(path):
    """Find the format of a file.

    Parameters
    ----------
    path : path-like
        File or folder.

    Returns
    -------
    Format
        One that can be read.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FileFormatError
        If no format fits.
    """
    path = as_path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no file or folder {path}.")
    if not path.is_dir() and (not path.is_file() or path.stat().st_size == 0):
        raise FileFormatError(path, "is no plain file, or is empty", way_out="Export it again.")
    probe = Probe(path)
    for format in FORMATS:
        if format.reads and format.looks_like(probe):
            return format
    known = ", ".join(format.name for format in FORMATS if format.reads)
    raise FileFormatError(
        path,
        f"the format is not recognised{_why_not(probe)}",
        way_out=f"Name it with format=, one of {known}; or convert the file to a csv with one "
        f"column <point>_x and one <point>_y for each point.",
    )


def _why_not(probe):
    """Say what is missing for the format that is most likely meant, if one is."""
    if probe.is_folder:
        return ": the folder has no files *_keypoints.json of OpenPose"
    if probe.path.suffix.lower() in BY_NAME["csv"].suffixes and b"\0" not in probe.head:
        from ._csv_table import Table

        try:
            Table(probe.path)
        except FileFormatError as error:
            return f" ({error.parts['problem']})"
        except UnicodeDecodeError:
            pass
    return ""


def format_named(name, path, direction):
    """Return the format that a user named, or that a file to write has by its name.

    Parameters
    ----------
    name : str or None
        Name; None to go by the path.
    path : pathlib.Path
        The file.
    direction : {"reads", "writes"}
        What it must be able to do.

    Returns
    -------
    Format
        The format.

    Raises
    ------
    ValueError
        If there is none.
    """
    able = [format for format in FORMATS if getattr(format, direction)]
    if name is not None:
        for format in able:
            if format.name == name:
                return format
        raise ValueError(
            f"format={name!r} is not one that the package {direction}; {_did_you_mean(name, able)}"
            f"it {direction} {', '.join(format.name for format in able)}."
        )
    by_suffix = {s: f for f in reversed(able) for s in f.suffixes if s not in f.only_read}
    if path.suffix.lower() in by_suffix:
        return by_suffix[path.suffix.lower()]
    known = ", ".join(f"{s} ({f.name})" for f in able for s in f.suffixes if s not in f.only_read)
    raise ValueError(f"path={str(path)!r} ends like no format that is written: {known}.")


def _did_you_mean(name, able):
    word = str(name).lower()
    close = [f.name for f in able if len(word) > 2 and word in f.title.lower()]
    close = close or difflib.get_close_matches(word, [f.name for f in able])
    return f"did you mean {' or '.join(close)}? " if close else ""


class UnknownOptionError(TypeError):
    """An option that a format does not have: the user's fault, not the program's."""


def check_options(function, options, name):
    """Refuse options that a reader or writer does not have, naming those that it has.

    Parameters
    ----------
    function : callable
        The reader or writer.
    options : dict
        What the user gave.
    name : str
        Name of the format.

    Raises
    ------
    TypeError
        If there is one too many.
    """
    parameters = inspect.signature(function).parameters.values()
    known = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise UnknownOptionError(
            f"The format {name!r} has no option {unknown[0]!r}; it has "
            f"{', '.join(known) or 'none'}."
        )
