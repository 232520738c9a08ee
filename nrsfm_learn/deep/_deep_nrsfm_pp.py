"""Deep NRSfM++."""

import functools
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions

from .._torch import to_numpy
from ..base import NRSfMTags, Reconstruction
from ..geometry import perspective_translation, project_perspective
from ..preprocessing import center_on_visible
from ._base import BaseDeepNRSfM
from ._block_sparse_objective import BlockSparseObjective
from ._frames import image_gain, normalize_frames, on_unit_plane
from ._presets import PRESETS, deep_nrsfm_preset, halving_sizes
from .nn import HierarchicalBlockSparseLifter

CAMERAS = ("orthographic", "weak_perspective", "perspective")


class DeepNRSfMPP(BaseDeepNRSfM):
    r"""Deep NRSfM++: hierarchical block-sparse coding as a 2D-3D lifting network.

    Shapes are sparse combinations of dictionary atoms, whose codes are again such combinations. One
    unrolled iteration of the sparse-coding solver is the encoder, its transpose the decoder, and
    the dictionaries are learned from the reprojection alone:

    .. math::
        \min_{D, \Theta} \frac1F \sum_f \bigl\| M_f \tilde W_f - M_f \tilde D_f
        \tilde\Psi_f \bigr\|_F + \beta\, \frac1F \sum_f \| g(\pi(S_f Q_f^\top)) - S_f \|_F,
        \qquad \Psi_f = \varphi_f \otimes R_f

    The first term is eq. 17 of [1]_ with the normalised observations :math:`\tilde W` and
    dictionary :math:`\tilde D` of its Table 1 (with the visible count where the table prints P),
    the second the cyclic self-supervision of [3]_: a predicted shape, turned at random by
    :math:`Q_f` and projected, must be lifted to itself.

    Parameters
    ----------
    k_last : int, default=8
        Size of the bottleneck :math:`K_L`, the setting that matters: 8 to 10 for articulated
        objects, 2 to 4 for rigid categories.
    dictionary_sizes : sequence of int, default=None
        Sizes of all levels, the bottleneck last (``k_last`` is then not used). By default they
        halve from 256 (512 in the paper preset) to ``k_last``.
    camera : {"orthographic", "weak_perspective", "perspective"}, default="orthographic"
        Orthographic has one scale for the data set, weak perspective one for each frame.
        Perspective takes ``W`` in pixels with ``intrinsics`` given to ``fit``, or on the unit focal
        plane.
    n_unrolled : int, default=1
        Iterations of the sparse-coding solver that the network unrolls; the paper has 1. Each
        further one corrects the code by what the reprojection leaves unexplained (eq. 21). It
        lowers the reprojection error, but not always the error in depth. Set 2 under perspective
        where keypoints are missing.
    n_completions : int or "auto", default="auto"
        Times that the hidden keypoints of a frame are filled in with their reprojection and the
        frame is lifted again, in training too. "auto" is 1 under parallel cameras where keypoints
        are missing, which lowers the error there, else 0. The paper has 0.
    n_solver_steps : int or "auto", default="auto"
        Gauss-Newton steps on code and camera (the inner problem, eq. 16) after the network. "auto"
        is 2 under perspective, where they took a third off the error of generated cars, and 0 under
        parallel cameras, where solving for codes exactly finds shapes that are right in the image
        and wrong in depth. The paper has 0.
    activation : {"bst", "relu"}, default="bst"
        Block soft thresholding (eq. 22), or ReLU as in Deep NRSfM.
    code_readout : {"invariant", "linear"}, default="invariant"
        How the code is read from the last blocks: from their inner products with the camera, which
        do not change when the image rotates in its plane, or by a free linear map.
    cycle_weight : float or "auto", default="auto"
        Weight :math:`\beta` of the cyclic self-supervision, which starts after a twelfth of the
        iterations. 0 turns it off; "auto" is 1, and 0.1 under perspective, where more of it makes
        the instances of a category all alike.
    hide_fraction : float or "auto", default="auto"
        Fraction of the visible keypoints that the encoder is not shown in training, while the loss
        counts them all. Without it, and without completions, missing data overfit silently. "auto"
        is 0.3 where anything is missing and not completed, else 0.
    temporal_weight : float, default=0.0
        Weight of the mean squared change of the canonical shapes from one frame of a clip to the
        next, see :func:`nrsfm_learn.losses.temporal_smoothness_loss`. Clips are those of
        ``groups``, or all frames are one; batches are then windows of 8 consecutive frames.
    code_l1 : float, default=0.0
        Weight of the Lasso on the first code, :math:`\|\varphi_1\|_1 / F` (supplement IV).
    symmetry_weight : float, default=0.0
        Weight of the difference between the lengths of mirrored bones (supplement IV).
    symmetric_bones : sequence of ((int, int), (int, int)), default=None
        Pairs of bones that are equally long, each bone two points.
    scale_method : {"box_max", "box_min", "spread"}, default="box_max"
        What tells the scale of a frame (:math:`1 / t_z`) under weak perspective and perspective:
        the longer or shorter edge of the bounding box, or the spread of the visible keypoints.
    scale_correction : int, default=0
        Rounds of re-estimating :math:`t_z` from the reconstruction and fitting on.
    bones : sequence of (int, int), default=None
        Bones whose mean length the scale correction keeps equal over frames; by default it is the
        norm of the shape.
    n_init : int or "auto", default="auto"
        Starts that the fit begins with. At each rung the worse ones are dropped, and the run of the
        best one is the run that it would have had alone. "auto" is 4 where ``max_iter`` is at
        least 1,000, else 1.
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
        two cores, for a first look, or the supplement's (400,000 iterations).
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
        The fitted frames in the camera frame, units of ``W``; as ``transform`` would return them.
    shapes_ : ndarray of shape (n_frames, n_points, 3)
        Centred shapes in the canonical frame.
    rotations_ : ndarray of shape (n_frames, 3, 3)
        ``x_cam = R x``.
    translations_ : ndarray of shape (n_frames, 3)
        The object's centre in the camera frame.
    scales_ : ndarray of shape (n_frames,)
        Image units per unit of ``shapes_``: 1 but under weak perspective.
    codes_ : ndarray of shape (n_frames, k_last)
        Bottleneck codes.
    dictionary_ : ndarray of shape (n_points, 3, K_1)
        Centred shape dictionary :math:`D_1`.
    dictionary_sizes_ : list of int
        Sizes of all levels.
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
        Iterations done, over all rounds.
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
    DeepNRSfM : The method that it extends.

    Notes
    -----
    The result is known up to one scale for the data set and, under orthography and weak
    perspective, up to the sign of z.

    References
    ----------
    .. [1] C. Wang, C.-H. Lin, S. Lucey, "Deep NRSfM++: towards unsupervised 2D-3D lifting in the
       wild", 3DV 2020.
    .. [2] C. Kong, S. Lucey, "Deep non-rigid structure from motion", ICCV 2019.
    .. [3] Y. B. Can, A. Liniger, D. P. Paudel, L. Van Gool, "End-to-end learning of multi-category
       3D pose and shape estimation", BMVC 2022, section 3.4.

    Examples
    --------
    >>> from nrsfm_learn import DeepNRSfMPP
    >>> from nrsfm_learn.datasets import make_low_rank
    >>> data = make_low_rank(n_frames=60, n_points=12, rank=2, random_state=0)
    >>> model = DeepNRSfMPP(k_last=2, max_iter=20, random_state=0).fit(data.W)
    >>> model.transform(data.W).shape
    (60, 12, 3)
    """

    _parameter_constraints = {  # noqa: RUF012
        **BaseDeepNRSfM._parameter_constraints,
        "k_last": [Interval(Integral, 1, None, closed="left")],
        "dictionary_sizes": ["array-like", None],
        "camera": [StrOptions(set(CAMERAS))],
        "n_unrolled": [Interval(Integral, 1, None, closed="left")],
        "n_completions": [Interval(Integral, 0, None, closed="left"), StrOptions({"auto"})],
        "n_solver_steps": [Interval(Integral, 0, None, closed="left"), StrOptions({"auto"})],
        "activation": [StrOptions({"bst", "relu"})],
        "code_readout": [StrOptions({"invariant", "linear"})],
        "cycle_weight": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "hide_fraction": [Interval(Real, 0, 1, closed="left"), StrOptions({"auto"})],
        "temporal_weight": [Interval(Real, 0, None, closed="left")],
        "code_l1": [Interval(Real, 0, None, closed="left")],
        "symmetry_weight": [Interval(Real, 0, None, closed="left")],
        "symmetric_bones": ["array-like", None],
        "scale_method": [StrOptions({"box_max", "box_min", "spread"})],
        "scale_correction": [Interval(Integral, 0, None, closed="left")],
        "bones": ["array-like", None],
        "preset": [StrOptions(set(PRESETS))],
    }

    def __init__(
        self,
        k_last=8,
        *,
        dictionary_sizes=None,
        camera="orthographic",
        n_unrolled=1,
        n_completions="auto",
        n_solver_steps="auto",
        activation="bst",
        code_readout="invariant",
        cycle_weight="auto",
        hide_fraction="auto",
        temporal_weight=0.0,
        code_l1=0.0,
        symmetry_weight=0.0,
        symmetric_bones=None,
        scale_method="box_max",
        scale_correction=0,
        bones=None,
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
        self.k_last = k_last
        self.dictionary_sizes = dictionary_sizes
        self.camera = camera
        self.n_unrolled = n_unrolled
        self.n_completions = n_completions
        self.n_solver_steps = n_solver_steps
        self.activation = activation
        self.code_readout = code_readout
        self.cycle_weight = cycle_weight
        self.hide_fraction = hide_fraction
        self.temporal_weight = temporal_weight
        self.code_l1 = code_l1
        self.symmetry_weight = symmetry_weight
        self.symmetric_bones = symmetric_bones
        self.scale_method = scale_method
        self.scale_correction = scale_correction
        self.bones = bones
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
        equivariant = (
            self.camera == "orthographic"
            and self.activation == "bst"
            and self.code_readout == "invariant"
        )
        return NRSfMTags(
            perspective=self.camera == "perspective",
            temporal=self.temporal_weight > 0,
            equivariant=equivariant,
        )

    def _n_training_runs(self):
        return 1 + self.scale_correction

    def _fit(self, observations):
        preset = deep_nrsfm_preset(self.preset, len(observations.W))
        first_size = preset.pop("first_size")
        self._check_settings(observations)
        device, generator = self._start()
        given, observations = observations, self._unit_observations(observations)
        self._start_module(first_size, generator.initial_seed())
        self.module_.to(device)
        gain, self.gain_constant_ = image_gain(observations, self.camera, self.scale_method)
        self.gain_reference_ = float(np.median(gain))

        curves = []
        self.n_corrections_ = 0
        for round_ in range(1 + self.scale_correction):
            if round_:
                sizes = self._shape_sizes(self._forward(observations, gain)[0])
                self.n_corrections_ = round_
                self.size_target_ = float(np.median(sizes))
                gain = self._gain(observations, n_rounds=round_)
            frames, _ = normalize_frames(observations, self.camera, gain, device)
            run = f"round {round_}" if self.scale_correction else "training"
            options = self._options(run=run, **preset)
            if round_:
                # The network is nearly there already: a correction round refines it.
                options = options._replace(max_iter=max(1, options.max_iter // 2))
            objective_of = functools.partial(
                BlockSparseObjective,
                frames=frames,
                generator=generator,
                cycle_weight=self._cycle_weight(),
                cycle_start=options.max_iter // 12 if round_ == 0 else 0,
                hide_fraction=self._hide_fraction(observations),
                code_l1=self.code_l1,
                symmetry_weight=self.symmetry_weight,
                symmetric_bones=self.symmetric_bones,
                n_completions=self._n_completions(observations),
                n_solver_steps=self._n_solver_steps(),
                solver_start=options.max_iter // 10 if round_ == 0 else 0,
                mirror_checks=[options.max_iter // part for part in (20, 10, 5, 2)],
                temporal_weight=self.temporal_weight,
            )
            objective_of, n_drawn, options = self._in_windows(objective_of, observations, options)
            n_init = 1
            if round_ == 0:
                n_init = self._n_starts(4, options.max_iter, warm=self._is_warm)
            starts = self._starts(self.module_, objective_of, n_init, device)
            result = self._train(
                starts,
                n_drawn,
                options,
                generator=generator,
                observations=given,
                run=run,
            )
            if round_ == 0:
                self._keep_starts(starts, result)
            curves.append(result.loss_curve.numpy())
            if result.stop_reason in ("interrupted", "callback", "deadline"):
                break
        self.loss_curve_ = np.concatenate(curves)
        self.n_iter_ = len(self.loss_curve_)
        self.stop_reason_ = result.stop_reason
        with torch.no_grad():
            # Stored points first, as users index it; the network keeps coordinates first.
            self.dictionary_ = to_numpy(self.module_.centered_dictionary().transpose(0, 1))

    def _lift(self, observations):
        unit = self._unit_observations(observations)
        gain = self._gain(unit, n_rounds=self.n_corrections_)
        shapes, rotations, codes = self._forward(unit, gain)
        reference = 1.0 if self.camera == "perspective" else self.gain_reference_
        shapes = shapes / reference
        X = shapes @ rotations.swapaxes(-1, -2)
        if self.camera == "perspective":
            scales = np.ones(len(gain))
            translations = perspective_translation(
                *(torch.as_tensor(a, dtype=torch.float64) for a in (X, unit.W)),
                torch.as_tensor(unit.visible),
                torch.as_tensor(gain, dtype=torch.float64),
            ).numpy()
        else:
            scales = reference / gain
            X = X * scales[:, None, None]
            _, seen = center_on_visible(unit.W, unit.visible)
            _, predicted = center_on_visible(X[..., :2], unit.visible)
            translations = np.concatenate([seen - predicted, np.zeros((len(X), 1))], axis=1)
        X = X + translations[:, None]
        dtype = observations.W.dtype
        return Reconstruction(
            *(
                a.astype(dtype, copy=False)
                for a in (X, shapes, rotations, translations, scales, codes)
            )
        )

    def _project(self, X, intrinsics):
        if self.camera != "perspective":
            return super()._project(X, intrinsics)
        if intrinsics is not None:
            intrinsics = torch.as_tensor(intrinsics)
        return project_perspective(torch.as_tensor(X.astype(float)), intrinsics).numpy()

    # -- settings
    # -----------------------------------------------------------------------------------

    def _check_settings(self, observations):
        name = type(self).__name__
        if self.symmetry_weight and self.symmetric_bones is None:
            raise ValueError(
                f"{name}(symmetry_weight={self.symmetry_weight}) needs symmetric_bones: pairs of "
                f"mirrored bones, such as [((5, 6), (9, 10))]."
            )
        n_points = observations.visible.shape[1]
        for parameter, shape in (("symmetric_bones", (2, 2)), ("bones", (2,))):
            value = getattr(self, parameter)
            if value is None:
                continue
            value = np.asarray(value)
            if value.shape[1:] != shape or not np.issubdtype(value.dtype, np.integer):
                raise ValueError(
                    f"{parameter} must be integers of shape (n, {', '.join(map(str, shape))}), the "
                    f"points of each bone; got shape {value.shape}, dtype {value.dtype}."
                )
            if value.min() < 0 or value.max() >= n_points:
                raise ValueError(
                    f"{parameter} names point "
                    f"{value.max() if value.max() >= n_points else value.min()}, but W has points "
                    f"0 to {n_points - 1}."
                )
        if self.scale_correction and self.camera == "orthographic":
            raise ValueError(
                f"{name}(scale_correction={self.scale_correction}) corrects the scale of each "
                f"frame, but an orthographic camera has one scale for all: use "
                f"camera='weak_perspective' or 'perspective'."
            )

    def _start_module(self, first_size, seed):
        """Build the network; with ``warm_start`` give it the parameters of the last fit."""
        present = getattr(self, "module_", None) if self.warm_start else None
        self._is_warm = present is not None
        self.dictionary_sizes_ = self._sizes(first_size)
        self.module_ = self._build_module(seed)
        if present is None:
            return
        try:
            self.module_.load_state_dict(present.state_dict())
        except RuntimeError as error:
            self.module_ = present
            raise ValueError(
                "warm_start=True goes on from the network of the last fit, which has other points, "
                f"sizes or settings than this one ({error}). Fit the same points with the same "
                "settings, or set warm_start=False."
            ) from error

    def _sizes(self, first_size):
        if self.dictionary_sizes is None:
            return halving_sizes(max(first_size, self.k_last), self.k_last)
        sizes = list(self.dictionary_sizes)
        if not sizes or any(not isinstance(k, Integral) or k < 1 for k in sizes):
            raise ValueError(
                f"dictionary_sizes must be positive integers; got {self.dictionary_sizes}."
            )
        return sizes

    def _hide_fraction(self, observations):
        if self.hide_fraction != "auto":
            return self.hide_fraction
        # Completing frames already teaches the network to lift from fewer keypoints.
        completed = self._n_completions(observations) > 0
        return 0.0 if completed or observations.visible.all() else 0.3

    def _n_completions(self, observations):
        if self.n_completions != "auto":
            return self.n_completions
        return int(self.camera != "perspective" and not observations.visible.all())

    def _n_solver_steps(self):
        if self.n_solver_steps == "auto":
            return 2 if self.camera == "perspective" else 0
        return self.n_solver_steps

    def _cycle_weight(self):
        if self.cycle_weight == "auto":
            return 0.1 if self.camera == "perspective" else 1.0
        return self.cycle_weight

    def _build_module(self, seed=0):
        return HierarchicalBlockSparseLifter(
            self.n_points_in_,
            self.dictionary_sizes_,
            n_columns=3 if self.camera == "perspective" else 2,
            n_unrolled=self.n_unrolled,
            activation=self.activation,
            code_readout=self.code_readout,
            generator=torch.Generator().manual_seed(seed),
        )

    # -- lifting
    # ------------------------------------------------------------------------------------

    def _unit_observations(self, observations):
        return on_unit_plane(observations) if self.camera == "perspective" else observations

    def _gain(self, observations, n_rounds):
        """Return the gain of each frame after some rounds of scale correction."""
        gain, _ = image_gain(observations, self.camera, self.scale_method, self.gain_constant_)
        for _ in range(n_rounds):
            sizes = self._shape_sizes(self._forward(observations, gain)[0])
            # A frame far off its size says more of a bad reconstruction than of its scale.
            gain = gain * np.clip(self.size_target_ / sizes, 0.5, 2)
        return gain

    def _shape_sizes(self, shapes):
        if self.bones is None:
            return np.linalg.norm(shapes, axis=(1, 2))
        first, second = np.asarray(self.bones).T
        return np.linalg.norm(shapes[:, first] - shapes[:, second], axis=-1).mean(1)

    @torch.no_grad()
    def _forward(self, observations, gain):
        """Run the network; return shapes, rotations and codes as numpy arrays."""
        device = next(self.module_.parameters()).device
        outputs = []
        steps = {
            "n_completions": self._n_completions(observations),
            "n_solver_steps": self._n_solver_steps(),
        }
        dictionary = self.module_.centered_dictionary()
        for start in range(0, len(gain), self._chunk_frames):
            chunk = slice(start, start + self._chunk_frames)
            frames, _ = normalize_frames(observations.take(chunk), self.camera, gain[chunk], device)
            lift = self.module_(frames, dictionary, **steps)[-1]
            outputs.append([to_numpy(a) for a in (lift.shapes, lift.rotations, lift.codes)])
        return [np.concatenate(arrays) for arrays in zip(*outputs, strict=True)]
