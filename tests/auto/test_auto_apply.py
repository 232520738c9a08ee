"""Lifting with an estimator that is fitted already."""

import numpy as np
import pytest

from nrsfm_learn import BMM, DeepNRSfMPP, TrajectoryBasis
from nrsfm_learn.auto import lift_with
from nrsfm_learn.datasets import make_low_rank
from nrsfm_learn.io import Keypoints

DATA = make_low_rank(n_frames=40, n_points=9, rank=2, views="random", random_state=0)
NAMES = tuple("abcdefghi")


@pytest.fixture(scope="module")
def model():
    return BMM(n_bases=2).fit(DATA.W)


def test_it_is_what_the_estimator_does(model):
    result = lift_with(model, DATA.W)
    np.testing.assert_allclose(result.reconstruction, model.transform(DATA.W))
    assert result.score == pytest.approx(model.score(DATA.W))
    assert (result.plan.n_fitted, result.plan.reason) == (0, "fitted before")
    assert "inf" not in str(result)
    assert any("sign of depth" in text for text in result.warnings)


def test_points_are_found_by_name(model):
    order = np.random.default_rng(0).permutation(9)
    W = np.concatenate([DATA.W[:, order], np.zeros((40, 1, 2))], axis=1)
    keypoints = Keypoints(W, names=[*np.array(NAMES)[order], "another"])
    result = lift_with(model, keypoints, names=NAMES)
    np.testing.assert_allclose(result.reconstruction[:, :9], model.transform(DATA.W)[:, order])
    assert np.isnan(result.reconstruction[:, 9]).all()
    np.testing.assert_allclose(
        result.reprojection()[:, :9], result.reconstruction[:, :9, :2], atol=1e-9
    )


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (None, "8 points, and BMM was fitted to 9: pass names"),
        (NAMES, "fitted to a point 'i', which the keypoints do not have"),
        (NAMES[:8], "names has 8 entries"),
    ],
)
def test_other_points_are_an_error(model, names, message):
    keypoints = Keypoints(DATA.W[:, :8], names=NAMES[:8])
    with pytest.raises(ValueError, match=message):
        lift_with(model, keypoints, names=names)


def test_a_method_that_lifts_no_other_frames_says_so():
    model = TrajectoryBasis(n_bases=2).fit(DATA.W)
    with pytest.raises(ValueError, match="TrajectoryBasis"):
        lift_with(model, DATA.W[::-1] + 1)


def test_intrinsics_go_to_perspective_methods_alone(model):
    K = np.array([[500.0, 0, 0], [0, 500, 0], [0, 0, 1]])
    assert np.isfinite(lift_with(model, DATA.W, intrinsics=K).reconstruction).all()
    settings = {"dictionary_sizes": (6, 3), "max_iter": 2, "camera": "perspective"}
    deep = DeepNRSfMPP(**settings, random_state=0).fit(DATA.W, intrinsics=K)
    result = lift_with(deep, DATA.W, intrinsics=K)
    np.testing.assert_allclose(
        result.reprojection(), deep.inverse_transform(result.reconstruction, K)
    )
    assert not any("sign of depth" in text for text in result.warnings)
