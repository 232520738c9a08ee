"""
A sheet of paper that bends
===========================

Twelve photographs of a sheet, each bent in another way, from a camera nearby. There is no template
and no order of the frames; what is supposed is that paper does not stretch.
"""

# %%
# The photographs
# ---------------
# A generated sheet, whose distances within the sheet never change. A tenth of the points is hidden.

import numpy as np

from nrsfm_learn.datasets import make_bending_sheet

K = np.array([[1000.0, 0, 640], [0, 1000, 360], [0, 0, 1]])
sheet = make_bending_sheet(
    12, 7, 9, camera="perspective", bending=2.0, missing=0.1, intrinsics=K, random_state=3
)

# %%
# The fit
# -------
# Points are put as far from the camera as distances between neighbours allow, which is a convex
# problem, and then moved along their lines of sight until distances agree in all frames.

from nrsfm_learn import IsometricNRSfM

model = IsometricNRSfM(n_neighbors=12).fit(sheet.W, intrinsics=K)
X = model.reconstruction_
print(f"{model.n_iter_} steps, lengths vary by {100 * model.length_variation_:.1f}%")

# %%
# The error
# ---------
# After a similarity transformation of each frame, in percent of the sheet's diameter; hidden points
# count as well. Without the second step the error is larger.

import torch

from nrsfm_learn.geometry import procrustes


def aligned(Y):
    return procrustes(torch.as_tensor(Y), torch.as_tensor(sheet.X), scale=True).aligned.numpy()


diameter = np.linalg.norm(sheet.flat[0] - sheet.flat[-1])
convex = IsometricNRSfM(n_neighbors=12, refine=False).fit_transform(sheet.W, intrinsics=K)
for name, Y in (("both steps", X), ("the convex step alone", convex)):
    error = np.linalg.norm(aligned(Y) - sheet.X, axis=-1).mean()
    print(f"{name}: {100 * error / diameter:.2f}%")

# %%
# Beside the ground truth
# -----------------------

import matplotlib.pyplot as plt

Y = aligned(X)
figure = plt.figure(figsize=(9, 5), layout="constrained")
for column, frame in enumerate((0, 4, 8)):
    for row, (name, shape) in enumerate((("ground truth", sheet.X), ("reconstruction", Y))):
        ax = figure.add_subplot(2, 3, 3 * row + column + 1, projection="3d")
        x, y, z = (shape[frame] - sheet.X[frame].mean(0)).T.reshape(3, 7, 9)
        ax.plot_surface(x, z, -y, rstride=1, cstride=1, cmap="viridis", edgecolor="0.3", lw=0.3)
        ax.set_title(f"{name}, frame {frame}", fontsize=9)
        ax.set_aspect("equal")
        ax.tick_params(labelsize=6)
plt.show()

# %%
# A photograph that the fit has not seen
# --------------------------------------
# The distances are known now, and each further frame is lifted by itself.

model = IsometricNRSfM(n_neighbors=12).fit(sheet.W[:8], intrinsics=K)
X_new = model.transform(sheet.W[8:])
print(X_new.shape)
