"""IsometricNRSfM on four recorded sheets: errors, pictures, missing points, growth of time.

    python benchmarks/bench_isometric.py --folder pictures  # all parts
    python benchmarks/bench_isometric.py --parts sheets --neighbors 10 20

``sheets`` fits each sheet and prints the mean distance of a point from its measured place, in
percent of the sheet's diameter (the largest distance of two of its points, the mean over frames):
``per frame`` after a similarity transformation of each frame; ``one scale`` after one scale for all
frames, in the camera's frame (those of the shirt were not measured in one unit); ``convex`` is
``per frame`` without the refinement. ``unseen`` fits all frames but one and lifts that one, for
each in turn. A picture of each sheet beside its ground truth is written to the folder. ``missing``
hides 30% of the keypoints, and counts all points. ``doubling`` times fits of generated sheets whose
frames or points double twice.

The sheets are read from the folder that NRSFM_LEARN_DATA names.
"""

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch

from nrsfm_learn import IsometricNRSfM
from nrsfm_learn.datasets import load_sheet, make_bending_sheet
from nrsfm_learn.geometry import procrustes

SHEETS = ("paper", "shirt", "hulk", "cushion")


def fitted(X, Y):
    """Return points after a similarity transformation of each frame to the ground truth."""
    X, Y = (torch.as_tensor(a, dtype=torch.float64) for a in (X, Y))
    return procrustes(Y, X, scale=True).aligned.numpy()


def errors(X, Y):
    """Return the two errors in percent of the diameter."""
    apart = np.linalg.norm(X[:, :, None] - X[:, None], axis=-1)
    diameter = apart.max((1, 2)).mean()
    scaled = Y * (X * Y).sum() / (Y * Y).sum()
    return [100 * np.linalg.norm(Z - X, axis=-1).mean() / diameter for Z in (fitted(X, Y), scaled)]


def draw(path, name, X, Y):
    """Draw ground truth and reconstruction side by side, in the frame that bends most."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt
    from scipy.spatial import Delaunay

    mpl.use("Agg")
    Y = fitted(X, Y)
    flatness = [np.linalg.svd(x - x.mean(0), compute_uv=False)[2] for x in X]
    frame = int(np.argmax(flatness))
    triangles = Delaunay(X[frame, :, :2] / X[frame, :, 2:]).simplices
    figure = plt.figure(figsize=(10, 3.6), layout="constrained")
    shapes = {"ground truth": X[frame], "reconstruction": Y[frame]}
    for k, (title, shape) in enumerate(shapes.items()):
        ax = figure.add_subplot(1, 3, k + 1, projection="3d")
        ax.plot_trisurf(
            shape[:, 0], shape[:, 2], -shape[:, 1], triangles=triangles, cmap="viridis", alpha=0.8
        )
        ax.set_title(title)
        ax.set_box_aspect(np.ptp(X[frame][:, [0, 2, 1]], axis=0))
    ax = figure.add_subplot(1, 3, 3)
    ax.plot(X[frame, :, 2], -X[frame, :, 1], "o", color="0.7", label="ground truth")
    ax.plot(Y[frame, :, 2], -Y[frame, :, 1], ".", color="C0", label="reconstruction")
    ax.set_aspect("equal")
    ax.set_title("from the side, depth to the right")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2, fontsize=8)
    figure.suptitle(f"{name}, frame {frame}")
    figure.savefig(path, dpi=75)
    plt.close(figure)


def sheets(names, neighbors, folder):
    """Print the errors of complete data; draw."""
    print("sheet    frames points neighbors  per frame  one scale  convex  unseen  seconds")
    for name in names:
        data = load_sheet(name)
        W, X, K = data.W, data.X, data.intrinsics
        for n_neighbors in neighbors:
            began = time.perf_counter()
            model = IsometricNRSfM(n_neighbors).fit(W, intrinsics=K)
            seconds = time.perf_counter() - began
            per_frame, one_scale = errors(X, model.reconstruction_)
            bounded = IsometricNRSfM(n_neighbors, refine=False).fit(W, intrinsics=K)
            convex = errors(X, bounded.reconstruction_)[0]
            unseen = np.empty_like(X)
            for f in range(len(W)):
                others = np.arange(len(W)) != f
                model_of_others = IsometricNRSfM(n_neighbors).fit(W[others], intrinsics=K)
                unseen[f] = model_of_others.transform(W[f : f + 1])[0]
            print(
                f"{name:9s} {len(W):5d} {W.shape[1]:6d} {n_neighbors:9d} {per_frame:10.2f} "
                f"{one_scale:10.2f} {convex:7.2f} {errors(X, unseen)[0]:7.2f} {seconds:8.1f}"
                f"{'' if model.converged_ else '  stopped before it converged'}",
                flush=True,
            )
        if folder is not None:
            draw(folder / f"isometric_{name}.png", name, X, model.reconstruction_)
    print()


def missing(names, n_neighbors, fraction):
    """Print the errors with hidden keypoints, over all points and over the hidden ones."""
    print(f"{fraction:.0%} of the keypoints missing: per frame, all points")
    for name in names:
        data = load_sheet(name)
        W = data.W.copy()
        W[np.random.default_rng(1000).random(W.shape[:2]) < fraction] = np.nan
        model = IsometricNRSfM(n_neighbors).fit(W, intrinsics=data.intrinsics)
        print(f"{name:9s} {errors(data.X, model.reconstruction_)[0]:6.2f}", flush=True)
    print()


def doubling(n_neighbors):
    """Print the exponents with which the time grows."""

    def seconds(n_frames, n_rows, n_cols):
        data = make_bending_sheet(n_frames, n_rows, n_cols, camera="perspective", random_state=0)
        began = time.perf_counter()
        IsometricNRSfM(n_neighbors).fit(data.W)
        return time.perf_counter() - began

    seconds(4, 4, 5)
    base, frames, points = seconds(8, 6, 8), seconds(32, 6, 8), seconds(8, 12, 16)
    print(
        f"exponent of time: frames {math.log2(frames / base) / 2:.2f}, "
        f"points {math.log2(points / base) / 2:.2f}    seconds at (8, 48) {base:.2f}, "
        f"x4 frames {frames:.2f}, x4 points {points:.2f}"
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = ("sheets", "missing", "doubling")
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    parser.add_argument("--sheets", nargs="+", choices=SHEETS, default=SHEETS)
    parser.add_argument("--neighbors", nargs="+", type=int, default=[20])
    parser.add_argument("--folder", type=Path, default=None, help="where pictures go")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.folder is not None:
        args.folder.mkdir(parents=True, exist_ok=True)
    if "sheets" in args.parts:
        sheets(args.sheets, args.neighbors, args.folder)
    if "missing" in args.parts:
        missing(args.sheets, args.neighbors[-1], 0.3)
    if "doubling" in args.parts:
        doubling(args.neighbors[-1])


if __name__ == "__main__":
    main()
