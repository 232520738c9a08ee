"""Views that turn and views that do not."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation


def take_out_rotation(shapes):
    """Rotate each shape onto their mean, so that what is left is deformation."""
    shapes = shapes - shapes.mean(1, keepdims=True)
    mean = shapes[len(shapes) // 2]
    for _ in range(5):
        rotation = np.stack([Rotation.align_vectors(mean, s)[0].as_matrix() for s in shapes])
        shapes = shapes @ rotation.swapaxes(1, 2)
        mean = shapes.mean(0)
    return shapes


def spin(W, rng):
    """Turn each frame in the image plane."""
    angle = rng.uniform(0, 2 * np.pi, len(W))
    z = (W[..., 0] + 1j * W[..., 1]) * np.exp(1j * angle)[:, None]
    return np.stack([z.real, z.imag], axis=2)


@pytest.fixture
def fixed_view():
    """One view, drawn by a seed, of shapes that do not turn."""

    def look(shapes, seed=0, in_plane=False):
        view = Rotation.random(random_state=seed).as_matrix()
        W = (take_out_rotation(shapes) @ view.T)[..., :2]
        return spin(W, np.random.default_rng(seed)) if in_plane else W

    return look


@pytest.fixture
def arc():
    """Shapes that swing about the vertical by so many degrees."""

    def look(shapes, degrees):
        time = np.linspace(0, 6, len(shapes))
        angle = np.deg2rad(degrees) * (0.5 - 0.5 * np.cos(time))
        turn = Rotation.from_rotvec(angle[:, None] * [0, 1, 0]).as_matrix()
        shapes = shapes - shapes.mean(1, keepdims=True)
        return (shapes @ turn.swapaxes(1, 2))[..., :2]

    return look
