"""Landmarks of MediaPipe, as people write them to JSON."""

from itertools import chain

import numpy as np

from ._errors import FileFormatError
from ._instances import assemble_instances
from ._json_values import check_kind, member, number_rows, positive, shown
from ._skeletons import skeleton_of
from ._source import read_json

_KEYS = ("pose_landmarks", "poseLandmarks", "landmarks")
_NUMBERS = ("frame", "frame_id", "frame_number", "frame_index")


def looks_like_mediapipe(probe):
    """Tell whether a file holds landmarks of MediaPipe.

    Parameters
    ----------
    probe : Probe
        The file.

    Returns
    -------
    bool
        True if so.
    """
    data = probe.json
    if isinstance(data, dict) and "frames" in data:
        data = data["frames"]
    elif isinstance(data, dict):
        return any(key in data for key in (*_KEYS, "landmark"))
    for frame in data if isinstance(data, list) else ():
        if isinstance(frame, dict) and any(key in frame for key in (*_KEYS, "landmark")):
            return True
        if frame in (None, [], {}):
            continue
        while isinstance(frame, list) and frame:
            frame = frame[0]
        return _is_landmark(frame)
    return False


def _is_landmark(value):
    return isinstance(value, dict) and {"x", "y"} <= value.keys()


def read_mediapipe(path, *, image_size=None, min_confidence=None, individual=None):
    """Read landmarks of MediaPipe from JSON.

    MediaPipe defines landmarks but no file. What is read is the landmarks of each frame, a list
    ``[{"x": 0.5, "y": 0.3, "z": -0.1, "visibility": 0.99, "presence": 0.99}, ...]``, or a list of
    such lists if several persons may be detected, or ``{"landmark": [...]}`` as protocol buffers
    print it. The file is

    - the list of frames, in which a frame is these landmarks themselves, or an object that has
      them as "pose_landmarks", "poseLandmarks" or "landmarks"; null or an empty list for a frame
      without detection; or
    - ``{"frames": [...], "fps": 30, "width": 1920, "height": 1080}`` with the same list; or
    - one frame.

    A frame may have its number as "frame", "frame_id", "frame_number" or "frame_index". Numbers
    that are missing in between become frames without keypoints if there is just one person. The
    depth z is not read: it is an estimate of MediaPipe, not a measurement.

    Parameters
    ----------
    path : path-like
        File.
    image_size : (float, float), default=None
        Width and height of the image in pixels. MediaPipe divides x by the width and y by the
        height, so that without them shapes are squeezed. By default what the file tells; (1, 1)
        keeps normalised coordinates, or those that are pixels already.
    min_confidence : float, default=None
        Keypoints with a lower visibility are hidden. MediaPipe gives every landmark a place, seen
        or not; by default those below 0.5 are hidden.
    individual : str or int, default=None
        The person to keep, such as "person_0"; by default all are stacked. Individual k is the
        k-th person of each frame.

    Returns
    -------
    Keypoints
        In pixels, x right and y down. 33 landmarks are named as those of the pose, 21 as those of
        the hand.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FileFormatError
        If the file is damaged, has no landmarks, or the size of the image is needed.
    ValueError
        If there is no such individual, or `image_size` is no pair of positive numbers.

    References
    ----------
    Google AI Edge, "Pose landmark detection guide" and "Pose landmark detection guide for Python",
    sections on the result.
    """
    size = _check_size(image_size)
    data, fps, root = read_json(path), None, ""
    if isinstance(data, dict) and "frames" in data:
        fps = None if data.get("fps") is None else positive(path, data["fps"], "fps")
        size = size or _size_in_file(path, data)
        root = "frames"
        data = check_kind(path, data["frames"], list, root)
    elif isinstance(data, dict) or (isinstance(data, list) and data and _is_landmark(data[0])):
        data = [data]
    check_kind(path, data, list, root)
    if size is None:
        raise FileFormatError(
            path,
            "MediaPipe divides x by the width of the image and y by its height, and the file has "
            "neither",
            way_out="Give image_size=(width, height) in pixels, or image_size=(1, 1) to keep the "
            "coordinates as they are.",
        )
    numbers = _frame_numbers(path, data, root)
    poses, when, places = _poses(path, data, root)
    if not poses:
        raise FileFormatError(path, f"no person was detected in {len(data)} frames")
    points, confidence = _landmarks(path, poses, places)
    with np.errstate(over="ignore"):  # assemble finds what became infinite.
        points *= size
    return assemble_instances(
        "mediapipe",
        path,
        points,
        confidence,
        when,
        [None] * len(poses),
        numbers,
        label="person",
        custom=0.5,
        min_confidence=min_confidence,
        individual=individual,
        fps=fps,
        **skeleton_of(points.shape[1], "MediaPipe-33", "hand-21")._asdict(),
    )


def _check_size(image_size):
    if image_size is None:
        return None
    try:
        size = np.array(image_size, dtype=np.float64)
    except (TypeError, ValueError):
        size = np.zeros(0)
    if size.shape != (2,) or not np.isfinite(size).all() or size.min() <= 0:
        raise ValueError(
            f"image_size must be (width, height), two positive numbers, got {image_size!r}."
        )
    return tuple(size)


def _size_in_file(path, data):
    if data.get("width") is None or data.get("height") is None:
        return None
    return positive(path, data["width"], "width"), positive(path, data["height"], "height")


def _frame_numbers(path, data, root):
    """Return the numbers that the frames have, or their places in the list."""
    for key in _NUMBERS:
        if data and all(isinstance(frame, dict) and key in frame for frame in data):
            numbers = [member(path, f, key, int, f"{root}[{k}]") for k, f in enumerate(data)]
            for k in range(1, len(numbers)):
                if numbers[k] <= numbers[k - 1]:
                    raise FileFormatError(
                        path,
                        f"frame {numbers[k]} comes after frame {numbers[k - 1]}",
                        where=f"{root}[{k}].{key}",
                    )
            return numbers
    return range(len(data))


def _poses(path, data, root):
    """Return lists of landmarks, the frame of each, and its place in the file."""
    poses, when, places = [], [], []
    for f, frame in enumerate(data):
        where = f"{root}[{f}]"
        if isinstance(frame, dict) and frame and "landmark" not in frame:
            key = next((key for key in _KEYS if key in frame), None)
            if key is None:
                raise FileFormatError(path, f"it has none of {', '.join(_KEYS)}", where=where)
            frame, where = frame[key], f"{where}.{key}"
        for pose, here in _split(path, frame, where):
            poses.append(pose)
            places.append(here)
            when.append(f)
    return poses, when, places


def _split(path, found, where):
    """Return the poses of one frame, which may be one pose itself."""
    if isinstance(found, dict) and "landmark" in found:
        found, where = found["landmark"], f"{where}.landmark"
    if found in (None, [], {}):
        return []
    check_kind(path, found, list, where)
    if isinstance(found[0], dict) and "landmark" not in found[0]:
        return [(found, where)]
    split = []
    for k, pose in enumerate(found):
        here = f"{where}[{k}]"
        if isinstance(pose, dict) and "landmark" in pose:
            pose, here = pose["landmark"], f"{here}.landmark"
        if check_kind(path, pose, list, here):
            split.append((pose, here))
    return split


def _landmarks(path, poses, places):
    """Return points (n_poses, n_points, 2) and visibility (n_poses, n_points) or None."""
    n_points = len(poses[0])
    rows, visibility = [], []
    for pose, where in zip(poses, places, strict=True):
        if len(pose) != n_points:
            raise FileFormatError(
                path, f"{len(pose)} landmarks, {places[0]} has {n_points}", where=where
            )
        for p, point in enumerate(pose):
            if not _is_landmark(point):
                raise FileFormatError(
                    path,
                    f"a landmark with x and y was expected, got {shown(point)}",
                    where=f"{where}[{p}]",
                )
        rows.append(list(chain.from_iterable((point["x"], point["y"]) for point in pose)))
        visibility.append([point.get("visibility") for point in pose])
    points = number_rows(rows, 2 * n_points, lambda k: (path, f"{places[k]} (x, y)"))
    given = np.array([[value is not None for value in row] for row in visibility])
    confidence = None
    if given.any():
        rows = [[0.0 if value is None else value for value in row] for row in visibility]
        confidence = number_rows(rows, n_points, lambda k: (path, f"{places[k]} (visibility)"))
        confidence[~given] = np.nan
    return points.reshape(len(poses), n_points, 2), confidence
