"""Whom a warning points at."""

import os
import sys

import sklearn

_LIBRARIES = (os.path.dirname(__file__) + os.sep, os.path.dirname(sklearn.__file__) + os.sep)


def caller_stacklevel():
    """Return the ``stacklevel`` at which a warning points at the user's own line.

    How many frames lie between depends on decorators, Pipelines and searches: the first one outside
    this package and scikit-learn is the user's.

    Returns
    -------
    int
        For a ``warnings.warn`` in the function that calls this one.
    """
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_LIBRARIES):
        level, frame = level + 1, frame.f_back
    return level
