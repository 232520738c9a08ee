import numpy as np
import pytest
import torch

from nrsfm_learn import PRN, load
from nrsfm_learn._windows import cut_windows
from nrsfm_learn.datasets import make_articulated_body, make_low_rank
from nrsfm_learn.deep._frames import Frames
from nrsfm_learn.deep._presets import prn_preset
from nrsfm_learn.deep._prn_objective import AlignedWindowsObjective
from nrsfm_learn.deep.nn import ProcrusteanNetwork
from nrsfm_learn.metrics import normalized_error

SMALL = {"width": 32, "max_iter": 30, "random_state": 0, "device": "cpu"}


def frames_of(n_frames, n_points, seed=0, hidden=0.0):
    g = torch.Generator().manual_seed(seed)
    points = torch.randn(n_frames, n_points, 2, generator=g, dtype=torch.float64)
    visible = (torch.rand(n_frames, n_points, generator=g) >= hidden).double()
    points = (
        points - (points * visible[..., None]).sum(1, keepdim=True) / visible.sum(1)[:, None, None]
    )
    return Frames(points * visible[..., None], visible, torch.ones(n_frames, dtype=torch.float64))


class Given(torch.nn.Module):
    """A network that says what it is told."""

    def __init__(self, X):
        super().__init__()
        self.X = torch.nn.Parameter(X)

    def forward(self, points, visible):
        return self.X


def objective(X, frames, windows, regularization=0.3):
    return AlignedWindowsObjective(
        Given(X),
        frames,
        windows,
        generator=torch.Generator().manual_seed(0),
        regularization=regularization,
        hide_fraction=0.0,
        freeze_start=0,
    )


def aligned_by_hand(X):
    """Alternating generalised Procrustes analysis with NumPy's SVD."""
    X = X - X.mean(1, keepdims=True)
    mean = X[0]
    for _ in range(300):
        U, _, Vt = np.linalg.svd(np.einsum("pi,fpj->fij", mean, X))
        U[:, :, 2] *= np.linalg.det(U @ Vt)[:, None]
        aligned = np.einsum("fij,fpj->fpi", U @ Vt, X)
        mean = aligned.mean(0)
    return aligned


def cost_by_hand(X, W, visible, regularization):
    residual = np.where(visible[..., None], X[..., :2] - W, 0)
    residual -= residual.sum(1, keepdims=True) / visible.sum(1)[:, None, None]
    fit = 0.5 * (visible[..., None] * residual**2).sum()
    aligned = aligned_by_hand(X).reshape(len(X), -1)
    return fit + regularization * np.linalg.norm(aligned, "nuc")


def test_the_objective_is_the_formula():
    frames = frames_of(12, 6, hidden=0.2)
    groups = np.repeat([0, 1], [8, 4])
    windows = cut_windows(12, groups, window=8)
    rng = np.random.default_rng(1)
    shape = rng.normal(size=(6, 3))
    X = shape @ np.linalg.qr(rng.normal(size=(12, 3, 3)))[0] + 0.2 * rng.normal(size=(12, 6, 3))
    X -= X.mean(1, keepdims=True)
    found = objective(torch.tensor(X), frames, windows)(slice(None), 0).item()
    W, visible = frames.points.numpy(), frames.visible.numpy() > 0
    expected = sum(
        cost_by_hand(X[groups == k], W[groups == k], visible[groups == k], 0.3) for k in (0, 1)
    )
    # Rotations are converged to 1e-4, and the cost is at a minimum over them.
    np.testing.assert_allclose(found, expected / 12, rtol=1e-6)


def test_the_gradient_is_that_of_finite_differences():
    frames = frames_of(8, 5, hidden=0.1)
    windows = cut_windows(8, np.repeat([0, 1], [5, 3]), window=5)
    g = torch.Generator().manual_seed(3)
    shape = torch.randn(5, 3, generator=g, dtype=torch.float64)
    X = shape + 0.3 * torch.randn(8, 5, 3, generator=g, dtype=torch.float64)
    cost = objective(X.clone(), frames, windows)
    (gradient,) = torch.autograd.grad(cost(slice(None), 0), cost.module.X)
    direction = torch.randn(X.shape, generator=g, dtype=torch.float64)
    values, h = [], 1e-4
    for step in (-2, -1, 1, 2):
        values.append(objective(X + step * h * direction, frames, windows)(slice(None), 0).item())
    slope = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * h)
    np.testing.assert_allclose((gradient * direction).sum().item(), slope, rtol=1e-5)


def test_padding_and_order_of_windows_do_not_matter():
    frames = frames_of(11, 6)
    X = torch.randn(11, 6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    groups = np.repeat([0, 1, 2], [5, 4, 2])
    costs = [
        objective(X, frames, cut_windows(11, groups, window=window))(slice(None), 0).item()
        for window in (5, 9)
    ]
    np.testing.assert_allclose(*costs, rtol=1e-9)


def test_the_statistics_are_frozen_in_the_second_phase():
    frames = frames_of(40, 6)
    frames = frames._replace(
        points=frames.points.float(), visible=frames.visible.float(), gain=frames.gain.float()
    )
    module = ProcrusteanNetwork(6, 8, generator=torch.Generator().manual_seed(0))
    cost = AlignedWindowsObjective(
        module,
        frames,
        cut_windows(40, window=8),
        generator=torch.Generator(),
        regularization=0.05,
        hide_fraction=0.0,
        freeze_start=3,
    )
    norm = module.trunk[0].norm
    for iteration in range(6):
        before = norm.running_mean.clone()
        cost.before_step(iteration)
        cost(torch.arange(2), iteration).backward()
        assert torch.equal(before, norm.running_mean) == (iteration >= 3)


def test_network():
    module = ProcrusteanNetwork(7, 16, generator=torch.Generator().manual_seed(0))
    frames = frames_of(5, 7)
    X = module(frames.points.float(), frames.visible.float())
    assert X.shape == (5, 7, 3)
    torch.testing.assert_close(X.mean(1), torch.zeros(5, 3), atol=1e-6, rtol=0)
    n_linear = sum(isinstance(m, torch.nn.Linear) for m in module.modules())
    # Published: a layer, a block of two, and two branches of a block and a layer.
    assert n_linear == 1 + 2 + 2 * (2 + 1)
    again = ProcrusteanNetwork(7, 16, generator=torch.Generator().manual_seed(0))
    for a, b in zip(module.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.fixture(scope="module")
def rigid():
    data = make_low_rank(200, 12, rank=1, views="turntable", clips=2, random_state=0)
    return data, PRN(
        width=48, max_iter=300, window=25, frame_step=2, random_state=0, device="cpu"
    ).fit(data.W, groups=data.groups)


def test_it_learns_a_rigid_shape_that_turns(rigid):
    data, model = rigid
    error = normalized_error(data.X, model.reconstruction_, protocol="procrustes")
    assert error < 0.12
    assert model.loss_curve_[-20:].mean() < 0.2 * model.loss_curve_[:20].mean()


def test_canonical_shapes_agree(rigid):
    data, model = rigid
    first = model.shapes_[data.groups == 0]
    spread = np.linalg.norm(first.std(0)) / np.linalg.norm(first.mean(0))
    seen = model.reconstruction_[data.groups == 0]
    assert spread < 0.25
    assert spread < 0.5 * np.linalg.norm(seen.std(0)) / np.linalg.norm(seen.mean(0))


def test_frames_are_lifted_one_by_one(rigid):
    data, model = rigid
    whole = model.transform(data.W)
    np.testing.assert_allclose(model.transform(data.W[7:8]), whole[7:8], atol=1e-5)
    # The keypoints are where they were seen.
    np.testing.assert_allclose(whole[..., :2], data.W, atol=1e-6)


def test_groups_decide_what_is_aligned():
    data = make_low_rank(64, 8, rank=2, views="smooth", clips=2, random_state=0)
    one = PRN(**SMALL).fit(data.W)
    zeros = PRN(**SMALL).fit(data.W, groups=np.zeros(64, int))
    two = PRN(**SMALL).fit(data.W, groups=data.groups)
    np.testing.assert_array_equal(one.loss_curve_, zeros.loss_curve_)
    assert (one.loss_curve_ != two.loss_curve_).any()
    assert one.frame_step_ == 2
    assert two.frame_step_ == 1


def test_missing_keypoints_and_weights():
    data = make_low_rank(60, 10, rank=2, views="smooth", missing=0.2, random_state=0)
    model = PRN(**SMALL).fit(data.W, weights=np.linspace(0.5, 1, 10))
    assert np.isfinite(model.reconstruction_).all()
    for clip_of_one in (np.arange(60), np.repeat(np.arange(30), 2)):
        short = PRN(**SMALL, frame_step=4).fit(data.W, groups=clip_of_one)
        assert np.isfinite(short.reconstruction_).all()


def test_same_seed_and_saving(tmp_path):
    body = make_articulated_body(70, views="smooth", random_state=0)
    model = PRN(**SMALL, n_init=2).fit(body.W)
    again = PRN(**SMALL, n_init=2).fit(body.W)
    np.testing.assert_array_equal(model.reconstruction_, again.reconstruction_)
    model.save(tmp_path / "prn.safetensors")
    np.testing.assert_array_equal(
        load(tmp_path / "prn.safetensors").transform(body.W[:9]), model.transform(body.W[:9])
    )


def test_presets():
    paper = prn_preset("paper")
    assert (paper["width"], paper["max_iter"], paper["learning_rate"]) == (1024, 70_000, 1e-4)
    assert (paper["step_size"], paper["step_factor"]) == (5000, 0.8)
    assert prn_preset("quick")["max_iter"] < prn_preset("auto")["max_iter"]


@pytest.mark.parametrize(
    "settings",
    [{"window": 1}, {"frame_step": 0}, {"regularization": -1.0}, {"freeze_fraction": 2.0}],
)
def test_bad_settings(settings):
    (name,) = settings
    with pytest.raises(ValueError, match=name):
        PRN(**settings).fit(np.random.default_rng(0).normal(size=(9, 5, 2)))
