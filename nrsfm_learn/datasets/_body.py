"""A moving human body of 31 joints, seen by synthetic cameras."""

from functools import partial

import numpy as np
from sklearn.utils import check_random_state

from nrsfm_learn.datasets._cameras import clip_labels, observe, views_name
from nrsfm_learn.datasets._hiding import hidden_by_capsules
from nrsfm_learn.datasets._motion import FPS, joint_angles
from nrsfm_learn.datasets._skeleton import make_skeleton


def make_articulated_body(
    n_frames=1000,
    *,
    motion="mixture",
    clips=None,
    height=1.75,
    camera="orthographic",
    views="random",
    depth_ratio=1 / 3,
    intrinsics=None,
    image_size=None,
    missing=0.0,
    occlusion="random",
    noise=0.0,
    min_visible=3,
    random_state=None,
):
    r"""Generate an articulated human body in natural motion, seen by one camera.

    A skeleton of 31 joints with the topology of the CMU motion capture database is posed by
    forward kinematics,

    .. math:: G_j = G_{\pi(j)} R_j(\theta), \qquad x_j = x_{\pi(j)} + G_j v_j,

    with joint angles within anatomical limits. Bone lengths belong to one person and are constant.
    About eight slowly varying quantities drive all angles of a clip, so that a nonlinear model
    with a small bottleneck can describe the shapes and a rigid one cannot.

    Parameters
    ----------
    n_frames : int
        Number of frames, 30 a second.
    motion : {"mixture", "walk", "reach", "jump"}
        What the body does; "mixture" gives each clip one of the three.
    clips : int or None
        Number of clips, which differ in style and in camera path. None: about one for every 150
        frames.
    height : float
        Height of the person, metres.
    camera : {"orthographic", "weak_perspective", "perspective"}
        Kind of projection.
    views : {"random", "smooth", "turntable", "upright"} or array-like
        Camera of each frame: independent and uniform over all rotations; on a smooth path in each
        clip; one turn round the vertical in each clip; independent but upright. Or
        rotations (n_frames, 3, 3), such as those of :func:`make_camera_path`.
    depth_ratio : float
        Perspective only: mean over frames of the object's extent in depth divided by the distance
        of its centre.
    intrinsics : array-like of shape (3, 3), optional
        Calibration matrix; `W` is then in pixels (under orthography its focal lengths are pixels
        a metre). By default `W` is in metres, or on the unit focal plane under perspective.
    image_size : tuple of two int, optional
        Width and height in pixels of an image which every frame is made to fit; chooses the
        intrinsics.
    missing : float
        Fraction of keypoints to hide.
    occlusion : {"random", "contiguous", "self"}
        How: independently; in blocks of time of 15 frames in the mean; or what the body itself
        hides from the camera, plus `missing` at random.
    noise : float
        Standard deviation of Gaussian noise on each coordinate of `W`, relative to the mean
        over frames of the centred :math:`\lVert W \rVert_F / \sqrt{P}`.
    min_visible : int
        Number of keypoints that stay visible in every frame.
    random_state : int, RandomState or None
        Seed.

    Returns
    -------
    Bunch
        - W : ndarray of shape (n_frames, 31, 2), keypoints, NaN where hidden.
        - visible : ndarray of shape (n_frames, 31), bool.
        - W_complete : ndarray of shape (n_frames, 31, 2), without noise and hiding.
        - X : ndarray of shape (n_frames, 31, 3), joints in the camera frame, metres.
        - shapes : ndarray of shape (n_frames, 31, 3), centred joints, object frame (x to the
          body's left, y up, z to the front), ``X = shapes @ R.T + t``.
        - rotations (n_frames, 3, 3), translations (n_frames, 3), scales (n_frames,), intrinsics
          (3, 3) or None.
        - names, edges : names of the joints and pairs of them that are bones.
        - groups : ndarray of shape (n_frames,), clip of each frame; motions : motion of each clip.
        - angles : ndarray of shape (n_frames, n_angles), degrees, with angle_names and
          angle_limits of shape (n_angles, 2).
        - camera, fps, DESCR.

    Raises
    ------
    ValueError
        If an option is unknown or out of range.

    See Also
    --------
    load_asf_amc : Recorded motion of the same skeleton topology.
    make_rigid_category : Rigid objects of one category.

    Examples
    --------
    >>> from nrsfm_learn.datasets import make_articulated_body
    >>> body = make_articulated_body(100, motion="walk", missing=0.2, random_state=0)
    >>> body.W.shape
    (100, 31, 2)
    """
    rng = check_random_state(random_state)
    if height <= 0:
        raise ValueError(f"height must be positive, in metres, got {height}.")
    groups = clip_labels(n_frames, clips)
    skeleton = make_skeleton(height, rng)
    angles, motions = joint_angles(skeleton, groups, motion, rng)
    joints = skeleton.pose(angles)
    return observe(
        joints - joints.mean(1, keepdims=True),
        groups,
        rng,
        camera=camera,
        views=views,
        missing=missing,
        occlusion=occlusion,
        noise=noise,
        depth_ratio=depth_ratio,
        intrinsics=intrinsics,
        image_size=image_size,
        min_visible=min_visible,
        names=skeleton.names,
        edges=skeleton.edges,
        descr=f"Generated articulated body, motion {motion!r}, {camera} camera, "
        f"{views_name(views)} views.",
        occluder=partial(
            hidden_by_capsules,
            bones=np.array(skeleton.edges),
            radii=skeleton.radii[np.array(skeleton.edges)[:, 1]],
        ),
        motions=motions,
        angles=angles,
        angle_names=list(skeleton.angle_names),
        angle_limits=skeleton.limits,
        fps=FPS,
    )
