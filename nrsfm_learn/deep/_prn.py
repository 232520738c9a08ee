"""Procrustean regression networks."""

import functools
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions

from .._torch import to_numpy
from .._windows import cut_windows
from ..base import NRSfMTags, Reconstruction
from ..geometry import generalized_procrustes, nearest_rotation
from ._base import BaseDeepNRSfM
from ._frames import image_gain, normalize_frames
from ._presets import PRESETS, prn_preset
from ._prn_objective import AlignedWindowsObjective
from .nn import ProcrusteanNetwork

# Frames whose mean orients the canonical shapes, spread over the data.
_N_REFERENCE = 512


class PRN(BaseDeepNRSfM):
    _parameter_constraints = {  # noqa: RUF012
        **BaseDeepNRSfM._parameter_constraints,
        "width": [Interval(Integral, 1, None, closed="left"), None],
        "window": [Interval(Integral, 2, None, closed="left")],
        "stride": [Interval(Integral, 1, None, closed="left"), None],
        "regularizer": [StrOptions({"log_det", "nuclear_norm"})],
        "regularization": [Interval(Real, 0, None, closed="left"), None],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "camera": [StrOptions({"orthographic", "weak_perspective"})],
        "hide_fraction": [Interval(Real, 0, 1, closed="left"), StrOptions({"auto"})],
        "freeze_fraction": [Interval(Real, 0, 1, closed="both")],
        "keep_observed": ["boolean"],
        "scale_method": [StrOptions({"box_max", "box_min", "spread"})],
        "preset": [StrOptions(set(PRESETS))],
    }

    def __init__(
        self,
        *,
        width=None,
        window=32,
        stride=None,
        regularizer="log_det",
        regularization=None,
        epsilon=0.01,
        camera="orthographic",
        hide_fraction="auto",
        freeze_fraction=0.3,
        keep_observed=True,
        scale_method="spread",
        n_init="auto",
        halving_factor=2,
        rung_iter="auto",
        start_criterion="auto",
        preset="auto",
        max_iter=None,
        batch_size=None,
        learning_rate=None,
        schedule=None,
        tol=0.0,
        n_iter_no_change=1000,
        warm_start=False,
        checkpoint_dir=None,
        checkpoint_every=500,
        device="auto",
        random_state=None,
        verbose=False,
    ):
        self.width = width
        self.window = window
        self.stride = stride
        self.regularizer = regularizer
        self.regularization = regularization
        self.epsilon = epsilon
        self.camera = camera
        self.hide_fraction = hide_fraction
        self.freeze_fraction = freeze_fraction
        self.keep_observed = keep_observed
        self.scale_method = scale_method
        self.n_init = n_init
        self.halving_factor = halving_factor
        self.rung_iter = rung_iter
        self.start_criterion = start_criterion
        self.preset = preset
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.checkpoint_dir = checkpoint_dir
        self.checkpoint_every = checkpoint_every
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def _nrsfm_tags(self):
        return NRSfMTags(temporal=True)

    # -- fitting
    # -------------------------------------------------------------------------------------

    def _fit(self, observations):
        preset = prn_preset(self.preset, len(observations.W))
        device, generator = self._start()
        stride = max(1, self.window // 4) if self.stride is None else self.stride
        windows = cut_windows(
            len(observations.W), observations.groups, window=self.window, stride=stride
        )
        gain, self.gain_constant_ = image_gain(observations, self.camera, self.scale_method)
        self.gain_reference_ = float(np.median(gain))
        self.width_ = preset.pop("width") if self.width is None else self.width
        preset.pop("width", None)
        n_init = preset.pop("n_init")
        frames, _ = normalize_frames(observations, self.camera, gain, device)
        warm = self._start_module(device)
        options = self._options(**preset)
        hide_fraction = self.hide_fraction
        if hide_fraction == "auto":
            hide_fraction = 0.0 if observations.visible.all() else 0.2
        objective_of = functools.partial(
            AlignedWindowsObjective,
            frames=frames,
            windows=windows,
            generator=generator,
            regularizer=self.regularizer,
            regularization=self.regularization,
            epsilon=self.epsilon,
            hide_fraction=hide_fraction,
            freeze_start=round((1 - self.freeze_fraction) * options.max_iter),
        )
        starts = self._starts(
            self.module_, objective_of, self._n_starts(n_init, options.max_iter, warm=warm), device
        )
        result = self._train(
            starts, len(windows.index), options, generator=generator, observations=observations
        )
        self._keep_starts(starts, result)
        index = np.unique(np.linspace(0, len(gain) - 1, _N_REFERENCE).astype(int))
        for module in (self.module_, *self.runners_up_):
            self._orient(module, frames.take(torch.as_tensor(index, device=device)))
        self.loss_curve_ = result.loss_curve.numpy()
        self.n_iter_ = result.n_iter
        self.stop_reason_ = result.stop_reason

    @torch.no_grad()
    def _orient(self, module, frames):
        """Let the mean of aligned shapes define the canonical frame."""
        X = module.eval()(frames.points, frames.visible).double()
        module.reference.copy_(generalized_procrustes(X, tol=1e-6).mean)

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

    def _build_module(self, seed=0):
        return ProcrusteanNetwork(
            self.n_points_in_, self.width_, generator=torch.Generator().manual_seed(seed)
        )

    # -- lifting
    # ------------------------------------------------------------------------------------

    @torch.no_grad()
    def _lift(self, observations):
        gain, _ = image_gain(observations, self.camera, self.scale_method, self.gain_constant_)
        device = next(self.module_.parameters()).device
        frames, centers = normalize_frames(observations, self.camera, gain, device)
        module = self.module_.eval()
        X = module(frames.points, frames.visible)
        R = nearest_rotation(X.mT @ module.reference)
        X, R, seen = (to_numpy(a).astype(float) for a in (X, R, frames.points))
        visible = observations.visible[..., None]
        # The best translation takes the visible mean to that of the keypoints, which is zero.
        X[..., :2] -= np.mean(X[..., :2], axis=1, keepdims=True, where=visible)
        if self.keep_observed:
            X[..., :2] = np.where(visible, seen, X[..., :2])
        translations = X.mean(1)
        shapes = (X - translations[:, None]) @ R / self.gain_reference_
        scales = self.gain_reference_ / gain
        translations = translations / gain[:, None]
        translations[:, :2] += centers
        X = scales[:, None, None] * shapes @ R.swapaxes(1, 2) + translations[:, None]
        found = (X, shapes, R, translations, scales)
        dtype = observations.W.dtype
        return Reconstruction(*(a.astype(dtype, copy=False) for a in found))
