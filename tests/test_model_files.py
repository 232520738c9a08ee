"""Files that released versions wrote still load, and lift as they did."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import nrsfm_learn

MODELS = Path(__file__).parent / "models"
FILES = sorted(MODELS.glob("*.safetensors"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_of_a_release_lifts_as_it_did(path):
    model = nrsfm_learn.load(path)
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as stored:
        W, X = stored["W"], stored["X"]
    np.testing.assert_allclose(model.transform(W), X, rtol=1e-3, atol=1e-3 * np.nanstd(X))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_its_card_says_what_it_is(path):
    card = nrsfm_learn.model_card(path)
    assert card["method"] == type(nrsfm_learn.load(path)).__name__
    assert (card["n_frames"], card["n_points"]) == (12, len(card["names"]))
    assert card["score"] <= 1
    assert card["format_version"] == "1"
    assert path.stem.endswith(card["nrsfm_learn_version"])


def test_there_is_a_file_of_each_kind_that_the_script_writes():
    spec = importlib.util.spec_from_file_location("write_models", MODELS / "write.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    kinds = {path.stem.rpartition("_")[0] for path in FILES}
    assert kinds == set(script.MODELS)
