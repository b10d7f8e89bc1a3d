"""What an opened interpreter says of itself: its inputs and outputs, and what the XNNPACK delegate took of its graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class TensorInfo:
    """A model's input or output; `scale` is 0 where the values are not quantised, else real = scale * (stored - zero_point)."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int

    def __str__(self) -> str:
        quantisation = f", scale {self.scale:.6g}, zero point {self.zero_point}" if self.scale else ""
        return f"{self.dtype} {list(self.shape)}{quantisation}"


@dataclass(frozen=True)
class Delegation:
    """What the XNNPACK delegate took of a graph: how many parts, and how many of the operators lie in them."""

    partitions: int
    delegated: int
    operators: int
    spans_model: bool  # a part touches the model's input and its output
    outside: tuple[str, ...]  # operators left to the interpreter's own kernels

    @property
    def whole(self) -> bool:
        """Whether one part holds every operator, from the model's input to its output."""
        return self.partitions == 1 and self.spans_model and self.delegated == self.operators

    def __str__(self) -> str:
        return f"{self.delegated}/{self.operators} operators in {self.partitions} partition{'s' * (self.partitions != 1)}"


def endpoints(interpreter: Any) -> tuple[tuple[TensorInfo, ...], tuple[TensorInfo, ...]]:
    """Returns the model's inputs and its outputs."""
    return tuple(map(_tensor_info, interpreter.get_input_details())), tuple(map(_tensor_info, interpreter.get_output_details()))


def delegation(interpreter: Any) -> Delegation:
    """Returns what XNNPACK took, from the interpreter's own list of nodes: its log line appears even where nothing was taken."""
    nodes = interpreter._get_ops_details()
    parts = [node for node in nodes if node["op_name"] == "DELEGATE"]
    operators = [node for node in nodes if node["op_name"] != "DELEGATE"]
    producer = {int(tensor): node["index"] for node in operators for tensor in node["outputs"]}
    inputs_of = {node["index"]: node["inputs"] for node in operators}
    taken: set[int] = set()
    for part in parts:  # an operator is in a part if the part's outputs need it and the part does not receive its result
        received, wanted = set(map(int, part["inputs"])), list(map(int, part["outputs"]))
        while wanted:
            node = producer.get(wanted.pop())
            if node is not None and node not in taken:
                taken.add(node)
                wanted += [int(tensor) for tensor in inputs_of[node] if int(tensor) not in received]
    ends = {detail["index"] for detail in interpreter.get_input_details()}, {detail["index"] for detail in interpreter.get_output_details()}
    spans = any(ends[0] <= set(map(int, part["inputs"])) and ends[1] <= set(map(int, part["outputs"])) for part in parts)
    outside = tuple(node["op_name"] for node in operators if node["index"] not in taken)
    return Delegation(len(parts), len(taken), len(operators), spans, outside)


def _tensor_info(detail: dict[str, Any]) -> TensorInfo:
    scale, zero_point = detail["quantization"]
    shape = tuple(int(side) for side in detail["shape"])
    return TensorInfo(detail["name"], shape, np.dtype(detail["dtype"]).name, float(scale), int(zero_point))
