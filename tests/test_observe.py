"""From input to observations: poor frames, digests, and whom a warning points at."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_methods import Cardboard

from nrsfm_learn._observe import digest, observe, take_liftable
from nrsfm_learn.base import NRSfMTags, Observations, TooPoorWarning
from nrsfm_learn.testing import keypoints, masks

TAGS = NRSfMTags()


def see(W, mask=None, **kwargs):
    return observe(W, mask, tags=kwargs.pop("tags", TAGS), name="Toy", **kwargs)


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_visible_is_what_every_source_shows(data):
    W = data.draw(keypoints(5, 4, missing=True))
    mask = data.draw(masks(5, 4))
    weights = data.draw(masks(5, 4)).astype(float)
    shown = ~np.isnan(W).any(-1) & mask & (weights > 0)
    if not shown.any():
        return
    seen = see(W, mask, weights=weights, n_points=4)
    np.testing.assert_array_equal(seen.visible, shown)
    np.testing.assert_array_equal(seen.W, np.where(shown[..., None], W, np.nan))


@settings(deadline=None, max_examples=40)
@given(visible=masks(7, 5))
def test_liftable_frames_are_those_with_three_visible_points(visible):
    W = np.random.default_rng(0).normal(size=(7, 5, 2))
    W[~visible] = np.nan
    expected = [f for f in range(7) if sum(visible[f]) >= 3]
    observations = Observations(W, visible, groups=np.arange(7))
    if len(expected) == 7:
        taken, index = take_liftable(observations, name="Toy")
    else:
        with pytest.warns(TooPoorWarning, match=f"^{7 - len(expected)} of 7 frames"):
            taken, index = take_liftable(observations, name="Toy")
    assert index.tolist() == taken.groups.tolist() == expected


def test_the_warning_tells_both_kinds_of_poor_frames_apart():
    W = np.random.default_rng(0).normal(size=(6, 4, 2))
    W[1, 2:] = np.nan
    W[4] = 7.0
    W[5] = 3.0
    with pytest.warns(TooPoorWarning) as caught:
        take_liftable(see(W), name="Toy")
    assert str(caught[0].message) == (
        "3 of 6 frames are too poor to lift and come back as NaN: 1 with fewer than 3 visible "
        "keypoints, 2 with all keypoints in one place. The first: [1, 4, 5]."
    )


def test_too_few_liftable_frames_are_an_error_and_no_warning(recwarn):
    W = np.random.default_rng(0).normal(size=(6, 4, 2))
    W[:5] = 1.0
    with pytest.raises(ValueError, match=r"6 frames, of which 1 show .* Toy needs at least 2"):
        take_liftable(see(W), name="Toy", min_frames=2)
    assert not recwarn.list


@pytest.mark.parametrize("call", ["fit", "fit_transform", "transform", "predict", "lift", "score"])
def test_warnings_point_at_the_line_of_the_user(call):
    W = np.random.default_rng(0).normal(size=(6, 4, 2))
    model = Cardboard().fit(W)
    W[2] = np.nan
    with pytest.warns(TooPoorWarning) as caught:
        getattr(model, call)(W)
    assert [w.filename for w in caught] == [__file__]


def test_warnings_of_a_pipeline_point_at_the_user_too():
    from sklearn.pipeline import make_pipeline

    W = np.random.default_rng(0).normal(size=(6, 4, 2))
    W[2] = np.nan
    with pytest.warns(TooPoorWarning) as caught:
        make_pipeline(Cardboard()).fit(W)
    assert [w.filename for w in caught] == [__file__]


def test_a_digest_tells_values_shapes_and_fields_apart():
    W = np.random.default_rng(0).normal(size=(6, 4, 2))
    first = see(W, groups=list("aabbcc"))
    same = see(W.copy(), groups=list("aabbcc"))
    assert digest(first) == digest(same)
    assert set(digest(first)) == {"W", "groups"}
    moved = W.copy()
    moved[3, 2, 1] += 1e-12
    assert digest(see(moved))["W"] != digest(first)["W"]
    assert digest(see(W.reshape(4, 6, 2)))["W"] != digest(first)["W"]
    assert digest(see(W.astype(np.float32)))["W"] != digest(first)["W"]
    assert digest(see(W, groups=list("aabbcd")))["groups"] != digest(first)["groups"]
    objects = np.array(["a", "a", "b", "b", "c", 1], dtype=object)
    assert digest(see(W, groups=objects))["groups"] != digest(first)["groups"]


def test_a_point_of_weight_zero_in_all_frames_cannot_be_learned():
    W = np.random.default_rng(0).normal(size=(6, 4, 2))
    with pytest.raises(ValueError, match=r"never shows the point\(s\) \[2\]"):
        see(W, weights=[1, 1, 0, 1])
    assert not see(W, weights=[1, 1, 0, 1], n_points=4).visible[:, 2].any()
