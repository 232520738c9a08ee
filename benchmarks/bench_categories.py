"""One network for many categories: accuracy on twelve, the cost of a step, the time of a lift.

    python benchmarks/bench_categories.py --parts step lift
    python benchmarks/bench_categories.py --parts twelve alone --seeds 3 --threads 1

``twelve`` fits each method to ``make_twelve_categories`` and prints MPJPE (centred, better sign of
depth a frame, every category in its own unit) by category. ``alone`` does the same with the three
smallest categories, each by itself: with all iterations for this one category, and with as many as
show the network this category as often as one model for all sees it. ``step`` times a training
step of C3DPO at the published widths in turn with the matrix products that it needs, forward and
backward. ``lift`` times one instance and a batch of 100,000. ``body`` is without categories:
subject 18 of CMU, from the folder that NRSFM_LEARN_DATA names, 2,000 iterations of one start.
"""

import argparse
import statistics
import time
import warnings

import numpy as np
import torch

from nrsfm_learn import C3DPO, PAUL, DeepNRSfMPP, MultiCategoryLifter
from nrsfm_learn._training import TrainingOptions, train
from nrsfm_learn.datasets import load_cmu_joints, make_twelve_categories
from nrsfm_learn.deep._factorization_objective import CanonicalizationObjective
from nrsfm_learn.deep._frames import Frames
from nrsfm_learn.deep._presets import factorization_preset
from nrsfm_learn.deep.nn import FactorizationNetwork
from nrsfm_learn.metrics import mpjpe, normalized_error

WIDTH, BLOCKS, VIEWS, COMPONENTS = 1024, 6, 4, 10
METHODS = {
    "C3DPO": lambda **s: C3DPO(**s),
    "- begun as the lifter": lambda **s: C3DPO(
        init="rigid", rotation="6d", optimizer="adam", canonical_weight=0.1, **s
    ),
    "MultiCategoryLifter": lambda **s: MultiCategoryLifter(**s),
    "- no cycle": lambda **s: MultiCategoryLifter(cycle_weight=0.0, **s),
    "- signed codes": lambda **s: MultiCategoryLifter(nonnegative=False, **s),
    "- as before": lambda **s: MultiCategoryLifter(
        init="random", rotation="log", optimizer="sgd", cycle_weight=1.0, **s
    ),
    # These know nothing of categories: the points of others are hidden ones to them.
    "DeepNRSfMPP": lambda **s: DeepNRSfMPP(k_last=8, n_init=1, max_iter=2000, **s),
    "PAUL": lambda **s: PAUL(n_init=1, max_iter=2000, **s),
}
SMALL = ("sofa", "motorbike", "diningtable")


def category_errors(data, X):
    """Return {category: MPJPE}."""
    errors = {}
    for category in np.unique(data.categories):
        cell = np.ix_(data.categories == category, data.layout.points(category))
        errors[category] = mpjpe(data.X[cell], X[cell], flip="frame")
    return errors


def spread(shapes):
    """Return how far shapes (n, n_points, 3) are from their mean, root mean square."""
    shapes = shapes - shapes.mean(1, keepdims=True)
    return np.sqrt(np.square(shapes - shapes.mean(0)).sum(-1).mean())


def print_codes(data, model):
    """Print how much the shapes of codes differ within categories, and the true ones."""
    found, truth = [], []
    for category in np.unique(data.categories):
        rows, points = data.categories == category, data.layout.points(category)
        found.append(spread(model.decode(model.codes_[rows], category)[:, points]))
        truth.append(spread(data.shapes[np.ix_(rows, points)]))
    active = (model.codes_ > 0).any(0).sum()
    print(
        f"    within categories, shapes of codes differ by {min(found):.3f} to {max(found):.3f}, "
        f"true ones by {min(truth):.3f} to {max(truth):.3f}; {active} codes are ever positive",
        flush=True,
    )


def twelve(args):
    for seed in range(args.seeds):
        data = make_twelve_categories(args.frames, random_state=seed)
        for name in args.methods or METHODS:
            model = METHODS[name](random_state=seed)
            began = time.monotonic()
            model.fit(data.W, categories=data.categories)
            seconds = time.monotonic() - began
            errors = category_errors(data, model.reconstruction_)
            text = "  ".join(f"{key} {value:.3f}" for key, value in errors.items())
            coherence = getattr(model, "mutual_coherence", lambda: np.nan)()
            mean = np.mean(list(errors.values()))
            print(
                f"seed {seed} {name:20s} mean {mean:.3f}  coherence {coherence:.2f}  "
                f"{seconds:.0f} s\n    {text}",
                flush=True,
            )
            if hasattr(model, "decode"):
                print_codes(data, model)


def alone(args):
    for seed in range(args.seeds):
        data = make_twelve_categories(args.frames, random_state=seed)
        for category in SMALL:
            rows, points = data.categories == category, data.layout.points(category)
            cell = np.ix_(rows, points)
            for name in args.methods or ["MultiCategoryLifter"]:
                n_iter = factorization_preset("auto", len(data.W))["max_iter"]
                for text, part in (("alone", 1), ("as often", len(np.unique(data.categories)))):
                    model = METHODS[name](random_state=seed, max_iter=n_iter // part)
                    began = time.monotonic()
                    model.fit(data.W[cell])
                    seconds = time.monotonic() - began
                    error = mpjpe(data.X[cell], model.reconstruction_, flip="frame")
                    print(
                        f"seed {seed} {name:20s} {category} {text} ({rows.sum()} frames) "
                        f"{error:.3f}  {seconds:.0f} s",
                        flush=True,
                    )


def body(args):
    data = load_cmu_joints(18)
    for name in args.methods or ["MultiCategoryLifter", "- no cycle", "- as before", "C3DPO"]:
        model = METHODS[name](random_state=0, n_init=1, max_iter=2000).fit(data.W)
        error = normalized_error(data.X, model.reconstruction_, protocol="procrustes")
        print(f"subject 18 {name:22s} procrustes {100 * error:.1f}%", flush=True)


def products(batch, n_points):
    """Return a function that does the matrix products of one step, forward and backward."""
    narrow, out = WIDTH // 4, 3 * n_points

    def layers(rows):
        sizes = [(out, WIDTH)] + BLOCKS * [(WIDTH, narrow), (narrow, narrow), (narrow, WIDTH)]
        return [(rows, *size) for size in sizes]

    # Lifter: two turned copies, heads, basis. Canonicalisation: its trunk, head, the basis again.
    lifter = [*layers(2 * batch), (batch, WIDTH, COMPONENTS), (batch, WIDTH, 3)]
    canonical = [*layers(VIEWS * batch), (VIEWS * batch, WIDTH, COMPONENTS)]
    basis = [(batch, COMPONENTS, out), (VIEWS * batch, COMPONENTS, out)]
    first = {0, len(lifter)}
    tensors = [
        (torch.randn(rows, inner), torch.randn(inner, outer), torch.randn(rows, outer))
        for rows, inner, outer in [*lifter, *canonical, *basis]
    ]

    def run():
        for number, (left, right, gradient) in enumerate(tensors):
            left @ right
            left.T @ gradient
            # Keypoints need no gradient; the turned shapes that go round again do.
            if number not in first - {len(lifter)}:
                gradient @ right.T

    return run


def step(args):
    n_points, batch, generator = 31, 256, torch.Generator().manual_seed(0)
    module = FactorizationNetwork(
        n_points, COMPONENTS, width=WIDTH, bottleneck=WIDTH // 4, canonicalize=True,
        generator=generator,
    )  # fmt: skip
    frames = Frames(torch.randn(4096, n_points, 2), torch.ones(4096, n_points), torch.ones(4096))
    objective = CanonicalizationObjective(
        module, frames, torch.ones(4096, n_points), torch.arange(4096), generator=generator,
        n_views=VIEWS,
    )  # fmt: skip

    def steps(n):
        options = TrainingOptions(max_iter=n, batch_size=batch)
        train(module, objective, 4096, options, generator=generator)

    bare = products(batch, n_points)
    steps(2)
    bare()
    times = []
    for _ in range(args.rounds):
        began = time.perf_counter()
        steps(3)
        middle = time.perf_counter()
        for _ in range(3):
            bare()
        times.append(((middle - began) / 3, (time.perf_counter() - middle) / 3))
    ours, theirs = (1e3 * statistics.median(t) for t in zip(*times, strict=True))
    ratio = statistics.median(a / b for a, b in times)
    print(f"C3DPO step {ours:.1f} ms, products {theirs:.1f} ms, ratio {ratio:.2f}", flush=True)


def lift(args):
    data = make_twelve_categories(600, random_state=0)
    for model in (
        C3DPO(width=WIDTH, max_iter=3, n_init=1, random_state=0),
        MultiCategoryLifter(max_iter=3, n_init=1, random_state=0),
    ):
        model.fit(data.W, categories=data.categories)
        name, one = type(model).__name__, (data.W[:1], data.categories[:1])
        times = []
        for _ in range(50):
            began = time.perf_counter()
            model.transform(one[0], categories=one[1])
            times.append(time.perf_counter() - began)
        many = np.resize(np.arange(600), 100_000)
        began = time.perf_counter()
        model.transform(data.W[many], categories=data.categories[many])
        rate = len(many) / (time.perf_counter() - began)
        print(
            f"{name} width {model.width_}: one instance {1e3 * statistics.median(times):.2f} ms, "
            f"100,000 at {rate:,.0f} a second",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = {"twelve": twelve, "alone": alone, "body": body, "step": step, "lift": lift}
    parser.add_argument("--parts", nargs="+", choices=parts, default=["step", "lift"])
    parser.add_argument("--methods", nargs="+", choices=METHODS)
    parser.add_argument("--frames", type=int, default=5000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    warnings.simplefilter("ignore")
    for part in args.parts:
        parts[part](args)


if __name__ == "__main__":
    main()
