"""Drawing of points and bones on plain axes: turntable views, depth order, colours."""

import numpy as np

# Okabe-Ito, distinguishable under every common colour blindness and in grey.
INK, BLUE, GREY, VERMILION = "#222222", "#0072B2", "#8A8A8A", "#D55E00"
FAINT = "#CCCCCC"


def view_rotation(azimuth, elevation):
    """Rotation into the camera of a viewer who walked around the object.

    Parameters
    ----------
    azimuth : float
        Degrees to the right of the camera that took the image.
    elevation : float
        Degrees above it.

    Returns
    -------
    ndarray of shape (3, 3)
        ``x_view = R x``; axes right, down, away from the viewer, as in the camera frame.
    """
    a, e = np.deg2rad([azimuth, elevation])
    right = np.array([np.cos(a), 0.0, np.sin(a)])
    level = np.array([-np.sin(a), 0.0, np.cos(a)])
    down = np.array([0.0, 1.0, 0.0])
    return np.stack(
        [right, np.cos(e) * down - np.sin(e) * level, np.cos(e) * level + np.sin(e) * down]
    )


def view_name(azimuth, elevation):
    """Say where the viewer stands, as a label."""
    side = "right" if azimuth >= 0 else "left"
    words = [f"{abs(azimuth):g}° {side}"] if azimuth else []
    if elevation:
        words.append(f"{abs(elevation):g}° {'above' if elevation > 0 else 'below'}")
    return ", ".join(words) if words else "the camera"


def shaded(color, depth, fade):
    """Fade a colour towards white from the nearest to the farthest.

    Parameters
    ----------
    color : str
        Any matplotlib colour.
    depth : ndarray of shape (n,)
        Distance from the viewer.
    fade : float
        Share of white in the farthest.

    Returns
    -------
    ndarray of shape (n, 3)
        Colours.
    """
    from matplotlib.colors import to_rgb

    white = fade * ((depth - depth.min()) / max(np.ptp(depth), 1e-12))[:, None]
    return (1 - white) * np.array(to_rgb(color)) + white


def draw_shape(ax, X, edges, color, *, size, width, zorder, fade=0.55):
    """Draw points and bones from far to near, near bones cutting those behind.

    Parameters
    ----------
    ax : matplotlib Axes
        Where.
    X : ndarray of shape (n_points, 3)
        In the viewer's frame; NaN points are left out.
    edges : ndarray of int, shape (n_edges, 2)
        Bones.
    color : str
        Colour of the nearest parts.
    size : float
        Area of the markers.
    width : float
        Width of the bones.
    zorder : float
        As in matplotlib.
    fade : float, default=0.55
        Share of white in the farthest parts.
    """
    from matplotlib.collections import LineCollection

    known = np.isfinite(X).all(1)
    edges = edges[known[edges].all(1)]
    if len(edges):
        depth = X[edges, 2].mean(1)
        order = np.argsort(-depth)
        colors = shaded(color, depth[order], fade)
        # Each bone follows its own white outline, so that a nearer bone cuts a farther one.
        both = np.stack([np.ones_like(colors), colors], axis=1).reshape(-1, 3)
        ax.add_collection(
            LineCollection(
                np.repeat(X[edges[order], :2], 2, axis=0),
                colors=both,
                linewidths=np.tile([width + 1.6, width], len(edges)),
                capstyle="round",
                zorder=zorder,
            )
        )
    points = X[known]
    points = points[np.argsort(-points[:, 2])]
    colors = shaded(color, points[:, 2], fade)
    ax.scatter(
        *points[:, :2].T,
        s=size,
        c=colors,
        edgecolors="white",
        linewidths=0.4,
        zorder=zorder + 0.1,
    )


def draw_axes_cross(ax, rotation):
    """Draw the camera's x, y, z in a corner, as the viewer sees them."""
    origin, length = np.array([0.13, 0.155]), 0.085
    for axis, name in zip(rotation.T, "xyz", strict=True):
        # Axes coordinates point up, the viewer's second axis points down.
        tip = length * axis[:2] * [1, -1]
        if np.linalg.norm(tip) < 0.2 * length:
            continue
        ax.annotate(
            "",
            xy=origin + tip,
            xytext=origin,
            xycoords="axes fraction",
            textcoords="axes fraction",
            arrowprops={
                "arrowstyle": "-|>,head_width=0.12,head_length=0.25",
                "color": INK,
                "lw": 0.8,
                "shrinkA": 0,
                "shrinkB": 0,
            },
        )
        place = origin + tip * (1 + 0.035 / np.linalg.norm(tip))
        ax.text(
            *place, name, transform=ax.transAxes, ha="center", va="center", fontsize=7, color=INK
        )


def square(ax, centre, half):
    """Give an axes without ticks the same extent in both directions, y down."""
    ax.set(
        xlim=(centre[0] - half, centre[0] + half),
        ylim=(centre[1] + half, centre[1] - half),
        xticks=[],
        yticks=[],
        aspect="equal",
    )
    ax.set_facecolor("white")
    for spine in ax.spines.values():
        spine.set(color=FAINT, linewidth=0.8)
