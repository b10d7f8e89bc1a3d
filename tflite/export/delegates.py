"""Which operators of a graph a phone's delegates take: XNNPACK asked here, GPU and NNAPI by the rules in their published sources.

The rules are those of TensorFlow 2.19's checks for the operators that landmark networks are made of; an operator without a rule here
counts as not taken. A delegate may still refuse on a given phone: only a run on it proves anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoo.errors import unknown
from zoo.runtime.graph import Graph, Operator
from zoo.runtime.inspection import Delegation

DELEGATES = ("xnnpack", "gpu", "nnapi")
SOURCES = {
    "xnnpack": "the installed runtimes themselves",
    "gpu": "CheckGpuDelegateCompatibility in tensorflow/lite/tools/versioning/gpu_compatibility.cc; int8 is taken as the delegate allows "
    "quantised models by default, computed in float",
    "nnapi": "NNAPIDelegateKernel::Validate in tensorflow/lite/delegates/nnapi/nnapi_delegate.cc, at API level 30 (Android 11); "
    "Android deprecated NNAPI with version 15",
}
_ONE_INPUT = {"ABS", "COS", "ELU", "EXP", "FLOOR", "GELU", "LOG", "LOGISTIC", "NEG", "RSQRT", "SIGN", "SIN", "SQRT", "SQUARE", "TANH"}
_TWO_INPUTS = {"DIV", "MAXIMUM", "MINIMUM", "POW", "SQUARED_DIFFERENCE", "SUB"}
_ANY = {"CONCATENATION", "PACK", "PRELU", "RELU", "RELU6", "RELU_N1_TO_1", "LEAKY_RELU", "SPLIT", "SPLIT_V", "CONV_2D", "DEPTHWISE_CONV_2D",
        "TRANSPOSE_CONV", "DEPTH_TO_SPACE", "SPACE_TO_DEPTH", "QUANTIZE", "RESHAPE", "TRANSPOSE", "AVERAGE_POOL_2D", "MAX_POOL_2D",
        "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "HARD_SWISH", "PAD", "FULLY_CONNECTED"}  # fmt: skip
# The highest version that NNAPI's check lets pass, and whether int8 passes.
_NNAPI = {
    "ADD": (2, True), "MUL": (2, True), "SUB": (3, True), "DIV": (1, False), "CONV_2D": (5, True), "DEPTHWISE_CONV_2D": (3, True),
    "TRANSPOSE_CONV": (3, True), "DEPTH_TO_SPACE": (2, True), "SPACE_TO_DEPTH": (2, True), "AVERAGE_POOL_2D": (2, True),
    "MAX_POOL_2D": (2, True), "RESHAPE": (1, True), "CONCATENATION": (2, True), "QUANTIZE": (2, True), "ELU": (1, False), "EXP": (1, False),
    "RELU": (2, True), "RELU6": (2, True), "LOGISTIC": (2, True), "PAD": (2, True), "TRANSPOSE": (2, True), "FULLY_CONNECTED": (5, True),
    "MAXIMUM": (3, True), "MINIMUM": (3, True), "RESIZE_BILINEAR": (3, True), "ABS": (1, False), "LOG": (1, False), "SQRT": (1, False),
}  # fmt: skip


@dataclass(frozen=True)
class Support:
    """What one delegate takes of a graph; `outside` counts (operator, why not) pairs."""

    delegate: str
    taken: int
    operators: int
    outside: Mapping[tuple[str, str], int]
    source: str

    def __str__(self) -> str:
        names = "; ".join(f"{name} x{count} ({reason})" for (name, reason), count in self.outside.items())
        return f"{self.taken}/{self.operators} operators" + (f"; outside: {names}" if names else "")


def support(graph: Graph, delegate: str, delegation: Mapping[str, Delegation] | None = None) -> list[Support]:
    """Returns what a delegate takes of a graph: for XNNPACK one answer for each runtime, else one.

    Args:
      graph: from `zoo.runtime.graph.read_graph`.
      delegate: among `DELEGATES`.
      delegation: for "xnnpack", what was found by the runtime's name.

    Raises:
      ZooError: the delegate is unknown.
    """
    if delegate not in DELEGATES:
        raise unknown("delegate", delegate, DELEGATES)
    if delegate == "xnnpack":
        return [
            Support(delegate, found.delegated, found.operators, Counter((op, "left to the interpreter") for op in found.outside), name)
            for name, found in (delegation or {}).items()
        ]
    refuse = {"gpu": _gpu_refuses, "nnapi": _nnapi_refuses}[delegate]
    reasons = [(operator.name, refuse(graph, operator)) for operator in graph.operators]
    outside = Counter((name, reason) for name, reason in reasons if reason)
    return [Support(delegate, len(reasons) - outside.total(), len(reasons), outside, SOURCES[delegate])]


def _gpu_refuses(graph: Graph, operator: Operator) -> str:
    """Returns why the GPU delegate leaves an operator out, or nothing."""
    inputs = [graph.tensors[index] for index in operator.inputs if index >= 0]
    computed = [tensor for tensor in inputs if not tensor.constant]
    name = operator.name
    if operator.custom:
        return "custom"
    if name in ("ADD", "MUL") and len(inputs) != 2:
        return "needs two inputs"
    if name == "MUL" and len(inputs[0].shape) == len(inputs[1].shape):
        pairs = list(zip(inputs[0].shape, inputs[1].shape, strict=True))
        if any(a < b for a, b in pairs) and any(b < a for a, b in pairs):
            return "one input must be at least as large in every dimension"
    elif name in _ONE_INPUT and (len(computed), len(inputs)) != (1, 1):
        return "needs one computed input"
    elif name in _TWO_INPUTS and (len(inputs) != 2 or not computed):
        return "needs two inputs, one of them computed"
    elif name == "DEQUANTIZE" and inputs[0].dtype == "int16":
        return "int16"
    elif name in ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN") and (len(computed) != 1 or inputs[1].dtype != "int32"):
        return "needs constant int32 axes"
    elif name in ("RESHAPE", "TRANSPOSE", "DEPTH_TO_SPACE", "AVERAGE_POOL_2D", "MAX_POOL_2D", "PAD") and len(computed) != 1:
        return "needs one computed input"
    known = _ANY | _ONE_INPUT | _TWO_INPUTS | {"ADD", "MUL", "DEQUANTIZE", "MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"}
    return "" if name in known else "no rule takes it"


def _nnapi_refuses(graph: Graph, operator: Operator) -> str:
    """Returns why the NNAPI delegate leaves an operator out at API level 30, or nothing."""
    inputs = [graph.tensors[index] for index in operator.inputs if index >= 0]
    name = operator.name
    if name == "DEQUANTIZE":
        if inputs[0].constant and inputs[0].dtype == "float16":
            return ""  # such weights are handed over as they are
        return "" if operator.version <= 2 and inputs[0].dtype in ("int8", "uint8") else f"version {operator.version} of {inputs[0].dtype}"
    if operator.custom or name not in _NNAPI:
        return "no rule takes it"
    version, quantised = _NNAPI[name]
    data = next((tensor for tensor in inputs if not tensor.constant), inputs[0])
    if operator.version > version:
        return f"version {operator.version}, at most {version}"
    if data.dtype not in (("float32", "int8", "uint8") if quantised else ("float32",)):
        return f"on {data.dtype}"
    if name == "CONV_2D" and len(inputs) != 3:
        return "needs a bias"
    if name in ("RESHAPE", "TRANSPOSE") and len(inputs) > 1 and not inputs[1].constant:
        return "needs a constant shape"
    if name == "TRANSPOSE_CONV" and not (inputs[0].constant and inputs[1].constant):
        return "needs a constant shape and constant weights"
    if len(data.shape) > 4:
        return "needs at most 4 dimensions"
    return ""


def rows(found: list[Support]) -> list[tuple[str, str]]:
    """Returns (fact, found) pairs for a table."""
    return [(f"{one.delegate}, {one.source}" if one.delegate == "xnnpack" else f"{one.delegate} by its source", str(one)) for one in found]


def as_dict(found: list[Support]) -> list[dict[str, Any]]:
    """Returns the answers as plain values for JSON."""
    outside = [[{"operator": name, "why": why, "count": count} for (name, why), count in one.outside.items()] for one in found]
    return [vars(one) | {"outside": named} for one, named in zip(found, outside, strict=True)]
