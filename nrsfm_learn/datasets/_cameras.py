"""Synthetic cameras: view directions, placement, projection, noise and the Bunch that results."""

from numbers import Integral

import numpy as np
from scipy.spatial.transform import Rotation
from sklearn.utils import Bunch

from nrsfm_learn.datasets._camera_path import path_angles, upright_rotations
from nrsfm_learn.datasets._hiding import HIDINGS, hide

CAMERAS = ("orthographic", "weak_perspective", "perspective")
VIEWS = ("random", "smooth", "turntable", "upright")

_OFFSET = 0.1
_TYPICAL_CLIP = 150
_DISTANCE_SPREAD = 0.15


def quaternions_to_matrices(quaternions):
    """Rotation matrices of quaternions (w, x, y, z) of any length, shape (n, 4) to (n, 3, 3)."""
    return Rotation.from_quat(np.roll(quaternions, -1, axis=-1)).as_matrix()


def smooth_signals(groups, n_signals, rng, *, period=60.0):
    """Band-limited random signals, independent in each clip, of zero mean and unit variance.

    Each signal is a sum of four sinusoids of random phase whose periods lie between `period` and
    three times `period` frames, so that frames next to each other differ little.

    Parameters
    ----------
    groups : ndarray of shape (n_frames,)
        Clip of each frame.
    n_signals : int
        Number of signals.
    rng : numpy.random.RandomState
        Source of the phases and frequencies.
    period : float
        Shortest period, frames.

    Returns
    -------
    ndarray of shape (n_frames, n_signals)
    """
    signals = np.empty((len(groups), n_signals))
    for clip in np.unique(groups):
        frames = np.flatnonzero(groups == clip)
        omega = 2 * np.pi / (period * rng.uniform(1, 3, size=(n_signals, 4)))
        phase = rng.uniform(0, 2 * np.pi, size=(n_signals, 4))
        time = np.arange(len(frames))[:, None, None]
        signals[frames] = np.sin(omega * time + phase).sum(-1) / np.sqrt(2)
    return signals


def clip_labels(n_frames, clips, *, name="clips"):
    """Clip index of each frame, for a number of clips of nearly equal length.

    Parameters
    ----------
    n_frames : int
        Number of frames.
    clips : int or None
        Number of clips; None makes their length about 150 frames.
    name : str
        Name of `clips` in messages.

    Returns
    -------
    ndarray of shape (n_frames,), int
    """
    if not isinstance(n_frames, Integral) or n_frames < 1:
        raise ValueError(f"n_frames must be a positive integer, got {n_frames!r}.")
    if clips is None:
        clips = max(1, round(n_frames / _TYPICAL_CLIP))
    if not isinstance(clips, Integral) or not 1 <= clips <= n_frames:
        raise ValueError(
            f"{name} must be an integer between 1 and n_frames={n_frames}, got {clips!r}."
        )
    return np.arange(n_frames) * clips // n_frames


def view_rotations(views, groups, rng):
    """Rotations from object to camera frame.

    Parameters
    ----------
    views : {"random", "smooth", "turntable", "upright"} or ndarray of shape (n_frames, 3, 3)
        "random": independent and uniform over SO(3). "smooth": in each clip a camera that starts
        anywhere, goes round the vertical and nods slowly. "turntable": one full turn in each clip
        at a constant elevation. "upright": independent, any azimuth, elevation from -10 to 45
        degrees, roll within 5 degrees. An array is what is returned.
    groups : ndarray of shape (n_frames,)
        Clip of each frame.
    rng : numpy.random.RandomState
        Source of randomness.

    Returns
    -------
    ndarray of shape (n_frames, 3, 3)
    """
    n = len(groups)
    if not isinstance(views, str):
        return np.asarray(views, dtype=float)
    if views == "random":
        return quaternions_to_matrices(rng.normal(size=(n, 4)))
    azimuth, elevation, roll = np.empty(n), np.empty(n), np.zeros(n)
    if views == "upright":
        azimuth[:] = rng.uniform(0, 2 * np.pi, n)
        elevation[:] = np.deg2rad(rng.uniform(-10, 45, n))
        roll[:] = np.deg2rad(rng.uniform(-5, 5, n))
    elif views == "turntable":
        for clip in np.unique(groups):
            frames = np.flatnonzero(groups == clip)
            start, tilt = rng.uniform(0, 2 * np.pi), np.deg2rad(rng.uniform(0, 20))
            azimuth[frames] = start + 2 * np.pi * np.arange(len(frames)) / len(frames)
            elevation[frames] = tilt
    else:
        azimuth, elevation = path_angles(groups, rng)
    return upright_rotations(azimuth, elevation, roll)


def views_name(views):
    """Return what descriptions call the views."""
    return views if isinstance(views, str) else "given"


def project(X, camera="orthographic", *, scales=None, intrinsics=None):
    r"""Project points of the camera frame onto the image.

    .. math::
        w = K_{1:2} \begin{pmatrix} s x \\ s y \\ 1 \end{pmatrix}
        \quad\text{or}\quad
        w = K_{1:2} \begin{pmatrix} x / z \\ y / z \\ 1 \end{pmatrix}

    with the scale s = 1 under orthography and K = I without intrinsics; the second form is the
    perspective one.

    Parameters
    ----------
    X : ndarray of shape (n_frames, n_points, 3)
        Points in the camera frame.
    camera : {"orthographic", "weak_perspective", "perspective"}
        Kind of camera.
    scales : ndarray of shape (n_frames,), optional
        Scale of each frame of a weak perspective camera.
    intrinsics : ndarray of shape (3, 3), optional
        Calibration matrix K.

    Returns
    -------
    ndarray of shape (n_frames, n_points, 2)
    """
    W = X[..., :2] / X[..., 2:] if camera == "perspective" else X[..., :2].copy()
    if camera == "weak_perspective" and scales is not None:
        W *= np.asarray(scales)[:, None, None]
    if intrinsics is not None:
        W = W @ intrinsics[:2, :2].T + intrinsics[:2, 2]
    return W


def observe(
    shapes,
    groups,
    rng,
    *,
    camera,
    views,
    missing,
    occlusion,
    noise,
    depth_ratio,
    intrinsics,
    image_size,
    min_visible,
    names,
    edges,
    descr,
    occluder=None,
    rotations=None,
    **extra,
):
    """See shapes with a camera: the last step of every generator.

    Parameters
    ----------
    shapes : ndarray of shape (n_frames, n_points, 3)
        Centred shapes, object frame.
    groups : ndarray of shape (n_frames,)
        Clip of each frame.
    rng : numpy.random.RandomState
        Source of randomness.
    camera, views, missing, occlusion, noise, depth_ratio, intrinsics, image_size, min_visible
        As documented by the generators.
    names : list of str
        Name of each point.
    edges : list of tuple of int
        Pairs of points to be joined in a drawing.
    descr : str
        Description.
    occluder : callable, optional
        ``occluder(X, to_camera, perspective) -> hidden``: which points the object itself hides,
        given them in the camera frame, the map from object to camera frame and whether lines of
        sight meet in the origin.
    rotations : ndarray of shape (n_frames, 3, 3), optional
        From object to camera frame, instead of those of `views`.
    **extra
        Further entries of the result.

    Returns
    -------
    Bunch
    """
    _check_options(camera, views, missing, occlusion, noise, depth_ratio, min_visible, shapes)
    if occlusion == "self" and occluder is None:
        raise ValueError("occlusion='self' needs a surface, and this generator makes only points.")
    rotations = view_rotations(views, groups, rng) if rotations is None else rotations
    turned = shapes @ rotations.swapaxes(1, 2)
    translations, scales = _placement(turned, groups, camera, views, depth_ratio, rng)
    X = turned + translations[:, None]
    K = _calibration(project(X, camera, scales=scales), intrinsics, image_size)
    W_complete = project(X, camera, scales=scales, intrinsics=K)

    spread = np.linalg.norm(W_complete - W_complete.mean(1, keepdims=True), axis=(1, 2)).mean()
    sigma = noise * spread / np.sqrt(W_complete.shape[1])
    W = W_complete + sigma * rng.normal(size=W_complete.shape)
    hidden = None
    if occlusion == "self":

        def to_camera(points):
            return points @ rotations.swapaxes(1, 2) + translations[:, None]

        hidden = occluder(X, to_camera, camera == "perspective")
    visible = ~hide(groups, shapes.shape[1], missing, occlusion, min_visible, rng, hidden)
    W[~visible] = np.nan
    return Bunch(
        W=W,
        visible=visible,
        X=X,
        W_complete=W_complete,
        shapes=shapes,
        rotations=rotations,
        translations=translations,
        scales=scales,
        intrinsics=K,
        camera=camera,
        names=list(names),
        edges=[(int(i), int(j)) for i, j in edges],
        groups=groups,
        DESCR=descr,
        **extra,
    )


def _check_options(camera, views, missing, occlusion, noise, depth_ratio, min_visible, shapes):
    for name, value, allowed in (
        ("camera", camera, CAMERAS),
        ("occlusion", occlusion, HIDINGS),
    ):
        if value not in allowed:
            raise ValueError(f"{name} must be one of {list(allowed)}, got {value!r}.")
    _check_views(views, len(shapes))
    if not 0 <= missing < 1:
        raise ValueError(f"missing is a fraction, 0 <= missing < 1, got {missing}.")
    if noise < 0:
        raise ValueError(f"noise is a relative standard deviation, >= 0, got {noise}.")
    if not 0 < depth_ratio < 2:
        raise ValueError(
            "depth_ratio is the object's depth over the distance of its centre, between 0 and 2, "
            f"got {depth_ratio}."
        )
    if not 0 <= min_visible <= shapes.shape[1]:
        raise ValueError(
            f"min_visible must lie between 0 and the {shapes.shape[1]} points, got {min_visible}."
        )


def _check_views(views, n_frames):
    if isinstance(views, str):
        if views not in VIEWS:
            raise ValueError(
                f"views must be one of {list(VIEWS)} or an array of rotations, got {views!r}."
            )
        return
    R = np.asarray(views, dtype=float)
    if R.shape != (n_frames, 3, 3):
        raise ValueError(
            f"views must be rotations of shape (n_frames, 3, 3) = ({n_frames}, 3, 3), got "
            f"{R.shape}; make_camera_path returns such ones."
        )
    wrong = ~(np.abs(R @ R.swapaxes(1, 2) - np.eye(3)).max((1, 2)) < 1e-6)
    wrong |= ~(np.linalg.det(np.where(np.isfinite(R), R, 0)) > 0)
    if wrong.any():
        raise ValueError(
            f"views[{int(wrong.argmax())}] is no rotation: rows must be orthonormal and the "
            f"determinant +1."
        )


def _placement(turned, groups, camera, views, depth_ratio, rng):
    """Return translations and scales that put the object a little off the camera's axis."""
    n = len(turned)
    if isinstance(views, str) and views in ("random", "upright"):
        signals = rng.uniform(-1, 1, size=(n, 3))
    else:
        signals = np.tanh(smooth_signals(groups, 3, rng, period=150.0))
    size = np.sqrt((turned**2).sum(-1).mean())
    stretch = 1 + _DISTANCE_SPREAD * signals[:, 2]
    translations = np.zeros((n, 3))
    translations[:, :2] = 2 * _OFFSET * size * signals[:, :2]
    if camera == "orthographic":
        return translations, np.ones(n)
    if camera == "weak_perspective":
        return translations, 1 / stretch
    extent = np.ptp(turned[..., 2], axis=1)
    distance = stretch * (extent / stretch).mean() / depth_ratio
    translations[:, :2] = _OFFSET * distance[:, None] * signals[:, :2]
    translations[:, 2] = distance
    nearest = (turned[..., 2].min(1) + distance) / distance
    if nearest.min() < 0.05:
        raise ValueError(
            f"depth_ratio={depth_ratio} puts the camera inside the object in frame "
            f"{nearest.argmin()}; use a smaller one."
        )
    return translations, np.ones(n)


def _calibration(W, intrinsics, image_size):
    """Return K as given, or such that every frame fits an image of that size, or None."""
    if intrinsics is not None:
        if image_size is not None:
            raise ValueError("give intrinsics or image_size, not both.")
        K = np.asarray(intrinsics, dtype=float)
        if K.shape != (3, 3) or not np.allclose(K[2], [0, 0, 1]):
            raise ValueError(
                "intrinsics must be a (3, 3) calibration matrix whose last row is 0, 0, 1; got "
                f"shape {K.shape}."
            )
        return K
    if image_size is None:
        return None
    half = np.asarray(image_size, dtype=float) / 2
    if half.shape != (2,) or (half <= 0).any():
        raise ValueError(f"image_size must be (width, height) in pixels, got {image_size!r}.")
    focal = 0.9 * (half / np.abs(W).max((0, 1))).min()
    return np.array([[focal, 0, half[0]], [0, focal, half[1]], [0, 0, 1]])
