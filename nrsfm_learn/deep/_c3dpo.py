"""C3DPO, canonical 3D pose networks."""

from numbers import Integral, Real

from sklearn.utils._param_validation import Interval

from ._factorization import BaseFactorizationLifter
from ._factorization_objective import CanonicalizationObjective


class C3DPO(BaseFactorizationLifter):
    r"""C3DPO: a network tells camera and shape apart, and another one keeps them apart.

    A residual network reads the rotation and a few coefficients of a basis that all frames share
    from the keypoints of one frame and their visibility:

    .. math::
        \min_{\theta, S, b_S} \frac1F \sum_f \frac{1}{\sum_p m_{fp}} \sum_p m_{fp}\,
        h\bigl( \tilde y_{fp} - \Pi R_f \tilde x_{fp} \bigr)
        + \frac{\lambda}{FV} \sum_{fv} \frac1P \sum_p
        h\bigl( \Psi(Q_{fv} X_f)_p - x_{fp} \bigr),
        \qquad X_f = \alpha_f S + b_S

    with the pseudo-Huber norm :math:`h(d) = \epsilon (\sqrt{1 + |d|^2 / \epsilon^2} - 1)`,
    :math:`\epsilon = 0.01`, and the visible means subtracted (the translation in closed form). The
    second term is the canonicalisation: a network :math:`\Psi` with a trunk of its own and the same
    basis must undo any rotation :math:`Q`, which it only can if each shape comes in one
    orientation. Images are turned in their plane at random, and the code must come out the same
    (z-equivariance).

    Several categories share one network and one basis: stack their points, NaN where a frame has
    none, and give ``fit`` and ``transform`` one label a frame, ``categories=``.

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
    init : {"rigid", "random"}, default="random"
        What mean shapes begin with: the rigid shape of each category
        (:class:`~nrsfm_learn.classical.RigidFactorization`, of 500 of its frames), held for the
        first 15% of the iterations while cameras are learned; or random numbers near zero, as
        published, and in any case under perspective.
    rotation : {"6d", "log"}, default="log"
        How the network tells a camera: as two columns of the matrix, which follow it without a
        jump, or as the published axis and angle.
    in_plane : {"equivariance", "augmentation"} or None, default="equivariance"
        Whether training turns images at random in their plane; with "equivariance" the code comes
        from a copy with another turn than the camera, so that it cannot depend on it.
    hide_fraction : float, default=0.0
        Fraction of the visible keypoints that the network is not shown in training, while the loss
        counts them all.
    canonical_weight : float, default=1.0
        Weight :math:`\lambda` of the canonicalisation. 0 leaves it out ("C3DPO-base").
    n_views : int, default=4
        Random rotations :math:`V` of each shape that it has to undo.
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
        Adam, or stochastic gradient descent with momentum 0.9 and weight decay 5e-4, which is the
        published one and the default.
    learning_rate : float, default=None
        Peak step size: 1e-2, and 1e-3 with Adam and in the paper preset.
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
        Coefficients of the basis.
    basis_ : ndarray of shape (n_components, n_points, 3)
        Shape basis :math:`S`, in units in which the keypoints of each category have a mean spread
        of 1.
    mean_shape_ : ndarray of shape (n_points, 3)
        Mean shape :math:`b_S`, in the same units. Neither is centred.
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
    MultiCategoryLifter : Its successor, with non-negative codes and without the second network.

    Notes
    -----
    The result is known up to one scale for each category and up to the sign of z.

    References
    ----------
    .. [1] D. Novotny, N. Ravi, B. Graham, N. Neverova, A. Vedaldi, "C3DPO: canonical 3D pose
       networks for non-rigid structure from motion", ICCV 2019.

    Examples
    --------
    >>> from nrsfm_learn import C3DPO
    >>> from nrsfm_learn.datasets import make_low_rank
    >>> data = make_low_rank(n_frames=60, n_points=12, rank=2, random_state=0)
    >>> model = C3DPO(n_components=2, width=16, max_iter=20, random_state=0).fit(data.W)
    >>> model.transform(data.W).shape
    (60, 12, 3)
    """

    _parameter_constraints = {  # noqa: RUF012
        **BaseFactorizationLifter._parameter_constraints,
        "canonical_weight": [Interval(Real, 0, None, closed="left")],
        "n_views": [Interval(Integral, 1, None, closed="left")],
    }
    _canonicalizes = True

    def __init__(
        self,
        n_components=10,
        *,
        width=None,
        camera="orthographic",
        category_points=None,
        init="random",
        rotation="log",
        in_plane="equivariance",
        hide_fraction=0.0,
        canonical_weight=1.0,
        n_views=4,
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
        self.init = init
        self.rotation = rotation
        self.in_plane = in_plane
        self.hide_fraction = hide_fraction
        self.canonical_weight = canonical_weight
        self.n_views = n_views
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

    def _objective(self, module, *, max_iter, **settings):
        return CanonicalizationObjective(
            module, **settings, n_views=self.n_views, weight=self.canonical_weight
        )
