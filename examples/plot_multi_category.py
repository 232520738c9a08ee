"""
Many categories in one model, and codes that cross them
=======================================================

One :class:`~nrsfm_learn.deep.MultiCategoryLifter` learns twelve kinds of objects at once, from
keypoints of which more than a third is hidden behind the objects themselves. All categories share
the space of codes, so that the code of a car can be decoded as a boat.
"""

# %%
# The data
# --------
# Twelve rigid categories, every frame another object, seen from near the horizon. The points of all
# categories stand side by side in ``W``; a frame has NaN at those of the others.

from nrsfm_learn.datasets import make_twelve_categories

data = make_twelve_categories(1500, random_state=0)
own = data.layout.mask(data.categories)
print(f"W {data.W.shape}, {100 * (1 - data.visible[own].mean()):.1f} percent of the points hidden")

# %%
# One model
# ---------
# ``categories=`` is one label a frame. The run is shortened for this page: a narrower network and
# fewer steps from one start.

from nrsfm_learn import MultiCategoryLifter

model = MultiCategoryLifter(width=128, max_iter=1000, n_init=1, random_state=0)
model.fit(data.W, categories=data.categories)

# %%
# Lifted frames
# -------------
# Of six categories one frame: what was given (dots: visible, crosses: the true places of what is
# hidden), and the reconstruction from the side in colour, over the truth in grey. Each frame is
# known up to the sign of its depth; the better one is drawn.

import matplotlib.pyplot as plt
import numpy as np

names = ["aeroplane", "bicycle", "car", "chair", "motorbike", "sofa"]
edges = np.array(data.edges)
side = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])


def edges_of(category):
    points = data.layout.points(category)
    return edges[np.isin(edges, points).all(1)]


def draw(ax, shape, category, color):
    for a, b in edges_of(category):
        ax.plot(shape[[a, b], 0], -shape[[a, b], 1], color=color, lw=1)
    ax.set(aspect="equal", xticks=[], yticks=[])
    ax.axis("off")


figure, axes = plt.subplots(2, 6, figsize=(10, 3.6), layout="constrained")
for column, name in zip(axes.T, names, strict=True):
    frame = np.flatnonzero(data.categories == name)[0]
    truth, found = data.X[frame], model.reconstruction_[frame]
    truth, found = truth - np.nanmean(truth, axis=0), found - np.nanmean(found, axis=0)
    flipped = found * [1, 1, -1]
    if np.nansum((truth - flipped) ** 2) < np.nansum((truth - found) ** 2):
        found = flipped
    seen = data.visible[frame]
    column[0].set_title(name)
    draw(column[0], truth, name, "0.8")
    column[0].plot(truth[seen, 0], -truth[seen, 1], ".", color="C0")
    column[0].plot(truth[~seen, 0], -truth[~seen, 1], "x", color="C3", ms=4)
    draw(column[1], truth @ side.T, name, "0.75")
    draw(column[1], found @ side.T, name, "C0")
plt.show()

# %%
# What the codes do
# -----------------
# The mean of each coefficient by category. With the ReLU coefficients can be zero. In a good fit
# codes tell the instances of a category apart: below is how much of their variation is within
# categories.

categories = model.categories_
means = np.stack([model.codes_[data.categories == name].mean(0) for name in categories])
figure, ax = plt.subplots(figsize=(5, 4), layout="constrained")
image = ax.imshow(means, cmap="Blues", aspect="auto")
ax.set(yticks=range(len(categories)), yticklabels=categories, xlabel="coefficient")
figure.colorbar(image, ax=ax, label="mean code")
plt.show()
within = np.mean([model.codes_[data.categories == name].var(0).sum() for name in categories])
between = means.var(0).sum()
print(f"variation of codes within categories: {100 * within / (within + between):.0f} percent")
print(f"mutual coherence {model.mutual_coherence():.2f}")

# %%
# Codes of one category, decoded as another
# -----------------------------------------
# The first shape of each row is that of an object, the others are the same code read as other
# categories (figure 2 of Can et al., 2022). Nothing in the training asks that they be alike: what
# a row shares is what the network found worth sharing, and after so short a run that is little.

targets = ["car", "bus", "boat", "sofa", "chair"]
figure, axes = plt.subplots(3, len(targets) + 1, figsize=(10, 4.5), layout="constrained")
for row, name in zip(axes, ["car", "bus", "sofa"], strict=True):
    frame = np.flatnonzero(data.categories == name)[1]
    code = model.codes_[frame : frame + 1]
    for ax, target in zip(row, [name, *targets], strict=True):
        shape = model.decode(code, category=target)[0]
        # From the two directions in which the object extends most.
        points = shape[data.layout.points(target)]
        view = np.linalg.svd(points - points.mean(0), full_matrices=False)[2][:2]
        draw(ax, shape @ view.T, target, "C0" if target == name else "C1")
        ax.set_title(f"{name} as {target}" if target != name else name, fontsize=9)
plt.show()

# %%
# Settings for a real fit are the bare defaults (minutes), or ``preset="paper"`` (hours, a GPU). See
# the user guide on many categories.
