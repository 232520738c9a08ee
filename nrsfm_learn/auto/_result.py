"""What the one call returns."""

from dataclasses import dataclass, replace

import numpy as np

from ..flips import mirror_depth
from ..io import Points3D, write


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """A 3-D reconstruction, what it was made of, and what to think of it; print it.

    Attributes
    ----------
    reconstruction : ndarray of shape (n_frames, n_points, 3)
        Points in the camera frame (x right, y down, z away from the camera), in the units of the
        keypoints; NaN in frames that show too little, and in points that no frame shows.
    keypoints : Keypoints
        What was reconstructed.
    estimator : BaseNRSfM
        Fitted; it lifts more frames of the same points. Its own ``reconstruction_`` has the signs
        of depth that it found, before those of a video were made consistent, and before
        :meth:`flipped`.
    diagnosis : Diagnosis
        What the 2-D shows.
    confidence : ndarray of shape (n_frames, n_points) or None
        Probability that a point is within 5% of the object's size of the truth, the sign of depth
        aside; None if the method has none or there was no time.
    score : float
        R^2 of keypoints that were hidden and predicted from the others, at most 1; NaN if it was
        not measured. See :func:`nrsfm_learn.model_selection.hidden_keypoint_score`.
    warnings : tuple of str
        What to know before using the result, the gravest first.
    plan : Plan
        What was done, why, and how long it took.
    intrinsics : ndarray or None
        As they were given.
    points : ndarray of int
        Points that some frame shows, which `estimator` is fitted to: all as a rule.
    length_variation : float
        How much the distance of each point to its steadiest neighbour varies; a large one says that
        the depth is wrong, if the object has rigid parts. See
        :func:`nrsfm_learn.model_selection.neighbor_distance_variation`.
    """

    reconstruction: np.ndarray
    keypoints: object
    estimator: object
    diagnosis: object
    confidence: np.ndarray | None
    score: float
    warnings: tuple
    plan: object
    intrinsics: np.ndarray | None
    points: np.ndarray
    length_variation: float = float("nan")

    def __repr__(self):
        n_frames, n_points = self.reconstruction.shape[:2]
        return (
            f"Result({n_frames:,} frames, {n_points} points, by {self.plan.method}, "
            f"score {self.score:.3f}, {len(self.warnings)} warnings)"
        )

    def __str__(self):
        n_frames, n_points = self.reconstruction.shape[:2]
        empty = int(np.isnan(self.reconstruction).all((1, 2)).sum())
        lines = [f"3-D reconstruction of {n_frames:,} frames of {n_points} points"]
        if empty:
            lines.append(f"{empty:,} frame(s) show too little and are NaN")
        lines.append(str(self.plan))
        score = "not measured" if np.isnan(self.score) else f"{self.score:.3f} (at most 1)"
        lines.append(f"Score on hidden keypoints: {score}")
        lines.append(f"Variation of neighbour distances: {self.length_variation:.1%}")
        if self.confidence is not None and np.isfinite(self.confidence).any():
            lines.append(f"Mean confidence: {np.nanmean(self.confidence):.2f}")
        lines += [f"! {warning}" for warning in self.warnings]
        return "\n".join(lines)

    def points3d(self):
        """Return the reconstruction as the record that writers take.

        Returns
        -------
        Points3D
        """
        k = self.keypoints
        return Points3D(
            self.reconstruction,
            names=k.names,
            edges=k.edges,
            fps=k.fps,
            confidence=self.confidence,
            frames=k.frames,
            individuals=k.individuals,
            individual=k.individual,
            clips=k.clips,
            source=k.source,
        )

    def save(self, path, *, format=None, **options):
        """Write the reconstruction to a file.

        Parameters
        ----------
        path : path-like
            File to write.
        format : str, default=None
            As of :func:`nrsfm_learn.io.write`; by default that of the file's suffix.
        **options
            Of the writer.

        Returns
        -------
        pathlib.Path
            The file.

        See Also
        --------
        points3d : The record that is written.
        """
        return write(path, self.points3d(), format=format, **options)

    def report(self, path, **options):
        """Write a report: one HTML file that opens in any browser.

        Parameters
        ----------
        path : path-like
            File to write.
        **options
            Further arguments of :func:`nrsfm_learn.report.write_report`, such as ``title`` and
            ``X_true``.

        Returns
        -------
        pathlib.Path
            The file.
        """
        from ..report import write_report

        k, chosen = self.keypoints, self.points
        names, edges = self.named_edges()
        confidence = self.confidence
        arguments = {
            "names": names,
            "edges": edges,
            "groups": k.groups,
            "confidence": None if confidence is None else confidence[:, chosen],
            "fps": k.fps,
            "frame_numbers": k.frames,
            "reconstruction": self.reconstruction[:, chosen],
            "notes": (*self.warnings, *k.source.notes, *self.plan.skipped),
            "fit_seconds": self.plan.seconds.get("fit"),
            "side_inputs": self._camera or None,
            "score": self.score,
        }
        return write_report(path, self.estimator, k.W[:, chosen], **{**arguments, **options})

    def flipped(self):
        """Return the other depth that a parallel camera leaves open.

        Returns
        -------
        Result
            With every frame mirrored in depth; all else as it is.

        Raises
        ------
        ValueError
            If the camera is a perspective one, which tells the two apart.

        See Also
        --------
        nrsfm_learn.flips : For single frames or clips.
        """
        if self._is_perspective:
            raise ValueError(
                f"{self.plan.method} has a perspective camera, which tells an object from its "
                f"mirror image: there is no other depth. Mirror the array with "
                f"nrsfm_learn.flips.mirror_depth if it is wrong all the same."
            )
        return replace(self, reconstruction=mirror_depth(self.reconstruction))

    def summary(self):
        """Return what there is to say beside the arrays.

        Returns
        -------
        dict
            Numbers, texts and lists of them: ``method``, ``settings``, ``reason``, ``skipped``,
            ``warnings``, ``score``, ``length_variation``, ``mean_confidence``, ``n_frames``,
            ``n_points``, ``seconds``.
        """
        plan, trusted = self.plan, self.confidence
        known = trusted is not None and np.isfinite(trusted).any()
        return {
            "method": plan.method,
            "settings": plan.settings,
            "reason": plan.reason,
            "skipped": list(plan.skipped),
            "warnings": list(self.warnings),
            "score": self.score,
            "length_variation": self.length_variation,
            "mean_confidence": float(np.nanmean(trusted)) if known else None,
            "n_frames": self.keypoints.n_frames,
            "n_points": self.keypoints.n_points,
            "seconds": plan.seconds,
        }

    def named_edges(self):
        """Return names and edges of the points that `estimator` is fitted to.

        Returns
        -------
        names : list of str
            One a point of `points`.
        edges : list of (int, int) or None
            Pairs of places in `points`; None if there are none.
        """
        k, position = self.keypoints, {int(p): n for n, p in enumerate(self.points)}
        edges = [(position[a], position[b]) for a, b in k.edges if a in position and b in position]
        return [k.names[p] for p in self.points], edges or None

    def reprojection(self):
        """Project the reconstruction back into the image.

        Returns
        -------
        ndarray of shape (n_frames, n_points, 2)
            Keypoints, hidden ones included; NaN where the reconstruction is.
        """
        X = self.reconstruction[:, self.points]
        W = self.estimator.inverse_transform(X, **self._camera)
        return spread(W, self.points, self.keypoints.n_points)

    @property
    def _camera(self):
        if self.intrinsics is None or not self._is_perspective:
            return {}
        return {"intrinsics": self.intrinsics}

    @property
    def _is_perspective(self):
        return self.estimator._nrsfm_tags().perspective


def spread(values, points, n_points):
    """Put the values of some points in their places among all, NaN elsewhere.

    Parameters
    ----------
    values : ndarray of shape (n_frames, n_some, ...)
        Values of some points.
    points : ndarray of int of shape (n_some,)
        Which points these are.
    n_points : int
        How many points there are in all.

    Returns
    -------
    ndarray of shape (n_frames, n_points, ...)
        All points.
    """
    whole = np.full((len(values), n_points, *values.shape[2:]), np.nan)
    whole[:, points] = values
    return whole
