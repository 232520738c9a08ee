"""Mutual coherence of a dictionary, a quality measure read off the parameters alone."""

import numpy as np

from .._validation._arrays import as_float
from ._steps import last_step


def dictionary_coherence(dictionary, *, level=-1):
    r"""Largest cosine between two atoms of a dictionary.

    .. math:: \mu(D) = \max_{i < j} \frac{| \langle d_i, d_j \rangle |}{\| d_i \| \, \| d_j \|}

    The more alike two atoms, the less well a sparse code can tell which of them made the signal.
    Kong and Lucey read the quality of a fit without ground truth off the weights of the network
    by it.

    Parameters
    ----------
    dictionary : array-like, or fitted estimator
        Atoms as columns, shape (n_entries, n_atoms); shapes as atoms, (n_points, 3, n_atoms); or an
        estimator with ``dictionary_``, which may be the last step of a pipeline.
    level : int, default=-1
        Which dictionary of an estimator: 0 is the shape dictionary ``dictionary_``, the others are
        those of the hierarchy in ``module_``, -1 the last. It makes no difference for an array.

    Returns
    -------
    float
        Between 0, for orthogonal atoms, and 1; low is taken to be better. Atoms that are zero are
        left out; with fewer than two others it is 0.

    Raises
    ------
    TypeError
        If ``dictionary`` is neither an array nor an estimator with ``dictionary_``.
    ValueError
        If it has another shape or is not finite, or there is no such level.

    See Also
    --------
    cycle_error : A criterion for methods without a dictionary.

    Notes
    -----
    With :math:`n` entries and :math:`K > n` atoms coherence is at least
    :math:`\sqrt{(K - n) / (n (K - 1))}` (the Welch bound): compare dictionaries of one size. The
    block dictionary :math:`D \otimes I_3` of the encoder has the coherence of :math:`D`.

    References
    ----------
    .. [1] C. Kong, S. Lucey, "Deep non-rigid structure from motion", ICCV 2019.
    .. [2] D. L. Donoho, M. Elad, V. N. Temlyakov, "Stable recovery of sparse overcomplete
       representations in the presence of noise", IEEE Transactions on Information Theory 52(1),
       2006.
    """
    if hasattr(dictionary, "get_params"):
        dictionary = _dictionary_of(last_step(dictionary), level)
    D = as_float(dictionary, "dictionary").astype(float, copy=False)
    if D.ndim == 3 and D.shape[1] == 3:
        D = D.reshape(-1, D.shape[2])
    if D.ndim != 2 or 0 in D.shape:
        raise ValueError(
            f"dictionary must have shape (n_entries, n_atoms) or (n_points, 3, n_atoms), got "
            f"{D.shape}."
        )
    if not np.isfinite(D).all():
        atom = int(np.flatnonzero(~np.isfinite(D).all(axis=0))[0])
        raise ValueError(f"dictionary is not finite in atom {atom}; leave it out.")
    norms = np.linalg.norm(D, axis=0)
    D = D[:, norms > 0] / norms[norms > 0]
    if D.shape[1] < 2:
        return 0.0
    cosines = np.abs(D.T @ D)
    np.fill_diagonal(cosines, 0)
    return float(min(cosines.max(), 1.0))


def _dictionary_of(estimator, level):
    if not hasattr(estimator, "dictionary_"):
        raise TypeError(
            f"{type(estimator).__name__} has no dictionary_: fit it first, or use a criterion that "
            f"needs none, such as cycle_error."
        )
    module = getattr(estimator, "module_", None)
    levels = [estimator.dictionary_, *getattr(module, "dictionaries", ())]
    if not -len(levels) <= level < len(levels):
        raise ValueError(
            f"level={level!r}, but {type(estimator).__name__} has dictionaries 0 to "
            f"{len(levels) - 1}."
        )
    return levels[level]
