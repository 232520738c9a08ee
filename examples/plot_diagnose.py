"""
Can these keypoints be reconstructed at all?
============================================

Depth comes from seeing an object from several sides. Without that every method still returns a
shape, and its reprojection is perfect; only the depth is made up. The function
:func:`~nrsfm_learn.diagnosis.diagnose` looks at the keypoints before anything is fitted and says
what can be expected.
"""

# %%
# A body that is seen to turn
# ---------------------------
# A camera goes round a moving body; a fifth of the joints is hidden, and a tracker made three
# mistakes: it exchanged two joints for ten frames, lost one for a frame, and marked one missing
# joint by (0, 0) a few times.

import numpy as np

from nrsfm_learn.datasets import make_articulated_body
from nrsfm_learn.diagnosis import diagnose

body = make_articulated_body(
    300, motion="walk", clips=1, views="smooth", missing=0.2, occlusion="contiguous", random_state=0
)
W = body.W.copy()
apart = np.linalg.norm(W[:, 4] - W[:, 9], axis=1)
start = int(np.nanargmax(apart[:280]))
W[start : start + 10, [4, 9]] = W[start : start + 10, [9, 4]]
W[200, 20] += 1.0
W[[50, 120, 121], [7, 7, 7]] = 0.0

diagnosis = diagnose(W)
print(diagnosis)

# %%
# The report is made of findings, each of which has a severity and says what to do; the numbers
# behind them are attributes.

print(diagnosis["swaps"])
print(f"{diagnosis.angular_spread:.0f} degrees, rank {diagnosis.rank_99} to {diagnosis.rank_999}")

# %%
# The same body before a fixed camera
# -----------------------------------
# It walks on the spot and never turns. What the camera sees is deformation in one view, which
# goes with any depth.

fixed = diagnose(body.shapes[..., [2, 1]])
print(fixed["rotation"].message)
print("reconstructible:", fixed.reconstructible)

# %%
# How much turning is enough
# --------------------------
# The body swings about the vertical, by more and more. To first order a small turn is the same as
# a deformation, and the legs of a walking body swing too: there is a wide range in which the data
# do not tell, and the verdict is None.

from scipy.spatial.transform import Rotation

swing = 0.5 - 0.5 * np.cos(np.linspace(0, 12, 300))[:, None] * [0, 1, 0]
swing[:, [0, 2]] = 0
degrees = [0, 15, 30, 45, 60, 90, 120, 180, 270, 360]
verdicts, spreads = [], []
for angle in degrees:
    turn = Rotation.from_rotvec(np.deg2rad(angle) * swing).as_matrix()
    result = diagnose((body.shapes @ turn.swapaxes(1, 2))[..., :2])
    verdicts.append(result.reconstructible)
    spreads.append(result.angular_spread)

# %%
# The estimated angle is that of the rigid body which explains the images best. Deformation adds
# to it, and from 90 degrees on a body may be mistaken for one seen from behind.

import matplotlib.pyplot as plt

figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
styles = {True: ("C2", "o", "yes"), None: ("C1", "s", "cannot tell"), False: ("C3", "X", "no")}
for verdict, (color, marker, label) in styles.items():
    chosen = [v is verdict for v in verdicts]
    x, y = np.array(degrees)[chosen], np.array(spreads)[chosen]
    axes.plot(x, y, marker, color=color, label=label, markersize=8)
axes.set(xlabel="angle of the swing (degrees)", ylabel="estimated angle between views (degrees)")
axes.legend(title="reconstructible?")
plt.show()
