"""What passes between the base class and the methods: tags, observations, reconstructions."""

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import sklearn.utils


@dataclass
class NRSfMTags:
    """What a method can do, read by the contract checks, the docs' table and the error messages.

    Parameters
    ----------
    missing : bool
        Takes missing keypoints.
    perspective : bool
        Has a perspective camera; takes ``intrinsics``.
    temporal : bool
        Uses the order of frames within ``groups``.
    contextual : bool
        Lifts a frame together with those before and after it, unseen ones too: ``transform`` needs
        whole clips.
    inductive : bool
        Lifts frames that it was not fitted on.
    stochastic : bool
        Depends on ``random_state``.
    equivariant : bool
        Rotating the image in plane rotates the reconstruction.
    """

    missing: bool = True
    perspective: bool = False
    temporal: bool = False
    contextual: bool = False
    inductive: bool = True
    stochastic: bool = True
    equivariant: bool = False


@dataclass(slots=True)
class Tags(sklearn.utils.Tags):
    """Scikit-learn's tags with :class:`NRSfMTags` beside them as ``nrsfm_tags``."""

    nrsfm_tags: NRSfMTags | None = None

    @classmethod
    def extend(cls, tags, nrsfm_tags):
        """Put a method's tags beside scikit-learn's.

        Parameters
        ----------
        tags : sklearn.utils.Tags
            Scikit-learn's.
        nrsfm_tags : NRSfMTags
            The method's.

        Returns
        -------
        Tags
        """
        # ``dataclasses.asdict`` would turn the nested dataclasses into dicts.
        values = {field.name: getattr(tags, field.name) for field in fields(tags)}
        return cls(**values, nrsfm_tags=nrsfm_tags)


class Observations(NamedTuple):
    """Checked input, as the methods see it.

    Attributes
    ----------
    W : ndarray of shape (n_frames, n_points, 2)
        Keypoints, NaN exactly where not visible.
    visible : ndarray of bool of shape (n_frames, n_points)
    groups, categories : ndarray of shape (n_frames,) or None
    intrinsics : ndarray of shape (3, 3) or (n_frames, 3, 3) or None
    boxes : ndarray of shape (n_frames, 4) or None
    weights : ndarray of shape (n_frames, n_points) or None
    """

    W: np.ndarray
    visible: np.ndarray
    groups: np.ndarray | None = None
    categories: np.ndarray | None = None
    intrinsics: np.ndarray | None = None
    boxes: np.ndarray | None = None
    weights: np.ndarray | None = None

    def take(self, index):
        """Return the observations of some frames.

        Parameters
        ----------
        index : slice or array of int or bool
            Which frames.

        Returns
        -------
        Observations
            One camera matrix for all frames stays one.
        """
        one_camera = self.intrinsics is not None and self.intrinsics.ndim == 2
        return Observations(
            *(
                array if array is None or (field == "intrinsics" and one_camera) else array[index]
                for field, array in self._asdict().items()
            )
        )


class Reconstruction(NamedTuple):
    """What a method says of each frame; every field has frames first.

    Attributes
    ----------
    X : ndarray of shape (n_frames, n_points, 3)
        Points in the camera frame, in the units of ``W``.
    shapes : ndarray of shape (n_frames, n_points, 3)
        Centred shapes in the canonical frame, with
        ``X = scales * shapes @ rotations^T + translations``.
    rotations : ndarray of shape (n_frames, 3, 3)
        ``x_cam = R x``.
    translations : ndarray of shape (n_frames, 3)
        The object's centre in the camera frame. Its depth is 0 under orthography and weak
        perspective.
    scales : ndarray of shape (n_frames,)
        Image units per unit of ``shapes``.
    codes : ndarray of shape (n_frames, n_codes) or None
        Shape code of each frame, where the method has one.
    """

    X: np.ndarray
    shapes: np.ndarray
    rotations: np.ndarray
    translations: np.ndarray
    scales: np.ndarray
    codes: np.ndarray | None = None

    @classmethod
    def empty(cls, n_frames, n_points, dtype=np.float64):
        """Return the reconstruction of frames of which nothing is known: NaN, without codes.

        Parameters
        ----------
        n_frames, n_points : int
            Its size.
        dtype : dtype, default=numpy.float64
            Of all fields.

        Returns
        -------
        Reconstruction
        """
        shapes = ((n_points, 3), (n_points, 3), (3, 3), (3,), ())
        return cls(*(np.full((n_frames, *shape), np.nan, dtype) for shape in shapes))

    def spread(self, index, n_frames):
        """Put these frames among others that are NaN.

        Parameters
        ----------
        index : ndarray of int
            Where each frame goes.
        n_frames : int
            How many there are in the end.

        Returns
        -------
        Reconstruction
        """
        if len(index) == n_frames:
            return self

        def spread(array):
            if array is None:
                return None
            whole = np.full((n_frames, *array.shape[1:]), np.nan, dtype=array.dtype)
            whole[index] = array
            return whole

        return Reconstruction(*map(spread, self))
