"""A study's answer in two sentences for the project's README, from the tables that the study left behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from training.evaluation.words import compared, listed
from training.studies.trick_arms import INT8, OTHER_SEED

Rows = Sequence[Mapping[str, Any]]
_MOST_NAMED = 4


def answer(results: Mapping[str, Any]) -> str:
    """Returns the answer of a study's `results.json`; its whole finding where the tables do not hold what an answer needs."""
    try:
        return _ANSWERS[results["study"]](results["tables"])
    except (KeyError, StopIteration):
        return " ".join(results["finding"])


# ---- one function for each study ------------------------------------------------------------------------------------------------------


def _heads(tables: Mapping[str, Rows]) -> str:
    costs = {_kind(row["stages"]): row for row in tables["Cost"]}
    accuracy = {kind: _row(tables["Accuracy"], "weights", row["weights"]) for kind, row in costs.items()}
    reached = listed([f"{row['float core12 % of eyes']:.2f} % by {kind}" for kind, row in accuracy.items()])
    change = accuracy["the mixture"]["against the first: change 95 %"]
    verdict = {-1: "more exact", 0: "as exact as the faces can tell", 1: "less exact"}[_sign(change)]
    mixed, deconv = costs["the mixture"], costs["deconvolution"]
    macs, time = compared(mixed["MMAC"], deconv["MMAC"]), compared(mixed["int8 ms"], deconv["int8 ms"], "less")
    lost = [kind for kind, row in accuracy.items() if _sign(row["int8 less float: change 95 %"]) > 0]
    return (
        f"Float core12 is {reached}: the mixture is {verdict} ({change} points against deconvolution), at {macs} multiply-accumulates "
        f"and {time} time in int8. int8 loses accuracy with {listed(lost) if lost else 'none of them'}."
    )


def _sensitivity(tables: Mapping[str, Rows]) -> str:
    title = next(title for title in tables if title.startswith("Spots carried"))
    model = tables[title][0]["model"]
    costs = {row["disturbed by"]: row for row in tables[title] if row["model"] == model}
    apart = costs.pop("displacement less rotation")
    ways = [row for row in tables["Ways to lay the crop"] if row["model"] == model]
    box, noise = (_row(ways, "crop laid by", way) for way in ("box of the true points, upright", "a detector's noise"))
    exact = ways[0]["core12 % of eyes"]
    verdict = {1: "Yes", 0: "The faces cannot tell", -1: "No, less"}[_sign(apart["change 95 %"])]
    raised = listed([f"{row['core12 change']:.2f} points by {kind}" for kind, row in costs.items()])
    distance = title.removeprefix("Spots carried ")
    without = [row for row in tables[title] if row["model"].endswith(f"with no {row['disturbed by']}")]
    learnt = listed([f"{row['core12 change']:.2f} by {row['disturbed by']}" for row in without]) if without else ""
    return (
        f"{verdict}: carrying the spots {distance} of the eye distance raises core12, {exact:.2f} %, by {raised}"
        f"{f' (a network that never saw the kind in training: by {learnt})' if learnt else ''}. A box instead of five points raises it by "
        f"{round(100 * box['core12 change'] / exact)} %, a detector's noise on the five by {noise['core12 change']:.2f} points "
        f"({noise['change 95 %']})."
    )


def _tricks(tables: Mapping[str, Rows]) -> str:
    trainings = next(rows for title, rows in tables.items() if title.startswith("Trainings"))
    rows = [row for row in trainings if row["core12 change"] is not None]
    arms = [row for row in rows if row["arm"] not in (OTHER_SEED, INT8)]
    worse = sorted((row for row in arms if _sign(row["change 95 %"]) > 0), key=lambda row: -row["core12 change"])
    better = [row["arm"] for row in arms if _sign(row["change 95 %"]) < 0]
    even = [row["arm"] for row in arms if _sign(row["change 95 %"]) == 0]
    said = listed([f"{row['arm']} ({row['core12 change']:+.2f} points)" for row in worse[:_MOST_NAMED]])
    reference = trainings[0]["core12 % of eyes"]
    return (
        f"core12, {reference:.2f} % in short trainings, suffers most from {said}. Not to be told from all tricks: "
        f"{listed(even) if even else 'none'}; better in so short a training: {listed(better) if better else 'none'}."
    )


def _video(tables: Mapping[str, Rows]) -> str:
    steady, speed = tables["Steadiness"], tables["Speed"]
    model = speed[0]["way"]
    ours = _row(steady, "way", f"{model}, tracking + filter")
    mesh = next(row for row in steady if row["way"].startswith("MediaPipe"))
    one, four = (speed[0][f"{faces}, of the mesh's rate"] for faces in ("1 face", "4 faces"))
    return (
        f"Before a camera at rest the points of `{model}` tremble by {ours['at rest %']:.2f} % of the eye distance, the mesh's by "
        f"{mesh['at rest %']:.2f} %; in motion they are {ours['lag ms']:.1f} ms late, the mesh's {mesh['lag ms']:.1f} ms. On one core they "
        f"come at {one:.1f} times the mesh's rate with one face and {four:.1f} times with four."
    )


def _recognition(tables: Mapping[str, Rows]) -> str:
    rows, column = tables["Ways to align"], "TAR@FAR 0.01 %"
    naive, mesh = rows[0], next(row for row in rows if "mesh" in row["aligned by"])
    ours = [row for row in rows if ".research:" in row["aligned by"] or ".open:" in row["aligned by"]]
    best = max((row for row in ours if "," not in row["aligned by"]), key=lambda row: row[column])
    return (
        f"TAR@FAR 0.01 is {naive[column]:.1f} % with crops laid by the detector's five points, {best[column]:.1f} % by "
        f"`{best['aligned by']}`, the best of the zoo's files, and {mesh[column]:.1f} % by MediaPipe's mesh."
    )


def _detection(tables: Mapping[str, Rows]) -> str:
    turned, small = tables["Rotation"], tables["Small faces"]
    upright, rotated = _row(turned, "degrees", 0), [row for row in turned if row["degrees"]]
    least = min(rotated, key=lambda row: row["found %"])
    most = max(row["error of upright's"] for row in rotated)
    smallest = min(row["eyes px"] for row in small)
    thorough = sum(row["thorough found %"] for row in small) / len(small)
    return (
        f"Upright {upright['found %']:g} % of the faces are found; rotated in steps of {rotated[0]['degrees']} degrees at least "
        f"{least['found %']:g} %, with at most {most:.2f} times the error. The thorough search finds {thorough:.1f} % of small faces, down "
        f"to {smallest} px between the eyes."
    )


_ANSWERS = {
    "heads": _heads, "sensitivity": _sensitivity, "tricks": _tricks, "video": _video, "recognition": _recognition, "detection": _detection,
}  # fmt: skip


# ---- reading tables -------------------------------------------------------------------------------------------------------------------


def _row(rows: Rows, column: str, value: str) -> Mapping[str, Any]:
    return next(row for row in rows if row[column] == value)


def _kind(stages: str) -> str:
    """Returns what a head is called, from its stages as in `deconv 128, shuffle 96`."""
    kinds = {stage.split()[0] for stage in stages.split(", ")}
    return {frozenset({"deconv"}): "deconvolution", frozenset({"shuffle"}): "pixel shuffle"}.get(frozenset(kinds), "the mixture")


def _sign(interval: str) -> int:
    """Returns 1 or -1 where a 95 % interval, as in `+0.03..+0.21`, lies to one side of 0, else 0."""
    low, high = map(float, interval.split(".."))
    return 1 if low > 0 else -1 if high < 0 else 0
