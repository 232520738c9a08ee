"""The interactive part of a report: what is handed to the script, and what it draws on.

The script is ``viewer.js``, its look ``viewer.css``. All coordinates reach it centred and in units
of the picture, so that it draws and turns but measures nothing; errors are computed here.
"""

import json
from base64 import b64encode
from html import escape
from importlib import resources
from string import Template

import numpy as np

from ..flips import mirror_depth
from ..plotting._prepare import check_edges

# Farther from the centre than any zoom shows; a failed frame must not overflow the script's floats.
_FAR = 1e4
_LARGEST = 32767
_MISSING = -32768
# Share of the frames that the picture's scale leaves room for; failed ones do not shrink the rest.
_FITTING = 0.99


def asset(name):
    """Return the text of a file of this folder, such as "viewer.js"."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def encode(values):
    r"""Quantise an array to 16 bits, with one scale a frame.

    .. math:: q = \operatorname{round}(32767\, v / s_f), \qquad s_f = \max_{p} |v_{fp}|

    so that an error is at most :math:`s_f / 65534`, and one wild frame costs no other its accuracy.

    Parameters
    ----------
    values : ndarray of shape (n_frames, ...)
        NaN is kept, as -32768.

    Returns
    -------
    dict of str to str
        ``q``, little-endian int16, and ``s``, little-endian float32, both in base64.
    """
    values = np.asarray(values, dtype=np.float64)
    values = np.clip(values, -np.finfo(np.float32).max, np.finfo(np.float32).max)
    flat = np.abs(values.reshape(len(values), -1))
    # The scale is rounded first, so that the values are exact for the scale that the script reads.
    scale = np.fmax.reduce(flat, axis=1, initial=0.0).astype("<f4")
    step = np.where(scale > 0, scale.astype(np.float64) / _LARGEST, 1.0)
    quantised = np.rint(values / step.reshape(-1, *[1] * (values.ndim - 1)))
    # A scale that was rounded down would push the largest value beyond the range.
    quantised = np.clip(quantised, -_LARGEST, _LARGEST)
    quantised = np.where(np.isnan(values), _MISSING, quantised).astype("<i2")
    return {name: b64encode(a.tobytes()).decode() for name, a in (("q", quantised), ("s", scale))}


def shown_frames(n_frames, viewer_frames):
    """Return the indices of at most ``viewer_frames`` frames, evenly spaced, both ends included."""
    if n_frames <= viewer_frames:
        return np.arange(n_frames)
    return np.rint(np.linspace(0, n_frames - 1, viewer_frames)).astype(int)


def point_errors(X, X_true):
    r"""Distance of each point to the ground truth, under ``n_mpjpe (mean-centred)``.

    .. math:: e_{fp} = \lVert \beta_f x_{fp} - y_{fp} \rVert, \qquad
              \beta_f = \frac{\langle X_f, Y_f \rangle}{\langle X_f, X_f \rangle}

    Parameters
    ----------
    X, X_true : ndarray of shape (n_frames, n_points, 3)
        Reconstruction and ground truth, NaN where unknown.

    Returns
    -------
    ndarray of shape (n_frames, n_points)
        In the unit of ``X_true``; NaN where either is, and in frames with fewer than two points.
    """
    x, y = _centred_pair(X, X_true)
    size = np.nansum(x * x, axis=(1, 2))
    product = np.nansum(x * y, axis=(1, 2))
    beta = np.divide(product, size, out=np.zeros_like(size), where=size > 0)
    return np.linalg.norm(beta[:, None, None] * x - y, axis=2)


def errors_of(part, parallel):
    """Return the errors of the points as they are and, under a parallel camera, mirrored."""
    if part.X_true is None:
        return []
    versions = [part.X, mirror_depth(part.X)] if parallel else [part.X]
    return [point_errors(X, part.X_true) for X in versions]


def payload(parts, *, names, edges=None, parallel, unit="", fps=30.0, viewer_frames=2000):
    """Collect what the script needs.

    Parameters
    ----------
    parts : sequence of Part
        Sets of frames, the one to begin with last.
    names : sequence of str
        Name of each point.
    edges : array-like of int, shape (n_edges, 2), default=None
        Pairs of points to join.
    parallel : bool
        Whether the mirror image in depth projects to the same image.
    unit : str, default=""
        Unit of length of the ground truth.
    fps : float, default=30.0
        Frames per second.
    viewer_frames : int, default=2000
        Largest number of frames of a part.

    Returns
    -------
    dict
        Nothing but what JSON knows.
    """
    return {
        "names": list(names),
        "edges": check_edges(edges, len(names)).tolist(),
        "parallel": bool(parallel),
        "unit": unit,
        "parts": [_part(part, parallel, fps, viewer_frames) for part in parts[::-1]],
    }


def _part(part, parallel, fps, viewer_frames):
    shown = shown_frames(len(part.X), viewer_frames)
    X, W, reprojection = part.X, part.W, part.reprojection
    truth = None
    if part.X_true is None:
        X = X - _mean(X)
    else:
        counted = _common(X, part.X_true)
        X, truth = _centred_pair(X, part.X_true, keep=True)
        sizes = _size(X, counted), _size(truth, counted)
        ratio = np.divide(*sizes, out=np.full(len(X), np.nan), where=sizes[1] > 0)
        truth = truth * ratio[:, None, None]
    # The image is followed by its reprojection, which hidden keypoints do not make jump.
    centre = _mean(np.where(np.isfinite(_mean(reprojection)), reprojection, W))
    W, reprojection = W - centre, reprojection - centre
    radius = _reach(np.linalg.norm(X, axis=2))
    half = _reach(np.abs(W).max(2), np.abs(reprojection).max(2))
    errors = errors_of(part, parallel)
    return {
        "name": part.name,
        "frames": len(shown),
        "frames_in_all": len(part.X),
        # Fewer frames are played more slowly, so that a second stays a second.
        "fps": float(fps) * len(shown) / len(part.X),
        "frame_numbers": [int(n) for n in part.numbers[shown]],
        "clips": _clips(part.groups, shown),
        "X": _places(X[shown], radius),
        "W": _places(W[shown], half),
        "reprojection": _places(reprojection[shown], half),
        "X_true": None if truth is None else _places(truth[shown], radius),
        "errors": [encode(e[shown]) for e in errors],
        "error_means": [_numbers(_column_mean(e)) for e in errors],
        "error_limit": _reach(*errors, share=0.95) if errors else 1.0,
        "confidence": None if part.confidence is None else encode(part.confidence[shown]),
        "confidence_means": None
        if part.confidence is None
        else _numbers(_column_mean(part.confidence)),
    }


def _places(values, unit):
    return encode(np.clip(values / unit, -_FAR, _FAR))


def _common(X, X_true):
    """Tell which points count: known in both, in frames with at least two such points."""
    counted = np.isfinite(X).all(2) & np.isfinite(X_true).all(2)
    counted[counted.sum(1) < 2] = False
    return counted


def _centred_pair(X, X_true, *, keep=False):
    """Centre both on the points that count; the others become NaN unless they are kept."""
    X, X_true = np.asarray(X, np.float64), np.asarray(X_true, np.float64)
    counted = _common(X, X_true)[..., None]
    means = [_mean(np.where(counted, A, np.nan)) for A in (X, X_true)]
    if keep:
        # A frame without ground truth still has a place of its own.
        own = np.where(np.isfinite(means[0]), means[0], _mean(X))
        return X - own, X_true - means[1]
    return [np.where(counted, A, np.nan) - m for A, m in zip((X, X_true), means, strict=True)]


def _size(X, counted):
    return np.linalg.norm(np.where(counted[..., None], X, 0.0), axis=(1, 2))


def _mean(X):
    """Mean of the known points of each frame, (n_frames, 1, n_coordinates)."""
    known = np.isfinite(X)
    count = known.sum(1, keepdims=True).astype(float)
    total = np.where(known, X, 0.0).sum(1, keepdims=True)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def _column_mean(values):
    return _mean(values[None])[0, 0]


def _reach(*distances, share=_FITTING):
    """Return what all points of nearly all frames lie within, and 1 if that is nothing."""
    farthest = np.fmax.reduce([np.fmax.reduce(d, axis=1) for d in distances])
    farthest = farthest[np.isfinite(farthest)]
    reach = float(np.quantile(farthest, share)) if len(farthest) else 0.0
    return reach if reach > 0 else 1.0


def _numbers(values):
    """Return a list for JSON, which has no NaN."""
    return [float(f"{v:.6g}") if np.isfinite(v) else None for v in values]


def _clips(groups, shown):
    if groups is None:
        return None
    labels, codes = np.unique(groups.astype(str), return_inverse=True)
    return {"labels": labels.tolist(), "codes": codes[shown].tolist()}


def as_script_text(data):
    """Return JSON that no HTML parser can take for the end of its element."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


_MARKUP = Template("""<div class="viewer" id="viewer" tabindex="-1" role="group"
  aria-label="Interactive view of the reconstruction" hidden>
<div class="viewer-top">
<label class="viewer-part" hidden>Show <select data-role="part"></select></label>
<div class="viewer-row" role="group" aria-label="Viewpoint">
<button type="button" data-view="0,0" title="As the camera sees it">Front</button>
<button type="button" data-view="90,0" title="From the right">Side</button>
<button type="button" data-view="0,90" title="From above">Top</button>
</div>
<div class="viewer-row">
<button type="button" data-role="flip" aria-pressed="false" hidden
  title="The mirror image in depth projects to the same picture (key f)">Mirror depth</button>
<button type="button" data-role="truth" aria-pressed="true" hidden
  title="Key t">Ground truth</button>
</div>
</div>
<figure class="viewer-three">
<canvas data-role="three" tabindex="0" role="img" aria-label="The shape in 3-D"
  aria-describedby="viewer-help"></canvas>
<figcaption><b>3-D.</b> Near points are larger and stronger; x is right, y down, z away from the
camera. <span data-role="truth-words" hidden>Ground truth is <i class="key-truth">grey</i>, centred
and brought to the same size; <i class="key-gap">lines</i> join each point to its true place.
The error is n_mpjpe (mean-centred, no flip).</span></figcaption>
</figure>
<div class="viewer-play" role="group" aria-label="Playback">
<button type="button" data-role="play" aria-label="Play" title="Space">
<svg viewBox="0 0 24 24" aria-hidden="true"><path class="when-paused" d="M7 4v16l13-8z"/>
<path class="when-playing" d="M6 4h4v16H6zM14 4h4v16h-4z"/></svg></button>
<button type="button" data-role="back" aria-label="Previous frame" title="Arrow left">
<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M17 5v14L8 12zM5 5h2v14H5z"/></svg></button>
<button type="button" data-role="forth" aria-label="Next frame" title="Arrow right">
<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M7 5v14l9-7zM17 5h2v14h-2z"/></svg></button>
<input type="range" data-role="frame" min="0" value="0" step="1" aria-label="Frame">
<output data-role="where" aria-live="polite"></output>
<label class="viewer-speed">Speed <select data-role="speed"></select></label>
</div>
<figure class="viewer-two">
<canvas data-role="two" role="img" aria-label="The image: keypoints and reprojection"></canvas>
<figcaption><b>Image.</b> <i class="key-input">Dots</i> are the input,
<i class="key-shape">rings</i> the reprojected shape, lines the distance between the two; a hidden
keypoint has only its hollow ring. The view follows the object.</figcaption>
</figure>
<section class="viewer-joints" aria-label="Keypoints">
<div class="viewer-row viewer-all"><span data-role="measure"></span>
<button type="button" data-role="all">All</button>
<button type="button" data-role="none">None</button></div>
<ul data-role="joints"></ul>
</section>
<p class="viewer-help soft" id="viewer-help">Drag to turn, wheel or two fingers to zoom,
double-click to reset. Keys, once the view is clicked: space plays, ← and → step, Home and End jump,
Shift with arrows turns, + and − zoom, 0 resets$keys.</p>
<p class="viewer-note soft" data-role="note" hidden></p>
</div>
<noscript><p class="soft">The interactive view needs JavaScript; the picture below does
not.</p></noscript>
<script type="application/json" id="viewer-data">$data</script>""")


def viewer(data):
    """Return the viewer as HTML, its data included; the page adds the script and the styles."""
    keys = (", f mirrors depth" if data["parallel"] else "") + (
        ", t shows the ground truth" if any(p["X_true"] for p in data["parts"]) else ""
    )
    return _MARKUP.substitute(data=as_script_text(data), keys=escape(keys))
