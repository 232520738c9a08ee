"""
Every method on one sequence
============================

All methods that the package exports, fitted to one short generated video: a picture, an error
under a named protocol and the time of each. It shows how they are called and what comes back, and
is no contest: the runs of the networks are cut short, and one sequence says little of others.
"""

# %%
# The sequence
# ------------
# A body reaches for things before a camera that goes round it by 5 degrees a frame and nods. Its
# movement is cut down to a mean shape and two principal components, so that the low rank which
# the factorisations suppose is there, and the order of frames is that of a video. The keypoints
# have noise of one percent.

import numpy as np
from scipy.spatial.transform import Rotation

from nrsfm_learn.datasets import make_articulated_body

body = make_articulated_body(100, motion="reach", clips=1, random_state=0)
mean = body.shapes.mean(0)
left, values, right = np.linalg.svd((body.shapes - mean).reshape(100, -1), full_matrices=False)
shapes = mean + ((left[:, :2] * values[:2]) @ right[:2]).reshape(body.shapes.shape)
kept = (values[:2] ** 2).sum() / (values**2).sum()
print(f"the two components hold {100 * kept:.0f}% of the movement")

frames = np.arange(100)
angles = np.stack([5 * frames, 20 * np.sin(frames / 10)], axis=1)
turns = Rotation.from_euler("YX", angles, degrees=True).as_matrix()
X = shapes @ (np.diag([1.0, -1.0, -1.0]) @ turns).swapaxes(1, 2)
size = np.sqrt(np.mean(np.sum(X[..., :2] ** 2, axis=2)))
W = X[..., :2] + 0.01 * size * np.random.default_rng(0).normal(size=X[..., :2].shape)
W_near = W / (X[..., 2:] + 3)

# %%
# The methods
# -----------
# :func:`~nrsfm_learn.testing.all_estimators` lists them. What a method does not have among its
# parameters is left out of the settings. Methods with bases get the true number, three. Networks
# are trained for 200 steps from a single start; their defaults are thousands, from several.

import time
import warnings

from sklearn.exceptions import ConvergenceWarning

from nrsfm_learn.metrics import normalized_error
from nrsfm_learn.testing import all_estimators

settings = {"n_bases": 3, "n_init": 1, "device": "cpu", "random_state": 0}
short = {"max_iter": 200}

fits, refusals = {}, {}
for name, method in all_estimators():
    known = method().get_params()
    trained = "learning_rate" in known
    chosen = {**settings, **(short if trained else {})}
    model = method(**{key: value for key, value in chosen.items() if key in known})
    # Methods that have no other camera get the same shapes from three metres away.
    near = model._nrsfm_tags().perspective
    begin = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(W_near if near else W)
    except (TypeError, ValueError) as error:
        refusals[name] = f"{error}"  # a method that needs more than keypoints
        continue
    fits[name] = model, time.perf_counter() - begin, trained

# %%
# The errors
# ----------
# ``normalized_error`` in percent by three protocols: "frobenius" compares in the camera frame,
# with one sign of depth for the sequence, or with the better sign in each frame; "procrustes" fits
# a scale and an orthogonal matrix to each frame. "All zero depth" is the error of a method that
# knows nothing of the third dimension: its keypoints are those of ``W`` and its depth is zero. A
# method whose error is above that would have done better to say nothing of depth.

protocols = {
    "sequence": {"protocol": "frobenius", "flip": "sequence"},
    "frame": {"protocol": "frobenius", "flip": "frame"},
    "procrustes": {"protocol": "procrustes"},
}


def errors_of(found):
    return {p: 100 * normalized_error(X, found, **options) for p, options in protocols.items()}


def result_of(model):
    # Under perspective the scale is open: that of the truth, one for all frames.
    found = model.reconstruction_ - model.reconstruction_.mean(1, keepdims=True)
    if model._nrsfm_tags().perspective:
        found = found * np.linalg.norm(X) / np.linalg.norm(found)
    return found


errors = {name: errors_of(result_of(model)) for name, (model, *_) in fits.items()}
flat = errors_of(np.concatenate([W, np.zeros_like(W[..., :1])], axis=2))

print(f"{'':<24}{'sequence':>10}{'frame':>10}{'procrustes':>12}{'seconds':>10}")
for name in sorted(errors, key=lambda name: errors[name]["sequence"]):
    row = "{sequence:>10.1f}{frame:>10.1f}{procrustes:>12.1f}".format(**errors[name])
    print(f"{name:<24}{row}{fits[name][1]:>10.1f}{'  cut short' if fits[name][2] else ''}")
print(
    f"{'all zero depth':<24}" + "{sequence:>10.1f}{frame:>10.1f}{procrustes:>12.1f}".format(**flat)
)
for name, reason in refusals.items():
    print(f"{name}: {reason}")

# %%
# Where "frame" is much below "sequence", part of the frames came back mirrored:
# :doc:`../user_guide/ambiguities` says why that happens under a parallel camera, and what to do.

# %%
# What they look like
# -------------------
# One frame from the side, where the camera does not look: depth goes to the right. The truth is
# grey. Each result has the sign of depth that is better for the whole sequence. Errors are those of
# the column "sequence", over all frames; an asterisk marks the fits that were cut short.

import matplotlib.pyplot as plt

frame = 60
n_rows = -(-len(fits) // 4)
figure, axes = plt.subplots(
    n_rows, 4, figsize=(9, 3.1 * n_rows), sharex=True, sharey=True, layout="constrained"
)
for ax in axes.flat:
    ax.axis("off")


def draw(ax, shape, **style):
    for i, j in body.edges:
        ax.plot(shape[[i, j], 2], shape[[i, j], 1], **style)


signs = {"flip": "none", "protocol": "frobenius"}
for ax, (name, (model, seconds, trained)) in zip(axes.flat, fits.items(), strict=False):
    found = result_of(model)
    mirrored = found * [1, 1, -1]
    if normalized_error(X, mirrored, **signs) < normalized_error(X, found, **signs):
        found = mirrored
    draw(ax, X[frame], color="0.75", linewidth=3)
    draw(ax, found[frame], color="C0", linewidth=1.2)
    mark = "*" if trained else ""
    title = f"{name}{mark}\n{errors[name]['sequence']:.0f}%, {seconds:.1f} s"
    ax.set_title(title, fontsize=9)
    ax.set_aspect("equal")
axes.flat[0].invert_yaxis()
plt.show()

# %%
# What to make of it
# ------------------
# The methods at the top of the table suppose what this sequence was made to have, a low rank and
# the right number of bases. A rigid shape cannot follow the arms, and a body is no sheet:
# :class:`~nrsfm_learn.classical.IsometricNRSfM` is here to be shown, not to be used so. The
# trajectory basis was given as many cosines as there are basis shapes, and other data would want
# more. The networks have had a small part of their training; what they reach with bare defaults is
# in :doc:`../benchmarks`, and :doc:`../user_guide/classical` and :doc:`../user_guide/deep_nrsfm`
# say what each method assumes.
