"""The contract of every method, as checks that each have a name."""

import unittest
import warnings
from functools import partial

from . import _check_conduct, _check_input, _check_results

_CHECKS = tuple(
    check
    for module in (_check_results, _check_input, _check_conduct)
    for name, check in vars(module).items()
    if name.startswith("check_") and check.__module__ == module.__name__
)


def nrsfm_estimator_checks(estimator):
    """Yield the contract's checks for an estimator, for ``pytest.mark.parametrize``.

    Parameters
    ----------
    estimator : BaseNRSfM
        Unfitted estimator. Checks fit cheap clones of it: few iterations, small sizes, the CPU.

    Yields
    ------
    name : str
        Name of the check.
    check : callable
        Call it without arguments; it raises where the contract is broken, and
        ``unittest.SkipTest`` where an optional package is missing. Checks of what the tags exclude
        pass.

    Examples
    --------
    >>> import pytest
    >>> from nrsfm_learn import DeepNRSfM
    >>> from nrsfm_learn.testing import nrsfm_estimator_checks
    >>> checks = [pytest.param(c, id=name) for name, c in nrsfm_estimator_checks(DeepNRSfM())]
    >>> @pytest.mark.parametrize("check", checks)
    ... def test_contract(check):
    ...     check()
    """
    for check in _CHECKS:
        yield check.__name__, partial(check, estimator)


def check_nrsfm_estimator(estimator):
    """Run the contract's checks on an estimator.

    Parameters
    ----------
    estimator : BaseNRSfM
        Unfitted estimator.

    Raises
    ------
    AssertionError
        At the first check that fails, with its name.

    Warns
    -----
    UserWarning
        For each check that had to be skipped.

    See Also
    --------
    nrsfm_estimator_checks : The checks one by one.

    Examples
    --------
    >>> from nrsfm_learn import DeepNRSfM
    >>> from nrsfm_learn.testing import check_nrsfm_estimator
    >>> check_nrsfm_estimator(DeepNRSfM())  # doctest: +SKIP
    """
    for name, check in nrsfm_estimator_checks(estimator):
        try:
            check()
        except unittest.SkipTest as skipped:
            warnings.warn(f"{name} was skipped: {skipped}", stacklevel=2)
        except Exception as error:
            raise AssertionError(f"{name} fails for {estimator!r}: {error}") from error
