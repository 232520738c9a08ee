"""The one training loop of the deep methods.

A method hands over a module and an objective; this file knows about optimisers, schedules, bad
steps, plateaus, progress, checkpoints and Ctrl-C, and nothing about keypoints or scikit-learn.
"""

import math
import time
import warnings
from collections.abc import Callable
from typing import NamedTuple

import torch
from sklearn.exceptions import ConvergenceWarning

from ._checkpoint import Checkpoint
from ._deadline import time_is_up
from ._race import Race
from ._starts import Ladder, Start
from ._warnings import caller_stacklevel

MAX_BAD_FRACTION = 0.05


class TrainingOptions(NamedTuple):
    """How to train; every field is a plain number or string, so that options compare and print.

    Attributes
    ----------
    max_iter : int
        Number of optimiser steps.
    batch_size : int
        Frames drawn with replacement for each step; at least the number of frames means all frames,
        undrawn.
    learning_rate : float
        Peak step size.
    schedule : {"cosine", "step", "constant"}
        ``"cosine"`` decays to zero at ``max_iter``; ``"step"`` multiplies by ``step_factor`` every
        ``step_size`` iterations.
    warmup_iter : int
        Iterations over which the rate rises linearly from zero.
    step_size, step_factor : int, float
        Of the stepwise schedule.
    max_grad_norm : float
        Gradients above this norm are scaled down to it: one degenerate frame must not undo a
        thousand steps.
    tol : float
        Relative decrease of the windowed loss that counts as progress; 0 never stops early.
    n_iter_no_change : int
        Iterations without progress after which training stops.
    checkpoint_dir : str or None
        Folder for checkpoints. An unfinished fit of the same data and settings found there is taken
        up again.
    checkpoint_every : int
        Iterations between checkpoints.
    optimizer : {"adam", "sgd"}
        ``"sgd"`` has momentum 0.9 and weight decay 5e-4.
    """

    max_iter: int
    batch_size: int = 256
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    warmup_iter: int = 0
    step_size: int = 50_000
    step_factor: float = 0.95
    max_grad_norm: float = 10.0
    tol: float = 0.0
    n_iter_no_change: int = 1000
    checkpoint_dir: str | None = None
    checkpoint_every: int = 500
    optimizer: str = "adam"


class TrainingResult(NamedTuple):
    """What a run left behind.

    Attributes
    ----------
    loss_curve : Tensor of shape (n_iter,)
        Objective at each iteration, on the CPU. A step that was skipped has NaN.
    n_iter : int
        Iterations done, those before a resume included.
    stop_reason : {"max_iter", "plateau", "interrupted", "callback", "deadline"}
        Why the loop ended.
    n_bad_steps : int
        Steps skipped because the gradient was not finite, those before a resume included.
    chosen : int
        Which start was left.
    inits : list of dict
        For each start its seed, the last rung it reached, iterations, loss and criteria there, and
        whether it was chosen.
    runners_up : list of int
        The starts dropped last, best first; their modules are as they were then.
    """

    loss_curve: torch.Tensor
    n_iter: int
    stop_reason: str
    n_bad_steps: int
    chosen: int = 0
    inits: tuple = ()
    runners_up: tuple = ()


def learning_rate_at(iteration, options):
    """Return the learning rate of an iteration: a pure function, so that a resumed run needs no
    scheduler state.
    """
    rate = options.learning_rate
    if options.warmup_iter:
        rate *= min(1.0, (iteration + 1) / options.warmup_iter)
    if options.schedule == "cosine":
        return rate * 0.5 * (1 + math.cos(math.pi * iteration / options.max_iter))
    if options.schedule == "step":
        return rate * options.step_factor ** (iteration // options.step_size)
    return rate


def train(
    module: torch.nn.Module,
    objective: Callable,
    n_frames: int,
    options: TrainingOptions,
    *,
    generator: torch.Generator,
    progress: Callable | None = None,
    fingerprint: str = "",
):
    """Minimise ``objective`` over the parameters of ``module``.

    The run of one start; see :func:`train_starts` for the parameters.

    Returns
    -------
    TrainingResult
    """
    return train_starts(
        [Start(module, objective)],
        n_frames,
        options,
        generator=generator,
        progress=progress,
        fingerprint=fingerprint,
    )


def train_starts(
    starts: list[Start],
    n_frames: int,
    options: TrainingOptions,
    *,
    generator: torch.Generator,
    ladder: Ladder | None = None,
    rank: Callable | None = None,
    together: bool = False,
    progress: Callable | None = None,
    fingerprint: str = "",
):
    """Train several starts, drop the worse ones at the rungs of a ladder, train the best to the
    end.

    The rungs lie within ``max_iter``: the run of the start that is left is the run that it would
    have had alone.

    Parameters
    ----------
    starts : list of Start
        Modules, trained in place, and their objectives.
    n_frames : int
        Frames to draw from.
    options : TrainingOptions
        How to train.
    generator : torch.Generator
        Draws the batches; the objectives may draw from it too, and draw the same. Its state is part
        of a checkpoint.
    ladder : Ladder, optional
        When to keep how many; not needed for one start.
    rank : callable, optional
        ``rank(numbers, losses) -> list of dict``: criteria of some starts, given their mean losses
        of late; each a dict with a ``"score"``, lower is better. By default that loss.
    together : bool
        Train the starts of a rung with stacked parameters, or one after the other.
    progress : callable, optional
        ``progress(n_done, max_iter, loss)`` about a hundred times a run, with the best start's loss
        and, if there are several, ``stage=`` in words; returning True stops the run.
    fingerprint : str
        Identifies data and settings; a checkpoint with another one is refused.

    Returns
    -------
    TrainingResult

    Raises
    ------
    TrainingError
        After ``MAX_BAD_STEPS`` consecutive steps whose gradient is not finite, or if no step had a
        finite one, in the last start that is left.
    CheckpointError
        If the checkpoint found is unreadable or belongs to another fit.
    """
    race = Race(starts, options, ladder or Ladder(len(starts)), rank, together, generator)
    device = race.losses.device
    checkpoint = None
    if options.checkpoint_dir is not None:
        checkpoint = Checkpoint(options, fingerprint, race)
        checkpoint.load()
    start = race.n_done

    full_batch = options.batch_size >= n_frames
    report_every = max(1, options.max_iter // 100)
    plateau = _Plateau(options, race)
    stop_reason = "max_iter"
    remaining = range(start, options.max_iter)
    if plateau.replay(start):
        # The run in the checkpoint had ended here: going on would give another result.
        remaining, stop_reason = range(0), "plateau"
    try:
        for iteration in remaining:
            if full_batch:
                index = slice(None)
            else:
                index = torch.randint(
                    n_frames, (options.batch_size,), generator=generator, device=device
                )
            race.step(index, iteration, learning_rate_at(iteration, options))
            n_done = race.n_done
            if checkpoint is not None and (n_done % options.checkpoint_every == 0):
                checkpoint.save()
            due = n_done % report_every == 0 or n_done == options.max_iter
            if due and progress is not None and progress(*race.report(), **race.stage()):
                stop_reason = "callback"
                break
            if plateau.reached(n_done):
                stop_reason = "plateau"
                break
            if time_is_up():
                stop_reason = "deadline"
                break
    except KeyboardInterrupt:
        stop_reason = "interrupted"
        warnings.warn(
            f"Training was interrupted after {race.n_done} of {options.max_iter} iterations: the "
            f"estimator is fitted with the parameters it had then. Results may improve with more "
            f"iterations.",
            ConvergenceWarning,
            stacklevel=caller_stacklevel(),
        )
    # An interrupt may fall between a draw and its step: what it leaves behind is no state to resume
    # from bit for bit, so the last checkpoint stays.
    if checkpoint is not None and race.n_done > start and stop_reason != "interrupted":
        checkpoint.save()
    race.finish()
    loss_curve = race.losses[race.live[0], : race.n_done].cpu()
    n_bad = int(loss_curve.isnan().sum())
    if n_bad > MAX_BAD_FRACTION * race.n_done:
        warnings.warn(
            f"{n_bad} of {race.n_done} iterations were skipped because their gradient was not "
            f"finite: the result may be poor. Lower learning_rate (now {options.learning_rate:g}) "
            f"or look for frames in W that are orders of magnitude larger than the rest.",
            ConvergenceWarning,
            stacklevel=caller_stacklevel(),
        )
    return TrainingResult(
        loss_curve,
        race.n_done,
        stop_reason,
        n_bad,
        race.live[0],
        race.records(),
        race.runners_up,
    )


class _Plateau:
    """Tells when the mean loss of a window stopped falling, once one start is left."""

    WINDOW = 100

    def __init__(self, options, race):
        self.options, self.race = options, race
        self.best, self.best_at = math.inf, 0
        rungs = race.ladder.rungs
        self.begin = rungs[-1][0] if rungs else 0

    def replay(self, n_done):
        """Go through the losses of a resumed run; return True if they end on a plateau."""
        reached = [self.reached(done) for done in range(self.WINDOW, n_done + 1, self.WINDOW)]
        return any(reached)

    def reached(self, n_done):
        if not self.options.tol or n_done % self.WINDOW or n_done <= self.begin:
            return False
        losses = self.race.losses[self.race.live[0]]
        mean = losses[n_done - self.WINDOW : n_done].nanmean().item()
        if mean < self.best * (1 - self.options.tol):
            self.best, self.best_at = mean, n_done
        return n_done - self.best_at >= self.options.n_iter_no_change


def verbose_progress(name, every=10):
    """Return a ``progress`` function that prints one line about every tenth of a run."""
    began = time.monotonic()
    seen = 0

    def progress(n_done, max_iter, loss, stage=""):
        nonlocal seen
        if n_done * every // max_iter > seen or n_done == max_iter:
            seen = n_done * every // max_iter
            seconds = time.monotonic() - began
            stage = f"  {stage}" if stage else ""
            done = f"{n_done}/{max_iter}{stage}"
            line = f"[{name}] iteration {done}  loss {loss:.4g}  {seconds:.0f} s"
            print(line, flush=True)  # noqa: T201

    return progress
