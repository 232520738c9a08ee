"""Deep NRSfM as an estimator, on data small enough to learn in seconds."""

import inspect

import numpy as np
import pytest

from nrsfm_learn import DeepNRSfM, DeepNRSfMPP
from nrsfm_learn.datasets import make_low_rank
from nrsfm_learn.metrics import normalized_error

SMALL = {"dictionary_sizes": [32, 16, 4], "batch_size": 32, "device": "cpu", "random_state": 0}
FAST = {**SMALL, "learning_rate": 3e-3, "random_state": 1}
# What its successor added, as it is without.
WITHOUT = {
    "activation": "relu",
    "code_readout": "linear",
    "n_unrolled": 1,
    "n_completions": 0,
    "n_solver_steps": 0,
}


def make_data(camera="orthographic"):
    return make_low_rank(
        n_frames=60,
        n_points=12,
        rank=2,
        camera=camera,
        image_size=None if camera == "orthographic" else (640, 480),
        missing=0.1,
        random_state=0,
    )


@pytest.mark.parametrize("setting", [{"cycle_weight": 0.0}, {"camera": "weak_perspective"}])
def test_learns_low_rank_shapes(setting):
    data = make_low_rank(n_frames=80, n_points=12, rank=2, missing=0.1, random_state=0)
    model = DeepNRSfM(max_iter=100, **FAST, **setting).fit(data.W)
    assert model.module_.activation == "relu"
    assert model.module_.code_readout == "linear"
    assert len(model.module_.step_sizes) == 0
    assert normalized_error(data.X, model.reconstruction_, protocol="procrustes") < 0.6
    assert not model.__sklearn_tags__().nrsfm_tags.equivariant


def test_perspective():
    data = make_data("perspective")
    model = DeepNRSfM(camera="perspective", max_iter=5, **SMALL)
    X = model.fit_transform(data.W, intrinsics=data.intrinsics)
    assert model.module_.n_columns == 3
    assert np.isfinite(X).all()
    assert (X[..., 2].mean(1) > 0).all()


@pytest.mark.parametrize("camera", ["orthographic", "weak_perspective", "perspective"])
def test_is_its_successor_without_what_that_added(camera):
    data = make_data(camera)
    K = data.intrinsics if camera == "perspective" else None
    settings = {"camera": camera, "max_iter": 5, **SMALL}
    plain = DeepNRSfM(**settings).fit(data.W, intrinsics=K)
    same = DeepNRSfMPP(cycle_weight=0.0, **WITHOUT, **settings).fit(data.W, intrinsics=K)
    np.testing.assert_array_equal(plain.loss_curve_, same.loss_curve_)
    np.testing.assert_array_equal(plain.reconstruction_, same.reconstruction_)


def test_parameters_are_those_of_its_successor_but_for_what_that_added():
    of, successor = (inspect.signature(cls).parameters for cls in (DeepNRSfM, DeepNRSfMPP))
    assert set(successor) - set(of) == set(WITHOUT)
    assert list(of) == [name for name in successor if name not in WITHOUT]
    differing = {name for name in of if of[name].default != successor[name].default}
    assert differing == {"cycle_weight"}
    assert DeepNRSfM().cycle_weight == 0
    assert set(DeepNRSfM().get_params()) == set(of)
    for name in WITHOUT:
        with pytest.raises(TypeError, match=name):
            DeepNRSfM(**{name: WITHOUT[name]})
