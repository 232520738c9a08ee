"""Completion of keypoints that are known."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nrsfm_learn.base import Observations
from nrsfm_learn.classical import _completion as completion
from nrsfm_learn.classical._completion import complete_tracks, withhold
from nrsfm_learn.classical._tracks import tracks_of
from nrsfm_learn.datasets import make_low_rank


def make_tracks(W, visible, groups=None, weights=None, device="cpu"):
    W = np.where(visible[..., None], W, np.nan)
    return tracks_of(Observations(W, visible, groups=groups, weights=weights), torch.device(device))


def generator(seed=0, device="cpu"):
    return torch.Generator(device=device).manual_seed(seed)


def hide(shape, missing=0.3, seed=0, least=4):
    """Visibility with at least some points a frame."""
    rng = np.random.default_rng(seed)
    visible = rng.random(shape) >= missing
    for f, row in enumerate(visible):
        row[rng.permutation(shape[1])[:least]] = True
        assert visible[f].sum() >= least
    return visible


def hidden_error(found, tracks, W, visible):
    """Root mean square error of hidden keypoints over the size of the centred keypoints.

    Both sides are compared as centred on all points.
    """
    truth = W - W.mean(1, keepdims=True)
    left = tracks.size * found.points.cpu().numpy() - truth
    return np.sqrt(np.mean(left[~visible] ** 2) / np.mean(truth**2))


def shuffled_low_rank(seed=0, n_frames=80, n_points=20, rank=2):
    data = make_low_rank(n_frames, n_points, rank, random_state=seed)
    W = data.W_complete[np.random.default_rng(seed).permutation(n_frames)]
    return W + 10 * np.random.default_rng(seed + 1).normal(size=(n_frames, 1, 2))


def smooth_tracks(n_frames=100, n_points=10, seed=0, frequencies=5):
    """Each point moves by itself: a full rank of slow signals."""
    rng = np.random.default_rng(seed)
    time = (np.arange(n_frames) + 0.5) / n_frames
    waves = np.cos(np.pi * time[:, None] * np.arange(frequencies))
    return np.einsum("fk,kpc->fpc", waves, rng.normal(size=(frequencies, n_points, 2)))


@pytest.mark.parametrize("seed", range(3))
def test_low_rank_in_frames_without_order(seed, device):
    W = shuffled_low_rank(seed)
    visible = hide(W.shape[:2], seed=seed, least=8)
    tracks = make_tracks(W, visible, device=device)
    found = complete_tracks(tracks, generator(device=device))
    assert found.fraction == 1
    assert found.rank == 6
    assert hidden_error(found, tracks, W, visible) < 0.02


@pytest.mark.parametrize("seed", range(2))
def test_smooth_tracks_of_full_rank(seed):
    W = smooth_tracks(seed=seed)
    assert np.linalg.matrix_rank(np.vstack([w.T - w.T.mean(1, keepdims=True) for w in W])) == 9
    visible = hide(W.shape[:2], seed=seed)
    tracks = make_tracks(W, visible)
    found = complete_tracks(tracks, generator())
    assert found.fraction < 1
    assert hidden_error(found, tracks, W, visible) < 0.03
    # Without the order only the rank is left, which is no help.
    order = np.random.default_rng(seed).permutation(len(W))
    tracks = make_tracks(W[order], visible)
    shuffled = complete_tracks(tracks, generator())
    assert hidden_error(shuffled, tracks, W[order], visible) > 0.1


def test_clips_that_take_turns_are_smooth_each_by_itself():
    one, other = smooth_tracks(80, seed=1), smooth_tracks(80, seed=2)
    W = np.stack([one, other], axis=1).reshape(160, -1, 2)
    visible = hide(W.shape[:2], seed=3)
    tracks = make_tracks(W, visible, groups=np.tile(["a", "b"], 80))
    found = complete_tracks(tracks, generator())
    assert found.fraction < 1
    assert hidden_error(found, tracks, W, visible) < 0.03
    tracks = make_tracks(W, visible)
    assert hidden_error(complete_tracks(tracks, generator()), tracks, W, visible) > 0.1


def test_smoothing_is_numpys_least_squares_on_cosines():
    W = np.random.default_rng(0).normal(size=(30, 5, 2))
    groups = np.random.default_rng(1).permutation(np.repeat([0, 1], [18, 12]))
    tracks = make_tracks(W, np.ones((30, 5), bool), groups=groups)
    smoothed = completion._smoother(tracks, 0.25)(tracks.points).numpy()
    for group, low in ((0, 5), (1, 3)):
        at = np.flatnonzero(groups == group)
        time = (np.arange(len(at)) + 0.5) / len(at)
        waves = np.cos(np.pi * time[:, None] * np.arange(low))
        flat = tracks.points.numpy()[at].reshape(len(at), -1)
        expected = waves @ np.linalg.lstsq(waves, flat, rcond=None)[0]
        np.testing.assert_allclose(smoothed[at].reshape(len(at), -1), expected, atol=1e-12)


@given(st.integers(0, 2**31), st.floats(0.05, 0.5), st.booleans())
@settings(deadline=None, max_examples=10)
def test_visible_keypoints_only_move_with_their_frame(seed, missing, confident):
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(12, 7, 2))
    visible = hide((12, 7), missing, seed)
    weights = np.where(visible, rng.uniform(0.2, 2, visible.shape), 0) if confident else None
    tracks = make_tracks(W, visible, weights=weights)
    found = complete_tracks(tracks, generator(seed % 1000))
    assert found.points.isfinite().all()
    assert found.points.mean(1).abs().max() < 1e-12
    for f in range(12):
        moved = (found.points[f] - tracks.points[f])[tracks.seen[f]]
        assert (moved - moved[0]).abs().max() < 1e-12


def test_units_do_not_matter():
    W = shuffled_low_rank()
    visible = hide(W.shape[:2], least=8)
    found = complete_tracks(make_tracks(W, visible), generator())
    other = complete_tracks(make_tracks(640 * W - 80, visible), generator())
    assert other[1:] == found[1:]
    torch.testing.assert_close(other.points, found.points, atol=1e-6, rtol=0)


def test_nothing_hidden():
    W = np.random.default_rng(0).normal(size=(6, 5, 2))
    tracks = make_tracks(W, np.ones((6, 5), bool))
    before = tracks.points.clone()
    found = complete_tracks(tracks, generator())
    assert (found.rank, found.fraction) == (None, None)
    torch.testing.assert_close(found.points * tracks.size, torch.from_numpy(W - W.mean(1)[:, None]))
    found.points[0] = 7
    assert torch.equal(tracks.points, before)


def test_the_seed_decides():
    W = shuffled_low_rank() + 0.3 * np.random.default_rng(0).normal(size=(80, 20, 2))
    tracks = make_tracks(W, hide(W.shape[:2]))
    first, again = (complete_tracks(tracks, generator(1)).points for _ in range(2))
    assert torch.equal(first, again)
    # The global generator has no say in it.
    state = torch.get_rng_state()
    complete_tracks(tracks, generator(2))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("n_frames", "n_points", "least"), [(3, 4, 3), (5, 4, 3), (3, 30, 3)])
def test_little_to_go_by(n_frames, n_points, least):
    W = np.random.default_rng(0).normal(size=(n_frames, n_points, 2))
    visible = hide((n_frames, n_points), 0.3, least=least)
    visible[0, 0], visible[0, 1:] = False, True
    visible[1:, 0] = True
    tracks = make_tracks(W, visible)
    found = complete_tracks(tracks, generator())
    assert found.points.isfinite().all()
    assert found.points.abs().max() < 100


@given(
    st.integers(0, 2**31),
    st.integers(3, 30),
    st.integers(4, 12),
    st.floats(0, 0.6),
    st.floats(0, 1),
)
@settings(deadline=None, max_examples=40)
def test_withholding_leaves_enough(seed, n_frames, n_points, missing, fraction):
    visible = hide((n_frames, n_points), missing, seed, least=3)
    tracks = make_tracks(np.random.default_rng(seed).normal(size=(n_frames, n_points, 2)), visible)
    withheld = withhold(tracks, fraction, generator(seed % 997)).numpy()
    assert not (withheld & ~visible).any()
    left = visible & ~withheld
    touched = withheld.any(1)
    assert (left[touched].sum(1) >= 4).all()
    assert (left[:, withheld.any(0)].sum(0) >= 2).all()


def test_withholds_the_share_that_was_asked_for():
    tracks = make_tracks(
        np.random.default_rng(0).normal(size=(400, 30, 2)), np.ones((400, 30), bool)
    )
    withheld = withhold(tracks, 0.1, generator())
    # 12 000 draws: within five standard deviations.
    assert float(withheld.double().mean()) == pytest.approx(0.1, abs=5 * (0.09 / 12000) ** 0.5)
    assert torch.equal(withheld, withhold(tracks, 0.1, generator()))
    assert not torch.equal(withheld, withhold(tracks, 0.1, generator(1)))


def test_error_of_withheld_keypoints_is_zero_for_the_truth():
    W = np.random.default_rng(0).normal(size=(15, 8, 2)) * 30 + 100
    tracks = make_tracks(W, np.ones((15, 8), bool))
    withheld = withhold(tracks, 0.3, generator())
    assert withheld.any()
    truth = torch.from_numpy((W - W.mean(1, keepdims=True)) / tracks.size)
    assert completion._error(truth, tracks, tracks.hide(withheld), withheld) < 1e-20
    wrong = truth.clone()
    f, p = withheld.nonzero()[0]
    wrong[f, p] += torch.tensor([0.3, 0.4], dtype=torch.float64)
    error = completion._error(wrong, tracks, tracks.hide(withheld), withheld)
    assert error == pytest.approx(0.25, rel=1e-9)
