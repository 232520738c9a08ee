"""Hypothesis strategies for what methods, metrics and transformers take."""

import numpy as np


def _hypothesis():
    """Import hypothesis, which only tests need."""
    try:
        import hypothesis.extra.numpy
        import hypothesis.strategies
    except ImportError as error:
        raise ImportError(
            "nrsfm_learn.testing's strategies need hypothesis: pip install 'nrsfm_learn[test]'."
        ) from error
    return hypothesis.strategies, hypothesis.extra.numpy


def _coordinates(shape, scale):
    """Draw float64 arrays whose size neither overflows nor drowns in rounding."""
    st, extra = _hypothesis()
    # Multiples of 2^-20: tiny numbers, whose squares underflow, say nothing about the code.
    numbers = st.integers(-(2**20), 2**20).map(lambda n: scale * n / 2**20)
    return extra.arrays(np.float64, shape, elements=numbers, fill=st.nothing())


def rotations(n=None):
    r"""Draw rotation matrices.

    Four numbers make a unit quaternion :math:`(w, x, y, z)`, and that the matrix

    .. math::
        R = \begin{pmatrix}
        1 - 2(y^2 + z^2) & 2(xy - wz) & 2(xz + wy) \\
        2(xy + wz) & 1 - 2(x^2 + z^2) & 2(yz - wx) \\
        2(xz - wy) & 2(yz + wx) & 1 - 2(x^2 + y^2) \end{pmatrix}

    Parameters
    ----------
    n : int, default=None
        How many; None for a single one.

    Returns
    -------
    hypothesis.strategies.SearchStrategy
        Of arrays of shape (n, 3, 3) or (3, 3); orthonormal, determinant +1. It shrinks towards the
        identity.
    """

    def build(q):
        # Shifted, so that the simplest example, all zeros, is the identity.
        q = q + np.array([2.0, 0.0, 0.0, 0.0])
        w, x, y, z = np.moveaxis(q / np.linalg.norm(q, axis=-1, keepdims=True), -1, 0)
        rows = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
        return np.moveaxis(np.array(rows), (0, 1), (-2, -1))

    st, _ = _hypothesis()
    shape = (4,) if n is None else (n, 4)
    scale = st.sampled_from((1.0, 8.0))
    return scale.flatmap(lambda s: _coordinates(shape, s)).filter(_not_opposite).map(build)


def _not_opposite(q):
    """Refuse quaternions too close to zero after the shift in :func:`rotations`."""
    return bool((np.linalg.norm(q + np.array([2.0, 0, 0, 0]), axis=-1) > 1e-3).all())


def masks(n_frames, n_points, min_visible=0):
    """Draw visibility masks.

    Parameters
    ----------
    n_frames, n_points : int
        Their shape.
    min_visible : int, default=0
        Visible points that each frame has at least.

    Returns
    -------
    hypothesis.strategies.SearchStrategy
        Of boolean arrays of shape (n_frames, n_points), True where visible. It shrinks towards
        everything visible.
    """
    if not 0 <= min_visible <= n_points:
        raise ValueError(
            f"min_visible must be between 0 and n_points = {n_points}, got {min_visible}."
        )
    st, extra = _hypothesis()

    def build(drawn):
        hidden, order = drawn
        # The first points of each frame's own order stay visible.
        rank = np.argsort(np.argsort(order, axis=1, kind="stable"), axis=1)
        return ~hidden | (rank < min_visible)

    shape = (n_frames, n_points)
    return st.tuples(
        extra.arrays(bool, shape), extra.arrays(np.int16, shape, elements=st.integers(0, 1000))
    ).map(build)


def keypoints(n_frames, n_points, missing=False, min_visible=3, scale=100.0):
    """Draw 2-D keypoints.

    Parameters
    ----------
    n_frames, n_points : int
        Their shape.
    missing : bool, default=False
        Set some of them to NaN.
    min_visible : int, default=3
        Visible points that each frame has at least, where some are missing.
    scale : float, default=100.0
        Largest coordinate.

    Returns
    -------
    hypothesis.strategies.SearchStrategy
        Of float64 arrays of shape (n_frames, n_points, 2). Points may coincide.
    """
    points = _coordinates((n_frames, n_points, 2), scale)
    if not missing:
        return points
    st, _ = _hypothesis()
    return st.builds(
        lambda W, visible: np.where(visible[..., None], W, np.nan),
        points,
        masks(n_frames, n_points, min_visible),
    )


def shapes(n_frames, n_points, centered=False, scale=100.0):
    """Draw 3-D shapes.

    Parameters
    ----------
    n_frames, n_points : int
        Their shape.
    centered : bool, default=False
        Put the mean of each frame's points at the origin.
    scale : float, default=100.0
        Largest coordinate, before centring.

    Returns
    -------
    hypothesis.strategies.SearchStrategy
        Of float64 arrays of shape (n_frames, n_points, 3). Points may coincide.
    """
    points = _coordinates((n_frames, n_points, 3), scale)
    return points.map(lambda X: X - X.mean(1, keepdims=True)) if centered else points
