"""Whether the object is seen to turn, told apart from deformation as far as that can be done."""

from typing import NamedTuple

import numpy as np

from ._rigid import fit_rigid

_STEADY = 0.05
_MOST_POINTS = 60
_MOST_FRAMES = 300
_CELLS = 400
_NEAR_CELL = np.cos(np.deg2rad(15))

# Where the verdict changes; how they were chosen is in the user guide's page on the diagnosis.
SAME_VIEW = 1e-3
LITTLE_TURN, LITTLE_TYPICAL, ENOUGH_TURN, ENOUGH_TYPICAL = 40.0, 21.0, 60.0, 45.0
RIGID, RIGID_TURN, RIGID_NO_TURN = 0.98, 15.0, 5.0
CLEAR_TURNING, CLEAR_RATIO, FIXED_LENGTHS = 0.85, 0.8, 0.15
# With five visible points a frame a pose begins to be more than a fit.
ENOUGH_SPARE = 0.6
# The worse turning does against two modes of deformation, the more it must explain.
ENOUGH_TURNING = ((1.0, 0.5), (1.1, 0.65), (1.75, 0.79))


class Motion(NamedTuple):
    """How the view changes; the fields are those of :class:`Diagnosis`.

    Attributes
    ----------
    view_change, turning, deformation_ratio, fixed_lengths : float
    angular_spread, typical_angle, sphere_coverage, third_singular_ratio : float
    flatness : float
        Smallest over middle singular value of the rigid body: 0 for a plane.
    spare : float
        Degrees of freedom left by the rigid body over those left by a fixed view.
    fit : RigidFit
        The probe.
    """

    view_change: float
    turning: float
    deformation_ratio: float
    fixed_lengths: float
    angular_spread: float
    typical_angle: float
    sphere_coverage: float
    third_singular_ratio: float
    flatness: float
    spare: float
    fit: NamedTuple


def measure_motion(completed, visible, rng):
    """Measure how much the view changes.

    Parameters
    ----------
    completed : ndarray of shape (n_frames, n_points, 2)
        Centred keypoints, hidden ones filled in.
    visible : ndarray of bool of shape (n_frames, n_points)
        Which were seen.
    rng : numpy.random.RandomState
        Chooses frames and points where there are many.

    Returns
    -------
    Motion
    """
    z = completed[..., 0] + 1j * completed[..., 1]
    energy = np.square(np.abs(z)).sum()
    # In-plane rotation and scale multiply a frame by one complex number, so that a view that
    # never changes has complex rank one.
    left, values, right = np.linalg.svd(z, full_matrices=False)
    view_change = max(1 - values[0] ** 2 / energy, 0.0)
    phase = np.conj(_unit(left[:, :1]))
    change = (z - values[0] * left[:, :1] * right[:1]) * phase
    modes = np.square(
        np.linalg.svd(np.concatenate([change.real, change.imag], 1), compute_uv=False)
    )
    two_modes = max(view_change - modes[:2].sum() / energy, 0.0)

    fit = fit_rigid(completed, visible)
    unexplained = np.square(fit.residuals).sum() / np.square(completed)[visible].sum()
    spare_rigid, spare_view = _spare(visible, 6, 3), _spare(visible, 4, 2)
    # Per number that could still vary, as in an adjusted R^2: few points fit any pose.
    left_over = unexplained / spare_rigid * spare_view if spare_rigid > 0 else np.inf
    directions = fit.rotations[:, 2]
    cosines = (directions @ directions.T)[np.triu_indices(len(directions), 1)]
    angles = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
    stabilised = z / np.where(np.abs(left[:, :1]) > 1e-9, left[:, :1], np.inf)
    real = np.concatenate([stabilised.real, stabilised.imag])
    singular = np.linalg.svd(real, compute_uv=False)
    body = np.linalg.svd(fit.shape, compute_uv=False)
    tiny = np.finfo(float).eps
    return Motion(
        view_change=float(view_change),
        turning=float(np.clip(1 - left_over / max(view_change, tiny), 0, 1)),
        deformation_ratio=float(unexplained / max(two_modes, tiny)),
        fixed_lengths=measure_fixed_lengths(z * phase, rng),
        angular_spread=float(np.percentile(angles, 90)),
        typical_angle=float(np.percentile(angles, 50)),
        sphere_coverage=_sphere_coverage(directions),
        third_singular_ratio=float(singular[2] / max(singular[1], tiny)),
        flatness=float(body[2] / max(body[1], tiny)),
        spare=float(max(spare_rigid, 0) / max(spare_view, 1)),
        fit=fit,
    )


def measure_fixed_lengths(z, rng):
    """Part of the points with a partner at constant image distance across the common axis.

    A body that turns about an axis keeps the image length of what is parallel to that axis only; a
    body that does not turn keeps that of its rigid parts whatever their direction.

    Parameters
    ----------
    z : ndarray of complex of shape (n_frames, n_points)
        Centred points, in-plane rotation removed.
    rng : numpy.random.RandomState
        Chooses frames and points where there are many.

    Returns
    -------
    float
        Between 0 and 1.
    """
    if len(z) > _MOST_FRAMES:
        z = z[np.sort(rng.choice(len(z), _MOST_FRAMES, replace=False))]
    if z.shape[1] > _MOST_POINTS:
        z = z[:, np.sort(rng.choice(z.shape[1], _MOST_POINTS, replace=False))]
    i, j = np.triu_indices(z.shape[1], 1)
    pairs = z[:, i] - z[:, j]
    lengths = np.abs(pairs)
    # The direction and relative length of very short pairs is noise.
    long = lengths.mean(0) > 0.1 * np.sqrt(np.square(np.abs(z)).mean())
    i, j, pairs, lengths = i[long], j[long], pairs[:, long], lengths[:, long]
    if not len(i):
        return 0.0
    logs = np.log(np.maximum(lengths, 1e-6 * lengths.mean()))
    logs -= np.median(logs, axis=0)
    # The scale of a frame is what the steadiest pairs agree on.
    scale = np.zeros((len(z), 1))
    for _ in range(5):
        spread = np.median(np.abs(logs - scale), axis=0)
        steadiest = np.argsort(spread)[: max(5, len(spread) // 10)]
        scale = np.median(logs[:, steadiest], axis=1, keepdims=True)
    steady = np.sqrt(np.square(np.clip(logs - scale, -1, 1)).mean(0)) < _STEADY
    if not steady.any():
        return 0.0
    # Squared unit vectors are directions without a sense; their mean is the axis of a frame.
    doubled = np.square(_unit(pairs[:, steady]))
    axis = _unit(doubled.mean(1, keepdims=True))
    across = ((doubled * np.conj(axis)).real < 0).mean(0) > 0.3
    points = np.union1d(i[steady][across], j[steady][across])
    return len(points) / z.shape[1]


def verdict(motion):
    """Say whether depth can be reconstructed: True, False or None, and in one word why.

    Parameters
    ----------
    motion : Motion
        What was measured.

    Returns
    -------
    reconstructible : bool or None
    why : {"same view", "rigid", "few points", "turns", "fixed lengths", "little", "unclear"}
    """
    m = motion
    if m.view_change < SAME_VIEW and m.angular_spread < RIGID_TURN:
        return (None if m.angular_spread >= RIGID_NO_TURN else False), "same view"
    if m.turning >= RIGID and m.angular_spread >= RIGID_TURN:
        return True, "rigid"
    wide = m.angular_spread >= ENOUGH_TURN and m.typical_angle >= ENOUGH_TYPICAL
    clear = m.turning >= CLEAR_TURNING and m.deformation_ratio < CLEAR_RATIO
    steady = m.fixed_lengths >= FIXED_LENGTHS
    better = any(m.deformation_ratio < r and m.turning >= t for r, t in ENOUGH_TURNING)
    if m.spare < ENOUGH_SPARE:
        return None, "few points"
    if wide and better and (clear or not steady):
        return True, "turns"
    if steady and not clear:
        return False, "fixed lengths"
    rarely = m.typical_angle < LITTLE_TYPICAL and m.angular_spread < ENOUGH_TURN
    if m.angular_spread < LITTLE_TURN or rarely:
        return False, "little"
    return None, "unclear"


def _spare(visible, per_frame, per_point):
    """Observations less parameters."""
    n_frames, n_points = visible.shape
    return 2 * visible.sum() - per_frame * n_frames - per_point * n_points


def _unit(z):
    return z / np.maximum(np.abs(z), np.finfo(float).tiny)


def _sphere_coverage(directions):
    """Part of evenly spread directions that lie near one that was seen."""
    k = np.arange(_CELLS) + 0.5
    height, angle = 1 - 2 * k / _CELLS, np.pi * (1 + np.sqrt(5)) * k
    radius = np.sqrt(1 - height**2)
    cells = np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1)
    return float(((cells @ directions.T).max(1) > _NEAR_CELL).mean())
