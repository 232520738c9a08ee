"""Small data and small settings for the contract checks."""

import contextlib
import re
import warnings
from typing import NamedTuple

import numpy as np
from sklearn.base import clone

# Settings that make a fit take milliseconds, for the estimators that have them.
_QUICK = {
    "max_iter": 5,
    "batch_size": 16,
    "dictionary_sizes": [8, 3],
    "n_bases": 2,
    "n_blocks": 1,
    "window": 9,
    "n_groups": 4,
    "group_size": 7,
    "width": 16,
    "random_state": 0,
    "device": "cpu",
    "verbose": False,
}


class Example(NamedTuple):
    """Keypoints for a check.

    Attributes
    ----------
    W : ndarray of shape (n_frames, n_points, 2)
        Keypoints in pixels, none missing.
    visible : ndarray of bool of shape (n_frames, n_points)
        A mask for them; all True for methods that take no missing keypoints.
    side : dict
        ``intrinsics`` for perspective methods, else empty.
    """

    W: np.ndarray
    visible: np.ndarray
    side: dict

    @property
    def hidden(self):
        """``W`` with NaN where not visible."""
        return np.where(self.visible[..., None], self.W, np.nan)


def quick(estimator, **params):
    """Clone an estimator and make it cheap to fit.

    Parameters
    ----------
    estimator : object
        Any estimator.
    **params : object
        Settings that shall hold in the clone.

    Returns
    -------
    object
        Unfitted, with few iterations, small sizes, a fixed seed and on the CPU, as far as it has
        such parameters.
    """
    settings = {**_QUICK, **params}
    estimator = clone(estimator)
    names = estimator.get_params(deep=False)
    return estimator.set_params(**{name: settings[name] for name in settings if name in names})


def example(estimator, n_frames=24, n_points=8, seed=0):
    """Make keypoints of a deforming object for an estimator's camera.

    Parameters
    ----------
    estimator : object
        Its tags say what may be missing and whether the camera is a perspective one.
    n_frames, n_points : int
        Size.
    seed : int, default=0
        Chooses motion, deformation and mask; the object is always the same.

    Returns
    -------
    Example
    """
    tags = estimator._nrsfm_tags()
    basis = np.random.default_rng(12345).normal(size=(3, n_points, 3))
    rng = np.random.default_rng(seed)
    codes = np.stack([np.ones(n_frames), *rng.normal(scale=0.3, size=(2, n_frames))], axis=1)
    shapes = np.einsum("fk,kpd->fpd", codes, basis)
    axes = np.linalg.qr(rng.normal(size=(n_frames, 3, 3)))[0]
    rotations = axes * np.linalg.det(axes)[:, None, None]
    X = shapes @ rotations.swapaxes(1, 2)
    side = {}
    if tags.perspective:
        K = np.array([[500.0, 0.0, 320.0], [0.0, 520.0, 240.0], [0.0, 0.0, 1.0]])
        side["intrinsics"] = K
        X = X + np.array([0.0, 0.0, 10.0])
        W = X[..., :2] / X[..., 2:] * K[[0, 1], [0, 1]] + K[:2, 2]
    else:
        W = 40.0 * X[..., :2] + np.array([320.0, 240.0])
    visible = np.ones((n_frames, n_points), dtype=bool)
    if tags.missing:
        n_hidden = min(2, n_points - estimator._min_visible - 1)
        for frame in range(n_frames):
            visible[frame, rng.permutation(n_points)[:n_hidden]] = False
    return Example(W, visible, side)


def fitted(estimator, n_frames=24, **params):
    """Fit a cheap clone to the example of an estimator, with keypoints missing if it can.

    Parameters
    ----------
    estimator : object
        What to clone.
    n_frames : int, default=24
        Size of the example.
    **params : object
        Settings that shall hold.

    Returns
    -------
    estimator : object
        The fitted clone.
    data : Example
        What it was fitted to.
    """
    data = example(estimator, n_frames)
    return quick(estimator, **params).fit(data.hidden, **data.side), data


def assert_close(actual, desired, relative, what):
    """Compare arrays up to a fraction of their extent; NaN equals NaN.

    Parameters
    ----------
    actual, desired : ndarray
        What to compare.
    relative : float
        Largest difference, as a share of the largest distance from the mean in ``desired``.
    what : str
        Said when they differ.
    """
    actual, desired = np.asarray(actual, float), np.asarray(desired, float)
    extent = np.nanmax(np.abs(desired - np.nanmean(desired))) if desired.size else 1.0
    np.testing.assert_allclose(
        actual, desired, rtol=0, atol=relative * max(extent, 1e-12), err_msg=what
    )


@contextlib.contextmanager
def refuses(match, what, exceptions=(ValueError, TypeError)):
    """Expect one clear error.

    Parameters
    ----------
    match : str
        Regular expression that its message must contain.
    what : str
        What must be refused, said when it is not.
    exceptions : type or tuple of type
        What it must be.
    """
    raised = None
    try:
        yield
    except Exception as error:
        raised = error
    assert raised is not None, f"{what} is not refused."
    told = f"{what} raises {type(raised).__name__}: {raised}"
    assert isinstance(raised, exceptions), f"{told} (expected: {exceptions})"
    assert re.search(match, str(raised)), f"{told} (it says nothing of {match!r})"


@contextlib.contextmanager
def recorded(category):
    """Collect the warnings of a category, whatever the filters; the others are silenced.

    Parameters
    ----------
    category : type
        What to collect.

    Yields
    ------
    list of warnings.WarningMessage
        Filled when the block ends.
    """
    found = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield found
    found.extend(w for w in caught if issubclass(w.category, category))
