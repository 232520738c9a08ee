"""The border between numpy and torch."""

import numpy as np
import pytest
import torch

from nrsfm_learn._torch import draw_seed, make_generator, resolve_device, to_numpy, to_tensor


def test_auto_is_cuda_where_there_is_one():
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert resolve_device("auto").type == expected


@pytest.mark.parametrize("name", ["cpu", "cpu:0", torch.device("cpu")])
def test_devices_that_exist(name):
    assert resolve_device(name) == torch.device(name)


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", None, 3.5])
def test_names_that_are_no_device(name):
    with pytest.raises(ValueError, match=r"device=.* is no torch device: use 'auto'"):
        resolve_device(name)


@pytest.mark.parametrize("name", ["cuda:99", "meta"])
def test_devices_that_are_not_there(name):
    with pytest.raises(ValueError, match=f"device='{name}' was asked for, .*'auto' or 'cpu'"):
        resolve_device(name)


def test_cuda_without_cuda():
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(ValueError, match="no such device"):
        resolve_device("cuda")


def test_seed_of_an_int_is_the_same_each_time_and_of_a_random_state_moves_on():
    assert draw_seed(3) == draw_seed(3)
    assert draw_seed(3) != draw_seed(4)
    rng = np.random.RandomState(3)
    first, second = draw_seed(rng), draw_seed(rng)
    assert first == draw_seed(3)
    assert first != second
    assert isinstance(first, int)


def test_int_seed_leaves_the_global_state_of_numpy():
    np.random.seed(5)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    draw_seed(0)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_generator_is_seeded_and_leaves_the_global_one():
    before = torch.random.get_rng_state()
    first = torch.rand(5, generator=make_generator(7, torch.device("cpu")))
    again = torch.rand(5, generator=make_generator(7, torch.device("cpu")))
    assert torch.equal(first, again)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_are_cast(dtype):
    tensor = to_tensor(np.array([0.5, -2], dtype=dtype), "cpu")
    assert tensor.dtype == torch.float32
    assert tensor.tolist() == [0.5, -2.0]
    assert to_tensor(np.array([0.5], dtype=dtype), "cpu", torch.float64).dtype == torch.float64


@pytest.mark.parametrize("array", [np.array([True, False]), np.array([3, -4])])
def test_other_dtypes_stay(array):
    tensor = to_tensor(array, "cpu")
    np.testing.assert_array_equal(tensor.numpy(), array, strict=True)


def test_tensor_is_a_copy_of_any_memory_layout():
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    view = array.T[::-1]
    tensor = to_tensor(view, "cpu")
    np.testing.assert_array_equal(tensor.numpy(), view)
    whole = to_tensor(array, "cpu")
    whole.zero_()
    assert array.any()
    assert to_tensor(np.float64(2.5), "cpu").shape == ()


@pytest.mark.filterwarnings("error")
def test_memory_that_cannot_be_written():
    # Joblib hands large arrays to its workers as read-only memory maps.
    array = np.ones(3, dtype=np.float32)
    array.flags.writeable = False
    assert to_tensor(array, "cpu").tolist() == [1, 1, 1]


def test_numpy_array_has_memory_of_its_own():
    tensor = torch.ones(3, requires_grad=True)
    array = to_numpy(tensor)
    array[:] = 7
    assert tensor.tolist() == [1, 1, 1]
