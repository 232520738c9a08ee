import numpy as np
import pytest

from nrsfm_learn.datasets import make_surface_body
from nrsfm_learn.datasets._skeleton import make_skeleton
from nrsfm_learn.datasets._surface_body import clothe, pose_skin


@pytest.fixture(scope="module")
def body():
    return make_surface_body(600, random_state=0)


def distance_to_bones(points, joints, bones):
    """Distances (n_points, n_bones) from points to segments."""
    a, b = joints[bones[:, 0]], joints[bones[:, 1]]
    e = b - a
    s = ((points[:, None] - a) * e).sum(-1) / (e * e).sum(-1)
    return np.linalg.norm(points[:, None] - a - np.clip(s, 0, 1)[..., None] * e, axis=-1)


def test_points_lie_on_their_limbs():
    skeleton = clothe(make_skeleton(1.75, np.random.RandomState(0)))
    rng = np.random.RandomState(1)
    angles = rng.uniform(*skeleton.limits.T, size=(20, len(skeleton.limits)))
    names, joints, skin = pose_skin(skeleton, angles)
    np.testing.assert_allclose(joints, skeleton.pose(angles), atol=1e-12)
    assert len(set(names)) == 79
    bones = np.array(skeleton.edges)
    radii = skeleton.radii[bones[:, 1]]
    gaps = np.stack(
        [distance_to_bones(*each, bones) - radii for each in zip(skin, joints, strict=True)]
    )
    # Each point is on the surface of the same limb in every pose.
    on_limb = np.abs(gaps) < 1e-5
    assert on_limb.all(0).any(1).all()


def test_a_limb_is_rigid():
    skeleton = clothe(make_skeleton(1.75))
    angles = np.random.RandomState(1).uniform(*skeleton.limits.T, size=(20, len(skeleton.limits)))
    names, _, skin = pose_skin(skeleton, angles)
    thigh = skin[:, [k for k, name in enumerate(names) if name.startswith("left_upper_thigh")]]
    lengths = np.linalg.norm(thigh[:, :, None] - thigh[:, None], axis=-1)
    np.testing.assert_allclose(lengths, np.broadcast_to(lengths[0], lengths.shape), atol=1e-12)


def test_the_body_at_rest_is_symmetric_and_faces_the_front():
    skeleton = clothe(make_skeleton(1.75))
    names, _, skin = pose_skin(skeleton, np.zeros((1, len(skeleton.angle_names))))
    swapped = [
        n.replace("left", "tmp").replace("right", "left").replace("tmp", "right") for n in names
    ]
    order = [names.index(name) for name in swapped]
    np.testing.assert_allclose(skin[0, order] * [-1, 1, 1], skin[0], atol=1e-12)
    at = dict(zip(names, skin[0], strict=True))
    assert at["chest_front"][2] > at["chest_back"][2] + 0.2
    assert at["left_upper_thigh_outer"][0] > at["left_upper_thigh_inner"][0] + 0.1
    assert at["right_upper_thigh_outer"][0] < at["right_upper_thigh_inner"][0] - 0.1
    assert at["head_end"][1] == max(p[1] for p in skin[0])


@pytest.mark.parametrize("seed", range(3))
def test_as_much_is_hidden_as_in_s_up3d(seed):
    body = make_surface_body(800, random_state=seed)
    assert body.W.shape == (800, 79, 2)
    assert 1 - body.visible.mean() == pytest.approx(0.619, abs=0.02)


@pytest.mark.parametrize("camera", ["orthographic", "perspective"])
def test_visibility_against_marching_along_the_line_of_sight(camera):
    body = make_surface_body(5, camera=camera, min_visible=0, random_state=3)
    skeleton = clothe(make_skeleton(1.75))
    bones = np.array(skeleton.edges)
    radii = skeleton.radii[bones[:, 1]]
    agree = []
    for f in range(5):
        joints = body.joints[f] @ body.rotations[f].T + body.translations[f]
        X = body.X[f]
        d = (
            -X / np.linalg.norm(X, axis=1, keepdims=True)
            if camera == "perspective"
            else [0, 0, -1.0]
        )
        hidden = np.zeros(79, dtype=bool)
        for t in np.linspace(2e-3, 2.2, 700):
            hidden |= (distance_to_bones(X + t * np.asarray(d), joints, bones) < radii).any(1)
        agree.append(hidden == ~body.visible[f])
    # Steps of 3 mm miss a graze now and then.
    assert np.mean(agree) > 0.98


def test_the_far_side_is_hidden(body):
    behind = body.rotations[:, 2, 2]
    for name, sign in (("chest_front", 1), ("chest_back", -1)):
        seen = body.visible[:, body.names.index(name)]
        # The trunk bends and turns against the body as a whole.
        assert seen[sign * behind > 0.6].mean() < 0.1
        assert seen[sign * behind < -0.6].mean() > 0.8


def test_every_point_is_sometimes_seen_and_sometimes_hidden(body):
    share = body.visible.mean(0)
    assert share.min() > 0.05
    assert share.max() < 0.8


def test_bunch(body):
    X = body.shapes @ body.rotations.swapaxes(1, 2) + body.translations[:, None]
    np.testing.assert_allclose(X, body.X, atol=1e-12)
    np.testing.assert_allclose(body.shapes.mean(1), 0, atol=1e-12)
    np.testing.assert_array_equal(np.isfinite(body.W).all(-1), body.visible)
    assert {i for edge in body.edges for i in edge} == set(range(79))
    assert len(np.unique(body.groups)) == 600
    assert len(np.unique(body.people)) == 20
    assert (body.visible.sum(1) >= 3).all()
    height = np.ptp(body.joints[..., 1], axis=1)
    assert height.max() < 2.5


def test_people_differ_in_proportions_and_poses_in_every_frame(body):
    arm = [body.names.index(f"left_{place}_outer") for place in ("upper_thigh", "lower_thigh")]
    length = np.linalg.norm(np.diff(body.shapes[:, arm], axis=1)[:, 0], axis=-1)
    for person in range(20):
        assert np.ptp(length[body.people == person]) < 1e-9
    assert np.ptp(length) > 0.01
    assert np.linalg.norm(np.diff(body.shapes, axis=0), axis=(1, 2)).min() > 0.1


def test_seed_reproduces():
    a, b = (make_surface_body(10, random_state=2) for _ in range(2))
    np.testing.assert_array_equal(a.W, b.W)
    assert len(np.unique(a.people)) == 10


def test_errors():
    with pytest.raises(ValueError, match="n_people must be a positive integer"):
        make_surface_body(5, n_people=0)
    with pytest.raises(ValueError, match="views must be 'random' or 'upright'"):
        make_surface_body(5, views="smooth")
    with pytest.raises(ValueError, match="height must be positive"):
        make_surface_body(5, height=-1)
    with pytest.raises(ValueError, match="motion must be one of"):
        make_surface_body(5, motion="swim")
    with pytest.raises(ValueError, match="n_frames must be a positive integer"):
        make_surface_body(0)
