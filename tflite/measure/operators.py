"""`python -m tflite operators`: where the time of a file goes, operator by operator, what looks wasted, and how the files compare.

An operator's time is the difference between two graphs, one that ends with it and one that ends before it, each a file of its own. They are
timed in turns within one process on one core; the steps are then the monotone sequence nearest to the medians (isotonic
regression, Barlow et al. 1972), so that no operator takes less than nothing. The whole file is timed in the same rounds, to compare.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import isotonic_regression
from tqdm import tqdm

from tflite.measure import benchmark as benchmarks
from zoo import cards, terminal
from zoo.errors import ZooError
from zoo.files import kilobytes, write_whole
from zoo.machine import pinned_to_one_core
from zoo.runtime.graph import Graph, pack, read_graph, unpack
from zoo.runtime.interpreter import installed_runtimes, open_interpreter, read_model

PAGE = Path("docs/speed.md")
# XNNPACK's int8 kernels work on this many output channels at a time on most machines; what is left over is computed and thrown away.
LANES = 8
_CALLS, _UNTIMED = 4, 2
# An operator with less than this share of the file's usual rate, and at least this share of its time, is worth a look.
_SLOW_RATE, _WORTH_A_LOOK = 0.5, 0.02
# What is asked of two shapes in int8, as shares of the time of MediaPipe's face mesh in the same run.
ASKED = {"mixed-035-128": 1.0, "mixed-035-096": 0.5}
_NO_WORK = {"PAD", "QUANTIZE", "DEQUANTIZE", "RESHAPE", "TRANSPOSE", "CONCATENATION", "STRIDED_SLICE"}


@dataclass(frozen=True)
class OperatorTime:
    """One operator: its kind, its layer and result, what it computes and what that took."""

    kind: str
    layer: str
    shape: tuple[int, ...]
    macs: int
    time_us: float

    @property
    def gmacs_per_s(self) -> float | None:
        """Billions of multiply-accumulates a second, or None for an operator without any."""
        return self.macs / self.time_us / 1e3 if self.macs and self.time_us > 0 else None


@dataclass(frozen=True)
class Profile:
    """A file's operators, and what the whole file took in the same rounds."""

    operators: tuple[OperatorTime, ...]
    whole_us: float

    @property
    def together_us(self) -> float:
        """The operators' times together, which differ from the whole's by what the cutting adds or hides."""
        return sum(one.time_us for one in self.operators)

    def says(self) -> str:
        """Returns both, in words."""
        apart = f"{100 * (self.together_us / self.whole_us - 1):+.0f} %"
        together = f"{len(self.operators)} operators, {self.together_us / 1e3:.3f} ms together"
        return f"{together}, the whole file {self.whole_us / 1e3:.3f} ms ({apart})"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument(
        "files",
        nargs="*",
        metavar="NAME|RUN|FILE",
        help="the int8 file of published weights or of a run, or any file (default: mixed-035-128)",
    )
    parser.add_argument("--rounds", type=int, default=30, help=f"turns of {_CALLS} calls for each graph (default %(default)s)")
    parser.add_argument("--top", type=int, default=15, metavar="N", help="list so many operators, the slowest first (default %(default)s)")
    parser.add_argument("--page", nargs="?", const=str(PAGE), metavar="FILE.md",
                        help="also time all published int8 files beside MediaPipe's mesh; write a page (default %(const)s)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print every operator for programs")


def main(args: argparse.Namespace) -> int:
    """Prints the slowest operators of each file, the time by kind, and what looks wasted."""
    if args.rounds < 1 or args.top < 1:
        raise ZooError(f"--rounds is {args.rounds} and --top is {args.top}; 1 or more are possible")
    if args.page and not args.page.endswith(".md"):
        raise ZooError(f"--page must end in .md, received {args.page!r}")
    files = [benchmarks.resolve(file)[0] for file in args.files or ["mixed-035-128"]]
    found = {label: measure(path, args.rounds) for label, path in files}
    written = write_whole(args.page, page(found, args.rounds, args.top)) if args.page else None
    if args.json:
        terminal.show([{"file": k, "whole us": round(v.whole_us, 1), "operators": rows(v.operators)} for k, v in found.items()], True)
        return 0
    for label, profile in found.items():
        print(f"{label}: {profile.says()}, on one thread")
        terminal.show(slowest(profile.operators, args.top))
        print()
        terminal.show(by_kind(profile.operators))
        print("\n" + "\n".join(wasted(profile.operators)) + "\n")
    if written:
        print(f"wrote {written}")
    return 0


def measure(path: Path, rounds: int) -> Profile:
    """Returns the time of every operator of a file on one thread with XNNPACK.

    Args:
      path: of a .tflite file with one input.
      rounds: turns of each of the graphs, of which there are as many as operators.
    """
    content = read_model(path)
    graph = read_graph(content)
    if len(graph.inputs) != 1 or not graph.operators:
        raise ZooError(f"{path} has {len(graph.inputs)} inputs and {len(graph.operators)} operators; one input, and 1 or more are expected")
    with pinned_to_one_core():
        *medians_us, whole_us = _times_us(content, graph, path, rounds)
    steps_us = np.diff(isotonic_regression(medians_us).x, prepend=0.0)
    found = []
    for operator, time_us in zip(graph.operators, steps_us, strict=True):
        result = graph.tensors[operator.outputs[0]]
        found.append(OperatorTime(operator.name, result.layer, result.shape, graph.macs_of(operator), float(time_us)))
    return Profile(tuple(found), whole_us)


def _times_us(content: bytes, graph: Graph, path: Path, rounds: int) -> list[float]:
    """Returns the median microseconds of the graphs that end with each operator, and last those of the file as it is."""
    interpreters = []
    for index in tqdm(range(len(graph.operators) + 1), desc="cut", unit="graph", leave=False):
        interpreter = open_interpreter(prefix(content, index) if index < len(graph.operators) else content, path)
        detail = interpreter.get_input_details()[0]
        interpreter.set_tensor(detail["index"], benchmarks.any_input(detail))
        interpreter.invoke()
        interpreters.append(interpreter)
    times_us: list[list[float]] = [[] for _ in interpreters]
    order, shuffle = list(range(len(interpreters))), random.Random(0)
    for _ in tqdm(range(rounds), desc=f"time {path.parent.name}", unit="round"):
        shuffle.shuffle(order)
        for index in order:
            invoke = interpreters[index].invoke
            for _ in range(_UNTIMED):
                invoke()
            for _ in range(_CALLS):
                start = time.perf_counter_ns()
                invoke()
                times_us[index].append((time.perf_counter_ns() - start) / 1e3)
    return [statistics.median(some) for some in times_us]


def prefix(content: bytes, index: int) -> bytes:
    """Returns a file's graph up to and with operator `index`.

    Its outputs are all results that the rest of the graph, or the caller, would have used: what nothing uses the delegate leaves out.
    """
    model = unpack(content)
    subgraph = model.subgraphs[0]
    kept, rest = subgraph.operators[: index + 1], subgraph.operators[index + 1 :]
    used = {int(tensor) for operator in rest for tensor in operator.inputs} | {int(tensor) for tensor in subgraph.outputs}
    live = [int(tensor) for operator in kept for tensor in operator.outputs if int(tensor) in used]
    subgraph.operators, subgraph.outputs = kept, np.array(live, np.int32)
    model.signatureDefs, model.metadata = [], []
    return pack(model)


def slowest(found: Sequence[OperatorTime], count: int) -> list[dict[str, Any]]:
    """Returns the rows of the operators that take most; their shares are of all."""
    return sorted(rows(found), key=lambda row: -row["us"])[:count]


def rows(found: Sequence[OperatorTime]) -> list[dict[str, Any]]:
    """Returns a row for each operator."""
    total_us = sum(one.time_us for one in found) or 1.0
    return [
        {
            "operator": one.kind, "layer": one.layer, "result": " x ".join(map(str, one.shape[1:])), "MMAC": round(one.macs / 1e6, 2),
            "us": round(one.time_us, 1), "share %": round(100 * one.time_us / total_us, 1),
            "GMAC/s": one.gmacs_per_s and round(one.gmacs_per_s, 1),
        }
        for one in found
    ]  # fmt: skip


def by_kind(found: Sequence[OperatorTime]) -> list[dict[str, Any]]:
    """Returns a row for each kind of operator, the one that takes most first."""
    total_us = sum(one.time_us for one in found) or 1.0
    table = []
    for kind in dict.fromkeys(one.kind for one in found):
        some = [one for one in found if one.kind == kind]
        time_us, macs = sum(one.time_us for one in some), sum(one.macs for one in some)
        row = {"kind": kind, "operators": len(some), "MMAC": round(macs / 1e6, 2), "us": round(time_us, 1)}
        row |= {"share %": round(100 * time_us / total_us, 1), "GMAC/s": round(macs / time_us / 1e3, 1) if macs and time_us else None}
        table.append(row)
    return sorted(table, key=lambda row: -row["us"])


def wasted(found: Sequence[OperatorTime]) -> list[str]:
    """Returns what looks wasted in a file, a sentence for each finding; every share is of the whole file's time."""
    total_us = sum(one.time_us for one in found) or 1.0

    def share(some: Sequence[OperatorTime]) -> str:
        return f"{100 * sum(one.time_us for one in some) / total_us:.1f} %"

    idle = [one for one in found if one.kind in _NO_WORK]
    kinds = ", ".join(sorted({one.kind for one in idle}))
    said = [f"Operators that compute nothing ({kinds}): {len(idle)}, {share(idle)}." if idle else "Operators that compute nothing: none."]
    working = [one for one in found if one.macs]
    uneven = [one for one in working if one.shape[-1] % LANES]
    said.append(f"Channels that are no multiple of {LANES}: {len(uneven)} of {len(working)} operators, {share(uneven)}.")
    if working:
        last, part = working[-1], working[-1].macs / sum(one.macs for one in working)
        said.append(f"The last convolution ({last.shape[-1]} channels): {share([last])} for {100 * part:.1f} % of the arithmetic.")
    pointwise = [one.gmacs_per_s for one in found if one.kind == "CONV_2D" and one.gmacs_per_s]
    if pointwise:
        usual = statistics.median(pointwise)
        slow = [one for one in found if one.kind != "DEPTHWISE_CONV_2D" and one.gmacs_per_s and one.gmacs_per_s < _SLOW_RATE * usual]
        slow = [one for one in slow if one.time_us >= _WORTH_A_LOOK * total_us]
        names = ", ".join(f"{one.layer} ({one.gmacs_per_s:.1f})" for one in sorted(slow, key=lambda one: -one.time_us)) or "none"
        said.append(f"Under half the usual {usual:.1f} GMAC/s of a convolution, depthwise ones apart: {names}; {share(slow)}.")
    return said


def page(found: dict[str, Profile], rounds: int, top: int) -> str:
    """Returns the page in Markdown: all published int8 files beside MediaPipe's mesh in one run, then each file's operators."""
    files = [cards.weights_folder(name) / "int8.tflite" for name in cards.published()]
    timed = benchmarks.benchmark(files, [1], [True], installed_runtimes(), with_mediapipe=True, rounds=max(rounds, 40))
    parts = []
    for label, profile in found.items():
        parts.append(f"## {label}\n{profile.says()}.\n")
        parts.append("\n".join(f"- {sentence}" for sentence in wasted(profile.operators)))
        parts.append(f"\n{terminal.markdown_table(by_kind(profile.operators))}\n\nThe {top} that take most:\n")
        parts.append(terminal.markdown_table(slowest(profile.operators, top)) + "\n")
    return f"""# Where the time goes
{" ".join(compared(timed))}

{terminal.markdown_table([beside_mesh(row, timed) for row in timed])}

{chr(10).join(parts)}
{benchmarks.caption()}. One thread, XNNPACK. An operator's time is the difference between the graph that ends with it and the one that ends
before it; what only moves values may be counted with its neighbour. Written by `python -m tflite operators --page`.
"""


def _mesh_ms(timed: Sequence[dict[str, Any]], runtime: str) -> float:
    return next(row["median_ms"] for row in timed if row["runtime"] == runtime and row["model"] == benchmarks.MESH)


def beside_mesh(row: dict[str, Any], timed: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns a benchmark's row as one of the page, with its share of the time of MediaPipe's mesh in the same runtime."""
    return {
        "file": row["model"], "runtime": row["runtime"], "MMAC": round(row["mmac"], 1), "KB": round(kilobytes(row["file_bytes"])),
        "median ms": round(row["median_ms"], 3), "p10 ms": round(row["p10_ms"], 3), "p90 ms": round(row["p90_ms"], 3),
        "of MediaPipe's": round(row["median_ms"] / _mesh_ms(timed, row["runtime"]), 2),
    }  # fmt: skip


def compared(timed: Sequence[dict[str, Any]]) -> list[str]:
    """Returns a sentence for each runtime and each shape in `ASKED` among the rows of a benchmark that has MediaPipe's mesh."""
    said = []
    for runtime in dict.fromkeys(row["runtime"] for row in timed):
        for shape, limit in ASKED.items():
            some = [row["median_ms"] for row in timed if row["runtime"] == runtime and row["model"].split(".")[0] == shape]
            if some:
                ratio = statistics.median(some) / _mesh_ms(timed, runtime)
                verdict = "less than" if ratio < limit else "not less than"
                text = f"In {runtime} `{shape}` takes {ratio:.2f} of the time of MediaPipe's `face_landmark.tflite` in one run"
                said.append(f"{text}: {verdict} {limit:g}.")
    return said
