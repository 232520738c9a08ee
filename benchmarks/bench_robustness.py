"""Error against what is hidden, and against noise, for the four methods that lift many categories.

    python benchmarks/bench_robustness.py --threads 1 --figure robustness.svg

Every cell is a fit of its own to aeroplanes, cars and chairs in one array: keypoints hidden at
random, or Gaussian noise in units of the mean spread of the keypoints. The error is that of all
points, hidden ones too: ``mpjpe(flip="frame")`` in percent of their mean distance from the centre,
the mean over categories.
"""

import argparse
import time
import warnings

import numpy as np
import torch

from nrsfm_learn import C3DPO, PAUL, DeepNRSfMPP, MultiCategoryLifter
from nrsfm_learn.datasets import make_rigid_category
from nrsfm_learn.metrics import mpjpe
from nrsfm_learn.preprocessing import stack_categories

CATEGORIES = ("aeroplane", "car", "chair")
HIDDEN = (0.0, 0.2, 0.5, 0.7)
NOISE = (0.05, 0.1)
METHODS = {
    "MultiCategoryLifter": MultiCategoryLifter,
    "C3DPO": C3DPO,
    "DeepNRSfMPP": DeepNRSfMPP,
    "PAUL": PAUL,
}


def make_data(n_frames, hidden, noise, seed):
    """Stack the categories, a fraction of their keypoints hidden at random."""
    parts = {
        name: make_rigid_category(
            n_frames, category=name, missing=hidden, noise=noise, random_state=seed + k
        )
        for k, name in enumerate(CATEGORIES)
    }
    return stack_categories(parts)


def error(data, X):
    """Mean over the categories, in percent."""
    errors = []
    for category in np.unique(data.categories):
        cell = np.ix_(data.categories == category, data.layout.points(category))
        truth = data.X[cell]
        size = np.linalg.norm(truth - truth.mean(1, keepdims=True), axis=-1).mean()
        errors.append(100 * mpjpe(truth, X[cell], flip="frame") / size)
    return float(np.mean(errors))


def run(args):
    """Fit every cell; return {(what, value): {method: error}}."""
    table = {}
    cells = [("hidden", value) for value in HIDDEN] + [("noise", value) for value in NOISE]
    for what, value in cells:
        data = make_data(args.frames, **{"hidden": 0.0, "noise": 0.0, what: value}, seed=args.seed)
        row = table[what, value] = {}
        for name, cls in METHODS.items():
            began = time.monotonic()
            model = cls(max_iter=args.iterations, n_init=1, random_state=args.seed)
            model.fit(data.W, categories=data.categories)
            row[name] = error(data, model.reconstruction_)
            seconds = time.monotonic() - began
            print(f"{what} {value:.2f} {name:20s} {row[name]:5.1f} %  {seconds:.0f} s", flush=True)
    table["noise", 0.0] = table["hidden", 0.0]
    return table


def draw(table, path):
    """Draw one panel for what is hidden and one for noise."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
    labels = {"hidden": "keypoints hidden", "noise": "noise / mean spread of the keypoints"}
    for axis, what in zip(axes, labels, strict=True):
        values = sorted(value for kind, value in table if kind == what)
        for name, marker in zip(METHODS, "osv^", strict=True):
            errors = [table[what, value][name] for value in values]
            axis.plot(100 * np.array(values), errors, marker=marker, label=name)
        axis.set_xlabel(f"{labels[what]}, percent")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("error, percent")
    axes[0].set_ylim(bottom=0)
    axes[0].legend(frameon=False)
    figure.savefig(path)


def main():
    """Run, print the table, draw it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=1000, help="of each category")
    parser.add_argument("--iterations", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--figure")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    warnings.simplefilter("ignore")
    table = run(args)
    print("\n" + " " * 14 + "".join(f"{name:>22s}" for name in METHODS))
    for (what, value), row in table.items():
        print(f"{what:8s} {value:4.2f} " + "".join(f"{row[name]:22.1f}" for name in METHODS))
    if args.figure:
        draw(table, args.figure)


if __name__ == "__main__":
    main()
