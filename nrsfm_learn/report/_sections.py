"""What a report says: each function returns one section, as pieces of HTML, ready to lay out."""

import inspect
import io
import platform
from importlib import metadata
from typing import NamedTuple

import numpy as np

from .._version import __version__
from ..metrics import format_report
from ..model_selection._steps import method_tags
from ..plotting import LossCurveDisplay, ReconstructionDisplay
from . import _page as html
from ._viewer import errors_of, payload, viewer

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
    score: float | None
    errors: dict
    numbers: np.ndarray
    groups: np.ndarray | None = None
    confidence: np.ndarray | None = None

    @property
    def lifted(self):
        """Tell which frames were lifted."""
        return np.isfinite(self.X).all((1, 2))


def is_parallel(estimator):
    """Tell whether the mirror image in depth explains the images as well."""
    tags = method_tags(estimator)
    return tags is None or not tags.perspective


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
    if any(p.score is None for p in parts):
        meaning += " It is not measured where that takes another fit."
    if any(p.name == "fitted frames" for p in parts):
        meaning += " The fit has seen the keypoints of fitted frames that are hidden here."
    return [html.paragraph(sentence, "lead"), html.tiles(facts), html.paragraph(meaning, "soft")]


def notes(texts):
    """List what a reader should know before anything else."""
    return [html.bullets(texts)]


def errors(parts, unit):
    """Tabulate the errors by protocol, a column for each part with ground truth."""
    parts = [p for p in parts if p.errors]
    rows = [(name, *(_value(name, p.errors, unit) for p in parts)) for name in parts[0].errors]
    advice = (
        "Published protocols differ up to sevenfold on one reconstruction: quote a number with "
        "its whole name. Rows with “depth flip” take the better sign of depth, for each frame or "
        "for all frames at once; where these two differ much, the sign changes between frames. The "
        "rows procrustes, n_mpjpe, pa_mpjpe and “one orthogonal matrix” fit scale or orientation "
        "to the ground truth first; the others take the reconstruction as it is."
    )
    columns = ("protocol", *(p.name for p in parts))
    return [html.table(rows, columns, numbers=True, code=True), html.paragraph(advice, "soft")]


def reconstruction(parts, edges, names, parallel, *, unit, fps, viewer_frames):
    """Show the frames to turn and play, and a few of them as a picture."""
    data = payload(
        parts,
        names=names,
        edges=edges,
        parallel=parallel,
        unit=unit,
        fps=fps,
        viewer_frames=viewer_frames,
    )
    part = parts[-1]
    begins = f"Shown first are the {part.name}; the menu changes to the {parts[0].name}."
    shown = [html.paragraph(begins, "soft")] if len(parts) > 1 else []
    return [*shown, viewer(data), _picture(part, edges)]


def _picture(part, edges):
    from matplotlib.figure import Figure

    fig = Figure(figsize=(9.4, 7.9), layout="constrained", facecolor="white")
    display = ReconstructionDisplay.from_arrays(
        part.W,
        part.X,
        visible=part.visible,
        X_true=part.X_true,
        edges=edges,
        reprojection=part.reprojection,
        fig=fig,
    )
    for ax, frame in zip(display.axes_[0], display.frames, strict=True):
        # The picture counts frames from 0; the page calls them what the user does.
        title = ax.get_title().removeprefix(f"frame {frame}")
        ax.set_title(f"frame {part.numbers[frame]}{title}", fontsize=10)
    caption = f"Some of the {part.name}: the input, and the shape from two other sides."
    if part.X_true is not None:
        caption += " Shapes are scaled and turned or mirrored to fit the ground truth."
    return html.picture(_png(fig), caption, caption, widths=(38, 60))


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


def data(parts):
    """Tabulate facts about the frames."""
    facts = {
        "frames": lambda p: f"{len(p.W):,}",
        "keypoints in a frame": lambda p: f"{p.W.shape[1]}",
        "missing keypoints": lambda p: f"{1 - p.visible.mean():.1%}",
        "frames with every keypoint": lambda p: f"{p.visible.all(1).sum():,}",
        "frames not lifted": lambda p: _some(p.numbers[~p.lifted]),
        "extent of W": lambda p: " × ".join(
            f"{d:.4g}" for d in np.nanmax(p.W, axis=(0, 1)) - np.nanmin(p.W, axis=(0, 1))
        ),
    }
    columns = ("", *(p.name for p in parts))
    rows = [(name, *(fact(p) for p in parts)) for name, fact in facts.items()]
    return [html.table(rows, columns, numbers=True)]


def keypoints(parts, names, parallel, unit):
    """Tabulate how often each keypoint is visible and how good its depth is, or seems."""
    columns, values, shown = ["keypoint", *(f"visible, {p.name}" for p in parts)], [], []
    values += [[f"{v:.1%}" for v in p.visible.mean(0)] for p in parts]
    for part in parts:
        found = errors_of(part, parallel)
        if found:
            columns.append(f"error, {part.name}")
            values.append([_length(v, unit) for v in _known_mean(_better_sign(found))])
            shown.append("error")
        elif part.confidence is not None:
            columns.append(f"confidence, {part.name}")
            values.append([_percent(v) for v in _known_mean(part.confidence)])
            shown.append("confidence")
    words = []
    if "error" in shown:
        flip = "depth flip per frame" if parallel else "no flip"
        words.append(f"The error is the mean distance of n_mpjpe (mean-centred, {flip}).")
    if "confidence" in shown:
        words.append("The confidence is the mean of the one given or estimated.")
    rows = list(zip(names, *values, strict=True))
    table = html.table(rows, columns, numbers=True)
    summary = ", ".join([f"All {len(names)} keypoints: visible", *dict.fromkeys(shown)])
    return [html.folded(summary, table), *(html.paragraph(w, "soft") for w in words)]


def _better_sign(errors):
    """Choose in each frame the errors of the better sign of depth, as "per frame" does."""
    means = [np.where(np.isnan(e), 0, e).sum(1) for e in errors]
    return np.where(np.argmin(means, axis=0)[:, None] == 0, errors[0], errors[-1])


def _known_mean(values):
    """Mean over the frames where a value is known, NaN where none is."""
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(0)
    count = known.sum(0)
    return np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)


def _length(value, unit):
    return f"{value:.4g} {unit}".rstrip() if np.isfinite(value) else "unknown"


def _percent(value):
    return f"{value:.0%}" if np.isfinite(value) else "unknown"


def ambiguities(parallel):
    """Say what nobody can know from one camera."""
    if not parallel:
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
    if r2 is None:
        return "not measured"
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
