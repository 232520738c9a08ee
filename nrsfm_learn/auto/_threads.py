"""How many threads to compute with: on a busy machine more are slower, by far."""

import time
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits

# What more threads must gain to be used: they slow down what else runs, and are the first to suffer
# from it.
_GAIN = 0.75
_PRODUCTS = 50


@contextmanager
def suitable_threads(seconds=None):
    """Compute in this block with one thread, unless several are clearly faster right now.

    The networks and matrices here are small. Several threads that wait for each other beside other
    jobs were seen to be thirty times as slow as one.

    Parameters
    ----------
    seconds : callable, default=None
        ``seconds() -> float``, time of a piece of work with the present number of threads; by
        default products of small matrices.

    Yields
    ------
    int
        Number of threads.
    """
    seconds, before = seconds or _seconds_of_work, torch.get_num_threads()
    try:
        several = seconds() if before > 1 else float("inf")
        torch.set_num_threads(1)
        if before > 1 and several < _GAIN * seconds():
            torch.set_num_threads(before)
        n_threads = torch.get_num_threads()
        with threadpool_limits(n_threads):
            yield n_threads
    finally:
        torch.set_num_threads(before)


def _seconds_of_work():
    a, b = torch.ones(256, 256), torch.ones(256, 256)
    torch.tanh(a @ b)
    began = time.perf_counter()
    for _ in range(_PRODUCTS):
        torch.tanh(a @ b).sum()
    return time.perf_counter() - began
