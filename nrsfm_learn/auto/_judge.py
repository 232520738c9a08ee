"""What to know before using a result, and the signs of its depth."""

import numpy as np

from ..flips import consistent_flips, mirror_depth

_SCALE = {
    False: "Scale is known up to one factor for all frames.",
    True: "Scale is known up to one factor a frame: near and small looks like far and large.",
}
_DEPTH = (
    "The camera model does not see the sign of depth: if near and far are exchanged, take "
    ".flipped(); "
)
_VIDEO = "all frames of a clip have one sign."
_PHOTOS = "single frames may have the other sign than the rest."
# Recorded people come out with 1 to 8%, single mice, whose depth is off by a quarter, with 6 to 10,
# and shapes that are hardly better than flat ones with 17 to 21.
_UNSTEADY = 0.12
_UNSURE = 0.5


def settle_signs(X, groups, *, is_video, perspective):
    """Give the frames of each clip of a video one sign of depth.

    Parameters
    ----------
    X : ndarray of shape (n_frames, n_points, 3)
        Reconstruction.
    groups : ndarray of int of shape (n_frames,)
        Clip of each frame.
    is_video, perspective : bool
        Nothing is done unless the first holds and the second does not.

    Returns
    -------
    X : ndarray of shape (n_frames, n_points, 3)
        Reconstruction.
    n_turned : int
        Frames that were mirrored.
    """
    if perspective or not is_video:
        return X, 0
    turned = consistent_flips(X, groups) < 0
    return np.where(turned[:, None, None], mirror_depth(X), X), int(turned.sum())


def doubts(trial, plan, diagnosis, *, perspective, unseen, n_turned):
    """Say what to know before using a result, the gravest first.

    Parameters
    ----------
    trial : Trial
        The fit.
    plan : Plan
        What was done.
    diagnosis : Diagnosis
        What the keypoints tell.
    perspective : bool
        Whether the method has a perspective camera.
    unseen : list of str
        Names of points that no frame shows.
    n_turned : int
        Frames that were mirrored.

    Returns
    -------
    tuple of str
    """
    said = []
    if not trial.ready.enough:
        said.append(
            f"{plan.time_limit:,.0f} s are too little time for these data by {plan.method}: "
            f"expect a poor result, and give more time."
        )
    if diagnosis.reconstructible is False:
        said.append(
            "These keypoints do not tell depth: what is shown fits the image, and its depth is "
            "made up."
        )
    elif diagnosis.reconstructible is None:
        said.append(
            "These keypoints do not tell turning from deformation: the depth may be made up."
        )
    said += shaky(trial.length_variation, trial.confidence)
    for finding in diagnosis.findings:
        if finding.severity in ("blocker", "warning"):
            said.append(f"{finding.name}: {finding.message}. {finding.advice}".strip())
    if unseen:
        said.append(f"No frame shows {', '.join(unseen)}: NaN in the result.")
    if diagnosis.camera == "perspective" and not perspective:
        said.append(
            f"The camera is near its object, and {plan.method} takes it for a distant one: expect "
            f"distorted depth."
        )
    if plan.stopped_early:
        said.append(
            "The clock ended the fit before its last iteration: the machine was slower than in "
            "the trial. More time may give a better result."
        )
    said += trial.told
    if n_turned:
        said.append(
            f"{n_turned} frame(s) were mirrored in depth, so that the object moves least from "
            f"frame to frame."
        )
    said += ambiguities(perspective=perspective, is_video=diagnosis.is_video)
    return tuple(said)


def shaky(variation, confidence):
    """Say whether the result contradicts itself.

    Parameters
    ----------
    variation : float
        How much neighbour distances vary.
    confidence : ndarray or None
        How far to trust each point.

    Returns
    -------
    list of str
    """
    said = []
    if variation > _UNSTEADY:
        said.append(
            f"Even the steadiest distances between points vary by {variation:.0%}: unless nothing "
            f"of the object is rigid, its depth is doubtful."
        )
    if confidence is not None and np.nanmean(confidence) < _UNSURE:
        said.append(
            f"The starts of the fit disagree (mean confidence {np.nanmean(confidence):.2f}): "
            f"expect large errors in depth."
        )
    return said


def ambiguities(*, perspective, is_video):
    """Say what no method can know here.

    Parameters
    ----------
    perspective : bool
        Whether the method has a perspective camera.
    is_video : bool
        Whether signs were settled clip by clip.

    Returns
    -------
    list of str
    """
    said = [] if perspective else [_DEPTH + (_VIDEO if is_video else _PHOTOS)]
    return [*said, _SCALE[perspective]]
