"""Labels files, as `python -m training label` writes them: 106 points with weights, and the teacher's mesh."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from training.readers.groups import group_of
from training.readers.landmarks_npz import checked_headers
from training.readers.npz_rows import headers, rows, scalar
from training.readers.problems import NOT_NUMBERS, LabelFault, Problem
from training.readers.sample import Sample
from zoo.errors import ZooError
from zoo.schemes import SCHEMES

_MESH_SHAPE = (478, 3)


def read_labels(path: Path) -> Iterator[Sample | Problem]:
    """Yields the faces of a labels file: `root`, `names` (N,), `points` (N, 106, 2) edge-based, `weights` (N, 106), maybe `mesh`.

    Raises:
      ZooError: the archive is broken or its arrays have other shapes.
    """
    extra = checked_headers(path, ("root", "names", "points", "weights"), ("mesh",))
    found = headers(path)
    shape, weights_shape = found["points"][0], found["weights"][0]
    if shape[1:] != (106, 2) or weights_shape != shape[:2]:
        raise ZooError(f"{path} has points of shape {shape} and weights of shape {weights_shape}; (N, 106, 2) and (N, 106) are expected")
    if "mesh" in extra and found["mesh"][0][1:] != _MESH_SHAPE:
        extra = ()
    root, scheme = Path(scalar(path, "root")), SCHEMES["106"]
    for name, points, weights, *mesh in rows(path, ("names", "points", "weights", *extra)):
        name, points, weights = str(name), points.astype(np.float64), weights.astype(np.float32)
        five = scheme.five_points(points)
        try:
            if not (np.isfinite(points[weights > 0]).all() and np.isfinite(five).all() and np.isfinite(weights).all()):
                raise LabelFault(NOT_NUMBERS)
            yield Sample(
                root / name, points, weights, five, group_of(name), "106", points, mesh=mesh[0].astype(np.float32) if mesh else None
            )
        except LabelFault as fault:
            yield fault.of(name)
