"""PAUL, the Procrustean auto-encoder."""

import functools
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.mixture import GaussianMixture
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from .._frame_keys import frame_keys
from .._torch import to_numpy, to_tensor
from ..base import NRSfMTags, Reconstruction
from ..geometry import project_perspective
from ._base import BaseDeepNRSfM
from ._frames import image_gain, normalize_frames, on_unit_plane
from ._free_codes import known_codes
from ._presets import PRESETS, is_sequence, paul_preset
from ._procrustean_objective import ProcrusteanObjective
from ._procrustean_pose import pose
from .nn import ProcrusteanAutoEncoder

CAMERAS = ("orthographic", "weak_perspective", "perspective")


class PAUL(BaseDeepNRSfM):
    r"""Procrustean auto-encoder for unsupervised lifting.

    Shapes that are aligned to a common frame pass through a narrow auto-encoder
    :math:`f_d \circ f_e`. Camera and depth of every frame are the closed-form solution of a lower
    level, through which gradients flow:

    .. math::
        \min_{h, f_d, f_e} \frac1F \sum_f \min_{R_f, z_f}
        \bigl\| f_d(\varphi_f) - R_f^\top [W_f; z_f] \bigr\|_F
        + \bigl\| f_d f_e f_d(\varphi_f) - R_f^\top [W_f; z_f] \bigr\|_F
        + \alpha \| \varphi_f \|^2 + \beta \| \theta_d \|^2 + \gamma\, \mathcal L_{rigid}
        + \delta\, \mathcal L_{cycle}

    with codes :math:`\varphi_f = h(W_f)` or free (eq. 2.7 to 2.12 of [1]_). Two terms are not in
    the paper: the local rigidity (:func:`nrsfm_learn.losses.local_rigidity_loss`), which tells
    apart shapes that fit the image equally well, and the cyclic self-supervision of [2]_, which
    shows the encoder views that the data lack.

    Parameters
    ----------
    n_components : int or "auto", default="auto"
        Length of a code. "auto" is 4 for a sequence (frames that change little from one to the
        next) and 8 for other frames, up to 1,200 of them, and 12 beyond. Too many do little
        harm.
    codes : {"encoder", "free"}, default="encoder"
        Codes from a 2D-3D encoder, or one free variable for each frame.
    encoder : {"mlp", "deep_nrsfm"}, default="mlp"
        The 2D-3D encoder :math:`h`: a residual multilayer perceptron, or the encoder of Deep
        NRSfM++.
    encoder_width : int, default=None
        Units of its layers.
    widths : sequence of int, default=None
        Hidden units of :math:`f_e`, reversed those of :math:`f_d`. By default three layers of 128
        up to 1,200 frames and of 256 beyond; the paper has 256 halving to 16.
    camera : {"orthographic", "weak_perspective", "perspective"}, default="orthographic"
        Orthographic has one scale for the data set, weak perspective one for each frame.
        Perspective takes ``W`` in pixels with ``intrinsics`` given to ``fit``, or on the unit focal
        plane.
    code_weight : float, default=0.01
        :math:`\alpha`.
    decay_weight : float, default=1e-4
        :math:`\beta`, of the squared weights of the decoder.
    rigidity_weight : float or "auto", default="auto"
        :math:`\gamma`; the paper has 0. "auto" is 0.5 for a sequence, else 1.
    cycle_weight : float or "auto", default="auto"
        :math:`\delta`; the paper has 0. "auto" is 0 for a sequence, else 1. It needs an encoder.
    hide_fraction : float or "auto", default="auto"
        Fraction of the visible keypoints that the encoder is not shown in training. "auto" is 0.3
        where anything is missing, else 0.
    temporal_weight : float, default=0.0
        Weight of the mean squared change of the canonical shapes from one frame of a clip to the
        next, see :func:`nrsfm_learn.losses.temporal_smoothness_loss`. Clips are those of
        ``groups``, or all frames are one; batches are then windows of 8 consecutive frames. It acts
        on decoded shapes: seen keypoints keep their noise, unless ``keep_observed=False``.
    keep_observed : bool, default=True
        Put visible keypoints of the reconstruction exactly where they were seen. With False they
        lie where the auto-encoder has them, which takes out noise.
    n_refine_steps : int, default=3
        Steps that refine the camera to the minimum of the reprojection error in ``transform``,
        under parallel cameras. The algebraic solution is its start.
    scale_method : {"box_max", "box_min", "spread"}, default="box_max"
        What tells the scale of a frame under weak perspective and perspective.
    n_init : int or "auto", default="auto"
        Starts that the fit begins with. At each rung the worse ones are dropped, and the run of the
        best one is the run that it would have had alone. "auto" is 16 for a sequence of up to
        1,200 frames and 4 for other data where ``max_iter`` is at least 1,000, else 1.
    halving_factor : int, default=2
        What the number of starts is divided by at each rung.
    rung_iter : int or "auto", default="auto"
        Iterations of a rung; "auto" is a sixteenth of ``max_iter``.
    start_criterion : str, default="auto"
        What starts are ranked by: "neighbor_distance", the variation of the distance between each
        point and its steadiest neighbour; "cycle", the cycle error; "hidden_keypoints", the error
        on those; "loss"; or "auto", the product of loss, variation and cycle error.
    preset : {"auto", "quick", "paper"}, default="auto"
        What fills the settings that are None: from the data's shape and ending within minutes on
        two cores, for a first look, or what the paper says.
    max_iter, batch_size : int, default=None
        Optimiser steps, and frames drawn for each.
    learning_rate : float, default=None
        Peak step size of Adam.
    schedule : {"cosine", "step", "constant"}, default=None
        Decay of the learning rate; "step" is x0.95 every 50,000 iterations.
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
        Seed of parameters and batches.
    verbose : bool or int, default=False
        Print the loss about ten times.

    Attributes
    ----------
    reconstruction_ : ndarray of shape (n_frames, n_points, 3)
        The fitted frames in the camera frame, units of ``W``.
    shapes_ : ndarray of shape (n_frames, n_points, 3)
        Centred shapes in the canonical frame.
    rotations_ : ndarray of shape (n_frames, 3, 3)
        ``x_cam = R x``.
    translations_ : ndarray of shape (n_frames, 3)
        The object's centre in the camera frame.
    scales_ : ndarray of shape (n_frames,)
        Image units per unit of ``shapes_``: 1 but under weak perspective.
    codes_ : ndarray of shape (n_frames, n_components)
        Latent codes; see :meth:`decode` and :meth:`sample`.
    n_components_ : int
        Length of a code.
    inits_ : list of dict
        For each start its ``seed``, the last ``rung`` that it reached, and there ``n_iter``,
        ``loss`` and criteria; ``chosen`` is True for one.
    runners_up_ : torch.nn.ModuleList
        Networks of the starts dropped last, best first.
    confidence_ : ndarray of shape (n_frames, n_points)
        Probability that a point is within 5% of the object's size of the truth, from how far the
        starts disagree; only with several starts. See :meth:`predict_spread`.
    length_variation_ : float
        Relative variation over frames of the distance between each point and its steadiest
        neighbour, the mean over points: the lower the better, for objects with bones or stiff
        parts.
    loss_curve_ : ndarray of shape (n_iterations,)
        Objective of the chosen start at each iteration.
    n_iter_ : int
        Iterations done.
    stop_reason_ : {"max_iter", "plateau", "interrupted", "callback", "deadline"}
        Why training ended.
    module_ : torch.nn.Module
        The networks.
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
    AutoDecoderLifter : The baseline without :math:`f_e`.
    DeepNRSfMPP : Hierarchical sparse coding.

    Notes
    -----
    The result is known up to one scale for the data set and, under orthography and weak
    perspective, up to the sign of z: see :meth:`flip_hypotheses`. Under perspective the lower
    level is solved by scaled orthography with keypoints moved along their lines of sight to the
    depth of the shape, and the scale of each frame comes from its box.

    References
    ----------
    .. [1] C. Wang, "Towards reconstructing non-rigidity from single camera", thesis, The Robotics
       Institute, Carnegie Mellon University, 2022, chapter 2; C. Wang, S. Lucey, "PAUL: Procrustean
       autoencoder for unsupervised lifting", CVPR 2021.
    .. [2] Y. B. Can, A. Liniger, D. P. Paudel, L. Van Gool, "End-to-end learning of multi-category
       3D pose and shape estimation", BMVC 2022, section 3.4.

    Examples
    --------
    >>> from nrsfm_learn import PAUL
    >>> from nrsfm_learn.datasets import make_low_rank
    >>> data = make_low_rank(n_frames=60, n_points=12, rank=2, random_state=0)
    >>> model = PAUL(n_components=2, max_iter=20, random_state=0).fit(data.W)
    >>> model.transform(data.W).shape
    (60, 12, 3)
    >>> model.decode(model.codes_[:5]).shape
    (5, 12, 3)
    """

    _parameter_constraints = {  # noqa: RUF012
        **BaseDeepNRSfM._parameter_constraints,
        "n_components": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "codes": [StrOptions({"encoder", "free"})],
        "encoder": [StrOptions({"mlp", "deep_nrsfm"})],
        "encoder_width": [Interval(Integral, 1, None, closed="left"), None],
        "widths": ["array-like", None],
        "camera": [StrOptions(set(CAMERAS))],
        "code_weight": [Interval(Real, 0, None, closed="left")],
        "decay_weight": [Interval(Real, 0, None, closed="left")],
        "rigidity_weight": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "cycle_weight": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "hide_fraction": [Interval(Real, 0, 1, closed="left"), StrOptions({"auto"})],
        "temporal_weight": [Interval(Real, 0, None, closed="left")],
        "keep_observed": ["boolean"],
        "n_refine_steps": [Interval(Integral, 0, None, closed="left")],
        "scale_method": [StrOptions({"box_max", "box_min", "spread"})],
        "preset": [StrOptions(set(PRESETS))],
    }

    # One auto-encoder more than an auto-decoder; nothing that the nuclear norm holds down.
    _autoencode = True
    _nuclear_weight = 0.0

    def __init__(
        self,
        n_components="auto",
        *,
        codes="encoder",
        encoder="mlp",
        encoder_width=None,
        widths=None,
        camera="orthographic",
        code_weight=0.01,
        decay_weight=1e-4,
        rigidity_weight="auto",
        cycle_weight="auto",
        hide_fraction="auto",
        temporal_weight=0.0,
        keep_observed=True,
        n_refine_steps=3,
        scale_method="box_max",
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
        self.n_components = n_components
        self.codes = codes
        self.encoder = encoder
        self.encoder_width = encoder_width
        self.widths = widths
        self.camera = camera
        self.code_weight = code_weight
        self.decay_weight = decay_weight
        self.rigidity_weight = rigidity_weight
        self.cycle_weight = cycle_weight
        self.hide_fraction = hide_fraction
        self.temporal_weight = temporal_weight
        self.keep_observed = keep_observed
        self.n_refine_steps = n_refine_steps
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
        return NRSfMTags(
            perspective=self.camera == "perspective", temporal=self.temporal_weight > 0
        )

    @property
    def _trains_together(self):
        # Measured on a CPU: a rung of small networks is 1.2 to 1.3 times faster, see
        # bench_multistart.py. Block soft thresholding knows no vmap.
        return self.encoder == "mlp"

    @property
    def _lifts_views_fast(self):
        return self.codes == "encoder"

    # -- latent codes
    # -------------------------------------------------------------------------------------

    @torch.no_grad()
    def decode(self, codes):
        """Return the canonical shapes of codes, for interpolation and synthesis.

        Parameters
        ----------
        codes : array-like of shape (n_codes, n_components)
            Codes, such as those of ``codes_`` or between them.

        Returns
        -------
        ndarray of shape (n_codes, n_points, 3)
            Centred shapes in the canonical frame and units of ``shapes_``.
        """
        check_is_fitted(self)
        codes = np.asarray(codes, float)
        if codes.ndim != 2 or codes.shape[1] != self.n_components_:
            raise ValueError(
                f"codes must have shape (n_codes, {self.n_components_}), the last the length of a "
                f"code of this fit; got {codes.shape}."
            )
        if not np.isfinite(codes).all():
            raise ValueError(f"codes[{np.argwhere(~np.isfinite(codes))[0][0]}] is not finite.")
        device = next(self.module_.parameters()).device
        shapes = self.module_.decode(to_tensor(codes, device))
        return to_numpy(shapes).astype(float) / self._unit

    def sample(self, n_samples=1, *, n_mixtures=5, random_state=None):
        """Draw shapes from a density fitted to the codes after training.

        Parameters
        ----------
        n_samples : int, default=1
            Shapes to draw.
        n_mixtures : int, default=5
            Gaussians of the mixture; no more than there are frames.
        random_state : int, RandomState or None, default=None
            Seed of the mixture and the draw.

        Returns
        -------
        shapes : ndarray of shape (n_samples, n_points, 3)
            As of :meth:`decode`.
        codes : ndarray of shape (n_samples, n_components)
            Their codes.

        References
        ----------
        .. [1] P. Ghosh, M. S. M. Sajjadi, A. Vergari, M. Black, B. Schölkopf, "From variational to
           deterministic autoencoders", ICLR 2020: ex-post density estimation.
        """
        check_is_fitted(self)
        codes = self.codes_[np.isfinite(self.codes_).all(1)].astype(float)
        random_state = check_random_state(random_state)
        mixture = GaussianMixture(min(n_mixtures, len(codes)), random_state=random_state)
        drawn, _ = mixture.fit(codes).sample(n_samples)
        # Mixtures come one after the other.
        drawn = random_state.permutation(drawn)
        return self.decode(drawn), drawn

    # -- fitting
    # -------------------------------------------------------------------------------------

    def _fit(self, observations):
        n_frames = len(observations.W)
        preset = paul_preset(self.preset, n_frames, is_sequence(observations))
        self._check_settings()
        device, generator = self._start()
        given, observations = observations, self._unit_observations(observations)
        self.n_components_ = self._or(self.n_components, preset.pop("n_components"))
        self.widths_ = list(self._or(self.widths, preset.pop("widths")))
        self.encoder_width_ = self._or(self.encoder_width, preset.pop("encoder_width"))
        self.n_free_codes_ = n_frames if self.codes == "free" else 0
        if self.codes == "free":
            self.frame_keys_ = frame_keys(observations)
        rigidity_weight = self._or(self.rigidity_weight, preset.pop("rigidity_weight"))
        cycle_weight = self._or(self.cycle_weight, preset.pop("cycle_weight"))
        hide_fraction = self._or(self.hide_fraction, 0.0 if observations.visible.all() else 0.3)
        n_init = preset.pop("n_init")

        gain, self.gain_constant_ = image_gain(observations, self.camera, self.scale_method)
        self.gain_reference_ = float(np.median(gain))
        frames, _ = normalize_frames(observations, self.camera, gain, device)
        warm = self._start_module(device)
        options = self._options(**preset)
        objective_of = functools.partial(
            ProcrusteanObjective,
            frames=frames,
            generator=generator,
            code_weight=self.code_weight,
            decay_weight=self.decay_weight,
            rigidity_weight=rigidity_weight,
            rigidity_start=options.max_iter // 8,
            cycle_weight=cycle_weight if self.codes == "encoder" else 0.0,
            cycle_start=options.max_iter // 12,
            nuclear_weight=self._nuclear_weight,
            hide_fraction=hide_fraction,
            mirror_checks=[options.max_iter // part for part in (20, 10, 5, 2)],
            temporal_weight=self.temporal_weight,
        )
        objective_of, n_drawn, options = self._in_windows(objective_of, observations, options)
        n_init = self._n_starts(n_init, options.max_iter, warm=warm)
        starts = self._starts(self.module_, objective_of, n_init, device)
        result = self._train(starts, n_drawn, options, generator=generator, observations=given)
        self._keep_starts(starts, result)
        self.loss_curve_ = result.loss_curve.numpy()
        self.n_iter_ = result.n_iter
        self.stop_reason_ = result.stop_reason

    def _lift(self, observations):
        unit = self._unit_observations(observations)
        gain, _ = image_gain(unit, self.camera, self.scale_method, self.gain_constant_)
        device = next(self.module_.parameters()).device
        frames, centers = normalize_frames(unit, self.camera, gain, device)
        if self.codes == "free":
            codes = known_codes(self.module_, frames, frame_keys(unit), self.frame_keys_)
        else:
            with torch.no_grad():
                codes = self.module_.code(frames)
        return self._reconstruct(codes, frames, gain, centers, observations.W.dtype)

    @torch.no_grad()
    def _reconstruct(self, codes, frames, gain, centers, dtype):
        """Return the reconstruction of frames with known codes."""
        found = pose(
            self.module_.decode(codes),
            frames,
            n_refine_steps=self.n_refine_steps,
            keep_observed=self.keep_observed,
        )
        shapes, rotations, translations = (to_numpy(a).astype(float) for a in found)
        shapes = shapes / self._unit
        if self.camera == "perspective":
            scales = np.ones(len(gain))
        else:
            scales = self._unit / gain
            translations = translations / gain[:, None]
            translations[:, :2] += centers
        X = scales[:, None, None] * shapes @ rotations.swapaxes(1, 2) + translations[:, None]
        arrays = (X, shapes, rotations, translations, scales, to_numpy(codes))
        return Reconstruction(*(a.astype(dtype, copy=False) for a in arrays))

    @property
    def _unit(self):
        """Network units per unit of ``shapes_``."""
        return 1.0 if self.camera == "perspective" else self.gain_reference_

    def _project(self, X, intrinsics):
        if self.camera != "perspective":
            return super()._project(X, intrinsics)
        if intrinsics is not None:
            intrinsics = torch.as_tensor(intrinsics)
        return project_perspective(torch.as_tensor(X.astype(float)), intrinsics).numpy()

    def _unit_observations(self, observations):
        return on_unit_plane(observations) if self.camera == "perspective" else observations

    # -- settings
    # -------------------------------------------------------------------------------------

    @staticmethod
    def _or(given, default):
        return default if given is None or (isinstance(given, str) and given == "auto") else given

    def _check_settings(self):
        widths = [] if self.widths is None else list(self.widths)
        if any(not isinstance(k, Integral) or k < 1 for k in widths):
            raise ValueError(f"widths must be positive integers; got {self.widths}.")
        if self.codes == "free" and self.cycle_weight not in ("auto", 0):
            raise ValueError(
                f"{type(self).__name__}(cycle_weight={self.cycle_weight}) lifts new views in "
                f"training, and free codes have no encoder to lift them with: set "
                f"codes='encoder' or cycle_weight=0."
            )

    def _start_module(self, device):
        """Build the networks; with ``warm_start`` give them the parameters of the last fit, and
        return whether there were any.
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
                "warm_start=True goes on from the networks of the last fit, which have other "
                f"points, sizes or settings than these ({error}). Fit the same points with the "
                "same settings, or set warm_start=False."
            ) from error
        return True

    def _build_module(self, seed=0):
        return ProcrusteanAutoEncoder(
            self.n_points_in_,
            self.n_components_,
            self.widths_,
            encoder=self.encoder if self.codes == "encoder" else None,
            encoder_width=self.encoder_width_,
            n_free_codes=self.n_free_codes_,
            autoencode=self._autoencode,
            perspective=self.camera == "perspective",
            generator=torch.Generator().manual_seed(seed),
        )
