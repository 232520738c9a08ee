import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nrsfm_learn import io

ENDS = ("x", "y", "z", "error", "ncams", "score")


def text(values, names=("left_paw", "tail"), frames=None, M=None):
    """A file as Anipose writes it, from (n_frames, n_points, 6)."""
    M = np.eye(3) if M is None else M
    header = [f"{name}_{end}" for name in names for end in ENDS]
    header += [f"M_{i}{j}" for i in range(3) for j in range(3)]
    header += [f"center_{i}" for i in range(3)] + ["fnum"]
    lines = [",".join(header)]
    for f, row in enumerate(values):
        numbers = [*row.ravel(), *M.ravel(), 0.5, 0.25, 0.125]
        fields = ["" if np.isnan(v) else repr(float(v)) for v in numbers]
        lines.append(",".join([*fields, str(f if frames is None else frames[f])]))
    return "\n".join(lines) + "\n"


def values(n=4, seed=0):
    result = np.random.default_rng(seed).uniform(0.5, 9, (n, 2, 6))
    result[..., 4] = 3
    result[..., 5] /= 10
    result[1, 0] = np.nan
    return result


@pytest.fixture
def read(tmp_path):
    def read(text, **options):
        path = tmp_path / "session.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return io.read(path, **options)

    return read


def test_points(read):
    data = values()
    points = read(text(data, frames=[3, 4, 5, 9], M=2 * np.eye(3)))
    assert isinstance(points, io.Points3D)
    assert points.source.format == "anipose"
    assert points.names == ("left_paw", "tail")
    assert points.edges == ()
    assert points.unit == ""
    assert "Anipose" in points.axes
    assert points.frames.tolist() == [3, 4, 5, 9]
    # As they are in the file: the matrix has been applied by Anipose.
    np.testing.assert_array_equal(points.X, data[..., :3])
    np.testing.assert_array_equal(points.confidence, data[..., 5])
    assert points.source.notes == ()


def test_max_error(read):
    data = values()
    points = read(text(data), max_error=5)
    hidden = ~(data[..., 3] <= 5)
    np.testing.assert_array_equal(points.X, np.where(hidden[..., None], np.nan, data[..., :3]))
    assert (
        f"{(data[..., 3] > 5).sum()} points with a reprojection error above 5"
        in (points.source.notes[0])
    )
    np.testing.assert_array_equal(points.confidence, data[..., 5])


def test_min_confidence(read):
    data = values()
    points = read(text(data), min_confidence=0.5)
    hidden = ~(data[..., 5] >= 0.5)
    np.testing.assert_array_equal(points.X, np.where(hidden[..., None], np.nan, data[..., :3]))


@pytest.mark.parametrize("max_error", [0, -1, np.nan, np.inf, "5", [5]])
def test_bad_max_error(read, max_error):
    with pytest.raises(ValueError, match="max_error"):
        read(text(values()), max_error=max_error)


def test_an_error_that_is_unknown_hides_nothing(read):
    data = values()
    data[2, 1, 3:] = np.nan
    points = read(text(data), max_error=8.9)
    assert not np.isnan(points.X[2, 1]).any()


def test_one_coordinate_missing_is_a_point_missing(read):
    data = values()
    data[2, 1, 0] = np.nan
    points = read(text(data))
    assert np.isnan(points.X[2, 1]).all()


def test_other_columns_are_left_out_with_a_note(read):
    lines = text(values()).splitlines()
    wide = "\n".join(f"{line},{'angle' if k == 0 else k}" for k, line in enumerate(lines))
    assert read(wide).source.notes == ("columns of other kinds were left out: angle",)
    assert read(wide) == read(text(values()))


def test_columns_in_any_order_and_names_with_underscores(read):
    data = values()
    lines = [line.split(",") for line in text(data, names=("a_x", "M_00")).splitlines()]
    order = np.random.default_rng(0).permutation(len(lines[0]))
    shuffled = "\n".join(",".join(line[k] for k in order) for line in lines)
    points = read(shuffled)
    assert set(points.names) == {"a_x", "M_00"}
    np.testing.assert_array_equal(points.X[:, points.names.index("M_00")], data[:, 1, :3])


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.replace("\n", "\r\n"),
        lambda t: "\ufeff" + t,
        lambda t: t.rstrip("\n"),
        lambda t: t.replace("tail_x", '"tail_x"'),
        lambda t: t.replace(",,", ",nan,"),
    ],
)
def test_harmless_differences(read, change):
    assert read(change(text(values()))) == read(text(values()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.splitlines()[0], "no frames"),
        (lambda t: t.replace("tail_z", "tail_q"), "line 1: the column 'tail_z' is missing"),
        (lambda t: t.replace("tail_error", "tail_e"), "'tail_error' is missing"),
        (lambda t: t.replace("tail_score", "left_paw_score"), "'left_paw_score' is there twice"),
        (lambda t: t.replace("fnum", "frame"), "'fnum' is missing"),
        (lambda t: t.replace("tail_", "_"), "line 1: no column"),
        (lambda t: t + "1,2,3\n", "line 6: 3 fields, expected 25"),
        (lambda t: t[:-30], "line 5: .* fields, expected 25"),
        (lambda t: t.replace(",2\n", ",1\n"), "line 4: frame 1 follows frame 1"),
        (lambda t: t.replace(",2\n", ",1.5\n"), "line 4: fnum is 1.5"),
        (lambda t: t.replace(",2\n", ",-2\n"), "line 4: fnum is -2"),
        (lambda t: t.replace(",2\n", ",\n"), "line 4: fnum is nan"),
        (lambda t: t.replace(",2\n", ",1e30\n"), "line 4: fnum is 1e.30"),
        (lambda t: t.replace(",2\n", ",two\n"), "line 4: field 25 is 'two'"),
        (lambda t: t.replace(",0.5,", ",inf,", 1), "line 2: field 22 is inf"),
        (lambda t: t.replace(",0.5,", ",1e999,", 1), "line 2: field 22 is 1e999"),
        (lambda t: t.encode() + b"\xff\xfe", "UTF-8"),
    ],
)
def test_damaged_files(read, change, message):
    with pytest.raises(io.FileFormatError, match=message) as caught:
        read(change(text(values())), format="anipose")
    assert "session.csv" in str(caught.value)


def test_nothing_known(read):
    with pytest.raises(io.FileFormatError, match="no point is known"):
        read(text(np.full((2, 2, 6), np.nan)))
    with pytest.raises(io.FileFormatError, match=r"reprojection error above 0\.1"):
        read(text(values()), max_error=0.1)


def test_not_taken_for_anipose(read):
    plain = "frame,a_x,a_y,a_z\n0,1,2,3\n1,1,2,3\n"
    try:
        assert read(plain).source.format != "anipose"
    except io.FileFormatError as error:
        assert "anipose" not in str(error).split("Name it")[0]  # noqa: PT017


@settings(deadline=None, max_examples=25)
@given(
    data=arrays(
        np.float64,
        st.tuples(st.integers(1, 4), st.just(2), st.just(6)),
        elements=st.floats(-1e9, 1e9) | st.just(np.nan),
    )
)
def test_any_numbers_come_back(tmp_path_factory, data):
    data[0, 0, :3] = 1
    path = tmp_path_factory.mktemp("anipose") / "a.csv"
    path.write_text(text(data))
    points = io.read(path)
    unknown = np.isnan(data[..., :3]).any(-1)
    np.testing.assert_array_equal(points.X, np.where(unknown[..., None], np.nan, data[..., :3]))
    np.testing.assert_array_equal(points.confidence, data[..., 5])
