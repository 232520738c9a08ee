"""What a diagnosis says, as numbers and as text."""

import textwrap
from dataclasses import dataclass
from typing import NamedTuple

SEVERITIES = ("blocker", "warning", "note", "ok")
_VERDICTS = {True: "yes", False: "no", None: "cannot tell from these data"}
_WIDTH = 88


class Finding(NamedTuple):
    """One thing that a diagnosis looked at.

    Attributes
    ----------
    name : str
        What was looked at, such as ``"rotation"`` or ``"missing"``.
    severity : {"ok", "note", "warning", "blocker"}
        A blocker makes a fit pointless; a warning wants something done first.
    message : str
        What was found.
    advice : str
        What to do; empty where nothing is to be done.
    """

    name: str
    severity: str
    message: str
    advice: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """What 2-D keypoints tell before a fit; printing it gives a report in plain words.

    Attributes
    ----------
    reconstructible : bool or None
        Whether the object is seen from enough sides for its depth to be found; None where the data
        do not tell turning from deformation.
    findings : tuple of Finding
        All that was looked at, the gravest first.
    recommendation : str
        The estimator and settings that suit, as code.
    reason : str
        Why these.
    estimator : str
        Name of that estimator.
    settings : dict
        Its parameters.
    camera : {"orthographic", "weak_perspective", "perspective"}
        The camera that suits.
    n_frames, n_points : int
        Size of the data.
    n_sampled : int
        Frames on which rank and rotation were measured, drawn by ``random_state``.
    missing_fraction : float
        Part of the keypoints that is hidden.
    missing_pattern : {"none", "random", "runs", "points", "runs and points"}
        How they are spread.
    rank_99, rank_999 : int
        Singular values of the centred (2 n_frames, n_points) measurement matrix that hold 99 and
        99.9% of its energy; K basis shapes give at most 3 K.
    imputation_rank : int or None
        Rank by which hidden keypoints were filled in for the measurements; no higher rank can be
        found then. None if nothing was hidden.
    third_singular_ratio : float
        Third over second singular value of that matrix after each frame's best in-plane rotation
        and scale are removed: 0 for a rigid object that never turns out of the image plane.
    view_change : float
        Part of the energy that in-plane rotation and scale of one view leave unexplained.
    turning : float
        Part of `view_change` that one rigid body explains by turning, both per degree of freedom.
    deformation_ratio : float
        What the turning rigid body leaves unexplained over what one view with two free modes of
        deformation leaves, which has as many parameters a frame. Turning wins below 1.
    fixed_lengths : float
        Part of the points that keep their image distance to another point, up to the scale of the
        frame, across the axis about which the object could have turned. Turning would shorten it.
    angular_spread, typical_angle : float
        90th and 50th percentile of the angle between the viewing directions of two frames,
        degrees, by the rigid body; 0 if the object never turns.
    sphere_coverage : float
        Part of the sphere of viewing directions within 15 degrees of one that was seen.
    depth_ratio, depth_ratio_error : float
        Depth of the object over its distance, estimated from perspective distortion without
        intrinsics, and its standard error; NaN where there is no turning rigid body to tell it by.
    scale_variation : float
        Relative spread of the object's size over frames.
    field_of_view : float
        Angle that the object takes in the typical frame, degrees; NaN without intrinsics.
    smoothness : float
        Typical change from one frame to the next over the typical difference of two frames; small
        for video, about 1 for photographs.
    is_video : bool
        Whether frames follow each other in time.
    swaps : tuple of (int, int, int)
        Frame from which on two points seem exchanged, and the points.
    jumps : tuple of (int, int)
        Frame and point of keypoints far from where the track is before and after.
    cuts : tuple of int
        Frames at which most points jump at once.
    duplicate_points : tuple of (int, int)
        Points that coincide in nearly all frames.
    duplicate_frames : tuple of int
        Frames that repeat an earlier one exactly.
    poor_frames : tuple of int
        Frames with fewer than three distinct visible points.
    units : {"pixels", "fractions", "unit plane or metric"}
        What the coordinates look like.
    """

    reconstructible: bool | None
    findings: tuple
    recommendation: str
    reason: str
    estimator: str
    settings: dict
    camera: str
    n_frames: int
    n_points: int
    n_sampled: int
    missing_fraction: float
    missing_pattern: str
    rank_99: int
    rank_999: int
    imputation_rank: int | None
    third_singular_ratio: float
    view_change: float
    turning: float
    deformation_ratio: float
    fixed_lengths: float
    angular_spread: float
    typical_angle: float
    sphere_coverage: float
    depth_ratio: float
    depth_ratio_error: float
    scale_variation: float
    field_of_view: float
    smoothness: float
    is_video: bool
    swaps: tuple
    jumps: tuple
    cuts: tuple
    duplicate_points: tuple
    duplicate_frames: tuple
    poor_frames: tuple
    units: str

    def __getitem__(self, name):
        """Return the finding of that name."""
        for finding in self.findings:
            if finding.name == name:
                return finding
        known = ", ".join(finding.name for finding in self.findings)
        raise KeyError(f"no finding {name!r}; there are {known}.")

    def __str__(self):
        lines = [
            f"{self.n_frames} frames of {self.n_points} points",
            f"Can depth be reconstructed? {_VERDICTS[self.reconstructible]}",
            "",
        ]
        for finding in self.findings:
            lines += _wrap(f"[{finding.severity}] {finding.name}: {finding.message}", "  ")
            if finding.advice:
                lines += _wrap(f"-> {finding.advice}", "     ")
        lines += ["", f"Suggested: {self.recommendation}", *_wrap(self.reason, "  ")]
        return "\n".join(lines)


def _wrap(text, indent):
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "   ",
        break_on_hyphens=False,
    )
