"""How many bases: as many as predict withheld keypoints well and keep lengths constant."""

import numpy as np
import torch

from .._deadline import time_is_up
from .._torch import to_numpy
from ..model_selection import neighbor_distance_variation
from ._completion import withhold

_HELD_OUT = 0.1
# Variation of neighbour distances below which models are not told apart.
_VARIATION = 0.005
# Numbers of bases whose error is so many times that of the best don't come into question.
_WORST = 8.0


def choose_n_bases(candidates, begin, attempt, tracks, generator, *, finest=0.01):
    r"""Choose the number of bases by withheld keypoints and by the constancy of lengths.

    A tenth of the visible keypoints is withheld. For every candidate

    .. math::

        E(K) = \Bigl( \frac{\sum_{(f,p)\,\text{withheld}} \| w_{fp} - \hat w_{fp}(K) \|^2}
        {\sum_{(f,p)\,\text{withheld}} \| w_{fp} \|^2} \Bigr)^{1/2}, \qquad
        K^\star = \operatorname*{argmin}_K \sqrt{E(K)^2 + E_0^2}\, \bigl( v(K)^2 + v_0^2 \bigr)

    with :math:`v` the variation of neighbour distances of the shapes, :math:`E_0` as given and
    :math:`v_0 = 0.005`, below which numbers are not told apart. Withheld keypoints alone ask
    for more and more bases where tracks are clean and smooth: what is wrong with too many is their
    depth, which no keypoint shows, and of which distances that stretch and shrink tell. A number
    whose :math:`\sqrt{E^2 + E_0^2}` is eight times the least is left out, however constant its
    lengths: those of a rigid shape are the most constant.

    Parameters
    ----------
    candidates : iterable of int
        Numbers of bases, ascending.
    begin : callable
        ``begin(tracks, generator)`` does the part of the fit that all candidates share.
    attempt : callable
        ``attempt(tracks, begun, n_bases, generator)`` fits and returns keypoints
        (n_frames, n_points, 2), translation included, and shapes (n_frames, n_points, 3).
    tracks : Tracks
        All keypoints.
    generator : torch.Generator
        Chooses what is withheld.
    finest : float, default=0.01
        :math:`E_0`.

    Returns
    -------
    n_bases : int
    trials : dict of int to (float, float)
        E and v of every candidate.

    See Also
    --------
    nrsfm_learn.model_selection.neighbor_distance_variation : v.
    """
    withheld = withhold(tracks, _HELD_OUT, generator)
    candidates = list(candidates)
    if not withheld.any() or len(candidates) == 1:
        return candidates[0], {}
    kept = tracks.hide(withheld)
    shift = (kept.centers - tracks.centers) / tracks.size
    truth = (tracks.points - shift[:, None])[withheld]
    extent = float(truth.norm())
    trials = {}
    begun = begin(kept, generator)
    for n_bases in candidates:
        if trials and time_is_up():
            break
        trials[n_bases] = (np.inf, np.inf)
        try:
            predicted, shapes = attempt(kept, begun, n_bases, generator)
        except torch.linalg.LinAlgError:
            # A number of bases that the data cannot carry is one that predicts nothing.
            continue
        if bool(torch.isfinite(predicted).all() & torch.isfinite(shapes).all()):
            error = float((predicted[withheld] - truth).norm()) / extent
            variation = float(neighbor_distance_variation(to_numpy(shapes)))
            # NaN for shapes that have shrunk to a point, and NaN would win any comparison.
            if np.isfinite(variation):
                trials[n_bases] = (error, variation)

    errors = {n_bases: np.hypot(error, finest) for n_bases, (error, _) in trials.items()}
    most = _WORST * min(errors.values())

    def score(n_bases):
        variation = trials[n_bases][1] if errors[n_bases] <= most else np.inf
        return errors[n_bases] * (variation**2 + _VARIATION**2)

    return min(trials, key=score), trials
