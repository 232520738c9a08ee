"""Is the predicted spread of a fit as large as its error?

    python benchmarks/bench_confidence.py --calibrate  # generated data: the two constants
    python benchmarks/bench_confidence.py  # real data: nominal against actual quantiles

``--calibrate`` fits generated data and prints the constants of ``nrsfm_learn/deep/_confidence.py``:
the regression of the logarithm of the error on that of the spread and of the lengths' variation,
and the deviation that remains. Without it the fits are of the real data that NRSFM_LEARN_DATA
names, none of which was used for the constants, and the table says which part of the points has an
error below the predicted quantile. Depth is compared up to one sign for a smooth sequence and one a
frame for random views.
"""

import argparse

import numpy as np
import torch

from nrsfm_learn import PAUL, DeepNRSfMPP
from nrsfm_learn.datasets import (
    load_cmu_joints,
    load_short_sequence,
    make_articulated_body,
    make_bending_sheet,
)
from nrsfm_learn.deep._confidence import TOLERANCE, object_size

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95)


def point_errors(X, X_true, *, per_frame):
    """Return the distance (F, P) of each point to the truth, up to the sign of depth."""
    X, X_true = X - X.mean(1, keepdims=True), X_true - X_true.mean(1, keepdims=True)
    errors = np.stack([np.linalg.norm(X * (1, 1, sign) - X_true, axis=2) for sign in (1, -1)])
    if per_frame:
        best = errors.mean(2).argmin(0)
        return errors[best, np.arange(len(X))]
    return errors[errors.mean((1, 2)).argmin()]


def generated(seed):
    """Yield name, data, estimator and whether depth signs are free in each frame."""
    body = make_articulated_body(300, clips=1, views="smooth", random_state=seed)
    yield "body, smooth", body, PAUL(max_iter=2000, random_state=seed), False
    views = make_articulated_body(600, random_state=seed)
    yield "body, random", views, PAUL(max_iter=2000, random_state=seed), True
    network = DeepNRSfMPP(max_iter=2000, random_state=seed)
    yield "body, random", views, network, True
    sheet = make_bending_sheet(200, random_state=seed)
    yield "sheet", sheet, PAUL(max_iter=1500, random_state=seed), True


def recorded(names):
    """Yield the same for real data."""
    for name in names:
        if name == "S18":
            continue
        data = load_short_sequence(name)
        yield name, data, PAUL(random_state=0), False
    if "S18" not in names:
        return
    data = load_cmu_joints(18)
    yield "S18", data, PAUL(random_state=0), True
    yield "S18", data, DeepNRSfMPP(max_iter=3000, random_state=0), True


def main():
    """Run what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calibrate", action="store_true")
    parser.add_argument("--data", nargs="+", default=["pickup", "yoga", "dance", "S18"])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--out", default=None, help="npz file for errors and spreads")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    jobs = (
        recorded(args.data)
        if not args.calibrate
        else (j for s in range(args.seeds) for j in generated(s))
    )
    samples, kept = [], {}
    for name, data, model, per_frame in jobs:
        model.fit(data.W)
        errors = point_errors(model.reconstruction_, data.X, per_frame=per_frame)
        size = object_size(model.reconstruction_)[:, None]
        spread = model.predict_spread(data.W)
        logs = np.log(np.stack([np.maximum(errors, 1e-6 * size), spread]) / size).reshape(2, -1)
        variation = np.full(logs.shape[1], np.log(model.length_variation_))
        samples.append(np.stack([*logs, variation]))
        actual = " ".join(
            f"{(errors <= model.predict_spread(data.W, quantile=q)).mean():5.2f}" for q in QUANTILES
        )
        right = (errors < TOLERANCE * size).mean()
        print(
            f"{type(model).__name__:12} {name:14} error {np.exp(logs[0].mean()):.3f} spread "
            f"{np.exp(logs[1].mean()):.3f} variation {model.length_variation_:.3f}  actual {actual}"
            f"  right {right:.2f} confidence {model.confidence_.mean():.2f}",
            flush=True,
        )
        kept[f"{type(model).__name__} {name}"] = np.stack([errors, spread])
    print("nominal quantiles " + " ".join(f"{q:5.2f}" for q in QUANTILES))
    if args.calibrate:
        regress(samples)
    if args.out:
        np.savez(args.out, **kept)


def regress(samples):
    """Print the constants; every data set counts alike, however many points it has."""
    rng = np.random.default_rng(0)
    chosen = np.concatenate([s[:, rng.integers(s.shape[1], size=5000)] for s in samples], 1)
    error, *regressors = chosen
    A = np.stack([*regressors, np.ones_like(error)], 1)
    constants, *_ = np.linalg.lstsq(A, error)
    deviation = (error - A @ constants).std()
    print(
        "SPREAD, VARIATION, OFFSET, DEVIATION = "
        + ", ".join(f"{c:.2f}" for c in (*constants, deviation))
    )


if __name__ == "__main__":
    main()
