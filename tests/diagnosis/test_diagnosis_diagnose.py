import numpy as np
import pytest

from nrsfm_learn.datasets import (
    load_cmu_joints,
    load_short_sequence,
    make_articulated_body,
    make_bending_sheet,
    make_low_rank,
    make_rigid_category,
)
from nrsfm_learn.diagnosis import Diagnosis, diagnose

VIEWS = ("random", "smooth", "turntable", "upright")


@pytest.mark.parametrize("views", VIEWS)
@pytest.mark.parametrize(
    "make", [make_articulated_body, make_bending_sheet, make_low_rank, make_rigid_category]
)
def test_turning_objects_can_be_reconstructed(make, views):
    assert diagnose(make(300, views=views, random_state=0).W).reconstructible is True


@pytest.mark.parametrize(
    "options",
    [
        {"missing": 0.3},
        {"missing": 0.3, "occlusion": "contiguous"},
        {"noise": 0.03},
        {"camera": "weak_perspective"},
        {"camera": "perspective", "depth_ratio": 0.4},
    ],
)
def test_a_body_from_random_sides_in_hard_conditions(options):
    body = make_articulated_body(300, random_state=0, **options)
    assert diagnose(body.W).reconstructible is True


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.05])
def test_one_view_turned_in_plane_cannot(fixed_view, noise):
    body = make_articulated_body(2, random_state=0)
    W = fixed_view(np.repeat(body.shapes[:1], 200, axis=0), in_plane=True)
    W += noise * W.std() * np.random.default_rng(0).normal(size=W.shape)
    diagnosis = diagnose(W)
    assert diagnosis.reconstructible is False
    assert diagnosis["rotation"].severity == "blocker"
    assert diagnosis.angular_spread < 10
    assert "rotation" in diagnosis["rotation"].message
    if noise < 0.02:
        assert "the same view" in diagnosis["rotation"].message


def test_one_view_repeated_cannot():
    W = np.repeat(make_low_rank(5, random_state=0).W[:1], 100, axis=0)
    diagnosis = diagnose(W)
    assert diagnosis.reconstructible is False
    assert len(diagnosis.duplicate_frames) == 99


@pytest.mark.parametrize("in_plane", [False, True])
@pytest.mark.parametrize("make", [make_bending_sheet, make_low_rank, make_rigid_category])
def test_deformation_in_a_fixed_view_cannot(make, in_plane, fixed_view):
    W = fixed_view(make(300, random_state=0).shapes, in_plane=in_plane)
    diagnosis = diagnose(W)
    assert diagnosis.reconstructible is False
    assert "deformation" in diagnosis["rotation"].advice


@pytest.mark.parametrize("seed", [0, 2, 3, 5])
def test_a_body_in_a_fixed_view_is_never_approved(seed, fixed_view):
    body = make_articulated_body(300, random_state=seed)
    assert diagnose(fixed_view(body.shapes, seed)).reconstructible is not True


@pytest.mark.parametrize("axes", [[2, 1], [0, 1]])
def test_walking_on_the_spot_before_a_fixed_camera_cannot(axes):
    body = make_articulated_body(300, motion="walk", clips=2, random_state=0)
    assert diagnose(body.shapes[..., axes]).reconstructible is False


@pytest.mark.parametrize("swing", [0.2, 0.5, 1.0])
def test_planar_motion_before_a_fixed_camera_cannot(swing):
    """Four chains of four rods that swing in the image plane about a common joint."""
    rng = np.random.default_rng(0)
    time = np.arange(300) / 30
    points = [np.zeros((300, 2))]
    for _ in range(4):
        end, angle = points[0], rng.uniform(0, 2 * np.pi)
        for _ in range(4):
            speed, phase = rng.uniform(1.2, 4), rng.uniform(0, 6)
            angle = angle + swing * np.sin(speed * time + phase) + rng.uniform(-0.5, 0.5)
            end = end + rng.uniform(0.5, 1) * np.stack([np.cos(angle), np.sin(angle)], 1)
            points.append(end)
    diagnosis = diagnose(np.stack(points, axis=1))
    assert diagnosis.reconstructible is False
    assert "keep their image distance" in diagnosis["rotation"].message


def test_a_body_that_hardly_turns_cannot_and_a_rigid_one_can(arc):
    body = make_articulated_body(300, clips=1, random_state=3)
    rigid = make_low_rank(300, rank=1, random_state=3)
    assert diagnose(arc(body.shapes, 20)).reconstructible is False
    assert diagnose(arc(rigid.shapes, 2)).reconstructible is False
    diagnosis = diagnose(arc(rigid.shapes, 30))
    assert diagnosis.reconstructible is True
    assert diagnosis["rotation"].severity == "note"
    assert diagnosis.angular_spread < 30


def test_undecided_cases_say_so(arc):
    body = make_articulated_body(300, clips=1, random_state=3)
    diagnosis = diagnose(arc(body.shapes, 45))
    assert diagnosis.reconstructible is None
    assert diagnosis["rotation"].severity == "warning"
    assert "cannot tell" in str(diagnosis)


@pytest.mark.parametrize("n_points", [5, 8, 31])
def test_noise_is_never_approved(n_points):
    rng = np.random.default_rng(n_points)
    W = rng.normal(size=(200, n_points, 2))
    assert diagnose(W).reconstructible is not True
    W[rng.uniform(size=W.shape[:2]) < 0.5] = np.nan
    assert diagnose(W).reconstructible is not True


@pytest.mark.parametrize("name", ["drink", "pickup", "yoga", "stretch", "dance", "shark"])
def test_short_sequences(name, data_dir):
    diagnosis = diagnose(load_short_sequence(name, data_dir).W)
    assert diagnosis.reconstructible is True
    assert diagnosis.is_video
    assert diagnosis.recommendation.startswith("PAUL(")
    assert not diagnosis.swaps + diagnosis.jumps + diagnosis.cuts


@pytest.mark.parametrize("name", ["drink", "pickup", "yoga", "stretch", "shark"])
def test_short_sequences_without_their_rotation(name, data_dir, fixed_view):
    shapes = load_short_sequence(name, data_dir).shapes
    assert diagnose(fixed_view(shapes)).reconstructible is False


@pytest.mark.parametrize("views", ["random", "smooth"])
def test_a_recorded_clip(views, data_dir):
    data = load_cmu_joints(18, data_dir, views=views)
    diagnosis = diagnose(data.W)
    assert diagnosis.reconstructible is True
    assert diagnosis.is_video == (views == "smooth")


@pytest.mark.parametrize(("seed", "in_plane"), [(0, False), (1, False), (2, True)])
def test_a_recorded_clip_without_its_rotation(seed, in_plane, data_dir, fixed_view):
    W = fixed_view(load_cmu_joints(18, data_dir).shapes, seed, in_plane)
    assert diagnose(W).reconstructible is False


def test_scale_offset_and_units_do_not_matter():
    W = make_articulated_body(200, missing=0.2, random_state=0).W
    one, other = diagnose(W), diagnose(W * 300 + [1000, 500])
    assert one.turning == pytest.approx(other.turning, abs=1e-6)
    assert one.angular_spread == pytest.approx(other.angular_spread, abs=1e-3)
    assert (one.units, other.units) == ("unit plane or metric", "pixels")


def test_a_mask_is_the_same_as_nan():
    body = make_articulated_body(100, missing=0.2, random_state=0)
    filled = np.where(body.visible[..., None], body.W, 1e6)
    assert str(diagnose(filled, body.visible)) == str(diagnose(body.W))


def test_the_same_seed_gives_the_same_report():
    W = make_articulated_body(1000, missing=0.1, random_state=0).W
    assert repr(diagnose(W, random_state=3)) == repr(diagnose(W, random_state=3))
    assert diagnose(W).n_sampled == 400


def test_report_names_every_finding():
    diagnosis = diagnose(make_articulated_body(100, random_state=0).W)
    assert isinstance(diagnosis, Diagnosis)
    text = str(diagnosis)
    assert "Can depth be reconstructed? yes" in text
    for finding in diagnosis.findings:
        assert f"[{finding.severity}] {finding.name}:" in text
    assert diagnosis.recommendation in text
    assert max(map(len, text.splitlines())) <= 120
    with pytest.raises(KeyError, match="no finding 'colour'; there are"):
        diagnosis["colour"]


@pytest.mark.parametrize(
    ("W", "name"),
    [
        (np.zeros((1, 5, 2)), "frames"),
        (np.random.default_rng(0).normal(size=(2, 5, 2)), "frames"),
        (np.random.default_rng(0).normal(size=(50, 3, 2)), "points"),
        (np.full((50, 5, 2), np.nan), "frames"),
        (np.random.default_rng(0).normal(size=(50, 6, 1)) * [1, 2], "frames"),
    ],
)
def test_too_little_data_is_a_blocker(W, name):
    diagnosis = diagnose(W)
    assert diagnosis.reconstructible is False
    assert diagnosis[name].severity == "blocker"
    assert np.isnan(diagnosis.turning)
    assert "Only after the blockers" in str(diagnosis)


def test_points_that_never_meet_are_a_blocker():
    W = np.full((30, 30, 2), np.nan)
    for f in range(30):
        W[f, f:] = np.random.default_rng(f).normal(size=(30 - f, 2))
    W[3:] = np.nan
    diagnosis = diagnose(W[:, :5])
    assert diagnosis.reconstructible is not True


def test_intrinsics_give_the_field_of_view():
    body = make_rigid_category(
        200, camera="perspective", depth_ratio=0.5, image_size=(640, 480), random_state=0
    )
    diagnosis = diagnose(body.W, intrinsics=body.intrinsics)
    assert diagnosis.field_of_view > 20
    assert "camera='perspective'" in diagnosis.recommendation
    assert np.isnan(diagnose(body.W).field_of_view)


def test_bad_input_is_refused():
    W = make_low_rank(10, random_state=0).W
    with pytest.raises(ValueError, match="groups must have shape"):
        diagnose(W, groups=[0, 1])
    with pytest.raises(ValueError, match="W must have shape"):
        diagnose(W[0])
    with pytest.raises(ValueError, match="intrinsics must have shape"):
        diagnose(W, intrinsics=np.eye(2))
