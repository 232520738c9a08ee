"""An adapter through which scikit-learn's own checks reach estimators of 3-D arrays."""

import functools

import numpy as np
from sklearn.utils.validation import validate_data

# Points that every frame gets besides its own, so that one of two features can be lifted.
_FIXED = np.array([0.0, 0.0, 1.0, 0.0, 0.0, 1.0])


class FlatAdapter:
    """Mixin that lets an estimator take rows of coordinates; see :func:`flatten_estimator`.

    Two features are the x and y of a point, an odd last one has y = 0, and three fixed points are
    added to each frame; NaN in a feature hides its point. What is no matrix of real numbers goes to
    the estimator, so that its own checks answer; so do 3-D arrays, which its own ``score`` uses.
    ``y`` is dropped: what scikit-learn's checks pass there is no mask.

    See Also
    --------
    flatten_estimator : Put it before a class.
    """

    def fit(self, X, y=None):
        """Fit to the frames in the rows of ``X``.

        Parameters
        ----------
        X : array-like of shape (n_frames, n_features)
            Coordinates.
        y : object
            Not used.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        return super().fit(self._points(X, reset=True))

    def transform(self, X, **side_inputs):
        """Lift the frames in the rows of ``X``.

        Parameters
        ----------
        X : array-like of shape (n_frames, n_features)
            Coordinates.
        **side_inputs : dict
            Passed on.

        Returns
        -------
        X_lifted : ndarray of shape (n_frames, 3 * ceil(n_features / 2))
            Coordinates in 3-D, without the fixed points.
        """
        lifted = super().transform(self._points(X, reset=False), **side_inputs)
        return lifted if getattr(X, "ndim", None) == 3 else _rows(lifted)

    def fit_transform(self, X, y=None):
        """Fit to the frames in the rows of ``X`` and return them lifted.

        Parameters
        ----------
        X : array-like of shape (n_frames, n_features)
            Coordinates.
        y : object
            Not used.

        Returns
        -------
        X_lifted : ndarray of shape (n_frames, 3 * ceil(n_features / 2))
            Coordinates in 3-D.
        """
        return _rows(self.fit(X).reconstruction_)

    def predict(self, X):
        """Do what :meth:`transform` does.

        Parameters
        ----------
        X : array-like of shape (n_frames, n_features)
            Coordinates.

        Returns
        -------
        X_lifted : ndarray of shape (n_frames, 3 * ceil(n_features / 2))
            Coordinates in 3-D.
        """
        return self.transform(X)

    def score(self, X, y=None):
        """Score by hidden keypoints.

        Parameters
        ----------
        X : array-like of shape (n_frames, n_features)
            Coordinates.
        y : object
            Not used.

        Returns
        -------
        float
            At most 1.
        """
        return super().score(self._points(X, reset=False))

    def _points(self, X, reset):
        """Return rows of coordinates as (n_frames, n_points, 2), and anything else as it is."""
        if getattr(X, "ndim", None) == 3 or hasattr(X, "toarray"):
            return X
        rows = np.asarray(X)
        if rows.ndim != 2:
            raise ValueError(
                f"Expected 2D array, got {rows.ndim}D array instead (shape {rows.shape}). Reshape "
                f"your data with X.reshape(1, -1) if it is a single frame."
            )
        validate_data(self, X, reset=reset, skip_check_array=True)
        if rows.dtype.kind not in "fiu":
            return rows[..., None]
        n_frames, n_features = rows.shape
        if n_features == 0:
            raise ValueError(
                f"X has 0 feature(s) (shape={rows.shape}) while a minimum of 1 is required."
            )
        if rows.dtype.kind != "f":
            rows = rows.astype(float)
        columns = [
            rows,
            np.zeros((n_frames, n_features % 2), rows.dtype),
            np.tile(_FIXED.astype(rows.dtype), (n_frames, 1)),
        ]
        points = np.concatenate(columns, axis=1).reshape(n_frames, -1, 2)
        points[np.isnan(points).any(axis=-1)] = np.nan
        return points

    def __sklearn_tags__(self):
        """Tell scikit-learn that the input has two axes."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.input_tags.three_d_array = False
        return tags

    def __reduce__(self):
        # The class is made on the fly: a pickle must make it again, not look it up.
        return _new, (type(self).__mro__[2],), self.__getstate__()


@functools.cache
def flatten_estimator(estimator_class):
    """Return a subclass of an estimator class that takes (n_frames, n_features) arrays.

    Scikit-learn's ``check_estimator`` skips estimators of 3-D arrays without a word; on this
    subclass its checks run.

    Parameters
    ----------
    estimator_class : type
        Subclass of :class:`nrsfm_learn.base.BaseNRSfM`.

    Returns
    -------
    type
        ``Flat`` and the name of the class; the same type for the same class.

    Examples
    --------
    >>> from sklearn.utils.estimator_checks import check_estimator
    >>> from nrsfm_learn import DeepNRSfMPP
    >>> from nrsfm_learn.testing import flatten_estimator
    >>> FlatDeepNRSfMPP = flatten_estimator(DeepNRSfMPP)
    >>> check_estimator(FlatDeepNRSfMPP(max_iter=5))  # doctest: +SKIP
    """
    return type(
        f"Flat{estimator_class.__name__}",
        (FlatAdapter, estimator_class),
        {"__doc__": estimator_class.__doc__},
    )


def _new(cls):
    flat = flatten_estimator(cls)
    return flat.__new__(flat)


def _rows(lifted):
    """Drop the fixed points and write the others in a row."""
    own = lifted[:, : -len(_FIXED) // 2]
    return own.reshape(len(own), -1)
