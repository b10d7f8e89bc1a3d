"""Labels from a teacher's face mesh, remapped to the 106 points by geometry alone: nothing here is fitted to people's labels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from training.teacher.finder import MAX_FACES, MESH, extent_px, find_meshes
from training.teacher.mesh_mirror import mirrored_mesh
from training.teacher.outline import LEFT_JAW, RIGHT_JAW, along, evenly, seen_jaw
from zoo.detector import Face, detect_faces
from zoo.schemes import SCHEMES

# Runs of mesh vertices, and the points that lie along them at these shares of the arc, as the 106-point scheme spaces them
# (`zoo.stations`): lids, bridge and lower outer lip evenly, the others nearer to the corners.
# fmt: off
_RUNS: tuple[tuple[tuple[int, ...], dict[int, float]], ...] = (
    ((168, 6, 197, 195, 5, 4), {51: 0, 52: 1 / 3, 53: 2 / 3, 54: 1}),
    ((33, 246, 161, 160, 159, 158, 157, 173, 133), {66: 0, 67: 0.25, 68: 0.5, 69: 0.75, 70: 1}),
    ((133, 155, 154, 153, 145, 144, 163, 7, 33), {71: 0.25, 72: 0.5, 73: 0.75}),
    ((362, 398, 384, 385, 386, 387, 388, 466, 263), {75: 0, 76: 0.25, 77: 0.5, 78: 0.75, 79: 1}),
    ((263, 249, 390, 373, 374, 380, 381, 382, 362), {80: 0.25, 81: 0.5, 82: 0.75}),
    ((61, 185, 40, 39, 37, 0), {84: 0, 85: 0.39, 86: 0.78, 87: 1}),
    ((0, 267, 269, 270, 409, 291), {88: 0.22, 89: 0.61, 90: 1}),
    ((291, 375, 321, 405, 314, 17), {91: 1 / 3, 92: 2 / 3, 93: 1}),
    ((17, 84, 181, 91, 146, 61), {94: 1 / 3, 95: 2 / 3}),
    ((78, 191, 80, 81, 82, 13), {96: 0, 97: 0.42, 98: 1}),
    ((13, 312, 311, 310, 415, 308), {99: 0.58, 100: 1}),
    ((308, 324, 318, 402, 317, 14), {101: 0.42, 102: 1}),
    ((14, 87, 178, 88, 95, 78), {103: 0.58}),
)
# The upper and the lower line of each brow, outer end first, and its points: the share of the way along, and across from the upper line
# (0) to the lower one (1). The brow's two tips lie between the lines, and the mesh's lower line above the lower edge.
_BROWS = (
    ((70, 63, 105, 66, 107), (46, 53, 52, 65, 55), (33, 34, 35, 36, 37, 38, 39, 40, 41)),
    ((300, 293, 334, 296, 336), (276, 283, 282, 295, 285), (46, 45, 44, 43, 42, 50, 49, 48, 47)),
)
_BROW_PLACES = ((0, 0.4), (0.26, 0.1), (0.53, 0.1), (0.79, 0.25), (1, 0.5), (0.95, 1.2), (0.7, 1.4), (0.45, 1.45), (0.19, 1.3))
# Points that are one vertex each.
_VERTICES = {
    55: 244, 56: 209, 57: 64, 65: 464, 64: 429, 63: 294,
    **dict(zip(range(58, 63), (240, 97, 2, 326, 460), strict=True)),
    74: 468, 104: 468, 83: 473, 105: 473,
}
# fmt: on
CONTOUR = slice(0, 33)
# A face with less than this share of the largest one's extent stands in the background.
BACKGROUND_SHARE = 0.4
# The side of what is shown of a face that the detector found, in sides of its box.
CLOSE_UP = 2.5


def mesh_to_106(mesh: np.ndarray) -> np.ndarray:
    """Returns the 106 points (106, 2) of a mesh (478, 2 or 3), in the mesh's own frame."""
    return remap(np.asarray(mesh, np.float64)[:, :2])


def remap(mesh: np.ndarray) -> np.ndarray:
    """Returns the 106 points (106, C) of a mesh (478, C), in the mesh's own frame; a third coordinate is that of the spot on the mesh."""
    points = np.zeros((106, mesh.shape[1]))
    points[:17], points[16:33] = (evenly(seen_jaw(mesh, jaw), 17) for jaw in (LEFT_JAW, RIGHT_JAW))
    for vertices, shares in _RUNS:
        points[list(shares)] = along(mesh[list(vertices)], list(shares.values()))
    for upper, lower, targets in _BROWS:
        shares, across = np.array(_BROW_PLACES).T
        first, last = along(mesh[list(upper)], shares), along(mesh[list(lower)], shares)
        points[list(targets)] = first + across[:, None] * (last - first)
    points[list(_VERTICES)] = mesh[list(_VERTICES.values())]
    return points


@dataclass(frozen=True, eq=False)
class Label:
    """A teacher's answer for one face.

    Attributes:
      mesh: (478, 3) image pixels, depth in the same unit: the mean of those of the picture and of its mirror image, mapped back.
      points: (106, 2) float64 image points of that mesh.
      disagreement: the mean distance between the picture's points and its mirror image's, over the outer eye corners' distance: what the
        teacher does not know it answers differently in the mirror. Infinite where the mirror shows it no face in this place.
    """

    mesh: np.ndarray
    points: np.ndarray
    disagreement: float


def label(image: np.ndarray, teacher: str = MESH) -> list[Label]:
    """Returns a teacher's answer for the faces of a picture, the largest first; faces far smaller than that one are background.

    Where the teacher, which looks at the picture as a whole, sees no face, or as many as it can, the zoo's detector looks for them, and the
    teacher is asked about each from close by.

    Args:
      image: (H, W, 3) uint8 RGB.
      teacher: as `find_meshes` takes it.

    Raises:
      ZooError: as `find_meshes`.
    """
    meshes = find_meshes(image, teacher, sure=True)
    if not 0 < len(meshes) < MAX_FACES:
        near = [found for face in _in_front(detect_faces(image)) for found in _close_up(image, face, teacher)]
        if len(near) > len(meshes):
            return sorted(near, key=lambda found: extent_px(found.mesh), reverse=True)
    return _labels(image, meshes or find_meshes(image, teacher), teacher)


def _in_front(faces: list[Face]) -> list[Face]:
    sides = [max(face.box[2] - face.box[0], face.box[3] - face.box[1]) for face in faces]
    return [face for face, side in zip(faces, sides, strict=True) if side >= BACKGROUND_SHARE * max(sides)]


def _close_up(image: np.ndarray, face: Face, teacher: str) -> list[Label]:
    """Returns the teacher's word on one face that the detector found, from a part of the picture around it; none where it sees no face."""
    x0, y0, x1, y1 = face.box
    centre, half = np.array([x0 + x1, y0 + y1]) / 2, CLOSE_UP * max(x1 - x0, y1 - y0) / 2
    left, top = np.maximum(np.floor(centre - half).astype(int), 0)
    right, bottom = np.minimum(np.ceil(centre + half).astype(int), [image.shape[1], image.shape[0]])
    part = np.ascontiguousarray(image[top:bottom, left:right])
    shift, found = np.array([left, top, 0]), _labels(part, find_meshes(part, teacher), teacher)
    found = [Label(one.mesh + shift, one.points + shift[:2], one.disagreement) for one in found]
    inside = [one for one in found if ((one.points.mean(0) > [x0, y0]) & (one.points.mean(0) < [x1, y1])).all()]
    return sorted(inside, key=lambda one: float(np.linalg.norm(one.points.mean(0) - centre)))[:1]


def _labels(image: np.ndarray, meshes: list[np.ndarray], teacher: str) -> list[Label]:
    if not meshes:
        return []
    meshes = [mesh for mesh in meshes if extent_px(mesh) >= BACKGROUND_SHARE * extent_px(meshes[0])]
    across = [mirrored_mesh(mesh, image.shape[1]) for mesh in find_meshes(np.ascontiguousarray(image[:, ::-1]), teacher)]
    return [_agreed(mesh, across) for mesh in meshes]


def _agreed(mesh: np.ndarray, across: list[np.ndarray]) -> Label:
    points = mesh_to_106(mesh)
    eyes = max(SCHEMES["106"].eye_distance(points), 1e-6)
    other = min(across, key=lambda some: np.linalg.norm((some - mesh)[:, :2].mean(0)), default=None)
    if other is None or np.linalg.norm((other - mesh)[:, :2].mean(0)) > eyes:
        return Label(mesh, points, math.inf)
    mean = (mesh + other) / 2
    disagreement = float(np.linalg.norm(points - mesh_to_106(other), axis=1).mean() / eyes)
    return Label(mean, mesh_to_106(mean), disagreement)


def mirrored(points: np.ndarray, width: int) -> np.ndarray:
    """Returns the 106 points (106, 2) as the mirror image of a picture of this width shows them."""
    return (points * [-1, 1] + [width, 0])[SCHEMES["106"].mirror]
