"""What C3DPO and the multi-category lifter share: everything but the objective."""

import functools
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from .._torch import to_numpy, to_tensor
from ..base import NRSfMTags
from ._base import BaseDeepNRSfM
from ._categories import balanced_order, category_index, check_within, learn_categories
from ._frames import image_gain, normalize_frames
from ._place import place
from ._presets import PRESETS, factorization_preset
from ._rigid_start import rigid_shapes
from .nn import FactorizationNetwork

# Part of the iterations in which a network that begins with rigid shapes learns cameras only: with
# cameras that are still wrong, it would lose them again.
_HOLD_PART = 0.15
CAMERAS = ("orthographic", "weak_perspective", "perspective")


class BaseFactorizationLifter(BaseDeepNRSfM):
    """Base class of lifters whose network tells a frame's camera and its coefficients of a basis.

    A method gives ``_objective(module, ...)`` and, beside the parameters of
    :class:`BaseDeepNRSfM`, has ``n_components``, ``width``, ``camera``, ``category_points``,
    ``init``, ``rotation``, ``in_plane``, ``hide_fraction``, ``keep_observed``, ``scale_method``,
    ``optimizer`` and ``preset``.
    """

    _parameter_constraints = {  # noqa: RUF012
        **BaseDeepNRSfM._parameter_constraints,
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "width": [Interval(Integral, 4, None, closed="left"), None],
        "camera": [StrOptions(set(CAMERAS))],
        "category_points": [dict, None],
        "init": [StrOptions({"rigid", "random"})],
        "rotation": [StrOptions({"6d", "log"})],
        "in_plane": [StrOptions({"equivariance", "augmentation"}), None],
        "hide_fraction": [Interval(Real, 0, 1, closed="left")],
        "keep_observed": ["boolean"],
        "scale_method": [StrOptions({"box_max", "box_min", "spread"})],
        "batch_size": [Interval(Integral, 2, None, closed="left"), None],
        "optimizer": [StrOptions({"adam", "sgd"}), None],
        "preset": [StrOptions(set(PRESETS))],
    }

    # What ``optimizer=None`` means but in the paper preset.
    _usual_optimizer = "sgd"
    # Of the network: a ReLU around codes, and a second trunk that sees turned shapes.
    _nonnegative_codes = False
    _canonicalizes = False

    # -- what was learned
    # ------------------------------------------------------------------------------------

    @torch.no_grad()
    def decode(self, codes, category=None):
        """Return the canonical shapes of codes, read as those of a category.

        Codes of one category can be decoded as another: cars with the proportions of chairs
        (figure 2 of the publication of :class:`~nrsfm_learn.deep.MultiCategoryLifter`).

        Parameters
        ----------
        codes : array-like of shape (n_codes, n_components)
            Codes, such as those of ``codes_`` or between them.
        category : object, default=None
            One of ``categories_``; not needed if ``fit`` was given no categories.

        Returns
        -------
        ndarray of shape (n_codes, n_points, 3)
            Centred shapes in the canonical frame and units of ``shapes_``; NaN at the points of
            other categories.

        Raises
        ------
        ValueError
            If the codes are malformed, or the category is none of those of ``fit``.
        """
        check_is_fitted(self)
        codes = np.asarray(codes, float)
        if codes.ndim != 2 or codes.shape[1] != self.n_components:
            raise ValueError(
                f"codes must have shape (n_codes, {self.n_components}), the last the length of a "
                f"code of this fit; got {codes.shape}."
            )
        if not np.isfinite(codes).all():
            raise ValueError(f"codes[{np.argwhere(~np.isfinite(codes))[0][0]}] is not finite.")
        number = self._category_number(category)
        points = self.category_points_[number]
        device = next(self.module_.parameters()).device
        shapes = self.module_.decode(
            to_tensor(codes, device),
            to_tensor(np.broadcast_to(points, (len(codes), len(points))).astype(float), device),
        )
        shapes = to_numpy(shapes).astype(float) / self.gain_references_[number]
        shapes[:, ~points] = np.nan
        return shapes

    def mutual_coherence(self):
        r"""Return how much two latent directions resemble each other (table 5 of [1]_).

        .. math:: \max_{i \ne j} \frac{|w_i^\top w_j|}{\|w_i\| \|w_j\|}

        with :math:`w_d` the rows of :math:`W_g`, which read the coefficients from the features.

        Returns
        -------
        float
            Between 0 (orthogonal) and 1; 0 for a single coefficient.

        References
        ----------
        .. [1] Y. B. Can, A. Liniger, D. P. Paudel, L. Van Gool, "End-to-end learning of
           multi-category 3D pose and shape estimation", BMVC 2022, section 6.4.
        """
        check_is_fitted(self)
        rows = to_numpy(self.module_.code_head.weight).astype(float)
        rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(float).tiny)
        cosines = np.abs(rows @ rows.T)
        np.fill_diagonal(cosines, 0)
        return float(cosines.max())

    def _category_number(self, category):
        if self.categories_ is None:
            if category is None:
                return 0
            raise ValueError(
                f"category={category!r}, but fit was given no categories: leave it out."
            )
        names = np.asarray(self.categories_).tolist()
        if category not in names:
            raise ValueError(f"category must be one of {names}, those of fit; got {category!r}.")
        return names.index(category)

    def _nrsfm_tags(self):
        return NRSfMTags(perspective=self.camera == "perspective")

    # -- fitting
    # -------------------------------------------------------------------------------------

    def _fit(self, observations):
        n_frames = len(observations.W)
        preset = factorization_preset(
            self.preset, n_frames, self.optimizer or self._usual_optimizer
        )
        device, generator = self._start()
        given, observations = observations, self._unit_observations(observations)
        targets = self._targets(observations)
        names, points = learn_categories(
            observations.categories, targets.visible, self.category_points
        )
        self.categories_, self.category_points_ = names, points
        index = self._category_index(observations)
        gain = self._learn_gain(observations, index)
        self.width_ = preset.pop("width") if self.width is None else self.width
        preset.pop("width", None)
        n_init = preset.pop("n_init")
        frames, _ = normalize_frames(observations, self.camera, gain, device)
        warm = self._start_module(device)
        options = self._options(**preset)
        order = balanced_order(index, len(points))
        # Under perspective mirror images differ, and rigid shapes are known up to one each.
        rigid = self.init == "rigid" and self.camera != "perspective" and not warm
        settings = {
            "hold": int(_HOLD_PART * options.max_iter) if rigid else 0,
            "frames": frames,
            "selection": to_tensor(points[index].astype(float), device),
            "order": to_tensor(order, device),
            "generator": generator,
            "in_plane": self.in_plane,
            "hide_fraction": self.hide_fraction,
            "mirror_checks": [options.max_iter // part for part in (20, 10, 5, 2)],
        }
        if targets is not observations:
            settings["targets"], _ = normalize_frames(targets, self.camera, gain, device)
        starts = self._starts(
            self.module_,
            functools.partial(self._objective, max_iter=options.max_iter, **settings),
            self._n_starts(n_init, options.max_iter, warm=warm),
            device,
        )
        if rigid:
            scaled = self.camera == "weak_perspective"
            shapes = to_tensor(rigid_shapes(frames, index, points, scaled=scaled), device)
            for start in starts:
                start.module.begin_with_(shapes)
        result = self._train(starts, len(order), options, generator=generator, observations=given)
        for start in starts:
            start.module.held = False
        self._keep_starts(starts, result)
        self.loss_curve_ = result.loss_curve.numpy()
        self.n_iter_ = result.n_iter
        self.stop_reason_ = result.stop_reason
        basis = self.module_.basis
        self.basis_ = to_numpy(basis.weight.T.unflatten(1, (-1, 3)))
        self.mean_shape_ = to_numpy(basis.bias.unflatten(0, (-1, 3)))

    def _targets(self, observations):
        """Return the observations that the loss counts."""
        return observations

    def _objective(self, module, *, max_iter, **settings):
        """Return the objective of a module."""
        raise NotImplementedError(f"{type(self).__name__} must define _objective.")

    def _category_index(self, observations):
        index = category_index(
            observations.categories,
            self.categories_,
            len(observations.W),
            name=type(self).__name__,
        )
        check_within(observations.visible, self.category_points_, index, self.categories_)
        return index

    def _learn_gain(self, observations, index):
        """Set the constants of the gain of each category, and return the gain of each frame.

        Each category has a scale of its own, as if it were a data set of its own: metres of
        aeroplanes would leave nothing of chairs.
        """
        gain, constants, references = np.ones(len(index)), [], []
        for k in range(len(self.category_points_)):
            members = index == k
            found, constant = image_gain(observations.take(members), self.camera, self.scale_method)
            gain[members] = found
            constants.append(constant)
            references.append(np.median(found))
        self.gain_constants_ = np.array(constants, float)
        self.gain_references_ = np.array(references, float)
        return gain

    def _gain(self, observations, index):
        gain = np.ones(len(index))
        for k in np.unique(index):
            members = index == k
            gain[members], _ = image_gain(
                observations.take(members),
                self.camera,
                self.scale_method,
                self.gain_constants_[k],
            )
        return gain

    def _build_module(self, seed=0):
        return FactorizationNetwork(
            self.n_points_in_,
            self.n_components,
            width=self.width_,
            # The published proportion.
            bottleneck=self.width_ // 4,
            nonnegative=self._nonnegative_codes,
            rotation=self.rotation,
            canonicalize=self._canonicalizes,
            generator=torch.Generator().manual_seed(seed),
        )

    # -- lifting
    # ------------------------------------------------------------------------------------

    @torch.no_grad()
    def _lift(self, observations):
        unit = self._unit_observations(observations)
        index = self._category_index(unit)
        gain = self._gain(unit, index)
        device = next(self.module_.parameters()).device
        frames, centers = normalize_frames(unit, self.camera, gain, device)
        points = self.category_points_[index]
        selection = to_tensor(points.astype(float), device)
        module = self.module_
        if module.training:
            module.eval()
        features = module.features(frames.normalized(), frames.visible)
        codes, rotations = module.codes(features), module.rotations(features)
        shapes, R = (
            to_numpy(a).astype(float) for a in (module.decode(codes, selection), rotations)
        )
        X = shapes @ R.swapaxes(1, 2)
        X[~points] = np.nan
        found = place(
            X,
            R,
            frames,
            unit,
            centers=centers,
            gain=gain,
            reference=self.gain_references_[index],
            keep_observed=self.keep_observed,
        )
        return found._replace(codes=to_numpy(codes).astype(observations.W.dtype, copy=False))
