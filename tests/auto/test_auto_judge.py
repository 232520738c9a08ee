"""What is said of a result, and the signs of its depth."""

import numpy as np
import pytest

from nrsfm_learn.auto._judge import ambiguities, settle_signs, shaky
from nrsfm_learn.datasets import make_articulated_body


def test_a_video_gets_one_sign_a_clip():
    body = make_articulated_body(40, clips=1, views="smooth", random_state=0)
    X = body.X.copy()
    X[5:12, :, 2] = 2 * X[5:12, :, 2].mean(1, keepdims=True) - X[5:12, :, 2]
    settled, n_turned = settle_signs(X, body.groups, is_video=True, perspective=False)
    assert n_turned == 7
    np.testing.assert_allclose(settled, body.X, atol=1e-9)


@pytest.mark.parametrize("options", [(False, False), (True, True), (False, True)])
def test_photographs_and_perspective_keep_their_signs(options):
    X = np.random.default_rng(0).normal(size=(6, 4, 3))
    is_video, perspective = options
    settled, n_turned = settle_signs(
        X, np.zeros(6, int), is_video=is_video, perspective=perspective
    )
    assert n_turned == 0
    assert settled is X


@pytest.mark.parametrize(
    ("variation", "confidence", "said"),
    [
        (0.03, None, []),
        (0.2, None, ["vary by 20%"]),
        (0.03, np.full((2, 3), 0.9), []),
        (0.03, np.full((2, 3), 0.3), ["mean confidence 0.30"]),
        (0.2, np.array([[0.3, np.nan]]), ["vary by 20%", "mean confidence 0.30"]),
    ],
)
def test_results_that_contradict_themselves(variation, confidence, said):
    found = shaky(variation, confidence)
    assert len(found) == len(said)
    assert all(part in text for part, text in zip(said, found, strict=True))


def test_what_no_method_knows():
    assert "clip" in ambiguities(perspective=False, is_video=True)[0]
    assert "single frames" in ambiguities(perspective=False, is_video=False)[0]
    (scale,) = ambiguities(perspective=True, is_video=True)
    assert "one factor a frame" in scale
