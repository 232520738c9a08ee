"""The package's entrance: what importing it costs and which names it resolves."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import nrsfm_learn

ROOT = Path(__file__).parents[1]


def python(code):
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return ast.literal_eval(result.stdout)


def test_import_loads_no_heavy_module():
    heavy = python(
        "import sys, nrsfm_learn\n"
        "print(sorted({'torch', 'sklearn', 'scipy', 'numpy', 'matplotlib'} & set(sys.modules)))"
    )
    assert heavy == []


@pytest.mark.parametrize("name", nrsfm_learn.__all__)
def test_every_public_name_resolves(name):
    assert getattr(nrsfm_learn, name) is not None


def test_an_estimator_is_the_class_of_its_module():
    deep = importlib.import_module("nrsfm_learn.deep")
    assert nrsfm_learn.DeepNRSfMPP is deep.DeepNRSfMPP


def test_dir_lists_names_before_their_first_use():
    listed = python("import nrsfm_learn; print(dir(nrsfm_learn))")
    assert set(nrsfm_learn.__all__) <= set(listed)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'DeepNRSfMMP'"):
        _ = nrsfm_learn.DeepNRSfMMP


def test_star_import_brings_the_estimators():
    names = {}
    exec("from nrsfm_learn import *", names)
    assert names["DeepNRSfMPP"] is nrsfm_learn.DeepNRSfMPP
