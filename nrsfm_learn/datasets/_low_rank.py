"""Deforming shapes that span a space of chosen dimension."""

from numbers import Integral

import numpy as np
from sklearn.utils import check_random_state

from nrsfm_learn.datasets._cameras import clip_labels, observe, smooth_signals, views_name


def make_low_rank(
    n_frames=300,
    n_points=40,
    rank=3,
    *,
    deformation=0.4,
    clips=None,
    camera="orthographic",
    views="random",
    depth_ratio=1 / 3,
    intrinsics=None,
    image_size=None,
    missing=0.0,
    occlusion="random",
    noise=0.0,
    min_visible=3,
    random_state=None,
):
    r"""Generate shapes that are combinations of a few random basis shapes.

    .. math:: S_f = B_1 + \sum_{k=2}^{K} c_{fk} B_k, \qquad 1^\top B_k = 0,

    with Gaussian basis shapes and coefficients that vary slowly within each clip, have mean zero
    and are uncorrelated. The matrix of the shapes, one per row, has rank K.

    Parameters
    ----------
    n_frames : int
        Number of frames, at least `rank`.
    n_points : int
        Number of points, at least 4.
    rank : int
        Number K of basis shapes, at most ``3 * (n_points - 1)``; 1 is a rigid shape.
    deformation : float
        Root mean square size of the deformation against that of the first shape.
    clips : int or None
        Number of clips, which differ in motion and in camera path. None: about one for every 150
        frames.
    camera : {"orthographic", "weak_perspective", "perspective"}
        Kind of projection.
    views : {"random", "smooth", "turntable", "upright"} or array-like
        Camera of each frame: independent and uniform over all rotations; on a smooth path in each
        clip; one turn round the vertical in each clip; independent but upright. Or
        rotations (n_frames, 3, 3), such as those of :func:`make_camera_path`.
    depth_ratio : float
        Perspective only: mean over frames of the object's extent in depth divided by the distance
        of its centre.
    intrinsics : array-like of shape (3, 3), optional
        Calibration matrix; `W` is then in pixels (under orthography its focal lengths are pixels
        a unit). By default `W` is in the units of the shapes, or on the unit focal plane under
        perspective.
    image_size : tuple of two int, optional
        Width and height in pixels of an image which every frame is made to fit; chooses the
        intrinsics.
    missing : float
        Fraction of keypoints to hide.
    occlusion : {"random", "contiguous"}
        How: independently, or in blocks of time of 15 frames in the mean.
    noise : float
        Standard deviation of Gaussian noise on each coordinate of `W`, relative to the mean
        over frames of the centred :math:`\lVert W \rVert_F / \sqrt{P}`.
    min_visible : int
        Number of keypoints that stay visible in every frame.
    random_state : int, RandomState or None
        Seed.

    Returns
    -------
    Bunch
        - W : ndarray of shape (n_frames, n_points, 2), keypoints, NaN where hidden.
        - visible : ndarray of shape (n_frames, n_points), bool.
        - W_complete : ndarray of shape (n_frames, n_points, 2), without noise and hiding.
        - X : ndarray of shape (n_frames, n_points, 3), points in the camera frame.
        - shapes : ndarray of shape (n_frames, n_points, 3), centred points, object frame,
          ``X = shapes @ R.T + t``.
        - basis : ndarray of shape (rank, n_points, 3) and coefficients of shape (n_frames, rank).
        - rotations (n_frames, 3, 3), translations (n_frames, 3), scales (n_frames,), intrinsics
          (3, 3) or None.
        - names of the points; edges, which is empty.
        - groups : ndarray of shape (n_frames,), clip of each frame.
        - camera, DESCR.

    Raises
    ------
    ValueError
        If an option is unknown or out of range.

    See Also
    --------
    make_bending_sheet : Deformation that preserves lengths.

    References
    ----------
    C. Bregler, A. Hertzmann and H. Biermann, Recovering non-rigid 3D shape from image streams,
    CVPR 2000, equation 1.

    Examples
    --------
    >>> from nrsfm_learn.datasets import make_low_rank
    >>> make_low_rank(60, 20, rank=2, random_state=0).basis.shape
    (2, 20, 3)
    """
    rng = check_random_state(random_state)
    groups = clip_labels(n_frames, clips)
    if not isinstance(n_points, Integral) or n_points < 4:
        raise ValueError(f"n_points must be an integer, at least 4, got {n_points!r}.")
    largest = min(n_frames, 3 * (n_points - 1))
    if not isinstance(rank, Integral) or not 1 <= rank <= largest:
        raise ValueError(
            f"rank must be an integer between 1 and min(n_frames, 3 * (n_points - 1)) = {largest}, "
            f"got {rank!r}."
        )
    if deformation <= 0:
        raise ValueError(f"deformation must be positive, got {deformation}; use rank=1 for none.")
    basis = rng.normal(size=(rank, n_points, 3))
    basis -= basis.mean(1, keepdims=True)
    coefficients = np.ones((n_frames, rank))
    coefficients[:, 1:] = smooth_signals(groups, rank - 1, rng)
    # Slow signals are nearly dependent over a short clip; orthogonal ones make the rank definite.
    coefficients[:, 1:] = np.linalg.qr(coefficients)[0][:, 1:] * np.sqrt(n_frames)
    coefficients[:, 1:] *= deformation / np.sqrt(max(rank - 1, 1))
    return observe(
        np.einsum("fk,kpi->fpi", coefficients, basis),
        groups,
        rng,
        camera=camera,
        views=views,
        missing=missing,
        occlusion=occlusion,
        noise=noise,
        depth_ratio=depth_ratio,
        intrinsics=intrinsics,
        image_size=image_size,
        min_visible=min_visible,
        names=[f"point{i}" for i in range(n_points)],
        edges=[],
        descr=f"Generated shapes of rank {rank}, {camera} camera, {views_name(views)} views.",
        basis=basis,
        coefficients=coefficients,
    )
