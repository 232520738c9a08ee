"""What is the multi-category lifter's own: sparse codes, the cycle, annotated hidden points."""

import numpy as np
import pytest

from nrsfm_learn import MultiCategoryLifter
from nrsfm_learn._checkpoint import CheckpointError
from nrsfm_learn.datasets import make_low_rank

QUICK = {"n_components": 6, "width": 16, "max_iter": 8, "random_state": 0, "device": "cpu"}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    W = make_low_rank(n_frames=40, n_points=9, rank=2, random_state=0).W
    mask = rng.random(W.shape[:2]) > 0.25
    mask[:, :4] = True
    return W, mask


def test_codes_are_not_negative(data):
    W, _ = data
    # From rigid shapes codes begin at one.
    random = {**QUICK, "init": "random"}
    model = MultiCategoryLifter(**random).fit(W)
    assert (model.codes_ >= 0).all()
    assert (model.codes_ == 0).any()
    assert (MultiCategoryLifter(**random, nonnegative=False).fit(W).codes_ < 0).any()


def test_the_cycle_counts_after_the_first_part(data):
    W, _ = data
    curve = MultiCategoryLifter(**QUICK, pretrain_fraction=0.5).fit(W).loss_curve_
    base = MultiCategoryLifter(**QUICK, cycle_weight=0.0).fit(W).loss_curve_
    np.testing.assert_array_equal(curve[:4], base[:4])
    assert (curve[4:] > base[4:]).all()
    at_once = MultiCategoryLifter(**QUICK, pretrain_fraction=0.0).fit(W).loss_curve_
    assert at_once[0] > base[0]


def test_batch_normalisation_stays_as_it_was_pretrained(data):
    W, _ = data
    short = {**QUICK, "schedule": "constant", "init": "random"}
    pretrained = MultiCategoryLifter(**{**short, "max_iter": 4}, cycle_weight=0.0).fit(W)
    tuned = MultiCategoryLifter(**short, pretrain_fraction=0.5).fit(W)
    for name, tensor in pretrained.module_.state_dict().items():
        same = np.array_equal(tensor, tuned.module_.state_dict()[name])
        assert same == ("running" in name or "num_batches" in name), name


def test_loss_on_all_counts_what_the_network_does_not_see(data):
    W, mask = data
    visible = MultiCategoryLifter(**QUICK).fit(W, mask)
    everything = MultiCategoryLifter(**QUICK, loss_on="all").fit(W, mask)
    assert not np.allclose(visible.loss_curve_, everything.loss_curve_)
    moved = np.where(mask[..., None], W, W + 1)
    other = MultiCategoryLifter(**QUICK, loss_on="all").fit(moved, mask)
    assert not np.allclose(other.loss_curve_, everything.loss_curve_)
    # In transform nothing below the mask is looked at.
    np.testing.assert_array_equal(everything.transform(W, mask), everything.transform(moved, mask))
    # With everything visible, or nothing annotated below the mask, the two are one.
    for keypoints, shown in ((W, None), (np.where(mask[..., None], W, np.nan), mask)):
        one = MultiCategoryLifter(**QUICK, loss_on="visible").fit(keypoints, shown)
        two = MultiCategoryLifter(**QUICK, loss_on="all").fit(keypoints, shown)
        np.testing.assert_array_equal(one.loss_curve_, two.loss_curve_)
    assert not hasattr(everything, "_annotated")


@pytest.mark.filterwarnings("ignore::nrsfm_learn.base.TooPoorWarning")
def test_loss_on_all_with_poor_frames(data):
    W, mask = data
    good = MultiCategoryLifter(**QUICK, loss_on="all").fit(W, mask)
    # Annotated, but hardly seen: such a frame is left out, annotations and all.
    more = np.concatenate([W[:1], W])
    seen = np.concatenate([np.arange(9)[None] < 2, mask])
    model = MultiCategoryLifter(**QUICK, loss_on="all").fit(more, seen)
    np.testing.assert_array_equal(model.loss_curve_, good.loss_curve_)


def test_checkpoints_know_what_is_annotated_below_the_mask(data, tmp_path):
    W, mask = data
    settings = {**QUICK, "loss_on": "all", "checkpoint_dir": str(tmp_path)}
    MultiCategoryLifter(**settings).fit(W, mask)
    moved = np.where(mask[..., None], W, W + 1)
    with pytest.raises(CheckpointError, match="other data"):
        MultiCategoryLifter(**settings).fit(moved, mask)


def test_loss_on_all_takes_no_weights(data):
    W, mask = data
    model = MultiCategoryLifter(**QUICK, loss_on="all")
    with pytest.raises(ValueError, match="leave weights out"):
        model.fit(W, mask, weights=np.ones(9))
