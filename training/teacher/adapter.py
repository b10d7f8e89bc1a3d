"""Bends the teacher's points to people's definitions: a ridge regression from the whole mesh to what the teacher gets wrong.

Fitted on pictures that have both a mesh and 68 human points, and carried from there to the 106. What such labels train is of the
human labels' licence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.readers.groups import is_held_out
from training.teacher.mesh import mesh_to_106
from zoo.alignment import Alignment
from zoo.errors import ZooError
from zoo.schemes import SCHEMES, to_scheme
from zoo.stations import map_68_to_106

RIDGE = 300.0
# Faces whose teacher and people disagree by more than this share of the eye distance are other faces, or broken labels.
_MAX_DISAGREEMENT = 0.25


@dataclass(frozen=True)
class Adapter:
    """A fitted regression: features are standardised mesh coordinates in the aligned frame, outputs residuals of the 68 points there."""

    mean: np.ndarray
    deviation: np.ndarray
    weights: np.ndarray
    offset: np.ndarray

    def adapt(self, mesh: np.ndarray) -> np.ndarray:
        """Returns the 106 points (106, 2) of a mesh (478, 2 or 3), moved as people would have put them; all in image pixels."""
        alignment = _alignment(mesh)
        features = (_features(mesh, alignment) - self.mean) / self.deviation
        residual = (features @ self.weights + self.offset).reshape(68, 2)
        return alignment.to_image(alignment.to_crop(mesh_to_106(mesh)) + _CARRY @ residual)


def fit(meshes: np.ndarray, human_points: np.ndarray, ridge: float = RIDGE) -> tuple[Adapter, int]:
    """Returns the adapter fitted on N faces, and how many of them were usable.

    Args:
      meshes: (N, 478, 2 or 3) image pixels.
      human_points: (N, 68, 2) image pixels.
      ridge: penalty on standardised features.

    Raises:
      ZooError: fewer than 20 faces are usable.
    """
    features, residuals = [], []
    for mesh, human in zip(meshes, human_points, strict=True):
        alignment = _alignment(mesh)
        residual = alignment.to_crop(human) - alignment.to_crop(to_scheme(mesh_to_106(mesh), "68"))
        eyes = SCHEMES["68"].eye_distance(alignment.to_crop(human))
        if np.linalg.norm(residual, axis=1).mean() <= _MAX_DISAGREEMENT * eyes:
            features.append(_features(mesh, alignment))
            residuals.append(residual.ravel())
    if len(features) < 20:
        raise ZooError(f"an adapter needs at least 20 faces on which teacher and people roughly agree, received {len(features)}")
    x, y = np.array(features), np.array(residuals)
    mean, deviation, offset = x.mean(0), x.std(0) + 1e-9, y.mean(0)
    x = (x - mean) / deviation
    # Fewer faces than features: solve in the space of faces.
    dual = np.linalg.solve(x @ x.T + ridge * np.eye(len(x)), y - offset)
    return Adapter(mean, deviation, x.T @ dual, offset), len(features)


def gain(meshes: np.ndarray, human_points: np.ndarray, groups: Sequence[str], share: float = 0.2) -> list[dict[str, Any]]:
    """Returns what bending gains on people it was not fitted on: rows of part, error before and error after.

    Errors are in % of the distance between people's outer eye corners. A share of the groups is kept from a fit made for this alone.

    Args:
      meshes, human_points: as for `fit`.
      groups: who or which photograph each face is.
    """
    kept = np.array([is_held_out(str(group), share) for group in groups])
    if not kept.any() or kept.all():
        return []
    adapter, _ = fit(meshes[~kept], human_points[~kept])
    plain = np.array([mesh_to_106(mesh) for mesh in meshes[kept]])
    bent = np.array([adapter.adapt(mesh) for mesh in meshes[kept]])
    before, after = (
        np.array([_errors(to_scheme(p, "68"), truth) for p, truth in zip(points, human_points[kept], strict=True)])
        for points in (plain, bent)
    )
    usable = before.mean(1) <= _MAX_DISAGREEMENT
    scheme = SCHEMES["68"]
    parts = {"core12": scheme.core12, "all 68": tuple(range(68)), **{name: part.indices for name, part in scheme.parts.items()}}
    return [
        {"part": name, "held-out faces": int(usable.sum()), "mesh %": _percent(before[usable][:, list(indices)]),
         "bent %": _percent(after[usable][:, list(indices)])}
        for name, indices in parts.items()
    ]  # fmt: skip


def _errors(points: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Returns the distances (68,) of points (68, 2) from people's, as shares of the latter's eye distance."""
    return np.linalg.norm(points - truth, axis=-1) / SCHEMES["68"].eye_distance(truth)


def _percent(errors: np.ndarray) -> float:
    return round(100 * float(errors.mean()), 2)


def _alignment(mesh: np.ndarray) -> Alignment:
    return Alignment.from_five(SCHEMES["106"].five_points(mesh_to_106(mesh)), 1)


def _features(mesh: np.ndarray, alignment: Alignment) -> np.ndarray:
    return alignment.to_crop(np.asarray(mesh, np.float64)[:, :2]).ravel()


def _carry() -> np.ndarray:
    """Returns (106, 68): how the residuals of the 68 points move the 106.

    Points along the curves that both schemes share move as the curve does there; a brow's lower edge moves as the whole brow; the sides
    of the nose and the pupils stay.
    """
    carry = map_68_to_106().matrix(68)
    carry[38:42, 17:22] = carry[47:51, 22:27] = 1 / 5
    return carry


_CARRY = _carry()
