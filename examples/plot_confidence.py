"""
Which points to trust
=====================

A fit that began with several starts has more than one answer. Where they disagree, at most one of
them can be right. :meth:`~nrsfm_learn.deep.PAUL.predict_spread` turns that into an expected error
for every point of every frame, and ``confidence_`` into the probability that a point is right,
without ground truth. Here the ground truth judges both.
"""

# %%
# Data and fits
# -------------
# Sheets of paper that bend, and a body that walks, seen from random sides. How an error follows
# from a spread was measured once, on generated data; the seeds here are others. Where the
# environment variable ``NRSFM_LEARN_DATA`` names a folder with recorded data, the sequence "pickup"
# comes third, which was used for nothing of it either.
#
# Runs are shortened for this page: 400 large steps of small networks from four starts. The rungs
# are long, so that the starts which are left behind come far enough to be compared with.

import os

from nrsfm_learn import PAUL
from nrsfm_learn.datasets import (
    load_short_sequence,
    make_articulated_body,
    make_bending_sheet,
)

datasets = {
    "sheet": make_bending_sheet(150, 6, 8, random_state=11),
    "body": make_articulated_body(200, motion="walk", clips=1, random_state=11),
}
if "NRSFM_LEARN_DATA" in os.environ:
    datasets["pickup"] = load_short_sequence("pickup")

models = {}
for name, data in datasets.items():
    models[name] = PAUL(
        widths=[128, 64, 32],
        encoder_width=128,
        batch_size=64,
        learning_rate=6e-3,
        n_init=4,
        rung_iter=100,
        max_iter=400,
        random_state=0,
    ).fit(data.W)

# %%
# One frame
# ---------
# Joints coloured by ``confidence_``, the probability that they are within 5% of the object's size
# of the truth, and by their error over that size. Depth is to the right, since the image itself
# says nothing about it.

import matplotlib.pyplot as plt
import numpy as np

from nrsfm_learn.flips import flip_hypotheses


def point_errors(data, X):
    """Return the distances (F, P) to the truth, over the object's size, by frame's better sign."""
    true = data.X - data.X.mean(1, keepdims=True)
    size = np.sqrt(np.square(true).sum(2).mean(1))[:, None]
    both = flip_hypotheses(X - X.mean(1, keepdims=True))
    errors = np.linalg.norm(both - true, axis=3) / size
    return errors[errors.mean(2).argmin(0), np.arange(len(X))]


body, model = datasets["body"], models["body"]
errors = point_errors(body, model.reconstruction_)
frame = model.confidence_.std(1).argmax()
shape = model.reconstruction_[frame]

figure, axes = plt.subplots(1, 2, figsize=(7, 4), layout="constrained")
for ax, values, label, cmap in (
    (axes[0], model.confidence_[frame], "confidence", "viridis"),
    (axes[1], errors[frame], "error / size", "viridis_r"),
):
    for edge in body.edges:
        ax.plot(*shape[list(edge)][:, [2, 1]].T, color="0.7", zorder=0)
    dots = ax.scatter(*shape[:, [2, 1]].T, c=values, cmap=cmap)
    figure.colorbar(dots, ax=ax, label=label)
    ax.set(aspect="equal", xlabel="depth", xticks=[], yticks=[])
    ax.invert_yaxis()
plt.show()

# %%
# The two agree in part. Confidence differs less from joint to joint than the errors do, and not
# every joint that is wrong stands out.

# %%
# Nominal and actual quantiles
# ----------------------------
# Of all points, the part whose error is below the predicted quantile should be that quantile: the
# dotted line. Below it the prediction promises too much, above it too little. On the right, points
# are sorted by their confidence into ten groups of equal number: is the error of the groups that
# are trusted most the lowest?

quantiles = np.linspace(0.05, 0.95, 19)
figure, axes = plt.subplots(1, 2, figsize=(8, 3.6), layout="constrained")
axes[0].plot([0, 1], [0, 1], ":", color="0.5")
for name, data in datasets.items():
    model = models[name]
    errors = point_errors(data, model.reconstruction_)
    size = np.sqrt(np.square(data.X - data.X.mean(1, keepdims=True)).sum(2).mean(1))[:, None]
    actual = [(errors < model.predict_spread(data.W, quantile=q) / size).mean() for q in quantiles]
    axes[0].plot(quantiles, actual, "o-", markersize=3, label=name)
    order = np.argsort(model.confidence_, axis=None)
    tenths = [errors.ravel()[part].mean() for part in np.array_split(order, 10)]
    axes[1].plot(range(1, 11), 100 * np.array(tenths), "o-", markersize=3)
    right = (errors < 0.05).mean()
    print(f"{name:7} right {right:.2f}, mean confidence {model.confidence_.mean():.2f}")
axes[0].set(xlabel="nominal quantile", ylabel="part of points below it", aspect="equal")
axes[0].legend()
axes[1].set(xlabel="tenth of points by confidence", ylabel="mean error / size (%)", ylim=(0, None))
plt.show()

# %%
# On generated data the curves cross the dotted line: there are fewer small errors than predicted,
# and fewer large ones. On "pickup", where it was present, errors are smaller than predicted. As to
# the order, the error falls from left to right on generated data, by about half. On "pickup" all
# groups are below four percent, and the order says little.
#
# What it cannot see
# ------------------
# What all starts have wrong in the same way is agreed upon. The sign of the depth is an example:
# starts are given each other's signs before they are compared, and whether the sign is right no
# number here says.
