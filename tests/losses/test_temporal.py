import numpy as np
import pytest
import torch

from nrsfm_learn.losses import temporal_smoothness_loss


def by_hand(X, weights, order):
    total = count = 0.0
    n_windows, n_frames, n_points, _ = X.shape
    for w in range(n_windows):
        for t in range(n_frames - order):
            for p in range(n_points):
                if order == 1:
                    d = X[w, t + 1, p] - X[w, t, p]
                    # The product over the frames that a difference is made of.
                    share = weights[w, t, p] * weights[w, t + 1, p]
                else:
                    d = X[w, t + 2, p] - 2 * X[w, t + 1, p] + X[w, t, p]
                    share = weights[w, t, p] * weights[w, t + 1, p] ** 2 * weights[w, t + 2, p]
                total += share * (d @ d) if share else 0.0
                count += share
    return n_points * total / count


@pytest.mark.parametrize("order", [1, 2])
def test_value(order):
    rng = np.random.default_rng(0)
    X, weights = rng.normal(size=(3, 6, 4, 3)), rng.integers(0, 2, size=(3, 6, 4)).astype(float)
    valid = np.arange(6) < np.array([6, 5, 3])[:, None]
    hidden = (weights * valid[..., None]) == 0
    expected = by_hand(X, weights * valid[..., None], order)
    X = np.where(hidden[..., None], np.nan, X)
    found = temporal_smoothness_loss(*map(torch.as_tensor, (X, valid, weights)), order=order)
    np.testing.assert_allclose(found.item(), expected, rtol=1e-12)


def test_of_a_norm():
    X = torch.randn(5, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = (X[1:] - X[:-1]).square().sum((1, 2)).mean()
    torch.testing.assert_close(temporal_smoothness_loss(X), expected)


@pytest.mark.parametrize("order", [1, 2])
def test_gradient(order):
    g = torch.Generator().manual_seed(0)
    X = torch.randn(2, 5, 3, 3, dtype=torch.float64, generator=g, requires_grad=True)
    valid = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    assert torch.autograd.gradcheck(
        lambda X: temporal_smoothness_loss(X, valid, order=order), (X,), atol=1e-8
    )
    (gradient,) = torch.autograd.grad(temporal_smoothness_loss(X, valid, order=order), X)
    assert not gradient[1, 3:].any()


def test_what_it_leaves_alone():
    t = torch.arange(6.0)[:, None, None]
    line = t * torch.ones(4, 3)
    assert temporal_smoothness_loss(line, order=2).item() == 0
    assert temporal_smoothness_loss(line).item() == 12
    assert temporal_smoothness_loss(line.mul(0)).item() == 0


def test_nothing_to_compare():
    X = torch.ones(1, 1, 4, 3, requires_grad=True)
    loss = temporal_smoothness_loss(X)
    (gradient,) = torch.autograd.grad(loss, X)
    assert loss.item() == 0
    assert not gradient.any()


def test_bad_order():
    with pytest.raises(ValueError, match="order must be 1 or 2"):
        temporal_smoothness_loss(torch.ones(3, 2, 3), order=3)
