"""The main job: a walking body, seen by random cameras, reconstructed and judged.

``python -m nrsfm_learn.demo`` makes an articulated body of 31 joints with a fifth of its keypoints
hidden, fits :class:`~nrsfm_learn.DeepNRSfMPP` to most of its clips, prints the errors by protocol
on those and on the clips held out, and writes a picture and a report.
"""

# ruff: noqa: T201

import argparse
import time
from pathlib import Path

import numpy as np

from .datasets import make_articulated_body

FRAMES, ITERATIONS = 2500, 2000
QUICK_FRAMES, QUICK_ITERATIONS = 600, 300
# Many short clips: the held-out ones differ in style, and few styles would not carry over to them.
FRAMES_PER_CLIP = 50
MISSING = 0.2
HELD_OUT = 0.2
# Not the defaults, but the best found for a walk within two minutes: a larger bottleneck, and a
# second unrolled iteration in place of completing the frames.
SETTINGS = {"k_last": 16, "batch_size": 128, "n_unrolled": 2, "n_completions": 0}


def main(argv=None):
    """Run the main job.

    Parameters
    ----------
    argv : sequence of str, default=None
        Command line, without the program's name; that of the process if None.

    Returns
    -------
    int
        Exit status, 0.
    """
    options = _parser().parse_args(argv)
    quick = (QUICK_FRAMES, QUICK_ITERATIONS) if options.quick else (FRAMES, ITERATIONS)
    n_frames = options.frames or quick[0]
    max_iter = options.iterations or quick[1]
    folder = Path(options.output)
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()

    print(f"Making a walking body: {n_frames} frames, random orthographic cameras ...", flush=True)
    body, held_out = make_data(n_frames, options.seed)
    n_held_out = np.count_nonzero(held_out)
    print(
        f"  {body.W.shape[1]} joints, {1 - body.visible.mean():.0%} of them hidden; "
        f"{n_frames - n_held_out} frames to fit, {n_held_out} frames of other clips held out"
    )

    # Loading torch takes seconds: the lines above show at once that something is going on.
    from .deep import DeepNRSfMPP

    print(f"Fitting DeepNRSfMPP, {max_iter} iterations ...", flush=True)
    model = DeepNRSfMPP(**SETTINGS, max_iter=max_iter, random_state=options.seed, verbose=True)
    fit_began = time.monotonic()
    model.fit(body.W[~held_out])
    fit_seconds = time.monotonic() - fit_began

    for name, chosen in {"fitted frames": ~held_out, "held-out frames": held_out}.items():
        print(f"\n{name.capitalize()}\n{judge(model, body.W[chosen], body.X[chosen])}")
    written = write_results(folder, model, body, held_out, fit_seconds)
    print("\nWritten:", *written, sep="\n  ")
    print(f"Done in {time.monotonic() - began:.0f} s, {fit_seconds:.0f} s of them fitting.")
    return 0


def make_data(n_frames, seed):
    """Generate the body and choose the clips to hold out.

    Parameters
    ----------
    n_frames : int
        Frames of all clips together.
    seed : int
        Of the body, its motion, the cameras and the hiding.

    Returns
    -------
    body : Bunch
        See :func:`nrsfm_learn.datasets.make_articulated_body`.
    held_out : ndarray of bool of shape (n_frames,)
        True in the last fifth of the clips.
    """
    clips = max(5, n_frames // FRAMES_PER_CLIP)
    body = make_articulated_body(
        n_frames, motion="walk", clips=clips, missing=MISSING, random_state=seed
    )
    return body, body.groups >= clips - max(1, round(HELD_OUT * clips))


def judge(model, W, X_true):
    """Lift keypoints and lay out score and errors as text.

    Parameters
    ----------
    model : object
        Fitted estimator.
    W : ndarray of shape (n_frames, n_points, 2)
        Keypoints, NaN where hidden.
    X_true : ndarray of shape (n_frames, n_points, 3)
        Ground truth, metres.

    Returns
    -------
    str
        Lines of text.
    """
    from .metrics import evaluate, format_report

    errors = format_report(evaluate(X_true, model.transform(W)), unit="m")
    return f"score, R^2 on hidden keypoints: {model.score(W):.3f}\n{errors}"


def write_results(folder, model, body, held_out, fit_seconds):
    """Write the picture and the report.

    Parameters
    ----------
    folder : pathlib.Path
        Where.
    model : object
        Fitted estimator.
    body : Bunch
        The data.
    held_out : ndarray of bool of shape (n_frames,)
        Frames that were not fitted.
    fit_seconds : float
        Wall time of the fit.

    Returns
    -------
    list of pathlib.Path
        The files.
    """
    from matplotlib.figure import Figure

    from .plotting import ReconstructionDisplay
    from .report import write_report

    picture = folder / "reconstruction.png"
    display = ReconstructionDisplay.from_estimator(
        model,
        body.W[held_out],
        X_true=body.X[held_out],
        edges=body.edges,
        fig=Figure(figsize=(9.4, 7.9), layout="constrained", facecolor="white"),
    )
    display.figure_.savefig(picture, dpi=150)
    report = write_report(
        folder / "report.html",
        model,
        body.W[~held_out],
        X_true=body.X[~held_out],
        edges=body.edges,
        names=body.names,
        title="A walking body in 3-D from single views",
        held_out={"W": body.W[held_out], "X_true": body.X[held_out]},
        unit="m",
        fit_seconds=fit_seconds,
    )
    return [picture, report]


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m nrsfm_learn.demo",
        description="Reconstruct a generated walking body from 2-D keypoints with 20% hidden.",
    )
    parser.add_argument(
        "--output", default="demo_output", metavar="DIR", help="folder to write to (%(default)s)"
    )
    parser.add_argument(
        "--frames", type=_at_least(20), metavar="N", help=f"frames to generate ({FRAMES})"
    )
    parser.add_argument(
        "--iterations", type=_at_least(1), metavar="N", help=f"training iterations ({ITERATIONS})"
    )
    parser.add_argument("--seed", type=_at_least(0), default=0, metavar="S", help="seed (0)")
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"a first look: {QUICK_FRAMES} frames, {QUICK_ITERATIONS} iterations",
    )
    return parser


def _at_least(minimum):
    def integer(text):
        value = int(text)
        if value < minimum:
            raise argparse.ArgumentTypeError(f"{value} is less than {minimum}")
        return value

    return integer


if __name__ == "__main__":
    raise SystemExit(main())
