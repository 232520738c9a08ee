import numpy as np
import pytest

from nrsfm_learn.datasets import make_rigid_category, make_twelve_categories
from nrsfm_learn.datasets._rigid_shapes import RIGID_SHAPES
from nrsfm_learn.preprocessing import split_categories

# Entries of each class in C3DPO's pascal3d_train.json, as its evaluation expects them.
COUNTS = {
    "aeroplane": 1953,
    "bicycle": 904,
    "boat": 2046,
    "bottle": 1601,
    "bus": 1185,
    "car": 5627,
    "chair": 1186,
    "diningtable": 751,
    "motorbike": 725,
    "sofa": 669,
    "train": 1113,
    "tvmonitor": 1374,
}


@pytest.fixture(scope="module")
def data():
    return make_twelve_categories(4000, random_state=0)


def test_sizes(data):
    assert data.W.shape == (4000, data.layout.n_points, 2)
    assert set(data.layout.categories) == set(COUNTS) == set(RIGID_SHAPES)
    total = sum(COUNTS.values())
    for name, count in COUNTS.items():
        assert 8 <= len(data.layout.points(name)) <= 16
        assert (data.categories == name).sum() == pytest.approx(4000 * count / total, abs=6)
    assert data.layout.n_points == sum(len(data.layout.points(c)) for c in COUNTS)
    # Shuffled: every tenth of the frames has all of the larger categories.
    assert {"car", "boat", "aeroplane"} <= set(data.categories[:100])


@pytest.mark.parametrize("seed", range(3))
def test_as_much_is_hidden_as_in_pascal3d(seed):
    data = make_twelve_categories(2500, random_state=seed)
    own = data.layout.mask(data.categories)
    assert 1 - data.visible[own].mean() == pytest.approx(0.377, abs=0.02)
    assert not data.visible[~own].any()


def test_each_category_hides_what_its_own_surface_hides(data):
    hidden = {
        name: 1 - part.mean()
        for name, part in split_categories(data.visible, data.categories, data.layout).items()
    }
    assert hidden["chair"] < 0.15 < hidden["aeroplane"] < hidden["car"] < hidden["bus"] < 0.6
    assert np.std(list(hidden.values())) > 0.05
    # The far wheels of a car are hidden and the near ones are not: geometry, not chance.
    cars = data.categories == "car"
    near = -data.rotations[cars, 2, 0]
    for side, sign in (("left", 1), ("right", -1)):
        seen = data.visible[cars][:, data.names.index(f"car/{side}_front_wheel")]
        assert seen[sign * near > 0.3].all()
        assert not seen[sign * near < -0.3].any()


def test_arrays_agree(data):
    own = data.layout.mask(data.categories)
    np.testing.assert_array_equal(np.isfinite(data.X).all(-1), own)
    np.testing.assert_array_equal(np.isfinite(data.W).all(-1), data.visible)
    np.testing.assert_array_equal(data.W[data.visible], data.W_complete[data.visible])
    np.testing.assert_array_equal(data.W_complete[own], data.X[own][:, :2])
    X = data.shapes @ data.rotations.swapaxes(1, 2) + data.translations[:, None]
    np.testing.assert_allclose(X[own], data.X[own], atol=1e-12)
    assert (data.visible.sum(1) >= 3).all()
    assert len(data.groups) == len(np.unique(data.groups))
    for i, j in data.edges:
        assert data.names[i].split("/")[0] == data.names[j].split("/")[0]


def test_units(data):
    for name, shapes in split_categories(data.shapes, data.categories, data.layout).items():
        rms = np.sqrt((shapes**2).sum(2).mean(1))
        assert rms.mean() == pytest.approx(1)
        sample = make_rigid_category(300, category=name, random_state=1).shapes
        metres = np.sqrt((sample**2).sum(2).mean(1)).mean()
        assert data.metres[name] == pytest.approx(metres, rel=0.1)


def test_cameras_stand_near_the_horizon(data):
    # The object's vertical in the camera frame: upright, and seen a little from above.
    up = data.rotations[:, :, 1]
    assert (up[:, 1] < -0.4).all()
    elevation = np.rad2deg(np.arcsin(-up[:, 2]))
    assert 2 < elevation.mean() < 10
    assert (np.abs(elevation) < 20).mean() > 0.85
    front = -data.rotations[:, 2, 2]
    assert front[data.categories == "sofa"].mean() > 0.3
    assert abs(front[data.categories == "car"].mean()) < 0.1


def test_perspective_and_noise():
    near = make_twelve_categories(60, camera="perspective", noise=0.01, random_state=0)
    own = near.layout.mask(near.categories)
    np.testing.assert_allclose(
        near.W_complete[own], near.X[own][:, :2] / near.X[own][:, 2:], atol=1e-12
    )
    error = (near.W - near.W_complete)[near.visible]
    assert 0 < np.abs(error).max() < 0.1


def test_seed_reproduces():
    a, b = (make_twelve_categories(30, random_state=5) for _ in range(2))
    np.testing.assert_array_equal(a.W, b.W)
    assert a.categories.tolist() == b.categories.tolist()


@pytest.mark.parametrize("n_frames", [12, 13, 100])
def test_every_category_has_a_frame(n_frames):
    data = make_twelve_categories(n_frames, random_state=0)
    assert len(np.unique(data.categories)) == 12
    assert len(data.W) == n_frames


def test_errors():
    with pytest.raises(ValueError, match="n_frames must be an integer of at least 12"):
        make_twelve_categories(11)
    with pytest.raises(ValueError, match="camera must be one of"):
        make_twelve_categories(20, camera="fisheye")
