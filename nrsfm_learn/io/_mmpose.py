"""JSON predictions of MMPose 1.x."""

from itertools import chain

from ._errors import FileFormatError
from ._instances import assemble_instances
from ._json_values import (
    check_edges,
    check_kind,
    check_point_names,
    member,
    number_rows,
    shown,
)
from ._source import read_json

_KPT_THR = 0.3


def looks_like_mmpose(probe):
    """Tell whether a file holds predictions of MMPose.

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
    if isinstance(data, dict):
        return "instance_info" in data
    for entry in data if isinstance(data, list) else ():
        if isinstance(entry, list) and entry:
            entry = entry[0]
        if isinstance(entry, dict):
            keys = entry.keys()
            return {"keypoints", "keypoint_scores"} <= keys or {"frame_id", "instances"} <= keys
        if entry != []:
            return False
    return False


def read_mmpose(path, *, min_confidence=None, individual=None):
    """Read what MMPose 1.x writes with ``pred_out_dir`` or ``--save-predictions``.

    The inferencer writes ``[{"frame_id": 0, "instances": [{"keypoints": [[x, y], ...],
    "keypoint_scores": [s, ...], "bbox": ..., "bbox_score": ...}, ...]}, ...]`` for a video and the
    list of instances for an image. The demo scripts write ``{"meta_info": {"keypoint_id2name":
    {"0": "nose", ...}, "skeleton_links": [[15, 13], ...], ...}, "instance_info": [...]}`` with the
    same list in it. The result of the Python API, ``[[{"keypoints": ...}, ...], ...]`` with one
    list an image, is read as well.

    Points are named, and joined, where `meta_info` is there; a number of points alone does not
    tell whether 17 are those of a person or of an animal.

    Parameters
    ----------
    path : path-like
        File.
    min_confidence : float, default=None
        Keypoints with a lower score are hidden. MMPose gives every keypoint a place, seen or not;
        by default those below 0.3 are hidden, as in its own drawings (``kpt_thr``).
    individual : str or int, default=None
        The individual to keep, such as "instance_0"; by default all are stacked. It is the
        `track_id` of the instances where they have one. Otherwise individual k is the k-th
        instance of each frame.

    Returns
    -------
    Keypoints
        In pixels.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FileFormatError
        If the file is damaged, holds 3-D predictions, or has no instances.
    ValueError
        If there is no such individual.

    References
    ----------
    OpenMMLab, "MMPose documentation: Inference with existing models", and the functions
    ``split_instances`` and ``parse_pose_metainfo`` of MMPose 1.x.
    """
    data, meta, root = read_json(path), {}, ""
    if isinstance(data, dict):
        meta = check_kind(path, data.get("meta_info") or {}, dict, "meta_info")
        root = "instance_info"
        data = member(path, data, root, list)
    frames, when, instances, places = _instances(path, check_kind(path, data, list, root), root)
    if not instances:
        raise FileFormatError(path, f"no instance was detected in {len(frames)} frames")
    points, scores = _keypoints(path, instances, places)
    names, edges = _meta(path, meta, points.shape[1])
    return assemble_instances(
        "mmpose",
        path,
        points,
        scores,
        when,
        [_track_id(path, one, where) for one, where in zip(instances, places, strict=True)],
        frames,
        label="instance",
        custom=_KPT_THR,
        min_confidence=min_confidence,
        individual=individual,
        names=names,
        edges=edges,
    )


def _instances(path, data, root):
    """Return frame numbers, the frame of each instance, the instances, and their places."""
    first = next((entry for entry in data if entry != []), None)
    if isinstance(first, dict) and "instances" not in first:
        # One image: the list of its instances.
        listed = [(0, data, root)]
    elif isinstance(first, dict):
        listed = []
        for k, entry in enumerate(data):
            where = f"{root}[{k}]"
            check_kind(path, entry, dict, where)
            number = member(path, entry, "frame_id", int, where)
            listed.append((number, entry.get("instances"), f"{where}.instances"))
    else:
        listed = [(k, entry, f"{root}[{k}]") for k, entry in enumerate(data)]
    listed.sort(key=lambda frame: frame[0])
    frames, when, instances, places = [], [], [], []
    for f, (number, found, where) in enumerate(listed):
        if f and number == frames[-1]:
            raise FileFormatError(path, f"frame {number} is there twice", where=where)
        frames.append(number)
        for k, one in enumerate(check_kind(path, found, list, where)):
            here = f"{where}[{k}]"
            instances.append(check_kind(path, one, dict, here))
            places.append(here)
            when.append(f)
    return frames, when, instances, places


def _keypoints(path, instances, places):
    """Return arrays (n_instances, n_points, 2) and (n_instances, n_points)."""
    rows, scores, n_points = [], [], None
    for one, where in zip(instances, places, strict=True):
        points = member(path, one, "keypoints", list, where)
        scores.append(member(path, one, "keypoint_scores", list, where))
        here = f"{where}.keypoints"
        n_points = len(points) if n_points is None else n_points
        if len(points) != n_points:
            raise FileFormatError(
                path, f"{len(points)} keypoints, others have {n_points}", where=here
            )
        if set(map(type, points)) - {list} or set(map(len, points)) - {2}:
            bad = next(p for p in points if type(p) is not list or len(p) != 2)
            three = isinstance(bad, list) and len(bad) == 3
            raise FileFormatError(
                path,
                f"a pair x, y was expected for each keypoint, got {shown(bad)}",
                where=here,
                way_out="These are 3-D predictions: write those of a 2-D model." if three else "",
            )
        rows.append(list(chain.from_iterable(points)))
    if n_points == 0:
        raise FileFormatError(path, "the instances have no keypoints", where=places[0])
    xy = number_rows(rows, 2 * n_points, lambda k: (path, f"{places[k]}.keypoints"))
    scores = number_rows(scores, n_points, lambda k: (path, f"{places[k]}.keypoint_scores"))
    return xy.reshape(len(rows), n_points, 2), scores


def _track_id(path, one, where):
    value = one.get("track_id")
    if value is None:
        return None
    value = check_kind(path, value, int, f"{where}.track_id")
    return None if value < 0 else value


def _meta(path, meta, n_points):
    """Return names and edges, if the file has them."""
    where = "meta_info.keypoint_id2name"
    known = check_kind(path, meta.get("keypoint_id2name") or {}, dict, where)
    names = ()
    if known:
        wanted = [str(p) for p in range(n_points)]
        if set(known) != set(wanted):
            raise FileFormatError(
                path,
                f"its keys must be 0 to {n_points - 1}, the {n_points} keypoints of the instances; "
                f"it has {len(known)}",
                where=where,
            )
        names = check_point_names(path, [known[p] for p in wanted], where)
    where = "meta_info.skeleton_links"
    return names, check_edges(path, meta.get("skeleton_links") or [], n_points, where)
