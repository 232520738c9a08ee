"""From observations to frames on the device."""

import numpy as np
import pytest
import torch

from nrsfm_learn._unit_plane import on_unit_plane
from nrsfm_learn.base import Observations
from nrsfm_learn.deep._frames import (
    NEAREST,
    Frames,
    image_gain,
    normalize_frames,
)
from nrsfm_learn.deep.nn._hierarchical import Lift
from nrsfm_learn.geometry import random_rotations

K = np.array([[900.0, 0, 320], [0, 800, 240], [0, 0, 1]])


def make_observations(n_frames=6, n_points=10, missing=0.3, seed=0, **side):
    rng = np.random.default_rng(seed)
    sizes = rng.uniform(5, 80, size=(n_frames, 1, 1))
    W = rng.normal(size=(n_frames, n_points, 2)) * sizes + rng.normal(size=(n_frames, 1, 2)) * 200
    visible = rng.uniform(size=W.shape[:2]) >= missing
    visible[:, :4] = True
    return Observations(np.where(visible[..., None], W, np.nan), visible, **side)


def spread(points):
    return np.sqrt(np.mean(np.sum((points - points.mean(0)) ** 2, axis=1)))


def seen(observations, f):
    return observations.W[f][observations.visible[f]]


def test_orthographic_gain_is_one_for_the_data_set():
    observations = make_observations()
    gain, constant = image_gain(observations, "orthographic", "box_max")
    expected = np.mean([spread(seen(observations, f)) for f in range(6)])
    assert constant == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(gain, 1 / expected, rtol=1e-12)
    # The scale of the fit is that of other frames, however large they are.
    other, again = image_gain(make_observations(4, seed=1), "orthographic", "box_max", constant)
    assert again == constant
    np.testing.assert_allclose(other, np.full(4, 1 / expected), rtol=1e-12)


def edge(points, method):
    if method == "spread":
        return spread(points)
    edges = np.ptp(points, axis=0)
    return edges.max() if method == "box_max" else edges.min()


@pytest.mark.parametrize("camera", ["weak_perspective", "perspective"])
@pytest.mark.parametrize("method", ["box_max", "box_min", "spread"])
def test_gain_of_each_frame_is_over_the_edge_of_its_box(camera, method):
    observations = make_observations()
    gain, constant = image_gain(observations, camera, method)
    edges = np.array([edge(seen(observations, f), method) for f in range(6)])
    np.testing.assert_allclose(gain * edges, constant, rtol=1e-12)
    spreads = [gain[f] * spread(seen(observations, f)) for f in range(6)]
    assert np.mean(spreads) == pytest.approx(1, rel=1e-12)
    # A frame twice as large has half the gain; moving it changes nothing.
    bigger = observations._replace(W=observations.W * 2 + 50)
    again, _ = image_gain(bigger, camera, method, constant)
    np.testing.assert_allclose(again, gain / 2, rtol=1e-9)


@pytest.mark.parametrize("method", ["box_max", "box_min"])
def test_boxes_replace_the_box_of_what_is_visible(method):
    low = np.random.default_rng(2).uniform(-300, 0, size=(6, 2))
    size = np.random.default_rng(3).uniform(100, 400, size=(6, 2))
    observations = make_observations(boxes=np.hstack([low, low + size]))
    gain, constant = image_gain(observations, "perspective", method)
    expected = size.max(1) if method == "box_max" else size.min(1)
    np.testing.assert_allclose(gain, constant / expected, rtol=1e-12)
    without, _ = image_gain(observations._replace(boxes=None), "perspective", method)
    assert np.abs(without / gain - 1).max() > 0.05
    # The spread has no use for boxes.
    image_gain(observations, "perspective", "spread")


def test_points_in_a_row_have_a_finite_gain():
    observations = make_observations()
    W = observations.W.copy()
    W[2, :, 1] = np.where(observations.visible[2], 7.0, np.nan)
    gain, constant = image_gain(observations._replace(W=W), "perspective", "box_min")
    assert np.isfinite(gain).all()
    assert gain[2] == pytest.approx(constant / (0.1 * spread(W[2][observations.visible[2]])))


@pytest.mark.parametrize("camera", ["orthographic", "weak_perspective"])
def test_frames_of_flat_cameras_are_centred(camera):
    observations = make_observations()
    gain = np.linspace(0.1, 1, 6)
    frames, centers = normalize_frames(observations, camera, gain, "cpu")
    for f in range(6):
        mean = seen(observations, f).mean(0)
        np.testing.assert_allclose(centers[f], mean, rtol=1e-12)
        expected = np.where(observations.visible[f, :, None], observations.W[f] - mean, 0)
        np.testing.assert_allclose(frames.points[f], expected * gain[f], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(frames.normalized()[f], expected * gain[f], rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(frames.visible, observations.visible)
    # The gain is in the points: applied before rounding to single precision.
    np.testing.assert_array_equal(frames.gain, np.ones(6))
    assert frames.weights is None
    assert frames.n_frames == 6
    assert {t.dtype for t in frames[:3]} == {torch.float32}


def test_frames_of_perspective_keep_the_lines_of_sight():
    weights = np.random.default_rng(4).uniform(size=(6, 10))
    observations = on_unit_plane(make_observations(intrinsics=K, weights=weights))
    frames, centers = normalize_frames(observations, "perspective", np.full(6, 3.0), "cpu")
    assert not centers.any()
    np.testing.assert_allclose(frames.points, np.nan_to_num(observations.W), rtol=1e-6)
    np.testing.assert_allclose(frames.weights, weights, rtol=1e-6)
    for f in range(6):
        expected = (observations.W[f] - seen(observations, f).mean(0)) * 3
        np.testing.assert_allclose(
            frames.normalized()[f], np.nan_to_num(expected), rtol=1e-3, atol=1e-5
        )


def test_some_frames():
    weights = np.random.default_rng(4).uniform(size=(6, 10))
    observations = make_observations(weights=weights)
    for perspective in ("perspective", "orthographic"):
        frames, _ = normalize_frames(observations, perspective, np.arange(6.0), "cpu")
        assert frames.n_frames == 6
        for index, kept in (
            (torch.tensor([3, 3, 0]), [3, 3, 0]),
            (slice(1, 3), [1, 2]),
            (slice(None), range(6)),
        ):
            some = frames.take(index)
            assert isinstance(some, Frames)
            assert some.n_frames == len(kept)
            assert some.perspective == frames.perspective == (perspective == "perspective")
            for name in ("points", "visible", "gain", "weights"):
                expected = getattr(frames, name)[list(kept)]
                torch.testing.assert_close(getattr(some, name), expected, atol=0, rtol=0)
    assert frames._replace(weights=None).take(slice(2)).weights is None


def test_another_mask_centres_anew():
    frames, _ = normalize_frames(make_observations(), "orthographic", np.ones(6), "cpu")
    shown = frames.visible.clone()
    shown[:, 0] = 0
    hidden = frames._replace(visible=shown).normalized()
    assert hidden[:, 0].abs().max() == 0
    sums = hidden.sum(1)
    torch.testing.assert_close(sums, torch.zeros_like(sums), atol=1e-3, rtol=0)


@pytest.fixture(params=[False, True], ids=["parallel", "perspective"])
def projected(request):
    """Frames of known rotated shapes, in float64."""
    rng = np.random.default_rng(1)
    n_frames, n_points = 6, 10
    shapes = rng.normal(size=(n_frames, n_points, 3))
    shapes -= shapes.mean(1, keepdims=True)
    R = random_rotations(n_frames, generator=torch.Generator(), dtype=torch.float64)
    rotated = torch.from_numpy(shapes) @ R.mT
    visible = torch.from_numpy((rng.uniform(size=(n_frames, n_points)) < 0.7).astype(float))
    visible[:, :3] = 1
    t = torch.from_numpy(rng.normal(size=(n_frames, 1, 3)))
    if request.param:
        t[..., 2] = torch.linspace(5, 9, n_frames)[:, None]
        placed = rotated + t
        W, gain = placed[..., :2] / placed[..., 2:], t[:, 0, 2]
    else:
        scale = torch.linspace(0.5, 2, n_frames, dtype=torch.float64)
        W, gain = ((rotated + t) * scale[:, None, None])[..., :2], 1 / scale
    return Frames(W * visible[..., None], visible, gain, None, request.param), rotated


def test_residual_of_the_right_shapes_is_zero(projected):
    frames, rotated = projected
    assert frames.residual(rotated).abs().max() < 1e-12
    # So it is of shapes with another origin.
    if not frames.perspective:
        assert frames.residual(rotated + 3).abs().max() < 1e-12


def test_residual_of_wrong_shapes_sums_to_zero_over_the_visible(projected):
    frames, rotated = projected
    residual = frames.residual(rotated * 1.3 + rotated.flip(1))
    assert residual.abs().max() > 0.1
    assert residual[frames.visible == 0].abs().max() == 0
    assert residual.sum(1).abs().max() < 1e-12


def test_residual_is_linear_in_the_shapes(projected):
    frames, rotated = projected
    other = rotated.flip(1)
    nothing = frames.normalized()
    torch.testing.assert_close(frames.residual(0 * rotated), nothing)
    both = frames.residual(2 * rotated + 3 * other)
    expected = 2 * frames.residual(rotated) + 3 * frames.residual(other) - 4 * nothing
    torch.testing.assert_close(both, expected)


def linear_form(frames, X, f):
    """Right-hand side of the bilinear form of one frame, linear in the rotated shape."""
    m = frames.visible[f].numpy()[:, None]
    r = X[:, :2]
    if frames.perspective:
        r = r - frames.points[f].numpy() * X[:, 2:]
    return m * (r - (m * r).sum(0) / m.sum())


def test_form_is_the_right_hand_side(projected):
    frames, rotated = projected
    X = rotated * 1.3 + rotated.flip(1)
    found = frames.form(X)
    torch.testing.assert_close(found, frames.normalized() - frames.residual(X))
    for f in range(6):
        np.testing.assert_allclose(found[f], linear_form(frames, X[f].numpy(), f), atol=1e-12)
    assert found[frames.visible == 0].abs().max() == 0
    assert found.sum(1).abs().max() < 1e-12


def test_form_of_directions_is_that_of_each(projected):
    frames, rotated = projected
    directions = torch.stack([rotated, rotated.flip(1), rotated.roll(1, -1), 0 * rotated], 1)
    found = frames.form(directions)
    assert found.shape == (6, 4, 10, 2)
    for d in range(4):
        torch.testing.assert_close(found[:, d], frames.form(directions[:, d]))
    assert frames.form(directions[:, :0]).shape == (6, 0, 10, 2)


def test_form_is_linear(projected):
    frames, rotated = projected
    other = rotated.flip(1)
    for lead in ((), (slice(None), None)):
        X, Y = rotated[lead], other[lead]
        expected = 2 * frames.form(X) - 3 * frames.form(Y)
        torch.testing.assert_close(frames.form(2 * X - 3 * Y), expected)
    assert expected.abs().max() > 0.1


def test_columns(projected):
    frames, rotated = projected
    residual = frames.residual(rotated.flip(1))
    columns = frames.columns(residual)
    assert columns.shape == (3 if frames.perspective else 2, 6, 10)
    for f in range(6):
        gain = 10 / frames.visible[f].sum()
        torch.testing.assert_close(columns[:2, f], gain * residual[f].T)
        if frames.perspective:
            sight = -(frames.points[f] * residual[f]).sum(-1)
            torch.testing.assert_close(columns[2, f], gain * sight)


def test_blocks_do_not_shrink_with_what_is_hidden():
    # Doubling every point and hiding one copy leaves the mean product as it was.
    points = torch.from_numpy(np.random.default_rng(2).normal(size=(4, 9, 2)))
    seen, gain = torch.ones(4, 9, dtype=torch.float64), torch.ones(4, dtype=torch.float64)
    D = torch.from_numpy(np.random.default_rng(3).normal(size=(9, 7)))
    once = Frames(points, seen, gain)
    twice = Frames(torch.cat([points, 0 * points], 1), torch.cat([seen, 0 * seen], 1), gain)
    expected = once.columns(once.normalized()) @ D
    product = twice.columns(twice.normalized()) @ torch.cat([D, D])
    torch.testing.assert_close(product / 2, expected)


def test_frame_that_shows_nothing_has_finite_columns():
    frames = Frames(torch.zeros(1, 9, 2), torch.zeros(1, 9), torch.ones(1))
    assert frames.columns(frames.normalized()).abs().max() == 0


# -- completion


@pytest.fixture(params=[False, True], ids=["parallel", "perspective"])
def hidden(request):
    """Frames with hidden points, the image of all points, and the lift that is the truth."""
    rng = np.random.default_rng(7)
    n_frames, n_points = 6, 10
    shapes = rng.normal(size=(n_frames, n_points, 3))
    shapes -= shapes.mean(1, keepdims=True)
    generator = torch.Generator().manual_seed(7)
    R = random_rotations(n_frames, generator=generator, dtype=torch.float64).numpy()
    visible = rng.uniform(size=(n_frames, n_points)) < 0.6
    visible[:, :3] = True
    visible[2] = True
    t = rng.normal(size=(n_frames, 3))
    X = np.stack([s @ r.T for s, r in zip(shapes, R, strict=True)])
    if request.param:
        t[:, 2] = np.linspace(5, 9, n_frames)
        X = X + t[:, None]
        W, gain = X[..., :2] / X[..., 2:], t[:, 2]
    else:
        scale = np.linspace(0.5, 2, n_frames)
        W, gain = (X + t[:, None])[..., :2] * scale[:, None, None], 1 / scale
    points = np.where(visible[..., None], W, 0)
    arrays = (torch.from_numpy(a.astype(float)) for a in (points, visible, gain))
    frames = Frames(*arrays, perspective=request.param)
    codes = torch.zeros(n_frames, 2, dtype=torch.float64)
    lift = Lift(torch.from_numpy(shapes), torch.from_numpy(R), codes, codes)
    return frames, W, lift


def image_of(frames, W):
    """Points of the image as Frames has them: about the visible mean unless in perspective."""
    if frames.perspective:
        return W
    m = frames.visible.numpy()[..., None]
    return W - (m * W).sum(1, keepdims=True) / m.sum(1, keepdims=True)


def test_the_right_lift_completes_frames_to_the_truth(hidden):
    frames, W, lift = hidden
    assert (frames.visible == 0).sum() > 10
    completed = frames.completed(lift)
    np.testing.assert_allclose(completed.points, image_of(frames, W), atol=1e-12)
    assert completed.visible.shape == (6, 10)
    assert (completed.visible == 1).all()
    assert torch.equal(completed.gain, frames.gain)
    assert completed.perspective == frames.perspective
    # It explains them all: nothing is left to complete.
    assert completed.residual(lift.rotated).abs().max() < 1e-12
    torch.testing.assert_close(completed.completed(lift).normalized(), completed.normalized())


def test_completion_leaves_the_visible_as_they_are(hidden):
    frames, W, lift = hidden
    wrong = lift._replace(shapes=lift.shapes.flip(1) * 1.3)
    completed = frames.completed(wrong)
    seen = frames.visible.numpy() > 0
    expected = image_of(frames, W)
    np.testing.assert_allclose(completed.points.numpy()[seen], expected[seen], atol=1e-12)
    assert np.abs(completed.points.numpy()[~seen] - expected[~seen]).max() > 0.05
    # A frame that is complete stays so, whatever the lift says.
    torch.testing.assert_close(completed.normalized()[2], frames.normalized()[2])


def test_completion_has_no_use_for_what_hidden_points_hold(hidden):
    frames, _, lift = hidden
    other = frames._replace(points=torch.where(frames.visible[..., None] > 0, frames.points, 17.0))
    torch.testing.assert_close(other.completed(lift).points, frames.completed(lift).points)


def test_completion_keeps_the_weights(hidden):
    frames, _, lift = hidden
    weights = torch.rand(6, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.equal(frames._replace(weights=weights).completed(lift).weights, weights)


def test_no_gradient_flows_into_the_completion(hidden):
    frames, _, lift = hidden
    lift = lift._replace(
        shapes=lift.shapes.clone().requires_grad_(),
        rotations=lift.rotations.clone().requires_grad_(),
    )
    assert lift.rotated.requires_grad
    completed = frames.completed(lift)
    assert not any(tensor.requires_grad for tensor in completed[:3])


def test_points_completed_from_behind_the_camera_are_kept_in_front_of_it():
    # Of a body that reaches through the camera, one hidden point would be behind it.
    shape = torch.tensor([[1.0, 0, 1], [-1, 1, 1], [0, -2, 1], [1, 1, 2], [-1, 0, -5]])
    gain = torch.tensor([4.0])
    W = shape[None, :, :2] / (shape[None, :, 2:] + gain)
    visible = torch.tensor([[1.0, 1, 1, 1, 0]])
    codes = torch.zeros(1, 2)
    lift = Lift(shape[None], torch.eye(3)[None], codes, codes)
    frames = Frames(W * visible[..., None], visible, gain, perspective=True)
    points = frames.completed(lift).points
    torch.testing.assert_close(points[0, :4], W[0, :4])
    torch.testing.assert_close(points[0, 4], torch.tensor([-1.0, 0]) / (NEAREST * 4))


def test_completion_of_a_frame_that_shows_nothing_is_finite(hidden):
    frames, _, lift = hidden
    nothing = frames._replace(
        points=torch.zeros_like(frames.points), visible=torch.zeros_like(frames.visible)
    )
    assert nothing.completed(lift).points.isfinite().all()
