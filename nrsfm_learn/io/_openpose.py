"""OpenPose's JSON output: one file for each frame."""

import re
from itertools import pairwise

import numpy as np

from ._errors import FileFormatError
from ._instances import assemble_instances
from ._json_values import check_kind, member, number_rows, shown
from ._skeletons import skeleton_of
from ._source import as_path, read_json

_SKELETONS = {
    "pose": ("BODY_25", "COCO-18", "MPI-15"),
    "face": (),
    "hand_left": ("hand-21",),
    "hand_right": ("hand-21",),
}
_END = "_keypoints.json"
# 18 digits always fit into 64 bits.
_NUMBER = re.compile(r"([0-9]{1,18})_keypoints\.json$")


def looks_like_openpose(probe):
    """Tell whether a file or folder was written by OpenPose.

    Parameters
    ----------
    probe : Probe
        The file or folder.

    Returns
    -------
    bool
        True if so.
    """
    if probe.is_folder:
        return any(_is_frame(path) for path in probe.path.iterdir())
    return isinstance(probe.json, dict) and "people" in probe.json


def read_openpose(path, *, part="pose", min_confidence=None, individual=None):
    """Read what OpenPose writes with ``--write_json``.

    A folder of files ``NAME_000000000012_keypoints.json``, one for each frame, or one such file:
    ``{"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": [x, y, c, ...],
    "face_keypoints_2d": [...], "hand_left_keypoints_2d": [...], ...}]}``. Points that were not
    found have x = y = c = 0 and are missing here.

    OpenPose tracks nobody unless it is told to: `person_id` is -1, and individual k is the k-th
    person of each frame. Where it is not negative, it is the individual, and persons without one
    are left out. Missing frame numbers become frames without keypoints if there is just one
    person.

    Parameters
    ----------
    path : path-like
        Folder or file.
    part : {"pose", "face", "hand_left", "hand_right"}, default="pose"
        Which keypoints. Those of the pose are named if there are 25 (BODY_25), 18 (COCO) or 15
        (MPI), those of the hands as well.
    min_confidence : float, default=None
        Keypoints with a lower confidence are hidden. OpenPose's confidences are between 0 and 1;
        by default every keypoint that was found is kept.
    individual : str or int, default=None
        The person to keep, such as "person_0"; by default all are stacked.

    Returns
    -------
    Keypoints
        In pixels, unless OpenPose ran with ``--keypoint_scale``.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder.
    FileFormatError
        If a file is damaged, its number of keypoints differs from that of others, the folder has
        the files of several videos, or nobody was detected.
    ValueError
        If there is no such part or individual.

    References
    ----------
    OpenPose, "OpenPose Doc - Output", section "JSON Output Format".
    """
    if part not in _SKELETONS:
        raise ValueError(f"part must be one of {', '.join(map(repr, _SKELETONS))}, got {part!r}.")
    path, notes = as_path(path), []
    files, frames = _files(path, notes) if path.is_dir() else _file(path)
    rows, when, ids, places, others = [], [], [], [], set()
    for f, file in enumerate(files):
        for p, person in enumerate(_people(file)):
            where = f"people[{p}]"
            check_kind(file, person, dict, where)
            key = f"{part}_keypoints_2d"
            if key not in person and f"{part}_keypoints" in person:
                key = f"{part}_keypoints"  # As before version 1.2.
            others.update(k for k in _SKELETONS if person.get(f"{k}_keypoints_2d"))
            row = person.get(key, [])
            if row == []:
                continue
            rows.append(row)
            places.append((file, f"{where}.{key}"))
            when.append(f)
            ids.append(_person_id(file, person, where))
    if not rows:
        raise FileFormatError(
            path,
            f"nobody has {part} keypoints in {len(files)} frames",
            way_out=f"There are some of part={' or '.join(map(repr, sorted(others)))}."
            if others
            else "",
        )
    values = _keypoints(rows, places)
    found = (values != 0).any(-1)
    values[~found, :2] = np.nan
    return assemble_instances(
        "openpose",
        path,
        values[..., :2],
        values[..., 2],
        when,
        ids,
        frames,
        label="person",
        min_confidence=min_confidence,
        individual=individual,
        notes=notes,
        **skeleton_of(values.shape[1], *_SKELETONS[part])._asdict(),
    )


def _is_frame(path):
    # A leading point marks the files in which macOS keeps attributes of others.
    return path.name.endswith(_END) and not path.name.startswith(".") and path.is_file()


def _file(path):
    match = _NUMBER.search(path.name)
    return [path], [int(match[1]) if match else 0]


def _files(folder, notes):
    """Return the files of a folder in the order of time, and their frame numbers."""
    files = [path for path in folder.iterdir() if _is_frame(path)]
    if not files:
        raise FileFormatError(
            folder,
            f"the folder has no file that ends with {_END}",
            way_out="Name the folder that was OpenPose's --write_json.",
        )
    matches = {path: _NUMBER.search(path.name) for path in files}
    if not all(matches.values()):
        notes.append("the files have no frame numbers: they are in the order of their names")
        return sorted(files, key=_natural), list(range(len(files)))
    videos = sorted({path.name[: match.start()] for path, match in matches.items()})
    if len(videos) > 1:
        raise FileFormatError(
            folder,
            f"the folder has the frames of {len(videos)} videos, such as {videos[0]!r} and "
            f"{videos[1]!r}",
            way_out="Put those of each video into a folder of its own.",
        )
    numbers = {path: int(match[1]) for path, match in matches.items()}
    files.sort(key=lambda path: (numbers[path], path.name))
    frames = [numbers[path] for path in files]
    for before, after in pairwise(files):
        if numbers[before] == numbers[after]:
            raise FileFormatError(after, f"{before.name} is frame {numbers[after]} as well")
    return files, frames


def _natural(path):
    pieces = re.split("([0-9]+)", path.name)
    pieces[1::2] = map(int, pieces[1::2])
    return pieces, path.name


def _people(file):
    data = check_kind(file, read_json(file), dict, "")
    return member(file, data, "people", list)


def _person_id(file, person, where):
    value = person.get("person_id", -1)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    value = check_kind(file, value, int, f"{where}.person_id")
    return None if value < 0 else value


def _keypoints(rows, places):
    """Return an array (n_instances, n_points, 3) of x, y, c."""
    length = len(rows[0]) if type(rows[0]) is list else 0
    for row, (file, where) in zip(rows, places, strict=True):
        n = len(row) if type(row) is list else 0
        if n == 0 or n % 3:
            got = f"{n} numbers" if n else shown(row)
            raise FileFormatError(
                file, f"triples of x, y and confidence were expected, got {got}", where=where
            )
        if n != length:
            raise FileFormatError(
                file,
                f"{n // 3} keypoints, but {places[0][0].name} has {length // 3}",
                where=where,
                way_out="Run OpenPose with the same --model_pose for all frames.",
            )
    return number_rows(rows, length, places.__getitem__).reshape(len(rows), -1, 3)
