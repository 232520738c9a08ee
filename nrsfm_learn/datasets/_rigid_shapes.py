"""Parametric shapes of rigid object categories: keypoints, and a surface that hides them.

Every category is in metres, with x to the object's left, y up and z to its front. To add one, write
a function that draws `n` instances and enter it in `RIGID_SHAPES`.
"""

from itertools import pairwise

import numpy as np

from nrsfm_learn.datasets._rigid_household import bottle, diningtable, sofa, tvmonitor
from nrsfm_learn.datasets._rigid_parts import (
    RigidShapes,
    box,
    hexahedron,
    points,
    quad,
    sides,
    surface,
)
from nrsfm_learn.datasets._rigid_vehicles import bicycle, boat, bus, motorbike, train


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
        **sides("front_wheel", half, wheel, base / 2),
        **sides("back_wheel", half, wheel, -base / 2),
        **sides("headlight", 0.9 * half, 0.85 * belt, nose),
        **sides("tail_light", 0.9 * half, 0.9 * belt, tail),
        **sides("windscreen_bottom", half, belt, hood),
        **sides("windscreen_top", top, height, roof_front),
        **sides("rear_window_top", top, height, roof_back),
        **sides("rear_window_bottom", half, belt, deck),
    }
    edges = [(f"left_{k}", f"right_{k}") for k in ("headlight", "tail_light")]
    glass = ["windscreen_bottom", "windscreen_top", "rear_window_top", "rear_window_bottom"]
    outline = ["headlight", *glass, "tail_light", "back_wheel", "front_wheel", "headlight"]
    edges += [(f"left_{k}", f"right_{k}") for k in glass]
    for side in ("left", "right"):
        edges += [(f"{side}_{a}", f"{side}_{b}") for a, b in pairwise(outline)]
    body = box(n, (-half, low, tail), (half, belt, nose))
    corners = (glass[3], glass[0], glass[2], glass[1])
    cabin = hexahedron(*(keypoints[f"{side}_{k}"] for side in ("right", "left") for k in corners))
    return RigidShapes(keypoints, edges, *surface(n, body, cabin))


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
        **sides("seat_front", width, seat, depth),
        **sides("seat_back", rear, seat, -depth),
        **sides("back_top", top, seat + back, -depth - tilt),
        **sides("front_foot", width + splay, 0, depth + splay),
        **sides("back_foot", rear + splay, 0, -depth - splay),
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
    board = hexahedron(
        *(c - d for side in (0, 2) for d in (down, 0) for c in seat_corners[side : side + 2])
    )
    backrest = ("left_seat_back", "right_seat_back", "right_back_top", "left_back_top")
    legs = []
    for side, x in (("left", -thick), ("right", thick)):
        for end, z in (("front", -thick), ("back", thick)):
            foot, hip = keypoints[f"{side}_{end}_foot"], keypoints[f"{side}_seat_{end}"] - down
            # Feet lie on the outer edges of angled legs, which so never hide their own foot.
            for inward in np.array([[x, 0, 0], [0, 0, z]]):
                legs += quad(foot, foot + inward, hip + inward, hip)
    rest = quad(*(keypoints[k] for k in backrest))
    return RigidShapes(keypoints, edges, *surface(n, board, rest, legs))


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
        "nose": points(0, 0, nose),
        "cockpit": points(0, 0.9 * radius, nose - 1.6 * radius),
        "fin_root": points(0, radius, tail + 0.2 * length),
        "fin_top": points(0, radius + fin, tail + 0.03 * length),
        "tail": points(0, 0.4 * radius, tail),
        **sides("wing_front", radius, low, root),
        **sides("wing_back", radius, low, root - chord),
        **sides("wing_tip", span, low + rise, root - sweep),
        **sides("engine", along * span, low + along * rise - 0.8 * radius, root - along * sweep),
        **sides("tail_tip", tail_span, 0.6 * radius, tail + 0.02 * length),
    }
    k = keypoints
    edges = [("nose", "cockpit"), ("cockpit", "fin_root"), ("fin_root", "fin_top")]
    edges += [("fin_top", "tail")]
    parts = [_fuselage(radius, nose, tail), [(k["fin_root"], k["fin_top"], k["tail"])]]
    stabiliser = points(0, 0.6 * radius, tail + 0.13 * length)
    for side in ("left", "right"):
        front, back, tip = (k[f"{side}_wing_{at}"] for at in ("front", "back", "tip"))
        parts.append([(front, back, tip), (stabiliser, k["tail"], k[f"{side}_tail_tip"])])
        # The keypoint is the middle of the engine's front.
        x, y, z = k[f"{side}_engine"].T
        size = 0.45 * radius
        parts.append(box(n, (x - size, y - size, z - 3 * size), (x + size, y + size, z)))
        edges += [
            ("nose", f"{side}_wing_front"),
            (f"{side}_wing_front", f"{side}_wing_tip"),
            (f"{side}_wing_tip", f"{side}_wing_back"),
            (f"{side}_wing_back", "tail"),
            (f"{side}_wing_front", f"{side}_engine"),
            ("tail", f"{side}_tail_tip"),
        ]
    return RigidShapes(keypoints, edges, *surface(n, *parts))


def _fuselage(radius, nose, tail, corners=8):
    """Triangles of a tube with a cone at either end, a little thinner than the keypoints."""
    angle = 2 * np.pi * np.arange(corners) / corners
    front, back = nose - 2 * radius, 0.5 * tail
    rings = [
        [points(0.98 * radius * np.cos(a), 0.98 * radius * np.sin(a), z) for a in angle]
        for z in (front, back)
    ]
    tips = points(0, 0, nose), points(0, 0.4 * radius, tail)
    triangles = []
    for i in range(corners):
        j = (i + 1) % corners
        triangles += quad(rings[0][i], rings[0][j], rings[1][j], rings[1][i])
        triangles += [(tip, ring[i], ring[j]) for tip, ring in zip(tips, rings, strict=True)]
    return triangles


RIGID_SHAPES = {
    shape.__name__: shape
    for shape in (
        aeroplane,
        bicycle,
        boat,
        bottle,
        bus,
        car,
        chair,
        diningtable,
        motorbike,
        sofa,
        train,
        tvmonitor,
    )
}
