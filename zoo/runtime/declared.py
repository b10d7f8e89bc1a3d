"""Judges what a .tflite file declares before an interpreter is made of it: runtimes believe a file, and a wrong size ends the process.

Shapes, types, indices, quantisation and strides are read in Python, inside the file's own length; what they would take is held against
the bounds below. The bounds are ten times what the largest network here, or of MediaPipe's, needs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo.errors import ZooError
from zoo.runtime.metadata_schema import Reader

MOST_FILE_BYTES = 256 << 20
MOST_COMPUTED_BYTES = 256 << 20  # of all tensors that the file does not carry
_MOST_TENSORS, _MOST_RANK, _MOST_STEP = 10_000, 8, 4096  # _MOST_STEP of strides, dilations and windows

# TFLite's own schema.fbs, as far as it says how much is needed; as in `zoo.runtime.metadata_schema`.
_TABLES: dict[str, dict[str, str | None]] = {
    "Model": {
        "version": "uint32", "operator_codes": "[OperatorCode]", "subgraphs": "[SubGraph]", "description": None, "buffers": "[Buffer]",
    },
    "OperatorCode": {"deprecated_builtin_code": "int8", "custom_code": None, "version": "int32", "builtin_code": "int32"},
    "SubGraph": {"tensors": "[Tensor]", "inputs": "[int32]", "outputs": "[int32]", "operators": "[Operator]", "name": None},
    "Tensor": {
        "shape": "[int32]", "type": "int8", "buffer": "uint32", "name": "string", "quantization": "QuantizationParameters",
        "is_variable": "uint8", "sparsity": "SparsityParameters", "shape_signature": "[int32]",
    },
    "QuantizationParameters": {
        "min": None, "max": None, "scale": "[float32]", "zero_point": "[int64]", "details_type": None, "details": None,
        "quantized_dimension": "int32",
    },
    "SparsityParameters": {},
    "Buffer": {"data": "bytes", "offset": "uint64", "size": "uint64"},
    "Operator": {
        "opcode_index": "uint32", "inputs": "[int32]", "outputs": "[int32]", "builtin_options_type": "uint8", "builtin_options": "table",
    },
    "Conv2DOptions": {
        "padding": "int8", "stride_w": "int32", "stride_h": "int32", "activation": "int8", "dilation_w": "int32", "dilation_h": "int32",
    },
    "DepthwiseConv2DOptions": {
        "padding": "int8", "stride_w": "int32", "stride_h": "int32", "depth_multiplier": "int32", "activation": "int8",
        "dilation_w": "int32", "dilation_h": "int32",
    },
    "Pool2DOptions": {
        "padding": "int8", "stride_w": "int32", "stride_h": "int32", "filter_width": "int32", "filter_height": "int32",
        "activation": "int8",
    },
    "TransposeConvOptions": {"padding": "int8", "stride_w": "int32", "stride_h": "int32", "activation": "int8"},
    "DepthToSpaceOptions": {"block_size": "int32"},
}  # fmt: skip
# Bits of one element by the number of its type; types of no fixed length, such as STRING, are in no network that computes.
_BITS = {
    0: 32, 1: 16, 2: 32, 3: 8, 4: 64, 6: 8, 7: 16, 8: 64, 9: 8, 10: 64, 11: 128, 12: 64, 15: 32, 16: 16, 17: 4, 18: 16, 19: 2, 20: 4, 21: 8,
    22: 8,
}  # fmt: skip
# Operators by the number of their kind.
_ADD, _CONV, _DEPTHWISE, _DEPTH_TO_SPACE, _DEQUANTIZE, _TRANSPOSE_CONV, _QUANTIZE, _DENSIFY = 0, 3, 4, 5, 6, 67, 114, 124
_OPTIONS = {1: "Conv2DOptions", 2: "DepthwiseConv2DOptions", 5: "Pool2DOptions", 49: "TransposeConvOptions", 94: "DepthToSpaceOptions"}
_ABSENT = {"dilation_w": 1, "dilation_h": 1}  # what an option is where the file leaves it out; all others are 0 then


def check(content: bytes, path: Path) -> None:
    """Refuses a file whose declared sizes contradict its length, one another or the bounds.

    Args:
      content: of a file that begins as a TFLite model does.
      path: the name used in messages.

    Raises:
      ZooError: what is declared, and what is possible.
    """
    if len(content) > MOST_FILE_BYTES:
        raise ZooError(f"{path} has {len(content) >> 20} MB; at most {MOST_FILE_BYTES >> 20} MB are possible")
    try:
        _judge(content)
    except Exception as error:  # any value may stand where another belongs
        raise ZooError(f"{path} is cut short or damaged, or no such network: {error} (it has {len(content)} bytes)") from error


def _judge(content: bytes) -> None:
    reader = Reader(content, _TABLES)
    model = reader.table("Model", reader.forward(0))
    buffers = [_carried(content, buffer) for buffer in model.get("buffers", [])]
    codes = [max(code.get("builtin_code", 0), code.get("deprecated_builtin_code", 0)) for code in model.get("operator_codes", [])]
    if not model.get("subgraphs"):
        raise ValueError("it has no graph")
    computed = 0
    for graph in model["subgraphs"]:
        tensors = graph.get("tensors", [])
        if not 1 <= len(tensors) <= _MOST_TENSORS:
            raise ValueError(f"it has {len(tensors)} tensors; 1 to {_MOST_TENSORS} are possible")
        for index, tensor in enumerate(tensors):
            computed += _needed_bytes(index, tensor, buffers)
        if computed > MOST_COMPUTED_BYTES:
            raise ValueError(f"its tensors need {computed >> 20} MB; at most {MOST_COMPUTED_BYTES >> 20} MB are possible")
        for kind in ("inputs", "outputs"):
            _check_indices(f"the graph's {kind}", graph.get(kind, []), len(tensors), least=0)
        known = {index for index, tensor in enumerate(tensors) if buffers[tensor.get("buffer", 0)] or tensor.get("is_variable")}
        known |= {-1, *graph.get("inputs", [])}
        for number, operator in enumerate(graph.get("operators", [])):
            _check_operator(f"operator {number}", operator, codes, tensors, reader)
            unknown = set(operator.get("inputs", [])) - known
            if unknown:
                raise ValueError(f"operator {number} takes tensor {min(unknown)}, which nothing before it gives")
            known.update(operator.get("outputs", []))
        if not known.issuperset(graph.get("outputs", [])):
            raise ValueError("nothing gives the graph's output")


def _carried(content: bytes, buffer: dict[str, Any]) -> int:
    """Returns how many bytes a buffer has; those of files beyond 2 GB lie behind the flatbuffer."""
    offset, size = buffer.get("offset", 0), buffer.get("size", 0)
    if offset > 1 and offset + size > len(content):
        raise ValueError(f"a constant lies in bytes {offset} to {offset + size}")
    return size if offset > 1 else len(buffer.get("data", b""))


def _needed_bytes(index: int, tensor: dict[str, Any], buffers: Sequence[int]) -> int:
    """Returns what a tensor takes beside the file; a ValueError if its shape is of no tensor here or not that of its values."""
    shape, bits, buffer = tensor.get("shape", []), _BITS.get(tensor.get("type", 0)), tensor.get("buffer", 0)
    named = f"tensor {index} of shape {shape[: _MOST_RANK + 1]}"
    if len(shape) > _MOST_RANK or any(side < 0 for side in shape):
        raise ValueError(f"{named} is declared; up to {_MOST_RANK} sides of 0 or more are possible")
    if bits is None:
        raise ValueError(f"{named} is of type {tensor.get('type', 0)}, which no network here has")
    if buffer >= len(buffers):
        raise ValueError(f"{named} lies in buffer {buffer} of {len(buffers)}")
    needed, carried = -(-math.prod(shape) * bits // 8), buffers[buffer]
    if carried and needed != carried and "sparsity" not in tensor:
        raise ValueError(f"{named} needs {needed} bytes and {carried} are carried")
    if needed > MOST_COMPUTED_BYTES:
        raise ValueError(f"{named} needs {needed >> 20} MB; at most {MOST_COMPUTED_BYTES >> 20} MB are possible")
    _check_quantisation(named, shape, tensor.get("quantization", {}))
    return 0 if carried and "sparsity" not in tensor else needed


def _check_quantisation(named: str, shape: Sequence[int], given: dict[str, Any]) -> None:
    scales, zeros, axis = given.get("scale", []), given.get("zero_point", []), given.get("quantized_dimension", 0)
    if not all(math.isfinite(scale) and scale >= 0 for scale in scales):
        raise ValueError(f"{named} has a scale that is no positive number")
    if len(zeros) not in (0, len(scales)):
        raise ValueError(f"{named} has {len(scales)} scales and {len(zeros)} zero points")
    if len(scales) > 1 and (not 0 <= axis < len(shape) or shape[axis] != len(scales)):
        raise ValueError(f"{named} has {len(scales)} scales along axis {axis}")


def _check_indices(named: str, indices: Sequence[int], count: int, least: int) -> None:
    for index in indices:
        if not least <= index < count:
            raise ValueError(f"{named} name tensor {index} of {count}")


def _check_operator(named: str, operator: dict[str, Any], codes: Sequence[int], tensors: Sequence[dict[str, Any]], reader: Reader) -> None:
    inputs, outputs = operator.get("inputs", []), operator.get("outputs", [])
    if operator.get("opcode_index", 0) >= len(codes):
        raise ValueError(f"{named} is of kind {operator['opcode_index']} of {len(codes)}")
    _check_indices(f"the inputs of {named}", inputs, len(tensors), least=-1)  # -1 stands for one that is left out
    _check_indices(f"the outputs of {named}", outputs, len(tensors), least=0)
    options = _OPTIONS.get(operator.get("builtin_options_type", 0))
    if options and "builtin_options" in operator:
        given = reader.table(options, operator["builtin_options"])
        for key in _TABLES[options]:
            value = given.get(key, _ABSENT.get(key, 0))
            if key not in ("padding", "activation") and not 1 <= value <= _MOST_STEP:
                raise ValueError(f"{named} has {key} {value}")
    shapes = [tensors[index].get("shape", []) if index >= 0 else None for index in (*inputs, *outputs)]
    _check_shapes(named, codes[operator.get("opcode_index", 0)], len(inputs), shapes)


def _check_shapes(named: str, kind: int, inputs: int, shapes: Sequence[list[int] | None]) -> None:
    """Holds an operator's shapes against one another, for the kinds whose kernels go by what is declared."""
    if kind in (_DEQUANTIZE, _QUANTIZE, _DENSIFY):
        fits = len(shapes) == 2 and shapes[0] == shapes[1]
    elif kind in (_CONV, _DEPTHWISE, _TRANSPOSE_CONV):
        image, weights = (shapes[at] if at < inputs else None for at in ((2, 1) if kind == _TRANSPOSE_CONV else (0, 1)))
        bias = shapes[inputs - 1] if inputs == (4 if kind == _TRANSPOSE_CONV else 3) else None
        result = shapes[-1] if len(shapes) == inputs + 1 else None
        fits = all(shape and len(shape) == 4 and min(shape) > 0 for shape in (image, weights, result))
        if fits:
            channels = weights[3 if kind == _DEPTHWISE else 0]
            taken = image[3] == weights[3] if kind != _DEPTHWISE else weights[0] == 1 and channels % image[3] == 0
            fits = taken and result[3] == channels and (bias is None or math.prod(bias) == channels) and result[0] == image[0]
    else:
        return
    if not fits:
        raise ValueError(f"{named} has tensors of shapes {', '.join(map(str, shapes))}, which do not fit together")
