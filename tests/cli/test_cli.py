"""The command line as a user meets it: files in, files and text out, exit codes."""

import json
import subprocess
import sys

import numpy as np
import pytest

import nrsfm_learn
from nrsfm_learn import io
from nrsfm_learn.cli import main
from nrsfm_learn.datasets import make_rigid_category

COMMANDS = ("lift", "diagnose", "fit", "score", "compare", "convert", "methods", "demo")


@pytest.fixture(scope="module")
def chairs():
    return make_rigid_category(60, category="chair", random_state=0)


@pytest.fixture(scope="module")
def keypoints(chairs):
    W = 100 * chairs.W
    W[3, 2] = np.nan
    return io.Keypoints(W, names=[f"corner {k}" for k in range(W.shape[1])], edges=chairs.edges)


@pytest.fixture
def file(keypoints, tmp_path):
    return io.write(tmp_path / "chairs.csv", keypoints)


@pytest.fixture(scope="module")
def model(keypoints, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "rigid.safetensors"
    nrsfm_learn.RigidFactorization().fit(keypoints.W).save(path)
    return path


def run(capsys, *arguments, code=0):
    assert main([str(argument) for argument in arguments]) == code
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return out, err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(capsys, command):
    out, _ = run(capsys, command, "--help")
    assert f"nrsfm-learn {command}" in out
    assert "Example" in out


def test_help_names_every_command_and_the_exit_codes(capsys):
    out, _ = run(capsys, "--help")
    assert all(f"  {command} " in out for command in COMMANDS)
    assert "Exit codes" in out


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from nrsfm_learn.cli import main; main(['--help']);"
        "sys.exit(bool({'torch', 'sklearn', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_it_runs_as_a_module():
    command = [sys.executable, "-m", "nrsfm_learn", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"nrsfm-learn, version {nrsfm_learn.__version__}"


def test_lift_writes_3d_points_with_names(capsys, file, tmp_path, keypoints, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out, _ = run(capsys, "lift", file, "-m", "RigidFactorization")
    assert "chairs_3d.csv" in out
    lifted = io.read(tmp_path / "chairs_3d.csv")
    assert lifted.names == keypoints.names
    assert lifted.edges == keypoints.edges
    seen = keypoints.visible
    # The chairs differ, and one rigid shape is fitted to all.
    error = np.linalg.norm(lifted.X[seen][:, :2] - keypoints.W[seen], axis=-1)
    assert error.mean() < 0.2 * np.nanstd(keypoints.W)


def test_lift_with_a_model_does_not_fit(capsys, file, model, tmp_path, keypoints):
    target = tmp_path / "out.npz"
    out, _ = run(capsys, "lift", file, "--model", model, "-o", target, "--json")
    assert json.loads(out)["output"] == str(target)
    expected = nrsfm_learn.load(model).transform(keypoints.W)
    np.testing.assert_allclose(io.read(target).X, expected, atol=1e-9)


def test_lift_flipped_is_the_mirror_image(capsys, file, model, tmp_path):
    paths = tmp_path / "a.npz", tmp_path / "b.npz"
    run(capsys, "lift", file, "--model", model, "-o", paths[0])
    run(capsys, "lift", file, "--model", model, "-o", paths[1], "--flip")
    one, other = (io.read(path).X for path in paths)
    np.testing.assert_allclose(one[..., :2], other[..., :2])
    centred = [X[..., 2] - X[..., 2].mean(1, keepdims=True) for X in (one, other)]
    np.testing.assert_allclose(centred[0], -centred[1], atol=1e-9)


def test_lift_leaves_a_report(capsys, file, tmp_path):
    report = tmp_path / "out.html"
    run(capsys, "lift", file, "-m", "rigidfactorization", "--report", report)
    page = report.read_text()
    assert "<canvas" in page
    assert "corner 3" in page
    assert not (tmp_path / "chairs_3d.csv").exists()


def test_fit_then_score(capsys, file, tmp_path, keypoints, chairs):
    model, truth = tmp_path / "m.safetensors", tmp_path / "truth.npz"
    io.write(truth, io.Points3D(chairs.X, names=keypoints.names))
    out, _ = run(
        capsys, "fit", file, file, "-m", "BMM", "--set", "n_bases=2", "-o", model, "--json"
    )
    fitted = json.loads(out)
    assert fitted["n_frames"] == 120
    assert nrsfm_learn.load(model).n_bases == 2
    out, _ = run(capsys, "score", file, "--model", model, "--truth", truth, "--json")
    scored = json.loads(out)
    assert 0.5 < scored["score"] <= 1
    assert scored["errors"]["normalized_error (procrustes)"] < 0.5
    out, _ = run(capsys, "score", file, "--model", model)
    assert "does not see wrong depth" in out


def test_diagnose_says_what_suits(capsys, file):
    out, _ = run(capsys, "diagnose", file)
    assert "reconstruct" in out.lower()
    out, _ = run(capsys, "diagnose", file, "--json")
    assert json.loads(out)["n_frames"] == 60


def test_compare_is_a_table_and_a_page(capsys, file, tmp_path):
    report = tmp_path / "compared.html"
    options = ["-m", "BMM", "-m", "RigidFactorization", "--report", report]
    out, _ = run(capsys, "compare", file, *options)
    assert out.splitlines()[0].split()[:2] == ["method", "seconds"]
    assert "BMM" in out
    assert report.read_text().count("RigidFactorization") >= 1
    out, _ = run(capsys, "compare", file, "-m", "BMM", "--json")
    assert [row["method"] for row in json.loads(out)["methods"]] == ["BMM"]


def test_convert_there_and_back(capsys, file, tmp_path, keypoints):
    run(capsys, "convert", file, tmp_path / "b.npz")
    out, _ = run(capsys, "convert", tmp_path / "b.npz", tmp_path / "c.json", "--fps", 25, "--json")
    assert json.loads(out)["n_points"] == keypoints.n_points
    assert io.read(tmp_path / "c.json") == keypoints.replace(fps=25)


def test_methods_lists_all_and_the_settings_of_one(capsys):
    from nrsfm_learn.testing import all_estimators

    out, _ = run(capsys, "methods", "--json")
    assert {row["name"] for row in json.loads(out)["methods"]} == {n for n, _ in all_estimators()}
    out, _ = run(capsys, "methods", "deepnrsfmpp")
    assert "k_last = " in out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["lift", "missing.csv"], 1, "missing.csv"),
        (["lift", "empty.csv"], 1, "empty"),
        (["lift", "chairs.csv", "-m", "Pal"], 2, "Pal"),
        (["lift", "chairs.csv", "--set", "a=1"], 2, "--method"),
        (["lift", "chairs.csv", "-m", "PAUL", "--set", "size=1"], 2, "'size'"),
        (["lift", "chairs.csv", "--set", "a"], 2, "NAME=VALUE"),
        (["lift", "chairs.csv", "-o", "out.xyz"], 1, "out.xyz"),
        (["lift", "chairs.csv", "--intrinsics", "1,2"], 2, "FX,FY,CX,CY"),
        (["lift", "solid.npz"], 1, "nothing to lift"),
        (["lift", "chairs.csv", "--model", "chairs.csv"], 1, "no estimator file"),
        (["lift", "chairs.csv", "--read", "colour=red"], 1, "'colour'"),
        (["convert", "chairs.csv", "out.bvh"], 1, "3-D"),
        (["fit", "chairs.csv"], 2, "--method"),
        (["fit", "chairs.csv", "-m", "BMM", "-o", "."], 2, "directory"),
        (["lift", "chairs.csv", "--save-model", "."], 2, "directory"),
        (["nothing"], 2, "nothing"),
        (["methods", "Nothing"], 2, "Nothing"),
    ],
)
def test_errors_are_one_line_with_an_exit_code(
    capsys, keypoints, tmp_path, monkeypatch, arguments, code, message
):
    monkeypatch.chdir(tmp_path)
    io.write("chairs.csv", keypoints)
    io.write("solid.npz", io.Points3D(np.zeros((2, 3, 3))))
    (tmp_path / "empty.csv").touch()
    before = sorted(tmp_path.iterdir())
    _, err = run(capsys, *arguments, code=code)
    assert message in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith("Error: ")
    assert sorted(tmp_path.iterdir()) == before


def test_errors_are_json_for_machines_too(capsys):
    out, _ = run(capsys, "diagnose", "missing.csv", "--json", code=1)
    assert json.loads(out)["error"]["type"] == "FileNotFoundError"


def test_ctrl_c_ends_it_with_130(capsys, file, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("nrsfm_learn.diagnosis.diagnose", interrupt)
    run(capsys, "diagnose", file, code=130)


def test_compare_as_json_has_no_arrays(capsys, file, chairs, keypoints, tmp_path):
    truth = tmp_path / "truth.npz"
    # The same points in another order, which their names tell.
    turned = np.arange(keypoints.n_points)[::-1]
    names = [keypoints.names[p] for p in turned]
    io.write(truth, io.Points3D(chairs.X[:, turned], names=names))
    out, _ = run(capsys, "compare", file, "-m", "RigidFactorization", "--truth", truth, "--json")
    (row,) = json.loads(out)["methods"]
    assert "X_true" not in row
    in_order = tmp_path / "in_order.npz"
    io.write(in_order, io.Points3D(chairs.X, names=keypoints.names))
    out, _ = run(capsys, "compare", file, "-m", "RigidFactorization", "--truth", in_order, "--json")
    (same,) = json.loads(out)["methods"]
    assert row["errors"] == pytest.approx(same["errors"], nan_ok=True)


def test_compare_of_which_all_fail_is_one_json_object_and_an_exit_code(capsys, file, keypoints):
    few = io.write(file.with_name("few.csv"), keypoints.select(rows=[0, 1]))
    out, err = run(capsys, "compare", few, "-m", "BMM", "--json", code=1)
    assert "cannot be reconstructed" in json.loads(out)["methods"][0]["problem"]
    assert err.splitlines()[-1].startswith("Error: ")


def test_kinds_of_errors_for_machines(capsys, tmp_path):
    out, _ = run(capsys, "methods", "Nothing", "--json", code=2)
    assert json.loads(out)["error"]["type"] == "usage"
    solid = io.write(tmp_path / "solid.npz", io.Points3D(np.zeros((2, 3, 3))))
    out, _ = run(capsys, "diagnose", solid, "--json", code=1)
    assert json.loads(out)["error"]["type"] == "data"


def test_lift_saves_the_model_before_a_writer_can_refuse(
    capsys, file, model, tmp_path, monkeypatch
):
    saved = tmp_path / "new" / "m.safetensors"

    def refuse(*args, **kwargs):
        raise ValueError("too large")

    monkeypatch.setattr("nrsfm_learn.auto.Result.save", refuse)
    options = ["--model", model, "--save-model", saved, "-o", tmp_path / "out.npz"]
    _, err = run(capsys, "lift", file, *options, code=1)
    assert "too large" in err
    assert nrsfm_learn.model_card(saved)["data"] == "chairs.csv"


def test_a_value_that_looks_like_a_dict_is_text(capsys, file):
    _, err = run(capsys, "diagnose", file, "--read", "min_confidence={[]:1}", code=1)
    assert "--min-confidence must be a finite number" in err
