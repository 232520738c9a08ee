"""Which estimators there are."""

import nrsfm_learn


def all_estimators():
    """List every method that the package exports.

    Returns
    -------
    list of (str, type)
        Names and classes, sorted by name. An estimator is found once it is exported; nothing else
        needs an edit.
    """
    from ..base import BaseNRSfM

    exported = ((name, getattr(nrsfm_learn, name)) for name in nrsfm_learn.__all__)
    return sorted(
        (name, cls)
        for name, cls in exported
        if isinstance(cls, type) and issubclass(cls, BaseNRSfM)
    )
