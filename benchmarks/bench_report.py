"""How large is a report, and how many frames a second does its view draw?

    python benchmarks/bench_report.py
    python benchmarks/bench_report.py --frames 2000 --points 100 --seconds 5

Writes the report of a generated body with ground truth and opens it in headless Chromium, which
needs playwright and Chromium. Prints the file's size, the time to write it and to show it, and the
frames drawn in a few seconds of playing at 1 and at 4 times the speed: at 30 and 120 frames a
second, of which a screen of 60 Hz can show 60.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright
from sklearn.base import BaseEstimator

from nrsfm_learn.datasets import make_articulated_body
from nrsfm_learn.report import write_report


class Given(BaseEstimator):
    """Stands for a fitted method, whose fit would be most of the time."""

    def fit(self, W, y=None):
        """Do nothing."""
        self.fitted_ = True
        return self

    def transform(self, W):
        """Give every point the depth zero."""
        W = np.nan_to_num(W)
        return np.concatenate([W, np.zeros_like(W[..., :1])], axis=-1)

    def inverse_transform(self, X):
        """Project orthographically."""
        return X[..., :2]


def write(folder, n_frames, n_points):
    """Write the report; return its path and the seconds that took."""
    body = make_articulated_body(
        n_frames, clips=1, views="smooth", missing=0.15, noise=0.01, random_state=0
    )
    points = np.arange(n_points) % 31
    W, X = body.W[:, points], body.X[:, points]
    lifted = X + np.random.default_rng(0).normal(scale=0.03, size=X.shape)
    start = time.perf_counter()
    path = write_report(
        folder / "report.html",
        Given().fit(W),
        W,
        X_true=X,
        edges=[edge for edge in body.edges if max(edge) < n_points],
        names=[f"{body.names[p]} {k // 31}" for k, p in enumerate(points)],
        groups=body.groups,
        confidence=np.full(W.shape[:2], 0.5),
        reconstruction=lifted,
        unit="m",
        viewer_frames=n_frames,
    )
    return path, time.perf_counter() - start


def frames_per_second(page, seconds):
    """Play and count what was drawn."""
    count = "() => [Number(document.getElementById('viewer').dataset.drawn), performance.now()]"
    page.click("[data-role=play]")
    before = page.evaluate(count)
    page.wait_for_timeout(1000 * seconds)
    after = page.evaluate(count)
    page.click("[data-role=play]")
    return 1000 * (after[0] - before[0]) / (after[1] - before[1])


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--points", type=int, default=31)
    parser.add_argument("--seconds", type=float, default=3.0, help="of playing, at each speed")
    options = parser.parse_args()
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path, seconds = write(Path(folder), options.frames, options.points)
        print(f"{options.frames:,} frames x {options.points} points")
        print(f"file           {path.stat().st_size / 1e6:8.2f} MB")
        print(f"written in     {seconds:8.2f} s")
        browser = playwright.chromium.launch(
            executable_path=next(filter(None, map(shutil.which, names)), None),
            args=["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"],
        )
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        start = time.perf_counter()
        page.goto(path.as_uri())
        page.wait_for_selector("#viewer[data-drawn]")
        print(f"shown in       {time.perf_counter() - start:8.2f} s")
        for speed in ("1", "4"):
            page.select_option("[data-role=speed]", speed)
            drawn = frames_per_second(page, options.seconds)
            print(f"drawn at {speed} x   {drawn:8.1f} frames/s")
        browser.close()


if __name__ == "__main__":
    main()
