"""More yaw and pitch than the pictures have: a face's mesh, textured by its own picture, turned in depth.

The mesh of the labels is a surface in three dimensions. Turned, seen along the depth axis and continued by rings that die away into the
background, it says for every pixel of a crop where in the picture its colour comes from; the pixels are fetched once. Points are
carried along with their mesh's depth, but for the contour: it is what the picture shows, so it keeps its distance from the outline of
the turned mesh. What the turned surface hides is hidden from the loss too.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import cv2
import numpy as np

from training.teacher.mesh import CONTOUR, remap
from training.teacher.outline import mesh_edges
from zoo.alignment import Alignment

# Mesh vertices of the face's outline, clockwise from the forehead; and the holes of the mesh: the rims of eyes and mouth, from corner to
# corner, the lower rim first.
# fmt: off
_OVAL = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172, 58,
         132, 93, 234, 127, 162, 21, 54, 103, 67, 109)
_HOLES = (
    ((33, 7, 163, 144, 145, 153, 154, 155, 133), (33, 246, 161, 160, 159, 158, 157, 173, 133)),
    ((362, 382, 381, 380, 374, 373, 390, 249, 263), (362, 398, 384, 385, 386, 387, 388, 466, 263)),
    ((78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308), (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)),
)
# fmt: on
_SURFACE_VERTICES = 468
# Rings round the outline: how far out, as a multiple of the outline, and how much of the turn they follow.
_RINGS = ((1.2, 0.75), (1.5, 0.4), (2.0, 0.12), (2.8, 0.0))
# A point this far behind the surface in front of it, in eye distances, is hidden.
HIDDEN_DEPTH = 0.08
_MAX_YAW_DEG, _MAX_TURN_DEG, _MAX_PITCH_DEG, _FRONT_DEG = 65.0, 40.0, 15.0, 12.0


def mesh_yaw_deg(mesh: np.ndarray) -> float:
    """Returns how far a mesh (478, 3) is turned about the vertical: 0 looks at the camera, positive looks to the picture's right."""
    across = mesh[263] - mesh[33]
    return float(np.degrees(np.arctan2(across[2], across[0])))


def draw_turn(mesh: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """Returns a yaw and a pitch in degrees to add: further to the side the face looks to, for its other side was never photographed."""
    yaw = mesh_yaw_deg(mesh)
    side = np.sign(yaw) if abs(yaw) > _FRONT_DEG else rng.choice([-1, 1])
    furthest = np.clip(_MAX_YAW_DEG - side * yaw, 0, _MAX_TURN_DEG)
    return float(side * rng.uniform(0, furthest)), float(rng.uniform(-_MAX_PITCH_DEG, _MAX_PITCH_DEG))


class TurnedFace:
    """A face turned by some yaw and pitch, ready to be cropped.

    Attributes:
      image: (H, W, 3) uint8, the picture as it was.
      points: (106, 2) float64 the carried points, in the frame of `image`.
    """

    def __init__(self, image: np.ndarray, mesh: np.ndarray, points: np.ndarray, yaw_deg: float, pitch_deg: float):
        """Turns a face.

        Args:
          image: (H, W, 3) uint8.
          mesh: (478, 3) in the frame of `image`, depth in the same unit, smaller is nearer.
          points: (106, 2) in the frame of `image`; NaN where unknown.
        """
        self.image = image
        mesh = np.asarray(mesh, np.float64)
        pivot = np.array([*mesh[list(_OVAL), :2].mean(0), mesh[list(_OVAL), 2].max()])
        turn = _rotation(yaw_deg, pitch_deg)

        def turned(vertices: np.ndarray) -> np.ndarray:
            return (vertices - pivot) @ turn.T + pivot

        teacher = remap(mesh)
        self._source, self._target = _with_rings(mesh, turned)
        moved = turned(np.column_stack([points, teacher[:, 2]]))
        moved[CONTOUR] = remap(turned(mesh))[CONTOUR]
        moved[CONTOUR, :2] += (points - teacher[:, :2])[CONTOUR]
        self.points, self._depths = moved[:, :2], moved[:, 2]
        self._eyes = float(np.linalg.norm(mesh[263] - mesh[33]))

    def crop(self, alignment: Alignment, border: int, border_value: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Returns the aligned crop (S, S, 3) uint8 of the turned face, and which of the points the face itself hides (106,) bool.

        Args:
          alignment: from the frame of `image` to the crop.
          border, border_value: OpenCV's, for what lies outside the picture.
        """
        size = alignment.size
        target = alignment.to_crop(self._target[:, :2])
        triangles = _triangles()
        corners, depths = target[triangles], self._target[:, 2][triangles]
        owner = np.full((size, size), -1, np.int32)
        fixed = np.rint((corners - 0.5) * 16).astype(np.int32)  # OpenCV's pixel centres are integers; four bits of fraction
        inside = ((corners.max(1) > 0) & (corners.min(1) < size)).all(1)
        for index in np.argsort(-depths.mean(1)):  # far ones first, so that what is near covers them
            if inside[index]:
                cv2.fillConvexPoly(owner, fixed[index], int(index), shift=4)
        # Over each triangle source and depth are affine in the crop's coordinates.
        values = np.concatenate([self._source[:, :2][triangles], depths[..., None]], axis=2)
        planes = _planes(corners, values)
        rows, columns = np.mgrid[:size, :size] + 0.5
        where = np.stack([columns, rows, np.ones_like(rows)], axis=-1)
        plain = alignment.to_image(where[..., :2].reshape(-1, 2)).reshape(size, size, 2)
        mapped = np.einsum("hwk,hwkc->hwc", where, planes[owner])
        covered = (owner >= 0)[..., None]
        source = np.where(covered, mapped[..., :2], plain)
        depth = np.where(owner >= 0, mapped[..., 2], np.inf)
        return self._fetch(source, alignment.scale, border, border_value), self._hidden(alignment.to_crop(self.points), depth)

    def _fetch(self, source: np.ndarray, scale: float, border: int, border_value: tuple[int, ...]) -> np.ndarray:
        image, block = self.image, max(1, int(1 / scale))
        if block > 1:  # as `Alignment.crop` does: whole blocks are averaged before they are sampled
            height, width = (side // block for side in image.shape[:2])
            image = cv2.resize(image[: height * block, : width * block], (width, height), interpolation=cv2.INTER_AREA)
        at = (source / block - 0.5).astype(np.float32)
        return cv2.remap(image, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=border, borderValue=border_value)

    def _hidden(self, crop_points: np.ndarray, depth: np.ndarray) -> np.ndarray:
        size = len(depth)
        columns, rows = np.clip(np.nan_to_num(crop_points), 0, size - 1).astype(int).T
        hidden = self._depths > depth[rows, columns] + HIDDEN_DEPTH * self._eyes
        hidden[CONTOUR] = False  # an outline is what nothing of the face stands before
        return hidden


def _rotation(yaw_deg: float, pitch_deg: float) -> np.ndarray:
    """Returns (3, 3) for x to the right, y down, z away: a positive yaw turns the face to the picture's right."""
    yaw, pitch = np.deg2rad([yaw_deg, pitch_deg])
    about_y = np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    return about_x @ about_y


def _with_rings(mesh: np.ndarray, turned) -> tuple[np.ndarray, np.ndarray]:
    """Returns the vertices before and after the turn, (468 + rings, 3): the surface, then rings that follow it less and less."""
    oval = mesh[list(_OVAL)]
    centre = oval.mean(0)
    before, after = [mesh[:_SURFACE_VERTICES]], [turned(mesh[:_SURFACE_VERTICES])]
    for reach, follow in _RINGS:
        ring = centre + (oval - centre) * [reach, reach, 1]
        ring[:, 2] = oval[:, 2]
        moved = turned(ring)
        shift = follow * (moved - ring)
        # What lies outside the face is behind it: a ring never covers the surface.
        before.append(ring)
        after.append(ring + shift + [0, 0, 2 * np.ptp(mesh[:, 2])])
    return np.vstack(before), np.vstack(after)


def _planes(corners: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Returns (T, 3, C): coefficients that give C values as affine functions of (x, y, 1) over T triangles.

    Args:
      corners: (T, 3, 2).
      values: (T, 3, C) at the corners.
    """
    (u, v), (first, second) = (corners[:, 1:] - corners[:, :1]).swapaxes(0, 1), (values[:, 1:] - values[:, :1]).swapaxes(0, 1)
    area = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    flat = np.abs(area) < 1e-6  # seen edge-on: it owns no pixel worth the name
    area = np.where(flat, np.inf, area)[:, None]
    along_x = (first * v[:, 1:] - second * u[:, 1:]) / area
    along_y = (second * u[:, :1] - first * v[:, :1]) / area
    constant = values[:, 0] - along_x * corners[:, 0, :1] - along_y * corners[:, 0, 1:]
    return np.stack([along_x, along_y, constant], axis=1)


@lru_cache(maxsize=1)
def surface_triangles() -> np.ndarray:
    """Returns (T, 3) int: the mesh's triangles, its holes closed."""
    triangles = _triangles()
    return triangles[(triangles < _SURFACE_VERTICES).all(1)]


@lru_cache(maxsize=1)
def _triangles() -> np.ndarray:
    """Returns (T, 3) int: the mesh's triangles, its holes closed, and the bands between outline and rings."""
    near: dict[int, set[int]] = {}
    for a, b in mesh_edges().tolist():
        near.setdefault(a, set()).add(b)
        near.setdefault(b, set()).add(a)
    found = {tuple(sorted((a, b, c))) for a, some in near.items() for b in some for c in some & near[b]}
    for lower, upper in _HOLES:
        found |= set(_band(lower, upper))
    count = len(_OVAL)
    loops = [list(_OVAL)] + [[_SURFACE_VERTICES + k * count + i for i in range(count)] for k in range(len(_RINGS))]
    for inner, outer in pairwise(loops):
        found |= set(_band([*inner, inner[0]], [*outer, outer[0]]))
    return np.array(sorted(t for t in found if len(set(t)) == 3))


def _band(first: tuple[int, ...] | list[int], second: tuple[int, ...] | list[int]) -> list[tuple[int, int, int]]:
    """Returns the triangles between two lines of as many vertices."""
    steps = range(len(first) - 1)
    return [(first[i], first[i + 1], second[i]) for i in steps] + [(first[i + 1], second[i + 1], second[i]) for i in steps]
