"""The code of the documentation runs, its commands exist, and its tables say what the code says.

A page's Python runs from top to bottom in one namespace, in a folder of its own. What a reader has
and a test has not, such as a file of a tracker, is made by a comment of the page that begins with
``.. set-up of the test``; a block below a comment ``.. not run: REASON`` is compiled only.
Fits have the settings of the page but few iterations.
"""

import re
import shlex
import textwrap
import warnings
from pathlib import Path

import click
import matplotlib
import matplotlib.pyplot as plt
import pytest

DOCS = Path(__file__).parents[1] / "docs"
# Their blocks are files of their own, for machines that are not here: compiled, not run.
_SCRIPTS = {"cluster.rst"}
PAGES = [
    DOCS / "index.rst",
    DOCS / "getting_started.rst",
    DOCS / "which_method.rst",
    *sorted(DOCS.glob("how_to/[!i]*.rst")),
    *(DOCS / "user_guide" / f"{name}.rst" for name in ("files", "command_line", "report")),
]
_SET_UP, _NOT_RUN = ".. set-up of the test", ".. not run:"


def blocks_of(page, start):
    """Return the line number, from 1, and the text of each indented block below such a line."""
    lines, found, k = page.read_text(encoding="utf-8").splitlines(), [], 0
    while k < len(lines):
        line = lines[k]
        k += 1
        if not line.strip().startswith(start):
            continue
        indent = len(line) - len(line.lstrip())
        begin = k
        while k < len(lines) and (
            not lines[k].strip() or len(lines[k]) - len(lines[k].lstrip()) > indent
        ):
            k += 1
        body = lines[begin:k]
        while body and not body[0].strip():
            body, begin = body[1:], begin + 1
        before = next((text for text in reversed(lines[: begin - 2]) if text.strip()), "")
        found.append((begin + 1, textwrap.dedent("\n".join(body)), before.strip()))
    return found


def python_of(page):
    """Return the page's set-up and code blocks as (line, text, whether to run), in order."""
    blocks = [(*b[:2], True) for b in blocks_of(page, _SET_UP)]
    for line, text, before in blocks_of(page, ".. code-block:: python"):
        runs = page.name not in _SCRIPTS and not before.startswith(_NOT_RUN)
        blocks.append((line, text, runs))
    return sorted(blocks)


def commands_of(page):
    """Return the lines of the page's shell blocks that call the command line."""
    lines = []
    for _, text, _ in blocks_of(page, ".. code-block:: bash"):
        lines += text.replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith("nrsfm-learn ")]


@pytest.fixture
def short_fits(monkeypatch, page):
    """Let methods whose settings come from a preset stop early, and ``lift`` take seconds."""
    import nrsfm_learn
    from nrsfm_learn.deep import _deep_nrsfm_pp, _factorization, _paul

    def shorter(preset, **small):
        return lambda *args: {**preset(*args), "max_iter": 12, "batch_size": 16, **small}

    paul = {"n_init": 2, "widths": [16, 16], "encoder_width": 16}
    monkeypatch.setattr(_paul, "paul_preset", shorter(_paul.paul_preset, **paul))
    monkeypatch.setattr(
        _deep_nrsfm_pp,
        "deep_nrsfm_preset",
        shorter(_deep_nrsfm_pp.deep_nrsfm_preset, first_size=16),
    )
    monkeypatch.setattr(
        _factorization,
        "factorization_preset",
        shorter(_factorization.factorization_preset, width=16),
    )
    lift = nrsfm_learn.lift

    def lift_in_seconds(W_or_path, method="auto", **options):
        # Choosing a method times several; once is enough here.
        if method == "auto" and page.name != "index.rst":
            method = "RigidFactorization"
        return lift(W_or_path, method, **{**options, "time_limit": 5})

    monkeypatch.setattr(nrsfm_learn, "lift", lift_in_seconds)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch, short_fits):
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    blocks = python_of(page)
    assert blocks or page.name == "index.rst", f"{page.name} has no code"
    namespace = {"__name__": "__main__"}
    with warnings.catch_warnings():
        # Short fits have not converged, and say so.
        warnings.simplefilter("ignore")
        for line, text, runs in blocks:
            # Empty lines before it, so that a traceback has the line of the page.
            code = compile("\n" * (line - 1) + text, str(page), "exec")
            if runs:
                exec(code, namespace)
    plt.close("all")


COMMANDS = [(page, line) for page in PAGES for line in commands_of(page)]


def test_the_pages_have_commands():
    assert len(COMMANDS) > 10


@pytest.mark.parametrize(
    ("page", "line"), COMMANDS, ids=[f"{page.stem}: {line}" for page, line in COMMANDS]
)
def test_a_command_of_a_page_exists_with_its_options(page, line):
    from nrsfm_learn.cli._main import program
    from nrsfm_learn.cli._shared import make_estimator

    _, *words = shlex.split(line, comments=True)
    outer = program.make_context("nrsfm-learn", list(words))
    if words[0].startswith("-"):
        return
    name, command, arguments = program.resolve_command(outer, words)
    # Parses every option and argument, and checks their types, without running the command.
    given = command.make_context(name, list(arguments), parent=outer).params
    methods = {given.get("method"), *given.get("methods", ())} - {None, "auto"}
    for method in methods:
        make_estimator(method, given.get("settings") or {}, "cpu", 0)


def test_an_unknown_option_in_a_page_would_be_found(tmp_path):
    page = tmp_path / "page.rst"
    page.write_text(".. code-block:: bash\n\n   nrsfm-learn lift a.csv --no-such-option\n")
    (line,) = commands_of(page)
    with pytest.raises(click.NoSuchOption):
        test_a_command_of_a_page_exists_with_its_options(page, line)


def rows_of(page, first_heading):
    """Return the cells of the list-table whose first heading is this one, without headings."""
    text = page.read_text(encoding="utf-8")
    for table in re.findall(r"^\.\. list-table::.*\n((?:\n|   .*\n)+)", text, re.MULTILINE):
        rows = [
            [
                " ".join(cell.split())
                for cell in re.split(r"^     - |^   \* - ", row, flags=re.M)[1:]
            ]
            for row in re.split(r"^(?=   \* - )", table, flags=re.MULTILINE)[1:]
        ]
        if rows and rows[0][0] == first_heading:
            return rows[1:]
    raise AssertionError(f"{page.name} has no table whose first column is {first_heading!r}")


def test_the_table_of_formats_is_that_of_the_registry():
    from nrsfm_learn import io

    expected = [
        [
            f"``{f.name}``",
            f.title,
            "folder, or one ``.json``" if "/" in f.suffixes else " ".join(f.suffixes),
            f.kind,
            " and ".join(["read"] * f.reads + ["written"] * f.writes),
        ]
        for f in io.formats()
    ]
    table = rows_of(DOCS / "user_guide/files.rst", "name")
    assert [row[:5] for row in table] == expected


def test_the_table_of_hidden_keypoints_names_every_reader_of_2d():
    from nrsfm_learn import io

    table = rows_of(DOCS / "user_guide/files.rst", "format")
    named = {name for row in table for name in re.findall(r"``(\w+)``", row[0])}
    assert named == {f.name for f in io.formats() if f.reads and "2-D" in f.kind}


def test_the_table_of_methods_has_all_of_them_and_says_what_they_can():
    from nrsfm_learn.cli._methods import _takes_perspective
    from nrsfm_learn.testing import all_estimators

    table = {
        re.search(r"\.(\w+)`", row[0]).group(1): row
        for row in rows_of(DOCS / "which_method.rst", "method")
    }
    classes = dict(all_estimators())
    assert set(table) == set(classes)
    for name, (_, missing, perspective, order, unseen, *_) in table.items():
        tags = classes[name]()._nrsfm_tags()
        assert missing.startswith(("yes", "completed")) == tags.missing, name
        assert perspective.startswith("yes") == _takes_perspective(classes[name]), name
        assert order.startswith("not used") != tags.temporal, name
        assert unseen.startswith("yes") == tags.inductive, name


def test_the_decision_table_takes_methods_that_can_do_what_its_row_needs():
    from nrsfm_learn.cli._methods import _takes_perspective
    from nrsfm_learn.testing import all_estimators

    classes = dict(all_estimators())
    for have, needs, take, _ in rows_of(DOCS / "which_method.rst", "you have"):
        names = re.findall(r"\.(\w+)`", take)
        assert names, have
        for name in names:
            tags = classes[name]()._nrsfm_tags()
            can = {
                "missing points": tags.missing,
                "perspective": _takes_perspective(classes[name]),
                "unseen frames": tags.inductive,
                "no order of frames": not tags.temporal,
            }
            assert all(can[need] for need in needs.split(", ")), (have, name)


def test_the_commands_of_the_table_are_those_of_the_program():
    from nrsfm_learn.cli._main import _COMMANDS

    table = rows_of(DOCS / "user_guide/command_line.rst", "command")
    assert [row[0].strip("`") for row in table] == list(_COMMANDS)


def test_every_page_of_a_folder_is_in_its_toctree():
    for folder in ("how_to", "user_guide"):
        text = (DOCS / folder / "index.rst").read_text(encoding="utf-8")
        entries = {line.strip() for line in text.splitlines() if line.startswith("   ")}
        pages = {page.stem for page in (DOCS / folder).glob("*.rst")} - {"index"}
        assert pages <= entries, f"{folder}: {sorted(pages - entries)} not in its index"
