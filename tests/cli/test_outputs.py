"""What commands write: never over their input, checked before the work, told afterwards."""

import itertools
import json
import os
import subprocess
import sys

import numpy as np
import pytest

import nrsfm_learn
from nrsfm_learn import io
from nrsfm_learn.cli import main
from nrsfm_learn.datasets import make_rigid_category

CHAIRS = make_rigid_category(20, category="chair", random_state=0)
NAMES = [f"corner-{k}" for k in range(CHAIRS.W.shape[1])]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    io.write("chairs.csv", io.Keypoints(100 * CHAIRS.W, names=NAMES))
    nrsfm_learn.RigidFactorization().fit(100 * CHAIRS.W).save("rigid.safetensors")
    return tmp_path


@pytest.fixture
def no_fit(monkeypatch):
    def fit(*args, **kwargs):
        raise AssertionError("fitted")

    monkeypatch.setattr("nrsfm_learn.auto.lift", fit)
    monkeypatch.setattr(nrsfm_learn.RigidFactorization, "fit", fit)


def run(capsys, *arguments, code=0):
    assert main([str(argument) for argument in arguments]) == code
    return capsys.readouterr()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("lift chairs.csv -o chairs.csv", "is read"),
        ("lift chairs.csv -o ./chairs.csv", "is read"),
        ("lift chairs.csv -o link.csv", "is read"),
        ("lift chairs.csv --report chairs.csv", "is read"),
        ("lift chairs.csv --model rigid.safetensors --save-model rigid.safetensors", "is read"),
        ("lift chairs.csv -o a.html --report ./a.html", "twice"),
        ("fit chairs.csv -m RigidFactorization -o chairs.csv", "is read"),
        ("fit chairs.csv -m RigidFactorization -o a --report a", "twice"),
        ("convert chairs.csv chairs.csv", "is read"),
        ("compare chairs.csv --report chairs.csv", "is read"),
    ],
)
def test_no_file_is_read_and_written(capsys, folder, no_fit, command, message):
    (folder / "link.csv").symlink_to("chairs.csv")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert message in run(capsys, *command.split(), code=2).err.splitlines()[-1]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_replaced_files_are_told(capsys, folder):
    lift = ["lift", "chairs.csv", "--model", "rigid.safetensors"]
    assert run(capsys, *lift).out.splitlines()[-1] == "Written: chairs_3d.csv"
    assert run(capsys, *lift).out.splitlines()[-1] == "Written: chairs_3d.csv (replaced)"
    convert = ["convert", "chairs_3d.csv", "a.ply"]
    told = "Written: a_000000.ply to a_000019.ply (20 files)"
    assert run(capsys, *convert).out.splitlines()[-1] == told
    assert run(capsys, *convert).out.splitlines()[-1] == told + " (replaced)"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-o", "a.c3d"], "give --fps 30"),
        (["-o", "a.bvh"], "give --fps 30"),
        (["-o", "a.bvh", "--fps", "30"], "give --edges A-B,C-D"),
        (["-o", "a.bvh", "--fps", "30", "--edges", "corner-0-corner-1"], "do not reach"),
        (["-o", "a.rrd", "--write", "colour=1"], "no option 'colour'"),
        (["-o", "chairs.csv/a.csv"], "leads through"),
        (["-o", "a.npy"], "ends like no format"),
    ],
)
def test_what_cannot_be_written_is_found_before_the_fit(capsys, folder, no_fit, options, message):
    error = run(capsys, "lift", "chairs.csv", *options, code=1).err.splitlines()[-1]
    assert message in error


def test_a_folder_that_is_not_writable_is_found_before_the_fit(capsys, folder, no_fit, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: mode == os.R_OK)
    for command in (
        ["lift", "chairs.csv", "-o", "new/a.csv"],
        ["fit", "chairs.csv", "-m", "RigidFactorization", "-o", "new/a.csv"],
    ):
        error = run(capsys, *command, code=1).err.splitlines()[-1]
        assert "'new/a.csv' cannot be written" in error
    assert not (folder / "new").exists()


def test_a_bvh_of_given_edges_and_frame_rate(capsys, folder):
    chain = list(itertools.pairwise(NAMES))
    options = ["--model", "rigid.safetensors", "-o", "a.bvh", "--fps", 25]
    run(capsys, "lift", "chairs.csv", *options, "--edges", ",".join(f"{a}-{b}" for a, b in chain))
    skeleton = io.read("a.bvh")
    assert skeleton.fps == 25
    assert set(skeleton.names) >= set(NAMES)
    (folder / "bones.json").write_text(json.dumps(chain))
    run(capsys, "convert", "chairs.csv", "a.json", "--edges", "bones.json", "--fps", 25)
    data = io.read("a.json")
    assert [(NAMES[a], NAMES[b]) for a, b in data.edges] == chain
    assert data.fps == 25
    error = run(capsys, "diagnose", "chairs.csv", "--edges", "corner-0-nose", code=2).err
    assert "'corner-0-nose' is not two points" in error


def test_ctrl_c_during_a_fit_leaves_nothing(capsys, folder, monkeypatch):
    from nrsfm_learn.deep import PAUL

    def interrupted(self, *args, **kwargs):
        import warnings

        warnings.warn("Training was interrupted", stacklevel=1)
        self.stop_reason_ = "interrupted"
        return self

    monkeypatch.setattr(PAUL, "fit", interrupted)
    before = sorted(folder.iterdir())
    err = run(capsys, "fit", "chairs.csv", "-m", "PAUL", code=130).err
    assert err.splitlines()[-1] == "Interrupted."
    assert "Warning" not in err
    assert sorted(folder.iterdir()) == before


def test_fit_tells_warnings_as_json_and_notes_by_file(capsys, folder):
    for name, level in (("a.csv", 0.2), ("b.csv", 0.9)):
        confidence = np.full(CHAIRS.W.shape[:2], 0.95)
        confidence[0, 0] = level - 0.1
        io.write(name, io.Keypoints(100 * CHAIRS.W, names=NAMES, confidence=confidence))
    command = ["fit", "a.csv", "b.csv", "-m", "RigidFactorization", "-o", "m", "--report", "r.html"]
    done = run(capsys, *command, "--min-confidence", 0.85, "--json")
    assert isinstance(json.loads(done.out)["warnings"], list)
    page = (folder / "r.html").read_text()
    assert "<title>a.csv and 1 more in 3-D" in page
    assert all(f"{name}: 1 keypoints" in page for name in ("a.csv", "b.csv"))


def test_the_report_of_lift_names_its_input(capsys, folder):
    run(capsys, "lift", "chairs.csv", "--model", "rigid.safetensors", "--report", "r.html")
    assert "<title>chairs.csv in 3-D" in (folder / "r.html").read_text()


def test_a_model_of_points_without_names_lifts_named_ones(capsys, folder):
    card = {"names": [f"point_{p}" for p in range(len(NAMES))]}
    nrsfm_learn.load("rigid.safetensors").save("plain", card=card)
    run(capsys, "lift", "chairs.csv", "--model", "plain", "-o", "a.npz")
    assert io.read("a.npz").names == tuple(NAMES)
    nrsfm_learn.load("rigid.safetensors").save("other", card={"names": ["a", *NAMES[1:]]})
    assert "'a'" in run(capsys, "lift", "chairs.csv", "--model", "other", code=1).err


def test_head_ends_it_quietly():
    code = "import sys; from nrsfm_learn.cli import main; sys.exit(main(['methods']))"
    program = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    program.stdout.close()
    with program.stderr:
        assert program.stderr.read() == b""
    assert program.wait() == 0


def test_truth_in_other_units_is_told_first(capsys, folder):
    for factor, told in ((100, False), (100_000, True)):
        io.write("truth.npz", io.Points3D(factor * CHAIRS.X, names=NAMES))
        command = ["score", "chairs.csv", "--model", "rigid.safetensors", "--truth", "truth.npz"]
        lines = run(capsys, *command).out.splitlines()
        assert ("free of scale" in lines[1]) == told
        scale = json.loads(run(capsys, *command, "--json").out)["scale"]
        assert scale == pytest.approx(factor / 100, rel=0.3)
