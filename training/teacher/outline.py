"""The outline of a face as a picture shows it, from the face mesh.

The mesh's own jaw line is a line on the head. On a turned face the far cheek stands before it and is what people mark as the contour:
there the line is moved outwards to where the mesh's cheek ends in the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np

from zoo.errors import ZooError

# Mesh vertices: the jaw from either temple to the chin, and the root of the nose, where the face's axis starts.
LEFT_JAW = (162, 127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152)
RIGHT_JAW = (152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454, 356, 389)
# The contour starts this far along the first edge of the jaw, counted from the temple: 12 % of the outer eye distance above the 68
# points' contour, near the height of the outer corner of the eye.
_START_SHARE = 0.4
_NOSE_ROOT, _CHIN = 168, 152
# Down to this share of the axis, outwards means square to it; below, away from the point there.
_SQUARE_SHARE = 0.9
_SAMPLES = 40
# So many edges away from the jaw is still cheek: in profile nose and lips stand out further, and are not the contour.
_CHEEK_STEPS = 4


def seen_jaw(mesh: np.ndarray, jaw: Sequence[int]) -> np.ndarray:
    """Returns the line (40, C) along one jaw as the picture shows it.

    Args:
      mesh: (478, C) with C of 2 or 3, x and y in the picture's frame; a depth is that of the spot on the mesh.
      jaw: `LEFT_JAW` or `RIGHT_JAW`.
    """
    vertices = mesh[list(jaw)]
    end, inwards = (0, 1) if jaw[-1] == _CHIN else (-1, -2)
    vertices[end] += _START_SHARE * (vertices[inwards] - vertices[end])
    line = evenly(vertices, _SAMPLES)
    root, chin = mesh[_NOSE_ROOT, :2], mesh[_CHIN, :2]
    length = max(float(np.linalg.norm(chin - root)), 1e-9)
    down = (chin - root) / length
    temple = mesh[jaw[end], :2] - mesh[[LEFT_JAW[0], RIGHT_JAW[-1]], :2].mean(0)
    square = np.array([-down[1], down[0]])
    square *= np.sign(square @ temple) or 1.0

    heights = (line[:, :2] - root) @ down
    limit = _SQUARE_SHARE * length
    origins = root + np.minimum(heights, limit)[:, None] * down
    away = line[:, :2] - origins
    rays = np.where((heights <= limit)[:, None], square, away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-9))
    met, reach = _furthest(mesh, origins, rays)
    return np.where((reach > (away * rays).sum(1))[:, None], met, line)


def _furthest(mesh: np.ndarray, origins: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the furthest spots (N, C) where rays (N, 2) meet an edge of the cheeks, and how far out; -inf where they meet none."""
    first, second = mesh[_cheek_edges()[:, 0]], mesh[_cheek_edges()[:, 1]]
    along = second - first
    start = first[None, :, :2] - origins[:, None]
    ray_x, ray_y = rays[:, :1], rays[:, 1:]
    # The ray meets the edge where the cross product of ray and spot is 0.
    turn = ray_x * along[:, 1] - ray_y * along[:, 0]
    share = np.divide(ray_y * start[..., 0] - ray_x * start[..., 1], turn, out=np.full(turn.shape, -1.0), where=turn != 0)
    reach = ray_x * (start[..., 0] + share * along[:, 0]) + ray_y * (start[..., 1] + share * along[:, 1])
    reach[(share < 0) | (share > 1)] = -np.inf
    best = reach.argmax(1)
    rows = np.arange(len(best))
    return first[best] + share[rows, best, None] * along[best], reach[rows, best]


@lru_cache(maxsize=1)
def _cheek_edges() -> np.ndarray:
    """Returns the edges (E, 2) both ends of which are within a few steps of the jaw."""
    edges, cheek = mesh_edges(), np.zeros(mesh_edges().max() + 1, bool)
    cheek[[*LEFT_JAW, *RIGHT_JAW]] = True
    for _ in range(_CHEEK_STEPS):
        cheek[edges[cheek[edges].any(1)]] = True
    return edges[cheek[edges].all(1)]


def evenly(line: np.ndarray, count: int) -> np.ndarray:
    """Returns points (count, C) at even steps along a line (N, C) in the picture, its first two coordinates."""
    return along(line, np.linspace(0, 1, count))


def along(line: np.ndarray, shares: Sequence[float] | np.ndarray) -> np.ndarray:
    """Returns points (len(shares), C) at shares 0..1 of the length of a line (N, C) in the picture, its first two coordinates."""
    lengths = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line[:, :2], axis=0), axis=1))])
    at = np.asarray(shares) * lengths[-1]
    return np.column_stack([np.interp(at, lengths, axis) for axis in line.T])


@lru_cache(maxsize=1)
def mesh_edges() -> np.ndarray:
    """Returns the edges (E, 2) int of MediaPipe's mesh from its wheel, without importing the package, which would bring TensorFlow along.

    Raises:
      ZooError: mediapipe is not installed.
    """
    package = find_spec("mediapipe")
    folders = list(package.submodule_search_locations or []) if package else []
    path = Path(folders[0], "python", "solutions", "face_mesh_connections.py") if folders else None
    if path is None or not path.is_file():
        raise ZooError("the face's outline needs the mesh's edges from mediapipe 0.10.21: it is not installed")
    spec = spec_from_file_location("face_mesh_connections", path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return np.array(sorted({tuple(sorted(edge)) for edge in module.FACEMESH_TESSELATION}))
