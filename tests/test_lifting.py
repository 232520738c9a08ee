"""Frames are lifted in chunks and come back in their places."""

import numpy as np
import pytest

from nrsfm_learn._lifting import lift_in_chunks
from nrsfm_learn.base import Observations, Reconstruction


@pytest.mark.parametrize("chunk", [None, 1, 2, 3, 100])
@pytest.mark.parametrize("only_X", [False, True])
def test_chunks_are_put_together(chunk, only_X):
    W = np.arange(5 * 4 * 2.0).reshape(5, 4, 2)
    observations = Observations(W, np.ones((5, 4), bool))
    sizes = []

    def lift(part):
        sizes.append(len(part.W))
        empty = Reconstruction.empty(len(part.W), 4)
        return empty._replace(X=np.repeat(part.W[..., :1], 3, -1), scales=part.W[:, 0, 0])

    index = np.array([0, 2, 3, 5, 6])
    whole = lift_in_chunks(lift, observations, index, 8, chunk, only_X)
    assert max(sizes) <= (chunk or 5)
    assert sum(sizes) == 5
    np.testing.assert_array_equal(whole.X[index, :, 0], W[..., 0])
    assert np.isnan(np.delete(whole.X, index, axis=0)).all()
    if only_X:
        assert whole[1:] == (None,) * 5
    else:
        np.testing.assert_array_equal(whole.scales[index], W[:, 0, 0])


def test_nothing_to_lift_gives_nan_of_the_input_type():
    observations = Observations(np.zeros((0, 4, 2), np.float32), np.zeros((0, 4), bool))
    whole = lift_in_chunks(None, observations, np.array([], int), 3)
    assert whole.X.shape == (3, 4, 3)
    assert whole.X.dtype == np.float32
    assert np.isnan(whole.X).all()
