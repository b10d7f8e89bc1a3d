"""Puts the decoder behind a heat-map graph: the same network, but points, scores and spreads come out.

`zoo.heatmaps.decode` takes the highest cell, which no delegate knows. Here the cell is found by pooling: the first row whose maximum
is the highest, then in that row the first column, each as a one-hot line that another pooling widens to the window. All operators are
builtin, on fixed shapes, and of kinds that XNNPACK takes. The network stays as it is, int8 where it was int8.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.errors import ZooError
from zoo.heatmaps import LOGIT_SCALE, WINDOW_RADIUS
from zoo.runtime.graph import pack, unpack
from zoo.runtime.metadata_block import ENTRY

OUTPUTS = ("points", "scores", "spreads")
# Makes 0 or at least 1 of the difference of two values of a map that are not both below 0.01: float32 has no nearer neighbours there.
_STEEP = 2.0**30
_WINDOW = 2 * WINDOW_RADIUS + 1


def with_decoder(content: bytes) -> bytes:
    """Returns a file that gives points (1, K, 2) and spreads (1, K) in crop pixels and scores (1, K) instead of maps, all float32.

    They mean what `zoo.heatmaps.decode` says, points and spreads times the stride. Metadata must be written anew.

    Args:
      content: of a file with one input (1, size, size, 3) and one output, maps (1, grid, grid, K), int8 or float32.

    Raises:
      ZooError: the file has other inputs or outputs.
    """
    model = unpack(content)
    network = model.subgraphs[0]
    image, maps = (network.tensors[indices[0]] for indices in (network.inputs, network.outputs))
    if len(network.inputs) != 1 or len(network.outputs) != 1 or len(maps.shape) != 4 or maps.shape[1] != maps.shape[2]:
        shapes = [list(map(int, network.tensors[index].shape)) for index in network.outputs]
        raise ZooError(f"the graph gives {shapes}; one output of maps [1, grid, grid, points] can be decoded")
    network.outputs = _decoder(_Appender(model), int(network.outputs[0]), int(image.shape[1]))
    model.metadata = [entry for entry in model.metadata or [] if entry.name != ENTRY.encode()]
    for signature in model.signatureDefs or []:
        template = type(signature.outputs[0])
        signature.outputs = []
        for name, index in zip(OUTPUTS, network.outputs, strict=True):
            entry = template()
            entry.name, entry.tensorIndex = name, index
            signature.outputs.append(entry)
    return pack(model)


def _decoder(graph: _Appender, maps: int, size: int) -> list[int]:
    """Appends the decoder; returns the tensors of `OUTPUTS`."""
    _, grid, _, count = graph.shape(maps)
    stride, one = size / grid, graph.constant(1.0)
    down, across = (1, grid, 1, 1), (1, 1, grid, 1)  # shapes of a value for each row and for each column
    centres, early = (np.arange(grid) + 0.5) * stride, grid - np.arange(grid)

    def highest(line: int, axis: tuple[int, ...]) -> int:
        """The line less its maximum: 0 at the highest cells, negative elsewhere."""
        return graph.binary("SUB", line, graph.pool("MAX_POOL_2D", line, axis))

    def first_highest(line: int, axis: tuple[int, ...]) -> int:
        """One-hot along the axis, at the first of the highest cells."""
        all_of_them = graph.binary("ADD", graph.binary("MUL", highest(line, axis), graph.constant(_STEEP)), one, relu=True)
        order = graph.binary("MUL", all_of_them, graph.constant(early.reshape(axis)))
        return graph.binary("ADD", highest(order, axis), one, relu=True)

    def total(values: int, axis: tuple[int, ...]) -> int:
        """The mean along the axis; every sum here is divided by another one over as many cells."""
        return graph.pool("AVERAGE_POOL_2D", values, axis)

    row_maxima = graph.real(graph.pool("MAX_POOL_2D", maps, across))
    maps = graph.real(maps)
    row = first_highest(row_maxima, down)
    in_row = graph.binary("MUL", total(graph.binary("MUL", maps, row), down), graph.constant(float(grid)))
    column = first_highest(in_row, across)
    rows = graph.pool("MAX_POOL_2D", row, (1, _WINDOW, 1, 1), same=True)
    columns = graph.pool("MAX_POOL_2D", column, (1, 1, _WINDOW, 1), same=True)

    below = graph.binary("SUB", maps, graph.pool("MAX_POOL_2D", row_maxima, down))
    # exp(x) - 1 for x <= 0, to 6e-8: EXP itself is not delegated by tflite-runtime 2.14.
    mass = graph.binary("ADD", graph.unary("ELU", graph.binary("MUL", below, graph.constant(LOGIT_SCALE))), one)
    by_row = graph.binary("MUL", total(graph.binary("MUL", mass, columns), across), rows)
    by_column = graph.binary("MUL", total(graph.binary("MUL", mass, rows), down), columns)
    inside = total(by_row, down)
    y = graph.binary("DIV", total(graph.binary("MUL", by_row, graph.constant(centres.reshape(down))), down), inside)
    x = graph.binary("DIV", total(graph.binary("MUL", by_column, graph.constant(centres.reshape(across))), across), inside)
    # The window's share of the cells is what a flat map has of its mass there.
    base = graph.binary("MUL", total(rows, down), total(columns, across))
    share = graph.binary("DIV", inside, total(total(mass, across), down))
    scores = graph.binary("DIV", graph.binary("SUB", share, base, relu=True), graph.binary("SUB", one, base))

    def variance(line: int, axis: tuple[int, ...], middle: int) -> int:
        """The variance along the axis of a line of masses round its middle."""
        off = graph.binary("SUB", graph.constant(centres.reshape(axis)), middle)
        return graph.binary("DIV", total(graph.binary("MUL", line, graph.binary("MUL", off, off)), axis), inside)

    both = graph.binary("ADD", variance(by_row, down, y), variance(by_column, across, x))
    spreads = graph.unary("SQRT", graph.binary("MUL", both, graph.constant(0.5)))
    points = graph.joined([graph.reshaped(x, (1, count, 1)), graph.reshaped(y, (1, count, 1))], OUTPUTS[0])
    return [points, *(graph.reshaped(one, (1, count), name) for one, name in zip((scores, spreads), OUTPUTS[1:], strict=True))]


class _Appender:
    """Appends operators to a model's object tree; a method's tensors are indices into it."""

    def __init__(self, model: Any):
        from ai_edge_litert import schema_py_generated as schema

        self.schema, self.model, self.network = schema, model, model.subgraphs[0]
        self.codes: dict[str, int] = {}

    def shape(self, tensor: int) -> tuple[int, ...]:
        return tuple(map(int, self.network.tensors[tensor].shape))

    def step(self, tensor: int) -> float:
        """The size of one step of a quantised tensor; 0 for a float one."""
        found = self.network.tensors[tensor]
        return float(found.quantization.scale[0]) if found.type == self.schema.TensorType.INT8 else 0.0

    def constant(self, value: Any, dtype: Any = np.float32) -> int:
        value = np.asarray(value, dtype)
        buffer = self.schema.BufferT()
        buffer.data = np.frombuffer(value.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        kind = self.schema.TensorType.INT32 if dtype == np.int32 else self.schema.TensorType.FLOAT32
        return self._tensor(value.shape, kind, "constant", len(self.model.buffers) - 1)

    def real(self, tensor: int) -> int:
        """A tensor's real values."""
        if not self.step(tensor):
            return tensor
        return self._operator("DEQUANTIZE", [tensor], self.shape(tensor), version=2)

    def unary(self, name: str, tensor: int) -> int:
        return self._operator(name, [tensor], self.shape(tensor))

    def binary(self, name: str, left: int, right: int, relu: bool = False) -> int:
        options = {"fusedActivationFunction": self.schema.ActivationFunctionType.RELU} if relu else {}
        shape = np.broadcast_shapes(self.shape(left), self.shape(right))
        return self._operator(name, [left, right], shape, f"{name.title()}OptionsT", options)

    def pool(self, name: str, tensor: int, window: tuple[int, ...], same: bool = False) -> int:
        """Pools over windows (1, rows, columns, 1): one of the whole tensor's extent, or with `same` one round each cell."""
        _, rows, columns, _ = window
        options = {"filterHeight": rows, "filterWidth": columns, "strideH": 1, "strideW": 1,
                   "padding": self.schema.Padding.SAME if same else self.schema.Padding.VALID}  # fmt: skip
        _, height, width, count = self.shape(tensor)
        shape = (1, height, width, count) if same else (1, height - rows + 1, width - columns + 1, count)
        version = 2 if self.step(tensor) else 1
        return self._operator(name, [tensor], shape, "Pool2DOptionsT", options, version=version)

    def reshaped(self, tensor: int, shape: tuple[int, ...], name: str = "") -> int:
        wanted = self.constant(shape, np.int32)
        return self._operator("RESHAPE", [tensor, wanted], shape, "ReshapeOptionsT", {"newShape": list(shape)}, title=name)

    def joined(self, tensors: list[int], name: str) -> int:
        """Tensors joined along their last axis."""
        shape = (*self.shape(tensors[0])[:-1], len(tensors))
        return self._operator("CONCATENATION", tensors, shape, "ConcatenationOptionsT", {"axis": len(shape) - 1}, title=name)

    def _operator(
        self,
        name: str,
        inputs: list[int],
        shape: Any,
        options: str = "",
        values: dict[str, Any] | None = None,
        version: int = 1,
        title: str = "",
    ) -> int:
        found = self.schema.OperatorT()
        found.opcodeIndex, found.inputs = self._code(name, version), inputs
        if options:
            found.builtinOptionsType = getattr(self.schema.BuiltinOptions, options.removesuffix("T"))
            found.builtinOptions = getattr(self.schema, options)()
            vars(found.builtinOptions).update(values or {})
        kind = self.schema.TensorType.FLOAT32
        tensor = self._tensor(shape, kind, title or f"decoder/{len(self.network.operators)}_{name.lower()}")
        if name == "MAX_POOL_2D":  # as stored
            source, result = self.network.tensors[inputs[0]], self.network.tensors[tensor]
            result.type, result.quantization = source.type, source.quantization
        found.outputs = [tensor]
        self.network.operators.append(found)
        return tensor

    def _code(self, name: str, version: int) -> int:
        key = f"{name} {version}"
        if key not in self.codes:
            code = self.schema.OperatorCodeT()
            code.builtinCode = code.deprecatedBuiltinCode = getattr(self.schema.BuiltinOperator, name)  # all are below 127
            code.version = version
            self.model.operatorCodes.append(code)
            self.codes[key] = len(self.model.operatorCodes) - 1
        return self.codes[key]

    def _tensor(self, shape: Any, kind: int, name: str, buffer: int = 0) -> int:
        tensor = self.schema.TensorT()
        tensor.shape, tensor.type, tensor.name, tensor.buffer, tensor.hasRank = list(map(int, shape)), kind, name, buffer, True
        self.network.tensors.append(tensor)
        return len(self.network.tensors) - 1
