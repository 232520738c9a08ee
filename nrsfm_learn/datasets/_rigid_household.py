"""Parametric shapes of household objects: bottle, dining table, sofa, TV monitor."""

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
)


def bottle(n, rng):
    """Bottles, round to flat: mouth, shoulders, waist and base, and both labels.

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
    height = rng.uniform(0.16, 0.36, n)
    half = height * rng.uniform(0.12, 0.24, n)
    depth = half * rng.uniform(0.6, 1.0, n)
    shoulder = height * rng.uniform(0.5, 0.72, n)
    waist = rng.uniform(0.82, 1.0, n)
    mouth = half * rng.uniform(0.25, 0.5, n)
    middle, neck = 0.5 * shoulder, shoulder + 0.4 * (height - shoulder)
    rim = 0.05 * height
    keypoints = {
        **sides("base", half, rim, 0),
        **sides("waist", waist * half, middle, 0),
        **sides("shoulder", half, shoulder, 0),
        **sides("neck", mouth, neck, 0),
        **sides("mouth", mouth, height - rim, 0),
        "front_label": points(0, middle, waist * depth),
        "back_label": points(0, middle, -waist * depth),
        "front_shoulder": points(0, shoulder, depth),
        "back_shoulder": points(0, shoulder, -depth),
    }
    rings = [
        ellipse(1, (0, y, 0), (x, z), corners=24)
        for y, x, z in (
            (0, half, depth),
            (rim, half, depth),
            (middle, waist * half, waist * depth),
            (shoulder, half, depth),
            (neck, mouth, mouth),
            (height, mouth, mouth),
        )
    ]
    outline = ["base", "waist", "shoulder", "neck", "mouth"]
    edges = both_sides(pairwise(outline)) + across(["base", "mouth"])
    for end in ("front", "back"):
        edges.append((f"{end}_label", f"{end}_shoulder"))
        edges += [(f"{side}_shoulder", f"{end}_shoulder") for side in ("left", "right")]
    return RigidShapes(keypoints, edges, *surface(n, hull(*rings)))


def diningtable(n, rng):
    """Dining tables with their chairs: corners and edges of the top, ends of the legs.

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
    half, depth = rng.uniform(0.45, 1.0, n), rng.uniform(0.4, 0.6, n)
    height, thick = rng.uniform(0.68, 0.8, n), rng.uniform(0.03, 0.06, n)
    inset = rng.uniform(0.72, 0.92, n)
    back, seat = rng.uniform(0.85, 1.1, n), 0.45
    wide, gap = rng.uniform(0.2, 0.26, n), rng.uniform(0.05, 0.2, n)
    under = height - thick
    keypoints = {
        **sides("front_corner", half, height, depth),
        **sides("back_corner", half, height, -depth),
        **sides("front_leg", inset * half + 0.036, 0.8 * under, inset * depth),
        **sides("back_leg", inset * half + 0.036, 0.8 * under, -inset * depth),
        **sides("front_foot", inset * half, 0, inset * depth),
        **sides("back_foot", inset * half, 0, -inset * depth),
        "front_edge": points(0, height, depth),
        "back_edge": points(0, height, -depth),
    }
    k = keypoints
    parts = [box(n, (-half, under, -depth), (half, height, depth))]
    for foot in (f"{side}_{end}_foot" for end in ("front", "back") for side in ("left", "right")):
        # Just above the keypoint, which its own leg would cover from every side.
        parts.append(bar(k[foot] + [0, 0.01, 0], k[foot] + [0, 0.6, 0], 0.035))
    for sign in (1, -1):
        # A chair on each long side: its seat under the table, its back behind the edge.
        for x in (-0.5 * half, 0.5 * half):
            near, far = sign * (depth - 0.2), sign * (depth + gap)
            parts.append(box(n, (x - wide, 0.02, near), (x + wide, seat, far)))
            parts.append(box(n, (x - wide, seat, far - 0.02), (x + wide, back, far + 0.02)))
    edges = across(["front_leg", "back_leg"])
    edges += both_sides(
        [
            ("front_corner", "back_corner"),
            ("front_corner", "front_leg"),
            ("back_corner", "back_leg"),
            ("front_leg", "front_foot"),
            ("back_leg", "back_foot"),
        ]
    )
    for end in ("front", "back"):
        edges += [(f"{side}_{end}_corner", f"{end}_edge") for side in ("left", "right")]
    return RigidShapes(keypoints, edges, *surface(n, *parts))


def sofa(n, rng):
    """Sofas: seat and cushions, corners of the arms and of the back, rear.

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
    half, depth = rng.uniform(0.7, 1.25, n), rng.uniform(0.38, 0.5, n)
    seat, back = rng.uniform(0.38, 0.46, n), rng.uniform(0.7, 1.0, n)
    arm, thick = rng.uniform(0.52, 0.66, n), rng.uniform(0.12, 0.24, n)
    rest = rng.uniform(0.18, 0.28, n)
    inner, behind = half - thick, -depth + rest
    keypoints = {
        **sides("seat_front", inner, seat, 0.96 * depth),
        **sides("rear", 0.5 * half, 0.5 * back, -depth),
        **sides("arm_front", half, arm, depth),
        **sides("arm_bottom", half, 0.05, depth),
        **sides("arm_back", half, arm, -0.5 * depth),
        **sides("back_top", half, back, -depth),
        **sides("back_bottom", half, 0.05, -depth),
        **sides("cushion", 0.5 * inner, seat + 0.2, behind),
    }
    parts = [
        box(n, (-inner, 0.05, -depth), (inner, seat, 0.96 * depth)),
        box(n, (-half, 0.05, -depth), (half, back, behind)),
        box(n, (inner, 0.05, -depth), (half, arm, depth)),
        box(n, (-half, 0.05, -depth), (-inner, arm, depth)),
    ]
    edges = across(["seat_front", "cushion", "back_top", "rear", "back_bottom"])
    edges += both_sides(
        [
            ("seat_front", "cushion"),
            ("back_top", "rear"),
            ("rear", "back_bottom"),
            ("arm_bottom", "arm_front"),
            ("arm_front", "arm_back"),
            ("arm_back", "back_top"),
            ("back_top", "back_bottom"),
            ("back_bottom", "arm_bottom"),
        ]
    )
    return RigidShapes(keypoints, edges, *surface(n, *parts))


def tvmonitor(n, rng):
    """TV monitors, flat to deep: corners of the screen and of the back, sides.

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
    half = rng.uniform(0.2, 0.5, n)
    tall = half * rng.uniform(0.56, 0.8, n)
    deep = half * rng.uniform(0.1, 0.9, n)
    shrink = rng.uniform(0.45, 0.75, n)
    foot = tall * rng.uniform(0.1, 0.4, n)
    rim = 0.05 * half
    low, high = foot, foot + 2 * tall
    centre = foot + tall
    keypoints = {
        **sides("screen_top", 0.93 * half, high - 0.07 * half, 0),
        **sides("screen_bottom", 0.93 * half, low + 0.07 * half, 0),
        **sides("side", half, centre, -0.5 * rim),
        **sides("back_top", shrink * half, centre + shrink * tall, -rim - deep),
        **sides("back_bottom", shrink * half, centre - shrink * tall, -rim - deep),
    }
    taper = [
        [points(x * half, centre + y * tall, z) for x, y in ((s, s), (s, -s), (-s, -s), (-s, s))]
        for s, z in ((0.95, -rim), (shrink, -rim - deep))
    ]
    parts = [
        box(n, (-half, low, -rim), (half, high, 0)),
        hull(*taper),
        box(n, (-0.35 * half, 0, -rim - 0.6 * deep), (0.35 * half, low, -0.5 * rim)),
    ]
    edges = across(f"{part}_{end}" for part in ("screen", "back") for end in ("top", "bottom"))
    edges += both_sides(
        [
            *((f"{part}_top", f"{part}_bottom") for part in ("screen", "back")),
            *(
                (f"{part}_{end}", "side")
                for part in ("screen", "back")
                for end in ("top", "bottom")
            ),
        ]
    )
    return RigidShapes(keypoints, edges, *surface(n, *parts))
