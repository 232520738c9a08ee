"""Acclaim ASF/AMC: motion capture of the CMU database."""

import re

import numpy as np

from ._errors import FileFormatError
from ._motion import check_computed
from ._records import Points3D, Source
from ._source import check_file


def looks_like_amc(probe):
    """Tell whether a file is ASF or AMC; no other format has these suffixes.

    Parameters
    ----------
    probe : Probe
        The file.

    Returns
    -------
    bool
        True if so.
    """
    return probe.path.suffix.lower() in (".amc", ".asf")


def read_amc(path, *, skeleton=None, scale=None, fps=120.0):
    """Read one clip in the Acclaim format: a motion (AMC) and its skeleton (ASF).

    Parameters
    ----------
    path : path-like
        The AMC file.
    skeleton : path-like, default=None
        The ASF file. By default that in the same folder whose name begins the motion's, as
        ``05.asf`` for ``05_01.amc``; or else the only one in the folder.
    scale : float, default=None
        Metres for one unit of the file. By default as in the CMU database: 0.0254 m divided by
        the ``length`` among the units of the ASF file.
    fps : float, default=120.0
        Frames a second, which the files do not tell; 120 in the CMU database.

    Returns
    -------
    Points3D
        Joints in metres, y up, with the edges of the skeleton. A joint has the name of the bone
        that ends in it.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FileFormatError
        If a file is malformed (the message has the line), or no skeleton is found.
    ValueError
        If `scale` or `fps` is not positive.

    See Also
    --------
    nrsfm_learn.datasets.load_asf_amc : The computation of the joints.

    References
    ----------
    Carnegie Mellon University Graphics Lab, Motion Capture Database, ASF/AMC format.
    """
    from ..datasets import load_asf_amc

    for name, value in (("scale", scale), ("fps", fps)):
        if value is not None and not 0 < value < np.inf:
            raise ValueError(f"{name} must be positive and finite, got {value!r}.")
    path = check_file(path)
    if path.suffix.lower() == ".asf":
        raise FileFormatError(
            path,
            "is a skeleton without motion",
            way_out="Name the .amc file; the skeleton beside it is found, or give skeleton=.",
        )
    skeleton = _skeleton_of(path) if skeleton is None else check_file(skeleton)
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            clip = load_asf_amc(skeleton, path, scale=scale, fps=fps)
    except ValueError as error:
        raise _converted(error, skeleton, path) from error
    check_computed(path, clip.X)
    return Points3D(
        clip.X,
        names=clip.names,
        edges=clip.edges,
        fps=clip.fps,
        unit="m",
        axes="x, y up, z",
        source=Source(
            "amc",
            str(path),
            (
                f"the skeleton is {skeleton}",
                f"the files do not tell the frame rate; {clip.fps:g} frames a second are taken",
            ),
        ),
    )


def _skeleton_of(path):
    """Find the ASF file of an AMC file."""
    here = sorted(p for p in path.parent.iterdir() if p.suffix.lower() == ".asf")
    stem = path.stem.lower()
    own = [p for p in here if stem == p.stem.lower() or stem.startswith(f"{p.stem.lower()}_")]
    # The longest, so that 05_walk.asf comes before 05.asf for 05_walk_01.amc.
    found = [max(own, key=lambda p: len(p.stem))] if own else here
    if len(found) != 1:
        names = ", ".join(p.name for p in here[:5])
        raise FileFormatError(
            path,
            f"the folder has {len(here)} skeletons ({names}) and the name tells none of them"
            if here
            else "the folder has no skeleton (.asf)",
            way_out="Give the skeleton of this motion: skeleton='....asf'.",
        )
    return check_file(found[0])


def _converted(error, skeleton, path):
    """Make an error about a file of one that begins with 'file, line 3: '."""
    text = str(error)
    for file in (path, skeleton):
        match = re.match(re.escape(f"{file}, line ") + r"(\d+): ", text)
        if match:
            problem = text[match.end() :].rstrip(".")
            return FileFormatError(file, problem, where=f"line {match[1]}")
    return FileFormatError(path, text.rstrip("."))
