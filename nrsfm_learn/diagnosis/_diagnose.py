"""The diagnosis as a whole."""

import numpy as np
from sklearn.utils import check_random_state

from .._validation import check_groups, check_intrinsics, check_W
from ..preprocessing import pixels_to_unit_plane
from . import _findings as say
from ._entries import measure_entries
from ._low_rank import centre, complete, effective_rank, energies
from ._missing import measure_missing
from ._motion import measure_motion, verdict
from ._perspective import measure_perspective
from ._recommend import choose_camera, recommend
from ._record import SEVERITIES, Diagnosis
from ._tracks import measure_tracks

_MOST_FRAMES = 400
_MOST_POINTS = 300


def diagnose(W, mask=None, *, groups=None, intrinsics=None, names=None, random_state=0):
    """Tell from 2-D keypoints alone whether and how they can be reconstructed.

    Nothing is fitted but a rigid body, as a probe: it takes seconds, whatever the number of frames.
    Rank and rotation are measured on at most 400 frames and 300 points, drawn by `random_state`;
    everything else on all.

    Parameters
    ----------
    W : array-like of shape (n_frames, n_points, 2)
        Keypoints, NaN where missing.
    mask : array-like of bool of shape (n_frames, n_points), default=None
        True where a keypoint is visible.
    groups : array-like of shape (n_frames,), default=None
        Clip of each frame. Frames of one clip follow each other in time.
    intrinsics : array-like of shape (3, 3) or (n_frames, 3, 3), default=None
        Camera matrices, if `W` is in pixels and they are known.
    names : sequence of str, default=None
        Name of each point, for the text; by default they are called by their index.
    random_state : int, RandomState or None, default=0
        Chooses frames and points where there are many.

    Returns
    -------
    Diagnosis
        Numbers, findings in plain words, and the estimator that suits; print it.

    Raises
    ------
    TypeError, ValueError
        If an argument is malformed.

    Notes
    -----
    Under a parallel camera a fixed view of a deforming object has any depth one likes, and a small
    turn is the same as a deformation to first order. The verdict rests on thresholds that separate
    recorded and generated data; where it is None, only knowledge of the recording helps.

    References
    ----------
    Tomasi and Kanade, Shape and motion from image streams under orthography: a factorization
    method, IJCV 9(2), 1992.
    Bregler, Hertzmann and Biermann, Recovering non-rigid 3D shape from image streams, CVPR 2000
    (rank 3 K of the measurement matrix).

    Examples
    --------
    >>> from nrsfm_learn.datasets import make_articulated_body
    >>> from nrsfm_learn.diagnosis import diagnose
    >>> diagnose(make_articulated_body(200, random_state=0).W).reconstructible
    True
    """
    rng = check_random_state(random_state)
    W, visible = check_W(W, mask)
    W = W.astype(np.float64, copy=False)
    n_frames, n_points = visible.shape
    if names is not None and len(names) != n_points:
        raise ValueError(f"names has {len(names)} entries, and W has {n_points} points.")
    groups = np.zeros(n_frames, dtype=int) if groups is None else check_groups(groups, n_frames)
    same_clip = groups[1:] == groups[:-1]
    n_clips = 1 + np.count_nonzero(~same_clip)
    measured = W
    if intrinsics is not None:
        measured = pixels_to_unit_plane(W, check_intrinsics(intrinsics, n_frames))

    sample = _draw(np.arange(n_frames), _MOST_FRAMES, rng)
    entries = measure_entries(W, visible, sample)
    usable = np.setdiff1d(np.arange(n_frames), entries.poor_frames + entries.line_frames)
    sample = _draw(usable, _MOST_FRAMES, rng)
    missing = measure_missing(visible, same_clip)
    size = np.sqrt(np.square(centre(W, visible)).sum() / max(visible.sum(), 1))
    tracks = measure_tracks(W, visible, same_clip, size, rng)

    ranks, imputation_rank, motion, seen = _measure_shape(measured, visible, sample, rng)
    W_unit = measured[sample] if intrinsics is not None and len(sample) else None
    perspective = measure_perspective(motion, seen, W_unit)
    reconstructible, why = (False, None) if motion is None else verdict(motion)
    turning = float("nan") if motion is None else motion.turning
    camera = choose_camera(perspective, turning, intrinsics is not None, entries.units)

    findings = [
        say.frames_finding(entries, n_frames, len(usable)),
        say.points_finding(entries, n_points),
        say.missing_finding(missing, range(n_points) if names is None else names),
        say.units_finding(entries.units, intrinsics is not None),
        *say.tracks_findings(tracks, n_clips),
    ]
    if motion is not None:
        findings += [
            say.rotation_finding(motion, reconstructible, why),
            say.flatness_finding(motion, reconstructible),
            say.rank_finding(*ranks, imputation_rank, min(n_points - 1, 2 * len(sample))),
            say.perspective_finding(perspective, camera),
        ]
    elif not any(f.severity == "blocker" for f in findings):
        findings.append(say.unusable_finding())
    findings = [f for f in findings if f is not None]
    choice = recommend(len(usable), n_clips, tracks.is_video, ranks[1], turning, camera)
    reason = choice.reason
    if reconstructible is False:
        reason = f"Only after the blockers are gone: {reason}"
    return Diagnosis(
        reconstructible=reconstructible,
        findings=tuple(sorted(findings, key=lambda f: SEVERITIES.index(f.severity))),
        recommendation=str(choice),
        reason=reason,
        estimator=choice.estimator,
        settings=choice.settings,
        camera=camera.name,
        n_frames=n_frames,
        n_points=n_points,
        n_sampled=len(sample),
        missing_fraction=missing.fraction,
        missing_pattern=missing.pattern,
        rank_99=ranks[0],
        rank_999=ranks[1],
        imputation_rank=imputation_rank,
        units=entries.units,
        duplicate_points=entries.duplicate_points,
        duplicate_frames=entries.duplicate_frames,
        poor_frames=entries.poor_frames,
        **_motion_numbers(motion),
        **perspective._asdict(),
        **tracks._asdict(),
    )


def _draw(frames, most, rng):
    if len(frames) <= most:
        return frames
    return np.sort(rng.choice(frames, most, replace=False))


def _measure_shape(W, visible, sample, rng):
    """Rank and motion of sampled frames and points; what cannot be measured is 0 or None."""
    W, visible = W[sample], visible[sample]
    points = _draw(np.flatnonzero(visible.sum(0) >= 3), _MOST_POINTS, rng)
    W, visible = W[:, points], visible[:, points]
    enough = visible.sum(1) >= 3
    W, visible = W[enough], visible[enough]
    if len(W) < 3 or len(points) < 4:
        return (0, 0), None, None, visible
    completed, imputation_rank = complete(W, visible, rng)
    fractions = energies(completed)
    ranks = effective_rank(fractions, 0.99), effective_rank(fractions, 0.999)
    return ranks, imputation_rank, measure_motion(completed, visible, rng), visible


def _motion_numbers(motion):
    names = (
        "view_change",
        "turning",
        "deformation_ratio",
        "fixed_lengths",
        "angular_spread",
        "typical_angle",
        "sphere_coverage",
        "third_singular_ratio",
    )
    return {name: float("nan") if motion is None else getattr(motion, name) for name in names}
