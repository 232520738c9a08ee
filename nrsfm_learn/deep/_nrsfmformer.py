"""NRSfMFormer, a transformer for keypoint sequences."""

import functools
import hashlib
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions

from .._torch import to_numpy, to_tensor
from .._windows import average_windows, cut_windows, spanning_step
from ..base import NRSfMTags
from ..geometry import nearest_rotation
from ..priors import DiffusionPosePrior
from ._base import BaseDeepNRSfM
from ._factorization import CAMERAS
from ._frames import image_gain, normalize_frames
from ._motion_objective import MotionObjective
from ._place import place
from ._presets import PRESETS, former_preset
from .nn import MotionNetwork

# Windows that go through the network at once in transform.
_CHUNK_WINDOWS = 64


class NRSfMFormer(BaseDeepNRSfM):
    r"""NRSfMFormer: a transformer reads the motion in windows of a clip.

    Tokens of all keypoints of all frames of a window attend to each other, by turns within frames
    and over time. From what comes out, linear heads read a reference shape of the window, each
    frame's deformation of it and each frame's camera, :math:`S_i = \bar S + \delta_i`:

    .. math::
        \min_\theta \; \frac1F \sum_i \beta_1 \| \Pi R_i S_i - W_i \|_F^2
        + \beta_2 \| S_i - S_i^* \|_F
        + \beta_3 \, \mathcal L_{prior}(R_i S_i, W_i)
        + \lambda_S \| S_i - S_{i-1} \|_F^2 + \lambda_R \| R_i - R_{i-1} \|_F^2
        + \kappa \| \tilde S \|_* + \gamma \, \mathcal L_{rigid} + \delta \, \mathcal L_{cycle}

    (eq. 8 to 12 of [1]_), with :math:`S_i^*` the shape turned to lie as :math:`\bar S` does. The
    last three terms are not in the paper: the nuclear norm of the aligned shapes of a window, which
    is :class:`PRN`'s (:func:`nrsfm_learn.geometry.aligned_nuclear_norm`), the local rigidity
    (:func:`nrsfm_learn.losses.local_rigidity_loss`), and a cycle, which turns the predicted motion
    of a window at random as a whole, projects it and lifts it again. Without them the flat shape
    has no loss, unless a prior tells the depth.

    Frames must be in order, and ``groups`` tells the clips apart, to ``fit`` and to ``transform``.

    Parameters
    ----------
    window : int, default=27
        Frames that are seen together. Shorter clips are filled up, and what fills them is masked.
    frame_step : int or "auto", default="auto"
        Frames from one frame of a window to the next. A window has to see the object turn. The
        publication has consecutive frames, 1; "auto" lets a window span the clip of median length,
        with steps of no more than 8.
    n_overlaps : int, default=3
        Windows that most frames are in, in ``transform``; what they say is averaged. Windows begin
        every ``window * frame_step / n_overlaps`` frames. Training draws windows that begin
        anywhere.
    width : int, default=None
        Features :math:`D` of a token.
    n_blocks : int, default=None
        Pairs of spatial and temporal attention.
    n_heads : int, default=None
        Heads of each attention; they divide ``width``.
    camera : {"orthographic", "weak_perspective"}, default="orthographic"
        Orthographic has one scale for the data set, weak perspective one for each frame.
    reference : bool, default=True
        Whether shapes are deformations of a reference shape of the window. Without, there is no
        alignment either.
    reprojection_weight : float, default=1.0
        :math:`\beta_1`.
    alignment_weight : float, default=0.01
        :math:`\beta_2`.
    shape_smoothness : float, default=0.01
        :math:`\lambda_S`, the paper's :math:`\beta_4 \lambda_S`.
    rotation_smoothness : float, default=0.0
        :math:`\lambda_R`, the paper's :math:`\beta_4 \lambda_R`.
    rank_weight : float or "auto", default="auto"
        :math:`\kappa`; the paper has 0, "auto" 0.1 but in the paper preset.
    rigidity_weight : float, default=0.0
        :math:`\gamma`; the paper has 0.
    cycle_weight : float, default=0.0
        :math:`\delta`; the paper has 0.
    prior : DiffusionPosePrior, default=None
        Fitted prior. **The fit is no longer unsupervised then**: the prior was trained on 3-D.
        Report results with and without. It is used in training only, and files do not hold it.
    prior_weight : float, default=1.0
        :math:`\beta_3`.
    hide_fraction : float or "auto", default="auto"
        Fraction of the visible keypoints that the network is not shown in training. "auto" is 0.2
        where anything is missing, else 0.
    keep_observed : bool, default=True
        Whether the visible keypoints of a reconstruction are those of ``W``; else they are the
        reprojection.
    scale_method : {"box_max", "box_min", "spread"}, default="spread"
        What tells the scale of a frame under weak perspective.
    n_init : int or "auto", default="auto"
        Starts that the fit begins with; "auto" is 1.
    halving_factor : int, default=2
        What the number of starts is divided by at each rung.
    rung_iter : int or "auto", default="auto"
        Iterations of a rung; "auto" is a sixteenth of ``max_iter``.
    start_criterion : {"auto", "neighbor_distance", "loss"}, default="auto"
        What starts are ranked by: "auto" is the product of loss and variation of neighbour
        distances.
    preset : {"auto", "quick", "paper"}, default="auto"
        What fills the settings that are None: ending within minutes on two cores, for a first look,
        or the published sizes (a day on a GPU).
    max_iter, batch_size : int, default=None
        Optimiser steps, and windows drawn for each.
    learning_rate : float, default=None
        Peak step size of Adam.
    schedule : {"cosine", "step", "constant"}, default=None
        Decay of the learning rate; "step" is x0.95 every 50,000 iterations, in the paper preset
        x0.99 every epoch.
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
        Seed of parameters, batches and views.
    verbose : bool or int, default=False
        Print the loss about ten times.

    Attributes
    ----------
    reconstruction_ : ndarray of shape (n_frames, n_points, 3)
        The fitted frames in the camera frame, units of ``W``.
    shapes_ : ndarray of shape (n_frames, n_points, 3)
        Centred shapes in the canonical frame.
    rotations_ : ndarray of shape (n_frames, 3, 3)
        ``x_cam = R x``; of overlapping windows, the rotation nearest to the mean.
    translations_ : ndarray of shape (n_frames, 3)
        The object's centre in the camera frame; its depth is 0.
    scales_ : ndarray of shape (n_frames,)
        Image units per unit of ``shapes_``: 1 but under weak perspective.
    frame_step_ : int
        Frames from one frame of a window to the next.
    unsupervised_ : bool
        False if training had a prior that was fitted to 3-D.
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
    nrsfm_learn.priors.DiffusionPosePrior : What ``prior`` takes.
    PAUL : For single frames.

    Notes
    -----
    The result is known up to one scale for the data set and up to the sign of z of each clip.
    Frames that cannot be lifted are left out before windows are cut: what lies on both sides of
    them is taken for consecutive.

    References
    ----------
    .. [1] H. Ji, H. Deng, Y. Dai, H. Li, "Unsupervised 3D pose estimation with non-rigid
       structure-from-motion modeling", WACV 2024.

    Examples
    --------
    >>> from nrsfm_learn import NRSfMFormer
    >>> from nrsfm_learn.datasets import make_low_rank
    >>> data = make_low_rank(n_frames=60, n_points=12, rank=2, random_state=0)
    >>> model = NRSfMFormer(width=16, max_iter=5, random_state=0).fit(data.W, groups=data.groups)
    >>> model.transform(data.W, groups=data.groups).shape
    (60, 12, 3)
    """

    _parameter_constraints = {  # noqa: RUF012
        **BaseDeepNRSfM._parameter_constraints,
        "window": [Interval(Integral, 2, None, closed="left")],
        "frame_step": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "n_overlaps": [Interval(Integral, 1, None, closed="left")],
        "width": [Interval(Integral, 1, None, closed="left"), None],
        "n_blocks": [Interval(Integral, 1, None, closed="left"), None],
        "n_heads": [Interval(Integral, 1, None, closed="left"), None],
        "camera": [StrOptions(set(CAMERAS))],
        "reference": ["boolean"],
        "reprojection_weight": [Interval(Real, 0, None, closed="left")],
        "alignment_weight": [Interval(Real, 0, None, closed="left")],
        "shape_smoothness": [Interval(Real, 0, None, closed="left")],
        "rotation_smoothness": [Interval(Real, 0, None, closed="left")],
        "rank_weight": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "rigidity_weight": [Interval(Real, 0, None, closed="left")],
        "cycle_weight": [Interval(Real, 0, None, closed="left")],
        "prior": [DiffusionPosePrior, None],
        "prior_weight": [Interval(Real, 0, None, closed="left")],
        "hide_fraction": [Interval(Real, 0, 1, closed="left"), StrOptions({"auto"})],
        "keep_observed": ["boolean"],
        "scale_method": [StrOptions({"box_max", "box_min", "spread"})],
        "start_criterion": [StrOptions({"auto", "neighbor_distance", "loss"})],
        "preset": [StrOptions(set(PRESETS))],
    }
    # Views turn whole clips: single frames turned one by one are no motion.
    _lifts_views_fast = False
    # Frames depend on each other; windows are lifted in chunks instead.
    _chunk_frames = None

    def __init__(
        self,
        window=27,
        *,
        frame_step="auto",
        n_overlaps=3,
        width=None,
        n_blocks=None,
        n_heads=None,
        camera="orthographic",
        reference=True,
        reprojection_weight=1.0,
        alignment_weight=0.01,
        shape_smoothness=0.01,
        rotation_smoothness=0.0,
        rank_weight="auto",
        rigidity_weight=0.0,
        cycle_weight=0.0,
        prior=None,
        prior_weight=1.0,
        hide_fraction="auto",
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
        self.window = window
        self.frame_step = frame_step
        self.n_overlaps = n_overlaps
        self.width = width
        self.n_blocks = n_blocks
        self.n_heads = n_heads
        self.camera = camera
        self.reference = reference
        self.reprojection_weight = reprojection_weight
        self.alignment_weight = alignment_weight
        self.shape_smoothness = shape_smoothness
        self.rotation_smoothness = rotation_smoothness
        self.rank_weight = rank_weight
        self.rigidity_weight = rigidity_weight
        self.cycle_weight = cycle_weight
        self.prior = prior
        self.prior_weight = prior_weight
        self.hide_fraction = hide_fraction
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
        return NRSfMTags(temporal=True, contextual=True)

    def __sklearn_clone__(self):
        copy = super().__sklearn_clone__()
        # A clone of the prior would have forgotten what it was fitted to.
        copy.prior = self.prior
        return copy

    def save(self, path, *, card=None):
        """Write the fitted estimator to one file, without its prior: lifting needs none.

        Parameters
        ----------
        path : path-like
            File to write.
        card : dict, default=None
            As of the other estimators' ``save``; ``unsupervised_`` is written in any case.
        """
        if self.prior is None:
            super().save(path, card=card)
            return
        copy = object.__new__(type(self))
        vars(copy).update(vars(self), prior=None)
        copy.save(path, card=card)

    # -- fitting
    # -------------------------------------------------------------------------------------

    def _fit(self, observations):
        self._check_settings()
        self.frame_step_ = self.frame_step
        if self.frame_step == "auto":
            self.frame_step_ = spanning_step(
                len(observations.W), observations.groups, window=self.window
            )
        windows = self._windows(observations, self.frame_step_)
        preset = former_preset(self.preset, len(windows.index))
        for name in ("width", "n_blocks", "n_heads"):
            default, given = preset.pop(name), getattr(self, name)
            setattr(self, f"{name}_", default if given is None else given)
        if self.n_heads is None:
            self.n_heads_ = int(np.gcd(self.n_heads_, self.width_))
        elif self.width_ % self.n_heads_:
            raise ValueError(
                f"n_heads={self.n_heads_} does not divide width={self.width_}: each head has an "
                f"equal part of the features."
            )
        rank_weight = preset.pop("rank_weight")
        if self.rank_weight != "auto":
            rank_weight = self.rank_weight
        hide_fraction = self.hide_fraction
        if hide_fraction == "auto":
            hide_fraction = 0.0 if observations.visible.all() else 0.2
        device, generator = self._start()
        gain, self.gain_constant_ = image_gain(observations, self.camera, self.scale_method)
        self.gain_reference_ = float(np.median(gain))
        frames, _ = normalize_frames(observations, self.camera, gain, device)
        warm = self._start_module(device)
        options = self._options(**preset)
        objective_of = functools.partial(
            MotionObjective,
            frames=frames,
            windows=to_tensor(windows.index, device),
            present=to_tensor(windows.valid.astype(np.float32), device),
            generator=generator,
            reprojection_weight=self.reprojection_weight,
            alignment_weight=self.alignment_weight,
            shape_smoothness=self.shape_smoothness,
            rotation_smoothness=self.rotation_smoothness,
            rank_weight=rank_weight,
            rigidity_weight=self.rigidity_weight,
            cycle_weight=self.cycle_weight,
            rigidity_start=options.max_iter // 4,
            cycle_start=options.max_iter // 4,
            hide_fraction=hide_fraction,
            prior=self.prior,
            prior_weight=self.prior_weight,
        )
        starts = self._starts(
            self.module_, objective_of, self._n_starts(1, options.max_iter, warm=warm), device
        )
        result = self._train(
            starts,
            len(windows.index),
            options,
            generator=generator,
            observations=observations,
        )
        self._keep_starts(starts, result)
        self.unsupervised_ = self.prior is None or not self.prior_weight
        self.loss_curve_ = result.loss_curve.numpy()
        self.n_iter_ = result.n_iter
        self.stop_reason_ = result.stop_reason

    def _check_settings(self):
        if self.prior is None:
            return
        if not hasattr(self.prior, "module_"):
            raise ValueError("prior is not fitted: pass DiffusionPosePrior(...).fit(X).")
        if self.prior.n_points_in_ != self.n_points_in_:
            raise ValueError(
                f"prior knows shapes of {self.prior.n_points_in_} points, and W has "
                f"{self.n_points_in_}: fit it to the same points in the same order."
            )

    def _windows(self, observations, stride):
        return cut_windows(
            len(observations.W),
            observations.groups,
            window=self.window,
            step=self.frame_step_,
            stride=stride,
        )

    def _fingerprint(self, module, run):
        fingerprint = super()._fingerprint(module, run)
        if self.prior is None:
            return fingerprint
        # What is printed of a prior tells nothing of what it was fitted to.
        prior = hashlib.sha256()
        for parameter in self.prior.module_.parameters():
            prior.update(parameter.detach().cpu().numpy().tobytes())
        return f"{fingerprint}|{prior.hexdigest()}"

    def _comparison_frames(self, n_frames, observations):
        """Return frames, whole windows of them, that starts are compared on."""
        windows = self._windows(observations, self.window * self.frame_step_)
        n_windows = max(1, n_frames // self.window)
        chosen = np.unique(np.linspace(0, len(windows.index) - 1, n_windows).astype(int))
        return np.unique(windows.index[chosen])

    def _build_module(self, seed=0):
        return MotionNetwork(
            self.n_points_in_,
            self.window,
            width=self.width_,
            n_blocks=self.n_blocks_,
            n_heads=self.n_heads_,
            reference=self.reference,
            generator=torch.Generator().manual_seed(seed),
        )

    # -- lifting
    # ------------------------------------------------------------------------------------

    @torch.no_grad()
    def _lift(self, observations):
        gain, _ = image_gain(observations, self.camera, self.scale_method, self.gain_constant_)
        module = self.module_.eval()
        device = next(module.parameters()).device
        frames, centers = normalize_frames(observations, self.camera, gain, device)
        span = self.window * self.frame_step_
        windows = self._windows(observations, max(1, span // self.n_overlaps))
        found = []
        for start in range(0, len(windows.index), _CHUNK_WINDOWS):
            chunk = slice(start, start + _CHUNK_WINDOWS)
            index = to_tensor(windows.index[chunk], device)
            shapes, rotations, _ = module(
                frames.points[index],
                frames.visible[index],
                to_tensor(windows.valid[chunk], device),
            )
            found.append((to_numpy(shapes @ rotations.mT), to_numpy(rotations)))
        X, R = (np.concatenate(part).astype(float) for part in zip(*found, strict=True))
        X, R = average_windows(X, windows), average_windows(R, windows)
        R = nearest_rotation(torch.as_tensor(R)).numpy()
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
