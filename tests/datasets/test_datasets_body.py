import numpy as np
import pytest

from nrsfm_learn.datasets import make_articulated_body
from nrsfm_learn.datasets._motion import soft_limit
from nrsfm_learn.datasets._skeleton import make_skeleton

MOTIONS = ["walk", "reach", "jump", "mixture"]


def bone_lengths(X, edges):
    i, j = np.array(edges).T
    return np.linalg.norm(X[:, i] - X[:, j], axis=-1)


def inner_angle(body, a, b, c):
    """Angle in degrees between the bones a -> b and b -> c; 0 where the joint is stretched."""
    a, b, c = (body.shapes[:, body.names.index(n)] for n in (a, b, c))
    u, v = b - a, c - b
    cosine = (u * v).sum(-1) / np.linalg.norm(u, axis=-1) / np.linalg.norm(v, axis=-1)
    return np.rad2deg(np.arccos(np.clip(cosine, -1, 1)))


def rigid_error(shapes):
    """Mean normalised error of the best rigid shape, by alternating Procrustes."""
    shapes = shapes - shapes.mean(1, keepdims=True)
    mean = shapes[0]
    for _ in range(10):
        U, _, Vt = np.linalg.svd(shapes.swapaxes(1, 2) @ mean)
        aligned = shapes @ (U @ Vt)
        mean = aligned.mean(0)
    size = np.linalg.norm(aligned, axis=(1, 2))
    return (np.linalg.norm(aligned - mean, axis=(1, 2)) / size).mean(), aligned, size


def test_shapes_of_the_bunch():
    body = make_articulated_body(40, clips=2, missing=0.2, random_state=0)
    assert body.W.shape == body.W_complete.shape == (40, 31, 2)
    assert body.X.shape == body.shapes.shape == (40, 31, 3)
    assert body.visible.shape == (40, 31)
    assert body.visible.dtype == bool
    assert len(body.names) == len(set(body.names)) == 31
    assert len(body.edges) == 30
    assert body.groups.tolist() == [0] * 20 + [1] * 20
    np.testing.assert_array_equal(np.isnan(body.W).all(-1), ~body.visible)
    np.testing.assert_array_equal(np.isnan(body.W).any(-1), ~body.visible)
    np.testing.assert_allclose(body.shapes.mean(1), 0, atol=1e-14)


@pytest.mark.parametrize("motion", MOTIONS)
def test_bone_lengths_are_constant(motion):
    body = make_articulated_body(120, motion=motion, clips=3, random_state=1)
    for X in (body.shapes, body.X):
        lengths = bone_lengths(X, body.edges)
        assert np.ptp(lengths, axis=0).max() < 1e-12
        assert lengths.min() > 0.02
        assert lengths.max() < 0.6


def test_both_sides_of_the_body_are_equal():
    body = make_articulated_body(2, random_state=3)
    lengths = dict(
        zip(
            [body.names[j] for _, j in body.edges], bone_lengths(body.X, body.edges)[0], strict=True
        )
    )
    for name, length in lengths.items():
        if name.startswith("l") and "r" + name[1:] in lengths:
            assert length == pytest.approx(lengths["r" + name[1:]], abs=1e-12)


@pytest.mark.parametrize("motion", MOTIONS)
def test_joint_limits(motion):
    body = make_articulated_body(300, motion=motion, clips=6, random_state=2)
    low, high = body.angle_limits.T
    assert (body.angles >= low).all()
    assert (body.angles <= high).all()
    # The same limits, measured on the joints themselves. A rest pose that is not quite straight
    # adds a few degrees.
    for side in "lr":
        knee = inner_angle(body, side + "femur", side + "tibia", side + "foot")
        assert inner_angle(body, side + "hipjoint", side + "femur", side + "tibia").max() < 147
        assert inner_angle(body, side + "clavicle", side + "humerus", side + "radius").max() < 151
        assert (knee > 15).all()
        assert (knee < 120).all()


@pytest.mark.parametrize("side", ["l", "r"])
def test_knees_and_elbows_bend_the_human_way(side):
    skeleton = make_skeleton()
    angles = np.zeros((1, len(skeleton.angle_names)))
    for name, degrees in (("tibia", 90), ("radius", 90), ("femur", 45), ("humerus", 30)):
        angles[0, skeleton.angle_names.index(f"{side}{name}.flexion")] = degrees
    before = skeleton.pose(np.zeros_like(angles))[0]
    after = skeleton.pose(angles)[0]
    moved = {n: after[k] - before[k] for k, n in enumerate(skeleton.names)}
    assert moved[side + "femur"][2] > 0.2, "a flexed hip brings the knee forward"
    assert (
        after[skeleton.names.index(side + "tibia"), 2]
        < after[skeleton.names.index(side + "femur"), 2]
    ), "a flexed knee brings the ankle behind it"
    assert moved[side + "wrist"][2] > 0.2, "a flexed elbow brings the hand forward"
    other = "r" if side == "l" else "l"
    np.testing.assert_allclose(moved[other + "foot"], 0, atol=1e-15)


def test_abduction_goes_outwards_on_both_sides():
    skeleton = make_skeleton()
    angles = np.zeros((1, len(skeleton.angle_names)))
    for side in "lr":
        angles[0, skeleton.angle_names.index(side + "humerus.abduction")] = 80
    joints = dict(zip(skeleton.names, skeleton.pose(angles)[0], strict=True))
    for side, sign in (("l", 1), ("r", -1)):
        assert sign * (joints[side + "humerus"] - joints[side + "clavicle"])[0] > 0.25
    mirrored = joints["rfingers"] * [-1, 1, 1]
    np.testing.assert_allclose(joints["lfingers"], mirrored, atol=1e-14)


@pytest.mark.parametrize("height", [1.2, 1.9])
def test_height_in_metres(height):
    skeleton = make_skeleton(height, np.random.RandomState(0))
    joints = skeleton.pose(np.zeros((1, len(skeleton.angle_names))))[0]
    assert 0.85 * height < np.ptp(joints[:, 1]) < height


def test_motion_is_smooth_within_clips_only():
    body = make_articulated_body(200, motion="reach", clips=2, random_state=4)
    step = np.linalg.norm(np.diff(body.shapes, axis=0), axis=-1).max(1)
    assert step[99] > 2 * np.median(np.delete(step, 99))
    # No joint is faster than 6 m/s.
    assert np.delete(step, 99).max() < 0.2


def test_low_dimensional_but_not_rigid():
    error, aligned, size = rigid_error(make_articulated_body(600, random_state=0).shapes)
    assert error > 0.25
    D = (aligned - aligned.mean(0)).reshape(len(aligned), -1)
    U, s, Vt = np.linalg.svd(D, full_matrices=False)
    rest = D - (U[:, :10] * s[:10]) @ Vt[:10]
    assert (np.linalg.norm(rest, axis=1) / size).mean() < error / 3


def test_mixture_has_all_motions():
    body = make_articulated_body(90, clips=9, random_state=0)
    assert sorted(body.motions) == sorted(["walk", "reach", "jump"] * 3)


def test_seed_reproduces():
    a, b = (make_articulated_body(30, missing=0.3, noise=0.1, random_state=5) for _ in range(2))
    np.testing.assert_array_equal(a.W, b.W)
    np.testing.assert_array_equal(a.X, b.X)
    c = make_articulated_body(30, missing=0.3, noise=0.1, random_state=6)
    assert np.abs(a.X - c.X).max() > 0.01


def test_hiding_and_noise_leave_the_scene_alone():
    clean = make_articulated_body(30, random_state=5)
    spoilt = make_articulated_body(30, missing=0.4, noise=0.1, random_state=5)
    np.testing.assert_array_equal(clean.X, spoilt.X)
    np.testing.assert_array_equal(clean.W_complete, spoilt.W_complete)
    np.testing.assert_array_equal(clean.W, clean.W_complete)


def test_global_random_state_is_left_alone():
    np.random.seed(0)  # noqa: NPY002
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    make_articulated_body(10, random_state=0)
    np.testing.assert_array_equal(state, np.random.get_state()[1])  # noqa: NPY002


def test_self_occlusion_prefers_the_far_side():
    body = make_articulated_body(
        400, motion="walk", views="upright", occlusion="self", random_state=0
    )
    hidden = ~body.visible
    assert 0.1 < hidden.mean() < 0.45
    # Of each pair of joints left and right, the one further away is hidden far more often.
    left = [k for k, n in enumerate(body.names) if n.startswith("l") and "r" + n[1:] in body.names]
    right = [body.names.index("r" + body.names[k][1:]) for k in left]
    far = body.X[:, left, 2] > body.X[:, right, 2] + 0.1
    near = body.X[:, left, 2] < body.X[:, right, 2] - 0.1
    assert hidden[:, left][far].mean() > 2 * hidden[:, left][near].mean()


def test_soft_limit():
    low, high = np.array([-10.0]), np.array([30.0])
    inside = np.array([[-6.0], [10.0], [26.0]])
    np.testing.assert_allclose(soft_limit(inside, low, high), inside, atol=1e-12)
    x = np.linspace(-200, 200, 4001)[:, None]
    y = soft_limit(x, low, high)
    assert (y >= low).all()
    assert (y <= high).all()
    assert (np.diff(y, axis=0) >= 0).all()
    # No jump and no kink.
    assert np.abs(np.diff(y, n=2, axis=0)).max() < 0.01


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"motion": "fly"}, "motion must be one of"),
        ({"camera": "pinhole"}, "camera must be one of"),
        ({"views": "all"}, "views must be one of"),
        ({"occlusion": "none"}, "occlusion must be one of"),
        ({"missing": 1.0}, "missing is a fraction"),
        ({"missing": -0.1}, "missing is a fraction"),
        ({"noise": -1}, "noise is a relative"),
        ({"clips": 0}, "clips must be an integer"),
        ({"clips": 11}, "between 1 and n_frames=10"),
        ({"height": 0}, "height must be positive"),
        ({"depth_ratio": 0, "camera": "perspective"}, "depth_ratio"),
        ({"min_visible": 32}, "min_visible must lie between 0 and the 31"),
        ({"intrinsics": np.eye(2)}, "intrinsics must be a"),
        ({"intrinsics": np.eye(3), "image_size": (640, 480)}, "not both"),
        ({"image_size": (640, 0)}, "image_size must be"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        make_articulated_body(10, **options)


@pytest.mark.parametrize("n_frames", [0, -1, 2.5])
def test_bad_number_of_frames(n_frames):
    with pytest.raises(ValueError, match="n_frames must be a positive integer"):
        make_articulated_body(n_frames)
