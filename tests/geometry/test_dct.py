import numpy as np
import pytest
import scipy.fft
import torch

from nrsfm_learn.geometry import dct_basis


@pytest.mark.parametrize(("n_frames", "n_bases"), [(1, 1), (2, 2), (17, 17), (240, 12), (5000, 3)])
def test_equals_scipy(n_frames, n_bases, device, dtype):
    basis = dct_basis(n_frames, n_bases, dtype=dtype, device=device)
    assert basis.shape == (n_frames, n_bases)
    assert basis.dtype == dtype
    coefficients = np.eye(n_frames, n_bases)
    expected = scipy.fft.idct(coefficients, axis=0, norm="ortho")
    np.testing.assert_allclose(basis.cpu(), expected, atol=3 * torch.finfo(dtype).eps)


def test_is_orthonormal():
    basis = dct_basis(300, 40, dtype=torch.float64)
    assert (basis.mT @ basis - torch.eye(40)).abs().max() < 1e-13


@pytest.mark.parametrize(("n_frames", "n_bases"), [(5, 6), (5, 0), (0, 1)])
def test_bad_size(n_frames, n_bases):
    with pytest.raises(ValueError, match="n_bases must be between 1 and n_frames"):
        dct_basis(n_frames, n_bases)
