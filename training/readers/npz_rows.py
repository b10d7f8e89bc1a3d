"""Arrays of a NumPy archive row by row, so that an archive of a million faces is never in memory."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from zoo.errors import ZooError, one_line
from zoo.files import MOST_ARRAY_BYTES, array_header

_BLOCK_BYTES, _MOST_ROW_BYTES = 1 << 20, 64 << 20


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
                    found[name.removesuffix(".npy")] = array_header(member)[:2]
            return found
    except Exception as error:
        raise _refusal(path, error) from None


def rows(path: Path, keys: tuple[str, ...]) -> Iterator[tuple]:
    """Yields one tuple per row: the row of each array of `keys`, which are as long as each other.

    Raises:
      ZooError: as `headers`, also half-way, where a block of the archive is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            columns = [_column(archive, key) for key in keys]
            yield from zip(*columns, strict=False)
    except Exception as error:
        raise _refusal(path, error) from None


def scalar(path: Path, key: str) -> str:
    """Returns an array of no dimension as text."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{key}.npy") as member:
            size_bytes = array_header(member)[3]
        if size_bytes > _MOST_ROW_BYTES:
            raise ZooError(f"{path} has {key} of {size_bytes >> 20} MB; a single text is expected")
        with np.load(path, allow_pickle=False) as archive:
            value = archive[key]
            if value.ndim or value.dtype.kind not in "US":
                raise ZooError(f"{path} has {key} of shape {value.shape} and type {value.dtype}; a single text is expected")
            return as_text(value[()])
    except ZooError:
        raise
    except Exception as error:
        raise _refusal(path, error) from None


def _refusal(path: Path, error: Exception) -> ZooError:
    """Returns what zipfile, zlib or NumPy raise on a damaged file, which may be anything, as one line."""
    if isinstance(error, OSError) and error.strerror:
        return ZooError(f"cannot read {path}: {error.strerror}")
    return ZooError(f"{path} is no whole NumPy archive (.npz): {one_line(error)}")


def as_text(value: np.str_ | np.bytes_) -> str:
    """Returns one element of an array of text; bytes are a file's name as it is."""
    return os.fsdecode(bytes(value)) if isinstance(value, bytes) else str(value)


def _column(archive: zipfile.ZipFile, key: str) -> Iterator[np.ndarray]:
    with archive.open(f"{key}.npy") as member:
        shape, dtype, fortran, size_bytes = array_header(member)
        if fortran and len(shape) > 1:  # columns first: rows are not in one piece
            if size_bytes > MOST_ARRAY_BYTES:
                raise ValueError(f"array {key!r} has {size_bytes >> 20} MB with its columns first; save it with its rows first")
            data = np.frombuffer(member.read(), dtype).reshape(shape, order="F")
            yield from data
            return
        row_bytes = max(1, dtype.itemsize * int(np.prod(shape[1:], dtype=np.int64)))
        if row_bytes > _MOST_ROW_BYTES:
            raise ValueError(f"array {key!r} has rows of {row_bytes >> 20} MB; at most {_MOST_ROW_BYTES >> 20} MB are possible")
        step = max(1, _BLOCK_BYTES // row_bytes)
        for start in range(0, shape[0], step):
            count = min(step, shape[0] - start)
            block = member.read(count * row_bytes)
            if len(block) < count * row_bytes:
                raise EOFError(f"array {key!r} ends at row {start + len(block) // row_bytes} of {shape[0]}")
            yield from np.frombuffer(block, dtype).reshape(count, *shape[1:])
