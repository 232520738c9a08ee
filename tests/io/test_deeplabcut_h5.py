import pickle
import warnings

import numpy as np
import pytest

from nrsfm_learn import io
from nrsfm_learn.io._deeplabcut_h5 import load_dlc_h5

h5py = pytest.importorskip("h5py", reason="h5 files are read with h5py")
pd = pytest.importorskip("pandas", reason="DeepLabCut's h5 files are written with pandas")
pytest.importorskip("tables", reason="pandas writes h5 files with tables")


def predictions(n=7, animals=(), parts=("nose", "tail base"), unique=(), seed=0):
    """A data frame in DeepLabCut's layout."""
    rows = [(animal, part) for animal in (animals or ("",)) for part in parts]
    rows += [("single", part) for part in unique]
    columns = [("DLC_é", *row, c) for row in rows for c in ("x", "y", "likelihood")]
    names = ["scorer", "individuals", "bodyparts", "coords"]
    if not animals:
        columns = [(scorer, *rest) for scorer, _, *rest in columns]
        names.remove("individuals")
    values = np.random.default_rng(seed).uniform(0, 1, (n, len(columns)))
    values[values < 0.1] = np.nan
    return pd.DataFrame(values, columns=pd.MultiIndex.from_tuples(columns, names=names))


def labelled(rows):
    columns = pd.MultiIndex.from_product(
        [["Ada"], ["nose", "tail"], ["x", "y"]], names=["scorer", "bodyparts", "coords"]
    )
    return pd.DataFrame(np.arange(4.0 * len(rows)).reshape(-1, 4), index=rows, columns=columns)


def store(frame, path, key="df_with_missing", format="table", **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame.to_hdf(path, key=key, format=format, mode="w", **options)
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "videoDLC_run.h5"


@pytest.mark.parametrize(
    ("format", "key"), [("table", "df_with_missing"), ("fixed", "keypoints"), ("table", "tracks")]
)
def test_single_animal(path, format, key):
    frame = predictions()
    keypoints = io.read(store(frame, path, key, format), min_confidence=0.5)
    values = frame.to_numpy().reshape(7, 2, 3)
    hidden = np.isnan(values[..., :2]).any(-1) | (values[..., 2] < 0.5)
    assert keypoints.source.format == "dlc_h5"
    assert keypoints.names == ("nose", "tail base")
    assert keypoints.frames.tolist() == list(range(7))
    np.testing.assert_array_equal(keypoints.W, np.where(hidden[..., None], np.nan, values[..., :2]))
    np.testing.assert_array_equal(keypoints.confidence, values[..., 2])


@pytest.mark.parametrize("format", ["table", "fixed"])
def test_the_csv_of_the_same_frame_says_the_same(path, format):
    frame = predictions(8, ("mus1", "mus2"), unique=("corner",), seed=1)
    store(frame, path, format=format)
    frame.to_csv(path.with_suffix(".csv"))
    keypoints = io.read_dlc_h5(path)
    assert keypoints == io.read(path.with_suffix(".csv"))
    assert keypoints.individuals == ("mus1", "mus2")
    assert any("corner" in note for note in keypoints.source.notes)
    first = frame["DLC_é"]["mus1"].to_numpy().reshape(8, 2, 3)
    hidden = np.isnan(first[..., :2]).any(-1) | (first[..., 2] < 0.6)
    expected = np.where(hidden[..., None], np.nan, first[..., :2])[~hidden.all(-1)]
    np.testing.assert_array_equal(keypoints.W[keypoints.individual == 0], expected)
    single = io.read_dlc_h5(path, individual="single", min_confidence=0)
    np.testing.assert_array_equal(single.confidence[:, 0], frame.to_numpy()[:, -1])
    assert io.read_dlc_h5(path, individual=1) == io.read_dlc_csv(
        path.with_suffix(".csv"), individual="mus2"
    )


@pytest.mark.parametrize("format", ["table", "fixed"])
def test_columns_of_several_types_and_frames_that_skip(path, format):
    frame = predictions(4)
    frame.iloc[:, 0] = [1, 2, 3, 4]
    column = frame.columns[0]
    frame = frame.astype({column: np.int64, frame.columns[3]: np.float32})
    frame.index = [0, 2, 5, 9]
    frame.iloc[:, [2, 5]] = 0.9
    keypoints = io.read(store(frame, path, format=format), format="dlc_h5")
    assert keypoints.frames.tolist() == [0, 2, 5, 9]
    np.testing.assert_array_equal(keypoints.confidence, 0.9)
    seen = ~np.isnan(keypoints.W[:, 0, 0])
    np.testing.assert_array_equal(keypoints.W[seen, 0, 0], np.array([1, 2, 3, 4])[seen])
    np.testing.assert_array_equal(
        keypoints.W[:, 1].astype(np.float32),
        frame.iloc[:, [3, 4]].where(frame.iloc[:, [3, 4]].notna().all(axis=1)).astype(np.float32),
    )


def test_compressed(path):
    frame = predictions(50)
    store(frame, path, complevel=9, complib="zlib")
    assert io.read_dlc_h5(path) == io.read_dlc_h5(store(frame, path.with_name("b.h5")))


@pytest.mark.parametrize("format", ["table", "fixed"])
def test_labelled_frames(path, format):
    frame = labelled(["labeled-data/walk/img01.png", "labeled-data/walk/img22.png"])
    keypoints = io.read_dlc_h5(store(frame, path, format=format))
    assert keypoints.frames.tolist() == [1, 22]
    assert keypoints.confidence is None
    np.testing.assert_array_equal(keypoints.W.reshape(2, 4), frame.to_numpy())


def test_labelled_frames_with_rows_of_three_levels(path):
    rows = [("labeled-data", "a", "img3.png"), ("labeled-data", "b", "img3.png")]
    keypoints = io.read_dlc_h5(
        store(labelled(pd.MultiIndex.from_tuples(rows)), path, format="fixed")
    )
    assert keypoints.frames.tolist() == [3, 3]
    assert keypoints.clips.tolist() == [0, 1]


def test_read_by_a_suffix_of_its_own(path):
    store(predictions(), path)
    other = path.rename(path.with_suffix(".hdf5"))
    assert io.read(other).source.format == "dlc_h5"


def change(path, where, name, value):
    with h5py.File(path, "r+") as file:
        file[where].attrs[name] = np.bytes_(value) if isinstance(value, bytes) else value


class Hostile:
    """What a pickle can do."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def hostile_pickles(marker):
    import builtins
    import os

    touch = f"open({str(marker)!r}, 'w')"
    yield pickle.dumps(Hostile(os.system, f"touch '{marker}'"), 0)
    yield pickle.dumps(Hostile(builtins.eval, touch), 0)
    yield pickle.dumps([(1, [Hostile(builtins.exec, touch)])], 0)
    yield pickle.dumps([(1, [Hostile(open, str(marker), "w")])], 2)
    yield b"cos\nsystem\n(Vtouch '%s'\ntR." % str(marker).encode()
    yield b"(Vtouch '%s'\nios\nsystem\n." % str(marker).encode()
    yield b"\x82\x01."
    yield b"cbuiltins\ngetattr\n(cnumpy\n__dict__\nVload\ntR."
    yield pickle.dumps(np.float64(1.0), 0)
    yield pickle.dumps([(1, [np.str_("DLC")])], 0)


def test_hostile_pickles_execute_nothing(path, tmp_path):
    store(predictions(), path)
    marker = tmp_path / "marker"
    for stored in hostile_pickles(marker):
        change(path, "df_with_missing", "non_index_axes", stored)
        with pytest.raises(io.FileFormatError, match="cannot be unpickled"):
            load_dlc_h5(str(path))
        assert not marker.exists()
    # Whichever attribute it hides in.
    store(predictions(), path)
    stored = next(hostile_pickles(marker))
    change(path, "df_with_missing/table", "values_block_0_kind", stored)
    for name in ("info", "values_cols", "index_cols"):
        change(path, "df_with_missing", name, stored)
    with pytest.raises(io.FileFormatError, match=r"values_block_0_kind.*refused"):
        io.read_dlc_h5(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b".",
        b"(lp0\n.",
        b"N.",
        b"I5\n.",
        b"(lp0\n(I1\n(lp1\n(I1\ntp2\natp3\na",
        b"V" + b"\\ud800" * 3 + b"\n.",
        b"(" * 30_000 + b"t" * 29_999 + b".",
        b"]" + b"(l" * 15_000 + b"a" * 15_000 + b".",
        b"(lp0\ng0\na.",
        b"r\xff\xff\xff\x7f.",
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"L" + b"9" * 6000 + b"L\n.",
        b"\x80\x05.",
        b"(lp0\n(I1\nVno list\ntp1\na.",
        b"(lp0\n(I1\n(lp1\nVno tuple\natp2\na.",
        b"(lp0\n(I1\n(lp1\n(F1.5\ntp3\natp2\na.",
        b"(lp0\n(I1\n(lp1\n(I01\ntp3\natp2\na.",
    ],
)
def test_damaged_pickles(path, stored):
    store(predictions(), path)
    change(path, "df_with_missing", "non_index_axes", stored)
    with pytest.raises(io.FileFormatError, match="non_index_axes"):
        load_dlc_h5(str(path))


def pickled_columns(columns):
    return pickle.dumps([(1, columns)], 0)


def alter(frame):
    """Predictions with other columns."""
    columns = list(frame.columns)

    def swap(k, column):
        return pickled_columns([*columns[:k], column, *columns[k + 1 :]])

    group, table = "df_with_missing", "df_with_missing/table"
    return [
        ((group, "non_index_axes", pickled_columns(columns[:-1])), "columns are not the same"),
        ((group, "non_index_axes", swap(1, columns[0])), "columns are not the same"),
        ((group, "non_index_axes", pickled_columns([])), "columns are not the same"),
        ((table, "values_block_0_kind", pickle.dumps(columns[:-1], 0)), "not the same"),
        ((table, "index_kind", b"datetime64"), "index of kind"),
        ((table, "index_kind", 3), "in place of a string"),
        ((group, "pandas_type", b"series"), "0 data frames"),
    ]


@pytest.mark.parametrize("k", range(7))
def test_tables_that_contradict_themselves(path, k):
    frame = predictions()
    store(frame, path)
    edit, message = alter(frame)[k]
    change(path, *edit)
    with pytest.raises((io.FileFormatError, TypeError), match=message):
        load_dlc_h5(str(path))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (("", "axis0_nlevels", 0), "axis0_nlevels"),
        (("", "axis0_nlevels", 10**6), "axis0_nlevels"),
        (("", "axis0_nlevels", b"3"), "axis0_nlevels"),
        (("", "axis1_variety", 4), "axis1_variety"),
        (("", "nblocks", 0), "not the same"),
        (("", "nblocks", 10**9), "block1_items_nlevels"),
        (("axis1", "kind", b"float"), "index of kind"),
        (("block0_values", "transposed", 0), "a block has shape"),
    ],
)
def test_fixed_frames_that_contradict_themselves(path, edit, message):
    store(predictions(), path, format="fixed")
    where, name, value = edit
    change(path, f"df_with_missing/{where}", name, value)
    with pytest.raises(io.FileFormatError, match=message):
        load_dlc_h5(str(path))


def replace_set(path, name, data):
    with h5py.File(path, "r+") as file:
        attributes = dict(file[f"df_with_missing/{name}"].attrs)
        del file[f"df_with_missing/{name}"]
        if data is not None:
            file[f"df_with_missing/{name}"] = data
            file[f"df_with_missing/{name}"].attrs.update(attributes)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("block0_values", None, "block0_values.*missing"),
        ("block0_values", np.zeros((7, 6), dtype="S3"), "axes of numbers are expected"),
        ("block0_values", np.zeros((7, 6), dtype=bool), "axes of numbers are expected"),
        ("block0_values", np.zeros(42), "axes of numbers are expected"),
        ("block0_values", np.zeros((7, 5)), "a block has shape"),
        ("block0_values", np.zeros((6, 7)), "a block has shape"),
        ("block0_values", np.full((7, 6), np.inf), "not finite"),
        ("axis1", None, "axis1.*missing"),
        ("axis1", np.arange(7) - 1, "negative or too large"),
        ("axis1", np.arange(7.0), "index of kind"),
        ("axis0_label0", np.full(6, 5), "out of the range"),
        ("axis0_label0", np.full(6, -1), "out of the range"),
        ("axis0_label0", np.zeros(6), "out of the range"),
        ("axis0_label0", np.zeros(5, dtype=int), "axis0"),
        ("axis0_level2", np.array([b"y", b"x", b"z"]), "not the same"),
        ("axis0_level1", np.arange(2.0), "a list of strings"),
        ("axis0_level1", np.array([[b"a"], [b"b"]]), "a list of strings"),
    ],
)
def test_fixed_frames_with_wrong_data_sets(path, name, data, message):
    store(predictions(), path, format="fixed")
    replace_set(path, name, data)
    with pytest.raises(io.FileFormatError, match=message):
        load_dlc_h5(str(path))


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame(np.ones((3, 2)), columns=["a", "b"]), "non_index_axes"),
        (predictions(3).droplevel("scorer", axis=1), "2 levels"),
        (predictions(3).rename(columns={"likelihood": "z"}), "3-D"),
        (predictions(3).rename(columns={"x": "length"}), "no 'x'"),
        (predictions(3).set_axis([0, 2, 1]), "row 2: frame 1 follows frame 2"),
        (predictions(3).set_axis([0, 0, 1]), "row 1: frame 0 follows frame 0"),
        (predictions(3).set_axis(pd.date_range("2020-01-01", periods=3)), "index of kind"),
    ],
)
def test_data_frames_of_others(path, frame, message):
    with pytest.raises(io.FileFormatError, match=message):
        io.read_dlc_h5(store(frame, path))


def test_several_data_frames(path):
    store(predictions(), path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        predictions().to_hdf(path, key="other", format="table", mode="a")
    with pytest.raises(io.FileFormatError, match="2 data frames of pandas: df_with_missing, other"):
        io.read_dlc_h5(path)


def test_stated_sizes_are_checked(path, tmp_path):
    store(predictions(), path, format="fixed")
    with h5py.File(path, "r+") as file:
        del file["df_with_missing/block0_values"]
        file["df_with_missing"].create_dataset(
            "block0_values", (10**9, 10**6), dtype=float, chunks=(1000, 1000)
        )
    with pytest.raises(io.FileFormatError, match=r"shape of \(1000000000, 1000000\)"):
        io.read(path)


def test_links_to_other_files_are_not_followed(path, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(7 * 6 * 8))
    store(predictions(), path, format="fixed")
    with h5py.File(path, "r+") as file:
        group = file["df_with_missing"]
        del group["block0_values"]
        group.create_dataset(
            "block0_values", (7, 6), dtype=float, external=[(str(secret), 0, 7 * 6 * 8)]
        )
    with pytest.raises(io.FileFormatError, match="another place"):
        load_dlc_h5(str(path))
    other = store(predictions(), tmp_path / "other.h5", format="fixed")
    with h5py.File(path, "r+") as file:
        group = file["df_with_missing"]
        del group["block0_values"]
        group["block0_values"] = h5py.ExternalLink(str(other), "df_with_missing/block0_values")
    with pytest.raises(io.FileFormatError, match="another place"):
        load_dlc_h5(str(path))


@pytest.mark.parametrize("keep", [9, 100, 3000, 0.9])
def test_truncated(path, keep):
    store(predictions(), path)
    data = path.read_bytes()
    path.write_bytes(data[: keep if isinstance(keep, int) else int(keep * len(data))])
    with pytest.raises(io.FileFormatError, match="truncated"):
        io.read(path)


def test_random_damage_is_an_error_or_harmless(path):
    data = store(predictions(), path, format="fixed").read_bytes()
    good = io.read_dlc_h5(path, min_confidence=0)
    rng = np.random.default_rng(0)
    for _ in range(5):
        damaged = bytearray(data)
        for position in rng.integers(0, len(data), 200):
            damaged[position] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            keypoints = io.read_dlc_h5(path, min_confidence=0)
        except io.FileFormatError:
            continue
        assert keypoints.W.shape[1:] == good.W.shape[1:]


def test_without_h5py_the_message_says_what_to_install(path, tmp_path, monkeypatch):
    store(predictions(), path)
    (tmp_path / "h5py.py").write_text("raise ImportError('not there')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ImportError, match=r"h5py.*pip install 'nrsfm-learn\[io\]'"):
        io.read_dlc_h5(path)


def test_not_taken_for_deeplabcut(path):
    path.write_bytes(b"no HDF5 at all")
    with pytest.raises(io.FileFormatError, match="not recognised"):
        io.read(path)
    with pytest.raises(io.FileFormatError, match="no whole HDF5 file"):
        io.read(path, format="dlc_h5")
    with h5py.File(path, "w") as file:
        file["keypoints"] = np.zeros((3, 2))
    with pytest.raises(io.FileFormatError, match="not recognised"):
        io.read(path)
