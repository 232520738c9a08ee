"""
Classical methods side by side
==============================

Eleven methods of :mod:`nrsfm_learn.classical` on one generated sequence: their errors under four
protocols, their time, and what happens with missing keypoints and with frames that were not
fitted. :doc:`../user_guide/classical` says what each of them assumes. The twelfth, for sheets that
bend before a perspective camera, has :ref:`a page of its own
<sphx_glr_auto_examples_plot_isometric.py>`.
"""

# %%
# The sequence
# ------------
# Shapes of rank 3, a mean shape and two deformations that vary slowly, before a camera that goes
# around: what factorisation assumes holds exactly, but for noise of one percent. The first 150
# frames are fitted. The last 40 are kept for later.

from nrsfm_learn.datasets import make_low_rank

sequence = make_low_rank(190, 24, rank=3, clips=1, views="smooth", noise=0.01, random_state=0)
seen, unseen = slice(0, 150), slice(150, 190)
W, X, shapes = sequence.W[seen], sequence.X[seen], sequence.shapes[seen]

# %%
# Eleven methods, defaults throughout
# -----------------------------------
# One reconstruction, four errors: the world frame with one rotation for the sequence, the camera
# frame with one sign of depth for the sequence (mean distance and Frobenius norm), and a scale and
# an orthogonal matrix for each frame.

import time

from nrsfm_learn import (
    BMM,
    EMPPCA,
    ColumnSpaceFitting,
    CompressibleNRSfM,
    ConsensusNRSfM,
    KernelShapeTrajectory,
    ProcrusteanNormal,
    ProcrusteanRegression,
    RevisitedBMM,
    RigidFactorization,
    TrajectoryBasis,
)
from nrsfm_learn.metrics import e3d, normalized_error

methods = [
    RigidFactorization,
    TrajectoryBasis,
    BMM,
    RevisitedBMM,
    ColumnSpaceFitting,
    EMPPCA,
    ProcrusteanRegression,
    ProcrusteanNormal,
    ConsensusNRSfM,
    KernelShapeTrajectory,
    CompressibleNRSfM,
]


def errors_of(model, X, shapes):
    """Errors of the fitted frames in percent, by protocol."""
    found = model.reconstruction_
    errors = {
        "world e3d": e3d(shapes, model.shapes_, protocol="sequence"),
        "camera e3d": e3d(X, found, protocol="none", flip="sequence"),
        "Frobenius": normalized_error(X, found, protocol="frobenius", flip="sequence"),
        "Procrustes": normalized_error(X, found, protocol="procrustes"),
    }
    return {name: 100 * error for name, error in errors.items()}


def compare(methods, W, X, shapes):
    """Fit methods, and print and return what came out."""
    fits = {}
    print(f"{'':<22}{'bases':>6}{'world':>8}{'camera':>8}{'Frob.':>8}{'Procr.':>8}{'s':>7}")
    for method in methods:
        begin = time.perf_counter()
        model = method().fit(W)
        seconds = time.perf_counter() - begin
        errors = errors_of(model, X, shapes)
        fits[method.__name__] = model, errors
        bases = model.n_bases_ if hasattr(model, "n_bases") else "-"
        row = "".join(f"{error:8.2f}" for error in errors.values())
        print(f"{method.__name__:<22}{bases:>6}{row}{seconds:7.1f}")
    return fits


fits = compare(methods, W, X, shapes)

# %%
# The order of the methods is the same in all four here, the size of their errors is not. World and
# camera frame differ by the rotations: where those are off, the shape in front of the camera may
# still be right.

import matplotlib.pyplot as plt

_, ax = plt.subplots(figsize=(9, 3.5), layout="constrained")
for number, protocol in enumerate(["world e3d", "camera e3d", "Frobenius", "Procrustes"]):
    heights = [errors[protocol] for _, errors in fits.values()]
    places = [place + 0.2 * number for place in range(len(fits))]
    ax.bar(places, heights, width=0.18, label=protocol)
ax.set_xticks([place + 0.3 for place in range(len(fits))], fits, rotation=20, ha="right")
ax.set(ylabel="error (%)", yscale="log")
ax.set_yticks([0.3, 1, 3, 10, 30, 100], ["0.3", "1", "3", "10", "30", "100"])
ax.minorticks_off()
ax.grid(axis="y", alpha=0.3)
ax.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
plt.show()

# %%
# These data say little of others. EM-PPCA has the lowest error where shapes of a low rank with
# independent noise, which are its own model, are what the data were drawn from. The trajectory
# basis is worse than the rigid shape here; why is shown below. The Procrustean normal distribution,
# the best on the motion capture of :doc:`../benchmarks`, stays where the block matrix method has
# put it: its start.
#
# How the shapes of BMM look: the true points are grey, and lines join them to where they were
# found. The error grows to the middle of the sequence, and falls again.

from nrsfm_learn.plotting import ReconstructionDisplay

display = ReconstructionDisplay.from_estimator(fits["BMM"][0], W, X_true=X)

# %%
# Missing keypoints
# -----------------
# The same frames with 30% of the keypoints hidden, fitted with the numbers of bases found above, by
# four methods that leave them out of what they minimise, and one that fills them in first.

import numpy as np

hidden = np.random.default_rng(0).uniform(size=W.shape[:2]) < 0.3
W_hidden = np.where(hidden[..., None], np.nan, W)
print(f"{'Frobenius error (%)':<22}{'complete':>10}{'hidden':>10}")
chosen = [ColumnSpaceFitting, EMPPCA, ProcrusteanRegression, ProcrusteanNormal, CompressibleNRSfM]
for name in [method.__name__ for method in chosen]:
    model, errors = fits[name]
    if hasattr(model, "n_bases"):
        again = type(model)(n_bases=model.n_bases_).fit(W_hidden)
    else:
        again = type(model)().fit(W_hidden)
    lower = errors_of(again, X, shapes)["Frobenius"]
    print(f"{name:<22}{errors['Frobenius']:10.2f}{lower:10.2f}")

# %%
# Frames that were not fitted
# ---------------------------
# All methods but the trajectory basis have learned a mean shape and its deformations, and find
# camera and coefficients of any other frame. The trajectory basis says why it does not.

print(f"{'Frobenius error (%)':<22}{'fitted':>10}{'unseen':>10}")
for name, (model, errors) in fits.items():
    try:
        found = model.transform(sequence.W[unseen])
    except ValueError as error:
        refusal = f"{error}"
        continue
    options = {"protocol": "frobenius", "flip": "sequence"}
    unseen_error = 100 * normalized_error(sequence.X[unseen], found, **options)
    print(f"{name:<22}{errors['Frobenius']:10.2f}{unseen_error:10.2f}")
print(f"\n{refusal}")

# %%
# How fast the camera turns
# -------------------------
# Why the trajectory basis is off: point paths take many cosines, and many cosines need a camera
# that turns fast against the motion. The same shapes and noise with seven cosines, before the
# camera above and before one that goes around by 5 degrees a frame and nods:

from scipy.spatial.transform import Rotation

frames = np.arange(150)
angles = np.stack([5 * frames, 20 * np.sin(frames / 10)], axis=1)
X_fast = shapes @ Rotation.from_euler("YX", angles, degrees=True).as_matrix().swapaxes(1, 2)
noise = W - sequence.W_complete[seen]
for name, truth in {"slow": X, "fast": X_fast}.items():
    model = TrajectoryBasis(n_bases=7).fit(truth[..., :2] + noise)
    print(f"{name} camera: Frobenius error {errors_of(model, truth, shapes)['Frobenius']:.1f}%")

# %%
# A body
# ------
# Limbs turn about joints, which no small number of basis shapes describes exactly. Two methods that
# do not use the order of frames, and the rigid shape, on a body that reaches for things.

from nrsfm_learn.datasets import make_articulated_body

body = make_articulated_body(60, motion="reach", clips=1, random_state=0)
angles = 5 * np.arange(60)[:, None]
turns = Rotation.from_euler("Y", angles, degrees=True).as_matrix()
X = body.shapes @ (np.diag([1.0, -1.0, -1.0]) @ turns).swapaxes(1, 2)
fits = compare([RigidFactorization, BMM, ProcrusteanRegression], X[..., :2], X, body.shapes)

# %%
# All errors are larger than above. Procrustean regression, which has no number of bases to choose:

display = ReconstructionDisplay.from_estimator(
    fits["ProcrusteanRegression"][0], X[..., :2], X_true=X, edges=body.edges
)
