"""Proves what an exported file is made of: its operators, its types, and that XNNPACK takes the whole of it in one part.

Equal outputs prove little: a layer that stayed float inside an int8 file stays within one step of what it should give, and
XNNPACK takes float operators as readily as int8 ones. Only the operators and the types of the tensors tell.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tflite.export import delegates
from tflite.export.decoder import OUTPUTS
from tflite.export.layers import layer_errors
from zoo import terminal
from zoo.errors import ZooError, unknown
from zoo.lookup import look_up
from zoo.runtime import graph as graphs
from zoo.runtime import interpreter as runtimes
from zoo.runtime.metadata import Description, read
from zoo.runtime.metadata import rows as metadata_rows

PRECISIONS = ("float32", "float16", "int8")  # of the files that are exported
_FLOAT_TYPES = ("float16", "float32", "float64", "bfloat16")
_NAMES_SHOWN = 3  # of the tensors or operators at fault, enough to find the layer


@dataclass(frozen=True)
class AuditReport:
    """What `audit` found; `problems` is empty where the file is what it should be."""

    path: Path
    precision: str
    size_bytes: int
    macs: int
    operators: Counter[str]
    tensor_types: Counter[str]
    inputs: tuple[runtimes.TensorInfo, ...]
    outputs: tuple[runtimes.TensorInfo, ...]
    metadata: Description | None  # None where the file carries none, or one that is refused: then a problem says why
    support: tuple[delegates.Support, ...]  # of the delegates that were asked about
    delegation: dict[str, runtimes.Delegation]  # by the runtime's name; a runtime that is not installed or refuses the file is not there
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    @property
    def partitions(self) -> dict[str, int]:
        """The number of delegated parts by the runtime's name."""
        return {name: found.partitions for name, found in self.delegation.items()}

    def as_dict(self) -> dict[str, Any]:
        """Returns the report as plain values for JSON."""
        delegation = {name: asdict(found) | {"whole": found.whole} for name, found in self.delegation.items()}
        return vars(self) | {
            "path": str(self.path),
            "ok": self.ok,
            "inputs": [asdict(tensor) for tensor in self.inputs],
            "outputs": [asdict(tensor) for tensor in self.outputs],
            "metadata": self.metadata and {"model": self.metadata.model, "document": self.metadata.document, "names": self.metadata.names},
            "support": delegates.as_dict(list(self.support)),
            "delegation": delegation,
        }


def audit(path: str | Path, precision: str | None = None, asked: Sequence[str] = ()) -> AuditReport:
    """Returns the report on one file.

    Args:
      path: a .tflite file.
      asked: names among `tflite.export.delegates.DELEGATES`, which the report then speaks of.
      precision: what the file is meant to be; by default "int8" if the input or any weights are int8, else "float16" if any weights are.

    Raises:
      ZooError: the file is not a whole TFLite model, or the precision is not among `PRECISIONS`.
    """
    if precision is not None and precision not in PRECISIONS:
        raise unknown("precision", precision, PRECISIONS)
    path = Path(path)
    content = runtimes.read_model(path)
    graph = graphs.read_graph(content)
    precision = precision or deduce_precision(graph)
    delegation, ends, refusals = _open_everywhere(content, path)
    try:
        metadata = read(content, path, *ends)
    except ZooError as error:
        metadata = None
        refusals.append(str(error))
    problems = (
        *_wrong_precision(graph, precision),
        *_free_shapes(graph),
        *_custom_operators(graph),
        *_denormals(graph),
        *refusals,
        *_undelegated(delegation),
    )
    return AuditReport(
        path=path,
        precision=precision,
        size_bytes=len(content),
        macs=graph.macs,
        operators=Counter(operator.name for operator in graph.operators),
        tensor_types=Counter(tensor.dtype for tensor in graph.tensors),
        inputs=ends[0],
        outputs=ends[1],
        metadata=metadata,
        support=tuple(one for delegate in asked for one in delegates.support(graph, delegate, delegation)),
        delegation=delegation,
        problems=problems,
    )


def deduce_precision(graph: graphs.Graph) -> str:
    """Returns "int8", "float16" or "float32" from the input's type and the types of the weights."""
    weights = {tensor.dtype for tensor in graph.tensors if tensor.constant}
    if "int8" in weights or any(graph.tensors[index].dtype == "int8" for index in graph.inputs):
        return "int8"
    return "float16" if "float16" in weights else "float32"


def _open_everywhere(
    content: bytes, path: Path
) -> tuple[dict[str, runtimes.Delegation], tuple[tuple[runtimes.TensorInfo, ...], tuple[runtimes.TensorInfo, ...]], list[str]]:
    """Returns, over the runtimes that are installed, what XNNPACK takes, the model's inputs and outputs, and the refusals."""
    delegation: dict[str, runtimes.Delegation] = {}
    ends: tuple[tuple[runtimes.TensorInfo, ...], tuple[runtimes.TensorInfo, ...]] = ((), ())
    refusals: list[str] = []
    for name in runtimes.installed_runtimes():
        try:
            interpreter = runtimes.open_interpreter(content, path, runtime=name)
        except ZooError as error:
            refusals.append(str(error))
            continue
        delegation[name] = runtimes.delegation(interpreter)
        ends = runtimes.endpoints(interpreter)
    return delegation, ends, refusals


def _wrong_precision(graph: graphs.Graph, precision: str) -> list[str]:
    problems = []
    stored = "int8" if precision == "int8" else "float32"
    decoder = _decoder(graph)
    for role, indices in (("input", graph.inputs), ("output", graph.outputs)):
        wanted = "float32" if role == "output" and decoder else stored
        for dtype in sorted({graph.tensors[index].dtype for index in indices} - {wanted}):
            problems.append(f"the {role} is {dtype}; the {role} of a file of precision {precision} is {wanted}")
    if precision == "int8":
        problems += _float_inside(graph, decoder)
    else:
        weights = Counter(tensor.dtype for tensor in graph.tensors if tensor.constant)
        wrong = [name for name in ("int8", "int16", "float16") if weights[name] and name != precision]
        problems += [f"{weights[name]} constants are {name} in a file of precision {precision}" for name in wrong]
        if precision == "float16" and not weights["float16"]:
            problems.append("no constant is float16 in a file of precision float16")
    return problems


def _decoder(graph: graphs.Graph) -> tuple[graphs.Operator, ...]:
    """Returns the operators that decode maps within the graph: they may be float, and no weight may stand among them or behind."""
    if len(graph.outputs) != len(OUTPUTS):
        return ()
    behind: set[int] = set()
    decoder = []
    for operator in graph.operators:  # in the order of their execution
        if (operator.name == "DEQUANTIZE" and not graph.tensors[operator.inputs[0]].constant) or behind & set(operator.inputs):
            behind.update(operator.outputs)
            decoder.append(operator)
    return () if any(map(graph.macs_of, decoder)) else tuple(decoder)


def _float_inside(graph: graphs.Graph, decoder: Collection[graphs.Operator]) -> list[str]:
    problems = []
    network = [operator for operator in graph.operators if operator not in decoder]
    allowed = {index for operator in decoder for index in (*operator.inputs, *operator.outputs)}
    allowed -= {index for operator in network for index in (*operator.inputs, *operator.outputs)}
    floats = [tensor for index, tensor in enumerate(graph.tensors) if tensor.dtype in _FLOAT_TYPES and index not in allowed]
    if floats:
        names = _listed([tensor.name for tensor in floats])
        problems.append(f"{len(floats)} of {len(graph.tensors)} tensors are float in a file of precision int8: {names}")
    for operator in network:  # QUANTIZE from int8 to int8 only changes the scale, and nothing float comes of it
        types = {graph.tensors[index].dtype for index in (*operator.inputs, *operator.outputs) if index >= 0}
        if types & set(_FLOAT_TYPES):
            where = graph.tensors[operator.outputs[0]].name
            problems.append(f"{operator.name} works on {', '.join(sorted(types))} in a file of precision int8: {where}")
    return problems


def _free_shapes(graph: graphs.Graph) -> list[str]:
    problems = []
    for index in graph.inputs:
        tensor = graph.tensors[index]
        if -1 in tensor.signature:
            problems.append(f"the input's shape is free: {list(tensor.signature)}; a fixed batch of 1 is expected")
        elif tensor.shape[:1] != (1,):
            problems.append(f"the input's shape is {list(tensor.shape)}; a batch of 1 is expected")
    if graph.subgraphs != 1:
        problems.append(f"the file has {graph.subgraphs} subgraphs; one is expected")
    return problems


def _custom_operators(graph: graphs.Graph) -> list[str]:
    custom = Counter(operator.name for operator in graph.operators if operator.custom)
    return [
        f"{count} custom operator{'s' * (count > 1)} {name!r}; only built-in operators run everywhere" for name, count in custom.items()
    ]


def _denormals(graph: graphs.Graph) -> list[str]:
    """A weight below its type's smallest normal number carries next to no information and can make float arithmetic many times slower."""
    problems = []
    for tensor in graph.tensors:
        if tensor.dtype not in ("float16", "float32"):
            continue
        values = tensor.values()
        if values is None:
            continue
        tiny = np.finfo(values.dtype).tiny
        count = int(np.count_nonzero((values != 0) & (np.abs(values) < tiny)))
        if count:
            problems.append(f"{count} of {values.size} values are denormal (below {tiny:.3g}) in the {tensor.dtype} constant {tensor.name}")
    return problems


def _undelegated(delegation: dict[str, runtimes.Delegation]) -> list[str]:
    problems = []
    for name, found in delegation.items():
        if not found.whole:
            outside = "; outside: " + ", ".join(f"{op} x{n}" for op, n in Counter(found.outside).items()) if found.outside else ""
            problems.append(f"in {name} XNNPACK takes {found}{outside}; one partition from input to output is expected")
    return problems


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")


def _table(report: AuditReport) -> list[dict[str, str]]:
    def counts(counter: Counter[str]) -> str:
        return ", ".join(f"{name} x{count}" for name, count in counter.most_common())

    facts = {
        "precision": report.precision,
        "size": f"{report.size_bytes:,} bytes, {report.macs / 1e6:.1f} M multiply-accumulates",
        "operators": f"{report.operators.total()}: {counts(report.operators)}",
        "tensors": f"{report.tensor_types.total()}: {counts(report.tensor_types)}",
        "input": "; ".join(map(str, report.inputs)) or "unknown",
        "output": "; ".join(map(str, report.outputs)) or "unknown",
    }
    facts |= dict(metadata_rows(report.metadata)) if report.metadata else {"metadata": "none"}
    facts |= {f"XNNPACK in {name}": str(found) for name, found in report.delegation.items()}
    facts |= dict(delegates.rows(list(report.support)))
    table = [{"file": str(report.path), "fact": fact, "found": found} for fact, found in facts.items()]
    table += [{"file": str(report.path), "fact": "PROBLEM", "found": problem} for problem in report.problems]
    return [*table, {"file": str(report.path), "fact": "verdict", "found": "passes" if report.ok else "fails"}]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command line's arguments."""
    parser.add_argument("files", nargs="+", metavar="NAME|RUN|FILE", help="a .tflite file, or all of published weights or of a run")
    parser.add_argument("--precision", choices=PRECISIONS, help="what the files are meant to be (default: deduced from the weights)")
    parser.add_argument(
        "--delegate",
        action="append",
        choices=delegates.DELEGATES,
        help="say which operators it takes (may be repeated; gpu and nnapi by their sources)",
    )
    parser.add_argument(
        "--against", metavar="NAME|RUN|FILE", help="list the layers of int8 files that lose most against this float file, or a name's"
    )
    parser.add_argument("--layers", type=int, default=10, help="how many of them to list (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the reports for programs")


def main(args: argparse.Namespace) -> int:
    """Prints one table over all files; returns 1 where any file fails."""
    files = [path for given in args.files for path in look_up(given).files().values()]
    reports = [audit(path, args.precision, args.delegate or ()) for path in files]
    against = args.against and look_up(args.against).file("float32")
    lost = {r.path: layer_errors(r.path, against)[: args.layers] for r in reports if r.precision == "int8"} if against else {}
    if args.json:
        rows = [report.as_dict() | {"layers": [vars(layer) for layer in lost.get(report.path, [])]} for report in reports]
        terminal.show(rows, as_json=True)
    else:
        terminal.show([row for report in reports for row in _table(report)])
        if lost:
            terminal.show([{"file": str(path)} | layer.row() for path, layers in lost.items() for layer in layers])
    return 0 if all(report.ok for report in reports) else 1
