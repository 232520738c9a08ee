"""Centring each frame on the points that it shows."""

import numpy as np

from ._base import KeypointTransformer, as_points, resolve_visible


def center_on_visible(W, visible=None):
    r"""Subtract the mean of the visible points from each frame.

    .. math::

        c_f = \frac{\sum_p m_{fp} w_{fp}}{\sum_p m_{fp}}, \qquad \bar w_{fp} = w_{fp} - c_f

    Parameters
    ----------
    W : ndarray of float of shape (n_frames, n_points, n_coordinates)
        Points in two or three dimensions, NaN where missing.
    visible : ndarray of bool of shape (n_frames, n_points), default=None
        The points :math:`m_{fp}` that count; those of `W` that are not NaN if None. A point that
        has coordinates but does not count is moved along with the others.

    Returns
    -------
    centered : ndarray of shape (n_frames, n_points, n_coordinates)
        The moved points; all NaN in frames without a visible point.
    centers : ndarray of shape (n_frames, n_coordinates)
        What was subtracted; NaN in frames without a visible point.

    See Also
    --------
    CenterOnVisible : The same as a transformer.

    Notes
    -----
    Which points a frame shows moves their mean: with missing points this removes the translation of
    a model only if the model is centred on the same points ([1]_, eq. 15).

    References
    ----------
    .. [1] C. Wang, C.-H. Lin, S. Lucey, "Deep NRSfM++: Towards Unsupervised 2D-3D Lifting in the
       Wild", 3DV 2020.
    """
    W = as_points(W)
    visible = resolve_visible(W, visible)
    # Summed in double precision: pixel coordinates of many points lose digits in single.
    total = np.sum(W, axis=1, where=visible[..., None], dtype=np.float64)
    count = np.count_nonzero(visible, axis=1)[:, None]
    centers = np.full_like(total, np.nan)
    np.divide(total, count, out=centers, where=count > 0)
    centers = centers.astype(W.dtype, copy=False)
    return W - centers[:, None], centers


class CenterOnVisible(KeypointTransformer, auto_wrap_output_keys=None):
    r"""Move each frame so that the mean of its visible points is the origin.

    .. math::

        \bar w_{fp} = w_{fp} - \frac{\sum_q m_{fq} w_{fq}}{\sum_q m_{fq}}

    where :math:`m_{fp}` is 1 for visible points. There is no inverse, since the centre of a frame
    is not kept; call :func:`center_on_visible` to have it.

    Attributes
    ----------
    n_points_in_ : int
        The number of points seen in `fit`.

    See Also
    --------
    center_on_visible : The function, which returns the centres as well.

    Examples
    --------
    >>> import numpy as np
    >>> from nrsfm_learn.preprocessing import CenterOnVisible
    >>> W = np.array([[[1.0, 2.0], [3.0, 6.0], [np.nan, np.nan]]])
    >>> CenterOnVisible().fit_transform(W)
    array([[[-1., -2.],
            [ 1.,  2.],
            [nan, nan]]])
    """

    def _transform(self, W, visible):
        return center_on_visible(W, visible)[0]
