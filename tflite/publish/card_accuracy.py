"""The part of a card that says how exact a set of weights is: errors by set, part and yaw, the curve's errors, and the worst faces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.evaluation import evaluate as evaluations
from training.evaluation.faces import Face, measurable
from training.evaluation.measure import Evaluation
from training.evaluation.mesh import Mesh
from training.evaluation.report import worst_faces, worst_rows, yaw_rows
from zoo.cards import FILES, LANDMARKER_NAME, MESH_NAME
from zoo.landmarker import load
from zoo.schemes import SCHEMES


def measured(out: Path, sources: Sequence[tuple[str, float | None]], peer: str | None = None) -> dict[str, Any]:
    """Returns the card's `accuracy`, `parts`, `yaw`, `ced`, `worst` and `mesh` of a folder's files, int8 and float32.

    `accuracy` has a row for each set, way to align and precision. The rest is of faces aligned by noisy five points: by set, the int8
    file's errors by part and by yaw, its ten worst faces, and by precision every face's nme in % of the outer eye corners' distance,
    sorted, which is the cumulative error curve. `mesh` has a row of MediaPipe's face mesh for each set, and one of its Face Landmarker
    where that is given.

    Args:
      out: folder with the files in `zoo.cards.FILES`.
      sources: (source, share of it that was held out, or None for all of it) pairs.
      peer: the file of a Face Landmarker (.task), or None.
    """
    card: dict[str, Any] = {"accuracy": [], "parts": {}, "yaw": {}, "ced": {}, "worst": {}, "mesh": []}
    meshes = {MESH_NAME: Mesh()} | ({LANDMARKER_NAME: Mesh(peer)} if peer else {})
    find = {precision: load(out / file) for precision, file in FILES.items()}
    for source, kept in sources:
        faces = evaluations.samples(source, kept)
        title = f"{Path(source).stem}{' (held out)' if kept else ''}"
        for align in evaluations.ALIGNMENTS[:2]:
            for precision in FILES:
                result = evaluations.evaluate(find[precision], faces, source, precision, align)
                card["accuracy"].append(result.row() | {"source": title, "five points": align})
                if align != "noisy":
                    continue
                card["ced"].setdefault(title, {})[precision] = np.sort(100 * result.nme).round(2).tolist()
                if precision == "int8":
                    card["parts"][title] = {part: round(100 * error, 2) for part, error in result.parts.items()}
                    card["yaw"][title] = [{k: v for k, v in row.items() if k not in {"model", "source"}} for row in yaw_rows(result)]
                    card["worst"][title] = _worst(result, faces)
        card["mesh"] += [evaluations.evaluate(mesh, faces, source, name).row() | {"source": title} for name, mesh in meshes.items()]
    return card


def _worst(result: Evaluation, faces: Sequence[Face]) -> list[dict[str, Any]]:
    """Returns what can be said of the worst faces without showing them or naming their pictures."""
    rows = []
    for row, index in zip(worst_rows(result), worst_faces(result), strict=True):
        sample = measurable(faces)[index][0]
        a, b = (sample.native_points[i] for i in SCHEMES[sample.scheme].outer_eyes)
        tilt_deg, apart_px = np.degrees(np.arctan2(*(b - a)[::-1])), np.hypot(*(b - a))
        kept = {k: v for k, v in row.items() if k not in {"model", "source", "picture"}}
        rows.append(kept | {"tilt deg": round(float(tilt_deg)), "outer eyes apart px": round(float(apart_px))})
    return rows
