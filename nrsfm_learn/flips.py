"""The two depths that a parallel camera leaves open, and one consistent choice a clip."""

import numpy as np

from ._records import Reconstruction
from ._validation import check_groups, check_shapes_3d

__all__ = ["consistent_flips", "flip_hypotheses", "mirror_depth", "mirror_reconstruction"]

_MIRROR = np.array([1.0, 1.0, -1.0])
_PARALLEL = 1e-4


def mirror_depth(X):
    r"""Mirror each frame in depth, about the mean depth of its points.

    .. math:: z'_{fp} = 2 \bar z_f - z_{fp}

    Parameters
    ----------
    X : array-like of shape (n_frames, n_points, 3)
        Points in the camera frame, NaN where unknown.

    Returns
    -------
    X_mirrored : ndarray of shape (n_frames, n_points, 3)
        The shapes with the same image under a parallel camera.

    Raises
    ------
    TypeError, ValueError
        If `X` is malformed.

    See Also
    --------
    flip_hypotheses : Both depths, with one sign a clip.
    """
    X = check_shapes_3d(X)
    depth = X[..., 2]
    X[..., 2] = 2 * (depth - _centred(depth)) - depth
    return X


def consistent_flips(X, groups=None):
    r"""Find the sign of each frame's depth with which a sequence moves least.

    Frames are reconstructed up to the sign of their depth, and single ones may come back mirrored.
    With :math:`z_f` the centred depths of frame f and :math:`\sigma_f = \pm 1`, this minimises

    .. math::

        \sum_f \lVert \sigma_f z_f - \sigma_{f-1} z_{f-1} \rVert^2
             + \lVert \sigma_f z_f - \sigma_{f-2} z_{f-2} \rVert^2

    within each clip, exactly, by dynamic programming. The second term lets one bad frame not part
    what lies before it from what comes after. Of the two solutions of a clip, the one is returned
    that agrees with the signs of most of its frames.

    Parameters
    ----------
    X : array-like of shape (n_frames, n_points, 3)
        Points in the camera frame, frames of a clip in the order of time. Frames that are NaN are
        passed over; points that are NaN in one of two frames are left out of their comparison.
    groups : array-like of shape (n_frames,), default=None
        Clip of each frame; by default all frames are one clip. Frames of a clip need not stand
        together.

    Returns
    -------
    signs : ndarray of int of shape (n_frames,)
        1, or -1 for frames to be mirrored; 1 for frames that are NaN.

    Raises
    ------
    TypeError, ValueError
        If an argument is malformed.

    See Also
    --------
    flip_hypotheses : Both depths of each clip, made consistent by this.

    Notes
    -----
    It compares depths in the camera frame, so that camera and object must move little from frame
    to frame: it is for video, not for photographs. Where the object's depth passes through zero (a
    flat object seen head on), going through and turning back move equally little, and the sign
    after that is a guess.

    Examples
    --------
    >>> import numpy as np
    >>> from nrsfm_learn.datasets import make_articulated_body
    >>> from nrsfm_learn.flips import consistent_flips, mirror_depth
    >>> X = make_articulated_body(50, clips=1, views="smooth", random_state=0).X
    >>> X[20:30] = mirror_depth(X[20:30])
    >>> np.flatnonzero(consistent_flips(X) < 0)
    array([20, 21, 22, 23, 24, 25, 26, 27, 28, 29])
    """
    X = check_shapes_3d(X)
    groups = np.zeros(len(X), dtype=int) if groups is None else check_groups(groups, len(X))
    depth = X[..., 2].astype(np.float64)
    signs = np.ones(len(X), dtype=int)
    known = ~np.isnan(depth).all(axis=1)
    _, clip = np.unique(groups, return_inverse=True)
    for c in range(clip.max() + 1):
        frames = np.flatnonzero((clip == c) & known)
        if len(frames):
            signs[frames] = _best_signs(depth[frames])
    return signs


def flip_hypotheses(X, *, groups=None):
    """Return both depths that a parallel camera leaves open.

    Parameters
    ----------
    X : array-like of shape (n_frames, n_points, 3)
        Points in the camera frame of an orthographic or weak perspective camera, NaN where unknown.
    groups : array-like of shape (n_frames,), default=None
        Clip of each frame, for video: frames are then first mirrored where
        :func:`consistent_flips` says so, so that a hypothesis has one sign in all of a clip.
        ``numpy.zeros(n_frames)`` for a single clip. By default frames are independent and keep the
        signs that they have.

    Returns
    -------
    hypotheses : ndarray of shape (2, n_frames, n_points, 3)
        The first agrees with the signs of most frames of each clip, the second is its mirror image
        in depth. Each clip may be right in either: with n clips there are 2^n choices.

    Raises
    ------
    TypeError, ValueError
        If an argument is malformed.

    See Also
    --------
    consistent_flips : The signs alone.
    mirror_reconstruction : The mirror image with its rotations and canonical shapes.
    """
    X = check_shapes_3d(X)
    mirrored = mirror_depth(X)
    if groups is not None:
        wrong = consistent_flips(X, groups) < 0
        X[wrong], mirrored[wrong] = mirrored[wrong], X[wrong]
    return np.stack([X, mirrored])


def mirror_reconstruction(reconstruction, frames=None):
    r"""Mirror a reconstruction in depth, with all that belongs to it.

    With :math:`J = \operatorname{diag}(1, 1, -1)`, the mirror image of
    :math:`X = s S R^\top + 1 t^\top` is :math:`s\, S' R'^\top + 1 t^\top`, where

    .. math:: S' = S J, \qquad R' = J R J ,

    so that its canonical shapes are mirror images too and its rotations still have determinant 1.

    Parameters
    ----------
    reconstruction : Reconstruction
        What ``lift`` of a method with an orthographic or weak perspective camera returned.
    frames : array-like of bool of shape (n_frames,), default=None
        Frames to mirror, such as ``consistent_flips(X, groups) < 0``; by default all.

    Returns
    -------
    Reconstruction
        New arrays; codes are those of before, since a method has no code for a mirror image.

    Raises
    ------
    TypeError
        If `reconstruction` is none, or `frames` is not boolean.
    ValueError
        If it has depth offsets: under a perspective camera the mirror image is another image.

    See Also
    --------
    flip_hypotheses : The same for points alone.
    """
    if not isinstance(reconstruction, Reconstruction):
        raise TypeError(
            f"reconstruction must be what lift() returns, got {type(reconstruction).__name__}; for "
            f"an array of points use mirror_depth."
        )
    r = reconstruction
    frames = _check_frames(frames, len(r.X))
    size = np.nanmax(np.abs(r.X[..., :2] - r.translations[:, None, :2]), initial=0.0)
    offset = np.abs(r.translations[:, 2])
    if (offset > _PARALLEL * size).any():
        frame = int(np.nanargmax(offset))
        raise ValueError(
            f"reconstruction has a depth offset of {offset[frame]:.3g} in frame {frame}: it is of "
            f"a perspective camera, under which the mirror image projects elsewhere. There is no "
            f"second hypothesis."
        )
    X, shapes, rotations = r.X.copy(), r.shapes.copy(), r.rotations.copy()
    X[frames, :, 2] = 2 * r.translations[frames, None, 2] - X[frames, :, 2]
    shapes[frames] *= _MIRROR.astype(shapes.dtype)
    rotations[frames] *= np.outer(_MIRROR, _MIRROR).astype(rotations.dtype)
    codes = None if r.codes is None else r.codes.copy()
    return Reconstruction(X, shapes, rotations, r.translations.copy(), r.scales.copy(), codes)


def _check_frames(frames, n_frames):
    if frames is None:
        return np.ones(n_frames, dtype=bool)
    frames = np.asarray(frames)
    if frames.dtype != bool:
        raise TypeError(
            f"frames must be boolean, True where a frame is to be mirrored, got dtype "
            f"{frames.dtype}; from signs: signs < 0."
        )
    if frames.shape != (n_frames,):
        raise ValueError(f"frames must have shape ({n_frames},), got {frames.shape}.")
    return frames


def _centred(depth):
    """Depth minus the mean of each frame; NaN stays."""
    known = ~np.isnan(depth)
    count = np.maximum(known.sum(-1, keepdims=True), 1)
    return depth - np.where(known, depth, 0).sum(-1, keepdims=True) / count


def _agreement(depth, lag):
    """Inner products of the depths of frames that far apart, over points known in both."""
    both = ~np.isnan(depth[lag:]) & ~np.isnan(depth[:-lag])
    later, earlier = (_centred(np.where(both, d, np.nan)) for d in (depth[lag:], depth[:-lag]))
    return np.where(both, later * earlier, 0.0).sum(1)


def _best_signs(depth):
    """Signs of one clip of frames that are known, by Viterbi over pairs of frames."""
    n = len(depth)
    if n == 1:
        return np.ones(1, dtype=int)
    one, two = _agreement(depth, 1), _agreement(depth, 2) if n > 2 else None
    # The squared distances differ by -4 times the agreement between equal and opposite signs.
    # gain[a, b]: best so far with a and b the signs, 0 for +, of the last two frames.
    sign = np.array([1, -1])
    gain = one[0] * np.outer(sign, sign).astype(float)
    came_from = np.empty((n, 2, 2), dtype=int)
    for f in range(2, n):
        # Axes: sign of f-2, of f-1, of f.
        candidates = gain[:, :, None] + two[f - 2] * sign[:, None, None] * sign
        came_from[f] = candidates.argmax(0)
        gain = candidates.max(0) + one[f - 1] * np.outer(sign, sign)
    states = np.empty(n, dtype=int)
    states[n - 2], states[n - 1] = np.unravel_index(gain.argmax(), (2, 2))
    for f in range(n - 1, 1, -1):
        states[f - 2] = came_from[f, states[f - 1], states[f]]
    signs = sign[states]
    # Where half of the frames agree with each, the first frame keeps its own.
    return signs if (signs.sum() or signs[0]) > 0 else -signs
