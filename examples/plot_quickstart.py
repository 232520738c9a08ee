"""
From keypoints to 3-D in five lines
===================================

A body of 31 joints that walks, reaches and jumps, seen by a camera from a random side in every
frame, with a fifth of the joints hidden. No 3-D coordinate is used for fitting: the ground truth
serves to judge the result at the end.
"""

# %%
# The data
# --------
# Any array of shape (n_frames, n_points, 2) will do, in pixels or any other unit. Missing
# keypoints are NaN.

from nrsfm_learn.datasets import make_articulated_body

body = make_articulated_body(n_frames=600, missing=0.2, random_state=0)
print(f"W {body.W.shape}, visible: {body.visible.mean():.0%}")

# %%
# Fit and score
# -------------
# The score hides some of the visible keypoints, lifts each frame from the others, and returns
# the :math:`R^2` of the predicted image positions: 1 is perfect, 0 is no better than the mean
# of the frame's visible keypoints. It needs no ground truth. A few hundred iterations keep this
# page quick; the default number gives a better result.

from nrsfm_learn import DeepNRSfMPP

model = DeepNRSfMPP(k_last=8, max_iter=600, random_state=0).fit(body.W)
print(f"score on hidden keypoints: {model.score(body.W):.3f}")

# %%
# The training loss tells whether it has converged, and not whether the depth is right.

from nrsfm_learn.plotting import LossCurveDisplay

display = LossCurveDisplay.from_estimator(model)

# %%
# The reconstruction
# ------------------
# The first row is what the method saw, with hidden keypoints where it believes them to be; the
# rows below show the 3-D shape from two other sides, and lines join it to the ground truth. Under
# an orthographic camera the sign of the depth is unknown, which the alignment before drawing
# allows for.

from nrsfm_learn.plotting import ReconstructionDisplay

display = ReconstructionDisplay.from_estimator(model, body.W, X_true=body.X, edges=body.edges)

# %%
# The error by protocol
# ---------------------
# With ground truth at hand, all published protocols at once. They differ a lot on the same
# reconstruction: a number without its protocol means little.

from nrsfm_learn.metrics import evaluate, format_report

print(format_report(evaluate(body.X, model.reconstruction_)))
