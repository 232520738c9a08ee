"""What surrounds a method: it gets the frames that can be lifted, the caller gets all back."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ._observe import digest, observe, take_liftable
from ._records import Reconstruction

# Where fit leaves the fields of a Reconstruction.
_ATTRIBUTES = {
    "X": "reconstruction_",
    "shapes": "shapes_",
    "rotations": "rotations_",
    "translations": "translations_",
    "scales": "scales_",
    "codes": "codes_",
}


class LiftingMixin:
    """Hand checked frames to ``_fit`` and ``_lift``, and put what they return in its places."""

    def _fit_checked(self, W, mask, **side):
        """Check, fit, and set the attributes that every method has."""
        name, min_visible = type(self).__name__, self._min_visible
        observations = observe(
            W,
            mask,
            **side,
            tags=self._nrsfm_tags(),
            name=name,
            min_frames=self._min_frames,
            min_visible=min_visible,
        )
        fit_digest = digest(observations)
        n_frames, n_points = observations.visible.shape
        K = observations.intrinsics
        observations, index = take_liftable(
            observations, name=name, min_frames=self._min_frames, min_visible=min_visible
        )
        before = dict(vars(self))
        try:
            self.n_points_in_ = n_points
            self.per_frame_intrinsics_ = K is not None and K.ndim == 3
            self.intrinsics_ = None if self.per_frame_intrinsics_ else K
            self._fit_digest = fit_digest
            reconstruction = self._fit(observations)
            if reconstruction is None:
                reconstruction = lift_in_chunks(
                    self._lift, observations, index, n_frames, self._chunk_frames
                )
            else:
                reconstruction = reconstruction.spread(index, n_frames)
        except Exception:
            # A fit that is refused half-way leaves the estimator as the last one left it.
            vars(self).clear()
            vars(self).update(before)
            raise
        for field, attribute in _ATTRIBUTES.items():
            if getattr(reconstruction, field) is not None:
                setattr(self, attribute, getattr(reconstruction, field))

    def _lift_checked(self, W, mask, *, intrinsics=None, only_X=False, **side):
        """Check, lift what can be lifted in chunks, and put the frames back in their places."""
        check_is_fitted(self)
        name, tags, min_visible = type(self).__name__, self._nrsfm_tags(), self._min_visible
        observations = observe(
            W,
            mask,
            **side,
            intrinsics=self._default_intrinsics(intrinsics),
            tags=tags,
            name=name,
            n_points=self.n_points_in_,
            min_visible=min_visible,
        )
        if not tags.inductive:
            return self._recall(observations)
        n_frames = len(observations.W)
        observations, index = take_liftable(observations, name=name, min_visible=min_visible)
        return lift_in_chunks(self._lift, observations, index, n_frames, self._chunk_frames, only_X)

    def _default_intrinsics(self, intrinsics):
        """Return the intrinsics that were given, or else the matrix of ``fit``."""
        if intrinsics is None and self.per_frame_intrinsics_ and self._nrsfm_tags().inductive:
            raise ValueError(
                f"{type(self).__name__} was fitted with one camera matrix a frame: pass intrinsics "
                f"of these frames as well."
            )
        return self.intrinsics_ if intrinsics is None else intrinsics

    def _recall(self, observations):
        """Return the reconstruction of the fitted frames, for methods that can lift no others."""
        differs = [k for k, v in digest(observations).items() if self._fit_digest.get(k) != v]
        if differs:
            raise ValueError(
                f"{type(self).__name__} reconstructs the frames it is fitted on and cannot lift "
                f"others{self._why_transductive}, but {', '.join(differs)} differ from those of "
                f"fit: call fit_transform on these frames, or use an inductive method such as "
                f"ColumnSpaceFitting, EMPPCA, PAUL or DeepNRSfMPP."
            )
        take_liftable(observations, name=type(self).__name__, min_visible=self._min_visible)
        # Copies: writing into what transform returned must not change the fitted attributes.
        return Reconstruction(
            **{
                field: getattr(self, name).copy() if hasattr(self, name) else None
                for field, name in _ATTRIBUTES.items()
            }
        )


def lift_in_chunks(lift, observations, index, n_frames, chunk_frames=None, only_X=False):
    """Lift frames a chunk at a time into arrays of ``n_frames``, NaN elsewhere.

    Parameters
    ----------
    lift : callable
        ``lift(observations) -> Reconstruction``.
    observations : Observations
        The frames to lift.
    index : ndarray of int
        Where they go.
    n_frames : int
        Length of the result.
    chunk_frames : int, default=None
        Frames to lift at once; None for all.
    only_X : bool, default=False
        Leave the other fields None: for a million frames they are most of the memory.

    Returns
    -------
    Reconstruction
    """
    n_liftable, n_points = observations.visible.shape
    if n_liftable == 0:
        return Reconstruction.empty(n_frames, n_points, observations.W.dtype)
    whole = None
    step = chunk_frames or n_liftable
    for start in range(0, n_liftable, step):
        chunk = slice(start, start + step)
        part = lift(observations.take(chunk))
        if whole is None:
            whole = [
                None
                if array is None or (only_X and field != "X")
                else np.full((n_frames, *array.shape[1:]), np.nan, dtype=array.dtype)
                for field, array in part._asdict().items()
            ]
        for target, array in zip(whole, part, strict=True):
            if target is not None:
                target[index[chunk]] = array
    return Reconstruction(*whole)
