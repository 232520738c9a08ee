"""What time in the data is worth: PRN, temporal terms, and what they cost.

    python benchmarks/bench_sequences.py gradient  # exactness, and cost against the forward pass
    python benchmarks/bench_sequences.py prn --subjects 2 5 --budget 60
    python benchmarks/bench_sequences.py missing --subjects 5
    python benchmarks/bench_sequences.py temporal --subjects 5
    python benchmarks/bench_sequences.py throughput

The parts ``prn``, ``missing`` and ``temporal`` read the CMU recordings below NRSFM_LEARN_DATA, with
smooth cameras. In ``prn`` and ``temporal`` every method gets the same processor time, ``--budget``
seconds: a few iterations are timed, and ``max_iter`` is what fits, so that schedules decay to their
end; ``missing`` has the default settings. The last fifth of the clips is not fitted, and lifted by
``transform``. Times are processor times of one thread.
"""

import argparse
import os
import time

import numpy as np
import torch

from nrsfm_learn import C3DPO, PAUL, PRN, DeepNRSfMPP
from nrsfm_learn.datasets import load_cmu_joints, make_articulated_body
from nrsfm_learn.deep.nn import ProcrusteanNetwork
from nrsfm_learn.geometry import aligned_nuclear_norm
from nrsfm_learn.metrics import normalized_error

PARTS = ("gradient", "prn", "missing", "temporal", "throughput")
_PROBE = 30


def clock(function, repeats=15):
    """Return the median processor time of a call, seconds."""
    function()
    times = []
    for _ in range(repeats):
        begin = time.process_time()
        function()
        times.append(time.process_time() - begin)
    return float(np.median(times))


def windows_of_a_body(n_windows):
    """Return shapes (n_windows, 32, 31, 3) in the camera frame, a little off the truth."""
    body = make_articulated_body(32 * n_windows, views="smooth", clips=n_windows, random_state=0)
    X = body.X - body.X.mean(1, keepdims=True)
    X = X / np.sqrt(np.square(X).sum(-1).mean())
    X = X + 0.05 * np.random.default_rng(0).normal(size=X.shape)
    return torch.tensor(X).unflatten(0, (n_windows, 32))


def gradient():
    """Compare the gradient with finite differences, and its cost with that of the value."""
    X = windows_of_a_body(1)[0].requires_grad_()
    (found,) = torch.autograd.grad(aligned_nuclear_norm(X), X)
    rng, worst, h = torch.Generator().manual_seed(0), 0.0, 1e-3
    for _ in range(20):
        direction = torch.randn(X.shape, generator=rng, dtype=X.dtype)
        direction /= direction.norm()
        with torch.no_grad():
            a, b, c, d = (
                aligned_nuclear_norm(X + step * h * direction).item() for step in (-2, -1, 1, 2)
            )
        slope = (a - 8 * b + 8 * c - d) / (12 * h)
        worst = max(worst, abs((found * direction).sum().item() - slope))
    print(f"gradient along 20 directions: off by {worst / found.norm().item():.1e} of its norm")
    for dtype in (torch.float64, torch.float32):
        for n_windows in (1, 8):
            X = windows_of_a_body(n_windows).to(dtype).requires_grad_()

            def value(X=X):
                return aligned_nuclear_norm(X, tol=1e-4).sum()

            with torch.no_grad():
                forward = clock(value)
            backward = clock(lambda X=X, value=value: torch.autograd.grad(value(), X)) - forward
            print(
                f"{str(dtype)[6:]}, {n_windows} windows of 32 x 31: value {1e3 * forward:.1f} ms, "
                f"gradient {1e3 * backward:.1f} ms, {backward / forward:.2f} of it",
                flush=True,
            )


def recording(subject, missing=0.0):
    """Return W, X, groups and which frames are of the last fifth of the clips."""
    data = load_cmu_joints(subject, os.environ["NRSFM_LEARN_DATA"], views="smooth")
    W = data.W.copy()
    W[np.random.default_rng(1000).random(W.shape[:2]) < missing] = np.nan
    return W, data.X, data.groups, data.groups >= np.quantile(data.groups, 0.8)


def fit_within(estimator, W, groups, budget):
    """Fit with as many iterations as the budget of processor time has room for."""
    times = []
    for max_iter in (_PROBE, 3 * _PROBE):
        probe = type(estimator)(**{**estimator.get_params(), "max_iter": max_iter})
        begin = time.process_time()
        probe.fit(W, groups=groups)
        times.append(time.process_time() - begin)
    step = (times[1] - times[0]) / (2 * _PROBE)
    left = budget - (times[0] - _PROBE * step)
    estimator.set_params(max_iter=max(_PROBE, int(left / step)))
    begin = time.process_time()
    estimator.fit(W, groups=groups)
    return time.process_time() - begin


def report(name, estimator, W, X, groups, new, budget=None):
    """Fit within the budget or by the defaults, and print errors on seen and unseen clips."""
    begin = time.process_time()
    if budget is None:
        estimator.fit(W[~new], groups=groups[~new])
    seconds = time.process_time() - begin
    if budget is not None:
        seconds = fit_within(estimator, W[~new], groups[~new], budget)
    seen = normalized_error(X[~new], estimator.reconstruction_, protocol="procrustes")
    unseen = normalized_error(X[new], estimator.transform(W[new]), protocol="procrustes")
    print(
        f"{name}: NE-procrustes% seen {100 * seen:.2f}  unseen {100 * unseen:.2f}  "
        f"({seconds:.0f} s, {estimator.n_iter_} iterations)",
        flush=True,
    )
    return seen, unseen


def prn(args):
    """Compare methods at equal training time."""
    methods = {"PRN": PRN, "C3DPO": C3DPO, "DeepNRSfMPP": DeepNRSfMPP}
    for subject in args.subjects:
        data = recording(subject)
        for name in args.methods or methods:
            estimator = methods[name](n_init=1, random_state=args.seed, device=args.device)
            report(f"S{subject:02d} {name}", estimator, *data, args.budget)


def missing(args):
    """Compare PRN with and without missing keypoints, after as many iterations."""
    for subject in args.subjects:
        errors = []
        for fraction in (0.0, 0.2):
            estimator = PRN(random_state=args.seed, device=args.device)
            name = f"S{subject:02d} PRN {100 * fraction:.0f}% missing"
            errors.append(report(name, estimator, *recording(subject, fraction)))
        ratio = np.divide(errors[1], errors[0])
        print(f"S{subject:02d} ratio: seen {ratio[0]:.2f}  unseen {ratio[1]:.2f}", flush=True)


def jitter(X, groups):
    """Return the mean second difference of the points within clips, over their size."""
    X = X - X.mean(1, keepdims=True)
    within = (groups[2:] == groups[1:-1]) & (groups[1:-1] == groups[:-2])
    bends = np.diff(X, n=2, axis=0)[within]
    return np.linalg.norm(bends, axis=(1, 2)).mean() / np.linalg.norm(X, axis=(1, 2)).mean()


def temporal(args):
    """Print error and jitter of canonical shapes for several weights."""
    for subject in args.subjects:
        W, X, groups, new = recording(subject)
        print(f"S{subject:02d} jitter of the truth {100 * jitter(X, groups):.2f}%")
        for cls in (PAUL, DeepNRSfMPP):
            for weight in (0.0, 0.1, 1.0):
                estimator = cls(n_init=1, temporal_weight=weight, random_state=args.seed)
                if cls is PAUL:
                    # Keypoints kept where they were seen would hide what the network does.
                    estimator.set_params(keep_observed=False)
                name = f"S{subject:02d} {cls.__name__} temporal_weight={weight}"
                report(name, estimator, W, X, groups, new, args.budget)
                found = jitter(estimator.shapes_, groups[~new])
                print(f"    jitter of the canonical shapes {100 * found:.2f}%", flush=True)


def throughput(args):
    """Print frames per second of training and lifting, and of the bare matrix products."""
    body = make_articulated_body(4096, views="smooth", random_state=0)
    for width in (256, 1024):
        model = PRN(width=width, random_state=0, device=args.device)
        times = []
        for max_iter in (5, 15):
            begin = time.process_time()
            model.set_params(max_iter=max_iter).fit(body.W, groups=body.groups)
            times.append(time.process_time() - begin)
        step = (times[1] - times[0]) / 10
        lift = clock(lambda model=model: model.transform(body.W), 3)
        module = ProcrusteanNetwork(31, width)
        layers = [m.weight.detach() for m in module.modules() if isinstance(m, torch.nn.Linear)]
        x, y = ([torch.randn(256, w.shape[k]) for w in layers] for k in (1, 0))

        def forward(x=x, layers=layers):
            return [a @ w.T for a, w in zip(x, layers, strict=True)]

        def backward(x=x, y=y, layers=layers):
            return [(b @ w, b.T @ a) for a, b, w in zip(x, y, layers, strict=True)]

        bare_lift = clock(forward)
        bare = bare_lift + clock(backward)
        print(
            f"width {width}: training {256 / step:.0f} frames/s, products alone {256 / bare:.0f}; "
            f"lifting {len(body.W) / lift:.0f} frames/s, products alone {256 / bare_lift:.0f}",
            flush=True,
        )


def main():
    """Run the parts asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="+", choices=PARTS)
    parser.add_argument("--subjects", type=int, nargs="+", default=[5])
    parser.add_argument("--methods", nargs="+", default=None)
    parser.add_argument("--budget", type=float, default=60.0, help="processor seconds of a fit")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for part in args.parts:
        if part == "gradient":
            gradient()
        else:
            globals()[part](args)


if __name__ == "__main__":
    main()
