"""What evaluations say, as tables: errors, the challenge's metric and budgets, parts, head poses, paired differences, worst faces."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from training.evaluation import metrics
from training.evaluation.faces import title
from training.evaluation.measure import NORMALISERS, Evaluation
from training.evaluation.models import FLOP_PER_MAC, Footprint
from training.evaluation.words import interval
from training.evaluation.yaw import yaw_bins
from zoo.terminal import markdown_table

WORST = 10
CAPTION = (
    "of eyes: in % of the distance between the true outer eye corners, which AUC, FR and the median are by as well; of pupils: of the "
    "distance between the true eyes' centres; of box: of the root of the area of the box round the true points, the 106-point "
    "challenge's metric. core12: over twelve spots that every scheme has; nme: over the set's own points. 95 %: bootstrap over "
    f"photographs or people. Missed faces are failures, and in no mean. One multiply-accumulate (MAC) is {FLOP_PER_MAC} FLOP; "
    "KB and MB are powers of ten."
)


def _head(result: Evaluation) -> dict[str, Any]:
    return {"model": result.model, "source": title(result.source)}


def error_row(result: Evaluation) -> dict[str, Any]:
    """Returns the main figures of one model on one source; a median among missed faces is None."""
    median = float(np.median(result.nme))
    return _head(result) | {
        "faces": len(result.nme), "missed": int((~result.found).sum()), "points": int(result.scheme),
        "core12 % of eyes": result.percent(result.core12), "core12 95 %": result.interval(result.core12),
        "nme % of eyes": result.percent(result.nme), "nme 95 %": result.interval(result.nme),
        "nme % of pupils": result.percent(result.pupils),
        "median % of eyes": round(100 * median, 3) if np.isfinite(median) else None,
        "AUC@0.08": round(metrics.auc(result.nme), 4), "FR@0.08 %": round(100 * metrics.failure_rate(result.nme), 2),
    }  # fmt: skip


def challenge_row(result: Evaluation, cost: Footprint) -> dict[str, Any]:
    """Returns the challenge's own metric, what the model costs, and which of the challenges' budgets it keeps."""
    return _head(result) | {
        "nme % of box": result.percent(result.box), "95 %": result.interval(result.box),
        "AUC@0.08 of box": round(metrics.auc(result.box), 4), "FR@0.08 % of box": round(100 * metrics.failure_rate(result.box), 2),
        **cost.row(),
    }  # fmt: skip


def part_row(result: Evaluation) -> dict[str, Any]:
    """Returns the error by part of the face, in % of the outer eye corners' distance."""
    return _head(result) | {name.replace("_", " "): round(100 * error, 2) for name, error in result.parts.items()}


def yaw_rows(result: Evaluation) -> list[dict[str, Any]]:
    """Returns one row for each bin of yaw that holds a face."""
    rows = []
    for name, inside in yaw_bins(result.yaw_deg).items():
        if inside.any():
            rows.append(_head(result) | {
                "|yaw| deg": name, "faces": int(inside.sum()), "missed": int((inside & ~result.found).sum()),
                "core12 % of eyes": result.percent(result.core12, inside), "95 %": result.interval(result.core12, inside),
                "nme % of eyes": result.percent(result.nme, inside),
            })  # fmt: skip
    return rows


def paired_row(result: Evaluation, reference: Evaluation) -> dict[str, Any]:
    """Returns how a model differs from a reference on the same faces, in points of per cent; below 0 it is better."""
    row = _head(result) | {"against": reference.model}
    for name in ("core12", "nme"):
        difference = metrics.paired_difference(getattr(result, name), getattr(reference, name), result.groups)
        if difference is None:
            row |= {"faces": 0, f"{name} change": None, f"{name} 95 %": None, f"{name} better on %": None}
            continue
        row["faces"] = difference.faces
        row[f"{name} change"] = round(100 * difference.mean, 3) + 0.0  # no "-0"
        row[f"{name} 95 %"] = interval(difference.low, difference.high, 3)
        row[f"{name} better on %"] = round(100 * difference.better, 1)
    return row


def references(results: Sequence[Evaluation]) -> dict[str, Evaluation]:
    """Returns what models are compared with on each source: the first one measured on it."""
    return {result.source: result for result in reversed(results)}


def paired_rows(results: Sequence[Evaluation]) -> list[dict[str, Any]]:
    """Returns a row for each model but the first, which is the reference, on each source."""
    reference = references(results)
    return [paired_row(result, reference[result.source]) for result in results if result is not reference[result.source]]


def worst_faces(result: Evaluation, count: int = WORST) -> np.ndarray:
    """Returns the indices of the faces with the largest nme, the worst first: missed faces, then by error."""
    return np.argsort(-result.nme, kind="stable")[:count]


def worst_rows(result: Evaluation, count: int = WORST) -> list[dict[str, Any]]:
    """Returns what is known of the worst faces: picture, errors, yaw and the part that is furthest off."""
    rows = []
    for rank, index in enumerate(worst_faces(result, count), 1):
        parts = {name: errors[index] for name, errors in result.part_errors.items() if np.isfinite(errors[index])}
        worst = max(parts, key=parts.get, default=None)
        seen = bool(result.found[index])
        rows.append(_head(result) | {
            "rank": rank, "picture": result.pictures[index],
            "nme % of eyes": round(100 * float(result.nme[index]), 2) if seen else None,
            "core12 % of eyes": round(100 * float(result.core12[index]), 2) if seen else None,
            "yaw deg": round(float(result.yaw_deg[index])) if np.isfinite(result.yaw_deg[index]) else None,
            "worst part": worst and f"{worst.replace('_', ' ')} {100 * parts[worst]:.1f} %",
        })  # fmt: skip
    return rows


def tables(results: Sequence[Evaluation], costs: dict[str, Footprint]) -> dict[str, list[dict[str, Any]]]:
    """Returns all tables by their titles; `costs` are by the models' names."""
    found = {
        "Errors": [error_row(result) for result in results],
        "The challenge's metric and budgets": [challenge_row(result, costs[result.model]) for result in results],
        "By part, % of eyes": [part_row(result) for result in results],
        "By yaw, estimated from the true points": [row for result in results for row in yaw_rows(result)],
        "Paired differences on the same faces, in points of % of eyes; below 0 is better than the first model": paired_rows(results),
    }
    return {title: rows for title, rows in found.items() if rows}


def page(results: Sequence[Evaluation], costs: dict[str, Footprint], mirror: bool) -> str:
    """Returns all tables as a page of Markdown: models go by their files' names and SHA-256, and the command that wrote it is given."""
    names = {model: Path(model).name for model in costs}
    named = [replace(result, model=names[result.model]) for result in results]
    found = tables(named, {names[model]: cost for model, cost in costs.items()})
    files = [f"- `{names[model]}`: {cost.kind}" + (f", SHA-256 `{cost.sha256}`" if cost.sha256 else "") for model, cost in costs.items()]
    sources = " ".join(f"--source {source}" for source in dict.fromkeys(title(result.source) for result in results))
    command = f"python -m training evaluate {' '.join(names.values())} {sources}{' --mirror' if mirror else ''} --page FILE"
    return "\n\n".join([
        f"# {', '.join(names.values())}",
        *(["The points of every model are averaged with those it finds in the mirror image."] if mirror else []),
        *(f"## {heading}\n{markdown_table(rows)}" for heading, rows in found.items()),
        CAPTION, "\n".join(files), f"Written by `{command}`.\n",
    ])  # fmt: skip


def records(results: Sequence[Evaluation], costs: dict[str, Footprint]) -> list[dict[str, Any]]:
    """Returns everything for programs: one record for each model and source, with the card's figures at its top level."""
    reference = references(results)
    return [
        result.row()
        | {"normalisers": NORMALISERS, "errors": error_row(result), "challenge": challenge_row(result, costs[result.model])}
        | {"parts": part_row(result), "yaw": yaw_rows(result), "worst": worst_rows(result)}
        | {"paired": None if result is reference[result.source] else paired_row(result, reference[result.source])}
        for result in results
    ]


def csv_text(results: Sequence[Evaluation]) -> str:
    """Returns the errors of every face as CSV: shares, not percent; `inf` is a missed face, an empty cell an unknown part."""
    parts = list(dict.fromkeys(name for result in results for name in result.part_errors))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    errors = ("core12_of_eyes", "nme_of_eyes", "nme_of_pupils", "nme_of_box")
    writer.writerow(["model", "source", "picture", "yaw_deg", *errors, *(f"{name}_of_eyes" for name in parts)])
    for result in results:
        columns = [result.part_errors.get(name, np.full(len(result.nme), np.nan)) for name in parts]
        rows = zip(result.pictures, result.yaw_deg, result.core12, result.nme, result.pupils, result.box, *columns, strict=True)
        head = [result.model, title(result.source)]
        writer.writerows([*head, *("" if value != value else value for value in row)] for row in rows)
    return text.getvalue()
