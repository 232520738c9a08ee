"""Hidden keypoints of many frames, filled in by a low rank and by smoothness in time."""

import math
from typing import NamedTuple

import torch

from ..geometry import dct_basis

_FRACTIONS = (1.0, 0.5, 0.25, 0.12, 0.06)
_ITERATIONS = 100
_TOLERANCE = 1e-5
_HELD_OUT = 0.1
# A larger model must predict better by this much.
_GAIN = 0.98


class Completion(NamedTuple):
    """Result of :func:`complete_tracks`.

    Attributes
    ----------
    points : Tensor of shape (n_frames, n_points, 2)
        Keypoints, each frame centred on all its points.
    rank : int or None
        Rank of the (2 n_frames, n_points) matrix that was used; None if nothing was hidden.
    fraction : float or None
        Share of the cosine frequencies of each clip that was used.
    """

    points: torch.Tensor
    rank: int | None
    fraction: float | None


def complete_tracks(tracks, generator):
    r"""Fill in hidden keypoints by a matrix of low rank whose rows are smooth in time.

    .. math::

        \min_{X, t} \sum_{(f,p)\,\text{visible}} \| w_{fp} - x_{fp} - t_f \|^2
        \quad\text{s.t.}\quad \operatorname{rank} X \le r, \quad X = \Theta \Theta^\top X

    with :math:`\Theta` the lowest cosine frequencies of each clip. Rank and share of frequencies
    are those that predict withheld keypoints best, so that frames without an order get all
    frequencies and a low rank, and a slow clip the reverse.

    Parameters
    ----------
    tracks : Tracks
        Keypoints.
    generator : torch.Generator
        Chooses what is withheld.

    Returns
    -------
    Completion
    """
    if tracks.complete:
        return Completion(tracks.points - tracks.points.mean(1, keepdim=True), None, None)
    withheld = withhold(tracks, _HELD_OUT, generator)
    kept = tracks.hide(withheld)
    n_points = tracks.points.shape[1]
    n_seen = int(kept.seen.sum(1).double().median())
    best = (math.inf, 3, 1.0)
    for fraction in _FRACTIONS:
        smooth = _smoother(tracks, fraction)
        # A rank near the number of visible points fits anything, unless time ties it down.
        most = n_points if fraction < 1 else max(3, min(n_points - 1, n_seen // 2))
        current, lowest = kept.points, math.inf
        for rank in [*range(3, most, 3), most]:
            current = _impute(current, kept, rank, smooth)
            error = _error(current, tracks, kept, withheld)
            if error > _GAIN * lowest:
                break
            lowest = error
            if error < _GAIN * best[0]:
                best = (error, rank, fraction)
    _, rank, fraction = best
    smooth = _smoother(tracks, fraction)
    current = tracks.points
    for part in range(3, rank + 3, 3):
        current = _impute(current, tracks, min(part, rank), smooth)
    return Completion(current, rank, fraction)


def withhold(tracks, fraction, generator, min_visible=4):
    """Choose visible keypoints at random; frames that show few keep theirs.

    Parameters
    ----------
    tracks : Tracks
        Keypoints.
    fraction : float
        Share of the visible ones.
    generator : torch.Generator
        Source of randomness.
    min_visible : int, default=4
        Keypoints that a frame keeps at least. A keypoint keeps at least two frames.

    Returns
    -------
    Tensor of bool of shape (n_frames, n_points)
    """
    seen = tracks.seen
    chosen = torch.rand(seen.shape, generator=generator, dtype=torch.float64, device=seen.device)
    chosen = seen & (chosen < fraction)
    chosen &= (seen.sum(1) - chosen.sum(1) >= min_visible)[:, None]
    return chosen & (seen.sum(0) - chosen.sum(0) >= 2)


def _smoother(tracks, fraction):
    """Return the projection of points to the lowest frequencies of each clip."""
    if fraction == 1:
        return lambda points: points
    bases = []
    for clip in tracks.clips:
        n = len(tracks.points[clip])
        low = max(1, math.ceil(fraction * n))
        bases.append(
            (clip, dct_basis(n, low, dtype=tracks.points.dtype, device=tracks.points.device))
        )

    def smooth(points):
        result = torch.empty_like(points)
        for clip, basis in bases:
            flat = points[clip].flatten(1)
            result[clip] = (basis @ (basis.T @ flat)).reshape(-1, *points.shape[1:])
        return result

    return smooth


def _impute(current, tracks, rank, smooth):
    """Alternate between projecting to the model and putting the visible points back."""
    seen = tracks.seen[..., None]
    n_points = current.shape[1]
    for _ in range(_ITERATIONS):
        model = smooth(current)
        if rank < n_points:
            gram = torch.einsum("fpc,fqc->pq", model, model)
            basis = torch.linalg.eigh(gram)[1][:, -rank:]
            model = (model.mT @ basis @ basis.T).mT
        # The keypoints are known up to the mean of all points, hidden ones included.
        offset = tracks.offsets(model)
        previous = current
        current = torch.where(seen, tracks.points - offset[:, None], model)
        current = current - current.mean(1, keepdim=True)
        if (current - previous).norm() <= _TOLERANCE * current.norm():
            break
    return current


def _error(current, tracks, kept, withheld):
    """Return the squared distance of withheld keypoints to their prediction."""
    predicted = current + kept.offsets(current)[:, None]
    # The kept tracks are centred on other points than the tracks.
    shift = (kept.centers - tracks.centers) / tracks.size
    difference = (tracks.points - shift[:, None] - predicted)[withheld]
    return float(difference.square().sum())
