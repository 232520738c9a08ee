"""Mutated files through every reader: no crash, hang over 5 s, wrong exception or bad record.

    python benchmarks/fuzz_readers.py --files 20000

Each reader gets files that are damaged copies of a good one: bytes flipped, cut, repeated, moved,
numbers and marks replaced by hostile ones. A reader must return a record whose arrays agree with
each other, or raise FileFormatError (or the ValueError of a record that contradicts itself).
Readers in C libraries run in child processes, a quarter of a second each, and get fewer files.
Reading goes through ``io.read(path)`` (the format is recognised) for every second file and through
the format's own reader for the others.
"""

import argparse
import collections
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

import numpy as np

LIMIT = 5.0
CHILD_SHARE = 0.02
IN_CHILD = ("dlc_h5", "sleap", "c3d", "mat")
TOKENS = [
    b"nan", b"NaN", b"inf", b"-inf", b"1e999", b"Infinity", b"null", b"true", b"[]", b"{}", b'""',
    b"-1", b"0", b"99999999999999999999", b"1" * 5000, b"\x00", b"\xff\xfe", b"\xef\xbb\xbf",
    b"\r", b"\n\n", b",", b",,,,", b";", b"\t", b'"', b"[" * 3000, b"{" * 3000, b"x",
    b"\xe2\x80\xae",
    b"Frames: 999999999", b"CHANNELS 999999", b"JOINT a {", b"End Site", b"}", b"0x10", b"1_000",
    b"__import__('os').system('true')", b"cos\nsystem\n(S'true'\ntR.",
]  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--formats", nargs="*", help="only these")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for files that failed")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return work(options.worker, options.files, options.seed, options.keep)
    names = options.formats or list(SEEDS)
    total, failed = collections.Counter(), 0
    for name in names:
        n = share(name, names, options.files)
        counts, problems, seconds = supervise(name, n, options)
        total.update(counts)
        failed += len(problems)
        text = ", ".join(f"{v} {k}" for k, v in counts.most_common())
        print(f"{name:10s} {n:6d} files in {seconds:6.1f} s: {text}", flush=True)
        for problem in problems[:5]:
            print(f"    {problem}", flush=True)
    text = ", ".join(f"{v} {k}" for k, v in total.most_common())
    print(f"{sum(total.values())} files: {text}; {failed} problems")
    return 1 if failed else 0


def share(name, names, n_files):
    children = [n for n in names if n in IN_CHILD]
    if name in IN_CHILD:
        return max(1, int(CHILD_SHARE * n_files))
    return -(
        -(n_files - len(children) * int(CHILD_SHARE * n_files)) // (len(names) - len(children))
    )


def supervise(name, n, options):
    """Run the files of one format in a process of its own, again after each crash."""
    counts, problems, done, began = collections.Counter(), [], 0, time.monotonic()
    while done < n:
        command = [sys.executable, __file__, "--worker", name]
        command += ["--files", str(n - done), "--seed", str(options.seed + done)]
        command += ["--keep", str(options.keep)] if options.keep else []
        child = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = [json.loads(line) for line in child.stdout.splitlines() if line.startswith("{")]
        for line in lines:
            counts[line["outcome"]] += 1
            if line["problem"]:
                problems.append(line["problem"])
        done += len(lines)
        if done < n:
            counts["CRASH"] += 1
            problems.append(f"crash, exit {child.returncode}: {child.stderr[-300:]}")
            done += 1
    return counts, problems, time.monotonic() - began


def work(name, n, seed, keep):
    from nrsfm_learn import io

    warnings.simplefilter("ignore")
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        good = Path(folder, "good")
        good.mkdir()
        seeds = SEEDS[name](good)
        for path in seeds:
            io.read(path, format=name)
        for k in range(n):
            original = rng.choice(seeds)
            path, data = damage(original, Path(folder), rng)
            outcome, problem = attempt(io, path, name if k % 2 else None)
            if problem and keep:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{name}_{seed}_{k}{original.suffix}").write_bytes(data)
            print(json.dumps({"outcome": outcome, "problem": problem}), flush=True)
    return 0


def damage(original, folder, rng):
    """Write a damaged copy; of a folder, one file is damaged."""
    target = folder / f"bad{original.suffix}"
    if original.is_dir():
        target.mkdir(exist_ok=True)
        files = sorted(original.iterdir())
        victim = rng.choice(files)
        for file in files:
            (target / file.name).write_bytes(file.read_bytes())
        data = mutate(victim.read_bytes(), rng)
        (target / victim.name).write_bytes(data)
        return target, data
    data = mutate(original.read_bytes(), rng)
    target.write_bytes(data)
    for beside in original.parent.glob(f"{original.stem}.asf"):
        (folder / "bad.asf").write_bytes(beside.read_bytes())
    return target, data


def mutate(data, rng):
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 3, 8])):
        if not data:
            break
        kind = rng.randrange(12)
        i, j = sorted(rng.randrange(len(data) + 1) for _ in range(2))
        short = min(j, i + rng.randrange(1, 64))
        if kind == 0:
            data[min(i, len(data) - 1)] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del data[i:]
        elif kind == 2:
            del data[i:short]
        elif kind == 3:
            data[i:i] = rng.choice(TOKENS)
        elif kind == 4:
            data[i:short] = rng.choice(TOKENS)
        elif kind == 5:
            data[i:i] = data[i:short] * rng.choice([1, 2, 50])
        elif kind == 6:
            data[i:short] = bytes(rng.randrange(256) for _ in range(short - i))
        elif kind == 7:
            replace_number(data, rng)
        elif kind == 8:
            swap_lines(data, rng)
        else:
            # What most often leaves a file that can be read, and with a wrong count in it.
            change_digit(data, rng)
    return bytes(data)


def change_digit(data, rng):
    places = [k for k, byte in enumerate(data) if 48 <= byte <= 57]
    if places:
        data[rng.choice(places)] = rng.randrange(48, 58)


def replace_number(data, rng):
    places = [k for k, byte in enumerate(data) if 48 <= byte <= 57]
    if places:
        k = rng.choice(places)
        end = k
        while end < len(data) and (48 <= data[end] <= 57 or data[end] in b".eE-"):
            end += 1
        data[k:end] = rng.choice(TOKENS)


def swap_lines(data, rng):
    lines = bytes(data).split(b"\n")
    a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
    if rng.random() < 0.5:
        lines[a], lines[b] = lines[b], lines[a]
    else:
        del lines[a]
    data[:] = b"\n".join(lines)


class Hang(BaseException):
    """A reader that takes too long."""


def attempt(io, path, format):
    def stop(*_):
        raise Hang

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, LIMIT)
    try:
        record = io.read(path, format=format)
    except io.FileFormatError as error:
        return ("refused", "" if path.name.split(".")[0] in str(error) else f"no path: {error}")
    except Hang:
        return "HANG", f"over {LIMIT:g} s: {path}"
    except ValueError as error:
        known = "/_records.py" in traceback.format_exc()
        return ("refused by the record", "") if known else ("WRONG", describe(error))
    except Exception as error:
        return "WRONG", describe(error)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    problem = check(io, record)
    return ("WRONG RECORD" if problem else "read"), problem


def describe(error):
    place = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"{type(error).__name__}: {str(error)[:120]} ({Path(place.filename).name}:{place.lineno})"
    )


def check(io, record):
    """What must hold of every record, by code of this file's own."""
    if isinstance(record, io.Keypoints):
        n, p = record.visible.shape
        rows = {len(record.individual), len(record.frames), len(record.clips), len(record.groups)}
        wrong = [
            record.W.shape != (n, p, 2),
            not np.array_equal(np.isfinite(record.W).all(-1), record.visible),
            rows != {n},
            record.confidence is not None and record.confidence.shape != (n, p),
        ]
    else:
        n, p = record.X.shape[:2]
        wrong = [record.X.shape != (n, p, 3), np.isinf(record.X).any(), len(record.frames) != n]
    wrong += [len(record.names) != p, n == 0, p == 0]
    return "" if not any(wrong) else f"record is wrong: {wrong}"


# Good files, one function a format: folder -> paths. Layouts as their publishers document them.
NAMES = ("nose", "left ear", "right ear", "neck", "tail")
N, P = 12, len(NAMES)


def tracks(n_individuals=1):
    rng = np.random.default_rng(0)
    return np.round(rng.uniform(0, 500, (n_individuals, N, P, 2)), 3)


def dump(folder, name, value):
    path = folder / name
    path.write_text(json.dumps(value))
    return path


def coco(folder):
    W = tracks()[0]
    keypoints = [[v for x, y in frame for v in (x, y, 2)] for frame in W]
    category = {"id": 1, "name": "animal", "keypoints": NAMES, "skeleton": [[1, 2], [2, 3]]}
    truth = {
        "images": [{"id": k, "file_name": f"{k}.png"} for k in range(N)],
        "annotations": [
            {"id": k, "image_id": k, "category_id": 1, "keypoints": v, "num_keypoints": P,
             "bbox": [0, 0, 9, 9], "area": 81, "iscrowd": 0}
            for k, v in enumerate(keypoints)
        ],
        "categories": [category],
    }  # fmt: skip
    results = [
        {"image_id": k, "category_id": 1, "keypoints": v, "score": 0.5}
        for k, v in enumerate(keypoints)
    ]
    return [dump(folder, "truth.json", truth), dump(folder, "results.json", results)]


def openpose(folder):
    target = folder / "video"
    target.mkdir()
    rng = np.random.default_rng(0)
    for k in range(4):
        flat = np.round(rng.uniform(1, 500, 75), 2).tolist()
        person = {"person_id": [-1], "pose_keypoints_2d": flat, "face_keypoints_2d": [],
                  "hand_left_keypoints_2d": [], "hand_right_keypoints_2d": []}  # fmt: skip
        dump(target, f"video_{k:012d}_keypoints.json", {"version": 1.3, "people": [person]})
    return [target]


def mmpose(folder):
    W = tracks()[0].tolist()
    value = {
        "meta_info": {
            "keypoint_id2name": {str(k): name for k, name in enumerate(NAMES)},
            "skeleton_links": [[0, 1], [1, 2]],
        },
        "instance_info": [
            {"frame_id": k + 1, "instances": [{"keypoints": w, "keypoint_scores": [0.9] * P}]}
            for k, w in enumerate(W)
        ],
    }
    return [dump(folder, "mmpose.json", value)]


def mediapipe(folder):
    rng = np.random.default_rng(0)
    frames = [
        {"pose_landmarks": [[{"x": float(x), "y": float(y), "z": 0.1, "visibility": 0.9}
                             for x, y in rng.uniform(0, 1, (33, 2))]]}
        for _ in range(4)
    ]  # fmt: skip
    value = {"frames": frames, "fps": 30, "width": 640, "height": 480}
    return [dump(folder, "mediapipe.json", value)]


def own(suffix):
    def write(folder):
        from nrsfm_learn import io

        X = np.random.default_rng(0).normal(size=(N, P, 3))
        flat = io.Keypoints(
            tracks(2).reshape(2 * N, P, 2), names=NAMES, edges=[(0, 1)], fps=30,
            individuals=("a", "b"), individual=np.repeat([0, 1], N),
            confidence=np.full((2 * N, P), 0.5),
        )  # fmt: skip
        solid = io.Points3D(X, names=NAMES, edges=[(0, 1)], fps=30, unit="mm")
        return [
            io.write(folder / f"flat{suffix}", flat),
            io.write(folder / f"solid{suffix}", solid),
        ]

    return write


def solid(suffix):
    def write(folder):
        from nrsfm_learn import io

        X = np.random.default_rng(0).normal(size=(1, P, 3)) + np.linspace(0, 1, N)[:, None, None]
        edges = [(0, 1), (1, 2), (2, 3), (3, 4)]
        data = io.Points3D(X, names=NAMES, edges=edges, fps=30, unit="mm")
        return [io.write(folder / f"solid{suffix}", data)]

    return write


def tables(folder):
    """Csv files as others write them: long, and SLEAP's."""
    W = tracks()[0]
    long = ["frame,keypoint,x,y,likelihood"]
    sleap = ["track,frame_idx,instance.score," + ",".join(f"{n}.x,{n}.y,{n}.score" for n in NAMES)]
    for k, frame in enumerate(W):
        long += [f"{k},{name},{x},{y},0.9" for name, (x, y) in zip(NAMES, frame, strict=True)]
        sleap.append(f"mouse,{k},0.9," + ",".join(f"{x},{y},0.8" for x, y in frame))
    (folder / "long.csv").write_text("\n".join(long) + "\n")
    (folder / "sleap.csv").write_text("\n".join(sleap) + "\n")
    return [folder / "long.csv", folder / "sleap.csv", *own(".csv")(folder)]


def deeplabcut(n_individuals):
    coords = [
        (i, b, c) for i in range(n_individuals) for b in NAMES for c in ("x", "y", "likelihood")
    ]
    W = tracks(n_individuals)
    data = np.concatenate([W, np.full((*W.shape[:3], 1), 0.9)], -1)
    return coords, data.transpose(1, 0, 2, 3).reshape(N, -1)


def dlc_csv(folder):
    paths = []
    for n in (1, 2):
        coords, data = deeplabcut(n)
        head = [["scorer"] + ["DLC_resnet50"] * len(coords)]
        head += [["individuals"] + [f"mouse{i}" for i, _, _ in coords]] if n > 1 else []
        head += [["bodyparts"] + [b for _, b, _ in coords], ["coords"] + [c for *_, c in coords]]
        rows = [[str(k), *map(str, row)] for k, row in enumerate(data)]
        paths.append(folder / f"dlc{n}.csv")
        paths[-1].write_text("\n".join(",".join(line) for line in head + rows) + "\n")
    return paths


def dlc_h5(folder):
    import pandas as pd

    paths = []
    for n in (1, 2):
        coords, data = deeplabcut(n)
        levels = ["scorer", *(["individuals"] if n > 1 else []), "bodyparts", "coords"]
        columns = [("DLC", *([f"mouse{i}"] if n > 1 else []), b, c) for i, b, c in coords]
        frame = pd.DataFrame(data, columns=pd.MultiIndex.from_tuples(columns, names=levels))
        for kind in ("table", "fixed"):
            paths.append(folder / f"dlc{n}{kind}.h5")
            frame.to_hdf(paths[-1], key="df_with_missing", format=kind, mode="w")
    return paths


def sleap(folder):
    import h5py

    path = folder / "sleap.h5"
    with h5py.File(path, "w") as file:
        file["tracks"] = tracks(2).transpose(0, 3, 2, 1)
        file["track_names"] = [b"a", b"b"]
        file["node_names"] = [name.encode() for name in NAMES]
        file["edge_names"] = [[b"nose", b"neck"]]
        file["edge_inds"] = [[0, 3]]
        file["track_occupancy"] = np.ones((N, 2), np.uint8)
        file["point_scores"] = np.full((2, P, N), 0.9)
        file["instance_scores"] = np.full((2, N), 0.9)
        file["tracking_scores"] = np.full((2, N), 0.9)
    return [path]


def anipose(folder):
    X = np.random.default_rng(0).normal(size=(N, P, 3))
    head = [f"{name}_{c}" for name in NAMES for c in ("x", "y", "z", "error", "ncams", "score")]
    head += [f"M_{i}{j}" for i in range(3) for j in range(3)] + [f"center_{i}" for i in range(3)]
    lines = [",".join([*head, "fnum"])]
    for k, shape in enumerate(X):
        cells = [str(v) for x in shape for v in (*x, 1.5, 3, 0.9)] + ["0"] * 12 + [str(k)]
        lines.append(",".join(cells))
    path = folder / "anipose.csv"
    path.write_text("\n".join(lines) + "\n")
    return [path]


def mat(folder):
    import scipy.io

    X = np.random.default_rng(0).normal(size=(N, P, 3))
    S = X.transpose(0, 2, 1).reshape(3 * N, P)
    W = X[..., :2].transpose(0, 2, 1).reshape(2 * N, P)
    scipy.io.savemat(folder / "akhter.mat", {"W": W, "S": S, "list": np.array([[1, 2], [2, 3]])})
    scipy.io.savemat(folder / "jaws.mat", {"P3_gt": X.transpose(2, 0, 1).reshape(3 * N, P)})
    return [folder / "akhter.mat", folder / "jaws.mat"]


def amc(folder):
    asf = """:version 1.10
:name VICON
:units
  mass 1.0
  length 0.45
  angle deg
:root
   order TX TY TZ RX RY RZ
   axis XYZ
   position 0 0 0
   orientation 0 0 0
:bonedata
  begin
     id 1
     name hip
     direction 0.6 -0.8 0
     length 2.5
     axis 0 0 20 XYZ
    dof rx ry rz
    limits (-160.0 20.0)
           (-70.0 70.0)
           (-60.0 70.0)
  end
  begin
     id 2
     name knee
     direction 0 -1 0
     length 7
     axis 0 0 20 XYZ
    dof rx
    limits (-10.0 170.0)
  end
:hierarchy
  begin
    root hip
    hip knee
  end
"""
    lines = [":FULLY-SPECIFIED", ":DEGREES"]
    for k in range(1, N):
        lines += [str(k), f"root 0 1 {k} 0 5 0", "hip 10 5 2", f"knee {2 * k}"]
    (folder / "walk.asf").write_text(asf)
    (folder / "walk.amc").write_text("\n".join(lines) + "\n")
    return [folder / "walk.amc"]


SEEDS = {
    "openpose": openpose,
    "coco": coco,
    "mmpose": mmpose,
    "mediapipe": mediapipe,
    "json": own(".json"),
    "dlc_csv": dlc_csv,
    "dlc_h5": dlc_h5,
    "sleap": sleap,
    "anipose": anipose,
    "csv": tables,
    "npz": own(".npz"),
    "mat": mat,
    "c3d": solid(".c3d"),
    "bvh": solid(".bvh"),
    "amc": amc,
}


if __name__ == "__main__":
    sys.exit(main())
