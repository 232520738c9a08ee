"""Small methods, to test the base class and the contract checks without the library's own."""

from typing import ClassVar

import numpy as np

from nrsfm_learn.base import BaseNRSfM, NRSfMTags, Reconstruction


class Cardboard(BaseNRSfM):
    """Fits a flat shape, and lays it into each frame by a similarity of the plane."""

    _parameter_constraints: ClassVar = {"depth": [float, int]}
    _chunk_frames = 10

    def __init__(self, depth=0.0):
        self.depth = depth

    def _nrsfm_tags(self):
        return NRSfMTags(stochastic=False, equivariant=True)

    def _fit(self, observations):
        self.seen = observations
        W = observations.W.astype(float)
        centered = W - np.nanmean(W, axis=1, keepdims=True)
        flat = np.nanmean(centered, axis=0)
        self.flat_ = flat - flat.mean(0)

    def _lift(self, observations):
        self.seen = observations
        W, visible = observations.W.astype(float), observations.visible
        F = len(W)
        weight = visible * (1.0 if observations.weights is None else observations.weights)
        weight = weight / weight.sum(1, keepdims=True)
        w = np.where(visible, np.nan_to_num(W[..., 0]) + 1j * np.nan_to_num(W[..., 1]), 0)
        b = np.broadcast_to(self.flat_ @ [1, 1j], (F, len(self.flat_)))
        w_mean, b_mean = (weight * w).sum(1), (weight * b).sum(1)
        b_part = b - b_mean[:, None]
        turn = (weight * np.conj(b_part) * w).sum(1) / (weight * np.abs(b_part) ** 2).sum(1)
        shift = w_mean - turn * b_mean
        scales = np.abs(turn)
        R = np.zeros((F, 3, 3))
        R[:, 0, 0] = R[:, 1, 1] = turn.real / scales
        R[:, 1, 0], R[:, 0, 1] = turn.imag / scales, -turn.imag / scales
        R[:, 2, 2] = 1
        flat = np.concatenate([self.flat_, np.zeros((len(self.flat_), 1))], axis=1)
        shapes = np.broadcast_to(flat, (F, *flat.shape))
        t = np.stack([shift.real, shift.imag, np.full(F, float(self.depth))], axis=1)
        X = scales[:, None, None] * (shapes @ R.swapaxes(1, 2)) + t[:, None]
        return Reconstruction(*(a.astype(observations.W.dtype) for a in (X, shapes, R, t, scales)))


class Complete(Cardboard):
    """Takes no missing keypoints."""

    def _nrsfm_tags(self):
        return NRSfMTags(missing=False, stochastic=False, equivariant=True)


class Transductive(Cardboard):
    """Reconstructs the frames of fit and no others."""

    def _nrsfm_tags(self):
        return NRSfMTags(inductive=False, stochastic=False, equivariant=True)

    def _fit(self, observations):
        super()._fit(observations)
        return super()._lift(observations)

    def _lift(self, observations):
        raise AssertionError("a method that is not inductive was asked to lift")


class Pinhole(Cardboard):
    """Has a perspective camera, and sees the frames on its unit focal plane."""

    def _nrsfm_tags(self):
        return NRSfMTags(stochastic=False, perspective=True)

    def _on_plane(self, observations):
        K = observations.intrinsics
        if K is None:
            return observations
        rays = np.concatenate([observations.W, np.ones((*observations.W.shape[:2], 1))], axis=2)
        rays = rays @ np.linalg.inv(K).swapaxes(-1, -2)
        return observations._replace(W=rays[..., :2].astype(observations.W.dtype))

    def _fit(self, observations):
        super()._fit(self._on_plane(observations))
        self.seen = observations

    def _lift(self, observations):
        lifted = super()._lift(self._on_plane(observations))
        self.seen = observations
        away = np.array([0, 0, 1], dtype=lifted.X.dtype)
        return lifted._replace(X=lifted.X + away, translations=lifted.translations + away)

    def _project(self, X, intrinsics):
        rays = X / X[..., 2:]
        if intrinsics is not None:
            rays = rays @ intrinsics.swapaxes(-1, -2)
        return rays[..., :2]


class Centroid(Cardboard):
    """Answers every question with the visible mean of the frame."""

    def _lift(self, observations):
        lifted = super()._lift(observations)
        mean = np.nanmean(observations.W, axis=1, keepdims=True)
        X = np.zeros_like(lifted.X)
        X[..., :2] = mean
        return lifted._replace(X=X)
