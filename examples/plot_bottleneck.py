"""
How long a code has to be
=========================

The prior of :class:`~nrsfm_learn.deep.PAUL` is that aligned shapes pass through a narrow
auto-encoder. How narrow is set by ``n_components``, the length of a code. Without ground truth
nobody can read the best value off an error curve, so what matters is what a value that is too small
or too large does.
"""

# %%
# The data
# --------
# A walking body from random sides and, where the environment variable ``NRSFM_LEARN_DATA`` names a
# folder with recorded data, the sequence "pickup".

import os

from nrsfm_learn.datasets import load_short_sequence, make_articulated_body

datasets = {
    "generated: walk": make_articulated_body(200, motion="walk", clips=1, random_state=1),
}
if "NRSFM_LEARN_DATA" in os.environ:
    datasets["recorded: pickup"] = load_short_sequence("pickup")

# %%
# Fits with codes of 2 to 12 numbers
# ----------------------------------
# Runs are shortened for this page: 320 large steps of small networks from one start and without the
# cycle, where the defaults take thousands of smaller steps from several starts. Errors are higher
# than those of a full run, and differ by chance, which two seeds for each length give an idea of.

import numpy as np

from nrsfm_learn import PAUL
from nrsfm_learn.metrics import normalized_error

short_run = {
    "widths": [128, 64, 32],
    "encoder_width": 128,
    "batch_size": 64,
    "learning_rate": 6e-3,
    "cycle_weight": 0,
    "n_init": 1,
    "max_iter": 320,
}
lengths = [2, 4, 8, 12]
errors, losses = {}, {}
for name, data in datasets.items():
    found = np.empty((2, len(lengths), 2))
    for i, n_components in enumerate(lengths):
        for seed in range(2):
            model = PAUL(n_components, random_state=seed, **short_run).fit(data.W)
            error = normalized_error(data.X, model.reconstruction_, protocol="procrustes")
            found[:, i, seed] = 100 * error, model.loss_curve_[-50:].mean()
    errors[name], losses[name] = found

# %%
# Error and training loss
# -----------------------

import matplotlib.pyplot as plt

figure, axes = plt.subplots(1, 2, figsize=(8, 3.5), layout="constrained")
for ax, values in zip(axes, (errors, losses), strict=True):
    for number, name in enumerate(datasets):
        ax.plot(lengths, values[name], "o", color=f"C{number}", alpha=0.5)
        ax.plot(lengths, values[name].mean(1), color=f"C{number}", label=name)
    ax.set(xlabel="n_components", ylim=(0, None))
axes[0].set(ylabel="normalized error, procrustes (%)")
axes[1].set(ylabel="training loss")
axes[1].legend()
plt.show()

# %%
# On the walking body two numbers are too few: error and loss are highest there. From four on,
# longer codes change neither by much, so that a value that is too large does less harm than one
# that is too small. On "pickup", where it was present, two are enough already. One of its eight
# fits has more than twice the error of the others, at a loss that is hardly higher: such fits are
# what several starts are for, see :doc:`/user_guide/starts`.
