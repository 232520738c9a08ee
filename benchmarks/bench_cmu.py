"""Deep NRSfM++ on CMU motion capture seen by random cameras, and what its parts are worth.

    python benchmarks/bench_cmu.py  # defaults, unseen clips, missing
    python benchmarks/bench_cmu.py --ablation  # nonlinearity, read-out, cycle

The subjects are those of `load_cmu_joints`, read from the folder that NRSFM_LEARN_DATA names. The
error is normalized_error, protocol "procrustes" (Kong and Lucey), in percent.
"""

import argparse
import statistics
import time

import numpy as np
import torch

from nrsfm_learn import DeepNRSfM, DeepNRSfMPP
from nrsfm_learn.datasets import load_cmu_joints
from nrsfm_learn.metrics import normalized_error

ABLATION = {
    "bst, invariant read-out (default)": (DeepNRSfMPP, {}),
    "bst, linear read-out": (DeepNRSfMPP, {"code_readout": "linear"}),
    "relu, invariant read-out": (DeepNRSfMPP, {"activation": "relu"}),
    "relu, linear read-out": (DeepNRSfMPP, {"activation": "relu", "code_readout": "linear"}),
    "default without the cycle": (DeepNRSfMPP, {"cycle_weight": 0.0}),
    "default with 2 unrolled": (DeepNRSfMPP, {"n_unrolled": 2}),
    "DeepNRSfM (relu, linear, no cycle)": (DeepNRSfM, {}),
}


def percent(X_true, X):
    """Return the Procrustes-normalised error in percent."""
    return 100 * normalized_error(X_true, X, protocol="procrustes")


def fit(cls, data, seed, *, missing=0.0, unseen=False, **parameters):
    """Fit one estimator; return a row of figures."""
    W = data.W.copy()
    W[np.random.default_rng(1000 + seed).random(W.shape[:2]) < missing] = np.nan
    test = data.groups >= np.quantile(data.groups, 0.8) if unseen else np.zeros(len(W), bool)
    began = time.perf_counter()
    model = cls(random_state=seed, **parameters).fit(W[~test])
    seconds = time.perf_counter() - began
    row = {
        "error": percent(data.X[~test], model.reconstruction_),
        "score": model.score(W[~test]),
        "seconds": seconds,
    }
    if unseen:
        row["unseen"] = percent(data.X[test], model.transform(W[test]))
    return row


def report(name, rows):
    """Print all seeds and the median."""
    for key in ("error", "unseen"):
        values = [row[key] for row in rows if key in row]
        if values:
            each = " ".join(f"{v:6.2f}" for v in values)
            print(f"{name:42} {key:7} {each}   median {statistics.median(values):6.2f}", end="")
            print(f"   {max(row['seconds'] for row in rows):.0f} s   ", end="")
            print("score " + " ".join(f"{row['score']:.3f}" for row in rows), flush=True)


def main():
    """Run what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--subjects", nargs="+", default=["S18", "S05"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--max-iter", type=int, default=None, help="default: the preset's")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--ablation", action="store_true")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    parameters = {"max_iter": args.max_iter}
    for subject in args.subjects:
        data = load_cmu_joints(int(subject.lstrip("S")))
        seeds = range(args.seeds)
        if args.ablation:
            for name, (cls, settings) in ABLATION.items():
                rows = [fit(cls, data, seed, **settings, **parameters) for seed in seeds]
                report(f"{subject} {name}", rows)
            continue
        variants = {"": {}, "30% missing": {"missing": 0.3}}
        if len(np.unique(data.groups)) > 1:
            variants["last fifth of clips unseen"] = {"unseen": True}
        for name, settings in variants.items():
            rows = [fit(DeepNRSfMPP, data, seed, **settings, **parameters) for seed in seeds]
            report(f"{subject} {name}", rows)


if __name__ == "__main__":
    main()
