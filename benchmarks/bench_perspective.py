"""Perspective against orthographic models on strongly perspective views.

    python benchmarks/bench_perspective.py  # bodies and rigid categories
    python benchmarks/bench_perspective.py --grid  # noise by missing, like Table 5 of the paper
    python benchmarks/bench_perspective.py --estimator PAUL  # which has no scale correction

The objects' depth is a third of their distance. Every row is fitted to the same frames; errors are
against the ground truth in the camera frame, protocols by name.
"""

import argparse
import itertools
import time

import numpy as np
import torch

from nrsfm_learn import PAUL, DeepNRSfMPP
from nrsfm_learn.datasets import make_articulated_body, make_rigid_category
from nrsfm_learn.metrics import n_mpjpe, pa_mpjpe

MODELS = {
    "orthographic": {"camera": "orthographic"},
    "weak_perspective": {"camera": "weak_perspective"},
    "perspective": {"camera": "perspective"},
    "perspective + 1 correction": {"camera": "perspective", "scale_correction": 1},
    "perspective + 2 corrections": {"camera": "perspective", "scale_correction": 2},
}


def make(kind, missing, noise, n_frames, seed):
    """Return generated frames at strong perspective."""
    options = {
        "camera": "perspective",
        "depth_ratio": 1 / 3,
        "missing": missing,
        "noise": noise,
        "random_state": seed,
    }
    if kind == "body":
        return make_articulated_body(n_frames, **options)
    return make_rigid_category(n_frames, category=kind, **options)


def measure(cls, data, kind, model, max_iter, seed):
    """Fit one model; return errors in percent of the object's mean size, and seconds."""
    began = time.perf_counter()
    size = 8 if kind == "body" else 4
    estimator = cls(size, max_iter=max_iter, random_state=seed, **MODELS[model])
    X = estimator.fit_transform(data.W)
    seconds = time.perf_counter() - began
    centered = data.X - data.X.mean(1, keepdims=True)
    size = np.linalg.norm(centered, axis=-1).mean()
    # Depth is known up to its sign where the camera is parallel; perspective settles it.
    flip = "none" if MODELS[model]["camera"] == "perspective" else "frame"
    return {
        "n_mpjpe": 100 * n_mpjpe(data.X, X, flip=flip) / size,
        "pa_mpjpe": 100 * pa_mpjpe(data.X, X, flip=flip) / size,
        "score": estimator.score(data.W),
        "seconds": seconds,
    }


def main():
    """Print one row a fit, and the ratio to the orthographic model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--estimator", default="DeepNRSfMPP", choices=["DeepNRSfMPP", "PAUL"])
    parser.add_argument("--kinds", nargs="+", default=["body", "car", "chair", "aeroplane"])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--missing", nargs="+", type=float, default=[0.0, 0.3])
    parser.add_argument("--noise", nargs="+", type=float, default=[0.0])
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--max-iter", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--grid", action="store_true", help="noise 0 to 10%% by missing 0 to 60%%")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.grid:
        args.missing, args.noise = [0.0, 0.3, 0.6], [0.0, 0.03, 0.05, 0.1]
        args.models = ["perspective"]
    cls = {"DeepNRSfMPP": DeepNRSfMPP, "PAUL": PAUL}[args.estimator]
    if cls is PAUL:
        args.models = [model for model in args.models if "scale_correction" not in MODELS[model]]
    print("n_mpjpe and pa_mpjpe in percent of the object's mean distance from its centre")
    for kind, missing, noise in itertools.product(args.kinds, args.missing, args.noise):
        data = make(kind, missing, noise, args.frames, args.seed)
        base = None
        for model in args.models:
            row = measure(cls, data, kind, model, args.max_iter, args.seed)
            base = base or row
            print(
                f"{kind:10} missing {missing:.0%} noise {noise:.0%}  {model:28}"
                f" n_mpjpe {row['n_mpjpe']:6.2f} ({row['n_mpjpe'] / base['n_mpjpe']:.2f})"
                f" pa_mpjpe {row['pa_mpjpe']:6.2f} ({row['pa_mpjpe'] / base['pa_mpjpe']:.2f})"
                f" score {row['score']:.3f}  {row['seconds']:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
