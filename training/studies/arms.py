"""The arms of a study: trainings that differ in one setting, made alike, found again if they were made before."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from training.evaluation.faces import title
from training.evaluation.models import landmarker
from training.learning import runs
from training.learning.configuration import Configuration, StudyConfiguration, to_json
from training.studies.options import Options
from zoo import lookup
from zoo.errors import ZooError, unknown
from zoo.files import read_json, write_json
from zoo.landmarker import Landmarker

# Quantisation-aware steps for each float step, and how much longer one takes.
QAT_SHARE, _QAT_COST = 0.1, 2.0
_QAT_RATE = 5e-5
_FEWEST_STEPS = 10
# Two trainings so long tell a step's time from what starting costs.
_PROBE_STEPS = (3, 11)


@dataclass(frozen=True)
class Arm:
    """One training of a study.

    Attributes:
      name: of the arm.
      asks: what its comparison with the reference tells.
      changes: settings of `StudyConfiguration` in which it differs from the reference.
      quantized: whether it goes on with quantisation-aware training, from the float weights of the reference.
      times: how many times as many steps as the reference's it takes.
    """

    name: str
    asks: str
    changes: Mapping[str, Any]
    quantized: bool = False
    times: int = 1


def chosen(arms: Sequence[Arm], wanted: Sequence[str]) -> list[Arm]:
    """Returns the arms of these names and the reference, which comes first; all if none is named; a ZooError for an unknown one."""
    names = [arm.name for arm in arms]
    for name in wanted:
        if name not in names:
            raise unknown("arm", name, names)
    return [arm for arm in arms if not wanted or arm.name in wanted or arm is arms[0]]


def unknown_settings(arm: Arm) -> list[str]:
    """Returns the settings an arm asks for that `StudyConfiguration` does not have."""
    return sorted(set(arm.changes) - {field.name for field in fields(StudyConfiguration)})


def trained(study: str, arm: str, configuration: Configuration, parent: Path | None = None) -> Path:
    """Returns the folder of a finished run of this configuration: found under `runs/study-*`, gone on with, or trained now.

    Args:
      study, arm: name the folder of a new run, `runs/study-STUDY-ARM`.
      configuration: of the run; where it is quantised, `parent` is the float run it starts from.
    """
    from training.learning import fit, quantize

    folder = _same_run(configuration, parent)
    if folder and _finished(folder, configuration):
        return folder
    resume = bool(folder)
    folder = folder or _new_folder(f"study-{study}-{arm}".replace(" ", "-"))
    if parent is None:
        fit.fit(configuration, folder, resume=resume)
    else:
        quantize.quantize(configuration, parent, folder, resume=resume)
    return folder


def _new_folder(name: str) -> Path:
    """Returns `runs/NAME`, or `runs/NAME-2`, `-3` ... where a study of other settings left its arms before."""
    numbered = (name if number == 1 else f"{name}-{number}" for number in itertools.count(1))
    return runs.new_folder(next(one for one in numbered if lookup.find_run(one) is None))


def _same_run(configuration: Configuration, parent: Path | None) -> Path | None:
    for file in sorted(lookup.RUNS.glob("study-*/config.json")):
        try:
            same = to_json(runs.read_configuration(file.parent)) == to_json(configuration)
            if same and (parent is None or Path(runs.read_facts(file.parent)["parent"]) == parent):
                return file.parent
        except (ZooError, KeyError):  # a run of another version
            continue
    return None


def _finished(folder: Path, configuration: Configuration) -> bool:
    try:
        return runs.read_checkpoint(folder).step == configuration.steps and (folder / "weights.npz").is_file()
    except ZooError:
        return False


def quantized_from(configuration: Configuration, parent: Path, **changes: Any) -> Configuration:
    """Returns the configuration of a quantisation-aware run that goes on from a float run, a tenth as long."""
    steps = max(_FEWEST_STEPS, round(QAT_SHARE * configuration.steps))
    return replace(
        configuration, quantized=True, steps=steps, learning_rate=_QAT_RATE, warmup_steps=min(50, steps // 10), init=parent.name, **changes
    )


def find(folder: Path) -> Landmarker:
    """Returns the landmarker of a run's folder."""
    return landmarker(str(folder))


def with_steps(configuration: Configuration, steps: int) -> Configuration:
    """Returns a configuration of so many steps, whose warm-up is a tenth of them at most."""
    return replace(configuration, steps=steps, warmup_steps=max(1, min(configuration.warmup_steps, steps // 10)))


def conditions(folder: Path) -> dict[str, str]:
    """Returns what an arm was trained with, in words: nothing that only one machine knows."""
    configuration, facts = runs.read_configuration(folder), runs.read_facts(folder)
    faces = ", ".join(f"{title(entry['source'])} ({entry['faces']} faces)" for entry in facts["data"])
    steps = f"{configuration.steps} steps of {configuration.batch} crops from {Path(configuration.init).name or 'random weights'}"
    return {
        "Training": f"{steps}, seed {configuration.seed}; one training each, so that intervals are over faces and not over trainings",
        "Trained on": faces,
    }


def steps_of(study: str, options: Options, configurations: Sequence[Configuration], quantized: int = 0) -> int:
    """Returns the steps of each arm: those asked for, or what the budget allows."""
    return options.steps or steps_within(study, options.budget_minutes, configurations, quantized)


def steps_within(study: str, minutes: float, configurations: Sequence[Configuration], quantized: int = 0) -> int:
    """Returns how many steps each of some trainings may take, that all together end within a budget.

    A step's time is measured by two short trainings of each variant, and kept with the answer, so that the same question gives the
    same answer and a study that was stopped finds its arms again.

    Args:
      minutes: for all trainings together.
      configurations: of the trainings; their steps do not matter.
      quantized: how many quantisation-aware trainings follow.
    """
    if not minutes > 0:
        raise ZooError(f"--budget must be more than 0 minutes to train, received {minutes:g}")
    first = configurations[0]
    question = {
        "minutes": minutes, "variants": sorted(c.variant for c in configurations), "batch": first.batch,
        "sources": [list(source) for source in first.sources], "quantized": quantized,
    }  # fmt: skip
    plan = lookup.RUNS / f"study-{study}.json"
    if plan.is_file() and (kept := read_json(plan)).get("question") == question:
        return kept["steps"]
    seconds = {variant: _step_seconds(next(c for c in configurations if c.variant == variant)) for variant in set(question["variants"])}
    per_step = sum(seconds[c.variant] for c in configurations) + quantized * QAT_SHARE * _QAT_COST * max(seconds.values())
    steps = max(_FEWEST_STEPS, int(60 * minutes / per_step))
    write_json(plan, {"question": question, "seconds_per_step": seconds, "steps": steps})
    return steps


def _step_seconds(configuration: Configuration) -> float:
    from training.learning import fit

    spent = []
    with tempfile.TemporaryDirectory(prefix="study-") as folder:
        for steps in _PROBE_STEPS:
            run = Path(folder) / f"probe-{steps}"
            fit.fit(replace(configuration, steps=steps, warmup_steps=1), run)
            spent.append(runs.read_checkpoint(run).seconds)
    return max((spent[1] - spent[0]) / (_PROBE_STEPS[1] - _PROBE_STEPS[0]), 1e-3)
