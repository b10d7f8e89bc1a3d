"""Does a mixture of deconvolution and pixel shuffle keep the accuracy at lower cost, and what does each head lose to int8?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from training.evaluation import metrics, plots
from training.evaluation.measure import Evaluation, evaluate
from training.evaluation.models import footprint, landmarker, resolve
from training.evaluation.words import change_columns, compared, listed, says
from training.learning import runs
from training.learning.configuration import Configuration, from_json
from training.studies import arms
from training.studies.latency import Latency, latency_of
from training.studies.options import Options
from training.studies.outcome import Outcome
from zoo import cards
from zoo.costs import count
from zoo.errors import ZooError
from zoo.files import kilobytes
from zoo.variants import TAGS, VARIANTS, VariantSpec, get

QUESTION = "Does a mixture of deconvolution and pixel shuffle keep the accuracy at lower cost, and which head loses more to int8?"
# The head that the others are compared with comes first.
HEADS = ("deconv", "shuffle", "mixed")


@dataclass(frozen=True)
class Head:
    """One head's weights.

    Attributes:
      name: of the weights.
      spec: their shape.
      float_model, int8_model: what `landmarker` takes; None where there are no int8 weights.
    """

    name: str
    spec: VariantSpec
    float_model: str
    int8_model: str | None


@dataclass(frozen=True)
class Measured:
    """A head, its errors in both precisions, and its times."""

    head: Head
    floating: Evaluation
    int8: Evaluation | None
    latency: Latency

    @property
    def lost(self) -> metrics.Difference | None:
        """How int8's core12 differs from float's on the same faces."""
        return self.int8 and metrics.paired_difference(self.int8.core12, self.floating.core12, self.floating.groups)


def run(options: Options) -> Outcome:
    """Measures the weights named, or those of the arms that the budget allows."""
    found, conditions = (_given(options), {}) if options.weights else _train(options)
    trainings = {head.name: _training(head) for head in found}
    alike = not options.weights or len({replace(training, variant="") for training in trainings.values()}) == 1
    measured = []
    for head in found:
        models = [model and landmarker(model) for model in (head.float_model, head.int8_model)]
        floating, int8 = (
            model and evaluate(model, options.faces, options.source, f"{head.name} {kind}", options.align, options.base.seed)
            for model, kind in zip(models, ("float", "int8"), strict=True)
        )
        if not floating.found.any():
            raise ZooError(f"the detector found none of {options.title}: there is nothing to compare")
        measured.append(Measured(head, floating, int8, latency_of(head.name, options.latency)))
    times = sorted({m.latency.source for m in measured if m.latency.source})
    held = {"Measured on": options.title, "Five points": options.aligned, "Seed of the noise": options.base.seed, **conditions}
    if options.weights:
        held |= {"Last training": [f"`{name}` {_brief(training)}" for name, training in trainings.items()]}
    held |= {"Times": times or "none: give --latency"}
    tables = {"Accuracy": [accuracy_row(m, measured[0]) for m in measured], "Cost": [cost_row(m) for m in measured]}
    return Outcome("heads", QUESTION, finding(measured, options.title, alike), tables, held, _NOTES, plot(measured))


# ---- which weights --------------------------------------------------------------------------------------------------------------------


def heads_of(variant: str) -> list[VariantSpec]:
    """Returns the registry's rows of the alpha and size of a variant, one for each head."""
    shape = variant.partition("-")[2]
    found = {spec.head: spec for spec in VARIANTS if spec.name.partition("-")[2] == shape}
    if len(found) < 2:
        shapes = sorted({s.name.partition("-")[2] for s in VARIANTS if s.head == HEADS[0]})
        raise ZooError(f"the registry has one head of {shape}, and nothing to compare it with; possible: {', '.join(shapes)}")
    return [found[head] for head in HEADS if head in found]


def _given(options: Options) -> list[Head]:
    names = []
    for name in options.weights:
        names += [f"{spec.name}.{name}" for spec in heads_of(options.base.variant)] if name in TAGS else [name]
    published = cards.published()
    missing = [name for name in names if name.partition(".")[2] in TAGS and name not in published]
    if len(names) - len(missing) < 2:
        raise ZooError(f"two heads or more are compared; not published: {listed(missing) or 'none'}; published: {', '.join(published)}")
    return [_head(name) for name in names if name not in missing]


def _head(name: str) -> Head:
    if name in cards.published():
        return Head(name, get(name), f"{name}:float32", f"{name}:int8")
    found = resolve(name)
    if found.kind != "run":
        raise ZooError(f"heads are given as tags, published weights or float runs; {name!r} is a {found.kind}")
    return _of_run(found.path, found.path.with_name(f"{found.path.name}-int8"))


def _training(head: Head) -> Configuration:
    """Returns the settings of the last float training of published weights or of a run."""
    if head.name in cards.published():
        return from_json(cards.read_card(head.name)["training"]["float"]["configuration"])
    return runs.read_configuration(Path(head.float_model))


def _brief(training: Configuration) -> str:
    return f"{training.steps} steps of {training.batch} at {training.learning_rate:g} from {training.init or 'nothing'}"


def _of_run(folder: Path, quantized: Path) -> Head:
    int8 = next((str(p) for p in (quantized / "int8.tflite", quantized) if (quantized / "config.json").is_file() and p.exists()), None)
    return Head(folder.name, get(runs.read_configuration(folder).variant), str(folder), int8)


def _train(options: Options) -> tuple[list[Head], dict[str, str]]:
    """Returns the heads trained alike, float and then quantisation-aware, and what they were trained with."""
    if not options.trains:
        raise ZooError("nothing to measure: name weights (--weights research) or give a --budget")
    wanted = [spec for spec in heads_of(options.base.variant) if not options.wanted or spec.head in options.wanted]
    if len(wanted) < 2 or set(options.wanted) - set(HEADS):
        raise ZooError(f"two heads or more are compared: --arms takes {', '.join(HEADS)}")
    floats = [replace(options.base, variant=spec.name) for spec in wanted]
    steps = arms.steps_of("heads", options, floats, len(floats))
    heads = []
    for spec, configuration in zip(wanted, floats, strict=True):
        configuration = arms.with_steps(configuration, steps)
        folder = arms.trained("heads", spec.name, configuration)
        quantized = arms.trained("heads", f"{spec.name}-int8", arms.quantized_from(configuration, folder), folder)
        heads.append(_of_run(folder, quantized))
    return heads, arms.conditions(Path(heads[0].float_model))


# ---- tables ---------------------------------------------------------------------------------------------------------------------------


def accuracy_row(measured: Measured, reference: Measured) -> dict[str, Any]:
    """Returns what a head reaches; float is compared with the first head's, int8 with its own float."""
    floating, int8 = measured.floating, measured.int8
    change = metrics.paired_difference(floating.core12, reference.floating.core12, floating.groups)
    against = change_columns(None if measured is reference else change)
    return {
        "weights": measured.head.name,
        "float core12 % of eyes": floating.percent(floating.core12), "float 95 %": floating.interval(floating.core12),
        **{f"against the first: {name}": value for name, value in against.items()},
        "float nme % of eyes": floating.percent(floating.nme),
        "int8 core12 % of eyes": int8 and int8.percent(int8.core12), "int8 95 %": int8 and int8.interval(int8.core12),
        **{f"int8 less float: {name}": value for name, value in change_columns(measured.lost).items()},
        "int8 nme % of eyes": int8 and int8.percent(int8.nme),
    }  # fmt: skip


def cost_row(measured: Measured) -> dict[str, Any]:
    """Returns what a head costs."""
    head, times, cost = measured.head, measured.latency, count(measured.head.spec)
    sizes = [model and round(kilobytes(footprint(model).size_bytes)) for model in (head.int8_model, head.float_model)]
    return {
        "weights": head.name, "stages": ", ".join(f"{stage.kind} {stage.width}" for stage in head.spec.stages),
        "parameters k": round(cost.parameters / 1e3), "MMAC": round(cost.macs / 1e6, 1), "int8 KB": sizes[0], "float KB": sizes[1],
        "int8 ms": times.int8_ms, "float ms": times.float_ms, "mesh ms, same run": times.mesh_ms, "int8 delegated": times.delegated,
    }  # fmt: skip


# ---- words ----------------------------------------------------------------------------------------------------------------------------


def finding(measured: Sequence[Measured], title: str, alike: bool = True) -> tuple[str, str, str]:
    """Returns three sentences: accuracy, cost, int8; `alike` says whether the heads were trained alike."""
    first, last = measured[0], measured[-1]
    change = metrics.paired_difference(last.floating.core12, first.floating.core12, last.floating.groups)
    verdict = "within chance" if not change.distinct else "better" if change.mean < 0 else "worse"
    figures = listed([f"{m.floating.percent(m.floating.core12):.2f} by `{m.head.name}`" for m in measured])
    accuracy = (
        f"On {title} the float core12, in % of the outer eye corners' distance, is {figures}{', trained alike' if alike else ''}; "
        f"{_noun(last, first)} less {_noun(first, last)} is {says(change)}, {verdict}"
        f"{'' if alike else '; but these weights were not trained alike, so that this speaks of them and not of the heads'}."
    )
    return accuracy, _cost_sentence(first, last), _int8_sentence(measured)


def _noun(measured: Measured, other: Measured) -> str:
    """Returns what a head is called beside another one."""
    if measured.head.spec.head == other.head.spec.head:
        return f"`{measured.head.name}`"
    return {"deconv": "deconvolution", "shuffle": "pixel shuffle", "mixed": "the mixture"}[measured.head.spec.head]


def _cost_sentence(first: Measured, last: Measured) -> str:
    a, b = count(first.head.spec), count(last.head.spec)
    said = (
        f"Set against {_noun(first, last)}, {_noun(last, first)} needs {compared(b.macs, a.macs)} multiply-accumulates and "
        f"{compared(b.parameters, a.parameters)} parameters"
    )
    slow, fast = first.latency, last.latency
    if not (slow.int8_ms and fast.int8_ms):
        return f"{said}; times of both have not been measured."
    if slow.source == fast.source:
        faster = compared(fast.int8_ms, slow.int8_ms, "less")
        return f"{said}, and its int8 file takes {faster} time: {fast.int8_ms:.2f} against {slow.int8_ms:.2f} ms in one run."
    if not (slow.mesh_ms and fast.mesh_ms):
        return f"{said}; their times are of different runs and cannot be compared."
    faster = compared(fast.int8_ms / fast.mesh_ms, slow.int8_ms / slow.mesh_ms, "less")
    return f"{said}, and its int8 file takes {faster} time, each set against MediaPipe's mesh in a run of its own."


def _int8_sentence(measured: Sequence[Measured]) -> str:
    lost = {m.head.name: m.lost for m in measured if m.lost}
    if not lost:
        return "There are no int8 weights to compare."
    figures = listed([f"{says(difference)} for `{name}`" for name, difference in lost.items()])
    most = max(lost, key=lambda name: lost[name].mean)
    said = f"int8 changes core12 by {figures}"
    said += (
        f", most for `{most}`"
        if lost[most].distinct and lost[most].mean > 0
        else ", which for none of them is a loss that the faces can tell"
    )
    shares = {m.head.name: m.latency.delegated for m in measured if m.latency.delegated}
    return said + (f"; XNNPACK takes {listed([f'{share} operators of `{name}`' for name, share in shares.items()])}." if shares else ".")


# ---- plot -----------------------------------------------------------------------------------------------------------------------------


def plot(measured: Sequence[Measured]) -> Any:
    """Returns core12 with intervals against multiply-accumulates, parameters and, where known, milliseconds; int8 is hollow."""
    costs = {
        "million multiply-accumulates": [2 * [count(m.head.spec).macs / 1e6] for m in measured],
        "thousand parameters": [2 * [count(m.head.spec).parameters / 1e3] for m in measured],
    }
    if all(m.latency.int8_ms and m.latency.float_ms for m in measured):
        costs["milliseconds, one thread"] = [[m.latency.float_ms, m.latency.int8_ms] for m in measured]
    figure, axes = plots.new_figure(len(costs), 1, 4.6, 4.0)
    for panel, (label, values) in zip(axes[0], costs.items(), strict=True):
        reach = max(x for pair in values for x in pair) - min(x for pair in values for x in pair)
        for index, (m, (x, other)) in enumerate(zip(measured, values, strict=True)):
            _point(panel, x, m.floating, plots.COLOURS[index], f"{m.head.name} float")
            if m.int8 is not None:  # beside the float one where both cost the same
                _point(panel, other if other != x else x + 0.025 * reach, m.int8, plots.COLOURS[index], f"{m.head.name} int8", hollow=True)
        panel.set(xlabel=label, ylabel="core12, % of eyes")
        panel.margins(x=0.15)
    plots.shared_legend(figure, axes[0][0], len(measured))
    return figure


def _point(panel: Any, x: float, result: Evaluation, colour: str, label: str, hollow: bool = False) -> None:
    found = result.found
    low, high = metrics.mean_interval(100 * result.core12[found], groups=[g for g, seen in zip(result.groups, found, strict=True) if seen])
    panel.plot([x, x], [low, high], color=colour, linewidth=1.5, alpha=0.7)
    panel.plot(x, 100 * result.core12[found].mean(), "o", color=colour, markerfacecolor="white" if hollow else colour, label=label)


_NOTES = (
    "Intervals: bootstrap over photographs or people; changes are paired on the same faces, in points of per cent of the distance between "
    "the true outer eye corners. They speak of faces, not of trainings: each head was trained once, and its int8 form went on for some "
    "more steps. of eyes: of that distance. Milliseconds: one call, one thread, "
    "XNNPACK, median; mesh: MediaPipe's face mesh in the same run, by which runs can be compared. KB: thousand bytes of the file; where "
    "there is none yet, four bytes a parameter or one."
)
