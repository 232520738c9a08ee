"""The objective of NRSfMFormer, term by term."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from nrsfm_learn.deep._frames import Frames
from nrsfm_learn.deep._motion_objective import MotionObjective, alignment_loss
from nrsfm_learn.deep.nn import MotionNetwork
from nrsfm_learn.geometry import generalized_procrustes
from nrsfm_learn.priors import DiffusionPosePrior

OFF = {
    "reprojection_weight": 0.0,
    "alignment_weight": 0.0,
    "shape_smoothness": 0.0,
    "rotation_smoothness": 0.0,
}


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def objective(n_hidden=0, **settings):
    module = MotionNetwork(
        6, 4, width=8, n_blocks=1, n_heads=2, generator=torch.Generator().manual_seed(0)
    ).double()
    visible = torch.ones(10, 6, dtype=torch.float64)
    visible[3:5, :n_hidden] = 0
    points = draw(10, 6, 2) * visible[..., None]
    points = points - points.sum(1, keepdim=True) / visible.sum(1)[:, None, None]
    points = points * visible[..., None]
    frames = Frames(points, visible, torch.ones(10, dtype=torch.float64))
    windows = torch.tensor([[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 9, 9]])
    present = torch.ones(3, 4, dtype=torch.float64)
    present[2, 2:] = 0
    generator = torch.Generator().manual_seed(1)
    settings = {**OFF, **settings}
    return MotionObjective(module, frames, windows, present, generator=generator, **settings)


def lifted(o, index):
    """Return shapes, rotations and reference of windows, as numpy arrays."""
    frames = o.windows[index]
    found = o.module(o.frames.points[frames], o.frames.visible[frames], o.present[index] > 0)
    return [a.detach().numpy() for a in found]


ALL = torch.arange(3)


def test_reprojection():
    o = objective(n_hidden=2, reprojection_weight=2.0)
    shapes, rotations, _ = lifted(o, ALL)
    total, n = 0.0, 0
    for w, window in enumerate(o.windows.numpy()):
        for t, f in enumerate(window):
            if not o.present[w, t]:
                continue
            seen = o.frames.visible[f].numpy() > 0
            xy = (shapes[w, t] @ rotations[w, t].T)[seen, :2]
            W = o.frames.points[f].numpy()[seen]
            error = (xy - xy.mean(0)) - (W - W.mean(0))
            total += np.square(error).sum()
            n += 1
    assert n == 10
    assert o(ALL, 0).item() == pytest.approx(2 * total / n, rel=1e-9)


def test_smoothness():
    o = objective(shape_smoothness=1.0, rotation_smoothness=0.5)
    shapes, rotations, _ = lifted(o, ALL)
    pairs = [(w, t) for w in range(3) for t in range(1, 4) if o.present[w, t]]
    S = [np.square(shapes[w, t] - shapes[w, t - 1]).sum() for w, t in pairs]
    R = [np.square(rotations[w, t] - rotations[w, t - 1]).sum() for w, t in pairs]
    assert o(ALL, 0).item() == pytest.approx(np.mean(S) + 0.5 * np.mean(R), rel=1e-6)


def test_alignment():
    shapes, reference = draw(2, 4, 6, 3), draw(2, 6, 3, seed=1)
    shapes = shapes - shapes.mean(-2, keepdim=True)
    reference = reference - reference.mean(-2, keepdim=True)
    present = torch.ones(2, 4, dtype=torch.float64)
    present[1, 3] = 0
    errors = []
    for w in range(2):
        for t in range(4 if w == 0 else 3):
            S = shapes[w, t].numpy()
            R, _ = Rotation.align_vectors(reference[w].numpy(), S)
            errors.append(np.linalg.norm(S - R.apply(S)))
    assert alignment_loss(shapes, reference, present).item() == pytest.approx(np.mean(errors))
    # Shapes that lie as their reference does have none, however they are deformed.
    for scale in (1.0, 3.0):
        same = (scale * reference).unsqueeze(1).expand(2, 4, 6, 3)
        assert alignment_loss(same, reference, present).item() < 1e-6
    o = objective(alignment_weight=1.0)
    found = [torch.as_tensor(a) for a in lifted(o, ALL)]
    assert o(ALL, 0).item() == pytest.approx(
        alignment_loss(found[0], found[2], o.present).item(), rel=1e-6
    )


def test_alignment_gradient():
    present = torch.ones(1, 3, dtype=torch.float64)
    reference = draw(1, 5, 3, seed=1)
    reference = reference - reference.mean(-2, keepdim=True)

    def loss(shapes, reference):
        return alignment_loss(shapes - shapes.mean(-2, keepdim=True), reference, present)

    shapes = draw(1, 3, 5, 3).requires_grad_()
    assert torch.autograd.gradcheck(loss, (shapes, reference.requires_grad_()))


def test_nuclear_norm_of_aligned_shapes():
    o = objective(rank_weight=2.0)
    shapes = lifted(o, ALL)[0]
    total = 0.0
    for w, n_frames in enumerate((4, 4, 2)):
        X = torch.as_tensor(shapes[w, :n_frames])
        aligned = generalized_procrustes(X, max_iter=1000, tol=1e-12).aligned
        total += np.linalg.norm(aligned.reshape(n_frames, -1).numpy(), "nuc")
    assert o(ALL, 0).item() == pytest.approx(2 * total / 10, rel=1e-4)


def test_rigidity_and_its_neighbors():
    o = objective(rigidity_weight=1.0)
    assert (o.neighbors == 0).all()
    o.before_step(0)
    # Neighbours are other points, and frames that fill up a window don't count.
    assert (o.neighbors != torch.arange(6)[:, None]).all()
    shapes = lifted(o, ALL)[0][o.present.numpy() > 0]
    d = np.linalg.norm(shapes[:, :, None] - shapes[:, o.neighbors.numpy()], axis=-1)
    variation = d.std(0) / d.mean(0)
    expected = 0.1 * np.tanh(variation / 0.1).mean() * np.sqrt(6)
    assert o(ALL, 0).item() == pytest.approx(expected, rel=1e-5)


def test_cycle_turns_each_window_as_a_whole():
    o = objective(cycle_weight=1.0, cycle_start=5)
    seen = []

    def spy(module, args):
        seen.append(args)

    handle = o.module.register_forward_pre_hook(spy)
    assert o(ALL, 4) == 0
    seen.clear()
    loss = o(ALL, 5)
    handle.remove()
    shapes, rotations, _ = lifted(o, ALL)
    X = shapes @ rotations.swapaxes(-1, -2)
    views = seen[1][0].numpy()
    for w in range(3):
        # One 2x3 projection explains all frames of a window.
        A = X[w].reshape(-1, 3)
        solution, *_ = np.linalg.lstsq(A, views[w].reshape(-1, 2), rcond=None)
        np.testing.assert_allclose(A @ solution, views[w].reshape(-1, 2), atol=1e-9)
        np.testing.assert_allclose(solution.T @ solution, np.eye(2), atol=1e-9)
    assert loss.item() > 0
    loss.backward()
    assert all(p.grad is not None for p in o.module.parameters())


def test_views_are_hidden_as_frames_are():
    o = objective(n_hidden=2, cycle_weight=1.0)
    seen = []
    handle = o.module.register_forward_pre_hook(lambda module, args: seen.append(args))
    o(ALL, 0)
    handle.remove()
    first, views = (args[1] for args in seen)
    torch.testing.assert_close(views, first.roll(1, 0))
    assert (seen[1][0][views == 0] == 0).all()


def test_prior_sees_the_camera_frame():
    prior = DiffusionPosePrior(width=8, n_blocks=0, max_iter=2, random_state=0, device="cpu")
    prior.fit(draw(20, 6, 3).numpy())
    o = objective(prior=prior, prior_weight=3.0)
    generator = torch.Generator().set_state(o.generator.get_state())
    shapes, rotations, _ = lifted(o, ALL)
    own = o.present.numpy() > 0
    X = torch.as_tensor((shapes @ rotations.swapaxes(-1, -2))[own])
    W = o.frames.points[o.windows[o.present > 0]]
    W = W - W.mean(1, keepdim=True)
    expected = 3 * 6 * prior.loss(X, W, scale=1.0, generator=generator)
    assert o(ALL, 0).item() == pytest.approx(expected.item(), rel=1e-6)
    assert not any("prior" in name for name, _ in o.named_parameters())
    assert objective(prior=prior, prior_weight=0.0)(ALL, 0) == 0


def test_hidden_keypoints_are_hidden_from_the_network_only():
    o = objective(reprojection_weight=1.0, hide_fraction=0.5)
    seen = []
    handle = o.module.register_forward_pre_hook(lambda module, args: seen.append(args))
    o(ALL, 0)
    handle.remove()
    visible = seen[0][1]
    assert 0.5 < visible.mean() < 1
    assert (visible.sum(-1) >= 3).all()
