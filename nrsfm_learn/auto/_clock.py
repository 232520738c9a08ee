"""The time that a call may take, and where it went."""

import time
from contextlib import contextmanager

# What is kept back of a limit, for what no part counts.
_MARGIN = 0.06


class Clock:
    """Count down from a limit.

    Parameters
    ----------
    limit : float
        Seconds from now.
    now : callable, default=time.monotonic
        Tells the time.

    Attributes
    ----------
    parts : dict of str to float
        Seconds of each part so far.
    """

    def __init__(self, limit, now=None):
        self.limit, self.now = limit, now or time.monotonic
        self.began = self.now()
        self.parts = {}

    @property
    def elapsed(self):
        """Seconds since the beginning."""
        return self.now() - self.began

    @property
    def left(self):
        """Seconds that may still be used; not below 0."""
        return max(0.0, self.limit * (1 - _MARGIN) - self.elapsed)

    @contextmanager
    def within(self, part):
        """Let a block have a part of the time that is left.

        Parameters
        ----------
        part : float
            Of the time, below 1.

        Yields
        ------
        Clock
            One whose limit comes earlier; what it counts is counted here.
        """
        inner = Clock((self.elapsed + part * self.left) / (1 - _MARGIN), self.now)
        inner.began, inner.parts = self.began, self.parts
        yield inner

    @contextmanager
    def part(self, name):
        """Count the seconds of a block as a part, besides those that the part has already.

        Parameters
        ----------
        name : str
            Name of the part.

        Yields
        ------
        None
        """
        began = self.now()
        try:
            yield
        finally:
            self.parts[name] = self.parts.get(name, 0.0) + self.now() - began
