"""Writer of BVH: rigid bones and joint rotations that follow given points."""

import warnings
from numbers import Integral

import numpy as np
from scipy.spatial.transform import Rotation

from .._validation import poor_frames
from ..datasets._kinematics import depth_first
from ._motion import check_points, frame_rate, interpolated, turned_y_up, unique_names
from ._records import Points3D
from ._source import write_whole

_EULER = "ZXY"
# Beyond it, programs that read BVH compute with numbers of too few digits.
_LARGEST = 1e9


def write_bvh(path, data, *, parents=None, root=None, exact=False, fill="error", y_up=None):
    r"""Write 3-D points as the motion of a skeleton.

    Every point becomes a joint. Its rest offset has the median length of its bone and the
    direction of the first frame; its rotation is the one that turns the rest offsets of its
    children best to where they are,

    .. math::
        G_j = \arg\min_{G \in SO(3)} \sum_{c: \pi(c) = j} \lVert G o_c - (x_c - x_j) \rVert^2 ,

    and of all those for one child or for children in line, the one nearest to its parent's
    rotation. BVH has bones of constant length: where the lengths or the angles between the
    children of a joint change over time, points are off by that change, added up from the root on.
    `exact` writes position channels for each joint as well, so that every point is where it was;
    Blender and MotionBuilder read them, some programs ignore them. Individuals and clips follow one
    another as their rows do.

    Parameters
    ----------
    path : path-like
        File to write.
    data : Points3D
        Points; `fps` must be known.
    parents : sequence of int, default=None
        Parent of each point, -1 for the root. By default the tree that ``data.edges`` form.
    root : str or int, default=None
        Name or index of the root of that tree. By default the one point to which no edge leads,
        or, if there are several or none, the point with the most edges.
    exact : bool, default=False
        Whether to write position channels for all joints.
    fill : {"error", "interpolate"}, default="error"
        What to do about missing points, which BVH cannot hold: refuse, or interpolate linearly
        in time, with the nearest known position before the first and after the last.
    y_up : bool, default=None
        Whether to write (x, -y, -z), that is y up as programs expect it. By default for data in
        the camera frame.

    Returns
    -------
    pathlib.Path
        The file. White space and braces in names are written as "_".

    Raises
    ------
    TypeError
        If `data` is no Points3D.
    ValueError
        If `data` has no frame rate, points are missing, or the edges are no tree that reaches
        every point.

    See Also
    --------
    read_bvh : The way back.

    References
    ----------
    Kabsch, A solution for the best rotation to relate two sets of vectors, Acta
    Crystallographica A32, 922-923, 1976.
    """
    check_points(data, "BVH")
    fps, parents = _needs(data, parents, root, fill)
    X = _complete(turned_y_up(data, y_up), data, fill)
    if np.abs(X).max() > _LARGEST or not 1 / _LARGEST < fps < _LARGEST:
        raise ValueError(
            f"X or fps is beyond {_LARGEST:g}, or fps below {1 / _LARGEST:g}: choose other units."
        )
    order = depth_first(parents)
    offsets = _rest_offsets(X, parents)
    turns = _rotations(X, parents, order, offsets)
    text = _hierarchy_text(parents, offsets, _file_names(data.names), exact)
    return write_whole(path, text + _motion_text(X, parents, order, turns, exact, fps))


def check_bvh(data, *, parents=None, root=None, exact=False, fill="error", y_up=None):
    """Check what is known before there are coordinates: frame rate, skeleton, missing points.

    Parameters
    ----------
    data : Keypoints or Points3D
        What is to be written, or the keypoints of which it will be made. Of keypoints, frames that
        show too little to be reconstructed count as missing, and points that no frame shows.
    parents, root, exact, fill, y_up
        As of :func:`write_bvh`.

    Raises
    ------
    ValueError
        As :func:`write_bvh`.
    """
    _needs(data, parents, root, fill)
    missing = np.isnan(data.X).any(-1) if isinstance(data, Points3D) else _will_be_missing(data)
    _check_missing(missing, data, fill)


def _needs(data, parents, root, fill):
    """Return the frame rate, and the parents of the points."""
    fps = frame_rate(data, "BVH")
    if fill not in ("error", "interpolate"):
        raise ValueError(f"fill must be 'error' or 'interpolate', got {fill!r}.")
    if parents is None:
        return fps, _tree(data, root)
    if root is not None:
        raise ValueError("parents and root: give one of them; parents has the root already.")
    return fps, _check_parents(parents, data.names)


def _will_be_missing(keypoints):
    missing = np.zeros(keypoints.visible.shape, dtype=bool)
    missing[poor_frames(keypoints.visible)] = True
    missing[:, ~keypoints.visible.any(0)] = True
    return missing


def _tree(data, root):
    """Return the parents of the points in the tree that the edges form."""
    n, names = data.n_points, data.names
    edges = {(min(edge), max(edge)) for edge in data.edges}
    if not edges and n > 1:
        raise ValueError(
            "BVH needs a skeleton and the data have no edges: give parents=, or "
            "data.replace(edges=...)."
        )
    neighbours = [[] for _ in range(n)]
    for a, b in sorted(edges):
        neighbours[a].append(b)
        neighbours[b].append(a)
    if root is None:
        tops = set(range(n)) - {b for _, b in data.edges}
        most = max(range(n), key=lambda p: (len(neighbours[p]), -p))
        start = tops.pop() if len(tops) == 1 else most
    else:
        start = _root_index(root, names)
    parents, stack = {start: -1}, [start]
    while stack:
        p = stack.pop()
        for q in neighbours[p]:
            if q == parents[p]:
                continue
            if q in parents:
                raise ValueError(
                    f"edges must form a tree for BVH, and that from {names[p]!r} to {names[q]!r} "
                    f"closes a cycle: leave one edge of it out with data.replace(edges=...), or "
                    f"give parents=."
                )
            parents[q] = p
            stack.append(q)
    unreached = [names[p] for p in range(n) if p not in parents]
    if unreached:
        raise ValueError(
            f"edges must form a tree for BVH, and from the root {names[start]!r} they do not reach "
            f"{_listed(unreached)}: add edges or leave these points out."
        )
    return [parents[p] for p in range(n)]


def _root_index(root, names):
    if isinstance(root, str) and root in names:
        return names.index(root)
    if isinstance(root, Integral) and not isinstance(root, bool) and 0 <= root < len(names):
        return int(root)
    raise ValueError(
        f"root={root!r} is no point: give one of {_listed(names)}, or an index from 0 to "
        f"{len(names) - 1}."
    )


def _check_parents(parents, names):
    parents = np.asarray(parents)
    n = len(names)
    if parents.shape != (n,) or parents.dtype.kind not in "iu":
        raise ValueError(
            f"parents must be {n} integers, one a point, got shape {parents.shape} and dtype "
            f"{parents.dtype}."
        )
    if parents.min() < -1 or parents.max() >= n or np.count_nonzero(parents == -1) != 1:
        raise ValueError(f"parents must be indices below {n}, and -1 for one point, the root.")
    parents = parents.tolist()
    unreached = sorted(set(range(n)) - set(depth_first(parents)))
    if unreached:
        raise ValueError(
            f"parents must form a tree, and the root is no ancestor of "
            f"{_listed([names[p] for p in unreached])}."
        )
    return parents


def _listed(names):
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(repr(name) for name in names[:5]) + more


def _complete(X, data, fill):
    missing = np.isnan(X).any(-1)
    _check_missing(missing, data, fill)
    return interpolated(X, data.groups) if missing.any() else X


def _check_missing(missing, data, fill):
    if fill == "error" and missing.any():
        f, p = np.argwhere(missing)[0]
        raise ValueError(
            f"BVH cannot hold missing points, and {data.names[p]!r} is missing in frame {f} "
            f"({missing.mean():.1%} of all are): write with fill='interpolate', or as csv or c3d."
        )
    groups = data.groups
    never = np.any([missing[groups == g].all(0) for g in np.unique(groups)], axis=0)
    if never.any():
        raise ValueError(
            f"{_listed([data.names[p] for p in np.flatnonzero(never)])}: missing in every frame of "
            f"a clip, so there is nothing to interpolate: leave these points out."
        )


def _rest_offsets(X, parents):
    """Median lengths along the directions of the first frame in which a bone has a length."""
    offsets = np.zeros((X.shape[1], 3))
    for j, p in enumerate(parents):
        bones = X[:, j] - X[:, p]
        lengths = np.linalg.norm(bones, axis=-1)
        if p >= 0 and lengths.any():
            first = np.flatnonzero(lengths)[0]
            offsets[j] = bones[first] / lengths[first] * np.median(lengths)
    return offsets


def _rotations(X, parents, order, offsets):
    """World rotation of each joint, list of Rotation."""
    children = [[] for _ in parents]
    for j, p in enumerate(parents):
        if p >= 0:
            children[p].append(j)
    turns = [None] * len(parents)
    for j in order:
        above = turns[parents[j]] if parents[j] >= 0 else Rotation.identity(len(X))
        rest = offsets[children[j]]
        if not rest.any():
            turns[j] = above
            continue
        # In the frame of the parent, where the nearest rotation is the smallest.
        back = above.inv()
        now = np.stack([back.apply(X[:, c] - X[:, j]) for c in children[j]], axis=1)
        singular = np.linalg.svd(rest, compute_uv=False)
        in_line = len(singular) == 1 or singular[1] < 1e-6 * singular[0]
        turns[j] = above * (_smallest if in_line else _kabsch)(rest, now)
    return turns


def _smallest(rest, now):
    """Smallest rotation of a rest direction to those of now, for bones in one line."""
    longest = np.argmax(np.linalg.norm(rest, axis=-1))
    u = rest[longest] / np.linalg.norm(rest[longest])
    signs = rest @ u
    v = np.einsum("c,fcx->fx", signs, now)
    norm = np.linalg.norm(v, axis=-1, keepdims=True)
    v = np.where(norm > 0, v / np.where(norm > 0, norm, 1), u)
    # Quaternion (1 + u.v, u x v); where v = -u, half a turn about any axis across u.
    w = 1 + v @ u
    across = np.cross(u, np.eye(3)[np.argmin(np.abs(u))])
    opposite = w < 1e-12
    vector = np.where(opposite[:, None], across, np.cross(u, v))
    return Rotation.from_quat(np.column_stack([vector, np.where(opposite, 0, w)]))


def _kabsch(rest, now):
    H = np.einsum("fcx,cy->fxy", now, rest)
    # A trace of the identity settles frames in which the children are in one line.
    size = np.linalg.norm(H, axis=(1, 2), keepdims=True)
    U, _, Vt = np.linalg.svd(H + 1e-9 * np.where(size > 0, size, 1) * np.eye(3))
    U[:, :, 2] *= np.linalg.det(U @ Vt)[:, None]
    return Rotation.from_matrix(U @ Vt)


def _file_names(names):
    clean = [
        "".join("_" if c in "{}" or not c.isprintable() or c.isspace() else c for c in name)
        for name in names
    ]
    return unique_names(clean)[0]


def _hierarchy_text(parents, offsets, names, exact):
    positions = "Xposition Yposition Zposition "
    rotations = " ".join(f"{axis}rotation" for axis in _EULER)
    children = [[] for _ in parents]
    for j, p in enumerate(parents):
        if p >= 0:
            children[p].append(j)
    lines, depth = ["HIERARCHY"], 0
    stack = [parents.index(-1)]
    while stack:
        j = stack.pop()
        if j is None:
            depth -= 1
            lines.append("\t" * depth + "}")
            continue
        tabs = "\t" * depth
        is_root = parents[j] < 0
        six = exact or is_root
        offset = np.zeros(3) if is_root else offsets[j]
        lines += [
            f"{tabs}{'ROOT' if is_root else 'JOINT'} {names[j]}",
            f"{tabs}{{",
            f"{tabs}\tOFFSET " + " ".join(f"{v:.9g}" for v in offset),
            f"{tabs}\tCHANNELS {6 if six else 3} {positions if six else ''}{rotations}",
        ]
        if not children[j]:
            # Every chain must end in an end site; one without length adds no point.
            lines += [f"{tabs}\tEnd Site", f"{tabs}\t{{", f"{tabs}\t\tOFFSET 0 0 0", f"{tabs}\t}}"]
        depth += 1
        stack += [None, *reversed(children[j])]
    return "\n".join(lines) + "\n"


def _motion_text(X, parents, order, turns, exact, fps):
    columns = []
    for j in order:
        p = parents[j]
        if p < 0:
            columns.append(X[:, j])
            own = turns[j]
        else:
            back = turns[p].inv()
            if exact:
                columns.append(back.apply(X[:, j] - X[:, p]))
            own = back * turns[j]
        columns.append(_euler(own))
    # Adding 0 turns -0 into 0.
    values = np.concatenate(columns, axis=1) + 0.0
    row = " ".join(["%.9g"] * values.shape[1])
    head = f"MOTION\nFrames: {len(values)}\nFrame Time: {1 / fps!r}\n"
    return head + "\n".join(row % tuple(v) for v in values.tolist()) + "\n"


def _euler(turns):
    """Angles in degrees, without jumps by full turns and digits of rounding."""
    with warnings.catch_warnings():
        # In gimbal lock SciPy warns and sets one angle to 0, which is as good as any other.
        warnings.simplefilter("ignore", UserWarning)
        angles = turns.as_euler(_EULER, degrees=True)
    return np.unwrap(angles, axis=0, period=360).round(9)
