"""Reads a TFLite file's graph: operators, tensors and constants, straight from the flatbuffer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

_NUMPY_TYPES = {
    "FLOAT32": np.float32, "FLOAT16": np.float16, "FLOAT64": np.float64, "INT8": np.int8, "UINT8": np.uint8,
    "INT16": np.int16, "INT32": np.int32, "INT64": np.int64, "BOOL": np.bool_,
}  # fmt: skip
_ALIGNMENT = 16  # bytes


@dataclass(frozen=True)
class Tensor:
    """A tensor as the file declares it; `dtype` is the schema's name in lower case, `signature` has -1 where a side is free."""

    name: str
    shape: tuple[int, ...]
    signature: tuple[int, ...]
    dtype: str
    data: bytes  # empty where the tensor is computed

    @property
    def constant(self) -> bool:
        """Whether the file carries the values."""
        return bool(self.data)

    @property
    def layer(self) -> str:
        """The name in Keras of the layer whose result this is, without what quantisation put before it."""
        parts = self.name.split(";")[0].split("/")
        return parts[min(1, len(parts) - 1)].removeprefix("quant_")

    def values(self) -> np.ndarray | None:
        """Returns a constant's values as a flat array, or None where NumPy has no such type or there are none."""
        dtype = _NUMPY_TYPES.get(self.dtype.upper())
        return np.frombuffer(self.data, dtype) if self.data and dtype else None


@dataclass(frozen=True)
class Operator:
    """An operator, in a version of its kind, with the indices of its tensors; -1 stands for an input that is left out."""

    name: str
    custom: bool
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    version: int = 1


@dataclass(frozen=True)
class Graph:
    """The first subgraph of a file; `subgraphs` counts them all."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    subgraphs: int

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of one inference in convolutions, transposed convolutions and fully connected layers."""
        return sum(map(self.macs_of, self.operators))

    def macs_of(self, operator: Operator) -> int:
        """Multiply-accumulates of one operator: 0 for those that have no weights."""
        if operator.name in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            weights, places = self.tensors[operator.inputs[1]], self.tensors[operator.outputs[0]].shape[:3]
        elif operator.name == "TRANSPOSE_CONV":  # inputs: output shape, weights, image; each input cell meets every weight once
            weights, places = self.tensors[operator.inputs[1]], self.tensors[operator.inputs[2]].shape[:3]
        elif operator.name == "FULLY_CONNECTED":
            weights, places = self.tensors[operator.inputs[1]], self.tensors[operator.outputs[0]].shape[:-1]
        else:
            return 0
        return math.prod(places) * math.prod(weights.shape)


def read_graph(content: bytes) -> Graph:
    """Returns the graph in `content`, which `zoo.runtime.interpreter.read_model` has verified."""
    from ai_edge_litert import schema_py_generated as schema

    model = unpack(content)
    subgraph = model.subgraphs[0]
    operator_names = _names(schema.BuiltinOperator)
    type_names = _names(schema.TensorType)

    def operator(item: Any) -> Operator:
        code = model.operatorCodes[item.opcodeIndex]
        builtin = max(code.builtinCode, code.deprecatedBuiltinCode)  # old files carry only the second, new ones both
        custom = builtin == schema.BuiltinOperator.CUSTOM
        name = (code.customCode or b"").decode(errors="replace") if custom else operator_names.get(builtin, f"operator {builtin}")
        return Operator(name, custom, _ints(item.inputs), _ints(item.outputs), int(code.version))

    def tensor(item: Any) -> Tensor:
        data = model.buffers[item.buffer].data
        return Tensor(
            name=(item.name or b"").decode(errors="replace"),
            shape=_ints(item.shape),
            signature=_ints(item.shape if item.shapeSignature is None else item.shapeSignature),
            dtype=type_names.get(item.type, f"type {item.type}").lower(),
            data=b"" if data is None else np.asarray(data, np.uint8).tobytes(),
        )

    return Graph(
        tensors=tuple(map(tensor, subgraph.tensors)),
        operators=tuple(map(operator, subgraph.operators or [])),
        inputs=_ints(subgraph.inputs),
        outputs=_ints(subgraph.outputs),
        subgraphs=len(model.subgraphs),
    )


def unpack(content: bytes) -> Any:
    """Returns a file's object tree (`ModelT` of LiteRT's generated schema); what follows the flatbuffer is left out."""
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromPackedBuf(content, 0)


def pack(model: Any) -> bytes:
    """Returns the file of an object tree, with every constant on a multiple of 16 bytes: schema.fbs asks for it, its Python forgets it."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    class AlignedBuffer(schema.BufferT):
        def Pack(self, builder: Any) -> int:
            data = np.asarray(self.data, np.uint8).tobytes()
            builder.StartVector(1, len(data), _ALIGNMENT)
            builder.head -= len(data)
            builder.Bytes[builder.head : builder.head + len(data)] = data
            vector = builder.EndVector()
            schema.BufferStart(builder)
            schema.BufferAddData(builder, vector)
            return schema.BufferEnd(builder)

    for index, buffer in enumerate(model.buffers):
        if buffer.data is not None:
            model.buffers[index] = AlignedBuffer()
            model.buffers[index].data = buffer.data
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def without_denormals(content: bytes) -> bytes:
    """Returns the file with every float constant below its type's smallest normal number set to 0.

    Such numbers mean nothing and slow a CPU down many times over. Only the finished file can tell: the converter multiplies
    kernels by their normalisation before it rounds them to half precision.
    """
    from ai_edge_litert import schema_py_generated as schema

    content = bytearray(content)
    model = schema.Model.GetRootAsModel(content, 0)
    kinds = {schema.TensorType.FLOAT32: np.float32, schema.TensorType.FLOAT16: np.float16}
    for subgraph in map(model.Subgraphs, range(model.SubgraphsLength())):
        for tensor in map(subgraph.Tensors, range(subgraph.TensorsLength())):
            dtype, buffer = kinds.get(tensor.Type()), model.Buffers(tensor.Buffer())
            if dtype and buffer.DataLength():
                values = buffer.DataAsNumpy().view(dtype)  # a view of `content`
                values[np.abs(values) < np.finfo(dtype).tiny] = 0
    return bytes(content)


def _names(enumeration: type) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}


def _ints(values: Any) -> tuple[int, ...]:
    return () if values is None else tuple(int(value) for value in values)
