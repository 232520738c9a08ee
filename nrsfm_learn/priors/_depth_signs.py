"""Asking a prior for the one thing that a parallel camera leaves open: the sign of depth."""

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from .._torch import draw_seed, make_generator, to_tensor
from .._validation import check_groups, check_n_points, check_shapes_3d
from ..flips import mirror_depth
from ..preprocessing import center_on_visible, keypoint_scale

# Noise is drawn anew so often for each frame.
_N_DRAWS = 8


def depth_signs(prior, X, *, groups=None, random_state=None):
    r"""Return for each clip the sign of depth that a prior takes for the likelier one.

    .. math:: \sigma_c = \arg\min_{\sigma = \pm 1} \sum_{f \in c} \mathcal L_{prior}
              (x_{fp}, y_{fp}, \sigma z_{fp})

    with the loss of the prior (:meth:`DiffusionPosePrior.loss`) and z relative to its mean. Both
    are compared under the same noise.

    Parameters
    ----------
    prior : DiffusionPosePrior
        Fitted prior.
    X : array-like of shape (n_frames, n_points, 3)
        Reconstruction in the frame of a parallel camera, in any units: their scale is measured. The
        keypoints are its first two coordinates. Frames that are NaN are passed over.
    groups : array-like of shape (n_frames,), default=None
        Clip of each frame; by default all frames are one clip. With a label for each frame every
        frame has its own sign.
    random_state : int, RandomState or None, default=None
        Seed of the noise.

    Returns
    -------
    signs : ndarray of int of shape (n_frames,)
        1, or -1 for the frames of clips to be mirrored.

    Raises
    ------
    TypeError, ValueError
        If an argument is malformed.

    See Also
    --------
    nrsfm_learn.flips.consistent_flips : Signs within a clip, from motion alone; call it before.
    nrsfm_learn.flips.mirror_depth : Mirrors the frames.

    Notes
    -----
    Shapes stay what an unsupervised method made of 2-D; only one bit a clip comes from the prior,
    and so from somebody's 3-D. Say so beside the result.

    Examples
    --------
    >>> import numpy as np
    >>> from nrsfm_learn.datasets import make_articulated_body
    >>> from nrsfm_learn.flips import mirror_depth
    >>> from nrsfm_learn.priors import DiffusionPosePrior, depth_signs
    >>> body = make_articulated_body(200, clips=2, views="smooth", random_state=0)
    >>> prior = DiffusionPosePrior(width=64, max_iter=300, random_state=0).fit(body.X)
    >>> X = body.X.copy()
    >>> X[body.groups == 1] = mirror_depth(X[body.groups == 1])
    >>> signs = depth_signs(prior, X, groups=body.groups, random_state=0)
    >>> [int(signs[body.groups == clip][0]) for clip in (0, 1)]
    [1, -1]
    """
    check_is_fitted(prior)
    X = check_shapes_3d(X)
    check_n_points(X, prior.n_points_in_, "X", type(prior).__name__)
    groups = np.zeros(len(X), dtype=int) if groups is None else check_groups(groups, len(X))
    known = np.flatnonzero(~np.isnan(X).any(axis=(1, 2)))
    signs = np.ones(len(X), dtype=int)
    if not len(known):
        return signs
    centred = X[known] - X[known].mean(1, keepdims=True)
    scale = float(keypoint_scale(center_on_visible(centred[..., :2])[0]))
    device = next(prior.module_.parameters()).device
    seed = draw_seed(random_state)
    _, clip = np.unique(groups[known], return_inverse=True)
    for c in range(clip.max() + 1):
        own = np.flatnonzero(clip == c)
        hypotheses = centred[own], mirror_depth(centred[own])
        kept, mirrored = (_loss(prior, shapes, scale, seed, device) for shapes in hypotheses)
        if mirrored < kept:
            signs[known[own]] = -1
    return signs


@torch.no_grad()
def _loss(prior, shapes, scale, seed, device):
    shapes = to_tensor(shapes, device).repeat(_N_DRAWS, 1, 1)
    generator = make_generator(seed, device)
    return prior.loss(shapes, shapes[..., :2], scale=scale, generator=generator).item()
