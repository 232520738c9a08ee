import itertools

import numpy as np
import pytest

from nrsfm_learn import io
from nrsfm_learn.io._movement import is_movement

NAMES = {
    "time": None,
    "space": ["x", "y"],
    "keypoints": ["snout", "centre", "tail"],
    "individuals": ["Alice", "Bob"],
}


class Variable:
    """As much of xarray.DataArray as is read."""

    def __init__(self, dims, values):
        self.dims, self.values = tuple(dims), np.asarray(values)


class Dataset:
    """As much of xarray.Dataset as is read."""

    def __init__(self, data_vars, coords, **attrs):
        self.data_vars = {name: Variable(*variable) for name, variable in data_vars.items()}
        self.coords = {name: Variable((name,), values) for name, values in coords.items()}
        self.attrs = attrs


def arrays(n_frames=4, n_space=2, seed=0):
    rng = np.random.default_rng(seed)
    position = rng.uniform(0, 100, (n_frames, n_space, 3, 2))
    confidence = rng.uniform(0, 1, (n_frames, 3, 2))
    position[1, :, 2, 0] = np.nan
    confidence[1, 2, 0] = np.nan
    return position, confidence


def make(position, confidence=None, dims=("time", "space", "keypoints", "individuals"), **attrs):
    coords = {dim: NAMES[dim] for dim in dims if NAMES.get(dim)}
    coords["space"] = list("xyz"[: position.shape[dims.index("space")]])
    coords["time"] = attrs.pop("time", np.arange(len(position)))
    variables = {"position": (dims, position)}
    if confidence is not None:
        variables["confidence"] = ([dim for dim in dims if dim != "space"], confidence)
    return Dataset(variables, coords, ds_type="poses", **attrs)


def test_poses():
    position, confidence = arrays()
    dataset = make(position, confidence, fps=30, source_software="SLEAP", source_file="/a/b.h5")
    assert is_movement(dataset)
    keypoints = io.read(dataset)
    assert isinstance(keypoints, io.Keypoints)
    assert keypoints.source.format == "movement"
    assert keypoints.source.path == "/a/b.h5"
    assert any("SLEAP" in note for note in keypoints.source.notes)
    assert keypoints.names == ("snout", "centre", "tail")
    assert keypoints.individuals == ("Alice", "Bob")
    assert keypoints.individual.tolist() == [0] * 4 + [1] * 4
    assert keypoints.fps == 30
    expected = np.concatenate([position[..., k].swapaxes(1, 2) for k in range(2)])
    np.testing.assert_array_equal(keypoints.W, expected)
    np.testing.assert_array_equal(
        keypoints.confidence, np.concatenate([confidence[..., k] for k in range(2)])
    )
    assert keypoints.frames.tolist() == [0, 1, 2, 3] * 2


def test_options():
    position, confidence = arrays()
    dataset = make(position, confidence)
    keypoints = io.from_movement(dataset, min_confidence=0.5, individual="Bob")
    hidden = ~(confidence[..., 1] >= 0.5)
    rows = ~hidden.all(-1)
    expected = np.where(hidden[..., None], np.nan, position[..., 1].swapaxes(1, 2))
    np.testing.assert_array_equal(keypoints.W, expected[rows])
    assert io.read(dataset, individual=1).individuals == ("Bob",)
    with pytest.raises(ValueError, match="'Alice', 'Bob'"):
        io.from_movement(dataset, individual="Carol")
    with pytest.raises(TypeError, match="no option 'max_error'"):
        io.read(dataset, max_error=1)


@pytest.mark.parametrize(
    "dims", list(itertools.permutations(("time", "space", "keypoints", "individuals")))[1::4]
)
def test_axes_in_any_order(dims):
    position, confidence = arrays()
    order = [("time", "space", "keypoints", "individuals").index(dim) for dim in dims]
    left = [("time", "keypoints", "individuals").index(dim) for dim in dims if dim != "space"]
    turned = make(position.transpose(order), confidence.transpose(left), dims, time=np.arange(4))
    assert io.from_movement(turned) == io.from_movement(make(position, confidence))


def test_axes_named_in_the_singular():
    position, confidence = arrays()
    dataset = make(position, confidence)
    for variable in dataset.data_vars.values():
        variable.dims = tuple(
            dim.removesuffix("s") if dim.startswith(("key", "ind")) else dim
            for dim in variable.dims
        )
    for name in ("keypoints", "individuals"):
        dataset.coords[name.removesuffix("s")] = dataset.coords.pop(name)
    assert io.read(dataset) == io.from_movement(make(position, confidence))


def test_space_in_another_order():
    position, confidence = arrays()
    dataset = make(position[:, ::-1], confidence)
    dataset.coords["space"].values = np.array(["y", "x"])
    assert io.from_movement(dataset) == io.from_movement(make(position, confidence))


def test_one_individual_that_was_selected():
    position, confidence = arrays()
    dims = ("time", "space", "keypoints")
    dataset = make(position[..., 0], confidence[..., 0], dims)
    assert is_movement(dataset)
    assert io.from_movement(dataset).individuals == ("individual",)
    dataset.coords["individuals"] = Variable((), "Alice")
    keypoints = io.from_movement(dataset)
    assert keypoints.individuals == ("Alice",)
    np.testing.assert_array_equal(keypoints.W, position[..., 0].swapaxes(1, 2))


def test_names_may_be_missing():
    position, confidence = arrays()
    dataset = make(position, confidence)
    dataset.coords = {}
    keypoints = io.from_movement(dataset)
    assert keypoints.names == ("keypoint_0", "keypoint_1", "keypoint_2")
    assert keypoints.individuals == ("individual_0", "individual_1")


@pytest.mark.parametrize("confidence", [None, np.full((4, 3, 2), np.nan)])
def test_no_confidence(confidence):
    dataset = make(arrays()[0], confidence)
    assert io.from_movement(dataset).confidence is None
    with pytest.raises(ValueError, match="needs confidences"):
        io.from_movement(dataset, min_confidence=0.5)


@pytest.mark.parametrize(
    ("attrs", "frames"),
    [
        ({"time": [3, 4, 5, 9], "time_unit": "frames"}, [3, 4, 5, 9]),
        ({"time": np.array([0.1, 0.2, 0.3, 0.5]), "time_unit": "seconds", "fps": 10}, [1, 2, 3, 5]),
        ({"time": np.array([0.1, 0.2, 0.3, 0.5]), "time_unit": "seconds"}, [0, 1, 2, 3]),
        ({"time": np.array([0, 0, 1, 2])}, [0, 1, 2, 3]),
        ({"time": np.array([0.0, np.nan, 1, 2])}, [0, 1, 2, 3]),
        ({"time": np.arange(4).astype("datetime64[s]")}, [0, 1, 2, 3]),
    ],
)
def test_frame_numbers(attrs, frames):
    assert io.from_movement(make(*arrays(), **attrs), individual=1).frames.tolist() == frames


def test_three_dimensions():
    position, confidence = arrays(n_space=3)
    dataset = make(position, confidence, fps=50)
    points = io.read(dataset, individual="Bob", min_confidence=0.3)
    assert isinstance(points, io.Points3D)
    hidden = ~(confidence[..., 1] >= 0.3)
    np.testing.assert_array_equal(
        points.X, np.where(hidden[..., None], np.nan, position[..., 1].swapaxes(1, 2))
    )
    np.testing.assert_array_equal(points.confidence, confidence[..., 1])
    assert points.fps == 50
    assert points.names == ("snout", "centre", "tail")
    both = io.read(dataset)
    assert both.individuals == ("Alice", "Bob")
    np.testing.assert_array_equal(both.select("Bob").X, io.read(dataset, individual="Bob").X)
    np.testing.assert_array_equal(both.select("Alice").frames, np.unique(both.frames))
    assert any("stacked" in note for note in both.source.notes)
    dataset = make(position[..., :1])
    dataset.coords["individuals"].values = np.array(["Alice"])
    np.testing.assert_array_equal(io.read(dataset).X, position[..., 0].swapaxes(1, 2))
    with pytest.raises(ValueError, match="needs confidences"):
        io.read(dataset, min_confidence=0.5)


def boxes():
    rng = np.random.default_rng(0)
    return Dataset(
        {
            "position": (("time", "space", "individuals"), rng.random((4, 2, 2))),
            "shape": (("time", "space", "individuals"), rng.random((4, 2, 2))),
        },
        {"individuals": ["a", "b"], "space": ["x", "y"]},
        ds_type="bboxes",
    )


def test_bounding_boxes_are_no_poses():
    assert is_movement(boxes())
    with pytest.raises(io.FileFormatError, match=r"no axis keypoints.*bboxes.*load_poses"):
        io.read(boxes())


@pytest.mark.parametrize("other", [None, "a.csv", 5, {}, {"position": 1}, np.zeros(3), object()])
def test_other_objects(other):
    assert not is_movement(other)
    with pytest.raises(TypeError, match="data set of the package movement"):
        io.from_movement(other)


def changed(change, **options):
    dataset = make(*arrays(**options))
    change(dataset)
    return dataset


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.coords["space"].__init__((), ["rho", "phi"]), "space is rho, phi"),
        (lambda d: d.coords["space"].__init__((), ["x", "y", "z"]), "space is x, y, z over 2"),
        (lambda d: d.coords["keypoints"].__init__((), ["a", "a", "b"]), "different ones"),
        (lambda d: d.coords["keypoints"].__init__((), ["a", "b"]), "different ones"),
        (lambda d: d.coords["individuals"].__init__((), ["a", "a"]), "different ones"),
        (lambda d: d.attrs.update(fps=0), "attribute 'fps'"),
        (lambda d: d.attrs.update(fps="fast"), "attribute 'fps'"),
        (lambda d: d.attrs.update(fps=np.nan), "attribute 'fps'"),
        (lambda d: d.attrs.update(fps=True), "attribute 'fps'"),
        (
            lambda d: d.data_vars["confidence"].__init__(("time", "keypoints"), np.ones((4, 3))),
            "a variable has axes time, keypoints",
        ),
        (
            lambda d: d.data_vars["confidence"].__init__(
                ("time", "keypoints", "individuals"), np.ones((4, 3, 1))
            ),
            "confidence .* has shape",
        ),
        (lambda d: d.data_vars["confidence"].values.fill(np.inf), "confidence is infinite"),
        (lambda d: d.data_vars["position"].values.fill(np.inf), "infinite"),
        (lambda d: d.data_vars["position"].values.fill(np.nan), "no keypoint is visible"),
        (
            lambda d: d.data_vars["position"].__init__(
                d.data_vars["position"].dims, np.full((4, 2, 3, 2), "a")
            ),
            "expected numbers",
        ),
        (
            lambda d: d.data_vars["position"].__init__(
                ("view", *d.data_vars["position"].dims), np.ones((2, 4, 2, 3, 2))
            ),
            r"'view' too many.*isel\(view=0\)",
        ),
        (
            lambda d: d.data_vars["position"].__init__(
                d.data_vars["position"].dims, np.ones((0, 2, 3, 2))
            ),
            "shape|0 frames",
        ),
    ],
)
def test_data_sets_of_another_layout(change, message):
    with pytest.raises(io.FileFormatError, match=message):
        io.from_movement(changed(change))


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_three_dimensions_without_values(value):
    dataset = changed(lambda d: d.data_vars["position"].values.fill(value), n_space=3)
    with pytest.raises(io.FileFormatError):
        io.from_movement(dataset, individual=0)


def test_xarray():
    xarray = pytest.importorskip("xarray", reason="xarray is not installed")
    position, confidence = arrays()
    dims = ("time", "space", "keypoints", "individuals")
    dataset = xarray.Dataset(
        {"position": (dims, position), "confidence": (("time", *dims[2:]), confidence)},
        {"time": np.arange(4), **{dim: NAMES[dim] for dim in dims[1:]}},
        {"fps": None, "ds_type": "poses"},
    )
    assert io.read(dataset) == io.from_movement(make(position, confidence))
    alone = io.read(dataset.sel(individuals="Bob"))
    assert alone.individuals == ("Bob",)
    np.testing.assert_array_equal(alone.W, position[..., 1].swapaxes(1, 2))
    with pytest.raises(TypeError, match="path"):
        io.read(dataset["position"])
