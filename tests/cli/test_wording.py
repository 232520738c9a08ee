"""Errors, notes and suggestions in words of the command line."""

import json
import shlex

import numpy as np
import pytest

from nrsfm_learn import io
from nrsfm_learn.cli import main
from nrsfm_learn.cli._wording import in_the_shell
from nrsfm_learn.datasets import make_rigid_category


@pytest.mark.parametrize(
    ("python", "shell"),
    [
        ("take .flipped(); all", "take --flip; all"),
        ("Name it with format=, one of a, b", "Name it with --format, one of a, b"),
        ("format='x' is none", "--format 'x' is none"),
        (
            "format='x' is not one that the package writes",
            "--to 'x' is not one that the package writes",
        ),
        ("min_confidence=0.5 needs", "--min-confidence 0.5 needs"),
        ("Lower min_confidence, or", "Lower --min-confidence, or"),
        ("has no option 'min_confidence'", "has no option 'min_confidence'"),
        ("individual='x' is not there", "--individual 'x' is not there"),
        ("write data.replace(fps=30), with", "give --fps 30, with"),
        ("give parents=, or data.replace(edges=...).", "give --edges A-B,C-D."),
        ("write with fill='interpolate', or", "write with --write fill=interpolate, or"),
        ("Use camera='perspective': near", "Use --set camera=perspective: near"),
        ("time_limit=1 must", "--time-limit 1 must"),
        ("plain text", "plain text"),
    ],
)
def test_python_becomes_options(python, shell):
    assert in_the_shell(python) == shell


@pytest.fixture
def file(tmp_path):
    W = 100 * make_rigid_category(60, category="chair", random_state=0).W
    W[::2, 1] = np.nan
    names = [f"corner {k}" for k in range(W.shape[1])]
    return io.write(tmp_path / "my chairs.csv", io.Keypoints(W, names=names))


def test_diagnose_names_points_and_suggests_a_command_that_works(capsys, file):
    assert main(["diagnose", str(file), "--fps", "20", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert main(["diagnose", str(file), "--fps", "20"]) == 0
    out = capsys.readouterr().out
    assert "corner 1 (50%)" in " ".join(out.split())
    assert out.splitlines()[-1].strip() == told["command"]
    program, *words = shlex.split(told["command"])
    assert program == "nrsfm-learn"
    assert words[:4] == ["lift", str(file), "-m", told["estimator"]]
    assert words[-2:] == ["--fps", "20.0"]
    for name, value in told["settings"].items():
        assert f"{name}={value}" in words


def test_what_nobody_foresaw_asks_for_a_look(capsys, file, monkeypatch):
    def broken(*args, **kwargs):
        raise error

    monkeypatch.setattr("nrsfm_learn.diagnosis.diagnose", broken)
    for error, is_bug in (
        (TypeError("3 arguments"), True),
        (AttributeError("no x"), True),
        (RuntimeError("deep"), True),
        (ValueError("W is empty"), False),
        (OSError("disk full"), False),
    ):
        assert main(["diagnose", str(file)]) == 1
        err = capsys.readouterr().err.splitlines()[-1]
        assert str(error) in err
        assert ("this may be a bug; --debug shows where" in err) == is_bug
    monkeypatch.undo()
    assert main(["diagnose", str(file), "--read", "colour=1"]) == 1
    assert "may be a bug" not in capsys.readouterr().err
