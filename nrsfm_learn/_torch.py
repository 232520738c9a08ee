"""The border between numpy and torch: devices, dtypes, seeds."""

import numpy as np
import torch
from sklearn.utils import check_random_state


def resolve_device(device):
    """Turn the ``device`` parameter of an estimator into a :class:`torch.device`.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda"} or str or torch.device
        ``"auto"`` is the first CUDA device where one is present, else the CPU.

    Returns
    -------
    torch.device

    Raises
    ------
    ValueError
        If the name is no device, or the device is not present on this machine.
    """
    if isinstance(device, str) and device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f"device={device!r} is no torch device: use 'auto', 'cpu', 'cuda', 'cuda:1' or a "
            f"torch.device."
        ) from error
    try:
        # Asking for a number of it is the one question that every kind of device answers.
        torch.zeros(1, device=resolved).item()
    except (RuntimeError, AssertionError, ImportError) as error:
        raise ValueError(
            f"device={device!r} was asked for, but torch has no such device here: use "
            f"device='auto' or 'cpu'."
        ) from error
    return resolved


def draw_seed(random_state):
    """Draw one seed from a scikit-learn ``random_state``; an int gives the same seed every time."""
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def make_generator(seed, device):
    """Return a :class:`torch.Generator` on ``device`` with this seed; the global generators are
    left alone.
    """
    return torch.Generator(device=device).manual_seed(seed)


def to_tensor(array, device, dtype=torch.float32):
    """Copy a numpy array to ``device``; floating arrays are cast to ``dtype``, others keep
    theirs.
    """
    array = np.asarray(array, order="C")
    dtype = dtype if array.dtype.kind == "f" else None
    return torch.tensor(array, dtype=dtype, device=device)


def to_numpy(tensor):
    """Bring a tensor back as a numpy array of its own memory."""
    return tensor.detach().cpu().numpy().copy()
