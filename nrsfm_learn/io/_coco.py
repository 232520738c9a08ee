"""COCO's keypoints: annotations, and results of detectors in COCO's layout."""

import re

import numpy as np

from ._assemble import assemble
from ._errors import FileFormatError
from ._instances import assemble_instances
from ._json_values import (
    check_edges,
    check_kind,
    check_point_names,
    member,
    number_rows,
)
from ._skeletons import skeleton_of
from ._source import read_json

_TRACKS = ("track_id", "track_ids", "instance_id")
_FILE_NUMBER = re.compile(r"([0-9]{1,18})(\.[A-Za-z0-9]*)?$")


def looks_like_coco(probe):
    """Tell whether a file has COCO's layout.

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
        return "annotations" in data and ("images" in data or "categories" in data)
    first = data[0] if isinstance(data, list) and data else None
    return isinstance(first, dict) and {"image_id", "keypoints"} <= first.keys()


def read_coco(path, *, category=None, occluded=True, min_confidence=None, individual=None):
    """Read keypoints in COCO's layout.

    Annotations are ``{"images": [...], "annotations": [{"image_id": 139, "category_id": 1,
    "keypoints": [x, y, v, ...], ...}], "categories": [{"id": 1, "name": "person", "keypoints":
    ["nose", ...], "skeleton": [[16, 14], ...]}]}`` with v = 0 for a keypoint that is not labelled,
    which is missing here, v = 1 for one that is labelled but occluded, v = 2 for one that is
    visible. Results of detectors are a list ``[{"image_id": 139, "category_id": 1, "keypoints":
    [x, y, s, ...], "score": 0.9}]``, where s is a confidence; x = y = s = 0 is missing.

    Every annotation is a frame, in the order of the images; annotations of crowds and those
    without keypoints are left out. Where all of them have a `track_id` (or `track_ids`,
    `instance_id`), that is the individual. Otherwise all are of one individual, "instance": COCO
    does not say who is who. The clip of a frame is the `video_id` of its image, if there is one.

    Parameters
    ----------
    path : path-like
        File.
    category : int or str, default=None
        Id or name of the category to read; needed if there are several with different skeletons.
    occluded : bool, default=True
        Whether keypoints that are labelled as occluded are kept. Annotations only.
    min_confidence : float, default=None
        Keypoints with a lower confidence are hidden, 0 by default. Results only.
    individual : str or int, default=None
        The individual to keep, such as "track_3"; by default all are stacked.

    Returns
    -------
    Keypoints
        In pixels; `frames` are the ids of the images. Those that are strings, as AlphaPose writes
        them, become the numbers at the ends of the file names, or else are counted from 0.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FileFormatError
        If the file is damaged, has no keypoints, or has several skeletons.
    ValueError
        If there is no such category or individual.

    References
    ----------
    "COCO - Common Objects in Context, Data format: Keypoint Detection" and "Results format:
    Keypoint Detection".
    """
    data, notes = read_json(path), []
    results = isinstance(data, list)
    if results and not occluded:
        raise ValueError(
            "occluded=False needs annotations, which mark occluded keypoints; this file has the "
            "results of a detector: use min_confidence."
        )
    if results:
        entries, categories, images = data, {}, {}
    else:
        check_kind(path, data, dict, "")
        entries = member(path, data, "annotations", list)
        categories, images = _categories(path, data), _by_id(path, data, "images")
    entries = _entries(path, entries, results, notes)
    entries, used = _of_category(path, entries, categories, category)
    names, edges = _skeleton(path, entries, used, categories, notes)
    values = _values(path, entries, names)
    if results:
        kept = (values != 0).any(-1)
    else:
        kept = _labelled(path, entries, values[..., 2], occluded, notes)
        labelled = kept.any(-1)
        if not labelled.all():
            notes.append(f"{(~labelled).sum():,} annotations without keypoints were left out")
        if not labelled.any():
            raise FileFormatError(path, "no annotation has a visible keypoint")
        entries = [entry for entry, keep in zip(entries, labelled, strict=True) if keep]
        values, kept = values[labelled], kept[labelled]
    frames, clips = _frames(path, entries, images, notes)
    order = np.lexsort((frames, clips))
    values, kept, frames, clips = values[order], kept[order], frames[order], clips[order]
    entries = [entries[k] for k in order]
    others = {
        "min_confidence": min_confidence,
        "individual": individual,
        "notes": notes,
        "names": names,
        "edges": edges,
    }
    points = np.where(kept[..., None], values[..., :2], np.nan)
    confidence = values[..., 2] if results else None
    ids = _track_ids(path, entries)
    if ids is None:
        return assemble(
            "coco",
            path,
            points[None],
            None if confidence is None else confidence[None],
            individuals=("instance",),
            frames=frames,
            **others,
        ).replace(clips=clips)
    new = np.ones(len(frames), dtype=bool)
    new[1:] = (np.diff(frames) != 0) | (np.diff(clips) != 0)
    return assemble_instances(
        "coco",
        path,
        points,
        confidence,
        np.cumsum(new) - 1,
        ids,
        frames[new],
        label="track",
        even=False,
        clips=clips[new],
        **others,
    )


def _by_id(path, data, key):
    """Return the objects of a list that have ids, as a dict."""
    found = {}
    for k, entry in enumerate(check_kind(path, data.get(key, []), list, key)):
        where = f"{key}[{k}]"
        check_kind(path, entry, dict, where)
        ident = _identifier(path, entry, "id", where)
        if ident in found:
            raise FileFormatError(path, f"the id {ident!a} is there twice", where=where)
        found[ident] = entry
    return found


def _identifier(path, entry, key, where):
    """Return a member that is a whole number or a string."""
    kind = str if isinstance(entry.get(key), str) else int
    return member(path, entry, key, kind, where)


def _categories(path, data):
    categories = _by_id(path, data, "categories")
    for ident, entry in categories.items():
        member(path, entry, "name", str, f"category {ident!a}")
    return categories


def _entries(path, entries, results, notes):
    """Return the annotations with keypoints, as (place, annotation)."""
    kept, without = [], 0
    for k, entry in enumerate(entries):
        where = f"[{k}]" if results else f"annotations[{k}]"
        check_kind(path, entry, dict, where)
        has_keypoints = entry.get("keypoints") not in (None, [])
        if results and not has_keypoints:
            raise FileFormatError(path, "it has no keypoints", where=where)
        if not has_keypoints or entry.get("iscrowd") in (1, True):
            without += 1
        else:
            kept.append((where, entry))
    if without:
        notes.append(f"{without:,} annotations of crowds or without keypoints were left out")
    if not kept:
        raise FileFormatError(
            path,
            f"none of the {len(entries):,} annotations has keypoints",
            way_out="COCO's files for detection and captions have none: take person_keypoints_*.",
        )
    return kept


def _of_category(path, entries, categories, category):
    """Return the annotations of one category, or of several with the same skeleton."""
    # Only results may leave their category out.
    ids = [
        _identifier(path, entry, "category_id", where)
        if categories or "category_id" in entry
        else None
        for where, entry in entries
    ]
    for (where, _), ident in zip(entries, ids, strict=True):
        if categories and ident not in categories:
            raise FileFormatError(
                path, f"there is no category {ident!a}", where=f"{where}.category_id"
            )
    used = list(dict.fromkeys(ids))
    if category is None:
        return entries, used
    names = {categories[ident]["name"]: ident for ident in used} if categories else {}
    by_text = {str(ident): ident for ident in used if ident is not None}
    chosen = names.get(category, by_text.get(str(category)))
    if chosen is None:
        raise ValueError(
            f"category={category!r} has no annotation with keypoints; there are "
            f"{_listed(used, categories)}."
        )
    return [entry for entry, ident in zip(entries, ids, strict=True) if ident == chosen], [chosen]


def _listed(used, categories):
    labels = [
        f"{ident!a} ({categories[ident]['name'][:40]!a})" if categories else f"{ident!a}"
        for ident in used[:20]
    ]
    more = f" and {len(used) - 20} more" if len(used) > 20 else ""
    return ", ".join(labels) + more


def _skeleton(path, entries, used, categories, notes):
    """Return names and edges of the keypoints."""
    lengths = {len(e["keypoints"]) for _, e in entries if isinstance(e["keypoints"], list)}
    definitions = {_definition(path, ident, categories) for ident in used}
    if len(used) > 1:
        if len(definitions) > 1 or len(lengths) > 1:
            raise FileFormatError(
                path,
                f"there are {len(used)} categories with different skeletons: "
                f"{_listed(used, categories)}",
                way_out="Choose one with category=.",
            )
        notes.append(f"{len(used)} categories with the same skeleton are read as one")
    ((names, edges, from_0),) = definitions
    if from_0:
        notes.append("the skeleton has a point 0: its points were taken as counted from 0")
    if names:
        return names, edges
    where, entry = entries[0]
    n_points, rest = divmod(len(check_kind(path, entry["keypoints"], list, where)), 3)
    if rest:
        raise FileFormatError(
            path,
            f"triples of x, y and visibility were expected, got {len(entry['keypoints'])} numbers",
            where=f"{where}.keypoints",
        )
    skeleton = skeleton_of(n_points, "COCO-17")
    if skeleton.names:
        notes.append("the file names no keypoints: its 17 are taken for those of COCO's person")
    return skeleton.names or tuple(f"point_{p}" for p in range(n_points)), skeleton.edges


def _definition(path, ident, categories):
    """Return names and edges of a category, and whether its points are counted from 0."""
    entry = categories.get(ident, {})
    where = f"category {ident!a}.keypoints"
    names = check_kind(path, entry.get("keypoints") or [], list, where)
    names = check_point_names(path, names, where)
    where = f"category {ident!a}.skeleton"
    edges = check_kind(path, entry.get("skeleton") or [], list, where)
    if not names:
        return (), (), False
    # The layout counts from 1. With a 0 in it, a file can only have counted from 0.
    from_0 = any(isinstance(edge, list) and 0 in edge for edge in edges)
    return names, check_edges(path, edges, len(names), where, 0 if from_0 else 1), from_0


def _values(path, entries, names):
    """Return an array (n_annotations, n_points, 3)."""
    rows = [entry["keypoints"] for _, entry in entries]

    def place(k):
        return path, f"{entries[k][0]}.keypoints"

    return number_rows(rows, 3 * len(names), place).reshape(len(rows), -1, 3)


def _labelled(path, entries, flags, occluded, notes):
    """Tell which keypoints are labelled, and visible if only those are wanted."""
    odd = ~np.isin(flags, (0, 1, 2))
    if odd.any():
        k, p = np.argwhere(odd)[0]
        raise FileFormatError(
            path,
            f"the visibility {flags[k, p]:g} of keypoint {p} is none of 0, 1, 2",
            where=f"{entries[k][0]}.keypoints",
            way_out="Confidences belong into a list of results.",
        )
    if occluded or not (flags == 1).any():
        return flags > 0
    notes.append(f"{(flags == 1).sum():,} keypoints that are labelled as occluded were hidden")
    return flags == 2


def _frames(path, entries, images, notes):
    """Return the number of the image of each annotation, and its clip."""
    ids = [_identifier(path, entry, "image_id", where) for where, entry in entries]
    if images:
        for (where, _), ident in zip(entries, ids, strict=True):
            if ident not in images:
                raise FileFormatError(
                    path, f"there is no image {ident!a}", where=f"{where}.image_id"
                )
    clips = np.zeros(len(ids), dtype=np.int64)
    if images and all("video_id" in images[ident] for ident in ids):
        videos = [_identifier(path, images[i], "video_id", f"image {i!a}") for i in ids]
        known = sorted(set(videos), key=lambda video: (isinstance(video, str), video))
        index = {video: k for k, video in enumerate(known)}
        clips = np.array([index[video] for video in videos])
    if all(isinstance(ident, int) for ident in ids):
        return np.array(ids, dtype=np.int64), clips
    unique = list(dict.fromkeys(map(str, ids)))
    matches = [_FILE_NUMBER.search(ident) for ident in unique]
    numbers = [int(match[1]) for match in matches if match]
    if len(set(numbers)) < len(unique):
        numbers = range(len(unique))
        notes.append("the images have no numbers: they are counted in the order of the file")
    number = dict(zip(unique, numbers, strict=True))
    return np.array([number[str(ident)] for ident in ids], dtype=np.int64), clips


def _track_ids(path, entries):
    for key in _TRACKS:
        if all(entry.get(key) is not None for _, entry in entries):
            ids = [_identifier(path, entry, key, where) for where, entry in entries]
            # 1 and "1" would have the same name.
            return ids if all(isinstance(ident, int) for ident in ids) else list(map(str, ids))
    return None
