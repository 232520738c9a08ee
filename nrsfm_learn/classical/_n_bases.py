"""How many bases: as many as predict withheld keypoints best."""

import numpy as np
import torch

from ._completion import withhold

_HELD_OUT = 0.1
# More bases must predict better by this much.
_GAIN = 0.97


def choose_n_bases(candidates, begin, predict, tracks, generator, *, fine=0.0):
    r"""Choose the number of bases by withheld keypoints.

    A tenth of the visible keypoints is withheld, and

    .. math:: E(K) = \sum_{(f,p)\,\text{withheld}} \| w_{fp} - \hat w_{fp}(K) \|^2

    measured for one candidate after the other; the smallest is chosen that no larger one beats by
    more than three percent, or that predicts finely enough.

    Parameters
    ----------
    candidates : iterable of int
        Numbers of bases, ascending.
    begin : callable
        ``begin(tracks, generator)`` does the part of the fit that all candidates share.
    predict : callable
        ``predict(tracks, begun, n_bases, generator)`` fits and returns keypoints
        (n_frames, n_points, 2), translation included, in the units of the tracks.
    tracks : Tracks
        All keypoints.
    generator : torch.Generator
        Chooses what is withheld.
    fine : float, default=0.0
        Root mean square error, over that of the centroid, at which to stop: for models that use
        further bases to explain noise by depth.

    Returns
    -------
    n_bases : int
    errors : dict of int to float
        Root mean square error of the withheld keypoints, over that of the centroid.
    """
    withheld = withhold(tracks, _HELD_OUT, generator)
    candidates = list(candidates)
    if not withheld.any() or len(candidates) == 1:
        return candidates[0], {}
    kept = tracks.hide(withheld)
    shift = (kept.centers - tracks.centers) / tracks.size
    truth = (tracks.points - shift[:, None])[withheld]
    scale = float(truth.square().sum())
    errors = {}
    begun = begin(kept, generator)
    for n_bases in candidates:
        try:
            predicted = predict(kept, begun, n_bases, generator)
        except torch.linalg.LinAlgError:
            # A number of bases that the data cannot carry is one that predicts nothing.
            predicted = None
        squared = np.inf
        if predicted is not None and bool(torch.isfinite(predicted).all()):
            squared = float((predicted[withheld] - truth).square().sum()) / scale
        errors[n_bases] = float(np.sqrt(squared))
        if errors[n_bases] <= fine:
            break
    best = candidates[0]
    for n_bases in errors:
        if errors[n_bases] < _GAIN * errors[best]:
            best = n_bases
    return best, errors
