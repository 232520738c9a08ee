"""Checked observations of a perspective camera, on its unit focal plane."""

import numpy as np

from .preprocessing import pixels_to_unit_plane

# Median distance from the optical axis on the unit focal plane beyond which keypoints are taken for
# pixels: an angle of 70 degrees.
_FARTHEST = 3


def on_unit_plane(observations):
    """Return the observations on the unit focal plane, boxes too; without intrinsics they are."""
    K = observations.intrinsics
    if K is None:
        distance = np.median(np.linalg.norm(observations.W[observations.visible], axis=-1))
        if distance > _FARTHEST:
            raise ValueError(
                f"W looks like pixels: without intrinsics it has to lie on the unit focal plane, "
                f"where the median keypoint is {distance:.4g} from the optical axis "
                f"({np.degrees(np.arctan(distance)):.1f} degrees). Pass intrinsics=K to fit, or "
                f"subtract the principal point from W and divide it by the focal length."
            )
        return observations
    boxes = observations.boxes
    if boxes is not None:
        corners = np.asarray(boxes, float).reshape(-1, 2, 2)
        boxes = pixels_to_unit_plane(corners, K).reshape(-1, 4)
    return observations._replace(W=pixels_to_unit_plane(observations.W, K), boxes=boxes)
