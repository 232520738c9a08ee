"""Methods that factorise: linear algebra, no networks."""

from ._bmm import BMM
from ._column_space_fitting import ColumnSpaceFitting
from ._compressible import CompressibleNRSfM
from ._consensus import ConsensusNRSfM
from ._em_ppca import EMPPCA
from ._isometric import IsometricNRSfM
from ._kernel_shape_trajectory import KernelShapeTrajectory
from ._procrustean_normal import ProcrusteanNormal
from ._procrustean_regression import ProcrusteanRegression
from ._revisited_bmm import RevisitedBMM
from ._rigid_factorization import RigidFactorization
from ._trajectory_basis import TrajectoryBasis

__all__ = [
    "BMM",
    "EMPPCA",
    "ColumnSpaceFitting",
    "CompressibleNRSfM",
    "ConsensusNRSfM",
    "IsometricNRSfM",
    "KernelShapeTrajectory",
    "ProcrusteanNormal",
    "ProcrusteanRegression",
    "RevisitedBMM",
    "RigidFactorization",
    "TrajectoryBasis",
]
