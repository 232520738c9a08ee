"""BVH (Biovision hierarchy): a skeleton of rigid bones and the rotations of its joints."""

import re
from typing import NamedTuple

import numpy as np

from ._bvh_write import check_bvh, write_bvh  # noqa: F401 - the registry looks for it here
from ._errors import FileFormatError
from ._motion import check_computed, unique_names
from ._records import Points3D, Source
from ._source import read_text

_CHANNEL = re.compile(r"([XYZ])(position|rotation)\Z", re.IGNORECASE)
# Rotations that are in memory at once.
_MOST_ROTATIONS = 500_000
# More positions than this need channels of their own: a small file cannot ask for all memory.
_MOST_POSITIONS = 10_000_000
_TRUNCATED = "If the file ends there, it is truncated: export it again."


def looks_like_bvh(probe):
    """Tell whether a file is BVH; no other format has its suffix.

    Parameters
    ----------
    probe : Probe
        The file.

    Returns
    -------
    bool
        True if so.
    """
    return probe.path.suffix.lower() == ".bvh"


class _Joint(NamedTuple):
    name: str
    parent: int
    line: int
    is_end: bool
    offset: list
    channels: list


def read_bvh(path):
    r"""Read a BVH file and compute the positions of its joints.

    Joint j with the offset :math:`o_j` and the rotation :math:`L_j` of its channels, in the order
    in which ``CHANNELS`` lists them, is at

    .. math::
        x_j = x_{\pi(j)} + G_{\pi(j)} o_j, \qquad G_j = G_{\pi(j)} L_j, \qquad
        L_j = R_{c_1}(\theta_1) R_{c_2}(\theta_2) R_{c_3}(\theta_3)

    Position channels take the place of the same coordinate of the offset, on the root and on any
    other joint, as the programs that write them mean it. End sites are points, too, called
    ``<joint>_end``, unless their offset is zero.

    Parameters
    ----------
    path : path-like
        File.

    Returns
    -------
    Points3D
        With `edges` from parent to child and `fps` from the frame time. Lengths are in the unit
        of the file, which it does not tell, and axes as in the file: y up by custom.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FileFormatError
        If the file is malformed or truncated; the message has the line.

    See Also
    --------
    write_bvh : The way back.

    References
    ----------
    Meredith and Maddock, Motion Capture File Formats Explained, Department of Computer Science,
    University of Sheffield, 2001, Section 3.2 "BVH".
    """
    lines = read_text(path).split("\n")
    joints, end = _hierarchy(path, lines)
    frame_time, values = _motion(path, lines, end, sum(len(j.channels) for j in joints))
    if len(joints) * len(values) > max(_MOST_POSITIONS, 4 * values.size):
        raise FileFormatError(
            path, f"{len(joints):,} joints in {len(values):,} frames, most of them without channels"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        X = _positions(joints, values)
    check_computed(path, X)
    kept = [k for k, joint in enumerate(joints) if not joint.is_end or any(joint.offset)]
    row = {k: p for p, k in enumerate(kept)}
    names, notes = unique_names([joints[k].name for k in kept])
    if len(kept) < len(joints):
        notes += (f"{len(joints) - len(kept)} end sites without length are no points",)
    return Points3D(
        X[:, kept],
        names=names,
        edges=[(row[joints[k].parent], row[k]) for k in kept if joints[k].parent >= 0],
        fps=_fps(frame_time),
        axes="as in the file (y up by custom)",
        source=Source("bvh", str(path), notes),
    )


def _fps(frame_time):
    fps = 1 / frame_time
    # Files round the frame time: 0.0333333 means 30 frames a second.
    return float(round(fps)) if round(fps) and abs(fps / round(fps) - 1) < 1e-4 else fps


def _hierarchy(path, lines):
    """Return the joints, parents first, and the index of the line ``MOTION``."""

    def fail(problem, line, way_out=""):
        raise FileFormatError(path, problem, where=f"line {line}", way_out=way_out)

    joints, open_joints, pending, begun = [], [], None, False
    for number, text in enumerate(lines, start=1):
        for statement in re.findall(r"[{}]|[^{}]+", text):
            words = statement.split()
            if not words:
                continue
            key = words[0].upper()
            if not begun:
                if key != "HIERARCHY":
                    fail(
                        f"a BVH file begins with HIERARCHY, found {words[0][:40]!r}",
                        number,
                        "Name the format of the file with format=.",
                    )
                begun = True
            elif pending is not None and key != "{":
                fail(f"expected {{ after {pending.name!r}, found {words[0][:40]!r}", number)
            elif key == "{":
                if pending is None:
                    fail("{ without a joint before it", number)
                open_joints.append(len(joints))
                joints.append(pending)
                pending = None
            elif key == "}":
                if not open_joints:
                    fail("} without a { before it", number)
                joint = joints[open_joints.pop()]
                if not joint.offset:
                    fail(f"joint {joint.name!r} has no OFFSET", joint.line)
            elif key == "MOTION":
                if open_joints:
                    fail(f"joint {joints[open_joints[-1]].name!r} is not closed by }}", number)
                if not joints:
                    fail("the hierarchy has no ROOT", number)
                return joints, number - 1
            else:
                parent = open_joints[-1] if open_joints else -1
                pending = _statement(words, joints, parent, number, fail)
    fail("there is no MOTION section", len(lines), _TRUNCATED)


def _statement(words, joints, parent, number, fail):
    """Take one statement in; return the joint that it opens, if any."""
    key, joint = words[0].upper(), joints[parent] if parent >= 0 else None
    if key == "ROOT":
        if joint is not None:
            fail("ROOT inside a joint", number)
        if joints:
            fail("a second ROOT", number, "Write every skeleton to a file of its own.")
    elif joint is None:
        fail(f"{words[0][:40]!r} outside of any joint", number)
    elif joint.is_end and key != "OFFSET":
        fail(f"an End Site has nothing but an OFFSET, found {words[0][:40]!r}", number)
    if key in ("ROOT", "JOINT"):
        name = " ".join(words[1:]) or fail(f"{key} without a name", number)
        return _Joint(name, parent, number, False, [], [])
    if key == "END" and [word.upper() for word in words[1:]] == ["SITE"]:
        return _Joint(f"{joint.name}_end", parent, number, True, [], [])
    if key == "OFFSET":
        if joint.offset:
            fail(f"a second OFFSET of {joint.name!r}", number)
        joint.offset.extend(_numbers(words[1:], number, fail))
    elif key == "CHANNELS":
        if joint.channels:
            fail(f"a second line CHANNELS of {joint.name!r}", number)
        found = [_CHANNEL.match(word) for word in words[2:]]
        channels = [(match[1].upper(), match[2].lower()) for match in found if match]
        if words[1:2] != [str(len(found))] or len(set(channels)) < len(found):
            fail(
                "expected CHANNELS, their number and as many different names such as Xrotation, "
                f"found {' '.join(words)[:120]!r}",
                number,
            )
        joint.channels.extend(channels)
    else:
        fail(f"unknown statement {words[0][:40]!r}", number)
    return None


def _numbers(words, number, fail):
    try:
        values = [float(word) for word in words]
    except ValueError:
        values = []
    if len(values) != 3 or not np.isfinite(values).all():
        fail(f"expected three numbers after OFFSET, found {' '.join(words)[:80]!r}", number)
    return values


def _motion(path, lines, start, width):
    """Return the frame time and the values, (n_frames, width)."""

    def fail(problem, line, way_out=_TRUNCATED):
        raise FileFormatError(path, problem, where=f"line {line}", way_out=way_out)

    rows = [k for k in range(start + 1, len(lines)) if lines[k] and not lines[k].isspace()]
    stated = []
    for pattern, what in (
        (r"Frames:\s*(\d{1,18})", "Frames:"),
        (r"Frame Time:\s*(\S+)", "Frame Time:"),
    ):
        line = rows[len(stated)] if len(stated) < len(rows) else len(lines) - 1
        match = re.fullmatch(pattern, lines[line].strip(), re.IGNORECASE)
        if match is None:
            fail(f"expected {what!r} and a number, found {lines[line].strip()[:40]!r}", line + 1)
        stated.append(match[1])
    try:
        frame_time = float(stated[1])
    except ValueError:
        frame_time = np.nan
    if not 1e-9 < frame_time < 1e9:
        fail(f"the frame time must be positive, found {stated[1][:40]!r}", rows[1] + 1, "")
    n_frames, rows = int(stated[0]), rows[2:]
    if n_frames != len(rows):
        fail(
            f"the file states {n_frames:,} frames and has {len(rows):,}",
            rows[-1] + 1 if rows else len(lines),
            "It is truncated, or the number after 'Frames:' is wrong: correct it.",
        )
    if not n_frames:
        fail("there are no frames", len(lines), "")
    if not width:
        fail("no joint has channels, so nothing moves", start + 1, "")
    try:
        values = np.loadtxt([lines[k] for k in rows], comments=None, ndmin=2)
    except ValueError:
        values = None
    if values is None or values.shape[1] != width or not np.isfinite(values).all():
        for k in rows:
            _check_row(lines[k].split(), width, k + 1, fail)
        fail("numbers that cannot be read", rows[0] + 1)
    return frame_time, values


def _check_row(words, width, line, fail):
    if len(words) != width:
        fail(f"{len(words):,} numbers, and the channels are {width:,}", line)
    for word in words:
        try:
            value = float(word)
        except ValueError:
            value = np.nan
        if not np.isfinite(value) or "_" in word:
            fail(f"expected a number, found {word[:40]!r}", line)


def _positions(joints, values):
    """Forward kinematics; each joint turns its children, not itself."""
    X = np.empty((len(values), len(joints), 3))
    is_parent = {joint.parent for joint in joints}
    starts = np.cumsum([0] + [len(joint.channels) for joint in joints])
    step = max(1, _MOST_ROTATIONS // len(joints))
    for begin in range(0, len(values), step):
        chunk = slice(begin, begin + step)
        # Frames last: every operation is on long rows.
        columns = np.ascontiguousarray(values[chunk].T)
        n_frames = columns.shape[1]
        places, turns = {-1: np.zeros((3, n_frames))}, {-1: np.eye(3)[..., None]}
        for k, joint in enumerate(joints):
            local, turn = list(joint.offset), turns[joint.parent]
            own = turn
            for column, (axis, kind) in zip(
                columns[starts[k] : starts[k + 1]], joint.channels, strict=True
            ):
                if kind == "position":
                    local["XYZ".index(axis)] = column
                else:
                    own = _turned(own, axis, np.radians(column))
            place = places[joint.parent] + sum(turn[:, i] * local[i] for i in range(3))
            X[chunk, k] = place.T
            if k in is_parent:
                places[k], turns[k] = place, own
    return X


def _turned(turn, axis, angle):
    """Return matrices of shape (3, 3, n) times rotations about an axis."""
    i, j = {"X": (1, 2), "Y": (2, 0), "Z": (0, 1)}[axis]
    cosine, sine = np.cos(angle), np.sin(angle)
    turned = np.broadcast_to(turn, (3, 3, len(angle))).copy()
    turned[:, i] = cosine * turn[:, i] + sine * turn[:, j]
    turned[:, j] = cosine * turn[:, j] - sine * turn[:, i]
    return turned
