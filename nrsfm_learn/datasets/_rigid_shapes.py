"""Parametric shapes of rigid object categories: keypoints, and a surface that hides them.

Every category is in metres, with x to the object's left, y up and z to its front. To add one, write
a function that draws `n` instances and enter it in `RIGID_SHAPES`.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

# Corners of a box, False at the low and True at the high end of x, y, z; z varies fastest.
_BOX = np.array([[x, y, z] for x in (False, True) for y in (False, True) for z in (False, True)])
_QUADS = ((0, 1, 3, 2), (4, 5, 7, 6), (0, 1, 5, 4), (2, 3, 7, 6), (0, 2, 6, 4), (1, 3, 7, 5))


class RigidShapes(NamedTuple):
    """Instances of one category.

    Attributes
    ----------
    keypoints : dict of str to ndarray of shape (n, 3)
        Keypoints by name.
    edges : list of tuple of str
        Pairs of keypoints to be joined in a drawing.
    vertices : ndarray of shape (n, n_vertices, 3)
        Vertices of the surface.
    triangles : ndarray of shape (n_triangles, 3), int
        Triangles of the surface.
    """

    keypoints: dict
    edges: list
    vertices: np.ndarray
    triangles: np.ndarray


def _points(x, y, z):
    """Stack numbers or arrays of shape (n,) to points of shape (n, 3)."""
    return np.stack(np.broadcast_arrays(x, y, z), axis=-1).astype(float)


def _sides(name, x, y, z):
    """Return a symmetric pair of points, ``left_name`` and ``right_name``."""
    return {f"left_{name}": _points(x, y, z), f"right_{name}": _points(-np.asarray(x), y, z)}


def _hexahedron(*corners):
    """Triangles of a box with eight corners, ordered as in ``_BOX``."""
    quads = [(corners[a], corners[b], corners[c], corners[d]) for a, b, c, d in _QUADS]
    return [part for quad in quads for part in _quad(*quad)]


def _quad(a, b, c, d):
    return [(a, b, c), (a, c, d)]


def _box(n, low, high):
    """Triangles, as points, of boxes between two opposite corners."""
    low, high = (np.broadcast_to(_points(*c), (n, 3)) for c in (low, high))
    return _hexahedron(*(np.where(at, high, low) for at in _BOX))


def _surface(n, *parts):
    """Vertices (n, 3 T, 3) and triangles (T, 3) of lists of triangles given as points."""
    corners = [np.broadcast_to(p, (n, 3)) for part in parts for tri in part for p in tri]
    vertices = np.stack(corners, axis=1)
    return vertices, np.arange(vertices.shape[1]).reshape(-1, 3)


def car(n, rng):
    """Cars: wheels, lights, windscreen and rear window; from hatchback to estate.

    Parameters
    ----------
    n : int
        Number of instances.
    rng : numpy.random.RandomState
        Source of randomness.

    Returns
    -------
    RigidShapes
    """
    length, width = rng.uniform(3.6, 5.1, n), rng.uniform(1.6, 1.95, n)
    height = rng.uniform(1.3, 1.9, n)
    base = length * rng.uniform(0.56, 0.64, n)
    wheel = rng.uniform(0.28, 0.38, n)
    belt = height * rng.uniform(0.52, 0.62, n)
    nose, tail = length / 2, -length / 2
    hood = nose - length * rng.uniform(0.2, 0.3, n)
    roof_front = hood - length * rng.uniform(0.08, 0.16, n)
    deck = tail + length * rng.uniform(0.02, 0.2, n)
    roof_back = deck + length * rng.uniform(0.04, 0.14, n)
    top = 0.5 * width * rng.uniform(0.72, 0.88, n)
    half, low = width / 2, 0.6 * wheel
    keypoints = {
        **_sides("front_wheel", half, wheel, base / 2),
        **_sides("back_wheel", half, wheel, -base / 2),
        **_sides("headlight", 0.9 * half, 0.85 * belt, nose),
        **_sides("tail_light", 0.9 * half, 0.9 * belt, tail),
        **_sides("windscreen_bottom", half, belt, hood),
        **_sides("windscreen_top", top, height, roof_front),
        **_sides("rear_window_top", top, height, roof_back),
        **_sides("rear_window_bottom", half, belt, deck),
    }
    edges = [(f"left_{k}", f"right_{k}") for k in ("headlight", "tail_light")]
    glass = ["windscreen_bottom", "windscreen_top", "rear_window_top", "rear_window_bottom"]
    outline = ["headlight", *glass, "tail_light", "back_wheel", "front_wheel", "headlight"]
    edges += [(f"left_{k}", f"right_{k}") for k in glass]
    for side in ("left", "right"):
        edges += [(f"{side}_{a}", f"{side}_{b}") for a, b in pairwise(outline)]
    body = _box(n, (-half, low, tail), (half, belt, nose))
    corners = (glass[3], glass[0], glass[2], glass[1])
    cabin = _hexahedron(*(keypoints[f"{side}_{k}"] for side in ("right", "left") for k in corners))
    return RigidShapes(keypoints, edges, *_surface(n, body, cabin))


def chair(n, rng):
    """Chairs: the corners of the seat, the top of the back and the feet.

    Parameters
    ----------
    n : int
        Number of instances.
    rng : numpy.random.RandomState
        Source of randomness.

    Returns
    -------
    RigidShapes
    """
    width, depth = rng.uniform(0.38, 0.6, n) / 2, rng.uniform(0.38, 0.58, n) / 2
    seat, back = rng.uniform(0.38, 0.55, n), rng.uniform(0.3, 0.7, n)
    tilt = back * np.tan(np.deg2rad(rng.uniform(0, 18, n)))
    rear = width * rng.uniform(0.8, 1.0, n)
    top = rear * rng.uniform(0.8, 1.1, n)
    splay, thick, ends = rng.uniform(0, 0.07, n), 0.04, ("back", "front")
    keypoints = {
        **_sides("seat_front", width, seat, depth),
        **_sides("seat_back", rear, seat, -depth),
        **_sides("back_top", top, seat + back, -depth - tilt),
        **_sides("front_foot", width + splay, 0, depth + splay),
        **_sides("back_foot", rear + splay, 0, -depth - splay),
    }
    edges = []
    for a, b in (
        ("seat_front", "seat_back"),
        ("seat_back", "back_top"),
        ("seat_front", "front_foot"),
        ("seat_back", "back_foot"),
    ):
        edges += [(f"{side}_{a}", f"{side}_{b}") for side in ("left", "right")]
    edges += [(f"left_{k}", f"right_{k}") for k in ("seat_front", "seat_back", "back_top")]
    down = np.array([0, thick, 0])
    seat_corners = [keypoints[f"{side}_seat_{at}"] for side in ("right", "left") for at in ends]
    board = _hexahedron(
        *(c - d for side in (0, 2) for d in (down, 0) for c in seat_corners[side : side + 2])
    )
    backrest = ("left_seat_back", "right_seat_back", "right_back_top", "left_back_top")
    legs = []
    for side, x in (("left", -thick), ("right", thick)):
        for end, z in (("front", -thick), ("back", thick)):
            foot, hip = keypoints[f"{side}_{end}_foot"], keypoints[f"{side}_seat_{end}"] - down
            # Feet lie on the outer edges of angled legs, which so never hide their own foot.
            for inward in np.array([[x, 0, 0], [0, 0, z]]):
                legs += _quad(foot, foot + inward, hip + inward, hip)
    rest = _quad(*(keypoints[k] for k in backrest))
    return RigidShapes(keypoints, edges, *_surface(n, board, rest, legs))


def aeroplane(n, rng):
    """Aeroplanes: fuselage, swept wings with engines, tail plane and fin.

    Parameters
    ----------
    n : int
        Number of instances.
    rng : numpy.random.RandomState
        Source of randomness.

    Returns
    -------
    RigidShapes
    """
    length = rng.uniform(25, 70, n)
    radius = length * rng.uniform(0.045, 0.065, n)
    span = length * rng.uniform(0.4, 0.56, n)
    root = length * rng.uniform(0.0, 0.12, n)
    chord = length * rng.uniform(0.13, 0.2, n)
    sweep = span * np.tan(np.deg2rad(rng.uniform(5, 35, n)))
    rise = span * np.tan(np.deg2rad(rng.uniform(0, 8, n)))
    fin, tail_span = length * rng.uniform(0.11, 0.18, n), span * rng.uniform(0.3, 0.42, n)
    along = rng.uniform(0.3, 0.4, n)
    nose, tail = length / 2, -length / 2
    low = -0.5 * radius
    keypoints = {
        "nose": _points(0, 0, nose),
        "cockpit": _points(0, 0.9 * radius, nose - 1.6 * radius),
        "fin_root": _points(0, radius, tail + 0.2 * length),
        "fin_top": _points(0, radius + fin, tail + 0.03 * length),
        "tail": _points(0, 0.4 * radius, tail),
        **_sides("wing_front", radius, low, root),
        **_sides("wing_back", radius, low, root - chord),
        **_sides("wing_tip", span, low + rise, root - sweep),
        **_sides("engine", along * span, low + along * rise - 0.8 * radius, root - along * sweep),
        **_sides("tail_tip", tail_span, 0.6 * radius, tail + 0.02 * length),
    }
    k = keypoints
    edges = [("nose", "cockpit"), ("cockpit", "fin_root"), ("fin_root", "fin_top")]
    edges += [("fin_top", "tail")]
    parts = [_fuselage(radius, nose, tail), [(k["fin_root"], k["fin_top"], k["tail"])]]
    stabiliser = _points(0, 0.6 * radius, tail + 0.13 * length)
    for side in ("left", "right"):
        front, back, tip = (k[f"{side}_wing_{at}"] for at in ("front", "back", "tip"))
        parts.append([(front, back, tip), (stabiliser, k["tail"], k[f"{side}_tail_tip"])])
        edges += [
            ("nose", f"{side}_wing_front"),
            (f"{side}_wing_front", f"{side}_wing_tip"),
            (f"{side}_wing_tip", f"{side}_wing_back"),
            (f"{side}_wing_back", "tail"),
            (f"{side}_wing_front", f"{side}_engine"),
            ("tail", f"{side}_tail_tip"),
        ]
    return RigidShapes(keypoints, edges, *_surface(n, *parts))


def _fuselage(radius, nose, tail, sides=8):
    """Triangles of a tube with a cone at either end, a little thinner than the keypoints."""
    angle = 2 * np.pi * np.arange(sides) / sides
    front, back = nose - 2 * radius, 0.5 * tail
    rings = [
        [_points(0.98 * radius * np.cos(a), 0.98 * radius * np.sin(a), z) for a in angle]
        for z in (front, back)
    ]
    tips = _points(0, 0, nose), _points(0, 0.4 * radius, tail)
    triangles = []
    for i in range(sides):
        j = (i + 1) % sides
        triangles += _quad(rings[0][i], rings[0][j], rings[1][j], rings[1][i])
        triangles += [(tip, ring[i], ring[j]) for tip, ring in zip(tips, rings, strict=True)]
    return triangles


RIGID_SHAPES = {"aeroplane": aeroplane, "car": car, "chair": chair}
