"""Arrays of a NumPy archive row by row, so that an archive of a million faces is never in memory."""

from __future__ import annotations

import os
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from zoo.errors import ZooError

_BLOCK_BYTES = 1 << 20
_DAMAGED = (
    ValueError, TypeError, MemoryError, OverflowError, RuntimeError, SyntaxError, tokenize.TokenError, EOFError, KeyError,
    NotImplementedError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def headers(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Returns the shape and type of every array of an archive (.npz), without reading them.

    Raises:
      ZooError: the file is missing, cut short, or of another kind.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            found = {}
            for name in archive.namelist():
                with archive.open(name) as member:
                    found[name.removesuffix(".npy")] = _header(member)[:2]
            return found
    except OSError as error:
        raise ZooError(f"cannot read {path}: {error.strerror or error}") from None
    except _DAMAGED as error:
        raise ZooError(f"{path} is no whole NumPy archive (.npz): {error}") from None


def rows(path: Path, keys: tuple[str, ...]) -> Iterator[tuple]:
    """Yields one tuple per row: the row of each array of `keys`, which are as long as each other.

    Raises:
      ZooError: as `headers`, also half-way, where a block of the archive is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            columns = [_column(archive, key) for key in keys]
            yield from zip(*columns, strict=False)
    except OSError as error:
        raise ZooError(f"cannot read {path}: {error.strerror or error}") from None
    except _DAMAGED as error:
        raise ZooError(f"{path} is no whole NumPy archive (.npz): {error}") from None


def scalar(path: Path, key: str) -> str:
    """Returns an array of no dimension as text."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            value = archive[key]
            if value.ndim or value.dtype.kind not in "US":
                raise ZooError(f"{path} has {key} of shape {value.shape} and type {value.dtype}; a single text is expected")
            return as_text(value[()])
    except ZooError:
        raise
    except (OSError, *_DAMAGED) as error:
        raise ZooError(f"{path} is no whole NumPy archive (.npz): {error}") from None


def as_text(value: np.str_ | np.bytes_) -> str:
    """Returns one element of an array of text; bytes are a file's name as it is."""
    return os.fsdecode(bytes(value)) if isinstance(value, bytes) else str(value)


def _column(archive: zipfile.ZipFile, key: str) -> Iterator[np.ndarray]:
    with archive.open(f"{key}.npy") as member:
        shape, dtype, fortran = _header(member)
        if fortran and len(shape) > 1:  # columns first: rows are not in one piece
            data = np.frombuffer(member.read(), dtype).reshape(shape, order="F")
            yield from data
            return
        row_bytes = max(1, dtype.itemsize * int(np.prod(shape[1:], dtype=np.int64)))
        step = max(1, _BLOCK_BYTES // row_bytes)
        for start in range(0, shape[0], step):
            count = min(step, shape[0] - start)
            block = member.read(count * row_bytes)
            if len(block) < count * row_bytes:
                raise EOFError(f"array {key!r} ends at row {start + len(block) // row_bytes} of {shape[0]}")
            yield from np.frombuffer(block, dtype).reshape(count, *shape[1:])


def _header(member: BinaryIO) -> tuple[tuple[int, ...], np.dtype, bool]:
    """Returns (shape, type, whether columns come first) of a .npy and leaves the file at its data."""
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(member)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are not read")
    return shape, dtype, fortran
