"""Starts, their ladder, and lanes of one or several, against a plain loop of Adam."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nrsfm_learn._starts import Ladder, Lane, Start, lanes_of

F = 20


class Net(torch.nn.Module):
    def __init__(self, seed):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.layers = torch.nn.ModuleList([torch.nn.Linear(3, 5), torch.nn.Linear(5, 2)])
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(torch.randn(p.shape, generator=generator))
        self.frozen = torch.nn.Parameter(torch.full((2,), 0.5), requires_grad=False)

    def forward(self, x):
        return self.layers[1](torch.tanh(self.layers[0](x))) + self.frozen


class Regression(torch.nn.Module):
    """Mean over frames of a squared error, with a buffer that follows the parameters."""

    def __init__(self, module, generator=None, factors=None):
        super().__init__()
        self.module, self.generator, self.factors = module, generator, factors or {}
        draw = torch.Generator().manual_seed(7)
        self.x = torch.randn(F, 3, generator=draw, dtype=torch.float64)
        self.y = torch.randn(F, 2, generator=draw, dtype=torch.float64)
        self.register_buffer("center", torch.zeros(2, dtype=torch.float64))
        self.register_buffer("factor", torch.ones((), dtype=torch.float64))

    @torch.no_grad()
    def before_step(self, iteration):
        self.center.copy_(self.module(self.x).mean(0))
        # Through a buffer, so that starts that train together may differ in it.
        self.factor.fill_(self.factors.get(iteration, 1.0))

    def forward(self, index, iteration):
        y = self.y[index]
        if self.generator is not None:
            y = y + torch.randn(2, generator=self.generator, dtype=torch.float64)
        error = self.module(self.x[index]) - y - 0.1 * self.center
        return error.square().sum(-1).mean() * self.factor


def make_start(seed, generator=None, factors=None):
    module = Net(seed).double()
    return Start(module, Regression(module, generator, factors), seed)


def flat(module):
    return torch.cat([p.detach().flatten() for p in module.parameters() if p.requires_grad])


def descend(start, n, rate=0.01, max_norm=1e3, skip=()):
    """A loop of torch's own Adam and clipping."""
    parameters = [p for p in start.module.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=rate)
    for i in range(n):
        start.objective.before_step(i)
        optimizer.zero_grad()
        loss = start.objective(slice(None), i)
        loss.backward()
        if i in skip:
            continue
        torch.nn.utils.clip_grad_norm_(parameters, max_norm)
        optimizer.step()
    return flat(start.module)


def take_steps(lane, iterations, rate=0.01, max_norm=1e3):
    return [lane.step(slice(None), i, rate, max_norm) for i in iterations]


# -- the ladder


def test_halving():
    assert Ladder.climb(16, 2, 250, 4000).rungs == ((250, 8), (500, 4), (750, 2), (1000, 1))
    assert Ladder.climb(5, 2, 10, 100).rungs == ((10, 3), (20, 2), (30, 1))
    assert Ladder.climb(9, 3, 10, 100).rungs == ((10, 3), (20, 1))
    assert Ladder.climb(1, 2, 10, 100) == Ladder(1)


@given(st.integers(1, 200), st.integers(2, 10), st.integers(1, 500), st.integers(1, 5000))
@settings(deadline=None, max_examples=50)
def test_ladder(n_starts, factor, rung_iter, max_iter):
    ladder = Ladder.climb(n_starts, factor, rung_iter, max_iter)
    before = n_starts
    for _, kept in ladder.rungs:
        assert kept == math.ceil(before / factor)
        before = kept
    assert before == 1
    ends = [0, *(end for end, _ in ladder.rungs)]
    lengths = {b - a for a, b in itertools.pairwise(ends)}
    assert len(lengths) <= 1
    assert not lengths or 1 <= lengths.pop() <= rung_iter
    if max_iter > len(ladder.rungs):
        # The last start goes on for no less than a rung.
        assert max_iter - ends[-1] >= (ends[1] if ladder.rungs else 1)
    assert [ladder.rung_of(end - 1) for end in ends[1:]] == list(range(len(ladder.rungs)))
    assert [ladder.rung_of(end) for end in ends] == list(range(len(ends)))


def test_stage_in_words():
    ladder = Ladder.climb(4, 2, 10, 100)
    assert ladder.stage(0, 4) == "rung 1/3, 4 starts"
    assert ladder.stage(10, 2) == "rung 2/3, 2 starts"
    assert ladder.stage(99, 1) == "rung 3/3, 1 start"
    assert Ladder(1).stage(5, 1) == ""


# -- one start


def test_a_lane_of_one_is_adam_with_clipping():
    for max_norm in (1e3, 0.5):
        expected = descend(make_start(3), 25, max_norm=max_norm)
        start = make_start(3)
        take_steps(Lane([0], [start], 0.01), range(25), max_norm=max_norm)
        torch.testing.assert_close(flat(start.module), expected, rtol=1e-6, atol=1e-6)


def test_the_loss_is_that_before_the_step_and_the_rate_is_that_of_the_step():
    start, reference = make_start(3), make_start(3)
    reference.objective.before_step(0)
    expected = reference.objective(slice(None), 0).item()
    before = flat(start.module).clone()
    losses, finite = Lane([0], [start], 0.5).step(slice(None), 0, 0.002, 1e3)
    assert losses.tolist() == [expected]
    assert finite.tolist() == [True]
    # The first step of Adam is the rate, in every coordinate.
    torch.testing.assert_close(
        (flat(start.module) - before).abs(), torch.full_like(before, 0.002), rtol=1e-5, atol=0
    )


@pytest.mark.parametrize("together", [False, True])
def test_lanes_of(together):
    starts = [make_start(s) for s in range(3)]
    lanes = lanes_of(starts, together=together, learning_rate=0.1)
    assert [lane.numbers for lane in lanes] == ([[0, 1, 2]] if together else [[0], [1], [2]])


def descend_with_momentum(start, n, rate=0.01):
    """Stochastic gradient descent as its formula: momentum 0.9, weight decay 5e-4."""
    parameters = [p for p in start.module.parameters() if p.requires_grad]
    velocities = [torch.zeros_like(p) for p in parameters]
    for i in range(n):
        start.objective.before_step(i)
        gradients = torch.autograd.grad(start.objective(slice(None), i), parameters)
        with torch.no_grad():
            for p, v, g in zip(parameters, velocities, gradients, strict=True):
                v.mul_(0.9).add_(g + 5e-4 * p)
                p.sub_(rate * v)
    return flat(start.module)


@pytest.mark.parametrize("n_starts", [1, 3])
def test_sgd(n_starts):
    starts = [make_start(s) for s in range(n_starts)]
    lane = Lane(range(n_starts), starts, 0.01, "sgd")
    take_steps(lane, range(10))
    if n_starts > 1:
        lane.keep([0, 2])
    take_steps(lane, range(10, 20))
    lane.close()
    for number in lane.numbers:
        expected = descend_with_momentum(make_start(number), 20)
        torch.testing.assert_close(flat(starts[number].module), expected, rtol=1e-9, atol=1e-9)


# -- several starts


def test_stacked_starts_are_the_separate_ones():
    starts = [make_start(s) for s in range(3)]
    steps = take_steps(Lane(range(3), starts, 0.01), range(30))
    for s, start in enumerate(starts):
        alone = make_start(s)
        separate = take_steps(Lane([0], [alone], 0.01), range(30))
        torch.testing.assert_close(flat(start.module), flat(alone.module), rtol=1e-9, atol=1e-9)
        curves = torch.stack([a[s] for a, _ in steps]), torch.stack([a[0] for a, _ in separate])
        torch.testing.assert_close(*curves, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(start.objective.center, alone.objective.center)
    assert all(f.tolist() == [True] * 3 for _, f in steps)
    centers = {tuple(start.objective.center.tolist()) for start in starts}
    assert len(centers) == 3


def test_modules_see_the_parameters_while_they_are_stacked():
    starts = [make_start(s) for s in range(2)]
    before = [flat(s.module).clone() for s in starts]
    lane = Lane(range(2), starts, 0.01)
    take_steps(lane, range(3))
    for start, was in zip(starts, before, strict=True):
        assert (flat(start.module) - was).abs().min() > 1e-3
    # And what is written into one of them counts in the next step.
    with torch.no_grad():
        for p in starts[1].module.parameters():
            p.zero_()
    starts[1].module.frozen.fill_(0.5)
    (losses, _), *_ = take_steps(lane, [3])
    silent = make_start(9)
    with torch.no_grad():
        for p in silent.module.parameters():
            p.zero_()
    silent.module.frozen.fill_(0.5)
    silent.objective.before_step(3)
    assert losses[1].item() == pytest.approx(silent.objective(slice(None), 3).item(), rel=1e-12)


def test_stacked_starts_draw_the_same_random_numbers():
    generator = torch.Generator().manual_seed(1)
    starts = [make_start(s, generator) for s in (4, 4, 5)]
    steps = take_steps(Lane(range(3), starts, 0.01), range(10))
    for losses, _ in steps:
        torch.testing.assert_close(losses[0], losses[1], rtol=1e-12, atol=0)
        assert (losses[0] - losses[2]).abs() > 1e-6
    # As many numbers are drawn as one start would draw.
    other = torch.Generator().manual_seed(1)
    alone = take_steps(Lane([0], [make_start(4, other)], 0.01), range(10))
    assert torch.equal(generator.get_state(), other.get_state())
    torch.testing.assert_close(steps[-1][0][0], alone[-1][0][0], rtol=1e-9, atol=1e-9)


def test_each_start_is_clipped_by_its_own_norm():
    spike = dict.fromkeys(range(3, 6), 1e4)
    starts = [make_start(0), make_start(1, factors=spike)]
    take_steps(Lane(range(2), starts, 0.01), range(10), max_norm=0.3)
    for start, factors in zip(starts, ({}, spike), strict=True):
        expected = descend(make_start(start.seed, factors=factors), 10, max_norm=0.3)
        torch.testing.assert_close(flat(start.module), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("at", [0, 5])
def test_a_gradient_that_is_not_finite_leaves_its_start_and_the_others_go_on(value, at):
    starts = [make_start(0), make_start(1, factors={at: value}), make_start(2)]
    lane = Lane(range(3), starts, 0.01)
    take_steps(lane, range(at))
    before = flat(starts[1].module).clone()
    moments = [m[1].clone() for m in lane._moments()]
    losses, finite = lane.step(slice(None), at, 0.01, 1e3)
    assert finite.tolist() == [True, False, True]
    assert losses.isfinite().tolist() == [True, False, True]
    assert torch.equal(flat(starts[1].module), before)
    after = [m[1] for m in lane._moments()]
    for was, is_now in zip(moments or [torch.zeros(())] * len(after), after, strict=True):
        assert torch.equal(is_now, was.expand_as(is_now))
    take_steps(lane, range(at + 1, 12))
    for start in (starts[0], starts[2]):
        expected = descend(make_start(start.seed), 12)
        torch.testing.assert_close(flat(start.module), expected, rtol=1e-6, atol=1e-6)
    assert flat(starts[1].module).isfinite().all()
    assert (flat(starts[1].module) - before).abs().min() > 1e-3


@pytest.mark.parametrize("n", [1, 2])
def test_if_no_gradient_is_finite_no_step_is_taken(n):
    bad = {4: math.nan}
    starts = [make_start(s, factors=bad) for s in range(n)]
    lane = Lane(range(n), starts, 0.01)
    steps = take_steps(lane, range(12))
    assert steps[4][1].tolist() == [False] * n
    for start in starts:
        # Not even Adam's count of steps, which its corrections depend on, is another.
        expected = descend(make_start(start.seed, factors=bad), 12, skip={4})
        torch.testing.assert_close(flat(start.module), expected, rtol=1e-6, atol=1e-6)


def test_a_bad_step_leaves_the_statistics_of_batch_normalisation():
    module = torch.nn.BatchNorm1d(2)

    def objective(index, iteration):
        return module(torch.ones(4, 2) * [1.0, math.nan, 1.0][iteration]).square().sum()

    lane = Lane([0], [Start(module, objective, 0)], 0.01)
    lane.step(slice(None), 0, 0.01, 10.0)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    lane.step(slice(None), 1, 0.01, 10.0)
    for name in ("running_mean", "running_var", "weight", "bias"):
        torch.testing.assert_close(module.state_dict()[name], before[name])
    lane.step(slice(None), 2, 0.01, 10.0)
    assert not torch.equal(module.running_mean, before["running_mean"])


# -- fewer starts


def own_storage(module):
    return all(p.untyped_storage().nbytes() == p.nbytes for p in module.parameters())


def test_kept_starts_go_on_with_their_moments():
    starts = [make_start(s) for s in range(4)]
    lane = Lane(range(4), starts, 0.01)
    take_steps(lane, range(8))
    dropped = [flat(starts[s].module).clone() for s in (0, 2)]
    lane.keep([1, 3])
    assert lane.numbers == [1, 3]
    take_steps(lane, range(8, 16))
    at_16 = flat(starts[1].module).clone()
    lane.keep([3])
    take_steps(lane, range(16, 24))
    for number, n in ((1, 16), (3, 24)):
        expected = descend(make_start(number), n)
        torch.testing.assert_close(flat(starts[number].module), expected, rtol=1e-6, atol=1e-6)
    assert torch.equal(flat(starts[1].module), at_16)
    for number, was in zip((0, 2), dropped, strict=True):
        assert torch.equal(flat(starts[number].module), was)
    assert all(own_storage(start.module) for start in starts)


def test_starts_can_be_kept_before_the_first_step():
    starts = [make_start(s) for s in range(3)]
    lane = Lane(range(3), starts, 0.01)
    lane.keep([0, 2])
    take_steps(lane, range(5))
    lane.keep([2])
    take_steps(lane, range(5, 10))
    expected = descend(make_start(2), 10)
    torch.testing.assert_close(flat(starts[2].module), expected, rtol=1e-6, atol=1e-6)


def test_closing_a_lane_gives_parameters_of_their_own():
    starts = [make_start(s) for s in range(3)]
    lane = Lane(range(3), starts, 0.01)
    take_steps(lane, range(4))
    values = [flat(s.module).clone() for s in starts]
    assert not any(own_storage(start.module) for start in starts)
    lane.close()
    assert all(own_storage(start.module) for start in starts)
    with torch.no_grad():
        for p in starts[0].module.parameters():
            p += 1
    for start, value in zip(starts[1:], values[1:], strict=True):
        assert torch.equal(flat(start.module), value)
    starts[1].objective.center.fill_(5)
    assert (starts[2].objective.center != 5).all()
