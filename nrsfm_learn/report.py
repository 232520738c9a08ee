"""A reconstruction, its errors and how it came about, in one file that opens in any browser."""

import uuid
import warnings
from pathlib import Path

import numpy as np
from sklearn.utils.validation import check_is_fitted

from . import _report_page as html
from . import _report_sections as sections
from ._validation import check_shapes_3d, check_W
from .base import TooPoorWarning
from .metrics import evaluate
from .model_selection import hidden_keypoint_score

_ARGUMENTS = ("W", "mask", "X_true", "side_inputs")


def write_report(
    path,
    estimator,
    W,
    *,
    mask=None,
    X_true=None,
    edges=None,
    names=None,
    title="3-D reconstruction",
    side_inputs=None,
    held_out=None,
    unit="",
    fit_seconds=None,
):
    """Write a report of a fitted estimator: one HTML file that needs nothing beside it.

    It holds the score on hidden keypoints, the errors under every protocol if there is ground
    truth, a picture of the reconstruction, the loss curve, facts about the data, all settings, and
    what nobody can know from such data.

    Parameters
    ----------
    path : path-like
        File to write, such as ``"results/report.html"``. Missing folders are made; a file of that
        name is replaced in one step, so that there is never half a report.
    estimator : object
        Fitted estimator with ``transform`` and ``inverse_transform``.
    W : array-like of shape (n_frames, n_points, 2)
        Keypoints, NaN where missing; as a rule those of ``fit``.
    mask : array-like of bool of shape (n_frames, n_points), default=None
        True where a keypoint is visible.
    X_true : array-like of shape (n_frames, n_points, 3), default=None
        Ground truth in the camera frame, NaN where unknown.
    edges : array-like of int, shape (n_edges, 2), default=None
        Pairs of points to join in the picture.
    names : sequence of str, default=None
        Name of each point.
    title : str, default="3-D reconstruction"
        Title of the page.
    side_inputs : dict, default=None
        Further arguments of ``transform``, such as ``{"intrinsics": K}``.
    held_out : dict, default=None
        Frames that the estimator was not fitted to, as the arguments ``W``, ``mask``, ``X_true``
        and ``side_inputs`` of their own; all but ``W`` may be left out. They get their own column
        in the tables, and the picture shows them.
    unit : str, default=""
        Unit of length of ``X_true``.
    fit_seconds : float, default=None
        Wall time of the fit, if it was measured.

    Returns
    -------
    pathlib.Path
        The file written.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError, ValueError
        If an argument is malformed, or the path is a folder or leads through a file; the message
        says which and where.

    See Also
    --------
    nrsfm_learn.metrics.evaluate : The errors alone.
    nrsfm_learn.plotting.ReconstructionDisplay : The picture alone.

    Examples
    --------
    >>> from nrsfm_learn.report import write_report
    >>> write_report("report.html", model, W, names=names, edges=edges)  # doctest: +SKIP
    """
    check_is_fitted(estimator)
    path = _check_path(path)
    given = {"W": W, "mask": mask, "X_true": X_true, "side_inputs": side_inputs}
    parts = [_evaluate_part(estimator, None, **given)]
    if held_out is not None:
        parts.append(_evaluate_part(estimator, "held-out frames", **_check_held_out(held_out)))
    names = _check_names(names, parts[0].W.shape[1])

    body = {}
    if any(part.errors for part in parts):
        body["Error by protocol"] = sections.errors(parts, unit)
    body["Reconstruction"] = sections.reconstruction(parts[-1], edges)
    if hasattr(estimator, "loss_curve_"):
        body["Training"] = sections.training(estimator)
    body["Data"] = sections.data(parts, names)
    body["What these data cannot tell"] = sections.ambiguities(estimator)
    body["Settings"] = sections.settings(estimator)
    body["How it was made"] = sections.provenance(estimator, fit_seconds)
    _write(path, html.page(title, sections.header(estimator, parts), body))
    return path


def _check_path(path):
    path = Path(path)
    if path.is_dir():
        raise ValueError(
            f"path={str(path)!r} is a folder: name the file, such as {str(path / 'report.html')!r}."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ValueError(
            f"path={str(path)!r} leads through something that is no folder ({error}): choose "
            f"another folder."
        ) from error
    return path


def _check_names(names, n_points):
    if names is None:
        return [f"point {p}" for p in range(n_points)]
    names = [str(name) for name in names]
    if len(names) != n_points:
        raise ValueError(f"names has {len(names)} entries, but W has {n_points} points.")
    return names


def _check_held_out(held_out):
    unknown = sorted(set(held_out) - set(_ARGUMENTS))
    if unknown or held_out.get("W") is None:
        raise ValueError(
            f"held_out must be a dict with W and, as needed, {', '.join(_ARGUMENTS[1:])}; "
            f"got the keys {sorted(held_out)}."
        )
    return held_out


def _evaluate_part(estimator, name, W, mask=None, X_true=None, side_inputs=None):
    side_inputs = dict(side_inputs or {})
    W, visible = check_W(W, mask)
    X = np.asarray(estimator.transform(W, **side_inputs))
    if name is None:
        name = "fitted frames" if _is_fitted_reconstruction(estimator, X) else "frames"
    camera = {key: value for key, value in side_inputs.items() if key == "intrinsics"}
    errors = {}
    if X_true is not None:
        X_true = check_shapes_3d(X_true, "X_true", W.shape[:2])
        errors = evaluate(X_true, X)
    with warnings.catch_warnings():
        # transform has just counted the same frames.
        warnings.simplefilter("ignore", TooPoorWarning)
        score = hidden_keypoint_score(estimator, W, **side_inputs)
    reprojection = np.asarray(estimator.inverse_transform(X, **camera))
    return sections.Part(name, W, visible, X, X_true, reprojection, score, errors)


def _is_fitted_reconstruction(estimator, X):
    fitted = getattr(estimator, "reconstruction_", None)
    if np.shape(fitted) != X.shape:
        return False
    return np.allclose(fitted, X, atol=1e-4 * np.nanmax(np.abs(X), initial=0), equal_nan=True)


def _write(path, text):
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
