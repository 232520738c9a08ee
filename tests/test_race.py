"""Many starts of one fit: who is left, and that its run is the run it would have had alone."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning

from nrsfm_learn._checkpoint import CheckpointError
from nrsfm_learn._race import LOSS_WINDOW, MAX_BAD_STEPS, N_RUNNERS_UP, TrainingError
from nrsfm_learn._starts import Ladder, Start
from nrsfm_learn._training import TrainingOptions, train, train_starts

F, N = 40, 8
LADDER = Ladder.climb(N, 2, 10, 60)  # 8 until 10, 4 until 20, 2 until 30, then 1.
OPTIONS = TrainingOptions(60, 12, learning_rate=0.02)
both_modes = pytest.mark.parametrize("together", [False, True])


class Net(torch.nn.Module):
    def __init__(self, seed):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.first, self.last = torch.nn.Linear(3, 6), torch.nn.Linear(6, 2)
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(torch.randn(p.shape, generator=generator))

    def forward(self, x):
        return self.last(torch.tanh(self.first(x)))


class Regression(torch.nn.Module):
    """A mean squared error with noise of the generator and a buffer that lags behind."""

    def __init__(self, module, generator, bad=(), act=None):
        super().__init__()
        self.module, self.generator, self.bad, self.act = module, generator, bad, act
        draw = torch.Generator().manual_seed(5)
        self.x, self.y = (torch.randn(F, n, generator=draw) for n in (3, 2))
        self.register_buffer("center", torch.zeros(2))
        self.register_buffer("factor", torch.ones(()))

    @torch.no_grad()
    def before_step(self, iteration):
        if self.act is not None:
            self.act(iteration)
        if iteration % 7 == 0:
            self.center.copy_(self.module(self.x).mean(0))
        self.factor.fill_(math.nan if iteration in self.bad else 1)

    def forward(self, index, iteration):
        y = self.y[index] + 0.1 * torch.randn(2, generator=self.generator)
        error = self.module(self.x[index]) - y - 0.1 * self.center
        return error.square().sum(-1).mean() * self.factor


class Fit:
    """What a run of the race left behind."""

    def __init__(self, options=OPTIONS, *, seeds=range(N), ladder=LADDER, bad=None, act=None, **kw):
        self.generator = torch.Generator().manual_seed(11)
        bad = bad or {}
        self.starts = [
            Start(
                module := Net(s),
                Regression(module, self.generator, bad.get(s, ()), act and partial(act, number)),
                s,
            )
            for number, s in enumerate(seeds)
        ]
        self.before = [flat(start.module) for start in self.starts]
        self.result = train_starts(
            self.starts, F, options, generator=self.generator, ladder=ladder, **kw
        )

    @property
    def module(self):
        return self.starts[self.result.chosen].module

    @property
    def curve(self):
        return self.result.loss_curve


def alone(number, options=OPTIONS):
    generator = torch.Generator().manual_seed(11)
    module = Net(number)
    result = train(module, Regression(module, generator), F, options, generator=generator)
    return module, result, generator


def flat(module):
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def prefer(*order):
    """Rank starts by a given order."""

    def rank(numbers, losses):
        return [{"score": float(order.index(n)), "asked": 1.0} for n in numbers]

    return rank


def assert_same_run(first, second):
    assert torch.equal(flat(first.module), flat(second.module))
    np.testing.assert_array_equal(first.curve, second.curve)
    assert first.result.chosen == second.result.chosen
    assert first.result.inits == second.result.inits
    assert first.result.runners_up == second.result.runners_up
    for number in first.result.runners_up:
        a, b = (flat(fit.starts[number].module) for fit in (first, second))
        assert torch.equal(a, b)


ORDERS = [(5, 2, 7, 0, 1, 3, 4, 6), (0, 1, 2, 3, 4, 5, 6, 7), (7, 6, 5, 4, 3, 2, 1, 0)]


# -- the run of the chosen start


@pytest.mark.parametrize("order", ORDERS)
def test_one_after_the_other_the_run_is_bit_for_bit_that_of_the_start_alone(order):
    fit = Fit(rank=prefer(*order))
    module, result, generator = alone(order[0])
    assert fit.result.chosen == order[0]
    assert torch.equal(flat(fit.module), flat(module))
    np.testing.assert_array_equal(fit.curve, result.loss_curve)
    assert torch.equal(fit.generator.get_state(), generator.get_state())
    assert (fit.result.n_iter, fit.result.stop_reason) == (60, "max_iter")


@pytest.mark.parametrize("order", ORDERS)
def test_together_the_run_is_that_of_the_start_alone_up_to_rounding(order):
    fit = Fit(rank=prefer(*order), together=True)
    module, result, generator = alone(order[0])
    assert fit.result.chosen == order[0]
    torch.testing.assert_close(flat(fit.module), flat(module), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(fit.curve, result.loss_curve, rtol=1e-4, atol=1e-4)
    assert torch.equal(fit.generator.get_state(), generator.get_state())
    # Or the comparison would say little.
    assert (flat(module) - fit.before[order[0]]).abs().max() > 0.1


@both_modes
def test_starts_that_were_dropped_are_as_they_were_then(together):
    fit = Fit(rank=prefer(*ORDERS[0]), together=together)
    options = OPTIONS
    for place, number in enumerate(ORDERS[0]):
        n_iter = 60 if place == 0 else 30 if place < 2 else 20 if place < 4 else 10
        module, generator = Net(number), torch.Generator().manual_seed(11)
        objective = Regression(module, generator)
        # The same rates: the run is cut short, not planned shorter.
        train(
            module,
            objective,
            F,
            options,
            generator=generator,
            progress=lambda n, *_, m=n_iter: n == m,
        )
        torch.testing.assert_close(
            flat(fit.starts[number].module), flat(module), rtol=1e-4, atol=1e-4
        )


@both_modes
def test_parameters_are_no_views_of_those_of_others(together):
    fit = Fit(together=together)
    for start in fit.starts:
        for p in start.module.parameters():
            assert p.untyped_storage().nbytes() == p.nbytes
            assert p.requires_grad


# -- ranking and records


@both_modes
def test_without_a_ranking_the_lowest_mean_loss_goes_on(together):
    fit = Fit(together=together)
    curves = []
    for number in range(N):
        curves.append(alone(number)[1].loss_curve)
    live = list(range(N))
    for end, kept in LADDER.rungs:
        mean = {n: curves[n][max(0, end - LOSS_WINDOW) : end].mean() for n in live}
        order = sorted(live, key=mean.get)
        for n in order[kept:]:
            assert fit.result.inits[n]["n_iter"] == end
            assert fit.result.inits[n]["loss"] == pytest.approx(mean[n].item(), rel=1e-3)
            assert fit.result.inits[n]["score"] == fit.result.inits[n]["loss"]
        live = sorted(order[:kept])
    assert [fit.result.chosen] == live


def test_the_loss_that_ranks_is_that_of_late():
    ladder = Ladder(2, ((LOSS_WINDOW + 50, 1),))
    options = TrainingOptions(LOSS_WINDOW + 60, 12, learning_rate=0.02)
    seen = []

    def rank(numbers, losses):
        seen.append(losses)
        return [{"score": loss} for loss in losses]

    fit = Fit(options, seeds=range(2), ladder=ladder, rank=rank)
    (losses,) = seen
    curve = fit.curve[50 : LOSS_WINDOW + 50]
    assert losses[fit.result.chosen] == pytest.approx(curve.mean().item(), rel=1e-5)
    assert losses[fit.result.chosen] == min(losses)


@both_modes
def test_the_lowest_score_goes_on(together):
    asked = []

    def rank(numbers, losses):
        asked.append((list(numbers), list(losses)))
        return [{"score": -float(n), "criterion": 10.0 * n} for n in numbers]

    fit = Fit(rank=rank, together=together)
    assert fit.result.chosen == 7
    assert [numbers for numbers, _ in asked] == [list(range(8)), [4, 5, 6, 7], [6, 7]]
    assert fit.result.runners_up == [6, 5, 4]
    assert all(len(losses) == len(numbers) for numbers, losses in asked)
    records = fit.result.inits
    assert [r["criterion"] for r in records] == [10.0 * n for n in range(8)]


@both_modes
def test_records_of_all_starts(together):
    seeds = [3, 1, 4, 15, 9, 2, 6, 5]
    fit = Fit(seeds=seeds, rank=prefer(*ORDERS[0]), together=together)
    records = fit.result.inits
    assert [r["seed"] for r in records] == seeds
    rungs = {5: 3, 2: 2, 7: 1, 0: 1, 1: 0, 3: 0, 4: 0, 6: 0}
    ends = {0: 10, 1: 20, 2: 30, 3: 60}
    assert {n: r["rung"] for n, r in enumerate(records)} == rungs
    assert {n: r["n_iter"] for n, r in enumerate(records)} == {n: ends[r] for n, r in rungs.items()}
    assert [r["chosen"] for r in records] == [n == 5 for n in range(N)]
    assert all(math.isfinite(r["loss"]) and math.isfinite(r["score"]) for r in records)
    assert all(r["asked"] == 1.0 for r in records)
    assert records[5]["loss"] == pytest.approx(fit.curve[-LOSS_WINDOW:].mean().item(), rel=1e-5)
    # Best first, and of those that were dropped last.
    assert fit.result.runners_up == [2, 7, 0]
    assert len(fit.result.runners_up) == N_RUNNERS_UP


def test_one_start_has_a_record_too():
    _, result, _ = alone(3)
    (record,) = result.inits
    assert (record["seed"], record["rung"], record["n_iter"], record["chosen"]) == (0, 0, 60, True)
    assert record["loss"] == pytest.approx(result.loss_curve.mean().item(), rel=1e-5)
    assert result.chosen == 0
    assert len(result.runners_up) == 0


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_is_the_worst(score):
    def rank(numbers, losses):
        return [{"score": score if n == 0 else float(n)} for n in numbers]

    fit = Fit(rank=rank)
    assert fit.result.chosen == 1
    assert fit.result.inits[0]["n_iter"] == 10
    assert fit.result.inits[0]["score"] == math.inf


def test_more_rungs_than_iterations():
    options = TrainingOptions(2, 12, learning_rate=0.02)
    fit = Fit(options, ladder=Ladder.climb(N, 2, 10, 2), rank=prefer(*ORDERS[0]))
    assert (fit.result.chosen, fit.result.n_iter) == (5, 2)
    assert fit.result.runners_up == [2, 7, 0]
    assert sum(r["chosen"] for r in fit.result.inits) == 1


# -- progress


def test_progress_says_the_stage():
    calls = []
    Fit(progress=lambda *args, **kwargs: calls.append((args, kwargs)))
    stages = {n: kwargs["stage"] for (n, _, _), kwargs in calls}
    assert stages[9] == "rung 1/4, 8 starts"
    assert stages[10] == "rung 2/4, 4 starts"
    assert stages[29] == "rung 3/4, 2 starts"
    assert stages[30] == stages[60] == "rung 4/4, 1 start"
    assert {m for (_, m, _), _ in calls} == {60}


def test_progress_of_one_start_has_no_stage():
    calls = []
    Fit(
        seeds=[0],
        ladder=Ladder(1),
        progress=lambda *args, **kwargs: calls.append(kwargs),
    )
    assert calls
    assert all(kwargs == {} for kwargs in calls)


@both_modes
def test_progress_has_the_loss_of_the_best_start(together):
    calls = {}
    # Of the first start too: NaN is neither the lowest loss nor in the way of it.
    bad = {0: {4}, 2: range(5, 8)}
    Fit(bad=bad, together=together, progress=lambda n, m, loss, stage: calls.update({n: loss}))
    curves = [alone(number)[1].loss_curve for number in range(N)]
    for n in range(1, 9):
        # From their bad steps on, the runs of the two are others than those alone.
        unchanged = [k for k in range(N) if k not in bad or n <= min(bad[k])]
        assert calls[n] <= min(curves[k][n - 1].item() for k in unchanged) * (1 + 1e-3)
    for n in range(30, 61):
        fit_alone = min(curves, key=lambda c, n=n: abs(c[n - 1].item() - calls[n]))
        assert calls[n] == pytest.approx(fit_alone[n - 1].item(), rel=1e-3)


@both_modes
def test_a_callback_that_stops_within_a_rung_leaves_one_start(together):
    fit = Fit(rank=prefer(*ORDERS[0]), together=together, progress=lambda n, *_, **__: n >= 13)
    assert (fit.result.stop_reason, fit.result.n_iter, fit.result.chosen) == ("callback", 13, 5)
    assert fit.curve.shape == (13,)
    assert [r["chosen"] for r in fit.result.inits].index(True) == 5
    assert fit.result.inits[5]["rung"] == 1
    assert {n: r["rung"] for n, r in enumerate(fit.result.inits) if n in (2, 7, 0)} == {
        2: 1,
        7: 1,
        0: 1,
    }


# -- interrupts


def ctrl_c(at, of=range(N)):
    def act(number, iteration):
        if iteration == at and number in of:
            raise KeyboardInterrupt

    return act


@both_modes
@pytest.mark.parametrize("at", [0, 4, 10, 25])
def test_ctrl_c_leaves_one_usable_start(together, at):
    with pytest.warns(ConvergenceWarning, match=f"after {at} of 60 iterations"):
        fit = Fit(rank=prefer(*ORDERS[0]), together=together, act=ctrl_c(at))
    assert fit.result.stop_reason == "interrupted"
    assert fit.result.n_iter == len(fit.curve) == at
    assert sum(r["chosen"] for r in fit.result.inits) == 1
    assert fit.result.inits[fit.result.chosen]["n_iter"] == at
    assert fit.result.inits[fit.result.chosen]["rung"] == LADDER.rung_of(at - 1)
    if at:
        assert fit.result.chosen == 5
        assert fit.result.runners_up == [2, 7, 0]
    for start in fit.starts:
        assert flat(start.module).isfinite().all()
        assert all(p.untyped_storage().nbytes() == p.nbytes for p in start.module.parameters())


def test_ctrl_c_while_starts_are_ranked():
    pressed = []

    def rank(numbers, losses):
        if len(numbers) == 4 and not pressed:
            pressed.append(True)
            raise KeyboardInterrupt
        return prefer(*ORDERS[0])(numbers, losses)

    with pytest.warns(ConvergenceWarning, match="after 20 of 60 iterations"):
        fit = Fit(rank=rank)
    assert (fit.result.chosen, fit.result.stop_reason) == (5, "interrupted")
    assert fit.result.runners_up == [2, 7, 0]


# -- checkpoints


class Down(Exception):
    pass


def power_cut(at, of=range(N)):
    def act(number, iteration):
        if iteration == at and number in of:
            raise Down

    return act


@both_modes
@pytest.mark.parametrize("at", [3, 10, 14, 27, 50])
def test_a_resumed_race_ends_bit_for_bit_like_one_without_a_break(tmp_path, together, at):
    kw = {"rank": prefer(*ORDERS[0]), "together": together}
    whole = Fit(**kw)
    kept = OPTIONS._replace(checkpoint_dir=str(tmp_path), checkpoint_every=5)
    with pytest.raises(Down):
        # In the middle of an iteration, if starts train one after the other.
        Fit(kept, act=power_cut(at, [ORDERS[0][0]]), **kw)
    done = []
    resumed = Fit(kept, act=lambda _, iteration: done.append(iteration), **kw)
    assert sorted(set(done)) == list(range(at // 5 * 5, 60))
    assert_same_run(resumed, whole)
    assert resumed.result.n_iter == 60


@both_modes
@pytest.mark.parametrize("at", [7, 26, 44])
def test_an_interrupted_race_resumes(tmp_path, together, at):
    kw = {"rank": prefer(*ORDERS[2]), "together": together}
    kept = OPTIONS._replace(checkpoint_dir=str(tmp_path), checkpoint_every=5)
    with pytest.warns(ConvergenceWarning):
        first = Fit(kept, act=ctrl_c(at, [ORDERS[2][0]]), **kw)
    assert first.result.n_iter == at
    assert_same_run(Fit(kept, **kw), Fit(**kw))


@both_modes
@pytest.mark.parametrize("at", [7, 10, 26])
def test_a_race_that_a_callback_stopped_goes_on(tmp_path, together, at):
    kw = {"rank": prefer(*ORDERS[2]), "together": together}
    kept = OPTIONS._replace(checkpoint_dir=str(tmp_path), checkpoint_every=1000)
    first = Fit(kept, progress=lambda n, *_, **__: n == at, **kw)
    assert first.result.n_iter == at
    assert_same_run(Fit(kept, **kw), Fit(**kw))


@both_modes
def test_a_finished_race_is_not_run_again(tmp_path, together):
    kept = OPTIONS._replace(checkpoint_dir=str(tmp_path), checkpoint_every=5)
    first = Fit(kept, together=together)
    again = Fit(kept, together=together, act=power_cut(0))
    assert_same_run(again, first)


@both_modes
def test_bad_steps_are_remembered_over_a_resume(tmp_path, together):
    bad = {5: {2, 8, 33}, 2: range(6, 60)}
    kw = {"rank": prefer(*ORDERS[0]), "together": together, "bad": bad}
    kept = OPTIONS._replace(checkpoint_dir=str(tmp_path), checkpoint_every=5)
    with pytest.raises(Down):
        Fit(kept, act=power_cut(17), **kw)
    resumed = Fit(kept, **kw)
    assert resumed.result.n_bad_steps == 3
    assert_same_run(resumed, Fit(**kw))


def test_a_checkpoint_of_another_ladder_is_refused(tmp_path):
    kept = OPTIONS._replace(checkpoint_dir=str(tmp_path), checkpoint_every=5)
    Fit(kept)
    with pytest.raises(CheckpointError, match="other data or settings"):
        Fit(kept, ladder=Ladder.climb(N, 4, 10, 60))
    with pytest.raises(CheckpointError, match="other data or settings"):
        Fit(kept, seeds=range(4), ladder=Ladder.climb(4, 2, 10, 60))


# -- bad steps

LONG = TrainingOptions(MAX_BAD_STEPS + 60, 12, learning_rate=0.02)
LONG_LADDER = Ladder(4, ((MAX_BAD_STEPS + 10, 2), (MAX_BAD_STEPS + 20, 1)))


@both_modes
def test_starts_that_are_lost_are_dropped_and_the_others_go_on(together):
    always = range(LONG.max_iter)
    # They would be the first choice.
    fit = Fit(
        LONG,
        seeds=range(4),
        ladder=LONG_LADDER,
        bad={0: always, 1: always},
        rank=prefer(0, 1, 3, 2),
        together=together,
    )
    assert fit.result.chosen == 3
    assert fit.result.inits[0]["score"] == fit.result.inits[1]["score"] == math.inf
    assert fit.result.inits[0]["n_iter"] == MAX_BAD_STEPS + 10
    assert fit.result.n_bad_steps == 0
    assert torch.equal(flat(fit.starts[0].module), fit.before[0])
    module, _, _ = alone(3, LONG)
    torch.testing.assert_close(flat(fit.module), flat(module), rtol=1e-4, atol=1e-4)


@both_modes
def test_bad_steps_of_one_start_leave_the_others_as_they_are(together):
    fit = Fit(bad={1: {3, 4, 5}, 0: {0, 7}}, rank=prefer(*ORDERS[0]), together=together)
    module, result, _ = alone(5)
    tolerance = {"rtol": 1e-4, "atol": 1e-4} if together else {"rtol": 0, "atol": 0}
    torch.testing.assert_close(flat(fit.module), flat(module), **tolerance)
    torch.testing.assert_close(fit.curve, result.loss_curve, **tolerance)


@both_modes
def test_error_only_if_the_last_starts_are_lost(together):
    always = range(LONG.max_iter)
    for bad in (dict.fromkeys(range(4), always), {s: range(20 * (s < 2), 200) for s in range(4)}):
        with pytest.raises(TrainingError, match="not finite at"):
            Fit(LONG, seeds=range(4), ladder=LONG_LADDER, bad=bad, together=together)
    # Lost once the others are gone.
    late = range(MAX_BAD_STEPS + 21 - MAX_BAD_STEPS, 200)
    with pytest.raises(TrainingError, match=f"{MAX_BAD_STEPS} iterations in a row"):
        Fit(
            LONG._replace(max_iter=200),
            seeds=range(4),
            ladder=LONG_LADDER,
            bad={3: late},
            rank=prefer(3, 2, 1, 0),
            together=together,
        )


# -- plateaus


@both_modes
def test_a_plateau_ends_the_run_of_the_last_start_only(together):
    # Rates so small that nothing falls: a run of one start ends at the second look.
    options = TrainingOptions(2000, 64, learning_rate=1e-9, tol=0.5, n_iter_no_change=100)
    single = Fit(options, seeds=[0], ladder=Ladder(1))
    assert (single.result.n_iter, single.result.stop_reason) == (200, "plateau")
    ladder = Ladder(3, ((250, 2), (450, 1)))
    fit = Fit(options, seeds=range(3), ladder=ladder, together=together)
    assert fit.result.stop_reason == "plateau"
    # The first look after 450 is at 500.
    assert fit.result.n_iter == 600


@both_modes
@pytest.mark.parametrize("at", [170, 530])
def test_a_plateau_is_found_again_after_a_resume(tmp_path, together, at):
    options = TrainingOptions(2000, 64, learning_rate=1e-9, tol=0.5, n_iter_no_change=100)
    kw = {"seeds": range(3), "ladder": Ladder(3, ((250, 2), (450, 1))), "together": together}
    kept = options._replace(checkpoint_dir=str(tmp_path), checkpoint_every=50)
    with pytest.raises(Down):
        Fit(kept, act=power_cut(at), **kw)
    fit = Fit(kept, **kw)
    assert (fit.result.n_iter, fit.result.stop_reason) == (600, "plateau")
    again = Fit(kept, act=power_cut(0), **kw)
    assert_same_run(again, fit)
    assert again.result.stop_reason == "plateau"
