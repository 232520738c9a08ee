"""Seconds to read and write a million keypoints in the formats that hold that many.

python benchmarks/bench_files.py
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from nrsfm_learn import io

N_POINTS = 10


def long_csv(path, data):
    rows = ["frame,keypoint,x,y,confidence"]
    for frame, (W, confidence) in enumerate(zip(data.W, data.confidence, strict=True)):
        rows += [
            f"{frame},{name},{x},{y},{c}"
            for name, (x, y), c in zip(data.names, W, confidence, strict=True)
        ]
    path.write_text("\n".join(rows) + "\n")


def deeplabcut(path, data):
    columns = [(name, c) for name in data.names for c in ("x", "y", "likelihood")]
    values = np.concatenate([data.W, data.confidence[..., None]], -1).reshape(len(data), -1)
    head = [["scorer", *["net"] * len(columns)], ["bodyparts", *(n for n, _ in columns)]]
    head.append(["coords", *(c for _, c in columns)])
    rows = [[str(k), *map(str, row)] for k, row in enumerate(values.tolist())]
    path.write_text("\n".join(map(",".join, head + rows)) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keypoints", type=int, default=1_000_000)
    n_frames = parser.parse_args().keypoints // N_POINTS
    rng = np.random.default_rng(0)
    data = io.Keypoints(
        np.round(rng.uniform(0, 1000, (n_frames, N_POINTS, 2)), 3),
        confidence=np.round(rng.uniform(0.7, 1, (n_frames, N_POINTS)), 3),
    )
    writers = {
        "csv, one row a point": ("long.csv", long_csv),
        "csv, one row a frame": ("wide.csv", io.write),
        "json": ("own.json", io.write),
        "npz": ("own.npz", io.write),
        "DeepLabCut csv": ("dlc.csv", deeplabcut),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, (file, writer) in writers.items():
            path, began = Path(folder, file), time.perf_counter()
            writer(path, data)
            written = time.perf_counter()
            read = io.read(path)
            seconds = time.perf_counter() - written
            assert np.array_equal(read.W, data.W)
            ours = f"write {written - began:4.1f} s" if writer is io.write else ""
            print(f"{name:22s} read {seconds:4.1f} s  {ours}", flush=True)


if __name__ == "__main__":
    main()
