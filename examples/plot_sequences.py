"""
Lifting a clip with a transformer
=================================

:class:`~nrsfm_learn.deep.NRSfMFormer` sees the frames of a window together. Here it lifts a
generated clip: the keypoints
and the result from two sides are an animation, and two fits show what the temporal term does.
"""

# %%
# Clips of a walking body
# -----------------------
# The camera goes round the body smoothly. ``groups`` says which clip each frame belongs to; the
# last clip is kept back. A little noise is on the keypoints, as a detector would have it.

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import FuncAnimation

from nrsfm_learn import NRSfMFormer
from nrsfm_learn.datasets import make_articulated_body
from nrsfm_learn.metrics import normalized_error

body = make_articulated_body(480, motion="walk", clips=6, views="smooth", random_state=0)
size = np.linalg.norm(body.X - body.X.mean(1, keepdims=True), axis=2).mean()
rng = np.random.default_rng(0)
W = body.W + 0.02 * size * rng.normal(size=body.W.shape)
unseen = body.groups == body.groups.max()
X_true = body.X[unseen]

# %%
# With and without smoothness
# ---------------------------
# A short training, for this page. ``shape_smoothness`` weighs the change of the shape from frame to
# frame. What it does is small here: the network sees a window at once, and noise that differs from
# frame to frame is averaged in any case. Much more of it flattens the motion.

lifted = {}
for smoothness in (0.0, 0.1):
    model = NRSfMFormer(
        frame_step=2,
        shape_smoothness=smoothness,
        width=32,
        max_iter=250,
        keep_observed=False,
        random_state=0,
    )
    model.fit(W[~unseen], groups=body.groups[~unseen])
    X = model.transform(W[unseen], groups=body.groups[unseen])
    # The sign of depth is open: take the better one of the clip.
    z = (X_true[..., 2] - X_true[..., 2].mean(1, keepdims=True)) * X[..., 2]
    lifted[smoothness] = X * np.array([1.0, 1.0, np.sign(z.sum())])
    error = 100 * normalized_error(X_true, lifted[smoothness], protocol="procrustes")
    jerk = np.linalg.norm(np.diff(X - X.mean(1, keepdims=True), n=2, axis=0), axis=2).mean() / size
    print(f"shape_smoothness={smoothness}: error {error:.1f}%, second difference {100 * jerk:.2f}%")

# %%
# How fast the points turn about, which noise adds to: the second difference of each frame.

figure, axes = plt.subplots(figsize=(7, 2.5), layout="constrained")
for label, X in {"truth": X_true, "without": lifted[0.0], "with": lifted[0.1]}.items():
    X = X - X.mean(1, keepdims=True)
    axes.plot(np.linalg.norm(np.diff(X, n=2, axis=0), axis=2).mean(1) / size, label=label)
axes.set(xlabel="frame", ylabel="second difference\n(object sizes)")
axes.legend()
plt.show()

# %%
# The clip
# --------
# Keypoints, the result from the camera's side, and from the object's left. Grey is the truth.

fps = 15
frames = np.arange(0, unseen.sum(), 2)
seen = W[unseen] - W[unseen].mean(1, keepdims=True)
result = lifted[0.1] - lifted[0.1].mean(1, keepdims=True)
truth = X_true - X_true.mean(1, keepdims=True)
reach = 1.1 * np.abs(truth).max()
panels = [("keypoints", 0, None), ("from the camera", 0, result), ("from the side", 2, result)]

figure, axes = plt.subplots(1, 3, figsize=(8, 3.6), layout="constrained")
lines = []
for ax, (title, across, X) in zip(axes, panels, strict=True):
    ax.set(title=title, xlim=(-reach, reach), ylim=(reach, -reach), aspect="equal")
    ax.axis("off")
    for i, j in body.edges:
        if X is not None:
            lines.append((ax.plot([], [], color="0.8", lw=3)[0], truth, across, i, j))
        lines.append((ax.plot([], [], color="C0")[0], seen if X is None else X, across, i, j))


def draw(frame):
    for line, X, across, i, j in lines:
        line.set_data(X[frame, [i, j], across], X[frame, [i, j], 1])
    return [line for line, *_ in lines]


animation = FuncAnimation(figure, draw, frames=frames, interval=1000 / fps, blit=True)


class Player:
    """Shows the animation where the page is HTML."""

    def _repr_html_(self):
        return animation.to_jshtml(fps=fps)


plt.close(figure)
Player()
