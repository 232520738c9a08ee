"""How many bases: as many as predict withheld keypoints best."""

import numpy as np
import torch

from ._completion import complete_tracks, withhold

_HELD_OUT = 0.1
# More bases must predict better by this much.
_GAIN = 0.97


def choose_n_bases(candidates, predict, tracks, generator):
    r"""Choose the number of bases by withheld keypoints.

    A tenth of the visible keypoints is withheld, and

    .. math:: E(K) = \sum_{(f,p)\,\text{withheld}} \| w_{fp} - \hat w_{fp}(K) \|^2

    measured for every candidate; the smallest is chosen that no larger one beats by more than three
    percent.

    Parameters
    ----------
    candidates : iterable of int
        Numbers of bases, ascending.
    predict : callable
        ``predict(tracks, completed, n_bases, generator)`` fits and returns keypoints
        (n_frames, n_points, 2), translation included, in the units of the tracks.
    tracks : Tracks
        All keypoints.
    generator : torch.Generator
        Chooses what is withheld.

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
    completed = complete_tracks(kept, generator).points
    for n_bases in candidates:
        try:
            predicted = predict(kept, completed, n_bases, generator)
        except torch.linalg.LinAlgError:
            # A number of bases that the data cannot carry is one that predicts nothing.
            predicted = None
        squared = np.inf
        if predicted is not None and bool(torch.isfinite(predicted).all()):
            squared = float((predicted[withheld] - truth).square().sum()) / scale
        errors[n_bases] = float(np.sqrt(squared))
    best = candidates[0]
    for n_bases in candidates[1:]:
        if errors[n_bases] < _GAIN * errors[best]:
            best = n_bases
    return best, errors
