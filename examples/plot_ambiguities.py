"""
What one camera leaves open
===========================

The pictures of :doc:`../user_guide/ambiguities`: the sign of depth, the scale, the canonical frame,
and the slow turn that looks like a deformation. All data are generated, and no method is fitted:
what is shown holds for any method.
"""

# %%
# The sign of depth
# -----------------
# A body, and its mirror image in depth. Under a parallel camera both have the same image. Under a
# perspective camera near points are drawn larger, and the two images differ.

import matplotlib.pyplot as plt
import numpy as np

from nrsfm_learn.datasets import make_articulated_body
from nrsfm_learn.flips import consistent_flips, mirror_depth

body = make_articulated_body(200, motion="walk", clips=1, views="smooth", random_state=3)
X, mirrored = body.X, mirror_depth(body.X)
parallel = np.abs(X[..., :2] - mirrored[..., :2]).max()
print(f"largest difference of the keypoints, parallel camera: {parallel:.1f} m")

far = np.array([0.0, 0.0, 3.0])  # metres from the camera to the body
images = [(Y + far)[..., :2] / (Y + far)[..., 2:] for Y in (X, mirrored)]
size = np.sqrt(np.mean(np.sum((images[0] - images[0].mean(1, keepdims=True)) ** 2, axis=2)))
apart = np.sqrt(np.mean(np.sum((images[0] - images[1]) ** 2, axis=2)))
print(f"root mean square difference, camera at 3 m: {100 * apart / size:.0f}% of the image's size")


def draw(ax, points, across, **style):
    for i, j in body.edges:
        ax.plot(points[[i, j], across], points[[i, j], 1], **style)


def finish(ax, title, half=1.05):
    ax.set_title(title, fontsize=10)
    ax.set(xlim=(-0.75 * half, 0.75 * half), ylim=(half, -0.8 * half), aspect="equal")
    ax.axis("off")


truth, other = {"color": "C0", "linewidth": 3}, {"color": "C3", "linewidth": 1.2}
figure, axes = plt.subplots(1, 3, figsize=(9, 3.8), layout="constrained")
frame = 20
for Y, image, style in zip((X, mirrored), images, (truth, other), strict=True):
    draw(axes[0], Y[frame], 0, **style)
    draw(axes[1], Y[frame], 2, **style)
    draw(axes[2], image[frame], 0, **style)
finish(axes[0], "image of a parallel camera:\none on the other")
finish(axes[1], "from the side (depth to the right):\nleaning opposite ways")
finish(axes[2], "image of a perspective camera\nat 3 m: two images", half=0.35)
plt.show()

# %%
# One sign a frame, or one for the sequence
# -----------------------------------------
# A reconstruction without any error but the sign, which is wrong in single frames and in a run of
# thirty. What it is worth depends on the protocol: none of the three numbers is the right one.

from nrsfm_learn.metrics import mpjpe

wrong = np.random.default_rng(0).uniform(size=200) < 0.1
wrong[110:140] = True
found = np.where(wrong[:, None, None], mirrored, X)
repaired = np.where((consistent_flips(found) < 0)[:, None, None], mirror_depth(found), found)

for flip in ("none", "sequence", "frame"):
    before, all_mirrored = mpjpe(X, found, flip=flip), mpjpe(X, mirrored, flip=flip)
    after = mpjpe(X, repaired, flip=flip)
    print(
        f'mpjpe, flip="{flip}": {before:.3f} m with wrong signs, {after:.3f} m after '
        f"consistent_flips, {all_mirrored:.3f} m with all frames mirrored"
    )

wrist = body.names.index("lwrist")
figure, axes = plt.subplots(1, 2, figsize=(9, 2.8), sharey=True, layout="constrained")
axes[0].plot(found[:, wrist, 2], color="C3")
axes[0].set(title="a sign for each frame", xlabel="frame", ylabel="depth of a wrist (m)")
axes[1].plot(X[:, wrist, 2], label="the body")
axes[1].plot(mirrored[:, wrist, 2], ":", color="C3", label="its mirror image")
axes[1].set(title="one sign for the sequence: two answers", xlabel="frame")
axes[1].legend(loc="lower right")
plt.show()

# %%
# Scale
# -----
# From the side: a body, and one that is twice as large at twice the distance. Every ray from the
# camera meets the same joint of both. And a body that comes nearer looks like one that grows.

near = X[frame] + far
large = 2 * near
same = np.abs(near[:, :2] / near[:, 2:] - large[:, :2] / large[:, 2:]).max()
print(f"largest difference of the two images: {same:.1f}")

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
for j in range(0, 31, 5):
    left.plot([0, large[j, 2]], [0, large[j, 1]], color="0.8", linewidth=0.8, zorder=0)
for Y, color, label in ((near, "C0", "1.75 m tall"), (large, "C3", "3.5 m tall")):
    for i, j in body.edges:
        left.plot(Y[[i, j], 2], Y[[i, j], 1], color=color)
    left.plot([], [], color=color, label=label)
left.plot(0, 0, "ks")
left.set(title="one image, two sizes", xlabel="distance from the camera (m)")
left.set(ylim=(2.2, -2.2), yticks=[])
left.set_aspect("equal")
left.legend(loc="upper left", fontsize=9)

seconds = np.linspace(0, 5, 100)
distance = 6 - 0.8 * seconds
right.plot(seconds, distance, color="C0", label="walks up to the camera")
right.plot(seconds, np.full(100, 6.0), color="C3", label="stands, and grows")
growth = right.twinx()
growth.plot(seconds, np.full(100, 1.75), ":", color="C0")
growth.plot(seconds, 1.75 * 6 / distance, ":", color="C3")
right.set(
    title="one video, two stories", xlabel="seconds", ylabel="distance (m), solid", ylim=(0, 8.5)
)
growth.set(ylabel="height (m), dotted", ylim=(0, 8.5))
right.legend(loc="upper left", fontsize=9)
plt.show()

# %%
# The canonical frame
# -------------------
# Two choices of the canonical frame: the shapes look different, their rotations differ by the same
# constant rotation, and what stands before the camera is one and the same.

from scipy.spatial.transform import Rotation

shapes, rotations = body.shapes, body.rotations
constant = Rotation.from_euler("XYZ", [20, 50, 30], degrees=True).as_matrix()
other_shapes, other_rotations = shapes @ constant.T, rotations @ constant.T
seen = shapes @ rotations.swapaxes(1, 2)
seen_too = other_shapes @ other_rotations.swapaxes(1, 2)
print(f"largest difference in the camera frame: {np.abs(seen - seen_too).max():.0e} m")

figure, axes = plt.subplots(1, 3, figsize=(9, 3.8), layout="constrained")
draw(axes[0], shapes[frame] * [1, -1, 1], 0, color="C0")
draw(axes[1], other_shapes[frame] * [1, -1, 1], 0, color="C3")
draw(axes[2], seen[frame], 0, **truth)
draw(axes[2], seen_too[frame], 0, **other)
finish(axes[0], r"$\mathbf{S}$, one canonical frame")
finish(axes[1], r"$\mathbf{S}\,\mathbf{Q}^\top$, another one")
finish(axes[2], "both before the camera")
plt.show()

# %%
# Turning or deforming
# --------------------
# A rigid body swings about the vertical, by more and more. How well is that explained by something
# flat, with depth zero throughout, that deforms before a camera at rest? What is left over is
# computed exactly, by singular values. With one mode of deformation a small turn is explained
# within the noise of a tracker; with two, any turn about one axis, and no keypoint says that this
# is not what happened.

rigid = body.shapes[0] * [1, -1, 1]
degrees = np.arange(2, 181, 2)
left_over = np.empty((len(degrees), 3))
for row, angle in enumerate(degrees):
    swing = np.deg2rad(angle) / 2 * np.sin(np.linspace(0, 2 * np.pi, 100))
    turn = Rotation.from_rotvec(swing[:, None] * [0, 1, 0]).as_matrix()
    W = (rigid @ turn.swapaxes(1, 2))[..., :2].reshape(100, -1)
    values = np.linalg.svd(W - W.mean(0), compute_uv=False)
    for n_modes in range(3):
        left_over[row, n_modes] = np.linalg.norm(values[n_modes:]) / np.linalg.norm(W)

figure, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
labels = ("a flat picture", "flat, one mode of deformation", "flat, two modes: nothing")
for n_modes, label in enumerate(labels):
    ax.plot(degrees, 100 * np.maximum(left_over[:, n_modes], 1e-5), label=label)
ax.axhline(1, color="0.5", linestyle=":", label="noise of 1%")
ax.set(yscale="log", ylim=(2e-2, 800), xlim=(0, 180), xticks=range(0, 181, 30))
ax.set(xlabel="angle of the swing (degrees)", ylabel="left over (% of the keypoints)")
ax.legend(ncols=2, loc="upper left", fontsize=9)
plt.show()

# %%
# What ``diagnose`` says
# ----------------------
# Five recordings with one percent of noise. The verdict is None where the data do not tell.

from nrsfm_learn.diagnosis import diagnose


def turned(shapes, angle):
    swing = np.deg2rad(angle) * (0.5 - 0.5 * np.cos(np.linspace(0, 12, len(shapes))))
    turn = Rotation.from_rotvec(swing[:, None] * [0, 1, 0]).as_matrix()
    W = (shapes * [1, -1, 1] @ turn.swapaxes(1, 2))[..., :2]
    size = np.sqrt(np.mean(np.sum(W**2, axis=2)))
    return W + 0.01 * size * np.random.default_rng(0).normal(size=W.shape)


def rolled(W, angle):
    roll = Rotation.from_rotvec(np.deg2rad(np.linspace(0, angle, len(W)))[:, None] * [0, 0, 1])
    return W @ roll.as_matrix()[:, :2, :2].swapaxes(1, 2)


still = np.repeat(body.shapes[:1], 200, axis=0)
recordings = {
    "a statue turns by 10 degrees": turned(still, 10),
    "a statue turns all the way round": turned(still, 360),
    "a statue before a camera that rolls": rolled(turned(still, 0), 180),
    "a body walks before a camera at rest": turned(body.shapes, 0),
    "a body walks and turns all the way round": turned(body.shapes, 360),
}
for name, W in recordings.items():
    diagnosis = diagnose(W)
    print(f"{name}: reconstructible: {diagnosis.reconstructible}")
    print(f"    {diagnosis['rotation'].message}")
