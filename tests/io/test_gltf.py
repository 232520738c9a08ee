import base64
import json
import struct

import numpy as np
import pytest

from nrsfm_learn import io

COMPONENTS = {5121: np.uint8, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}
NAMES, EDGES = (
    ("nose", "ear", "tail", "f\N{LATIN SMALL LETTER U WITH DIAERESIS}r"),
    [(0, 1), (1, 2)],
)


def points(n_frames=5, seed=0, **others):
    X = np.random.default_rng(seed).normal(size=(n_frames, 4, 3)) * 50
    return io.Points3D(X, **{"names": NAMES, "edges": EDGES, "fps": 25, "axes": "y up", **others})


class Checked:
    """A reader and checker of glTF after the specification, apart from the writer."""

    def __init__(self, path):
        data = path.read_bytes()
        if path.suffix == ".glb":
            magic, version, length = struct.unpack("<4sII", data[:12])
            assert (magic, version, length) == (b"glTF", 2, len(data))
            n_json, kind = struct.unpack("<I4s", data[12:20])
            assert kind == b"JSON"
            assert n_json % 4 == 0
            self.json = json.loads(data[20 : 20 + n_json])
            n_bin, kind = struct.unpack("<I4s", data[20 + n_json : 28 + n_json])
            assert kind == b"BIN\0"
            assert n_bin % 4 == 0
            self.buffer = data[28 + n_json :]
            assert len(self.buffer) == n_bin
            assert "uri" not in self.json["buffers"][0]
        else:
            self.json = json.loads(data)
            head, _, body = self.json["buffers"][0]["uri"].partition(",")
            assert head == "data:application/octet-stream;base64"
            self.buffer = base64.b64decode(body, validate=True)
        assert self.json["asset"]["version"] == "2.0"
        assert [b["byteLength"] for b in self.json["buffers"]] == [len(self.buffer)]
        self.arrays = [self._array(a) for a in self.json["accessors"]]
        used = set()
        self._meshes(used)
        self._nodes()
        self._skins(used)
        self._animations(used)
        assert used == set(range(len(self.arrays)))

    def _array(self, accessor):
        view = self.json["bufferViews"][accessor["bufferView"]]
        assert view["buffer"] == 0
        assert "byteStride" not in view
        dtype = np.dtype(COMPONENTS[accessor["componentType"]]).newbyteorder("<")
        width = WIDTHS[accessor["type"]]
        start, length = view["byteOffset"], view["byteLength"]
        assert start % 4 == 0
        assert accessor.get("byteOffset", 0) == 0
        assert accessor["count"] >= 1
        assert length == accessor["count"] * width * dtype.itemsize
        assert start + length <= len(self.buffer)
        array = np.frombuffer(self.buffer[start : start + length], dtype).reshape(-1, width)
        if dtype.kind == "f":
            assert np.isfinite(array).all()
        if "min" in accessor:
            assert np.array_equal(np.float32(accessor["min"]), array.min(0))
            assert np.array_equal(np.float32(accessor["max"]), array.max(0))
        return array

    def _meshes(self, used):
        for mesh in self.json["meshes"]:
            for primitive in mesh["primitives"]:
                assert primitive.get("mode", 4) == 4
                assert 0 <= primitive["material"] < len(self.json["materials"])
                attributes = primitive["attributes"]
                position = self.json["accessors"][attributes["POSITION"]]
                assert (position["componentType"], position["type"]) == (5126, "VEC3")
                assert "min" in position
                n = position["count"]
                for index in attributes.values():
                    accessor = self.json["accessors"][index]
                    assert accessor["count"] == n
                    assert self.json["bufferViews"][accessor["bufferView"]]["target"] == 34962
                    assert self.arrays[index].strides[0] % 4 == 0
                indices = self.json["accessors"][primitive["indices"]]
                assert indices["componentType"] in (5123, 5125)
                assert indices["type"] == "SCALAR"
                assert self.json["bufferViews"][indices["bufferView"]]["target"] == 34963
                values = self.arrays[primitive["indices"]]
                assert len(values) % 3 == 0
                assert values.max() < n
                assert set(values.ravel().tolist()) == set(range(n))
                used |= {*attributes.values(), primitive["indices"]}

    def _nodes(self):
        nodes = self.json["nodes"]
        children = [c for node in nodes for c in node.get("children", [])]
        assert len(children) == len(set(children))
        roots = self.json["scenes"][self.json["scene"]]["nodes"]
        assert set(children) | set(roots) == set(range(len(nodes)))
        assert not set(children) & set(roots)
        for node in nodes:
            assert 0 <= node.get("mesh", 0) < len(self.json["meshes"])
            assert "skin" not in node or "mesh" in node

    def _skins(self, used):
        for node in self.json["nodes"]:
            if "skin" not in node:
                continue
            skin = self.json["skins"][node["skin"]]
            inverse = self.json["accessors"][skin["inverseBindMatrices"]]
            assert (inverse["componentType"], inverse["type"]) == (5126, "MAT4")
            assert inverse["count"] >= len(skin["joints"])
            assert len(set(skin["joints"])) == len(skin["joints"])
            assert set(skin["joints"]) <= set(self.json["nodes"][skin["skeleton"]]["children"])
            used.add(skin["inverseBindMatrices"])
            for primitive in self.json["meshes"][node["mesh"]]["primitives"]:
                joints = self.arrays[primitive["attributes"]["JOINTS_0"]]
                weights = self.arrays[primitive["attributes"]["WEIGHTS_0"]]
                assert joints.dtype in (np.uint8, np.uint16)
                assert joints.max() < len(skin["joints"])
                assert not joints[weights == 0].any()
                np.testing.assert_array_equal(weights.sum(1), 1)

    def _animations(self, used):
        for animation in self.json.get("animations", []):
            targets = [(c["target"]["node"], c["target"]["path"]) for c in animation["channels"]]
            assert len(targets) == len(set(targets))
            assert {c["sampler"] for c in animation["channels"]} == set(
                range(len(animation["samplers"]))
            )
            for sampler in animation["samplers"]:
                accessor = self.json["accessors"][sampler["input"]]
                assert (accessor["componentType"], accessor["type"]) == (5126, "SCALAR")
                assert "min" in accessor
                times = self.arrays[sampler["input"]][:, 0]
                assert times[0] >= 0
                assert (np.diff(times) > 0).all()
                assert len(self.arrays[sampler["output"]]) == len(times)
                used |= {sampler["input"], sampler["output"]}

    def at(self, seconds):
        """Translation and scale of every node at a time."""
        nodes = self.json["nodes"]
        found = {
            "translation": np.array([n.get("translation", [0, 0, 0]) for n in nodes], float),
            "scale": np.array([n.get("scale", [1, 1, 1]) for n in nodes], float),
        }
        for animation in self.json.get("animations", []):
            for channel in animation["channels"]:
                sampler = animation["samplers"][channel["sampler"]]
                times = self.arrays[sampler["input"]][:, 0]
                values = self.arrays[sampler["output"]].astype(float)
                if sampler["interpolation"] == "STEP":
                    value = values[max(np.searchsorted(times, seconds, side="right") - 1, 0)]
                else:
                    value = [np.interp(seconds, times, column) for column in values.T]
                found[channel["target"]["path"]][channel["target"]["node"]] = value
        return found["translation"], found["scale"]

    def bones(self, seconds):
        """Vertices of the skinned mesh at a time, (n_bones, 2, 6, 3)."""
        translation, scale = self.at(seconds)
        skin = self.json["skins"][0]
        attributes = self.json["meshes"][1]["primitives"][0]["attributes"]
        vertices = self.arrays[attributes["POSITION"]].astype(float)
        # glTF stores matrices by columns.
        inverse = self.arrays[skin["inverseBindMatrices"]].reshape(-1, 4, 4).swapaxes(1, 2)
        joints = self.arrays[attributes["JOINTS_0"]][:, 0]
        bound = np.einsum("nij,nj->ni", inverse[joints], np.c_[vertices, np.ones(len(vertices))])
        nodes = np.array(skin["joints"])[joints]
        moved = translation[nodes] + scale[nodes] * bound[:, :3]
        return moved.reshape(-1, 2, 6, 3)


@pytest.mark.parametrize("suffix", [".glb", ".gltf"])
def test_motion(tmp_path, suffix):
    data = points()
    path = io.write(tmp_path / f"a{suffix}", data)
    file = Checked(path)
    assert [node["name"] for node in file.json["nodes"][:4]] == list(NAMES)
    for f in range(5):
        translation, scale = file.at(np.float32(f / 25))
        np.testing.assert_allclose(translation[:4], data.X[f], rtol=1e-5, atol=1e-4)
        np.testing.assert_array_equal(scale, 1)
        bones = file.bones(np.float32(f / 25))
        # Each end is an octahedron around its point.
        np.testing.assert_allclose(bones.mean(2), data.X[f][np.array(EDGES)], rtol=1e-5, atol=1e-3)
        radii = np.linalg.norm(bones - bones.mean(2, keepdims=True), axis=-1)
        np.testing.assert_allclose(radii, radii[0, 0, 0], rtol=1e-3)
    # Half way between two frames.
    translation, _ = file.at(1.5 / 25)
    np.testing.assert_allclose(translation[:4], (data.X[1] + data.X[2]) / 2, rtol=1e-4, atol=1e-3)


def test_both_kinds_hold_the_same(tmp_path):
    a, b = (Checked(io.write(tmp_path / f"a{s}", points())) for s in (".glb", ".gltf"))
    assert a.buffer == b.buffer
    b.json["buffers"][0].pop("uri")
    assert a.json == b.json


def test_walls_close_each_bone(tmp_path):
    """From each side of a bone there is a wall: the walls enclose both ends."""
    file = Checked(io.write(tmp_path / "a.glb", points()))
    primitive = file.json["meshes"][1]["primitives"][0]
    triangles = file.arrays[primitive["indices"]].reshape(-1, 24, 3)
    ends = file.bones(0)
    for bone, part in enumerate(triangles):
        assert set(part.ravel()) == set(range(12 * bone, 12 * bone + 12))
        vertices = ends.reshape(-1, 3)[part]
        a, b = ends[bone].mean(1)
        axis = (b - a) / np.linalg.norm(b - a)
        # A ray from the middle of the bone across it hits at least one wall.
        for across in np.cross(axis, np.random.default_rng(0).normal(size=(20, 3))):
            assert any(_hits((a + b) / 2, across, corners) for corners in vertices)


def _hits(origin, direction, corners):
    matrix = np.stack([corners[1] - corners[0], corners[2] - corners[0], -direction], axis=1)
    if abs(np.linalg.det(matrix)) < 1e-12:
        return False
    u, v, t = np.linalg.solve(matrix, origin - corners[0])
    return u >= -1e-9 and v >= -1e-9 and u + v <= 1 + 1e-9 and t > 0


def test_missing_points(tmp_path):
    data = points(6)
    X = data.X.copy()
    X[2:4, 1] = X[0, 2] = X[5, 2] = np.nan
    X[:, 3] = np.nan
    file = Checked(io.write(tmp_path / "a.glb", data.replace(X=X, edges=[*EDGES, (2, 3)])))
    expected = data.X.copy()
    expected[2], expected[3] = expected[1], expected[4]
    for f in range(6):
        translation, scale = file.at(np.float32(f / 25))
        known = ~np.isnan(X[f]).any(-1)
        np.testing.assert_array_equal(scale[:4], known[:, None] * np.ones(3))
        np.testing.assert_allclose(translation[:4][known], X[f][known], rtol=1e-5, atol=1e-3)
    # In its gap a point is interpolated, and its bones taper to it.
    translation, _ = file.at(np.float32(2 / 25))
    where = (2 * X[1, 1] + X[4, 1]) / 3
    np.testing.assert_allclose(translation[1], where, rtol=1e-4, atol=1e-3)
    bones = file.bones(np.float32(2 / 25))
    np.testing.assert_allclose(bones[0, 1], np.tile(where, (6, 1)), rtol=1e-4, atol=1e-3)
    assert len(bones) == 2


def test_one_frame_is_still(tmp_path):
    X = points(1).X
    X[0, 3] = np.nan
    file = Checked(io.write(tmp_path / "a.glb", points(1).replace(X=X)))
    assert "animations" not in file.json
    translation, scale = file.at(0)
    np.testing.assert_allclose(translation[:3], X[0, :3], rtol=1e-5)
    assert scale[:4, 0].tolist() == [1, 1, 1, 0]


def test_without_edges(tmp_path):
    file = Checked(io.write(tmp_path / "a.glb", points(edges=())))
    assert "skins" not in file.json
    assert len(file.json["meshes"]) == 1


@pytest.mark.parametrize(
    ("axes", "y_up", "turned"),
    [(io.Points3D.axes, None, True), ("y up", None, False), ("y up", True, True)],
)
def test_y_up(tmp_path, axes, y_up, turned):
    data = points(axes=axes)
    translation, _ = Checked(io.write(tmp_path / "a.glb", data, y_up=y_up)).at(0)
    expected = data.X[0] * ([1, -1, -1] if turned else 1)
    np.testing.assert_allclose(translation[:4], expected, rtol=1e-5)


@pytest.mark.parametrize(("unit", "metres"), [("mm", 1e-3), ("m", 1), ("", 1), ("px", 1)])
def test_units(tmp_path, unit, metres):
    data = points(unit=unit)
    file = Checked(io.write(tmp_path / "a.glb", data, radius=3))
    translation, _ = file.at(0)
    np.testing.assert_allclose(translation[:4], metres * data.X[0], rtol=1e-5)
    marker = file.arrays[file.json["meshes"][0]["primitives"][0]["attributes"]["POSITION"]]
    np.testing.assert_allclose(np.linalg.norm(marker, axis=1), 3 * metres, rtol=1e-6)


def test_frame_rate(tmp_path):
    def length(**others):
        options = {"fps": others.pop("option")} if "option" in others else {}
        file = Checked(io.write(tmp_path / "a.glb", points(**others), **options))
        return file.arrays[file.json["animations"][0]["samplers"][0]["input"]].max()

    assert length() == pytest.approx(4 / 25)
    assert length(fps=None) == pytest.approx(4 / 30)
    assert length(option=10) == pytest.approx(4 / 10)


def test_compact(tmp_path):
    data = points(1000)
    size = io.write(tmp_path / "a.glb", data).stat().st_size
    assert size < 1000 * 4 * 12 + 1000 * 4 + 8000


def test_many_points(tmp_path):
    n = 3000
    X = np.random.default_rng(0).normal(size=(2, n, 3))
    data = io.Points3D(X, edges=[(k, k + 1) for k in range(n - 1)], fps=30)
    file = Checked(io.write(tmp_path / "a.glb", data, y_up=False))
    np.testing.assert_allclose(file.bones(0).mean(2)[:, 0], X[0, :-1], atol=1e-4)


def test_individuals_are_not_mixed(tmp_path):
    X = points(4).X
    X[1, 0] = np.nan
    data = points(4).replace(X=X, individuals=("a", "b"), individual=[0, 0, 1, 1])
    translation, _ = Checked(io.write(tmp_path / "a.glb", data)).at(np.float32(1 / 25))
    np.testing.assert_allclose(translation[0], X[0, 0], rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "change", "options", "message"),
    [
        ("a.txt", {}, {"format": "gltf"}, r"must end in .glb or .gltf"),
        ("a.glb", {}, {"fps": 0}, "fps must be positive"),
        ("a.glb", {}, {"fps": 1e50}, "32-bit times"),
        ("a.glb", {}, {"radius": -1}, "radius must be positive"),
        ("a.glb", {}, {"y_up": 2}, "y_up must be"),
        ("a.glb", {"X": np.full((5, 4, 3), np.nan)}, {}, "no point that is ever known"),
        ("a.glb", {"X": np.full((5, 4, 3), 1e40)}, {}, "too large for 32-bit"),
    ],
)
def test_not_writable(tmp_path, name, change, options, message):
    with pytest.raises(ValueError, match=message):
        io.write(tmp_path / name, points().replace(**change), **options)
    assert not list(tmp_path.iterdir())
