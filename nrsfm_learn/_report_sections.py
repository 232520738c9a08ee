"""What a report says: each function returns one section, as pieces of HTML, ready to lay out."""

import inspect
import io
import platform
from importlib import metadata
from typing import NamedTuple

import numpy as np

from . import _report_page as html
from ._version import __version__
from .metrics import format_report
from .plotting import LossCurveDisplay, ReconstructionDisplay

_MAIN_PROTOCOL = "normalized_error (procrustes)"
_LONGEST_VALUE = 120


class Part(NamedTuple):
    """A set of frames with all that the report says of it."""

    name: str
    W: np.ndarray
    visible: np.ndarray
    X: np.ndarray
    X_true: np.ndarray | None
    reprojection: np.ndarray
    score: float
    errors: dict

    @property
    def lifted(self):
        """Tell which frames were lifted."""
        return np.isfinite(self.X).all((1, 2))


def header(estimator, parts):
    """Sum up: one sentence, and the figures that matter most."""
    counts = [f"{p.lifted.sum():,} of {len(p.W):,} {p.name}" for p in parts]
    missing = 1 - np.mean(np.concatenate([p.visible for p in parts]))
    sentence = (
        f"{type(estimator).__name__} lifted {' and '.join(counts)} with {parts[0].W.shape[1]} "
        f"keypoints from 2-D to 3-D; {missing:.0%} of the keypoints were missing."
    )
    facts = [(_score_text(p.score), f"R² on hidden keypoints, {p.name}") for p in parts]
    facts += [
        (_value(_MAIN_PROTOCOL, p.errors), f"{_MAIN_PROTOCOL}, {p.name}") for p in parts if p.errors
    ]
    meaning = (
        "R² on hidden keypoints: a fifth of the visible keypoints of each frame is hidden and "
        "predicted from the rest; 1 is exact, 0 is no better than the centre of the frame's "
        "visible keypoints. A high score is necessary, not sufficient: a shape with a wrong depth "
        "can predict hidden keypoints well."
    )
    if any(p.name == "fitted frames" for p in parts):
        meaning += " The fit has seen the keypoints of fitted frames that are hidden here."
    return [html.paragraph(sentence, "lead"), html.tiles(facts), html.paragraph(meaning, "soft")]


def errors(parts, unit):
    """Tabulate the errors by protocol, a column for each part with ground truth."""
    parts = [p for p in parts if p.errors]
    rows = [(name, *(_value(name, p.errors, unit) for p in parts)) for name in parts[0].errors]
    advice = (
        "Published protocols differ up to fourfold on the same reconstruction: quote a number with "
        "its whole name. Rows with “depth flip” take the better sign of depth, for each frame or "
        "for all frames at once; where these two differ much, the sign changes between frames. The "
        "rows procrustes, n_mpjpe, pa_mpjpe and “one orthogonal matrix” fit scale or orientation "
        "to the ground truth first; the others take the reconstruction as it is."
    )
    columns = ("protocol", *(p.name for p in parts))
    return [html.table(rows, columns, numbers=True, code=True), html.paragraph(advice, "soft")]


def reconstruction(part, edges):
    """Draw a few frames."""
    from matplotlib.figure import Figure

    fig = Figure(figsize=(9.4, 7.9), layout="constrained", facecolor="white")
    ReconstructionDisplay.from_arrays(
        part.W,
        part.X,
        visible=part.visible,
        X_true=part.X_true,
        edges=edges,
        reprojection=part.reprojection,
        fig=fig,
    )
    caption = f"Some of the {part.name}: the input, and the shape from two other sides."
    if part.X_true is not None:
        caption += " Shapes are scaled and turned or mirrored to fit the ground truth."
    return [html.picture(_png(fig), caption, caption, widths=(38, 60))]


def training(estimator):
    """Draw the loss curve."""
    from matplotlib.figure import Figure

    fig = Figure(figsize=(7.2, 3.2), layout="constrained", facecolor="white")
    LossCurveDisplay.from_estimator(estimator, ax=fig.subplots())
    caption = (
        f"{len(estimator.loss_curve_):,} iterations, final loss {estimator.loss_curve_[-1]:.4g}. A "
        f"low loss says that the images are explained, not that the depth is right."
    )
    return [html.picture(_png(fig), "Training loss over iterations", caption, widths=(20, 44))]


def data(parts, names):
    """Tabulate facts about the keypoints."""
    facts = {
        "frames": lambda p: f"{len(p.W):,}",
        "keypoints in a frame": lambda p: f"{p.W.shape[1]}",
        "missing keypoints": lambda p: f"{1 - p.visible.mean():.1%}",
        "frames with every keypoint": lambda p: f"{p.visible.all(1).sum():,}",
        "frames not lifted": lambda p: _some(np.flatnonzero(~p.lifted)),
        "extent of W": lambda p: " × ".join(
            f"{d:.4g}" for d in np.nanmax(p.W, axis=(0, 1)) - np.nanmin(p.W, axis=(0, 1))
        ),
    }
    columns = ("", *(p.name for p in parts))
    rows = [(name, *(fact(p) for p in parts)) for name, fact in facts.items()]
    visible = np.array([p.visible.mean(0) for p in parts])
    points = [(name, *(f"{v:.1%}" for v in visible[:, k])) for k, name in enumerate(names)]
    return [
        html.table(rows, columns, numbers=True),
        html.folded(
            "How often each keypoint is visible", html.table(points, columns, numbers=True)
        ),
    ]


def ambiguities(estimator):
    """Say what nobody can know from one camera."""
    tags = getattr(estimator.__sklearn_tags__(), "nrsfm_tags", None)
    if tags is not None and tags.perspective:
        notes = (
            "Scale: under a perspective camera each frame is known up to one factor that scales "
            "the object and its distance alike. One known length would fix it.",
            "Depth: perspective tells near from far, but weakly where the object is shallow "
            "compared with its distance.",
        )
    else:
        notes = (
            "Scale: sizes are known up to one factor for the whole data set and are given in the "
            "units of the image. One known length would fix it.",
            "Depth sign: under an orthographic or weak perspective camera a shape and its mirror "
            "image in depth give the same images, so that front and back may be exchanged, in all "
            "frames or in some.",
            "Distance: depth is relative to the object's centre.",
        )
    return [html.bullets(notes)]


def settings(estimator):
    """Tabulate the parameters, the chosen ones first, and the attributes that the fit left."""
    defaults = inspect.signature(type(estimator)).parameters
    chosen, left = [], []
    for name, value in estimator.get_params(deep=False).items():
        is_default = name in defaults and repr(value) == repr(defaults[name].default)
        (left if is_default else chosen).append((name, _describe(value)))
    fitted = [
        (name, _describe(value))
        for name, value in sorted(vars(estimator).items())
        if name.endswith("_") and not name.startswith("_")
    ]
    body = [html.table(chosen, ("parameter", "value"), code=True)] if chosen else []
    for summary, rows in (("Parameters left at their default", left), ("Fitted", fitted)):
        if rows:
            body.append(html.folded(f"{summary} ({len(rows)})", html.table(rows, code=True)))
    return body


def provenance(estimator, fit_seconds):
    """Tabulate seed, time and versions."""
    seed = estimator.get_params(deep=False).get("random_state")
    rows = [("seed", "none: another run gives another result" if seed is None else str(seed))]
    if fit_seconds is not None:
        rows.append(("wall time of the fit", f"{fit_seconds:,.0f} s"))
    rows.append(("nrsfm_learn", __version__))
    rows += [(name, metadata.version(name)) for name in ("numpy", "scikit-learn", "torch")]
    rows.append(("Python", platform.python_version()))
    return [html.table(rows)]


def _value(name, results, unit=""):
    """Return one value as ``format_report`` prints it."""
    return format_report({name: results[name]}, unit=unit)[len(name) :].strip()


def _score_text(r2):
    return "nothing to hide" if np.isnan(r2) else f"{r2:.3f}"


def _some(frames):
    shown = ", ".join(map(str, frames[:5])) + (", …" if len(frames) > 5 else "")
    return f"{len(frames):,}" + (f" ({shown})" if len(frames) else "")


def _describe(value):
    if isinstance(value, np.ndarray):
        return f"array of shape {value.shape}"
    if hasattr(value, "parameters"):
        return f"{type(value).__name__}, {sum(p.numel() for p in value.parameters()):,} parameters"
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def _png(fig):
    buffer = io.BytesIO()
    # Without matplotlib's own mark the same figure gives the same bytes and no address.
    fig.savefig(buffer, format="png", dpi=160, metadata={"Software": None})
    return buffer.getvalue()
