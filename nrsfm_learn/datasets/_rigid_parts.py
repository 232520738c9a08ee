"""What the parametric shapes of rigid categories are built of: points, boxes, bars and hulls.

A shape is in metres, with x to the object's left, y up and z to its front. Corners are arrays of
shape (n, 3), one row an instance; a surface is a list of triangles of such corners.
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


def points(x, y, z):
    """Stack numbers or arrays of shape (n,) to points of shape (n, 3)."""
    return np.stack(np.broadcast_arrays(x, y, z), axis=-1).astype(float)


def sides(name, x, y, z):
    """Return a symmetric pair of points, ``left_name`` and ``right_name``."""
    return {f"left_{name}": points(x, y, z), f"right_{name}": points(-np.asarray(x), y, z)}


def both_sides(pairs):
    """Return edges between names on the left and the same on the right."""
    return [(f"{side}_{a}", f"{side}_{b}") for a, b in pairs for side in ("left", "right")]


def across(names):
    """Return edges from the left to the right point of each name."""
    return [(f"left_{name}", f"right_{name}") for name in names]


def hexahedron(*corners):
    """Triangles of a box with eight corners, ordered as in ``_BOX``."""
    quads = [(corners[a], corners[b], corners[c], corners[d]) for a, b, c, d in _QUADS]
    return [part for each in quads for part in quad(*each)]


def quad(a, b, c, d):
    """Return the two triangles of a quadrilateral."""
    return [(a, b, c), (a, c, d)]


def box(n, low, high):
    """Triangles of boxes between two opposite corners."""
    low, high = (np.broadcast_to(points(*c), (n, 3)) for c in (low, high))
    return hexahedron(*(np.where(at, high, low) for at in _BOX))


def hull(*rings, closed=True):
    """Triangles of a skin over rings of equally many points.

    Parameters
    ----------
    *rings : list of ndarray of shape (n, 3)
        Corners of each cross-section, in the same sense of rotation.
    closed : bool
        Whether the first and the last ring are covered by lids.

    Returns
    -------
    list of tuple of ndarray
    """
    triangles = []
    for ring, following in pairwise(rings):
        for i in range(len(ring)):
            j = (i + 1) % len(ring)
            triangles += quad(ring[i], ring[j], following[j], following[i])
    for ring in (rings[0], rings[-1]) if closed else ():
        centre = sum(ring) / len(ring)
        triangles += [(centre, ring[i], ring[i - 1]) for i in range(len(ring))]
    return triangles


def ellipse(axis, centre, radii, corners=12):
    """Corners of an ellipse at right angles to the x, y or z axis; one lies on each half axis.

    Parameters
    ----------
    axis : {0, 1, 2}
        Axis.
    centre : tuple of 3
        Its coordinates, numbers or arrays of shape (n,).
    radii : tuple of 2
        Half axes, in the order of the remaining two coordinates.
    corners : int
        Number of corners, a multiple of 4.

    Returns
    -------
    list of ndarray of shape (n, 3)
    """
    ring = []
    for angle in 2 * np.pi * np.arange(corners) / corners:
        # Exact at the half axes, so that a keypoint there lies on the surface.
        offset = [radii[0] * np.cos(angle).round(15), radii[1] * np.sin(angle).round(15)]
        offset.insert(axis, 0.0)
        ring.append(points(*(c + o for c, o in zip(centre, offset, strict=True))))
    return ring


def wheel(x, y, z, radius, width, corners=12):
    """Triangles of a wheel on an axle along x, with its middle at (x, y, z)."""
    ends = (ellipse(0, (x + side * width / 2, y, z), (radius, radius), corners) for side in (1, -1))
    return hull(*ends)


def bar(a, b, radius):
    """Triangles of a square bar from points a to points b, without lids."""
    along = (b - a) / np.linalg.norm(b - a, axis=1, keepdims=True)
    least = np.eye(3)[np.abs(along).mean(0).argmin()]
    first = np.cross(along, least)
    first *= radius / np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(along, first)
    return hull(
        *([end + first, end + second, end - first, end - second] for end in (a, b)), closed=False
    )


def surface(n, *parts):
    """Vertices (n, 3 T, 3) and triangles (T, 3) of lists of triangles given as points."""
    corners = [np.broadcast_to(p, (n, 3)) for part in parts for triangle in part for p in triangle]
    vertices = np.stack(corners, axis=1)
    return vertices, np.arange(vertices.shape[1]).reshape(-1, 3)
