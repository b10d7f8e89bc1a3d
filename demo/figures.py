"""Accuracy and cost of every published file, from the cards and from this machine's own times, and the best choice within a budget."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from demo.compare import ModelFile, first_choice, percentiles_ms
from zoo.cards import read_card

USUAL_SOURCE = "wild_68_val"
FIVE_POINTS = {"noisy": "labels, with noise", "detector": "the detector's own"}
# Medians nearer to each other than this are alike: the same network, timed twice, differs by as much.
TIMES_ALIKE = 1.15
UNSTEADY = 2.0
# Errors nearer to each other than this are alike: far less than the intervals that the cards give.
ERRORS_ALIKE = 1.01
# How the table's numbers are written.
FORMATS = {
    "p50 ms here": "%.2f",
    "p90 ms here": "%.2f",
    "published ms": "%.2f",
    "MB": "%.2f",
    "MMAC": "%.1f",
    "NME %": "%.2f",
    "float NME %": "%.2f",
    "core12 %": "%.2f",
    "AUC@0.08": "%.3f",
    "FR@0.08 %": "%.2f",
}
# Per-face errors are shares of the eye distance where all of them are this small, else percent.
_LARGEST_MEDIAN_SHARE = 0.5


@dataclass(frozen=True)
class Budget:
    """The most a visitor will spend; None is no limit. `commercial` leaves out weights for research only."""

    max_ms: float | None = None
    max_mb: float | None = None
    max_nme: float | None = None
    commercial: bool = False


@dataclass(frozen=True)
class Verdict:
    """The best row within a budget, or None and the reason; `fitting` counts the rows that fit."""

    row: dict[str, Any] | None
    fitting: int
    reason: str


def cards_of(files: Sequence[ModelFile]) -> dict[str, dict[str, Any]]:
    """Returns the card of each weights by name, to be read only; {} for weights without one."""
    return {file.name: _card(file.name, file.changed) for file in files}


@functools.lru_cache(maxsize=64)
def _card(name: str, changed: float) -> dict[str, Any]:
    return read_card(name) or {}


def shown_first(files: Sequence[ModelFile], cards: Mapping[str, dict[str, Any]]) -> list[ModelFile]:
    """Returns the files that a visitor finds side by side at first."""
    source = next(iter(sources(cards)), "")
    errors = {file: published_row(cards[file.name], file.precision, source).get("nme %") for file in files}
    costs = {name: card.get("macs", np.inf) for name, card in cards.items()}
    return first_choice(files, costs, {file: error for file, error in errors.items() if error is not None})


def sources(cards: Mapping[str, dict[str, Any]]) -> list[str]:
    """Returns the evaluation sets of all cards: the usual one first, then those that most weights were measured on."""
    counts: dict[str, int] = {}
    for card in cards.values():
        for source in dict.fromkeys(row.get("source", "") for row in card.get("accuracy", [])):
            counts[source] = counts.get(source, 0) + 1
    return sorted(filter(None, counts), key=lambda source: (source != USUAL_SOURCE, -counts[source]))


def published_row(card: Mapping[str, Any], precision: str, source: str, five: str = "noisy") -> dict[str, Any]:
    """Returns the card's accuracy row of one precision on one set, or {} if it was not measured."""
    rows = card.get("accuracy", [])
    found = (r for r in rows if (r.get("model"), r.get("source"), r.get("five points", "noisy")) == (precision, source, five))
    return next(found, {})


def published_ms(card: Mapping[str, Any], precision: str, threads: int = 1, xnnpack: bool = True) -> float | None:
    """Returns the card's median milliseconds, or None if that setting was not timed."""
    wanted = (precision, threads, "on" if xnnpack else "off")
    rows = card.get("latency", {}).get("rows", [])
    return next((r.get("median_ms") for r in rows if (r.get("model"), r.get("threads"), r.get("xnnpack")) == wanted), None)


def figures(
    files: Sequence[ModelFile],
    cards: Mapping[str, dict[str, Any]],
    times_of: Callable[[ModelFile], Sequence[float]],
    source: str,
    five: str = "noisy",
) -> list[dict[str, Any]]:
    """Returns one row per file: size, published accuracy on `source`, float beside int8, and the times of this machine.

    A figure that no card has, or no call has measured, is None.
    """
    rows = []
    for file in files:
        card = cards.get(file.name, {})
        found, parent = published_row(card, file.precision, source, five), published_row(card, "float32", source, five)
        p50, p90 = percentiles_ms(times_of(file)) or (None, None)
        macs = card.get("macs")
        rows.append(
            {
                "file": file.label,
                "weights": file.name,
                "precision": file.precision,
                "tag": card.get("tag", file.name.rpartition(".")[2]),
                "NME %": found.get("nme %"),
                "float NME %": parent.get("nme %"),
                "p50 ms here": p50,
                "p90 ms here": p90,
                "published ms": published_ms(card, file.precision),
                "MB": file.kilobytes / 1024,
                "AUC@0.08": found.get("AUC@0.08"),
                "FR@0.08 %": found.get("FR@0.08 %"),
                "core12 %": found.get("core12 %"),
                "core12 95 %": found.get("core12 95 %"),
                "MMAC": macs / 1e6 if macs else None,
                "input px": card.get("input_px"),
                "faces": found.get("faces"),
                "points": found.get("points"),
            }
        )
    return rows


def unsteady(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Returns whether most files' 90th percentile is more than `UNSTEADY` times their median: something else takes the processor."""
    timed = [row for row in rows if row.get("p50 ms here") is not None]
    return sum(row["p90 ms here"] > UNSTEADY * row["p50 ms here"] for row in timed) > len(timed) / 2


def best_choice(rows: Sequence[Mapping[str, Any]], budget: Budget) -> Verdict:
    """Returns the most exact file that keeps to every limit, of those alike in that the quickest, or which limit leaves nothing.

    A row whose figure for a limit is unknown does not fit; where there is no limit on it, it may be unknown. Without a published error
    a file is never the best choice.
    """
    known = [dict(row) for row in rows if row.get("NME %") is not None]
    if budget.commercial:
        known = [row for row in known if row.get("tag") != "research"]
    limits = {"p50 ms here": budget.max_ms, "MB": budget.max_mb, "NME %": budget.max_nme}
    limits = {key: limit for key, limit in limits.items() if limit is not None}

    def keeps(row: Mapping[str, Any], keys: Sequence[str]) -> bool:
        return all(row.get(key) is not None and row[key] <= limits[key] for key in keys)

    fitting = [row for row in known if keeps(row, list(limits))]
    if fitting:
        least = min(row["NME %"] for row in fitting)
        alike = [row for row in fitting if row["NME %"] <= ERRORS_ALIKE * least]
        best = min(alike, key=lambda row: (row.get("p50 ms here") or np.inf, row["MB"], row["NME %"]))
        return Verdict(best, len(fitting), "")
    if not known:
        return Verdict(None, 0, "No file has a published error on this set.")
    needed = []
    for key in limits:
        others = [row for row in known if row.get(key) is not None and keeps(row, [k for k in limits if k != key])]
        if others:
            least = min(others, key=lambda row: row[key])
            needed.append(f"{key.replace(' here', '')} of {least[key]:.2f} or more would let {least['file']} in")
    return Verdict(None, 0, "; ".join(needed) + "." if needed else "More than one limit is too tight; loosen two of them.")


def error_curves(card: Mapping[str, Any], source: str, five: str = "noisy") -> dict[str, np.ndarray]:
    """Returns the per-face errors in % by precision, sorted, where the card has them (`ced`); otherwise {}.

    They are looked for in the accuracy rows (a list beside each row's figures) and at the top of the card, by set and precision, where
    they are of noisy five points.
    """
    found: dict[str, Any] = {}
    top = card.get("ced")
    if five == "noisy" and isinstance(top, Mapping) and isinstance(top.get(source), Mapping):
        found.update(top[source])
    for row in [*card.get("accuracy", []), *(top if isinstance(top, list) else [])]:
        errors = row.get("ced", row.get("errors")) if isinstance(row, Mapping) else None
        if errors is not None and row.get("source") == source and row.get("five points", "noisy") == five:
            found[str(row.get("model", ""))] = errors
    curves = {}
    for precision, values in found.items():
        errors = _percent(values)
        if errors is not None:
            curves[precision] = errors
    return curves


def curves_of(files: Sequence[ModelFile], cards: Mapping[str, dict[str, Any]], source: str, five: str) -> list[dict[str, Any]]:
    """Returns the rows of every error curve that the files' cards have, up to the error that 98 % of faces keep to everywhere."""
    found = {}
    for name in dict.fromkeys(file.name for file in files):
        for precision, errors in error_curves(cards.get(name, {}), source, five).items():
            found[ModelFile(name, precision)] = errors
    finite = [errors[np.isfinite(errors)] for errors in found.values()]
    up_to = max((float(np.percentile(errors, 98)) for errors in finite if len(errors)), default=10.0)
    rows = []
    for file, errors in found.items():
        rows += [row | {"weights": file.name, "precision": file.precision} for row in curve_rows(errors, file.label, up_to)]
    return rows


def _percent(values: Any) -> np.ndarray | None:
    """Returns errors sorted and in %, misses as infinity, or None if they are no list of numbers."""
    if not isinstance(values, list | tuple) or not values:
        return None
    try:
        errors = np.sort(np.array([np.inf if value is None else float(value) for value in values]))
    except (TypeError, ValueError):
        return None
    finite = errors[np.isfinite(errors)]
    if len(finite) and np.median(finite) < _LARGEST_MEDIAN_SHARE:
        errors = 100 * errors
    return errors


def curve_rows(errors: np.ndarray, label: str, up_to: float, steps: int = 121) -> list[dict[str, Any]]:
    """Returns the cumulative distribution as rows of `file`, `error %` and `share of faces %`, up to an error in %."""
    at = np.linspace(0, up_to, steps)
    shares = 100 * np.searchsorted(errors, at, side="right") / len(errors)
    return [{"file": label, "error %": float(x), "share of faces %": float(y)} for x, y in zip(at, shares, strict=True)]


def distinctions(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Returns for each file what it is best at among the rows, in words: those that are alike share it, unless all are."""
    words = {"NME %": "most exact", "p50 ms here": "quickest here", "MB": "smallest"}
    result: dict[str, list[str]] = {row["file"]: [] for row in rows}
    for key, text in words.items():
        values = {row["file"]: round(row[key], 2) for row in rows if row.get(key) is not None}
        slack = TIMES_ALIKE if key == "p50 ms here" else 1.0
        best = [file for file, value in values.items() if value <= slack * min(values.values())]
        for file in best if len(best) < len(values) else ():
            result[file].append(text)
    return result
