"""EM-PPCA: shapes as draws from a Gaussian."""

import torch
from sklearn.utils._param_validation import StrOptions

from ..base import NRSfMTags
from ._base import BaseClassicalNRSfM, Solution
from ._basis_lift import ShapeBasis, strided
from ._em_ppca_solver import solve_em_ppca
from ._first_shapes import first_shapes

# Iterations with which a number of bases is tried: large ones are slow to settle.
_TRIAL_ITERATIONS = 300


class EMPPCA(BaseClassicalNRSfM):
    r"""EM-PPCA (EM-SfM): shapes as draws from a Gaussian that is learned with the cameras.

    .. math::

        w_{tp} = c_t R_t \Bigl( \bar s_p + \sum_k z_{tk} V_{kp} \Bigr) + d_t + n_{tp}, \qquad
        z_t \sim N(0, I), \quad n_{tp} \sim N(0, \sigma^2 I / m_{tp})

    The codes z are integrated out: expectation maximisation never lowers the likelihood of the
    visible keypoints. With dynamics :math:`z_t = \Phi z_{t-1} + v_t`, and the expectation is a
    Kalman smoother.

    Parameters
    ----------
    n_bases : int or "auto", default="auto"
        Deformations K, the mean not counted. 3 K must be less than the number of points.
        "auto": the number that best predicts withheld keypoints and keeps neighbours at constant
        distances.
    camera : {"orthographic", "weak_perspective"}, default="orthographic"
        One scale for all frames, or one a frame.
    dynamics : bool, default=False
        Whether the codes of the frames of a clip follow linear dynamics.
    init : {"nuclear_norm", "rigid"}, default="nuclear_norm"
        Where to begin: shapes of least nuclear norm with the rotations of :class:`BMM`; or, as
        published, a rigid shape, from which the cameras of bodies that bend are rarely found.
    max_iter : int, default=1000
        Most iterations.
    tol : float, default=1e-4
        Rise of the log-likelihood for each visible coordinate at which to stop.
    device : {"auto", "cpu", "cuda"} or torch.device, default="auto"
        Where to compute.
    random_state : int, RandomState instance or None, default=0
        Seed of what is withheld, for "auto" and to complete ``W`` for the start, and of
        deformations that the start lacks.

    Attributes
    ----------
    reconstruction_ : ndarray of shape (n_frames, n_points, 3)
        Camera-frame points of the fitted frames, in units of ``W``.
    shapes_, rotations_, translations_, scales_ : ndarray
        Shape in the common frame, rotation, translation and scale of each frame.
    mean_shape_, basis_ : ndarray
        Mean shape and deformations, a standard deviation each, in units of ``W``.
    codes_ : ndarray of shape (n_frames, n_bases)
        Means of the codes, given the keypoints.
    noise_ : float
        Standard deviation of a coordinate of a keypoint, in units of ``W``.
    n_bases_ : int
        Number of bases.
    n_bases_trials_ : ndarray of shape (n_trials, 3)
        Number of bases, error of withheld keypoints over that of the centroid, and variation of
        neighbour distances of each trial; empty if the number was given.
    loss_curve_ : ndarray of shape (n_iter,)
        Negative log-likelihood for each visible coordinate.
    n_iter_, converged_ : int, bool
        Iterations; whether ``tol`` was met.
    candidate_shapes_, frame_keys_ : ndarray
        What unseen frames are lifted with beside the basis, and fitted ones known by.
    n_points_in_ : int
        Number of points.

    See Also
    --------
    BMM : The start.

    Notes
    -----
    Missing keypoints are native, and weights are precisions. Unseen frames are lifted by the camera
    and code of highest posterior probability. The likelihood has many maxima, which differ in
    depth: what the start has wrong mostly stays wrong. An iteration takes :math:`O(F P K^2 + P
    K^3)`, linear in frames and points.

    References
    ----------
    .. [1] L. Torresani, A. Hertzmann, C. Bregler, "Nonrigid structure-from-motion: estimating shape
       and motion with hierarchical priors", IEEE TPAMI 30(5), 2008.

    Examples
    --------
    >>> from nrsfm_learn import EMPPCA
    >>> from nrsfm_learn.datasets import make_low_rank
    >>> data = make_low_rank(n_frames=60, n_points=16, rank=2, random_state=0)
    >>> EMPPCA(n_bases=2, tol=1e-3).fit_transform(data.W).shape
    (60, 16, 3)
    """

    # The prior of the codes holds the depth.
    _finest_error = 0.003

    _parameter_constraints = {  # noqa: RUF012
        **BaseClassicalNRSfM._parameter_constraints,
        "camera": [StrOptions({"orthographic", "weak_perspective"})],
        "dynamics": ["boolean"],
        "init": [StrOptions({"nuclear_norm", "rigid"})],
    }

    def __init__(
        self,
        n_bases="auto",
        *,
        camera="orthographic",
        dynamics=False,
        init="nuclear_norm",
        max_iter=1000,
        tol=1e-4,
        device="auto",
        random_state=0,
    ):
        self.n_bases = n_bases
        self.camera = camera
        self.dynamics = dynamics
        self.init = init
        self.max_iter = max_iter
        self.tol = tol
        self.device = device
        self.random_state = random_state

    def _nrsfm_tags(self):
        return NRSfMTags(stochastic=False, temporal=self.dynamics)

    @property
    def _lifts_scale(self):
        return self.camera == "weak_perspective"

    def _candidates(self, tracks):
        # The mean is no basis here: one deformation is not a rigid shape.
        return sorted({1, *super()._candidates(tracks)})

    def _start(self, tracks, completed, generator):
        return first_shapes(tracks, completed, self.init, generator)

    def _attempt(self, tracks, start, n_bases, generator):
        n_iter = min(self.max_iter, _TRIAL_ITERATIONS)
        solution = self._run(tracks, start, n_bases, generator, n_iter)
        return solution.keypoints, solution.shapes

    def _solve(self, tracks, start, n_bases, generator):
        return self._run(tracks, start, n_bases, generator, self.max_iter)

    def _run(self, tracks, start, n_bases, generator, max_iter):
        shapes, rotations = start
        clips = torch.zeros(len(shapes), dtype=torch.long, device=shapes.device)
        for number, clip in enumerate(tracks.clips):
            clips[clip] = number
        fit = solve_em_ppca(
            tracks.points,
            tracks.weights,
            n_bases,
            shapes=shapes,
            rotations=rotations,
            scale=self._lifts_scale,
            dynamics=self.dynamics,
            clips=clips,
            max_iter=max_iter,
            tol=self.tol,
            generator=generator,
        )
        n_coordinates = 2 * int(tracks.seen.sum())
        basis = fit.basis - fit.basis.mean(1, keepdim=True)
        shapes = fit.mean + torch.einsum("fk,kpi->fpi", fit.codes, fit.basis)
        centred = shapes - shapes.mean(1, keepdim=True)
        return Solution(
            shapes,
            fit.rotations,
            fit.scales,
            fit.translations,
            [-value / n_coordinates for value in fit.log_likelihood],
            fit.n_iter,
            fit.converged,
            ShapeBasis(fit.mean, basis, fit.noise_variance**0.5, strided(fit.mean, centred)),
            fit.codes,
        )
