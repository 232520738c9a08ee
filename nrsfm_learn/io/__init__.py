"""Readers and writers of the files that trackers, annotators and motion capture leave.

``read(path)`` recognises the format and returns :class:`Keypoints` (2-D) or :class:`Points3D`.
Importing this package loads neither torch nor the libraries of single formats.
"""

from importlib import import_module

from ._errors import FileFormatError
from ._formats import FORMATS, Format
from ._read_write import read, write
from ._records import Keypoints, Points3D, Source

_FUNCTIONS = {
    **{f"read_{format.name}": format.module for format in FORMATS if format.reads},
    **{f"write_{format.name}": format.module for format in FORMATS if format.writes},
    "from_movement": "_movement",
}

__all__ = [
    "FileFormatError",
    "Format",
    "Keypoints",
    "Points3D",
    "Source",
    "formats",
    "read",
    "write",
    *sorted(_FUNCTIONS),
]


def formats():
    """Return the formats that can be read or written.

    Returns
    -------
    tuple of Format
        In the order in which they are tried.

    Examples
    --------
    >>> from nrsfm_learn import io
    >>> [format.name for format in io.formats() if format.writes]
    ['json', 'csv', 'npz', 'c3d', 'bvh', 'gltf', 'ply', 'rerun']
    """
    return FORMATS


def __getattr__(name):
    if name not in _FUNCTIONS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_FUNCTIONS[name]}"), name)


def __dir__():
    return sorted({*globals(), *__all__})
