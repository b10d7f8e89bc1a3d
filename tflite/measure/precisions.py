"""`python -m tflite precisions`: what each way to store the same weights keeps of their accuracy, and what it costs, in one table."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tflite.export import convert as export
from tflite.measure import benchmark as benchmarks
from training.evaluation import plots
from training.evaluation.faces import ALIGNMENTS, Face, measurable, picture, samples, title, with_noise
from training.evaluation.measure import Evaluation, evaluate
from training.evaluation.metrics import Difference, auc, failure_rate, paired_difference
from training.evaluation.words import interval, says, signed
from zoo import cards, terminal
from zoo.alignment import Alignment
from zoo.errors import ZooError
from zoo.files import kilobytes, write_whole
from zoo.landmarker import load
from zoo.lookup import published_name
from zoo.machine import usable_cores
from zoo.nets.weights import read_arrays
from zoo.runtime.metadata import Weights
from zoo.variants import get

FLOAT, AFTER, AWARE = "float32", "int8 post-training", "int8 aware"
WAYS = (FLOAT, "float16", "dynamic range", AFTER, AWARE)
REPRESENTATIVE = 200
PAGE = Path("docs/precisions.md")
_EXPLAINED = f"""`float16` and `{AWARE}` are the published files; the others are made from the same float weights, without training.
`{AFTER}`: kernels by channel, activations by the ranges of a representative set; `{AWARE}`: quantisation-aware training
(docs/design.md). core12, nme, AUC@0.08, FR@0.08 and the worst face are by the distance between the true outer eye corners; the change is in
points of core12 against `{FLOAT}` on the same faces, with its 95 % bootstrap interval. ms: median of one call, by threads, with XNNPACK and
without (plain); peak MB is of the process on one thread with XNNPACK, Python and the runtime included."""


@dataclass(frozen=True)
class Measured:
    """One file: its errors and, where it was timed, milliseconds by (threads, xnnpack), operators delegated and peak memory."""

    precision: str
    evaluation: Evaluation
    size_bytes: int
    times_ms: Mapping[tuple[int, str], float]
    delegated: str | None = None
    peak_mb: float | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="published weights, as variant or variant.tag (default: all)")
    parser.add_argument("--source", default="synthetic", metavar="SET", help="measure on this labelled set (default %(default)s)")
    parser.add_argument("--calibrate", default="synthetic", metavar="SET",
                        help=f"take {REPRESENTATIVE} faces of this one as the representative set (default %(default)s)")  # fmt: skip
    parser.add_argument("--align", choices=ALIGNMENTS, default="noisy", help="whence the five points come (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=40, help="of the benchmark; 0 times nothing (default %(default)s)")
    parser.add_argument("--page", nargs="?", const=str(PAGE), metavar="FILE.md", help="write a page with its plot (default %(const)s)")
    parser.add_argument("--json", action="store_true", help="print the rows and the findings for programs")


def main(args: argparse.Namespace) -> int:
    """Makes the files, measures them, prints a table for each set of weights and what they say."""
    names = [published_name(name) for name in args.names] or cards.published()
    if args.rounds < 0:
        raise ZooError(f"--rounds is {args.rounds}; 0 or more are possible")
    if args.page and not args.page.endswith(".md"):
        raise ZooError(f"--page must end in .md, received {args.page!r}")
    faces, calibration = measurable(samples(args.source)), measurable(samples(args.calibrate))
    found = {name: measure(name, faces, args.source, calibration, args.align, args.rounds) for name in names}
    said = findings(found)
    if args.page:
        conditions = f"Measured on {len(faces)} faces of `{title(args.source)}`, five points {args.align}; representative set: "
        conditions += f"{min(REPRESENTATIVE, len(calibration))} faces of `{title(args.calibrate)}`. {benchmarks.caption()}."
        target = Path(args.page)
        plots.save(plot(found), target.with_suffix(".png"))
        write_whole(target, page(found, said, conditions, target.with_suffix(".png").name))
    if args.json:
        terminal.show([{"weights": name, "rows": rows(some)} for name, some in found.items()] + [{"findings": said}], True)
        return 0
    for name, some in found.items():
        print(f"{name}:")
        terminal.show(rows(some))
        print()
    print("\n".join(said))
    if args.page:
        print(f"wrote {args.page}")
    return 0


def measure(name: str, faces: Sequence[Face], source: str, calibration: Sequence[Face], align: str, rounds: int) -> list[Measured]:
    """Returns what each precision of published weights reaches on faces and costs; untimed where `rounds` is 0."""
    with tempfile.TemporaryDirectory(prefix="precisions-") as folder:
        with terminal.without_stderr():  # the converter's log
            files = make_files(name, Path(folder), calibration)
        evaluations = {precision: evaluate(load(path), faces, source, f"{name} {precision}", align) for precision, path in files.items()}
        timed = benchmarks.benchmark(list(files.values()), _threads(), rounds=rounds) if rounds else []
        sizes = {precision: path.stat().st_size for precision, path in files.items()}
    by_file: dict[str, list[dict[str, Any]]] = {}
    for row in timed:
        by_file.setdefault(row["model"].rpartition("/")[2], []).append(row)
    found = []
    for precision in WAYS:
        some = by_file.get(_stem(precision), [])
        best = next((row for row in some if row["threads"] == 1 and row["xnnpack"] == "on"), {})
        times = {(row["threads"], row["xnnpack"]): row["median_ms"] for row in some}
        found.append(Measured(precision, evaluations[precision], sizes[precision], times, best.get("delegated"), best.get("peak_mb")))
    return found


def _threads() -> list[int]:
    return [count for count in (1, 2) if count <= len(usable_cores())]


def _stem(precision: str) -> str:
    return precision.replace(" ", "-")


def make_files(name: str, folder: Path, calibration: Sequence[Face]) -> dict[str, Path]:
    """Writes a file of every precision of published weights into a folder; returns them by precision.

    Args:
      name: `variant.tag`.
      folder: where they go.
      calibration: labelled faces for the representative set.
    """
    card, published = cards.read_card(name), cards.weights_folder(name)
    spec, arrays = get(card["variant"]), read_arrays(published / "float.npz")
    crops = representative_crops(calibration, spec.size, REPRESENTATIVE)
    weights = Weights(card["name"], card["tag"], card["date"], card["data"])
    made = {
        FLOAT: export.float_file(spec, arrays),
        "float16": cards.model_path(name, "float32").read_bytes(),
        "dynamic range": export.float_file(spec, arrays, "dynamic range"),
        AFTER: export.post_training_file(spec, arrays, crops),
        AWARE: cards.model_path(name, "int8").read_bytes(),
    }
    contents = {key: content if key in ("float16", AWARE) else export.described(content, spec, weights) for key, content in made.items()}
    return {key: write_whole(folder / f"{_stem(key)}.tflite", content) for key, content in contents.items()}


def representative_crops(faces: Sequence[Face], size: int, count: int, seed: int = 0) -> np.ndarray:
    """Returns crops (N, size, size, 3) uint8 of up to `count` faces, aligned as a detector would."""
    rng = np.random.default_rng(seed)
    faces = measurable(faces)
    chosen = rng.permutation(len(faces))[:count]
    return np.stack([Alignment.from_five(with_noise(faces[i][0].five, rng), size).crop(picture(faces[i])) for i in chosen])


def rows(found: Sequence[Measured]) -> list[dict[str, Any]]:
    """Returns one row for each precision, for a table."""
    reference = found[0].evaluation
    table = []
    for one in found:
        result = one.evaluation
        change, worst = paired_difference(result.core12, reference.core12, result.groups), 100 * float(result.nme.max())
        row = {
            "precision": one.precision, "core12 %": result.percent(result.core12), "change": _says(change) if one is not found[0] else None,
            "nme %": result.percent(result.nme), "AUC": round(auc(result.nme), 4), "FR %": round(100 * failure_rate(result.nme), 2),
            "worst face %": round(worst, 2) if np.isfinite(worst) else None, "KB": round(kilobytes(one.size_bytes)),
        }  # fmt: skip
        for threads, xnnpack in sorted(one.times_ms, key=lambda key: (key[1] == "off", key[0])):
            row[f"ms, {threads} thread{'s' * (threads > 1)}{', plain' * (xnnpack == 'off')}"] = round(one.times_ms[threads, xnnpack], 2)
        if one.times_ms:
            row |= {"delegated": one.delegated, "peak MB": one.peak_mb and round(one.peak_mb)}
        table.append(row)
    return table


def _says(change: Difference | None) -> str | None:
    return change and f"{signed(change.mean, 3)} ({interval(change.low, change.high, 3)})"


def findings(found: Mapping[str, Sequence[Measured]]) -> list[str]:
    """Returns a sentence for each set of weights: what quantisation-aware training buys over quantisation after training."""
    return [_finding(name, {one.precision: one for one in some}) for name, some in found.items()]


def _finding(name: str, by: Mapping[str, Measured]) -> str:
    parent, after, aware = (by[key].evaluation for key in (FLOAT, AFTER, AWARE))
    lost = {key: paired_difference(result.core12, parent.core12, result.groups) for key, result in ((AFTER, after), (AWARE, aware))}
    bought = paired_difference(aware.core12, after.core12, aware.groups)
    if bought is None or None in lost.values():
        return f"`{name}`: no face was found by both."
    verdict = "which these faces do not tell from nothing"
    if bought.distinct:
        verdict = "better" if bought.mean < 0 else "worse"
    text = f"`{name}`: quantised after training core12 changes by {says(lost[AFTER])} from float, by quantisation-aware training by "
    text += f"{says(lost[AWARE])}; the training is worth {says(bought)}, {verdict}."
    return text + _speed(by)


def _speed(by: Mapping[str, Measured]) -> str:
    parent, aware = by[FLOAT], by[AWARE]
    before, after = (one.times_ms.get((1, "on")) for one in (parent, aware))
    if before is None or after is None:
        return ""
    size = aware.size_bytes / parent.size_bytes
    return f" Its int8 file takes {after / before:.2f} of float's time on one thread and {size:.2f} of its bytes."


def page(found: Mapping[str, Sequence[Measured]], said: Sequence[str], conditions: str, picture: str) -> str:
    """Returns the page in Markdown."""
    tables = "\n\n".join(f"## {name}\n{terminal.markdown_table(rows(some))}" for name, some in found.items())
    sentences = "\n".join(f"- {sentence}" for sentence in said)
    return f"""# One set of weights in five precisions
{sentences}

![Error against milliseconds, a mark for each precision]({picture})

{_EXPLAINED}

{tables}

{conditions} Written by `python -m tflite precisions`.
"""


def plot(found: Mapping[str, Sequence[Measured]]) -> Any:
    """Returns core12 against milliseconds (or against kilobytes where nothing was timed), a colour for each set of weights."""
    figure, axes = plots.new_figure(1, width=7.5, height=4.6)
    panel, marks = axes[0, 0], dict(zip(WAYS, "oshX*", strict=True))
    timed = all(one.times_ms for some in found.values() for one in some)
    for index, (name, some) in enumerate(found.items()):
        for one in some:
            x = one.times_ms[1, "on"] if timed else kilobytes(one.size_bytes)
            y = one.evaluation.percent(one.evaluation.core12) or np.nan
            panel.plot(x, y, marks[one.precision], color=plots.COLOURS[index % len(plots.COLOURS)], markersize=8)
        panel.plot([], [], "-", color=plots.COLOURS[index % len(plots.COLOURS)], label=name)
    for precision, mark in marks.items():
        panel.plot([], [], mark, color="#555555", label=precision)
    panel.set(xlabel="ms of one call, one thread, XNNPACK" if timed else "KB", ylabel="core12, % of the outer eye corners' distance")
    plots.shared_legend(figure, panel, 3)
    return figure
