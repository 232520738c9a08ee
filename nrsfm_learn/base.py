"""The base class of every method: the only place where the methods meet scikit-learn."""

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from ._lifting import LiftingMixin
from ._observe import TooPoorWarning, check_camera
from ._persistence import PersistenceMixin
from ._records import NRSfMTags, Observations, Reconstruction, Tags
from ._validation import check_n_points, check_shapes_3d, split_y

__all__ = ["BaseNRSfM", "NRSfMTags", "Observations", "Reconstruction", "Tags", "TooPoorWarning"]

_SIDE_INPUTS = ("mask", "groups", "categories", "intrinsics", "boxes", "weights")


def _requests():
    return {"W": UNUSED, **dict.fromkeys(_SIDE_INPUTS, True)}


class BaseNRSfM(
    LiftingMixin,
    PersistenceMixin,
    CallbackSupportMixin,
    TransformerMixin,
    BaseEstimator,
    auto_wrap_output_keys=None,
):
    """Base class of every estimator that lifts 2-D keypoints of one camera to 3-D.

    The public methods check, complain and convert; a method gives ``__init__``,
    ``_parameter_constraints``, ``_fit`` and ``_lift``, which only ever see frames with at least
    ``_min_visible`` distinct visible keypoints.

    See Also
    --------
    nrsfm_learn.testing.check_nrsfm_estimator : The contract as checks, for a method of your own.

    Notes
    -----
    Scale is known up to one factor for a data set and, under orthography, depth up to its sign: see
    the user guide's page on conventions.
    """

    _parameter_constraints: dict = {}  # noqa: RUF012
    _min_visible = 3
    _min_frames = 2
    # Why a method that is not inductive cannot lift other frames, for the message: " (since ...)".
    _why_transductive = ""
    # Frames handed to _lift at once, to bound its memory; None where frames depend on each other.
    _chunk_frames = None

    __metadata_request__fit = _requests()
    __metadata_request__transform = _requests()
    __metadata_request__predict = _requests()
    __metadata_request__inverse_transform = {"intrinsics": True}  # noqa: RUF012
    __metadata_request__score = _requests() | {"sample_weight": True}

    def _fit(self, observations):
        """Fit to checked observations. A method that is not inductive returns their
        :class:`Reconstruction`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define _fit(observations).")

    def _lift(self, observations):
        """Lift checked observations with the fitted method; return a :class:`Reconstruction`."""
        raise NotImplementedError(
            f"{type(self).__name__} must define _lift(observations) or clear its inductive tag."
        )

    def _project(self, X, intrinsics):
        """Project checked points of the camera frame; orthographically unless a method says how."""
        return np.ascontiguousarray(X[..., :2])

    def _nrsfm_tags(self):
        """Return the :class:`NRSfMTags` of this method with its present parameters."""
        return NRSfMTags()

    def _n_training_runs(self):
        """Return how many times ``fit`` runs the training loop, for progress bars; 0 for methods
        without training.
        """
        return 0

    def _build_module(self):
        """Return the torch module that fits the fitted attributes, with any parameters; for
        ``load``.
        """
        raise NotImplementedError(f"{type(self).__name__} has no torch module.")

    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        W,
        y=None,
        mask=None,
        *,
        groups=None,
        categories=None,
        intrinsics=None,
        boxes=None,
        weights=None,
    ):
        """Fit the method to the keypoints of many frames.

        Parameters
        ----------
        W : array-like of shape (n_frames, n_points, 2)
            Keypoints in pixels or any other unit. A missing keypoint is NaN in both coordinates.
        y : array-like of bool of shape (n_frames, n_points), optional
            A boolean ``y`` is the mask, so that ``fit(W, M)``, Pipelines and GridSearchCV take it.
            A 3-D float ``y`` of shape (n_frames, n_points, 3) is ground truth for scorers: it is
            not looked at here.
        mask : array-like of bool of shape (n_frames, n_points), optional
            True where a keypoint is visible. With NaN in ``W`` as well, a keypoint is visible where
            both say so.
        groups : array-like of shape (n_frames,), optional
            Clip of each frame, an integer or a string: frames with the same label are one clip, in
            order of appearance, and need not stand side by side. Without it all frames are one
            clip. Used by temporal methods, and by others where they fill in missing keypoints
            first; otherwise ignored.
        categories : array-like of shape (n_frames,), optional
            Object category of each frame. Used by multi-category methods, ignored by the others.
        intrinsics : array-like of shape (3, 3) or (n_frames, 3, 3), optional
            Camera matrices, for perspective methods with ``W`` in pixels. Without them ``W`` is
            taken to lie on the unit focal plane. One matrix is remembered for ``transform``;
            one a frame must be given there again.
        boxes : array-like of shape (n_frames, 4), optional
            Detector boxes x0, y0, x1, y1. Boxes of the visible keypoints shrink under occlusion;
            these don't.
        weights : array-like of shape (n_frames, n_points) or (n_points,), optional
            Confidence of each keypoint, used to weight the reprojection error. Zero hides the
            keypoint.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If an argument is malformed; the message names the argument, the frame and point, and
            the way out.
        """
        y, mask = split_y(y, mask)
        self._callback_root = self._init_callback_context(max_subtasks=self._n_training_runs())
        try:
            self._callback_root.call_on_fit_task_begin(estimator=self, X=W, y=y)
            self._fit_checked(
                W,
                mask,
                groups=groups,
                categories=categories,
                intrinsics=intrinsics,
                boxes=boxes,
                weights=weights,
            )
            self._callback_root.call_on_fit_task_end(estimator=self, X=W, y=y)
        finally:
            del self._callback_root
        return self

    def lift(self, W, mask=None, **side_inputs):
        """Lift keypoints to 3-D and tell everything that the method knows of each frame.

        Parameters
        ----------
        W, mask, **side_inputs
            As in :meth:`transform`.

        Returns
        -------
        Reconstruction
            Named arrays ``X``, ``shapes``, ``rotations``, ``translations``, ``scales`` and
            ``codes``, frames first. Frames with fewer than 3 distinct visible keypoints are NaN,
            and one warning counts them.
        """
        return self._lift_checked(W, mask, **side_inputs)

    def transform(
        self,
        W,
        mask=None,
        *,
        groups=None,
        categories=None,
        intrinsics=None,
        boxes=None,
        weights=None,
    ):
        """Lift keypoints to 3-D.

        Parameters
        ----------
        W, mask, groups, categories, intrinsics, boxes, weights
            As in :meth:`fit`. ``intrinsics`` default to those of ``fit`` if it was given one
            matrix.

        Returns
        -------
        X : ndarray of shape (n_frames, n_points, 3)
            Points in the camera frame (x right, y down, z away from the camera) in the units of
            ``W``. Under orthography and weak perspective ``X[..., :2]`` is the reprojection and z
            is relative to the object's centre; under perspective each frame is known up to one
            scale. Frames with fewer than 3 distinct visible keypoints are NaN, and one warning
            counts them.
        """
        return self._lift_checked(
            W,
            mask,
            groups=groups,
            categories=categories,
            intrinsics=intrinsics,
            boxes=boxes,
            weights=weights,
            only_X=True,
        ).X

    def predict(self, W, mask=None, **side_inputs):
        """Do what :meth:`transform` does; scikit-learn's scorers call this name.

        Parameters
        ----------
        W, mask, **side_inputs
            As in :meth:`transform`.

        Returns
        -------
        ndarray of shape (n_frames, n_points, 3)
            As of :meth:`transform`.
        """
        return self.transform(W, mask, **side_inputs)

    def fit_transform(self, W, y=None, mask=None, **side_inputs):
        """Fit and return ``reconstruction_``.

        Parameters
        ----------
        W, y, mask, **side_inputs
            As in :meth:`fit`.

        Returns
        -------
        ndarray of shape (n_frames, n_points, 3)
            The frames of ``W`` as :meth:`transform` would return them.
        """
        return self.fit(W, y, mask, **side_inputs).reconstruction_

    def inverse_transform(self, X, intrinsics=None):
        """Project points of the camera frame back into the image.

        Parameters
        ----------
        X : array-like of shape (n_frames, n_points, 3)
            Points as :meth:`transform` returns them.
        intrinsics : array-like of shape (3, 3) or (n_frames, 3, 3), optional
            Used by perspective methods; default those of ``fit``.

        Returns
        -------
        W : ndarray of shape (n_frames, n_points, 2)
            Keypoints, hidden ones included.
        """
        check_is_fitted(self)
        name = type(self).__name__
        X = check_shapes_3d(X)
        check_n_points(X, self.n_points_in_, "X", name)
        intrinsics = self._default_intrinsics(intrinsics)
        tags = self._nrsfm_tags()
        return self._project(X, check_camera(intrinsics, len(X), tags=tags, name=name))

    def flip_hypotheses(self, W, mask=None, *, groups=None, **side_inputs):
        """Return both depths that a parallel camera leaves open.

        Parameters
        ----------
        W, mask
            As in :meth:`transform`.
        groups : array-like of shape (n_frames,), optional
            Clip of each frame, for video: single mirrored frames are then turned to the depth with
            which the clip moves least. ``numpy.zeros(n_frames)`` for one clip. By default frames
            keep the signs they have.
        **side_inputs
            As in :meth:`transform`.

        Returns
        -------
        ndarray of shape (2, n_frames, n_points, 3)
            The first agrees with the signs of most frames of each clip, the second is its mirror
            image in depth. Each clip may be right in either.

        Raises
        ------
        ValueError
            If the camera is a perspective one, which tells the two apart.

        See Also
        --------
        nrsfm_learn.flips : The same for any reconstruction.
        """
        from .flips import flip_hypotheses

        if self._nrsfm_tags().perspective:
            raise ValueError(
                f"A perspective camera tells an object from its mirror image, so that "
                f"{type(self).__name__} has one hypothesis: use transform. Mirror a reconstruction "
                f"of your own with nrsfm_learn.flips.mirror_depth."
            )
        X = self.transform(W, mask, groups=groups, **side_inputs)
        return flip_hypotheses(X, groups=groups)

    def score(
        self,
        W,
        y=None,
        mask=None,
        *,
        sample_weight=None,
        groups=None,
        categories=None,
        intrinsics=None,
        boxes=None,
        weights=None,
    ):
        r"""Predict hidden keypoints from visible ones; needs no 3-D.

        A fifth of the visible keypoints of each frame is hidden (the choice is seeded and always
        the same), the rest is lifted, and the reprojection is compared with what was hidden:

        .. math:: R^2 = 1 - \frac{\sum_{(f,p)\,\text{hidden}} \|w_{fp} - \hat w_{fp}\|^2}
                                 {\sum_{(f,p)\,\text{hidden}} \|w_{fp} - \bar w_f\|^2}

        with :math:`\bar w_f` the mean of the keypoints of frame *f* that stayed visible, so that
        answering every question with the centroid scores 0. Reprojection of the keypoints that the
        method saw is no score: an orthographic lifter is perfect there by construction.

        Parameters
        ----------
        W, y, mask
            As in :meth:`fit`: a boolean ``y`` is the mask, a 3-D one is not looked at.
        sample_weight : array-like of shape (n_frames,), optional
            Weight of each frame.
        groups, categories, intrinsics, boxes, weights
            As in :meth:`transform`.

        Returns
        -------
        float
            At most 1; 0 is as good as the centroid.

        See Also
        --------
        nrsfm_learn.model_selection.hidden_keypoint_score : The same for any estimator.

        Notes
        -----
        A high score is necessary, not sufficient: a shape with a wrong depth can predict hidden
        keypoints well.
        """
        from .model_selection import hidden_keypoint_score

        check_is_fitted(self)
        if not self._nrsfm_tags().missing:
            raise ValueError(
                f"score hides keypoints, but {type(self).__name__} takes none missing: compare "
                f"with 3-D ground truth by a scorer of nrsfm_learn.metrics."
            )
        _, mask = split_y(y, mask)
        return hidden_keypoint_score(
            self,
            W,
            mask=mask,
            sample_weight=sample_weight,
            groups=groups,
            categories=categories,
            intrinsics=intrinsics,
            boxes=boxes,
            weights=weights,
        )

    def __sklearn_tags__(self):
        tags = Tags.extend(super().__sklearn_tags__(), self._nrsfm_tags())
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = tags.nrsfm_tags.missing
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def __sklearn_is_fitted__(self):
        return hasattr(self, "reconstruction_")
