import numpy as np
import pytest

from nrsfm_learn import io

NAMES, EDGES = ("nose", "left ear", "\N{LATIN SMALL LETTER E WITH ACUTE}\ntail"), [(0, 1), (1, 2)]
TYPES = {"float": "<f4", "int": "<i4"}


def points(n_frames=1):
    X = np.random.default_rng(0).normal(size=(n_frames, 3, 3)).astype(np.float32).astype(float)
    return io.Points3D(X, names=NAMES, edges=EDGES, unit="mm")


def parse(path):
    """An independent reader: elements as structured arrays, comments."""
    data = path.read_bytes()
    head, _, body = data.partition(b"end_header\n")
    lines = head.decode("ascii").splitlines()
    assert lines[0] == "ply"
    comments, elements, form = [], [], None
    for line in lines[1:]:
        key, _, rest = line.partition(" ")
        if key == "format":
            form = rest
        elif key == "comment":
            comments.append(rest)
        elif key == "element":
            name, count = rest.split()
            elements.append((name, int(count), []))
        else:
            kind, name = rest.split()
            elements[-1][2].append((name, TYPES[kind]))
    found, rows = {}, body.decode("ascii").splitlines() if form == "ascii 1.0" else None
    for name, count, properties in elements:
        dtype = np.dtype(properties)
        if rows is None:
            assert form == "binary_little_endian 1.0"
            found[name] = np.frombuffer(body[: count * dtype.itemsize], dtype)
            body = body[count * dtype.itemsize :]
        else:
            part, rows = rows[:count], rows[count:]
            found[name] = np.array([tuple(map(float, row.split())) for row in part], dtype)
            assert len(part) == count
    assert not rows if rows is not None else not body
    return found, comments


@pytest.mark.parametrize("binary", [True, False])
def test_one_frame(tmp_path, binary):
    data = points()
    path = io.write(tmp_path / "a.ply", data, binary=binary)
    assert path == tmp_path / "a.ply"
    found, comments = parse(path)
    vertices = np.stack([found["vertex"][axis] for axis in "xyz"], axis=1)
    np.testing.assert_array_equal(vertices, data.X[0])
    assert found["vertex"]["point"].tolist() == [0, 1, 2]
    assert [tuple(e) for e in found["edge"].tolist()] == EDGES
    assert "unit mm" in comments
    assert "point 1 left ear" in comments
    assert "point 2 \\xe9 tail" in comments
    assert f"axes {io.Points3D.axes}" in comments


@pytest.mark.parametrize("binary", [True, False])
def test_missing_points(tmp_path, binary):
    data = points(4)
    X = data.X.copy()
    X[1, 0] = X[2, 1] = np.nan
    X[3] = np.nan
    data = data.replace(X=X, frames=[5, 6, 7, 9])
    path = io.write_ply(tmp_path / "new" / "a.ply", data, binary=binary)
    assert path == tmp_path / "new" / "a_000000.ply"
    files = sorted(path.parent.iterdir())
    assert [file.name for file in files] == [f"a_00000{f}.ply" for f in range(4)]
    expected = [
        ([0, 1, 2], [(0, 1), (1, 2)]),
        ([1, 2], [(0, 1)]),
        ([0, 2], []),
        ([], []),
    ]
    for f, (file, (there, edges)) in enumerate(zip(files, expected, strict=True)):
        found, comments = parse(file)
        assert found["vertex"]["point"].tolist() == there
        vertices = np.stack([found["vertex"][axis] for axis in "xyz"], axis=1)
        np.testing.assert_array_equal(vertices, X[f, there])
        assert [tuple(e) for e in found["edge"].tolist()] == edges
        assert comments[0] == f"frame {data.frames[f]}"


def test_nothing_by_half(tmp_path):
    (tmp_path / "a_000002.ply").mkdir()
    with pytest.raises(ValueError, match="is a folder"):
        io.write_ply(tmp_path / "a.ply", points(4))
    assert [p.name for p in tmp_path.iterdir()] == ["a_000002.ply"]


def test_too_large(tmp_path):
    X = np.zeros((2, 3, 3))
    X[1, 2] = 1e40
    with pytest.raises(ValueError, match="frame 1, point 2"):
        io.write_ply(tmp_path / "a.ply", points(2).replace(X=X))
    assert not list(tmp_path.iterdir())
