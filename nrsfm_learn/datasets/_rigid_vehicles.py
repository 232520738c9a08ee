"""Parametric shapes of vehicles: bicycle, boat, bus, motorbike, train.

Keypoints lie where annotators put them (lamps, corners of windows, hubs), which is on faces that
turn away from the camera, as a rule, and seldom on the outline.
"""

from itertools import pairwise

from nrsfm_learn.datasets._rigid_parts import (
    RigidShapes,
    across,
    bar,
    both_sides,
    box,
    ellipse,
    hull,
    points,
    sides,
    surface,
    wheel,
)

# Keypoints on a part stand out from it by this fraction, so that the part itself hides them from
# behind and not from the front.
_OUT = 1.001


def bicycle(n, rng):
    """Bicycles with their luggage: hubs, ends of the crank and the handlebar, head and saddle.

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
    base, radius = rng.uniform(0.95, 1.15, n), rng.uniform(0.3, 0.36, n)
    grip, top = rng.uniform(0.2, 0.32, n), rng.uniform(0.9, 1.15, n)
    saddle, hub = rng.uniform(0.75, 1.05, n), rng.uniform(0.05, 0.07, n)
    crank, bag = rng.uniform(0.1, 0.15, n), rng.uniform(0.1, 0.16, n)
    front, back = base / 2, -base / 2
    head, seat = front - rng.uniform(0.15, 0.3, n), back + rng.uniform(0.2, 0.32, n)
    keypoints = {
        **sides("front_hub", hub, radius, front),
        **sides("back_hub", hub, radius, back),
        **sides("crank", crank, 0.85 * radius, -0.06 * base),
        **sides("handle", grip, top, head - 0.08),
        "head": points(0, top - 0.015, head + 0.01),
        "saddle_front": points(0, saddle, seat + 0.14),
        "saddle_back": points(0, saddle, seat - 0.12),
    }
    k = keypoints
    middle = points(0, 0.85 * radius, -0.06 * base)
    axles = [points(0, radius, z) for z in (front, back)]
    stem, post = points(0, top - 0.1, head), points(0, saddle - 0.03, seat)
    tubes = [(stem, middle), (stem, post), (post, middle), (middle, axles[1]), (stem, axles[0])]
    parts = [bar(a, b, 0.03) for a, b in tubes]
    for axle, z in zip(axles, (front, back), strict=True):
        # Spokes can be seen through, tyres and hubs cannot.
        tyre = (ellipse(0, (0, radius, z), (r, r)) for r in (radius, 0.85 * radius))
        parts += [hull(*tyre, closed=False), wheel(0, axle[:, 1], z, 0.055, 2 * hub / _OUT)]
    parts += [
        wheel(0, 0.85 * radius, -0.06 * base, 0.1, 2 * crank / _OUT),
        _handlebar(k, 0.02),
        box(n, (-0.07, saddle - 0.06, seat - 0.12), (0.07, saddle - 0.002, seat + 0.14)),
        box(n, (-bag, 1.2 * radius, back - 0.15), (bag, 2.2 * radius, back + 0.13)),
        box(n, (-0.1, top - 0.25, head + 0.02), (0.1, top - 0.02, head + 0.15)),
    ]
    edges = both_sides([("crank", "back_hub"), ("crank", "front_hub")])
    edges += [("head", "saddle_front"), ("saddle_front", "saddle_back")]
    for side in ("left", "right"):
        edges += [("head", f"{side}_handle"), ("head", f"{side}_front_hub")]
        edges += [("saddle_front", f"{side}_crank"), ("saddle_back", f"{side}_back_hub")]
    return RigidShapes(keypoints, edges, *surface(n, *parts))


def motorbike(n, rng):
    """Motorbikes: hubs, foot rests, ends of the handlebar, head, lamp, tank and seat.

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
    base, radius = rng.uniform(1.2, 1.6, n), rng.uniform(0.27, 0.34, n)
    grip, top = rng.uniform(0.3, 0.44, n), rng.uniform(0.95, 1.2, n)
    seat, tyre = rng.uniform(0.65, 0.85, n), rng.uniform(0.1, 0.17, n)
    wide = rng.uniform(0.16, 0.24, n)
    front, back = base / 2, -base / 2
    head = front - rng.uniform(0.2, 0.4, n)
    tail = back - rng.uniform(0.0, 0.2, n)
    axle = 0.6 * tyre + 0.031
    keypoints = {
        **sides("front_hub", axle, radius, front),
        **sides("back_hub", axle, radius, back),
        **sides("foot_rest", 1.1 * wide, 0.33, -0.05 * base),
        **sides("handle", grip, top, head - 0.12),
        "head": points(0, top - 0.05, head),
        "headlight": points(0, top - 0.2, head + 0.151),
        "tank": points(0, seat + 0.18, 0.1 * base),
        "seat_front": points(0, seat, -0.05 * base),
        "seat_back": points(0, seat, tail + 0.05),
    }
    k = keypoints
    parts = [wheel(0, radius, z, radius, tyre) for z in (front, back)]
    parts += [
        box(n, (-wide, 0.2, -0.25 * base), (wide, 0.95 * seat, 0.2 * base)),
        box(n, (-0.5 * wide, 0.95 * seat, 0), (0.5 * wide, seat + 0.179, 0.2 * base)),
        box(n, (-0.6 * wide, 0.8 * seat, tail), (0.6 * wide, seat - 0.001, 0)),
        box(n, (-0.1, top - 0.3, head - 0.02), (0.1, top - 0.06, head + 0.15)),
        _handlebar(k, 0.03),
    ]
    parts += [
        bar(points(x, radius, front), points(x, top - 0.2, head), 0.03)
        for x in (-0.6 * tyre, 0.6 * tyre)
    ]
    edges = both_sides([("back_hub", "foot_rest"), ("foot_rest", "front_hub")])
    edges += [("head", "headlight"), ("head", "tank"), ("tank", "seat_front")]
    edges += [("seat_front", "seat_back")]
    for side in ("left", "right"):
        edges += [("head", f"{side}_handle"), ("head", f"{side}_front_hub")]
        edges += [("seat_back", f"{side}_back_hub"), ("seat_front", f"{side}_foot_rest")]
    return RigidShapes(keypoints, edges, *surface(n, *parts))


def bus(n, rng):
    """Buses: wheels, lamps, corners of the windscreen, of the rear window and of the roof.

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
    length, half = rng.uniform(7, 13, n), rng.uniform(1.1, 1.3, n)
    height, radius = rng.uniform(2.6, 4.2, n), rng.uniform(0.4, 0.5, n)
    low, belt = 0.6 * radius, height * rng.uniform(0.35, 0.45, n)
    nose, tail = length / 2, -length / 2
    front = nose - length * rng.uniform(0.08, 0.24, n)
    back = tail + length * rng.uniform(0.15, 0.28, n)
    keypoints = {
        **sides("front_wheel", half * _OUT, radius, front),
        **sides("back_wheel", half * _OUT, radius, back),
        **sides("headlight", 0.8 * half, 0.28 * height, nose),
        **sides("windscreen_bottom", 0.9 * half, belt, nose),
        **sides("windscreen_top", 0.9 * half, 0.85 * height, nose),
        **sides("rear_window_bottom", 0.8 * half, 0.5 * height, tail),
        **sides("rear_window_top", 0.8 * half, 0.85 * height, tail),
        **sides("roof_middle", half, height, 0),
    }
    outline = ["headlight", "windscreen_bottom", "windscreen_top", "roof_middle"]
    outline += ["rear_window_top", "rear_window_bottom", "back_wheel", "front_wheel", "headlight"]
    edges = both_sides(pairwise(outline)) + across(outline[:6])
    body = box(n, (-half, low, tail), (half, height, nose))
    return RigidShapes(keypoints, edges, *surface(n, body))


def train(n, rng):
    """Heads of trains: lamps, windscreen, three windows, roof, and the end of the first carriage.

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
    half, height = rng.uniform(1.35, 1.6, n), rng.uniform(3.2, 4.4, n)
    length = rng.uniform(8, 14, n)
    slope = rng.uniform(0.05, 0.9, n)
    belt, sill = height * rng.uniform(0.38, 0.48, n), 0.15 * height
    nose, tail = length / 2, -length / 2
    rear = nose - slope
    keypoints = {
        **sides("bumper", 0.75 * half, sill, nose),
        **sides("windscreen_bottom", 0.8 * half, belt, nose),
        **sides("windscreen_top", 0.8 * half, height, rear),
        **sides("window_front", half, 0.6 * height, 0.28 * length),
        **sides("window_middle", half, 0.6 * height, 0),
        **sides("window_back", half, 0.6 * height, -0.28 * length),
        **sides("wheel", half, sill, -0.1 * length),
        **sides("tail_bottom", 0.8 * half, sill, tail),
    }
    names = ["windscreen_top", "window_front", "window_middle", "window_back", "tail_bottom"]
    outline = ["bumper", "windscreen_bottom", *names, "wheel", "bumper"]
    edges = both_sides(pairwise(outline))
    edges += across(["bumper", "windscreen_bottom", "windscreen_top", "tail_bottom"])
    body = box(n, (-half, 0.5 * sill, tail), (half, height, rear))
    sections = [
        [points(x, y, z) for x, y in ((half, bottom), (half, top), (-half, top), (-half, bottom))]
        for z, bottom, top in ((rear, 0.5 * sill, height), (nose, 0.5 * sill, belt))
    ]
    return RigidShapes(keypoints, edges, *surface(n, body, hull(*sections)))


def boat(n, rng):
    """Motor boats: bow, gunwale, bilge, transom and the corners of the cabin.

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
    length = rng.uniform(5, 12, n)
    half, depth = length * rng.uniform(0.13, 0.19, n), length * rng.uniform(0.1, 0.17, n)
    sheer = depth * rng.uniform(1.1, 1.5, n)
    stern = half * rng.uniform(0.7, 0.95, n)
    bow, tail = length / 2, -length / 2
    keel = 0.6 * half
    cabin, room = half * rng.uniform(0.55, 0.8, n), depth + length * rng.uniform(0.1, 0.22, n)
    start, end = length * rng.uniform(0.1, 0.2, n), -length * rng.uniform(0.12, 0.3, n)
    keypoints = {
        "bow": points(0, sheer, bow),
        **sides("gunwale", half, depth, 0),
        **sides("bilge", keel, 0, 0),
        **sides("bow_bilge", 0.3 * half, 0, 0.25 * length),
        **sides("stern_top", 0.9 * stern, 0.95 * depth, tail),
        **sides("stern_bottom", 0.55 * stern, 0.05 * depth, tail),
        **sides("windscreen", 0.85 * cabin, depth + 0.6 * (room - depth), start),
        **sides("door", 0.85 * cabin, depth + 0.6 * (room - depth), end),
    }
    sections = [
        [points(x, y, z) for x, y in ((wide, top), (narrow, 0), (-narrow, 0), (-wide, top))]
        for z, wide, narrow, top in (
            (tail, stern, 0.6 * stern, depth),
            (0.0, half, keel, depth),
            (0.25 * length, 0.75 * half, 0.3 * half, depth + 0.4 * (sheer - depth)),
        )
    ]
    bow_end, stem = keypoints["bow"], points(0, 0, bow - 0.12 * length)
    skin = hull(*sections, [bow_end, stem, stem, bow_end])
    house = box(n, (-cabin, 0.9 * depth, end), (cabin, room, start))
    edges = across(["stern_top", "stern_bottom", "windscreen", "door"])
    edges += both_sides(
        [
            ("gunwale", "stern_top"),
            ("stern_top", "stern_bottom"),
            ("stern_bottom", "bilge"),
            ("bilge", "bow_bilge"),
            ("windscreen", "door"),
            ("gunwale", "bilge"),
        ]
    )
    for side in ("left", "right"):
        edges += [("bow", f"{side}_gunwale"), ("bow", f"{side}_bow_bilge")]
    return RigidShapes(keypoints, edges, *surface(n, skin, house))


def _handlebar(keypoints, radius):
    """Triangles of a bar that ends a little inside the keypoints at its ends."""
    left, right = keypoints["left_handle"], keypoints["right_handle"]
    return bar(right + 0.98 * (left - right), left + 0.98 * (right - left), radius)
