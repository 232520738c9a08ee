"""What the deep estimators share: training parameters, devices, and the road to the one loop."""

import hashlib
import json
from numbers import Integral, Real
from os import PathLike
from typing import ClassVar

from sklearn.utils._param_validation import Interval, StrOptions

from .._torch import draw_seed, make_generator, resolve_device
from .._training import TrainingOptions, train, verbose_progress
from ..base import BaseNRSfM


class BaseDeepNRSfM(BaseNRSfM):
    """Base class of the methods that train a torch module; see :class:`nrsfm_learn.base.BaseNRSfM`.

    A method builds its module, hands an objective to :meth:`_train`, and has ``max_iter``,
    ``batch_size``, ``learning_rate``, ``schedule``, ``tol``, ``n_iter_no_change``, ``warm_start``,
    ``checkpoint_dir``, ``checkpoint_every``, ``device``, ``random_state`` and ``verbose`` among its
    parameters. After fit it has ``module_``, ``loss_curve_``, ``n_iter_`` and ``stop_reason_``.
    """

    _parameter_constraints: ClassVar[dict] = {
        "max_iter": [Interval(Integral, 1, None, closed="left"), None],
        "batch_size": [Interval(Integral, 1, None, closed="left"), None],
        "learning_rate": [Interval(Real, 0, None, closed="neither"), None],
        "schedule": [StrOptions({"cosine", "step", "constant"}), None],
        "tol": [Interval(Real, 0, None, closed="left")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "checkpoint_dir": [str, PathLike, None],
        "checkpoint_every": [Interval(Integral, 1, None, closed="left")],
        "device": "no_validation",
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    # Frames that go through the network at once in transform: bounds its memory.
    _chunk_frames = 8192

    def _n_training_runs(self):
        return 1

    def _start(self):
        """Resolve device and seed; return (device, generator)."""
        device = resolve_device(self.device)
        self._seed = draw_seed(self.random_state)
        return device, make_generator(self._seed, device)

    def _train(self, module, objective, n_frames, options, *, generator, run="training"):
        """Train with the one loop; returns its result and bridges progress to callbacks.

        Parameters
        ----------
        run : str
            Name of this run among those of the fit: of its progress bar and checkpoint folder.
        """
        print_line = verbose_progress(type(self).__name__) if self.verbose else None
        task = self._callback_root.subcontext(task_name=run, max_subtasks=None)
        task.call_on_fit_task_begin(estimator=self)

        def progress(n_done, max_iter, loss):
            if print_line is not None:
                print_line(n_done, max_iter, loss)
            return _report(self, task)

        try:
            return train(
                module,
                objective,
                n_frames,
                options,
                generator=generator,
                progress=progress,
                fingerprint=self._fingerprint(module, run),
            )
        finally:
            task.call_on_fit_task_end(estimator=self)

    def _options(self, *, run="training", **defaults):
        """Return the options of a run: the parameters given, ``defaults`` where they are None."""
        given = {
            name: getattr(self, name)
            for name in ("max_iter", "batch_size", "learning_rate", "schedule")
            if getattr(self, name) is not None
        }
        folder = None if self.checkpoint_dir is None else f"{self.checkpoint_dir}/{run}"
        return TrainingOptions(
            **{**defaults, **given},
            tol=self.tol,
            n_iter_no_change=self.n_iter_no_change,
            checkpoint_dir=folder,
            checkpoint_every=self.checkpoint_every,
        )

    def _fingerprint(self, module, run):
        """Identify data, settings and start of a run, for its checkpoint.

        Where to run and how much to print don't count; the parameters that a warm start begins
        with do, or a second fit would find the first one's checkpoint and train nothing.
        """
        settings = self.get_params(deep=False)
        for name in ("device", "verbose", "checkpoint_dir", "checkpoint_every", "warm_start"):
            settings.pop(name)
        settings["random_state"] = self._seed
        text = json.dumps(
            {**settings, "run": run, "data": self._fit_digest}, default=repr, sort_keys=True
        )
        start = hashlib.sha256(text.encode())
        if self.warm_start:
            for parameter in module.parameters():
                start.update(parameter.detach().cpu().numpy().tobytes())
        return start.hexdigest()


def _report(estimator, task):
    context = task.subcontext(task_name="iterations")
    context.call_on_fit_task_begin(estimator=estimator)
    return context.call_on_fit_task_end(estimator=estimator)
