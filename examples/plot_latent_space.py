"""
A latent space of two dimensions
================================

With two numbers a frame, the codes of :class:`~nrsfm_learn.deep.PAUL` can be drawn. The shape of a
moving object changes little from one frame to the next, so that codes which follow the shape, and
nothing else, form a curve in time. No method was told the order of the frames.
"""

# %%
# The data
# --------
# A walking body that is seen from a path round it, the same body seen from a random side in every
# frame, and where the environment variable ``NRSFM_LEARN_DATA`` names a folder with recorded data,
# the sequence "pickup", whose camera goes round it. From a path the images change slowly, and any
# continuous 2D-3D encoder keeps codes of consecutive frames together. From random sides they jump.

import os

from nrsfm_learn.datasets import load_short_sequence, make_articulated_body

datasets = {
    f"walk, {views}": make_articulated_body(
        200, motion="walk", clips=1, views=views, random_state=1
    )
    for views in ("turntable", "random")
}
if "NRSFM_LEARN_DATA" in os.environ:
    datasets["pickup"] = load_short_sequence("pickup")

# %%
# With and without an auto-encoder
# --------------------------------
# :class:`~nrsfm_learn.deep.AutoDecoderLifter` is the same method without the way back from shapes
# to codes. Both have a 2D-3D encoder here, and no term that its paper does not have. Runs are
# shortened for this page: 500 large steps of small networks from one start.

from nrsfm_learn import PAUL, AutoDecoderLifter

short_run = {
    "widths": [128, 64, 32],
    "encoder_width": 128,
    "batch_size": 64,
    "learning_rate": 6e-3,
    "n_init": 1,
    "max_iter": 500,
    "random_state": 0,
}
published = {"rigidity_weight": 0, "cycle_weight": 0}
models = {
    name: {
        "PAUL": PAUL(2, **published, **short_run).fit(data.W),
        "auto-decoder": AutoDecoderLifter(2, **short_run).fit(data.W),
    }
    for name, data in datasets.items()
}

# %%
# The codes
# ---------
# Each dot is a frame, from dark at the beginning to bright at the end. The number is the mean
# distance of codes of consecutive frames over that of any two frames: 1 is no order at all, and a
# smooth curve is near 0.

import matplotlib.pyplot as plt
import numpy as np
from scipy.spatial.distance import pdist

from nrsfm_learn.metrics import normalized_error

figure, axes = plt.subplots(
    len(models), 2, figsize=(7, 3.2 * len(models)), layout="constrained", squeeze=False
)
for row, (name, fitted) in zip(axes, models.items(), strict=True):
    for ax, (method, model) in zip(row, fitted.items(), strict=True):
        codes = model.codes_
        step = np.linalg.norm(np.diff(codes, axis=0), axis=1).mean() / pdist(codes).mean()
        X = datasets[name].X
        error = 100 * normalized_error(X, model.reconstruction_, protocol="procrustes")
        dots = ax.scatter(*codes.T, c=np.arange(len(codes)), s=8)
        ax.set(title=f"{name}, {method}\nstep {step:.2f}, error {error:.1f}%")
    figure.colorbar(dots, ax=row, label="frame")
plt.show()

# %%
# From a path, both methods have consecutive frames side by side, and "pickup", where it was
# present, becomes a curve. Of the walking body from random sides little order is left with either
# after so short a run. The paper found clearer curves with PAUL than without the auto-encoder,
# after far longer training and on other data; here it does not show. Two numbers are few for a
# walking body: the errors tell.
#
# Shapes along the way
# --------------------
# Codes decode to shapes in the canonical frame, here drawn along the two directions in which the
# body extends most. A straight line between the codes of two frames passes through codes that no
# frame had.

name, data = next(iter(datasets.items()))
model = models[name]["PAUL"]
shapes = model.decode(np.linspace(model.codes_[0], model.codes_[15], 5))
main_axes = np.linalg.svd(shapes.reshape(-1, 3), full_matrices=False)[2][1::-1]

figure, axes = plt.subplots(1, 5, figsize=(8, 3), layout="constrained", sharex=True, sharey=True)
for ax, shape in zip(axes, shapes @ main_axes.T, strict=True):
    for edge in data.edges:
        ax.plot(*shape[list(edge)].T, color="C0")
    ax.set(aspect="equal")
    ax.axis("off")
plt.show()
