"""Which keypoints a synthetic camera misses: at random, for a while, or behind the object."""

import numpy as np

HIDINGS = ("random", "contiguous", "self")

_BLOCK = 15.0
_TOWARDS = np.array([0.0, 0.0, -1.0])


def hide(groups, n_points, missing, occlusion, min_visible, rng, hidden=None):
    """Hidden keypoints, with at least `min_visible` of them left in each frame.

    Parameters
    ----------
    groups : ndarray of shape (n_frames,)
        Clip of each frame.
    n_points : int
        Number of keypoints.
    missing : float
        Fraction of keypoints to hide, on top of those in `hidden`.
    occlusion : {"random", "contiguous", "self"}
        "contiguous" hides each point in blocks of time; the others hide independently.
    min_visible : int
        A frame with fewer visible keypoints gets some of them back.
    rng : numpy.random.RandomState
        Source of randomness.
    hidden : ndarray of shape (n_frames, n_points), bool, optional
        What is hidden already.

    Returns
    -------
    ndarray of shape (n_frames, n_points), bool
    """
    if occlusion == "contiguous":
        dropped = hide_in_blocks(groups, n_points, missing, rng)
    else:
        dropped = rng.uniform(size=(len(groups), n_points)) < missing
    hidden = dropped if hidden is None else hidden | dropped
    # One order of preference for each clip, so that points brought back stay back.
    order = rng.uniform(size=(int(groups.max()) + 1, n_points))[groups]
    rank = np.argsort(np.argsort(np.where(hidden, order, -1.0), axis=1), axis=1)
    return hidden & (rank >= min_visible)


def hide_in_blocks(groups, n_points, missing, rng, *, block=_BLOCK):
    """Hide each point for stretches of time with a mean length of `block` frames.

    A two-state Markov chain for each point, started anew in each clip from its stationary
    distribution, so that the expected fraction of hidden frames is `missing`.

    Parameters
    ----------
    groups : ndarray of shape (n_frames,)
        Clip of each frame; frames of a clip are consecutive.
    n_points : int
        Number of points.
    missing : float
        Expected fraction of hidden keypoints, below 1.
    rng : numpy.random.RandomState
        Source of randomness.
    block : float
        Mean length of a hidden stretch, frames.

    Returns
    -------
    ndarray of shape (n_frames, n_points), bool
    """
    block = max(block, missing / (1 - missing))
    reappear, vanish = 1 / block, missing / (1 - missing) / block
    draws = rng.uniform(size=(len(groups), n_points))
    hidden = draws < missing
    for f in range(1, len(groups)):
        if groups[f] == groups[f - 1]:
            hidden[f] = np.where(hidden[f - 1], draws[f] >= reappear, draws[f] < vanish)
    return hidden


def hidden_by_capsules(X, to_camera, perspective, *, bones, radii, joints=None, chunk=2000):
    r"""Points whose line of sight passes through a limb.

    A limb is a capsule around the bone from point a to point b. The point p, seen in the unit
    direction d, is hidden where

    .. math:: \min_{t \ge 0,\; 0 \le s \le 1} \lVert p + t d - a - s (b - a) \rVert < r

    for a limb; a joint is not hidden by those that it lies in.

    Parameters
    ----------
    X : ndarray of shape (n_frames, n_points, 3)
        Joints, or points of the skin, in the camera frame.
    to_camera : callable
        Maps points (n_frames, n, 3) of the object frame to the camera frame.
    perspective : bool
        Whether lines of sight meet in the origin; they are parallel to the third axis otherwise.
    bones : sequence of tuple of int
        Ends of each limb, as indices of joints.
    radii : sequence of float
        Radius of each limb, in the units of the points.
    joints : ndarray of shape (n_frames, n_joints, 3), optional
        Joints in the object frame, for points of the skin; these lie a little outside their own
        limb, which hides them where they face away. None: the points are the joints.
    chunk : int
        Frames handled at once.

    Returns
    -------
    ndarray of shape (n_frames, n_points), bool

    References
    ----------
    C. Ericson, Real-Time Collision Detection, 2005, section 5.1.9 (closest points of segments).
    """
    bones, radii = np.asarray(bones), np.asarray(radii)
    joints_seen = X if joints is None else to_camera(joints)
    hidden = np.zeros(X.shape[:2], dtype=bool)
    for start in range(0, len(X), chunk):
        p = X[start : start + chunk, :, None]
        ends = joints_seen[start : start + chunk]
        d = -p / np.linalg.norm(p, axis=-1, keepdims=True) if perspective else _TOWARDS
        a = ends[:, None, bones[:, 0]]
        e = ends[:, None, bones[:, 1]] - a
        w = p - a
        ee, de, ew, dw = ((u * v).sum(-1) for u, v in ((e, e), (d, e), (e, w), (d, w)))
        slant = np.maximum(ee - de**2, 1e-12 * ee)
        s = np.clip((ew - dw * de) / slant, 0, 1)
        t = np.maximum(s * de - dw, 0)
        s = np.clip((ew + t * de) / ee, 0, 1)
        gap = np.linalg.norm(w + t[..., None] * d - s[..., None] * e, axis=-1)
        hides = gap < radii
        if joints is None:
            own = np.clip(ew / ee, 0, 1)
            hides &= np.linalg.norm(w - own[..., None] * e, axis=-1) >= radii
        hidden[start : start + chunk] = hides.any(-1)
    return hidden


def hidden_by_mesh(X, to_camera, perspective, *, vertices, triangles, batch=5_000_000):
    r"""Points that a surface hides.

    Lines of sight are made parallel first: (x, y, z) itself under orthography and
    (x / z, y / z, -1 / z) under perspective, which keeps planes plane and depth in order. A point
    is hidden where, for a triangle with the homogeneous image points in the columns of V,

    .. math::
        \lambda = V^{-1} (x, y, 1)^\top \ge 0
        \quad\text{and}\quad \lambda^\top (z_1, z_2, z_3) < z .

    Parameters
    ----------
    X : ndarray of shape (n_frames, n_points, 3)
        Keypoints in the camera frame; the triangles that they lie on do not hide them.
    to_camera : callable
        Maps points (n_frames, n, 3) of the object frame to the camera frame.
    perspective : bool
        Whether lines of sight meet in the origin.
    vertices : ndarray of shape (n_frames, n_vertices, 3)
        Vertices of the surface, object frame.
    triangles : ndarray of shape (n_triangles, 3), int
        Triangles, as indices of vertices.
    batch : int
        Number of pairs of a point and a triangle handled at once.

    Returns
    -------
    ndarray of shape (n_frames, n_points), bool
    """
    points, corners = _unfold(X, perspective), _unfold(to_camera(vertices), perspective)
    size = np.ptp(points, axis=1).max(-1)[:, None, None]
    hidden = np.zeros(X.shape[:2], dtype=bool)
    chunk = max(1, batch // (X.shape[1] * len(triangles)))
    for start in range(0, len(X), chunk):
        part = slice(start, start + chunk)
        p, V = points[part], corners[part][:, triangles]
        z, V = V[..., 2], np.concatenate([V[..., :2], np.ones_like(V[..., :1])], -1)
        adjugate = np.cross(V[:, :, [1, 2, 0]], V[:, :, [2, 0, 1]])
        det = (adjugate[:, :, 0] * V[:, :, 0]).sum(-1)
        # A triangle seen edge-on hides nothing: NaN fails every comparison.
        det[np.abs(det) < 1e-9 * size[part, :, 0] ** 2] = np.nan
        inverse = adjugate / det[..., None, None]
        image = np.concatenate([p[..., :2], np.ones_like(p[..., :1])], -1)
        inside = np.ones((len(p), p.shape[1], len(triangles)), dtype=bool)
        for k in range(3):
            inside &= image @ inverse[:, :, k].swapaxes(1, 2) >= 0
        depth = image @ (z[:, :, None] @ inverse)[:, :, 0].swapaxes(1, 2)
        hidden[part] = (inside & (depth < p[..., 2:] - 1e-6 * size[part])).any(-1)
    return hidden


def _unfold(X, perspective):
    """Make the lines of sight parallel to the third axis."""
    if not perspective:
        return X
    return np.concatenate([X[..., :2], -np.ones_like(X[..., :1])], axis=-1) / X[..., 2:]
