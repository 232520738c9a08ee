"""Which quantity that needs no 3-D ranks fits as their true error does?

    python benchmarks/bench_criteria.py --out fits.jsonl  # fits what the file lacks, then the table

Every data set is fitted from several seeds with one start each, so that wrong starts stay wrong.
Within each pair of data set and method, Spearman's rank correlation of each criterion with the
true error (a perfect criterion has 1) is taken over the seeds, and averaged over the pairs.
``regret`` is the error of the fit that a criterion chooses over that of the best one, less one.
Recorded data are read from the folder that NRSFM_LEARN_DATA names and left out without it.
"""

import argparse
import json
import os
import pathlib
import time

import numpy as np
import torch
from scipy.stats import spearmanr

from nrsfm_learn import PAUL, DeepNRSfMPP
from nrsfm_learn.datasets import (
    load_cmu_joints,
    load_short_sequence,
    make_articulated_body,
    make_bending_sheet,
    make_low_rank,
)
from nrsfm_learn.metrics import normalized_error
from nrsfm_learn.model_selection import (
    cycle_error,
    depth_spread,
    dictionary_coherence,
    neighbor_distance_variation,
    pairwise_start_error,
)

SHORT = ("drink", "pickup", "yoga", "stretch", "dance", "shark")
SUBJECTS = (1, 2, 5, 18)
# Those whose networks are larger, and slower.
SUBJECTS_LONG = ("S01", "S02", "S05")
N_FRAMES = 512


def data_sets():
    """Yield name and a function that loads the data."""
    yield "body, smooth", lambda: make_articulated_body(300, views="smooth", random_state=1)
    yield "body, random", lambda: make_articulated_body(600, random_state=1)
    yield "low rank", lambda: make_low_rank(n_frames=300, n_points=30, rank=3, random_state=1)
    yield "sheet", lambda: make_bending_sheet(200, random_state=1)
    if os.environ.get("NRSFM_LEARN_DATA"):
        for name in SHORT:
            yield name, lambda name=name: load_short_sequence(name)
        for subject in SUBJECTS:
            yield f"S{subject:02}", lambda subject=subject: load_cmu_joints(subject)


def methods(name, seed, scale):
    """Yield the estimators for a data set, without the cycle that cures wrong starts."""
    settings = {"n_init": 1, "random_state": seed, "cycle_weight": 0.0}
    max_iter = 400 if name in SUBJECTS_LONG else 800
    yield PAUL(max_iter=int(max_iter * scale), **settings)
    if name not in SHORT:
        yield DeepNRSfMPP(max_iter=int(1000 * scale), **settings)


def measure(model, data, seconds):
    """Return criteria and error of a fit, and some of its frames for the agreement."""
    index = np.unique(np.linspace(0, len(data.W) - 1, N_FRAMES).astype(int))
    X, shapes = model.reconstruction_[index], model.shapes_[index]
    loss = float(np.nanmean(model.loss_curve_[-100:]))
    row = {
        "seconds": seconds,
        "error": 100 * normalized_error(data.X, model.reconstruction_, protocol="procrustes"),
        "loss": loss,
        "hidden keypoints": 1 - model.score(data.W[index]),
        "cycle error": cycle_error(model, data.W[index]),
        "neighbour distance": neighbor_distance_variation(shapes),
        "depth spread": abs(float(np.log(depth_spread(X)))),
    }
    row["loss x neighbour distance"] = loss * row["neighbour distance"]
    row["cycle x neighbour distance"] = row["cycle error"] * row["neighbour distance"]
    row["loss x cycle"] = loss * row["cycle error"]
    row["loss x cycle x neighbour distance"] = row["loss x cycle"] * row["neighbour distance"]
    if hasattr(model, "dictionary_"):
        row["dictionary coherence"] = dictionary_coherence(model)
    return row, X


def run(path, n_seeds, scale):
    """Fit what the file lacks, a pair of data set and method at a time."""
    done = {(row["data"], row["method"]) for row in read(path)}
    for name, load in data_sets():
        data = None
        n_methods = 1 if name in SHORT else 2
        for number in range(n_methods):
            method = type(list(methods(name, 0, scale))[number]).__name__
            if (name, method) in done:
                continue
            data = load() if data is None else data
            rows, reconstructions = [], []
            for seed in range(n_seeds):
                model = list(methods(name, seed, scale))[number]
                began = time.perf_counter()
                model.fit(data.W)
                row, X = measure(model, data, time.perf_counter() - began)
                rows.append({"data": name, "method": method, "seed": seed, **row})
                reconstructions.append(X)
                print(json.dumps(rows[-1]), flush=True)
            errors = pairwise_start_error(np.stack(reconstructions))
            for row, others in zip(rows, errors, strict=True):
                row["disagreement of starts"] = float(np.delete(others, row["seed"]).mean())
            with path.open("a") as file:
                file.writelines(json.dumps(row) + "\n" for row in rows)


def read(path):
    """Return the rows of a file, none if there is no such file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def table(rows):
    """Print rank correlation and regret of each criterion."""
    pairs = {}
    for row in rows:
        pairs.setdefault((row["data"], row["method"]), []).append(row)
    print(f"{len(rows)} fits, {len(pairs)} pairs of data set and method")
    names = sorted(
        {k for row in rows for k in row} - {"data", "method", "seed", "seconds", "error"}
    )
    print(f"{'criterion':34} {'pairs':>5} {'rank correlation':>16} {'regret':>7}")
    found = []
    for name in names:
        correlations, regrets = [], []
        for group in pairs.values():
            if name not in group[0]:
                continue
            errors = np.array([row["error"] for row in group])
            values = np.array([row[name] for row in group])
            correlations.append(spearmanr(values, errors).statistic)
            regrets.append(errors[values.argmin()] / errors.min() - 1)
        found.append((np.nanmean(correlations), len(correlations), np.mean(regrets), name))
    for correlation, n_pairs, regret, name in sorted(found, reverse=True):
        print(f"{name:34} {n_pairs:5} {correlation:16.2f} {regret:7.2f}")


def main():
    """Run what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=pathlib.Path, required=True, help="file of one fit a line")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="of the iterations")
    parser.add_argument("--threads", type=int, default=None)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    run(args.out, args.seeds, args.scale)
    table(read(args.out))


if __name__ == "__main__":
    main()
