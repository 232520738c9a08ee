"""What a user hands over, as one record."""

import os

import numpy as np

from .._validation import check_groups, check_mask
from ..io import Keypoints, Points3D, read
from ..io._assemble import check_min_confidence
from ..io._movement import is_movement


def as_keypoints(
    source,
    *,
    mask=None,
    groups=None,
    confidence=None,
    names=None,
    edges=None,
    fps=None,
    min_confidence=None,
    individual=None,
):
    """Read or wrap keypoints; what is given beside them replaces what the file says.

    Parameters
    ----------
    source, mask, groups, confidence, names, edges, fps, min_confidence, individual
        As of :func:`nrsfm_learn.lift`.

    Returns
    -------
    Keypoints
        With `groups`, if they are given, in ``clips``.

    Raises
    ------
    TypeError, ValueError
        If the data are 3-D already, or an argument is malformed.
    """
    given = {"names": names, "edges": edges, "fps": fps}
    given = {name: value for name, value in given.items() if value is not None}
    if isinstance(source, (str, os.PathLike)) or is_movement(source):
        options = {"min_confidence": min_confidence, "individual": individual}
        options = {name: value for name, value in options.items() if value is not None}
        keypoints = read(source, **options)
        # The reader has hidden what is below; confidences given beside the file are new.
        min_confidence = min_confidence if confidence is not None else None
    elif isinstance(source, (Keypoints, Points3D)):
        keypoints = source
        if individual is not None and isinstance(source, Keypoints):
            keypoints = source.select(individual)
    else:
        if individual is not None:
            raise ValueError(
                f"individual={individual!r} needs a file or Keypoints that tell individuals apart; "
                f"W is an array: pass the frames of one, or their numbers as groups."
            )
        keypoints = Keypoints(source)
    if isinstance(keypoints, Points3D):
        raise TypeError(
            f"{keypoints!r} is in 3-D already, and lift takes 2-D keypoints of one camera. Project "
            f"it first if this is a trial: W = X[..., :2] is an orthographic view."
        )
    shape = keypoints.visible.shape
    if mask is not None:
        given["visible"] = keypoints.visible & check_mask(mask, shape)
    if confidence is not None:
        given["confidence"] = confidence
    if groups is not None:
        groups = check_groups(groups, shape[0])
        given["clips"] = np.unique(groups, return_inverse=True)[1].reshape(-1)
    if given:
        keypoints = keypoints.replace(**given)
    return _hide_below(keypoints, check_min_confidence(min_confidence))


def _hide_below(keypoints, threshold):
    if threshold is None:
        return keypoints
    if keypoints.confidence is None:
        raise ValueError(
            f"min_confidence={threshold:g} needs confidences, and there are none: pass "
            f"confidence, or leave it out."
        )
    # Where a tracker said nothing (NaN), nothing speaks against the keypoint.
    return keypoints.replace(visible=keypoints.visible & ~(keypoints.confidence < threshold))
