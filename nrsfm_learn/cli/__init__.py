"""The command line, ``nrsfm-learn`` and ``python -m nrsfm_learn``.

Nothing heavy is imported before a command runs, so that ``--help`` answers at once.
"""

from ._main import main

__all__ = ["main"]
