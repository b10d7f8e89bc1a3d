"""One labelled face in one picture, as every reader gives it and every training takes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

# Vertices of the refined face mesh.
MESH_COUNT = 478


@dataclass(frozen=True)
class Sample:
    """One labelled face in one picture.

    Attributes:
      path: the picture; `FILE.mat#KEY.INDEX` where it lies within another file. `training.readers.picture.read_picture` reads both.
      image_points: (106, 2) float64, edge-based image pixels.
      weights: (106,) float32; 0 where the label does not know the point.
      five: (5, 2) naive points, edge-based image pixels.
      group: who or which photograph it is; a split never divides a group.
      scheme, native_points: the points as the set gives them, (count, 2) edge-based image pixels, for measuring against; not a number
        where the set says that a point is hidden.
      split: "train", "val" or "test" where the set says so, else "".
      attributes: what else the set says of the face, by name; a true value puts it into the subset of that name.
      box: (4,) x1, y1, x2, y2 in edge-based image pixels, where the set gives one.
      mesh: (MESH_COUNT, 3) float32, the teacher's mesh in edge-based image pixels, where a labels file holds it.
      hidden: (106,) bool, the points that something stands before, where the label says so.
    """

    path: Path
    image_points: np.ndarray
    weights: np.ndarray
    five: np.ndarray
    group: str
    scheme: str
    native_points: np.ndarray
    split: str = ""
    attributes: Mapping[str, float | str] = field(default_factory=dict)
    box: np.ndarray | None = None
    mesh: np.ndarray | None = None
    hidden: np.ndarray | None = None
