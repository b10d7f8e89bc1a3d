"""Is a model more sensitive to where a face lies in the crop, or to how it is turned? And what do five points gain over a box?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from tqdm import tqdm

from training.evaluation import metrics, plots
from training.evaluation.faces import Face, find_points, picture
from training.evaluation.measure import face_errors
from training.evaluation.models import landmarker
from training.evaluation.words import change_columns, listed, says, signed
from training.studies import arms
from training.studies.arms import Arm
from training.studies.options import Options
from training.studies.outcome import Outcome
from training.studies.placements import AMOUNTS, BOX, DETECTED, DETECTOR, EXACT, NOISY, TURNED_BOX, UNITS, carried, disturbed, placements
from zoo.landmarker import Landmarker

QUESTION = "Is a model more sensitive to a face's position in the crop than to its orientation, and what do five points gain over a box?"
DEFAULT_WEIGHTS = ("mixed-035-128:int8",)
# How far the twelve spots are carried, as a share of the outer eye corners' distance, where the three kinds are compared.
_COMPARED_AT = 0.15
APART = "displacement less rotation"
_NAMES = {"rotation": "orientation", "displacement": "position", "scale": "scale"}
_NO_WIDE = {"rotation_deg": 0.0, "wide_chance": 0.0}
ARMS = (
    Arm("all jitter", "the reference", {}),
    Arm("no rotation", "whether turning in training is what makes turns harmless", _NO_WIDE),
    Arm("no displacement", "the same of displacement", {"shift": 0.0}),
    Arm("no scale", "the same of scale", {"scale": 0.0}),
    Arm("no jitter", "what a model does that has seen only exact alignment", {**_NO_WIDE, "shift": 0.0, "scale": 0.0}),
)


@dataclass(frozen=True)
class Curves:
    """Errors of one model on one set, as shares of the outer eye corners' distance.

    Attributes:
      core12, nme: (faces,) means over the trials, by (kind, amount); amount 0 is the exact alignment.
      placed, placed_nme: (faces,) core12 and nme by the name of a placement; infinite where the detector missed the face.
      carried: (faces,) how far the twelve spots were carried, by (kind, amount).
      groups: (faces,) photograph or person.
    """

    core12: dict[tuple[str, float], np.ndarray]
    nme: dict[tuple[str, float], np.ndarray]
    placed: dict[str, np.ndarray]
    placed_nme: dict[str, np.ndarray]
    carried: dict[tuple[str, float], np.ndarray]
    groups: np.ndarray

    def at(self, kind: str, distance: float) -> np.ndarray:
        """Returns each face's core12 (faces,) where this kind carries its twelve spots by `distance`, read between the amounts tried."""
        steps = [(kind, 0), *((kind, amount) for amount in AMOUNTS[kind])]
        distances, errors = np.array([self.carried[s] for s in steps]), np.array([self.core12[s] for s in steps])
        return np.array([np.interp(distance, d, e) for d, e in zip(distances.T, errors.T, strict=True)])


def measure(find: Landmarker, faces: Sequence[Face], title: str, seed: int, detector: bool = True) -> Curves:
    """Returns a model's errors on faces under every disturbance and placement; each picture is read once."""
    steps = [(kind, 0) for kind in AMOUNTS] + [(kind, amount) for kind, amounts in AMOUNTS.items() for amount in amounts]
    ways = placements(faces)
    errors = {step: [] for step in steps} | {name: [] for name in (*ways, *([DETECTED] if detector else []))}
    distances = {step: [] for step in steps}
    for index, face in enumerate(tqdm(faces, desc=title, unit="face")):
        sample, image = face[0], picture(face)

        def mean_error(trials: Sequence[np.ndarray], image: np.ndarray = image, sample: Any = sample) -> tuple[float, float]:
            found = [face_errors(find(image, points).points, sample) for points in trials]
            return float(np.mean([e.core12 for e in found])), float(np.mean([e.nme for e in found]))

        for name, place in ways.items():
            errors[name].append(mean_error(place(sample, np.random.default_rng([seed, index]))))
        if detector:
            points = find_points(find, image, sample, "detector", np.random.default_rng(seed))
            found = None if points is None else face_errors(points, sample)
            errors[DETECTED].append((found.core12, found.nme) if found else (np.inf, np.inf))
        for kind, amount in steps:
            errors[kind, amount].append(mean_error(disturbed(sample.five, kind, amount)) if amount else errors[EXACT][-1])
            distances[kind, amount].append(carried(sample, kind, amount) if amount else 0.0)
    core12, nme = ({key: np.array(pairs)[:, i] for key, pairs in errors.items()} for i in (0, 1))
    placed, groups = [key for key in errors if isinstance(key, str)], np.array([sample.group for sample, _ in faces])
    return Curves(
        {step: core12[step] for step in steps}, {step: nme[step] for step in steps}, {name: core12[name] for name in placed},
        {name: nme[name] for name in placed}, {step: np.array(values) for step, values in distances.items()}, groups,
    )  # fmt: skip


# ---- tables ---------------------------------------------------------------------------------------------------------------------------


def curve_rows(model: str, curves: Curves) -> list[dict[str, Any]]:
    """Returns a row for each kind and amount: errors, and what was lost to the exact alignment on the same faces."""
    rows = []
    for (kind, amount), errors in curves.core12.items():
        low, high = metrics.mean_interval(100 * errors, groups=curves.groups)
        lost = metrics.paired_difference(errors, curves.placed[EXACT], curves.groups) if amount else None
        rows.append({
            "model": model, "disturbed by": kind, "amount": amount, "unit": UNITS[kind],
            "spots carried % of eyes": round(100 * float(curves.carried[kind, amount].mean()), 2),
            "core12 % of eyes": round(100 * float(errors.mean()), 3), "95 %": f"{low:.2f}..{high:.2f}",
            **change_columns(lost), "nme % of eyes": round(100 * float(curves.nme[kind, amount].mean()), 3),
        })  # fmt: skip
    order = list(AMOUNTS)
    return sorted(rows, key=lambda row: (order.index(row["disturbed by"]), row["amount"]))


def compared(curves: Curves) -> dict[str, metrics.Difference]:
    """Returns what each kind costs where it carries the twelve spots by `_COMPARED_AT`, and under `APART` displacement less rotation."""
    at = {kind: curves.at(kind, _COMPARED_AT) for kind in AMOUNTS}
    pairs = {kind: (errors, curves.placed[EXACT]) for kind, errors in at.items()} | {APART: (at["displacement"], at["rotation"])}
    return {name: metrics.paired_difference(*pair, curves.groups) for name, pair in pairs.items()}


def compared_rows(model: str, curves: Curves) -> list[dict[str, Any]]:
    """Returns a row for each entry of `compared`."""
    return [{"model": model, "disturbed by": name, **change_columns(found)} for name, found in compared(curves).items()]


def placement_rows(model: str, curves: Curves) -> list[dict[str, Any]]:
    """Returns a row for each way to lay the crop, compared with the five true points on the same faces."""
    rows = []
    for name, errors in curves.placed.items():
        found = np.isfinite(errors)
        low, high = metrics.mean_interval(100 * errors[found], groups=curves.groups[found]) if found.any() else (np.nan, np.nan)
        lost = None if name == EXACT else metrics.paired_difference(errors, curves.placed[EXACT], curves.groups)
        nme = curves.placed_nme[name]
        rows.append({
            "model": model, "crop laid by": name, "missed": int((~found).sum()),
            "core12 % of eyes": round(100 * float(errors[found].mean()), 3) if found.any() else None,
            "95 %": f"{low:.2f}..{high:.2f}" if found.any() else None, **change_columns(lost),
            "nme % of eyes": round(100 * float(nme[found].mean()), 3) if found.any() else None,
            "FR@0.08 %": round(100 * metrics.failure_rate(nme), 2),
        })  # fmt: skip
    return rows


# ---- words ----------------------------------------------------------------------------------------------------------------------------


def finding(measured: dict[str, Curves], title: str) -> tuple[str, str, str]:
    """Returns three sentences on the first model, and in the first of them what the arms say of jitter in training."""
    model, curves = next(iter(measured.items()))
    exact, groups = curves.placed[EXACT], curves.groups

    def cost(errors: np.ndarray) -> metrics.Difference:
        return metrics.paired_difference(errors, exact, groups)

    costs = compared(curves)
    apart = costs.pop(APART)
    figures = listed([f"{says(found)} by {kind}" for kind, found in costs.items()])
    more, less = ("position", "orientation") if apart.mean > 0 else ("orientation", "position")
    verdict = (
        f"more sensitive to {more} than to {less}" if apart.distinct else "not distinctly more sensitive to position than to orientation"
    )
    most = max(costs, key=lambda kind: costs[kind].mean)
    first = (
        f"On {title}, carrying the twelve spots of core12 within the crop by {100 * _COMPARED_AT:.0f} % of the outer eye corners' distance "
        f"raises core12 from {100 * exact.mean():.2f} % of that distance by {figures}: `{model}` is {verdict} (displacement less "
        f"rotation: {says(apart)}), and most of all to {_NAMES[most]}{_arms_clause(measured)}."
    )
    box, turned = cost(curves.placed[BOX]), cost(curves.placed[TURNED_BOX])
    second = (
        f"Against a crop laid by five true points, an upright one laid by the box of the true points changes core12 by {says(box)}, "
        f"{signed(box.mean / exact.mean(), 0)} % of it{'' if box.distinct else ', which may be chance'}; of these {says(turned)} remain "
        "where the box is turned as the face."
    )
    alone = {name.split()[1]: float(errors.mean() - exact.mean()) for name, errors in curves.placed.items() if name.startswith("its ")}
    parts = listed([f"{signed(value)} by {name}" for name, value in alone.items()])
    third = f"A detector's noise costs {says(cost(curves.placed[NOISY]))}; each of its parts alone costs {parts}"
    detected = curves.placed.get(DETECTED)
    if detected is not None and np.isfinite(detected).any():
        missed = f"misses {int((~np.isfinite(detected)).sum())} of {len(detected)} faces"
        third += f"; the detector's own points cost {says(cost(detected))}, and it {missed}"
    return first, second, third + "."


def _arms_clause(measured: dict[str, Curves]) -> str:
    """Returns what leaving a kind of jitter out of training does to what the same kind costs at test time."""
    reference, clauses = measured.get(_trained(ARMS[0].name)), []
    for kind in AMOUNTS:
        without = measured.get(_trained(f"no {kind}"))
        if reference and without:
            before, after = (float((c.at(kind, _COMPARED_AT) - c.placed[EXACT]).mean()) for c in (reference, without))
            clauses.append(f"from {signed(before)} to {signed(after)} points of {kind}")
    return f"; leaving the same kind out of training changes these costs {listed(clauses)}" if clauses else ""


def _trained(arm: str) -> str:
    return f"trained with {arm}"


# ---- the plot -------------------------------------------------------------------------------------------------------------------------


def plot(measured: dict[str, Curves]) -> Any:
    """Returns four panels: core12 by the amount of each kind for every model, and by how far the first model's spots are carried."""
    figure, axes = plots.new_figure(2, 2, 5.4, 3.9)
    for panel, kind in zip(axes.flat[:3], AMOUNTS, strict=True):
        grey = {"facecolor": "#e6e6e6", "edgecolor": "#aaaaaa", "linewidth": 0.6}
        panel.axvspan(0, DETECTOR[kind], label="within a detector's standard deviation", **grey)
        for index, (model, curves) in enumerate(measured.items()):
            _curve(panel, [0, *AMOUNTS[kind]], curves, kind, model, plots.style(index))
        panel.set(xlabel=f"{kind}, {UNITS[kind]}", ylabel="core12, % of the outer eye corners' distance", xlim=0)
    model, curves = next(iter(measured.items()))
    last = axes.flat[3]
    for index, kind in enumerate(AMOUNTS):
        steps = [(kind, 0), *((kind, amount) for amount in AMOUNTS[kind])]
        _curve(last, [100 * curves.carried[s].mean() for s in steps], curves, kind, kind, plots.style(len(measured) + index))
    for name, line in ((BOX, "--"), (DETECTED, ":")):
        if name in curves.placed and (seen := curves.placed[name][np.isfinite(curves.placed[name])]).size:
            last.axhline(100 * seen.mean(), color="#555555", linestyle=line, linewidth=1, label=f"crop laid by {name}")
    last.set(xlabel="spots carried, % of the outer eye corners' distance", ylabel="core12, %", xlim=0)
    last.set_title(model, fontsize=9, loc="left")
    top = min(30.0, 1.05 * max(panel.get_ylim()[1] for panel in axes.flat))
    for panel in axes.flat:
        panel.set_ylim(0, top)
        panel.legend(fontsize=8, frameon=False, loc="upper left")
    return figure


def _curve(panel: Any, x: Sequence[float], curves: Curves, kind: str, label: str, style: dict[str, str]) -> None:
    errors = [curves.core12[kind, amount] for amount in (0, *AMOUNTS[kind])]
    band = np.array([metrics.mean_interval(100 * e, groups=curves.groups) for e in errors]).T
    panel.plot(x, [100 * e.mean() for e in errors], marker="o", markersize=3, label=label, **style)
    panel.fill_between(x, *band, color=style["color"], alpha=0.15, linewidth=0)


# ---- the study ------------------------------------------------------------------------------------------------------------------------


def run(options: Options) -> Outcome:
    """Measures the weights named, or the default ones, and the arms that the budget allows; the finding is on the first of them."""
    models, conditions = {name: landmarker(name) for name in options.weights or DEFAULT_WEIGHTS}, {}
    if options.trains:
        configurations = {arm.name: replace(options.base, **arm.changes) for arm in arms.chosen(ARMS, options.wanted)}
        steps = arms.steps_of("sensitivity", options, list(configurations.values()))
        folders = {name: arms.trained("sensitivity", name, arms.with_steps(c, steps)) for name, c in configurations.items()}
        models |= {_trained(name): arms.find(folder) for name, folder in folders.items()}
        conditions = arms.conditions(next(iter(folders.values())))
    measured = {name: measure(find, options.faces, name, options.base.seed) for name, find in models.items()}
    tables = {
        "Disturbed by a known amount": [row for name, c in measured.items() for row in curve_rows(name, c)],
        f"Spots carried by {100 * _COMPARED_AT:.0f} %": [row for name, c in measured.items() for row in compared_rows(name, c)],
        "Ways to lay the crop": [row for name, c in measured.items() for row in placement_rows(name, c)],
    }
    held = {"Measured on": options.title, "Models": list(models), "Seed of the noise": options.base.seed, **conditions}
    return Outcome("sensitivity", QUESTION, finding(measured, options.title), tables, held, _NOTES, plot(measured))


_NOTES = (
    "Exact five points are turned, displaced or scaled about their centre; errors are means over both turns, four directions or both "
    "scales. Spots carried: how far the twelve spots of core12 lie in the crop from where exact alignment would have put them. The box has "
    "no rotation; its mean place and size in the crop are those of the same faces' boxes under exact alignment. Published weights were "
    "trained on crops laid by five points: a model trained on boxes would lose less to them. Intervals: bootstrap over photographs or "
    "people; changes are paired with the five true points, in points of per cent. of eyes: of the distance between the true outer eye "
    "corners."
)
