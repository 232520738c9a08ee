"""A time limit from outside, at which long loops end with what they have."""

from contextlib import contextmanager
from contextvars import ContextVar

_question = ContextVar("nrsfm_learn_time_is_up", default=None)


@contextmanager
def stop_when(is_up):
    """Within this block, ask a function after every step of a long loop whether to end it.

    A loop that is ended leaves the best that it has so far, as at its largest number of
    iterations. It is for whoever runs estimators of others within a limit: estimators need no
    parameter for it, and a nested block replaces the outer one.

    Parameters
    ----------
    is_up : callable
        ``is_up() -> bool``, cheap.

    Yields
    ------
    None
    """
    token = _question.set(is_up)
    try:
        yield
    finally:
        _question.reset(token)


def time_is_up():
    """Return whether a loop is to end now; False outside of :func:`stop_when`."""
    is_up = _question.get()
    return is_up is not None and bool(is_up())
