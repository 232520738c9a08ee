"""Options and fixtures that every test may use."""

import os
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)


def pytest_addoption(parser):
    parser.addoption("--device", default="cpu", help="torch device of the tests: cpu, cuda, cuda:1")
    parser.addoption(
        "--dtype",
        default="float64",
        choices=("float32", "float64"),
        help="dtype of the tests that are not bound to one",
    )


def pytest_configure(config):
    name = config.getoption("--device")
    # Asking for a device that is not there is an error, not a skip.
    if torch.device(name).type == "cuda" and not torch.cuda.is_available():
        raise pytest.UsageError(f"--device {name}: torch sees no CUDA device")


@pytest.fixture
def device(request):
    return torch.device(request.config.getoption("--device"))


@pytest.fixture
def dtype(request):
    return getattr(torch, request.config.getoption("--dtype"))


@pytest.fixture
def data_dir():
    """Folder of the real data, for the tests that read it."""
    folder = os.environ.get("NRSFM_LEARN_DATA")
    if not folder:
        pytest.skip("needs real data: set NRSFM_LEARN_DATA to their folder")
    if not Path(folder).is_dir():
        raise pytest.UsageError(f"NRSFM_LEARN_DATA={folder} is not a folder")
    return Path(folder)
