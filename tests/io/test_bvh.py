import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from nrsfm_learn import io
from nrsfm_learn.datasets._kinematics import forward_kinematics

BVH = """HIERARCHY
ROOT Hips
{
  OFFSET 1.0 2.0 3.0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Chest
  {
    OFFSET 0 5 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 0 2 0
    }
  }
  JOINT Leg {
    OFFSET 1 -1 0
    CHANNELS 1 Xrotation
    End Site { OFFSET 0 0 0 }
  }
}
MOTION
Frames: 3
Frame Time: 0.0333333
0 0 0 0 0 0 0 0 0 0
10 20 30 90 0 0 0 0 0 0
0 0 0 0 0 0 90 90 0 45
"""


def saved(tmp_path, text, name="a.bvh"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_known_answers(tmp_path):
    path = saved(tmp_path, BVH)
    found = io.read(path)
    assert found.names == ("Hips", "Chest", "Chest_end", "Leg")
    assert found.edges == ((0, 1), (1, 2), (0, 3))
    assert (found.fps, found.unit) == (30.0, "")
    assert found.axes == "as in the file (y up by custom)"
    assert found.source == io.Source(
        "bvh", str(path), ("1 end sites without length are no points",)
    )
    expected = [
        # the position channels of the root take the place of its offset
        [[0, 0, 0], [0, 5, 0], [0, 7, 0], [1, -1, 0]],
        # 90 degrees about z: (x, y) -> (-y, x)
        [[10, 20, 30], [5, 20, 30], [3, 20, 30], [11, 21, 30]],
        # Chest: Rz(90) Rx(90): (0, 2, 0) -> (0, 0, 2) -> (0, 0, 2)
        [[0, 0, 0], [0, 5, 0], [0, 5, 2], [1, -1, 0]],
    ]
    np.testing.assert_allclose(found.X, expected, atol=1e-12)


def test_line_ends_and_case(tmp_path):
    for k, text in enumerate(
        [
            BVH.replace("\n", "\r\n"),
            BVH.replace("rotation", "Rotation").replace("position", "POSITION"),
            "\ufeff" + BVH + "\n\n",
            BVH.replace("  ", "\t"),
            BVH.replace("Frame Time", "FRAME TIME").replace("HIERARCHY", "\nhierarchy"),
        ]
    ):
        path = tmp_path / f"{k}.bvh"
        path.write_bytes(text.encode())
        np.testing.assert_array_equal(io.read(path).X, io.read(saved(tmp_path, BVH)).X)


def test_position_channels_of_any_joint(tmp_path):
    text = BVH.replace("CHANNELS 1 Xrotation", "CHANNELS 2 Xrotation Yposition")
    text = "\n".join(f"{line} -4" if line[:1].isdigit() else line for line in text.splitlines())
    X = io.read_bvh(saved(tmp_path, text)).X
    np.testing.assert_allclose(X[:, 3], [[1, -4, 0], [14, 21, 30], [1, -4, 0]], atol=1e-12)


def test_root_without_position_channels(tmp_path):
    text = (
        "HIERARCHY\nROOT a b\n{\nOFFSET 1 2 3\nCHANNELS 1 Yrotation\nJOINT c\n{\nOFFSET 1 0 0\n"
        "End Site\n{\nOFFSET 0 0 1\n}\n}\n}\nMOTION\nFrames: 1\nFrame Time: .01\n90\n"
    )
    found = io.read_bvh(saved(tmp_path, text))
    assert found.names == ("a b", "c", "c_end")
    assert found.fps == 100
    np.testing.assert_allclose(found.X, [[[1, 2, 3], [1, 2, 2], [2, 2, 2]]], atol=1e-12)


def test_repeated_names(tmp_path):
    found = io.read_bvh(saved(tmp_path, BVH.replace("JOINT Leg", "JOINT Chest")))
    assert found.names == ("Hips", "Chest", "Chest_end", "Chest_2")
    assert "'Chest_2'" in found.source.notes[0]


@pytest.mark.parametrize(
    ("stated", "fps"),
    [("0.008333", 120), ("0.04", 25), ("0.033367", 29.97), ("2.5", 0.4), ("1e-3", 1000)],
)
def test_frame_time(tmp_path, stated, fps):
    found = io.read_bvh(saved(tmp_path, BVH.replace("0.0333333", stated)))
    assert found.fps == pytest.approx(fps, rel=2e-5)
    if fps == round(fps):
        assert found.fps == fps


@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 8), order=st.permutations("XYZ"))
def test_agrees_with_forward_kinematics(tmp_path, seed, n, order):
    """Random trees against the package's kinematics, in which a joint turns its own bone."""
    rng = np.random.default_rng(seed)
    parents = [-1] + [int(rng.integers(0, j)) for j in range(1, n)]
    offsets = rng.normal(size=(n, 3))
    angles, root = rng.uniform(-180, 180, (4, n, 3)), rng.normal(size=(4, 3))
    text, order_written = ["HIERARCHY"], []

    def write(j):
        order_written.append(j)
        text.append(f"{'ROOT' if j == 0 else 'JOINT'} j{j}")
        text.append("{\nOFFSET " + " ".join(map(repr, offsets[j].tolist())))
        position = "Xposition Yposition Zposition " if j == 0 else ""
        turns = " ".join(f"{axis}rotation" for axis in order)
        text.append(f"CHANNELS {6 if j == 0 else 3} {position}{turns}")
        for c in range(n):
            if parents[c] == j:
                write(c)
        text.append("}")

    write(0)
    text += ["MOTION", "Frames: 4", "Frame Time: 0.01"]
    for f in range(4):
        row = [*root[f], *angles[f, order_written].ravel()]
        text.append(" ".join(map(repr, map(float, row))))
    own = Rotation.from_euler("".join(order), angles.reshape(-1, 3), degrees=True)
    own = own.as_matrix().reshape(4, n, 3, 3)
    of_parent = np.stack([own[:, p] if p >= 0 else np.tile(np.eye(3), (4, 1, 1)) for p in parents])
    expected = forward_kinematics(parents, offsets, of_parent.swapaxes(0, 1), root)
    found = io.read_bvh(saved(tmp_path, "\n".join(text)))
    assert found.names == tuple(f"j{j}" for j in order_written)
    np.testing.assert_allclose(found.X, expected[:, order_written], atol=1e-9)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("HIERARCHY", "HIERARCH", "line 1: a BVH file begins with HIERARCHY"),
        ("ROOT Hips", "ROOT", "line 2: ROOT without a name"),
        ("ROOT Hips", "JOINT Hips", "line 2: 'JOINT' outside of any joint"),
        ("ROOT Hips\n{", "ROOT Hips\n", "line 4: expected { after 'Hips', found 'OFFSET'"),
        ("  JOINT Chest\n", "", "line 6: { without a joint before it"),
        ("  JOINT Chest\n", "  JOIN Chest\n", "line 6: unknown statement 'JOIN'"),
        ("  JOINT Chest\n", "  ROOT Chest\n", "line 6: ROOT inside a joint"),
        ("OFFSET 0 5 0", "OFFSET 0 5", "line 8: expected three numbers after OFFSET"),
        ("OFFSET 0 5 0", "OFFSET 0 five 0", "line 8: expected three numbers after OFFSET"),
        ("OFFSET 0 5 0", "OFFSET 0 nan 0", "line 8: expected three numbers after OFFSET"),
        ("OFFSET 0 5 0", "OFFSET 0 1e999 0", "line 8: expected three numbers after OFFSET"),
        ("    OFFSET 0 5 0\n", "", "line 6: joint 'Chest' has no OFFSET"),
        ("OFFSET 0 5 0", "OFFSET 0 5 0\nOFFSET 0 5 0", "line 9: a second OFFSET of 'Chest'"),
        ("CHANNELS 3", "CHANNELS 2", "line 9: expected CHANNELS, their number"),
        ("CHANNELS 3", "CHANNELS", "line 9: expected CHANNELS, their number"),
        ("CHANNELS 3 Zrotation", "CHANNELS 3 Wrotation", "line 9: expected CHANNELS"),
        ("CHANNELS 3 Zrotation", "CHANNELS 3 Xrotation", "line 9: expected CHANNELS"),
        ("      OFFSET 0 2 0", "      CHANNELS 0", "line 12: an End Site has nothing but"),
        ("Frames: 3", "Frames: 4", "line 26: the file states 4 frames and has 3"),
        ("Frames: 3", "Frames: 2", "line 26: the file states 2 frames and has 3"),
        ("Frames: 3", f"Frames: {10**17}", "line 26: the file states 100,000,000"),
        ("Frames: 3", "Frames: -3", "line 22: expected 'Frames:' and a number"),
        ("Frames: 3\n", "", "line 22: expected 'Frames:' and a number"),
        ("0.0333333", "0", "line 23: the frame time must be positive"),
        ("0.0333333", "nan", "line 23: the frame time must be positive"),
        ("0.0333333", "fast", "line 23: the frame time must be positive"),
        ("0.0333333", "", "line 23: expected 'Frame Time:' and a number"),
        ("10 20 30", "10 x 30", "line 25: expected a number, found 'x'"),
        ("10 20 30", "10 nan 30", "line 25: expected a number, found 'nan'"),
        ("10 20 30", "10 1e999 30", "line 25: expected a number, found '1e999'"),
        ("10 20 30", "10 2_0 30", "line 25: expected a number, found '2_0'"),
        ("10 20 30", "10,20,30", "line 25: 8 numbers, and the channels are 10"),
        ("10 20 30", "10 20", "line 25: 9 numbers, and the channels are 10"),
        ("10 20 30", "10 20 30 40", "line 25: 11 numbers, and the channels are 10"),
        ("10 20 30", "1e308 1e308 30", "frame 1: the positions are too large"),
        ("Zrotation Xrotation Yrotation\n  J", "Zrotation Xrotation\n  J", "line 5: expected"),
        ("}\nMOTION", "MOTION", "line 20: joint 'Hips' is not closed"),
        ("}\nMOTION", "}\n}\nMOTION", "line 21: } without a { before it"),
        ("}\nMOTION", "}\nROOT b\n{\nOFFSET 0 0 0\n}\nMOTION", "line 21: a second ROOT"),
        ("MOTION", "", "line 22: 'FRAMES:' outside of any joint|'Frames:' outside of any"),
    ],
)
def test_malformed(tmp_path, old, new, message):
    assert BVH.count(old) >= 1
    path = saved(tmp_path, BVH.replace(old, new, 1))
    with pytest.raises(io.FileFormatError, match=message) as caught:
        io.read(path)
    assert str(caught.value).startswith(str(path))


def test_every_truncation_is_an_error(tmp_path):
    text = BVH.rstrip("\n")
    whole = io.read_bvh(saved(tmp_path, text)).X
    for n in range(len(text) - 2):
        path = saved(tmp_path, text[:n])
        if n == 0:
            continue
        with pytest.raises(io.FileFormatError):
            io.read_bvh(path)
    # Cut in the last number, a file cannot be told from a whole one.
    assert whole.shape == (3, 4, 3)


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 100, b"\xff\xfe" + BVH.encode("utf-16-le"), b"MOTION\n", b"{" * 9999]
)
def test_no_bvh(tmp_path, content):
    path = tmp_path / "a.bvh"
    path.write_bytes(content)
    with pytest.raises(io.FileFormatError):
        io.read_bvh(path)


def chain(n):
    head = "HIERARCHY\nROOT r\n{\nOFFSET 0 0 0\nCHANNELS 1 Xposition\n"
    joint = "JOINT j\n{\nOFFSET 0 1 0\n"
    tail = "}\n" * (n + 1) + "MOTION\nFrames: 1\nFrame Time: 1\n7\n"
    return head + joint * n + tail


def test_deep_nesting(tmp_path):
    found = io.read_bvh(saved(tmp_path, chain(5000)))
    np.testing.assert_allclose(found.X[0, -1], [7, 5000, 0])


def test_small_file_cannot_ask_for_all_memory(tmp_path):
    text = chain(3000).replace("Frames: 1\n", "Frames: 5000\n") + "7\n" * 4999
    with pytest.raises(io.FileFormatError, match="most of them without channels"):
        io.read_bvh(saved(tmp_path, text))


def test_overflow(tmp_path):
    text = chain(2).replace("0 1 0", "0 1.7e308 0")
    with pytest.raises(io.FileFormatError, match="frame 0: the positions are too large"):
        io.read_bvh(saved(tmp_path, text))


def test_big_file_is_quick(tmp_path):
    n_frames, n_joints = 20_000, 30
    names = "".join(
        f"JOINT j{k}\n{{\nOFFSET 0 1 0\nCHANNELS 3 Zrotation Xrotation Yrotation\n}}\n"
        for k in range(n_joints)
    )
    row = " ".join(["12.345678"] * 3 * n_joints)
    path = saved(
        tmp_path,
        f"HIERARCHY\nROOT r\n{{\nOFFSET 0 0 0\n{names}}}\nMOTION\nFrames: {n_frames}\n"
        f"Frame Time: 0.01\n" + f"{row}\n" * n_frames,
    )
    start = time.perf_counter()
    assert io.read_bvh(path).X.shape == (n_frames, n_joints + 1, 3)
    assert time.perf_counter() - start < 10


# The writer.

PARENTS = (-1, 0, 1, 1, 3, 0, 5, 6)
NAMES = ("hip", "spine", "head", "neck", "hand", "knee", "foot", "toe")
EDGES = tuple((p, j) for j, p in enumerate(PARENTS) if p >= 0)


def walk(seed=0, n_frames=12, parents=PARENTS, size=1.0, **others):
    """A skeleton with bones of constant length whose every joint turns its children."""
    rng = np.random.default_rng(seed)
    n = len(parents)
    time_axis = np.linspace(0, 1, n_frames)
    amplitude = rng.normal(size=(n, 3)) * 0.7
    turns = Rotation.from_rotvec(
        (np.sin(6 * time_axis[:, None, None] + np.arange(n)[:, None]) * amplitude).reshape(-1, 3)
    )
    local = turns.as_matrix().reshape(n_frames, n, 3, 3)
    of_parent = np.stack(
        [local[:, p] if p >= 0 else np.broadcast_to(np.eye(3), (n_frames, 3, 3)) for p in parents],
        1,
    )
    offsets = size * rng.normal(size=(n, 3))
    root = size * (rng.normal(size=3) + time_axis[:, None] * rng.normal(size=3))
    X = forward_kinematics(list(parents), offsets, of_parent, root)
    names = NAMES if parents == PARENTS else [f"p{k}" for k in range(n)]
    edges = [(p, j) for j, p in enumerate(parents) if p >= 0]
    others = {"fps": 30.0, "axes": "x, y up, z", **others}
    return io.Points3D(X, names=names, edges=edges, **others)


def by_name(found, data):
    """The points of what was read in the order of what was written."""
    assert set(found.names) == set(data.names)
    return found.X[:, [found.names.index(name) for name in data.names]]


def error(found, X):
    return np.abs(found - X).max() / np.abs(X - X.mean(1, keepdims=True)).max()


@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 10_000),
    shape=st.lists(st.integers(0, 100), min_size=0, max_size=9),
    size=st.sampled_from([1e-15, 1e-3, 1.0, 1e6]),
    exact=st.booleans(),
)
def test_round_trip_of_constant_bone_lengths(tmp_path, seed, shape, size, exact):
    parents = [-1] + [k % (j + 1) for j, k in enumerate(shape)]
    data = walk(seed, 6, parents, size)
    path = io.write(tmp_path / "a.bvh", data, root="p0", exact=exact)
    found = io.read(path)
    assert found.fps == data.fps
    scale = np.abs(data.X).max()
    assert np.abs(by_name(found, data) - data.X).max() < 1e-4 * scale
    index = [data.names.index(name) for name in found.names]
    assert {(index[a], index[b]) for a, b in found.edges} == set(data.edges)


def test_exact_holds_any_motion(tmp_path):
    X = np.random.default_rng(3).normal(size=(9, 8, 3))
    data = io.Points3D(X, names=NAMES, edges=EDGES, fps=25, axes="y up")
    found = io.read_bvh(io.write_bvh(tmp_path / "a.bvh", data, exact=True))
    assert error(by_name(found, data), X) < 1e-7
    # Without, bones keep the median of their lengths.
    rigid = by_name(io.read_bvh(io.write_bvh(tmp_path / "b.bvh", data)), data)
    for a, b in EDGES:
        lengths = np.linalg.norm(rigid[:, b] - rigid[:, a], axis=-1)
        expected = np.median(np.linalg.norm(X[:, b] - X[:, a], axis=-1))
        np.testing.assert_allclose(lengths, expected, rtol=1e-6)
    # A joint with one child still points to where the child was.
    for a, b in [(3, 4), (5, 6), (6, 7)]:
        u, v = rigid[:, b] - rigid[:, a], X[:, b] - X[:, a]
        cosines = np.sum(u * v, -1) / np.linalg.norm(u, axis=-1) / np.linalg.norm(v, axis=-1)
        np.testing.assert_allclose(cosines, 1, atol=1e-9)


def test_error_is_that_of_the_bone_lengths(tmp_path):
    """One bone in line after the other: errors add up from the root on."""
    X = np.zeros((3, 3, 3))
    X[:, 1, 0], X[:, 2, 0] = [1, 2, 3], [2, 4, 6]
    data = io.Points3D(X, edges=[(0, 1), (1, 2)], fps=1)
    found = io.read_bvh(io.write_bvh(tmp_path / "a.bvh", data))
    np.testing.assert_allclose(found.X[:, :, 0], [[0, 2, 4]] * 3, atol=1e-6)


def test_bones_that_turn_back(tmp_path):
    X = np.zeros((4, 4, 3))
    for f, direction in enumerate([[0, 1, 0], [0, -1, 0], [1, 0, 0], [-1, 0, 0]]):
        X[f, 1] = direction
        X[f, 2], X[f, 3] = 2 * X[f, 1], -3 * X[f, 1]
    edges = [(0, 1), (0, 2), (0, 3)]
    data = io.Points3D(X, edges=edges, fps=1, axes="y up")
    found = io.read_bvh(io.write_bvh(tmp_path / "a.bvh", data))
    np.testing.assert_allclose(found.X, X, atol=1e-6)


def test_points_that_coincide(tmp_path):
    X = np.zeros((3, 3, 3))
    X[2, 2] = [0, 0, 2]
    data = io.Points3D(X, edges=[(0, 1), (1, 2)], fps=1, axes="y up")
    found = io.read_bvh(io.write_bvh(tmp_path / "a.bvh", data, exact=True))
    np.testing.assert_allclose(found.X, X, atol=1e-6)
    found = io.read_bvh(io.write_bvh(tmp_path / "a.bvh", data))
    np.testing.assert_allclose(found.X, 0, atol=1e-6)


def test_angles_do_not_jump(tmp_path):
    angle = np.linspace(0, 4 * np.pi, 100)
    X = np.zeros((100, 2, 3))
    X[:, 1] = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    data = io.Points3D(X, edges=[(0, 1)], fps=1, axes="y up")
    path = io.write_bvh(tmp_path / "a.bvh", data)
    rows = path.read_text().split("Frame Time: 1.0\n")[1].splitlines()
    values = np.array([row.split() for row in rows], dtype=float)
    assert np.abs(np.diff(values, axis=0)).max() < 180.1
    np.testing.assert_allclose(io.read_bvh(path).X, X, atol=1e-6)


def test_text(tmp_path):
    X = np.array([[[1, 2, 3], [1, 4, 3.0]]])
    data = io.Points3D(X, names=("a b", "c{"), edges=[(0, 1)], fps=50, axes="y up")
    assert io.write_bvh(tmp_path / "a.bvh", data).read_text() == (
        "HIERARCHY\nROOT a_b\n{\n\tOFFSET 0 0 0\n\tCHANNELS 6 Xposition Yposition Zposition "
        "Zrotation Xrotation Yrotation\n\tJOINT c_\n\t{\n\t\tOFFSET 0 2 0\n\t\tCHANNELS 3 "
        "Zrotation Xrotation Yrotation\n\t\tEnd Site\n\t\t{\n\t\t\tOFFSET 0 0 0\n\t\t}\n\t}\n}\n"
        "MOTION\nFrames: 1\nFrame Time: 0.02\n1 2 3 0 0 0 0 0 0\n"
    )


@pytest.mark.parametrize(
    ("axes", "y_up", "turned"),
    [
        (io.Points3D.axes, None, True),
        ("y up", None, False),
        ("y up", True, True),
        (io.Points3D.axes, False, False),
    ],
)
def test_y_up(tmp_path, axes, y_up, turned):
    data = walk(axes=axes)
    found = io.read_bvh(io.write_bvh(tmp_path / "a.bvh", data, y_up=y_up))
    expected = data.X * [1, -1, -1] if turned else data.X
    assert error(by_name(found, data), expected) < 1e-4


def test_root(tmp_path):
    data = walk()
    for root, name in [(None, "hip"), ("head", "head"), (4, "hand")]:
        found = io.read_bvh(io.write_bvh(tmp_path / "a.bvh", data, root=root))
        assert found.names[0] == name
    # Without a direction in the edges, the point with the most of them.
    turned = data.replace(edges=[(b, a) if b in (2, 7) else (a, b) for a, b in data.edges])
    assert io.read_bvh(io.write_bvh(tmp_path / "a.bvh", turned)).names[0] == "spine"


def test_parents(tmp_path):
    data = walk()
    found = io.read_bvh(io.write_bvh(tmp_path / "a.bvh", data.replace(edges=()), parents=PARENTS))
    assert error(by_name(found, data), data.X) < 1e-4


def test_missing_points(tmp_path):
    data = walk()
    X = data.X.copy()
    X[3, 4] = X[0, 7] = X[10:, 7] = np.nan
    path = tmp_path / "a.bvh"
    with pytest.raises(ValueError, match=r"'toe' is missing in frame 0 .*fill='interpolate'"):
        io.write_bvh(path, data.replace(X=X))
    assert not path.exists()
    found = io.read_bvh(io.write_bvh(path, data.replace(X=X), fill="interpolate", exact=True))
    X[3, 4] = (X[2, 4] + X[4, 4]) / 2
    X[0, 7], X[10:, 7] = X[1, 7], X[9, 7]
    assert error(by_name(found, data), X) < 1e-6
    X[:, 2] = np.nan
    with pytest.raises(ValueError, match="'head': missing in every frame of a clip"):
        io.write_bvh(path, data.replace(X=X), fill="interpolate")


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"fps": None}, {}, r"BVH needs a frame rate"),
        ({"fps": 1e10}, {}, "X or fps is beyond"),
        ({"X": np.full((12, 8, 3), 1e40)}, {}, "X or fps is beyond"),
        ({"edges": ()}, {}, "BVH needs a skeleton and the data have no edges"),
        ({"edges": EDGES[:-1]}, {}, "from the root .* they do not reach 'toe'"),
        ({"edges": [*EDGES, (7, 4)]}, {}, "from '.*' to '.*' closes a cycle"),
        ({"edges": [*EDGES, (7, 7)]}, {}, "from 'toe' to 'toe' closes a cycle"),
        ({}, {"root": "tail"}, "root='tail' is no point: give one of 'hip'"),
        ({}, {"root": 8}, "root=8 is no point"),
        ({}, {"root": True}, "root=True is no point"),
        ({}, {"fill": "zero"}, "fill must be"),
        ({}, {"y_up": "yes"}, "y_up must be"),
        ({}, {"parents": PARENTS, "root": 0}, "parents and root"),
        ({}, {"parents": PARENTS[:3]}, "parents must be 8 integers"),
        ({}, {"parents": (0, *PARENTS[1:])}, "-1 for one point"),
        ({}, {"parents": (-1, -1, *PARENTS[2:])}, "-1 for one point"),
        ({}, {"parents": (*PARENTS[:-1], 8)}, "indices below 8"),
        ({}, {"parents": (-1, 0, 1, 1, 5, 4, 5, 6)}, "no ancestor of 'hand', 'knee'"),
    ],
)
def test_not_writable(tmp_path, change, options, message):
    path = tmp_path / "a.bvh"
    with pytest.raises(ValueError, match=message):
        io.write(path, walk().replace(**change), **options)
    assert not path.exists()


def test_repeated_edges_are_one(tmp_path):
    data = walk()
    path = io.write_bvh(tmp_path / "a.bvh", data.replace(edges=[*EDGES, (1, 0)]), root=0)
    assert error(by_name(io.read_bvh(path), data), data.X) < 1e-4
