"""The examples in the docstrings do what they say.

Each of them is small: a few dozen frames, and a few iterations where a network is trained.
"""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import nrsfm_learn

PACKAGE = Path(nrsfm_learn.__file__).parent
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def modules_with_examples():
    """Yield the names of the modules that have an example, without importing them."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if ">>> " in path.read_text(encoding="utf-8"):
            *folders, name = path.relative_to(PACKAGE.parent).with_suffix("").parts
            yield ".".join(folders if name == "__init__" else [*folders, name])


def run_examples(module):
    """Run the examples of a module; return how many there are, and what is said of failures."""
    runner, said = doctest.DocTestRunner(verbose=False, optionflags=FLAGS), []
    for test in doctest.DocTestFinder().find(module):
        runner.run(test, out=said.append)
    return runner.tries, "".join(said)


@pytest.mark.parametrize("name", list(modules_with_examples()))
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # examples may write files
    n_examples, failures = run_examples(import_module(name))
    assert n_examples, f"{name} has >>> in a place where doctest finds no example"
    assert not failures, failures


def test_a_wrong_example_is_found():
    module = type(doctest)("wrong", ">>> 1 + 1\n3\n")
    n_examples, failures = run_examples(module)
    assert n_examples == 1
    assert "Expected:\n    3\nGot:\n    2" in failures
