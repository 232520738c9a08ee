"""Procrustean regression networks."""

import functools
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions

from .._torch import to_numpy
from .._windows import cut_windows, spanning_step
from ..base import NRSfMTags
from ..geometry import generalized_procrustes, nearest_rotation
from ._base import BaseDeepNRSfM
from ._frames import image_gain, normalize_frames
from ._place import place
from ._presets import PRESETS, prn_preset
from ._prn_objective import AlignedWindowsObjective
from .nn import ProcrusteanNetwork

# Frames whose mean orients the canonical shapes, spread over the data.
_N_REFERENCE = 512
# Of frame_step="auto".
_LONGEST_STEP = 4


class PRN(BaseDeepNRSfM):
    r"""Procrustean regression network (PRN): shapes of a clip are simple once they are aligned.

    A network lifts each frame by itself to points of the camera frame. It is trained on windows of
    frames of one clip, whose shapes, turned to each other, shall have a low rank:

    .. math::
        \min_\theta \frac1F \sum_w \Bigl( \tfrac12 \sum_{f \in w} \sum_p m_{fp}
        \| \Pi x_{fp} + t_f - u_{fp} \|^2 + \lambda \| \tilde X_w \|_* \Bigr),
        \qquad x_f = h_\theta(u_f), \quad \tilde X_{wf} = R_f X_f T

    with the rotations that solve generalised Procrustes analysis for the present shapes of a
    window: no camera is estimated, and the exact gradient of the nuclear norm flows through the
    alignment (supplement of [1]_, eq. 13 to 19; :func:`nrsfm_learn.geometry.aligned_nuclear_norm`).

    Parameters
    ----------
    width : int, default=None
        Units of the hidden layers: 256, and 1024 in the paper preset.
    window : int, default=32
        Frames that are aligned together; 32 as published.
    frame_step : int or "auto", default="auto"
        Frames from one frame of a window to the next. A window has to see the object turn: the
        nuclear norm prefers flat shapes where the camera hardly moves. The publication has
        consecutive frames, 1; "auto" lets a window span the clip of median length, with steps of
        no more than 4.
    regularization : float, default=0.05
        :math:`\lambda`, for keypoints that are scaled to a mean spread of 1.
    camera : {"orthographic", "weak_perspective"}, default="orthographic"
        Orthographic has one scale for the data set, weak perspective one for each frame.
    hide_fraction : float or "auto", default="auto"
        Fraction of the visible keypoints that the network is not shown in training, while the loss
        counts them all. "auto" is 0.2 where anything is missing, else 0.
    freeze_fraction : float, default=0.8
        Part of the iterations, the last ones, in which batch normalisation keeps its statistics.
        Frames of few clips resemble each other, and their statistics vary from batch to batch. The
        published code has 2/7.
    keep_observed : bool, default=True
        Whether the visible keypoints of a reconstruction are those of ``W``; else they are the
        network's, which takes out noise.
    scale_method : {"box_max", "box_min", "spread"}, default="spread"
        What tells the scale of a frame under weak perspective: the longer or shorter edge of the
        bounding box, or the spread of the visible keypoints.
    n_init : int or "auto", default="auto"
        Starts that the fit begins with. At each rung the worse ones are dropped, and the run of the
        best one is the run that it would have had alone. "auto" is 1.
    halving_factor : int, default=2
        What the number of starts is divided by at each rung.
    rung_iter : int or "auto", default="auto"
        Iterations of a rung; "auto" is a sixteenth of ``max_iter``.
    start_criterion : str, default="auto"
        What starts are ranked by: "neighbor_distance", "cycle", "hidden_keypoints", "loss"; or
        "auto", the product of loss, variation of neighbour distances and cycle error.
    preset : {"auto", "quick", "paper"}, default="auto"
        What fills the settings that are None: ending within minutes on two cores, for a first look,
        or the published sizes (a day on a CPU).
    max_iter : int, default=None
        Optimiser steps.
    batch_size : int, default=None
        Windows drawn for each.
    learning_rate : float, default=None
        Peak step size of Adam.
    schedule : {"cosine", "step", "constant"}, default=None
        Decay of the learning rate; "step" is x0.95 every 50,000 iterations, in the paper preset
        x0.8 every 5,000.
    tol : float, default=0.0
        Stop once the mean loss of 100 iterations has not fallen by this fraction for
        ``n_iter_no_change`` iterations; 0 trains to the end.
    n_iter_no_change : int, default=1000
        See ``tol``.
    warm_start : bool, default=False
        Start ``fit`` from the present parameters.
    checkpoint_dir : str, default=None
        Folder for checkpoints. An unfinished fit of the same data and settings that is found there
        is taken up again and ends with the same result.
    checkpoint_every : int, default=500
        Iterations between checkpoints.
    device : {"auto", "cpu", "cuda"} or torch.device, default="auto"
        Where to compute.
    random_state : int, RandomState or None, default=None
        Seed of parameters, batches and what is hidden.
    verbose : bool or int, default=False
        Print the loss about ten times.

    Attributes
    ----------
    reconstruction_ : ndarray of shape (n_frames, n_points, 3)
        The fitted frames in the camera frame, units of ``W``; as ``transform`` would return them.
    shapes_ : ndarray of shape (n_frames, n_points, 3)
        Centred shapes, each turned to the mean of all aligned shapes.
    rotations_ : ndarray of shape (n_frames, 3, 3)
        ``x_cam = R x``.
    translations_ : ndarray of shape (n_frames, 3)
        The object's centre in the camera frame; its depth is 0.
    scales_ : ndarray of shape (n_frames,)
        Image units per unit of ``shapes_``: 1 but under weak perspective.
    frame_step_ : int
        Frames from one frame of a window to the next.
    inits_ : list of dict
        For each start its ``seed``, the last ``rung`` that it reached, and there ``n_iter``,
        ``loss`` and criteria; ``chosen`` is True for one.
    runners_up_ : torch.nn.ModuleList
        Networks of the starts dropped last, best first.
    confidence_ : ndarray of shape (n_frames, n_points)
        Probability that a point is within 5% of the object's size of the truth; only with several
        starts. See :meth:`predict_spread`.
    length_variation_ : float
        Relative variation over frames of the distance between each point and its steadiest
        neighbour, the mean over points.
    loss_curve_ : ndarray of shape (n_iterations,)
        Objective of the chosen start at each iteration.
    n_iter_ : int
        Iterations done.
    stop_reason_ : {"max_iter", "plateau", "interrupted", "callback", "deadline"}
        Why training ended.
    module_ : torch.nn.Module
        The network.
    n_points_in_ : int
        Keypoints of a frame.

    Raises
    ------
    ValueError
        If an argument is malformed.
    TrainingError
        If the gradient stays not finite.

    See Also
    --------
    nrsfm_learn.classical.ProcrusteanRegression : The same cost without a network, for the frames of
        one fit.
    PAUL : Another lifter with a Procrustean loss; frames in any order.

    Notes
    -----
    ``groups`` say which frames are aligned together: those with the same label, in order of
    appearance; without them all frames are one clip. Clips that are shorter than what a window
    spans give smaller windows. Unseen frames are lifted one by one, and ``transform`` needs no
    ``groups``. The result is known up to one scale for the data set and up to the sign of z, which
    may differ between clips: see :func:`nrsfm_learn.flips.consistent_flips`.

    References
    ----------
    .. [1] S. Park, M. Lee, N. Kwak, "Procrustean regression networks: learning 3D structure of
       non-rigid objects from 2D annotations", ECCV 2020.

    Examples
    --------
    >>> from nrsfm_learn import PRN
    >>> from nrsfm_learn.datasets import make_low_rank
    >>> data = make_low_rank(n_frames=60, n_points=12, rank=2, views="smooth", random_state=0)
    >>> model = PRN(width=16, max_iter=20, random_state=0).fit(data.W, groups=data.groups)
    >>> model.transform(data.W).shape
    (60, 12, 3)
    """

    _parameter_constraints = {  # noqa: RUF012
        **BaseDeepNRSfM._parameter_constraints,
        "width": [Interval(Integral, 1, None, closed="left"), None],
        "window": [Interval(Integral, 2, None, closed="left")],
        "frame_step": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "regularization": [Interval(Real, 0, None, closed="left")],
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
        frame_step="auto",
        regularization=0.05,
        camera="orthographic",
        hide_fraction="auto",
        freeze_fraction=0.8,
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
        self.frame_step = frame_step
        self.regularization = regularization
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
        preset = prn_preset(self.preset)
        device, generator = self._start()
        windows = self._windows(observations)
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
            regularization=self.regularization,
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

    def _windows(self, observations):
        """Cut overlapping windows, and set how far apart their frames are."""
        n_frames, groups = len(observations.W), observations.groups
        step = self.frame_step
        if step == "auto":
            step = spanning_step(n_frames, groups, window=self.window, longest=_LONGEST_STEP)
        self.frame_step_ = step
        span = step * self.window
        return cut_windows(
            n_frames, groups, window=self.window, step=step, stride=max(1, span // 4)
        )

    @torch.no_grad()
    def _orient(self, module, frames):
        """Let the mean of aligned shapes define the canonical frame."""
        X = module.eval()(frames.points, frames.visible).double()
        module.reference.copy_(generalized_procrustes(X, tol=1e-6).mean)

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
        X, R = (to_numpy(a).astype(float) for a in (X, R))
        return place(
            X,
            R,
            frames,
            observations,
            centers=centers,
            gain=gain,
            reference=self.gain_reference_,
            keep_observed=self.keep_observed,
        )
