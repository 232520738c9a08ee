"""
The two depths behind one image
===============================

Under a parallel camera a shape and its mirror image in depth look the same. A method chooses one
of them for every frame; :mod:`nrsfm_learn.flips` hands back both, and makes the choice consistent
within a clip.
"""

# %%
# One image, two shapes
# ---------------------
# Seen from the front they agree in every point. Seen from the side they lean opposite ways.

import matplotlib.pyplot as plt
import numpy as np

from nrsfm_learn.datasets import make_articulated_body
from nrsfm_learn.flips import consistent_flips, flip_hypotheses, mirror_depth

body = make_articulated_body(200, motion="walk", clips=1, views="smooth", random_state=3)
first, second = flip_hypotheses(body.X)


def draw(axes, X, across, title):
    for i, j in body.edges:
        axes.plot(X[[i, j], across], X[[i, j], 1], color="C0")
    axes.set(title=title, aspect="equal")
    axes.invert_yaxis()
    axes.axis("off")


figure, axes = plt.subplots(1, 4, figsize=(9, 3.5), layout="constrained")
frame = 20
draw(axes[0], first[frame], 0, "image of the first")
draw(axes[1], second[frame], 0, "image of the second")
draw(axes[2], first[frame], 2, "the first from the side")
draw(axes[3], second[frame], 2, "the second from the side")
plt.show()

# %%
# A clip in which single frames came back mirrored
# ------------------------------------------------
# The true shapes, with some frames mirrored: here and there one, and a run of thirty.

rng = np.random.default_rng(0)
wrong = rng.uniform(size=200) < 0.1
wrong[110:140] = True
X = np.where(wrong[:, None, None], mirror_depth(body.X), body.X)

signs = consistent_flips(X)
repaired, other = flip_hypotheses(X, groups=np.zeros(200))
print(f"mirrored: {wrong.sum()} frames; found: {(signs < 0).sum()}")
print("repaired is the truth:", np.allclose(repaired, body.X))

# %%
# The depth of one wrist, before and after. The dotted line is the other hypothesis: it moves as
# smoothly, and nothing in the images rules it out.

wrist = body.names.index("lwrist")
figure, axes = plt.subplots(2, 1, figsize=(7, 4), sharex=True, layout="constrained")
axes[0].plot(X[:, wrist, 2], color="C3")
axes[0].set(title="as it came back", ylabel="depth")
axes[1].plot(repaired[:, wrist, 2], label="first hypothesis")
axes[1].plot(other[:, wrist, 2], ":", label="second hypothesis")
axes[1].set(title="one sign for the clip", xlabel="frame", ylabel="depth")
axes[1].legend(loc="upper left")
plt.show()

# %%
# A real fit
# ----------
# A few hundred iterations keep this page quick, and leave errors that no sign explains. How many
# frames disagree with the rest of their clip is told without any ground truth.

from nrsfm_learn import DeepNRSfMPP
from nrsfm_learn.metrics import mpjpe

video = make_articulated_body(300, motion="walk", clips=2, views="smooth", random_state=1)
model = DeepNRSfMPP(k_last=8, n_init=1, max_iter=300, random_state=0).fit(video.W)
signs = consistent_flips(model.reconstruction_, video.groups)
print(f"frames that disagree: {(signs < 0).sum()} of {len(signs)}")

hypotheses = flip_hypotheses(model.reconstruction_, groups=video.groups)
for clip in np.unique(video.groups):
    frames = video.groups == clip
    errors = [mpjpe(video.X[frames], h[frames], flip="none") for h in hypotheses]
    before = mpjpe(video.X[frames], model.reconstruction_[frames], flip="sequence")
    print(
        f"clip {clip}: {before:.2f} m as fitted (better sign), "
        f"{errors[0]:.2f} and {errors[1]:.2f} m for the two hypotheses"
    )
