"""
Classical methods side by side
==============================

Seven methods of :mod:`nrsfm_learn.classical` on one generated sequence: their errors under four
protocols, their time, and what happens with missing keypoints and with frames that were not
fitted. :doc:`../user_guide/classical` says what each of them assumes.
"""

# %%
# The sequence
# ------------
# Shapes of rank 3, a mean shape and two deformations that vary slowly, before a camera that goes
# around: what factorisation assumes holds exactly, but for noise of one percent. The first 200
# frames are fitted. The last 40 are kept for later.

from nrsfm_learn.datasets import make_low_rank

sequence = make_low_rank(240, 30, rank=3, clips=1, views="smooth", noise=0.01, random_state=0)
seen, unseen = slice(0, 200), slice(200, 240)
W, X, shapes = sequence.W[seen], sequence.X[seen], sequence.shapes[seen]

# %%
# Seven methods, defaults throughout
# ----------------------------------
# One reconstruction, four errors: the world frame with one rotation for the sequence, the camera
# frame with one sign of depth for the sequence (mean distance and Frobenius norm), and a scale and
# an orthogonal matrix for each frame.

import time

from nrsfm_learn import (
    BMM,
    EMPPCA,
    ColumnSpaceFitting,
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


def compare(W, X, shapes):
    """Fit all methods, and print and return what came out."""
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


fits = compare(W, X, shapes)
