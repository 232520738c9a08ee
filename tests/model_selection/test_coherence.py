"""Mutual coherence against its definition and dictionaries whose coherence is known."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from nrsfm_learn import DeepNRSfMPP
from nrsfm_learn.datasets import make_low_rank
from nrsfm_learn.model_selection import dictionary_coherence


def by_definition(D):
    return max(
        abs(np.dot(D[:, i], D[:, j])) / (np.linalg.norm(D[:, i]) * np.linalg.norm(D[:, j]))
        for i, j in itertools.combinations(range(D.shape[1]), 2)
    )


@pytest.fixture(scope="module")
def model():
    data = make_low_rank(n_frames=20, n_points=8, rank=2, random_state=0)
    sizes = [12, 6, 4]
    return DeepNRSfMPP(dictionary_sizes=sizes, max_iter=2, random_state=0, device="cpu").fit(data.W)


@settings(deadline=None, max_examples=30)
@given(n=st.integers(2, 6), k=st.integers(2, 9), seed=st.integers(0, 999))
def test_definition_and_invariances(n, k, seed):
    rng = np.random.default_rng(seed)
    D = rng.normal(size=(n, k))
    coherence = dictionary_coherence(D)
    assert coherence == pytest.approx(by_definition(D), abs=1e-12)
    Q = np.linalg.qr(rng.normal(size=(n, n)))[0]
    scaled = (Q @ D)[:, rng.permutation(k)] * rng.choice([-3.0, 0.1, 2.0], size=k)
    assert dictionary_coherence(scaled) == pytest.approx(coherence, abs=1e-12)
    # The block dictionary of the encoder has nothing that the dictionary has not.
    assert dictionary_coherence(np.kron(D, np.eye(3))) == pytest.approx(coherence, abs=1e-12)


@pytest.mark.parametrize("n", [2, 3, 7])
def test_known_dictionaries(n):
    assert dictionary_coherence(np.eye(n)) == 0
    # The corners of a regular simplex meet the Welch bound.
    simplex = np.linalg.svd(np.eye(n + 1) - 1 / (n + 1))[0][:, :n].T
    assert dictionary_coherence(simplex) == pytest.approx(1 / n, abs=1e-12)
    assert dictionary_coherence(np.c_[np.eye(n), -5 * np.eye(n)[:, 0]]) == pytest.approx(1)


def test_shapes_are_atoms_of_all_their_coordinates():
    D = np.random.default_rng(0).normal(size=(5, 3, 4))
    columns = np.stack([D[..., k].ravel() for k in range(4)], axis=1)
    assert dictionary_coherence(D) == pytest.approx(by_definition(columns), abs=1e-12)
    tensor = torch.nn.Parameter(torch.as_tensor(D))
    assert dictionary_coherence(tensor) == pytest.approx(by_definition(columns), abs=1e-12)


def test_atoms_of_zero_are_left_out():
    D = np.random.default_rng(1).normal(size=(5, 4))
    D[:, 2] = 0
    assert dictionary_coherence(D) == pytest.approx(by_definition(np.delete(D, 2, 1)), abs=1e-12)
    assert dictionary_coherence(np.zeros((5, 4))) == 0
    assert dictionary_coherence(D[:, :1]) == 0


def test_levels_of_an_estimator(model):
    hierarchy = [d.detach().numpy() for d in model.module_.dictionaries]
    assert [d.shape for d in hierarchy] == [(12, 6), (6, 4)]
    expected = [
        by_definition(d.astype(float)) for d in (model.dictionary_.reshape(24, 12), *hierarchy)
    ]
    for level in range(3):
        assert dictionary_coherence(model, level=level) == pytest.approx(expected[level], abs=1e-6)
    assert dictionary_coherence(model) == dictionary_coherence(model, level=2)
    pipeline = Pipeline([("nothing", FunctionTransformer()), ("method", model)])
    assert dictionary_coherence(pipeline) == dictionary_coherence(model)


def test_errors(model):
    with pytest.raises(ValueError, match="level=3, but DeepNRSfMPP has dictionaries 0 to 2"):
        dictionary_coherence(model, level=3)
    with pytest.raises(TypeError, match="BaseEstimator has no dictionary_"):
        dictionary_coherence(BaseEstimator())
    with pytest.raises(ValueError, match=r"got \(3,\)"):
        dictionary_coherence(np.ones(3))
    with pytest.raises(ValueError, match=r"got \(4, 2, 5\)"):
        dictionary_coherence(np.ones((4, 2, 5)))
    with pytest.raises(ValueError, match="not finite in atom 1"):
        dictionary_coherence(np.array([[1.0, np.nan], [0.0, 1.0]]))
