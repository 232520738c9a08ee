"""What many starts cost, whether training them together pays, and what tells them apart.

    python benchmarks/bench_multistart.py --threads 2  # everything
    python benchmarks/bench_multistart.py --parts fit --max-iter 4000
    python benchmarks/bench_multistart.py --parts criteria --subject 5

``fit`` times whole fits with one start and with several, in turn. ``rung`` times the steps of a
rung's starts with stacked parameters against one start after the other, in turn; Deep NRSfM++ only
knows the second way, since block soft thresholding has no vmap. ``criteria`` trains starts to the
end of the first rung and prints what each criterion says of each beside its true error, and the
rank correlation of the two: of the loss, the variation of neighbour distances, the cycle error,
1 - R^2 on hidden keypoints, and the score that is the default. Data are "pickup" (PAUL) and a
subject of the CMU database (Deep NRSfM++) if NRSFM_LEARN_DATA names them, generated bodies
otherwise.
"""

import argparse
import functools
import itertools
import os
import statistics
import time
from unittest import mock

import numpy as np
import torch
from scipy.stats import spearmanr

from nrsfm_learn import PAUL, DeepNRSfMPP
from nrsfm_learn._starts import lanes_of
from nrsfm_learn.datasets import load_cmu_joints, load_short_sequence, make_articulated_body
from nrsfm_learn.deep import _base
from nrsfm_learn.metrics import normalized_error
from nrsfm_learn.model_selection import cycle_error, hidden_keypoint_score

# Iteration of the steps that are timed: all terms of the objectives count by then.
ITERATION = 500
MAX_GRAD_NORM = 10.0


def datasets(subject):
    """Return (name, data, estimator) for PAUL and for Deep NRSfM++."""
    if "NRSFM_LEARN_DATA" in os.environ:
        sequence, views = load_short_sequence("pickup"), load_cmu_joints(subject)
        return [("pickup", sequence, PAUL), (f"S{subject:02d}", views, DeepNRSfMPP)]
    sequence = make_articulated_body(357, clips=1, views="smooth", random_state=0)
    views = make_articulated_body(384, random_state=0)
    return [("body, smooth views", sequence, PAUL), ("body, random views", views, DeepNRSfMPP)]


def error(data, X):
    """Return the normalised error, protocol procrustes, in percent."""
    return 100 * normalized_error(data.X, X, protocol="procrustes")


def synchronize(device):
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def in_turn(functions, rounds, device):
    """Return the median seconds of each function, called in turn."""
    times = [[] for _ in functions]
    for _ in range(rounds):
        for seconds, function in zip(times, functions, strict=True):
            synchronize(device)
            began = time.perf_counter()
            function()
            synchronize(device)
            seconds.append(time.perf_counter() - began)
    return [statistics.median(seconds) for seconds in times]


# -- whole fits
# -----------------------------------------------------------------------------------------


def time_fits(args, device):
    """Print the wall time of a fit with one start and with several, and their ratio."""
    for name, data, estimator in datasets(args.subject):
        models = [
            estimator(n_init=n, max_iter=args.max_iter, device=device, random_state=0)
            for n in (1, args.starts)
        ]
        models[0].set_params(max_iter=2).fit(data.W)
        models[0].set_params(max_iter=args.max_iter)
        fits = [functools.partial(model.fit, data.W) for model in models]
        one, several = in_turn(fits, args.fit_rounds, device)
        errors = [error(data, model.reconstruction_) for model in models]
        print(
            f"{device.type:5} {estimator.__name__:12} {name:20} {args.max_iter} iterations: "
            f"1 start {one:7.1f} s  {args.starts} starts {several:7.1f} s  "
            f"ratio {several / one:.2f}  errors {errors[0]:.2f}, {errors[1]:.2f}%",
            flush=True,
        )


# -- the steps of a rung
# -----------------------------------------------------------------------------------------


class Captured(Exception):
    """Carries the starts of a fit out of it."""


def starts_of(estimator, W):
    """Return the starts that a fit begins with."""

    def capture(starts, *args, **kwargs):
        raise Captured(starts)

    with mock.patch.object(_base, "train_starts", capture):
        try:
            estimator.fit(W)
        except Captured as captured:
            return captured.args[0]
    raise RuntimeError("the fit did not train")


def stepper(estimator, W, batch, n_steps, *, together):
    """Return a function that takes some steps of all starts of an estimator."""
    lanes = lanes_of(starts_of(estimator, W), together=together, learning_rate=1e-3)
    device = lanes[0].parameters[0].device
    generator = torch.Generator(device=device).manual_seed(0)

    def steps():
        for iteration in range(ITERATION, ITERATION + n_steps):
            index = torch.randint(len(W), (batch,), generator=generator, device=device)
            for lane in lanes:
                lane.step(index, iteration, 1e-3, MAX_GRAD_NORM)

    steps()
    return steps


def time_rungs(args, device):
    """Print the time of one step of all starts, together and one after the other."""
    cases = itertools.product(datasets(args.subject), args.batches, args.stacks)
    for (name, data, estimator), batch, n_starts in cases:
        model = estimator(n_init=n_starts, max_iter=2 * ITERATION, device=device, random_state=0)
        kinds = (True, False) if estimator is PAUL else (False,)
        ways = [stepper(model, data.W, batch, args.steps, together=kind) for kind in kinds]
        *together, apart = (1e3 * s / args.steps for s in in_turn(ways, args.rounds, device))
        both = "sequential only"
        if together:
            both = f"together {together[0]:7.1f} ms  gain {apart / together[0]:.2f}"
        print(
            f"{device.type:5} {estimator.__name__:12} {name:20} batch {batch} {n_starts:2} starts: "
            f"one by one {apart:7.1f} ms  {both}",
            flush=True,
        )


# -- what tells starts apart
# -----------------------------------------------------------------------------------------


class RungEnded(Exception):
    """The first rung has been looked at: the rest of the fit is not needed."""


def criteria_of_starts(estimator, data, n_starts):
    """Return a dict of lists: each criterion, and the true error, of starts after a rung."""
    table = {}
    original = _base.start_criteria

    def record(estimator, module, observations, loss):
        found = original(estimator, module, observations, loss)
        probe = estimator._with_module(module)
        X = probe._lift(observations).X
        row = {
            "error": error(data, X),
            "loss": loss,
            "distance": found["neighbor_distance"],
            "cycle": cycle_error(probe, data.W),
            "hidden": 1 - hidden_keypoint_score(probe, data.W),
            "default": found["score"],
        }
        for name, value in row.items():
            table.setdefault(name, []).append(value)
        if len(table["error"]) == n_starts:
            raise RungEnded
        return found

    with mock.patch.object(_base, "start_criteria", record):
        try:
            estimator.set_params(n_init=n_starts).fit(data.W)
        except RungEnded:
            return table
    raise RuntimeError("the fit ended before its first rung did")


def print_criteria(args, device):
    """Print the table of starts and the rank correlation of each criterion with the error."""
    for name, data, estimator in datasets(args.subject):
        model = estimator(device=device, random_state=args.seed, max_iter=args.criteria_max_iter)
        table = criteria_of_starts(model, data, args.starts)
        errors = np.array(table["error"])
        print(f"{estimator.__name__}, {name}: {args.starts} starts at the end of the first rung")
        print("  error" + "".join(f"{column:>10}" for column in list(table)[1:]))
        for row in np.argsort(errors):
            values = [table[column][row] for column in list(table)[1:]]
            print(f"{errors[row]:6.2f}%" + "".join(f"{value:10.4f}" for value in values))
        for column in list(table)[1:]:
            rank = spearmanr(table[column], errors).statistic
            chosen = errors[np.argmin(table[column])]
            print(f"{column:>10}: rank correlation {rank:5.2f}, chooses {chosen:.2f}%")
        print(flush=True)


def main():
    """Run the parts asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = {"fit": time_fits, "rung": time_rungs, "criteria": print_criteria}
    parser.add_argument("--parts", nargs="+", choices=names, default=list(names))
    parser.add_argument("--starts", type=int, default=16)
    parser.add_argument("--max-iter", type=int, default=1000, help="of the fits that are timed")
    parser.add_argument("--fit-rounds", type=int, default=1, help="pairs of fits timed in turn")
    parser.add_argument("--stacks", type=int, nargs="+", default=[4, 8, 16])
    parser.add_argument("--batches", type=int, nargs="+", default=[100, 256])
    parser.add_argument("--steps", type=int, default=5, help="steps timed together")
    parser.add_argument("--rounds", type=int, default=9, help="pairs of steps timed in turn")
    parser.add_argument("--criteria-max-iter", type=int, help="default: that of the estimators")
    parser.add_argument("--subject", type=int, default=18)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {device}", flush=True)
    for part in args.parts:
        names[part](args, device)


if __name__ == "__main__":
    main()
