"""Labels files, as `python -m training label` writes them: 106 points with weights, and the teacher's mesh."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from training.readers.groups import clean_group, group_of
from training.readers.landmarks_npz import checked_headers
from training.readers.names import picture_name, picture_path
from training.readers.npz_rows import as_text, headers, rows, scalar
from training.readers.problems import NOT_NUMBERS, LabelFault, Problem
from training.readers.sample import Sample
from training.readers.text import finite
from zoo.errors import ZooError
from zoo.schemes import SCHEMES
from zoo.stations import DEFINITION

_MESH_SHAPE = (478, 3)


def read_labels(path: Path) -> Iterator[Sample | Problem]:
    """Yields the faces of a labels file: `root`, `names` (N,), `points` (N, 106, 2) edge-based, `weights`, maybe `hidden` (N, 106), `mesh`.

    Raises:
      ZooError: the archive is broken or its arrays have other shapes.
    """
    extra = checked_headers(path, ("root", "names", "points", "weights"), ("mesh", "hidden"))
    found = headers(path)
    shape, weights_shape = found["points"][0], found["weights"][0]
    for key in ("weights", *extra):
        if found[key][1].kind not in "biuf":
            raise ZooError(f"{path} has {key} of type {found[key][1]}; numbers are expected")
    if shape[1:] != (106, 2) or weights_shape != shape[:2]:
        raise ZooError(f"{path} has points of shape {shape} and weights of shape {weights_shape}; (N, 106, 2) and (N, 106) are expected")
    shapes = {"mesh": _MESH_SHAPE, "hidden": (106,)}
    extra = tuple(key for key in extra if found[key][0][1:] == shapes[key])
    root, scheme = Path(scalar(path, "root")), SCHEMES["106"]
    if "mesh" in extra and (scalar(path, "definition") if "definition" in found else "") != DEFINITION:
        again = f"python -m training label {root} --out {path}"
        raise ZooError(f"{path} marks other places than today's 106 points: it was written before they were corrected; again: {again}")
    for name, points, weights, *more in rows(path, ("names", "points", "weights", *extra)):
        name, points, weights = as_text(name), points.astype(np.float64), weights.astype(np.float32)
        given = dict(zip(extra, more, strict=True))
        five = scheme.five_points(points)
        try:
            picture_name(name)
            finite(np.where((weights > 0)[:, None], points, 0))
            if not (np.isfinite(five).all() and np.isfinite(weights).all()):
                raise LabelFault(NOT_NUMBERS)
            mesh = given["mesh"].astype(np.float32) if "mesh" in given else None
            hidden = given["hidden"].astype(bool) if "hidden" in given else None
            picture, group = picture_path((root,), name), clean_group(group_of(name))
            yield Sample(picture, points, weights, five, group, "106", points, mesh=mesh, hidden=hidden)
        except LabelFault as fault:
            yield fault.of(name)
