"""Puts a metadata block and its associated files into a .tflite file, and takes them out again, as the TFLite metadata standard says.

The block is a buffer of the model that an entry called TFLITE_METADATA points to; the files follow the flatbuffer as a ZIP archive,
uncompressed, since some readers on phones know no other. An interpreter sees neither.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zoo.errors import ZooError
from zoo.runtime import metadata_schema as schema
from zoo.runtime.graph import pack, unpack

ENTRY = "TFLITE_METADATA"
_MOST_FILE_BYTES = 1 << 20  # of one associated file; a damaged archive may declare any length


@dataclass(frozen=True)
class Block:
    """A file's metadata: the ModelMetadata table as plain values (see `zoo.runtime.metadata_schema`), and the associated files by name."""

    model: dict[str, Any]
    files: dict[str, bytes]


def attach(content: bytes, block: Block) -> bytes:
    """Returns a .tflite file with this metadata, in the place of what it had; weights and graph stay as they are.

    Args:
      content: of a whole TFLite file.
    """
    from ai_edge_litert import schema_py_generated as tflite_schema

    model = unpack(content)
    model.metadata = model.metadata or []
    places = [entry.buffer for entry in model.metadata if entry.name == ENTRY.encode()]
    if not places:
        entry = tflite_schema.MetadataT()
        entry.name, entry.buffer = ENTRY, len(model.buffers)
        model.metadata.append(entry)
        model.buffers.append(tflite_schema.BufferT())
        places = [entry.buffer]
    model.buffers[places[0]].data = np.frombuffer(schema.encode(block.model), np.uint8)
    return _with_archive(pack(model), block.files)


def with_files(content: bytes, files: dict[str, bytes]) -> bytes:
    """Returns a .tflite file with other associated files of the same names; its block, weights and graph stay as they are.

    Args:
      content: of a whole TFLite file with metadata.
      files: all that the block names.
    """
    return _with_archive(pack(unpack(content)), files)


def detach(content: bytes, path: Path) -> Block | None:
    """Returns a file's metadata, or None where it has none.

    Args:
      content: of a whole TFLite file.
      path: the name used in messages.

    Raises:
      ZooError: the block is of another schema or damaged, or a file that it names is not there.
    """
    try:
        model = schema.decode(content, "Model")
        found = [entry for entry in model.get("metadata", []) if entry.get("name") == ENTRY]
        if not found:
            return None
        index, buffers = found[0].get("buffer", 0), model.get("buffers", [])
        if index >= len(buffers):
            raise ValueError(f"it lies in buffer {index} and the file has {len(buffers)} buffers")
        data = buffers[index].get("data", b"")
    except ValueError as error:
        raise ZooError(f"the metadata of {path} cannot be found: {error}") from error
    if data[4:8] != schema.IDENTIFIER:
        raise ZooError(f"the metadata of {path} is of kind {bytes(data[4:8])!r}; {schema.IDENTIFIER!r} of the TFLite schema is expected")
    try:
        values = schema.decode(data)
    except ValueError as error:
        raise ZooError(f"the metadata of {path} is cut short or damaged: {error} bytes") from error
    return Block(values, _unpack(content, list(_named_files(values)), path))


def _named_files(value: Any) -> list[str]:
    """Returns the names of the associated files, wherever in the block they are named."""
    if isinstance(value, list):
        return [name for item in value for name in _named_files(item)]
    if not isinstance(value, dict):
        return []
    own = [item.get("name", "") for item in value.get("associated_files", [])]
    return own + [name for key, item in value.items() if key != "associated_files" for name in _named_files(item)]


def _with_archive(model: bytes, files: dict[str, bytes]) -> bytes:
    """Returns the model with the files behind it as a ZIP archive, whose offsets count from the model's start."""
    stream = io.BytesIO(model)
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)  # of 1980, so that equal files have equal bytes
    return stream.getvalue()


def _unpack(content: bytes, names: list[str], path: Path) -> dict[str, bytes]:
    if not names:
        return {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
            for name in names:
                if name not in sizes:
                    raise ZooError(f"the metadata of {path} names {name}; the archive behind the graph has {', '.join(sizes) or 'nothing'}")
                if sizes[name] > _MOST_FILE_BYTES:
                    raise ZooError(f"{name} in {path} is {sizes[name]} bytes long; {_MOST_FILE_BYTES} are possible")
            return {name: archive.read(name) for name in names}
    except ZooError:
        raise
    except Exception as error:  # zipfile raises anything from struct.error to zlib.error on damaged archives
        reason = str(error).splitlines()[0] if str(error) else "no reason given"
        raise ZooError(
            f"{path} is cut short or damaged: its metadata names {', '.join(names)}, the archive behind the graph is not whole ({reason})"
        ) from error
