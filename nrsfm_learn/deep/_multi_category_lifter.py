"""The multi-category lifter: non-negative codes of all categories, learned in a cycle."""

import hashlib
from numbers import Real

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from .._validation import check_W, constant_frames, poor_frames
from ._factorization import BaseFactorizationLifter
from ._factorization_objective import CyclicObjective

# Iterations, if that is no more than half of them, after which batch normalisation may be frozen:
# with statistics of an earlier state training can run away.
_FEWEST_PRETRAINING = 300


class MultiCategoryLifter(BaseFactorizationLifter):
    r"""Multi-category lifter: non-negative codes that all categories share, and a cycle.

    One residual network lifts the keypoints of all categories. The shape is a point of a translated
    cone (eq. 4),

    .. math:: X_f = \mathrm{ReLU}(W_g f(Y_f) + b_g)\, S + b_S,

    whose non-negative coefficients can be exactly zero. The selection :math:`\zeta` of a
    frame's category picks its keypoints (eq. 2):

    .. math::
        \min_\theta \frac1F \sum_f \mathcal L(Y_f \circ \zeta_f,\, \Pi R_f X_f \circ \zeta_f)
        + \beta \bigl[ \mathcal L(Q_f,\, R(\Pi Q_f X_f \circ \zeta_f))
        + \mathcal L(f(\Pi Q_f X_f \circ \zeta_f) \circ \zeta_f,\, X_f \circ \zeta_f) \bigr]

    with the pseudo-Huber norm of :class:`C3DPO` as :math:`\mathcal L`. In brackets is the cycle
    (section 3.4): a predicted shape, turned at random by :math:`Q_f` and projected, must be lifted
    to itself and to the camera :math:`Q_f`. It counts after a first part of the training, and
    batch normalisation is frozen then.

    Stack the points of the categories, NaN where a frame has none, and give ``fit`` and
    ``transform`` one label a frame, ``categories=``. Without labels all frames show one category.

    Parameters
    ----------
    n_components : int, default=10
        Length :math:`D` of a code; published with 10, and 50 for articulated bodies.
    width : int, default=None
        Features of the trunk; its bottlenecks have a quarter of them. 256, and 1024 in the paper
        preset.
    camera : {"orthographic", "weak_perspective", "perspective"}, default="orthographic"
        Orthographic has one scale for each category, weak perspective one for each frame.
        Perspective takes ``W`` in pixels with ``intrinsics`` given to ``fit``, or on the unit focal
        plane.
    category_points : dict, default=None
        Points of categories, ``{label: [point, ...]}``, for those whose points are not simply all
        that are visible in any of their frames.
    nonnegative : bool, default=True
        Whether codes pass a ReLU (eq. 4), or may have any sign (eq. 3).
    init : {"rigid", "random"}, default="rigid"
        What mean shapes begin with: the rigid shape of each category
        (:class:`~nrsfm_learn.classical.RigidFactorization`, of 500 of its frames), held for the
        first 15% of the iterations while cameras are learned; or random numbers near zero, as
        published, and in any case under perspective.
    rotation : {"6d", "log"}, default="6d"
        How the network tells a camera: as two columns of the matrix, which follow it without a
        jump, or as the published axis and angle.
    in_plane : {"equivariance", "augmentation"} or None, default="equivariance"
        Whether training turns images at random in their plane; with "equivariance" the code comes
        from a copy with another turn than the camera, so that it cannot depend on it.
    hide_fraction : float, default=0.0
        Fraction of the visible keypoints that the network is not shown in training, while the loss
        counts them all.
    cycle_weight : float, default=0.1
        Weight :math:`\beta` of camera and shape loss of the cycle. 0 turns it off ("Ours-base");
        on generated rigid categories 1 made all instances of a category alike.
    pretrain_fraction : float, default=0.1
        Part of the iterations before the cycle counts; but for 0, no less than 300 iterations or
        half of them.
    loss_on : {"visible", "all"}, default="visible"
        Which keypoints the loss counts: those that are visible, or all that ``W`` holds, even where
        ``mask`` says that they are not visible, as for annotated but occluded keypoints ("Ours-A").
        The network sees the visible ones in any case. With "all", NaN and ``mask`` no longer mean
        the same in ``fit``, and there can be no ``weights``.
    keep_observed : bool, default=True
        Whether the visible keypoints of a reconstruction are those of ``W``; else they are the
        reprojection.
    scale_method : {"box_max", "box_min", "spread"}, default="spread"
        What tells the scale of a frame under weak perspective, and its depth under perspective: the
        longer or shorter edge of the bounding box, or the spread of the visible keypoints.
    n_init : int or "auto", default="auto"
        Starts that the fit begins with. At each rung the worse ones are dropped, and the run of the
        best one is the run that it would have had alone. "auto" is 4 where ``max_iter`` is at
        least 1,000 (1 in the paper preset), else 1.
    halving_factor : int, default=2
        What the number of starts is divided by at each rung.
    rung_iter : int or "auto", default="auto"
        Iterations of a rung; "auto" is a sixteenth of ``max_iter``.
    start_criterion : str, default="auto"
        What starts are ranked by: "neighbor_distance", "cycle", "hidden_keypoints", "loss"; or
        "auto", the product of loss, variation of neighbour distances and cycle error.
    preset : {"auto", "quick", "paper"}, default="auto"
        What fills the settings that are None: ending within minutes on two cores, for a first look,
        or the published sizes (hours on a GPU).
    max_iter, batch_size : int, default=None
        Optimiser steps, and frames drawn for each, from every category alike.
    optimizer : {"adam", "sgd"}, default=None
        Adam, the default, or stochastic gradient descent with momentum 0.9 and weight decay 5e-4,
        the published one and that of the paper preset.
    learning_rate : float, default=None
        Peak step size: 1e-3, and 1e-2 with descent but for the paper preset.
    schedule : {"cosine", "step", "constant"}, default=None
        Decay of the learning rate; "step" is x0.95 every 50,000 iterations, in the paper preset
        x0.1 every 60,000.
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
        The fitted frames in the camera frame, units of ``W``; as ``transform`` would return them.
        NaN at points of other categories, here and in ``shapes_``.
    shapes_ : ndarray of shape (n_frames, n_points, 3)
        Centred shapes in the canonical frame. With ``keep_observed`` they have the visible
        keypoints too; those of the basis alone are ``decode(codes_, category)``.
    rotations_ : ndarray of shape (n_frames, 3, 3)
        ``x_cam = R x``.
    translations_ : ndarray of shape (n_frames, 3)
        The object's centre in the camera frame; its depth is 0 but under perspective.
    scales_ : ndarray of shape (n_frames,)
        Image units per unit of ``shapes_``: 1 but under weak perspective.
    codes_ : ndarray of shape (n_frames, n_components)
        Coefficients of the basis, after the ReLU.
    basis_ : ndarray of shape (n_components, n_points, 3)
        Shape basis :math:`S`, in units in which the keypoints of each category have a mean spread
        of 1.
    mean_shape_ : ndarray of shape (n_points, 3)
        Apex :math:`b_S` of the cone, in the same units. Neither is centred.
    categories_ : ndarray of shape (n_categories,) or None
        Sorted labels; None if ``fit`` was given none.
    category_points_ : ndarray of bool of shape (n_categories, n_points)
        Points of each category.
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
    C3DPO : The same trunk, with a second network instead of the cycle.

    Notes
    -----
    The result is known up to one scale for each category and up to the sign of z.

    Of the publication this is the lifter (section 3), not the detector of keypoints in images
    (section 4).

    References
    ----------
    .. [1] Y. B. Can, A. Liniger, D. P. Paudel, L. Van Gool, "End-to-end learning of multi-category
       3D pose and shape estimation", BMVC 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from nrsfm_learn import MultiCategoryLifter
    >>> from nrsfm_learn.datasets import make_rigid_category
    >>> cars = make_rigid_category(40, category="car", random_state=0).W
    >>> chairs = make_rigid_category(40, category="chair", random_state=0).W
    >>> W = np.full((80, cars.shape[1] + chairs.shape[1], 2), np.nan)
    >>> W[:40, : cars.shape[1]], W[40:, cars.shape[1] :] = cars, chairs
    >>> labels = np.repeat(["car", "chair"], 40)
    >>> model = MultiCategoryLifter(n_components=4, width=16, max_iter=20, random_state=0)
    >>> model.fit_transform(W, categories=labels).shape
    (80, 26, 3)
    >>> model.decode(model.codes_[:3], category="chair").shape
    (3, 26, 3)
    """

    _parameter_constraints = {  # noqa: RUF012
        **BaseFactorizationLifter._parameter_constraints,
        "nonnegative": ["boolean"],
        "cycle_weight": [Interval(Real, 0, None, closed="left")],
        "pretrain_fraction": [Interval(Real, 0, 1, closed="left")],
        "loss_on": [StrOptions({"visible", "all"})],
    }

    _usual_optimizer = "adam"

    def __init__(
        self,
        n_components=10,
        *,
        width=None,
        camera="orthographic",
        category_points=None,
        nonnegative=True,
        init="rigid",
        rotation="6d",
        in_plane="equivariance",
        hide_fraction=0.0,
        cycle_weight=0.1,
        pretrain_fraction=0.1,
        loss_on="visible",
        keep_observed=True,
        scale_method="spread",
        n_init="auto",
        halving_factor=2,
        rung_iter="auto",
        start_criterion="auto",
        preset="auto",
        max_iter=None,
        batch_size=None,
        optimizer=None,
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
        self.width = width
        self.camera = camera
        self.category_points = category_points
        self.nonnegative = nonnegative
        self.init = init
        self.rotation = rotation
        self.in_plane = in_plane
        self.hide_fraction = hide_fraction
        self.cycle_weight = cycle_weight
        self.pretrain_fraction = pretrain_fraction
        self.loss_on = loss_on
        self.keep_observed = keep_observed
        self.scale_method = scale_method
        self.n_init = n_init
        self.halving_factor = halving_factor
        self.rung_iter = rung_iter
        self.start_criterion = start_criterion
        self.preset = preset
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.optimizer = optimizer
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

    @property
    def _nonnegative_codes(self):
        return self.nonnegative

    def _objective(self, module, *, max_iter, **settings):
        start = int(self.pretrain_fraction * max_iter)
        if self.pretrain_fraction:
            start = max(start, min(_FEWEST_PRETRAINING, max_iter // 2))
        return CyclicObjective(module, **settings, weight=self.cycle_weight, start=start)

    def _fit_checked(self, W, mask, **side):
        if self.loss_on == "all":
            if side.get("weights") is not None:
                raise ValueError(
                    "loss_on='all' counts keypoints that are not visible, of which weights say "
                    "nothing: leave weights out, or set loss_on='visible'."
                )
            # The base shows methods what is visible; what else is annotated is kept aside.
            annotated, _ = check_W(W)
            seen, visible = check_W(W, mask)
            liftable = ~(poor_frames(visible, self._min_visible) | constant_frames(seen))
            self._annotated = annotated[liftable]
        try:
            super()._fit_checked(W, mask, **side)
        finally:
            vars(self).pop("_annotated", None)

    def _fingerprint(self, module, run):
        text = super()._fingerprint(module, run)
        if self.loss_on == "visible":
            return text
        # The digest of a fit's data knows what is visible only.
        annotated = np.ascontiguousarray(self._annotated, float)
        return hashlib.sha256(text.encode() + annotated.tobytes()).hexdigest()

    def _targets(self, observations):
        if self.loss_on == "visible":
            return observations
        annotated = self._annotated
        return observations._replace(W=annotated, visible=~np.isnan(annotated[..., 0]))
