"""What the classical estimators share: units, seeds, the number of bases, unseen frames."""

import warnings
from numbers import Integral, Real
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions

from .._frame_keys import frame_keys, match_keys
from .._torch import draw_seed, make_generator, resolve_device, to_numpy
from .._warnings import caller_stacklevel
from ..base import BaseNRSfM, NRSfMTags, Reconstruction
from ._basis_lift import ShapeBasis, learn_basis, lift_with_basis
from ._completion import complete_tracks
from ._metric_upgrade import largest_n_bases
from ._n_bases import choose_n_bases
from ._tracks import tracks_of

# Numbers of bases that "auto" tries, as far as the points and frames allow. One is a rigid shape,
# of which further bases take what they need.
_CANDIDATES = (2, 3, 4, 5, 6, 8, 10, 12)
# Depth over extent that is rounding.
_FLAT = 1e-9
# Depth over width at which shapes are not believed.
_DEEPEST = 3.0
# Least noise of a keypoint about the model, in units of their size: a perfect fit trusts itself.
_LEAST_NOISE = 1e-3
# Components of the shapes that the lifter of unseen frames may use, per basis of the fit.
_COMPONENTS = 2


class Solution(NamedTuple):
    """What every solver finds, in the units of its tracks.

    Attributes
    ----------
    shapes : Tensor of shape (n_frames, n_points, 3)
        In the common frame.
    rotations : Tensor of shape (n_frames, 3, 3)
        Act on column vectors.
    scales : Tensor of shape (n_frames,)
        One a frame; all 1 under an orthographic camera.
    offsets : Tensor of shape (n_frames, 2)
        Where the origin of the shapes projects to.
    curve : list of float
        The objective, an entry an iteration.
    n_iter : int
        Iterations.
    converged : bool
        Whether the tolerance was met.
    basis : ShapeBasis or None
        What unseen frames are lifted with; found from the shapes if None.
    codes : Tensor of shape (n_frames, n_codes) or None
        Coefficients of each frame.
    """

    shapes: torch.Tensor
    rotations: torch.Tensor
    scales: torch.Tensor
    offsets: torch.Tensor
    curve: list
    n_iter: int
    converged: bool
    basis: ShapeBasis | None = None
    codes: torch.Tensor | None = None

    @property
    def keypoints(self):
        """Projected shapes (n_frames, n_points, 2), with their translation."""
        posed = (self.shapes @ self.rotations.mT)[..., :2]
        return self.scales[:, None, None] * posed + self.offsets[:, None]


class BaseClassicalNRSfM(BaseNRSfM):
    """Base class of the methods that factorise; see :class:`nrsfm_learn.base.BaseNRSfM`.

    A method gives ``_solve(tracks, start, n_bases, generator) -> Solution``, and has
    ``n_bases`` (unless it needs none), ``device`` and ``random_state`` among its parameters. After
    fit it has ``n_bases_``, ``n_bases_trials_``, ``loss_curve_``, ``n_iter_`` and ``converged_``;
    inductive methods ``mean_shape_`` and ``basis_``, too.
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_bases": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "device": "no_validation",
        "random_state": ["random_state"],
    }

    _min_visible = 3
    _min_frames = 3
    # Points without which there is no rank to speak of.
    _min_points = 4
    # Error of withheld keypoints below which numbers of bases are not told apart: finer than that,
    # further bases explain noise by depth.
    _finest_error = 0.01
    # Whether each unseen frame has a scale of its own.
    _lifts_scale = False

    def _nrsfm_tags(self):
        return NRSfMTags(stochastic=False)

    def _start(self, tracks, completed, generator):
        """Return what a solution starts from, whatever its number of bases: the completed
        keypoints, unless a method says otherwise.
        """
        return completed

    def _solve(self, tracks, start, n_bases, generator):
        """Return the :class:`Solution` of tracks."""
        raise NotImplementedError

    def _attempt(self, tracks, start, n_bases, generator):
        """Return keypoints (n_frames, n_points, 2) and shapes (n_frames, n_points, 3) of a model
        with so many bases.
        """
        solution = self._solve(tracks, start, n_bases, generator)
        return solution.keypoints, solution.shapes

    def _n_components(self):
        """Return how many components of the fitted shapes may lift unseen frames."""
        return _COMPONENTS * self.n_bases_

    def _candidates(self, tracks):
        """Return the numbers of bases to choose from, ascending."""
        most = self._largest(tracks)
        return [k for k in _CANDIDATES if k <= most] or [1]

    def _fit(self, observations):
        device = resolve_device(self.device)
        generator = make_generator(draw_seed(self.random_state), device)
        n_points = observations.visible.shape[1]
        name = type(self).__name__
        if n_points < self._min_points:
            raise ValueError(
                f"W has {n_points} points; {name} needs at least {self._min_points} to tell depth "
                f"from noise."
            )
        tracks = tracks_of(observations, device)
        with torch.no_grad():
            n_bases, trials = self._resolve_n_bases(tracks, generator)
            solution = self._solve(tracks, self._begin(tracks, generator), n_bases, generator)
            solution = _settle_depth(solution)
        fewer = "use fewer bases, " if hasattr(self, "n_bases") else ""
        if not torch.isfinite(solution.shapes).all():
            raise ValueError(
                f"{name} found no finite shapes: {fewer}look at W with nrsfm_learn.diagnose."
            )
        if not solution.converged:
            warnings.warn(
                f"{name} stopped after {solution.n_iter} iterations before it converged to "
                f"tol={self.tol}: {fewer}raise max_iter or tol.",
                ConvergenceWarning,
                stacklevel=caller_stacklevel(),
            )
        _check_depth(solution, name, fewer)
        if hasattr(self, "n_bases"):
            self.n_bases_, self.n_bases_trials_ = n_bases, trials
        self.loss_curve_ = np.asarray(solution.curve, dtype=float)
        self.n_iter_, self.converged_ = solution.n_iter, solution.converged
        return self._remember(observations, tracks, solution)

    def _begin(self, tracks, generator):
        return self._start(tracks, complete_tracks(tracks, generator).points, generator)

    def _resolve_n_bases(self, tracks, generator):
        """Return the number of bases, and the trials it was chosen by."""
        n_bases = getattr(self, "n_bases", 1)
        if n_bases != "auto":
            most = self._largest(tracks)
            if n_bases > most:
                n_frames, n_points, _ = tracks.points.shape
                raise ValueError(
                    f"n_bases={n_bases} asks for more than {n_frames} frames of {n_points} points "
                    f"determine: use at most {most}, or 'auto'."
                )
            return n_bases, np.empty((0, 3))

        n_bases, trials = choose_n_bases(
            self._candidates(tracks),
            self._begin,
            self._attempt,
            tracks,
            generator,
            finest=self._finest_error,
        )
        return n_bases, np.array([(k, *trial) for k, trial in trials.items()]).reshape(-1, 3)

    def _largest(self, tracks):
        """Return the largest number of bases that the data determine."""
        return largest_n_bases(*tracks.weights.shape)

    def _remember(self, observations, tracks, solution):
        """Set what unseen frames need; return the reconstruction in the units of ``W``."""
        size, dtype = tracks.size, observations.W.dtype
        mean = solution.shapes.mean(1, keepdim=True)
        shapes = solution.shapes - mean
        shift = (solution.rotations @ mean.mT).squeeze(-1) * solution.scales[:, None]
        codes, basis = solution.codes, solution.basis
        if self._nrsfm_tags().inductive:
            if basis is None:
                basis, codes = learn_basis(shapes, self._n_components(), _noise(tracks, solution))
            self.mean_shape_ = to_numpy(size * basis.mean)
            self.basis_ = to_numpy(size * basis.basis)
            self.noise_ = size * basis.noise
            self.candidate_shapes_ = to_numpy(size * basis.candidates)
            self.frame_keys_ = frame_keys(observations)
        flat = torch.zeros_like(shift[:, :1])
        translations = tracks.centers + size * (solution.offsets + shift[:, :2])
        return _reconstruction(
            size * shapes,
            solution.rotations,
            torch.cat([translations, flat], dim=1),
            solution.scales,
            codes,
            dtype,
        )

    def _lift(self, observations):
        row, known = match_keys(frame_keys(observations), self.frame_keys_)
        remembered = np.isfinite(self.reconstruction_).all((1, 2))
        row = np.flatnonzero(remembered)[row]
        names = ("reconstruction_", "shapes_", "rotations_", "translations_", "scales_", "codes_")
        dtype = observations.W.dtype
        fields = [getattr(self, name)[row].astype(dtype) for name in names]
        if not known.all():
            others = self._lift_unseen(observations.take(~known))
            for field, new in zip(fields, others, strict=True):
                field[~known] = new
        return Reconstruction(*fields)

    def _lift_with(self, tracks, model):
        """Return the :class:`BasisLift` of unseen frames."""
        return lift_with_basis(tracks.points, tracks.weights, model, scale=self._lifts_scale)

    @torch.no_grad()
    def _lift_unseen(self, observations):
        device = resolve_device(self.device)
        size = float(np.abs(self.mean_shape_).max()) or 1.0
        tracks = tracks_of(observations, device, size)

        def tensor(array):
            return torch.as_tensor(np.asarray(array, float) / size, device=device)

        model = ShapeBasis(
            tensor(self.mean_shape_),
            tensor(self.basis_),
            self.noise_ / size,
            tensor(self.candidate_shapes_),
        )
        lift = self._lift_with(tracks, model)
        translations = tracks.centers + size * lift.offsets
        flat = torch.zeros_like(translations[:, :1])
        return _reconstruction(
            size * lift.shapes,
            lift.rotations,
            torch.cat([translations, flat], dim=1),
            lift.scales,
            lift.codes,
            observations.W.dtype,
        )


def _settle_depth(solution):
    """Choose between a solution and its mirror image: the point farthest from the image plane
    through its frame's centre lies behind it.

    Both are equally good; rounding must not decide between them.
    """
    mean = solution.shapes.mean(1, keepdim=True)
    depth = ((solution.shapes - mean) @ solution.rotations.mT)[..., 2]
    depth = (solution.scales[:, None] * depth).flatten()
    if depth.abs().max() <= _FLAT * solution.shapes.abs().max():
        # Shapes that are flat in their own camera: the common frame decides.
        depth = (solution.shapes - mean)[..., 2].flatten()
    if depth[depth.abs().argmax()] >= 0:
        return solution
    mirror = torch.ones(3, dtype=depth.dtype, device=depth.device)
    mirror[2] = -1
    basis = solution.basis
    if basis is not None:
        basis = basis._replace(
            mean=basis.mean * mirror,
            basis=basis.basis * mirror,
            candidates=basis.candidates * mirror,
        )
    return solution._replace(
        shapes=solution.shapes * mirror,
        rotations=mirror[:, None] * solution.rotations * mirror,
        basis=basis,
    )


def _check_depth(solution, name, fewer):
    """Warn of shapes that are drawn out in depth: of a wrong answer that fits every keypoint."""
    mean = solution.shapes.mean(1, keepdim=True)
    posed = (solution.shapes - mean) @ solution.rotations.mT
    extent = posed.square().mean((0, 1)).sqrt()
    ratio = float(extent[2] / extent[:2].mean())
    if ratio > _DEEPEST:
        warnings.warn(
            f"{name} found shapes {ratio:.1f} times as deep as they are wide, which is hardly "
            f"right: a model that does not suit the object explains by depth what is left over, "
            f"and a camera that turns little leaves depth open. Ways out: {fewer}try another "
            f"method, look at W with nrsfm_learn.diagnose.",
            UserWarning,
            stacklevel=caller_stacklevel(),
        )


def _noise(tracks, solution):
    """Return the spread of the visible keypoints about the model, in units of the tracks."""
    squares = (tracks.points - solution.keypoints).square().sum(2)
    # Of a keypoint of weight 1, so that other units of the weights change nothing.
    n_seen = tracks.seen.sum()
    total = float((tracks.weights * squares).sum() / (2 * n_seen))
    return max(total**0.5, _LEAST_NOISE * float(tracks.weights.sum() / n_seen) ** 0.5)


def _reconstruction(shapes, rotations, translations, scales, codes, dtype):
    X = scales[:, None, None] * (shapes @ rotations.mT) + translations[:, None]
    fields = (X, shapes, rotations, translations, scales, codes)
    return Reconstruction(*(None if a is None else to_numpy(a).astype(dtype) for a in fields))
