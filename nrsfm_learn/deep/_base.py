"""What the deep estimators share: training parameters, devices, and the road to the one loop."""

import hashlib
import json
import warnings
from numbers import Integral, Real
from os import PathLike
from typing import ClassVar

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from .._starts import Ladder, Start
from .._torch import draw_seed, make_generator, resolve_device
from .._training import TrainingOptions, train_starts, verbose_progress
from .._unit_plane import on_unit_plane
from ..base import BaseNRSfM, TooPoorWarning
from ..geometry import project_perspective
from ..model_selection import neighbor_distance_variation
from ._confidence import error_quantile, object_size, probability_right, spread_of
from ._criteria import CRITERIA, start_criteria
from ._temporal import WindowedObjective, training_windows

# Fewest iterations that several starts are worth: below, none is told from another.
_MIN_ITER = 1000
# A rung is this part of max_iter, if rung_iter is "auto".
_RUNG_PART = 16


class BaseDeepNRSfM(BaseNRSfM):
    """Base class of the methods that train a torch module; see :class:`nrsfm_learn.base.BaseNRSfM`.

    A method gives ``_build_module`` and an objective to :meth:`_train`, and has ``n_init``,
    ``halving_factor``, ``rung_iter``, ``start_criterion``, ``max_iter``, ``batch_size``,
    ``learning_rate``, ``schedule``, ``tol``, ``n_iter_no_change``, ``warm_start``,
    ``checkpoint_dir``, ``checkpoint_every``, ``device``, ``random_state`` and ``verbose`` among its
    parameters. After fit it has ``module_``, ``inits_``, ``runners_up_``, ``confidence_``,
    ``length_variation_``, ``loss_curve_``, ``n_iter_`` and ``stop_reason_``.
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_init": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "halving_factor": [Interval(Integral, 2, None, closed="left")],
        "rung_iter": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "start_criterion": [StrOptions(set(CRITERIA))],
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

    # Whether the starts of a rung train with stacked parameters: where that is the faster way.
    _trains_together = False
    # Whether new views are lifted by a network, and not by a search: starts can then be ranked by
    # their cycle error at every rung.
    _lifts_views_fast = True
    # Frames that go through the network at once in transform: bounds its memory.
    _chunk_frames = 8192

    def _n_training_runs(self):
        return 1

    def predict_spread(self, W, mask=None, *, quantile=None, **side_inputs):
        r"""Predict how far each point of a reconstruction may be off, without 3-D.

        The frames are lifted by the best start and by those of ``runners_up_``, and compared after
        alignment (the sign of depth of each frame under parallel cameras, its scale under
        perspective):

        .. math:: \sigma_{fp} = \Bigl( \frac1M \sum_m
                  \| x^{(m)}_{fp} - x_{fp} \|^2 \Bigr)^{1/2}

        Parameters
        ----------
        W, mask, **side_inputs
            As in :meth:`transform`.
        quantile : float, default=None
            With a number between 0 and 1, the error that this part of such points stays below is
            returned instead. It follows from the spread and from ``length_variation_`` by a rule
            that was measured on generated data.

        Returns
        -------
        ndarray of shape (n_frames, n_points)
            In units of ``W``; NaN in frames that cannot be lifted.

        Raises
        ------
        ValueError
            If the fit had one start only, or ``quantile`` is not between 0 and 1.

        Notes
        -----
        What all starts have wrong alike, such as the sign of depth, no spread shows. See the user
        guide for how nominal and actual quantiles compare on real data.
        """
        check_is_fitted(self)
        if quantile is not None and not 0 < quantile < 1:
            raise ValueError(f"quantile must lie between 0 and 1; got {quantile}.")
        if not len(self.runners_up_):
            raise ValueError(
                f"predict_spread compares starts, and this fit had one: set n_init to 2 or more "
                f"(now {self.n_init!r}) and fit again."
            )
        X = self.transform(W, mask, **side_inputs)
        others = []
        for module in self.runners_up_:
            probe = self._with_module(module)
            with warnings.catch_warnings():
                # Of frames that cannot be lifted one warning is enough.
                warnings.simplefilter("ignore", TooPoorWarning)
                others.append(probe.transform(W, mask, **side_inputs))
        spread = spread_of(X, others, perspective=self._nrsfm_tags().perspective)
        if quantile is None:
            return spread
        return error_quantile(spread, object_size(X), self.length_variation_, quantile)

    def _with_module(self, module):
        """Return a stand-in for this estimator, which counts as fitted, with another network."""
        probe = object.__new__(type(self))
        vars(probe).update(vars(self), module_=module, reconstruction_=None)
        return probe

    def _project(self, X, intrinsics):
        if not self._nrsfm_tags().perspective:
            return super()._project(X, intrinsics)
        if intrinsics is not None:
            intrinsics = torch.as_tensor(intrinsics)
        return project_perspective(torch.as_tensor(X.astype(float)), intrinsics).numpy()

    def _unit_observations(self, observations):
        """Return the observations as the camera has them: on the unit plane under perspective."""
        return on_unit_plane(observations) if self._nrsfm_tags().perspective else observations

    def _fit_checked(self, W, mask, **side):
        super()._fit_checked(W, mask, **side)
        shapes = self.shapes_[np.isfinite(self.shapes_).any((1, 2))]
        self.length_variation_ = neighbor_distance_variation(shapes)
        if len(self.runners_up_):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", TooPoorWarning)
                spread = self.predict_spread(W, mask, **side)
            size = object_size(self.reconstruction_)
            self.confidence_ = probability_right(spread, size, self.length_variation_)
        elif hasattr(self, "confidence_"):
            del self.confidence_

    def _start(self):
        """Resolve device and seed; return (device, generator)."""
        device = resolve_device(self.device)
        self._seed = draw_seed(self.random_state)
        return device, make_generator(self._seed, device)

    def _start_module(self, device):
        """Build the network; with ``warm_start`` give it the parameters of the last fit, and return
        whether there were any.
        """
        present = getattr(self, "module_", None) if self.warm_start else None
        self.module_ = self._build_module(self._seed).to(device)
        if present is None:
            return False
        try:
            self.module_.load_state_dict(present.state_dict())
        except RuntimeError as error:
            self.module_ = present
            raise ValueError(
                "warm_start=True goes on from the network of the last fit, which has other points, "
                f"sizes or settings than this one ({error}). Fit the same points with the same "
                "settings, or set warm_start=False."
            ) from error
        return True

    def _starts(self, first, objective_of, n_init, device):
        """Return the starts of a fit: the module that is there, and others like it.

        Parameters
        ----------
        first : torch.nn.Module
            Drawn with the seed of the fit, or of a warm start, which has no others beside it.
        objective_of : callable
            ``objective_of(module) -> objective``.
        n_init : int
            How many.
        device : torch.device
            Where the others go.

        Returns
        -------
        list of Start
        """
        seeds = np.random.RandomState(self._seed).randint(np.iinfo(np.int32).max, size=n_init - 1)
        starts = [Start(first, objective_of(first), self._seed)]
        for seed in seeds.tolist():
            module = self._build_module(seed).to(device)
            starts.append(Start(module, objective_of(module), seed))
        return starts

    def _in_windows(self, objective_of, observations, options):
        """Let training draw windows of consecutive frames where something looks at time.

        Return ``objective_of`` for them, how many there are to draw from, and options whose batches
        are windows; or what was given, and the number of frames.
        """
        n_frames = len(observations.W)
        if not self.temporal_weight:
            return objective_of, n_frames, options
        windows, batch_size = training_windows(
            observations,
            min(options.batch_size, n_frames),
            name=type(self).__name__,
            temporal_weight=self.temporal_weight,
        )

        def windowed(module):
            device = next(module.parameters()).device
            return WindowedObjective(objective_of(module), windows, device)

        return windowed, len(windows.index), options._replace(batch_size=batch_size)

    def _n_starts(self, auto, max_iter, *, warm=False):
        """Return the number of starts: ``n_init``, or what suits a run of this length."""
        if warm:
            return 1
        if self.n_init == "auto":
            return auto if max_iter >= _MIN_ITER else 1
        return self.n_init

    def _train(self, starts, n_frames, options, *, generator, observations, run="training"):
        """Train with the one loop; set what it found, and return its result.

        Parameters
        ----------
        starts : list of Start
            The starts.
        n_frames : int
            Frames to draw from.
        options : TrainingOptions
            How to train.
        generator : torch.Generator
            Draws batches and views.
        observations : Observations
            What the starts are compared on.
        run : str
            Name of this run among those of the fit: of its progress bar and checkpoint folder.

        Returns
        -------
        TrainingResult
        """
        print_line = verbose_progress(type(self).__name__) if self.verbose else None
        task = self._callback_root.subcontext(task_name=run, max_subtasks=None)
        task.call_on_fit_task_begin(estimator=self)

        def progress(n_done, max_iter, loss, stage=""):
            if print_line is not None:
                print_line(n_done, max_iter, loss, stage)
            label = f"{stage}, best loss {loss:.3g}" if stage else "iterations"
            return _report(self, task, label)

        def rank(numbers, losses):
            return [
                start_criteria(self, starts[n].module, observations, loss)
                for n, loss in zip(numbers, losses, strict=True)
            ]

        rung_iter = self.rung_iter
        if rung_iter == "auto":
            rung_iter = max(1, options.max_iter // _RUNG_PART)
        ladder = Ladder.climb(len(starts), self.halving_factor, rung_iter, options.max_iter)
        try:
            result = train_starts(
                starts,
                n_frames,
                options,
                generator=generator,
                ladder=ladder,
                rank=rank,
                together=self._trains_together,
                progress=progress,
                fingerprint=self._fingerprint(starts[0].module, run),
            )
        finally:
            task.call_on_fit_task_end(estimator=self)
        self.module_ = starts[result.chosen].module
        return result

    def _comparison_frames(self, n_frames, observations):
        """Return some ``n_frames`` frames, spread over the data, that starts are compared on."""
        return np.unique(np.linspace(0, len(observations.W) - 1, n_frames).astype(int))

    def _keep_starts(self, starts, result):
        """Set ``inits_`` and ``runners_up_``."""
        self.inits_ = list(result.inits)
        self.runners_up_ = torch.nn.ModuleList(starts[n].module for n in result.runners_up)

    def _options(self, *, run="training", **defaults):
        """Return the options of a run: the parameters given, ``defaults`` where they are None."""
        given = {
            name: getattr(self, name)
            for name in ("max_iter", "batch_size", "learning_rate", "schedule", "optimizer")
            if getattr(self, name, None) is not None
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


def _report(estimator, task, label):
    context = task.subcontext(task_name=label)
    context.call_on_fit_task_begin(estimator=estimator)
    return context.call_on_fit_task_end(estimator=estimator)
