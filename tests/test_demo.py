import re
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.image import imread

from nrsfm_learn import demo


def run(capsys, folder, *arguments):
    assert demo.main(["--output", str(folder), *arguments]) == 0
    return capsys.readouterr().out


def test_main_job_in_small(capsys, tmp_path):
    folder = tmp_path / "new" / "folder"
    printed = run(capsys, folder, "--frames", "100", "--iterations", "3", "--seed", "4")
    assert {p.name for p in folder.iterdir()} == {"reconstruction.png", "report.html"}
    assert imread(folder / "reconstruction.png").std() > 0.01
    assert str(folder / "report.html") in printed
    assert "iteration 3/3" in printed

    report = (folder / "report.html").read_text(encoding="utf-8")
    scores = re.findall(r"R\^2 on hidden keypoints: (-?\d\.\d{3})", printed)
    assert re.findall(r"<b>(-?\d\.\d{3})</b>", report) == scores
    errors = re.findall(r"normalized_error \(procrustes\) +(\d+\.\d\d) %", printed)
    assert re.findall(r"<b>(\d+\.\d\d) %</b>", report) == errors
    assert len(scores) == len(errors) == 2


def test_held_out_clips_are_whole_and_the_keypoints_hidden():
    body, held_out = demo.make_data(1000, seed=0)
    assert not set(body.groups[held_out]) & set(body.groups[~held_out])
    assert 0.1 < held_out.mean() < 0.3
    assert np.isnan(body.W[..., 0]).mean() == pytest.approx(0.2, abs=0.01)
    again, _ = demo.make_data(1000, seed=0)
    np.testing.assert_array_equal(body.W, again.W)
    assert not np.array_equal(body.X, demo.make_data(1000, seed=1)[0].X)


def test_quick_changes_what_is_not_given(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "write_results", lambda *arguments: [])
    printed = run(capsys, tmp_path, "--quick", "--iterations", "2")
    assert f"{demo.QUICK_FRAMES} frames" in printed
    assert "iteration 2/2" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--frames", "3"], "argument --frames: 3 is less than"),
        (["--iterations", "0"], "argument --iterations: 0 is less than 1"),
        (["--seed", "-1"], "argument --seed: -1 is less than 0"),
        (["--iterations", "many"], "argument --iterations: invalid integer value: 'many'"),
    ],
)
def test_bad_options_are_refused(capsys, arguments, message):
    with pytest.raises(SystemExit) as exit_:
        demo.main(arguments)
    assert exit_.value.code == 2
    assert message in capsys.readouterr().err


def test_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "nrsfm_learn.demo", "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "--output DIR" in done.stdout
