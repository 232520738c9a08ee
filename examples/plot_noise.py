"""
Noisy keypoints
===============

Detected keypoints are off by some pixels. Two settings of :class:`~nrsfm_learn.deep.PAUL` have to
do with that: the length of the codes, since long ones can explain more of the noise, and
``keep_observed``, which puts visible keypoints of the reconstruction where they were seen.
"""

# %%
# The data
# --------
# A walking body from random sides and, where the environment variable ``NRSFM_LEARN_DATA`` names a
# folder with recorded data, the sequence "pickup". Gaussian noise is added to every coordinate; its
# level is its standard deviation over the root mean square distance of the keypoints from their
# mean.

import os

import numpy as np

from nrsfm_learn.datasets import load_short_sequence, make_articulated_body

datasets = {
    "generated: walk": make_articulated_body(200, motion="walk", clips=1, random_state=1),
}
if "NRSFM_LEARN_DATA" in os.environ:
    datasets["recorded: pickup"] = load_short_sequence("pickup")

levels = [0, 0.05, 0.1, 0.2]


def add_noise(W, level):
    centered = W - W.mean(1, keepdims=True)
    size = np.sqrt(np.square(centered).sum(2).mean())
    return W + level * size * np.random.default_rng(0).normal(size=W.shape)


# %%
# Short and long codes
# --------------------
# Each fit is judged twice: with ``keep_observed=True``, the default, visible keypoints lie exactly
# where they were seen; with False they lie where the auto-encoder has them. The fit is the same, so
# that only the frames are lifted again. Runs are shortened for this page: 250 large steps of small
# networks from one start.

from nrsfm_learn import PAUL
from nrsfm_learn.metrics import normalized_error

errors = {}
for name, data in datasets.items():
    for n_components in (4, 12):
        model = PAUL(
            n_components,
            widths=[128, 64, 32],
            encoder_width=128,
            batch_size=64,
            learning_rate=6e-3,
            n_init=1,
            max_iter=250,
            random_state=0,
        )
        for level in levels:
            W = add_noise(data.W, level)
            model.set_params(keep_observed=True).fit(W)
            for keep in (True, False):
                X = model.set_params(keep_observed=keep).transform(W)
                error = 100 * normalized_error(data.X, X, protocol="procrustes")
                errors.setdefault((name, n_components, keep), []).append(error)

# %%
# The errors
# ----------

import matplotlib.pyplot as plt

figure, axes = plt.subplots(
    1, len(datasets), figsize=(4 * len(datasets), 3.5), layout="constrained", squeeze=False
)
for ax, name in zip(axes[0], datasets, strict=True):
    for color, n_components in (("C0", 4), ("C1", 12)):
        for style, keep in (("-", True), ("--", False)):
            label = f"n_components={n_components}, keep_observed={keep}"
            ax.plot(levels, errors[name, n_components, keep], style, color=color, label=label)
    ax.set(title=name, xlabel="noise level", ylabel="normalized error, procrustes (%)")
    ax.set(ylim=(0, None))
axes[0, 0].legend(fontsize="small")
plt.show()

# %%
# With ``keep_observed=True`` the error rises with the noise, which stays in the result as it came.
# With False it starts higher, since the auto-encoder does not hit keypoints that were exact, rises
# less, and is lower where the noise is strong. That shorter codes help against noise, as the paper
# found after longer training, does not show here.
