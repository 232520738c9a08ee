"""NRSfMFormer: what each of its terms is worth, and how fast it trains and lifts.

    python benchmarks/bench_former.py --parts speed  # CPU, and CUDA where one is present
    python benchmarks/bench_former.py --parts ablation --data S05 --seconds 1200  # hours
    python benchmarks/bench_former.py --parts ablation --data S05 --seconds 480 --rows full prior

The ablation is that of table 3 of the publication, on clips that were not trained on, with smooth
cameras: one of the terms left out at a time, and with a prior that was trained on the 3-D of
*other* subjects. It reads the joints of CMU motion capture from the folder that NRSFM_LEARN_DATA
names. Every row trains for the same processor time of one thread, and PRN too.
"One sign a clip" is the Frobenius ratio with the better of the two signs of depth of each clip;
"the prior's sign" the same with the sign that the prior chooses for each clip or frame
(``depth_signs``), printed for all rows if any has a prior; "no sign" leaves depth as it came.

The products and attentions of part "speed" are those of one training step, or of lifting, with the
same shapes on the same threads, timed in turn with it.
"""

import argparse
import os
import pathlib
import statistics
import time

import numpy as np
import torch
from torch.nn import functional

from nrsfm_learn import PRN, NRSfMFormer
from nrsfm_learn._deadline import stop_when
from nrsfm_learn.datasets import make_camera_path
from nrsfm_learn.deep._frames import Frames
from nrsfm_learn.deep._motion_objective import MotionObjective
from nrsfm_learn.deep.nn import MotionNetwork
from nrsfm_learn.flips import mirror_depth
from nrsfm_learn.metrics import normalized_error
from nrsfm_learn.priors import DiffusionPosePrior, depth_signs

SUBJECTS = ("S01", "S02", "S05")
# Rows of the ablation: settings on top of the defaults.
ROWS = {
    "full": {},
    "no reference shape": {"reference": False},
    "no alignment": {"alignment_weight": 0.0},
    "no smoothness": {"shape_smoothness": 0.0, "rotation_smoothness": 0.0},
    "no nuclear norm": {"rank_weight": 0.0},
    "and rigidity": {"rigidity_weight": 0.05},
    "and the cycle": {"cycle_weight": 0.1},
    "consecutive frames": {"frame_step": 1},
    "printed terms only": {"rank_weight": 0.0},
    "prior": {},
    "prior, weight 0.2": {"prior_weight": 0.2},
    "printed terms and prior": {"rank_weight": 0.0},
}


# -- ablation
# -----------------------------------------------------------------------------------------


def clips_of(name, folder, seed=0):
    """Return keypoints, camera-frame points and clips of a subject under smooth cameras."""
    with np.load(pathlib.Path(folder) / "cmu_joints_30hz" / f"{name}.npz") as data:
        X, groups = data["X"].astype(float), data["clip"].astype(int)
    X = X - X.mean(1, keepdims=True)
    X = X / np.linalg.norm(X, axis=(1, 2)).mean() * np.sqrt(X.shape[1])
    R = make_camera_path(len(X), groups=groups, random_state=seed)
    X = X @ R.swapaxes(1, 2)
    return X[..., :2].copy(), X, groups


def timed_fit(cls, settings, seconds, W, groups):
    """Fit for a time: as many iterations as fit into it, so that the schedule ends with it."""

    def run(n_iter):
        began = time.process_time()
        model = cls(**{**settings, "max_iter": n_iter}).fit(W, groups=groups)
        return model, time.process_time() - began

    _, short = run(5)
    _, long = run(25)
    n_iter = 5 + int((seconds - short) / max((long - short) / 20, 1e-3))
    with stop_when_over(1.5 * seconds):
        return run(max(25, n_iter))


def stop_when_over(seconds):
    """Return a context that ends training after a time: the probes may have been too hopeful."""
    began = time.process_time()
    return stop_when(lambda: time.process_time() - began > seconds)


def ablation(name, folder, rows, seconds, seed, prior_iter):
    """Print the error on unseen clips of each row."""
    W, X, groups = clips_of(name, folder)
    unseen = groups >= np.quantile(groups, 0.8)
    print(f"{name}: {np.count_nonzero(~unseen)} frames to train on, {unseen.sum()} unseen")

    def report(label, model, seconds_used):
        Y = model.transform(W[unseen], groups=groups[unseen])
        signed = {"no sign": Y, "one sign a clip": clip_signs(X[unseen], Y, groups[unseen])}
        if prior is not None:
            for kind, cut in (("clip", groups[unseen]), ("frame", np.arange(len(Y)))):
                signs = depth_signs(prior, Y, groups=cut, random_state=seed)[:, None, None]
                signed[f"the prior's sign a {kind}"] = np.where(signs < 0, mirror_depth(Y), Y)
        errors = {"NE-procrustes": normalized_error(X[unseen], Y, protocol="procrustes")}
        for kind, Z in signed.items():
            errors[kind] = normalized_error(X[unseen], Z, protocol="frobenius")
        told = "  ".join(f"{kind} {100 * error:6.2f}%" for kind, error in errors.items())
        print(f"{label:26s} {told}  {model.n_iter_} iterations, {seconds_used:.0f} s", flush=True)

    flat = X[unseen] * np.array([1.0, 1.0, 0.0])
    flat_error = 100 * normalized_error(X[unseen], flat, protocol="procrustes")
    print(f"{'(flat shapes)':26s} NE-procrustes {flat_error:6.2f}%")
    prior = None
    if any("prior" in label for label in rows):
        others = [clips_of(other, folder)[1] for other in SUBJECTS if other != name]
        prior = DiffusionPosePrior(views="vertical", max_iter=prior_iter, random_state=seed)
        prior.fit(np.concatenate(others))
    for label in rows:
        settings = {**ROWS.get(label, {}), "random_state": seed}
        if "prior" in label:
            settings["prior"] = prior
        cls = PRN if label == "PRN" else NRSfMFormer
        report(label, *timed_fit(cls, settings, seconds, W[~unseen], groups[~unseen]))


def clip_signs(X, Y, groups):
    """Give each clip the sign of depth with the smaller error."""
    Y = Y.copy()
    for clip in np.unique(groups):
        own = groups == clip
        hypotheses = Y[own], mirror_depth(Y[own])
        Y[own] = min(hypotheses, key=lambda Z: normalized_error(X[own], Z, protocol="frobenius"))
    return Y


# -- speed
# --------------------------------------------------------------------------------------------


def synchronize(device):
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def bare(module, n_windows, device, backward):
    """Return a function that does the products and attentions of the encoder's blocks alone."""
    encoder = module.encoder
    block = encoder.spatial[0]
    width, n_heads = block.output.in_features, block.n_heads
    length, n_tokens = encoder.window + 1, module.n_points + 1
    n = n_windows * length * n_tokens

    def randn(*shape):
        return torch.randn(*shape, device=device, requires_grad=backward)

    x = randn(n, width)
    weights = [randn(width, k * width) for k in (3, 1, 2)] + [randn(2 * width, width)]
    inputs = [x, x, x, randn(n, 2 * width)]
    attentions = [
        [randn(n_windows * many, n_heads, few, width // n_heads) for _ in range(3)]
        for many, few in ((length, n_tokens), (n_tokens, length))
    ]
    n_layers = len(encoder.spatial) + len(encoder.temporal)

    def run():
        with torch.set_grad_enabled(backward):
            for layer in range(n_layers):
                done = [a @ w for a, w in zip(inputs, weights, strict=True)]
                done.append(functional.scaled_dot_product_attention(*attentions[layer % 2]))
                if backward:
                    torch.autograd.backward(done, [torch.ones_like(d) for d in done])

    return run


def speed(width, n_blocks, n_heads, batch, n_points, window, device, repeats):
    """Print frames per second of a training step and of lifting, and of the bare work in them."""
    generator = torch.Generator(device).manual_seed(0)
    module = MotionNetwork(n_points, window, width=width, n_blocks=n_blocks, n_heads=n_heads)
    module = module.to(device)
    n_frames = batch * window
    points = torch.randn(n_frames, n_points, 2, device=device)
    ones = torch.ones(n_frames, n_points, device=device)
    frames = Frames(points - points.mean(1, keepdim=True), ones, ones[:, 0])
    windows = torch.arange(n_frames, device=device).unflatten(0, (batch, window))
    present = torch.ones(batch, window, device=device)
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-4, fused=True)
    everything = slice(None)

    def step_of(**terms):
        objective = MotionObjective(module, frames, windows, present, generator=generator, **terms)

        def step():
            objective.before_step(0)
            optimizer.zero_grad()
            objective(everything, 0).backward()
            optimizer.step()

        return step

    def lift():
        with torch.no_grad():
            module(frames.points[windows], frames.visible[windows])

    runs = {
        "training, printed terms": step_of(),
        "training, defaults": step_of(rank_weight=0.1),
        "bare, both ways": bare(module, batch, device, True),
        "lifting": lift,
        "bare, forward": bare(module, batch, device, False),
    }
    times = {name: [] for name in runs}
    for repeat in range(repeats + 1):
        for name, run in runs.items():
            synchronize(device)
            began = time.perf_counter()
            run()
            synchronize(device)
            if repeat:
                times[name].append(time.perf_counter() - began)
    seconds = {name: statistics.median(t) for name, t in times.items()}
    print(
        f"{device.type}, {torch.get_num_threads()} threads: width {width}, {n_blocks} blocks, "
        f"{n_heads} heads, {batch} windows of {window} frames of {n_points} points"
    )
    for name, bare_name in (
        ("training, printed terms", "bare, both ways"),
        ("training, defaults", "bare, both ways"),
        ("lifting", "bare, forward"),
    ):
        print(
            f"  {name:24s} {n_frames / seconds[name]:10.0f} frames/s   "
            f"{seconds[name] / seconds[bare_name]:5.2f} times the bare products and attentions"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", default=["speed"], choices=["speed", "ablation"])
    parser.add_argument("--data", nargs="+", default=["S05"], choices=SUBJECTS)
    parser.add_argument("--rows", nargs="+", default=["PRN", *ROWS], choices=["PRN", *ROWS])
    parser.add_argument("--seconds", type=float, default=1200, help="training time of each row")
    parser.add_argument("--prior-iter", type=int, default=5000, help="iterations of the prior")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    if "speed" in options.parts:
        sizes = [(64, 1, 4, 8), (64, 4, 8, 16), (32, 2, 4, 8)]
        devices = [torch.device("cpu")]
        if torch.cuda.is_available():
            devices.append(torch.device("cuda"))
        for device in devices:
            for size in sizes if device.type == "cpu" else [*sizes, (512, 4, 8, 128)]:
                speed(*size, 31, 27, device, options.repeats)
    if "ablation" in options.parts:
        folder = os.environ.get("NRSFM_LEARN_DATA")
        if not folder:
            parser.error("set NRSFM_LEARN_DATA to the folder with cmu_joints_30hz/")
        for name in options.data:
            ablation(name, folder, options.rows, options.seconds, options.seed, options.prior_iter)


if __name__ == "__main__":
    main()
