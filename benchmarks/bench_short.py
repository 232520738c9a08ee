"""Classical methods on the short sequences: errors in named protocols, seconds, memory.

    python benchmarks/bench_short.py  # the whole table, missing keypoints, doubling
    python benchmarks/bench_short.py --parts table --sequences pickup yoga --methods BMM CSF2
    python benchmarks/bench_short.py --parts doubling

``table`` fits every method to every sequence, each in a process of its own, whose peak memory is
printed (importing torch and the library is about 300 MiB of it), with the seconds of the clock and
those of the processor, which other jobs lengthen less. ``missing`` does so again with 30% of the
keypoints hidden, on drink, pickup and stretch, for methods whose objective leaves them out.
``doubling`` takes the processor's time for whole fits with a fixed number of bases and of
iterations, on generated low-rank sequences whose frames or points double twice, and prints the
exponent of growth.

Protocols, in percent: ``world`` is e3d of the shapes in the common frame after one orthogonal
matrix for the sequence (in the camera's frame where the camera stands still: dance, shark);
``camera`` is e3d in the camera frame with one sign of depth for the sequence; ``frobenius`` is
normalized_error in the camera frame with one sign of depth for the sequence; ``procrustes`` is
normalized_error after one orthogonal matrix a frame. The sequences are read from the folder that
NRSFM_LEARN_DATA names.
"""

import argparse
import math
import multiprocessing
import resource
import time
import warnings
from concurrent.futures import ProcessPoolExecutor

import numpy as np

import nrsfm_learn
from nrsfm_learn.datasets import load_short_sequence, make_low_rank
from nrsfm_learn.metrics import e3d, normalized_error

SEQUENCES = ("drink", "pickup", "yoga", "stretch", "dance", "shark")
FIXED_CAMERA = {"dance", "shark"}
PROTOCOLS = ("world", "camera", "frobenius", "procrustes")
# Numbers of cosines that the stored results of trajectory space were made with. There is none for
# the shark: "auto" chooses 6.
PUBLISHED_K = {"drink": 13, "pickup": 12, "yoga": 11, "stretch": 12, "dance": 5, "shark": 6}
# Name: class, parameters, protocol of the figures below, figures of the publications.
PTA = (2.49, 22.22, 14.83, 10.87, 31.37, None)
DAI = (2.66, 17.31, 11.50, 10.34, 18.64, 23.11)
KUMAR = (1.19, 1.98, 1.29, 1.44, 10.60, 5.51)
LEE_PND = (0.37, 3.72, 1.40, 1.56, 14.54, 1.35)
LEE_CNS = (3.04, 9.18, 11.15, 7.97, 7.59, 8.32)
METHODS = {
    "Rigid": ("RigidFactorization", {}, None, None),
    "PTA, published K": ("TrajectoryBasis", {"n_bases": PUBLISHED_K}, "world", PTA),
    "PTA": ("TrajectoryBasis", {}, "world", PTA),
    "BMM": ("BMM", {}, "world", DAI),
    "RevisitedBMM": ("RevisitedBMM", {}, "frobenius", KUMAR),
    "CSF": ("ColumnSpaceFitting", {"variant": "csf"}, "world", PTA),
    "CSF2": ("ColumnSpaceFitting", {}, "world", PTA),
    "EM-PPCA": ("EMPPCA", {}, None, None),
    "EM-PPCA, rigid": ("EMPPCA", {"init": "rigid"}, None, None),
    "EM-PPCA, dynamics": ("EMPPCA", {"dynamics": True, "n_bases": 8}, None, None),
    "SPS": ("CompressibleNRSfM", {}, None, None),
    "SPS, blocks": ("CompressibleNRSfM", {"cameras": "blocks"}, None, None),
    "KSTA": ("KernelShapeTrajectory", {}, "world", PTA),
    "PND": ("ProcrusteanNormal", {}, "frobenius", LEE_PND),
    "CNS": ("ConsensusNRSfM", {}, "frobenius", LEE_CNS),
    "CNS, 3 bases": ("ConsensusNRSfM", {"n_bases": 3}, "frobenius", LEE_CNS),
    "PR": ("ProcrusteanRegression", {}, None, None),
    "PR, nuclear norm": ("ProcrusteanRegression", {"regularizer": "nuclear_norm"}, None, None),
    "PR, rigid": ("ProcrusteanRegression", {"init": "rigid"}, None, None),
}
# Of the methods with missing keypoints in their own objective.
WITH_MISSING = ("Rigid", "PTA", "CSF", "CSF2", "EM-PPCA", "KSTA", "PND", "CNS", "PR")


def measure(method, sequence, missing, threads):
    """Fit one method to one sequence in this process; return its figures."""
    import torch

    torch.set_num_threads(threads)
    name, parameters, _, _ = METHODS[method]
    parameters = {k: v[sequence] if isinstance(v, dict) else v for k, v in parameters.items()}
    data = load_short_sequence(sequence)
    W = data.W.copy()
    W[np.random.default_rng(1000).random(W.shape[:2]) < missing] = np.nan
    began, worked = time.perf_counter(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = getattr(nrsfm_learn, name)(**parameters).fit(W)
    seconds, cpu = time.perf_counter() - began, time.process_time() - worked
    X, Y = data.X, model.reconstruction_
    true, world = (X, Y) if sequence in FIXED_CAMERA else (data.shapes, model.shapes_)
    errors = (
        e3d(true, world, protocol="sequence"),
        e3d(X, Y, protocol="none", flip="sequence"),
        normalized_error(X, Y, protocol="frobenius", flip="sequence"),
        normalized_error(X, Y, protocol="procrustes"),
    )
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    row = dict(zip(PROTOCOLS, (100 * error for error in errors), strict=True))
    n_bases = getattr(model, "n_bases_", 0)
    cost = {"seconds": seconds, "cpu": cpu, "memory": memory}
    return {**row, **cost, "K": n_bases, "done": model.converged_}


def in_a_process(*args):
    """Run :func:`measure` in a process of its own, so that its memory can be told."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        return pool.submit(measure, *args).result()


def print_table(rows, sequences, key, form):
    """Print one figure of all methods and sequences."""
    print(f"{key:18s}" + "".join(f"{s:>9s}" for s in sequences))
    for method, by_sequence in rows.items():
        print(f"{method:18s}" + "".join(f"{by_sequence[s][key]:{form}}" for s in sequences))
    print(flush=True)


def table(methods, sequences, missing, threads):
    """Print the table; return its rows."""
    rows = {}
    for method in methods:
        rows[method] = {}
        for sequence in sequences:
            row = rows[method][sequence] = in_a_process(method, sequence, missing, threads)
            figures = "  ".join(f"{p} {row[p]:6.2f}" for p in PROTOCOLS)
            state = "" if row["done"] else "  stopped before it converged"
            print(
                f"# {method:18s} {sequence:8s} {figures}  {row['seconds']:6.1f} s  "
                f"cpu {row['cpu']:6.1f} s  {row['memory']:5.0f} MiB  K {row['K']:2d}{state}",
                flush=True,
            )
    print()
    for protocol in PROTOCOLS:
        print_table(rows, sequences, protocol, "9.2f")
    print_table(rows, sequences, "seconds", "9.1f")
    print_table(rows, sequences, "cpu", "9.1f")
    print_table(rows, sequences, "memory", "9.0f")
    print_table(rows, sequences, "K", "9d")
    return rows


def compare(rows, sequences):
    """Print each figure over that of the publication."""
    print(f"{'over published':18s}" + "".join(f"{s:>9s}" for s in sequences) + "  protocol")
    for method, by_sequence in rows.items():
        _, _, protocol, published = METHODS[method]
        if protocol is None:
            continue
        published = dict(zip(SEQUENCES, published, strict=True))
        cells = [
            f"{by_sequence[s][protocol] / published[s]:9.2f}" if published[s] else f"{'':9s}"
            for s in sequences
        ]
        against = "; figures of PTA" if "CSF" in method or method == "KSTA" else ""
        print(f"{method:18s}" + "".join(cells) + f"  {protocol}{against}")
    print(flush=True)


def doubling(methods, rounds, threads):
    """Print the exponents with which the time of each method grows."""
    import torch

    torch.set_num_threads(threads)
    fixed = {"n_bases": 3, "max_iter": 20, "tol": 0.0}
    print(f"{'exponent of time':18s}{'frames':>9s}{'points':>9s}    seconds at (300, 40)")
    for method in methods:
        name, parameters, _, _ = METHODS[method]
        if name == "TrajectoryBasis" and parameters:
            continue
        cls = getattr(nrsfm_learn, name)
        known = cls().get_params()
        settings = {k: v for k, v in {**parameters, **fixed}.items() if k in known}

        def seconds(n_frames, n_points, cls=cls, settings=settings):
            data = make_low_rank(
                n_frames=n_frames, n_points=n_points, rank=4, noise=0.01, random_state=0
            )
            times = []
            for _ in range(rounds):
                began = time.process_time()
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    cls(**settings).fit(data.W)
                times.append(time.process_time() - began)
            return min(times)

        seconds(100, 20)
        base, frames, points = seconds(300, 40), seconds(1200, 40), seconds(300, 160)
        exponents = [math.log2(longer / base) / 2 for longer in (frames, points)]
        print(
            f"{method:18s}{exponents[0]:9.2f}{exponents[1]:9.2f}"
            f"    {base:.2f}, x4 frames {frames:.2f}, x4 points {points:.2f}",
            flush=True,
        )
    print()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = ("table", "missing", "doubling")
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--sequences", nargs="+", choices=SEQUENCES, default=SEQUENCES)
    parser.add_argument("--rounds", type=int, default=2, help="of doubling; the fastest counts")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    if "table" in args.parts:
        rows = table(args.methods, args.sequences, 0.0, args.threads)
        compare(rows, args.sequences)
    if "missing" in args.parts:
        print("30% of the keypoints missing")
        native = [m for m in args.methods if m in WITH_MISSING]
        kept = [s for s in args.sequences if s in ("drink", "pickup", "stretch")]
        if not native or not kept:
            parser.error("missing: none of these methods or sequences are measured there.")
        table(native, kept, 0.3, args.threads)
    if "doubling" in args.parts:
        doubling(args.methods, args.rounds, args.threads)


if __name__ == "__main__":
    main()
