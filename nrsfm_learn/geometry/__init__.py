"""Pure, batched, differentiable geometry on torch tensors, float32 or float64, on any device."""

from .aligned import aligned_nuclear_norm, procrustean_cost, procrustes_aligned
from .bilinear import (
    block_code,
    center_dictionary,
    normalize_observations,
    normalized_dictionary_orthographic,
    normalized_dictionary_perspective,
    normalized_reprojection_orthographic,
    normalized_reprojection_perspective,
    perspective_translation,
)
from .cameras import (
    pixels_to_unit_plane,
    project_orthographic,
    project_perspective,
    project_weak_perspective,
    unit_plane_to_pixels,
)
from .dct import dct_basis
from .onp import OnPFit, joint_onp, onp, refine_onp
from .orthonormal import complete_rotation, nearest_orthonormal_3x2, nearest_rotation
from .procrustes import (
    GeneralizedProcrustesFit,
    ProcrustesFit,
    generalized_procrustes,
    procrustes,
)
from .rotations import (
    axis_angle_to_matrix,
    cayley_to_matrix,
    matrix_to_axis_angle,
    matrix_to_quaternion,
    matrix_to_rotation_6d,
    quaternion_to_matrix,
    random_rotations,
    rotation_6d_to_matrix,
    rotation_angle,
)

__all__ = [
    "GeneralizedProcrustesFit",
    "OnPFit",
    "ProcrustesFit",
    "aligned_nuclear_norm",
    "axis_angle_to_matrix",
    "block_code",
    "cayley_to_matrix",
    "center_dictionary",
    "complete_rotation",
    "dct_basis",
    "generalized_procrustes",
    "joint_onp",
    "matrix_to_axis_angle",
    "matrix_to_quaternion",
    "matrix_to_rotation_6d",
    "nearest_orthonormal_3x2",
    "nearest_rotation",
    "normalize_observations",
    "normalized_dictionary_orthographic",
    "normalized_dictionary_perspective",
    "normalized_reprojection_orthographic",
    "normalized_reprojection_perspective",
    "onp",
    "perspective_translation",
    "pixels_to_unit_plane",
    "procrustean_cost",
    "procrustes",
    "procrustes_aligned",
    "project_orthographic",
    "project_perspective",
    "project_weak_perspective",
    "quaternion_to_matrix",
    "random_rotations",
    "refine_onp",
    "rotation_6d_to_matrix",
    "rotation_angle",
    "unit_plane_to_pixels",
]
