"""Reader of motion capture in the Acclaim format: a skeleton (ASF) and its motion (AMC)."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation
from sklearn.utils import Bunch

from nrsfm_learn.datasets._kinematics import depth_first, forward_kinematics

_INCH = 0.0254


class _Bone(NamedTuple):
    vector: np.ndarray
    axis: Rotation
    dofs: tuple


class _Asf(NamedTuple):
    bones: dict
    parents: tuple
    root_order: tuple
    root_position: np.ndarray
    length: float


def load_asf_amc(asf, amc, *, scale=None, fps=120.0):
    r"""Read one motion capture clip in the Acclaim format and compute its joints.

    Bone b has the rest direction and length :math:`v_b` and the axes :math:`C_b`; with the
    rotation :math:`M_b` of the AMC file,

    .. math::
        G_b = G_{\pi(b)}\, C_b M_b C_b^{-1}, \qquad x_b = x_{\pi(b)} + G_b v_b .

    Parameters
    ----------
    asf, amc : path, str or file
        Skeleton and motion: a path, the text itself, or an object with ``read``.
    scale : float, optional
        Metres for one unit of the file. By default the file's unit is taken as in the CMU
        database, where a length l means l / 0.45 inches: ``0.0254 / length`` with the ``length``
        of the ASF file's units.
    fps : float
        Frames a second, which the files do not tell; 120 in the CMU database.

    Returns
    -------
    Bunch
        - X : ndarray of shape (n_frames, n_joints, 3), joints in world coordinates (y up), metres.
          The first joint is the root; a joint has the name of the bone that ends in it.
        - names : list of str.
        - edges : list of (parent, child).
        - fps : float.

    Raises
    ------
    ValueError
        If a file is malformed; the message gives file and line.

    See Also
    --------
    load_cmu_joints : All clips of one subject.

    References
    ----------
    Carnegie Mellon University Graphics Lab, Motion Capture Database, ASF/AMC format.
    """
    skeleton = _parse_asf(*_read(asf, "asf"))
    widths = {"root": len(skeleton.root_order)}
    widths |= {name: len(b.dofs) for name, b in skeleton.bones.items() if b.dofs}
    motion, degrees = _parse_amc(*_read(amc, "amc"), widths)
    if scale is None:
        scale = _INCH / skeleton.length
    n = len(motion["root"])
    names = ["root", *skeleton.bones]
    rotations = np.empty((n, len(names), 3, 3))
    turns = [k for k, channel in enumerate(skeleton.root_order) if channel[0] == "R"]
    axes = "".join(skeleton.root_order[k][1] for k in turns).lower()
    rotations[:, 0] = Rotation.from_euler(axes, motion["root"][:, turns], degrees).as_matrix()
    for j, (name, bone) in enumerate(skeleton.bones.items(), start=1):
        if bone.dofs:
            turn = Rotation.from_euler("".join(bone.dofs), motion[name], degrees)
            rotations[:, j] = (bone.axis * turn * bone.axis.inv()).as_matrix()
        else:
            rotations[:, j] = np.eye(3)
    offsets = np.array([np.zeros(3), *(b.vector for b in skeleton.bones.values())])
    moves = [skeleton.root_order.index("T" + axis) for axis in "XYZ"]
    root = skeleton.root_position + motion["root"][:, moves]
    X = forward_kinematics(skeleton.parents, scale * offsets, rotations, scale * root)
    edges = [(p, j) for j, p in enumerate(skeleton.parents) if p >= 0]
    return Bunch(X=X, names=names, edges=edges, fps=float(fps))


def _read(source, kind):
    """Return lines and a label for messages."""
    if hasattr(source, "read"):
        text = source.read()
        if isinstance(text, bytes):
            text = text.decode("utf-8", "replace")
        return text.splitlines(), str(getattr(source, "name", f"<{kind}>"))
    if isinstance(source, str) and "\n" in source:
        return source.splitlines(), f"<{kind}>"
    path = Path(source)
    return path.read_text("utf-8", "replace").splitlines(), str(path)


def _fail(label, number, message):
    raise ValueError(f"{label}, line {number}: {message}")


def _numbers(fields, count, label, number):
    try:
        values = [float(v) for v in fields]
    except ValueError:
        _fail(label, number, f"expected numbers, found {' '.join(fields)!r}.")
    if len(values) != count or not np.isfinite(values).all():
        _fail(label, number, f"expected {count} finite numbers, found {' '.join(fields)!r}.")
    return values


def _parse_asf(lines, label):
    section, block, begun = "", {}, 0
    units = {"length": (1.0, 0), "angle": ("deg", 0)}
    root, bones, parents = {}, {}, {}
    for number, line in enumerate(lines, start=1):
        fields = line.split("#")[0].split()
        if not fields:
            continue
        key, values = fields[0], fields[1:]
        if key.startswith(":"):
            section = key
        elif key == "begin":
            block, begun = {}, number
        elif key == "end":
            if section == ":bonedata":
                name, bone = _bone(block, units["angle"][0], label, begun)
                if name in bones:
                    _fail(label, begun, f"a second bone is called {name!r}.")
                bones[name] = bone
        elif section == ":units" and key == "length":
            units[key] = (_numbers(values, 1, label, number)[0], number)
        elif section == ":units" and key == "angle":
            units[key] = (values[0] if values else "", number)
        elif section == ":root":
            root[key] = (values, number)
        elif section == ":bonedata":
            block[key] = (values, number)
        elif section == ":hierarchy":
            for child in values:
                if child not in bones:
                    _fail(label, number, f"bone {child!r} is not in the bone data.")
                parents[child] = key
    length, number = units["length"]
    if length <= 0:
        _fail(label, number, f"the unit of length must be positive, found {length}.")
    if units["angle"][0] not in ("deg", "rad"):
        _fail(label, units["angle"][1], "the unit of angles must be deg or rad.")
    return _assemble(bones, parents, root, length, label, len(lines))


def _assemble(bones, parents, root, length, label, last):
    """Check the tree and the root, and put the skeleton together."""
    names = ["root", *bones]
    for name in bones:
        if parents.get(name) not in names:
            _fail(label, last, f"bone {name!r} has no parent in the hierarchy.")
    tree = (-1, *(names.index(parents[name]) for name in bones))
    reached = depth_first(tree)
    if not bones or len(reached) < len(names):
        lost = [name for j, name in enumerate(names) if j not in reached]
        _fail(label, last, f"bones {lost} are not connected to the root.")
    order, number = root.get("order", ([], last))
    if sorted(order) != ["RX", "RY", "RZ", "TX", "TY", "TZ"]:
        _fail(label, number, "the root's order must hold TX TY TZ RX RY RZ, each once.")
    zeros = ["0", "0", "0"]
    values, number = root.get("orientation", (zeros, last))
    if any(_numbers(values, 3, label, number)):
        _fail(label, number, "a root that starts rotated (orientation not 0 0 0) is not supported.")
    values, number = root.get("position", (zeros, last))
    position = np.array(_numbers(values, 3, label, number))
    return _Asf(bones, tree, tuple(order), position, length)


def _bone(block, angle, label, begun):
    for key in ("name", "direction", "length", "axis"):
        if key not in block:
            _fail(label, begun, f"the bone that begins here has no {key!r}.")
    name, number = block["name"]
    if len(name) != 1:
        _fail(label, number, "expected one name.")
    direction = _numbers(block["direction"][0], 3, label, block["direction"][1])
    length = _numbers(block["length"][0], 1, label, block["length"][1])[0]
    values, number = block["axis"]
    axis = _numbers(values[:3], 3, label, number)
    order = values[3].lower() if len(values) == 4 else ""
    if sorted(order) != ["x", "y", "z"]:
        _fail(label, number, "expected three angles and their order, such as XYZ.")
    dofs, number = block.get("dof", ([], begun))
    if not set(dofs) <= {"rx", "ry", "rz"} or len(set(dofs)) < len(dofs):
        _fail(label, number, f"only rotations rx ry rz are supported, found {' '.join(dofs)!r}.")
    vector = length * np.array(direction)
    rest = Rotation.from_euler(order, axis, degrees=angle == "deg")
    return name[0], _Bone(vector, rest, tuple(d[1] for d in dofs))


def _parse_amc(lines, label, widths):
    """Return the values of each bone, (n_frames, width), and whether they are degrees."""
    rows = {name: [] for name in widths}
    n_frames, degrees = 0, True

    def check_complete(number):
        lacking = [name for name, values in rows.items() if len(values) < n_frames]
        if lacking:
            _fail(label, number, f"frame {n_frames} ends without {', '.join(lacking)}.")

    for number, line in enumerate(lines, start=1):
        fields = line.split("#")[0].split()
        if not fields:
            continue
        name = fields[0]
        if name.startswith(":"):
            degrees = degrees and name.upper() != ":RADIANS"
        elif len(fields) == 1 and name.isdigit():
            check_complete(number)
            n_frames += 1
        elif name not in rows:
            _fail(label, number, f"{name!r} is no bone with degrees of freedom of the skeleton.")
        elif len(rows[name]) != n_frames - 1:
            problem = f"a second time in frame {n_frames}" if n_frames else "before any frame"
            _fail(label, number, f"{name!r} appears {problem}.")
        else:
            rows[name].append(_numbers(fields[1:], widths[name], label, number))
    check_complete(len(lines))
    if n_frames == 0:
        _fail(label, len(lines), "the file has no frames.")
    return {name: np.array(values) for name, values in rows.items()}, degrees
