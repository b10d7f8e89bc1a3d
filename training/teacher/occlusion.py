"""Which points a face hides from the camera itself: those with the surface of its mesh in front of them."""

from __future__ import annotations

import numpy as np

from training.teacher.mesh import CONTOUR, remap
from training.teacher.posing import HIDDEN_DEPTH, surface_triangles


def self_occluded(mesh: np.ndarray) -> np.ndarray:
    """Returns which of the 106 points (106,) bool the face itself hides.

    The contour never is: it is the outline that the picture shows.

    Args:
      mesh: (478, 3) image pixels, depth in the same unit, smaller is nearer.
    """
    mesh = np.asarray(mesh, np.float64)
    points, corners = remap(mesh), mesh[surface_triangles()]
    origin, first, second = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    area = np.where(np.abs(area) < 1e-9, np.inf, area)  # seen edge-on, a triangle hides nothing
    x, y = points[:, None, 0] - origin[:, 0], points[:, None, 1] - origin[:, 1]
    u = (x * second[:, 1] - y * second[:, 0]) / area
    v = (y * first[:, 0] - x * first[:, 1]) / area
    depth = origin[:, 2] + u * first[:, 2] + v * second[:, 2]
    eyes = float(np.linalg.norm(mesh[263] - mesh[33]))
    before = (u > 0) & (v > 0) & (u + v < 1) & (depth < points[:, None, 2] - HIDDEN_DEPTH * eyes)
    hidden = before.any(1)
    hidden[CONTOUR] = False
    return hidden
