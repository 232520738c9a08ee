"""
A camera near its object
========================

Cars seen from nearby: their depth is a third of their distance, so that what is near looks much
larger than what is far. An orthographic model has no way to say so. The perspective model takes
pixels and the intrinsic matrix, and also settles what a parallel camera leaves open: the sign of
the depth.
"""

# %%
# The data
# --------
# Every frame is another car, seen from a random side through a pinhole camera, in pixels.

import numpy as np

from nrsfm_learn.datasets import make_rigid_category

K = np.array([[1000.0, 0, 640], [0, 1000, 360], [0, 0, 1]])
cars = make_rigid_category(
    600, category="car", camera="perspective", depth_ratio=1 / 3, intrinsics=K, random_state=0
)
print(f"W {cars.W.shape}, from {cars.W.min():.0f} to {cars.W.max():.0f} pixels")

# %%
# Two models of the same frames
# -----------------------------
# Rigid categories want a small bottleneck. ``intrinsics`` go to ``fit``; one matrix is remembered
# for ``transform``. A few hundred iterations keep this page quick.

from nrsfm_learn import DeepNRSfMPP

settings = {"k_last": 4, "max_iter": 300, "random_state": 0}
orthographic = DeepNRSfMPP(**settings).fit(cars.W)
perspective = DeepNRSfMPP(camera="perspective", **settings).fit(cars.W, intrinsics=K)

# %%
# The errors
# ----------
# The orthographic model may choose the better sign of the depth in each frame; the perspective
# model has to know it.

from nrsfm_learn.metrics import n_mpjpe, pa_mpjpe

for name, model, flip in (
    ("orthographic", orthographic, "frame"),
    ("perspective", perspective, "none"),
):
    X = model.reconstruction_
    print(
        f"{name:13} n_mpjpe {n_mpjpe(cars.X, X, flip=flip):.3f} m   "
        f"pa_mpjpe {pa_mpjpe(cars.X, X, flip=flip):.3f} m   (flip={flip!r})"
    )

# %%
# Projecting the result back gives pixels again, also for keypoints that were hidden.

error = np.linalg.norm(perspective.inverse_transform(X) - cars.W, axis=-1)
print(f"median reprojection error: {np.median(error):.1f} pixels")

# %%
# The reconstruction
# ------------------
# Each frame is known up to its scale; the display aligns it to the ground truth before drawing.

from nrsfm_learn.plotting import ReconstructionDisplay

display = ReconstructionDisplay.from_arrays(cars.W, X, X_true=cars.X, edges=cars.edges)
