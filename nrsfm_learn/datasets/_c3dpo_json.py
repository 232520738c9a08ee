"""The JSON files of keypoints that C3DPO published: Pascal3D+, S-Up3D, Human3.6M, CUB birds."""

import numpy as np
from sklearn.utils import Bunch

from nrsfm_learn.datasets._recorded import get_data_home
from nrsfm_learn.io._errors import FileFormatError
from nrsfm_learn.io._json_values import check_kind, member, number_rows, shown
from nrsfm_learn.io._source import as_path, read_json
from nrsfm_learn.preprocessing import CategoryLayout

_SOURCE = (
    "the authors of C3DPO (Novotny, Ravi, Graham, Neverova and Vedaldi, ICCV 2019) with their code "
    "release c3dpo_nrsfm"
)
_OPTIONAL = ("kp_loc_3d", "class_mask", "kp_defined", "p3d_info", "h36m_info")
# A keypoint further outside the annotated box than this part of its size was labelled in error.
_MARGIN = 0.1


def load_c3dpo_json(path, data_home=None):
    r"""Load one of the keypoint files that come with C3DPO.

    The file is ``{"dataset": name, "data": [entry, ...]}``, or the list of entries alone. Of an
    entry, with P points,

    ================================  ==============================================================
    ``kp_loc``                        2 lists of P numbers: x and y. Needed.
    ``kp_vis``                        P flags, 1 where a keypoint is visible. Needed.
    ``kp_loc_3d``                     3 lists of P numbers: ground truth in the camera frame.
    ``class_mask``                    P flags, 1 for the points of the entry's category.
    ``kp_defined``                    P flags, 1 where the ground truth is known.
    ``p3d_info``                      ``p3d_class``, the category; ``bbox``, [x, y, width, height].
    ``h36m_info``                     ``scale``, what errors are multiplied by; ``action_name``.
    ``image_path``                    name of the image.
    ================================  ==============================================================

    All entries must have the same ones of these; other keys are not looked at.

    Parameters
    ----------
    path : path-like
        File, such as ``pascal3d_train.json``. A relative path that does not exist is looked for
        in `data_home` and in its folder ``c3dpo``.
    data_home : path, optional
        See `get_data_home` for the default.

    Returns
    -------
    Bunch
        - W : ndarray of shape (n_frames, n_points, 2), keypoints in the units of the file, NaN
          where not visible. As in the release, keypoints that lie outside the annotated box by
          more than a tenth of its size count as not visible.
        - visible : ndarray of shape (n_frames, n_points), bool.
        - X : ndarray of shape (n_frames, n_points, 3), ground truth, NaN where it is not defined or
          of another category; None if the file has none.
        - categories : ndarray of str of shape (n_frames,), or None without categories. Those of
          which the file tells only the points are "class_0", "class_1", ... in the order of these.
        - layout : CategoryLayout, which points belong to which category, or None.
        - names : list of str; edges : empty, the files have none.
        - groups : ndarray of shape (n_frames,), all different: each entry is an image.
        - boxes : ndarray of shape (n_frames, 4), x0, y0, x1, y1, or None.
        - units : ndarray of shape (n_frames,), by which the published evaluation multiplies errors
          of Human3.6M, to millimetres; or None.
        - actions, image_paths : ndarray of str of shape (n_frames,), or None.
        - dataset : name in the file, or its file name; DESCR.

    Raises
    ------
    FileNotFoundError
        If there is no such file; the message says who publishes it.
    nrsfm_learn.io.FileFormatError
        If the file is damaged or of another layout; a ValueError whose message has the entry and
        the key.

    See Also
    --------
    make_twelve_categories : Generated data with the statistics of Pascal3D+.
    make_surface_body : Generated data with the statistics of S-Up3D.

    Notes
    -----
    The layout was checked against the release's own reader and evaluation, not against the files,
    which are not part of this package's tests. In the release a method sees `W` and the points of
    the category, and the errors on Pascal3D+ are means over the points whose ground truth is
    defined, first in each category and then over these: use `split_categories` for that.

    References
    ----------
    D. Novotny, N. Ravi, B. Graham, N. Neverova and A. Vedaldi, C3DPO: canonical 3D pose networks
    for non-rigid structure from motion, ICCV 2019.
    """
    path = _find(path, data_home)
    dataset, entries, prefix = _entries(path)
    wanted = {key: _present(path, entries, f"{prefix}[{{}}]", key) for key in _OPTIONAL}
    n_points = len(_coordinate_lists(path, entries[0], "kp_loc", 2, f"{prefix}[0]")[0])
    if n_points == 0:
        raise FileFormatError(path, "there are no points", where=f"{prefix}[0].kp_loc")

    def table(key, rows):
        return _coordinates(path, entries, prefix, key, rows, n_points)

    def flags(key):
        return _flags(path, entries, prefix, key, n_points) if wanted.get(key, True) else None

    W, visible = table("kp_loc", 2), flags("kp_vis")
    infos = {
        key: [member(path, e, key, dict, f"{prefix}[{k}]") for k, e in enumerate(entries)]
        if wanted[key]
        else None
        for key in ("p3d_info", "h36m_info")
    }
    boxes = _boxes(path, infos["p3d_info"], prefix)
    if boxes is not None:
        corners, margin = boxes[:, None], _MARGIN * (boxes[:, 2:] - boxes[:, :2])[:, None]
        inside = (corners[..., :2] - margin <= W) & (corners[..., 2:] + margin >= W)
        visible &= inside.all(-1)
    own, defined = flags("class_mask"), flags("kp_defined")
    categories, layout = None, None
    if own is not None:
        visible &= own
        categories, layout = _layout(path, own, infos["p3d_info"], prefix)
    W[~visible] = np.nan
    X = table("kp_loc_3d", 3) if wanted["kp_loc_3d"] else None
    for known in (own, defined):
        if X is not None and known is not None:
            X[~known] = np.nan
    return Bunch(
        W=W,
        visible=visible,
        X=X,
        categories=categories,
        layout=layout,
        names=[f"point_{p}" for p in range(n_points)] if layout is None else list(layout.names),
        edges=[],
        groups=np.arange(len(W)),
        boxes=boxes,
        units=_units(path, infos["h36m_info"], prefix),
        actions=_texts(path, infos["h36m_info"], f"{prefix}[{{}}].h36m_info", "action_name"),
        image_paths=_texts(path, entries, f"{prefix}[{{}}]", "image_path"),
        dataset=dataset,
        DESCR=f"Keypoints {dataset!r} as published with C3DPO, {len(W):,} images.",
    )


def _find(path, data_home):
    given = as_path(path)
    home = get_data_home(data_home)
    places = [given, home / given, home / "c3dpo" / given]
    found = next((place for place in places if place.exists()), None)
    if found is None:
        raise FileNotFoundError(
            f"none of {', '.join(map(str, dict.fromkeys(places)))} exists. The file is published "
            f"by {_SOURCE}; put it there, or give another path."
        )
    return found


def _entries(path):
    """Return the name of the data set, the entries and the place of their list in the file."""
    data, name, prefix = read_json(path), path.stem, ""
    if isinstance(data, dict):
        name, prefix = data.get("dataset", name), "data"
        check_kind(path, name, str, "dataset")
        data = member(path, data, "data", list)
    if not check_kind(path, data, list, prefix):
        raise FileFormatError(path, "there are no entries", where=prefix)
    for k, entry in enumerate(data):
        check_kind(path, entry, dict, f"{prefix}[{k}]")
    return name, data, prefix


def _present(path, mappings, where, key):
    """Tell whether the objects, at a place with {} for the entry, have a key: all or none."""
    has = [mapping.get(key) is not None for mapping in mappings]
    if any(has) and not all(has):
        odd = has.index(not has[0])
        first, other = ("has", "lacks") if has[0] else ("lacks", "has")
        raise FileFormatError(
            path,
            f"this entry {other} the key {key!r}, which entry 0 {first}",
            where=where.format(odd),
            way_out="All entries must have it, or none.",
        )
    return has[0]


def _coordinate_lists(path, entry, key, rows, where):
    """Return the lists of one coordinate each."""
    lists = member(path, entry, key, list, where)
    if len(lists) != rows:
        raise FileFormatError(
            path,
            f"{rows} lists were expected, one a coordinate, got {shown(lists)}",
            where=f"{where}.{key}",
        )
    return [check_kind(path, part, list, f"{where}.{key}[{k}]") for k, part in enumerate(lists)]


def _coordinates(path, entries, prefix, key, rows, n_points):
    """Return an array (n_frames, n_points, rows)."""
    flat = [
        part
        for k, entry in enumerate(entries)
        for part in _coordinate_lists(path, entry, key, rows, f"{prefix}[{k}]")
    ]

    def place(k):
        return path, f"{prefix}[{k // rows}].{key}[{k % rows}]"

    values = number_rows(flat, n_points, place).reshape(len(entries), rows, n_points)
    return np.ascontiguousarray(values.swapaxes(1, 2))


def _flags(path, entries, prefix, key, n_points):
    """Return a boolean array (n_frames, n_points) of numbers 0 and 1, or of true and false."""
    lists = [member(path, e, key, list, f"{prefix}[{k}]") for k, e in enumerate(entries)]
    lists = [[int(v) if isinstance(v, bool) else v for v in values] for values in lists]

    def place(k):
        return path, f"{prefix}[{k}].{key}"

    values = number_rows(lists, n_points, place)
    odd = ~np.isin(values, (0, 1))
    if odd.any():
        k, p = np.argwhere(odd)[0]
        raise FileFormatError(
            path, f"flag {p} must be 0 or 1, got {values[k, p]:g}", where=place(k)[1]
        )
    return values == 1


def _boxes(path, infos, prefix):
    """Return boxes as x0, y0, x1, y1, if the file has them."""
    if infos is None or not _present(path, infos, f"{prefix}[{{}}].p3d_info", "bbox"):
        return None

    def place(k):
        return path, f"{prefix}[{k}].p3d_info.bbox"

    boxes = number_rows([info["bbox"] for info in infos], 4, place)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def _layout(path, own, infos, prefix):
    """Return the category of each entry, and which points belong to which."""
    masks, which = np.unique(own, axis=0, return_inverse=True)
    if not own.any(1).all():
        at = int(np.argmin(own.any(1)))
        raise FileFormatError(
            path, "no point belongs to the category", where=f"{prefix}[{at}].class_mask"
        )
    classes = None
    if infos is not None:
        classes = _texts(path, infos, f"{prefix}[{{}}].p3d_info", "p3d_class")
    if classes is None:
        order = sorted(range(len(masks)), key=lambda k: np.flatnonzero(masks[k]).tolist())
        number = {k: f"class_{n}" for n, k in enumerate(order)}
        classes = np.array([number[k] for k in which.reshape(-1)])
    labels, first, code = np.unique(classes, return_index=True, return_inverse=True)
    differs = (own != own[first][code]).any(1)
    if differs.any():
        at = int(np.argmax(differs))
        raise FileFormatError(
            path,
            f"the points of {str(classes[at])!r} are not those of entry {first[code[at]]}",
            where=f"{prefix}[{at}].class_mask",
            way_out="All entries of a category must have the same.",
        )
    # Categories in the order of their points, whatever the order of the entries.
    indices = {str(label): np.flatnonzero(own[k]) for label, k in zip(labels, first, strict=True)}
    indices = dict(sorted(indices.items(), key=lambda item: item[1].tolist()))
    names = [f"point_{p}" for p in range(own.shape[1])]
    for label, points in reversed(indices.items()):
        for number, p in enumerate(points):
            names[p] = f"{label}/point_{number}"
    return classes, CategoryLayout(list(indices), list(indices.values()), names)


def _units(path, infos, prefix):
    if infos is None or not _present(path, infos, f"{prefix}[{{}}].h36m_info", "scale"):
        return None

    def place(k):
        return path, f"{prefix}[{k}].h36m_info.scale"

    return number_rows([[info["scale"]] for info in infos], 1, place)[:, 0]


def _texts(path, mappings, where, key):
    """Return texts of all entries; None if they have none."""
    if mappings is None or not _present(path, mappings, where, key):
        return None
    return np.array([member(path, m, key, str, where.format(k)) for k, m in enumerate(mappings)])
