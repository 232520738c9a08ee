"""From instances to tracks."""

import numpy as np
import pytest

from nrsfm_learn.io import FileFormatError
from nrsfm_learn.io._instances import assemble_instances


def instances(when, ids, frames, n_points=3, **options):
    """Instance k has the coordinate k everywhere."""
    points = np.repeat(np.arange(len(when), dtype=float), 2 * n_points).reshape(-1, n_points, 2)
    return assemble_instances("test", "f", points, None, when, ids, frames, label="cow", **options)


def first_values(keypoints):
    return keypoints.W[:, 0, 0].tolist()


def test_ranks_where_nobody_is_tracked():
    keypoints = instances([0, 0, 1, 3, 3], [None] * 5, [0, 1, 2, 3])
    assert keypoints.individuals == ("cow_0", "cow_1")
    assert first_values(keypoints) == [0, 2, 3, 1, 4]
    assert keypoints.frames.tolist() == [0, 1, 3, 0, 3]
    assert keypoints.individual.tolist() == [0, 0, 0, 1, 1]
    assert any("may swap" in note for note in keypoints.source.notes)


def test_identities_and_instances_without():
    keypoints = instances([0, 0, 1, 1, 2], [7, 2, 2, None, 7], [4, 5, 6])
    assert keypoints.individuals == ("cow_2", "cow_7")
    assert first_values(keypoints) == [1, 2, 0, 4]
    assert keypoints.frames.tolist() == [4, 5, 4, 6]
    assert any("1 instances without an identity" in note for note in keypoints.source.notes)
    kept = instances([0, 0, 1, 1, 2], [7, 2, 2, None, 7], [4, 5, 6], individual="cow_7")
    assert kept.individuals == ("cow_7",)
    assert first_values(kept) == [0, 4]
    assert not any("stacked" in note for note in kept.source.notes)


def test_the_same_identity_twice_in_a_frame():
    with pytest.raises(FileFormatError, match="frame 9: the identity 3 is there 2 times"):
        instances([0, 1, 1], [3, 3, 3], [8, 9])


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([5, 6, 7], [5, 6, 7]),
        ([5, 6, 8], [5, 6, 7, 8]),
        # Every tenth frame of a video, one of them missing.
        ([0, 10, 30], [0, 10, 20, 30]),
        ([3], [3]),
        # Images of a data set, not of a video.
        ([139, 285, 10_000_000_632], [139, 285, 10_000_000_632]),
    ],
)
def test_time_is_even_for_one_individual(frames, expected):
    keypoints = instances(range(len(frames)), [None] * len(frames), frames)
    assert keypoints.frames.tolist() == expected
    there = [k for k, frame in enumerate(expected) if frame in frames]
    assert np.flatnonzero(keypoints.visible.all(1)).tolist() == there
    assert first_values(keypoints.select(rows=there)) == list(range(len(frames)))
    assert bool(keypoints.source.notes) == (np.ptp(np.diff(frames)) > 0 if frames[1:] else False)
    uneven = instances(range(len(frames)), [None] * len(frames), frames, even=False)
    assert uneven.frames.tolist() == frames


def test_a_crowd_of_short_tracks_takes_no_more_than_its_instances():
    n = 20_000
    # As a table of individuals by frames, this would have 20,000 x 20,000 x 17 entries.
    keypoints = instances(range(n), list(range(n)), list(range(n)), n_points=17)
    assert keypoints.W.shape == (n, 17, 2)
    assert len(keypoints.individuals) == n


def test_nobody():
    with pytest.raises(FileFormatError, match="no cow was detected in 2 frames"):
        instances([], [], [0, 1])
