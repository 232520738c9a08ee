"""A diffusion model of poses given their keypoints, as an estimator."""

import functools
import itertools
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from .._persistence import PersistenceMixin
from .._torch import draw_seed, make_generator, resolve_device, to_numpy, to_tensor
from .._training import TrainingOptions, train, verbose_progress
from .._validation import check_n_points, check_shapes_3d, check_W
from ..preprocessing import center_on_visible, keypoint_scale
from ._denoiser import Denoiser
from ._denoising import VIEWS, DenoisingObjective, centered, denoising_error, gaussian
from ._schedules import SCHEDULES, reverse_step


class DiffusionPosePrior(PersistenceMixin, BaseEstimator):
    r"""What poses look like, given their keypoints: a diffusion model trained on 3-D shapes.

    A network predicts the clean shape from a noisy one, the keypoints and the noise level,

    .. math::
        \min_\omega \; \mathbb E_{y_0, t, \epsilon}
        \bigl\| y_0 - g_\omega(y_t, W, t) \bigr\|^2,
        \qquad y_t = \sqrt{\bar\alpha_t}\, y_0 + \sqrt{1 - \bar\alpha_t}\, \epsilon

    (eq. 5 of [1]_), with :math:`y_0` the shape in the camera frame, centred. As a loss, the same
    expectation is taken at the shape that a method predicts (eq. 10).

    **A method with this prior is not unsupervised.** The prior is fitted to 3-D ground truth, of
    whomever: what it knows of depth it was told. Report results with it beside those without it,
    and say whose 3-D it saw.

    Parameters
    ----------
    n_steps : int, default=1000
        Noise levels :math:`T`.
    schedule : {"cosine", "linear"}, default="cosine"
        How the signal falls: :func:`~nrsfm_learn.priors.cosine_schedule` or
        :func:`~nrsfm_learn.priors.linear_schedule`.
    views : {"given", "vertical", "any"}, default="given"
        From where training sees the shapes: as they were given; turned at random about the vertical
        axis of the image, for upright objects in front of an upright camera; or from anywhere. The
        latter two need ``W=None``.
    hide_fraction : float, default=0.1
        Fraction of the keypoints hidden from the network in training, so that it knows frames with
        some missing.
    width : int, default=512
        Features of the network.
    n_blocks : int, default=3
        Its residual layers.
    max_iter : int, default=5000
        Optimiser steps.
    batch_size : int, default=256
        Shapes drawn for each.
    learning_rate : float, default=1e-3
        Peak step size of Adam, with cosine decay.
    device : {"auto", "cpu", "cuda"} or torch.device, default="auto"
        Where to compute.
    random_state : int, RandomState or None, default=None
        Seed of parameters, batches, views and noise.
    verbose : bool or int, default=False
        Print the loss about ten times.

    Attributes
    ----------
    scale_ : float
        Mean spread of the keypoints of a frame, in the units of ``fit``; what the network sees is
        divided by it.
    loss_curve_ : ndarray of shape (n_iterations,)
        Objective at each iteration, in units of ``scale_`` squared.
    n_iter_ : int
        Iterations done.
    stop_reason_ : {"max_iter", "interrupted", "deadline"}
        Why training ended.
    module_ : torch.nn.Module
        The network.
    n_points_in_ : int
        Points of a shape.

    See Also
    --------
    nrsfm_learn.deep.NRSfMFormer : Takes a fitted prior.

    Notes
    -----
    Frames are taken one by one; the paper's prior, a transformer, sees sequences. Errors are means
    over points, so that weights do not depend on how many there are.

    References
    ----------
    .. [1] H. Ji, H. Deng, Y. Dai, H. Li, "Unsupervised 3D pose estimation with non-rigid
       structure-from-motion modeling", WACV 2024, section 3.3.

    Examples
    --------
    >>> from nrsfm_learn.datasets import make_articulated_body
    >>> from nrsfm_learn.priors import DiffusionPosePrior
    >>> data = make_articulated_body(60, random_state=0)
    >>> prior = DiffusionPosePrior(width=32, max_iter=20, random_state=0).fit(data.X)
    >>> prior.sample(data.W[:5], random_state=0).shape == data.X[:5].shape
    True
    """

    _parameter_constraints = {  # noqa: RUF012
        "n_steps": [Interval(Integral, 1, None, closed="left")],
        "schedule": [StrOptions(set(SCHEDULES))],
        "views": [StrOptions(set(VIEWS))],
        "hide_fraction": [Interval(Real, 0, 1, closed="left")],
        "width": [Interval(Integral, 1, None, closed="left")],
        "n_blocks": [Interval(Integral, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "device": "no_validation",
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }
    _has_starts = False

    def __init__(
        self,
        *,
        n_steps=1000,
        schedule="cosine",
        views="given",
        hide_fraction=0.1,
        width=512,
        n_blocks=3,
        max_iter=5000,
        batch_size=256,
        learning_rate=1e-3,
        device="auto",
        random_state=None,
        verbose=False,
    ):
        self.n_steps = n_steps
        self.schedule = schedule
        self.views = views
        self.hide_fraction = hide_fraction
        self.width = width
        self.n_blocks = n_blocks
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, W=None, mask=None):
        """Train on 3-D shapes.

        Parameters
        ----------
        X : array-like of shape (n_frames, n_points, 3)
            Shapes in the camera frame (x right, y down, z away from the camera), any units; their
            position does not matter.
        W : array-like of shape (n_frames, n_points, 2), optional
            Their keypoints in the same units, NaN where missing. By default the first two
            coordinates of ``X``: what a parallel camera sees.
        mask : array-like of bool of shape (n_frames, n_points), optional
            True where a keypoint is visible.

        Returns
        -------
        self : DiffusionPosePrior
            The fitted prior.

        Raises
        ------
        ValueError, TypeError
            If an argument is malformed, or ``views`` turns shapes whose keypoints are given.
        TrainingError
            If the gradient stays not finite.
        """
        X = check_shapes_3d(X)
        unknown = np.isnan(X).any(axis=(1, 2))
        if unknown.any():
            raise ValueError(
                f"X has unknown points (NaN), the first in frame {int(np.argmax(unknown))}: the "
                f"prior is trained on whole shapes. Leave out these frames: "
                f"X[~np.isnan(X).any(axis=(1, 2))]."
            )
        if W is not None and self.views != "given":
            raise ValueError(
                f"views={self.views!r} turns the shapes, and the keypoints of turned shapes are "
                f"not those in W: leave W out, or set views='given'."
            )
        W = X[..., :2] if W is None else W
        W, visible = check_W(W, mask, n_points=X.shape[1], estimator_name=type(self).__name__)
        if len(W) != len(X):
            raise ValueError(f"W has {len(W)} frames, X has {len(X)}: they must be the same ones.")
        points, _ = center_on_visible(W, visible)
        device = resolve_device(self.device)
        seed = draw_seed(self.random_state)
        generator = make_generator(seed, device)
        self.n_points_in_ = X.shape[1]
        self.scale_ = float(keypoint_scale(points, visible, "dataset"))
        self.module_ = self._build_module(seed).to(device)
        objective = DenoisingObjective(
            self.module_,
            to_tensor((X - X.mean(1, keepdims=True)) / self.scale_, device),
            to_tensor(np.where(visible[..., None], points, 0) / self.scale_, device),
            to_tensor(visible.astype(np.float32), device),
            SCHEDULES[self.schedule](self.n_steps, dtype=torch.float32, device=device),
            generator=generator,
            views=self.views,
            hide_fraction=self.hide_fraction,
        )
        print_line = verbose_progress(type(self).__name__) if self.verbose else None
        result = train(
            self.module_,
            objective,
            len(X),
            TrainingOptions(
                self.max_iter, batch_size=self.batch_size, learning_rate=self.learning_rate
            ),
            generator=generator,
            progress=None if print_line is None else lambda *done: print_line(*done),
        )
        self.loss_curve_ = result.loss_curve.numpy()
        self.n_iter_ = result.n_iter
        self.stop_reason_ = result.stop_reason
        return self

    def loss(self, shapes, W, visible=None, *, scale=None, generator=None):
        r"""Return how far the shapes are from what the prior makes of them (eq. 10 of the paper).

        .. math:: \mathbb E_{t, \epsilon} \, \frac{1}{FP} \sum_f
                  \bigl\| y_f - g_\omega(y_{f,t}, W_f, t) \bigr\|_F^2

        with one :math:`t` and one :math:`\epsilon` drawn for each frame. Gradients flow to the
        shapes, through :math:`g_\omega` too; the parameters :math:`\omega` get none.

        Parameters
        ----------
        shapes : Tensor of shape (n_frames, n_points, 3)
            Shapes in the camera frame; their position does not matter.
        W : Tensor of shape (n_frames, n_points, 2)
            Their keypoints; what stands at hidden points does not matter.
        visible : Tensor of shape (n_frames, n_points), optional
            1 or True where a keypoint is visible; by default all that are not NaN.
        scale : float, optional
            Length, in the units of ``shapes`` and ``W``, of what ``scale_`` is in those of
            ``fit``: the mean spread of their keypoints. By default the units are those of ``fit``.
        generator : torch.Generator, optional
            Draws steps and noise, on the device of ``shapes``.

        Returns
        -------
        Tensor
            A scalar, in units of ``scale`` squared.

        Raises
        ------
        ValueError
            If sizes differ from each other or from those of ``fit``.
        """
        check_is_fitted(self)
        expected = (len(shapes), self.n_points_in_)
        for name, tensor, tail in (("shapes", shapes, (3,)), ("W", W, (2,))):
            if tuple(tensor.shape) != expected + tail:
                raise ValueError(
                    f"{name} must have shape (n_frames, n_points, {tail[0]}) = {expected + tail}, "
                    f"got {tuple(tensor.shape)}; n_points is that of fit."
                )
        if visible is None:
            visible = ~W.isnan().any(-1)
        if tuple(visible.shape) != expected:
            raise ValueError(f"visible must have shape {expected}, got {tuple(visible.shape)}.")
        scale = self.scale_ if scale is None else scale
        shapes = (shapes - shapes.mean(-2, keepdim=True)) / scale
        points, visible = centered(W / scale, visible.to(shapes))
        # The parameters as constants, in the precision and on the device of the shapes.
        parameters = {k: p.detach().to(shapes) for k, p in self.module_.named_parameters()}
        denoise = functools.partial(torch.func.functional_call, self.module_, parameters)
        return denoising_error(
            lambda *told: denoise(told), shapes, points, visible, self._signal(shapes), generator
        )

    @torch.no_grad()
    def sample(self, W, mask=None, *, scale=None, n_steps=50, random_state=None):
        """Draw shapes that the prior takes for possible, given their keypoints.

        Parameters
        ----------
        W : array-like of shape (n_frames, n_points, 2)
            Keypoints, NaN where missing.
        mask : array-like of bool of shape (n_frames, n_points), optional
            True where a keypoint is visible.
        scale : float, optional
            As of :meth:`loss`.
        n_steps : int, default=50
            Noise levels gone through; at most those of the model.
        random_state : int, RandomState or None, default=None
            Seed: draw again with another one for another sample.

        Returns
        -------
        ndarray of shape (n_frames, n_points, 3)
            One shape for each frame, centred, in the units of ``W``. Visible points are where the
            prior puts them, not where they were seen.

        Raises
        ------
        ValueError, TypeError
            If an argument is malformed.
        """
        check_is_fitted(self)
        if not isinstance(n_steps, Integral) or n_steps < 1:
            raise ValueError(f"n_steps must be a positive integer, got {n_steps!r}.")
        W, visible = check_W(
            W, mask, n_points=self.n_points_in_, estimator_name=type(self).__name__
        )
        check_n_points(W, self.n_points_in_, "W", type(self).__name__)
        scale = self.scale_ if scale is None else scale
        module = self.module_.eval()
        device = next(module.parameters()).device
        generator = make_generator(draw_seed(random_state), device)
        points = to_tensor(np.where(visible[..., None], W / scale, 0), device)
        points, shown = centered(points, to_tensor(visible.astype(np.float32), device))
        signal = self._signal(points)
        steps = torch.linspace(self.n_steps, 0, min(n_steps, self.n_steps) + 1).round().long()
        y = gaussian((*W.shape[:2], 3), generator, points)
        for step, following in itertools.pairwise(steps):
            level = torch.full((len(y),), step / self.n_steps, device=device)
            clean = module(y, points, shown, level)
            noise = gaussian(y.shape, generator, y)
            y = reverse_step(y, clean, signal[step], signal[following], noise=noise)
        return scale * to_numpy(y).astype(W.dtype)

    def _signal(self, like):
        schedule = SCHEDULES[self.schedule]
        return schedule(self.n_steps, dtype=like.dtype, device=like.device)

    def _build_module(self, seed=0):
        generator = torch.Generator().manual_seed(seed)
        return Denoiser(self.n_points_in_, self.width, self.n_blocks, generator)

    def _array_shapes(self):
        return {}
