"""Motion of the generated body: joint angles over time for walking, reaching and jumping.

Each clip has its own style (drawn once) and a few signals that vary slowly within it; everything
else follows from these through synergies: an arm that reaches high takes the shoulder and the
trunk along. About eight numbers therefore describe a pose, though far from linearly.
"""

import numpy as np

from nrsfm_learn.datasets._cameras import smooth_signals

FPS = 30.0
MOTIONS = ("walk", "reach", "jump")

_TRUNK = ("lowerback", "upperback", "thorax")
_NECK = ("lowerneck", "upperneck", "head")
# Amplitude in degrees of what no synergy explains: no two people move every joint alike.
_TREMOR = 1.5


def joint_angles(skeleton, groups, motion, rng):
    """Angles of every degree of freedom of a moving body.

    Parameters
    ----------
    skeleton : Skeleton
        Body.
    groups : ndarray of shape (n_frames,)
        Clip of each frame.
    motion : {"mixture", "walk", "reach", "jump"}
        "mixture" gives each clip one of the three, all of them equally often.
    rng : numpy.random.RandomState
        Source of randomness.

    Returns
    -------
    angles : ndarray of shape (n_frames, n_angles)
        Degrees, within the limits of the joints.
    motions : list of str
        Motion of each clip.
    """
    clips = np.unique(groups)
    if motion == "mixture":
        motions = [MOTIONS[k % len(MOTIONS)] for k in range(len(clips))]
        motions = [motions[k] for k in rng.permutation(len(clips))]
    elif motion in MOTIONS:
        motions = [motion] * len(clips)
    else:
        raise ValueError(f"motion must be one of {['mixture', *MOTIONS]}, got {motion!r}.")
    makers = {"walk": _walk, "reach": _reach, "jump": _jump}
    angles = _TREMOR * smooth_signals(groups, len(skeleton.angle_names), rng, period=30.0)
    for clip, kind in zip(clips, motions, strict=True):
        frames = np.flatnonzero(groups == clip)
        for name, value in makers[kind](len(frames), rng).items():
            angles[frames, skeleton.angle_names.index(name)] += value
    return soft_limit(angles, *skeleton.limits.T), motions


def soft_limit(angles, low, high, *, free=0.8):
    r"""Bend angles smoothly into their limits.

    With u the angle mapped to [-1, 1] between the limits and b = `free`,

    .. math:: u \mapsto u \;(|u| \le b), \qquad
        \operatorname{sign}(u) \left(b + (1 - b) \tanh \frac{|u| - b}{1 - b}\right)
        \;\text{otherwise}

    Parameters
    ----------
    angles : ndarray of shape (..., n_angles)
        Wanted angles.
    low, high : ndarray of shape (n_angles,)
        Limits.
    free : float
        Central part of the range that is left as it is.

    Returns
    -------
    ndarray of shape (..., n_angles)
    """
    middle, half = (low + high) / 2, (high - low) / 2
    u = (angles - middle) / half
    beyond = np.maximum(np.abs(u) - free, 0)
    u = np.where(beyond > 0, np.sign(u) * (free + (1 - free) * np.tanh(beyond / (1 - free))), u)
    return middle + half * u


def _slow(n, k, rng, period=60.0):
    return smooth_signals(np.zeros(n, dtype=int), k, rng, period=period).T


def _phase(n, rate, rng, drift):
    """Phase of a rhythm of `rate` cycles a second whose pace drifts."""
    step = 2 * np.pi * rate / FPS * (1 + 0.15 * np.tanh(drift))
    return rng.uniform(0, 2 * np.pi) + np.cumsum(step)


def _bump(phase, width):
    """Periodic pulse of height 1 at phase 0."""
    return np.exp((np.cos(phase) - 1) / width**2)


def _trunk(pose, flexion, bend, twist):
    """Spread a movement of the trunk over its three bones."""
    for bone in _TRUNK:
        pose[f"{bone}.flexion"] = flexion / 3
        pose[f"{bone}.bend"] = bend / 3
        pose[f"{bone}.twist"] = twist / 3


def _gaze(pose, pitch, yaw):
    for bone in _NECK:
        pose[f"{bone}.flexion"] = pitch / 3
        pose[f"{bone}.twist"] = yaw / 3


def _hand(pose, side, grip, pronation):
    pose[f"{side}wrist.pronation"] = pronation
    pose[f"{side}hand.flexion"] = 15 - 20 * grip
    pose[f"{side}fingers.flexion"] = 30 + 30 * grip
    pose[f"{side}thumb.flexion"] = 10 * grip


def _walk(n, rng):
    stride, crouch, lean, sway, yaw, carry, drift = _slow(n, 7, rng)
    phase = _phase(n, rng.uniform(0.75, 1.05), rng, drift)
    amplitude = rng.uniform(18, 34) * (1 + 0.2 * stride)
    bent = np.clip(rng.uniform(0, 25) + 8 * crouch, 0, None)
    swing = rng.uniform(0.6, 1.5) * amplitude
    lift = rng.uniform(40, 70)
    elbow = rng.uniform(10, 70)
    held = rng.uniform(0, 50, size=2) * (rng.uniform(size=2) < 0.4)
    pose = {"root.flexion": 0.3 * bent + 3 * lean, "root.bend": 4 * np.sin(phase)}
    _trunk(pose, 6 + 6 * lean, 5 * sway - 5 * np.sin(phase), 14 * np.sin(phase) + 6 * sway)
    _gaze(pose, -4 - 4 * lean, 25 * yaw)
    for side, shift, out in (("l", 0.0, held[0]), ("r", np.pi, held[1])):
        leg = phase + shift
        push = _bump(leg + np.pi / 2 + 0.4, 0.6)
        pose[f"{side}femur.flexion"] = amplitude * np.sin(leg) + 10 + 1.2 * bent
        pose[f"{side}femur.abduction"] = 3 + 3 * sway * np.cos(shift)
        pose[f"{side}tibia.flexion"] = 6 + 2 * bent + lift * _bump(leg + 0.6, 0.7)
        pose[f"{side}foot.flexion"] = 4 + 0.8 * bent - 24 * push
        pose[f"{side}toes.extension"] = 35 * push
        arm = -swing * np.sin(leg)
        pose[f"{side}humerus.flexion"] = 4 + arm + 0.8 * out
        pose[f"{side}humerus.abduction"] = 8 + out + 5 * carry
        pose[f"{side}humerus.twist"] = -10 * carry
        pose[f"{side}radius.flexion"] = elbow + 0.4 * arm + 12 * carry + out
        pose[f"{side}clavicle.protraction"] = 0.2 * arm
        _hand(pose, side, 0.3 * carry, 10.0)
    return pose


def _reach(n, rng):
    bow, turn, crouch, shift = _slow(n, 4, rng, period=75.0)
    bow_style, crouch_style = rng.uniform(-0.5, 1.2), rng.uniform(-0.6, 1.2)
    forward = 30 * np.clip(bow + bow_style, -0.4, None)
    low = 28 * np.clip(crouch + crouch_style, 0, None)
    pose = {"root.flexion": 0.7 * forward + 0.3 * low, "root.bend": 5 * shift}
    _trunk(pose, 0.9 * forward, 12 * shift, 28 * turn)
    _gaze(pose, -10 - 0.2 * forward, 30 * turn)
    stance = rng.uniform(2, 16)
    stagger = rng.uniform(-15, 15)
    for side, sign in (("l", 1), ("r", -1)):
        height, aside, stretch = _slow(n, 3, rng, period=45.0)
        raised = rng.uniform(25, 80) + 38 * height
        pose[f"{side}humerus.flexion"] = raised + 0.4 * forward
        pose[f"{side}humerus.abduction"] = 22 + 26 * aside
        pose[f"{side}humerus.twist"] = -20 * aside
        pose[f"{side}radius.flexion"] = 55 - 38 * stretch
        pose[f"{side}clavicle.elevation"] = np.clip(0.15 * (raised - 40), 0, None)
        pose[f"{side}clavicle.protraction"] = 8 * stretch
        _hand(pose, side, -0.7 * stretch, 25 * aside)
        pose[f"{side}femur.flexion"] = 1.1 * low + 0.6 * forward + sign * stagger
        pose[f"{side}femur.abduction"] = stance - sign * 6 * shift
        pose[f"{side}femur.twist"] = 0.5 * stance
        pose[f"{side}tibia.flexion"] = 4 + 1.8 * low + 0.5 * abs(stagger)
        pose[f"{side}foot.flexion"] = 0.7 * low
    return pose


def _jump(n, rng):
    vigour, lean, spread, turn, uneven, drift = _slow(n, 6, rng)
    phase = _phase(n, rng.uniform(0.4, 0.65), rng, drift)
    depth = rng.uniform(35, 65) * (1 + 0.2 * vigour)
    # Crouch, take off, fly with the arms high, land more shallowly.
    ready, flight, land = (_bump(phase - at, w) for at, w in ((0, 0.75), (1.9, 0.65), (3.5, 0.5)))
    low = depth * (ready + 0.6 * land)
    tuck = rng.uniform(0, 60) * flight
    star = rng.uniform(0, 40) * (1 + 0.3 * spread) * flight
    pose = {"root.flexion": 0.45 * low + 4 * lean, "root.bend": 4 * uneven}
    _trunk(pose, 0.5 * low - 12 * flight + 6 * lean, 8 * uneven, 14 * turn)
    _gaze(pose, -0.3 * low - 5, 15 * turn)
    reach = rng.uniform(80, 160)
    for side, sign in (("l", 1), ("r", -1)):
        unequal = 1 + 0.2 * sign * uneven
        pose[f"{side}femur.flexion"] = (1.25 * low + tuck) * unequal
        pose[f"{side}femur.abduction"] = 5 + 4 * spread + 0.8 * star
        pose[f"{side}tibia.flexion"] = 6 + 1.8 * low + 1.4 * tuck * unequal
        pose[f"{side}foot.flexion"] = 0.6 * low - 35 * flight
        pose[f"{side}toes.extension"] = 20 * _bump(phase - 1.2, 0.5)
        pose[f"{side}humerus.flexion"] = -0.7 * low + reach * flight * unequal + 10
        pose[f"{side}humerus.abduction"] = 12 + 6 * spread + 1.5 * star
        pose[f"{side}clavicle.elevation"] = 18 * flight
        pose[f"{side}radius.flexion"] = 22 + 0.5 * low + 8 * turn * sign
        _hand(pose, side, 0.4 * vigour, 0.0)
    return pose
