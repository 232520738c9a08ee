"""The one training loop of the deep methods.

A method hands over a module and an objective; this file knows about optimisers, schedules, bad
steps, plateaus, progress, checkpoints and Ctrl-C, and nothing about keypoints or scikit-learn.
"""

import contextlib
import math
import os
import pathlib
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import NamedTuple

import torch
from sklearn.exceptions import ConvergenceWarning

from ._warnings import caller_stacklevel

CHECKPOINT_FORMAT = 1
MAX_BAD_STEPS = 50
MAX_BAD_FRACTION = 0.05


class TrainingError(RuntimeError):
    """Training produced numbers that are not finite and could not go on."""


class CheckpointError(ValueError):
    """A checkpoint cannot be used: it is damaged, or belongs to another fit."""


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
        Peak step size of Adam.
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


class TrainingResult(NamedTuple):
    """What a run left behind.

    Attributes
    ----------
    loss_curve : Tensor of shape (n_iter,)
        Objective at each iteration, on the CPU. A step that was skipped has NaN.
    n_iter : int
        Iterations done, those before a resume included.
    stop_reason : {"max_iter", "plateau", "interrupted", "callback"}
        Why the loop ended.
    n_bad_steps : int
        Steps skipped because the gradient was not finite, those before a resume included.
    """

    loss_curve: torch.Tensor
    n_iter: int
    stop_reason: str
    n_bad_steps: int


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
    """Minimise ``objective`` over the parameters of ``module`` with Adam.

    Parameters
    ----------
    module : torch.nn.Module
        Trained in place. Its parameters set the device.
    objective : callable
        ``objective(index, iteration) -> loss``: ``index`` is a tensor of frame numbers on the
        device, or a full slice.
    n_frames : int
        Frames to draw from.
    options : TrainingOptions
        How to train.
    generator : torch.Generator
        Draws the batches; the objective may draw from it too. Its state is part of a checkpoint.
    progress : callable, optional
        ``progress(n_done, max_iter, loss)`` about a hundred times a run; returning True stops the
        run.
    fingerprint : str
        Identifies data and settings; a checkpoint with another one is refused.

    Returns
    -------
    TrainingResult

    Raises
    ------
    TrainingError
        After ``MAX_BAD_STEPS`` consecutive steps whose gradient is not finite, or if no step had a
        finite one.
    CheckpointError
        If the checkpoint found is unreadable or belongs to another fit.
    """
    parameters = [p for p in module.parameters() if p.requires_grad]
    device = parameters[0].device
    optimizer = torch.optim.Adam(parameters, lr=options.learning_rate, fused=True)
    losses = torch.full((options.max_iter,), math.nan, device=device)
    start = 0
    checkpoint = None
    if options.checkpoint_dir is not None:
        checkpoint = _Checkpoint(options, fingerprint, module, optimizer, generator)
        start = checkpoint.load(losses)

    full_batch = options.batch_size >= n_frames
    report_every = max(1, options.max_iter // 100)
    plateau = _Plateau(options, losses)
    bad_in_a_row = 0
    n_done, stop_reason = start, "max_iter"
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
            optimizer.zero_grad(set_to_none=True)
            loss = objective(index, iteration)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(parameters, options.max_grad_norm)
            if math.isfinite(norm.item()):
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate_at(iteration, options)
                optimizer.step()
                losses[iteration] = loss.detach()
                bad_in_a_row = 0
            else:
                bad_in_a_row += 1
                if bad_in_a_row >= min(MAX_BAD_STEPS, options.max_iter):
                    raise TrainingError(
                        f"The gradient was not finite at {bad_in_a_row} iterations in a row (the "
                        f"last is number {iteration}, loss {loss.item():.3g}): lower learning_rate "
                        f"(now {options.learning_rate:g}) or look for frames in W that are orders "
                        f"of magnitude larger than the rest."
                    )
            n_done = iteration + 1
            if checkpoint is not None and (n_done % options.checkpoint_every == 0):
                checkpoint.save(n_done, losses)
            due = n_done % report_every == 0 or n_done == options.max_iter
            if due and progress is not None and progress(n_done, options.max_iter, loss.item()):
                stop_reason = "callback"
                break
            if plateau.reached(n_done):
                stop_reason = "plateau"
                break
    except KeyboardInterrupt:
        stop_reason = "interrupted"
        warnings.warn(
            f"Training was interrupted after {n_done} of {options.max_iter} iterations: the "
            f"estimator is fitted with the parameters it had then. Results may improve with more "
            f"iterations.",
            ConvergenceWarning,
            stacklevel=caller_stacklevel(),
        )
    # An interrupt may fall between a draw and its step: what it leaves behind is no state to resume
    # from bit for bit, so the last checkpoint stays.
    if checkpoint is not None and n_done > start and stop_reason != "interrupted":
        checkpoint.save(n_done, losses)
    loss_curve = losses[:n_done].cpu()
    n_bad = int(loss_curve.isnan().sum())
    if n_bad > MAX_BAD_FRACTION * n_done:
        warnings.warn(
            f"{n_bad} of {n_done} iterations were skipped because their gradient was not finite: "
            f"the result may be poor. Lower learning_rate (now {options.learning_rate:g}) or look "
            f"for frames in W that are orders of magnitude larger than the rest.",
            ConvergenceWarning,
            stacklevel=caller_stacklevel(),
        )
    return TrainingResult(loss_curve, n_done, stop_reason, n_bad)


class _Plateau:
    """Tells when the mean loss of a window stopped falling."""

    WINDOW = 100

    def __init__(self, options, losses):
        self.options, self.losses = options, losses
        self.best, self.best_at = math.inf, 0

    def replay(self, n_done):
        """Go through the losses of a resumed run; return True if they end on a plateau."""
        reached = [self.reached(done) for done in range(self.WINDOW, n_done + 1, self.WINDOW)]
        return any(reached)

    def reached(self, n_done):
        if not self.options.tol or n_done % self.WINDOW:
            return False
        mean = self.losses[n_done - self.WINDOW : n_done].nanmean().item()
        if mean < self.best * (1 - self.options.tol):
            self.best, self.best_at = mean, n_done
        return n_done - self.best_at >= self.options.n_iter_no_change


class _Checkpoint:
    """State of a run in a folder, written to a temporary file and renamed: there is never half a
    checkpoint.
    """

    def __init__(self, options, fingerprint, module, optimizer, generator):
        self.path = pathlib.Path(options.checkpoint_dir) / "training.pt"
        self.fingerprint = (
            f"{fingerprint}|{options._replace(checkpoint_dir=None, checkpoint_every=0)}"
        )
        self.module, self.optimizer, self.generator = module, optimizer, generator

    def save(self, n_done, losses):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        state = {
            "format": CHECKPOINT_FORMAT,
            "fingerprint": self.fingerprint,
            "n_done": n_done,
            "losses": losses[:n_done].cpu(),
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
        }
        handle, temporary = tempfile.mkstemp(dir=self.path.parent, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                torch.save(state, file)
            os.replace(temporary, self.path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise

    def load(self, losses):
        """Restore the run if there is one; return the number of iterations already done."""
        if not self.path.exists():
            return 0
        try:
            # weights_only: tensors and plain containers, never code.
            state = torch.load(self.path, map_location=losses.device, weights_only=True)
            if state["format"] != CHECKPOINT_FORMAT:
                raise CheckpointError(
                    f"{self.path} has checkpoint format {state['format']!r}; this version reads "
                    f"{CHECKPOINT_FORMAT}. Delete the file to start over."
                )
            if state["fingerprint"] != self.fingerprint:
                raise CheckpointError(
                    f"{self.path} belongs to a fit with other data or settings. Give this fit a "
                    f"checkpoint_dir of its own, or delete the file to start over."
                )
            self.module.load_state_dict(state["module"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.generator.set_state(state["generator"].cpu())
            losses[: state["n_done"]] = state["losses"]
        except CheckpointError:
            raise
        except Exception as error:
            # Torch's own message advises to load the file in the way that runs its code.
            raise CheckpointError(
                f"{self.path} could not be read as a checkpoint ({type(error).__name__}): it is "
                f"damaged, or was written by something else. Delete the file to start over."
            ) from error
        return state["n_done"]


def verbose_progress(name, every=10):
    """Return a ``progress`` function that prints one line about every tenth of a run."""
    began = time.monotonic()
    seen = 0

    def progress(n_done, max_iter, loss):
        nonlocal seen
        if n_done * every // max_iter > seen or n_done == max_iter:
            seen = n_done * every // max_iter
            seconds = time.monotonic() - began
            line = f"[{name}] iteration {n_done}/{max_iter}  loss {loss:.4g}  {seconds:.0f} s"
            print(line, flush=True)  # noqa: T201

    return progress
