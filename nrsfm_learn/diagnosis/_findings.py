"""What was measured, said in plain words."""

import numpy as np

from ._motion import SAME_VIEW
from ._recommend import suspected_perspective
from ._record import Finding

_MANY_HIDDEN = 0.5
_MANY_ODD = 0.05
_FEW_FRAMES = 50


def listed(items, most=4):
    """Write the first few of many."""
    text = ", ".join(str(item) for item in items[:most])
    return f"{text} and {len(items) - most} more" if len(items) > most else text


def percent(fraction):
    """Write a fraction so that a little is not nothing."""
    return f"{fraction:.1%}" if 0 < fraction < 0.095 else f"{fraction:.0%}"


def missing_finding(missing, names):
    """Say how keypoints are hidden."""
    if missing.fraction == 0:
        return Finding("missing", "ok", "every keypoint is visible in every frame")
    how = {
        "random": "at random",
        "runs": f"in runs of time ({missing.run_ratio:.1f} times as long as at random)",
        "points": "by point",
        "runs and points": "in runs of time and by point",
    }[missing.pattern]
    points = [
        f"{names[p]} ({percent(missing.by_point[p])})"
        for p in missing.worst_points[:3]
        if missing.by_point[p] > 0
    ]
    text = (
        f"{percent(missing.fraction)} of the keypoints are hidden, {how}; most often points "
        f"{', '.join(points)}; most in frames {listed(missing.worst_frames.tolist(), 3)}"
    )
    if len(missing.unseen):
        return Finding(
            "missing",
            "warning",
            f"{text}; never seen: points {listed([names[p] for p in missing.unseen])}",
            "Drop points that no frame shows: nothing can be learned about them.",
        )
    if missing.apart:
        return Finding(
            "missing",
            "warning",
            f"{text}; {len(missing.apart)} pair(s) of points are never seen together, such as "
            f"({', '.join(str(names[p]) for p in missing.apart[0])})",
            "Their relative position rests on the other points alone: check it, or add frames "
            "that show both.",
        )
    if missing.fraction > _MANY_HIDDEN:
        return Finding(
            "missing", "warning", text, "Drop the points and frames that are hidden most."
        )
    return Finding("missing", "note", text, "Pass the mask, or NaN: don't fill in.")


def frames_finding(entries, n_frames, n_usable):
    """Say which frames are of no use."""
    if n_usable < 3:
        return Finding(
            "frames",
            "blocker",
            f"{n_usable} of {n_frames} frame(s) show three or more points that are not on a line",
            "Three views are the least for a rigid object; an object that deforms needs hundreds.",
        )
    parts, advice, severity = [], [], "note"
    if entries.poor_frames:
        parts.append(
            f"{len(entries.poor_frames)} frame(s) with fewer than three distinct visible points "
            f"({listed(entries.poor_frames)})"
        )
        advice.append("Drop these, or leave them: they come back as NaN.")
    if entries.line_frames:
        severity = "warning"
        parts.append(
            f"{len(entries.line_frames)} frame(s) whose points all lie on a line "
            f"({listed(entries.line_frames)})"
        )
        advice.append("Drop these if they are a tracker's failure.")
    if entries.duplicate_frames:
        parts.append(
            f"{len(entries.duplicate_frames)} frame(s) that repeat an earlier one exactly "
            f"({listed(entries.duplicate_frames)})"
        )
        advice.append("Keep one of each, above all where training and test frames are separated.")
    if n_usable < _FEW_FRAMES:
        parts.append(f"only {n_usable} usable frames")
        advice.append("Expect rough results unless the object is nearly rigid.")
    if not parts:
        return Finding("frames", "ok", f"all {n_frames} frames can be used")
    odd = len(entries.poor_frames) + len(entries.duplicate_frames)
    if odd > _MANY_ODD * n_frames or n_usable < _FEW_FRAMES:
        severity = "warning"
    return Finding("frames", severity, "; ".join(parts), " ".join(advice))


def points_finding(entries, n_points):
    """Say what is odd about points."""
    if n_points < 4:
        return Finding(
            "points",
            "blocker",
            f"{n_points} points: fewer than four fit any views",
            "Track at least four points that are not in one plane, better ten or more.",
        )
    parts, advice = [], []
    if entries.placeholders:
        parts.append(f"{entries.placeholders} visible keypoints lie exactly at (0, 0) or (-1, -1)")
        advice.append("If that is how your tracker marks missing points, set them to NaN.")
    if entries.far:
        parts.append(
            f"{len(entries.far)} keypoint(s) lie far outside their object, (frame, point) "
            f"{listed(entries.far)}"
        )
        advice.append("Hide keypoints that are wrong.")
    if entries.duplicate_points:
        parts.append(f"points coincide: {listed(entries.duplicate_points)}")
        advice.append("Keep one of each pair, unless both are wanted: they only count twice.")
    if not parts:
        return Finding("points", "ok", "no two points coincide and none lies far outside")
    severity = "warning" if entries.placeholders or entries.far else "note"
    return Finding("points", severity, "; ".join(parts), " ".join(advice))


def units_finding(units, has_intrinsics):
    """Say what the coordinates look like."""
    if units == "fractions":
        return Finding(
            "units",
            "warning",
            "all coordinates lie between 0 and 1, as if divided by the image's width and height",
            "If x and y were divided by different numbers, multiply them back: no camera here "
            "stretches an image.",
        )
    if units == "pixels":
        advice = "" if has_intrinsics else "A perspective camera would need the intrinsics."
        return Finding("units", "ok", "the coordinates look like pixels", advice)
    if has_intrinsics:
        return Finding(
            "units",
            "warning",
            "the coordinates do not look like pixels, but intrinsics were given",
            "Leave the intrinsics out if the keypoints lie on the unit focal plane already.",
        )
    return Finding("units", "ok", "the coordinates look normalised or metric, not like pixels")


def tracks_findings(tracks, n_clips):
    """Say whether this is a video, and where its tracks break."""
    if np.isnan(tracks.smoothness):
        return [Finding("order", "note", "too few frames in a row to tell video from photographs")]
    ratio = f"a frame differs from the next {tracks.smoothness:.2f} times as much as from any other"
    if not tracks.is_video:
        text = f"frames look independent, like photographs ({ratio}); jumps cannot be told"
        return [Finding("order", "ok", text)]
    found = [Finding("order", "ok", f"frames follow each other in time ({ratio})")]
    if tracks.cuts:
        where = "within a clip" if n_clips > 1 else "at once"
        found.append(
            Finding(
                "cuts",
                "note",
                f"most points jump {where} at frames {listed(tracks.cuts)}",
                "If these are cuts, pass groups that number the clips.",
            )
        )
    if tracks.swaps:
        found.append(
            Finding(
                "swaps",
                "warning",
                f"points seem exchanged from one frame to the next, (frame, point, point) "
                f"{listed(tracks.swaps)}",
                "Exchange them back in the frames between two such places "
                "(nrsfm_learn.preprocessing.swap_left_right with mirror=False), or hide them.",
            )
        )
    if tracks.jumps:
        found.append(
            Finding(
                "jumps",
                "warning",
                f"{len(tracks.jumps)} keypoint(s) jump away for one frame, (frame, point) "
                f"{listed(tracks.jumps)}",
                "Hide them: a hidden keypoint costs less than a wrong one.",
            )
        )
    if not (tracks.swaps or tracks.jumps):
        found.append(Finding("tracks", "ok", "no exchanged points and no single jumps"))
    return found


def rank_finding(rank_99, rank_999, imputation_rank, most):
    """Say how many shapes the data can hold."""
    text = (
        f"{rank_99} singular values hold 99% of the energy and {rank_999} hold 99.9% (a rigid "
        f"object has 3, K basis shapes at most 3 K)"
    )
    if imputation_rank is not None:
        text += f"; hidden keypoints were filled in at rank {imputation_rank}, which limits both"
    if rank_99 >= 0.8 * most and most > 6:
        return Finding(
            "rank",
            "warning",
            f"{text}: nearly full",
            "Noise, or a deformation that no small number of shapes describes; look for wrong "
            "keypoints first.",
        )
    return Finding("rank", "ok", text)


def rotation_finding(motion, reconstructible, why):
    """Say whether the object is seen to turn, and what cannot be told."""
    m = motion
    sides = (
        f"typically {m.typical_angle:.0f} and up to {m.angular_spread:.0f} degrees between views, "
        f"{percent(m.sphere_coverage)} of all directions"
    )
    explains = f"turning explains {percent(m.turning)} of what in-plane motion leaves"
    record = "Move the camera round the object, or let it turn: 60 degrees or more, better all of "
    record += "the way round. "
    if why == "same view":
        text = (
            f"no rotation: every frame is the same view up to in-plane rotation and scale (all but "
            f"{percent(m.view_change)} of the energy; the limit is {percent(SAME_VIEW)})"
        )
        return Finding(
            "rotation",
            "warning" if reconstructible is None else "blocker",
            text,
            record + "From this, any depth fits.",
        )
    if why == "fixed lengths":
        return Finding(
            "rotation",
            "blocker",
            f"too little rotation: {percent(m.fixed_lengths)} of the points keep their image "
            f"distance to others in all directions, which a larger turn would shorten; {explains}",
            record + "What changes here is noise, or deformation in a fixed view, for which any "
            "depth fits.",
        )
    if why == "little":
        return Finding(
            "rotation",
            "blocker",
            f"too little rotation: if it is turning at all, views are typically "
            f"{m.typical_angle:.0f} and at most about {m.angular_spread:.0f} degrees apart, and "
            f"{explains}",
            record + "So little turning looks the same as deformation in a fixed view.",
        )
    if why == "few points":
        return Finding(
            "rotation",
            "warning",
            "so few points are visible in the typical frame that a turning object fits anything",
            "Track more points, or drop the frames and points that are hidden most.",
        )
    if why == "unclear":
        return Finding(
            "rotation",
            "warning",
            f"cannot tell turning from deformation: {explains} ({sides}), which two "
            f"free modes of deformation in a fixed view might do as well (turning leaves "
            f"{m.deformation_ratio:.1f} times what they leave)",
            "If you know that the camera or the object turned by more than 60 degrees, go on, and "
            "look at the result from the side. If the view is fixed, the depth will be made up.",
        )
    if why == "rigid":
        text = f"a rigid object that turns: {sides}"
        if m.angular_spread < 40:
            return Finding(
                "rotation",
                "note",
                text,
                "Little rotation is enough only because it is rigid; noise in depth grows as the "
                "angle falls.",
            )
        return Finding("rotation", "ok", text)
    return Finding("rotation", "ok", f"the object is seen from many sides: {sides}; {explains}")


def flatness_finding(motion, reconstructible):
    """Warn of plane objects; None otherwise."""
    if reconstructible is False or motion.flatness > 0.03 or motion.turning < 0.9:
        return None
    return Finding(
        "flatness",
        "warning",
        "the object is flat: each frame has two poses that look alike under a parallel camera",
        "Expect single frames with the wrong tilt; in a video, nrsfm_learn.flips finds them.",
    )


def perspective_finding(perspective, camera):
    """Say how strong perspective is, as far as it can be known."""
    p = perspective
    if np.isfinite(p.field_of_view):
        text = f"the object takes {p.field_of_view:.0f} degrees of the view"
    else:
        text = "no intrinsics"
    if suspected_perspective(p):
        text += (
            f"; perspective distortion suspected: depth over distance about {p.depth_ratio:.2f} "
            f"(standard error {p.depth_ratio_error:.2f}; too low where the object deforms)"
        )
    elif np.isfinite(p.depth_ratio):
        text += (
            f"; no clear perspective distortion (depth over distance {p.depth_ratio:.2f}, standard "
            f"error {p.depth_ratio_error:.2f}), which deformation can hide"
        )
    else:
        text += "; distortion cannot be measured without a turning object that keeps its shape"
    if np.isfinite(p.scale_variation):
        text += f"; size varies by {percent(p.scale_variation)}, deformation included"
    if camera.name == "orthographic":
        return Finding("perspective", "ok", text)
    return Finding("perspective", "note", text, f"Use camera={camera.name!r}: {camera.reason}.")


def unusable_finding():
    """Say that too little is left to measure rank and rotation on."""
    return Finding(
        "rotation",
        "blocker",
        "fewer than three frames show the same four points",
        "Add frames, or points that are seen more often.",
    )
