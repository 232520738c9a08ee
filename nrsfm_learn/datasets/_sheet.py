"""A sheet that bends without stretching, seen by synthetic cameras."""

from functools import partial
from numbers import Integral

import numpy as np
from sklearn.utils import check_random_state

from nrsfm_learn.datasets._cameras import clip_labels, observe, smooth_signals, views_name
from nrsfm_learn.datasets._hiding import hidden_by_mesh


def make_bending_sheet(
    n_frames=300,
    n_rows=8,
    n_cols=10,
    *,
    height=0.21,
    width=0.297,
    bending=2.5,
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
    r"""Generate a grid of points on a sheet that bends isometrically, like paper.

    The sheet is a generalised cylinder. With the direction :math:`\alpha` of the bending, a point
    (u, v) of the flat sheet has :math:`s = u \cos\alpha + v \sin\alpha` across the rulings and
    :math:`r = v \cos\alpha - u \sin\alpha` along them, and

    .. math::
        x(s, r) = r\, e_r + \int_0^s \left(\cos\varphi(\sigma)\, e_s
                  + \sin\varphi(\sigma)\, e_z\right) d\sigma ,

    so that :math:`\partial_s x` and :math:`\partial_r x` are orthonormal whatever the tangent angle
    :math:`\varphi`: distances within the sheet never change. Here :math:`\varphi` is an odd and an
    even wave over the sheet; their sizes and :math:`\alpha` vary slowly in time.

    Parameters
    ----------
    n_frames : int
        Number of frames.
    n_rows, n_cols : int
        Points of the grid down and across, each at least 2.
    height, width : float
        Size of the sheet, metres.
    bending : float
        Largest difference in direction between two ends of the sheet, radians; 0 keeps it flat,
        and up to 2.7 it never meets itself.
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
        a metre). By default `W` is in metres, or on the unit focal plane under perspective.
    image_size : tuple of two int, optional
        Width and height in pixels of an image which every frame is made to fit; chooses the
        intrinsics.
    missing : float
        Fraction of keypoints to hide.
    occlusion : {"random", "contiguous", "self"}
        How: independently; in blocks of time of 15 frames in the mean; or what other parts of the
        sheet hide from the camera (both of its sides are visible), plus `missing` at random.
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
        - W : ndarray of shape (n_frames, n_points, 2), keypoints in row-major order of the grid,
          NaN where hidden.
        - visible : ndarray of shape (n_frames, n_points), bool.
        - W_complete : ndarray of shape (n_frames, n_points, 2), without noise and hiding.
        - X : ndarray of shape (n_frames, n_points, 3), points in the camera frame, metres.
        - shapes : ndarray of shape (n_frames, n_points, 3), centred points, object frame (the flat
          sheet has x across, y up, z towards the reader), ``X = shapes @ R.T + t``.
        - flat : ndarray of shape (n_points, 2), the flat sheet.
        - rotations (n_frames, 3, 3), translations (n_frames, 3), scales (n_frames,), intrinsics
          (3, 3) or None.
        - names, edges : names of the points and the edges of the grid.
        - groups : ndarray of shape (n_frames,), clip of each frame.
        - camera, DESCR.

    Raises
    ------
    ValueError
        If an option is unknown or out of range.

    See Also
    --------
    make_low_rank : Deformation without such a constraint.

    References
    ----------
    M. P. do Carmo, Differential Geometry of Curves and Surfaces, 1976, section 4-2 (cylinders are
    isometric to the plane).

    Examples
    --------
    >>> from nrsfm_learn.datasets import make_bending_sheet
    >>> make_bending_sheet(20, 4, 5, random_state=0).W.shape
    (20, 20, 2)
    """
    rng = check_random_state(random_state)
    for name, count in (("n_rows", n_rows), ("n_cols", n_cols)):
        if not isinstance(count, Integral) or count < 2:
            raise ValueError(f"{name} must be an integer, at least 2, got {count!r}.")
    if height <= 0 or width <= 0 or bending < 0:
        raise ValueError(
            "height and width must be positive and bending not negative, got "
            f"{height}, {width} and {bending}."
        )
    groups = clip_labels(n_frames, clips)
    v, u = np.meshgrid(
        np.linspace(height / 2, -height / 2, n_rows),
        np.linspace(-width / 2, width / 2, n_cols),
        indexing="ij",
    )
    flat = np.stack([u.ravel(), v.ravel()], axis=1)
    signals = np.tanh(smooth_signals(groups, 3, rng))
    start = rng.uniform(0, np.pi, size=int(groups.max()) + 1)
    shapes = bend_sheet(
        flat,
        direction=start[groups] + 0.6 * signals[:, 0],
        sizes=bending * np.stack([signals[:, 1], 0.5 * signals[:, 2]], axis=1),
        length=np.hypot(height, width),
    )
    grid = np.arange(n_rows * n_cols).reshape(n_rows, n_cols)
    a, b, c, d = (g.ravel() for g in (grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1]))
    along = [*zip(grid[:, :-1].ravel(), grid[:, 1:].ravel(), strict=True)]
    down = [*zip(grid[:-1].ravel(), grid[1:].ravel(), strict=True)]
    centre = shapes.mean(1, keepdims=True)
    return observe(
        shapes - centre,
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
        names=[f"r{i}c{j}" for i in range(n_rows) for j in range(n_cols)],
        edges=along + down,
        descr=f"Generated bending sheet, {camera} camera, {views_name(views)} views.",
        occluder=partial(
            hidden_by_mesh,
            vertices=shapes - centre,
            triangles=np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]),
        ),
        flat=flat,
    )


def bend_sheet(flat, *, direction, sizes, length):
    r"""Points of a flat sheet on generalised cylinders.

    With :math:`\sigma = \pi s / \ell` the tangent angle is
    :math:`\varphi(s) = c_1 \sin(\sigma) / 2 + c_2 \sin^2(\sigma)`, and its integrals are taken by
    Gauss-Legendre quadrature to rounding.

    Parameters
    ----------
    flat : ndarray of shape (n_points, 2)
        Points (u, v) of the sheet.
    direction : ndarray of shape (n_frames,)
        Angle of the bending direction against u, radians.
    sizes : ndarray of shape (n_frames, 2)
        Sizes of the odd and of the even wave, radians.
    length : float
        Length of the waves' half period, that of the sheet's diagonal.

    Returns
    -------
    ndarray of shape (n_frames, n_points, 3)
    """
    cos, sin = np.cos(direction)[:, None], np.sin(direction)[:, None]
    s = flat[:, 0] * cos + flat[:, 1] * sin
    r = flat[:, 1] * cos - flat[:, 0] * sin
    nodes, weights = np.polynomial.legendre.leggauss(32)
    wave = np.sin(np.pi / length * s[..., None] * (nodes + 1) / 2)
    odd, even = sizes[:, :1, None], sizes[:, 1:, None]
    phi = odd * wave / 2 + even * wave**2
    along, up = (s / 2 * (f(phi) @ weights) for f in (np.cos, np.sin))
    return np.stack([along * cos - r * sin, along * sin + r * cos, up], axis=-1)
