"""What starts are ranked by, against the same thing computed from the finished estimator."""

import math

import numpy as np
import pytest
import torch

from nrsfm_learn import PAUL, DeepNRSfMPP
from nrsfm_learn.base import Observations
from nrsfm_learn.datasets import make_low_rank
from nrsfm_learn.deep import _criteria, _free_codes
from nrsfm_learn.deep._criteria import CRITERIA, start_criteria
from nrsfm_learn.model_selection import cycle_error, hidden_keypoint_score

SMALL = {
    "n_components": 2,
    "widths": [16, 8],
    "encoder_width": 16,
    "max_iter": 5,
    "random_state": 0,
    "device": "cpu",
}
MODELS = {
    "mlp": PAUL(**SMALL),
    "free": PAUL(**SMALL, codes="free"),
    "perspective": PAUL(**SMALL, camera="perspective"),
    "deep_nrsfm": DeepNRSfMPP(
        dictionary_sizes=[16, 8, 3], max_iter=5, random_state=0, device="cpu"
    ),
}


@pytest.fixture(scope="module", autouse=True)
def few_steps():
    """Few steps to the codes of frames: how good they are is the matter of another file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_free_codes, "_N_STEPS", 5)
        yield


@pytest.fixture(scope="module", params=MODELS)
def case(request):
    model = MODELS[request.param]
    perspective = model.camera == "perspective"
    data = make_low_rank(
        n_frames=30,
        n_points=8,
        rank=2,
        missing=0.1,
        camera=model.camera,
        image_size=(640, 480) if perspective else None,
        random_state=0,
    )
    side = {"intrinsics": data.intrinsics} if perspective else {}
    return model.fit(data.W, **side), data, side


def observed(data, side):
    return Observations(data.W, data.visible, **side)


def breathing(X):
    """Variation of the distance to the steadiest neighbour, by loops."""
    P = X.shape[1]
    best = []
    for p in range(P):
        lengths = [np.linalg.norm(X[:, p] - X[:, q], axis=1) for q in range(P) if q != p]
        best.append(min(d.std() / d.mean() for d in lengths))
    return np.mean(best)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_score(case, criterion):
    model, data, side = case
    before = dict(vars(model))
    model.set_params(start_criterion=criterion)
    found = start_criteria(model, model.module_, observed(data, side), 0.7)
    model.set_params(start_criterion=before["start_criterion"])
    variation = breathing(model.shapes_)
    assert found["neighbor_distance"] == pytest.approx(variation, rel=1e-4)

    def product():
        # Views are too dear for a search over codes.
        fast = getattr(model, "codes", "encoder") == "encoder"
        return 0.7 * variation * (cycle_error(model, data.W, **side) if fast else 1)

    expected = {
        "auto": product,
        "neighbor_distance": lambda: variation,
        "loss": lambda: 0.7,
        "cycle": lambda: cycle_error(model, data.W, **side),
        "hidden_keypoints": lambda: 1 - hidden_keypoint_score(model, data.W, **side),
    }[criterion]()
    assert found["score"] == pytest.approx(expected, rel=1e-3)
    if criterion in ("cycle", "hidden_keypoints"):
        assert found[criterion] == found["score"]
    # As plain as a checkpoint and a saved file can hold.
    assert all(type(value) is float for value in found.values())
    assert set(vars(model)) == set(before)
    assert model.module_ is before["module_"]


def test_it_is_the_start_that_counts(case):
    model, data, side = case
    other = model._build_module(seed=5)
    found = [start_criteria(model, m, observed(data, side), 1.0) for m in (model.module_, other)]
    assert found[0]["score"] != found[1]["score"]


def test_numbers_that_are_not_finite_are_the_worst(case):
    model, data, side = case
    broken = model._build_module(seed=5)
    with torch.no_grad():
        for p in broken.parameters():
            p.fill_(math.nan)
    assert start_criteria(model, broken, observed(data, side), 1.0) == {"score": math.inf}


def test_frames_are_spread_over_the_data(monkeypatch):
    monkeypatch.setattr(_criteria, "_N_FRAMES", 10)
    data = make_low_rank(n_frames=100, n_points=8, rank=2, random_state=0)
    model = PAUL(**SMALL, codes="free").fit(data.W)
    seen = []
    lift = PAUL._lift

    def noting_lift(self, observations):
        seen.append(observations)
        return lift(self, observations)

    monkeypatch.setattr(PAUL, "_lift", noting_lift)
    found = start_criteria(model, model.module_, Observations(data.W, data.visible), 1.0)
    (sample,) = seen
    index = np.linspace(0, 99, 10).astype(int)
    np.testing.assert_array_equal(sample.W, data.W[index])
    assert found["neighbor_distance"] == pytest.approx(breathing(model.shapes_[index]), rel=1e-4)
