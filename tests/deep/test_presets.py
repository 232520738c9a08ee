"""Sizes and schedules from the shape of the data."""

import itertools

import pytest

from nrsfm_learn._training import TrainingOptions
from nrsfm_learn.deep._presets import PRESETS, deep_nrsfm_preset, halving_sizes


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (256, 8, [256, 128, 64, 32, 16, 8]),
        (512, 8, [512, 256, 128, 64, 32, 16, 8]),
        (256, 2, [256, 128, 64, 32, 16, 8, 4, 2]),
        (256, 10, [256, 160, 80, 40, 20, 10]),
        (256, 256, [256]),
        (256, 255, [256, 255]),
        (256, 128, [256, 128]),
        (4, 4, [4]),
        (1, 1, [1]),
        (3, 1, [3, 2, 1]),
    ],
)
def test_halving_sizes(first, last, expected):
    assert halving_sizes(first, last) == expected


def test_halving_sizes_fall_from_the_first_to_the_last_by_at_most_two():
    for first, last in itertools.product((64, 100, 256, 512), range(1, 64)):
        sizes = halving_sizes(first, last)
        assert (sizes[0], sizes[-1]) == (first, last)
        assert all(1 <= above / below <= 2 for above, below in itertools.pairwise(sizes)), sizes
        assert len(set(sizes)) == len(sizes)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("n_frames", [10, 384, 5000, 100_000])
def test_presets_are_options_of_the_loop(preset, n_frames):
    settings = deep_nrsfm_preset(preset, n_frames)
    assert settings.pop("first_size") in (256, 512)
    options = TrainingOptions(**settings)
    assert options.schedule in ("cosine", "step")


def test_paper_preset_is_the_supplement():
    for n_frames in (100, 100_000):
        settings = deep_nrsfm_preset("paper", n_frames)
        assert settings["learning_rate"] == 1e-4
        assert settings["batch_size"] == 128
        assert settings["schedule"] == "step"
        assert settings["max_iter"] == 400_000


def test_quick_is_quicker():
    quick, auto, paper = (
        deep_nrsfm_preset(name, 1000)["max_iter"] for name in ("quick", "auto", "paper")
    )
    assert quick * 2 < auto < paper
