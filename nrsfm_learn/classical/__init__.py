"""Methods that factorise: linear algebra, no networks."""

from ._bmm import BMM
from ._revisited_bmm import RevisitedBMM
from ._rigid_factorization import RigidFactorization
from ._trajectory_basis import TrajectoryBasis

__all__ = ["BMM", "RevisitedBMM", "RigidFactorization", "TrajectoryBasis"]
