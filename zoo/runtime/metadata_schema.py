"""The official TFLite metadata schema (metadata_schema.fbs, version 1.5.0, identifier "M001") as data, with a small writer and reader.

A table's fields stand in the order of their ids, which is all that a flatbuffer knows of them; a union takes two ids, the first for
which of its tables it is. Values are plain: a dict per table, a list per vector, and the table's name for a union's kind, as flatc
prints them. The last three tables are the part of TFLite's own schema.fbs (identifier "TFL3") that leads to the metadata.
"""

from __future__ import annotations

import struct
from typing import Any

IDENTIFIER = b"M001"
PARSER_VERSION = "1.0.0"  # the release of the schema that first had every field which is written here
AXIS_LABELS = 2  # AssociatedFileType.TENSOR_AXIS_LABELS: one line for each index of an axis
RGB = 1  # ColorSpaceType.RGB

# "[T]" is a vector, "a|b" a union of tables, None a field that is not read.
TABLES: dict[str, dict[str, str | None]] = {
    "ModelMetadata": {
        "name": "string", "description": "string", "version": "string", "subgraph_metadata": "[SubGraphMetadata]", "author": "string",
        "license": "string", "associated_files": "[AssociatedFile]", "min_parser_version": "string",
    },
    "SubGraphMetadata": {
        "name": "string", "description": "string", "input_tensor_metadata": "[TensorMetadata]",
        "output_tensor_metadata": "[TensorMetadata]", "associated_files": "[AssociatedFile]",
    },
    "TensorMetadata": {
        "name": "string", "description": "string", "dimension_names": "[string]", "content": "Content", "process_units": "[ProcessUnit]",
        "stats": "Stats", "associated_files": "[AssociatedFile]",
    },
    "AssociatedFile": {"name": "string", "description": "string", "type": "int8", "locale": "string", "version": "string"},
    "Content": {
        "content_properties_type": "uint8", "content_properties": "FeatureProperties|ImageProperties|BoundingBoxProperties|AudioProperties",
        "range": "ValueRange",
    },
    "FeatureProperties": {},
    "ImageProperties": {"color_space": "int8", "default_size": "ImageSize"},
    "ImageSize": {"width": "uint32", "height": "uint32"},
    "BoundingBoxProperties": {},
    "AudioProperties": {},
    "ValueRange": {"min": "int32", "max": "int32"},
    "ProcessUnit": {
        "options_type": "uint8",
        "options": "NormalizationOptions|ScoreCalibrationOptions|ScoreThresholdingOptions|"
        "BertTokenizerOptions|SentencePieceTokenizerOptions|RegexTokenizerOptions",
    },
    "NormalizationOptions": {"mean": "[float32]", "std": "[float32]"},
    "ScoreCalibrationOptions": {},
    "ScoreThresholdingOptions": {"global_score_threshold": "float32"},
    "BertTokenizerOptions": {},
    "SentencePieceTokenizerOptions": {},
    "RegexTokenizerOptions": {},
    "Stats": {"max": "[float32]", "min": "[float32]"},
    "Model": {
        "version": "uint32", "operator_codes": None, "subgraphs": None, "description": None, "buffers": "[Buffer]", "metadata_buffer": None,
        "metadata": "[Metadata]",
    },
    "Buffer": {"data": "bytes"},
    "Metadata": {"name": "string", "buffer": "uint32"},
}  # fmt: skip
_SCALARS = {"int8": "<b", "uint8": "<B", "int32": "<i", "uint32": "<I", "float32": "<f", "int64": "<q", "uint64": "<Q"}
_MOST_TABLES = 10_000  # in one block: a damaged one may name the same table over and over


def encode(metadata: dict[str, Any]) -> bytes:
    """Returns a finished flatbuffer of a ModelMetadata given as plain values; a KeyError names a field that the schema has not."""
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(_write_table(builder, "ModelMetadata", metadata), IDENTIFIER)
    return bytes(builder.Output())


def decode(content: bytes, root: str = "ModelMetadata") -> dict[str, Any]:
    """Returns the plain values of a flatbuffer's root table; fields that are absent are left out.

    Raises:
      ValueError: an offset or a length points outside `content`, or a text is not UTF-8.
    """
    reader = Reader(content)
    return reader.table(root, reader.forward(0))


def _write_table(builder: Any, name: str, values: dict[str, Any]) -> int:
    fields = TABLES[name]
    unknown = set(values) - set(fields)
    if unknown:
        raise KeyError(f"{name} has no field {sorted(unknown)[0]!r}")
    written = {field: _write_child(builder, fields, field, values) for field in values}  # children stand before their parent
    builder.StartObject(len(fields))
    for slot, (field, kind) in enumerate(fields.items()):
        if field not in values:
            continue
        if kind in _SCALARS:
            getattr(builder, f"Prepend{kind.title()}Slot")(slot, written[field], None)  # no default: what is given is written
        else:
            builder.PrependUOffsetTRelativeSlot(slot, written[field], 0)
    return builder.EndObject()


def _write_child(builder: Any, fields: dict[str, str | None], field: str, values: dict[str, Any]) -> Any:
    """Returns the offset of what a field points to, or a scalar's value."""
    kind, value = fields[field], values[field]
    if kind in _SCALARS:
        union = fields.get(field.removesuffix("_type")) or ""
        return union.split("|").index(value) + 1 if "|" in union else value
    if kind == "string":
        return builder.CreateString(value)
    if kind.startswith("["):
        return _write_vector(builder, kind[1:-1], value)
    return _write_table(builder, values[f"{field}_type"] if "|" in kind else kind, value)


def _write_vector(builder: Any, kind: str, values: list[Any]) -> int:
    if kind == "float32":
        builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            builder.PrependFloat32(value)
    else:
        offsets = [builder.CreateString(value) if kind == "string" else _write_table(builder, kind, value) for value in values]
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


class Reader:
    """Reads tables by a schema; nothing outside the content is ever touched, and not much more is read than its length."""

    def __init__(self, content: bytes, schema: dict[str, dict[str, str | None]] = TABLES):
        self.content, self.schema, self.tables = content, schema, 0
        self.left = 4 * len(content) + 4096  # bytes that vectors may have: a damaged file may name the same one over and over

    def number(self, code: str, at: int) -> Any:
        if at < 0 or at + struct.calcsize(code) > len(self.content):
            raise ValueError(f"it points to byte {at} and has {len(self.content)}")
        return struct.unpack_from(code, self.content, at)[0]

    def forward(self, at: int) -> int:
        return at + self.number("<I", at)

    def table(self, name: str, at: int) -> dict[str, Any]:
        self.tables += 1
        if self.tables > _MOST_TABLES:
            raise ValueError(f"it has more than {_MOST_TABLES} tables")
        directory = at - self.number("<i", at)
        length = self.number("<H", directory)
        values: dict[str, Any] = {}
        for slot, (field, kind) in enumerate(self.schema[name].items()):
            place = 4 + 2 * slot
            offset = self.number("<H", directory + place) if place < length else 0
            if not offset or kind is None:
                continue
            union = self.schema[name].get(field.removesuffix("_type")) if field.endswith("_type") else None
            if union and "|" in union:
                kinds = union.split("|")
                number = self.number("<B", at + offset)
                if not 1 <= number <= len(kinds):
                    raise ValueError(f"{field} is {number} and 1 to {len(kinds)} are known")
                values[field] = kinds[number - 1]
            elif "|" in kind:
                if f"{field}_type" in values:
                    values[field] = self.table(values[f"{field}_type"], self.forward(at + offset))
            else:
                values[field] = self.value(kind, at + offset)
        return values

    def value(self, kind: str, at: int) -> Any:
        if kind in _SCALARS:
            return self.number(_SCALARS[kind], at)
        at = self.forward(at)
        if kind == "table":  # of a kind that the caller finds out
            return at
        if kind in self.schema:
            return self.table(kind, at)
        count = self.number("<I", at)
        item = kind[1:-1] if kind.startswith("[") else "uint8"
        size = struct.calcsize(_SCALARS.get(item, "<I"))
        if at + 4 + count * size > len(self.content):
            raise ValueError(f"it names {count * size} bytes from byte {at + 4} on and has {len(self.content)}")
        self.left -= count * size
        if self.left < 0:
            raise ValueError("it names the same bytes over and over")
        if kind == "bytes":
            return self.content[at + 4 : at + 4 + count]
        if kind == "string":
            return self.content[at + 4 : at + 4 + count].decode()
        if item in _SCALARS:
            return list(struct.unpack_from(f"<{count}{_SCALARS[item][1]}", self.content, at + 4))
        return [self.value(item, at + 4 + index * size) for index in range(count)]
