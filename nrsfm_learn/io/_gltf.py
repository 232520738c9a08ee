"""glTF 2.0: an animation of points and bones that common 3-D viewers play."""

import base64
import json
import struct

import numpy as np

from ._motion import check_points, interpolated, turned_y_up
from ._source import as_path, write_whole

_METRES = {"m": 1.0, "dm": 0.1, "cm": 0.01, "mm": 0.001, "km": 1000.0, "in": 0.0254, "ft": 0.3048}
_UBYTE, _USHORT, _UINT, _FLOAT = 5121, 5123, 5125, 5126
_COMPONENTS = {"|u1": _UBYTE, "<u2": _USHORT, "<u4": _UINT, "<f4": _FLOAT}
_SHAPES = {(): "SCALAR", (3,): "VEC3", (4,): "VEC4", (16,): "MAT4"}
_VERTICES, _INDICES = 34962, 34963
_MOST_BYTES = 2**32 - 1

# The marker of a point: an octahedron. Bones are octahedra drawn out from one point to the other.
_CORNERS = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], float)
_FACES = np.array(
    [[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]]
)
_SIDES = np.array([[a, b] for a in range(6) for b in range(a + 1, 6) if a // 2 != b // 2])
_COLOURS = {"points": [0.85, 0.33, 0.1, 1.0], "bones": [0.35, 0.4, 0.5, 1.0]}


def write_gltf(path, data, *, fps=None, radius=None, y_up=None):
    """Write 3-D points as an animated glTF file.

    Each point is a node with a small octahedron, moved by an animation of its translation with
    linear interpolation. The bones between them are one skinned mesh, whose joints are these
    nodes: a bone is drawn out from point to point, in each frame anew. (Lines would do in the
    file, but the common viewers do not skin lines.)

    A missing point has the scale 0 for as long as it is missing, which the specification gives as
    the way to hide a node; its position is interpolated meanwhile, so that a bone to it tapers to
    a tip there. A point that is never known has no bones and stays hidden. Individuals and clips
    follow one another as their rows do.

    Parameters
    ----------
    path : path-like
        File: ``.glb`` for a binary file, ``.gltf`` for JSON with the numbers in a data URI.
    data : Points3D
        Points. Known units of length are turned into metres, that of glTF; others are written as
        if they were metres.
    fps : float, default=None
        Frames a second at which to play; by default those of `data`, or 30 where they are unknown.
    radius : float, default=None
        Radius of a point in the unit of `data`; by default 1/60 of the median extent of a frame.
    y_up : bool, default=None
        Whether to write (x, -y, -z), that is y up as glTF has it. By default for data in the
        camera frame.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    TypeError
        If `data` is no Points3D.
    ValueError
        If the suffix is another, `fps` or `radius` is not positive, no point is ever known, or
        the numbers do not fit 32 bits.

    See Also
    --------
    write_ply : One file a frame.

    References
    ----------
    The Khronos 3D Formats Working Group, glTF 2.0 Specification, 2021, Sections 3.5.3
    "Transformations", 3.7.3 "Skins", 3.11 "Animations" and 4 "GLB File Format".
    """
    check_points(data, "glTF")
    path = as_path(path)
    if path.suffix.lower() not in (".glb", ".gltf"):
        raise ValueError(f"path={str(path)!r} must end in .glb or .gltf.")
    fps = (data.fps or 30.0) if fps is None else fps
    if not 0 < fps < np.inf:
        raise ValueError(f"fps must be positive and finite, got {fps!r}.")
    known = ~np.isnan(data.X).any(-1)
    if not known.any():
        raise ValueError("X has no point that is ever known: there is nothing to show.")
    X = interpolated(turned_y_up(data, y_up), data.groups)
    if radius is None:
        radius = _median_extent(X) / 60 or 1.0
    if not 0 < radius < np.inf:
        raise ValueError(f"radius must be positive and finite, got {radius!r}.")
    metres = _METRES.get(data.unit, 1.0)
    X, radius = np.nan_to_num(X) * metres, radius * metres
    if np.abs(X).max() + radius > np.finfo(np.float32).max:
        raise ValueError("X is too large for 32-bit floats: choose a larger unit.")
    builder = _Builder()
    document = _document(builder, X.astype(np.float32), known, data, float(fps), radius)
    if builder.size > _MOST_BYTES - 2**24:
        raise ValueError("the data do not fit the 4 GB of a glTF file: write them in parts.")
    return write_whole(path, _packed(document, builder.bytes(), path.suffix.lower() == ".glb"))


def _median_extent(X):
    """Median over the frames of the diagonal of the box around the points."""
    known = ~np.isnan(X).any(-1, keepdims=True)
    low, high = (f(np.where(known, X, e), axis=1) for f, e in ((np.min, np.inf), (np.max, -np.inf)))
    return float(np.median(np.linalg.norm((high - low)[known.any((1, 2))], axis=-1)))


class _Builder:
    """The buffer of a file: arrays one after the other, each on a boundary of four bytes."""

    def __init__(self):
        self.pieces, self.size = [], 0
        self.views, self.accessors = [], []

    def add(self, array, target=None, bounds=False):
        """Put an array into the buffer and return the index of its accessor."""
        data = np.ascontiguousarray(array).tobytes()
        view = {"buffer": 0, "byteOffset": self.size, "byteLength": len(data)}
        if target is not None:
            view["target"] = target
        accessor = {
            "bufferView": len(self.views),
            "componentType": _COMPONENTS[array.dtype.str],
            "count": len(array),
            "type": _SHAPES[array.shape[1:]],
        }
        if bounds:
            accessor["min"] = np.min(array, axis=0, keepdims=array.ndim == 1).tolist()
            accessor["max"] = np.max(array, axis=0, keepdims=array.ndim == 1).tolist()
        self.views.append(view)
        self.accessors.append(accessor)
        self.pieces.append(data + b"\0" * (-len(data) % 4))
        self.size += len(self.pieces[-1])
        return len(self.accessors) - 1

    def bytes(self):
        """Return the whole buffer."""
        return b"".join(self.pieces)


def _document(builder, X, known, data, fps, radius):
    """Fill the buffer and return the JSON part."""
    n_points = X.shape[1]
    nodes = [
        {"name": name, "mesh": 0, "translation": X[0, p].tolist()}
        for p, name in enumerate(data.names)
    ]
    for p in np.flatnonzero(~known[0]):
        nodes[p]["scale"] = [0.0, 0.0, 0.0]
    nodes.append({"name": "points", "children": list(range(n_points))})
    document = {
        "asset": {
            "version": "2.0",
            "generator": "nrsfm_learn",
            "extras": {"fps": fps, "unit": data.unit},
        },
        "scene": 0,
        "scenes": [{"nodes": [n_points]}],
        "nodes": nodes,
        "meshes": [{"name": "point", "primitives": [_marker(builder, radius)]}],
        "materials": [_material(name, colour) for name, colour in _COLOURS.items()],
    }
    ever = known.any(0)
    edges = np.array([e for e in data.edges if e[0] != e[1] and ever[list(e)].all()], dtype=int)
    if len(edges):
        document["scenes"][0]["nodes"].append(len(nodes))
        nodes.append({"name": "bones", "mesh": 1, "skin": 0})
        primitive, skin = _bones(builder, edges, X[0], radius / 3)
        document["meshes"].append({"name": "bones", "primitives": [primitive]})
        document["skins"] = [{**skin, "skeleton": n_points}]
    if len(X) > 1:
        document["animations"] = [_animation(builder, X, known, fps)]
    document["accessors"], document["bufferViews"] = builder.accessors, builder.views
    document["buffers"] = [{"byteLength": builder.size}]
    return document


def _material(name, colour):
    look = {"baseColorFactor": colour, "metallicFactor": 0.0, "roughnessFactor": 0.8}
    return {"name": name, "doubleSided": True, "pbrMetallicRoughness": look}


def _marker(builder, radius):
    return {
        "attributes": {
            "POSITION": builder.add((radius * _CORNERS).astype("<f4"), _VERTICES, bounds=True)
        },
        "indices": builder.add(_FACES.ravel().astype("<u2"), _INDICES),
        "material": 0,
    }


def _bones(builder, edges, rest, radius):
    """One octahedron at each end of each edge, in the first frame, and the walls between them."""
    joints, ends = np.unique(edges, return_inverse=True)
    ends = ends.reshape(edges.shape)
    vertices = rest[edges][:, :, None] + radius * _CORNERS
    n_vertices = vertices[..., 0].size
    a, b = _SIDES.T
    walls = np.concatenate([np.stack([a, b, b + 6], 1), np.stack([a, b + 6, a + 6], 1)])
    triangles = 12 * np.arange(len(edges))[:, None, None] + walls
    small = "|u1" if len(joints) <= 256 else "<u2"
    bound = np.zeros((n_vertices, 4), dtype=small)
    bound[:, 0] = np.repeat(ends.ravel(), len(_CORNERS))
    weights = np.tile(np.array([1, 0, 0, 0], dtype="<f4"), (n_vertices, 1))
    # Column-major: the translation is in the last four numbers.
    inverse = np.tile(np.eye(4, dtype="<f4").ravel(), (len(joints), 1))
    inverse[:, 12:15] = -rest[joints]
    primitive = {
        "attributes": {
            "POSITION": builder.add(vertices.reshape(-1, 3).astype("<f4"), _VERTICES, bounds=True),
            "JOINTS_0": builder.add(bound, _VERTICES),
            "WEIGHTS_0": builder.add(weights, _VERTICES),
        },
        "indices": builder.add(
            triangles.ravel().astype("<u2" if n_vertices < 65_535 else "<u4"), _INDICES
        ),
        "material": 1,
    }
    skin = {"joints": joints.tolist(), "inverseBindMatrices": builder.add(inverse)}
    return primitive, skin


def _animation(builder, X, known, fps):
    seconds = (np.arange(len(X)) / fps).astype("<f4")
    if (np.diff(seconds) <= 0).any():
        raise ValueError(f"fps={fps} is too high or too low for the 32-bit times of glTF.")
    times = builder.add(seconds, bounds=True)
    samplers, channels = [], []

    def channel(p, what, when, values, interpolation):
        output = builder.add(values.astype("<f4"))
        channels.append({"sampler": len(samplers), "target": {"node": int(p), "path": what}})
        samplers.append({"input": when, "output": output, "interpolation": interpolation})

    for p in range(X.shape[1]):
        if known[:, p].any():
            channel(p, "translation", times, X[:, p], "LINEAR")
        if known[:, p].any() and not known[:, p].all():
            changes = np.flatnonzero(np.diff(known[:, p], prepend=~known[0, p]))
            when = builder.add(seconds[changes], bounds=True)
            shown = np.repeat(known[changes, p][:, None], 3, axis=1)
            channel(p, "scale", when, shown, "STEP")
    return {"name": "motion", "samplers": samplers, "channels": channels}


def _packed(document, buffer, binary):
    """Return the bytes of the file."""
    if not binary:
        encoded = base64.b64encode(buffer).decode("ascii")
        document["buffers"][0]["uri"] = f"data:application/octet-stream;base64,{encoded}"
        return json.dumps(document, separators=(",", ":")).encode()
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    length = 12 + 8 + len(text) + 8 + len(buffer)
    return b"".join(
        [
            struct.pack("<III", 0x46546C67, 2, length),
            struct.pack("<II", len(text), 0x4E4F534A),
            text,
            struct.pack("<II", len(buffer), 0x004E4942),
            buffer,
        ]
    )
