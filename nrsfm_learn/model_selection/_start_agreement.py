"""How far apart independent fits of the same frames are."""

import numpy as np

from .._validation import check_shapes_3d


def start_agreement(reconstructions, *, reflect=True):
    """Mean difference between independent fits after alignment; 0 where all agree.

    Parameters
    ----------
    reconstructions : array-like of shape (n_starts, n_frames, n_points, 3)
        The same frames and points as reconstructed from different starts; an array or a sequence of
        arrays. Whole frames may be NaN.
    reflect : bool, default=True
        Whether the alignment of each frame may reflect, as the depth of a parallel camera is known
        up to its sign only.

    Returns
    -------
    float
        Mean of :func:`pairwise_start_error` over pairs of starts, a relative error: low where
        starts agree. NaN if no two starts have a frame in common.

    Raises
    ------
    TypeError, ValueError
        If the reconstructions are malformed or fewer than two.

    See Also
    --------
    pairwise_start_error : Which starts agree with which.

    Notes
    -----
    Agreement is not correctness: starts can agree on the same wrong shape.
    """
    errors = pairwise_start_error(reconstructions, reflect=reflect)
    pairs = errors[np.triu_indices(len(errors), k=1)]
    pairs = pairs[~np.isnan(pairs)]
    return float(pairs.mean()) if len(pairs) else float("nan")


def pairwise_start_error(reconstructions, *, reflect=True):
    r"""Relative error between each two of several reconstructions of the same frames.

    .. math:: E_{ab} = \frac{1}{F} \sum_f \min_{s, Q, t}
              \frac{\| s X_f^{(a)} Q + 1 t^\top - X_f^{(b)} \|_F}{\| X_f^{(b)} \|_F}
              = \frac{1}{F} \sum_f \sqrt{1 - \biggl(
              \frac{\sigma_1 + \sigma_2 \pm \sigma_3}{\| X_f^{(a)} \|_F \| X_f^{(b)} \|_F}
              \biggr)^2}

    over similarities of each frame, with :math:`X` centred and :math:`\sigma` the singular values
    of :math:`X^{(a)\top} X^{(b)}`. The sign is that of its determinant if the alignment may not
    reflect. The error is symmetric, and between 0 and 1.

    Parameters
    ----------
    reconstructions : array-like of shape (n_starts, n_frames, n_points, 3)
        The same frames and points as reconstructed from different starts; an array or a sequence of
        arrays. Whole frames may be NaN: a pair is compared on the frames that both have.
    reflect : bool, default=True
        Whether :math:`Q` may be a reflection.

    Returns
    -------
    ndarray of shape (n_starts, n_starts)
        Errors, zero on the diagonal; NaN for pairs without a frame in common.

    Raises
    ------
    TypeError, ValueError
        If the reconstructions are malformed or fewer than two.

    See Also
    --------
    start_agreement : Their mean.

    References
    ----------
    .. [1] S. Umeyama, "Least-squares estimation of transformation parameters between two point
       patterns", IEEE TPAMI 13(4), 1991.
    """
    unit = _unit_shapes(reconstructions)
    n_starts = len(unit)
    errors = np.zeros((n_starts, n_starts))
    for a in range(n_starts):
        for b in range(a + 1, n_starts):
            both = ~(np.isnan(unit[a, :, 0, 0]) | np.isnan(unit[b, :, 0, 0]))
            if not both.any():
                errors[a, b] = errors[b, a] = np.nan
                continue
            products = unit[a, both].swapaxes(1, 2) @ unit[b, both]
            sigma = np.linalg.svd(products, compute_uv=False)
            if not reflect:
                sigma[:, 2] *= np.where(np.linalg.det(products) < 0, -1, 1)
            cosine = np.minimum(sigma.sum(1), 1)
            errors[a, b] = errors[b, a] = np.sqrt((1 - cosine) * (1 + cosine)).mean()
    return errors


def _unit_shapes(reconstructions):
    """Return (n_starts, F, P, 3), each frame centred and of norm 1; NaN where it is unknown."""
    shape, unit = None, []
    for start, X in enumerate(reconstructions):
        X = check_shapes_3d(X, f"reconstructions[{start}]", shape).astype(float, copy=False)
        shape = X.shape
        X = X - X.mean(1, keepdims=True)
        norms = np.linalg.norm(X, axis=(1, 2), keepdims=True)
        # A frame collapsed to a point agrees with no shape: at norm 0 its cosine is 0.
        unit.append(X / np.where(norms == 0, 1, norms))
    if len(unit) < 2:
        raise ValueError(
            f"reconstructions must hold at least two starts, got {len(unit)}; fit again with "
            f"another random_state, and pass [model.reconstruction_ for model in models]."
        )
    return np.stack(unit)
