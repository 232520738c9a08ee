"""Which estimator and settings suit."""

from typing import NamedTuple

_SHORT = 1500
_PERSPECTIVE_ANGLE = 12.0
_PERSPECTIVE_RATIO = 0.15
_RIGID, _NEARLY_RIGID = 0.98, 0.93


class Camera(NamedTuple):
    """The camera model that suits.

    Attributes
    ----------
    name : {"orthographic", "weak_perspective", "perspective"}
    reason : str
    """

    name: str
    reason: str


def choose_camera(perspective, turning, has_intrinsics, units):
    """Choose a camera model.

    Parameters
    ----------
    perspective : Perspective
        What was measured.
    turning : float
        How much a rigid body explains; NaN if unknown.
    has_intrinsics : bool
        Whether intrinsics were given.
    units : str
        What the coordinates look like.

    Returns
    -------
    Camera
    """
    p = perspective
    wide = p.field_of_view > _PERSPECTIVE_ANGLE
    if wide:
        return Camera("perspective", f"the object takes {p.field_of_view:.0f} degrees of the view")
    if suspected_perspective(p):
        if has_intrinsics or units != "pixels":
            return Camera("perspective", "the distortion of near parts is seen")
        return Camera(
            "weak_perspective",
            "perspective distortion is seen, but a perspective camera needs the intrinsics",
        )
    if has_intrinsics:
        return Camera("weak_perspective", "the object takes a small angle, at varying distance")
    if p.scale_variation > (0.1 if turning >= _NEARLY_RIGID else 0.4):
        return Camera("weak_perspective", "the size varies more than the view explains")
    return Camera("orthographic", "nothing contradicts one scale for all frames")


def suspected_perspective(perspective):
    """Whether the distortion is strong and well beyond its error."""
    ratio, error = perspective.depth_ratio, perspective.depth_ratio_error
    return bool(ratio > _PERSPECTIVE_RATIO and ratio > 5 * error)


class Choice(NamedTuple):
    """The estimator that suits.

    Attributes
    ----------
    estimator : str
        Name of the class.
    settings : dict
        Its parameters.
    reason : str
    """

    estimator: str
    settings: dict
    reason: str

    def __str__(self):
        return f"{self.estimator}({', '.join(f'{k}={v!r}' for k, v in self.settings.items())})"


def recommend(n_frames, n_clips, is_video, rank, turning, camera):
    """Choose estimator and sizes.

    Parameters
    ----------
    n_frames, n_clips : int
        How much there is.
    is_video : bool
        Whether frames follow each other.
    rank : int
        Singular values that hold 99.9% of the energy.
    turning : float
        How much a rigid body explains; NaN if unknown.
    camera : Camera
        The camera that suits.

    Returns
    -------
    Choice
    """
    rigid = turning >= _RIGID
    shape = "hardly deforms" if turning >= _NEARLY_RIGID else "deforms"
    if camera.name == "orthographic" and n_frames <= _SHORT:
        components = 2 if rigid else 4 if turning >= _NEARLY_RIGID or rank <= 7 else 8
        order = "one video" if is_video and n_clips == 1 else "a small set"
        return Choice(
            "PAUL",
            {"n_components": components, "codes": "encoder"},
            f"{order} of {n_frames} frames of an object that {shape}: an auto-decoder with a small "
            f"bottleneck is the most accurate there. codes='free' does without the 2-D encoder if "
            f"no other frames are to be lifted. ProcrusteanRegression() gives a first result in "
            f"seconds.",
        )
    k_last = 2 if rigid else 4 if turning >= _NEARLY_RIGID else 8 if rank <= 9 else 10
    amount = "many frames" if n_frames > _SHORT else f"{n_frames} frames"
    camera_setting = {} if camera.name == "orthographic" else {"camera": camera.name}
    return Choice(
        "DeepNRSfMPP",
        {"k_last": k_last, **camera_setting},
        f"{amount} of an object that {shape}, and {camera.reason}. It lifts each frame by itself, "
        f"whatever their order.",
    )
