"""Every estimator keeps the contract of the library and, flattened, that of scikit-learn."""

import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator

from nrsfm_learn import (
    BMM,
    C3DPO,
    EMPPCA,
    PAUL,
    PRN,
    ColumnSpaceFitting,
    CompressibleNRSfM,
    DeepNRSfM,
    DeepNRSfMPP,
    IsometricNRSfM,
    MultiCategoryLifter,
    NRSfMFormer,
    ProcrusteanRegression,
    RigidFactorization,
)
from nrsfm_learn.testing import all_estimators, flatten_estimator, nrsfm_estimator_checks

ESTIMATORS = [
    *(cls() for _, cls in all_estimators()),
    DeepNRSfMPP(camera="weak_perspective", scale_correction=1),
    DeepNRSfMPP(camera="perspective", scale_correction=1),
    DeepNRSfMPP(activation="relu"),
    DeepNRSfMPP(code_readout="linear", cycle_weight=0.0),
    DeepNRSfMPP(n_unrolled=3, n_completions=2, n_solver_steps=1),
    DeepNRSfMPP(camera="perspective", n_completions=1),
    DeepNRSfM(camera="perspective"),
    PAUL(codes="free"),
    PAUL(camera="perspective", n_init=3),
    PAUL(camera="weak_perspective", encoder="deep_nrsfm", keep_observed=False),
    C3DPO(camera="weak_perspective", in_plane=None, n_init=3),
    C3DPO(camera="perspective"),
    MultiCategoryLifter(camera="perspective", keep_observed=False),
    MultiCategoryLifter(nonnegative=False, keep_observed=False, hide_fraction=0.2),
    MultiCategoryLifter(camera="weak_perspective", optimizer="sgd", cycle_weight=0.0),
    NRSfMFormer(camera="weak_perspective", reference=False, n_init=2),
    PAUL(temporal_weight=0.1, codes="free"),
    DeepNRSfMPP(temporal_weight=0.1),
    PRN(camera="weak_perspective", window=5, frame_step=2, n_init=3, keep_observed=False),
    RigidFactorization(camera="weak_perspective"),
    BMM(shape_step="pseudo_inverse"),
    ColumnSpaceFitting(variant="csf", frequency_fraction=0.5),
    CompressibleNRSfM(cameras="blocks", n_active=1),
    IsometricNRSfM(refine=False),
    EMPPCA(camera="weak_perspective"),
    EMPPCA(dynamics=True, init="rigid"),
    ProcrusteanRegression(regularizer="nuclear_norm", regularization=0.1, init="rigid"),
]
FLAT = [
    *(flatten_estimator(cls)(max_iter=5) for _, cls in all_estimators()),
    flatten_estimator(DeepNRSfMPP)(camera="weak_perspective", max_iter=5),
]
EXPECTED_FAILURES = {
    "check_dtype_object": "arrays of objects are refused: they are what None for a missing "
    "keypoint makes, and the message says to use NaN",
    "check_methods_subset_invariance": "the network computes in single precision, so that frames "
    "lifted in other batches differ by 1e-7, which the check does not allow; "
    "check_frames_do_not_mix is the same check with 1e-4",
}
TRANSDUCTIVE = dict.fromkeys(
    (
        "check_methods_sample_order_invariance",
        "check_methods_subset_invariance",
        "check_pipeline_consistency",
        "check_fit_idempotent",
    ),
    "the method lifts no frames but those of fit, in their order, and the check asks for others",
)


CONTEXTUAL = dict.fromkeys(
    ("check_methods_sample_order_invariance", "check_methods_subset_invariance"),
    "the method lifts frames in their order, and the check shuffles them or takes them apart",
)


def expected_failures(estimator):
    """Name the checks of scikit-learn that do not apply, with the reason."""
    tags = estimator._nrsfm_tags()
    if not tags.inductive:
        return {**EXPECTED_FAILURES, **TRANSDUCTIVE}
    return {**EXPECTED_FAILURES, **CONTEXTUAL} if tags.contextual else EXPECTED_FAILURES


CONTRACT = [
    pytest.param(check, id=f"{estimator!r}-{name}")
    for estimator in ESTIMATORS
    for name, check in nrsfm_estimator_checks(estimator)
]
SCIKIT_LEARN = [
    case
    for estimator in FLAT
    for case in estimator_checks_generator(
        estimator, expected_failed_checks=expected_failures(estimator), mark="xfail"
    )
]


def name_of(case):
    if not hasattr(case, "func"):
        return repr(case)
    return "-".join([case.func.__name__, *map(str, case.keywords)])


@pytest.mark.parametrize("check", CONTRACT)
def test_contract(check):
    check()


@pytest.mark.parametrize(("estimator", "check"), SCIKIT_LEARN, ids=name_of)
@pytest.mark.filterwarnings("ignore::nrsfm_learn.base.TooPoorWarning")
def test_scikit_learn(estimator, check):
    check(estimator)
