"""Checks what a report is asked for, evaluates it, and writes the file."""

import operator
import warnings

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._validation import check_groups, check_shapes_3d, check_W
from .._validation._arrays import first_place, to_numpy
from ..base import TooPoorWarning
from ..io._source import as_path, write_whole
from ..metrics import evaluate
from ..model_selection import hidden_keypoint_score
from ..model_selection._steps import is_inductive
from . import _page as html
from . import _sections as sections
from ._viewer import asset

_ARGUMENTS = (
    "W",
    "mask",
    "X_true",
    "side_inputs",
    "groups",
    "confidence",
    "frame_numbers",
    "reconstruction",
)


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
    groups=None,
    confidence=None,
    fps=None,
    notes=(),
    frame_numbers=None,
    reconstruction=None,
    viewer_frames=2000,
    score=None,
):
    """Write a report of a fitted estimator: one HTML file that needs nothing beside it.

    It holds the score on hidden keypoints, the errors under every protocol if there is ground
    truth, the reconstruction to turn and play beside the image, a picture of a few frames, the loss
    curve, facts about the data and each keypoint, all settings, and what nobody can know from such
    data. It fetches nothing and works offline.

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
        Frames that the estimator was not fitted to, as the arguments ``W``, ``mask``, ``X_true``,
        ``side_inputs``, ``groups``, ``confidence``, ``frame_numbers`` and ``reconstruction`` of
        their own; all but ``W`` may be left out. They get their own column in the tables, the
        picture shows them, and the interactive view begins with them and offers both.
    unit : str, default=""
        Unit of length of ``X_true``.
    fit_seconds : float, default=None
        Wall time of the fit, if it was measured.
    groups : array-like of shape (n_frames,), default=None
        Clip of each frame, shown beside its number. It is not handed to ``transform``: for that put
        it into ``side_inputs``.
    confidence : array-like of shape (n_frames, n_points), default=None
        Confidence of each point in 3-D from 0 to 1, NaN where unknown, shown where there is no
        ground truth. By default ``estimator.confidence_``, if the frames are those of the fit.
    fps : float, default=None
        Frames per second at which the view plays; 30 if None.
    notes : sequence of str, default=()
        What a reader should know before anything else, such as warnings and what was skipped.
    frame_numbers : array-like of int of shape (n_frames,), default=None
        What the page calls each frame, such as its number in the video; counted from 0 if None.
    reconstruction : array-like of shape (n_frames, n_points, 3), default=None
        What to report on in place of ``estimator.transform(W)``, in the same frame and units, NaN
        where not lifted: for a method that would have to fit again to lift, or with depth signs
        made consistent. The score on hidden keypoints is then measured only if that takes no other
        fit.
    viewer_frames : int, default=2000
        Largest number of frames in the interactive view. Of more, evenly spaced ones are shown,
        and the page says so.
    score : float, default=None
        R² on hidden keypoints of these frames, if it was measured before, NaN if it is not to be
        measured; it is measured if None.

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
    notes = _check_notes(notes)
    fps = _check_fps(fps)
    viewer_frames = _check_viewer_frames(viewer_frames)
    given = dict(
        zip(
            _ARGUMENTS,
            (W, mask, X_true, side_inputs, groups, confidence, frame_numbers, reconstruction),
            strict=True,
        )
    )
    parts = [_evaluate_part(estimator, None, **given, score=score)]
    if held_out is not None:
        parts.append(_evaluate_part(estimator, "held-out frames", **_check_held_out(held_out)))
        if parts[1].W.shape[1] != parts[0].W.shape[1]:
            raise ValueError(
                f"held_out['W'] has {parts[1].W.shape[1]} points, but W has {parts[0].W.shape[1]}."
            )
    names = _check_names(names, parts[0].W.shape[1])
    parallel = sections.is_parallel(estimator)

    body = {}
    if notes:
        body["What to know"] = sections.notes(notes)
    body["Reconstruction"] = sections.reconstruction(
        parts, edges, names, parallel, unit=unit, fps=fps, viewer_frames=viewer_frames
    )
    if any(part.errors for part in parts):
        body["Error by protocol"] = sections.errors(parts, unit)
    body["Keypoint by keypoint"] = sections.keypoints(parts, names, parallel, unit)
    if hasattr(estimator, "loss_curve_"):
        body["Training"] = sections.training(estimator)
    body["Data"] = sections.data(parts)
    body["What these data cannot tell"] = sections.ambiguities(parallel)
    body["Settings"] = sections.settings(estimator)
    body["How it was made"] = sections.provenance(estimator, fit_seconds)
    header = sections.header(estimator, parts)
    text = html.page(title, header, body, style=asset("viewer.css"), script=asset("viewer.js"))
    return write_whole(path, text)


def _check_path(path):
    path = as_path(path)
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


def _check_notes(notes):
    if isinstance(notes, str):
        raise TypeError(f"notes must be a sequence of str, got the str {notes!r}: pass [notes].")
    return [str(note) for note in notes]


def _check_fps(fps):
    if fps is None:
        return 30.0
    if isinstance(fps, (bool, str)) or not (np.isfinite(fps) and fps > 0):
        raise ValueError(f"fps={fps!r} must be a positive number of frames per second.")
    return float(fps)


def _check_viewer_frames(viewer_frames):
    viewer_frames = operator.index(viewer_frames)
    if viewer_frames < 1:
        raise ValueError(f"viewer_frames={viewer_frames} must be at least 1.")
    return viewer_frames


def _check_confidence(confidence, shape):
    confidence = to_numpy(confidence, "confidence")
    if confidence.dtype.kind not in "fiu":
        raise TypeError(f"confidence has dtype {confidence.dtype}; it must hold numbers.")
    if confidence.shape != shape:
        raise ValueError(
            f"confidence must have shape (n_frames, n_points) = {shape}, got {confidence.shape}."
        )
    bad = (confidence < 0) | (confidence > 1)
    if bad.any():
        frame, point, place = first_place(bad)
        raise ValueError(
            f"confidence must lie between 0 and 1, but is {confidence[frame, point]:g} at {place}. "
            f"Scale it, or set it to np.nan where it is unknown."
        )
    return confidence.astype(float)


def _check_frame_numbers(numbers, n_frames):
    if numbers is None:
        return np.arange(n_frames)
    numbers = to_numpy(numbers, "frame_numbers")
    if numbers.dtype.kind not in "iu":
        raise TypeError(f"frame_numbers has dtype {numbers.dtype}; they must be integers.")
    if numbers.shape != (n_frames,):
        raise ValueError(
            f"frame_numbers must have shape (n_frames,) = ({n_frames},), got {numbers.shape}."
        )
    return numbers


def _check_held_out(held_out):
    unknown = sorted(set(held_out) - set(_ARGUMENTS))
    if unknown or held_out.get("W") is None:
        raise ValueError(
            f"held_out must be a dict with W and, as needed, {', '.join(_ARGUMENTS[1:])}; "
            f"got the keys {sorted(held_out)}."
        )
    return held_out


def _evaluate_part(
    estimator,
    name,
    W,
    mask=None,
    X_true=None,
    side_inputs=None,
    groups=None,
    confidence=None,
    frame_numbers=None,
    reconstruction=None,
    score=None,
):
    side_inputs = dict(side_inputs or {})
    W, visible = check_W(W, mask)
    shape = W.shape[:2]
    # Everything is checked before anything is computed, which may take long.
    numbers = _check_frame_numbers(frame_numbers, len(W))
    groups = None if groups is None else check_groups(groups, len(W))
    confidence = None if confidence is None else _check_confidence(confidence, shape)
    X_true = None if X_true is None else check_shapes_3d(X_true, "X_true", shape)
    if reconstruction is None:
        X = np.asarray(estimator.transform(W, **side_inputs))
    else:
        X = check_shapes_3d(reconstruction, "reconstruction", shape)
    fitted = name is None and _is_fitted_reconstruction(estimator, X)
    if name is None:
        name = "fitted frames" if fitted else "frames"
    if fitted and confidence is None:
        confidence = getattr(estimator, "confidence_", None)
    camera = {key: value for key, value in side_inputs.items() if key == "intrinsics"}
    return sections.Part(
        name,
        W,
        visible,
        X,
        X_true,
        reprojection=np.asarray(estimator.inverse_transform(X, **camera)),
        score=_score(estimator, W, side_inputs, may_fit=reconstruction is None)
        if score is None
        else _known(score),
        errors={} if X_true is None else evaluate(X_true, X),
        numbers=numbers,
        groups=groups,
        confidence=confidence,
    )


def _known(score):
    return None if np.isnan(score) else float(score)


def _score(estimator, W, side_inputs, *, may_fit):
    if not may_fit and not is_inductive(estimator):
        return None
    with warnings.catch_warnings():
        # transform has just counted the same frames.
        warnings.simplefilter("ignore", TooPoorWarning)
        return hidden_keypoint_score(estimator, W, **side_inputs)


def _is_fitted_reconstruction(estimator, X):
    fitted = getattr(estimator, "reconstruction_", None)
    if np.shape(fitted) != X.shape:
        return False
    # Not the depth, whose sign may have been changed since.
    fitted, X = fitted[..., :2], X[..., :2]
    return np.allclose(fitted, X, atol=1e-4 * np.nanmax(np.abs(X), initial=0), equal_nan=True)
