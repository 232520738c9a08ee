"""Paths of a camera that moves smoothly round an object."""

import numpy as np
from scipy.spatial.transform import Rotation
from sklearn.utils import check_random_state

from nrsfm_learn._validation import check_groups

# Objects are described with y up and z to the front; a camera has y down and looks along +z.
_FACING = np.diag([1.0, -1.0, -1.0])


def make_camera_path(
    n_frames,
    *,
    groups=None,
    speed=(0.5, 1.5),
    elevation=(0.0, 20.0),
    swing=(5.0, 15.0),
    period=(150.0, 300.0),
    random_state=None,
):
    r"""Generate the rotations of a camera that goes round an object and nods slowly.

    In each clip the camera starts at a random azimuth :math:`\alpha_0` and moves on

    .. math::
        \alpha_t = \alpha_0 + v t, \qquad
        \epsilon_t = \epsilon_0 + a \sin (2 \pi t / T),

    with azimuth :math:`\alpha` round the object's vertical and elevation :math:`\epsilon` above the
    horizon. Clips have paths of their own: between two of them the camera jumps.

    Parameters
    ----------
    n_frames : int
        Number of frames.
    groups : array-like of shape (n_frames,), optional
        Clip of each frame, whose frames are in order of appearance; one clip by default.
    speed : float or (float, float), default=(0.5, 1.5)
        :math:`v`, degrees a frame. Of a pair, a value between the two is drawn for each clip, and
        the direction too; a number is what it is, with its sign.
    elevation : float or (float, float), default=(0, 20)
        :math:`\epsilon_0`, degrees.
    swing : float or (float, float), default=(5, 15)
        :math:`a`, degrees.
    period : float or (float, float), default=(150, 300)
        :math:`T`, frames.
    random_state : int, RandomState or None, default=None
        Seed.

    Returns
    -------
    ndarray of shape (n_frames, 3, 3)
        Rotations from object frame (y up, z to the front) to camera frame (x right, y down, z
        away): ``X_cam = shapes @ rotations.swapaxes(1, 2)``. The generators take them as
        ``views``.

    Raises
    ------
    ValueError
        If a setting is out of range, or there is not one label a frame.

    See Also
    --------
    make_articulated_body : A body that such a camera may see.

    Examples
    --------
    >>> from nrsfm_learn.datasets import make_articulated_body, make_camera_path
    >>> R = make_camera_path(90, speed=1.0, random_state=0)
    >>> body = make_articulated_body(90, views=R, random_state=0)
    >>> body.W.shape
    (90, 31, 2)
    """
    if n_frames < 1:
        raise ValueError(f"n_frames must be positive, got {n_frames}.")
    groups = np.zeros(n_frames, dtype=int) if groups is None else check_groups(groups, n_frames)
    for name, value in (
        ("speed", speed),
        ("elevation", elevation),
        ("swing", swing),
        ("period", period),
    ):
        pair = np.asarray(value, dtype=float)
        if pair.shape not in ((), (2,)) or not np.isfinite(pair).all():
            raise ValueError(f"{name} must be a number or a pair (lowest, highest), got {value!r}.")
        if pair.ndim and pair[0] > pair[1]:
            raise ValueError(f"{name} must be (lowest, highest), got {value!r}.")
    if np.min(period) <= 0:
        raise ValueError(f"period must be positive, in frames, got {period!r}.")
    rng = check_random_state(random_state)
    azimuth, height = path_angles(groups, rng, speed, elevation, swing, period)
    return upright_rotations(azimuth, height, np.zeros(n_frames))


def path_angles(
    groups,
    rng,
    speed=(0.5, 1.5),
    elevation=(0.0, 20.0),
    swing=(5.0, 15.0),
    period=(150.0, 300.0),
):
    """Azimuth and elevation, radians, of the paths of :func:`make_camera_path`."""

    def draw(value):
        return rng.uniform(*value) if np.ndim(value) else value

    azimuth, height = np.empty(len(groups)), np.empty(len(groups))
    for clip in np.unique(groups):
        frames = np.flatnonzero(groups == clip)
        time = np.arange(len(frames))
        start, tilt = rng.uniform(0, 2 * np.pi), np.deg2rad(draw(elevation))
        rate = np.deg2rad(draw(speed))
        if np.ndim(speed):
            rate *= rng.choice([-1, 1])
        azimuth[frames] = start + rate * time
        nod, length = np.deg2rad(draw(swing)), draw(period)
        height[frames] = tilt + nod * np.sin(2 * np.pi * time / length)
    return azimuth, height


def upright_rotations(azimuth, elevation, roll):
    """Rotations from object to camera frame, of cameras that stand more or less upright.

    Parameters
    ----------
    azimuth : ndarray of shape (n,)
        Radians round the object's vertical, 0 in front of it.
    elevation : ndarray of shape (n,)
        Radians above the horizon.
    roll : ndarray of shape (n,)
        Radians about the line of sight.

    Returns
    -------
    ndarray of shape (n, 3, 3)
    """
    turn = Rotation.from_euler("YXZ", np.stack([azimuth, -elevation, roll], 1)).inv().as_matrix()
    return _FACING @ turn
