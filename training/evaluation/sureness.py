"""What sigmas, visibilities and scores are worth: how often points lie within their sigmas, what is found hidden, what counts as a face."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from training.evaluation.fitting import sigmas_px
from training.evaluation.plots import new_figure, style
from training.evaluation.readings import HIDDEN, NO_FACE, OCCLUDED, PLAIN, TURNED, UNKNOWN, Readings
from zoo.runtime.crop_points import CropPoints
from zoo.uncertainty import Uncertainty

FACE_SCORE, NO_FACE_SCORE = 0.8, 0.2
LEFT_OUT, WORST = 0.2, 0.1
_BINS = 10
# Readings, each with how its spreads are to be read.
Pairs = Sequence[tuple[Readings, Uncertainty]]
CAPTION = (
    "within 1 and 2 sigma: of the points whose true place is known, 68 and 95 % are claimed. sigma: median, in % of the outer eye "
    "corners' distance. without a fifth: by how much the mean error falls without the fifth of the points with the largest sigma. "
    "worst tenth: AUROC of a face's mean sigma for the tenth of the faces with the largest mean error. hidden: AUROC of 1 - visible for "
    "points under drawn occluders, and on faces turned in depth for those that the face itself covers. score: the least of 99 in 100 of "
    "the faces, the most of 95 in 100 of the crops without one."
)


def figures(pairs: Pairs) -> list[dict[str, Any]]:
    """Returns a row for each set as photographed, one for all faces turned in depth, and one for each kind of crop without a face."""
    of_set = [
        (source, [(one, how) for one, how in pairs if one.source == source and one.kind != TURNED]) for source in _sources(pairs, PLAIN)
    ]
    rows = [_row(source, some) for source, some in of_set]
    turned = [(one, how) for one, how in pairs if one.kind == TURNED]
    rows += [_row("faces turned in depth", turned)] if turned else []
    rows += [_no_face_row(source, pairs) for source in _sources(pairs, NO_FACE)]
    columns = dict.fromkeys(column for row in rows for column in row)
    return [columns | row for row in rows]


def reliability(pairs: Pairs) -> list[dict[str, float]]:
    """Returns tenths of the points by claimed sigma: its median and the 68 % and 95 % quantiles of the errors there, in % of eyes."""
    claimed, errors = _claims([pair for pair in pairs if pair[0].kind in (PLAIN, TURNED)])
    rows = []
    for part in np.array_split(np.argsort(claimed, kind="stable"), _BINS):
        if len(part):
            quantiles = np.quantile(errors[part], [0.68, 0.95])
            rows.append({"sigma %": _percent(np.median(claimed[part])), "68 % within": _percent(quantiles[0]),
                         "95 % within": _percent(quantiles[1]), "points": len(part)})  # fmt: skip
    return rows


def reliability_plot(curves: dict[str, list[dict[str, float]]]) -> Any:
    """Returns a figure of claimed against real error: a curve for each name's `reliability`, and the line where both are the same."""
    figure, axes = new_figure(2)
    for panel, (key, times) in zip(axes[0], (("68 % within", 1), ("95 % within", 2)), strict=True):
        furthest = 0.0
        for index, (name, rows) in enumerate(curves.items()):
            at, found = [times * row["sigma %"] for row in rows], [row[key] for row in rows]
            panel.plot(at, found, marker="o", markersize=3, label=name, **style(index))
            furthest = max(furthest, *at, *found)
        panel.plot([0, furthest], [0, furthest], color="black", linewidth=0.8)
        panel.set(xlabel=f"claimed: {times} sigma, % of the outer eye corners' distance", ylabel=f"real: {key} so much, %")
        panel.legend(fontsize=8, frameon=False)
    return figure


def _sources(pairs: Pairs, kind: str) -> list[str]:
    return list(dict.fromkeys(one.source for one, _ in pairs if one.kind == kind))


def _row(title: str, pairs: Pairs) -> dict[str, Any]:
    measured = [(one, how) for one, how in pairs if one.kind in (PLAIN, TURNED)]
    hidden = [(one, how) for one, how in pairs if one.kind in (OCCLUDED, TURNED)]
    claimed, errors = _claims(measured)
    order = np.argsort(claimed, kind="stable")
    kept = order[: round((1 - LEFT_OUT) * len(order))]
    return {
        "set": title, "faces": sum(len(one) for one, _ in measured),
        "within 1 sigma %": _percent((errors < claimed).mean()), "within 2 sigma %": _percent((errors < 2 * claimed).mean()),
        "sigma %": _percent(np.median(claimed)), "without a fifth %": _percent(errors[kept].mean() / errors.mean() - 1),
        "worst tenth": _rounded(_worst_tenth(measured)), "hidden": _rounded(_hidden(hidden)),
        "score 1 %": _rounded(float(np.quantile(np.concatenate([one.scores.mean(1) for one, _ in measured]), 0.01))),
    }  # fmt: skip


def _no_face_row(source: str, pairs: Pairs) -> dict[str, Any]:
    scores = np.concatenate([one.scores.mean(1) for one, _ in pairs if one.source == source and one.kind == NO_FACE])
    return {"set": f"{source}, {NO_FACE}", "faces": len(scores), "score 95 %": _rounded(float(np.quantile(scores, 0.95)))}


def _claims(pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """Returns sigmas and errors (P,) of all points whose true place is known, as shares of the outer eye corners' distance."""
    claimed, errors = [], []
    for one, how in pairs:
        known = np.isfinite(one.errors_px)
        claimed.append((sigmas_px(how, one) / one.eyes_px[:, None])[known])
        errors.append((one.errors_px / one.eyes_px[:, None])[known])
    return np.concatenate(claimed), np.concatenate(errors)


def _worst_tenth(pairs: Pairs) -> float:
    claimed, errors = [], []
    for one, how in pairs:
        known = np.isfinite(one.errors_px)
        seen, count = known.any(1), np.maximum(known.sum(1), 1)
        errors.append((np.where(known, one.errors_px, 0).sum(1) / count / one.eyes_px)[seen])
        claimed.append((sigmas_px(how, one).mean(1) / one.eyes_px)[seen])
    errors = np.concatenate(errors)
    return auroc(np.concatenate(claimed), errors >= np.quantile(errors, 1 - WORST))


def _hidden(pairs: Pairs) -> float:
    doubt, answers = [], []
    for one, how in pairs:
        known = one.hidden != UNKNOWN
        doubt.append(1 - visibilities(how, one)[known])
        answers.append(one.hidden[known] == HIDDEN)
    return auroc(np.concatenate(doubt), np.concatenate(answers)) if doubt else float("nan")


def visibilities(how: Uncertainty, readings: Readings) -> np.ndarray:
    """Returns visibilities (N, 106) as `Uncertainty.read` gives them."""
    nowhere = np.zeros((readings.scores.shape[1], 2))
    return np.array([how.read(CropPoints(nowhere, *row))[1] for row in zip(readings.scores, readings.spreads_px, strict=True)])


def auroc(values: np.ndarray, positive: np.ndarray) -> float:
    """Returns how often a positive (N,) bool has a larger value (N,) than another; not a number where there are none or no others."""
    count, rest = int(positive.sum()), int((~positive).sum())
    if not count or not rest:
        return float("nan")
    _, where, times = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(times) - (times - 1) / 2)[where]  # equal values share their mean rank
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * rest))


def _percent(share: float) -> float:
    return round(100 * float(share), 2)


def _rounded(value: float) -> float | None:
    return round(value, 3) if np.isfinite(value) else None
