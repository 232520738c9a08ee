import itertools
import json

import numpy as np
import pytest

from nrsfm_learn import io
from nrsfm_learn.io._sleap import load_sleap

h5py = pytest.importorskip("h5py", reason="h5 files are read with h5py")

NODES = ("head", "thorax", "abdomen é")
EDGES = [(0, 1), (1, 2)]
SLEAP = ("track", "xy", "node", "frame")


def arrays(n_tracks=2, n_frames=5, seed=0):
    """Tracks (track, frame, node, xy) and scores (track, frame, node); one frame has no animal."""
    rng = np.random.default_rng(seed)
    tracks = rng.uniform(0, 500, (n_tracks, n_frames, len(NODES), 2))
    scores = rng.uniform(0.1, 1, tracks.shape[:3])
    tracks[0, 2] = np.nan
    tracks[0, 3, 1] = np.nan
    tracks[-1, 4, 0] = np.nan
    scores[np.isnan(tracks).any(-1)] = np.nan
    return tracks, scores


def store(path, tracks, scores, names=("ant", "bee"), axes=SLEAP, say=False, others=()):
    """A file as `sleap-convert --format analysis` writes it, or sleap_io with other axes."""
    order = [("track", "frame", "node", "xy").index(axis) for axis in axes]
    left = [axis for axis in axes if axis != "xy"]
    occupied = (~np.isnan(tracks)).any((2, 3)).T.astype(np.uint8)
    sets = {
        "tracks": tracks.transpose(order),
        "track_occupancy": occupied,
        "point_scores": scores.transpose([("track", "frame", "node").index(a) for a in left]),
        "instance_scores": np.nanmean(np.nan_to_num(scores), axis=2),
        "tracking_scores": np.zeros(scores.shape[:2]),
        "track_names": np.array([name.encode() for name in names]),
        "node_names": np.array([name.encode() for name in NODES]),
        "edge_names": np.array([[NODES[a].encode(), NODES[b].encode()] for a, b in EDGES]),
        "edge_inds": np.array(EDGES),
        "labels_path": "labels.slp",
        "video_path": "video.mp4",
        "video_ind": 0,
        "provenance": "{}",
    }
    sets.update(others)
    with h5py.File(path, "w") as file:
        for name, data in sets.items():
            if data is None:
                continue
            compressed = isinstance(data, np.ndarray) and data.dtype.kind == "f" and data.size
            options = {"compression": "gzip", "compression_opts": 9} if compressed else {}
            file.create_dataset(name, data=data, **options)
        if say:
            file["tracks"].attrs["dims"] = json.dumps(axes)
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "predictions.analysis.h5"


def test_two_tracks(path):
    tracks, scores = arrays()
    keypoints = io.read(store(path, tracks, scores))
    assert keypoints.source.format == "sleap"
    assert keypoints.names == NODES
    assert keypoints.edges == ((0, 1), (1, 2))
    assert keypoints.individuals == ("ant", "bee")
    # The frame in which the first is not there is left out.
    assert keypoints.individual.tolist() == [0] * 4 + [1] * 5
    assert keypoints.frames.tolist() == [0, 1, 3, 4, 0, 1, 2, 3, 4]
    there = [0, 1, 3, 4]
    np.testing.assert_array_equal(keypoints.W, np.concatenate([tracks[0, there], tracks[1]]))
    np.testing.assert_array_equal(
        keypoints.confidence, np.concatenate([scores[0, there], scores[1]])
    )


@pytest.mark.parametrize("individual", ["bee", 1])
def test_options(path, individual):
    tracks, scores = arrays()
    store(path, tracks, scores)
    keypoints = io.read_sleap(path, individual=individual, min_confidence=0.5)
    hidden = ~(scores[1] >= 0.5)
    rows = ~hidden.all(-1)
    np.testing.assert_array_equal(keypoints.W, np.where(hidden[..., None], np.nan, tracks[1])[rows])
    assert "below 0.5" in keypoints.source.notes[0]
    with pytest.raises(ValueError, match="'ant', 'bee'"):
        io.read_sleap(path, individual="fly")


@pytest.mark.parametrize("names", [np.empty(0), np.array([b""]), np.empty((0,), dtype="S1"), None])
def test_one_animal_without_tracking(path, names):
    tracks, scores = arrays(1)
    keypoints = io.read_sleap(store(path, tracks, scores, others={"track_names": names}))
    assert keypoints.individuals == ("individual",)
    assert keypoints.frames.tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(keypoints.W, tracks[0])
    assert not keypoints.visible[2].any()


def test_tracks_without_names_of_their_own_are_numbered(path):
    tracks, scores = arrays()
    for names in (np.empty(0), np.array([b"a", b"a"]), np.array([b"a", b""])):
        keypoints = io.read_sleap(store(path, tracks, scores, others={"track_names": names}))
        assert keypoints.individuals == ("track_0", "track_1")
        assert (len(names) > 0) == any("numbered" in note for note in keypoints.source.notes)


def test_variable_length_strings(path):
    tracks, scores = arrays()
    names = np.array(NODES, dtype=object)
    expected = io.read_sleap(store(path, tracks, scores))
    assert io.read_sleap(store(path, tracks, scores, others={"node_names": names})) == expected


@pytest.mark.parametrize("axes", list(itertools.permutations(SLEAP))[::5])
def test_named_axes_in_any_order(path, axes):
    tracks, scores = arrays()
    # Five frames and three nodes, but two tracks, as there are two coordinates.
    loaded = load_sleap(str(store(path, tracks, scores, axes=axes, say=True)))
    np.testing.assert_array_equal(loaded["tracks"], tracks)
    np.testing.assert_array_equal(loaded["scores"], scores)


def test_standard_order_of_sleap_io(path):
    tracks, scores = arrays()
    expected = io.read_sleap(store(path, tracks, scores))
    axes = ("frame", "track", "node", "xy")
    assert io.read(store(path, tracks, scores, axes=axes, say=True)) == expected
    # Some tools store the list itself.
    with h5py.File(path, "r+") as file:
        file["tracks"].attrs["dims"] = list(axes)
    assert io.read_sleap(path) == expected


def test_order_of_sleap_io_before_it_named_the_axes(path):
    tracks, scores = arrays()
    store(path, tracks, scores, axes=("frame", "node", "xy", "track"))
    with h5py.File(path, "r+") as file:
        file.attrs["transpose"] = False
    np.testing.assert_array_equal(load_sleap(str(path))["tracks"], tracks)


def test_order_that_is_not_named_cannot_be_told(path):
    tracks, scores = arrays()
    store(path, tracks, scores, axes=("frame", "track", "node", "xy"))
    with pytest.raises(io.FileFormatError, match="The order of its axes cannot be told"):
        io.read_sleap(path)


def test_order_that_only_the_occupancy_gives_away(path):
    # Three frames and three nodes: as SLEAP's own axes, the shape would fit as well.
    rng = np.random.default_rng(0)
    tracks = rng.uniform(0, 9, (2, 3, 3, 2))
    scores = rng.uniform(0, 1, (2, 3, 3))
    occupancy = np.ones((7, 2), dtype=np.uint8)
    store(path, tracks, scores, others={"track_occupancy": occupancy})
    with pytest.raises(io.FileFormatError, match=r"track_occupancy.*expected .* \(3, 2\)"):
        io.read_sleap(path)


def test_human_labels_have_no_scores_and_stay(path):
    tracks, scores = arrays()
    mixed = scores.copy()
    mixed[1, 0] = np.nan
    keypoints = io.read_sleap(store(path, tracks, mixed), min_confidence=0.9, individual="bee")
    assert keypoints.visible[0].all()
    for none in (np.full_like(scores, np.nan).transpose(0, 2, 1), None):
        store(path, tracks, scores, others={"point_scores": none})
        assert io.read_sleap(path).confidence is None
    with pytest.raises(ValueError, match="needs confidences"):
        io.read_sleap(path, min_confidence=0.5)


def test_no_edges(path):
    tracks, scores = arrays()
    for edges in (np.empty(0), np.empty((0, 2), dtype=int), None):
        assert (
            load_sleap(str(store(path, tracks, scores, others={"edge_inds": edges})))["edges"] == []
        )


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"tracks": None}, "no data set 'tracks'"),
        ({"tracks": np.zeros((2, 2, 3))}, "4 axes of numbers"),
        ({"tracks": np.zeros((2, 2, 3, 5), dtype="S3")}, "4 axes of numbers"),
        ({"tracks": np.zeros((2, 2, 3, 5), dtype=bool)}, "4 axes of numbers"),
        ({"tracks": np.zeros((2, 2, 4, 5))}, "cannot be told"),
        ({"tracks": np.zeros((2, 3, 3, 5))}, "cannot be told"),
        ({"tracks": np.zeros((3, 2, 3, 5))}, "cannot be told"),
        ({"node_names": None}, "no data set 'node_names'"),
        ({"node_names": np.array([b"a", b"b", b"a"])}, "there twice"),
        ({"node_names": np.array([b"a", b"b"])}, "cannot be told"),
        ({"node_names": np.arange(3)}, "a list of strings"),
        ({"point_scores": np.ones((2, 3, 4))}, "point_scores"),
        ({"point_scores": np.ones((2, 5, 3))}, "point_scores"),
        ({"point_scores": np.full((2, 3, 5), np.inf)}, "not finite"),
        ({"point_scores": np.ones((2, 5))}, "3 axes of numbers"),
        ({"track_occupancy": np.ones((2, 5))}, "track_occupancy"),
        ({"edge_inds": np.array([[0, 3]])}, "edge_inds"),
        ({"edge_inds": np.array([[-1, 2]])}, "edge_inds"),
        ({"edge_inds": np.array([[0.0, 1.0]])}, "edge_inds"),
        ({"edge_inds": np.array([[0, 1, 2]])}, "edge_inds"),
        ({"edge_inds": np.array([0, 1])}, "2 axes of numbers"),
    ],
)
def test_files_that_contradict_themselves(path, others, message):
    store(path, *arrays(), others=others)
    with pytest.raises(io.FileFormatError, match=message):
        load_sleap(str(path))


@pytest.mark.parametrize(
    "dims",
    ["no json", "[1, 2, 3, 4]", '["a"]', '{"a": 1}', "5", "[" * 5000, '["frame"]', 3, [1, 2, 3, 4]],
)
def test_damaged_names_of_axes(path, dims):
    store(path, *arrays())
    with h5py.File(path, "r+") as file:
        file["tracks"].attrs["dims"] = dims
    with pytest.raises(io.FileFormatError, match="attribute 'dims'"):
        load_sleap(str(path))


def test_values_that_are_no_coordinates(path):
    tracks, scores = arrays()
    tracks[0, 0, 0, 0] = np.inf
    with pytest.raises(io.FileFormatError, match="infinite"):
        io.read_sleap(store(path, tracks, scores))
    tracks[0, 0, 0, 0] = 1e200
    with pytest.raises(io.FileFormatError, match="analysis"):
        io.read_sleap(store(path, tracks, scores))
    with pytest.raises(io.FileFormatError, match="no keypoint is visible"):
        io.read_sleap(store(path, np.full_like(tracks, np.nan), scores))


def test_stated_sizes_are_checked(path):
    store(path, *arrays())
    with h5py.File(path, "r+") as file:
        del file["tracks"]
        file.create_dataset("tracks", (2, 2, 3, 10**12), dtype=float, chunks=(1, 1, 1, 1000))
    with pytest.raises(io.FileFormatError, match="states a shape"):
        io.read_sleap(path)


def test_bytes_that_are_no_text(path):
    store(path, *arrays(), others={"node_names": np.array([b"a", b"b", b"\xff\xfe"])})
    with pytest.raises(io.FileFormatError, match="UnicodeDecodeError"):
        io.read_sleap(path)


@pytest.mark.parametrize("keep", [20, 0.5, 0.95])
def test_truncated(path, keep):
    data = store(path, *arrays()).read_bytes()
    path.write_bytes(data[: keep if isinstance(keep, int) else int(keep * len(data))])
    with pytest.raises(io.FileFormatError, match="truncated"):
        io.read_sleap(path)


def test_random_damage_is_an_error_or_harmless(path):
    data = store(path, *arrays()).read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(5):
        damaged = bytearray(data)
        for position in rng.integers(0, len(data), 200):
            damaged[position] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            keypoints = io.read_sleap(path)
        except io.FileFormatError:
            continue
        assert keypoints.n_points == 3


def test_a_million_keypoints_come_back(path):
    tracks = np.random.default_rng(0).uniform(0, 500, (1, 333_334, 3, 2)).astype(np.float32)
    keypoints = io.read_sleap(store(path, tracks, np.ones(tracks.shape[:3]), names=("a",)))
    np.testing.assert_array_equal(keypoints.W, tracks[0])


def test_labels_files_are_not_analysis_files(tmp_path):
    path = tmp_path / "labels.slp"
    with h5py.File(path, "w") as file:
        file["instances"] = np.zeros(3)
    with pytest.raises(io.FileFormatError, match="sleap-convert"):
        io.read(path, format="sleap")
