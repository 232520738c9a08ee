"""The contract's checks: methods that keep it pass, and each way of breaking it is noticed."""

from typing import ClassVar

import numpy as np
import pytest
from toy_methods import Cardboard, Complete, Pinhole, Transductive

from nrsfm_learn.base import NRSfMTags
from nrsfm_learn.testing import check_nrsfm_estimator, nrsfm_estimator_checks

KEEPERS = [Cardboard(), Complete(), Transductive(), Pinhole()]


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, id=f"{estimator!r}-{name}")
        for estimator in KEEPERS
        for name, check in nrsfm_estimator_checks(estimator)
    ],
)
def test_methods_that_keep_the_contract_pass(check):
    check()


class Mirrored(Cardboard):
    def _lift(self, observations):
        lifted = super()._lift(observations)
        return lifted._replace(rotations=lifted.rotations * np.array([1, 1, -1], lifted.X.dtype))


class OffCentre(Cardboard):
    def _lift(self, observations):
        lifted = super()._lift(observations)
        return lifted._replace(shapes=lifted.shapes + 1)


class Double(Cardboard):
    def _lift(self, observations):
        lifted = super()._lift(observations)
        return lifted._replace(X=lifted.X.astype(float))


class Mixing(Cardboard):
    def _lift(self, observations):
        lifted = super()._lift(observations)
        return lifted._replace(X=lifted.X - lifted.X.mean(0), translations=lifted.translations * 0)


class Unseeded(Cardboard):
    def _fit(self, observations):
        super()._fit(observations)
        self.flat_ = self.flat_ * np.random.uniform(1, 2, self.flat_.shape)  # noqa: NPY002


class Deaf(Cardboard):
    def _nrsfm_tags(self):
        return NRSfMTags(stochastic=True, equivariant=True)


class Clinging(Cardboard):
    def _lift(self, observations):
        observations.W[~observations.visible] = 0
        observations.visible[:] = True
        return super()._lift(observations)


class Tilted(Cardboard):
    def _lift(self, observations):
        lifted = super()._lift(observations)
        return lifted._replace(X=lifted.X + np.abs(lifted.X[..., ::-1]))


class Stretched(Cardboard):
    def _fit(self, observations):
        super()._fit(observations)
        self.flat_ = np.log1p(np.abs(self.flat_))


class Unvalidated(Cardboard):
    _parameter_constraints: ClassVar = {}


class Silent(Cardboard):
    def _n_training_runs(self):
        return 1


class Forgetful(Cardboard):
    def _fit(self, observations):
        super()._fit(observations)
        self._private = self.flat_
        del self.flat_

    def _lift(self, observations):
        self.flat_ = self._private
        lifted = super()._lift(observations)
        del self.flat_
        return lifted


class OwnFit(Cardboard):
    def fit(self, W, y=None, mask=None, **side_inputs):
        super().fit(W, y, mask, **side_inputs)


BREAKERS = {
    "check_fit_returns_self": OwnFit,
    "check_rotations": Mirrored,
    "check_composition": OffCentre,
    "check_attributes": Double,
    "check_frames_do_not_mix": Mixing,
    "check_same_seed": Unseeded,
    "check_global_random_state": Unseeded,
    "check_inverse_transform": type(
        "Projecting", (Cardboard,), {"_project": lambda self, X, intrinsics: X[..., 1:] * 2}
    ),
    "check_in_plane_rotation": Tilted,
    "check_units": Stretched,
    "check_parameters": Unvalidated,
    "check_callbacks": Silent,
    "check_save_and_load": Forgetful,
}


@pytest.mark.parametrize(("name", "cls"), BREAKERS.items(), ids=BREAKERS)
def test_a_method_that_breaks_the_contract_is_noticed(name, cls):
    checks = dict(nrsfm_estimator_checks(cls()))
    with pytest.raises((AssertionError, AttributeError)):
        checks[name]()


def test_a_seed_without_effect_is_noticed():
    with pytest.raises(AssertionError):
        dict(nrsfm_estimator_checks(Deaf()))["check_same_seed"]()


def test_the_failing_check_is_named():
    with pytest.raises(AssertionError, match="check_rotations fails for Mirrored"):
        check_nrsfm_estimator(Mirrored())


def test_all_checks_at_once_pass(recwarn):
    check_nrsfm_estimator(Cardboard())
    skipped = [w for w in recwarn if "was skipped" in str(w.message)]
    assert all("rich" in str(w.message) for w in skipped)


def test_names_are_unique_and_say_check():
    names = [name for name, _ in nrsfm_estimator_checks(Cardboard())]
    assert len(names) == len(set(names))
    assert all(name.startswith("check_") for name in names)
