"""What tells good reconstructions from bad ones across methods, as the one call needs it.

    python benchmarks/bench_lift.py

Fits several methods with several limits of time to recorded data, and prints what they leave
unexplained beside their true error. Needs recordings in the folder that NRSFM_LEARN_DATA names.
"""

import argparse
import time
import warnings

import numpy as np
import scipy.io
import torch
from scipy.stats import spearmanr

import nrsfm_learn
from nrsfm_learn.auto._trial import doubt
from nrsfm_learn.datasets import (
    get_data_home,
    load_cmu_joints,
    load_short_sequence,
    make_articulated_body,
)
from nrsfm_learn.metrics import normalized_error

FITS = (
    ("ProcrusteanRegression", 60),
    ("BMM", 60),
    ("EMPPCA", 60),
    ("PAUL", 25),
    ("PAUL", 60),
    ("DeepNRSfMPP", 60),
)


def mice(which, cameras):
    """Labelled mice of some cameras, whose frames are put under each other."""
    path = get_data_home() / f"dannce_mouse/markerless_mouse_{which}_label3d_dannce.mat"
    m = scipy.io.loadmat(path, squeeze_me=True, struct_as_record=False)
    W, X = [], []
    for c in cameras:
        labels, camera = m["labelData"][c], m["params"][c]
        world = np.asarray(labels.data_3d, float).reshape(-1, 22, 3)
        W.append(np.asarray(labels.data_2d, float).reshape(-1, 22, 2))
        W[-1][np.isnan(world).any(-1)] = np.nan
        X.append(world @ np.asarray(camera.r, float) + np.asarray(camera.t, float).reshape(1, 3))
    W, X = np.concatenate(W), np.concatenate(X)
    enough = (~np.isnan(W[..., 0])).sum(1) >= 3
    return W[enough], X[enough]


def data_sets():
    yield "mouse 1, one view", *mice(1, [0])
    yield "mouse 2, one view", *mice(2, [3])
    yield "mouse 1, six views", *mice(1, range(6))
    for name in ("yoga", "dance"):
        sequence = load_short_sequence(name)
        yield name, sequence.W, sequence.X
    subject = load_cmu_joints(18)
    yield "subject 18", subject.W, subject.X
    body = make_articulated_body(200, missing=0.1, random_state=3)
    yield "body, 10% missing", body.W, body.X


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    torch.set_num_threads(parser.parse_args().threads)
    warnings.simplefilter("ignore")
    for name, W, X in data_sets():
        rows = []
        for method, limit in FITS:
            began = time.monotonic()
            result = nrsfm_learn.lift(W, method, time_limit=limit)
            error = normalized_error(X, result.reconstruction, protocol="procrustes")
            value = doubt(result.length_variation, result.score)
            rows.append((value, error))
            print(
                f"{name:18s} {method:22s} {limit:3d} s  lengths {result.length_variation:6.1%}  "
                f"unexplained {1 - result.score:6.4f}  product {value:7.5f}  error {error:6.1%}  "
                f"({time.monotonic() - began:.0f} s)",
                flush=True,
            )
        values, errors = np.array([row for row in rows if np.isfinite(row[0])]).T
        print(f"{name:18s} rank correlation {spearmanr(values, errors)[0]:.2f}\n", flush=True)


if __name__ == "__main__":
    main()
