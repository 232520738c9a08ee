"""One training step of Deep NRSfM++ against the bare matrix products that its formulas need.

    python benchmarks/bench_step.py  # CPU, and CUDA where one is present
    python benchmarks/bench_step.py --lift 1000000  # also the rate and memory of transform

The products are those of eq. 24 and 25 and of their gradients, with the same shapes, on the same
threads, timed in turn with the step in one process; under perspective also those of the decoder's
Jacobian in the solver's steps. Everything else that a step does (thresholding, cameras,
reprojection, the normal equations, the cycle's views, Adam) is what the ratio is over 1.
"""

import argparse
import itertools
import resource
import statistics
import time

import numpy as np
import torch

from nrsfm_learn import DeepNRSfMPP
from nrsfm_learn._training import TrainingOptions, train
from nrsfm_learn.deep._block_sparse_objective import BlockSparseObjective
from nrsfm_learn.deep._frames import Frames
from nrsfm_learn.deep.nn import HierarchicalBlockSparseLifter

SIZES = [512, 256, 128, 64, 32, 16, 8]
# Camera, unrolled iterations, solver steps, weight of the cycle: the paper's step, the default for
# complete frames, two unrolled iterations, and perspective without and with its default solver.
SETTINGS = [
    ("orthographic", 1, 0, 0.0),
    ("orthographic", 1, 0, 1.0),
    ("orthographic", 2, 0, 1.0),
    ("perspective", 1, 0, 0.0),
    ("perspective", 1, 2, 0.1),
]


def synchronize(device):
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def bare_products(sizes, batch, n_points, n_columns, n_unrolled, n_solver_steps, n_views, device):
    """Return a function that does the matrix products of one step, forward and backward."""
    rows = 3 * n_columns * batch

    def randn(*shape):
        return torch.randn(*shape, device=device)

    def decoder(n_rows):
        layers = [
            (randn(n_rows, below), randn(above, below).T, randn(n_rows, above))
            for above, below in itertools.pairwise(sizes)
        ]
        last = (randn(n_rows, sizes[0]), randn(3 * n_points, sizes[0]).T)
        return [*layers, (*last, randn(n_rows, 3 * n_points))]

    flat, dictionary = randn(1, n_columns * batch, n_points), randn(3, n_points, sizes[0])
    first_gradient = randn(3, n_columns * batch, sizes[0])
    encoder = [
        (randn(rows, above), randn(above, below), randn(rows, below))
        for above, below in itertools.pairwise(sizes)
    ]
    decode, jacobian = decoder(batch), decoder(batch * sizes[-1])

    def both_ways(layers):
        for left, right, gradient in layers:
            left @ right
            gradient @ right.T
            left.T @ gradient

    def products():
        for _ in range(n_views):
            for iteration in range(n_unrolled):
                torch.matmul(flat, dictionary)
                torch.matmul(flat.transpose(1, 2), first_gradient)
                # The first iteration starts at data, which need no gradient.
                if iteration:
                    torch.matmul(first_gradient, dictionary.transpose(1, 2))
                both_ways(encoder)
                both_ways(decode)
            for _ in range(n_solver_steps):
                both_ways(decode)
                both_ways(jacobian)

    return products


def make_step(sizes, batch, n_points, camera, n_unrolled, n_solver_steps, cycle_weight, device):
    """Return a function that runs the library's own training loop for some iterations."""
    generator = torch.Generator(device=device).manual_seed(0)
    perspective = camera == "perspective"
    module = HierarchicalBlockSparseLifter(
        n_points,
        sizes,
        n_columns=3 if perspective else 2,
        n_unrolled=n_unrolled,
        generator=torch.Generator().manual_seed(0),
    ).to(device)
    points = torch.randn(4096, n_points, 2, device=device) * (0.15 if perspective else 1)
    gain = torch.full((4096,), 6.0 if perspective else 1.0, device=device)
    frames = Frames(
        points, torch.ones(4096, n_points, device=device), gain, perspective=perspective
    )
    objective = BlockSparseObjective(
        module,
        frames,
        generator=generator,
        cycle_weight=cycle_weight,
        n_solver_steps=n_solver_steps,
    )

    def steps(n):
        options = TrainingOptions(max_iter=n, batch_size=batch)
        train(module, objective, frames.n_frames, options, generator=generator)

    return steps


def compare(args, camera, n_unrolled, n_solver_steps, cycle_weight, device):
    """Print medians of both and the median ratio of pairs timed in turn."""
    n_columns = 3 if camera == "perspective" else 2
    views = 2 if cycle_weight else 1
    sizes, settings = (SIZES, args.batch, args.points), (n_unrolled, n_solver_steps)
    products = bare_products(*sizes, n_columns, *settings, views, device)
    steps = make_step(*sizes, camera, *settings, cycle_weight, device)
    steps(5)
    for _ in range(5):
        products()
    times = []
    for _ in range(args.rounds):
        synchronize(device)
        began = time.perf_counter()
        steps(args.steps)
        synchronize(device)
        middle = time.perf_counter()
        for _ in range(args.steps):
            products()
        synchronize(device)
        times.append((middle - began, time.perf_counter() - middle))
    step, bare = (1e3 * statistics.median(t) / args.steps for t in zip(*times, strict=True))
    ratio = statistics.median(a / b for a, b in times)
    print(
        f"{device.type:5} {camera:13} unrolled {n_unrolled} solver steps {n_solver_steps} "
        f"cycle {cycle_weight:g}: "
        f"step {step:7.2f} ms  products {bare:7.2f} ms  ratio {ratio:.2f}",
        flush=True,
    )


def lift(n_frames, n_points):
    """Print the rate of transform and the memory it takes above its input."""
    rng = np.random.default_rng(0)
    model = DeepNRSfMPP(max_iter=2, random_state=0).fit(rng.normal(size=(300, n_points, 2)))
    W = rng.normal(size=(n_frames, n_points, 2))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    X = model.transform(W)
    seconds = time.perf_counter() - began
    above = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20
    print(
        f"lift {len(X):,} frames of {n_points} points: {n_frames / seconds:,.0f} frames/s, "
        f"{above:.2f} GiB above the input (the result is {X.nbytes / 2**30:.2f} GiB)",
        flush=True,
    )


def main():
    """Run the comparisons asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--points", type=int, default=31)
    parser.add_argument("--steps", type=int, default=5, help="steps timed together")
    parser.add_argument("--rounds", type=int, default=15, help="pairs timed in turn")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--lift", type=int, default=0, metavar="FRAMES")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, batch {args.batch}")
    devices = ["cpu"] + ["cuda"] * torch.cuda.is_available()
    for name in devices:
        for settings in SETTINGS:
            compare(args, *settings, torch.device(name))
    if args.lift:
        lift(args.lift, args.points)


if __name__ == "__main__":
    main()
