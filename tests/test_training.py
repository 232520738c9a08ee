"""The training loop, on problems small enough to know the answer."""

import math
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning

from nrsfm_learn._checkpoint import CheckpointError
from nrsfm_learn._race import MAX_BAD_STEPS, TrainingError
from nrsfm_learn._training import TrainingOptions, learning_rate_at, train, verbose_progress

TARGET = torch.tensor([1.0, -2.0, 0.5])


class Point(torch.nn.Module):
    def __init__(self, start=(0.0, 0.0, 0.0)):
        super().__init__()
        self.x = torch.nn.Parameter(torch.tensor(start))


class Quadratic:
    """Mean over frames of |x - target|^2, with noise of each frame and of the generator."""

    def __init__(self, module, generator, n_frames=50, noise=0.0):
        self.module, self.generator, self.noise = module, generator, noise
        self.offsets = torch.randn(n_frames, 3, generator=torch.Generator().manual_seed(9))
        self.offsets -= self.offsets.mean(0)
        self.seen = []

    def __call__(self, index, iteration):
        self.seen.append(index)
        shake = torch.randn(3, generator=self.generator)
        targets = TARGET + self.noise * (self.offsets[index] + shake)
        return (self.module.x - targets).square().sum(-1).mean()


def run(options, *, seed=0, noise=0.0, n_frames=50, wrap=lambda f: f, **kwargs):
    module, generator = Point(), torch.Generator().manual_seed(seed)
    objective = Quadratic(module, generator, n_frames, noise)
    result = train(module, wrap(objective), n_frames, options, generator=generator, **kwargs)
    return module, objective, result


def same(first, second):
    return np.array_equal(first, second, equal_nan=True)


# -- schedules


def test_constant_rate():
    options = TrainingOptions(100, learning_rate=0.3, schedule="constant")
    assert {learning_rate_at(i, options) for i in (0, 50, 99)} == {0.3}


def test_cosine_rate():
    options = TrainingOptions(200, learning_rate=0.3, schedule="cosine")
    for i in (0, 17, 100, 199):
        expected = 0.3 * (1 + math.cos(math.pi * i / 200)) / 2
        assert learning_rate_at(i, options) == pytest.approx(expected, rel=1e-12)
    assert learning_rate_at(0, options) == 0.3
    assert 0 < learning_rate_at(199, options) < 1e-4 * 0.3


def test_stepwise_rate_of_the_supplement():
    options = TrainingOptions(400_000, learning_rate=1e-4, schedule="step")
    for i, steps in ((0, 0), (49_999, 0), (50_000, 1), (399_999, 7)):
        assert learning_rate_at(i, options) == pytest.approx(1e-4 * 0.95**steps, rel=1e-12)


def test_warm_up_is_linear():
    options = TrainingOptions(100, learning_rate=0.4, schedule="constant", warmup_iter=8)
    rates = [learning_rate_at(i, options) for i in range(10)]
    np.testing.assert_allclose(rates, [0.05 * (i + 1) for i in range(8)] + [0.4, 0.4])


def test_the_rate_is_what_the_optimiser_takes():
    # The first step of Adam is the learning rate, whatever the gradient.
    for schedule in ("constant", "cosine", "step"):
        module, _, _ = run(TrainingOptions(1, 50, learning_rate=0.01, schedule=schedule))
        np.testing.assert_allclose(module.x.detach().abs(), 0.01, rtol=1e-4)
    module, _, _ = run(TrainingOptions(1, 50, learning_rate=0.01, warmup_iter=10))
    np.testing.assert_allclose(module.x.detach().abs(), 0.001, rtol=1e-4)


# -- the loop


def test_converges_on_a_quadratic():
    module, _, result = run(TrainingOptions(500, learning_rate=0.05))
    np.testing.assert_allclose(module.x.detach(), TARGET, atol=1e-3)
    assert result.n_iter == 500
    assert result.stop_reason == "max_iter"
    assert result.n_bad_steps == 0
    assert result.loss_curve.shape == (500,)
    # The curve is the loss before each step: at the start |target|^2.
    assert result.loss_curve[0].item() == pytest.approx(TARGET.square().sum().item())
    assert result.loss_curve[-1] < 1e-6


def test_minibatches_reach_the_mean_of_the_frames():
    module, objective, _ = run(TrainingOptions(800, 10, learning_rate=0.05), noise=0.3)
    np.testing.assert_allclose(module.x.detach(), TARGET, atol=0.05)
    drawn = torch.stack(objective.seen)
    assert drawn.shape == (800, 10)
    assert drawn.unique().tolist() == list(range(50))


@pytest.mark.parametrize("batch_size", [50, 51, 1000])
def test_all_frames_when_the_batch_holds_them(batch_size):
    _, objective, _ = run(TrainingOptions(3, batch_size))
    assert objective.seen == [slice(None)] * 3


def test_smaller_batches_are_drawn():
    _, objective, _ = run(TrainingOptions(3, 49))
    assert [len(index) for index in objective.seen] == [49] * 3


def test_same_seed_gives_the_same_curve_bit_for_bit():
    options = TrainingOptions(60, 8, learning_rate=0.05)
    first, _, a = run(options, noise=1.0)
    again, _, b = run(options, noise=1.0)
    _, _, c = run(options, seed=1, noise=1.0)
    assert same(a.loss_curve, b.loss_curve)
    assert torch.equal(first.x, again.x)
    assert not same(a.loss_curve, c.loss_curve)


def test_global_generators_are_left_alone():
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    run(TrainingOptions(5, 8), noise=1.0)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_frozen_parameters_stay():
    module, generator = Point(), torch.Generator()
    module.y = torch.nn.Parameter(torch.ones(2), requires_grad=False)
    objective = Quadratic(module, generator)
    train(module, objective, 50, TrainingOptions(5), generator=generator)
    assert module.y.tolist() == [1, 1]


def test_one_iteration():
    for schedule in ("cosine", "constant", "step"):
        _, _, result = run(TrainingOptions(1, schedule=schedule))
        assert (result.n_iter, result.stop_reason) == (1, "max_iter")
        assert result.loss_curve.shape == (1,)


def test_a_large_gradient_is_scaled_down():
    # Adam's second moment remembers a gradient of 1e6 for a thousand steps; clipped, it forgets.
    def spike(objective):
        return lambda index, i: objective(index, i) * (1e6 if i == 5 else 1)

    clipped, _, _ = run(TrainingOptions(300, learning_rate=0.05), wrap=spike)
    free, _, _ = run(TrainingOptions(300, learning_rate=0.05, max_grad_norm=1e12), wrap=spike)
    error = [(m.x.detach() - TARGET).norm() for m in (clipped, free)]
    assert error[0] < 0.01 < 0.5 < error[1]


# -- bad steps


def bad_at(iterations, value=math.nan):
    def wrap(objective):
        return lambda index, i: objective(index, i) * (value if i in iterations else 1)

    return wrap


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_steps_without_a_finite_gradient_are_skipped(value):
    bad = {3, 4, 40}
    module, _, result = run(TrainingOptions(300, learning_rate=0.05), wrap=bad_at(bad, value))
    assert set(result.loss_curve.isnan().nonzero().flatten().tolist()) == bad
    assert result.n_bad_steps == 3
    np.testing.assert_allclose(module.x.detach(), TARGET, atol=1e-2)


def test_a_skipped_step_leaves_no_trace():
    # The first step of Adam is the learning rate; any trace in its moments would change that.
    options = TrainingOptions(40, learning_rate=0.01, schedule="constant")
    with pytest.warns(ConvergenceWarning):
        module, _, _ = run(options, wrap=bad_at(range(39)))
    np.testing.assert_allclose(module.x.detach().abs(), 0.01, rtol=1e-4)


def test_error_after_many_bad_steps_in_a_row():
    module, generator = Point(), torch.Generator()
    objective = bad_at(range(10, 1000))(Quadratic(module, generator))
    options = TrainingOptions(1000, learning_rate=0.025)
    with pytest.raises(TrainingError) as error:
        train(module, objective, 50, options, generator=generator)
    message = str(error.value)
    assert f"{MAX_BAD_STEPS} iterations in a row" in message
    assert f"number {10 + MAX_BAD_STEPS - 1}," in message
    assert "lower learning_rate (now 0.025)" in message
    assert module.x.isfinite().all()
    assert module.x.abs().min() > 0.1


def test_bad_steps_that_are_not_in_a_row_are_a_warning():
    with pytest.warns(ConvergenceWarning, match="150 of 300 iterations were skipped"):
        _, _, result = run(TrainingOptions(300), wrap=bad_at(range(0, 300, 2)))
    assert result.n_bad_steps == 150


@pytest.mark.filterwarnings("error")
def test_a_few_bad_steps_are_no_warning():
    _, _, result = run(TrainingOptions(300), wrap=bad_at({5, 6, 7, 200}))
    assert result.n_bad_steps == 4


@pytest.mark.parametrize("max_iter", [1, 20])
def test_short_run_without_a_single_good_step_is_an_error(max_iter):
    with pytest.raises(TrainingError, match=f"not finite at {max_iter} iterations in a row"):
        run(TrainingOptions(max_iter), wrap=bad_at(range(max_iter)))


# -- ending early


def test_plateau_stops():
    options = TrainingOptions(5000, learning_rate=0.05, tol=1e-3, n_iter_no_change=300)
    _, _, result = run(options, wrap=lambda f: lambda index, i: f(index, i) + 1)
    assert result.stop_reason == "plateau"
    means = result.loss_curve.reshape(-1, 100).mean(1).numpy()
    best = np.minimum.accumulate(means)
    # No progress in the last three windows, and some in each window before.
    assert (means[-3:] >= best[-4] * (1 - 1e-3)).all()
    assert (means[1:-3] < best[:-4] * (1 - 1e-3)).all()


def test_no_tolerance_never_stops():
    _, _, result = run(TrainingOptions(2500, learning_rate=1e-9, tol=0.0, n_iter_no_change=100))
    assert result.n_iter == 2500


def test_progress_is_reported_about_a_hundred_times_and_at_the_end():
    calls = []
    run(TrainingOptions(250), progress=lambda *args: calls.append(args))
    done = [n for n, _, _ in calls]
    assert done == sorted(set(done))
    assert done[-1] == 250
    assert 80 <= len(done) <= 126
    assert {m for _, m, _ in calls} == {250}
    assert all(isinstance(loss, float) and loss > 0 for _, _, loss in calls)
    calls.clear()
    run(TrainingOptions(1), progress=lambda *args: calls.append(args))
    assert [call[:2] for call in calls] == [(1, 1)]


def test_progress_can_stop():
    _, _, result = run(TrainingOptions(200), progress=lambda n, *_: n >= 50)
    assert result.stop_reason == "callback"
    assert result.n_iter == len(result.loss_curve) == 50


def interrupted_at(iteration):
    def wrap(objective):
        def call(index, i):
            if i == iteration:
                raise KeyboardInterrupt
            return objective(index, i)

        return call

    return wrap


def test_interrupt_keeps_the_parameters_and_warns():
    with pytest.warns(ConvergenceWarning, match="interrupted after 120 of 500 iterations"):
        module, _, result = run(
            TrainingOptions(500, learning_rate=0.05), wrap=interrupted_at(120), noise=0.1
        )
    assert result.stop_reason == "interrupted"
    assert result.n_iter == len(result.loss_curve) == 120
    assert (module.x.detach() - TARGET).norm() < 0.5 * TARGET.norm()


@pytest.fixture
def sigint_interrupts():
    """Python's own handler: a shell that runs the tests in the background has SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("sigint_interrupts")
def test_ctrl_c_from_outside_is_an_interrupt():
    def press(n_done, *_):
        if n_done == 30:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.warns(ConvergenceWarning):
        _, _, result = run(TrainingOptions(100), progress=press)
    assert result.stop_reason == "interrupted"
    assert 29 <= result.n_iter <= 31


def test_verbose_lines(capsys):
    run(TrainingOptions(500, learning_rate=0.05), progress=verbose_progress("Method"))
    lines = capsys.readouterr().out.splitlines()
    assert 9 <= len(lines) <= 11
    assert lines[-1].startswith("[Method] iteration 500/500  loss ")
    assert lines[-1].endswith(" s")
    run(TrainingOptions(1), progress=verbose_progress("Method"))
    assert capsys.readouterr().out.count("\n") == 1


# -- checkpoints


def test_resumed_run_ends_bit_for_bit_like_an_uninterrupted_one(tmp_path):
    options = TrainingOptions(90, 8, learning_rate=0.05, warmup_iter=7)
    whole, _, expected = run(options, noise=1.0)
    kept = options._replace(checkpoint_dir=str(tmp_path / "new" / "folder"), checkpoint_every=20)

    def broken(objective):
        def call(index, i):
            if i == 53:
                raise RuntimeError("the machine goes down")
            return objective(index, i)

        return call

    with pytest.raises(RuntimeError, match="goes down"):
        run(kept, noise=1.0, wrap=broken)
    module, objective, result = run(kept, noise=1.0)
    assert len(objective.seen) == 50
    assert same(result.loss_curve, expected.loss_curve)
    assert torch.equal(module.x, whole.x)
    assert (result.n_iter, result.stop_reason) == (90, "max_iter")


def test_checkpoints_change_nothing(tmp_path):
    options = TrainingOptions(40, 8)
    _, _, expected = run(options, noise=1.0)
    _, _, result = run(
        options._replace(checkpoint_dir=str(tmp_path), checkpoint_every=7), noise=1.0
    )
    assert same(result.loss_curve, expected.loss_curve)


def test_finished_run_is_not_trained_again(tmp_path):
    options = TrainingOptions(40, 8, checkpoint_dir=str(tmp_path))
    first, _, expected = run(options, noise=1.0)
    module, objective, result = run(options, noise=1.0)
    assert objective.seen == []
    assert torch.equal(module.x, first.x)
    assert same(result.loss_curve, expected.loss_curve)
    assert (result.n_iter, result.stop_reason) == (40, "max_iter")


def test_run_that_ended_on_a_plateau_is_not_trained_on(tmp_path):
    options = TrainingOptions(
        5000, learning_rate=0.05, tol=1e-3, n_iter_no_change=200, checkpoint_dir=str(tmp_path)
    )
    first, _, expected = run(options)
    module, objective, result = run(options)
    assert expected.stop_reason == result.stop_reason == "plateau"
    assert objective.seen == []
    assert torch.equal(module.x, first.x)
    assert same(result.loss_curve, expected.loss_curve)


@pytest.mark.parametrize("die_at", [150, 350])
def test_plateau_sees_the_losses_before_a_resume(tmp_path, die_at):
    options = TrainingOptions(5000, learning_rate=0.05, tol=1e-3, n_iter_no_change=300)

    def raised(objective):
        return lambda index, i: objective(index, i) + 1

    _, _, expected = run(options, wrap=raised)
    kept = options._replace(checkpoint_dir=str(tmp_path), checkpoint_every=50)
    with pytest.warns(ConvergenceWarning):
        run(kept, wrap=lambda f: interrupted_at(die_at)(raised(f)))
    _, _, result = run(kept, wrap=raised)
    assert (result.n_iter, result.stop_reason) == (expected.n_iter, "plateau")
    assert same(result.loss_curve, expected.loss_curve)


def test_bad_steps_before_a_resume_are_counted(tmp_path):
    options = TrainingOptions(60, 8, checkpoint_dir=str(tmp_path), checkpoint_every=10)
    bad = bad_at({3, 7, 45})
    with pytest.warns(ConvergenceWarning):
        run(options, wrap=lambda f: interrupted_at(25)(bad(f)))
    _, _, result = run(options, wrap=bad)
    assert result.n_bad_steps == 3


@pytest.mark.parametrize("after_draw", [False, True])
def test_interrupted_run_resumes_to_the_same_result(tmp_path, after_draw):
    # Ctrl-C may fall after random numbers were drawn, and before the step they were drawn for.
    options = TrainingOptions(60, 8, learning_rate=0.05)
    whole, _, expected = run(options, noise=1.0)
    kept = options._replace(checkpoint_dir=str(tmp_path), checkpoint_every=10)

    def press(objective):
        def call(index, i):
            loss = objective(index, i) if after_draw or i != 33 else None
            if i == 33:
                raise KeyboardInterrupt
            return loss

        return call

    with pytest.warns(ConvergenceWarning):
        run(kept, noise=1.0, wrap=press)
    module, _, result = run(kept, noise=1.0)
    assert same(result.loss_curve, expected.loss_curve)
    assert torch.equal(module.x, whole.x)


def test_run_that_a_callback_stopped_goes_on(tmp_path):
    options = TrainingOptions(100, 8)
    _, _, expected = run(options, noise=1.0)
    kept = options._replace(checkpoint_dir=str(tmp_path), checkpoint_every=1000)
    _, _, stopped = run(kept, noise=1.0, progress=lambda n, *_: n == 35)
    assert stopped.n_iter == 35
    _, objective, result = run(kept, noise=1.0)
    assert len(objective.seen) == 65
    assert same(result.loss_curve, expected.loss_curve)


def test_checkpoint_of_other_data_or_settings_is_refused(tmp_path):
    options = TrainingOptions(20, checkpoint_dir=str(tmp_path))
    run(options, fingerprint="data A")
    with pytest.raises(CheckpointError, match=r"other data or settings.*checkpoint_dir of its own"):
        run(options, fingerprint="data B")
    with pytest.raises(CheckpointError, match=r"training\.pt belongs to a fit with other"):
        run(options._replace(learning_rate=0.5), fingerprint="data A")
    # How often to write is no setting of the result.
    run(options._replace(checkpoint_every=3), fingerprint="data A")


def test_damaged_checkpoint_is_refused(tmp_path):
    options = TrainingOptions(20, checkpoint_dir=str(tmp_path))
    run(options)
    path = tmp_path / "training.pt"
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:10], b"", b"no checkpoint at all"):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError) as error:
            run(options)
        assert "training.pt could not be read as a checkpoint" in str(error.value)
        assert "Delete the file to start over" in str(error.value)
        assert "weights_only" not in str(error.value)


def test_checkpoint_of_another_format_is_refused(tmp_path):
    options = TrainingOptions(20, checkpoint_dir=str(tmp_path))
    run(options)
    path = tmp_path / "training.pt"
    state = torch.load(path, weights_only=True)
    torch.save({**state, "format": 99}, path)
    with pytest.raises(CheckpointError, match="has checkpoint format 99"):
        run(options)
    del state["generator"]
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=r"could not be read.*KeyError"):
        run(options)


def test_checkpoint_runs_no_code(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "exploded"),)

    torch.save({"format": 1, "fingerprint": Bomb()}, tmp_path / "training.pt")
    with pytest.raises(CheckpointError, match="could not be read"):
        run(TrainingOptions(5, checkpoint_dir=str(tmp_path)))
    assert not (tmp_path / "exploded").exists()


SCRIPT = textwrap.dedent(
    """
    import os, pathlib, signal, sys
    sys.path.insert(0, {folder!r})
    import torch
    torch.set_num_threads(1)
    import test_training
    replace, n = os.replace, 0

    def dying_replace(source, target):
        global n
        n += 1
        if n == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)

    os.replace = dying_replace
    options = test_training.TrainingOptions(
        90, 8, learning_rate=0.05, checkpoint_dir={checkpoint_dir!r}, checkpoint_every=10
    )
    test_training.run(options, noise=1.0)
    """
)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_kill_while_a_checkpoint_is_written(tmp_path):
    options = TrainingOptions(90, 8, learning_rate=0.05)
    _, _, expected = run(options, noise=1.0)
    folder = os.path.dirname(__file__)
    script = SCRIPT.format(folder=folder, checkpoint_dir=str(tmp_path))
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert list(tmp_path.glob("*.part"))
    kept = options._replace(checkpoint_dir=str(tmp_path), checkpoint_every=10)
    _, objective, result = run(kept, noise=1.0)
    assert len(objective.seen) == 70
    assert same(result.loss_curve, expected.loss_curve)
