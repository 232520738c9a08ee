"""All protocols at once, each under its full name."""

from ._compare import compare
from ._e3d import e3d
from ._mpjpe import mpjpe, n_mpjpe, pa_mpjpe
from ._normalized_error import normalized_error
from ._pck import auc, pck
from ._stress import stress

_FLIPS = {
    "no flip": "none",
    "depth flip per frame": "frame",
    "depth flip per sequence": "sequence",
}
_LENGTHS = ("mpjpe", "n_mpjpe", "pa_mpjpe", "stress")


def coverage(X_true, X_pred, *, mask=None):
    """Fraction of the frames with ground truth for which there is a prediction.

    An error over a part of the frames flatters a method that gives up on the hard ones: read both.

    Parameters
    ----------
    X_true, X_pred : array-like of shape (n_frames, n_points, 3)
        Ground truth and prediction; a frame without prediction is all NaN in ``X_pred``.
    mask : array-like of bool, shape (n_frames, n_points), default=None
        Points of the ground truth that count; frames with fewer than two are left out.

    Returns
    -------
    float
        Fraction in (0, 1].

    Raises
    ------
    TypeError, ValueError
        Malformed input, or no frame to compare.
    """
    comparison = compare(X_true, X_pred, mask, "omit")
    return float(comparison.kept.sum() / comparison.usable.sum())


def evaluate(X_true, X_pred, mask=None, *, threshold=None):
    """Every protocol, under a name that says all of it.

    Parameters
    ----------
    X_true, X_pred : array-like of shape (n_frames, n_points, 3)
        Ground truth and prediction in the camera frame and in one unit. A point that is NaN in
        ``X_true`` does not count; frames that are all NaN in ``X_pred`` are left out.
    mask : array-like of bool, shape (n_frames, n_points), default=None
        Points of the ground truth that count; frames with fewer than two are left out.
    threshold : float, default=None
        Adds ``pck`` and ``auc`` with this threshold, in the unit of ``X_true``.

    Returns
    -------
    dict of str to float
        Name of the protocol to value. Ratios are fractions, not percent.

    Raises
    ------
    TypeError, ValueError
        Malformed input, or no frame to compare.

    See Also
    --------
    format_report : The same as text.
    """

    def value(metric, **options):
        return metric(X_true, X_pred, mask=mask, **options)

    results = {"normalized_error (procrustes)": value(normalized_error, protocol="procrustes")}
    for name, flip in _FLIPS.items():
        results[f"normalized_error (frobenius, {name})"] = value(
            normalized_error, protocol="frobenius", flip=flip
        )
    for name, flip in _FLIPS.items():
        results[f"e3d (no alignment, {name})"] = value(e3d, protocol="none", flip=flip)
    for alignment in ("sequence", "frame"):
        results[f"e3d (one orthogonal matrix per {alignment})"] = value(e3d, protocol=alignment)
    for metric in (mpjpe, n_mpjpe, pa_mpjpe):
        for name, flip in _FLIPS.items():
            where = "" if metric is pa_mpjpe else "mean-centred, "
            results[f"{metric.__name__} ({where}{name})"] = value(metric, flip=flip)
    results["stress"] = value(stress)
    if threshold is not None:
        for metric in (pck, auc):
            for protocol in ("mpjpe", "n_mpjpe", "pa_mpjpe"):
                name = f"{metric.__name__} ({protocol}, no flip, threshold {threshold:g})"
                results[name] = value(metric, threshold=threshold, protocol=protocol)
    results["coverage"] = value(coverage)
    return results


def format_report(results, *, unit=""):
    """Lay out what :func:`evaluate` returns as lines of text.

    Parameters
    ----------
    results : dict of str to float
        Protocol name to value.
    unit : str, default=""
        Unit of length of the ground truth, printed after the errors that are lengths.

    Returns
    -------
    str
        One line per protocol, without a final newline. Ratios are printed in percent.
    """
    if not results:
        raise ValueError("results is empty: pass what evaluate(X_true, X_pred) returned.")
    width = max(len(name) for name in results)
    lines = []
    for name, value in results.items():
        if name.split(" ")[0] in _LENGTHS:
            lines.append(f"{name:<{width}}  {value:>10.4g} {unit}".rstrip())
        else:
            lines.append(f"{name:<{width}}  {100 * value:>10.2f} %")
    return "\n".join(lines)
