"""Mirror images: left becomes right."""

from typing import ClassVar

import numpy as np

from ._base import KeypointTransformer, as_points


def swap_permutation(pairs, n_points):
    """Turn pairs of left and right points into a permutation of all points.

    Parameters
    ----------
    pairs : array-like of int of shape (n_pairs, 2)
        Points that a mirror exchanges, from 0; each point in one pair at most.
    n_points : int
        The number of points.

    Returns
    -------
    permutation : ndarray of int of shape (n_points,)
        ``W[:, permutation]`` exchanges the points; it is its own inverse.

    Raises
    ------
    ValueError
        If a pair is no pair of points, or a point has two partners.
    """
    pairs = np.asarray(pairs)
    if pairs.size == 0:
        return np.arange(n_points)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.dtype.kind not in "iu":
        raise ValueError(
            f"pairs must be integers of shape (n_pairs, 2), such as [(1, 4), (2, 5)], got dtype "
            f"{pairs.dtype} and shape {pairs.shape}."
        )
    outside = (pairs < 0) | (pairs >= n_points)
    if outside.any():
        row = int(np.argmax(outside.any(axis=1)))
        raise ValueError(
            f"pairs[{row}] is {tuple(pairs[row].tolist())}, but there are only the points 0 to "
            f"{n_points - 1}. Count points from 0."
        )
    points, counts = np.unique(pairs, return_counts=True)
    if (counts > 1).any():
        raise ValueError(
            f"pairs name point {int(points[np.argmax(counts > 1)])} more than once; a point has "
            f"one mirror partner, and points on the mirror plane are left out."
        )
    permutation = np.arange(n_points)
    permutation[pairs[:, 0]], permutation[pairs[:, 1]] = pairs[:, 1], pairs[:, 0]
    return permutation


def swap_left_right(W, pairs, mirror=True):
    r"""Show what a mirror would: exchange left and right points and reflect x.

    .. math::

        w'_{fp} = \operatorname{diag}(-1, 1)\, w_{f\pi(p)}

    Parameters
    ----------
    W : ndarray of float of shape (n_frames, n_points, n_coordinates)
        Points in two or three dimensions, x first, NaN where missing.
    pairs : array-like of int of shape (n_pairs, 2)
        Points that :math:`\pi` exchanges, from 0; points on the mirror plane are left out.
    mirror : bool, default=True
        If False, only exchange, which repairs tracks whose sides were confused.

    Returns
    -------
    W_swapped : ndarray of shape (n_frames, n_points, n_coordinates)
        A new array.

    Raises
    ------
    ValueError
        If `pairs` are none.

    See Also
    --------
    SwapMap : The same as a transformer.
    swap_permutation : The exchange as an index, for masks and weights.
    """
    W = as_points(W)
    swapped = W[:, swap_permutation(pairs, W.shape[1])]
    if mirror:
        np.negative(swapped[..., 0], out=swapped[..., 0])
    return swapped


class SwapMap(KeypointTransformer, auto_wrap_output_keys=None):
    r"""Exchange left and right points, and mirror the image.

    .. math::

        w'_{fp} = \operatorname{diag}(-1, 1)\, w_{f\pi(p)}

    The mirror image of a symmetric species or object is a valid view of it, which doubles the data.
    The image is reflected about x = 0: centre it first, or take it to the unit focal plane.

    Parameters
    ----------
    pairs : array-like of int of shape (n_pairs, 2)
        Points that :math:`\pi` exchanges, from 0; points on the mirror plane are left out.
    mirror : bool, default=True
        If False, only exchange, which repairs tracks whose sides were confused.

    Attributes
    ----------
    permutation_ : ndarray of int of shape (n_points,)
        The exchange as an index.
    n_points_in_ : int
        The number of points seen in `fit`.

    See Also
    --------
    swap_left_right : The function.

    Notes
    -----
    A pipeline hands the same mask to all its steps, but after this one the columns of the mask no
    longer match: in a pipeline, mark missing keypoints with NaN rather than by a mask.
    """

    _parameter_constraints: ClassVar[dict] = {"pairs": ["array-like"], "mirror": ["boolean"]}

    def __init__(self, pairs, mirror=True):
        self.pairs = pairs
        self.mirror = mirror

    def _fit(self, W, visible):
        self.permutation_ = swap_permutation(self.pairs, W.shape[1])

    def _transform(self, W, visible):
        return swap_left_right(W, self.pairs, self.mirror)

    def inverse_transform(self, W):
        """Swap back; swapping twice changes nothing.

        Parameters
        ----------
        W : array-like of shape (n_frames, n_points, 2) or (n_frames, n_points, 3)
            Swapped keypoints, or a reconstruction from them.

        Returns
        -------
        W_original : ndarray of the same shape
            A new array.
        """
        return swap_left_right(self._check_2d_or_3d(W), self.pairs, self.mirror)
