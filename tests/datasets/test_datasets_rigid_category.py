import numpy as np
import pytest

from nrsfm_learn.datasets import make_rigid_category
from nrsfm_learn.datasets._rigid_shapes import RIGID_SHAPES

CATEGORIES = sorted(RIGID_SHAPES)


@pytest.mark.parametrize("category", CATEGORIES)
def test_keypoints(category):
    data = make_rigid_category(60, category=category, random_state=0)
    n_points = data.W.shape[1]
    assert 8 <= n_points <= 16
    assert len(data.names) == len(set(data.names)) == n_points
    assert {i for e in data.edges for i in e} == set(range(n_points)), "every point is drawn"
    assert len({frozenset(e) for e in data.edges}) == len(data.edges)
    np.testing.assert_allclose(data.shapes.mean(1), 0, atol=1e-12)


@pytest.mark.parametrize("category", CATEGORIES)
def test_instances_are_symmetric_and_differ(category):
    data = make_rigid_category(40, category=category, random_state=0)
    swap = [
        data.names.index(n.replace("left", "tmp").replace("right", "left").replace("tmp", "right"))
        for n in data.names
    ]
    np.testing.assert_allclose(data.shapes[:, swap] * [-1, 1, 1], data.shapes, atol=1e-12)
    size = np.linalg.norm(data.shapes, axis=(1, 2))
    assert len(np.unique(size.round(9))) == 40
    scaled = (data.shapes / size[:, None, None]).reshape(40, -1)
    spread = np.linalg.norm(scaled - scaled.mean(0), axis=1).mean()
    assert 0.03 < spread < 0.4, "instances have different proportions, and one category"


def test_sizes_are_those_of_real_objects():
    for category, low, high in (
        ("aeroplane", 24, 80),
        ("bicycle", 0.95, 1.4),
        ("boat", 5, 12.1),
        ("bottle", 0.14, 0.4),
        ("bus", 6, 13.1),
        ("car", 3.5, 5.2),
        ("chair", 0.6, 1.4),
        ("diningtable", 0.8, 2.1),
        ("motorbike", 1.2, 2.0),
        ("sofa", 1.3, 2.6),
        ("train", 7, 14.1),
        ("tvmonitor", 0.3, 1.1),
    ):
        shapes = make_rigid_category(100, category=category, random_state=0).shapes
        extent = np.ptp(shapes, axis=1).max(1)
        assert extent.min() > low
        assert extent.max() < high


def test_instances_over_several_frames():
    data = make_rigid_category(60, n_instances=4, views="turntable", random_state=0)
    assert np.bincount(data.groups).tolist() == [15] * 4
    for k in range(4):
        same = data.shapes[data.groups == k]
        np.testing.assert_array_equal(same, np.broadcast_to(same[0], same.shape))
    assert np.abs(data.shapes[0] - data.shapes[-1]).max() > 0.01


@pytest.mark.parametrize("camera", ["orthographic", "perspective"])
def test_cars_hide_their_far_side(camera):
    data = make_rigid_category(
        300, category="car", occlusion="self", views="upright", camera=camera, random_state=0
    )
    assert 0.2 < 1 - data.visible.mean() < 0.6
    camera_side = -(data.rotations[:, 2] @ [1.0, 0, 0])
    for name in ("front_wheel", "back_wheel"):
        for side, sign in (("left", 1), ("right", -1)):
            seen = data.visible[:, data.names.index(f"{side}_{name}")]
            assert seen[sign * camera_side > 0.3].all()
            assert not seen[sign * camera_side < -0.3].any()
    # Seen from above, no roof corner is hidden, whatever the side.
    roof = [data.names.index(f"{s}_windscreen_top") for s in ("left", "right")]
    from_above = data.rotations[:, 2, 1] < -0.5
    assert from_above.sum() > 20
    assert data.visible[from_above][:, roof].all()


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_keypoint_is_sometimes_seen_and_sometimes_hidden(category):
    data = make_rigid_category(800, category=category, occlusion="self", random_state=0)
    share = data.visible.mean(0)
    assert (share > 0.2).all()
    assert 0.05 < 1 - data.visible.mean() < 0.65
    assert (data.visible.sum(1) >= 3).all()


def test_seed_reproduces():
    a, b = (make_rigid_category(20, category="chair", random_state=1) for _ in range(2))
    np.testing.assert_array_equal(a.W, b.W)


def test_errors():
    with pytest.raises(
        ValueError, match=r"category must be one of \['aeroplane', 'bicycle', 'boat'"
    ):
        make_rigid_category(5, category="zeppelin")
    with pytest.raises(ValueError, match="n_instances must be an integer between 1 and n_frames=5"):
        make_rigid_category(5, n_instances=6)
    with pytest.raises(ValueError, match="give n_instances < n_frames"):
        make_rigid_category(5, occlusion="contiguous")
    with pytest.raises(ValueError, match="n_frames must be a positive integer"):
        make_rigid_category(0)
