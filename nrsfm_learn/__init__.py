"""Non-rigid structure from motion: 3-D reconstruction from 2-D keypoints of one camera.

Names are resolved on first use, so that ``import nrsfm_learn`` loads neither torch nor
scikit-learn. To export an estimator, add one line to ``_EXPORTS``.
"""

from importlib import import_module

from nrsfm_learn._version import __version__

_EXPORTS = {
    "BMM": "nrsfm_learn.classical.BMM",
    "C3DPO": "nrsfm_learn.deep.C3DPO",
    "AutoDecoderLifter": "nrsfm_learn.deep.AutoDecoderLifter",
    "DeepNRSfM": "nrsfm_learn.deep.DeepNRSfM",
    "DeepNRSfMPP": "nrsfm_learn.deep.DeepNRSfMPP",
    "DiffusionPosePrior": "nrsfm_learn.priors.DiffusionPosePrior",
    "MultiCategoryLifter": "nrsfm_learn.deep.MultiCategoryLifter",
    "NRSfMFormer": "nrsfm_learn.deep.NRSfMFormer",
    "PAUL": "nrsfm_learn.deep.PAUL",
    "PRN": "nrsfm_learn.deep.PRN",
    "ColumnSpaceFitting": "nrsfm_learn.classical.ColumnSpaceFitting",
    "CompressibleNRSfM": "nrsfm_learn.classical.CompressibleNRSfM",
    "EMPPCA": "nrsfm_learn.classical.EMPPCA",
    "IsometricNRSfM": "nrsfm_learn.classical.IsometricNRSfM",
    "ConsensusNRSfM": "nrsfm_learn.classical.ConsensusNRSfM",
    "KernelShapeTrajectory": "nrsfm_learn.classical.KernelShapeTrajectory",
    "ProcrusteanNormal": "nrsfm_learn.classical.ProcrusteanNormal",
    "ProcrusteanRegression": "nrsfm_learn.classical.ProcrusteanRegression",
    "RevisitedBMM": "nrsfm_learn.classical.RevisitedBMM",
    "RigidFactorization": "nrsfm_learn.classical.RigidFactorization",
    "TrajectoryBasis": "nrsfm_learn.classical.TrajectoryBasis",
    "Result": "nrsfm_learn.auto.Result",
    "diagnose": "nrsfm_learn.diagnosis.diagnose",
    "lift": "nrsfm_learn.auto.lift",
    "load": "nrsfm_learn._persistence.load_estimator",
    "model_card": "nrsfm_learn._persistence.model_card",
}

_SUBMODULES = frozenset(
    {
        "auto",
        "base",
        "classical",
        "datasets",
        "deep",
        "diagnosis",
        "flips",
        "geometry",
        "io",
        "losses",
        "metrics",
        "model_selection",
        "plotting",
        "preprocessing",
        "priors",
        "report",
        "testing",
    }
)

__all__ = ["__version__", *_EXPORTS, *sorted(_SUBMODULES)]


def __getattr__(name):
    if name in _EXPORTS:
        module, _, attribute = _EXPORTS[name].rpartition(".")
        value = getattr(import_module(module), attribute)
    elif name in _SUBMODULES:
        value = import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *__all__})
