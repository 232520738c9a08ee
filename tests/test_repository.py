"""Statements that stand in two files of the repository and must agree."""

import configparser
import re
from pathlib import Path

import pytest

import nrsfm_learn

ROOT = Path(__file__).parents[1]


def readme_commands(name):
    """Lines of the fenced block after the marker, as .ci/run reads them."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(rf"<!-- command: {name} -->\n```bash\n(.*?)```", text, re.DOTALL)
    assert block, f"README.md has no block after '<!-- command: {name} -->'"
    return block.group(1).splitlines()


@pytest.mark.parametrize("name", ["demo", "tests"])
def test_each_readme_command_is_one_line_that_runs_a_tox_environment(name):
    (line,) = readme_commands(name)
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    assert f"testenv:{name}" in tox
    assert line.endswith(f"tox run -e {name}")
    assert "python3 -m venv .venv && " in line


def test_version_is_the_same_everywhere():
    assert f"version: {nrsfm_learn.__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_every_cited_publication_is_in_the_bibliography():
    bibliography = (ROOT / "docs/references.bib").read_text(encoding="utf-8")
    known = set(re.findall(r"^@\w+\{([^,]+),", bibliography, re.MULTILINE))
    for page in (ROOT / "docs").rglob("*.rst"):
        for keys in re.findall(r":(?:foot)?cite:[pt]:`([^`]+)`", page.read_text(encoding="utf-8")):
            assert set(keys.split(",")) <= known, f"{page.name} cites {keys}"
