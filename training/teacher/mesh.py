"""Labels from a teacher's face mesh, remapped to the 106 points by geometry alone: nothing here is fitted to people's labels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from training.teacher.finder import MESH, extent_px, find_meshes
from training.teacher.mesh_mirror import mirrored_mesh
from training.teacher.outline import LEFT_JAW, RIGHT_JAW, evenly, seen_jaw
from zoo.schemes import SCHEMES

# Runs of mesh vertices along which the 106-point scheme spaces its points evenly (by arc length).
# fmt: off
_BRIDGE = (168, 6, 197, 195, 5, 4)
_LEFT_LID_UPPER = (33, 246, 161, 160, 159, 158, 157, 173, 133)
_LEFT_LID_LOWER = (133, 155, 154, 153, 145, 144, 163, 7, 33)
_RIGHT_LID_UPPER = (362, 398, 384, 385, 386, 387, 388, 466, 263)
_RIGHT_LID_LOWER = (263, 249, 390, 373, 374, 380, 381, 382, 362)
_LEFT_BROW, _RIGHT_BROW = (70, 63, 105, 66, 107), (336, 296, 334, 293, 300)
# Points that are one vertex each.
_VERTICES = {
    **dict(zip(range(38, 42), (55, 65, 52, 53), strict=True)),
    **dict(zip(range(47, 51), (283, 282, 295, 285), strict=True)),
    55: 244, 56: 198, 57: 102, 65: 464, 64: 420, 63: 331,
    **dict(zip(range(58, 63), (75, 97, 2, 326, 305), strict=True)),
    **dict(zip(range(84, 96), (61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181), strict=True)),
    **dict(zip(range(96, 104), (78, 82, 13, 312, 308, 317, 14, 87), strict=True)),
    74: 468, 104: 468, 83: 473, 105: 473,
}
# fmt: on
_RUNS = (
    (_BRIDGE, tuple(range(51, 55))),
    (_LEFT_LID_UPPER, (66, 67, 68, 69, 70)),
    (_LEFT_LID_LOWER, (70, 71, 72, 73, 66)),
    (_RIGHT_LID_UPPER, (75, 76, 77, 78, 79)),
    (_RIGHT_LID_LOWER, (79, 80, 81, 82, 75)),
    (_LEFT_BROW, tuple(range(33, 38))),
    (_RIGHT_BROW, tuple(range(42, 47))),
)
CONTOUR = slice(0, 33)
# A face with less than this share of the largest one's extent stands in the background.
BACKGROUND_SHARE = 0.4


def mesh_to_106(mesh: np.ndarray) -> np.ndarray:
    """Returns the 106 points (106, 2) of a mesh (478, 2 or 3), in the mesh's own frame."""
    return remap(np.asarray(mesh, np.float64)[:, :2])


def remap(mesh: np.ndarray) -> np.ndarray:
    """Returns the 106 points (106, C) of a mesh (478, C), in the mesh's own frame; a third coordinate is that of the spot on the mesh."""
    points = np.zeros((106, mesh.shape[1]))
    points[:17], points[16:33] = (evenly(seen_jaw(mesh, jaw), 17) for jaw in (LEFT_JAW, RIGHT_JAW))
    for vertices, targets in _RUNS:
        points[list(targets)] = evenly(mesh[list(vertices)], len(targets))
    points[list(_VERTICES)] = mesh[list(_VERTICES.values())]
    return points


@dataclass(frozen=True, eq=False)
class Label:
    """The teacher's word on one face.

    Attributes:
      points: (106, 2) float64 image points, the mean of those of the picture and of its mirror image.
      mesh: (478, 3) of the picture, in image pixels, depth in the same unit.
      mirror_mesh: (478, 3) of the mirror image, mapped back onto the picture and its vertices; `mesh` again where the mirror shows no face.
      disagreement: the mean distance between the picture's points and its mirror image's, over the outer eye corners' distance: what the
        teacher does not know it says differently in the mirror. Infinite where the mirror shows it no face in this place.
    """

    points: np.ndarray
    mesh: np.ndarray
    mirror_mesh: np.ndarray
    disagreement: float


def label(image: np.ndarray, teacher: str = MESH) -> list[Label]:
    """Returns a teacher's word on the faces of a picture, the largest first; faces far smaller than that one are background.

    Args:
      image: (H, W, 3) uint8 RGB.
      teacher: as `find_meshes` takes it.

    Raises:
      ZooError: as `find_meshes`.
    """
    meshes = find_meshes(image, teacher)
    if not meshes:
        return []
    meshes = [mesh for mesh in meshes if extent_px(mesh) >= BACKGROUND_SHARE * extent_px(meshes[0])]
    across = [mirrored_mesh(mesh, image.shape[1]) for mesh in find_meshes(np.ascontiguousarray(image[:, ::-1]), teacher)]
    return [_agreed(mesh, across) for mesh in meshes]


def _agreed(mesh: np.ndarray, across: list[np.ndarray]) -> Label:
    points = mesh_to_106(mesh)
    eyes = max(SCHEMES["106"].eye_distance(points), 1e-6)
    others = [(mirror_mesh, mesh_to_106(mirror_mesh)) for mirror_mesh in across]
    mirror_mesh, other = min(others, key=lambda some: np.linalg.norm(some[1].mean(0) - points.mean(0)), default=(mesh, None))
    if other is None or np.linalg.norm(other.mean(0) - points.mean(0)) > eyes:
        return Label(points, mesh, mesh, math.inf)
    return Label((points + other) / 2, mesh, mirror_mesh, float(np.linalg.norm(points - other, axis=1).mean() / eyes))


def mirrored(points: np.ndarray, width: int) -> np.ndarray:
    """Returns the 106 points (106, 2) as the mirror image of a picture of this width shows them."""
    return (points * [-1, 1] + [width, 0])[SCHEMES["106"].mirror]
