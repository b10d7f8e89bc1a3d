"""What each trick is worth: every decoder on the same maps, and trainings that each leave out, add or change one thing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from tqdm import tqdm

from training.evaluation import metrics, plots
from training.evaluation.faces import picture, with_noise
from training.evaluation.measure import Evaluation, evaluate, face_errors
from training.evaluation.models import landmarker
from training.evaluation.words import change_columns, listed, says, signed
from training.studies import arms
from training.studies.arms import Arm
from training.studies.decoders import IN_USE, MIRRORED, decoded
from training.studies.options import Options
from training.studies.outcome import Outcome
from training.studies.trick_arms import INT8, LEFT_OUT, OTHER_SEED, REFERENCE, TRIED, label_arms
from zoo.errors import ZooError

QUESTION = "What is each trick worth, one left out at a time?"
DEFAULT_WEIGHTS = ("mixed-035-128:float32",)
# A change beyond the first, as a share, gets the plot an axis that is even up to the second and logarithmic beyond.
_FAR, _NEAR = 0.03, 0.005


def run(options: Options) -> Outcome:
    """Reads the weights' maps in every way, then trains the arms that the budget allows."""
    if options.align == "detector":
        raise ZooError("tricks reads maps of crops laid by given points: --align noisy and exact are possible")
    models = {name: landmarker(name) for name in options.weights or DEFAULT_WEIGHTS}
    read = {name: read_maps(find, options, name) for name, find in models.items()}
    found: dict[str, Evaluation] = {}
    conditions, trained_rows, omitted = {}, [], {}
    if options.trains:
        found, omitted, conditions = train(options)
        trained_rows = arm_rows(found, {arm.name: arm for arm in all_arms(options)}, omitted)
    model, errors = next(iter(read.items()))
    tables = {
        "Trainings that differ in one trick": trained_rows,
        "Reading the same maps": [row for name, e in read.items() for row in reading_rows(name, e, options)],
    }
    held = {"Measured on": options.title, "Five points": options.aligned, "Maps of": list(models), "Seed": options.base.seed, **conditions}
    trained_for = conditions["Training"].partition(", seed")[0] if found else ""
    second = arms_sentence(found, omitted, trained_for, [arm.name for arm in (*TRIED, *label_arms(options)[1])])
    said = (reading_sentence(model, errors, options), second, chance_sentence(errors, found, options))
    return Outcome("tricks", QUESTION, said, {t: rows for t, rows in tables.items() if rows}, held, _NOTES, plot(errors, found, options))


# ---- reading maps ---------------------------------------------------------------------------------------------------------------------


def read_maps(find: Any, options: Options, title: str) -> dict[str, np.ndarray]:
    """Returns core12 (faces,) by the decoder's name; the five points carry a detector's noise unless they are to be exact."""
    errors: dict[str, list[float]] = {}
    for index, face in enumerate(tqdm(options.faces, desc=title, unit="face")):
        sample = face[0]
        five = sample.five if options.align == "exact" else with_noise(sample.five, np.random.default_rng([options.base.seed, index]))
        for name, points in decoded(find, picture(face), five).items():
            errors.setdefault(name, []).append(face_errors(points, sample).core12)
    return {name: np.array(values) for name, values in errors.items()}


def _groups(options: Options) -> np.ndarray:
    return np.array([sample.group for sample, _ in options.faces])


def reading_rows(model: str, errors: dict[str, np.ndarray], options: Options) -> list[dict[str, Any]]:
    """Returns a row for each decoder, compared with the one in use on the same faces."""
    rows = []
    for name, values in errors.items():
        low, high = metrics.mean_interval(100 * values, groups=_groups(options))
        change = None if name == IN_USE else metrics.paired_difference(values, errors[IN_USE], _groups(options))
        rows.append({"maps of": model, "read by": name, "core12 % of eyes": round(100 * float(values.mean()), 3),
                     "95 %": f"{low:.2f}..{high:.2f}", **change_columns(change)})  # fmt: skip
    return rows


# ---- trainings ------------------------------------------------------------------------------------------------------------------------


def all_arms(options: Options) -> list[Arm]:
    """Returns every arm, the reference first."""
    left_out, added = label_arms(options)
    return [*LEFT_OUT, *left_out, *TRIED, *added]


def train(options: Options) -> tuple[dict[str, Evaluation], dict[str, str], dict[str, Any]]:
    """Returns the errors of each arm that was trained, why others were not, and what all were trained with."""
    base, omitted, plans = options.base, {}, {}
    known = all_arms(options)
    to_int8 = any(arm.quantized and arm.name in options.wanted for arm in known)
    for arm in arms.chosen(known, (*options.wanted, INT8) if to_int8 else options.wanted):
        strange = arms.unknown_settings(arm)
        if strange:
            omitted[arm.name] = f"`StudyConfiguration` has no setting {listed(strange)}"
            continue
        changes = {name: base.seed + 1 if name == "seed" else value for name, value in arm.changes.items()}
        if changes.get("sources") == ():
            omitted[arm.name] = "nothing would be left to train on"
        elif changes and replace(base, **changes) == base:
            omitted[arm.name] = "the reference does without it"
        else:
            plans[arm.name] = (arm, changes)
    floats = {name: replace(base, **changes) for name, (arm, changes) in plans.items() if not arm.quantized}
    as_long = [floats[name] for name in floats for _ in range(plans[name][0].times)]
    steps = arms.steps_of("tricks", options, as_long, sum(arm.quantized for arm, _ in plans.values()))
    folders = {name: arms.trained("tricks", name, arms.with_steps(c, plans[name][0].times * steps)) for name, c in floats.items()}
    reference = arms.with_steps(base, steps)
    for name, (arm, changes) in plans.items():
        if arm.quantized:
            parent = folders[REFERENCE]
            folders[name] = arms.trained("tricks", name, arms.quantized_from(reference, parent, **changes), parent)
    found = {
        name: evaluate(arms.find(folder), options.faces, options.source, name, options.align, base.seed) for name, folder in folders.items()
    }
    return found, omitted, arms.conditions(folders[REFERENCE])


def _reference(name: str, found: dict[str, Evaluation], arm: Arm | None) -> Evaluation | None:
    """Returns what an arm is compared with: the float reference, or the calibrated int8 one."""
    other = INT8 if arm and arm.quantized and name != INT8 else REFERENCE
    return None if name == REFERENCE else found.get(other)


def difference(name: str, found: dict[str, Evaluation]) -> metrics.Difference | None:
    """Returns how an arm's core12 differs from its reference's on the same faces."""
    arm = next((arm for arm in LEFT_OUT if arm.name == name), None)
    other = _reference(name, found, arm)
    return other and metrics.paired_difference(found[name].core12, other.core12, other.groups)


def arm_rows(found: dict[str, Evaluation], known: dict[str, Arm], omitted: dict[str, str]) -> list[dict[str, Any]]:
    """Returns a row for each arm, also for those that were not trained."""
    rows = []
    for name, result in found.items():
        rows.append({
            "arm": name, "what it tells": known[name].asks, "core12 % of eyes": result.percent(result.core12),
            "95 %": result.interval(result.core12), **change_columns(difference(name, found)),
            "nme % of eyes": result.percent(result.nme), "missed": int((~result.found).sum()), "not trained because": None,
        })  # fmt: skip
    empty = dict.fromkeys(rows[0])
    return rows + [empty | {"arm": n, "what it tells": known[n].asks, "not trained because": why} for n, why in omitted.items()]


# ---- words ----------------------------------------------------------------------------------------------------------------------------


def reading_sentence(model: str, errors: dict[str, np.ndarray], options: Options) -> str:
    """Returns what the decoders are worth."""
    changes = {n: metrics.paired_difference(e, errors[IN_USE], _groups(options)) for n, e in errors.items() if n not in (IN_USE, MIRRORED)}
    best, worst = min(changes, key=lambda name: changes[name].mean), max(changes, key=lambda name: changes[name].mean)
    rank = "no other way to read them is distinctly better"
    if changes[best].mean < 0 and changes[best].distinct:
        rank = f"the {best} is better, by {says(changes[best])}"
    return (
        f"On {options.title}, the expectation over 7 x 7 cells reads a core12 of {100 * errors[IN_USE].mean():.2f} % of the outer eye "
        f"corners' distance from the maps of `{model}`; {rank}, and the {worst} changes it by {says(changes[worst])}."
    )


def arms_sentence(found: dict[str, Evaluation], omitted: dict[str, str], trained_for: str, tried: Sequence[str]) -> str:
    """Returns which tricks matter, and after how much training: what a long one makes up for, a short one lacks."""
    changes = {n: d for n in found if n not in (OTHER_SEED, INT8) and (d := difference(n, found))}
    if not changes:
        return "No arms were trained: give a --budget."
    left_out, added = ({n: d for n, d in changes.items() if (n in tried) == wanted} for wanted in (False, True))
    said = [f"of {len(left_out)} tricks left out one at a time, by core12: {_verdicts(left_out, 'lost')}"] if left_out else []
    said += [f"of {len(added)} added or set otherwise one at a time: {_verdicts(added, 'won')}"] if added else []
    untold = f" ({listed(list(omitted))} were not trained)" if omitted else ""
    return f"In trainings of {trained_for}, {', and '.join(said)}{untold}."


def _verdicts(changes: dict[str, metrics.Difference], what: str) -> str:
    order = sorted(changes, key=lambda name: -changes[name].mean)
    cost = [f"{name} ({says(changes[name])})" for name in order if changes[name].distinct and changes[name].mean > 0]
    gain = [f"{name} ({says(changes[name])})" for name in order if changes[name].distinct and changes[name].mean < 0]
    same = [name for name in order if not changes[name].distinct]
    said = [f"error grows with {listed(cost)}"] if cost else []
    said += [f"error shrinks with {listed(gain)}"] if gain else []
    return "; ".join(said + ([f"the faces cannot tell what is {what} with {listed(same)}"] if same else []))


def chance_sentence(errors: dict[str, np.ndarray], found: dict[str, Evaluation], options: Options) -> str:
    """Returns what the mirror image gains, and how much chance alone changes."""
    mirrored = metrics.paired_difference(errors[MIRRORED], errors[IN_USE], _groups(options))
    said = f"Averaging with the mirror image changes core12 by {says(mirrored)} at twice the cost"
    if (chance := difference(OTHER_SEED, found) if OTHER_SEED in found else None) is not None:
        said += f"; another seed alone changes it by {signed(chance.mean)} points, and what is no larger may be chance of training"
    return said + "."


# ---- the plot -------------------------------------------------------------------------------------------------------------------------


def plot(errors: dict[str, np.ndarray], found: dict[str, Evaluation], options: Options) -> Any:
    """Returns intervals of the change in core12: of other ways to read the maps, and of the arms."""
    read = {n: metrics.paired_difference(e, errors[IN_USE], _groups(options)) for n, e in errors.items() if n != IN_USE}
    panels = [("reading the same maps otherwise", read)]
    if changes := {n: d for n in found if (d := difference(n, found))}:
        panels.append(("one trick left out, added or changed", changes))
    height = 1.2 + 0.34 * max(len(changes) for _, changes in panels)
    figure, axes = plots.new_figure(len(panels), 1, 6.4, height)
    for panel, (title, changes) in zip(axes[0], panels, strict=True):
        _intervals(panel, changes)
        panel.set_title(title, fontsize=10, loc="left")
        panel.set_xlabel("change of core12, points of % of eyes")
    return figure


def _intervals(panel: Any, changes: dict[str, metrics.Difference]) -> None:
    order: Sequence[str] = sorted(changes, key=lambda name: changes[name].mean)
    for y, name in enumerate(order):
        change = changes[name]
        colour = plots.COLOURS[0] if not change.distinct else plots.COLOURS[1] if change.mean > 0 else plots.COLOURS[2]
        panel.plot([100 * change.low, 100 * change.high], [y, y], color=colour, linewidth=2)
        panel.plot(100 * change.mean, y, "o", color=colour, markersize=5)
    panel.axvline(0, color="#555555", linewidth=1)
    if max(abs(change.mean) for change in changes.values()) > _FAR:
        panel.set_xscale("symlog", linthresh=100 * _NEAR)
        panel.set_xticks([-1, -0.5, 0, 0.5, 1, 3, 10], [f"{x:g}" for x in (-1, -0.5, 0, 0.5, 1, 3, 10)])
    panel.set_yticks(range(len(order)), order)
    panel.set_ylim(-0.6, len(order) - 0.4)


_NOTES = (
    "Every arm has the reference's seed, steps, crops a step, sources and start, but for what its name says. Changes are paired with the "
    "reference on the same faces, in points of per cent of the distance between the true outer eye corners; below 0 the arm is better. "
    "Intervals: bootstrap over photographs or people, of one training each; the arm with another seed shows what chance in training "
    "changes. Quantised arms are measured in Keras, with simulated int8."
)
